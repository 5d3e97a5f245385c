//! Lists: pages of sessions, rooms, clients and the audit log.
//!
//! A page's end is the sort key of its last row, so a list does not shift under a reader while rows are added.

use std::{collections::BTreeMap, time::Duration};

use causeway_app::{
    AuditEntry, AuditView, Bitrate, ClientView, Identifier, InsightView, NameFilter, Page, PageRequest, ProjectId,
    Role, RoomView, SessionFilter, SessionView, StoreError, StoreResult, TokenId, UserId,
};
use sqlx::AnyPool;

use crate::{
    count,
    insight::{read_marks, read_peers},
    millis,
    sql::Sql,
    store_error, time,
};

/// A page of `rows`, which hold one more than asked for when there is a next page.
pub(crate) fn page<T>(mut rows: Vec<T>, request: &PageRequest, place: impl Fn(&T) -> String) -> Page<T> {
    let limit = usize::try_from(request.limit).unwrap_or(usize::MAX);
    let has_more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| has_more).map(place);
    Page { items: rows, next }
}

/// The place of a list sorted by a time and a name.
pub(crate) fn place(request: &PageRequest) -> StoreResult<Option<(i64, String)>> {
    let Some(text) = &request.after else { return Ok(None) };
    let (at, name) = text.split_once('-').ok_or(StoreError::BadCursor)?;
    Ok(Some((at.parse().map_err(|_| StoreError::BadCursor)?, name.to_owned())))
}

#[derive(sqlx::FromRow)]
struct SessionRow {
    id: String,
    username: String,
    credential_kind: String,
    room: Option<String>,
    region: String,
    node: String,
    transport: String,
    relay_transport: String,
    listener: String,
    client_address: String,
    relayed_first: Option<String>,
    relayed_second: Option<String>,
    tls_version: Option<String>,
    tls_cipher: Option<String>,
    started_at: i64,
    last_seen_at: i64,
    ended_at: Option<i64>,
    end_reason: Option<String>,
    client_bytes_in: i64,
    client_bytes_out: i64,
    client_packets_in: i64,
    client_packets_out: i64,
    peer_bytes_in: i64,
    peer_bytes_out: i64,
    peer_packets_in: i64,
    peer_packets_out: i64,
    first_data_ms: Option<i64>,
    peers: String,
    refusals: i64,
    moves: i64,
    marks: String,
    marks_folded: i64,
    bitrate: String,
    first_sent_ms: Option<i64>,
    first_heard_ms: Option<i64>,
    udp_unanswered_ms: Option<i64>,
}

impl From<SessionRow> for SessionView {
    fn from(row: SessionRow) -> Self {
        Self {
            id: row.id,
            username: row.username,
            credential_kind: row.credential_kind,
            room: row.room,
            clients: Vec::new(),
            region: row.region,
            node: row.node,
            transport: row.transport,
            relay_transport: row.relay_transport,
            listener: row.listener,
            client_address: row.client_address,
            relayed_addresses: [row.relayed_first, row.relayed_second].into_iter().flatten().collect(),
            tls: row.tls_version.zip(row.tls_cipher),
            started_at: time(row.started_at),
            last_seen_at: time(row.last_seen_at),
            ended_at: row.ended_at.map(time),
            end_reason: row.end_reason,
            bytes_in: count(row.client_bytes_in),
            bytes_out: count(row.client_bytes_out),
            packets_in: count(row.client_packets_in),
            packets_out: count(row.client_packets_out),
            peer_bytes_out: count(row.peer_bytes_out),
            peer_bytes_in: count(row.peer_bytes_in),
            peer_packets_out: count(row.peer_packets_out),
            peer_packets_in: count(row.peer_packets_in),
            first_data: row.first_data_ms.map(duration),
            peers: read_peers(&row.peers),
            refusals: count(row.refusals),
            moves: count(row.moves),
            insight: InsightView {
                first_sent: row.first_sent_ms.map(duration),
                first_heard: row.first_heard_ms.map(duration),
                udp_unanswered: row.udp_unanswered_ms.map(duration),
                marks: read_marks(&row.marks),
                marks_folded: u32::try_from(row.marks_folded).unwrap_or(u32::MAX),
                bitrate: Bitrate::from_text(&row.bitrate),
            },
        }
    }
}

/// Milliseconds as read.
pub(crate) fn duration(millis: i64) -> Duration {
    Duration::from_millis(count(millis))
}

pub(crate) async fn sessions(
    pool: &AnyPool,
    project: ProjectId,
    filter: &SessionFilter,
    request: &PageRequest,
) -> StoreResult<Page<SessionView>> {
    let sql = sessions_sql(project, filter, request)?;
    let rows = sql.rows::<SessionRow>().fetch_all(pool).await.map_err(store_error)?;
    let views: Vec<SessionView> = rows.into_iter().map(Into::into).collect();
    let mut page = page(views, request, |view| format!("{}-{}", millis(view.started_at), view.id));
    name_clients(pool, &mut page.items).await.map_err(store_error)?;
    Ok(page)
}

