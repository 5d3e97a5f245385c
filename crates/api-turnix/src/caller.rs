//! Who asks: the Bearer token, and its allowance.

use axum::http::{HeaderMap, StatusCode, header};
use causeway_app::{ApiCaller, Store};

use crate::{Shared, error::ApiError, rate::Allowance};

/// The token of `Authorization: Bearer …`, scheme in any case.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// Checks a token and takes one request off its allowance.
pub(crate) async fn identify<S: Store>(
    shared: &Shared<S>,
    token: Option<&str>,
) -> Result<(ApiCaller, Allowance), ApiError> {
    let Some(token) = token else {
        let message = "send the API token as `Authorization: Bearer <token>`";
        return Err(ApiError::new(StatusCode::UNAUTHORIZED, "missing_token", message));
    };
    let caller = shared.state.minting.caller(token).await.map_err(|error| {
        tracing::warn!(%error, "token look-up failed");
        ApiError::store_down()
    })?;
    let Some(caller) = caller else {
        return Err(ApiError::new(StatusCode::UNAUTHORIZED, "invalid_token", "this API token is not known"));
    };
    Ok((caller, shared.rates.take(caller.token)))
}

/// The error for a used-up allowance.
pub(crate) fn too_many() -> ApiError {
    let message = "too many requests with this token; wait and try again";
    ApiError::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", message).retry_after(1)
}
