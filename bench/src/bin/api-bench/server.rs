//! The server under test, on a database of its own.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    path::Path,
    process::{Child, Command},
    time::Duration,
};

use anyhow::Result;
use causeway_bench::{
    process::{cpu_time, resident_bytes},
    serving,
    turn::REALM,
};
use causeway_store::SqlStore;
use tempfile::TempDir;

use crate::{Kind, postgres::Postgres};

/// The API token that may do everything.
pub(crate) const TOKEN: &str = "bench-token";
/// The secret of TURN REST names.
pub(crate) const SECRET: &str = "bench-secret";

/// Where its data is; gone with it.
#[derive(Debug)]
pub(crate) struct Database {
    pub(crate) directory: TempDir,
    postgres: Option<Postgres>,
}

impl Database {
    pub(crate) fn make(kind: Kind) -> Result<Self> {
        let postgres = match kind {
            Kind::Sqlite => None,
            Kind::Postgres => Some(Postgres::start()?),
        };
        Ok(Self { directory: tempfile::tempdir()?, postgres })
    }

    /// Its store, as the server opens it.
    pub(crate) async fn open(&self, node: &str) -> Result<SqlStore> {
        Ok(match &self.postgres {
            Some(postgres) => SqlStore::connect(&postgres.url(), node).await?,
            None => SqlStore::open(&self.directory.path().join("causeway.db"), node).await?,
        })
    }
}

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    process: Child,
    pub(crate) http: SocketAddr,
    pub(crate) turn: SocketAddr,
}

impl Server {
    /// Starts the server and waits until it is well.
    pub(crate) async fn start(program: &Path, database: &Database) -> Result<Self> {
        let home = database.directory.path();
        let http = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let turn = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let config = home.join("causeway.toml");
        fs::write(
            &config,
            format!(
                "http_listen = \"{http}\"\nturn_listen = [\"{turn}\"]\npublic_ip = [\"127.0.0.1\"]\nlog = \"warn\"\n\
                 relay_ports = \"20000-32000\"\nrealm = \"{REALM}\"\nnode_id = \"bench\"\n\
                 api_requests_per_sec = 1000000\napi_requests_burst = 1000000\n\
                 unauthenticated_replies_per_sec = 10000000\nunauthenticated_replies_burst = 10000000\n"
            ),
        )?;
        let url = database.postgres.as_ref().map(|postgres| postgres.url());
        let mut settings = vec![("CAUSEWAY_API_TOKEN", TOKEN), ("CAUSEWAY_TURN_SECRET", SECRET)];
        settings.extend(url.as_deref().map(|url| ("CAUSEWAY_DATABASE_URL", url)));
        let log = home.join("log");
        let process = serving::start(Command::new("setpriv"), program, &config, home, &settings, &log)?;
        let mut this = Self { process, http, turn };
        serving::wait_until_well(&mut this.process, this.http, TOKEN, &log).await?;
        Ok(this)
    }

    /// Processor time it has used.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        cpu_time(self.process.id())
    }

    /// Its resident memory.
    pub(crate) fn memory(&self) -> Result<u64> {
        resident_bytes(self.process.id())
    }
}

impl Drop for Server {
    /// SIGKILL: what it acknowledged must be there all the same.
    fn drop(&mut self) {
        // Both fail only when the process has ended by itself.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
