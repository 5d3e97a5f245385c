//! `GET /api/v1/regions`: a bare array, every field there (`compat/turnix.md#regions`).

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use causeway_api_http::{ApiError, bearer, json, project};
use causeway_app::{CredentialStore, RegionView};
use causeway_types::Now;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{ApiState, NEEDED};

/// A region as clients list it.
#[derive(Serialize, ToSchema)]
#[schema(as = Region)]
pub(crate) struct Entry<'a> {
    /// What `fixed_region` takes.
    slug: &'a str,
    /// ISO 3166-1 alpha-2 country code.
    nat2: &'a str,
    /// For people.
    city: &'a str,
    /// For people.
    name: &'a str,
    /// Degrees north.
    lat: f64,
    /// Degrees east.
    lon: f64,
    /// It answers.
    is_online: bool,
    /// It takes new allocations.
    is_operational: bool,
}

impl<'a> From<&'a RegionView> for Entry<'a> {
    fn from(view: &'a RegionView) -> Self {
        let site = &view.site;
        Self {
            slug: &site.slug,
            nat2: &site.country,
            city: &site.city,
            name: &site.name,
            lat: site.latitude,
            lon: site.longitude,
            is_online: view.is_online,
            is_operational: view.is_operational,
        }
    }
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
        let snapshot = state.minting.regions().snapshot();
        json(StatusCode::OK, &snapshot.regions.iter().map(Entry::from).collect::<Vec<_>>())
    } else {
        ApiError::too_many().into_response()
    };
    Ok(allowance.mark(answer, Now::read().unix))
}
