//! `/api/v1/users`: who may sign in.

use std::sync::Arc;

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use causeway_api_http::{ApiError, Caller, Parameters, Segment, Sent, Timestamp, json};
use causeway_app::{MadeLink, PeopleStore, Store, UserChange, UserId, UserRole, UserView, normal_email};
use causeway_types::Now;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{ApiState, errors::refusal};

/// Longest name.
pub(crate) const NAME_BYTES_MAX: usize = 100;

/// Somebody who may sign in.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct User {
    /// Number.
    id: i64,
    /// In small letters.
    email: String,
    /// What people call them.
    name: String,
    /// `owner` may do everything, `operator` may also mint, end and take back, `viewer` may read.
    role: &'static str,
    /// `active`, `invited` until there is a way to sign in, or `disabled`.
    state: &'static str,
    /// Ways to sign in: `password`, `oidc`.
    sign_in: Vec<&'static str>,
    /// When they were added.
    created_at: Timestamp,
    /// When they last asked for something, give or take five seconds.
    last_seen_at: Option<Timestamp>,
}

impl From<UserView> for User {
    fn from(user: UserView) -> Self {
        let ways = [(user.has_password, "password"), (user.has_provider, "oidc")];
        let sign_in: Vec<&str> = ways.into_iter().filter_map(|(has, way)| has.then_some(way)).collect();
        let state = match (user.is_disabled, sign_in.is_empty()) {
            (true, _) => "disabled",
            (false, true) => "invited",
            (false, false) => "active",
        };
        Self {
            id: user.id.0,
            email: user.email,
            name: user.name,
            role: user.role.as_str(),
            state,
            sign_in,
            created_at: user.created_at.into(),
            last_seen_at: user.last_seen_at.map(Into::into),
        }
    }
}

/// Everybody.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Users {
    /// By e-mail address.
    data: Vec<User>,
}

/// A one-time link; it is shown once.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Link {
    /// A path: put the console's address before it.
    link: String,
    /// When it stops working.
    expires_at: Timestamp,
}

impl From<MadeLink> for Link {
    fn from(made: MadeLink) -> Self {
        // In the fragment, which no server is sent and no log keeps.
        Self { link: format!("/welcome#token={}", made.token.expose()), expires_at: made.expires_at.into() }
    }
}

/// Somebody who was just invited.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Invited {
    user: User,
    #[serde(flatten)]
    link: Link,
}

/// List users
#[utoipa::path(
    get,
    path = "/api/v1/users",
    tag = "users",
    responses((status = 200, description = "Everybody of the organization.", body = Users)),
)]
pub(crate) async fn list<S: Store + PeopleStore>(
    State(state): State<Arc<ApiState<S>>>,
    Caller(caller): Caller,
) -> Result<Response, ApiError> {
    let data = state.people.list(caller).await?.into_iter().map(User::from).collect();
    Ok(json(StatusCode::OK, &Users { data }))
}

/// Somebody to invite.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only its schema is used: the parameters are read one by one, to name every fault")]
pub(crate) struct InviteRequest {
    email: String,
    /// The e-mail address when not given.
    #[schema(max_length = 100)]
    name: Option<String>,
    /// `owner`, `operator` or `viewer`.
    role: String,
}

