//! Cloudflare's calls for TURN credentials, over the same record: `generate-ice-servers` (a list), the older `generate`
//! (one object), `revoke`.
//!
//! The TURN key id of the path may be anything: the Bearer token says which project it is. Errors have causeway's shape:
//! the original's is not documented, and its callers look at the status.
//!
//! Entry points: [`router`], [`document`]. Source: `docs/compat/cloudflare.md`.

#![forbid(unsafe_code)]

use std::{fmt, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Path, Request, State},
    http::{HeaderMap, StatusCode},
    middleware,
    response::{IntoResponse, Response},
};
use causeway_api_http::{
    Access, ApiError, Claim, Gate, Guard, Parameters, RouteAccess, Routes, authorize, bearer, json, requester, taken,
};
use causeway_app::{
    ApiCaller, Identifier, LiveSessions, MintRequest, Minted, Minting, Revocation, Scope, Store, TtlLimit,
};
use causeway_types::Now;
use serde::Serialize;
use utoipa::{ToSchema, openapi::OpenApi};

/// Lifetime when none is asked for.
const TTL_DEFAULT: Duration = Duration::from_secs(86_400);
/// Longest `customIdentifier` that is kept.
const CUSTOM_IDENTIFIER_MAX: usize = 256;

/// What each route asks of its caller.
pub const ROUTES: &[RouteAccess] = &[
    row("/v1/turn/keys/{key}/credentials/generate-ice-servers", Scope::Credentials),
    row("/v1/turn/keys/{key}/credentials/generate", Scope::Credentials),
    row("/v1/turn/keys/{key}/credentials/{username}/revoke", Scope::Admin),
];

const fn row(path: &'static str, scope: Scope) -> RouteAccess {
    RouteAccess { method: "POST", path, access: Access::Scope(scope) }
}

/// What the routes need.
pub struct ApiState<S> {
    /// Knows API tokens and their allowances.
    pub gate: Arc<Gate<S>>,
    /// Mints.
    pub minting: Arc<Minting<S>>,
    /// Takes back.
    pub revocation: Arc<Revocation<S>>,
}

impl<S> fmt::Debug for ApiState<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiState")
    }
}

/// The routes of [`ROUTES`].
pub fn router<S: Store>(state: ApiState<S>) -> Router {
    let guard = Guard {
        gate: Arc::clone(&state.gate),
        table: ROUTES,
        claim: |parts| bearer(&parts.headers).map(|token| Claim::Token(token.to_owned())),
    };
    let routes = routes::<S>().split().0;
    routes.route_layer(middleware::from_fn_with_state(guard, authorize::<S>)).with_state(Arc::new(state))
}

/// What they are.
#[must_use]
pub fn document<S: Store>() -> OpenApi {
    routes::<S>().split().1
}

fn routes<S: Store>() -> Routes<Arc<ApiState<S>>> {
    Routes::default()
        .add(__path_generate_ice_servers, generate_ice_servers::<S>)
        .add(__path_generate, generate::<S>)
        .add(__path_revoke, revoke::<S>)
}

/// How long, and for whom.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase", as = CloudflareGenerateRequest)]
#[expect(dead_code, reason = "only its schema is used: the parameters are read one by one, to name every fault")]
struct GenerateRequest {
    /// Seconds; 86400 when not given.
    #[schema(minimum = 1)]
    ttl: Option<u64>,
    /// The application's own name for the user; kept as the credential's metadata, and as its client if it may be one.
    custom_identifier: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CloudflareIceServers)]
struct IceServers {
    ice_servers: Vec<IceServer>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CloudflareIceServersObject)]
struct OneIceServer {
    ice_servers: IceServer,
}

#[derive(Serialize, ToSchema)]
#[schema(as = CloudflareIceServer)]
struct IceServer {
    urls: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    credential: Option<String>,
}

