//! `/api/v1/aws/…`: access keys and temporary credentials for clients that sign, and their channels (`compat/aws-kvs.md#keys`).

use std::{sync::Arc, time::Duration};

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use causeway_api_http::{ApiError, Parameters, Timestamp, json};
use causeway_app::{
    AccessKey as Stored, AccessKeyError, KeyGrant, KeyPreset, NewAccessKey, Page, PageRequest, Scope, SignalChannel,
    TtlLimit,
};
use causeway_types::Now;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    ApiState, ApiStore,
    extract::{Asked, Caller, Segment, Sent},
    page::{self, List, PageQuery},
};

/// Longest name and glob.
const TEXT_BYTES_MAX: usize = 256;
/// Lifetime of temporary credentials when none is asked for, and the longest.
const TTL_DEFAULT: Duration = Duration::from_secs(3600);
const TTL_MAX: Duration = Duration::from_secs(12 * 3600);
/// How long a rotated key works on when the request does not say, and the longest.
const OVERLAP_DEFAULT: Duration = Duration::from_secs(86_400);
const OVERLAP_MAX: Duration = Duration::from_secs(90 * 86_400);

/// An access key; never its secret.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AccessKey {
    /// What requests show.
    id: String,
    /// What people call it.
    name: String,
    /// What it may do: `admin`, `master`, `viewer`, `describe`.
    preset: &'static str,
    /// Glob of the channels it may do it to; all when null.
    channel: Option<String>,
    /// The only client it may be; any when null.
    client_id: Option<String>,
    /// Whether it is in the configuration, where alone it can be changed.
    configured: bool,
    /// The token that what is minted with it is ascribed to.
    token_id: i64,
    /// When it was made.
    created_at: Timestamp,
    /// When it stops working.
    expires_at: Option<Timestamp>,
    /// When it was revoked.
    revoked_at: Option<Timestamp>,
}

/// A key that was just made.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MadeAccessKey {
    /// What requests show.
    access_key_id: String,
    /// Signs. It is shown this once.
    secret_access_key: String,
    /// When it stops working.
    expiration: Option<Timestamp>,
}

/// Temporary credentials, in the words that AWS clients take.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TemporaryCredentials {
    /// What requests show.
    access_key_id: String,
    /// Signs.
    secret_access_key: String,
    /// Shown along with the id.
    session_token: String,
    /// When they stop working.
    expiration: Timestamp,
}

/// A signalling channel.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Channel {
    /// Unique in the project.
    name: String,
    /// When it was made.
    created_at: Timestamp,
    /// Another one after every change.
    version: String,
    /// How long its messages wait, in seconds.
    message_ttl: u64,
}

/// A key to make.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "only its schema is used: the parameters are read one by one, to name every fault")]
pub(crate) struct AccessKeyRequest {
    /// What it may do: `admin`, `master`, `viewer`, `describe`.
    preset: String,
    /// What people call it.
    #[schema(max_length = 100)]
    name: Option<String>,
    /// Glob of the channels it may do it to.
    #[schema(max_length = 256)]
    channel: Option<String>,
    /// The only client it may be.
    #[schema(max_length = 256)]
    client_id: Option<String>,
    /// When it stops working (RFC 3339); never when not given.
    #[schema(format = DateTime)]
    expires_at: Option<String>,
}

/// Temporary credentials to mint.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "only its schema is used: the parameters are read one by one, to name every fault")]
pub(crate) struct TemporaryRequest {
    /// What they may do: `master`, `viewer`, `describe`; `admin` with a token that has the scope `admin`.
    preset: String,
    /// Glob of the channels they may do it to.
    #[schema(max_length = 256)]
    channel: Option<String>,
    /// The only client they may be.
    #[schema(max_length = 256)]
    client_id: Option<String>,
    /// Seconds; an hour when not given.
    #[schema(minimum = 1, maximum = 43200)]
    ttl: Option<u64>,
}

/// How to rotate.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only its schema is used: the parameter is read by hand")]
pub(crate) struct RotateRequest {
    /// Seconds the old key works on; a day when not given.
    #[schema(minimum = 1)]
    overlap: Option<u64>,
}

/// List access keys
///
/// Newest first, then those of the configuration; temporary ones are not among them.
#[utoipa::path(
    get,
    path = "/api/v1/aws/access-keys",
    tag = "aws",
    responses((status = 200, description = "All of them.", body = List<AccessKey>)),
)]
pub(crate) async fn list<S: ApiStore>(
    State(state): State<Arc<ApiState<S>>>,
    Caller(caller): Caller,
) -> Result<Response, ApiError> {
    let keys = state.access_keys.list(caller).await?;
    let shown = |key: Stored| {
        let is_configured = state.access_keys.is_configured(&key.id);
        shown(key, is_configured)
    };
    Ok(page::whole(keys.into_iter().map(shown).collect()))
}

