//! The inputs and outputs of [`TurnServer`](crate::TurnServer) that are more than an address and bytes.

use std::{net::SocketAddr, sync::Arc};

use causeway_types::{AddressFamily, FiveTuple, RelayEvent, RelayTransport, ScopeId, ShardIndex};

use crate::{config::Grant, scope::ScopeKind};

/// The shell's name for a way to reach a client: a listener for UDP, a connection for TCP/TLS, an association for DTLS.
///
/// The core stores it and hands it back; it never looks inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LegId(pub u32);

/// The shell's name for a relay socket on this shard: a small number, reused after [`Output::CloseRelay`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelayId(pub u32);

/// A client as a message came from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientLeg {
    /// Which five-tuple.
    pub five_tuple: FiveTuple,
    /// How the shell reaches it.
    pub leg: LegId,
}

/// A TCP connection to a peer (RFC 6062 §4.3). The top byte is the shard that owns it; never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u32);

impl ConnectionId {
    /// The shard that owns the connection.
    #[must_use]
    pub const fn shard(self) -> ShardIndex {
        ShardIndex(self.0.to_be_bytes()[0])
    }
}

/// A reservation token (RFC 8656 §18.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReservationToken(pub [u8; 8]);

/// What to do with the bytes just handed in. Copied, small, and it borrows nothing. Whatever it is, drain the outputs:
/// figures are told now and then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forward {
    /// Nothing to forward: handled as a control message, or dropped and counted.
    Nothing,
    /// Send `input[start..start + len]` to `peer` from the relay socket `relay`.
    ToPeer {
        /// From which relay socket.
        relay: RelayId,
        /// To whom.
        peer: SocketAddr,
        /// Where the payload begins in the input.
        start: u16,
        /// Payload length.
        len: u16,
        /// Whether the don't-fragment bit must be set (RFC 8656 §18.9).
        dont_fragment: bool,
        /// `peer` is one of the server's own relayed addresses and no rule opens the host itself: deliver inside
        /// the process to that relay or drop it as [`DropReason::NoSuchRelay`](crate::DropReason::NoSuchRelay);
        /// never let it reach the network.
        own_relay_only: bool,
    },
    /// Send `prefix`, then the whole input, then `padding` zero bytes to the client as one message.
    ToClient {
        /// To which client.
        client: ClientLeg,
        /// ChannelData header, or everything of a Data indication before the payload.
        prefix: Prefix,
        /// 0–3 zero bytes after the payload (always 0 for ChannelData on a datagram transport).
        padding: u8,
    },
}

/// Up to 48 bytes that go before a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    bytes: [u8; 48],
    len: u8,
}

impl Prefix {
    /// A prefix of `source`; at most 48 bytes are kept (a Data indication from an IPv6 peer needs exactly 48).
    #[must_use]
    pub fn new(source: &[u8]) -> Self {
        let len = source.len().min(48);
        let mut bytes = [0; 48];
        for (to, from) in bytes.iter_mut().zip(source) {
            *to = *from;
        }
        Self { bytes, len: u8::try_from(len).unwrap_or(48) }
    }

    /// The bytes.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or(&self.bytes)
    }
}

/// A control message for a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// To whom. For a [`Transmit`] with `to` set, only its leg matters.
    pub client: ClientLeg,
    /// A complete STUN message.
    pub bytes: Vec<u8>,
    /// RFC 5780 only: the server address that must be the source instead of the one the request came to.
    pub source: Option<SocketAddr>,
    /// RFC 5780 RESPONSE-PORT only: another destination.
    pub to: Option<SocketAddr>,
}

/// Names a question; the answer repeats it. Answers to unknown or already answered queries are ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueryId(pub u64);

/// How a request names its user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserRef {
    /// USERNAME.
    Name(Arc<str>),
    /// USERHASH: `SHA-256(username ":" realm)` (RFC 8489 §14.4).
    Hash([u8; 32]),
}

/// "Which keys does this user have?" — asked for every Allocate and every request outside an allocation that needs auth.
#[derive(Clone, Debug)]
pub struct KeyQuery {
    /// Repeat it in the answer.
    pub id: QueryId,
    /// Who.
    pub user: UserRef,
    /// From where.
    pub five_tuple: FiveTuple,
}

/// Answer to a [`KeyQuery`].
#[derive(Clone, Debug)]
pub enum KeyAnswer {
    /// The user is known: one grant per password it may have (several shared secrets); the first whose key made the
    /// integrity value counts. Expiry is judged by the core, after the integrity value.
    Known(Vec<Grant>),
    /// The user is not known, or is known and may not enter; the client sees the same 401 for each of them.
    Refused(causeway_types::AuthRefusal),
}

/// Answer to an admission query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Counted in; the core emits one [`Output::ReleaseAdmission`] for it later.
    Granted,
    /// `allocations_per_user_max` is reached: 486.
    UserQuota,
    /// `allocations_max` is reached: 486.
    TotalQuota,
    /// The credential's own limit is reached: 486.
    CredentialQuota,
}

/// Names a request for a relay socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelayRequestId(pub u64);

/// Which ports will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortChoice {
    /// Any free port.
    Any,
    /// An even port (EVEN-PORT with R = 0).
    Even,
    /// An even port, and the next one set aside under this token (EVEN-PORT with R = 1).
    EvenAndReserveNext(ReservationToken),
    /// The port set aside under this token.
    Reserved(ReservationToken),
}

