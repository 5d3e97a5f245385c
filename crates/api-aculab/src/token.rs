//! `/webrtc_generate_token`.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::StatusCode,
    response::Response,
};
use causeway_api_http::{ApiError, json};
use causeway_app::{ApiCaller, ClientTokenRequest, ClientTokenStore};
use causeway_types::Now;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{ApiState, Fault, fault::ErrorBody, parameters::Parameters};

#[derive(utoipa::IntoParams, ToSchema)]
#[into_params(parameter_in = Query)]
#[schema(as = AculabTokenRequest)]
#[expect(dead_code, reason = "only its document is used: the parameters are read one by one, to name every fault")]
pub(crate) struct TokenQuery {
    /// Who the token is for.
    #[param(pattern = r"^[A-Za-z0-9+\-_.]+$", min_length = 1, max_length = 255)]
    #[schema(pattern = r"^[A-Za-z0-9+\-_.]+$", min_length = 1, max_length = 255)]
    client_id: String,
    /// Seconds; 3600 when not given.
    #[param(minimum = 600, maximum = 86400)]
    #[schema(minimum = 600, maximum = 86400)]
    ttl: Option<u32>,
    /// Whether the client may be called; `true` when not given.
    enable_incoming: Option<bool>,
    /// Whom it may call: ids with commas between them, or several times; an id with `*` behind it stands for all that begin so,
    /// `*` for everybody. Nobody when not given.
    #[param(pattern = r"^(([A-Za-z0-9+\-_.]+\*?|\*)(,([A-Za-z0-9+\-_.]+\*?|\*))*)?$", max_length = 1000)]
    #[schema(pattern = r"^(([A-Za-z0-9+\-_.]+\*?|\*)(,([A-Za-z0-9+\-_.]+\*?|\*))*)?$", max_length = 1000)]
    call_client: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = AculabToken)]
struct Token {
    /// A JWT.
    token: String,
}

/// Mint a client token (Aculab)
#[utoipa::path(
    get,
    path = "/webrtc_generate_token",
    tag = "aculab",
    params(TokenQuery),
    security(("tokenAsPassword" = [])),
    responses(
        (status = 200, description = "The token.", body = Token),
        (status = 400, description = "A parameter is bad.", body = ErrorBody),
        (status = 401, description = "User name or key is missing, wrong, revoked or expired.", body = ErrorBody),
        (status = 403, description = "Another cloud, a key without the scope, a disabled project, or the month's quota is used up.", body = ErrorBody),
        (status = 404, description = "Not there.", body = ErrorBody),
        (status = 415, description = "The body is no form.", body = ErrorBody),
        (status = 422, description = "Not used by this call.", body = ErrorBody),
        (status = 429, description = "Too many requests with this key.", body = ErrorBody),
        (status = 500, description = "The server failed.", body = ErrorBody),
        (status = 503, description = "A part of the server does not answer.", body = ErrorBody),
    ),
)]
pub(crate) async fn asked<S: ClientTokenStore>(
    State(state): State<Arc<ApiState<S>>>,
    request: Request,
) -> Result<Response, Fault> {
    mint(&state, request).await
}

/// Mint a client token (Aculab)
#[utoipa::path(
    post,
    path = "/webrtc_generate_token",
    tag = "aculab",
    request_body(content((TokenQuery = "application/x-www-form-urlencoded"), (TokenQuery = "multipart/form-data"))),
    security(("tokenAsPassword" = [])),
    responses(
        (status = 200, description = "The token.", body = Token),
        (status = 400, description = "A parameter is bad.", body = ErrorBody),
        (status = 401, description = "User name or key is missing, wrong, revoked or expired.", body = ErrorBody),
        (status = 403, description = "Another cloud, a key without the scope, a disabled project, or the month's quota is used up.", body = ErrorBody),
        (status = 404, description = "Not there.", body = ErrorBody),
        (status = 415, description = "The body is no form.", body = ErrorBody),
        (status = 422, description = "Not used by this call.", body = ErrorBody),
        (status = 429, description = "Too many requests with this key.", body = ErrorBody),
        (status = 500, description = "The server failed.", body = ErrorBody),
        (status = 503, description = "A part of the server does not answer.", body = ErrorBody),
    ),
)]
pub(crate) async fn posted<S: ClientTokenStore>(
    State(state): State<Arc<ApiState<S>>>,
    request: Request,
) -> Result<Response, Fault> {
    mint(&state, request).await
}

async fn mint<S: ClientTokenStore>(state: &ApiState<S>, request: Request) -> Result<Response, Fault> {
    let caller = request.extensions().get::<ApiCaller>().copied().ok_or_else(ApiError::internal)?;
    let mut parameters = Parameters::of(request, &state.tokens.settings().cloud).await?;
    let client = parameters.client_id();
    let ttl = parameters.ttl();
    let allows_incoming = parameters.enable_incoming();
    let callees = parameters.call_client();
    parameters.finish()?;
    // Without one there was a fault.
    let client = client.ok_or_else(ApiError::internal)?;
    let wanted = ClientTokenRequest { client, ttl, allows_incoming, callees };
    let minted = state.tokens.mint(caller, wanted, Now::read().unix).await?;
    Ok(json(StatusCode::OK, &Token { token: minted.token.expose().clone() }))
}
