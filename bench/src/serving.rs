//! How a program finds the causeway it tries, starts it and waits for it.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};

use crate::http::Connection;

/// How long a server may take to begin, on a machine that does other things too.
const PATIENCE: Duration = Duration::from_secs(60);

/// The causeway to try: `given`, or the one built beside this program.
///
/// # Errors
/// There is none.
pub fn program(given: Option<&Path>) -> Result<PathBuf> {
    let program = match given {
        Some(program) => program.canonicalize().context("--causeway")?,
        None => std::env::current_exe()?.with_file_name("causeway"),
    };
    ensure!(program.is_file(), "build causeway first: cargo build --release --package causeway");
    Ok(program)
}

/// Starts `program` by `setpriv`, a command that begins (or is to begin) with that word, so that it ends with its parent. Of
/// the environment it has no settings but `settings`; what it says goes to the end of `log`.
///
/// # Errors
/// It cannot be started, or `log` not be written.
pub fn start(
    mut setpriv: Command,
    program: &Path,
    config: &Path,
    data: &Path,
    settings: &[(&str, &str)],
    log: &Path,
) -> Result<Child> {
    setpriv.args(["--pdeathsig", "KILL"]).arg(program).arg("serve").arg("--config").arg(config);
    setpriv.arg("--data-dir").arg(data);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CAUSEWAY_")) {
        setpriv.env_remove(name);
    }
    setpriv.envs(settings.iter().copied());
    let output = fs::OpenOptions::new().create(true).append(true).open(log)?;
    setpriv.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
    setpriv.spawn().context("causeway cannot be started")
}

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