pub(crate) fn sessions_sql(project: ProjectId, filter: &SessionFilter, request: &PageRequest) -> StoreResult<Sql> {
    // A room, a credential and what is live have fewer sessions than a client that is in all of them.
    let is_narrow = filter.room.is_some() || filter.username.is_some() || filter.active == Some(true);
    let from_client = filter.client.as_ref().filter(|_| !is_narrow);
    let mut sql = match from_client {
        // From the client's own index, which is in the order of the list.
        Some(client) => {
            Sql::new("SELECT s.* FROM session_clients c JOIN sessions s ON s.id = c.session_id WHERE c.client = ")
                .bind(client.as_str())
                .push(" AND c.project_id = ")
                .bind(project.0)
        }
        None => Sql::new("SELECT s.* FROM sessions s WHERE s.project_id = ").bind(project.0),
    };
    if let Some(client) = filter.client.as_ref().filter(|_| is_narrow) {
        sql = sql.push(" AND EXISTS (SELECT 1 FROM session_clients c WHERE c.session_id = s.id AND c.client = ");
        sql = sql.bind(client.as_str()).push(")");
    }
    let (at, id) = if from_client.is_some() { ("c.started_at", "c.session_id") } else { ("s.started_at", "s.id") };
    sql = sql
        .and(" AND s.id = ", filter.id.map(|id| id.to_string()))
        .and(" AND s.room = ", filter.room.as_ref().map(Identifier::as_str))
        .and(" AND s.username = ", filter.username.clone());
    if let Some(from) = filter.from {
        sql = sql.push(" AND ").push(at).push(" >= ").bind(millis(from));
    }
    if let Some(to) = filter.to {
        sql = sql.push(" AND ").push(at).push(" < ").bind(millis(to));
    }
    sql = match filter.active {
        Some(true) => sql.push(" AND s.ended_at IS NULL"),
        Some(false) => sql.push(" AND s.ended_at IS NOT NULL"),
        None => sql,
    };
    if let Some((started, last)) = place(request)? {
        sql =
            sql.push(" AND (").push(at).push(", ").push(id).push(") < (").bind(started).push(", ").bind(last).push(")");
    }
    let sql = sql.push(" ORDER BY ").push(at).push(" DESC, ").push(id).push(" DESC LIMIT ");
    Ok(sql.bind(i64::from(request.limit) + 1))
}

/// Adds each session's clients, in one query for the page.
async fn name_clients(pool: &AnyPool, views: &mut [SessionView]) -> Result<(), sqlx::Error> {
    if views.is_empty() {
        return Ok(());
    }
    let sql = Sql::new("SELECT session_id, client, role FROM session_clients WHERE session_id IN (")
        .binds(views.iter().map(|view| view.id.as_str()))
        .push(") ORDER BY session_id, client");
    let rows: Vec<(String, String, String)> = sql.rows().fetch_all(pool).await?;
    let mut by_session: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    for (session, client, role) in rows {
        by_session.entry(session).or_default().push((client, role));
    }
    for view in views {
        view.clients = by_session.remove(&view.id).unwrap_or_default();
    }
    Ok(())
}

#[derive(sqlx::FromRow)]
struct RoomRow {
    name: String,
    first_seen: i64,
    last_seen: i64,
    clients: i64,
    active_sessions: i64,
    sessions: i64,
    bytes_in: i64,
    bytes_out: i64,
}

pub(crate) async fn rooms(
    pool: &AnyPool,
    project: ProjectId,
    filter: &NameFilter,
    request: &PageRequest,
) -> Result<Page<RoomView>, sqlx::Error> {
    let rows: Vec<RoomRow> = rooms_sql(project, filter, request).rows().fetch_all(pool).await?;
    let view = |row: RoomRow| RoomView {
        name: row.name,
        first_seen: time(row.first_seen),
        last_seen: time(row.last_seen),
        clients: count(row.clients),
        active_sessions: count(row.active_sessions),
        sessions: count(row.sessions),
        bytes_in: count(row.bytes_in),
        bytes_out: count(row.bytes_out),
    };
    Ok(page(rows.into_iter().map(view).collect(), request, |room| room.name.clone()))
}

pub(crate) fn rooms_sql(project: ProjectId, filter: &NameFilter, request: &PageRequest) -> Sql {
    let sql = Sql::new(
        "SELECT n.name, n.first_seen, n.last_seen, n.active_sessions, n.sessions, n.bytes_in, n.bytes_out, \
         (SELECT COUNT(*) FROM room_clients m WHERE m.project_id = n.project_id AND m.room = n.name) AS clients \
         FROM rooms n WHERE n.project_id = ",
    );
    named(sql.bind(project.0), filter, "n.name", request)
}

#[derive(sqlx::FromRow)]
struct ClientRow {
    name: String,
    roles: String,
    first_seen: i64,
    last_seen: i64,
    active_sessions: i64,
    sessions: i64,
    bytes_in: i64,
    bytes_out: i64,
}

