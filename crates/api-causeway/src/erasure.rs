//! `…/erase`: forgetting everything about a room or client.

use std::{sync::Arc, time::Duration};

use axum::{extract::State, http::StatusCode, response::Response};
use causeway_api_http::{ApiError, Timestamp, json};
use causeway_app::{
    ApiCaller, AuditEntry, CallFilter, Erased, ErasedCalls, ErasureSubject, Identifier, LiveSessions, PageRequest,
    RevokeBy, SessionFilter,
};
use causeway_types::Now;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    ApiState, ApiStore,
    extract::{Caller, Segment},
};

/// How long sessions that were just ended may take until their last word is written, on every server.
const LAST_WORDS: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// What was forgotten. It does not repeat the name.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ErasureReceipt)]
pub(crate) struct Receipt {
    /// In the audit log under this name: 16 hexadecimal digits.
    id: String,
    /// `room` or `client`.
    kind: &'static str,
    /// When it was done.
    erased_at: Timestamp,
    /// Sessions.
    sessions: u64,
    /// Credentials; they open nothing any more.
    credentials: u64,
    /// Refusals.
    failures: u64,
    /// Events that were kept for webhooks.
    events: u64,
    /// Hours of usage that bore the name. Sums of the project stay.
    usage_hours: u64,
    /// Entries in the lists of rooms and clients.
    names: u64,
    /// Entries of the audit log that lost the name.
    audit_entries: u64,
    /// Calls that lost the client's name, address and program. They stay for what they add up to.
    calls: u64,
}

/// Forget a room
///
/// Its credentials are revoked, its sessions ended; then every record that bears its name is deleted. Usage of the project
/// stays in sum, without the room. What left the server before (webhooks, Redis, logs) is not called back.
#[utoipa::path(
    post,
    path = "/api/v1/rooms/{room}/erase",
    tag = "rooms",
    params(("room" = String, Path, description = "Its name.")),
    responses((status = 200, description = "It is forgotten.", body = Receipt)),
)]
pub(crate) async fn room<S: ApiStore>(
    State(state): State<Arc<ApiState<S>>>,
    Caller(caller): Caller,
    Segment(room): Segment,
) -> Result<Response, ApiError> {
    let (room, _) = crate::rooms::find(&state, caller, &room).await?;
    erase(&state, caller, ErasureSubject::Room(room), ErasedCalls::default()).await
}

/// Forget a client
///
/// As for a room. A session or credential that two clients share is deleted for both. Its registrations end, with the calls of
/// their connections; records of its calls lose what is personal of it.
#[utoipa::path(
    post,
    path = "/api/v1/clients/{client}/erase",
    tag = "clients",
    params(("client" = String, Path, description = "Its name.")),
    responses((status = 200, description = "It is forgotten.", body = Receipt)),
)]
pub(crate) async fn client<S: ApiStore>(
    State(state): State<Arc<ApiState<S>>>,
    Caller(caller): Caller,
    Segment(client): Segment,
) -> Result<Response, ApiError> {
    // What has other characters than a name may have takes part in calls, and has a label among the names.
    let name = Identifier::like(&client).ok_or_else(ApiError::not_found)?;
    let is_listed = crate::clients::find(&state, caller, name.as_str()).await.is_ok();
    let filter = CallFilter { client: Some(client.clone()), ..CallFilter::default() };
    let one = PageRequest { limit: 1, after: None };
    let has_called = !state.store.calls(caller.project, &filter, &one).await?.items.is_empty();
    if !is_listed && !has_called && !is_here(&state, caller, &client).await {
        return Err(ApiError::not_found());
    }
    state.registrations.end(&|registration| registration.project == caller.project && *registration.client == *client);
    let give_up = Now::read().mono + LAST_WORDS;
    while is_here(&state, caller, &client).await && Now::read().mono < give_up {
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    let of_calls = state.store.erase_from_calls(caller.project, &client).await?;
    erase(&state, caller, ErasureSubject::Client(name), of_calls).await
}

/// Whether a call of this client goes on, or is not kept yet.
async fn is_here<S: ApiStore>(state: &ApiState<S>, caller: ApiCaller, client: &str) -> bool {
    state.calls.of_project(caller.project).await.iter().any(|view| view.concerns(client))
}

async fn erase<S: ApiStore>(
    state: &ApiState<S>,
    caller: ApiCaller,
    subject: ErasureSubject,
    of_calls: ErasedCalls,
) -> Result<Response, ApiError> {
    let name = || -> Identifier { subject.name().clone() };
    let (by, filter) = match subject {
        ErasureSubject::Room(_) => {
            (RevokeBy::Room(name()), SessionFilter { room: Some(name()), ..SessionFilter::default() })
        }
        ErasureSubject::Client(_) => {
            (RevokeBy::Client(name()), SessionFilter { client: Some(name()), ..SessionFilter::default() })
        }
    };
    state.revocation.revoke(caller, &by, LiveSessions::End, Now::read().unix).await?;
    // A session that still lives would be written again after it was deleted.
    let filter = SessionFilter { active: Some(true), ..filter };
    let one = PageRequest { limit: 1, after: None };
    let give_up = Now::read().mono + LAST_WORDS;
    while !state.store.sessions(caller.project, &filter, &one).await?.items.is_empty() && Now::read().mono < give_up {
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    let erased = state.store.erase(caller.project, &subject).await?;
    let (id, now) = (format!("{:016x}", rand_u64()?), Now::read().unix);
    let erased = Erased { events: erased.events + of_calls.events, ..erased };
    let receipt = Receipt { calls: of_calls.calls, ..receipt(id.clone(), &subject, now.into(), erased) };
    let detail = serde_json::to_string(&receipt).unwrap_or_else(|_| "{}".to_owned());
    let entry = AuditEntry::by(caller, &format!("{}.erase", subject.kind()), id, detail, now);
    state.store.audit(&entry).await?;
    Ok(json(StatusCode::OK, &receipt))
}

fn receipt(id: String, subject: &ErasureSubject, erased_at: Timestamp, erased: Erased) -> Receipt {
    Receipt {
        id,
        kind: subject.kind(),
        erased_at,
        sessions: erased.sessions,
        credentials: erased.credentials,
        failures: erased.failures,
        events: erased.events,
        usage_hours: erased.usage_hours,
        names: erased.names,
        audit_entries: erased.audit_entries,
        calls: 0,
    }
}

/// A number nobody can guess, for a receipt's name.
fn rand_u64() -> Result<u64, ApiError> {
    let mut bytes = [0; 8];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| ApiError::internal())?;
    Ok(u64::from_ne_bytes(bytes))
}
