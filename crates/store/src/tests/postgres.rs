//! A PostgreSQL server of this test process: a cluster in a temporary directory on a free port of loopback. A shell that
//! holds the other end of a pipe ends it, by its pid, when this process is gone, however it ended.

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

struct Server {
    port: u16,
    /// Its pipe closes when this process ends: that ends the server.
    _shell: Child,
}

/// The URL of an empty database.
pub(crate) fn fresh_database() -> String {
    static SERVER: OnceLock<Server> = OnceLock::new();
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let port = SERVER.get_or_init(start).port;
    let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
    run(as_owner(&binary("createdb")).args(["-h", "127.0.0.1", "-U", "postgres", "-p", &port.to_string(), &name]));
    format!("postgres://postgres@127.0.0.1:{port}/{name}")
}

fn start() -> Server {
    let home = tempfile::Builder::new().prefix("causeway-postgres-").tempdir().expect("temporary directory").keep();
    fs::set_permissions(&home, fs::Permissions::from_mode(0o777)).expect("own directory");
    let data = home.join("data");
    let data = data.to_str().expect("a plain path");
    run(as_owner(&binary("initdb")).args(["-D", data, "-U", "postgres", "--auth=trust", "--no-sync", "-E", "UTF8"]));
    let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port").port();
    let script = r#""$0" "$@" & read -r _; kill -INT $!; wait $!; rm -rf "$CLUSTER""#;
    let shell = as_owner(Path::new("/bin/sh"))
        .args(["-c", script])
        .arg(binary("postgres"))
        .args(["-D", data, "-p", &port.to_string(), "-h", "127.0.0.1", "-k", ""])
        .args(["-c", "fsync=off", "-c", "max_connections=200"])
        .env("CLUSTER", &home)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(fs::File::create(home.join("log")).expect("a log file"))
        .spawn()
        .expect("a shell");
    let deadline = Instant::now() + Duration::from_secs(30);
    let is_ready = || {
        let mut probe = Command::new(binary("pg_isready"));
        probe.args(["-q", "-h", "127.0.0.1", "-p", &port.to_string()]).status().is_ok_and(|status| status.success())
    };
    while !is_ready() {
        assert!(Instant::now() < deadline, "PostgreSQL did not start: see {}", home.join("log").display());
        std::thread::yield_now();
    }
    Server { port, _shell: shell }
}

/// PostgreSQL refuses to run as root; Debian's package brings a user for it.
fn as_owner(program: &Path) -> Command {
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n");
    if is_root {
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--"]).arg(program).current_dir("/");
        command
    } else {
        Command::new(program)
    }
}

fn run(command: &mut Command) {
    let output = command.output().expect("runs");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Debian keeps the server's programs in a folder per version.
fn binary(name: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = versions.map(|version| version.path().join("bin").join(name)).collect();
    found.sort();
    let found = found.into_iter().rfind(|path| path.exists());
    found.expect("PostgreSQL is not installed: run scripts/install-test-tools, or apt-get install postgresql")
}
