//! A PostgreSQL server of the bench's own, with the settings it comes with.

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

/// A running server.
#[derive(Debug)]
pub(crate) struct Postgres {
    process: Child,
    port: u16,
    _home: TempDir,
}

impl Postgres {
    pub(crate) fn is_installed() -> bool {
        binary("postgres").is_some()
    }

    pub(crate) fn start() -> Result<Self> {
        let home = tempfile::tempdir()?;
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o777))?;
        let data = home.path().join("data");
        let mut make = as_owner(&binary("initdb").context("PostgreSQL is not installed")?);
        make.arg("-D").arg(&data).args(["-U", "postgres", "--auth=trust", "-E", "UTF8"]);
        ensure!(make.output()?.status.success(), "initdb failed");
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut serve = as_owner(&binary("postgres").context("PostgreSQL is not installed")?);
        serve.arg("-D").arg(&data).args(["-p", &port.to_string(), "-h", "127.0.0.1", "-k", ""]);
        let process = serve.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let this = Self { process, port, _home: home };
        let deadline = Instant::now() + Duration::from_secs(30);
        let ready = binary("pg_isready").context("pg_isready")?;
        while !Command::new(&ready).args(["-q", "-h", "127.0.0.1", "-p", &port.to_string()]).status()?.success() {
            ensure!(Instant::now() < deadline, "PostgreSQL does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(this)
    }

    pub(crate) fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // The child is `setpriv`, which has become PostgreSQL. SIGINT ends it with its own children.
        let pid = self.process.id().to_string();
        drop(Command::new("kill").args(["-INT", &pid]).status());
        drop(self.process.wait());
    }
}

/// `program`, gone when the bench is gone. PostgreSQL refuses to run as root; Debian's package brings a user for it.
fn as_owner(program: &Path) -> Command {
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n");
    let mut command = Command::new("setpriv");
    if is_root {
        command.args(["--reuid", "postgres", "--regid", "postgres", "--init-groups"]);
    }
    command.args(["--pdeathsig", "INT"]).arg(program).current_dir("/");
    command
}

/// Debian keeps the server's programs in a folder per version.
fn binary(name: &str) -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = versions.map(|version| version.path().join("bin").join(name)).collect();
    found.sort();
    found.into_iter().rfind(|path| path.exists())
}
