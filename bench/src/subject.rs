//! The servers that are measured: started, pinned to one processor, and ended.

use std::{
    cell::Cell,
    fs,
    io::{Read, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    rc::Rc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use causeway_bench::{
    process::cpu_time,
    space::Space,
    turn::{PASSWORD, REALM, TurnClient, USER},
};
use tempfile::TempDir;

/// Where peers are. The servers have loopback addresses of their own, so that nobody's ports get in anybody's way.
pub(crate) const PEER_IP: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 4));
const CAUSEWAY_IP: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
const COTURN_IP: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 3));

/// The first of the clients' addresses.
const CLIENTS: Ipv4Addr = Ipv4Addr::new(127, 1, 0, 0);

/// A server on this machine answers at once.
const PATIENCE: Duration = Duration::from_secs(20);

/// Both servers relay from these ports.
const RELAY_PORTS: (u16, u16) = (20_000, 60_000);

/// Which processors the servers and the generator keep to; none of it with a single processor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Processors {
    pub(crate) server: usize,
    pub(crate) generator: usize,
}

/// Addresses of the servers, and where the other ends of their packets are.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) causeway_ip: IpAddr,
    pub(crate) coturn_ip: IpAddr,
    pub(crate) peer_ip: IpAddr,
    /// The first of the clients' addresses.
    pub(crate) clients: Ipv4Addr,
    /// Where servers run, and where packets come from and go to. `None`: where this process is.
    pub(crate) spaces: Option<Spaces>,
}

/// One and the same for what a host says to itself.
#[derive(Clone, Debug)]
pub(crate) struct Spaces {
    pub(crate) server: Rc<Space>,
    pub(crate) generator: Rc<Space>,
}

impl Place {
    /// The loopback of the namespace this process is in.
    pub(crate) const fn here() -> Self {
        Self { causeway_ip: CAUSEWAY_IP, coturn_ip: COTURN_IP, peer_ip: PEER_IP, clients: CLIENTS, spaces: None }
    }

    /// Does something where clients and peers are.
    pub(crate) fn at_generator<T>(&self, act: impl FnOnce() -> Result<T>) -> Result<T> {
        match &self.spaces {
            Some(spaces) => spaces.generator.inside(act),
            None => act(),
        }
    }

    /// Does something where the server is.
    pub(crate) fn at_server<T>(&self, act: impl FnOnce() -> Result<T>) -> Result<T> {
        match &self.spaces {
            Some(spaces) => spaces.server.inside(act),
            None => act(),
        }
    }
}

/// Whether the server may relay in the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FastPath {
    Off,
    Tc,
}

/// A running server.
#[derive(Debug)]
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    process: Child,
    pub(crate) place: Place,
    /// Where causeway tells its figures.
    http: Option<SocketAddr>,
    n_clients: Cell<u32>,
    /// Its configuration, data and log; gone with it.
    directory: TempDir,
}

