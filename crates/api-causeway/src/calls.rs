//! `/api/v1/calls`: calls between clients that are over, and what was used.

use std::{sync::Arc, time::Duration};

use axum::{extract::State, http::StatusCode, response::Response};
use causeway_api_http::{ApiError, Timestamp, json};
use causeway_app::{CallFilter, CallUsage, CallView, Identifier, PageRequest, SessionFilter};
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

/// A call that is over.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Call {
    /// Its id, as in events.
    id: String,
    /// Who placed it.
    from: String,
    /// Whom it was placed to.
    to: Vec<String>,
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
    ended_at: Timestamp,
    /// Why: `normal`, `busy`, `rejected` …
    cause: String,
    /// The same as a SIP status.
    sip_code: u16,
    /// By whom: `caller`, `callee`, `server`.
    ended_by: String,
    /// From the start to the end.
    duration_ms: u64,
    /// From the answer to the end.
    talk_ms: u64,
}

impl From<CallView> for Call {
    fn from(view: CallView) -> Self {
        let since = |at: UnixTime| u64::try_from(view.ended_at.saturating_since(at).as_millis()).unwrap_or(u64::MAX);
        Self {
            duration_ms: since(view.started_at),
            talk_ms: view.answered_at.map_or(0, since),
            id: view.id,
            from: view.from,
            to: view.to,
            dialect: view.dialect,
            client_address: view.client_address,
            started_at: view.started_at.into(),
            ringing_at: view.ringing_at.map(Into::into),
            answered_at: view.answered_at.map(Into::into),
            answered_by: view.answered_by,
            answered_address: view.answered_address,
            ended_at: view.ended_at.into(),
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
    /// Sessions of the caller's credentials that overlap with it; none when its media took a direct path.
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
/// Those that are over, newest first. A call is listed at most a second after its end.
#[utoipa::path(
    get,
    path = "/api/v1/calls",
    tag = "calls",
    params(
        ("client" = Option<String>, Query, description = "Placed, taken or missed by this client."),
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
    let request = page::request(&mut asked);
    asked.finish()?;
    Ok(page::answer(state.store.calls(caller.project, &filter, &request).await?, Call::from))
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
    let view = state.store.call(caller.project, &id).await?.ok_or_else(ApiError::not_found)?;
    let mut sides = Vec::new();
    for client in [Some(&view.from), view.answered_by.as_ref()] {
        let Some(client) = client.and_then(|client| Identifier::like(client)) else {
            sides.push(Vec::new());
            continue;
        };
        let filter = SessionFilter {
            client: Some(client),
            from: Some(UnixTime::from_millis(
                view.started_at.as_millis().saturating_sub(u64::try_from(GATHERING.as_millis()).unwrap_or(0)),
            )),
            to: Some(view.ended_at),
            ..SessionFilter::default()
        };
        let request = PageRequest { limit: SESSIONS_MAX, ..PageRequest::default() };
        let sessions = state.store.sessions(caller.project, &filter, &request).await?;
        sides.push(sessions.items.into_iter().map(Session::from).collect());
    }
    let callee_sessions = sides.pop().unwrap_or_default();
    let caller_sessions = sides.pop().unwrap_or_default();
    Ok(json(StatusCode::OK, &CallDetail { call: Call::from(view), caller_sessions, callee_sessions }))
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
