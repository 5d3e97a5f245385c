//! What people need beside the rest of the API: signing in and out, invitations, users with their roles, settings.
//!
//! The cookie it gives out is a claim like an API token: [`causeway_api_http::authorize`] knows both, and every other route
//! of the API takes either. Source: `docs/decisions/0007-console.md`.
//!
//! Entry points: [`router`], [`document`], [`ROUTES`].

#![forbid(unsafe_code)]

mod auth;
mod cookie;
mod errors;
mod me;
mod provider;
mod settings;
mod users;

use std::{fmt, sync::Arc};

use axum::{Router, middleware};
use causeway_api_http::{Access, Claim, Gate, Guard, RouteAccess, Routes, authorize};
use causeway_app::{People, PeopleStore, Scope, Store};
use utoipa::openapi::OpenApi;

/// What each route asks of its caller.
pub const ROUTES: &[RouteAccess] = &[
    row("GET", "/api/v1/auth", Access::Open),
    row("POST", "/api/v1/auth/login", Access::Open),
    row("GET", "/api/v1/auth/oidc", Access::Open),
    row("GET", "/api/v1/auth/oidc/callback", Access::Open),
    row("POST", "/api/v1/auth/link", Access::Open),
    row("POST", "/api/v1/auth/welcome", Access::Open),
    row("POST", "/api/v1/auth/logout", Access::Person),
    row("POST", "/api/v1/auth/logout-everywhere", Access::Person),
    row("POST", "/api/v1/auth/password", Access::Person),
    row("GET", "/api/v1/me", Access::Known),
    row("GET", "/api/v1/users", OWNER),
    row("POST", "/api/v1/users", OWNER),
    row("PATCH", "/api/v1/users/{id}", OWNER),
    row("POST", "/api/v1/users/{id}/link", OWNER),
    row("POST", "/api/v1/users/{id}/logout", OWNER),
    row("GET", "/api/v1/settings", Access::Scope(Scope::Read)),
    row("PUT", "/api/v1/settings", OWNER),
];

const OWNER: Access = Access::Organization(Scope::Admin);

const fn row(method: &'static str, path: &'static str, access: Access) -> RouteAccess {
    RouteAccess { method, path, access }
}

/// What the routes need.
pub struct ApiState<S> {
    /// Knows callers and their allowances.
    pub gate: Arc<Gate<S>>,
    /// What is recorded.
    pub store: Arc<S>,
    /// The use-cases.
    pub people: Arc<People<S>>,
    /// How long the cookie is kept.
    pub lifetime: std::time::Duration,
}

impl<S> fmt::Debug for ApiState<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiState")
    }
}

/// The routes of [`ROUTES`].
pub fn router<S: Store + PeopleStore>(state: ApiState<S>) -> Router {
    let guard = Guard { gate: Arc::clone(&state.gate), table: ROUTES, claim: Claim::of };
    let routes = routes::<S>().split().0;
    routes.route_layer(middleware::from_fn_with_state(guard, authorize::<S>)).with_state(Arc::new(state))
}

/// What they are.
#[must_use]
pub fn document<S: Store + PeopleStore>() -> OpenApi {
    routes::<S>().split().1
}

fn routes<S: Store + PeopleStore>() -> Routes<Arc<ApiState<S>>> {
    Routes::default()
        .add(auth::__path_ways, auth::ways::<S>)
        .add(auth::__path_login, auth::login::<S>)
        .add(provider::__path_leave, provider::leave::<S>)
        .add(provider::__path_come_back, provider::come_back::<S>)
        .add(auth::__path_link, auth::link::<S>)
        .add(auth::__path_welcome, auth::welcome::<S>)
        .add(auth::__path_logout, auth::logout::<S>)
        .add(auth::__path_logout_everywhere, auth::logout_everywhere::<S>)
        .add(auth::__path_password, auth::password::<S>)
        .add(me::__path_me, me::me::<S>)
        .add(users::__path_list, users::list::<S>)
        .add(users::__path_invite, users::invite::<S>)
        .add(users::__path_change, users::change::<S>)
        .add(users::__path_link, users::link::<S>)
        .add(users::__path_logout, users::logout::<S>)
        .add(settings::__path_read, settings::read::<S>)
        .add(settings::__path_write, settings::write::<S>)
}
