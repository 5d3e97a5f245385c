//! `GET /api/v1/me`: who asks, and what they may do.

use std::sync::Arc;

use axum::{Extension, extract::State, http::StatusCode, response::Response};
use causeway_api_http::{ApiError, Caller, Claim, json};
use causeway_app::{PeopleStore, Scope, Scopes, Store, UserView};
use causeway_credentials::sign_in::csrf_token;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{ApiState, errors::refusal};

/// Who asks.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Me {
    /// Null for an API token.
    user: Option<MyUser>,
    /// What they may do: `owner`, `operator` or `viewer`; null for an API token.
    role: Option<&'static str>,
    /// What an API token that may do as much has.
    scopes: Vec<&'static str>,
    /// Repeat it in `X-CSRF-Token` with whatever is not GET; null for an API token, which needs none.
    csrf_token: Option<String>,
    /// The organization's number.
    organization: i64,
    /// The project this request is about.
    project: Option<String>,
    /// Those `X-Causeway-Project` may name.
    projects: Vec<MyProject>,
    /// Of the server.
    version: &'static str,
    /// What this server offers.
    features: Features,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MyUser {
    /// Number.
    id: i64,
    email: String,
    name: String,
    /// `owner`, `operator` or `viewer`.
    role: &'static str,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MyProject {
    slug: String,
    /// Its tokens are refused and its credentials open no new allocation.
    disabled: bool,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Features {
    /// People may sign in at an OpenID provider.
    oidc: bool,
}

/// Who asks, and what they may do
#[utoipa::path(
    get,
    path = "/api/v1/me",
    tag = "auth",
    responses((status = 200, description = "Who asks.", body = Me)),
)]
pub(crate) async fn me<S: Store + PeopleStore>(
    State(state): State<Arc<ApiState<S>>>,
    Caller(caller): Caller,
    Extension(claim): Extension<Claim>,
) -> Result<Response, ApiError> {
    let user = match caller.person {
        Some(person) => Some(state.people.one(caller, person.id).await.map_err(refusal)?),
        None => None,
    };
    let csrf = match &claim {
        Claim::SignIn { secret, .. } => Some(csrf_token(secret.expose())),
        Claim::Token(_) => None,
    };
    let projects = state.store.projects(caller.organization).await?;
    let project = projects.iter().find(|project| project.id == caller.project).map(|project| project.slug.clone());
    let visible = projects.into_iter().filter(|project| caller.organization_wide || project.id == caller.project);
    let body = Me {
        user: user.map(MyUser::from),
        role: caller.person.map(|person| person.role.as_str()),
        scopes: scopes(caller.scopes),
        csrf_token: csrf,
        organization: caller.organization.0,
        project,
        projects: visible.map(|project| MyProject { slug: project.slug, disabled: project.is_disabled }).collect(),
        version: env!("CARGO_PKG_VERSION"),
        features: state.features(),
    };
    Ok(json(StatusCode::OK, &body))
}

impl From<UserView> for MyUser {
    fn from(user: UserView) -> Self {
        Self { id: user.id.0, email: user.email, name: user.name, role: user.role.as_str() }
    }
}

fn scopes(scopes: Scopes) -> Vec<&'static str> {
    scopes.iter().map(Scope::as_str).collect()
}

impl<S: Store + PeopleStore> ApiState<S> {
    fn features(&self) -> Features {
        Features { oidc: self.people.provider_name().is_some() }
    }
}
