//! Waits for a causeway that a program started.

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    process::Child,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

use crate::http::Connection;

/// How long a server may take to begin, on a machine that does other things too.
const PATIENCE: Duration = Duration::from_secs(60);

/// Returns once `process` answers at `http` that all is well.
///
/// # Errors
/// It has ended, or does not answer in a minute: what it wrote to `log`.
pub async fn wait_until_well(process: &mut Child, http: SocketAddr, token: &'static str, log: &Path) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Ok(mut connection) = Connection::open(http, token).await
            && connection.get("/healthz").await.is_ok_and(|answer| answer.status == 200)
        {
            return Ok(());
        }
        let status = process.try_wait()?;
        if status.is_some() || Instant::now() > deadline {
            bail!("causeway does not serve ({status:?}):\n{}", fs::read_to_string(log).unwrap_or_default());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
