//! `/api/v1/sip-users`: clients that show a password.

use std::sync::Arc;

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use causeway_api_http::{ApiError, Timestamp, json};
use causeway_app::{Page, SIP_PASSWORD_BYTES, SipUserError, StoreError, StoredSipUser};
use causeway_credentials::client_token::ClientId;
use causeway_types::{Now, Secret};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    ApiState, ApiStore,
    extract::{Asked, Caller, Segment, Sent},
    page::{self, List, PageQuery},
};

/// A SIP user; never its password.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SipUser {
    /// The client id it registers as.
    name: String,
    /// The realm its password is for; another one in the configuration makes it useless.
    realm: String,
    /// When it was made.
    created_at: Timestamp,
}

/// A user that was just made.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MadeSipUser {
    /// The client id it registers as.
    name: String,
    /// The realm its password is for.
    realm: String,
    /// The password. It is shown this once.
    password: String,
}

/// A user to make.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only its schema is used: the parameters are read one by one, to name every fault")]
pub(crate) struct SipUserRequest {
    /// Letters, digits, `+-_.`.
    #[schema(pattern = r"^[A-Za-z0-9+\-_.]+$", min_length = 1, max_length = 255)]
    name: String,
    /// A random one when not given.
    #[schema(min_length = 12, max_length = 128)]
    password: Option<String>,
}

/// List SIP users
#[utoipa::path(
    get,
    path = "/api/v1/sip-users",
    tag = "sip-users",
    params(PageQuery),
    responses((status = 200, description = "A page of them, by name.", body = List<SipUser>)),
)]
pub(crate) async fn list<S: ApiStore>(
    State(state): State<Arc<ApiState<S>>>,
    Caller(caller): Caller,
    Asked(mut asked): Asked,
) -> Result<Response, ApiError> {
    let request = page::request(&mut asked);
    asked.finish()?;
    let users =
        state.store.sip_users(caller.project, request.after.as_deref(), request.limit.saturating_add(1)).await?;
    let user = |user: StoredSipUser| SipUser { name: user.name, realm: user.realm, created_at: user.created_at.into() };
    Ok(page::answer(Page::cut(users, &request, |user| user.name.clone()), user))
}

/// Make a SIP user
#[utoipa::path(
    post,
    path = "/api/v1/sip-users",
    tag = "sip-users",
    request_body(content(
        (SipUserRequest = "application/json"),
        (SipUserRequest = "application/x-www-form-urlencoded"),
    )),
    responses(
        (status = 201, description = "The user, with its password.", body = MadeSipUser),
        (status = 409, description = "There is one of this name, or as many as may be.", body = causeway_api_http::ErrorBody<'_>),
    ),
)]
pub(crate) async fn make<S: ApiStore>(
    State(state): State<Arc<ApiState<S>>>,
    Caller(caller): Caller,
    Sent(mut sent): Sent,
) -> Result<Response, ApiError> {
    if !sent.has("name") {
        sent.fault("name", "missing", "name: is needed".to_owned());
    }
    let name = sent.text("name").map(|text| ClientId::new(&text));
    if matches!(name, Some(Err(_))) {
        let message = "name: letters, digits, + - _ and . only, at most 255";
        sent.fault("name", "bad_characters", message.to_owned());
    }
    let password = sent.plain_text("password", *SIP_PASSWORD_BYTES.end());
    if password.as_ref().is_some_and(|password| password.len() < *SIP_PASSWORD_BYTES.start()) {
        let message = format!("password: at least {} characters", SIP_PASSWORD_BYTES.start());
        sent.fault("password", "too_short", message);
    }
    sent.finish()?;
    // Without one there was a fault.
    let name = name.and_then(Result::ok).ok_or_else(ApiError::internal)?;
    let made = state.sip_users.make(caller, &name, password.map(Secret::new), Now::read().unix).await;
    let password = made.map_err(error)?;
    let realm = state.sip_users.realm().to_owned();
    let body = MadeSipUser { name: name.to_string(), realm, password: password.expose().clone() };
    Ok(json(StatusCode::CREATED, &body))
}

/// Remove a SIP user
///
/// It cannot sign in any more, and its registrations are over.
#[utoipa::path(
    delete,
    path = "/api/v1/sip-users/{name}",
    tag = "sip-users",
    params(("name" = String, Path, description = "Its name.")),
    responses((status = 204, description = "It is gone.")),
)]
pub(crate) async fn remove<S: ApiStore>(
    State(state): State<Arc<ApiState<S>>>,
    Caller(caller): Caller,
    Segment(name): Segment,
) -> Result<Response, ApiError> {
    // What is no name is nobody's; PostgreSQL would stumble over a NUL.
    let name = ClientId::new(&name).map_err(|_| ApiError::not_found())?;
    if state.sip_users.remove(caller, name.as_str(), Now::read().unix).await? {
        Ok(StatusCode::NO_CONTENT.into_response())
    } else {
        Err(ApiError::not_found())
    }
}

fn error(error: SipUserError) -> ApiError {
    match error {
        SipUserError::Store(StoreError::Exists { .. }) => {
            ApiError::new(StatusCode::CONFLICT, "sip_user_exists", "there is a SIP user of this name")
        }
        SipUserError::Store(error) => error.into(),
        SipUserError::TooMany => ApiError::new(StatusCode::CONFLICT, "too_many_sip_users", error.to_string()),
        error @ (SipUserError::NoRandomness | _) => {
            tracing::error!(%error, "no SIP user was made");
            ApiError::internal()
        }
    }
}
