//! `/api/v1/sessions`: allocations, live and past.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use causeway_api_http::{ApiError, Timestamp, json};
use causeway_app::{Bitrate, MarkView, SessionFilter, SessionKey, SessionView, Store};
use causeway_types::{AllocationId, Now};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    ApiState,
    extract::{Asked, Caller, Segment},
    page::{self, List, PageQuery},
};

/// Longest user name (RFC 8489 §14.3).
pub(crate) const USERNAME_BYTES_MAX: usize = 508;

/// The record of one allocation.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Session {
    /// 16 hexadecimal digits.
    id: String,
    /// The credential's user name.
    username: String,
    /// `issued`, `turn_rest` or `static`.
    credential_kind: String,
    /// Its room.
    room: Option<String>,
    /// Its clients: none, one, or two that share a credential.
    clients: Vec<SessionClient>,
    /// Its region.
    region: String,
    /// The server it ran on.
    node: String,
    /// How the client reached the relay: `udp`, `tcp`, `tls`, `dtls`.
    transport: String,
    /// Towards peers: `udp` or `tcp`.
    relay_transport: String,
    /// The listener the client used.
    listener: String,
    /// The client's address as the relay sees it.
    client_address: String,
    /// Its relayed addresses, one per family.
    relayed_addresses: Vec<String>,
    /// How the client's leg is protected.
    tls: Option<Tls>,
    /// When it began.
    started_at: Timestamp,
    /// When it was last known to live.
    last_seen_at: Timestamp,
    /// When it ended; null while it lives.
    ended_at: Option<Timestamp>,
    /// Why it ended.
    end_reason: Option<String>,
    /// Client to relay: bytes of whole TURN messages.
    bytes_in: u64,
    /// Relay to client: bytes of whole TURN messages.
    bytes_out: u64,
    /// Messages from the client.
    packets_in: u64,
    /// Messages to the client.
    packets_out: u64,
    /// Payload bytes from peers.
    peer_bytes_in: u64,
    /// Payload bytes to peers.
    peer_bytes_out: u64,
    /// Datagrams from peers.
    peer_packets_in: u64,
    /// Datagrams to peers.
    peer_packets_out: u64,
    /// Milliseconds from its start to the first payload.
    first_data_ms: Option<u64>,
    /// The peers it named, at most 32.
    peers: Vec<Peer>,
    /// Refusals it met: peers and limits.
    refusals: u64,
    /// How often its client came back from another address.
    moves: u64,
    /// Milliseconds from its start to the first payload towards a peer.
    first_sent_ms: Option<u64>,
    /// Milliseconds from its start to the first payload from a peer.
    first_heard_ms: Option<u64>,
    /// How many milliseconds before its start UDP was tried from the same address in vain; null when it was not.
    udp_unanswered_ms: Option<u64>,
}

/// A client's part in a session.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SessionClient {
    /// Its name.
    client: String,
    /// `initiator`, `receiver` or `shared`.
    role: String,
}

/// TLS or DTLS.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Tls {
    /// Version.
    version: String,
    /// Cipher suite.
    cipher: String,
}

/// A peer a session named.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Peer {
    /// Its address.
    address: String,
    /// The session whose relayed address that is, when it is one of this server.
    session: Option<String>,
}

impl From<SessionView> for Session {
    fn from(view: SessionView) -> Self {
        Self {
            id: view.id,
            username: view.username,
            credential_kind: view.credential_kind,
            room: view.room,
            clients: view.clients.into_iter().map(|(client, role)| SessionClient { client, role }).collect(),
            region: view.region,
            node: view.node,
            transport: view.transport,
            relay_transport: view.relay_transport,
            listener: view.listener,
            client_address: view.client_address,
            relayed_addresses: view.relayed_addresses,
            tls: view.tls.map(|(version, cipher)| Tls { version, cipher }),
            started_at: view.started_at.into(),
            last_seen_at: view.last_seen_at.into(),
            ended_at: view.ended_at.map(Into::into),
            end_reason: view.end_reason,
            bytes_in: view.bytes_in,
            bytes_out: view.bytes_out,
            packets_in: view.packets_in,
            packets_out: view.packets_out,
            peer_bytes_in: view.peer_bytes_in,
            peer_bytes_out: view.peer_bytes_out,
            peer_packets_in: view.peer_packets_in,
            peer_packets_out: view.peer_packets_out,
            first_data_ms: view.first_data.map(millis),
            peers: view.peers.into_iter().map(|(address, session)| Peer { address, session }).collect(),
            refusals: view.refusals,
            moves: view.moves,
            first_sent_ms: view.insight.first_sent.map(millis),
            first_heard_ms: view.insight.first_heard.map(millis),
            udp_unanswered_ms: view.insight.udp_unanswered.map(millis),
        }
    }
}

/// As answers give durations.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A session, and what it carried over time.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SessionDetail {
    #[serde(flatten)]
    session: Session,
    /// For a small chart. Of a session that lives on another server it comes with its end.
    bitrate: SessionBitrate,
    /// What happened on its way.
    marks: Vec<SessionMark>,
    /// Marks beyond the 64 that are kept.
    marks_folded: u32,
}

