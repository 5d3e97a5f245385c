//! `/api/v1/credentials`: what was issued, and taking it back.

use std::sync::Arc;

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use causeway_api_http::{ApiError, Parameters, Timestamp, json};
use causeway_app::{
    ClientRole, CredentialFilter, CredentialKey, CredentialState, CredentialView, LiveSessions, PageRequest, RevokeBy,
    Store, TokenId,
};
use causeway_types::{Now, UnixTime};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::{
    ApiState,
    extract::{Asked, Caller, Segment, Sent},
    page::{self, List, PageQuery},
    sessions::USERNAME_BYTES_MAX,
};

/// An issued credential; never its secret part.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Credential {
    /// Its user name.
    username: String,
    /// `active`, `expired` or `revoked`.
    state: &'static str,
    /// The token it was minted with.
    token_id: i64,
    /// Label.
    room: Option<String>,
    /// Label.
    initiator_client: Option<String>,
    /// Label.
    receiver_client: Option<String>,
    /// Which of the two holds it.
    client_type: Option<&'static str>,
    /// The region it was minted for.
    region: String,
    /// When it was minted.
    issued_at: Timestamp,
    /// Until when it opens allocations.
    expires_at: Timestamp,
    /// When it was taken back.
    revoked_at: Option<Timestamp>,
    /// Live sessions made with it.
    active_sessions: u64,
    /// What it may do.
    limits: Limits,
    /// The application's own.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Box<RawValue>>,
}

/// Limits that travel with a credential.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CredentialLimits)]
pub(crate) struct Limits {
    /// Payload bytes, both ways together, after which an allocation ends.
    max_bytes: Option<u64>,
    /// Allocations at once.
    max_allocations: Option<u32>,
    /// Bits per second and direction.
    max_bitrate: Option<u64>,
    /// The only address it may be used from.
    client_ip: Option<String>,
    /// `any` or `room`.
    peer_scope: &'static str,
}

impl Credential {
    fn of(view: CredentialView, now: UnixTime) -> Self {
        let CredentialView { record, active_sessions } = view;
        Self {
            state: record.state(now).as_str(),
            username: record.username,
            token_id: record.token.0,
            room: record.room.map(|name| name.to_string()),
            initiator_client: record.initiator_client.map(|name| name.to_string()),
            receiver_client: record.receiver_client.map(|name| name.to_string()),
            client_type: record.client_type.map(ClientRole::as_str),
            region: record.region,
            issued_at: record.issued_at.into(),
            expires_at: record.expires_at.into(),
            revoked_at: record.revoked_at.map(Into::into),
            active_sessions,
            limits: Limits {
                max_bytes: record.limits.bytes_max,
                max_allocations: record.limits.allocations_max,
                max_bitrate: record.limits.bandwidth.map(|bytes| bytes.saturating_mul(8)),
                client_ip: record.limits.client_ip.map(|ip| ip.to_string()),
                peer_scope: record.limits.peer_scope.as_str(),
            },
            metadata: record.metadata.and_then(|text| RawValue::from_string(text).ok()),
        }
    }
}

/// List credentials
///
/// Newest first unless sorted otherwise.
#[utoipa::path(
    get,
    path = "/api/v1/credentials",
    tag = "credentials",
    params(
        ("room" = Option<String>, Query, description = "Of this room."),
        ("client" = Option<String>, Query, description = "That name this client."),
        ("token" = Option<u64>, Query, description = "Minted with this token.", minimum = 1),
        ("state" = Option<String>, Query, description = "`active`, `expired` or `revoked`."),
        ("search" = Option<String>, Query, description = "With this text in its user name, room or clients."),
        ("sort" = Option<String>, Query, description = "`issued` or `expires`; `-` in front for the latest first. `-issued` when not given."),
        PageQuery,
    ),
    responses((status = 200, description = "A page of credentials.", body = List<Credential>)),
)]
pub(crate) async fn list<S: Store>(
    State(state): State<Arc<ApiState<S>>>,
    Caller(caller): Caller,
    Asked(mut asked): Asked,
) -> Result<Response, ApiError> {
    let filter = CredentialFilter {
        username: None,
        room: asked.identifier("room"),
        client: asked.identifier("client"),
        token: token_id(&mut asked, "token"),
        state: asked.word("state", &CredentialState::ALL.map(|state| (state.as_str(), state))),
        search: page::search(&mut asked),
        order: page::order(&mut asked, &CredentialKey::ALL),
    };
    let request = page::request(&mut asked);
    asked.finish()?;
    let now = Now::read().unix;
    let credentials = state.store.credentials(caller.project, &filter, &request, now).await?;
    Ok(page::answer(credentials, |view| Credential::of(view, now)))
}

/// Get a credential
#[utoipa::path(
    get,
    path = "/api/v1/credentials/{username}",
    tag = "credentials",
    params(("username" = String, Path, description = "Its user name.")),
    responses((status = 200, description = "The credential.", body = Credential)),
)]
pub(crate) async fn one<S: Store>(
    State(state): State<Arc<ApiState<S>>>,
    Caller(caller): Caller,
    Segment(username): Segment,
) -> Result<Response, ApiError> {
    let filter = CredentialFilter { username: Some(read_username(username)?), ..CredentialFilter::default() };
    let now = Now::read().unix;
    let page = state.store.credentials(caller.project, &filter, &PageRequest::default(), now).await?;
    let view = page.items.into_iter().next().ok_or_else(ApiError::not_found)?;
    Ok(json(StatusCode::OK, &Credential::of(view, now)))
}

