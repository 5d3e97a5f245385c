//! `/api/v1/calls`: calls between clients, and what was used.

use std::{sync::Arc, time::Duration};

use axum::{extract::State, http::StatusCode, response::Response};
use causeway_api_http::{ApiError, Timestamp, json};
use causeway_app::{
    CallFilter, CallPath, CallState, CallUsage, CallView, Identifier, Page, PageRequest, SessionFilter, SessionSpan,
    SessionView,
};
use causeway_call_core::HangupCause;
use causeway_types::{Now, UnixTime};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    ApiState, ApiStore,
    extract::{Asked, Caller, Segment},
    page::{self, List, PageQuery},
    sessions::Session,
};

/// Longest client id in a question.
const CLIENT_BYTES_MAX: usize = 256;
/// Relay sessions of a party that are shown with a call.
const SESSIONS_MAX: u32 = 20;
/// How long before a call its relay sessions may begin: clients gather candidates before they call.
const GATHERING: Duration = Duration::from_secs(60);
/// How far usage reaches back when nothing is said.
const USAGE_RANGE: Duration = Duration::from_secs(30 * 86_400);

/// A call.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Call {
    /// Its id, as in events.
    id: String,
    /// `calling`, `ringing`, `active` or `ended`.
    state: &'static str,
    /// Who placed it; a service call's caller whom nothing proves is `anonymous`.
    from: String,
    /// Whom it was placed to.
    to: Vec<String>,
    /// The service that was called, when it was no client.
    service: Option<String>,
    /// What the caller spoke: `sip`.
    dialect: String,
    /// Where the caller was, as far as addresses are kept.
    client_address: Option<String>,
    /// When it was placed.
    started_at: Timestamp,
    /// When a first device rang.
    ringing_at: Option<Timestamp>,
    /// When it was answered.
    answered_at: Option<Timestamp>,
    /// By whom.
    answered_by: Option<String>,
    /// Where that client was, as far as addresses are kept.
    answered_address: Option<String>,
    /// When it ended.
    ended_at: Option<Timestamp>,
    /// Why: `normal`, `busy`, `rejected` …
    cause: Option<String>,
    /// The same as a SIP status.
    sip_code: Option<u16>,
    /// By whom: `caller`, `callee`, `server`.
    ended_by: Option<String>,
    /// From the start to the end, or until now.
    duration_ms: u64,
    /// From the answer to the end, or until now.
    talk_ms: u64,
}

impl From<CallView> for Call {
    fn from(view: CallView) -> Self {
        let end = view.ended_at.unwrap_or_else(|| Now::read().unix);
        let since = |at: UnixTime| u64::try_from(end.saturating_since(at).as_millis()).unwrap_or(u64::MAX);
        Self {
            duration_ms: since(view.started_at),
            talk_ms: view.answered_at.map_or(0, since),
            id: view.id,
            state: view.state.as_str(),
            from: view.from,
            to: view.to,
            service: view.service,
            dialect: view.dialect,
            client_address: view.client_address,
            started_at: view.started_at.into(),
            ringing_at: view.ringing_at.map(Into::into),
            answered_at: view.answered_at.map(Into::into),
            answered_by: view.answered_by,
            answered_address: view.answered_address,
            ended_at: view.ended_at.map(Into::into),
            cause: view.cause,
            sip_code: view.sip_code,
            ended_by: view.ended_by,
        }
    }
}

/// A call with the relay sessions of its parties.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CallDetail {
    /// The call.
    #[serde(flatten)]
    call: Call,
    /// Over which path the caller's media went: `relayed` through its allocation, `direct` past it, or `unknown`: nobody
    /// answered, there was no allocation, or the talk was too short to tell.
    caller_path: &'static str,
    /// The same of whoever answered.
    callee_path: &'static str,
    /// Sessions of the caller's credentials at that time.
    caller_sessions: Vec<Session>,
    /// The same of whoever answered.
    callee_sessions: Vec<Session>,
}

/// What a client used.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CallUsageRow)]
pub(crate) struct Usage {
    /// Who.
    client: String,
    /// Answered calls it took part in.
    calls: u64,
    /// Seconds it talked.
    seconds: u64,
    /// Minutes, each call's last one begun counted whole.
    minutes: u64,
}

impl From<CallUsage> for Usage {
    fn from(usage: CallUsage) -> Self {
        let CallUsage { client, calls, seconds, minutes } = usage;
        Self { client, calls, seconds, minutes }
    }
}

/// List calls
///
/// Newest first. The first page begins with calls that go on, at all servers, besides its limit.
#[utoipa::path(
    get,
    path = "/api/v1/calls",
    tag = "calls",
    params(
        ("client" = Option<String>, Query, description = "Placed, taken or missed by this client."),
        ("active" = Option<bool>, Query, description = "That go on, or are over."),
        ("cause" = Option<String>, Query, description = "Ended so: `normal`, `busy`, `no_answer` …"),
        ("from" = Option<String>, Query, description = "Placed at or after this moment (RFC 3339).", format = DateTime),
        ("to" = Option<String>, Query, description = "Placed before this moment (RFC 3339).", format = DateTime),
        PageQuery,
    ),
    responses((status = 200, description = "A page of calls.", body = List<Call>)),
)]
pub(crate) async fn list<S: ApiStore>(
    State(state): State<Arc<ApiState<S>>>,
    Caller(caller): Caller,
    Asked(mut asked): Asked,
) -> Result<Response, ApiError> {
    let causes = HangupCause::ALL.map(|cause| (cause.name(), cause));
    let filter = CallFilter {
        client: asked.plain_text("client", CLIENT_BYTES_MAX),
        cause: asked.word("cause", &causes),
        from: asked.time("from"),
        to: asked.time("to"),
    };
    let active = asked.maybe_flag("active");
    let request = page::request(&mut asked);
    asked.finish()?;
    let mut page = match active {
        Some(true) => Page { items: Vec::new(), next: None },
        Some(false) | None => state.store.calls(caller.project, &filter, &request).await?,
    };
    if request.after.is_none() {
        // Read after the store: a call that ended meanwhile is in one of the two.
        let mut here = state.calls.of_project(caller.project).await;
        here.retain(|view| is_meant(view, &filter, active) && !page.items.iter().any(|kept| kept.id == view.id));
        here.truncate(usize::try_from(request.limit).unwrap_or(usize::MAX));
        here.append(&mut page.items);
        page.items = here;
    }
    Ok(page::answer(page, Call::from))
}

