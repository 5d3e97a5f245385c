//! Who asks: the API token, what it may do, and its allowance.

use std::sync::Arc;

use axum::http::{HeaderMap, StatusCode, header};
use base64::{Engine, engine::general_purpose::STANDARD};
use causeway_app::{ApiCaller, CallerError, Callers, CredentialStore};
use causeway_types::Now;

use crate::{
    Access, ApiError,
    rate::{Allowance, RateLimit, TokenRates},
};

/// The token of `Authorization: Bearer …`, scheme in any case.
#[must_use]
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = authorization(headers)?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// User and password of `Authorization: Basic …`.
#[must_use]
pub fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let (scheme, encoded) = authorization(headers)?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    text.split_once(':').map(|(user, password)| (user.to_owned(), password.to_owned()))
}

fn authorization(headers: &HeaderMap) -> Option<(&str, &str)> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')
}

/// Which project an organization-wide token stands for in this request.
#[must_use]
pub fn project(headers: &HeaderMap) -> Option<&str> {
    headers.get("x-causeway-project")?.to_str().ok()
}

/// Knows callers, and how often each may ask, whichever family it asks through.
pub struct Gate<S> {
    callers: Arc<Callers<S>>,
    rates: TokenRates,
}

impl<S> std::fmt::Debug for Gate<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gate").field("rates", &self.rates).finish_non_exhaustive()
    }
}

impl<S: CredentialStore> Gate<S> {
    /// Over callers, with this allowance for each token.
    #[must_use]
    pub fn new(callers: Arc<Callers<S>>, limit: RateLimit) -> Self {
        Self { callers, rates: TokenRates::new(limit) }
    }

    /// Checks that a token may do this, and takes one request off its allowance. `project` is the slug an
    /// organization-wide token may name.
    ///
    /// # Errors
    /// 401, 403 or 503.
    pub async fn identify(
        &self,
        token: Option<&str>,
        project: Option<&str>,
        access: Access,
    ) -> Result<(ApiCaller, Allowance), ApiError> {
        let unauthorized = |code, message| ApiError::new(StatusCode::UNAUTHORIZED, code, message);
        let Some(token) = token else {
            return Err(unauthorized("missing_token", "send the API token as `Authorization: Bearer <token>`"));
        };
        let caller = match self.callers.identify(token, project, Now::read().unix).await {
            Ok(caller) => caller,
            Err(CallerError::ProjectDisabled(caller))
                if matches!(access, Access::Organization(_)) && caller.organization_wide =>
            {
                caller
            }
            Err(error) => {
                return Err(match error {
                    CallerError::Unknown => unauthorized("invalid_token", "this API token is not known"),
                    CallerError::Revoked => unauthorized("invalid_token", "this API token was revoked"),
                    CallerError::Expired => unauthorized("token_expired", "this API token expired; make a new one"),
                    CallerError::ProjectDisabled(_) => {
                        ApiError::new(StatusCode::FORBIDDEN, "project_disabled", "this project is disabled")
                    }
                    CallerError::Store(error) => error.into(),
                });
            }
        };
        check(caller, access)?;
        Ok((caller, self.rates.take(caller.token)))
    }
}

fn check(caller: ApiCaller, access: Access) -> Result<(), ApiError> {
    let forbidden = |message: String| Err(ApiError::new(StatusCode::FORBIDDEN, "scope", message));
    match access {
        Access::Scope(scope) | Access::Organization(scope) if !caller.scopes.has(scope) => {
            forbidden(format!("this API token lacks the scope `{}`", scope.as_str()))
        }
        Access::Organization(_) if !caller.organization_wide => {
            forbidden("this needs an organization-wide API token".to_owned())
        }
        Access::Open | Access::Scope(_) | Access::Organization(_) => Ok(()),
    }
}
