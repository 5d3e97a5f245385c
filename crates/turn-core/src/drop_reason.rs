//! Every silent drop has a reason, and every reason a counter.

/// Why a message was dropped without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum DropReason {
    /// Not STUN, not ChannelData, or cut short.
    Malformed,
    /// FINGERPRINT present and wrong.
    BadFingerprint,
    /// A method or class a server does not take from a client.
    UnexpectedMessage,
    /// ChannelData or an indication from a five-tuple without allocation.
    NoAllocation,
    /// ChannelData on a channel that is not bound.
    UnboundChannel,
    /// Send indication without XOR-PEER-ADDRESS or DATA, or with unknown comprehension-required attributes.
    BadIndication,
    /// No permission for that peer, either direction.
    NoPermission,
    /// The peer policy refuses the address.
    PeerPolicy,
    /// Peer and relay differ in address family.
    PeerFamily,
    /// `bandwidth_per_allocation` from client to peer.
    BandwidthFromClient,
    /// `bandwidth_per_allocation` from peer to client.
    BandwidthToClient,
    /// `bandwidth_total`.
    BandwidthTotal,
    /// Unauthenticated replies to this source are over the limit.
    UnauthenticatedRate,
    /// `pending_requests_max`.
    PendingRequests,
    /// Payload too large for the message that would carry it.
    TooLarge,
    /// The own relayed address has no live allocation.
    NoSuchRelay,
    /// The socket's send queue was full.
    SendQueueFull,
    /// A TCP client reads too slowly; its oldest packets went.
    SlowReader,
    /// The operating system refused to send.
    SendFailed,
    /// `tcp_connections_max`: the connection was closed at once.
    ConnectionLimit,
    /// A DTLS ClientHello with a cookie that is not, or no longer, ours.
    DtlsCookie,
    /// `dtls_handshakes_max` or `dtls_associations_max`: the handshake was ignored.
    DtlsLimit,
    /// A stream that did not begin as TURN: it was closed.
    NotTurn,
    /// The peer is not in the scope that the client's credential names, either direction.
    PeerScope,
}

impl DropReason {
    /// All reasons, in counter order.
    pub const ALL: [Self; 24] = [
        Self::Malformed,
        Self::BadFingerprint,
        Self::UnexpectedMessage,
        Self::NoAllocation,
        Self::UnboundChannel,
        Self::BadIndication,
        Self::NoPermission,
        Self::PeerPolicy,
        Self::PeerFamily,
        Self::BandwidthFromClient,
        Self::BandwidthToClient,
        Self::BandwidthTotal,
        Self::UnauthenticatedRate,
        Self::PendingRequests,
        Self::TooLarge,
        Self::NoSuchRelay,
        Self::SendQueueFull,
        Self::SlowReader,
        Self::SendFailed,
        Self::ConnectionLimit,
        Self::DtlsCookie,
        Self::DtlsLimit,
        Self::NotTurn,
        Self::PeerScope,
    ];

    /// Stable snake-case name for metrics and documents.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::BadFingerprint => "bad_fingerprint",
            Self::UnexpectedMessage => "unexpected_message",
            Self::NoAllocation => "no_allocation",
            Self::UnboundChannel => "unbound_channel",
            Self::BadIndication => "bad_indication",
            Self::NoPermission => "no_permission",
            Self::PeerPolicy => "peer_policy",
            Self::PeerFamily => "peer_family",
            Self::BandwidthFromClient => "bandwidth_from_client",
            Self::BandwidthToClient => "bandwidth_to_client",
            Self::BandwidthTotal => "bandwidth_total",
            Self::UnauthenticatedRate => "unauthenticated_rate",
            Self::PendingRequests => "pending_requests",
            Self::TooLarge => "too_large",
            Self::NoSuchRelay => "no_such_relay",
            Self::SendQueueFull => "send_queue_full",
            Self::SlowReader => "slow_reader",
            Self::SendFailed => "send_failed",
            Self::ConnectionLimit => "connection_limit",
            Self::DtlsCookie => "dtls_cookie",
            Self::DtlsLimit => "dtls_limit",
            Self::NotTurn => "not_turn",
            Self::PeerScope => "peer_scope",
        }
    }
}

/// One counter per [`DropReason`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DropCounts([u64; DropReason::ALL.len()]);

impl DropCounts {
    /// Counts `n` drops.
    pub fn add(&mut self, reason: DropReason, n: u64) {
        if let Some(count) = self.0.get_mut(reason as usize) {
            *count = count.wrapping_add(n);
        }
    }

    /// How many were counted for `reason`.
    #[must_use]
    pub fn count(&self, reason: DropReason) -> u64 {
        self.0.get(reason as usize).copied().unwrap_or(0)
    }
}
