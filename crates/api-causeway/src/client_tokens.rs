//! `/api/v1/client-tokens`: what clients that register and call show; and the public keys that verify it.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use causeway_api_http::{ApiError, Parameters, Timestamp, json};
use causeway_app::{
    CLIENT_TOKEN_TTL_DEFAULT, CLIENT_TOKEN_TTL_MAX, CLIENT_TOKEN_TTL_MIN, ClientTokenFilter, ClientTokenRequest,
    ClientTokenView, MintTokenError, RevokeClientTokens, StoreError, TtlLimit,
};
use causeway_credentials::client_token::{AccessLabel, CALLEES_MAX, Callees, ClientId, NameError};
use causeway_types::Now;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    ApiState, ApiStore,
    extract::{Asked, Caller, Segment, Sent},
    page::{self, List, PageQuery},
};

/// A client token; never its text.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ClientToken {
    /// Names it: the claim `jti`.
    id: String,
    /// Which client.
    client_id: String,
    /// Whether the client may be called.
    enable_incoming: bool,
    /// Whom it may call; an id with `*` behind it stands for all that begin so.
    callees: Vec<String>,
    /// The API token that minted it.
    token_id: i64,
    /// When it was minted.
    issued_at: Timestamp,
    /// When it ends.
    expires_at: Timestamp,
    /// When it was revoked.
    revoked_at: Option<Timestamp>,
}

/// A token that was just minted.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MintedClientToken {
    /// Names it.
    id: String,
    /// The token, a JWT. It is shown this once.
    token: String,
    /// When it was minted.
    issued_at: Timestamp,
    /// When it ends.
    expires_at: Timestamp,
}

/// A token to mint.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "only its schema is used: the parameters are read one by one, to name every fault")]
pub(crate) struct ClientTokenBody {
    /// Who it is for.
    #[schema(pattern = r"^[A-Za-z0-9+\-_.]+$", min_length = 1, max_length = 255)]
    client_id: String,
    /// Seconds; an hour when not given.
    #[schema(minimum = 600, maximum = 86400)]
    ttl: Option<u64>,
    /// Whether the client may be called; it may when not given.
    enable_incoming: Option<bool>,
    /// Whom it may call: ids, ids with `*` behind them for all that begin so, `*` for everybody. Nobody when not given.
    #[schema(max_items = 100)]
    callees: Option<Vec<String>>,
}

/// Which tokens.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
#[expect(dead_code, reason = "only its document is used: parameters are read one by one, to name every fault")]
pub(crate) struct ClientTokenQuery {
    /// Of this client.
    client_id: Option<String>,
    /// That are good now, or are not any more.
    active: Option<bool>,
}

/// Which tokens to revoke: one of the two.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "only its schema is used: the parameters are read one by one, to name every fault")]
pub(crate) struct RevokeClientTokensBody {
    /// A client's.
    #[schema(pattern = r"^[A-Za-z0-9+\-_.]+$", min_length = 1, max_length = 255)]
    client_id: Option<String>,
    /// All of the project.
    all: Option<bool>,
}

/// What was revoked.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RevokedClientTokens {
    /// Tokens that were good and are not any more. Registrations that stand on them are over.
    revoked: u64,
}

/// What the project's clients are configured with.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ClientAccess {
    /// The cloud ID.
    cloud_id: String,
    /// The access key: in tokens and in the clients' domain.
    access_key: String,
    /// Tokens minted in this calendar month (UTC).
    minted_this_month: u64,
    /// The most that may be.
    monthly_quota: u64,
}

/// Another access key.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "only its schema is used: the parameter is read by hand")]
pub(crate) struct ClientAccessBody {
    /// Lower-case letters and digits.
    #[schema(pattern = "^[a-z0-9]{1,63}$")]
    access_key: String,
}

/// A key that signs from here on.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RotatedKey {
    /// Its thumbprint (RFC 7638).
    kid: String,
}

/// Public keys (RFC 7517).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = JsonWebKeySet)]
pub(crate) struct KeySet {
    keys: Vec<Key>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = JsonWebKey)]
struct Key {
    kty: &'static str,
    #[serde(rename = "use")]
    used_for: &'static str,
    alg: &'static str,
    kid: String,
    n: String,
    e: String,
}

