//! Writing sessions. Figures are absolute; what is new against the stored row goes to usage, rooms and clients in the
//! same transaction, so a batch that is written twice (after a lost answer to COMMIT, say) counts once.

use std::{collections::BTreeMap, time::Duration};

use causeway_app::{Identifier, ProjectId, SessionRecord};
use causeway_types::{CredentialKind, RelayTransport};
use sqlx::{Any, AnyPool, Transaction};

use crate::{
    insight::{Privacy, Shown},
    millis,
    sql::Sql,
};

const HOUR_MILLIS: i64 = 3_600_000;

/// What a batch adds under one key.
#[derive(Clone, Copy, Debug, Default)]
struct Added {
    bytes_in: i64,
    bytes_out: i64,
    sessions: i64,
    millis: i64,
    last_seen: i64,
}

impl Added {
    const fn add(&mut self, other: Self) {
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
        self.sessions += other.sessions;
        self.millis += other.millis;
        if other.last_seen > self.last_seen {
            self.last_seen = other.last_seen;
        }
    }
}

type UsageKey = (ProjectId, i64, String, String, i64, &'static str);

/// Sums of a batch, in key order: two servers that write the same rows take them in the same order.
#[derive(Debug, Default)]
struct Sums {
    usage: BTreeMap<UsageKey, Added>,
    client_usage: BTreeMap<(ProjectId, i64, String), Added>,
    rooms: BTreeMap<(ProjectId, String), Added>,
    clients: BTreeMap<(ProjectId, String), Added>,
}

pub(crate) async fn write(
    pool: &AnyPool,
    node: &str,
    privacy: &Privacy,
    sessions: &[SessionRecord],
) -> Result<(), sqlx::Error> {
    if sessions.is_empty() {
        return Ok(());
    }
    let mut transaction = pool.begin().await?;
    // A first statement that writes takes SQLite's write lock before anything is read.
    Sql::new("DELETE FROM refused_names WHERE refused_until < ")
        .bind(sessions.iter().map(|session| millis(session.last_seen)).min().unwrap_or(0))
        .query()
        .execute(&mut *transaction)
        .await?;
    let mut sums = Sums::default();
    for session in sessions {
        let added = write_one(&mut transaction, node, privacy, session).await?;
        sums.add(session, added);
    }
    sums.write(&mut transaction).await?;
    transaction.commit().await
}

/// Writes one row; what is new in it.
async fn write_one(
    transaction: &mut Transaction<'_, Any>,
    node: &str,
    privacy: &Privacy,
    session: &SessionRecord,
) -> Result<Added, sqlx::Error> {
    let id = session.start.id.to_string();
    let shown = Shown::of(session, privacy.of(session.start.attribution.project));
    let sql =
        Sql::new("SELECT client_bytes_in, client_bytes_out, last_seen_at FROM sessions WHERE id = ").bind(id.as_str());
    let stored: Option<(i64, i64, i64)> = sql.rows().fetch_optional(&mut **transaction).await?;
    let bytes_in = saturate(session.messages.from_client.bytes);
    let bytes_out = saturate(session.messages.to_client.bytes);
    let last_seen = millis(session.last_seen);
    let (old_in, old_out, old_seen) = stored.unwrap_or_else(|| (0, 0, millis(session.start.at)));
    if stored.is_some() {
        update(session, &id, &shown).query().execute(&mut **transaction).await?;
    } else {
        insert(session, node, &id, &shown).query().execute(&mut **transaction).await?;
        insert_clients(transaction, session, &id).await?;
    }
    Ok(Added {
        bytes_in: (bytes_in - old_in).max(0),
        bytes_out: (bytes_out - old_out).max(0),
        sessions: i64::from(stored.is_none()),
        millis: (last_seen - old_seen).max(0),
        last_seen,
    })
}

fn insert(session: &SessionRecord, node: &str, id: &str, shown: &Shown) -> Sql {
    let start = &session.start;
    let [first, second] = start.relayed.map(|address| address.map(|address| address.to_string()));
    let sql = Sql::new(
        "INSERT INTO sessions (id, number, node, project_id, token_id, username, credential_kind, room, region, \
         transport, relay_transport, listener, client_address, relayed_first, relayed_second, tls_version, tls_cipher, \
         started_at, last_seen_at, ended_at, end_reason, client_bytes_in, client_bytes_out, client_packets_in, \
         client_packets_out, peer_bytes_in, peer_bytes_out, peer_packets_in, peer_packets_out, first_data_ms, peers, \
         refusals, moves, marks, marks_folded, bitrate, first_sent_ms, first_heard_ms, udp_unanswered_ms) VALUES (",
    );
    let sql = sql.bind(id).push(", ").bind(start.number).push(", ").bind(node).push(", ");
    let sql = sql.bind(start.attribution.project.0).push(", ").bind(start.attribution.token.map(|token| token.0));
    let sql = sql.push(", ").binds([&*start.username, kind(start.credential)]).push(", ");
    let sql = sql.bind(start.attribution.room.as_ref().map(Identifier::as_str)).push(", ");
    let sql = sql.binds([
        start.attribution.region.as_str(),
        start.five_tuple.transport.as_str(),
        relay_transport(start.transport),
    ]);
    let sql = sql.push(", ").binds([start.five_tuple.server.to_string(), shown.client_address.clone()]);
    let sql = sql.push(", ").binds([first, second]).push(", ");
    let security = start.security.as_ref();
    let sql = sql.binds([security.map(|tls| tls.version), security.map(|tls| tls.cipher)]).push(", ");
    let sql = sql.binds([millis(start.at), millis(session.last_seen)]).push(", ");
    let sql = sql.bind(session.end.map(|end| millis(end.at))).push(", ");
    let sql = sql.bind(session.end.map(|end| end.reason.as_str())).push(", ");
    let sql = sql.binds(figures(session)).push(", ").bind(first_data(session)).push(", ");
    let sql = sql.bind(shown.peers.as_str()).push(", ");
    let sql = sql.binds([i64::from(session.refusals), i64::from(session.moves)]).push(", ");
    let sql = sql.bind(shown.marks.as_str()).push(", ").bind(i64::from(session.insight.marks_folded)).push(", ");
    sql.bind(shown.bitrate.as_str()).push(", ").binds(firsts(session)).push(")")
}

fn update(session: &SessionRecord, id: &str, shown: &Shown) -> Sql {
    const COLUMNS: [&str; 8] = [
        "client_bytes_in",
        "client_bytes_out",
        "client_packets_in",
        "client_packets_out",
        "peer_bytes_in",
        "peer_bytes_out",
        "peer_packets_in",
        "peer_packets_out",
    ];
    let mut sql = Sql::new("UPDATE sessions SET last_seen_at = ").bind(millis(session.last_seen));
    for (column, figure) in COLUMNS.into_iter().zip(figures(session)) {
        sql = sql.push(", ").push(column).push(" = ").bind(figure);
    }
    sql.push(", client_address = ")
        .bind(shown.client_address.as_str())
        .push(", ended_at = ")
        .bind(session.end.map(|end| millis(end.at)))
        .push(", end_reason = ")
        .bind(session.end.map(|end| end.reason.as_str()))
        .push(", first_data_ms = ")
        .bind(first_data(session))
        .push(", peers = ")
        .bind(shown.peers.as_str())
        .push(", refusals = ")
        .bind(i64::from(session.refusals))
        .push(", moves = ")
        .bind(i64::from(session.moves))
        .push(", marks = ")
        .bind(shown.marks.as_str())
        .push(", marks_folded = ")
        .bind(i64::from(session.insight.marks_folded))
        .push(", bitrate = ")
        .bind(shown.bitrate.as_str())
        .push(", first_sent_ms = ")
        .bind(after_ms(session.insight.first_sent))
        .push(", first_heard_ms = ")
        .bind(after_ms(session.insight.first_heard))
        .push(" WHERE id = ")
        .bind(id)
}

async fn insert_clients(
    transaction: &mut Transaction<'_, Any>,
    session: &SessionRecord,
    id: &str,
) -> Result<(), sqlx::Error> {
    for (client, role) in &session.start.attribution.clients {
        Sql::new("INSERT INTO session_clients (project_id, client, session_id, role, started_at) VALUES (")
            .bind(session.start.attribution.project.0)
            .push(", ")
            .binds([client.as_str(), id, role.as_str()])
            .push(", ")
            .bind(millis(session.start.at))
            .push(")")
            .query()
            .execute(&mut **transaction)
            .await?;
    }
    Ok(())
}

pub(crate) async fn close_left_open(pool: &AnyPool, node: &str) -> Result<u64, sqlx::Error> {
    // The last sign of life is the end: nothing is counted for the time nobody looked.
    let done = Sql::new("UPDATE sessions SET ended_at = last_seen_at, end_reason = 'server_restart' WHERE node = ")
        .bind(node)
        .push(" AND ended_at IS NULL")
        .query()
        .execute(pool)
        .await?;
    Ok(done.rows_affected())
}

impl Sums {
    fn add(&mut self, session: &SessionRecord, added: Added) {
        let attribution = &session.start.attribution;
        let (project, hour) = (attribution.project, added.last_seen / HOUR_MILLIS * HOUR_MILLIS);
        let room = attribution.room.as_ref().map_or("", Identifier::as_str).to_owned();
        let token = attribution.token.map_or(0, |token| token.0);
        let transport = session.start.five_tuple.transport.as_str();
        let key = (project, hour, room.clone(), attribution.region.clone(), token, transport);
        self.usage.entry(key).or_default().add(added);
        if !room.is_empty() {
            self.rooms.entry((project, room)).or_default().add(added);
        }
        for (client, _) in &attribution.clients {
            let client = client.as_str().to_owned();
            self.client_usage.entry((project, hour, client.clone())).or_default().add(added);
            self.clients.entry((project, client)).or_default().add(added);
        }
    }

    async fn write(self, transaction: &mut Transaction<'_, Any>) -> Result<(), sqlx::Error> {
        for ((project, hour, room, region, token, transport), added) in self.usage {
            Sql::new(
                "INSERT INTO usage_hours (project_id, hour, room, region, token_id, transport, bytes_in, bytes_out, \
                 sessions, millis) VALUES (",
            )
            .binds([project.0, hour])
            .push(", ")
            .binds([room, region])
            .push(", ")
            .bind(token)
            .push(", ")
            .bind(transport)
            .push(", ")
            .binds([added.bytes_in, added.bytes_out, added.sessions, added.millis])
            .push(
                ") ON CONFLICT (project_id, hour, room, region, token_id, transport) DO UPDATE SET \
                 bytes_in = usage_hours.bytes_in + excluded.bytes_in, \
                 bytes_out = usage_hours.bytes_out + excluded.bytes_out, \
                 sessions = usage_hours.sessions + excluded.sessions, millis = usage_hours.millis + excluded.millis",
            )
            .query()
            .execute(&mut **transaction)
            .await?;
        }
        for ((project, hour, client), added) in self.client_usage {
            Sql::new(
                "INSERT INTO usage_client_hours (project_id, hour, client, bytes_in, bytes_out, sessions, millis) VALUES (",
            )
            .binds([project.0, hour])
            .push(", ")
            .bind(client)
            .push(", ")
            .binds([added.bytes_in, added.bytes_out, added.sessions, added.millis])
            .push(
                ") ON CONFLICT (project_id, hour, client) DO UPDATE SET \
                 bytes_in = usage_client_hours.bytes_in + excluded.bytes_in, \
                 bytes_out = usage_client_hours.bytes_out + excluded.bytes_out, \
                 sessions = usage_client_hours.sessions + excluded.sessions, \
                 millis = usage_client_hours.millis + excluded.millis",
            )
            .query()
            .execute(&mut **transaction)
            .await?;
        }
        for ((project, name), added) in self.rooms {
            add_to_name(transaction, "rooms", project, &name, added).await?;
        }
        for ((project, name), added) in self.clients {
            add_to_name(transaction, "clients", project, &name, added).await?;
        }
        Ok(())
    }
}

/// Rooms and clients have the same figures.
async fn add_to_name(
    transaction: &mut Transaction<'_, Any>,
    table: &'static str,
    project: ProjectId,
    name: &str,
    added: Added,
) -> Result<(), sqlx::Error> {
    let figures = [added.last_seen, added.last_seen, added.sessions, added.bytes_in, added.bytes_out];
    let mut sql = Sql::new("INSERT INTO ")
        .push(table)
        .push(" (project_id, name, first_seen, last_seen, sessions, bytes_in, bytes_out) VALUES (")
        .bind(project.0)
        .push(", ")
        .bind(name)
        .push(", ")
        .binds(figures)
        .push(") ON CONFLICT (project_id, name) DO UPDATE SET last_seen = excluded.last_seen");
    for column in ["sessions", "bytes_in", "bytes_out"] {
        sql = sql.push(", ").push(column).push(" = ").push(table).push(".").push(column);
        sql = sql.push(" + excluded.").push(column);
    }
    sql.query().execute(&mut **transaction).await?;
    Ok(())
}

fn figures(session: &SessionRecord) -> [i64; 8] {
    let (client, peer) = (&session.messages, &session.traffic);
    [
        client.from_client.bytes,
        client.to_client.bytes,
        client.from_client.packets,
        client.to_client.packets,
        peer.to_client.bytes,
        peer.from_client.bytes,
        peer.to_client.packets,
        peer.from_client.packets,
    ]
    .map(saturate)
}

fn first_data(session: &SessionRecord) -> Option<i64> {
    after_ms(session.first_data)
}

fn firsts(session: &SessionRecord) -> [Option<i64>; 3] {
    let insight = &session.insight;
    [insight.first_sent, insight.first_heard, insight.udp_unanswered].map(after_ms)
}

fn after_ms(after: Option<Duration>) -> Option<i64> {
    after.map(|after| i64::try_from(after.as_millis()).unwrap_or(i64::MAX))
}

fn saturate(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

const fn kind(kind: CredentialKind) -> &'static str {
    match kind {
        CredentialKind::Issued => "issued",
        CredentialKind::TurnRest { .. } => "turn_rest",
        CredentialKind::Static => "static",
    }
}

const fn relay_transport(transport: RelayTransport) -> &'static str {
    match transport {
        RelayTransport::Udp => "udp",
        RelayTransport::Tcp => "tcp",
    }
}
