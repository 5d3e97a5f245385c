//! `/api/v1/regions/{region}/drain` and `/undrain`: taking a region, or a node of it, out of service and back.

use std::{collections::BTreeSet, sync::Arc};

use axum::{extract::State, http::StatusCode, response::Response};
use causeway_api_http::{ApiError, Parameters, json};
use causeway_app::{ApiCaller, Drain, Identifier, RegionSnapshot, Store};
use causeway_types::Now;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    ApiState,
    extract::{Caller, Segment, Sent},
};

/// A region after it was drained or put back.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RegionState {
    /// Which.
    slug: String,
    /// All of it is drained.
    drained: bool,
    /// A server of it answers, or its URLs are written down.
    online: bool,
    /// It takes new sessions.
    operational: bool,
    /// The nodes of it that are drained, by name.
    drained_nodes: Vec<String>,
}

/// What to drain, or to put back.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only its schema is used: the parameters are read one by one, to name every fault")]
pub(crate) struct DrainRequest {
    /// One node of the region; all of it when not given.
    #[schema(pattern = "^[A-Za-z0-9_-]{1,100}$")]
    node: Option<String>,
}

/// Drain a region
///
/// Credentials name other regions from here on, and its servers refuse new allocations; live sessions go on. It stays so over
/// restarts until it is put back.
#[utoipa::path(
    post,
    path = "/api/v1/regions/{region}/drain",
    tag = "regions",
    params(("region" = String, Path, description = "Its slug.")),
    request_body(content(
        (DrainRequest = "application/json"),
        (DrainRequest = "application/x-www-form-urlencoded"),
    )),
    responses((status = 200, description = "The region as it is.", body = RegionState)),
)]
pub(crate) async fn drain<S: Store>(
    State(state): State<Arc<ApiState<S>>>,
    Caller(caller): Caller,
    Segment(slug): Segment,
    sent: Sent,
) -> Result<Response, ApiError> {
    switch(&state, caller, slug, sent, true).await
}

/// Put a drained region back
#[utoipa::path(
    post,
    path = "/api/v1/regions/{region}/undrain",
    tag = "regions",
    params(("region" = String, Path, description = "Its slug.")),
    request_body(content(
        (DrainRequest = "application/json"),
        (DrainRequest = "application/x-www-form-urlencoded"),
    )),
    responses((status = 200, description = "The region as it is.", body = RegionState)),
)]
pub(crate) async fn undrain<S: Store>(
    State(state): State<Arc<ApiState<S>>>,
    Caller(caller): Caller,
    Segment(slug): Segment,
    sent: Sent,
) -> Result<Response, ApiError> {
    switch(&state, caller, slug, sent, false).await
}

async fn switch<S: Store>(
    state: &ApiState<S>,
    caller: ApiCaller,
    region: String,
    Sent(mut sent): Sent,
    is_drained: bool,
) -> Result<Response, ApiError> {
    let node = sent.identifier("node").as_ref().map(Identifier::to_string);
    sent.finish()?;
    let drain = Drain { region: region.clone(), node };
    if !state.regions.drain(caller, drain, is_drained, Now::read()).await? {
        return Err(ApiError::not_found());
    }
    let snapshot = state.regions.regions().snapshot();
    let view = snapshot.find(&region).ok_or_else(ApiError::not_found)?;
    let drained_nodes = view.nodes.iter().filter(|node| node.is_drained).map(|node| node.report.name.clone());
    let answer = RegionState {
        slug: region,
        drained: view.is_drained,
        online: view.is_online,
        operational: view.is_operational,
        drained_nodes: drained_nodes.collect(),
    };
    Ok(json(StatusCode::OK, &answer))
}

/// The list `regions` of a request: none of them unknown.
pub(crate) fn slugs(sent: &mut Parameters, known: &RegionSnapshot) -> Option<BTreeSet<String>> {
    if !sent.has("regions") {
        return None;
    }
    let slugs = sent.list("regions")?;
    if slugs.iter().any(|slug| known.find(slug).is_none()) {
        sent.fault("regions", "region_unknown", "regions: there is no such region".to_owned());
        return None;
    }
    Some(slugs.into_iter().collect())
}
