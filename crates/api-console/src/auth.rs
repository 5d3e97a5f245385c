//! `/api/v1/auth`: in and out.

use std::sync::Arc;

use axum::{
    Extension,
    extract::State,
    http::{StatusCode, request::Parts},
    response::{IntoResponse, Response},
};
use causeway_api_http::{ApiError, Caller, Claim, Parameters, Sent, Timestamp, client_address, is_same_origin, json};
use causeway_app::{
    EMAIL_BYTES_MAX, PASSWORD_BYTES_MAX, PASSWORD_CHARS_MIN, PeopleError, PeopleStore, SignedIn, Store, normal_email,
};
use causeway_credentials::sign_in::csrf_token;
use causeway_types::Now;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{ApiState, cookie, errors::refusal, users::NAME_BYTES_MAX};

/// Longest token of a link that is looked at.
const LINK_BYTES_MAX: usize = 100;

/// How people get in.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Ways {
    /// `password`, and `oidc` when a provider is configured.
    methods: Vec<&'static str>,
    /// What to call the provider.
    oidc_name: Option<String>,
    /// Nobody can sign in before somebody opens the link that the server printed at its start.
    needs_first_owner: bool,
}

/// How people get in
#[utoipa::path(
    get,
    path = "/api/v1/auth",
    tag = "auth",
    responses((status = 200, description = "What a sign-in page shows.", body = Ways)),
)]
pub(crate) async fn ways<S: Store + PeopleStore>(State(state): State<Arc<ApiState<S>>>) -> Result<Response, ApiError> {
    let needs_first_owner = state.people.needs_first_owner().await?;
    let oidc_name = state.people.provider_name().map(str::to_owned);
    let methods = ["password"].into_iter().chain(oidc_name.as_ref().map(|_| "oidc")).collect();
    let body = Ways { methods, oidc_name, needs_first_owner };
    Ok(json(StatusCode::OK, &body))
}

/// Somebody who just signed in.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Entered {
    /// Their number.
    user_id: i64,
    /// `owner`, `operator` or `viewer`.
    role: &'static str,
    /// Repeat it in `X-CSRF-Token` with whatever is not GET. `GET /api/v1/me` tells it again, and everything else.
    csrf_token: String,
}

/// To sign in with.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only its schema is used: the parameters are read one by one, to name every fault")]
pub(crate) struct LoginRequest {
    email: String,
    password: String,
}

/// Sign in
///
/// Sets the cookie. Unknown people, wrong passwords and people who are kept out get the same answer after the same time.
#[utoipa::path(
    post,
    path = "/api/v1/auth/login",
    tag = "auth",
    request_body(content((LoginRequest = "application/json"))),
    responses(
        (status = 200, description = "Signed in.", body = Entered),
        (status = 401, description = "E-mail address or password is wrong."),
        (status = 403, description = "The request comes from a page elsewhere."),
        (status = 422, description = "A field is bad; every one is named."),
        (status = 429, description = "Too many tries."),
    ),
)]
pub(crate) async fn login<S: Store + PeopleStore>(
    State(state): State<Arc<ApiState<S>>>,
    parts: Parts,
    Sent(mut sent): Sent,
) -> Result<Response, ApiError> {
    refuse_foreign_pages(&parts)?;
    let email = needed(&mut sent, "email");
    let password = needed(&mut sent, "password");
    bounded(&mut sent, "email", &email, EMAIL_BYTES_MAX);
    bounded(&mut sent, "password", &password, PASSWORD_BYTES_MAX);
    sent.finish()?;
    let (from, now) = (client_address(&parts), Now::read().unix);
    let signed_in = state.people.sign_in(&email, &password, from, now).await.map_err(refusal)?;
    Ok(entered(&state, &parts, &signed_in))
}

/// A one-time link's token.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only its schema is used: the parameters are read one by one, to name every fault")]
pub(crate) struct LinkRequest {
    token: String,
}