/// Mint a client token
#[utoipa::path(
    post,
    path = "/api/v1/client-tokens",
    tag = "client-tokens",
    request_body(content(
        (ClientTokenBody = "application/json"),
        (ClientTokenBody = "application/x-www-form-urlencoded"),
    )),
    responses((status = 201, description = "The token.", body = MintedClientToken)),
)]
pub(crate) async fn mint<S: ApiStore>(
    State(state): State<Arc<ApiState<S>>>,
    Caller(caller): Caller,
    Sent(mut sent): Sent,
) -> Result<Response, ApiError> {
    if !sent.has("clientId") {
        sent.fault("clientId", "missing", "clientId: is needed".to_owned());
    }
    let client = client_id(&mut sent);
    let ttl = sent.ttl("ttl", TtlLimit::reject_over(CLIENT_TOKEN_TTL_MAX)).unwrap_or(CLIENT_TOKEN_TTL_DEFAULT);
    if ttl < CLIENT_TOKEN_TTL_MIN {
        let message = format!("ttl: at least {} seconds", CLIENT_TOKEN_TTL_MIN.as_secs());
        sent.fault("ttl", "ttl_too_short", message);
    }
    let allows_incoming = sent.maybe_flag("enableIncoming").unwrap_or(true);
    let callees = callees(&mut sent);
    sent.finish()?;
    // Without one there was a fault.
    let client = client.ok_or_else(ApiError::internal)?;
    let request = ClientTokenRequest { client, ttl, allows_incoming, callees };
    let minted = state.client_tokens.mint(caller, request, Now::read().unix).await.map_err(mint_error)?;
    let body = MintedClientToken {
        id: minted.id,
        token: minted.token.expose().clone(),
        issued_at: minted.issued_at.into(),
        expires_at: minted.expires_at.into(),
    };
    Ok(json(StatusCode::CREATED, &body))
}

/// List client tokens
///
/// Newest first; those that ended more than a week ago are gone.
#[utoipa::path(
    get,
    path = "/api/v1/client-tokens",
    tag = "client-tokens",
    params(ClientTokenQuery, PageQuery),
    responses((status = 200, description = "A page of them.", body = List<ClientToken>)),
)]
pub(crate) async fn list<S: ApiStore>(
    State(state): State<Arc<ApiState<S>>>,
    Caller(caller): Caller,
    Asked(mut asked): Asked,
) -> Result<Response, ApiError> {
    let page = page::request(&mut asked);
    let filter = ClientTokenFilter { client: client_id(&mut asked), active: asked.maybe_flag("active") };
    asked.finish()?;
    let found = state.store.client_tokens(caller.project, &filter, &page, Now::read().unix).await?;
    Ok(page::answer(found, ClientToken::from))
}

/// Revoke a client token
///
/// It is refused from here on, and registrations that stand on it are over.
#[utoipa::path(
    delete,
    path = "/api/v1/client-tokens/{id}",
    tag = "client-tokens",
    params(("id" = String, Path, description = "Its id.")),
    responses((status = 204, description = "It is revoked.")),
)]
pub(crate) async fn revoke_one<S: ApiStore>(
    State(state): State<Arc<ApiState<S>>>,
    Caller(caller): Caller,
    Segment(id): Segment,
) -> Result<Response, ApiError> {
    if id.contains('\0') {
        return Err(ApiError::not_found());
    }
    let revoked = state.client_tokens.revoke(caller, &RevokeClientTokens::Id(id), Now::read().unix).await?;
    if revoked > 0 { Ok(StatusCode::NO_CONTENT.into_response()) } else { Err(ApiError::not_found()) }
}

/// Revoke a client's tokens, or all
///
/// They are refused from here on, and registrations that stand on them are over.
#[utoipa::path(
    post,
    path = "/api/v1/client-tokens/revoke",
    tag = "client-tokens",
    request_body(content(
        (RevokeClientTokensBody = "application/json"),
        (RevokeClientTokensBody = "application/x-www-form-urlencoded"),
    )),
    responses((status = 200, description = "How many.", body = RevokedClientTokens)),
)]
pub(crate) async fn revoke<S: ApiStore>(
    State(state): State<Arc<ApiState<S>>>,
    Caller(caller): Caller,
    Sent(mut sent): Sent,
) -> Result<Response, ApiError> {
    let client = client_id(&mut sent);
    let all = sent.flag("all");
    if sent.has("clientId") == all {
        sent.fault("clientId", "one_of", "clientId or all: name one of them".to_owned());
    }
    sent.finish()?;
    let by = client.map_or(RevokeClientTokens::Project, RevokeClientTokens::Client);
    let revoked = state.client_tokens.revoke(caller, &by, Now::read().unix).await?;
    Ok(json(StatusCode::OK, &RevokedClientTokens { revoked }))
}

/// What clients are configured with
#[utoipa::path(
    get,
    path = "/api/v1/client-tokens/access",
    tag = "client-tokens",
    responses((status = 200, description = "Cloud ID and access key of the project, and its quota.", body = ClientAccess)),
)]
pub(crate) async fn access<S: ApiStore>(
    State(state): State<Arc<ApiState<S>>>,
    Caller(caller): Caller,
) -> Result<Response, ApiError> {
    let account = state.client_tokens.account(caller).await.map_err(mint_error)?;
    let settings = state.client_tokens.settings();
    let body = ClientAccess {
        cloud_id: settings.cloud.to_string(),
        access_key: account.access.to_string(),
        minted_this_month: state.client_tokens.minted_this_month(caller, Now::read().unix).await?,
        monthly_quota: settings.monthly_quota,
    };
    Ok(json(StatusCode::OK, &body))
}