pub(crate) async fn clients(
    pool: &AnyPool,
    project: ProjectId,
    filter: &NameFilter,
    request: &PageRequest,
) -> Result<Page<ClientView>, sqlx::Error> {
    let rows: Vec<ClientRow> = clients_sql(project, filter, request).rows().fetch_all(pool).await?;
    let view = |row: ClientRow| ClientView {
        name: row.name,
        roles: [Role::Initiator, Role::Receiver].into_iter().filter(|role| row.roles.contains(role.as_str())).collect(),
        first_seen: time(row.first_seen),
        last_seen: time(row.last_seen),
        active_sessions: count(row.active_sessions),
        sessions: count(row.sessions),
        bytes_in: count(row.bytes_in),
        bytes_out: count(row.bytes_out),
    };
    Ok(page(rows.into_iter().map(view).collect(), request, |client| client.name.clone()))
}

pub(crate) fn clients_sql(project: ProjectId, filter: &NameFilter, request: &PageRequest) -> Sql {
    const COLUMNS: &str = "SELECT n.name, n.roles, n.first_seen, n.last_seen, n.active_sessions, n.sessions, n.bytes_in, \
                           n.bytes_out FROM ";
    match &filter.room {
        // From the room's own members, which are in the order of the list.
        Some(room) => {
            let sql = Sql::new(COLUMNS).push(
                "room_clients m JOIN clients n ON n.project_id = m.project_id AND n.name = m.client WHERE m.project_id = ",
            );
            named(sql.bind(project.0).push(" AND m.room = ").bind(room.as_str()), filter, "m.client", request)
        }
        None => {
            named(Sql::new(COLUMNS).push("clients n WHERE n.project_id = ").bind(project.0), filter, "n.name", request)
        }
    }
}

/// The part that rooms and clients share: name, prefix, liveness, order and end of the page. `name` is a column in an
/// index that has the list's order.
fn named(sql: Sql, filter: &NameFilter, name: &str, request: &PageRequest) -> Sql {
    let mut sql = match &filter.name {
        Some(wanted) => sql.push(" AND ").push(name).push(" = ").bind(wanted.as_str()),
        None => sql,
    };
    if let Some(prefix) = &filter.prefix {
        // Not LIKE: `_` is a letter of names, and SQLite's LIKE ignores case.
        sql = sql.push(" AND ").push(name).push(" >= ").bind(prefix.as_str());
        sql = sql.push(" AND ").push(name).push(" < ").bind(behind(prefix));
    }
    sql = match filter.active {
        Some(true) => sql.push(" AND n.active_sessions > 0"),
        Some(false) => sql.push(" AND n.active_sessions = 0"),
        None => sql,
    };
    if let Some(after) = &request.after {
        sql = sql.push(" AND ").push(name).push(" > ").bind(after.as_str());
    }
    sql.push(" ORDER BY ").push(name).push(" LIMIT ").bind(i64::from(request.limit) + 1)
}

/// The first text behind all that begin with `prefix`, which is ASCII, in the order of bytes.
fn behind(prefix: &str) -> String {
    let mut text = prefix.to_owned();
    match text.pop() {
        Some(last) => {
            text.push(char::from_u32(u32::from(last) + 1).unwrap_or(char::MAX));
            text
        }
        None => char::MAX.to_string(),
    }
}

#[derive(sqlx::FromRow)]
struct AuditRow {
    id: i64,
    at: i64,
    project_id: i64,
    token_id: Option<i64>,
    user_id: Option<i64>,
    email: Option<String>,
    action: String,
    subject: String,
    detail: String,
}

pub(crate) async fn audit_log(
    pool: &AnyPool,
    project: ProjectId,
    request: &PageRequest,
) -> StoreResult<Page<AuditView>> {
    let before =
        request.after.as_ref().map(|text| text.parse::<i64>().map_err(|_| StoreError::BadCursor)).transpose()?;
    let sql =
        Sql::new("SELECT a.*, u.email FROM audit_log a LEFT JOIN users u ON u.id = a.user_id WHERE a.project_id = ")
            .bind(project.0)
            .and(" AND a.id < ", before)
            .push(" ORDER BY a.id DESC LIMIT ")
            .bind(i64::from(request.limit) + 1);
    let rows: Vec<AuditRow> = sql.rows().fetch_all(pool).await.map_err(store_error)?;
    let page = page(rows, request, |row| row.id.to_string());
    let entry = |row: AuditRow| AuditView {
        entry: AuditEntry {
            at: time(row.at),
            project: ProjectId(row.project_id),
            token: row.token_id.map(TokenId),
            user: row.user_id.map(UserId),
            action: row.action,
            subject: row.subject,
            detail: row.detail,
        },
        email: row.email,
    };
    Ok(Page { items: page.items.into_iter().map(entry).collect(), next: page.next })
}
