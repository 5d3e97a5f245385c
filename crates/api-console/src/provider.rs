//! `/api/v1/auth/oidc`: to an OpenID provider and back. Both are pages that a browser opens, so that what goes wrong is told
//! on the sign-in page: the way back carries `signInError`.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use causeway_api_http::{ApiError, Asked, client_address, is_same_origin};
use causeway_app::{PeopleError, PeopleStore, ProviderAnswer, SignInOutcome, Store};
use causeway_types::Now;

use crate::{ApiState, cookie};

/// Longest path that is come back to.
const RETURN_BYTES_MAX: usize = 1024;
/// Longest value that is taken from the provider's answer.
const ANSWER_BYTES_MAX: usize = 4096;

/// Sign in at the provider
///
/// For browsers: leads to the provider's page, or back to the sign-in page with `signInError`.
#[utoipa::path(
    get,
    path = "/api/v1/auth/oidc",
    tag = "auth",
    params(("return" = Option<String>, Query, description = "Path of the console to come back to.")),
    responses(
        (status = 303, description = "To the provider, or back with `signInError`."),
        (status = 404, description = "No provider is configured."),
    ),
)]
pub(crate) async fn leave<S: Store + PeopleStore>(
    State(state): State<Arc<ApiState<S>>>,
    Asked(mut asked): Asked,
    parts: Parts,
) -> Result<Response, ApiError> {
    if state.people.provider_name().is_none() {
        return Err(ApiError::not_found());
    }
    let back = asked.text("return").and_then(|path| local_path(&path)).unwrap_or_else(root);
    // A page elsewhere does not sign anybody in: whoever comes from there presses the button.
    if is_same_origin(&parts.headers) == Some(false) {
        return Ok(see_other(&back));
    }
    match state.people.begin_by_provider(Now::read().unix).await {
        Ok(departure) => Ok(cookie::keep_flow(see_other(&departure.url), &parts, departure.flow.expose(), &back)),
        Err(error) => Ok(see_other(&with_error(&back, &error))),
    }
}

/// Come back from the provider
///
/// For browsers: leads to the console, signed in, or to the sign-in page with `signInError`.
#[utoipa::path(
    get,
    path = "/api/v1/auth/oidc/callback",
    tag = "auth",
    params(
        ("state" = String, Query, description = "As it was sent to the provider."),
        ("code" = Option<String>, Query, description = "To be exchanged."),
        ("error" = Option<String>, Query, description = "Why there is no code."),
        ("iss" = Option<String>, Query, description = "Who answers."),
    ),
    responses(
        (status = 303, description = "To the console; sets the cookie when somebody is signed in."),
        (status = 404, description = "No provider is configured."),
    ),
)]
pub(crate) async fn come_back<S: Store + PeopleStore>(
    State(state): State<Arc<ApiState<S>>>,
    Asked(mut asked): Asked,
    parts: Parts,
) -> Result<Response, ApiError> {
    if state.people.provider_name().is_none() {
        return Err(ApiError::not_found());
    }
    let (flow, back) = cookie::flow(&parts).unwrap_or_default();
    let back = local_path(&back).unwrap_or_else(root);
    let mut value = |name| asked.text(name).filter(|value| value.len() <= ANSWER_BYTES_MAX);
    let answer = ProviderAnswer {
        flow,
        state: value("state").unwrap_or_default(),
        code: value("code"),
        error: value("error"),
        issuer: value("iss"),
    };
    let entered = state.people.enter_by_provider(&answer, client_address(&parts), Now::read().unix).await;
    let response = match entered {
        Ok(signed_in) => cookie::keep(see_other(&back), &parts, &signed_in.secret, state.lifetime),
        Err(error) => see_other(&with_error(&back, &error)),
    };
    Ok(cookie::forget_flow(response))
}

/// A path of this server that a browser may be sent to: never another host, and never the API.
fn local_path(text: &str) -> Option<String> {
    let path = text.split('?').next().unwrap_or_default();
    let is_local = path.starts_with('/') && !path.contains("//") && !path.starts_with("/api/");
    let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\\\"<>;#".contains(&byte));
    // A cookie has no comma.
    (is_local && is_plain && text.len() <= RETURN_BYTES_MAX).then(|| text.replace(',', "%2C"))
}

fn root() -> String {
    "/".to_owned()
}

fn with_error(back: &str, error: &PeopleError) -> String {
    let outcome = SignInOutcome::of(error);
    tracing::info!(outcome = outcome.as_str(), %error, "nobody was signed in by the provider");
    let separator = if back.contains('?') { '&' } else { '?' };
    format!("{back}{separator}signInError={}", outcome.as_str())
}

fn see_other(to: &str) -> Response {
    let mut response = StatusCode::SEE_OTHER.into_response();
    // Both kinds of target are checked to be plain: an own path, or a URL that was parsed.
    if let Ok(value) = HeaderValue::from_str(to) {
        response.headers_mut().insert(header::LOCATION, value);
    }
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_is_sent_to_paths_of_this_server_only() {
        for good in ["/", "/rooms", "/rooms/a%2Fb?from=2026-01-01&q=a%20b", "/sessions?state=live"] {
            assert_eq!(local_path(good).as_deref(), Some(good));
        }
        assert_eq!(local_path("/usage?by=room,client").as_deref(), Some("/usage?by=room%2Cclient"));
        for bad in [
            "",
            "rooms",
            "//evil.example",
            "/\\evil.example",
            "\\/evil.example",
            "/..//evil.example",
            "https://evil.example/",
            "javascript:alert(1)",
            "/rooms\r\nset-cookie: a=b",
            "/rooms\tx",
            "/rooms;a=b",
            "/rooms#token=x",
            "/api/v1/auth/oidc",
            "/rööms",
        ] {
            assert_eq!(local_path(bad), None, "{bad:?}");
        }
        assert!(local_path(&format!("/{}", "a".repeat(RETURN_BYTES_MAX - 1))).is_some());
        assert!(local_path(&format!("/{}", "a".repeat(RETURN_BYTES_MAX))).is_none());
    }

    #[test]
    fn the_error_goes_behind_what_is_asked_for() {
        let error = PeopleError::NotLetIn;
        assert_eq!(with_error("/", &error), "/?signInError=not_let_in");
        assert_eq!(with_error("/rooms?q=a", &error), "/rooms?q=a&signInError=not_let_in");
    }
}
