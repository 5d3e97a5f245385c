//! `/api/v1/rooms`: what credentials named as their room.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode, response::Response};
use causeway_api_http::{ApiError, Parameters, Timestamp, json};
use causeway_app::{ApiCaller, Identifier, NameFilter, NameKey, PageRequest, RoomView, SessionFilter, Store};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    ApiState,
    clients::Client,
    extract::{Asked, Caller, Segment},
    page::{self, List, PageQuery},
    sessions::Session,
};

/// A room.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Room {
    /// Its name.
    room: String,
    /// When a credential first named it.
    first_seen: Timestamp,
    /// When a credential or session last did.
    last_seen: Timestamp,
    /// Distinct clients seen in it.
    clients: u64,
    /// Live sessions.
    active_sessions: u64,
    /// Sessions ever.
    sessions: u64,
    /// Client to relay.
    bytes_in: u64,
    /// Relay to client.
    bytes_out: u64,
}

impl From<RoomView> for Room {
    fn from(view: RoomView) -> Self {
        Self {
            room: view.name,
            first_seen: view.first_seen.into(),
            last_seen: view.last_seen.into(),
            clients: view.clients,
            active_sessions: view.active_sessions,
            sessions: view.sessions,
            bytes_in: view.bytes_in,
            bytes_out: view.bytes_out,
        }
    }
}

/// List rooms
///
/// By name.
#[utoipa::path(
    get,
    path = "/api/v1/rooms",
    tag = "rooms",
    params(
        ("active" = Option<bool>, Query, description = "With a live session, or without."),
        ("prefix" = Option<String>, Query, description = "Whose name begins so."),
        ("sort" = Option<String>, Query, description = "`name`, `first_seen`, `last_seen`, `sessions`, `bytes_in` or `bytes_out`; `-` in front for the most or latest first. `name` when not given."),
        PageQuery,
    ),
    responses((status = 200, description = "A page of rooms.", body = List<Room>)),
)]
pub(crate) async fn list<S: Store>(
    State(state): State<Arc<ApiState<S>>>,
    Caller(caller): Caller,
    Asked(mut asked): Asked,
) -> Result<Response, ApiError> {
    let filter = name_filter(&mut asked);
    let request = page::request(&mut asked);
    asked.finish()?;
    let rooms = state.store.rooms(caller.project, &filter, &request).await?;
    Ok(page::answer(rooms, Room::from))
}

/// Get a room
#[utoipa::path(
    get,
    path = "/api/v1/rooms/{room}",
    tag = "rooms",
    params(("room" = String, Path, description = "Its name.")),
    responses((status = 200, description = "The room.", body = Room)),
)]
pub(crate) async fn one<S: Store>(
    State(state): State<Arc<ApiState<S>>>,
    Caller(caller): Caller,
    Segment(room): Segment,
) -> Result<Response, ApiError> {
    Ok(json(StatusCode::OK, &Room::from(find(&state, caller, &room).await?.1)))
}

/// List the clients of a room
///
/// By name, with the figures of all their sessions.
#[utoipa::path(
    get,
    path = "/api/v1/rooms/{room}/clients",
    tag = "rooms",
    params(("room" = String, Path, description = "Its name."), PageQuery),
    responses((status = 200, description = "A page of clients.", body = List<Client>)),
)]
pub(crate) async fn clients<S: Store>(
    State(state): State<Arc<ApiState<S>>>,
    Caller(caller): Caller,
    Segment(room): Segment,
    Asked(mut asked): Asked,
) -> Result<Response, ApiError> {
    let request = page::request(&mut asked);
    asked.finish()?;
    let (room, _) = find(&state, caller, &room).await?;
    let filter = NameFilter { room: Some(room), ..NameFilter::default() };
    let clients = state.store.clients(caller.project, &filter, &request).await?;
    Ok(page::answer(clients, Client::from))
}

/// List the sessions of a room
///
/// Newest first.
#[utoipa::path(
    get,
    path = "/api/v1/rooms/{room}/sessions",
    tag = "rooms",
    params(("room" = String, Path, description = "Its name."), PageQuery),
    responses((status = 200, description = "A page of sessions.", body = List<Session>)),
)]
pub(crate) async fn sessions<S: Store>(
    State(state): State<Arc<ApiState<S>>>,
    Caller(caller): Caller,
    Segment(room): Segment,
    Asked(mut asked): Asked,
) -> Result<Response, ApiError> {
    let request = page::request(&mut asked);
    asked.finish()?;
    let (room, _) = find(&state, caller, &room).await?;
    let filter = SessionFilter { room: Some(room), ..SessionFilter::default() };
    let sessions = state.store.sessions(caller.project, &filter, &request).await?;
    Ok(page::answer(sessions, Session::from))
}

/// Reads the filters that rooms and clients share.
pub(crate) fn name_filter(asked: &mut Parameters) -> NameFilter {
    NameFilter {
        active: asked.maybe_flag("active"),
        prefix: asked.identifier("prefix").map(|prefix| prefix.as_str().to_owned()),
        order: page::order(asked, &NameKey::ALL),
        ..NameFilter::default()
    }
}

/// A room of the caller's project.
pub(crate) async fn find<S: Store>(
    state: &ApiState<S>,
    caller: ApiCaller,
    name: &str,
) -> Result<(Identifier, RoomView), ApiError> {
    let room = Identifier::new(name).map_err(|_| ApiError::not_found())?;
    let filter = NameFilter { name: Some(room.clone()), ..NameFilter::default() };
    let page = state.store.rooms(caller.project, &filter, &PageRequest::default()).await?;
    page.items.into_iter().next().map(|view| (room, view)).ok_or_else(ApiError::not_found)
}
