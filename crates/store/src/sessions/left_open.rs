//! What a killed process of a server left open: it is closed at its last sign of life, and handed out to be told.

use std::{
    collections::HashMap,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use causeway_app::{Attribution, Identifier, LeftOpen, ProjectId, Role, SessionStart, TokenId};
use causeway_types::{
    AllocationId, ClientTransport, CredentialKind, FiveTuple, RelayTransport, TrafficCount, TrafficCounters, UnixTime,
};
use sqlx::{Any, AnyPool, Transaction};

use crate::{count, millis, sql::Sql, time};

/// A row of `sessions`, as far as it tells of a start.
#[derive(sqlx::FromRow)]
struct Row {
    id: String,
    number: i64,
    project_id: i64,
    token_id: Option<i64>,
    username: String,
    credential_kind: String,
    room: Option<String>,
    region: String,
    transport: String,
    relay_transport: String,
    listener: String,
    client_address: String,
    relayed_first: Option<String>,
    relayed_second: Option<String>,
    started_at: i64,
    last_seen_at: i64,
    client_bytes_in: i64,
    client_bytes_out: i64,
    client_packets_in: i64,
    client_packets_out: i64,
    peer_bytes_in: i64,
    peer_bytes_out: i64,
    peer_packets_in: i64,
    peer_packets_out: i64,
}

const COLUMNS: &str = "s.id, s.number, s.project_id, s.token_id, s.username, s.credential_kind, s.room, s.region, \
    s.transport, s.relay_transport, s.listener, s.client_address, s.relayed_first, s.relayed_second, s.started_at, \
    s.last_seen_at, s.client_bytes_in, s.client_bytes_out, s.client_packets_in, s.client_packets_out, s.peer_bytes_in, \
    s.peer_bytes_out, s.peer_packets_in, s.peer_packets_out";

type Clients = HashMap<String, Vec<(Identifier, Role)>>;

/// Closes what `node` left open; what that was, the oldest first.
pub(crate) async fn close(pool: &AnyPool, node: &str) -> Result<Vec<LeftOpen>, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    let left_open = close_of(&mut transaction, node).await?;
    transaction.commit().await?;
    Ok(left_open)
}

/// The same for another node, unless it said something after `last_word` or a server closed what was open then.
pub(crate) async fn close_lost(pool: &AnyPool, node: &str, last_word: UnixTime) -> Result<Vec<LeftOpen>, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    // Whoever marks the row closes: others wait for it here, and then find it marked.
    let marked = Sql::new("UPDATE nodes SET closed_at_word = seen_at WHERE name = ")
        .bind(node)
        .push(" AND seen_at = ")
        .bind(millis(last_word))
        .push(" AND (closed_at_word IS NULL OR closed_at_word <> seen_at)")
        .query()
        .execute(&mut *transaction)
        .await?;
    if marked.rows_affected() == 0 {
        return Ok(Vec::new());
    }
    let left_open = close_of(&mut transaction, node).await?;
    transaction.commit().await?;
    Ok(left_open)
}

async fn close_of(transaction: &mut Transaction<'_, Any>, node: &str) -> Result<Vec<LeftOpen>, sqlx::Error> {
    let left_open = |sql: Sql| sql.push(" s.node = ").bind(node).push(" AND s.ended_at IS NULL");
    // The first statement writes, so that SQLite's write lock is there before anything is read.
    for (table, sessions, name) in [
        ("rooms", "sessions s WHERE", "s.room"),
        ("clients", "session_clients c JOIN sessions s ON s.id = c.session_id WHERE", "c.client"),
    ] {
        let sql =
            Sql::new("UPDATE ").push(table).push(" SET active_sessions = active_sessions - (SELECT COUNT(*) FROM ");
        let sql =
            left_open(sql.push(sessions)).push(" AND s.project_id = ").push(table).push(".project_id AND ").push(name);
        let sql =
            sql.push(" = ").push(table).push(".name) WHERE (project_id, name) IN (SELECT s.project_id, ").push(name);
        let sql = left_open(sql.push(" FROM ").push(sessions)).push(")");
        sql.query().execute(&mut **transaction).await?;
    }
    let mut clients = clients(transaction, node).await?;
    let sql = left_open(Sql::new("SELECT ").push(COLUMNS).push(" FROM sessions s WHERE"))
        .push(" ORDER BY s.started_at, s.id");
    let rows: Vec<Row> = sql.rows().fetch_all(&mut **transaction).await?;
    // The last sign of life is the end: nothing is counted for the time nobody looked.
    Sql::new("UPDATE sessions SET ended_at = last_seen_at, end_reason = 'server_restart' WHERE node = ")
        .bind(node)
        .push(" AND ended_at IS NULL")
        .query()
        .execute(&mut **transaction)
        .await?;
    Ok(rows.into_iter().map(|row| row.told(&mut clients)).collect())
}