/// What a session carried, in at most 60 intervals from its start on.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SessionBitrate {
    /// Width of an interval: 1, 2, 4 … seconds, as the session grows.
    interval_secs: u32,
    /// Client to relay, bytes of each interval; after the last, nothing.
    bytes_in: Vec<u64>,
    /// Relay to client.
    bytes_out: Vec<u64>,
}

/// Something that happened to a session.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SessionMark {
    /// When.
    at: Timestamp,
    /// `peer_named`, `peer_refused`, `peer_withdrawn`, `refreshed` or `path_changed`.
    kind: String,
    /// The peer, the client's new address, or the seconds granted.
    subject: String,
    /// The rule, or the address before.
    detail: String,
}

impl SessionDetail {
    fn of(view: SessionView, live: Option<Bitrate>) -> Self {
        let bitrate = live.unwrap_or_else(|| view.insight.bitrate.clone());
        let mark = |mark: &MarkView| SessionMark {
            at: view.started_at.saturating_add(mark.after).into(),
            kind: mark.kind.clone(),
            subject: mark.subject.clone(),
            detail: mark.detail.clone(),
        };
        let marks = view.insight.marks.iter().map(mark).collect();
        let (bytes_in, bytes_out) = bitrate.points.into_iter().unzip();
        Self {
            bitrate: SessionBitrate { interval_secs: bitrate.interval_secs, bytes_in, bytes_out },
            marks,
            marks_folded: view.insight.marks_folded,
            session: Session::from(view),
        }
    }
}

/// List sessions
///
/// Newest first unless sorted otherwise. A session is listed at most a second after its allocation was granted.
#[utoipa::path(
    get,
    path = "/api/v1/sessions",
    tag = "sessions",
    params(
        ("room" = Option<String>, Query, description = "Of this room."),
        ("client" = Option<String>, Query, description = "Of this client."),
        ("username" = Option<String>, Query, description = "Of this credential."),
        ("active" = Option<bool>, Query, description = "Live ones, or ended ones."),
        ("from" = Option<String>, Query, description = "Begun at or after this moment (RFC 3339).", format = DateTime),
        ("to" = Option<String>, Query, description = "Begun before this moment (RFC 3339).", format = DateTime),
        ("search" = Option<String>, Query, description = "With this text in its id, room, clients, user name or address."),
        ("sort" = Option<String>, Query, description = "`started`, `duration`, `bytes_in`, `bytes_out` or `refusals`; `-` in front for the most first. `-started` when not given."),
        PageQuery,
    ),
    responses((status = 200, description = "A page of sessions.", body = List<Session>)),
)]
pub(crate) async fn list<S: Store>(
    State(state): State<Arc<ApiState<S>>>,
    Caller(caller): Caller,
    Asked(mut asked): Asked,
) -> Result<Response, ApiError> {
    let filter = SessionFilter {
        id: None,
        room: asked.identifier("room"),
        client: asked.identifier("client"),
        username: asked.plain_text("username", USERNAME_BYTES_MAX),
        active: asked.maybe_flag("active"),
        from: asked.time("from"),
        to: asked.time("to"),
        search: page::search(&mut asked),
        order: page::order(&mut asked, &SessionKey::ALL),
    };
    let request = page::request(&mut asked);
    asked.finish()?;
    let sessions = state.store.sessions(caller.project, &filter, &request).await?;
    Ok(page::answer(sessions, Session::from))
}

/// Get a session
#[utoipa::path(
    get,
    path = "/api/v1/sessions/{id}",
    tag = "sessions",
    params(("id" = String, Path, description = "16 hexadecimal digits.")),
    responses((status = 200, description = "The session.", body = SessionDetail)),
)]
pub(crate) async fn one<S: Store>(
    State(state): State<Arc<ApiState<S>>>,
    Caller(caller): Caller,
    Segment(id): Segment,
) -> Result<Response, ApiError> {
    let id = read_id(&id)?;
    let view = state.store.session(caller.project, id).await?.ok_or_else(ApiError::not_found)?;
    let live = (state.live.bitrate)(caller.project, id);
    Ok(json(StatusCode::OK, &SessionDetail::of(view, live)))
}

/// End a live session
///
/// Its allocation is gone when the answer comes. Its credential still opens new ones.
#[utoipa::path(
    delete,
    path = "/api/v1/sessions/{id}",
    tag = "sessions",
    params(("id" = String, Path, description = "16 hexadecimal digits.")),
    responses((status = 204, description = "It is over.")),
)]
pub(crate) async fn end<S: Store>(
    State(state): State<Arc<ApiState<S>>>,
    Caller(caller): Caller,
    Segment(id): Segment,
) -> Result<Response, ApiError> {
    if state.revocation.end_session(caller, read_id(&id)?, Now::read().unix).await? {
        Ok(StatusCode::NO_CONTENT.into_response())
    } else {
        Err(ApiError::not_found())
    }
}

/// Only the form that lists show names a session.
fn read_id(text: &str) -> Result<AllocationId, ApiError> {
    let is_one = text.len() == 16 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let id = is_one.then(|| u64::from_str_radix(text, 16).ok()).flatten();
    id.map(AllocationId).ok_or_else(ApiError::not_found)
}
