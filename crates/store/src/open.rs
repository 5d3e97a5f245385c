//! Opening: a file of SQLite, or a PostgreSQL server.

use std::{
    fs::{OpenOptions, Permissions},
    io,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
    time::Duration,
};

use sqlx::{
    AnyPool, Executor,
    any::{AnyConnectOptions, AnyPoolOptions, install_default_drivers},
};

use crate::{
    SqlStore,
    migrations::{Dialect, migrator},
    writer::Writer,
};

/// Connections to the database.
const CONNECTIONS_MAX: u32 = 8;
/// How long a request waits for a connection.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why the store could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot open the store {name}")]
pub struct OpenError {
    /// The database file, or the server without user and password.
    pub name: String,
    /// Why.
    #[source]
    pub source: sqlx::Error,
}

impl SqlStore {
    /// Opens or creates a file of SQLite and brings its schema up to date. `node` names this server in what it writes.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn open(path: &Path, node: &str) -> Result<Self, OpenError> {
        let wrap = |source| OpenError { name: path.display().to_string(), source };
        // The passwords of issued credentials are in it; SQLite gives its side files the mode of the main one.
        keep_private(path).map_err(|error| wrap(error.into()))?;
        install_default_drivers();
        let url = sqlite_url(path);
        let options: AnyConnectOptions = url.parse().map_err(wrap)?;
        let pool = AnyPoolOptions::new()
            .max_connections(CONNECTIONS_MAX)
            .acquire_timeout(PATIENCE)
            .after_connect(|connection, _| {
                Box::pin(async move {
                    // FULL: a commit that returned survives a power cut, not only a crash of the process.
                    connection.execute("PRAGMA busy_timeout = 5000").await?;
                    connection.execute("PRAGMA journal_mode = WAL").await?;
                    connection.execute("PRAGMA synchronous = FULL").await?;
                    connection.execute("PRAGMA foreign_keys = ON").await?;
                    Ok(())
                })
            })
            .connect_with(options)
            .await
            .map_err(wrap)?;
        migrator(Dialect::Sqlite).run(&pool).await.map_err(|error| wrap(error.into()))?;
        Ok(Self::over(pool, node))
    }

    /// Connects to a PostgreSQL server and brings its schema up to date: `postgres://user:password@host/database`.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn connect(url: &str, node: &str) -> Result<Self, OpenError> {
        let name = url.rsplit_once('@').map_or_else(|| url.to_owned(), |(_, rest)| rest.to_owned());
        let wrap = |source| OpenError { name: name.clone(), source };
        install_default_drivers();
        let options: AnyConnectOptions = url.parse().map_err(wrap)?;
        let pool = AnyPoolOptions::new()
            .max_connections(CONNECTIONS_MAX)
            .acquire_timeout(PATIENCE)
            .connect_with(options)
            .await
            .map_err(wrap)?;
        migrator(Dialect::Postgres).run(&pool).await.map_err(|error| wrap(error.into()))?;
        Ok(Self::over(pool, node))
    }

    fn over(pool: AnyPool, node: &str) -> Self {
        Self { writer: Writer::start(pool.clone()), pool, node: node.to_owned() }
    }
}

/// Makes the file when it is missing, and sees to it that only its owner reads it.
fn keep_private(path: &Path) -> io::Result<()> {
    let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    file.set_permissions(Permissions::from_mode(0o600))
}

/// The path as SQLite's URL: what is special in a URL is escaped.
fn sqlite_url(path: &Path) -> String {
    let mut url = "sqlite://".to_owned();
    for byte in path.to_string_lossy().bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => url.push(char::from(byte)),
            other => url.push_str(&format!("%{other:02X}")),
        }
    }
    url
}