impl Subject {
    /// Starts causeway with one data-plane thread.
    pub(crate) fn causeway(
        program: &Path,
        processors: Option<Processors>,
        place: Place,
        fast_path: FastPath,
    ) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let ip = place.causeway_ip;
        let address = place.at_server(|| free_address(ip))?;
        let http = place.at_server(|| Ok(TcpListener::bind((ip, 0))?.local_addr()?))?;
        let fast_path = match fast_path {
            FastPath::Off => "off",
            FastPath::Tc => "tc",
        };
        let config = directory.path().join("causeway.toml");
        let (low, high) = RELAY_PORTS;
        fs::write(
            &config,
            format!(
                "http_listen = \"{http}\"\nturn_listen = [\"{address}\"]\npublic_ip = [\"{ip}\"]\n\
                 relay_ports = \"{low}-{high}\"\nrealm = \"{REALM}\"\nallow_peer = [\"127.0.0.0/8\", \"198.18.0.0/15\"]\nthreads = 1\n\
                 log = \"off\"\nallocations_per_user_max = 100000\nallocations_max = 100000\n\
                 fast_path = \"{fast_path}\"\n\
                 unauthenticated_replies_per_sec = 10000000\nunauthenticated_replies_burst = 10000000\n\
                 [[turn.user]]\nname = \"{USER}\"\npassword = \"{PASSWORD}\"\n"
            ),
        )?;
        let mut command = pinned(program, processors, &place);
        command.arg("serve").arg("--config").arg(&config).arg("--data-dir").arg(directory.path().join("data"));
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CAUSEWAY_")) {
            command.env_remove(name);
        }
        let mut this = Self::start("causeway", address, command, directory, place)?;
        this.http = Some(http);
        Ok(this)
    }

    /// Starts coturn with one relay thread, without TLS, with its log thrown away.
    pub(crate) fn coturn(program: &Path, processors: Option<Processors>, place: Place) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let ip = place.coturn_ip;
        let address = place.at_server(|| free_address(ip))?;
        let (low, high) = RELAY_PORTS;
        let mut command = pinned(program, processors, &place);
        command
            .args(["-n", "--no-tls", "--no-dtls", "--no-cli", "--no-rfc5780", "--no-multicast-peers"])
            .args(["--allow-loopback-peers", "--lt-cred-mech", "--relay-threads=1"])
            .args(["--log-file", "/dev/null", "--simple-log"])
            .args(["--listening-ip", &ip.to_string(), "--relay-ip", &ip.to_string()])
            .args(["--listening-port", &address.port().to_string()])
            .args(["--min-port", &low.to_string(), "--max-port", &high.to_string()])
            .args(["--realm", REALM, "--user", &format!("{USER}:{PASSWORD}")])
            .arg("--pidfile")
            .arg(directory.path().join("pid"))
            .arg("--userdb")
            .arg(directory.path().join("turndb"));
        Self::start("coturn", address, command, directory, place)
    }

    fn start(
        name: &'static str,
        address: SocketAddr,
        mut command: Command,
        directory: TempDir,
        place: Place,
    ) -> Result<Self> {
        let log = fs::File::create(directory.path().join("log"))?;
        command.current_dir(directory.path()).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let process = command.spawn().with_context(|| format!("{name} cannot be started"))?;
        let mut this = Self { name, address, process, place, http: None, n_clients: Cell::new(0), directory };
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
        let ip = Ipv4Addr::from_bits(self.place.clients.to_bits() + self.n_clients.get());
        let bind = || UdpSocket::bind((ip, 0)).context("no client port is free");
        let socket = self.place.at_generator(bind)?;
        socket.connect(self.address)?;
        Ok(socket)
    }

    /// How many packets were relayed in the kernel.
    pub(crate) fn relayed_in_kernel(&self) -> Result<f64> {
        let address = self.http.context("no figures")?;
        let mut connection = self.place.at_server(|| Ok(TcpStream::connect_timeout(&address, PATIENCE)?))?;
        connection.set_read_timeout(Some(PATIENCE))?;
        write!(connection, "GET /metrics HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
        let mut text = String::new();
        connection.read_to_string(&mut text)?;
        Ok(forwarded(&text))
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

fn forwarded(metrics: &str) -> f64 {
    let counts = metrics.lines().filter_map(|line| {
        let outcome = line.strip_prefix("causeway_fast_path_packets_total{outcome=\"forwarded_")?;
        outcome.rsplit_once(' ')?.1.parse::<f64>().ok()
    });
    counts.sum()
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

/// `program`, where servers run, on their processor, and gone when the bench is gone, however it ended. The helpers replace
/// themselves by what they start.
pub(crate) fn pinned(program: &Path, processors: Option<Processors>, place: &Place) -> Command {
    let mut command = match &place.spaces {
        Some(spaces) => {
            let mut command = spaces.server.command();
            command.arg("setpriv");
            command
        }
        None => Command::new("setpriv"),
    };
    command.args(["--pdeathsig", "KILL"]);
    if let Some(processors) = processors {
        command.args(["taskset", "--cpu-list", &processors.server.to_string()]);
    }
    command.arg(program);
    command
}

pub(crate) fn free_address(ip: IpAddr) -> Result<SocketAddr> {
    let socket = UdpSocket::bind((ip, 0)).with_context(|| format!("{ip} is no address of this machine"))?;
    Ok(socket.local_addr()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_relayed_in_the_kernel_is_read_from_the_metrics() {
        let text = "# TYPE x counter\ncauseway_fast_path_packets_total{outcome=\"forwarded_up\"} 60\n\
                    causeway_fast_path_packets_total{outcome=\"forwarded_between\"} 15\n\
                    causeway_fast_path_packets_total{outcome=\"passed_first\"} 25\ncauseway_other 7\n";
        assert_eq!(forwarded(text), 75.0);
        assert_eq!(forwarded(""), 0.0);
    }
}
