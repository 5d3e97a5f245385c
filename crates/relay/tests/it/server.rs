//! A relay on free ports of the loopback interface.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use causeway_relay::{
    DtlsIdentity, KeyLookup, KeySource, Relay, RelayAddress, RelayHandle, RelayLimits, RelaySettings, Reload,
    ShardStats,
};
use causeway_stun_codec::key;
use causeway_turn_core::{
    DropReason, Grant, GrantLimits, IntegrityKeys, KeyAnswer, KeyQuery, Limits, NonceKeys, OnExpiry, RelayFamilies,
    TurnConfig, UserRef,
    peer_policy::{PeerPolicy, PeerPolicyConfig},
};
use causeway_types::{AuthRefusal, ClientTransport, CredentialKind, Secret, ShardIndex, UnixTime};

pub(crate) const REALM: &str = "test";
pub(crate) const PASSWORD: &str = "secret";
/// A user whose key look-up is a bug.
pub(crate) const PANIC_USER: &str = "panic";

/// Every user has the password `secret`, and some have limits.
#[derive(Debug, Default)]
struct Users {
    limits: Mutex<HashMap<String, GrantLimits>>,
}

impl KeySource for Users {
    fn keys(&self, query: &KeyQuery, _now: UnixTime, _shard: ShardIndex) -> KeyLookup {
        let UserRef::Name(username) = &query.user else {
            return KeyLookup::Answer(KeyAnswer::Refused(AuthRefusal::UnknownUser));
        };
        assert_ne!(&**username, PANIC_USER, "asked for");
        KeyLookup::Answer(KeyAnswer::Known(vec![Grant {
            username: Arc::clone(username),
            kind: CredentialKind::Static,
            keys: IntegrityKeys {
                md5: Secret::new(key::md5_key(username, REALM, PASSWORD)),
                sha256: Secret::new(key::sha256_key(username, REALM, PASSWORD)),
            },
            expires: None,
            on_expiry: OnExpiry::GateNew,
            limits: self.limits.lock().expect("no panic").get(&**username).copied().unwrap_or_default(),
        }]))
    }
}

/// A running relay and what it was started with.
pub(crate) struct Server {
    pub(crate) handle: RelayHandle,
    pub(crate) settings: RelaySettings,
    users: Arc<Users>,
}

/// One thread, both families, loopback peers allowed.
pub(crate) fn settings() -> RelaySettings {
    let v4 = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let v6 = IpAddr::V6(Ipv6Addr::LOCALHOST);
    let listen = vec![SocketAddr::new(v4, 0), SocketAddr::new(v6, 0)];
    let (tls, dtls) = identity();
    RelaySettings {
        threads: 1,
        turn_listen: listen.clone(),
        turn_tls_listen: listen,
        relay_addresses: vec![RelayAddress { advertised: v4, bound: v4 }, RelayAddress { advertised: v6, bound: v6 }],
        relay_ports: 40_000..=60_000,
        senders_max: 1000,
        turn: Arc::new(turn_config()),
        limits: RelayLimits {
            allocations_per_user_max: 1000,
            allocations_max: 20_000,
            bandwidth_total: None,
            tcp_connections_max: 1000,
            tcp_write_queue_bytes: 64 * 1024,
            tcp_write_queue_age: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            dtls_associations_max: 100,
            dtls_handshakes_max: 100,
        },
        tls: Some(tls),
        dtls: Some(dtls),
        proxy_protocol: false,
        fast_path: None,
    }
}

pub(crate) fn turn_config() -> TurnConfig {
    let allow = ["127.0.0.0/8", "::1/128"].map(|net| net.parse().expect("a net")).to_vec();
    TurnConfig {
        realm: REALM.into(),
        software: None,
        nonce_keys: NonceKeys { signing: Secret::new([7; 32]), accepted: Vec::new() },
        nonce_lifetime: Duration::from_secs(600),
        username_anonymity: true,
        lifetime_default: Duration::from_secs(600),
        lifetime_max: Duration::from_secs(3600),
        limits: Limits {
            permissions_per_allocation_max: 64,
            channels_per_allocation_max: 64,
            connections_per_allocation_max: 64,
            pending_requests_max: 10_000,
            bandwidth_per_allocation: None,
            unauthenticated_replies_per_sec: 1_000_000,
            unauthenticated_replies_burst: 1_000_000,
        },
        peer_policy: Arc::new(PeerPolicy::new(PeerPolicyConfig { allow, ..PeerPolicyConfig::default() })),
        relay_families: RelayFamilies { v4: true, v6: true },
        tcp_relaying: true,
        mobility: true,
        nat_discovery: Vec::new(),
        alternate_servers: Vec::new(),
        draining: false,
    }
}

pub(crate) fn start() -> Server {
    start_with(settings())
}

pub(crate) fn start_with(settings: RelaySettings) -> Server {
    let users = Arc::<Users>::default();
    let handle = Relay::start(settings.clone(), Arc::clone(&users) as Arc<dyn KeySource>).expect("starts");
    Server { handle, settings, users }
}

impl Server {
    /// Where a transport is served, by family.
    pub(crate) fn address(&self, transport: ClientTransport, v6: bool) -> SocketAddr {
        self.handle
            .bound()
            .iter()
            .find(|bound| bound.transport == transport && bound.address.is_ipv6() == v6)
            .expect("is served")
            .address
    }

    /// From now on this user's credential carries these limits.
    pub(crate) fn limit(&self, username: &str, limits: GrantLimits) {
        self.users.limits.lock().expect("no panic").insert(username.to_owned(), limits);
    }

    pub(crate) fn reload(&self, change: impl FnOnce(&mut Reload)) {
        let RelaySettings { turn, limits, tls, dtls, .. } = self.settings.clone();
        let mut reload = Reload { turn, limits, tls, dtls };
        change(&mut reload);
        self.handle.reload(&reload);
    }

    /// The sum of what `read` gives for each shard.
    pub(crate) fn sum(&self, read: impl Fn(&ShardStats) -> u64) -> u64 {
        self.handle.stats().shards.iter().map(read).sum()
    }

    pub(crate) fn drops(&self, reason: DropReason) -> u64 {
        self.sum(|shard| shard.drops.count(reason))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.handle.shutdown();
    }
}

/// Waits until `state` holds, at most ten seconds.
pub(crate) fn wait_until(what: &str, mut state: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !state() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// A self-signed certificate for TLS and DTLS.
pub(crate) fn identity() -> (Arc<rustls::ServerConfig>, DtlsIdentity) {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a key");
    let certificate = rcgen::CertificateParams::new(vec!["localhost".to_owned()])
        .and_then(|params| params.self_signed(&key))
        .expect("a certificate");
    let (certificate, private_key) = (certificate.der().to_vec(), key.serialize_der());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.clone().into()],
            rustls_pki_types::PrivateKeyDer::try_from(private_key.clone()).expect("a key"),
        )
        .expect("a pair");
    config.alpn_protocols = vec![b"stun.turn".to_vec()];
    (Arc::new(config), DtlsIdentity { certificate, private_key })
}
