//! The token service of Aculab's WebRTC clients: `webrtc_generate_token` and `webrtc_registered_clients`.
//!
//! Basic authentication with `cloudID/username`; the password is a causeway API token. Errors have that family's shape.
//!
//! Entry points: [`router`], [`document`]. Source: `docs/compat/aculab.md`.

#![forbid(unsafe_code)]

mod fault;
mod multipart;
mod parameters;
mod registered;
mod token;

use std::{fmt, sync::Arc};

use axum::{Router, http::header, http::request::Parts, middleware};
use causeway_api_http::{Access, Claim, Gate, Guard, RouteAccess, Routes, authorize, basic};
use causeway_app::{ClientTokenStore, ClientTokens, Registrations, Scope};
use tower_http::cors::{AllowOrigin, CorsLayer};
use utoipa::openapi::OpenApi;

pub use fault::Fault;

const CREDENTIALS: Access = Access::Scope(Scope::Credentials);

/// What each route asks of its caller.
pub const ROUTES: &[RouteAccess] = &[
    RouteAccess { method: "GET", path: "/webrtc_generate_token", access: CREDENTIALS },
    RouteAccess { method: "POST", path: "/webrtc_generate_token", access: CREDENTIALS },
    RouteAccess { method: "GET", path: "/webrtc_registered_clients", access: CREDENTIALS },
    RouteAccess { method: "POST", path: "/webrtc_registered_clients", access: CREDENTIALS },
];

/// What the routes need.
pub struct ApiState<S> {
    /// Knows API tokens and their allowances.
    pub gate: Arc<Gate<S>>,
    /// Mints.
    pub tokens: Arc<ClientTokens<S>>,
    /// Who is there.
    pub registrations: Arc<dyn Registrations>,
}

impl<S> fmt::Debug for ApiState<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiState")
    }
}

/// The routes of [`ROUTES`].
pub fn router<S: ClientTokenStore>(state: ApiState<S>) -> Router {
    let guard = Guard { gate: Arc::clone(&state.gate), table: ROUTES, claim };
    let routes = routes::<S>().split().0;
    routes
        .route_layer(middleware::from_fn_with_state(guard, authorize::<S>))
        .method_not_allowed_fallback(fault::unknown_method)
        .layer(middleware::from_fn(fault::in_own_shape))
        .layer(cors())
        .with_state(Arc::new(state))
}

/// What they are.
#[must_use]
pub fn document<S: ClientTokenStore>() -> OpenApi {
    routes::<S>().split().1
}

fn routes<S: ClientTokenStore>() -> Routes<Arc<ApiState<S>>> {
    Routes::default()
        .add(token::__path_asked, token::asked::<S>)
        .add(token::__path_posted, token::posted::<S>)
        .add(registered::__path_asked, registered::asked::<S>)
        .add(registered::__path_posted, registered::posted::<S>)
}

/// The API token is the password; a user name that lacks the cloud ID is none.
fn claim(parts: &Parts) -> Option<Claim> {
    let (user, password) = basic(&parts.headers)?;
    user.contains('/').then_some(Claim::Token(password))
}

/// Pages of any origin may ask: what they send along is an API token, never a cookie.
fn cors() -> CorsLayer {
    CorsLayer::new()
        .allow_origin(AllowOrigin::any())
        .allow_methods([axum::http::Method::GET, axum::http::Method::POST])
        .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE, header::ACCEPT])
        .max_age(std::time::Duration::from_secs(600))
}