/// Whether a call that is not kept yet is one of those.
fn is_meant(view: &CallView, filter: &CallFilter, active: Option<bool>) -> bool {
    let is_active = view.state != CallState::Ended;
    let cause = filter.cause.map(HangupCause::name);
    active.is_none_or(|active| active == is_active)
        && filter.client.as_ref().is_none_or(|client| view.concerns(client))
        && filter.from.is_none_or(|from| view.started_at >= from)
        && filter.to.is_none_or(|to| view.started_at < to)
        && cause.is_none_or(|cause| view.cause.as_deref() == Some(cause))
}

/// Get a call
///
/// With the relay sessions of both parties.
#[utoipa::path(
    get,
    path = "/api/v1/calls/{id}",
    tag = "calls",
    params(("id" = String, Path, description = "Its id.")),
    responses((status = 200, description = "The call.", body = CallDetail)),
)]
pub(crate) async fn one<S: ApiStore>(
    State(state): State<Arc<ApiState<S>>>,
    Caller(caller): Caller,
    Segment(id): Segment,
) -> Result<Response, ApiError> {
    let view = match state.store.call(caller.project, &id).await? {
        Some(view) => view,
        None => {
            let mut here = state.calls.of_project(caller.project).await.into_iter();
            here.find(|view| view.id == id).ok_or_else(ApiError::not_found)?
        }
    };
    let end = view.ended_at.unwrap_or_else(|| Now::read().unix);
    let mut sides = Vec::new();
    for client in [Some(&view.from), view.answered_by.as_ref()] {
        let Some(client) = client.and_then(|client| Identifier::like(client)) else {
            sides.push((CallPath::Unknown, Vec::new()));
            continue;
        };
        let filter = SessionFilter {
            client: Some(client),
            from: Some(UnixTime::from_millis(
                view.started_at.as_millis().saturating_sub(u64::try_from(GATHERING.as_millis()).unwrap_or(0)),
            )),
            to: Some(end),
            ..SessionFilter::default()
        };
        let request = PageRequest { limit: SESSIONS_MAX, ..PageRequest::default() };
        let sessions = state.store.sessions(caller.project, &filter, &request).await?;
        let spans: Vec<SessionSpan> = sessions.items.iter().map(span).collect();
        let path = CallPath::of(view.answered_at, end, &spans);
        sides.push((path, sessions.items.into_iter().map(Session::from).collect()));
    }
    let none = || (CallPath::Unknown, Vec::new());
    let (callee_path, callee_sessions) = sides.pop().unwrap_or_else(none);
    let (caller_path, caller_sessions) = sides.pop().unwrap_or_else(none);
    let (caller_path, callee_path) = (caller_path.as_str(), callee_path.as_str());
    let detail = CallDetail { call: Call::from(view), caller_path, callee_path, caller_sessions, callee_sessions };
    Ok(json(StatusCode::OK, &detail))
}

fn span(session: &SessionView) -> SessionSpan {
    SessionSpan {
        started: session.started_at,
        ended: session.ended_at,
        payload_bytes: session.peer_bytes_in.saturating_add(session.peer_bytes_out),
    }
}

/// Read usage of calls
///
/// By client: answered calls that ended in a time. A call of two clients counts for both.
#[utoipa::path(
    get,
    path = "/api/v1/call-usage",
    tag = "calls",
    params(
        ("from" = Option<String>, Query, description = "Ended at or after this moment (RFC 3339); 30 days before `to` when not given.", format = DateTime),
        ("to" = Option<String>, Query, description = "Ended before this moment (RFC 3339); now when not given.", format = DateTime),
    ),
    responses((status = 200, description = "By client.", body = Vec<Usage>)),
)]
pub(crate) async fn usage<S: ApiStore>(
    State(state): State<Arc<ApiState<S>>>,
    Caller(caller): Caller,
    Asked(mut asked): Asked,
) -> Result<Response, ApiError> {
    let (from, to) = (asked.time("from"), asked.time("to"));
    asked.finish()?;
    let to = to.unwrap_or_else(|| Now::read().unix);
    let range = u64::try_from(USAGE_RANGE.as_millis()).unwrap_or(u64::MAX);
    let from = from.unwrap_or_else(|| UnixTime::from_millis(to.as_millis().saturating_sub(range)));
    let usage = state.store.call_usage(caller.project, from, to).await?;
    Ok(json(StatusCode::OK, &usage.into_iter().map(Usage::from).collect::<Vec<_>>()))
}
