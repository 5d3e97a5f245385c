//! `GET /api/v1/regions`: a bare array, every field there (`compat/turnix.md#regions`).

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use causeway_api_http::{ApiError, bearer, json, project};
use causeway_app::CredentialStore;
use causeway_types::Now;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{ApiState, NEEDED};

/// A region as clients list it.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Region {
    /// What `fixed_region` takes.
    pub slug: String,
    /// ISO 3166-1 alpha-2 country code.
    pub nat2: String,
    /// For people.
    pub city: String,
    /// For people.
    pub name: String,
    /// Degrees north.
    pub lat: f64,
    /// Degrees east.
    pub lon: f64,
}

#[derive(Serialize, ToSchema)]
#[schema(as = RegionHealth)]
pub(crate) struct Entry<'a> {
    #[serde(flatten)]
    region: &'a Region,
    /// It answers.
    is_online: bool,
    /// It takes new allocations.
    is_operational: bool,
}

/// List regions
#[utoipa::path(
    get,
    path = "/api/v1/regions",
    tag = "regions",
    responses((status = 200, description = "Every region, by slug.", body = Vec<Entry<'_>>)),
)]
pub(crate) async fn list<S: CredentialStore>(
    State(state): State<Arc<ApiState<S>>>,
    request: Request,
) -> Result<Response, ApiError> {
    let headers = request.headers();
    let (_, allowance) = state.gate.identify(bearer(headers), project(headers), NEEDED).await?;
    let answer = if allowance.granted {
        // The server that answers is online; one that drains says so once regions have health.
        json(StatusCode::OK, &[Entry { region: &state.region, is_online: true, is_operational: true }])
    } else {
        ApiError::too_many().into_response()
    };
    Ok(allowance.mark(answer, Now::read().unix))
}
