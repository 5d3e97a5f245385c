//! `GET /healthz`: 200 when every part is well, else 503 that names the ill ones.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use causeway_app::Store;
use serde::Serialize;
use utoipa::ToSchema;

use crate::ApiState;

/// How the parts are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    /// Every listener is bound and the data plane runs.
    pub relay: bool,
    /// The store answers.
    pub store: bool,
    /// New allocations are refused because the server is going down.
    pub draining: bool,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Health)]
pub(crate) struct Body {
    /// `ok` or `unwell`.
    status: &'static str,
    /// `ok`, `down` or `draining`.
    relay: &'static str,
    /// `ok` or `down`.
    store: &'static str,
}

/// How the server is
#[utoipa::path(
    get,
    path = "/healthz",
    tag = "server",
    responses(
        (status = 200, description = "Every part is well.", body = Body),
        (status = 503, description = "A part is ill, or the server drains.", body = Body),
    ),
)]
pub(crate) async fn healthz<S: Store>(State(state): State<Arc<ApiState<S>>>) -> Response {
    let health = (state.health)().await;
    let word = |well| if well { "ok" } else { "down" };
    let relay = if health.draining { "draining" } else { word(health.relay) };
    let well = health.relay && health.store && !health.draining;
    let status = if well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Body { status: if well { "ok" } else { "unwell" }, relay, store: word(health.store) }))
        .into_response()
}
