//! The servers that are measured: started, pinned to one processor, and ended.

use std::{
    cell::Cell,
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use causeway_bench::{
    process::cpu_time,
    turn::{PASSWORD, REALM, TurnClient, USER},
};
use tempfile::TempDir;

/// Where peers are. The servers have loopback addresses of their own, so that nobody's ports get in anybody's way.
pub(crate) const PEER_IP: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 4));
const CAUSEWAY_IP: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
const COTURN_IP: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 3));

/// The first of the clients' addresses.
const CLIENTS: Ipv4Addr = Ipv4Addr::new(127, 1, 0, 0);

/// Both servers relay from these ports.
const RELAY_PORTS: (u16, u16) = (20_000, 60_000);

/// Which processors the servers and the generator keep to; none of it with a single processor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Processors {
    pub(crate) server: usize,
    pub(crate) generator: usize,
}

/// A running server.
#[derive(Debug)]
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    process: Child,
    n_clients: Cell<u32>,
    /// Its configuration, data and log; gone with it.
    directory: TempDir,
}

impl Subject {
    /// Starts causeway with one data-plane thread.
    pub(crate) fn causeway(program: &Path, processors: Option<Processors>) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let address = free_address(CAUSEWAY_IP)?;
        let config = directory.path().join("causeway.toml");
        let (low, high) = RELAY_PORTS;
        fs::write(
            &config,
            format!(
                "http_listen = \"{CAUSEWAY_IP}:0\"\nturn_listen = [\"{address}\"]\npublic_ip = [\"{CAUSEWAY_IP}\"]\n\
                 relay_ports = \"{low}-{high}\"\nrealm = \"{REALM}\"\nallow_peer = [\"127.0.0.0/8\"]\nthreads = 1\n\
                 log = \"off\"\nallocations_per_user_max = 100000\nallocations_max = 100000\n\
                 fast_path = \"off\"\n\
                 unauthenticated_replies_per_sec = 10000000\nunauthenticated_replies_burst = 10000000\n\
                 [[turn.user]]\nname = \"{USER}\"\npassword = \"{PASSWORD}\"\n"
            ),
        )?;
        let mut command = pinned(program, processors);
        command.arg("serve").arg("--config").arg(&config).arg("--data-dir").arg(directory.path().join("data"));
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CAUSEWAY_")) {
            command.env_remove(name);
        }
        Self::start("causeway", address, command, directory)
    }

    /// Starts coturn with one relay thread, without TLS, with its log thrown away.
    pub(crate) fn coturn(program: &Path, processors: Option<Processors>) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let address = free_address(COTURN_IP)?;
        let (low, high) = RELAY_PORTS;
        let mut command = pinned(program, processors);
        command
            .args(["-n", "--no-tls", "--no-dtls", "--no-cli", "--no-rfc5780", "--no-multicast-peers"])
            .args(["--allow-loopback-peers", "--lt-cred-mech", "--relay-threads=1"])
            .args(["--log-file", "/dev/null", "--simple-log"])
            .args(["--listening-ip", &COTURN_IP.to_string(), "--relay-ip", &COTURN_IP.to_string()])
            .args(["--listening-port", &address.port().to_string()])
            .args(["--min-port", &low.to_string(), "--max-port", &high.to_string()])
            .args(["--realm", REALM, "--user", &format!("{USER}:{PASSWORD}")])
            .arg("--pidfile")
            .arg(directory.path().join("pid"))
            .arg("--userdb")
            .arg(directory.path().join("turndb"));
        Self::start("coturn", address, command, directory)
    }

    fn start(name: &'static str, address: SocketAddr, mut command: Command, directory: TempDir) -> Result<Self> {
        let log = fs::File::create(directory.path().join("log"))?;
        command.current_dir(directory.path()).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let process = command.spawn().with_context(|| format!("{name} cannot be started"))?;
        let mut this = Self { name, address, process, n_clients: Cell::new(0), directory };
        this.wait_until_ready()?;
        Ok(this)
    }

    /// Process id.
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// A client's socket. Each client has an address of its own: the server may remember an ended allocation for a
    /// while, and refuse a new one from the same address and port (RFC 8656 §7.2).
    pub(crate) fn connect(&self) -> Result<UdpSocket> {
        self.n_clients.set(self.n_clients.get() + 1);
        let ip = Ipv4Addr::from_bits(CLIENTS.to_bits() + self.n_clients.get());
        let socket = UdpSocket::bind((ip, 0)).context("no client port is free")?;
        socket.connect(self.address)?;
        Ok(socket)
    }

    /// Waits until the server has used next to no processor time for `settle`.
    pub(crate) fn wait_until_settled(&self, settle: Duration) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !settle.is_zero() {
            let before = cpu_time(self.pid())?;
            thread::sleep(settle);
            if cpu_time(self.pid())?.saturating_sub(before) < settle / 50 {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "{} does not come to rest", self.name);
        }
        Ok(())
    }

    /// Ready is what has served a whole allocation.
    fn wait_until_ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let last = match TurnClient::allocate(self.connect()?).and_then(|mut client| client.release()) {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            let status = self.process.try_wait()?;
            if status.is_some() || Instant::now() > deadline {
                let log = fs::read_to_string(self.directory.path().join("log")).unwrap_or_default();
                bail!("{} does not serve ({last:#}; exit {status:?}); its output:\n{log}", self.name);
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        // Both fail only when the process has ended by itself.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// The turnserver to compare with: `named`, or where the path leads.
pub(crate) fn find_coturn(named: Option<PathBuf>) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let installed = std::env::split_paths(&path).map(|directory| directory.join("turnserver"));
    // Not on everybody's path.
    let elsewhere = ["/usr/bin/turnserver", "/usr/sbin/turnserver", "/usr/local/bin/turnserver"].map(PathBuf::from);
    let candidates = named.map_or_else(|| installed.chain(elsewhere).collect(), |named| vec![named]);
    candidates.into_iter().find(|program| program.is_file()).context(
        "there is no coturn to compare with: on Debian, `apt-get install coturn` (then `systemctl disable --now \
         coturn`, since the package starts a server of its own), or name a turnserver with --coturn",
    )
}

/// Keeps this process, and every thread it will start, on the generator's processor.
pub(crate) fn pin_generator(processors: Processors) -> Result<()> {
    let status = Command::new("taskset")
        .args([
            "--all-tasks",
            "--cpu-list",
            "--pid",
            &processors.generator.to_string(),
            &std::process::id().to_string(),
        ])
        .stdout(Stdio::null())
        .status()
        .context("taskset (Debian package util-linux) is missing")?;
    if !status.success() {
        bail!("taskset failed: {status}");
    }
    Ok(())
}

/// `program`, on the servers' processor, and gone when the bench is gone, however it ended. Both helpers replace
/// themselves by what they start.
fn pinned(program: &Path, processors: Option<Processors>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]);
    if let Some(processors) = processors {
        command.args(["taskset", "--cpu-list", &processors.server.to_string()]);
    }
    command.arg(program);
    command
}

fn free_address(ip: IpAddr) -> Result<SocketAddr> {
    let socket = UdpSocket::bind((ip, 0)).with_context(|| format!("{ip} is no address of this machine"))?;
    Ok(socket.local_addr()?)
}
