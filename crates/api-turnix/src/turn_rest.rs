//! The TURN REST API (draft-uberti-behave-turn-rest-00 §2; `compat/turnix.md#turn-rest`).

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderValue, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use causeway_api_http::{
    ApiError, Claim, Parameters, bearer, json, project, requester, taken, unknown_method, unknown_path,
};
use causeway_app::{ApiCaller, CredentialStore, RegionWish, RestRequest};
use causeway_types::{Now, UnixTime};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{ApiState, NEEDED};

#[derive(Serialize, ToSchema)]
#[schema(as = TurnRestCredential)]
pub(crate) struct Answer<'a> {
    username: &'a str,
    password: &'a str,
    ttl: u64,
    uris: &'a [String],
}

/// Whether a request to `/` is one of the draft, which its query tells.
#[must_use]
pub fn asks_for_turn_rest(uri: &Uri) -> bool {
    let mut pairs = uri.query().unwrap_or_default().split('&');
    uri.path() == "/" && pairs.any(|pair| pair == "service" || pair.starts_with("service="))
}

/// `/`: the draft's own path.
pub(crate) async fn root<S: CredentialStore>(state: State<Arc<ApiState<S>>>, request: Request) -> Response {
    if !asks_for_turn_rest(request.uri()) {
        return unknown_path().await;
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD | Method::POST) {
        let mut response = unknown_method().await;
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET,HEAD,POST"));
        return response;
    }
    mint(state, request).await.into_response()
}

/// Derive a TURN REST credential
#[utoipa::path(
    method(get, post),
    path = "/api/v1/turn-rest",
    tag = "turn_rest",
    params(
        ("service" = String, Query, description = "`turn`.", pattern = "^(?i:turn)$"),
        ("username" = Option<String>, Query, description = "User id to put into the name."),
        ("ttl" = Option<u64>, Query, description = "Seconds; 86400 when not given.", minimum = 1),
    ),
    responses((status = 200, description = "A derived credential.", body = Answer<'_>)),
)]
pub(crate) async fn mint<S: CredentialStore>(
    State(state): State<Arc<ApiState<S>>>,
    request: Request,
) -> Result<Response, ApiError> {
    let now = Now::read().unix;
    let (parts, body) = request.into_parts();
    let body = taken(body).await?;
    let mut parameters = Parameters::of_query(parts.uri.query());
    let mut token = bearer(&parts.headers).map(str::to_owned).or_else(|| parameters.key());
    // The key may be in the body; only then is a body looked at before its sender is known.
    if token.is_none() && parameters.add_body(&parts.headers, &body).is_ok() {
        token = parameters.key();
    }
    let claim = token.map(Claim::Token);
    let (caller, allowance) = state.gate.identify(claim.as_ref(), project(&parts.headers), NEEDED).await?;
    let answer = if allowance.granted {
        let region = RegionWish { client: requester(&parts.extensions), ..RegionWish::default() };
        parameters.add_body(&parts.headers, &body).and_then(|()| mint_checked(&state, caller, parameters, region, now))
    } else {
        Err(ApiError::too_many())
    };
    Ok(allowance.mark(answer.unwrap_or_else(IntoResponse::into_response), now))
}

fn mint_checked<S: CredentialStore>(
    state: &ApiState<S>,
    caller: ApiCaller,
    mut parameters: Parameters,
    region: RegionWish,
    now: UnixTime,
) -> Result<Response, ApiError> {
    if !parameters.text("service").is_some_and(|service| service.eq_ignore_ascii_case("turn")) {
        let message = "service: must be turn";
        return Err(ApiError::new(StatusCode::BAD_REQUEST, "bad_service", message));
    }
    let user = parameters.text("username");
    if let Some(code) = user.as_deref().and_then(user_id_fault) {
        let message = "username: only letters, digits and _ . @ + - are allowed, at most 100 characters";
        parameters.fault("username", code, message.to_owned());
    }
    let ttl = parameters.ttl("ttl", state.minting.policy().ttl_limit());
    drop(parameters.identifier("room"));
    parameters.finish()?;
    let minted = state.minting.mint_rest(caller, &RestRequest { user, ttl, region }, now)?;
    let body = Answer {
        username: &minted.username,
        password: minted.password.expose(),
        ttl: minted.ttl.as_secs(),
        uris: &minted.urls.turn,
    };
    Ok(json(StatusCode::OK, &body))
}

/// What is wrong with a user id: a USERNAME carries it best without separator, space, quote or control character.
fn user_id_fault(text: &str) -> Option<&'static str> {
    let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'@' | b'+' | b'-');
    if !text.bytes().all(good) {
        return Some("bad_characters");
    }
    (text.len() > 100).then_some("too_long")
}
