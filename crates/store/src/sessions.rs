//! Writing sessions. Figures are absolute; what is new against the stored row goes to usage, rooms and clients in the
//! same transaction, so a batch that is written twice (after a lost answer to COMMIT, say) counts once.

mod left_open;
mod sums;

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use causeway_app::{Identifier, SessionRecord};
use causeway_types::{AllocationId, CredentialKind, RelayTransport};
use sqlx::{Any, AnyPool, Transaction};

pub(crate) use self::left_open::{close as close_left_open, close_lost};
use self::sums::{Added, Sums};
use crate::{
    insight::{Privacy, Shown},
    many::{self, Insert},
    millis,
    sql::{Sql, Value},
};

/// Identifiers in one question.
const ASKED_MAX: usize = 256;

/// A session as it was last written.
#[derive(Clone, Copy, Debug)]
struct Stored {
    bytes_in: i64,
    bytes_out: i64,
    last_seen: i64,
    is_live: bool,
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
    // One statement may not write a row twice; of one session the last record counts.
    let sessions: BTreeMap<AllocationId, &SessionRecord> =
        sessions.iter().map(|session| (session.start.id, session)).collect();
    let mut transaction = pool.begin().await?;
    // A first statement that writes takes SQLite's write lock before anything is read.
    Sql::new("DELETE FROM refused_names WHERE refused_until < ")
        .bind(sessions.values().map(|session| millis(session.last_seen)).min().unwrap_or(0))
        .query()
        .execute(&mut *transaction)
        .await?;
    let stored = stored(&mut transaction, sessions.keys().map(ToString::to_string).collect()).await?;
    let (mut rows, mut clients, mut sums) = (Vec::new(), Vec::new(), Sums::default());
    for (id, session) in sessions {
        let id = id.to_string();
        let before = stored.get(&id).copied();
        sums.add(session, added(session, before));
        if before.is_none() {
            clients.extend(client_rows(session, &id));
        }
        let shown = Shown::of(session, privacy.of(session.start.attribution.project));
        rows.push(row(session, node, &id, shown));
    }
    SESSIONS.all(&mut transaction, rows).await?;
    SESSION_CLIENTS.all(&mut transaction, clients).await?;
    sums.write(&mut transaction).await?;
    transaction.commit().await
}

/// What is known of these sessions.
async fn stored(
    transaction: &mut Transaction<'_, Any>,
    mut ids: Vec<String>,
) -> Result<HashMap<String, Stored>, sqlx::Error> {
    let mut all = HashMap::new();
    while !ids.is_empty() {
        let asked = ids.split_off(ids.len() - many::statement_rows(ids.len().min(ASKED_MAX), 1));
        let sql = Sql::new(
            "SELECT id, client_bytes_in, client_bytes_out, last_seen_at, ended_at FROM sessions WHERE id IN (",
        )
        .binds(asked)
        .push(")");
        let rows: Vec<(String, i64, i64, i64, Option<i64>)> = sql.rows().fetch_all(&mut **transaction).await?;
        all.extend(rows.into_iter().map(|(id, bytes_in, bytes_out, last_seen, ended)| {
            (id, Stored { bytes_in, bytes_out, last_seen, is_live: ended.is_none() })
        }));
    }
    Ok(all)
}

/// What is new in a record.
fn added(session: &SessionRecord, before: Option<Stored>) -> Added {
    let last_seen = millis(session.last_seen);
    let nothing = Stored { bytes_in: 0, bytes_out: 0, last_seen: millis(session.start.at), is_live: false };
    let old = before.unwrap_or(nothing);
    Added {
        bytes_in: (saturate(session.messages.from_client.bytes) - old.bytes_in).max(0),
        bytes_out: (saturate(session.messages.to_client.bytes) - old.bytes_out).max(0),
        sessions: i64::from(before.is_none()),
        live: i64::from(session.end.is_none()) - i64::from(old.is_live),
        millis: (last_seen - old.last_seen).max(0),
        last_seen,
    }
}

