//! Who asks: the API token, what it may do, and its allowance.

use std::sync::Arc;

use axum::http::{HeaderMap, StatusCode, header};
use base64::{Engine, engine::general_purpose::STANDARD};
use causeway_app::{ApiCaller, CallerError, Callers, CredentialStore};
use causeway_types::Now;

use crate::{
    Access, ApiError, Claim,
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

    /// Checks that whoever asks may do this, and takes one request off their allowance. `project` is the slug a person or an
    /// organization-wide token may name.
    ///
    /// # Errors
    /// 401, 403, 404 or 503.
    pub async fn identify(
        &self,
        claim: Option<&Claim>,
        project: Option<&str>,
        access: Access,
    ) -> Result<(ApiCaller, Allowance), ApiError> {
        let now = Now::read().unix;
        let identified = match claim {
            None => {
                let message = "send the API token as `Authorization: Bearer <token>`";
                return Err(unauthorized("missing_token", message));
            }
            Some(Claim::Token(token)) => self.callers.identify(token, project, now).await.map_err(token_refusal),
            Some(Claim::SignIn { secret, .. }) => {
                self.callers.identify_sign_in(secret.expose(), project, now).await.map_err(sign_in_refusal)
            }
        };
        let caller = match identified {
            Ok(caller) => caller,
            Err(Refusal::Disabled(caller)) if may_while_disabled(caller, access) => caller,
            Err(Refusal::Disabled(_)) => {
                return Err(ApiError::new(StatusCode::FORBIDDEN, "project_disabled", "this project is disabled"));
            }
            Err(Refusal::Other(error)) => return Err(error),
        };
        if matches!(claim, Some(Claim::SignIn { is_own: false, .. })) {
            let message = "repeat csrfToken of /api/v1/me in X-CSRF-Token, from a page of this server";
            return Err(ApiError::new(StatusCode::FORBIDDEN, "csrf", message));
        }
        check(caller, access)?;
        Ok((caller, self.rates.take(caller.token)))
    }
}

/// Why a caller is not let in.
enum Refusal {
    Disabled(ApiCaller),
    Other(ApiError),
}

fn unauthorized(code: &'static str, message: &'static str) -> ApiError {
    ApiError::new(StatusCode::UNAUTHORIZED, code, message)
}

fn token_refusal(error: CallerError) -> Refusal {
    Refusal::Other(match error {
        CallerError::Unknown | CallerError::NoSuchProject => {
            unauthorized("invalid_token", "this API token is not known")
        }
        CallerError::Revoked => unauthorized("invalid_token", "this API token was revoked"),
        CallerError::Expired => unauthorized("token_expired", "this API token expired; make a new one"),
        CallerError::ProjectDisabled(caller) => return Refusal::Disabled(caller),
        CallerError::Store(error) => error.into(),
    })
}

/// Nobody is told why a sign-in does not count.
fn sign_in_refusal(error: CallerError) -> Refusal {
    Refusal::Other(match error {
        CallerError::Unknown | CallerError::Revoked | CallerError::Expired => {
            unauthorized("signed_out", "you are not signed in any more; sign in again")
        }
        CallerError::NoSuchProject => ApiError::not_found(),
        CallerError::ProjectDisabled(caller) => return Refusal::Disabled(caller),
        CallerError::Store(error) => error.into(),
    })
}

/// Who else could enable a project? And people are people of the organization, whichever project they look at.
fn may_while_disabled(caller: ApiCaller, access: Access) -> bool {
    match access {
        Access::Organization(_) => caller.organization_wide,
        Access::Known | Access::Person => caller.person.is_some(),
        Access::Open | Access::Scope(_) | Access::End => false,
    }
}

fn check(caller: ApiCaller, access: Access) -> Result<(), ApiError> {
    let forbidden = |message: String| Err(ApiError::new(StatusCode::FORBIDDEN, "scope", message));
    let who = caller.person.map_or("this API token", |_| "your role");
    match access {
        Access::Scope(scope) | Access::Organization(scope) if !caller.scopes.has(scope) => {
            forbidden(format!("{who} lacks the scope `{}`", scope.as_str()))
        }
        Access::End if !caller.may_end() => forbidden(format!("{who} lacks the scope `admin`")),
        Access::Organization(_) if !caller.organization_wide => {
            forbidden("this needs an organization-wide API token".to_owned())
        }
        Access::Person if caller.person.is_none() => {
            forbidden("this is for people who signed in, not for API tokens".to_owned())
        }
        Access::Open | Access::Known | Access::Person | Access::End | Access::Scope(_) | Access::Organization(_) => {
            Ok(())
        }
    }
}
