//! `/api/v1/tokens`: who may call this API.

use std::sync::Arc;

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use causeway_api_http::{ApiError, Timestamp, json};
use causeway_app::{ManagementError, Scope, Scopes, Store, TokenId, TokenRequest, TokenView};
use causeway_types::Now;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    ApiState,
    extract::{Caller, Segment, Sent},
    page::{self, List},
    regions,
};

/// Longest name.
const NAME_BYTES_MAX: usize = 100;

/// An API token; never its value.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Token {
    /// Its number.
    id: i64,
    /// What people call it.
    name: String,
    /// Its first characters, to recognise it by.
    prefix: String,
    /// What it may do: `credentials`, `read`, `admin`.
    scopes: Vec<&'static str>,
    /// Whether it stands for every project of its organization.
    organization_wide: bool,
    /// When it was made.
    created_at: Timestamp,
    /// When it was last used, give or take five seconds.
    last_used_at: Option<Timestamp>,
    /// When it stops working.
    expires_at: Option<Timestamp>,
    /// When it was revoked.
    revoked_at: Option<Timestamp>,
    /// Slugs of the regions it may mint for; empty: every one of its project.
    regions: Vec<String>,
}

/// A token that was just made.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NewToken {
    #[serde(flatten)]
    token: Token,
    /// The token itself. It is shown this once.
    value: String,
}

impl From<TokenView> for Token {
    fn from(view: TokenView) -> Self {
        Self {
            id: view.id.0,
            name: view.name,
            prefix: view.prefix,
            scopes: view.scopes.iter().map(Scope::as_str).collect(),
            organization_wide: view.organization_wide,
            created_at: view.created_at.into(),
            last_used_at: view.last_used_at.map(Into::into),
            expires_at: view.expires_at.map(Into::into),
            revoked_at: view.revoked_at.map(Into::into),
            regions: view.regions.into_iter().collect(),
        }
    }
}

/// List tokens
///
/// Newest first: the project's own, and for an organization-wide token the organization-wide ones.
#[utoipa::path(
    get,
    path = "/api/v1/tokens",
    tag = "tokens",
    responses((status = 200, description = "All of them.", body = List<Token>)),
)]
pub(crate) async fn list<S: Store>(
    State(state): State<Arc<ApiState<S>>>,
    Caller(caller): Caller,
) -> Result<Response, ApiError> {
    let tokens = state.store.tokens(caller).await?;
    Ok(page::whole(tokens.into_iter().map(Token::from).collect()))
}

/// A token to make.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "only its schema is used: the parameters are read one by one, to name every fault")]
pub(crate) struct MakeTokenRequest {
    /// What people call it.
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    /// What it may do: any of `credentials`, `read`, `admin`.
    #[schema(min_items = 1)]
    scopes: Vec<String>,
    /// When it stops working (RFC 3339); never when not given.
    #[schema(format = DateTime)]
    expires_at: Option<String>,
    /// Whether it stands for every project; only an organization-wide token may ask for that.
    organization_wide: Option<bool>,
    /// Slugs of the regions it may mint for; every one of its project when empty or not given.
    regions: Option<Vec<String>>,
}

/// Make a token
#[utoipa::path(
    post,
    path = "/api/v1/tokens",
    tag = "tokens",
    request_body(content(
        (MakeTokenRequest = "application/json"),
        (MakeTokenRequest = "application/x-www-form-urlencoded"),
    )),
    responses((status = 201, description = "The token, with its value.", body = NewToken)),
)]
pub(crate) async fn make<S: Store>(
    State(state): State<Arc<ApiState<S>>>,
    Caller(caller): Caller,
    Sent(mut sent): Sent,
) -> Result<Response, ApiError> {
    let now = Now::read().unix;
    for field in ["name", "scopes"] {
        if !sent.has(field) {
            sent.fault(field, "missing", format!("{field}: is needed"));
        }
    }
    let name = sent.plain_text("name", NAME_BYTES_MAX).unwrap_or_default();
    let scopes = sent.list("scopes").and_then(|words| read_scopes(&words));
    if scopes.is_none() && sent.has("scopes") {
        sent.fault("scopes", "bad_scope", "scopes: any of credentials, read, admin".to_owned());
    }
    let expires_at = sent.time("expiresAt");
    if expires_at.is_some_and(|expires| expires <= now) {
        sent.fault("expiresAt", "in_the_past", "expiresAt: must lie ahead".to_owned());
    }
    let organization_wide = sent.flag("organizationWide");
    let regions = regions::slugs(&mut sent, &state.regions.regions().snapshot()).unwrap_or_default();
    sent.finish()?;
    let scopes = scopes.unwrap_or_default();
    let request = TokenRequest { name, scopes, organization_wide, expires_at, regions };
    let made = state.management.make_token(caller, request, now).await.map_err(error)?;
    Ok(json(StatusCode::CREATED, &NewToken { token: made.view.into(), value: made.value.expose().clone() }))
}

/// Revoke a token
///
/// It is refused from here on; the credentials it minted go on, see `POST /api/v1/credentials/revoke`.
#[utoipa::path(
    delete,
    path = "/api/v1/tokens/{id}",
    tag = "tokens",
    params(("id" = u64, Path, description = "Its number.")),
    responses((status = 204, description = "It is revoked.")),
)]
pub(crate) async fn revoke<S: Store>(
    State(state): State<Arc<ApiState<S>>>,
    Caller(caller): Caller,
    Segment(id): Segment,
) -> Result<Response, ApiError> {
    let id = id.parse().map(TokenId).map_err(|_| ApiError::not_found())?;
    if state.management.revoke_token(caller, id, Now::read().unix).await? {
        Ok(StatusCode::NO_CONTENT.into_response())
    } else {
        Err(ApiError::not_found())
    }
}

/// None of them unknown, and at least one.
fn read_scopes(words: &[String]) -> Option<Scopes> {
    let scope = |word: &String| Scope::ALL.into_iter().find(|scope| scope.as_str() == word);
    let scopes: Vec<Scope> = words.iter().map(scope).collect::<Option<_>>()?;
    (!scopes.is_empty()).then(|| scopes.into_iter().fold(Scopes::default(), Scopes::with))
}

fn error(error: ManagementError) -> ApiError {
    match error {
        ManagementError::Store(error) => error.into(),
        ManagementError::NotOrganizationWide => {
            let message = "only an organization-wide API token may make one";
            ApiError::new(StatusCode::FORBIDDEN, "scope", message)
        }
        ManagementError::NoRandomness | _ => {
            tracing::error!(%error, "no token was made");
            ApiError::internal()
        }
    }
}