/// Change the access key
///
/// For clients that have one already. Tokens with the one before are refused from here on.
#[utoipa::path(
    patch,
    path = "/api/v1/client-tokens/access",
    tag = "client-tokens",
    request_body(content(
        (ClientAccessBody = "application/json"),
        (ClientAccessBody = "application/x-www-form-urlencoded"),
    )),
    responses(
        (status = 204, description = "It is changed."),
        (status = 409, description = "Another project has it.", body = causeway_api_http::ErrorBody<'_>),
    ),
)]
pub(crate) async fn change_access<S: ApiStore>(
    State(state): State<Arc<ApiState<S>>>,
    Caller(caller): Caller,
    Sent(mut sent): Sent,
) -> Result<Response, ApiError> {
    if !sent.has("accessKey") {
        sent.fault("accessKey", "missing", "accessKey: is needed".to_owned());
    }
    let label = sent.text("accessKey").map(|text| AccessLabel::new(&text));
    if matches!(label, Some(Err(_))) {
        sent.fault("accessKey", "bad_characters", "accessKey: 1 to 63 of a-z and 0-9".to_owned());
    }
    sent.finish()?;
    let label = label.and_then(Result::ok).ok_or_else(ApiError::internal)?;
    state.client_tokens.rename(caller, label, Now::read().unix).await.map_err(|error| match error {
        StoreError::Exists { .. } => {
            ApiError::new(StatusCode::CONFLICT, "access_key_taken", "another project has this access key")
        }
        error @ (StoreError::Unavailable { .. } | StoreError::BadCursor) => error.into(),
    })?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Rotate the signing key
///
/// A new key signs client tokens of every project from here on. What the one before signed is believed for a day more.
#[utoipa::path(
    post,
    path = "/api/v1/client-tokens/rotate-key",
    tag = "client-tokens",
    responses((status = 200, description = "The new one.", body = RotatedKey)),
)]
pub(crate) async fn rotate_key<S: ApiStore>(
    State(state): State<Arc<ApiState<S>>>,
    Caller(caller): Caller,
) -> Result<Response, ApiError> {
    let kid = state.client_tokens.rotate(caller, Now::read().unix).await.map_err(mint_error)?;
    Ok(json(StatusCode::OK, &RotatedKey { kid }))
}

/// Public keys of client tokens
///
/// JWKS: verify tokens with the key that their `kid` names. Ask again when one is not among those you have.
#[utoipa::path(
    get,
    path = "/.well-known/jwks.json",
    tag = "client-tokens",
    responses(
        (status = 200, description = "The keys of tokens that are believed now.", body = KeySet),
        (status = 503, description = "The store does not answer.", body = causeway_api_http::ErrorBody<'_>),
    ),
)]
pub(crate) async fn jwks<S: ApiStore>(State(state): State<Arc<ApiState<S>>>) -> Result<Response, ApiError> {
    let keys = state.client_tokens.public_keys(Now::read().unix).await.map_err(mint_error)?;
    let key = |key: &causeway_credentials::client_token::VerifyingKey| Key {
        kty: "RSA",
        used_for: "sig",
        alg: "RS256",
        kid: key.kid().to_owned(),
        n: key.modulus().to_owned(),
        e: key.exponent().to_owned(),
    };
    let mut response = json(StatusCode::OK, &KeySet { keys: keys.iter().map(key).collect() });
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=60"));
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    Ok(response)
}

impl From<ClientTokenView> for ClientToken {
    fn from(view: ClientTokenView) -> Self {
        Self {
            id: view.id,
            client_id: view.client,
            enable_incoming: view.allows_incoming,
            callees: view.callees,
            token_id: view.token.0,
            issued_at: view.issued_at.into(),
            expires_at: view.expires_at.into(),
            revoked_at: view.revoked_at.map(Into::into),
        }
    }
}

/// `clientId`, when it is given.
pub(crate) fn client_id(parameters: &mut Parameters) -> Option<ClientId> {
    let text = parameters.text("clientId")?;
    match ClientId::new(&text) {
        Ok(client) => Some(client),
        Err(error) => {
            let (code, message) = match error {
                NameError::TooLong => ("too_long", "at most 255 characters"),
                NameError::BadCharacters => ("bad_characters", "letters, digits, + - _ and . only"),
            };
            parameters.fault("clientId", code, format!("clientId: {message}"));
            None
        }
    }
}

fn callees(sent: &mut Parameters) -> Callees {
    let texts = sent.list("callees").unwrap_or_default();
    Callees::new(texts.iter().map(String::as_str)).unwrap_or_else(|error| {
        let (code, message) = match error {
            NameError::TooLong => ("too_many", format!("callees: at most {CALLEES_MAX}, each a client id")),
            NameError::BadCharacters => {
                ("bad_characters", "callees: client ids, or their beginnings with a * behind, or *".to_owned())
            }
        };
        sent.fault("callees", code, message);
        Callees::default()
    })
}

fn mint_error(error: MintTokenError) -> ApiError {
    match error {
        MintTokenError::Store(error) => error.into(),
        MintTokenError::QuotaReached { .. } => ApiError::new(StatusCode::FORBIDDEN, "quota_reached", error.to_string()),
        error @ (MintTokenError::NoKey | _) => {
            tracing::error!(%error, "no client token was minted");
            ApiError::internal()
        }
    }
}
