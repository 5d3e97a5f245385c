//! What happened, said once: these events feed log, metrics, store and every later consumer.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use crate::{AllocationId, FiveTuple, RelayTransport, UnixTime};

/// Which of the three look-ups answered for a user name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CredentialKind {
    /// Issued by causeway and kept in the store.
    Issued,
    /// TURN REST form, verified with the shared secret of this position (0 signs, the rest only verify).
    TurnRest {
        /// Position of the secret in the configured list.
        secret_index: u8,
    },
    /// A `[[turn.user]]` of the configuration.
    Static,
}

/// Why a client was not believed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AuthRefusal {
    /// No look-up knows the user name.
    UnknownUser,
    /// The name is known; the integrity value was made with another key.
    WrongKey,
    /// The credential expired this long ago.
    Expired {
        /// Time since expiry.
        ago: Duration,
    },
    /// The credential was revoked.
    Revoked,
    /// The expiry written in the name is further ahead than this server allows.
    TooFarAhead,
    /// A request on a live allocation named another user (441).
    OtherUser,
    /// The credential is bound to another client address.
    OtherAddress,
    /// The look-up could not be made (store down).
    Unavailable,
    /// The client used a weaker password algorithm than it was offered (RFC 8489 §9.2.4).
    BidDown,
}

/// Why an allocation is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum AllocationEndReason {
    /// The client refreshed it with lifetime 0.
    ClientDeleted,
    /// Its lifetime ran out.
    LifetimeExpired,
    /// Its credential ran out and the credential says `terminate`.
    CredentialExpired,
    /// The client's TCP or TLS connection, or DTLS association, closed.
    ClientClosed,
    /// It carried as many bytes as its credential allows.
    QuotaReached,
    /// Ended by an operator or a revocation.
    Terminated,
    /// The server is going down.
    ServerShutdown,
    /// The relay socket failed.
    RelayFailed,
}

impl AllocationEndReason {
    /// Stable snake-case name for logs, metrics and events.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ClientDeleted => "client_deleted",
            Self::LifetimeExpired => "lifetime_expired",
            Self::CredentialExpired => "credential_expired",
            Self::ClientClosed => "client_closed",
            Self::QuotaReached => "quota_reached",
            Self::Terminated => "terminated",
            Self::ServerShutdown => "server_shutdown",
            Self::RelayFailed => "relay_failed",
        }
    }
}

/// The named limits a client can reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum LimitName {
    /// `allocations_per_user_max` (486).
    AllocationsPerUser,
    /// `allocations_max` (486).
    Allocations,
    /// `permissions_per_allocation_max` (508).
    PermissionsPerAllocation,
    /// `channels_per_allocation_max` (508).
    ChannelsPerAllocation,
    /// `connections_per_allocation_max` (508).
    ConnectionsPerAllocation,
    /// `relay_ports` (508).
    RelayPorts,
    /// `bandwidth_per_allocation`, or a credential's own (drops, counted): told once of an allocation.
    BandwidthPerAllocation,
    /// `bandwidth_total` (drops, counted): told at most once a minute of a thread.
    BandwidthTotal,
    /// A credential's own limit on its live allocations (486).
    AllocationsPerCredential,
    /// A credential's own limit on the bytes of one allocation: it ended.
    BytesPerCredential,
    /// Addresses in one peer scope; the one that does not fit is out of its members' reach.
    ScopeMembers,
}

impl LimitName {
    /// Its name in logs, metrics and events; where a configuration key sets it, that key.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AllocationsPerUser => "allocations_per_user_max",
            Self::Allocations => "allocations_max",
            Self::PermissionsPerAllocation => "permissions_per_allocation_max",
            Self::ChannelsPerAllocation => "channels_per_allocation_max",
            Self::ConnectionsPerAllocation => "connections_per_allocation_max",
            Self::RelayPorts => "relay_ports",
            Self::BandwidthPerAllocation => "bandwidth_per_allocation",
            Self::BandwidthTotal => "bandwidth_total",
            Self::AllocationsPerCredential => "credential_allocations_max",
            Self::BytesPerCredential => "credential_bytes_max",
            Self::ScopeMembers => "scope_members_max",
        }
    }
}

/// Packets and payload bytes in one direction; payload is application data without TURN framing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrafficCount {
    /// Datagrams (or chunks, for a TCP relay).
    pub packets: u64,
    /// Payload bytes.
    pub bytes: u64,
}

/// Traffic of one allocation, counted at the client side of the relay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrafficCounters {
    /// Client to peers.
    pub from_client: TrafficCount,
    /// Peers to client.
    pub to_client: TrafficCount,
}