/// Take a credential back
///
/// It opens no new allocation. A TURN REST name is refused until the expiry written in it, whether it was ever seen or
/// not; only tokens of the default project, which owns those, may do that.
#[utoipa::path(
    delete,
    path = "/api/v1/credentials/{username}",
    tag = "credentials",
    params(
        ("username" = String, Path, description = "Its user name."),
        ("sessions" = Option<String>, Query, description = "`end` ends its live sessions too; `keep`, the default, lets them go on."),
    ),
    responses((status = 204, description = "It opens nothing from here on.")),
)]
pub(crate) async fn take_back<S: Store>(
    State(state): State<Arc<ApiState<S>>>,
    Caller(caller): Caller,
    Segment(username): Segment,
    Asked(mut asked): Asked,
) -> Result<Response, ApiError> {
    let live = live_sessions(&mut asked).unwrap_or(LiveSessions::Keep);
    asked.finish()?;
    let username = read_username(username)?;
    match state.revocation.take_back(caller, &username, live, Now::read().unix).await? {
        Some(_) => Ok(StatusCode::NO_CONTENT.into_response()),
        None => Err(ApiError::not_found()),
    }
}

/// Which credentials to take back: exactly one of the first five.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "only its schema is used: the parameters are read one by one, to name every fault")]
pub(crate) struct RevokeRequest {
    /// The one of this name.
    username: Option<String>,
    /// All of a room.
    room: Option<String>,
    /// All that name a client.
    client: Option<String>,
    /// All minted with a token.
    #[schema(minimum = 1)]
    token_id: Option<u64>,
    /// All minted before a moment (RFC 3339).
    #[schema(format = DateTime)]
    created_before: Option<String>,
    /// `end`, the default, ends their live sessions; `keep` lets them go on.
    sessions: Option<String>,
}

/// What a revocation hit.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RevokeAnswer {
    /// Credentials that were not revoked before.
    revoked: u64,
    /// Live sessions that were ended.
    sessions_ended: u64,
}

/// Take credentials back
///
/// By name, room, client, token or time. Their live sessions are over when the answer comes.
#[utoipa::path(
    post,
    path = "/api/v1/credentials/revoke",
    tag = "credentials",
    request_body(content(
        (RevokeRequest = "application/json"),
        (RevokeRequest = "application/x-www-form-urlencoded"),
    )),
    responses((status = 200, description = "What it hit.", body = RevokeAnswer)),
)]
pub(crate) async fn revoke<S: Store>(
    State(state): State<Arc<ApiState<S>>>,
    Caller(caller): Caller,
    Sent(mut sent): Sent,
) -> Result<Response, ApiError> {
    const FIELDS: [&str; 5] = ["username", "room", "client", "tokenId", "createdBefore"];
    let named = [
        sent.plain_text("username", USERNAME_BYTES_MAX).map(RevokeBy::Username),
        sent.identifier("room").map(RevokeBy::Room),
        sent.identifier("client").map(RevokeBy::Client),
        token_id(&mut sent, "tokenId").map(RevokeBy::Token),
        sent.time("createdBefore").map(RevokeBy::IssuedBefore),
    ];
    let live = live_sessions(&mut sent).unwrap_or(LiveSessions::End);
    let given: Vec<&str> = FIELDS.into_iter().filter(|field| sent.has(field)).collect();
    if given.len() != 1 {
        for field in if given.is_empty() { FIELDS.to_vec() } else { given } {
            sent.fault(field, "exactly_one", format!("{field}: exactly one of {} is needed", FIELDS.join(", ")));
        }
    }
    sent.finish()?;
    let now = Now::read().unix;
    let hit = match named.into_iter().flatten().next() {
        // A name may be a TURN REST one; one that is not the caller's is like one that is not there.
        Some(RevokeBy::Username(username)) => state.revocation.take_back(caller, &username, live, now).await?,
        Some(by) => Some(state.revocation.revoke(caller, &by, live, now).await?),
        None => return Err(ApiError::internal()),
    };
    let answer = RevokeAnswer {
        revoked: hit.map_or(0, |hit| hit.credentials),
        sessions_ended: hit.map_or(0, |hit| hit.sessions),
    };
    Ok(json(StatusCode::OK, &answer))
}

fn live_sessions(parameters: &mut Parameters) -> Option<LiveSessions> {
    parameters.word("sessions", &[("end", LiveSessions::End), ("keep", LiveSessions::Keep)])
}

fn token_id(parameters: &mut Parameters, name: &'static str) -> Option<TokenId> {
    parameters.count(name).map(|id| TokenId(i64::try_from(id).unwrap_or(i64::MAX)))
}

/// A name no credential can have names nothing.
fn read_username(text: String) -> Result<String, ApiError> {
    if text.len() > USERNAME_BYTES_MAX || text.chars().any(char::is_control) {
        return Err(ApiError::not_found());
    }
    Ok(text)
}
