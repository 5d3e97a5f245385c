//! `/api/v1/voice-connections` and `/api/v1/voice-credentials`: what Telnyx's clients log in with. They are made and changed by
//! that family's calls; here they are shown and taken back.

use std::sync::Arc;

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use causeway_api_http::{ApiError, Timestamp};
use causeway_app::{
    NumberedPage, Page, PageRequest, ProjectId, Registration, StoreError, VoiceConnection as Connection,
    VoiceConnectionFilter, VoiceConnectionId, VoiceCredential as Credential, VoiceCredentialFilter, VoiceRevokeError,
};
use causeway_types::{Now, UnixTime};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    ApiState, ApiStore,
    extract::{Asked, Caller, Segment},
    page::{self, List, PageQuery},
};

/// A voice connection; never its password.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct VoiceConnection {
    /// Its number, as in the family's calls.
    id: String,
    /// What people call it.
    name: String,
    /// What for: `clients` log in to it, an `application` does not.
    kind: &'static str,
    /// What a client logs in as, and is dialled by.
    user_name: Option<String>,
    /// Whether anything works.
    active: bool,
    /// Whether calls of its clients wait for a backend.
    parks_calls: bool,
    /// Whether all clients of a user ring, or the newest.
    rings_all: bool,
    /// Where its events go.
    webhook_url: Option<String>,
    /// Where they go when the first does not take them.
    webhook_failover_url: Option<String>,
    /// How many of its clients are registered with `userName` now.
    registrations: usize,
    /// When it was made.
    created_at: Timestamp,
    /// When it was last changed.
    updated_at: Timestamp,
}

impl VoiceConnection {
    fn with(connection: Connection, live: &[Registration]) -> Self {
        Self {
            registrations: connection.user_name.as_deref().map_or(0, |name| count(live, name)),
            id: connection.id.0.to_string(),
            name: connection.name,
            kind: connection.kind.as_str(),
            user_name: connection.user_name,
            active: connection.is_active,
            parks_calls: connection.parks_calls,
            rings_all: connection.rings_all,
            webhook_url: connection.webhook.url,
            webhook_failover_url: connection.webhook.failover_url,
            created_at: connection.created_at.into(),
            updated_at: connection.updated_at.into(),
        }
    }
}

/// A user of a voice connection that an application made; never its password.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct VoiceCredential {
    /// Its id, as in the family's calls.
    id: String,
    /// Of which connection.
    connection_id: String,
    /// What people call it.
    name: Option<String>,
    /// For searching.
    tag: Option<String>,
    /// What a client logs in as, and is dialled by.
    user_name: String,
    /// When it stops working.
    expires_at: Option<Timestamp>,
    /// Whether it does not work any more.
    expired: bool,
    /// How many of its clients are registered now.
    registrations: usize,
    /// When it was made.
    created_at: Timestamp,
    /// When it was last changed.
    updated_at: Timestamp,
}

impl VoiceCredential {
    fn with(credential: Credential, live: &[Registration], now: UnixTime) -> Self {
        Self {
            registrations: count(live, &credential.user_name),
            expired: credential.is_expired(now),
            id: credential.id,
            connection_id: credential.connection.0.to_string(),
            name: credential.name,
            tag: credential.tag,
            user_name: credential.user_name,
            expires_at: credential.expires_at.map(Into::into),
            created_at: credential.created_at.into(),
            updated_at: credential.updated_at.into(),
        }
    }
}

/// Clients of this family only: a SIP user of the same name is another.
fn count(live: &[Registration], user_name: &str) -> usize {
    let is_its = |one: &&Registration| one.dialect == "verto" && *one.client == *user_name;
    live.iter().filter(is_its).count()
}

/// List voice connections
#[utoipa::path(
    get,
    operation_id = "list",
    path = "/api/v1/voice-connections",
    tag = "voice-connections",
    params(PageQuery),
    responses((status = 200, description = "A page of them, the newest first.", body = List<VoiceConnection>)),
)]
pub(crate) async fn connections<S: ApiStore>(
    State(state): State<Arc<ApiState<S>>>,
    Caller(caller): Caller,
    Asked(mut asked): Asked,
) -> Result<Response, ApiError> {
    let request = page::request(&mut asked);
    asked.finish()?;
    let part = part(&request)?;
    let filter = VoiceConnectionFilter::default();
    let (items, total) = state.store.voice_connections(caller.project, &filter, part).await?;
    let live = state.registrations.of_project(caller.project).await;
    Ok(page::answer(paged(items, part, total), |connection| VoiceConnection::with(connection, &live)))
}

/// Remove a voice connection
///
/// Its credentials go with it, and their clients are sent away.
#[utoipa::path(
    delete,
    operation_id = "remove",
    path = "/api/v1/voice-connections/{id}",
    tag = "voice-connections",
    params(("id" = String, Path, description = "Its number.")),
    responses((status = 204, description = "It is gone.")),
)]
pub(crate) async fn remove_connection<S: ApiStore>(
    State(state): State<Arc<ApiState<S>>>,
    Caller(caller): Caller,
    Segment(id): Segment,
) -> Result<Response, ApiError> {
    let id = VoiceConnectionId(id.parse().map_err(|_| ApiError::not_found())?);
    let connection = state.store.voice_connection(caller.project, id).await?.ok_or_else(ApiError::not_found)?;
    gone(state.voice.remove_connection(caller, &connection, Now::read().unix).await?)
}