/// Which way payload went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PayloadDirection {
    /// Client to peers.
    FromClient,
    /// Peers to client.
    ToClient,
}

/// What protects a client's leg, for TLS and DTLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientSecurity {
    /// As OpenSSL and coturn write it: `TLSv1.3`, `DTLSv1.2`.
    pub version: &'static str,
    /// As OpenSSL writes it: `TLS_AES_256_GCM_SHA384`, `ECDHE-ECDSA-AES128-GCM-SHA256`.
    pub cipher: &'static str,
}

/// The two ends of a mobility move (RFC 8016).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MobilityMove {
    /// Where the client was.
    pub from: FiveTuple,
    /// Where it is.
    pub to: FiveTuple,
}

/// A domain event of the relay.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum RelayEvent {
    /// An allocation was granted.
    AllocationCreated {
        /// Which one.
        allocation: AllocationId,
        /// When.
        at: UnixTime,
        /// Who, as authenticated.
        username: Arc<str>,
        /// Which look-up knew the user name.
        credential: CredentialKind,
        /// The client's five-tuple.
        five_tuple: FiveTuple,
        /// Relayed transport addresses as advertised; the second one for a dual allocation.
        relayed: [Option<SocketAddr>; 2],
        /// Transport towards peers.
        transport: RelayTransport,
        /// Granted lifetime.
        lifetime: Duration,
        /// What protects the client's leg. The core leaves it empty; the shell, which owns the leg, fills it in.
        security: Option<ClientSecurity>,
        /// How long before this a UDP Allocate from the same address was challenged, when nothing followed it and this
        /// one came over a stream. The core leaves it empty; the shell, which sees every thread, fills it in.
        udp_unanswered: Option<Duration>,
    },
    /// A client installed a permission, bound a channel or connected to a peer for the first time. Told of the first 32
    /// peers of an allocation.
    PeerPermitted {
        /// For which allocation.
        allocation: AllocationId,
        /// Which peer, as the client named it; the port may be 0 for a permission.
        peer: SocketAddr,
    },
    /// The first payload of a direction went through.
    FirstData {
        /// Through which allocation.
        allocation: AllocationId,
        /// Which way.
        direction: PayloadDirection,
        /// Since it was created.
        after: Duration,
    },
    /// Told each time 4096 more packets were counted on the two legs together.
    TrafficCounted {
        /// Which one.
        allocation: AllocationId,
        /// Payload so far.
        traffic: TrafficCounters,
        /// Whole TURN messages at the client side so far: framing and control messages included.
        messages: TrafficCounters,
    },
    /// A client extended an allocation.
    AllocationRefreshed {
        /// Which one.
        allocation: AllocationId,
        /// Granted lifetime.
        lifetime: Duration,
    },
    /// A client moved to another five-tuple.
    AllocationMoved {
        /// Which one.
        allocation: AllocationId,
        /// From where to where.
        moved: MobilityMove,
    },
    /// An allocation ended; its final figures.
    AllocationEnded {
        /// Which one.
        allocation: AllocationId,
        /// When.
        at: UnixTime,
        /// Who held it.
        username: Arc<str>,
        /// Why.
        reason: AllocationEndReason,
        /// How long it lived.
        duration: Duration,
        /// What it carried.
        traffic: TrafficCounters,
        /// Whole TURN messages at the client side: framing and control messages included.
        messages: TrafficCounters,
    },
    /// A client was not believed.
    AuthRefused {
        /// From where.
        five_tuple: FiveTuple,
        /// Which name it claimed, when it gave one.
        username: Option<Arc<str>>,
        /// Why not.
        refusal: AuthRefusal,
    },
    /// A peer address was refused.
    PeerRefused {
        /// For which allocation.
        allocation: AllocationId,
        /// Which peer.
        peer: SocketAddr,
        /// The rule that refused, in words an operator can search for, e.g. `default: link-local 169.254.0.0/16`.
        rule: Arc<str>,
    },
    /// A reloaded policy refuses a peer that had a permission, a channel or a connection: it has them no more.
    PeerWithdrawn {
        /// From which allocation.
        allocation: AllocationId,
        /// Which peer; port 0 for all ports of its address.
        peer: SocketAddr,
        /// The rule that refuses, as in [`Self::PeerRefused`].
        rule: Arc<str>,
    },
    /// A limit was reached.
    LimitReached {
        /// Which one.
        limit: LimitName,
        /// By whom, when known.
        username: Option<Arc<str>>,
        /// Of which client, when it is one's.
        five_tuple: Option<FiveTuple>,
    },
}
