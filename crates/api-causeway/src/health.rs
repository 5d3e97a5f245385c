//! `GET /healthz`: 200 when every part that calls need is well, else 503; the body names the ill ones.

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
    /// Redis takes what is published; none when none is configured. Calls do not need it: without it the status stays 200.
    pub redis: Option<bool>,
    /// New allocations are refused because the server is going down.
    pub draining: bool,
    /// New allocations are refused because an operator drained the server; its API serves on, so the status stays 200.
    pub drained: bool,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Health)]
pub(crate) struct Body {
    /// `ok`; `degraded`: a part that calls do not need is down, or an operator drained the server; `unwell`.
    status: &'static str,
    /// `ok`, `down` or `draining`.
    relay: &'static str,
    /// `ok` or `down`.
    store: &'static str,
    /// `ok` or `down`; absent when none is configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    redis: Option<&'static str>,
}

/// How the server is
#[utoipa::path(
    get,
    path = "/healthz",
    tag = "server",
    responses(
        (status = 200, description = "Every part that calls need is well.", body = Body),
        (status = 503, description = "A part that calls need is ill, or the server drains.", body = Body),
    ),
)]
pub(crate) async fn healthz<S: Store>(State(state): State<Arc<ApiState<S>>>) -> Response {
    let (code, body) = Body::from((state.health)().await);
    (code, Json(body)).into_response()
}

impl Body {
    /// The words for it, and the status of an answer that says so.
    pub(crate) fn from(health: Health) -> (StatusCode, Self) {
        let word = |well| if well { "ok" } else { "down" };
        let relay = if health.draining || health.drained { "draining" } else { word(health.relay) };
        let well = health.relay && health.store && !health.draining;
        let redis = health.redis.map(word);
        let (code, status) = match (well, health.redis) {
            (false, _) => (StatusCode::SERVICE_UNAVAILABLE, "unwell"),
            (true, _) if health.drained => (StatusCode::OK, "degraded"),
            (true, Some(false)) => (StatusCode::OK, "degraded"),
            (true, _) => (StatusCode::OK, "ok"),
        };
        (code, Self { status, relay, store: word(health.store), redis })
    }
}