async fn clients(transaction: &mut Transaction<'_, Any>, node: &str) -> Result<Clients, sqlx::Error> {
    let sql = Sql::new(
        "SELECT c.session_id, c.client, c.role FROM session_clients c JOIN sessions s ON s.id = c.session_id \
         WHERE s.node = ",
    )
    .bind(node)
    .push(" AND s.ended_at IS NULL ORDER BY c.session_id, c.client");
    let rows: Vec<(String, String, String)> = sql.rows().fetch_all(&mut **transaction).await?;
    let mut clients = Clients::new();
    for (session, client, role) in rows {
        let role = [Role::Initiator, Role::Receiver].into_iter().find(|known| known.as_str() == role);
        if let Ok(client) = Identifier::new(&client) {
            clients.entry(session).or_default().push((client, role.unwrap_or(Role::Shared)));
        }
    }
    Ok(clients)
}

impl Row {
    fn told(self, clients: &mut Clients) -> LeftOpen {
        let attribution = Attribution {
            project: ProjectId(self.project_id),
            token: self.token_id.map(TokenId),
            room: self.room.and_then(|room| Identifier::new(&room).ok()),
            clients: clients.remove(&self.id).unwrap_or_default(),
            region: self.region,
        };
        let transports = [ClientTransport::Tcp, ClientTransport::Tls, ClientTransport::Dtls];
        let five_tuple = FiveTuple {
            transport: transports
                .into_iter()
                .find(|known| known.as_str() == self.transport)
                .unwrap_or(ClientTransport::Udp),
            client: address(&self.client_address),
            server: address(&self.listener),
        };
        let relayed = [self.relayed_first, self.relayed_second].map(|text| text.and_then(|text| text.parse().ok()));
        let start = SessionStart {
            // This crate wrote it.
            id: AllocationId(u64::from_str_radix(&self.id, 16).unwrap_or_default()),
            number: count(self.number),
            attribution: Arc::new(attribution),
            username: Arc::from(self.username),
            credential: match self.credential_kind.as_str() {
                "issued" => CredentialKind::Issued,
                "static" => CredentialKind::Static,
                _ => CredentialKind::TurnRest { secret_index: 0 },
            },
            realm: Arc::default(),
            at: time(self.started_at),
            five_tuple,
            security: None,
            relayed,
            transport: if self.relay_transport == "tcp" { RelayTransport::Tcp } else { RelayTransport::Udp },
            lifetime: Duration::ZERO,
        };
        let counted = |bytes, packets| TrafficCount { bytes: count(bytes), packets: count(packets) };
        LeftOpen {
            start,
            last_seen: time(self.last_seen_at),
            traffic: TrafficCounters {
                from_client: counted(self.peer_bytes_out, self.peer_packets_out),
                to_client: counted(self.peer_bytes_in, self.peer_packets_in),
            },
            messages: TrafficCounters {
                from_client: counted(self.client_bytes_in, self.client_packets_in),
                to_client: counted(self.client_bytes_out, self.client_packets_out),
            },
        }
    }
}

/// As written; unspecified where the project's privacy let nothing be written.
fn address(text: &str) -> SocketAddr {
    text.parse().unwrap_or_else(|_| SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)))
}