/// Invite somebody
///
/// They choose a password by the link, which works once and for a day.
#[utoipa::path(
    post,
    path = "/api/v1/users",
    tag = "users",
    request_body(content((InviteRequest = "application/json"))),
    responses(
        (status = 201, description = "The user and the link.", body = Invited),
        (status = 409, description = "Somebody has this e-mail address, or there are too many people."),
    ),
)]
pub(crate) async fn invite<S: Store + PeopleStore>(
    State(state): State<Arc<ApiState<S>>>,
    Caller(caller): Caller,
    Sent(mut sent): Sent,
) -> Result<Response, ApiError> {
    for field in ["email", "role"] {
        if !sent.has(field) {
            sent.fault(field, "missing", format!("{field}: is needed"));
        }
    }
    let email = sent.text("email");
    let normal = email.as_deref().and_then(normal_email);
    if email.is_some() && normal.is_none() {
        sent.fault("email", "bad_email", "email: must be an e-mail address".to_owned());
    }
    let name = sent.plain_text("name", NAME_BYTES_MAX);
    let role = role(&mut sent);
    sent.finish()?;
    let (Some(email), Some(role)) = (normal, role) else { return Err(ApiError::internal()) };
    let (user, link) = state.people.invite(caller, email, name, role, Now::read().unix).await.map_err(refusal)?;
    Ok(json(StatusCode::CREATED, &Invited { user: user.into(), link: link.into() }))
}

/// What to change; what is not given stays.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only its schema is used: the parameters are read one by one, to name every fault")]
pub(crate) struct ChangeUserRequest {
    #[schema(max_length = 100)]
    name: Option<String>,
    /// `owner`, `operator` or `viewer`.
    role: Option<String>,
    /// Whether they are kept out. Their sign-ins end at once.
    disabled: Option<bool>,
}

/// Change somebody
///
/// At least one owner who can sign in stays.
#[utoipa::path(
    patch,
    path = "/api/v1/users/{id}",
    tag = "users",
    params(("id" = u64, Path, description = "Their number.")),
    request_body(content((ChangeUserRequest = "application/json"))),
    responses(
        (status = 200, description = "The user as they are.", body = User),
        (status = 409, description = "No owner would be left."),
    ),
)]
pub(crate) async fn change<S: Store + PeopleStore>(
    State(state): State<Arc<ApiState<S>>>,
    Caller(caller): Caller,
    Segment(id): Segment,
    Sent(mut sent): Sent,
) -> Result<Response, ApiError> {
    let id = user_id(&id)?;
    let change = UserChange {
        name: sent.plain_text("name", NAME_BYTES_MAX),
        role: role(&mut sent),
        is_disabled: sent.maybe_flag("disabled"),
    };
    sent.finish()?;
    let user = state.people.change(caller, id, &change, Now::read().unix).await.map_err(refusal)?;
    Ok(json(StatusCode::OK, &User::from(user)))
}

/// Make a new link for somebody
///
/// A new invitation, or to choose a new password where there is one. Earlier links of theirs stop working.
#[utoipa::path(
    post,
    path = "/api/v1/users/{id}/link",
    tag = "users",
    params(("id" = u64, Path, description = "Their number.")),
    responses((status = 201, description = "The link.", body = Link)),
)]
pub(crate) async fn link<S: Store + PeopleStore>(
    State(state): State<Arc<ApiState<S>>>,
    Caller(caller): Caller,
    Segment(id): Segment,
) -> Result<Response, ApiError> {
    let link = state.people.new_link(caller, user_id(&id)?, Now::read().unix).await.map_err(refusal)?;
    Ok(json(StatusCode::CREATED, &Link::from(link)))
}

/// Sign somebody out everywhere
#[utoipa::path(
    post,
    path = "/api/v1/users/{id}/logout",
    tag = "users",
    params(("id" = u64, Path, description = "Their number.")),
    responses((status = 204, description = "They are signed out, in every browser.")),
)]
pub(crate) async fn logout<S: Store + PeopleStore>(
    State(state): State<Arc<ApiState<S>>>,
    Caller(caller): Caller,
    Segment(id): Segment,
) -> Result<Response, ApiError> {
    state.people.end_sign_ins(caller, user_id(&id)?, Now::read().unix).await.map_err(refusal)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn user_id(text: &str) -> Result<UserId, ApiError> {
    text.parse().map(UserId).map_err(|_| ApiError::not_found())
}

fn role(sent: &mut Parameters) -> Option<UserRole> {
    if sent.has("role") { sent.word("role", &UserRole::ALL.map(|role| (role.as_str(), role))) } else { None }
}
