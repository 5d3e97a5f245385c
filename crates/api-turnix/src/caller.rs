//! Who asks: the Bearer token, and its allowance.

use axum::http::{HeaderMap, StatusCode, header};
use causeway_app::{ApiCaller, CallerError, CredentialStore, Scope};
use causeway_types::Now;

use crate::{Shared, error::ApiError, rate::Allowance};

/// The token of `Authorization: Bearer …`, scheme in any case.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// Which project an organization-wide token stands for in this request.
pub(crate) fn project(headers: &HeaderMap) -> Option<&str> {
    headers.get("x-causeway-project")?.to_str().ok()
}

/// Checks a token that must have the scope `credentials`, and takes one request off its allowance.
pub(crate) async fn identify<S: CredentialStore>(
    shared: &Shared<S>,
    token: Option<&str>,
    project: Option<&str>,
) -> Result<(ApiCaller, Allowance), ApiError> {
    let unauthorized = |code, message| ApiError::new(StatusCode::UNAUTHORIZED, code, message);
    let Some(token) = token else {
        return Err(unauthorized("missing_token", "send the API token as `Authorization: Bearer <token>`"));
    };
    let caller =
        shared.state.callers.identify(token, project, Now::read().unix).await.map_err(|error| match error {
            CallerError::Unknown => unauthorized("invalid_token", "this API token is not known"),
            CallerError::Revoked => unauthorized("invalid_token", "this API token was revoked"),
            CallerError::Expired => unauthorized("token_expired", "this API token expired; make a new one"),
            CallerError::ProjectDisabled => {
                ApiError::new(StatusCode::FORBIDDEN, "project_disabled", "this project is disabled")
            }
            CallerError::Store(error) => {
                tracing::warn!(%error, "token look-up failed");
                ApiError::store_down()
            }
        })?;
    if !caller.scopes.has(Scope::Credentials) {
        let message = "this API token may not mint credentials: it lacks the scope `credentials`";
        return Err(ApiError::new(StatusCode::FORBIDDEN, "scope", message));
    }
    Ok((caller, shared.rates.take(caller.token)))
}

/// The error for a used-up allowance.
pub(crate) fn too_many() -> ApiError {
    let message = "too many requests with this token; wait and try again";
    ApiError::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", message).retry_after(1)
}
