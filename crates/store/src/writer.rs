//! The one task that writes credentials: everything that waits goes into one transaction.

use std::{collections::BTreeMap, time::Duration};

use causeway_app::{ClientRole, CredentialRecord, Identifier, ProjectId, Role, StoreError, StoreResult};
use sqlx::{Any, AnyPool, Transaction};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

use crate::{many, millis, sql::Value, store_error};

/// Credentials that may wait to be written; one more is refused.
pub const MINTS_WAITING_MAX: usize = 4096;
/// Credentials in one transaction.
pub const MINTS_PER_COMMIT_MAX: usize = 512;
/// How long a credential may take, from waiting to being durable.
pub const MINT_PATIENCE: Duration = Duration::from_secs(5);

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
        let (queue, inserts) = mpsc::channel(MINTS_WAITING_MAX);
        tokio::spawn(write_all(pool, inserts));
        Self { queue }
    }

    /// Returns once the record is durable. One that is given up may still be written; nobody was told its password.
    pub(crate) async fn insert(&self, record: CredentialRecord) -> StoreResult<()> {
        let unavailable = |reason: &str| StoreError::Unavailable { reason: reason.to_owned() };
        let (done, outcome) = oneshot::channel();
        self.queue.try_send(Insert { record, done }).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => unavailable("too many credentials wait for it already"),
            mpsc::error::TrySendError::Closed(_) => unavailable("the store is closing"),
        })?;
        match timeout(MINT_PATIENCE, outcome).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(unavailable("the store is closing")),
            Err(_) => Err(unavailable("a credential was not written in time")),
        }
    }
}

async fn write_all(pool: AnyPool, mut inserts: mpsc::Receiver<Insert>) {
    let mut batch = Vec::with_capacity(MINTS_PER_COMMIT_MAX);
    while inserts.recv_many(&mut batch, MINTS_PER_COMMIT_MAX).await > 0 {
        // Nobody waits for the rest.
        batch.retain(|insert| !insert.done.is_closed());
        let outcome = match timeout(MINT_PATIENCE, commit(&pool, &batch)).await {
            Ok(outcome) => outcome.map_err(store_error),
            Err(_) => Err(StoreError::Unavailable { reason: "a transaction took too long".to_owned() }),
        };
        for insert in batch.drain(..) {
            // The request may be gone; its credential is then simply never handed out.
            drop(insert.done.send(outcome.clone()));
        }
    }
}

async fn commit(pool: &AnyPool, batch: &[Insert]) -> Result<(), sqlx::Error> {
    if batch.is_empty() {
        return Ok(());
    }
    let mut transaction = pool.begin().await?;
    CREDENTIALS.all(&mut transaction, batch.iter().map(|insert| row(&insert.record)).collect()).await?;
    see_names(&mut transaction, batch).await?;
    transaction.commit().await
}

const CREDENTIALS: many::Insert = many::Insert {
    into: "credentials (username, secret, user_hash, project_id, token_id, room, initiator_client, receiver_client, \
           client_type, region, issued_at, expires_at, bytes_max, allocations_max, bandwidth, client_ip, peer_scope, \
           metadata)",
    then: "",
};

fn row(record: &CredentialRecord) -> Vec<Value> {
    let limits = &record.limits;
    vec![
        record.username.as_str().into(),
        record.secret.expose().as_str().into(),
        record.user_hash.as_slice().into(),
        record.project.0.into(),
        record.token.0.into(),
        record.room.as_ref().map(Identifier::as_str).into(),
        record.initiator_client.as_ref().map(Identifier::as_str).into(),
        record.receiver_client.as_ref().map(Identifier::as_str).into(),
        record.client_type.map(ClientRole::as_str).into(),
        record.region.as_str().into(),
        millis(record.issued_at).into(),
        millis(record.expires_at).into(),
        limits.bytes_max.map(saturate).into(),
        limits.allocations_max.map(i64::from).into(),
        limits.bandwidth.map(saturate).into(),
        limits.client_ip.map(|ip| ip.to_string()).into(),
        limits.peer_scope.as_str().into(),
        record.metadata.clone().into(),
    ]
}

fn saturate(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

const ROOMS: many::Insert = many::Insert {
    into: "rooms (project_id, name, first_seen, last_seen)",
    then: "ON CONFLICT (project_id, name) DO UPDATE SET last_seen = excluded.last_seen",
};

/// A short text of words in a fixed order needs no table of its own.
const CLIENTS: many::Insert = many::Insert {
    into: "clients (project_id, name, roles, first_seen, last_seen)",
    then: "ON CONFLICT (project_id, name) DO UPDATE SET last_seen = excluded.last_seen, roles = CASE WHEN \
           clients.roles LIKE '%' || excluded.roles || '%' THEN clients.roles WHEN excluded.roles LIKE '%' || \
           clients.roles || '%' THEN excluded.roles ELSE 'initiator,receiver,' END",
};

const ROOM_CLIENTS: many::Insert =
    many::Insert { into: "room_clients (project_id, room, client)", then: "ON CONFLICT DO NOTHING" };

/// What a batch says of a client.
#[derive(Debug, Default)]
struct Seen {
    at: i64,
    is_initiator: bool,
    is_receiver: bool,
}

/// Rooms and clients exist from the first credential that names them on. Each is touched once per batch, in order, so
/// that two servers do not wait for each other crosswise.
async fn see_names(transaction: &mut Transaction<'_, Any>, batch: &[Insert]) -> Result<(), sqlx::Error> {
    let mut rooms: BTreeMap<(ProjectId, &str), i64> = BTreeMap::new();
    let mut clients: BTreeMap<(ProjectId, &str), Seen> = BTreeMap::new();
    let mut members: BTreeMap<(ProjectId, &str, &str), ()> = BTreeMap::new();
    for Insert { record, .. } in batch {
        let at = millis(record.issued_at);
        if let Some(room) = &record.room {
            rooms.insert((record.project, room.as_str()), at);
        }
        let named = [(&record.initiator_client, Role::Initiator), (&record.receiver_client, Role::Receiver)];
        for (name, role) in named {
            let Some(name) = name else { continue };
            let seen = clients.entry((record.project, name.as_str())).or_default();
            seen.at = at;
            seen.is_initiator |= role == Role::Initiator;
            seen.is_receiver |= role == Role::Receiver;
            if let Some(room) = &record.room {
                members.insert((record.project, room.as_str(), name.as_str()), ());
            }
        }
    }
    let rows = rooms.into_iter().map(|((project, name), at)| vec![project.0.into(), name.into(), at.into(), at.into()]);
    ROOMS.all(transaction, rows.collect()).await?;
    let rows = clients.into_iter().map(|((project, name), seen)| {
        vec![project.0.into(), name.into(), roles(&seen).into(), seen.at.into(), seen.at.into()]
    });
    CLIENTS.all(transaction, rows.collect()).await?;
    let rows = members.into_keys().map(|(project, room, client)| vec![project.0.into(), room.into(), client.into()]);
    ROOM_CLIENTS.all(transaction, rows.collect()).await
}

const fn roles(seen: &Seen) -> &'static str {
    match (seen.is_initiator, seen.is_receiver) {
        (true, true) => "initiator,receiver,",
        (true, false) => "initiator,",
        (false, true) => "receiver,",
        (false, false) => "",
    }
}
