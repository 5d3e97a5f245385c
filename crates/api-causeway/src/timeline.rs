//! `/api/v1/rooms/{room}/timeline`: what happened to a call, both sides in one order, and why.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode, response::Response};
use causeway_api_http::{ApiError, Timestamp, json};
use causeway_app::{
    CredentialFilter, FailureFilter, InsightStore, PageRequest, SessionFilter, TimelineEntry, Verdict, timeline,
};
use causeway_types::Now;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    ApiState,
    extract::{Asked, Caller, Segment},
    rooms,
    sessions::millis,
};

/// Of each kind of record, the newest that are looked at.
const RECORDS_MAX: u32 = 200;

/// The story of a room.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Timeline)]
pub(crate) struct Story {
    /// Its name.
    room: String,
    /// Oldest first; the newest 1000.
    entries: Vec<Entry>,
    /// Older entries are left out.
    is_cut: bool,
    /// The latest call: what happened without a pause of ten minutes. Null when nothing did.
    call: Option<Call>,
    /// Why that call went as it went.
    verdict: Explanation,
}

/// When a call was.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = TimelineCall)]
pub(crate) struct Call {
    /// When it began.
    started_at: Timestamp,
    /// When it was last heard of; now while a session lives.
    last_seen_at: Timestamp,
}

/// Why a call went as it went.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Verdict)]
pub(crate) struct Explanation {
    /// `relayed`, `direct`, `udp_unanswered`, `udp_never_seen`, `quota_cut`, `credential_expired`, `wrong_password`,
    /// `credential_revoked`, `quota`, `refused`, `forbidden_peer`, `never_arrived`, `no_permission`, `one_way`, `no_data`,
    /// `connecting` or `nothing_yet`.
    code: &'static str,
    /// One English sentence without a full stop.
    sentence: String,
    /// Whom it is about, when it is about one side.
    about: Option<String>,
    /// The call works, or worked.
    good: bool,
}

impl From<Verdict> for Explanation {
    fn from(verdict: Verdict) -> Self {
        Self {
            code: verdict.code.as_str(),
            sentence: verdict.sentence,
            about: verdict.about,
            good: verdict.code.is_good(),
        }
    }
}

/// Something that happened.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = TimelineEntry)]
pub(crate) struct Entry {
    /// When.
    at: Timestamp,
    /// `credential_minted`, `credential_revoked`, `credential_expired`, `refused`, `allocated`, `peer_named`,
    /// `peer_refused`, `peer_withdrawn`, `first_data_sent`, `first_data_heard`, `refreshed`, `path_changed` or `ended`.
    kind: String,
    /// Whose: none, one, or two clients that share a credential.
    clients: Vec<String>,
    /// `initiator`, `receiver` or `shared`.
    role: Option<String>,
    /// The credential's user name.
    username: Option<String>,
    /// Which session.
    session: Option<String>,
    /// How the client reached the relay.
    transport: Option<String>,
    /// Why it was refused, or ended.
    reason: Option<String>,
    /// The peer, or the client's address.
    address: Option<String>,
    /// The rule or limit that refused; the address before a change of path; `udp_unanswered`.
    detail: Option<String>,
    /// How many equal ones.
    count: u64,
    /// How long the session lasted, the credential had expired, data took, or a lifetime was granted.
    duration_ms: Option<u64>,
    /// Of a session that ended: client to relay.
    bytes_in: Option<u64>,
    /// Of a session that ended: relay to client.
    bytes_out: Option<u64>,
}

impl From<TimelineEntry> for Entry {
    fn from(entry: TimelineEntry) -> Self {
        Self {
            at: entry.at.into(),
            kind: entry.kind,
            clients: entry.clients,
            role: entry.role,
            username: entry.username,
            session: entry.session,
            transport: entry.transport,
            reason: entry.reason,
            address: entry.address,
            detail: entry.detail,
            count: entry.count,
            duration_ms: entry.lasted.map(millis),
            bytes_in: entry.bytes.map(|(bytes_in, _)| bytes_in),
            bytes_out: entry.bytes.map(|(_, bytes_out)| bytes_out),
        }
    }
}

/// Explain a room's calls
///
/// Both ends in one order, and a verdict on the latest call in one sentence. It is made of the newest 200 credentials,
/// sessions and refusals each; `until` goes back in time.
#[utoipa::path(
    get,
    path = "/api/v1/rooms/{room}/timeline",
    tag = "rooms",
    params(
        ("room" = String, Path, description = "Its name."),
        ("since" = Option<String>, Query, description = "What began at or after this moment (RFC 3339).", format = DateTime),
        ("until" = Option<String>, Query, description = "What began before this moment (RFC 3339).", format = DateTime),
    ),
    responses((status = 200, description = "The story.", body = Story)),
)]
pub(crate) async fn read<S: InsightStore>(
    State(state): State<Arc<ApiState<S>>>,
    Caller(caller): Caller,
    Segment(room): Segment,
    Asked(mut asked): Asked,
) -> Result<Response, ApiError> {
    let (since, until) = (asked.time("since"), asked.time("until"));
    asked.finish()?;
    let (room, _) = rooms::find(&state, caller, &room).await?;
    let (project, store, now) = (caller.project, &state.store, Now::read().unix);
    let page = PageRequest { limit: RECORDS_MAX, after: None };
    let sessions = SessionFilter { room: Some(room.clone()), from: since, to: until, ..SessionFilter::default() };
    let sessions = store.sessions(project, &sessions, &page).await?.items;
    let failures = FailureFilter { room: Some(room.clone()), since, until, ..FailureFilter::default() };
    let failures = store.failures(project, &failures, &page).await?.items;
    let credentials = CredentialFilter { room: Some(room.clone()), ..CredentialFilter::default() };
    let mut credentials = store.credentials(project, &credentials, &page, now).await?.items;
    credentials.retain(|view| {
        let at = view.record.issued_at;
        since.is_none_or(|since| at >= since) && until.is_none_or(|until| at < until)
    });
    let told = timeline(&credentials, &sessions, &failures, until.map_or(now, |until| until.min(now)));
    let call = |(from, to): (_, _)| Call { started_at: Timestamp(from), last_seen_at: Timestamp(to) };
    let story = Story {
        room: room.to_string(),
        entries: told.entries.into_iter().map(Entry::from).collect(),
        is_cut: told.is_cut,
        call: told.call.map(call),
        verdict: told.verdict.into(),
    };
    Ok(json(StatusCode::OK, &story))
}
