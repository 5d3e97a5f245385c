//! Lists: pages of sessions, rooms, clients and the audit log.
//!
//! A page's end is the sort key of its last row, so a list does not shift under a reader while rows are added.

use std::{collections::BTreeMap, time::Duration};

use causeway_app::{
    AuditEntry, AuditFilter, AuditView, Bitrate, ClientView, Identifier, InsightView, NameFilter, NameKey, Order, Page,
    PageRequest, ProjectId, Role, RoomView, SessionFilter, SessionKey, SessionView, StoreError, StoreResult, TokenId,
    UserId,
};
use sqlx::AnyPool;

use crate::{
    count,
    insight::{read_marks, read_peers},
    millis,
    sql::Sql,
    store_error, time,
};

/// The place of a list sorted by a time and a name.
pub(crate) fn place(request: &PageRequest) -> StoreResult<Option<(i64, String)>> {
    let Some(text) = &request.after else { return Ok(None) };
    let (at, name) = text.split_once('-').ok_or(StoreError::BadCursor)?;
    Ok(Some((at.parse().map_err(|_| StoreError::BadCursor)?, name.to_owned())))
}

/// Ends a question with the page's beginning, its order and its length: by `column`, and by `id` among equals.
pub(crate) fn ordered(
    mut sql: Sql,
    (column, id): (&str, &str),
    is_descending: bool,
    after: Option<(i64, String)>,
    limit: i64,
) -> Sql {
    let (beyond, direction) = if is_descending { (" < (", " DESC") } else { (" > (", "") };
    if let Some((value, name)) = after {
        sql = sql.push(&format!(" AND ({column}, {id}){beyond}")).bind(value).push(", ").bind(name).push(")");
    }
    sql.push(&format!(" ORDER BY {column}{direction}, {id}{direction} LIMIT ")).bind(limit)
}

/// The condition that one of these columns has a text in it, in letters of any case.
pub(crate) fn has_text(sql: Sql, columns: &[&str], text: &str) -> Sql {
    let all: Vec<String> = columns.iter().map(|column| format!("COALESCE({column}, '')")).collect();
    // A line feed between two columns, which no search has: none finds the end of one with the start of the next.
    sql.push("LOWER(").push(&all.join(" || '\n' || ")).push(") LIKE ").bind(pattern(text)).push(" ESCAPE '!'")
}

/// Any text with this in it; what LIKE takes for a sign is a letter here.
fn pattern(text: &str) -> String {
    let mut pattern = "%".to_owned();
    for letter in text.to_lowercase().chars() {
        if matches!(letter, '%' | '_' | '!') {
            pattern.push('!');
        }
        pattern.push(letter);
    }
    pattern.push('%');
    pattern
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
    let mut page = Page::cut(views, request, |view| format!("{}-{}", value_of(view, filter.order.by), view.id));
    name_clients(pool, &mut page.items).await.map_err(store_error)?;
    Ok(page)
}

/// What a session is listed by.
fn value_of(view: &SessionView, key: SessionKey) -> i64 {
    let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    match key {
        SessionKey::Started => millis(view.started_at),
        SessionKey::Duration => millis(view.ended_at.unwrap_or(view.last_seen_at)) - millis(view.started_at),
        SessionKey::BytesIn => number(view.bytes_in),
        SessionKey::BytesOut => number(view.bytes_out),
        SessionKey::Refusals => number(view.refusals),
    }
}

pub(crate) fn sessions_sql(project: ProjectId, filter: &SessionFilter, request: &PageRequest) -> StoreResult<Sql> {
    let Order { by, is_descending } = filter.order;
    let value = match by {
        SessionKey::Started => return listed_sessions(Sql::default(), "s.*", None, project, filter, request),
        SessionKey::Duration => "COALESCE(s.ended_at, s.last_seen_at) - s.started_at",
        SessionKey::BytesIn => "s.client_bytes_in",
        SessionKey::BytesOut => "s.client_bytes_out",
        SessionKey::Refusals => "s.refusals",
    };
    // Sorted are names alone, and then the page's rows are taken.
    let sql = Sql::new("SELECT s.* FROM (");
    let names = format!("s.id AS id, {value} AS value");
    let sql = listed_sessions(sql, &names, Some(&format!("({value})")), project, filter, request)?;
    let direction = if is_descending { " DESC" } else { "" };
    let order =
        format!(") AS page JOIN sessions s ON s.id = page.id ORDER BY page.value{direction}, page.id{direction}");
    Ok(sql.push(&order))
}

