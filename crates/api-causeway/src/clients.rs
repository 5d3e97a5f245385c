//! `/api/v1/clients`: what credentials named as their clients.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode, response::Response};
use causeway_api_http::{ApiError, Timestamp, json};
use causeway_app::{ApiCaller, ClientView, Identifier, NameFilter, PageRequest, Role, SessionFilter, Store};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    ApiState,
    extract::{Asked, Caller, Segment},
    page::{self, List, PageQuery},
    rooms::name_filter,
    sessions::Session,
};

/// A client.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Client {
    /// Its name.
    client: String,
    /// Roles it appeared in: `initiator`, `receiver`.
    roles: Vec<&'static str>,
    /// When a credential first named it.
    first_seen: Timestamp,
    /// When a credential or session last did.
    last_seen: Timestamp,
    /// Live sessions.
    active_sessions: u64,
    /// Sessions ever.
    sessions: u64,
    /// Client to relay.
    bytes_in: u64,
    /// Relay to client.
    bytes_out: u64,
}

impl From<ClientView> for Client {
    fn from(view: ClientView) -> Self {
        Self {
            client: view.name,
            roles: view.roles.into_iter().map(Role::as_str).collect(),
            first_seen: view.first_seen.into(),
            last_seen: view.last_seen.into(),
            active_sessions: view.active_sessions,
            sessions: view.sessions,
            bytes_in: view.bytes_in,
            bytes_out: view.bytes_out,
        }
    }
}

/// List clients
///
/// By name.
#[utoipa::path(
    get,
    path = "/api/v1/clients",
    tag = "clients",
    params(
        ("active" = Option<bool>, Query, description = "With a live session, or without."),
        ("prefix" = Option<String>, Query, description = "Whose name begins so."),
        ("room" = Option<String>, Query, description = "That were in this room."),
        ("sort" = Option<String>, Query, description = "`name`, `first_seen`, `last_seen`, `sessions`, `bytes_in` or `bytes_out`; `-` in front for the most or latest first. `name` when not given."),
        PageQuery,
    ),
    responses((status = 200, description = "A page of clients.", body = List<Client>)),
)]
pub(crate) async fn list<S: Store>(
    State(state): State<Arc<ApiState<S>>>,
    Caller(caller): Caller,
    Asked(mut asked): Asked,
) -> Result<Response, ApiError> {
    let mut filter = name_filter(&mut asked);
    filter.room = asked.identifier("room");
    let request = page::request(&mut asked);
    asked.finish()?;
    let clients = state.store.clients(caller.project, &filter, &request).await?;
    Ok(page::answer(clients, Client::from))
}

/// Get a client
#[utoipa::path(
    get,
    path = "/api/v1/clients/{client}",
    tag = "clients",
    params(("client" = String, Path, description = "Its name.")),
    responses((status = 200, description = "The client.", body = Client)),
)]
pub(crate) async fn one<S: Store>(
    State(state): State<Arc<ApiState<S>>>,
    Caller(caller): Caller,
    Segment(client): Segment,
) -> Result<Response, ApiError> {
    Ok(json(StatusCode::OK, &Client::from(find(&state, caller, &client).await?.1)))
}

/// List the sessions of a client
///
/// Newest first; a session of a pair is listed under both.
#[utoipa::path(
    get,
    path = "/api/v1/clients/{client}/sessions",
    tag = "clients",
    params(("client" = String, Path, description = "Its name."), PageQuery),
    responses((status = 200, description = "A page of sessions.", body = List<Session>)),
)]
pub(crate) async fn sessions<S: Store>(
    State(state): State<Arc<ApiState<S>>>,
    Caller(caller): Caller,
    Segment(client): Segment,
    Asked(mut asked): Asked,
) -> Result<Response, ApiError> {
    let request = page::request(&mut asked);
    asked.finish()?;
    let (client, _) = find(&state, caller, &client).await?;
    let filter = SessionFilter { client: Some(client), ..SessionFilter::default() };
    let sessions = state.store.sessions(caller.project, &filter, &request).await?;
    Ok(page::answer(sessions, Session::from))
}

/// A client of the caller's project.
pub(crate) async fn find<S: Store>(
    state: &ApiState<S>,
    caller: ApiCaller,
    name: &str,
) -> Result<(Identifier, ClientView), ApiError> {
    let client = Identifier::new(name).map_err(|_| ApiError::not_found())?;
    let filter = NameFilter { name: Some(client.clone()), ..NameFilter::default() };
    let page = state.store.clients(caller.project, &filter, &PageRequest::default()).await?;
    page.items.into_iter().next().map(|view| (client, view)).ok_or_else(ApiError::not_found)
}