/// Make an access key
#[utoipa::path(
    post,
    path = "/api/v1/aws/access-keys",
    tag = "aws",
    request_body(content(
        (AccessKeyRequest = "application/json"),
        (AccessKeyRequest = "application/x-www-form-urlencoded"),
    )),
    responses(
        (status = 201, description = "The key, with its secret.", body = MadeAccessKey),
        (status = 409, description = "The project has as many as it may.", body = causeway_api_http::ErrorBody<'_>),
    ),
)]
pub(crate) async fn make<S: ApiStore>(
    State(state): State<Arc<ApiState<S>>>,
    Caller(caller): Caller,
    Sent(mut sent): Sent,
) -> Result<Response, ApiError> {
    let now = Now::read().unix;
    let grant = read_grant(&mut sent);
    let name = sent.plain_text("name", 100).unwrap_or_default();
    let expires_at = sent.time("expiresAt");
    if expires_at.is_some_and(|expires| expires <= now) {
        sent.fault("expiresAt", "in_the_past", "expiresAt: must lie ahead".to_owned());
    }
    sent.finish()?;
    let made = state.access_keys.make(caller, name, grant, expires_at, now).await.map_err(error)?;
    Ok(json(StatusCode::CREATED, &shown_once(&made)))
}

/// Rotate an access key
///
/// Makes another key with the same rights. The old one works on for the overlap, so that clients can be changed over.
#[utoipa::path(
    post,
    path = "/api/v1/aws/access-keys/{id}/rotate",
    tag = "aws",
    params(("id" = String, Path, description = "Its id.")),
    request_body(content(
        (RotateRequest = "application/json"),
        (RotateRequest = "application/x-www-form-urlencoded"),
    )),
    responses((status = 201, description = "The new key, with its secret.", body = MadeAccessKey)),
)]
pub(crate) async fn rotate<S: ApiStore>(
    State(state): State<Arc<ApiState<S>>>,
    Caller(caller): Caller,
    Segment(id): Segment,
    Sent(mut sent): Sent,
) -> Result<Response, ApiError> {
    let overlap = sent.ttl("overlap", TtlLimit::reject_over(OVERLAP_MAX)).unwrap_or(OVERLAP_DEFAULT);
    sent.finish()?;
    let made = state.access_keys.rotate(caller, &id, overlap, Now::read().unix).await.map_err(error)?;
    Ok(json(StatusCode::CREATED, &shown_once(&made)))
}

/// Revoke an access key
///
/// It, or a temporary one, is refused from here on; the relay credentials it minted go on, see `POST /api/v1/credentials/revoke`.
#[utoipa::path(
    delete,
    path = "/api/v1/aws/access-keys/{id}",
    tag = "aws",
    params(("id" = String, Path, description = "Its id.")),
    responses((status = 204, description = "It is revoked.")),
)]
pub(crate) async fn revoke<S: ApiStore>(
    State(state): State<Arc<ApiState<S>>>,
    Caller(caller): Caller,
    Segment(id): Segment,
) -> Result<Response, ApiError> {
    state.access_keys.revoke(caller, &id, Now::read().unix).await.map_err(error)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Mint temporary credentials
///
/// For a client that expects an access key, a secret and a session token. They end with the API token that minted them.
#[utoipa::path(
    post,
    path = "/api/v1/aws/temporary-credentials",
    tag = "aws",
    request_body(content(
        (TemporaryRequest = "application/json"),
        (TemporaryRequest = "application/x-www-form-urlencoded"),
    )),
    responses(
        (status = 201, description = "The credentials.", body = TemporaryCredentials),
        (status = 409, description = "The project has as many as it may.", body = causeway_api_http::ErrorBody<'_>),
    ),
)]
pub(crate) async fn mint<S: ApiStore>(
    State(state): State<Arc<ApiState<S>>>,
    Caller(caller): Caller,
    Sent(mut sent): Sent,
) -> Result<Response, ApiError> {
    let now = Now::read().unix;
    let grant = read_grant(&mut sent);
    let ttl = sent.ttl("ttl", TtlLimit::reject_over(TTL_MAX)).unwrap_or(TTL_DEFAULT);
    sent.finish()?;
    if grant.preset == KeyPreset::Admin && !caller.scopes.has(Scope::Admin) {
        let message = "admin credentials need an API token with the scope `admin`";
        return Err(ApiError::new(StatusCode::FORBIDDEN, "scope", message));
    }
    let made = state.access_keys.make_temporary(caller, grant, ttl, now).await.map_err(error)?;
    let body = TemporaryCredentials {
        access_key_id: made.id,
        secret_access_key: made.secret.expose().clone(),
        session_token: made.session_token.map(|token| token.expose().clone()).unwrap_or_default(),
        expiration: made.expires_at.unwrap_or(now).into(),
    };
    Ok(json(StatusCode::CREATED, &body))
}