/// Adds the question for sessions, or for their names, in the order of `value`; of their start where there is none.
fn listed_sessions(
    sql: Sql,
    columns: &str,
    value: Option<&str>,
    project: ProjectId,
    filter: &SessionFilter,
    request: &PageRequest,
) -> StoreResult<Sql> {
    // A room, a credential and what is live have fewer sessions than a client that is in all of them.
    let is_narrow = filter.room.is_some() || filter.username.is_some() || filter.active == Some(true);
    let from_client = filter.client.as_ref().filter(|_| !is_narrow);
    let mut sql = sql.push("SELECT ").push(columns);
    sql = match from_client {
        // From the client's own index, which is in the order of the list.
        Some(client) => sql
            .push(" FROM session_clients c JOIN sessions s ON s.id = c.session_id WHERE c.client = ")
            .bind(client.as_str())
            .push(" AND c.project_id = ")
            .bind(project.0),
        None => sql.push(" FROM sessions s WHERE s.project_id = ").bind(project.0),
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
    if let Some(text) = &filter.search {
        sql = has_text(sql.push(" AND ("), &["s.id", "s.room", "s.username", "s.client_address"], text);
        sql = sql.push(" OR EXISTS (SELECT 1 FROM session_clients f WHERE f.session_id = s.id AND ");
        sql = has_text(sql, &["f.client"], text).push("))");
    }
    let limit = i64::from(request.limit) + 1;
    Ok(ordered(sql, (value.unwrap_or(at), id), filter.order.is_descending, place(request)?, limit))
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
) -> StoreResult<Page<RoomView>> {
    let sql = rooms_sql(project, filter, request)?;
    let rows: Vec<RoomRow> = sql.rows().fetch_all(pool).await.map_err(store_error)?;
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
    Ok(Page::cut(rows.into_iter().map(view).collect(), request, |room| {
        let times = [millis(room.first_seen), millis(room.last_seen)];
        name_place(filter.order.by, &room.name, times, [room.sessions, room.bytes_in, room.bytes_out])
    }))
}

pub(crate) fn rooms_sql(project: ProjectId, filter: &NameFilter, request: &PageRequest) -> StoreResult<Sql> {
    const COLUMNS: &str = "SELECT n.name, n.first_seen, n.last_seen, n.active_sessions, n.sessions, n.bytes_in, \
                           n.bytes_out, (SELECT COUNT(*) FROM room_clients m WHERE m.project_id = n.project_id \
                           AND m.room = n.name) AS clients FROM ";
    let sql = Sql::new(COLUMNS);
    if value_column(filter.order.by).is_none() {
        return named(sql.push("rooms n WHERE n.project_id = ").bind(project.0), filter, "n.name", request);
    }
    // Clients are counted for the rooms of the page, not for all that are sorted.
    let sql = sql.push("(SELECT * FROM rooms n WHERE n.project_id = ").bind(project.0);
    let sql = named(sql, filter, "n.name", request)?.push(") AS n");
    Ok(sql.push(&order_of(filter.order, "n.name")))
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
) -> StoreResult<Page<ClientView>> {
    let sql = clients_sql(project, filter, request)?;
    let rows: Vec<ClientRow> = sql.rows().fetch_all(pool).await.map_err(store_error)?;
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
    Ok(Page::cut(rows.into_iter().map(view).collect(), request, |client| {
        let times = [millis(client.first_seen), millis(client.last_seen)];
        name_place(filter.order.by, &client.name, times, [client.sessions, client.bytes_in, client.bytes_out])
    }))
}

pub(crate) fn clients_sql(project: ProjectId, filter: &NameFilter, request: &PageRequest) -> StoreResult<Sql> {
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
/// index that has the order of names; other orders are sorted for.
fn named(sql: Sql, filter: &NameFilter, name: &str, request: &PageRequest) -> StoreResult<Sql> {
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
    let (limit, is_descending) = (i64::from(request.limit) + 1, filter.order.is_descending);
    if let Some(column) = value_column(filter.order.by) {
        return Ok(ordered(sql, (column, name), is_descending, place(request)?, limit));
    }
    if let Some(after) = &request.after {
        sql = sql.push(" AND ").push(name).push(if is_descending { " < " } else { " > " }).bind(after.as_str());
    }
    Ok(sql.push(&order_of(filter.order, name)).push(" LIMIT ").bind(limit))
}

/// The column of an order other than that of names.
fn value_column(key: NameKey) -> Option<&'static str> {
    match key {
        NameKey::Name => None,
        NameKey::FirstSeen => Some("n.first_seen"),
        NameKey::LastSeen => Some("n.last_seen"),
        NameKey::Sessions => Some("n.sessions"),
        NameKey::BytesIn => Some("n.bytes_in"),
        NameKey::BytesOut => Some("n.bytes_out"),
    }
}

fn order_of(order: Order<NameKey>, name: &str) -> String {
    let direction = if order.is_descending { " DESC" } else { "" };
    match value_column(order.by) {
        Some(column) => format!(" ORDER BY {column}{direction}, {name}{direction}"),
        None => format!(" ORDER BY {name}{direction}"),
    }
}

/// The place of a room or client in its list.
fn name_place(key: NameKey, name: &str, [first, last]: [i64; 2], [sessions, into, out]: [u64; 3]) -> String {
    let value = match key {
        NameKey::Name => return name.to_owned(),
        NameKey::FirstSeen => count(first),
        NameKey::LastSeen => count(last),
        NameKey::Sessions => sessions,
        NameKey::BytesIn => into,
        NameKey::BytesOut => out,
    };
    format!("{value}-{name}")
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
    filter: &AuditFilter,
    request: &PageRequest,
) -> StoreResult<Page<AuditView>> {
    let after =
        request.after.as_ref().map(|text| text.parse::<i64>().map_err(|_| StoreError::BadCursor)).transpose()?;
    let (beyond, direction) = if filter.is_oldest_first { (" AND a.id > ", "") } else { (" AND a.id < ", " DESC") };
    let mut sql =
        Sql::new("SELECT a.*, u.email FROM audit_log a LEFT JOIN users u ON u.id = a.user_id WHERE a.project_id = ")
            .bind(project.0)
            .and(beyond, after);
    if let Some(text) = &filter.search {
        sql = has_text(sql.push(" AND "), &["a.action", "a.subject", "a.detail", "u.email"], text);
    }
    let sql = sql.push(&format!(" ORDER BY a.id{direction} LIMIT ")).bind(i64::from(request.limit) + 1);
    let rows: Vec<AuditRow> = sql.rows().fetch_all(pool).await.map_err(store_error)?;
    let page = Page::cut(rows, request, |row| row.id.to_string());
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