/// Which credentials.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
#[expect(dead_code, reason = "only its document is used: parameters are read one by one, to name every fault")]
pub(crate) struct CredentialQuery {
    /// Of this connection.
    connection_id: Option<u32>,
    /// With exactly this tag.
    tag: Option<String>,
    /// Of exactly this user name.
    user_name: Option<String>,
}

/// Longest text to look for.
const TEXT_BYTES_MAX: usize = 1020;

/// List voice credentials
#[utoipa::path(
    get,
    operation_id = "list",
    path = "/api/v1/voice-credentials",
    tag = "voice-credentials",
    params(CredentialQuery, PageQuery),
    responses((status = 200, description = "A page of them, the newest first.", body = List<VoiceCredential>)),
)]
pub(crate) async fn credentials<S: ApiStore>(
    State(state): State<Arc<ApiState<S>>>,
    Caller(caller): Caller,
    Asked(mut asked): Asked,
) -> Result<Response, ApiError> {
    let request = page::request(&mut asked);
    let filter = VoiceCredentialFilter {
        connection: asked.count("connectionId").map(|id| VoiceConnectionId(i64::try_from(id).unwrap_or(i64::MAX))),
        tag: asked.plain_text("tag", TEXT_BYTES_MAX),
        user_name: asked.plain_text("userName", TEXT_BYTES_MAX),
        ..VoiceCredentialFilter::default()
    };
    asked.finish()?;
    let (part, now) = (part(&request)?, Now::read().unix);
    let (items, total) = state.store.voice_credentials(caller.project, &filter, part, now).await?;
    let live = state.registrations.of_project(caller.project).await;
    Ok(page::answer(paged(items, part, total), |credential| VoiceCredential::with(credential, &live, now)))
}

/// Remove a voice credential
///
/// Its tokens are worth nothing any more, and its clients are sent away.
#[utoipa::path(
    delete,
    operation_id = "remove",
    path = "/api/v1/voice-credentials/{id}",
    tag = "voice-credentials",
    params(("id" = String, Path, description = "Its id.")),
    responses((status = 204, description = "It is gone.")),
)]
pub(crate) async fn remove_credential<S: ApiStore>(
    State(state): State<Arc<ApiState<S>>>,
    Caller(caller): Caller,
    Segment(id): Segment,
) -> Result<Response, ApiError> {
    let credential = credential(&state, caller.project, &id).await?;
    gone(state.voice.remove_credential(caller, &credential, Now::read().unix).await?)
}

/// Take the tokens of a voice credential back
///
/// All of them; its clients are sent away, and its password still works.
#[utoipa::path(
    delete,
    operation_id = "revoke_tokens",
    path = "/api/v1/voice-credentials/{id}/tokens",
    tag = "voice-credentials",
    params(("id" = String, Path, description = "Its id.")),
    responses((status = 204, description = "None of its tokens works.")),
)]
pub(crate) async fn revoke_tokens<S: ApiStore>(
    State(state): State<Arc<ApiState<S>>>,
    Caller(caller): Caller,
    Segment(id): Segment,
) -> Result<Response, ApiError> {
    let credential = credential(&state, caller.project, &id).await?;
    let revoked = state.voice.revoke_tokens(caller, credential, Now::read().unix).await;
    gone(revoked.map_err(|error| match error {
        VoiceRevokeError::Store(error) => error.into(),
        error @ (VoiceRevokeError::NoRandomness | _) => {
            tracing::error!(%error, "no token was taken back");
            ApiError::internal()
        }
    })?)
}

async fn credential<S: ApiStore>(state: &ApiState<S>, project: ProjectId, id: &str) -> Result<Credential, ApiError> {
    // PostgreSQL would stumble over a NUL.
    let is_id = id.len() <= 64 && id.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_id {
        return Err(ApiError::not_found());
    }
    state.store.voice_credential(project, id).await?.ok_or_else(ApiError::not_found)
}

fn gone(was_there: bool) -> Result<Response, ApiError> {
    if was_there { Ok(StatusCode::NO_CONTENT.into_response()) } else { Err(ApiError::not_found()) }
}

/// The place of these lists is how many are before it, as in the family's calls.
fn part(request: &PageRequest) -> Result<NumberedPage, StoreError> {
    let offset = request.after.as_ref().map_or(Ok(0), |text| text.parse().map_err(|_| StoreError::BadCursor))?;
    Ok(NumberedPage { offset, limit: request.limit, is_newest_first: true })
}

fn paged<T>(items: Vec<T>, part: NumberedPage, total: u64) -> Page<T> {
    let end = part.offset.saturating_add(u64::from(part.limit));
    Page { items, next: (end < total).then(|| end.to_string()) }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_sip_user_of_the_same_name_is_no_client_of_the_connection() {
        let live = |client: &str, dialect| Registration {
            id: "0-1".to_owned(),
            project: ProjectId::DEFAULT,
            client: Arc::from(client),
            dialect,
            is_ringable: true,
            since: UnixTime::from_secs(1),
            updated: UnixTime::from_secs(1),
            expires_at: UnixTime::from_secs(2),
            address: None,
            user_agent: None,
            admission: None,
        };
        let all = [live("ann", "verto"), live("ann", "sip"), live("ben", "verto"), live("ann", "verto")];
        assert_eq!((count(&all, "ann"), count(&all, "cat")), (2, 0));
    }
}
