//! The control plane's memory in SQLite.
//!
//! Writes go through one task that commits whatever waits as one transaction: a credential is durable when its insert
//! returns, and many concurrent inserts share one disk flush.
//!
//! Entry point: [`SqliteStore::open`].

#![forbid(unsafe_code)]

mod rows;
mod writer;

use std::{
    fs::{OpenOptions, Permissions},
    io,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
    time::Duration,
};

use causeway_app::{ApiCaller, CredentialRecord, NewToken, Store, StoreError};
use causeway_types::UnixTime;
use sqlx::{
    SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use crate::writer::Writer;

/// Why the store could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot open the store {path}")]
pub struct OpenError {
    /// The database file.
    pub path: String,
    /// Why.
    #[source]
    pub source: sqlx::Error,
}

/// Makes the file when it is missing, and sees to it that only its owner reads it.
fn keep_private(path: &Path) -> io::Result<()> {
    let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    file.set_permissions(Permissions::from_mode(0o600))
}

/// A store in one SQLite file.
#[derive(Debug)]
pub struct SqliteStore {
    pool: SqlitePool,
    writer: Writer,
}

impl SqliteStore {
    /// Opens or creates the file and brings its schema up to date.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn open(path: &Path) -> Result<Self, OpenError> {
        let wrap = |source| OpenError { path: path.display().to_string(), source };
        // The passwords of issued credentials are in it; SQLite gives its side files the mode of the main one.
        keep_private(path).map_err(|error| wrap(error.into()))?;
        // FULL: a commit that returned survives a power cut, not only a crash of the process.
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(5));
        let pool = SqlitePoolOptions::new()
            .max_connections(4)
            .acquire_timeout(Duration::from_secs(5))
            .connect_with(options)
            .await
            .map_err(wrap)?;
        sqlx::migrate!().run(&pool).await.map_err(|error| wrap(error.into()))?;
        let writer = Writer::start(pool.clone());
        Ok(Self { pool, writer })
    }

    /// Makes the first organization, project and token unless there is a token already; whether it made them.
    ///
    /// # Errors
    /// The store did not answer.
    pub async fn make_first_token(&self, token: &NewToken, now: UnixTime) -> Result<bool, StoreError> {
        let count: i64 =
            sqlx::query_scalar("SELECT COUNT(*) FROM api_tokens").fetch_one(&self.pool).await.map_err(store_error)?;
        if count > 0 {
            return Ok(false);
        }
        self.add_token(token, now).await?;
        Ok(true)
    }

    /// Adds a token to the first project, made when missing; a token that is there already is left as it is.
    ///
    /// # Errors
    /// The store did not answer.
    pub async fn add_token(&self, token: &NewToken, now: UnixTime) -> Result<(), StoreError> {
        let at = rows::millis(now);
        let mut transaction = self.pool.begin().await.map_err(store_error)?;
        sqlx::query(
            "INSERT INTO organizations (id, slug, created_at) VALUES (1, 'default', $1) ON CONFLICT DO NOTHING",
        )
        .bind(at)
        .execute(&mut *transaction)
        .await
        .map_err(store_error)?;
        sqlx::query(
            "INSERT INTO projects (id, organization_id, slug, created_at) VALUES (1, 1, 'default', $1) ON CONFLICT DO NOTHING",
        )
        .bind(at)
        .execute(&mut *transaction)
        .await
        .map_err(store_error)?;
        sqlx::query(
            "INSERT INTO api_tokens (project_id, name, hash, created_at) VALUES (1, $1, $2, $3) ON CONFLICT DO NOTHING",
        )
        .bind(&token.name)
        .bind(token.hash.as_slice())
        .bind(at)
        .execute(&mut *transaction)
        .await
        .map_err(store_error)?;
        transaction.commit().await.map_err(store_error)
    }

    /// Closes the file after everything queued is written.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

impl Store for SqliteStore {
    async fn insert_credential(&self, record: CredentialRecord) -> Result<(), StoreError> {
        self.writer.insert(record).await
    }

    async fn credential(&self, username: &str) -> Result<Option<CredentialRecord>, StoreError> {
        let row = sqlx::query_as::<_, rows::CredentialRow>("SELECT * FROM credentials WHERE username = $1")
            .bind(username)
            .fetch_optional(&self.pool)
            .await
            .map_err(store_error)?;
        Ok(row.map(Into::into))
    }

    async fn credential_by_hash(&self, hash: [u8; 32]) -> Result<Option<CredentialRecord>, StoreError> {
        let row = sqlx::query_as::<_, rows::CredentialRow>("SELECT * FROM credentials WHERE user_hash = $1")
            .bind(hash.as_slice())
            .fetch_optional(&self.pool)
            .await
            .map_err(store_error)?;
        Ok(row.map(Into::into))
    }

    async fn caller_by_token(&self, hash: [u8; 32]) -> Result<Option<ApiCaller>, StoreError> {
        let row = sqlx::query_as::<_, rows::CallerRow>("SELECT id, project_id FROM api_tokens WHERE hash = $1")
            .bind(hash.as_slice())
            .fetch_optional(&self.pool)
            .await
            .map_err(store_error)?;
        Ok(row.map(Into::into))
    }

    async fn is_healthy(&self) -> bool {
        sqlx::query("SELECT 1").execute(&self.pool).await.is_ok()
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape map_err wants")]
fn store_error(error: sqlx::Error) -> StoreError {
    StoreError { reason: error.to_string() }
}

#[cfg(test)]
mod tests;