/// What a one-time link is for.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LinkInfo {
    /// `first` makes the first owner, `invitation` lets an invited person in, `password` sets a new password.
    kind: &'static str,
    /// For whom; null for the first owner.
    email: Option<String>,
    /// What to call them.
    name: Option<String>,
    /// What they may do.
    role: &'static str,
    /// When the link stops working.
    expires_at: Timestamp,
}

/// Look at a one-time link
///
/// It is not used up.
#[utoipa::path(
    post,
    path = "/api/v1/auth/link",
    tag = "auth",
    request_body(content((LinkRequest = "application/json"))),
    responses(
        (status = 200, description = "What it is for.", body = LinkInfo),
        (status = 403, description = "The request comes from a page elsewhere."),
        (status = 404, description = "It was used, is over or never was."),
        (status = 422, description = "A field is bad; every one is named."),
        (status = 429, description = "Too many tries."),
    ),
)]
pub(crate) async fn link<S: Store + PeopleStore>(
    State(state): State<Arc<ApiState<S>>>,
    parts: Parts,
    Sent(mut sent): Sent,
) -> Result<Response, ApiError> {
    refuse_foreign_pages(&parts)?;
    let token = needed(&mut sent, "token");
    bounded(&mut sent, "token", &token, LINK_BYTES_MAX);
    sent.finish()?;
    let (from, now) = (client_address(&parts), Now::read().unix);
    let (link, user) = state.people.link(&token, from, now).await.map_err(refusal)?;
    let body = LinkInfo {
        kind: link.kind.as_str(),
        role: user.as_ref().map_or("owner", |user| user.role.as_str()),
        email: user.as_ref().map(|user| user.email.clone()),
        name: user.map(|user| user.name),
        expires_at: link.expires_at.into(),
    };
    Ok(json(StatusCode::OK, &body))
}

/// To use a one-time link with.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only its schema is used: the parameters are read one by one, to name every fault")]
pub(crate) struct WelcomeRequest {
    token: String,
    #[schema(min_length = 10)]
    password: String,
    /// Of the first owner; not looked at for others.
    email: Option<String>,
    #[schema(max_length = 100)]
    name: Option<String>,
}

/// Use a one-time link
///
/// Sets the password, ends every other sign-in of that person, signs in and sets the cookie.
#[utoipa::path(
    post,
    path = "/api/v1/auth/welcome",
    tag = "auth",
    request_body(content((WelcomeRequest = "application/json"))),
    responses(
        (status = 200, description = "Signed in.", body = Entered),
        (status = 403, description = "The request comes from a page elsewhere."),
        (status = 404, description = "The link was used, is over or never was."),
        (status = 409, description = "Somebody has this e-mail address."),
        (status = 422, description = "A field is bad; every one is named."),
        (status = 429, description = "Too many tries."),
    ),
)]
pub(crate) async fn welcome<S: Store + PeopleStore>(
    State(state): State<Arc<ApiState<S>>>,
    parts: Parts,
    Sent(mut sent): Sent,
) -> Result<Response, ApiError> {
    refuse_foreign_pages(&parts)?;
    let token = needed(&mut sent, "token");
    bounded(&mut sent, "token", &token, LINK_BYTES_MAX);
    let password = new_password(&mut sent, "password");
    let email = sent.text("email");
    if email.as_deref().is_some_and(|email| normal_email(email).is_none()) {
        sent.fault("email", "bad_email", "email: must be an e-mail address".to_owned());
    }
    let name = sent.plain_text("name", NAME_BYTES_MAX);
    sent.finish()?;
    let (from, now) = (client_address(&parts), Now::read().unix);
    let redeemed = state.people.redeem(&token, &password, email.as_deref(), name, from, now).await;
    Ok(entered(&state, &parts, &redeemed.map_err(refusal)?))
}

/// Sign out
#[utoipa::path(
    post,
    path = "/api/v1/auth/logout",
    tag = "auth",
    responses((status = 204, description = "Signed out, in this browser.")),
)]
pub(crate) async fn logout<S: Store + PeopleStore>(
    State(state): State<Arc<ApiState<S>>>,
    Caller(caller): Caller,
    Extension(claim): Extension<Claim>,
) -> Result<Response, ApiError> {
    if let Claim::SignIn { secret, .. } = &claim {
        state.people.sign_out(caller, secret.expose(), Now::read().unix).await?;
    }
    Ok(cookie::forget(StatusCode::NO_CONTENT.into_response()))
}