const SESSIONS: Insert = Insert {
    into: "sessions (id, number, node, project_id, token_id, username, credential_kind, room, region, transport, \
           relay_transport, listener, client_address, relayed_first, relayed_second, tls_version, tls_cipher, started_at, \
           last_seen_at, ended_at, end_reason, client_bytes_in, client_bytes_out, client_packets_in, client_packets_out, \
           peer_bytes_in, peer_bytes_out, peer_packets_in, peer_packets_out, first_data_ms, peers, refusals, moves, \
           marks, marks_folded, bitrate, first_sent_ms, first_heard_ms, udp_unanswered_ms)",
    then: "ON CONFLICT (id) DO UPDATE SET client_address = excluded.client_address, \
           last_seen_at = excluded.last_seen_at, ended_at = excluded.ended_at, end_reason = excluded.end_reason, \
           client_bytes_in = excluded.client_bytes_in, client_bytes_out = excluded.client_bytes_out, \
           client_packets_in = excluded.client_packets_in, client_packets_out = excluded.client_packets_out, \
           peer_bytes_in = excluded.peer_bytes_in, peer_bytes_out = excluded.peer_bytes_out, \
           peer_packets_in = excluded.peer_packets_in, peer_packets_out = excluded.peer_packets_out, \
           first_data_ms = excluded.first_data_ms, peers = excluded.peers, refusals = excluded.refusals, \
           moves = excluded.moves, marks = excluded.marks, marks_folded = excluded.marks_folded, \
           bitrate = excluded.bitrate, first_sent_ms = excluded.first_sent_ms, \
           first_heard_ms = excluded.first_heard_ms",
};

fn row(session: &SessionRecord, node: &str, id: &str, shown: Shown) -> Vec<Value> {
    let start = &session.start;
    let attribution = &start.attribution;
    let [first, second] = start.relayed.map(|address| address.map(|address| address.to_string()));
    let security = start.security.as_ref();
    let mut row: Vec<Value> = vec![
        id.into(),
        start.number.into(),
        node.into(),
        attribution.project.0.into(),
        attribution.token.map(|token| token.0).into(),
        (&*start.username).into(),
        kind(start.credential).into(),
        attribution.room.as_ref().map(Identifier::as_str).into(),
        attribution.region.as_str().into(),
        start.five_tuple.transport.as_str().into(),
        relay_transport(start.transport).into(),
        start.five_tuple.server.to_string().into(),
        shown.client_address.into(),
        first.into(),
        second.into(),
        security.map(|tls| tls.version).into(),
        security.map(|tls| tls.cipher).into(),
        millis(start.at).into(),
        millis(session.last_seen).into(),
        session.end.map(|end| millis(end.at)).into(),
        session.end.map(|end| end.reason.as_str()).into(),
    ];
    row.extend(figures(session).map(Value::from));
    row.extend([
        after_ms(session.first_data).into(),
        shown.peers.into(),
        i64::from(session.refusals).into(),
        i64::from(session.moves).into(),
        shown.marks.into(),
        i64::from(session.insight.marks_folded).into(),
        shown.bitrate.into(),
        after_ms(session.insight.first_sent).into(),
        after_ms(session.insight.first_heard).into(),
        after_ms(session.insight.udp_unanswered).into(),
    ]);
    row
}

const SESSION_CLIENTS: Insert = Insert {
    into: "session_clients (project_id, client, session_id, role, started_at)",
    then: "ON CONFLICT DO NOTHING",
};

fn client_rows(session: &SessionRecord, id: &str) -> Vec<Vec<Value>> {
    let start = &session.start;
    let row = |client: &str, role: &str| {
        vec![start.attribution.project.0.into(), client.into(), id.into(), role.into(), millis(start.at).into()]
    };
    start.attribution.clients.iter().map(|(client, role)| row(client.as_str(), role.as_str())).collect()
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
