//! How simulated servers are configured unless a test says otherwise.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use causeway_turn_core::{
    Limits, NonceKeys, RelayFamilies, TurnConfig,
    peer_policy::{PeerPolicy, PeerPolicyConfig},
};
use causeway_types::{AddressFamily, Secret};

use crate::{
    books::{RELAY_PORTS, relay_ip},
    users::REALM,
};

/// Where simulated servers listen for IPv4.
pub const SERVER_V4: &str = "198.51.200.7:3478";
/// Where they listen for IPv6.
pub const SERVER_V6: &str = "[2606:4700::7]:3478";

/// A peer policy with every kind of rule: 10.1.0.0/16 is allowed, 9.9.9.0/24 denied, and 10.1.0.1:5432 a service of
/// this host.
///
/// # Panics
/// Never: the addresses are well formed.
#[must_use]
pub fn peers() -> PeerPolicyConfig {
    let address = |text: &str| -> SocketAddr { text.parse().expect("an address") };
    PeerPolicyConfig {
        allow: vec!["10.1.0.0/16".parse().expect("a network")],
        deny: vec!["9.9.9.0/24".parse().expect("a network")],
        own_relays: [AddressFamily::V4, AddressFamily::V6].map(|family| (relay_ip(family), RELAY_PORTS)).to_vec(),
        own_services: vec![address(SERVER_V4), address(SERVER_V6), address("10.1.0.1:5432")],
        local_addresses: Vec::new(),
    }
}

/// A server with all it can do, wide limits and the policy of [`peers`].
#[must_use]
pub fn config() -> TurnConfig {
    TurnConfig {
        realm: REALM.into(),
        software: None,
        username_anonymity: true,
        nonce_keys: NonceKeys { signing: Secret::new([7; 32]), accepted: vec![Secret::new([8; 32])] },
        nonce_lifetime: Duration::from_secs(3600),
        lifetime_default: Duration::from_secs(600),
        lifetime_max: Duration::from_secs(3600),
        limits: Limits {
            permissions_per_allocation_max: 16,
            channels_per_allocation_max: 16,
            connections_per_allocation_max: 16,
            pending_requests_max: 64,
            bandwidth_per_allocation: None,
            unauthenticated_replies_per_sec: 10_000,
            unauthenticated_replies_burst: 10_000,
        },
        peer_policy: Arc::new(PeerPolicy::new(peers())),
        relay_families: RelayFamilies { v4: true, v6: true },
        tcp_relaying: true,
        mobility: true,
        nat_discovery: Vec::new(),
        alternate_servers: Vec::new(),
        draining: false,
    }
}
