//! `GET /healthz`: 200 when every part is well, else 503 that names the ill ones.

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Serialize;

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

#[derive(Serialize)]
struct Body {
    status: &'static str,
    relay: &'static str,
    store: &'static str,
}

pub(crate) async fn healthz(State(state): State<ApiState>) -> Response {
    let health = (state.health)().await;
    let word = |well| if well { "ok" } else { "down" };
    let relay = if health.draining { "draining" } else { word(health.relay) };
    let well = health.relay && health.store && !health.draining;
    let status = if well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Body { status: if well { "ok" } else { "unwell" }, relay, store: word(health.store) }))
        .into_response()
}
