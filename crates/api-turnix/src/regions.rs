//! `GET /api/v1/regions`: a bare array, every field there (`compat/turnix.md#regions`).

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use causeway_api_http::{ApiError, Claim, Parameters, Timestamp, json, project};
use causeway_app::{ApiCaller, CredentialStore, NodeView, RegionSnapshot, RegionView, Scope};
use causeway_types::{Now, UnixTime};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{ApiState, TO_LIST};

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
    /// An operator drained all of it. Only with `nodes=true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    is_drained: Option<bool>,
    /// Its servers, by name. Only with `nodes=true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    nodes: Option<Vec<Node<'a>>>,
}

/// A server of a region.
#[derive(Serialize, ToSchema)]
#[schema(as = RegionNode)]
pub(crate) struct Node<'a> {
    /// Its name.
    name: &'a str,
    /// Of the program.
    version: &'a str,
    /// What it says of itself: `serving`, `full`, `draining` or `stopped`.
    state: &'static str,
    /// It was heard of lately.
    is_online: bool,
    /// It takes new allocations.
    is_operational: bool,
    /// An operator drained it, or its region.
    is_drained: bool,
    /// Live allocations.
    live_sessions: u32,
    /// Since when it runs.
    started_at: Timestamp,
    /// When it told of itself, by its own clock.
    seen_at: Timestamp,
    /// Whole days for which its certificate is good, less than none when it expired; null when it has none that others trust.
    certificate_days_left: Option<i64>,
    /// What its clients are handed.
    urls: Vec<&'a str>,
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
            is_drained: None,
            nodes: None,
        }
    }
}

impl<'a> Entry<'a> {
    fn with_nodes(view: &'a RegionView, now: UnixTime) -> Self {
        let nodes = view.nodes.iter().map(|node| Node::of(node, now)).collect();
        Self { is_drained: Some(view.is_drained), nodes: Some(nodes), ..Self::from(view) }
    }
}

impl<'a> Node<'a> {
    fn of(view: &'a NodeView, now: UnixTime) -> Self {
        let report = &view.report;
        Self {
            name: &report.name,
            version: &report.version,
            state: report.state.as_str(),
            is_online: view.is_online,
            is_operational: view.is_operational(),
            is_drained: view.is_drained,
            live_sessions: report.live_sessions,
            started_at: report.started_at.into(),
            seen_at: report.seen_at.into(),
            certificate_days_left: report.certificate_expires_at.map(|expires| days_between(now, expires)),
            urls: report.urls.stun.iter().chain(&report.urls.turn).map(String::as_str).collect(),
        }
    }
}

fn days_between(from: UnixTime, to: UnixTime) -> i64 {
    let secs = |time: UnixTime| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    secs(to).saturating_sub(secs(from)).div_euclid(86_400)
}

/// List regions
///
/// With `nodes=true`, which needs an organization-wide token that also has the scope `read`, with the servers of each.
#[utoipa::path(
    get,
    path = "/api/v1/regions",
    tag = "regions",
    params(("nodes" = Option<bool>, Query, description = "Tell of the servers of each region too.")),
    responses((status = 200, description = "Every region, by slug.", body = Vec<Entry<'_>>)),
)]
pub(crate) async fn list<S: CredentialStore>(
    State(state): State<Arc<ApiState<S>>>,
    request: Request,
) -> Result<Response, ApiError> {
    let now = Now::read().unix;
    let (parts, _) = request.into_parts();
    let claim = Claim::of(&parts);
    let (caller, allowance) = state.gate.identify(claim.as_ref(), project(&parts.headers), TO_LIST).await?;
    let answer = if allowance.granted {
        let snapshot = state.minting.regions().snapshot();
        listed(&snapshot, caller, Parameters::of_query(parts.uri.query()), now)
    } else {
        Err(ApiError::too_many())
    };
    Ok(allowance.mark(answer.unwrap_or_else(IntoResponse::into_response), now))
}

fn listed(
    snapshot: &RegionSnapshot,
    caller: ApiCaller,
    mut asked: Parameters,
    now: UnixTime,
) -> Result<Response, ApiError> {
    let with_nodes = asked.flag("nodes");
    asked.finish()?;
    // How many sessions a server has is a matter of all projects.
    if with_nodes && !(caller.organization_wide && caller.scopes.has(Scope::Read)) {
        let message = "nodes needs an organization-wide API token with the scope `read`";
        return Err(ApiError::new(StatusCode::FORBIDDEN, "scope", message));
    }
    let entry = |view| if with_nodes { Entry::with_nodes(view, now) } else { Entry::from(view) };
    Ok(json(StatusCode::OK, &snapshot.regions.iter().map(entry).collect::<Vec<_>>()))
}
