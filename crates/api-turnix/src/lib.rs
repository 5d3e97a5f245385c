//! The credential API in Turnix's shape, and the TURN REST API (draft-uberti-behave-turn-rest-00).
//!
//! One adapter: its wire types, its checks, its error shape. What is minted and kept is the `app` crate's business.
//!
//! Entry point: [`router`]. Source: `docs/compat/turnix.md`.

#![forbid(unsafe_code)]

mod body;
mod caller;
mod error;
mod ice;
mod limits;
mod parameters;
mod rate;
mod regions;
mod turn_rest;

use std::{fmt, sync::Arc};

use axum::{
    Router,
    extract::Request,
    http::{HeaderName, HeaderValue, StatusCode},
    middleware::{self, Next},
    response::Response,
    routing::{any, get, post},
};
use causeway_app::{Callers, CredentialStore, Minting};

pub use rate::RateLimit;
pub use regions::Region;

use crate::{error::ApiError, rate::TokenRates};

/// The URLs a client is handed: only those whose listener is bound, in the order clients expect.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IceUrls {
    /// `stun:` URLs.
    pub stun: Vec<String>,
    /// `turn:` and `turns:` URLs.
    pub turn: Vec<String>,
}

/// What the routes need.
pub struct ApiState<S> {
    /// Use-cases.
    pub minting: Arc<Minting<S>>,
    /// Knows API tokens.
    pub callers: Arc<Callers<S>>,
    /// Asked for each credential, since a reload may change what is advertised.
    pub ice_urls: Arc<dyn Fn() -> IceUrls + Send + Sync>,
    /// This server.
    pub region: Region,
    /// Per API token.
    pub rate_limit: RateLimit,
}

impl<S> fmt::Debug for ApiState<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiState")
            .field("region", &self.region)
            .field("rate_limit", &self.rate_limit)
            .finish_non_exhaustive()
    }
}

/// State and what the routes remember between requests.
struct Shared<S> {
    state: ApiState<S>,
    rates: TokenRates,
}

/// A request's id: in its answer's header, in error bodies and in the log.
#[derive(Clone, Debug)]
struct RequestId(String);

/// The routes of this family. Unknown paths and methods get this family's error shape.
pub fn router<S: CredentialStore>(state: ApiState<S>) -> Router {
    let rates = TokenRates::new(state.rate_limit);
    let shared = Arc::new(Shared { state, rates });
    Router::new()
        .route("/api/v1/credentials/ice", post(ice::mint::<S>))
        .route("/api/v1/regions", get(regions::list::<S>))
        .route("/api/v1/turn-rest", get(turn_rest::mint::<S>).post(turn_rest::mint::<S>))
        .route("/", any(turn_rest::root::<S>))
        .fallback(unknown_path)
        .method_not_allowed_fallback(unknown_method)
        .with_state(shared)
        .layer(middleware::from_fn(body::whole))
        .layer(middleware::from_fn(with_request_id))
}

async fn with_request_id(mut request: Request, next: Next) -> Response {
    let id = uuid::Uuid::new_v4().to_string();
    request.extensions_mut().insert(RequestId(id.clone()));
    let mut response = next.run(request).await;
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(HeaderName::from_static("x-request-id"), value);
    }
    response
}

async fn unknown_path(request: Request) -> Response {
    ApiError::new(StatusCode::NOT_FOUND, "not_found", "there is nothing at this path").respond(&request_id(&request))
}

async fn unknown_method(request: Request) -> Response {
    let message = "this method is not served at this path; the Allow header names those that are";
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message).respond(&request_id(&request))
}

fn request_id(request: &Request) -> RequestId {
    request.extensions().get::<RequestId>().cloned().unwrap_or_else(|| RequestId(String::new()))
}
