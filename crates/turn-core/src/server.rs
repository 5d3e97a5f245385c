//! The state machine itself.

use std::{net::SocketAddr, sync::Arc, time::Instant};

use causeway_types::{AllocationId, Now, ShardIndex};

use crate::{
    Admission, ClientLeg, ConnectOutcome, ConnectionId, DropCounts, Forward, IcmpError, KeyAnswer, OpenRelayError,
    Output, QueryId, RelayId, RelayOpened, RelayRequestId, StreamDirection, TimerKind, TurnConfig,
};

/// One shard's TURN server.
#[derive(Debug)]
pub struct TurnServer {
    _config: Arc<TurnConfig>,
}

#[expect(
    missing_docs,
    unused_variables,
    clippy::needless_pass_by_value,
    clippy::needless_pass_by_ref_mut,
    reason = "the agreed shape; filled in by the next commit"
)]
impl TurnServer {
    pub fn new(config: Arc<TurnConfig>, shard: ShardIndex, seed: [u8; 32], now: Now) -> Self {
        Self { _config: config }
    }
    pub fn handle_config(&mut self, now: Now, config: Arc<TurnConfig>) {}
    /// One datagram (UDP, DTLS) or one framed message (TCP, TLS) from a client.
    pub fn handle_client_message(&mut self, now: Now, from: ClientLeg, bytes: &[u8]) -> Forward {
        Forward::Nothing
    }
    /// `count` ChannelData messages of one channel and one length, of which `first` is the first: judged and counted at once.
    pub fn handle_channel_data_burst(&mut self, now: Now, from: ClientLeg, first: &[u8], count: u16) -> Forward {
        Forward::Nothing
    }
    /// `count` datagrams of `len` payload bytes each from one peer: judged and counted at once; one decision for all of them.
    pub fn handle_peer_datagram(&mut self, now: Now, on: RelayId, from: SocketAddr, len: u16, count: u16) -> Forward {
        Forward::Nothing
    }
    pub fn handle_icmp(&mut self, now: Now, on: RelayId, peer: SocketAddr, error: IcmpError) {}
    pub fn handle_relay_failed(&mut self, now: Now, on: RelayId) {}
    pub fn handle_client_closed(&mut self, now: Now, client: ClientLeg) {}
    pub fn handle_key(&mut self, now: Now, id: QueryId, answer: KeyAnswer) {}
    pub fn handle_admission(&mut self, now: Now, id: QueryId, admission: Admission) {}
    pub fn handle_relay_opened(
        &mut self,
        now: Now,
        request: RelayRequestId,
        result: Result<RelayOpened, OpenRelayError>,
    ) {
    }
    pub fn handle_peer_connected(&mut self, now: Now, connection: ConnectionId, outcome: ConnectOutcome) {}
    /// A peer connected to a TCP relay. `None`: not permitted, close it.
    pub fn handle_peer_accepted(&mut self, now: Now, on: RelayId, peer: SocketAddr) -> Option<ConnectionId> {
        None
    }
    pub fn handle_peer_connection_closed(&mut self, now: Now, connection: ConnectionId) {}
    /// Counts bytes a TCP relay carried; `Some` is the time until which reading in that direction must pause.
    pub fn handle_stream_bytes(
        &mut self,
        now: Now,
        connection: ConnectionId,
        direction: StreamDirection,
        bytes: u64,
    ) -> Option<Instant> {
        None
    }
    /// Ends one allocation.
    pub fn terminate(&mut self, now: Now, allocation: AllocationId) -> bool {
        false
    }
    /// Ends every allocation of `username`; how many.
    pub fn terminate_user(&mut self, now: Now, username: &str) -> u32 {
        0
    }
    /// Ends everything, telling why (server shutdown).
    pub fn shutdown(&mut self, now: Now) {}
    pub fn handle_timeout(&mut self, now: Now) {}
    pub fn poll_timeout(&self) -> Option<(Instant, TimerKind)> {
        None
    }
    pub fn poll_output(&mut self) -> Option<Output> {
        None
    }
    pub fn allocation_count(&self) -> usize {
        0
    }
    pub fn drops(&self) -> DropCounts {
        DropCounts::default()
    }
}