/// List temporary credentials
///
/// Those that have not expired, those that end last first. `DELETE /api/v1/aws/access-keys/{id}` ends one earlier.
#[utoipa::path(
    get,
    path = "/api/v1/aws/temporary-credentials",
    tag = "aws",
    params(PageQuery),
    responses((status = 200, description = "A page of them.", body = List<AccessKey>)),
)]
pub(crate) async fn temporary<S: ApiStore>(
    State(state): State<Arc<ApiState<S>>>,
    Caller(caller): Caller,
    Asked(mut asked): Asked,
) -> Result<Response, ApiError> {
    let request = page::request(&mut asked);
    asked.finish()?;
    let found = state.access_keys.list_temporary(caller, &request, Now::read().unix).await?;
    Ok(page::answer(found, |key| shown(key, false)))
}

/// List signalling channels
#[utoipa::path(
    get,
    path = "/api/v1/aws/channels",
    tag = "aws",
    params(PageQuery),
    responses((status = 200, description = "A page of them, by name.", body = List<Channel>)),
)]
pub(crate) async fn channels<S: ApiStore>(
    State(state): State<Arc<ApiState<S>>>,
    Caller(caller): Caller,
    Asked(mut asked): Asked,
) -> Result<Response, ApiError> {
    let PageRequest { limit, after } = page::request(&mut asked);
    asked.finish()?;
    let found = state.store.signal_channels(caller.project, "", after.as_deref(), limit.saturating_add(1)).await?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let next = (found.len() > limit).then(|| found.get(limit.saturating_sub(1)).map(|channel| channel.name.clone()));
    let channel = |channel: SignalChannel| Channel {
        name: channel.name,
        created_at: channel.created_at.into(),
        version: channel.version,
        message_ttl: channel.message_ttl.as_secs(),
    };
    let items = found.into_iter().take(limit).collect();
    Ok(page::answer(Page { items, next: next.flatten() }, channel))
}

fn read_grant(sent: &mut Parameters) -> KeyGrant {
    if !sent.has("preset") {
        sent.fault("preset", "missing", "preset: is needed".to_owned());
    }
    let words = KeyPreset::ALL.map(|preset| (preset.as_str(), preset));
    let preset = sent.word("preset", &words).unwrap_or(KeyPreset::Describe);
    let channel = sent.plain_text("channel", TEXT_BYTES_MAX);
    let client = sent.plain_text("clientId", TEXT_BYTES_MAX);
    let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    if client.as_ref().is_some_and(|client| !client.bytes().all(good)) {
        sent.fault("clientId", "bad_characters", "clientId: letters, digits, -, _ and .".to_owned());
    }
    if channel.as_ref().is_some_and(|glob| !glob.bytes().all(|b| good(b) || b == b'*' || b == b'?')) {
        sent.fault("channel", "bad_characters", "channel: letters, digits, -, _, ., * and ?".to_owned());
    }
    KeyGrant { preset, channel, client }
}

fn shown(key: Stored, is_configured: bool) -> AccessKey {
    AccessKey {
        configured: is_configured,
        id: key.id,
        name: key.name,
        preset: key.grant.preset.as_str(),
        channel: key.grant.channel,
        client_id: key.grant.client,
        token_id: key.token.0,
        created_at: key.created_at.into(),
        expires_at: key.expires_at.map(Into::into),
        revoked_at: key.revoked_at.map(Into::into),
    }
}

fn shown_once(made: &NewAccessKey) -> MadeAccessKey {
    MadeAccessKey {
        access_key_id: made.id.clone(),
        secret_access_key: made.secret.expose().clone(),
        expiration: made.expires_at.map(Into::into),
    }
}

fn error(error: AccessKeyError) -> ApiError {
    match error {
        AccessKeyError::Store(error) => error.into(),
        AccessKeyError::Unknown => ApiError::not_found(),
        AccessKeyError::TooMany => {
            ApiError::new(StatusCode::CONFLICT, "access_keys_per_project_max", error.to_string())
        }
        AccessKeyError::TooManyTemporary => {
            ApiError::new(StatusCode::CONFLICT, "temporary_keys_per_project_max", error.to_string())
        }
        AccessKeyError::NoRandomness | _ => {
            tracing::error!(%error, "no access key was made");
            ApiError::internal()
        }
    }
}
