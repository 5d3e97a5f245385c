//! `/api/v1/projects`: the projects of an organization.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode, response::Response};
use causeway_api_http::{ApiError, Timestamp, json};
use causeway_app::{ProjectChange, ProjectRules, ProjectView, Store};
use causeway_types::Now;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    ApiState,
    extract::{Caller, Segment, Sent},
    page::{self, List},
    regions,
};

/// What may be changed.
const CHANGES: [&str; 4] = ["disabled", "regions", "credentialsPerMonthMax", "bytesPerMonthMax"];

/// A project.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Project {
    /// Its name, as in the header `X-Causeway-Project`.
    slug: String,
    /// When it was made.
    created_at: Timestamp,
    /// Its tokens are refused and its credentials open no new allocation.
    disabled: bool,
    /// Slugs of the regions it may use; empty: every one.
    regions: Vec<String>,
    /// Credentials it may have issued in a calendar month (UTC); null: as many as it likes.
    credentials_per_month_max: Option<u64>,
    /// Bytes its sessions may carry in a calendar month (UTC); null: as many as it likes.
    bytes_per_month_max: Option<u64>,
}

impl From<ProjectView> for Project {
    fn from(view: ProjectView) -> Self {
        let ProjectRules { regions, credentials_per_month_max, bytes_per_month_max } = view.rules;
        Self {
            slug: view.slug,
            created_at: view.created_at.into(),
            disabled: view.is_disabled,
            regions: regions.into_iter().collect(),
            credentials_per_month_max,
            bytes_per_month_max,
        }
    }
}

/// List projects
///
/// By name: all of the organization for an organization-wide token, else the token's own.
#[utoipa::path(
    get,
    path = "/api/v1/projects",
    tag = "projects",
    responses((status = 200, description = "All of them.", body = List<Project>)),
)]
pub(crate) async fn list<S: Store>(
    State(state): State<Arc<ApiState<S>>>,
    Caller(caller): Caller,
) -> Result<Response, ApiError> {
    let projects = state.store.projects(caller.organization).await?;
    let visible = projects.into_iter().filter(|project| caller.organization_wide || project.id == caller.project);
    Ok(page::whole(visible.map(Project::from).collect()))
}

/// A project to make.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only its schema is used: the parameters are read one by one, to name every fault")]
pub(crate) struct MakeProjectRequest {
    /// 1 to 100 letters, digits, `-` and `_`.
    #[schema(pattern = "^[A-Za-z0-9_-]{1,100}$")]
    slug: String,
}

/// Make a project
#[utoipa::path(
    post,
    path = "/api/v1/projects",
    tag = "projects",
    request_body(content(
        (MakeProjectRequest = "application/json"),
        (MakeProjectRequest = "application/x-www-form-urlencoded"),
    )),
    responses(
        (status = 201, description = "The project.", body = Project),
        (status = 409, description = "There is one of that name."),
    ),
)]
pub(crate) async fn make<S: Store>(
    State(state): State<Arc<ApiState<S>>>,
    Caller(caller): Caller,
    Sent(mut sent): Sent,
) -> Result<Response, ApiError> {
    if !sent.has("slug") {
        sent.fault("slug", "missing", "slug: is needed".to_owned());
    }
    let slug = sent.identifier("slug");
    sent.finish()?;
    let slug = slug.ok_or_else(ApiError::internal)?;
    let now = Now::read().unix;
    state.management.make_project(caller, &slug, now).await?;
    let project = Project {
        slug: slug.to_string(),
        created_at: now.into(),
        disabled: false,
        regions: Vec::new(),
        credentials_per_month_max: None,
        bytes_per_month_max: None,
    };
    Ok(json(StatusCode::CREATED, &project))
}

/// What to change; at least one of them.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "only its schema is used: the parameters are read one by one, to name every fault")]
pub(crate) struct SwitchProjectRequest {
    /// Whether it is off.
    disabled: Option<bool>,
    /// Slugs of the regions it may use; empty: every one.
    regions: Option<Vec<String>>,
    /// Credentials in a calendar month (UTC); 0: as many as it likes.
    credentials_per_month_max: Option<u64>,
    /// Bytes in a calendar month (UTC), both directions together; 0: as many as it likes.
    bytes_per_month_max: Option<u64>,
}

/// Disable, enable or limit a project
///
/// From here on the tokens of a disabled project are refused with `project_disabled`, and no credential of it opens a new
/// allocation; live sessions go on. A project that has used up a quota mints no more until the month is over
/// (`quota_exceeded`); one with a list of regions mints for these only (`region_forbidden`). The default project also owns TURN REST names and static users.
#[utoipa::path(
    patch,
    path = "/api/v1/projects/{project}",
    tag = "projects",
    params(("project" = String, Path, description = "Its slug.")),
    request_body(content(
        (SwitchProjectRequest = "application/json"),
        (SwitchProjectRequest = "application/x-www-form-urlencoded"),
    )),
    responses((status = 200, description = "The project as it is.", body = Project)),
)]
pub(crate) async fn switch<S: Store>(
    State(state): State<Arc<ApiState<S>>>,
    Caller(caller): Caller,
    Segment(slug): Segment,
    Sent(mut sent): Sent,
) -> Result<Response, ApiError> {
    let disabled = sent.maybe_flag("disabled");
    let change = ProjectChange {
        regions: regions::slugs(&mut sent, &state.regions.regions().snapshot()),
        credentials_per_month_max: sent.amount("credentialsPerMonthMax"),
        bytes_per_month_max: sent.amount("bytesPerMonthMax"),
    };
    let is_limited = change != ProjectChange::default();
    if disabled.is_none() && !is_limited && !CHANGES.iter().any(|field| sent.has(field)) {
        sent.fault("disabled", "missing", format!("name at least one of {}", CHANGES.join(", ")));
    }
    sent.finish()?;
    if slug.chars().any(char::is_control) {
        return Err(ApiError::not_found());
    }
    let now = Now::read().unix;
    if is_limited && !state.management.limit_project(caller, &slug, change, now).await? {
        return Err(ApiError::not_found());
    }
    if let Some(disabled) = disabled
        && !state.management.switch_project(caller, &slug, disabled, now).await?
    {
        return Err(ApiError::not_found());
    }
    let projects = state.store.projects(caller.organization).await?;
    let project = projects.into_iter().find(|project| project.slug == slug).ok_or_else(ApiError::not_found)?;
    Ok(json(StatusCode::OK, &Project::from(project)))
}
