//! What a [`TurnServer`](crate::TurnServer) is told once and again on reload: an immutable snapshot.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use causeway_types::{ScopeId, Secret, UnixTime};

use crate::peer_policy::PeerPolicy;

/// Everything the core decides by. Shared by all shards; a reload hands every shard a new one.
#[derive(Clone, Debug)]
pub struct TurnConfig {
    /// The realm of long-term credentials (RFC 8489 §9.2).
    pub realm: Arc<str>,
    /// SOFTWARE attribute; `None` leaves it out.
    pub software: Option<Arc<str>>,
    /// Keys that make nonces verifiable without state.
    pub nonce_keys: NonceKeys,
    /// How long a nonce is good before 438 (Stale Nonce).
    pub nonce_lifetime: Duration,
    /// Whether nonces ask clients that know it for USERHASH instead of USERNAME (RFC 8489 §9.2). Only where every user can
    /// be found by the hash: the names of TURN REST credentials are in no list.
    pub username_anonymity: bool,
    /// Lifetime of an allocation when the client asks for none or less (RFC 8656 §7.2: 600 s).
    pub lifetime_default: Duration,
    /// Longest lifetime granted (3600 s).
    pub lifetime_max: Duration,
    /// Named limits.
    pub limits: Limits,
    /// Which peers a client may reach.
    pub peer_policy: Arc<PeerPolicy>,
    /// Whether relay addresses of each family exist.
    pub relay_families: RelayFamilies,
    /// Whether TCP allocations are served (RFC 6062).
    pub tcp_relaying: bool,
    /// Whether mobility tickets are given (RFC 8016).
    pub mobility: bool,
    /// Address grids for NAT behaviour discovery (RFC 5780); empty turns it off.
    pub nat_discovery: Vec<NatDiscoveryGrid>,
    /// Where new allocations are sent instead (300 Try Alternate), used in turn by family; empty serves here.
    pub alternate_servers: Vec<SocketAddr>,
    /// Whether new allocations are refused because the server is going down: 300 when `alternate_servers` has one of
    /// the family, else 486.
    pub draining: bool,
}

/// Shared keys for stateless nonces; servers that share them accept each other's nonces.
#[derive(Clone, Debug)]
pub struct NonceKeys {
    /// Signs.
    pub signing: Secret<[u8; 32]>,
    /// Also accepted, for rotation.
    pub accepted: Vec<Secret<[u8; 32]>>,
}

/// Limits on one client's use of this shard's memory and of the network.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Live permissions in one allocation; one more is answered 508.
    pub permissions_per_allocation_max: u16,
    /// Live channel bindings in one allocation; one more is answered 508.
    pub channels_per_allocation_max: u16,
    /// Peer connections in one TCP allocation; one more is answered 508.
    pub connections_per_allocation_max: u16,
    /// Requests waiting for a key, an admission or a relay socket on this shard; one more is dropped and counted.
    pub pending_requests_max: u32,
    /// Bytes of payload per second for each direction of one allocation; `None` is unlimited.
    pub bandwidth_per_allocation: Option<u64>,
    /// Replies per second to one source address that has not proved itself (v6: its /64).
    pub unauthenticated_replies_per_sec: u32,
    /// How many such replies may come at once.
    pub unauthenticated_replies_burst: u32,
}

/// Which relay address families exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelayFamilies {
    /// An IPv4 relay address is configured.
    pub v4: bool,
    /// An IPv6 relay address is configured.
    pub v6: bool,
}

/// Four listening addresses that answer for each other (RFC 5780 §6): `[ip][port]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NatDiscoveryGrid {
    /// Primary address, primary port.
    pub primary: SocketAddr,
    /// Alternate address with alternate port; the two mixed ones follow from these.
    pub alternate: SocketAddr,
}

/// What a believed client may do: the answer to a key query.
#[derive(Clone, Debug)]
pub struct Grant {
    /// The user name, in clear even when the client sent USERHASH.
    pub username: Arc<str>,
    /// Which look-up knew the name.
    pub kind: causeway_types::CredentialKind,
    /// The long-term keys of this name in the realm.
    pub keys: IntegrityKeys,
    /// When the credential expires; judged at Allocate, and at any time when `on_expiry` says so.
    pub expires: Option<UnixTime>,
    /// What expiry does to live allocations.
    pub on_expiry: OnExpiry,
    /// Limits that replace the configured ones for this credential.
    pub limits: GrantLimits,
}

/// Per-credential limits; `None` leaves the configured value in force.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GrantLimits {
    /// Live allocations of this user name; counts where it is below `allocations_per_user_max`. One more is answered 486.
    pub allocations_max: Option<u32>,
    /// Bytes of payload per second and direction.
    pub bandwidth: Option<u64>,
    /// Payload bytes in both directions together, after which the allocation ends.
    pub bytes_max: Option<u64>,
    /// The only address the client may come from; from another one the credential is as good as a wrong key.
    pub client_ip: Option<IpAddr>,
    /// Peers must be members of this scope. The allocation's own addresses are members of it, too.
    pub scope: Option<ScopeId>,
    /// The allocation's addresses are members of this scope instead: for a credential that may reach anybody, but is to
    /// be reached by those of its room who may not.
    pub member_of: Option<ScopeId>,
}

impl GrantLimits {
    /// The scope that the allocation's addresses belong to.
    pub(crate) fn membership(&self) -> Option<ScopeId> {
        self.member_of.or(self.scope)
    }

    /// Whether a client at `ip` may use the credential. A v4-mapped address is the IPv4 address it holds.
    pub(crate) fn admits(&self, ip: IpAddr) -> bool {
        self.client_ip.is_none_or(|only| only.to_canonical() == ip.to_canonical())
    }
}

/// What happens to live allocations when their credential expires.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnExpiry {
    /// Only new Allocate requests are refused (draft-uberti-behave-turn-rest-00 §2).
    #[default]
    GateNew,
    /// Live allocations end too.
    Terminate,
}

/// Keys of one user in one realm (RFC 8489 §9.2.2): never the password itself.
#[derive(Clone, Debug)]
pub struct IntegrityKeys {
    /// `MD5(username ":" realm ":" password)`.
    pub md5: Secret<[u8; 16]>,
    /// `SHA-256(username ":" realm ":" password)`.
    pub sha256: Secret<[u8; 32]>,
}
