//! What the data plane is started with, and what a reload may change.

use std::{
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    sync::Arc,
    time::Duration,
};

use causeway_fast_path::FastPath;
use causeway_turn_core::TurnConfig;

/// An address relay sockets are bound to, and what clients are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelayAddress {
    /// In XOR-RELAYED-ADDRESS.
    pub advertised: IpAddr,
    /// Of the socket; differs behind a NAT.
    pub bound: IpAddr,
}

/// Certificate and key of the DTLS listeners, DER; ECDSA only.
#[derive(Clone)]
pub struct DtlsIdentity {
    /// The leaf certificate.
    pub certificate: Vec<u8>,
    /// Its PKCS#8 key.
    pub private_key: Vec<u8>,
}

impl std::fmt::Debug for DtlsIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DtlsIdentity({} byte certificate)", self.certificate.len())
    }
}

/// Limits that span shards or belong to sockets.
#[derive(Clone, Copy, Debug)]
pub struct RelayLimits {
    /// One more is answered 486.
    pub allocations_per_user_max: u32,
    /// One more is answered 486.
    pub allocations_max: u32,
    /// Payload bytes per second over everything, each direction; more is dropped and counted.
    pub bandwidth_total: Option<u64>,
    /// Client connections over TCP and TLS; one more is closed at once.
    pub tcp_connections_max: u32,
    /// Bytes waiting for a slow TCP client; beyond, the oldest data packets are dropped.
    pub tcp_write_queue_bytes: usize,
    /// Age at which waiting data packets are dropped.
    pub tcp_write_queue_age: Duration,
    /// A connection or association without allocation that is silent this long is closed.
    pub idle_timeout: Duration,
    /// DTLS associations per shard; one more handshake is ignored.
    pub dtls_associations_max: u32,
    /// DTLS handshakes under way per shard; one more is ignored.
    pub dtls_handshakes_max: u32,
}

/// Everything [`Relay::start`](crate::Relay::start) needs.
#[derive(Clone, Debug)]
pub struct RelaySettings {
    /// Shards, 1–255.
    pub threads: u8,
    /// Plain listeners, UDP and TCP. Port 0 takes a free one.
    pub turn_listen: Vec<SocketAddr>,
    /// TLS on TCP; DTLS and plain TURN on UDP.
    pub turn_tls_listen: Vec<SocketAddr>,
    /// Relay addresses, at most one per family and in order of preference.
    pub relay_addresses: Vec<RelayAddress>,
    /// Ports of relay sockets.
    pub relay_ports: RangeInclusive<u16>,
    /// Busy flows that get a socket of their own to be sent by, over all shards; one more is sent as any other.
    pub senders_max: u32,
    /// What the cores decide by.
    pub turn: Arc<TurnConfig>,
    /// Limits.
    pub limits: RelayLimits,
    /// For TLS listeners.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// For DTLS listeners.
    pub dtls: Option<DtlsIdentity>,
    /// TCP connections begin with a PROXY header (v1 or v2) that names the client.
    pub proxy_protocol: bool,
    /// Where bound channels of UDP clients may be relayed without the process; `None`: all goes through it.
    pub fast_path: Option<Arc<FastPath>>,
}

/// What a reload replaces; live allocations and connections carry on.
#[derive(Clone, Debug)]
pub struct Reload {
    /// What the cores decide by.
    pub turn: Arc<TurnConfig>,
    /// Limits.
    pub limits: RelayLimits,
    /// For new TLS handshakes.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// For new DTLS handshakes.
    pub dtls: Option<DtlsIdentity>,
}
