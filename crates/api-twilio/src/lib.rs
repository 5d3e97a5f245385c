//! Twilio's `Tokens.json`, over the same record.
//!
//! Basic authentication as there; the password is a causeway API token, and the account in the path and the user name may
//! be anything. Errors have Twilio's shape.
//!
//! Entry points: [`router`], [`document`]. Source: `docs/compat/twilio.md`.

#![forbid(unsafe_code)]

use std::{fmt, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Path, Request, State},
    http::StatusCode,
    middleware,
    response::Response,
};
use causeway_api_http::{
    Access, ApiError, Claim, Gate, Guard, Parameters, RouteAccess, Routes, authorize, basic, json, requester, taken,
};
use causeway_app::{ApiCaller, MintRequest, Minting, RegionWish, Scope, Store};
use causeway_types::{Now, UnixTime};
use serde::Serialize;
use time::{OffsetDateTime, format_description::BorrowedFormatItem, macros::format_description};
use utoipa::{ToSchema, openapi::OpenApi};

/// RFC 2822.
const DATE: &[BorrowedFormatItem<'_>] =
    format_description!("[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] +0000");
/// Lifetime when none is asked for.
const TTL_DEFAULT: Duration = Duration::from_secs(86_400);

/// What each route asks of its caller.
pub const ROUTES: &[RouteAccess] = &[RouteAccess {
    method: "POST",
    path: "/2010-04-01/Accounts/{sid}/Tokens.json",
    access: Access::Scope(Scope::Credentials),
}];

/// What the routes need.
pub struct ApiState<S> {
    /// Knows API tokens and their allowances.
    pub gate: Arc<Gate<S>>,
    /// Mints.
    pub minting: Arc<Minting<S>>,
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
        claim: |parts| basic(&parts.headers).map(|(_, password)| Claim::Token(password)),
    };
    let routes = routes::<S>().split().0;
    routes
        .route_layer(middleware::from_fn_with_state(guard, authorize::<S>))
        .route_layer(middleware::map_response(in_own_shape))
        .with_state(Arc::new(state))
}

/// What they are.
#[must_use]
pub fn document<S: Store>() -> OpenApi {
    routes::<S>().split().1
}

fn routes<S: Store>() -> Routes<Arc<ApiState<S>>> {
    Routes::default().add(__path_create, create::<S>)
}

#[derive(ToSchema)]
#[schema(rename_all = "PascalCase", as = TwilioTokenRequest)]
#[expect(dead_code, reason = "only its schema is used: the parameters are read one by one, to name every fault")]
struct TokenRequest {
    /// Seconds; 86400 when not given.
    #[schema(minimum = 1)]
    ttl: Option<u64>,
}

/// Fields in the order the original sends them.
#[derive(Serialize, ToSchema)]
#[schema(as = TwilioToken)]
struct Token {
    username: String,
    ice_servers: Vec<IceServer>,
    date_updated: String,
    account_sid: String,
    /// Seconds, as a text.
    ttl: String,
    date_created: String,
    password: String,
}

/// One URL each, under both names.
#[derive(Serialize, ToSchema)]
#[schema(as = TwilioIceServer)]
struct IceServer {
    url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<String>,
    urls: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    credential: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = TwilioError)]
struct ErrorBody<'a> {
    code: u16,
    message: &'a str,
    more_info: String,
    status: u16,
}

/// Mint a credential (Twilio)
#[utoipa::path(
    post,
    path = "/2010-04-01/Accounts/{sid}/Tokens.json",
    tag = "twilio",
    params(("sid" = String, Path, description = "Anything.")),
    request_body(content((TokenRequest = "application/x-www-form-urlencoded"), (TokenRequest = "application/json"))),
    security(("tokenAsPassword" = [])),
    responses(
        (status = 201, description = "A token in Twilio's words: a credential.", body = Token),
        (status = 400, description = "The body or a field is bad.", body = ErrorBody<'_>),
        (status = 401, description = "The token is missing, wrong, revoked or expired.", body = ErrorBody<'_>),
        (status = 403, description = "The token lacks the scope, or the project is disabled.", body = ErrorBody<'_>),
        (status = 404, description = "Not there.", body = ErrorBody<'_>),
        (status = 415, description = "The body is neither JSON nor a form.", body = ErrorBody<'_>),
        (status = 429, description = "Too many requests with this token.", body = ErrorBody<'_>),
        (status = 500, description = "The server failed.", body = ErrorBody<'_>),
        (status = 503, description = "A part of the server does not answer.", body = ErrorBody<'_>),
    ),
)]
async fn create<S: Store>(State(state): State<Arc<ApiState<S>>>, request: Request) -> Result<Response, ApiError> {
    let now = Now::read().unix;
    let (mut parts, body) = request.into_parts();
    let caller = parts.extensions.get::<ApiCaller>().copied().ok_or_else(ApiError::internal)?;
    let path = axum::RequestPartsExt::extract::<Path<String>>(&mut parts).await;
    let Path(account_sid) = path.map_err(|_| ApiError::not_found())?;
    let limit = state.minting.policy().ttl_limit();
    let mut parameters = Parameters::default();
    parameters.add_body(&parts.headers, &taken(body).await?)?;
    let ttl = parameters.ttl("Ttl", limit).unwrap_or_else(|| TTL_DEFAULT.min(limit.max));
    parameters.finish()?;
    let region = RegionWish { client: requester(&parts.extensions), ..RegionWish::default() };
    let request = MintRequest { ttl: Some(ttl), region, ..MintRequest::default() };
    let minted = state.minting.mint(caller, request, now).await?;
    let urls = minted.urls;
    let stun = urls.stun.into_iter().map(|url| IceServer { urls: url.clone(), url, username: None, credential: None });
    let turn = urls.turn.into_iter().map(|url| IceServer {
        urls: url.clone(),
        url,
        username: Some(minted.username.clone()),
        credential: Some(minted.credential.expose().clone()),
    });
    let body = Token {
        ice_servers: stun.chain(turn).collect(),
        username: minted.username.clone(),
        password: minted.credential.expose().clone(),
        ttl: ttl.as_secs().to_string(),
        account_sid,
        date_created: date(now),
        date_updated: date(now),
    };
    Ok(json(StatusCode::CREATED, &body))
}

fn date(at: UnixTime) -> String {
    let at = i64::try_from(at.as_secs()).ok().and_then(|secs| OffsetDateTime::from_unix_timestamp(secs).ok());
    at.and_then(|at| at.format(DATE).ok()).unwrap_or_default()
}

/// An error as Twilio writes it.
async fn in_own_shape(mut response: Response) -> Response {
    let Some(error) = response.extensions_mut().remove::<ApiError>() else { return response };
    // Twilio knows no 422; its codes are 20000 and the status but for a few.
    let status =
        if error.status() == StatusCode::UNPROCESSABLE_ENTITY { StatusCode::BAD_REQUEST } else { error.status() };
    let code = match status {
        StatusCode::UNAUTHORIZED => 20_003,
        StatusCode::BAD_REQUEST => 20_001,
        _ => 20_000 + status.as_u16(),
    };
    let message = if status == StatusCode::UNAUTHORIZED { "Authenticate" } else { error.message() };
    let more_info = format!("https://www.twilio.com/docs/errors/{code}");
    let mut own = json(status, &ErrorBody { code, message, more_info, status: status.as_u16() });
    error.mark(&mut own, "Basic");
    own.headers_mut().extend(std::mem::take(response.headers_mut()));
    own
}