/// Mint a credential (Cloudflare)
#[utoipa::path(
    post,
    path = "/v1/turn/keys/{key}/credentials/generate-ice-servers",
    tag = "cloudflare",
    params(("key" = String, Path, description = "Anything.")),
    request_body(content((GenerateRequest = "application/json"), (GenerateRequest = "application/x-www-form-urlencoded"))),
    responses((status = 201, description = "A list for `RTCPeerConnection`.", body = IceServers)),
)]
async fn generate_ice_servers<S: Store>(
    State(state): State<Arc<ApiState<S>>>,
    request: Request,
) -> Result<Response, ApiError> {
    let minted = mint(&state, request).await?;
    let urls = minted.urls.clone();
    let mut ice_servers = Vec::with_capacity(2);
    if !urls.stun.is_empty() {
        ice_servers.push(IceServer { urls: urls.stun, username: None, credential: None });
    }
    if !urls.turn.is_empty() {
        ice_servers.push(turn_server(urls.turn, minted));
    }
    Ok(json(StatusCode::CREATED, &IceServers { ice_servers }))
}

/// Mint a credential (Cloudflare, older form)
#[utoipa::path(
    post,
    path = "/v1/turn/keys/{key}/credentials/generate",
    tag = "cloudflare",
    params(("key" = String, Path, description = "Anything.")),
    request_body(content((GenerateRequest = "application/json"), (GenerateRequest = "application/x-www-form-urlencoded"))),
    responses((status = 201, description = "One entry with every URL.", body = OneIceServer)),
)]
async fn generate<S: Store>(State(state): State<Arc<ApiState<S>>>, request: Request) -> Result<Response, ApiError> {
    let minted = mint(&state, request).await?;
    let urls = minted.urls.clone();
    let ice_servers = turn_server([urls.stun, urls.turn].concat(), minted);
    Ok(json(StatusCode::CREATED, &OneIceServer { ice_servers }))
}

/// Take a credential back (Cloudflare)
///
/// Its live sessions end too.
#[utoipa::path(
    post,
    path = "/v1/turn/keys/{key}/credentials/{username}/revoke",
    tag = "cloudflare",
    params(
        ("key" = String, Path, description = "Anything."),
        ("username" = String, Path, description = "Its user name."),
    ),
    responses((status = 204, description = "It opens nothing from here on.")),
)]
async fn revoke<S: Store>(State(state): State<Arc<ApiState<S>>>, request: Request) -> Result<Response, ApiError> {
    let (mut parts, _) = request.into_parts();
    let caller = caller(&parts.extensions)?;
    let path = axum::RequestPartsExt::extract::<Path<(String, String)>>(&mut parts).await;
    let Path((_, username)) = path.map_err(|_| ApiError::not_found())?;
    if username.chars().any(char::is_control) {
        return Err(ApiError::not_found());
    }
    match state.revocation.take_back(caller, &username, LiveSessions::End, Now::read().unix).await? {
        Some(_) => Ok(StatusCode::NO_CONTENT.into_response()),
        None => Err(ApiError::not_found()),
    }
}

async fn mint<S: Store>(state: &ApiState<S>, request: Request) -> Result<Minted, ApiError> {
    let (parts, body) = request.into_parts();
    let caller = caller(&parts.extensions)?;
    let mut request = read(&parts.headers, &taken(body).await?, state.minting.policy().ttl_limit())?;
    request.region.client = requester(&parts.extensions);
    Ok(state.minting.mint(caller, request, Now::read().unix).await?)
}

fn read(headers: &HeaderMap, body: &[u8], limit: TtlLimit) -> Result<MintRequest, ApiError> {
    let mut parameters = Parameters::default();
    parameters.add_body(headers, body)?;
    let ttl = parameters.ttl("ttl", limit).unwrap_or_else(|| TTL_DEFAULT.min(limit.max));
    let custom = parameters.plain_text("customIdentifier", CUSTOM_IDENTIFIER_MAX);
    parameters.finish()?;
    Ok(MintRequest {
        ttl: Some(ttl),
        initiator_client: custom.as_deref().and_then(|name| Identifier::new(name).ok()),
        metadata: custom.map(|name| serde_json::json!({ "customIdentifier": name }).to_string()),
        ..MintRequest::default()
    })
}

fn turn_server(urls: Vec<String>, minted: Minted) -> IceServer {
    IceServer { urls, username: Some(minted.username), credential: Some(minted.credential.expose().clone()) }
}

/// The guard put it there.
fn caller(extensions: &axum::http::Extensions) -> Result<ApiCaller, ApiError> {
    extensions.get::<ApiCaller>().copied().ok_or_else(ApiError::internal)
}
