//! The TURN REST API (draft-uberti-behave-turn-rest-00 §2; `compat/turnix.md#turn-rest`).

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{Method, StatusCode},
    response::Response,
};
use causeway_app::{RestRequest, Store};
use causeway_types::{Now, UnixTime};
use serde::Serialize;

use crate::{
    Shared, caller,
    error::{ApiError, json},
    parameters::Parameters,
    request_id,
};

#[derive(Serialize)]
struct Answer<'a> {
    username: &'a str,
    password: &'a str,
    ttl: u64,
    uris: &'a [String],
}

/// `/`: the draft's own path, recognised by its query.
pub(crate) async fn root<S: Store>(state: State<Arc<Shared<S>>>, request: Request) -> Response {
    let query = request.uri().query().unwrap_or_default();
    let asks = query.split('&').any(|pair| pair == "service" || pair.starts_with("service="));
    if asks && matches!(*request.method(), Method::GET | Method::POST) {
        return mint(state, request).await;
    }
    crate::unknown_path(request).await
}

pub(crate) async fn mint<S: Store>(State(shared): State<Arc<Shared<S>>>, request: Request) -> Response {
    let id = request_id(&request);
    let now = Now::read().unix;
    let (parts, body) = request.into_parts();
    // The key may be in the body, so the body comes first here; it is small.
    let mut parameters = match Parameters::read(parts.uri.query(), &parts.headers, body).await {
        Ok(parameters) => parameters,
        Err(error) => return error.respond(&id),
    };
    let key = parameters.text("key");
    let token = caller::bearer(&parts.headers).or(key.as_deref());
    let (_, allowance) = match caller::identify(&shared, token).await {
        Ok(known) => known,
        Err(error) => return error.respond(&id),
    };
    let answer = if allowance.granted { mint_checked(&shared, parameters, now) } else { Err(caller::too_many()) };
    allowance.mark(answer.unwrap_or_else(|error| error.respond(&id)), now)
}

fn mint_checked<S: Store>(shared: &Shared<S>, mut parameters: Parameters, now: UnixTime) -> Result<Response, ApiError> {
    if !parameters.text("service").is_some_and(|service| service.eq_ignore_ascii_case("turn")) {
        let message = "service: must be turn";
        return Err(ApiError::new(StatusCode::BAD_REQUEST, "bad_service", message));
    }
    let user = parameters.text("username");
    if user.as_deref().is_some_and(|user| !is_user_id(user)) {
        let message = "username: letters, digits and _ . @ + - are allowed, at most 100 characters".to_owned();
        parameters.fault("username", "bad_characters", message);
    }
    let ttl = parameters.ttl("ttl", shared.state.minting.policy().ttl_max);
    drop(parameters.identifier("room"));
    parameters.finish()?;
    let minted = shared.state.minting.mint_rest(&RestRequest { user, ttl }, now)?;
    let urls = (shared.state.ice_urls)();
    let body = Answer {
        username: &minted.username,
        password: minted.password.expose(),
        ttl: minted.ttl.as_secs(),
        uris: &urls.turn,
    };
    Ok(json(StatusCode::OK, &body))
}

/// What a USERNAME may carry without trouble: no separator, space, quote or control character.
fn is_user_id(text: &str) -> bool {
    let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'@' | b'+' | b'-');
    text.len() <= 100 && text.bytes().all(good)
}
