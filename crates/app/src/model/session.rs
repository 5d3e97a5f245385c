//! A session: the record of one allocation.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use causeway_types::{
    AllocationEndReason, AllocationId, ClientSecurity, CredentialKind, FiveTuple, RelayTransport, TrafficCounters,
    UnixTime,
};

use super::{Attribution, InsightView, Order, SessionInsight};
use crate::Identifier;

/// What is known of a session from its start on.
#[derive(Clone, Debug)]
pub struct SessionStart {
    /// The allocation, and the session's name.
    pub id: AllocationId,
    /// At most 18 decimal digits that no other session of any server has: three of the node, fifteen of a counter
    /// that begins at the second the process started times 100 000.
    pub number: u64,
    /// To whom it is ascribed.
    pub attribution: Arc<Attribution>,
    /// The user name as authenticated.
    pub username: Arc<str>,
    /// Which look-up knew it.
    pub credential: CredentialKind,
    /// Realm.
    pub realm: Arc<str>,
    /// When.
    pub at: UnixTime,
    /// The client's leg; its address as mapped.
    pub five_tuple: FiveTuple,
    /// What protects that leg.
    pub security: Option<ClientSecurity>,
    /// Relayed transport addresses.
    pub relayed: [Option<SocketAddr>; 2],
    /// Transport towards peers.
    pub transport: RelayTransport,
    /// Granted lifetime.
    pub lifetime: Duration,
}

/// A peer a session named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerSeen {
    /// As the client named it.
    pub address: SocketAddr,
    /// Which live session's relayed address it is, when it is one of ours.
    pub session: Option<AllocationId>,
}

/// Why a session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionEndReason {
    /// The relay said why.
    Relay(AllocationEndReason),
    /// The process was killed while it lived; found at the next start.
    ServerRestart,
    /// The relay no longer has it and its end was not heard of.
    Lost,
}

impl SessionEndReason {
    /// Stable snake-case name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Relay(reason) => reason.as_str(),
            Self::ServerRestart => "server_restart",
            Self::Lost => "lost",
        }
    }
}

/// The end of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionEnd {
    /// When.
    pub at: UnixTime,
    /// Why.
    pub reason: SessionEndReason,
}

/// A session as it is written: absolute figures, so that writing one twice changes nothing.
#[derive(Clone, Debug)]
pub struct SessionRecord {
    /// From its start.
    pub start: Arc<SessionStart>,
    /// Where its client is by now.
    pub five_tuple: FiveTuple,
    /// When it was last known to live.
    pub last_seen: UnixTime,
    /// Its end.
    pub end: Option<SessionEnd>,
    /// Payload, as peers see it.
    pub traffic: TrafficCounters,
    /// Whole TURN messages at the client side.
    pub messages: TrafficCounters,
    /// From start to the first payload.
    pub first_data: Option<Duration>,
    /// Peers it named, at most 32.
    pub peers: Vec<PeerSeen>,
    /// Refusals it met: peers and limits.
    pub refusals: u32,
    /// How often its client moved.
    pub moves: u32,
    /// What explains it.
    pub insight: SessionInsight,
}

/// A session as it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionView {
    /// 16 hexadecimal digits.
    pub id: String,
    /// User name.
    pub username: String,
    /// `issued`, `turn_rest` or `static`.
    pub credential_kind: String,
    /// Room.
    pub room: Option<String>,
    /// Clients and roles.
    pub clients: Vec<(String, String)>,
    /// Region.
    pub region: String,
    /// Which server.
    pub node: String,
    /// `udp`, `tcp`, `tls`, `dtls`.
    pub transport: String,
    /// `udp` or `tcp`: towards peers.
    pub relay_transport: String,
    /// The listener the client used.
    pub listener: String,
    /// The client's address as mapped.
    pub client_address: String,
    /// Relayed addresses.
    pub relayed_addresses: Vec<String>,
    /// TLS version and cipher.
    pub tls: Option<(String, String)>,
    /// When it began.
    pub started_at: UnixTime,
    /// When it was last known to live.
    pub last_seen_at: UnixTime,
    /// When it ended.
    pub ended_at: Option<UnixTime>,
    /// Why it ended.
    pub end_reason: Option<String>,
    /// Client to relay: whole messages.
    pub bytes_in: u64,
    /// Relay to client: whole messages.
    pub bytes_out: u64,
    /// Messages from the client.
    pub packets_in: u64,
    /// Messages to the client.
    pub packets_out: u64,
    /// Payload to peers.
    pub peer_bytes_out: u64,
    /// Payload from peers.
    pub peer_bytes_in: u64,
    /// Datagrams to peers.
    pub peer_packets_out: u64,
    /// Datagrams from peers.
    pub peer_packets_in: u64,
    /// From start to the first payload.
    pub first_data: Option<Duration>,
    /// Peers it named: address, and the session whose relayed address it is.
    pub peers: Vec<(String, Option<String>)>,
    /// Refusals it met.
    pub refusals: u64,
    /// How often its client moved.
    pub moves: u64,
    /// What explains it.
    pub insight: InsightView,
}

/// By what sessions may be listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionKey {
    /// When it began.
    Started,
    /// How long it has lived, as far as is written.
    Duration,
    /// Client to relay.
    BytesIn,
    /// Relay to client.
    BytesOut,
    /// Refusals it met.
    Refusals,
}

impl SessionKey {
    /// Every key, under its name in requests.
    pub const ALL: [(&'static str, Self); 5] = [
        ("started", Self::Started),
        ("duration", Self::Duration),
        ("bytes_in", Self::BytesIn),
        ("bytes_out", Self::BytesOut),
        ("refusals", Self::Refusals),
    ];
}

impl Default for Order<SessionKey> {
    fn default() -> Self {
        Self { by: SessionKey::Started, is_descending: true }
    }
}

/// Which sessions to list.
#[derive(Clone, Debug, Default)]
pub struct SessionFilter {
    /// Only this one.
    pub id: Option<AllocationId>,
    /// Of this room.
    pub room: Option<Identifier>,
    /// Of this client.
    pub client: Option<Identifier>,
    /// Of this user name.
    pub username: Option<String>,
    /// Live ones, or ended ones.
    pub active: Option<bool>,
    /// Begun at or after.
    pub from: Option<UnixTime>,
    /// Begun before.
    pub to: Option<UnixTime>,
    /// Whose id, room, client, user name or address has this in it; letters in any case.
    pub search: Option<String>,
    /// In which order.
    pub order: Order<SessionKey>,
}
