//! The credential API in Turnix's shape, and the TURN REST API (draft-uberti-behave-turn-rest-00).
//!
//! One adapter: its wire types, its checks, its error shape. What is minted and kept is the `app` crate's business.
//!
//! Entry point: [`router`]. Source: `docs/compat/turnix.md`.

#![forbid(unsafe_code)]

mod ice;
mod limits;
mod regions;
mod turn_rest;

use std::{fmt, sync::Arc};

use axum::{Router, routing::any};
use causeway_api_http::{Access, Gate, RouteAccess, Routes};
use causeway_app::{CredentialStore, Minting, Scope};
use utoipa::openapi::OpenApi;

pub use turn_rest::asks_for_turn_rest;

/// What each route asks of its caller. Tokens come in more ways than one here, so the routes themselves see to it.
pub const ROUTES: &[RouteAccess] = &[
    route("POST", "/api/v1/credentials/ice"),
    RouteAccess { method: "GET", path: "/api/v1/regions", access: TO_LIST },
    route("GET", "/api/v1/turn-rest"),
    route("POST", "/api/v1/turn-rest"),
];

const fn route(method: &'static str, path: &'static str) -> RouteAccess {
    RouteAccess { method, path, access: NEEDED }
}

/// Where the servers are is no secret from anybody who is known: who mints needs it, and who only reads.
const TO_LIST: Access = Access::Known;

/// What every other route of this family asks for.
const NEEDED: Access = Access::Scope(Scope::Credentials);

/// What the routes need.
pub struct ApiState<S> {
    /// Use-cases.
    pub minting: Arc<Minting<S>>,
    /// Knows API tokens and their allowances.
    pub gate: Arc<Gate<S>>,
}

impl<S> fmt::Debug for ApiState<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiState")
    }
}

/// The routes of this family.
pub fn router<S: CredentialStore>(state: ApiState<S>) -> Router {
    // The draft's own path is told from others by its query; a document cannot say that.
    routes::<S>().split().0.route("/", any(turn_rest::root::<S>)).with_state(Arc::new(state))
}

/// What they are.
#[must_use]
pub fn document<S: CredentialStore>() -> OpenApi {
    routes::<S>().split().1
}

fn routes<S: CredentialStore>() -> Routes<Arc<ApiState<S>>> {
    Routes::default()
        .add(ice::__path_mint, ice::mint::<S>)
        .add(regions::__path_list, regions::list::<S>)
        .add(turn_rest::__path_mint, turn_rest::mint::<S>)
}
