//! How SIP clients are served.

use std::time::Duration;

use causeway_call_core::RingRule;

use crate::domain::Domain;

/// Which bindings of a callee ring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RingPolicy {
    /// The newest where clients have access keys and tokens, all of them elsewhere: what each kind of client expects.
    #[default]
    ByDomain,
    /// The newest.
    Newest,
    /// All of them; the first answer wins.
    All,
}

impl RingPolicy {
    pub(crate) const fn rule(self, domain: &Domain<'_>) -> RingRule {
        match (self, domain) {
            (Self::Newest, _)
            | (Self::ByDomain, Domain::Key { .. } | Domain::Cloud { .. } | Domain::Service { .. }) => RingRule::Newest,
            (Self::All, _) | (Self::ByDomain, Domain::Other) => RingRule::All,
        }
    }
}

/// How SIP clients are served.
#[derive(Clone, Debug)]
pub struct SipSettings {
    /// In challenges. Clients may keep a hash over it, so it stays as it is.
    pub realm: String,
    /// Which bindings ring.
    pub ring: RingPolicy,
    /// Connections at once.
    pub connections_max: usize,
    /// Connections of one address at once.
    pub connections_per_address_max: usize,
    /// SIP messages a second and connection; one that sends more is read no faster.
    pub messages_per_sec: u32,
    /// Bytes of a message; one that sends more is closed.
    pub message_bytes_max: usize,
    /// Requests in a row that prove nothing before a connection is closed.
    pub refusals_max: u32,
    /// Longest registration, and what is granted when nothing is asked.
    pub registration_max: Duration,
    /// How long relay credentials are good for.
    pub ice_ttl: Duration,
    /// Credentials for relays a second and address.
    pub ice_per_address_per_sec: u32,
    /// Credentials for relays a second and access key.
    pub ice_per_key_per_sec: u32,
    /// Calls to services a second and address: nothing but the access key stands for them.
    pub service_calls_per_address_per_sec: u32,
    /// Over how long connections are closed when the server drains.
    pub drain_spread: Duration,
}

impl Default for SipSettings {
    fn default() -> Self {
        Self {
            realm: "causeway".to_owned(),
            ring: RingPolicy::ByDomain,
            connections_max: 50_000,
            connections_per_address_max: 10_000,
            messages_per_sec: 50,
            message_bytes_max: causeway_sip_core::message::MESSAGE_BYTES_MAX,
            refusals_max: 20,
            registration_max: Duration::from_secs(600),
            ice_ttl: Duration::from_secs(300),
            ice_per_address_per_sec: 20,
            ice_per_key_per_sec: 500,
            service_calls_per_address_per_sec: 5,
            drain_spread: Duration::from_secs(10),
        }
    }
}
