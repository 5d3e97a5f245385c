//! The one task that writes credentials: everything that waits goes into one transaction.

use std::collections::BTreeMap;

use causeway_app::{ClientRole, CredentialRecord, Identifier, ProjectId, Role, StoreError, StoreResult};
use sqlx::{Any, AnyPool, Transaction};
use tokio::sync::{mpsc, oneshot};

use crate::{millis, sql::Sql, store_error};

/// Inserts that may wait; one more waits for room (the caller is an HTTP request with a timeout).
const QUEUE_MAX: usize = 4096;
/// Inserts in one transaction.
const BATCH_MAX: usize = 512;

/// The queue's end. The task stops when it is dropped.
#[derive(Debug)]
pub(crate) struct Writer {
    queue: mpsc::Sender<Insert>,
}

#[derive(Debug)]
struct Insert {
    record: CredentialRecord,
    done: oneshot::Sender<StoreResult<()>>,
}

impl Writer {
    pub(crate) fn start(pool: AnyPool) -> Self {
        let (queue, inserts) = mpsc::channel(QUEUE_MAX);
        tokio::spawn(write_all(pool, inserts));
        Self { queue }
    }

    /// Returns once the record is durable.
    pub(crate) async fn insert(&self, record: CredentialRecord) -> StoreResult<()> {
        let gone = || StoreError::Unavailable { reason: "the store is closing".to_owned() };
        let (done, outcome) = oneshot::channel();
        self.queue.send(Insert { record, done }).await.map_err(|_| gone())?;
        outcome.await.map_err(|_| gone())?
    }
}

async fn write_all(pool: AnyPool, mut inserts: mpsc::Receiver<Insert>) {
    let mut batch = Vec::with_capacity(BATCH_MAX);
    while inserts.recv_many(&mut batch, BATCH_MAX).await > 0 {
        let outcome = commit(&pool, &batch).await.map_err(store_error);
        for insert in batch.drain(..) {
            // The request may have timed out; its credential is then simply never handed out.
            drop(insert.done.send(outcome.clone()));
        }
    }
}

async fn commit(pool: &AnyPool, batch: &[Insert]) -> Result<(), sqlx::Error> {
    let mut transaction = pool.begin().await?;
    for Insert { record, .. } in batch {
        insert(&mut transaction, record).await?;
    }
    see_names(&mut transaction, batch).await?;
    transaction.commit().await
}

async fn insert(transaction: &mut Transaction<'_, Any>, record: &CredentialRecord) -> Result<(), sqlx::Error> {
    Sql::new(
        "INSERT INTO credentials (username, secret, user_hash, project_id, token_id, room, initiator_client, \
         receiver_client, client_type, region, issued_at, expires_at, bytes_max, allocations_max, bandwidth, client_ip, \
         peer_scope, metadata) VALUES (",
    )
    .bind(record.username.as_str())
    .push(", ")
    .bind(record.secret.expose().as_str())
    .push(", ")
    .bind(record.user_hash.as_slice())
    .push(", ")
    .binds([record.project.0, record.token.0])
    .push(", ")
    .binds([
        record.room.as_ref().map(Identifier::as_str),
        record.initiator_client.as_ref().map(Identifier::as_str),
        record.receiver_client.as_ref().map(Identifier::as_str),
        record.client_type.map(ClientRole::as_str),
    ])
    .push(", ")
    .bind(record.region.as_str())
    .push(", ")
    .binds([millis(record.issued_at), millis(record.expires_at)])
    .push(", ")
    .binds([
        record.limits.bytes_max.map(saturate),
        record.limits.allocations_max.map(i64::from),
        record.limits.bandwidth.map(saturate),
    ])
    .push(", ")
    .bind(record.limits.client_ip.map(|ip| ip.to_string()))
    .push(", ")
    .bind(record.limits.peer_scope.as_str())
    .push(", ")
    .bind(record.metadata.clone())
    .push(")")
    .query()
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

fn saturate(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Rooms and clients exist from the first credential that names them on. Each is touched once per batch, in order, so
/// that two servers do not wait for each other crosswise.
async fn see_names(transaction: &mut Transaction<'_, Any>, batch: &[Insert]) -> Result<(), sqlx::Error> {
    let mut rooms: BTreeMap<(ProjectId, &str), i64> = BTreeMap::new();
    let mut clients: BTreeMap<(ProjectId, &str), (i64, Vec<Role>)> = BTreeMap::new();
    let mut members: BTreeMap<(ProjectId, &str, &str), ()> = BTreeMap::new();
    for Insert { record, .. } in batch {
        let at = millis(record.issued_at);
        if let Some(room) = &record.room {
            rooms.insert((record.project, room.as_str()), at);
        }
        let named = [(&record.initiator_client, Role::Initiator), (&record.receiver_client, Role::Receiver)];
        for (name, role) in named {
            let Some(name) = name else { continue };
            let seen = clients.entry((record.project, name.as_str())).or_insert((at, Vec::new()));
            seen.0 = at;
            seen.1.push(role);
            if let Some(room) = &record.room {
                members.insert((record.project, room.as_str(), name.as_str()), ());
            }
        }
    }
    for ((project, name), at) in rooms {
        Sql::new("INSERT INTO rooms (project_id, name, first_seen, last_seen) VALUES (")
            .bind(project.0)
            .push(", ")
            .bind(name)
            .push(", ")
            .binds([at, at])
            .push(") ON CONFLICT (project_id, name) DO UPDATE SET last_seen = excluded.last_seen")
            .query()
            .execute(&mut **transaction)
            .await?;
    }
    for ((project, name), (at, roles)) in clients {
        see_client(transaction, project, name, at, &roles).await?;
    }
    for (project, room, client) in members.into_keys() {
        Sql::new("INSERT INTO room_clients (project_id, room, client) VALUES (")
            .bind(project.0)
            .push(", ")
            .binds([room, client])
            .push(") ON CONFLICT DO NOTHING")
            .query()
            .execute(&mut **transaction)
            .await?;
    }
    Ok(())
}

async fn see_client(
    transaction: &mut Transaction<'_, Any>,
    project: ProjectId,
    name: &str,
    at: i64,
    roles: &[Role],
) -> Result<(), sqlx::Error> {
    Sql::new("INSERT INTO clients (project_id, name, first_seen, last_seen) VALUES (")
        .bind(project.0)
        .push(", ")
        .bind(name)
        .push(", ")
        .binds([at, at])
        .push(") ON CONFLICT (project_id, name) DO UPDATE SET last_seen = excluded.last_seen")
        .query()
        .execute(&mut **transaction)
        .await?;
    for role in [Role::Initiator, Role::Receiver] {
        if roles.contains(&role) {
            // A short text of words in a fixed order needs no table of its own.
            Sql::new("UPDATE clients SET roles = roles || ")
                .bind(format!("{},", role.as_str()))
                .push(" WHERE project_id = ")
                .bind(project.0)
                .push(" AND name = ")
                .bind(name)
                .push(" AND roles NOT LIKE ")
                .bind(format!("%{}%", role.as_str()))
                .query()
                .execute(&mut **transaction)
                .await?;
        }
    }
    Ok(())
}
