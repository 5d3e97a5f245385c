//! The one task that writes credentials: everything that waits goes into one transaction.

use causeway_app::{ClientRole, CredentialRecord, Identifier, StoreError};
use sqlx::SqlitePool;
use tokio::sync::{mpsc, oneshot};

use crate::{rows::millis, store_error};

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
    done: oneshot::Sender<Result<(), StoreError>>,
}

impl Writer {
    pub(crate) fn start(pool: SqlitePool) -> Self {
        let (queue, inserts) = mpsc::channel(QUEUE_MAX);
        tokio::spawn(write_all(pool, inserts));
        Self { queue }
    }

    /// Returns once the record is durable.
    pub(crate) async fn insert(&self, record: CredentialRecord) -> Result<(), StoreError> {
        let gone = || StoreError { reason: "the store is closing".to_owned() };
        let (done, outcome) = oneshot::channel();
        self.queue.send(Insert { record, done }).await.map_err(|_| gone())?;
        outcome.await.map_err(|_| gone())?
    }
}

async fn write_all(pool: SqlitePool, mut inserts: mpsc::Receiver<Insert>) {
    let mut batch = Vec::with_capacity(BATCH_MAX);
    while inserts.recv_many(&mut batch, BATCH_MAX).await > 0 {
        let outcome = commit(&pool, &batch).await;
        for insert in batch.drain(..) {
            let result = match &outcome {
                Ok(()) => Ok(()),
                Err(error) => Err(StoreError { reason: error.to_string() }),
            };
            // The request may have timed out; its credential is then simply never handed out.
            drop(insert.done.send(result));
        }
    }
}

async fn commit(pool: &SqlitePool, batch: &[Insert]) -> Result<(), StoreError> {
    let mut transaction = pool.begin().await.map_err(store_error)?;
    for Insert { record, .. } in batch {
        sqlx::query(
            "INSERT INTO credentials (username, secret, user_hash, project_id, token_id, room, initiator_client, \
             receiver_client, client_type, region, issued_at, expires_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        )
        .bind(&record.username)
        .bind(record.secret.expose())
        .bind(record.user_hash.as_slice())
        .bind(record.project.0)
        .bind(record.token.0)
        .bind(record.room.as_ref().map(Identifier::as_str))
        .bind(record.initiator_client.as_ref().map(Identifier::as_str))
        .bind(record.receiver_client.as_ref().map(Identifier::as_str))
        .bind(record.client_type.map(ClientRole::as_str))
        .bind(&record.region)
        .bind(millis(record.issued_at))
        .bind(millis(record.expires_at))
        .execute(&mut *transaction)
        .await
        .map_err(store_error)?;
    }
    transaction.commit().await.map_err(store_error)
}