/// Sign out everywhere
#[utoipa::path(
    post,
    path = "/api/v1/auth/logout-everywhere",
    tag = "auth",
    responses((status = 204, description = "Signed out, in every browser.")),
)]
pub(crate) async fn logout_everywhere<S: Store + PeopleStore>(
    State(state): State<Arc<ApiState<S>>>,
    Caller(caller): Caller,
) -> Result<Response, ApiError> {
    state.people.sign_out_everywhere(caller, Now::read().unix).await.map_err(refusal)?;
    Ok(cookie::forget(StatusCode::NO_CONTENT.into_response()))
}

/// To change a password with.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only its schema is used: the parameters are read one by one, to name every fault")]
pub(crate) struct PasswordRequest {
    /// The one in force.
    current: String,
    #[schema(min_length = 10)]
    password: String,
}

/// Change the own password
///
/// Every sign-in ends and a new one begins: the answer sets the cookie and tells the new CSRF token.
#[utoipa::path(
    post,
    path = "/api/v1/auth/password",
    tag = "auth",
    request_body(content((PasswordRequest = "application/json"))),
    responses((status = 200, description = "Changed, and signed in anew.", body = Entered)),
)]
pub(crate) async fn password<S: Store + PeopleStore>(
    State(state): State<Arc<ApiState<S>>>,
    Caller(caller): Caller,
    parts: Parts,
    Sent(mut sent): Sent,
) -> Result<Response, ApiError> {
    let current = needed(&mut sent, "current");
    bounded(&mut sent, "current", &current, PASSWORD_BYTES_MAX);
    let password = new_password(&mut sent, "password");
    sent.finish()?;
    let (from, now) = (client_address(&parts), Now::read().unix);
    match state.people.change_password(caller, &current, &password, from, now).await {
        Ok(signed_in) => Ok(entered(&state, &parts, &signed_in)),
        Err(PeopleError::WrongPassword) => Err(ApiError::bad_field("current", "wrong", "is not your password")),
        Err(error) => Err(refusal(error)),
    }
}

fn entered<S>(state: &ApiState<S>, parts: &Parts, signed_in: &SignedIn) -> Response {
    let body = Entered {
        user_id: signed_in.user.id.0,
        role: signed_in.user.role.as_str(),
        csrf_token: csrf_token(signed_in.secret.expose()),
    };
    cookie::keep(json(StatusCode::OK, &body), parts, &signed_in.secret, state.lifetime)
}

/// A page elsewhere must not sign somebody in as somebody else. What is no browser says nothing, and may.
fn refuse_foreign_pages(parts: &Parts) -> Result<(), ApiError> {
    if is_same_origin(&parts.headers) == Some(false) {
        let message = "this request comes from a page of another server";
        return Err(ApiError::new(StatusCode::FORBIDDEN, "csrf", message));
    }
    Ok(())
}

fn needed(sent: &mut Parameters, name: &'static str) -> String {
    if !sent.has(name) {
        sent.fault(name, "missing", format!("{name}: is needed"));
    }
    sent.text(name).unwrap_or_default()
}

fn bounded(sent: &mut Parameters, name: &'static str, value: &str, max: usize) {
    if value.len() > max {
        sent.fault(name, "too_long", format!("{name}: at most {max} bytes"));
    }
}

/// Long is what makes a password good.
///
/// Source: NIST SP 800-63B §5.1.1.
fn new_password(sent: &mut Parameters, name: &'static str) -> String {
    let password = needed(sent, name);
    bounded(sent, name, &password, PASSWORD_BYTES_MAX);
    if !password.is_empty() && password.chars().count() < PASSWORD_CHARS_MIN {
        sent.fault(name, "too_short", format!("{name}: at least {PASSWORD_CHARS_MIN} characters"));
    }
    password
}
