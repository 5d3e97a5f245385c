//! Opening: a file of SQLite, or a PostgreSQL server.

use std::{
    fs::{OpenOptions, Permissions},
    io,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
    time::Duration,
};

use sqlx::{
    AnyPool, AssertSqlSafe, Connection, Executor,
    any::{AnyConnectOptions, AnyPoolOptions, install_default_drivers},
};

use crate::{
    SqlStore,
    insight::Privacy,
    migrations::{Dialect, migrator},
    writer::Writer,
};

/// Connections to the database.
const CONNECTIONS_MAX: u32 = 8;
/// What a connection to SQLite keeps of the file in memory; names and user names lie all over it for the one that writes.
const READ_CACHE_KIB: u32 = 2 * 1024;
const WRITE_CACHE_KIB: u32 = 16 * 1024;
/// How long SQLite's log may grow before what is in it goes to its place: a page that is written often in the meantime is
/// copied there once. A commit that does this takes about a tenth of a second.
const LOG_PAGES: u32 = 16 * 1024;
const PAGE_BYTES: u32 = 4096;
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
        let writes = sqlite_pool(1, WRITE_CACHE_KIB).connect_with(options.clone()).await.map_err(wrap)?;
        migrator(Dialect::Sqlite).run(&writes).await.map_err(|error| wrap(error.into()))?;
        let pool = sqlite_pool(CONNECTIONS_MAX - 1, READ_CACHE_KIB).connect_with(options).await.map_err(wrap)?;
        Ok(Self::over(pool, writes, node, Dialect::Sqlite))
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
        Ok(Self::over(pool.clone(), pool, node, Dialect::Postgres))
    }

    fn over(pool: AnyPool, writes: AnyPool, node: &str, dialect: Dialect) -> Self {
        let (writer, privacy) = (Writer::start(writes.clone()), Privacy::default());
        Self { writer, pool, writes, node: node.to_owned(), privacy, dialect }
    }
}

fn sqlite_pool(connections_max: u32, cache_kib: u32) -> AnyPoolOptions {
    let pragmas = format!(
        "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA foreign_keys = ON; \
         PRAGMA cache_size = -{cache_kib}; PRAGMA wal_autocheckpoint = {LOG_PAGES}; PRAGMA journal_size_limit = {}; \
         PRAGMA synchronous = FULL",
        LOG_PAGES * PAGE_BYTES
    );
    // FULL: a commit that returned survives a power cut, not only a crash of the process.
    AnyPoolOptions::new()
        .max_connections(connections_max)
        .acquire_timeout(PATIENCE)
        .after_connect(move |connection, _| {
            let pragmas = AssertSqlSafe(pragmas.clone());
            Box::pin(async move { connection.execute(pragmas).await.map(drop) })
        })
        // On a full disk SQLite may end a transaction by itself. The driver's own rollback then fails and it goes on as if
        // one was open: sooner or later its COMMITs are releases of savepoints, and nothing is ever durable again.
        .before_acquire(|connection, _| Box::pin(std::future::ready(Ok(!connection.is_in_transaction()))))
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