/// "Open a relay socket."
#[derive(Clone, Copy, Debug)]
pub struct OpenRelay {
    /// Repeat it in the answer.
    pub request: RelayRequestId,
    /// Of which family.
    pub family: AddressFamily,
    /// A UDP socket, or a TCP listener that can also connect out from the same address.
    pub transport: RelayTransport,
    /// Which ports will do.
    pub ports: PortChoice,
    /// Randomness for the choice of port: the shell starts its search at a point drawn from it.
    pub entropy: u64,
}

/// Answer to [`OpenRelay`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelayOpened {
    /// The shell's name for the socket.
    pub relay: RelayId,
    /// The relayed transport address as advertised (after `PUBLIC/PRIVATE` mapping).
    pub address: SocketAddr,
}

/// Why no relay socket could be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum OpenRelayError {
    /// Every suitable port is taken: 508.
    #[error("no free relay port")]
    NoPort,
    /// The token is unknown or expired: 508.
    #[error("no such reservation")]
    NoReservation,
    /// No relay address of the family: 440.
    #[error("no relay address of that family")]
    NoFamily,
    /// The operating system refused (descriptors, memory): 508.
    #[error("the system refused the socket")]
    System,
}

/// Outcome of [`Output::ConnectPeer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectOutcome {
    /// Connected.
    Connected,
    /// Refused, unreachable or timed out: 447.
    Failed,
}

/// An ICMP error for something a relay socket sent (RFC 8656 §11.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IcmpError {
    /// ICMP type of the peer's family.
    pub icmp_type: u8,
    /// ICMP code.
    pub icmp_code: u8,
    /// For "fragmentation needed" and "packet too big": the next hop's MTU; else 0.
    pub error_data: u32,
}

/// Why a client's message has to continue on another shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandOverReason {
    /// A mobility ticket of an allocation over there. Once that shard has granted the Refresh, all further messages of this
    /// five-tuple follow it; not before, since the ticket and its sender are still to be believed.
    Mobility,
    /// ConnectionBind for a peer connection over there: the client's TCP connection moves.
    ConnectionBind,
}

/// Which way a TCP relay's bytes went.
pub use causeway_types::PayloadDirection as StreamDirection;

/// What the shell does next. Drain after every input until `None`.
#[derive(Clone, Debug)]
pub enum Output {
    /// Send a control message.
    Transmit(Transmit),
    /// Answer with [`TurnServer::handle_key`](crate::TurnServer::handle_key).
    NeedKey(KeyQuery),
    /// May `username` hold one more allocation? Answer with `handle_admission`.
    NeedAdmission {
        /// Repeat it in the answer.
        id: QueryId,
        /// Who.
        username: Arc<str>,
        /// The credential's own limit, which counts where it is below the configured one.
        allocations_max: Option<u32>,
    },
    /// Give back what `Admission::Granted` took.
    ReleaseAdmission {
        /// Who.
        username: Arc<str>,
    },
    /// Open a relay socket; answer with `handle_relay_opened`.
    OpenRelay(OpenRelay),
    /// Close a relay socket (and a TCP relay's listener).
    CloseRelay {
        /// Which.
        relay: RelayId,
    },
    /// A reservation ran out unused.
    DropReservation {
        /// Which.
        token: ReservationToken,
    },
    /// Connect to a peer from the relay's own address; answer with `handle_peer_connected`.
    ConnectPeer {
        /// The new connection's name.
        connection: ConnectionId,
        /// From which relay.
        relay: RelayId,
        /// To whom.
        peer: SocketAddr,
    },
    /// From here on the client's TCP connection `client` carries the raw bytes of `connection`, both ways. The success
    /// response precedes this output as a `Transmit` and must be written first; bytes already read from the client
    /// after the request belong to the peer.
    BindConnection {
        /// Which peer connection.
        connection: ConnectionId,
        /// Which client connection.
        client: ClientLeg,
    },
    /// Close a peer connection, and the client connection bound to it if any.
    ClosePeerConnection {
        /// Which.
        connection: ConnectionId,
    },
    /// Continue this message on shard `to` (see [`HandOverReason`]); it is fed there as a client message.
    HandOver {
        /// From whom.
        client: ClientLeg,
        /// Where it continues.
        to: ShardIndex,
        /// The whole message.
        message: Vec<u8>,
        /// Why.
        reason: HandOverReason,
    },
    /// An Allocate over UDP that carried no credential was challenged. Until this address comes back, its answers may not
    /// have reached it.
    Challenged {
        /// Where from.
        client: FiveTuple,
    },
    /// Close a client's connection or association.
    CloseClient {
        /// Which.
        client: ClientLeg,
    },
    /// An address of an allocation here has become a member of its scope, or is one no longer. Tell every shard, this one
    /// included, by [`TurnServer::handle_scope`](crate::TurnServer::handle_scope) when no other allocation has that address.
    ScopeMember {
        /// Of which scope.
        scope: ScopeId,
        /// Which address.
        address: SocketAddr,
        /// What it is.
        kind: ScopeKind,
        /// Whether it is there.
        present: bool,
    },
    /// Something worth telling.
    Event(RelayEvent),
}

/// Which timer [`TurnServer::poll_timeout`](crate::TurnServer::poll_timeout) speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TimerKind {
    /// An allocation, permission, channel or credential deadline.
    Allocation,
    /// A reservation.
    Reservation,
    /// A pending question.
    Pending,
    /// A peer connection that waits to be established or bound.
    Connection,
}
