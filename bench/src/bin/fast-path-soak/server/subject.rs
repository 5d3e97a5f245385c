//! The server under test, on a host of its own, and the host of clients and peers.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    path::{Path, PathBuf},
    process::Child,
};

use anyhow::{Context, Result, ensure};
use causeway_bench::{process::resident_bytes, serving, space::Space, turn::REALM};
use tempfile::TempDir;

/// The shared secret that user names are signed with.
pub(super) const SECRET: &str = "soak-secret";
/// The API token that may do everything.
pub(super) const TOKEN: &str = "soak-token";

const SERVER: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);
const CLIENTS: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 2);
/// The first peer of each thread: permissions are by address, so each peer has its own.
const PEERS: Ipv4Addr = Ipv4Addr::new(198, 18, 1, 1);
const PEERS_PER_THREAD_MAX: usize = 250;

/// A running server with the fast path at tc.
#[derive(Debug)]
pub(super) struct Subject {
    process: Child,
    program: PathBuf,
    pub(super) server: Space,
    pub(super) far: Space,
    pub(super) turn: SocketAddr,
    pub(super) http: SocketAddr,
    directory: TempDir,
}

/// What the kernel counts of UDP on one host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Udp {
    /// Datagrams that found the queue of their socket full, or no memory.
    pub(super) overflowed: u64,
    /// Datagrams whose checksum was wrong.
    pub(super) damaged: u64,
}

impl Udp {
    pub(super) const fn since(self, before: Self) -> Self {
        Self { overflowed: self.overflowed - before.overflowed, damaged: self.damaged - before.damaged }
    }
}

impl Subject {
    /// Starts it and waits until it is well.
    pub(super) fn start(program: &Path) -> Result<Self> {
        let (server, far) = (Space::new()?, Space::new()?);
        far.link("far0", &server, "eth0")?;
        far.ip(&format!("addr add {CLIENTS}/15 dev far0"))?;
        server.ip(&format!("addr add {SERVER}/15 dev eth0"))?;
        let directory = tempfile::tempdir()?;
        let (turn, http) = server.inside(|| {
            let turn = UdpSocket::bind((SERVER, 0))?.local_addr()?;
            Ok((turn, TcpListener::bind((SERVER, 0))?.local_addr()?))
        })?;
        let config = directory.path().join("causeway.toml");
        fs::write(
            &config,
            format!(
                "http_listen = \"{http}\"\nturn_listen = [\"{turn}\"]\npublic_ip = [\"{SERVER}\"]\nrelay_ports = \"20000-60000\"\n\
                 realm = \"{REALM}\"\nallow_peer = [\"198.18.0.0/15\"]\nlog = \"warn\"\nallocations_max = 100000\nfast_path = \"tc\"\n\
                 turn_secret = [\"{SECRET}\"]\non_expiry = \"terminate\"\nusage_flush_interval = \"1s\"\nnode_id = \"soak\"\n\
                 unauthenticated_replies_per_sec = 10000000\nunauthenticated_replies_burst = 10000000\n\
                 api_requests_per_sec = 1000000\napi_requests_burst = 1000000\n"
            ),
        )?;
        let mut setpriv = server.command();
        setpriv.arg("setpriv");
        let (data, log) = (directory.path().join("data"), directory.path().join("log"));
        let process = serving::start(setpriv, program, &config, &data, &[("CAUSEWAY_API_TOKEN", TOKEN)], &log)?;
        let mut this = Self { process, program: program.to_owned(), server, far, turn, http, directory };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let Self { process, server, .. } = &mut this;
        server.inside(|| runtime.block_on(serving::wait_until_well(process, http, TOKEN, &log)))?;
        Ok(this)
    }

    /// A client's socket.
    pub(super) fn client(&self) -> Result<UdpSocket> {
        let socket = self.far.inside(|| Ok(UdpSocket::bind((CLIENTS, 0))?))?;
        socket.connect(self.turn)?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    }

    /// The sockets of `n` peers of one thread, each with an address of its own.
    pub(super) fn peers(&self, thread: usize, n: usize) -> Result<Vec<UdpSocket>> {
        ensure!(n <= PEERS_PER_THREAD_MAX, "so many channels of one allocation have no peers");
        let first = PEERS.to_bits() + u32::try_from(thread * 256)?;
        let peer = |index: usize| -> Result<UdpSocket> {
            let ip = IpAddr::V4(Ipv4Addr::from_bits(first + u32::try_from(index)?));
            self.far.ip(&format!("addr add {ip}/15 dev far0"))?;
            let socket = self.far.inside(|| Ok(UdpSocket::bind((ip, 0))?))?;
            socket.set_nonblocking(true)?;
            Ok(socket)
        };
        (0..n).map(peer).collect()
    }

    /// Its resident memory in bytes.
    pub(super) fn memory(&self) -> Result<u64> {
        resident_bytes(self.process.id())
    }

    /// What the kernel counted of UDP where the server is, and where clients and peers are.
    pub(super) fn udp(&self) -> Result<[Udp; 2]> {
        let read = || -> Result<Udp> {
            let text = fs::read_to_string("/proc/thread-self/net/snmp")?;
            udp(&text).context("/proc/net/snmp is not as expected")
        };
        Ok([self.server.inside(read)?, self.far.inside(read)?])
    }

    /// What `causeway fast-path status` says.
    pub(super) fn status(&self) -> Result<String> {
        let mut command = self.server.command();
        command.arg(&self.program).args(["fast-path", "status", "--config"]);
        let output = command.arg(self.directory.path().join("causeway.toml")).output()?;
        ensure!(output.status.success(), "causeway fast-path status: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Errors that it has logged. It may warn of a slow disk, and of the network this takes place in.
    pub(super) fn errors(&self) -> Vec<String> {
        let log = fs::read_to_string(self.directory.path().join("log")).unwrap_or_default();
        let is_error = |line: &&str| ["ERROR", "panicked"].iter().any(|word| line.contains(word));
        log.lines().filter(is_error).map(str::to_owned).collect()
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        // Both fail only when the process has ended by itself.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// From the two lines of UDP: names, and figures.
fn udp(text: &str) -> Option<Udp> {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Udp: "));
    let (names, figures) = (lines.next()?, lines.next()?);
    let figure = |name: &str| -> Option<u64> {
        let at = names.split_whitespace().position(|known| known == name)?;
        figures.split_whitespace().nth(at)?.parse().ok()
    };
    Some(Udp { overflowed: figure("RcvbufErrors")? + figure("MemErrors")?, damaged: figure("InCsumErrors")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_figures_of_udp_are_read_by_their_names() {
        let text = "Tcp: A B\nTcp: 1 2\nUdp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors \
                    InCsumErrors IgnoredMulti MemErrors\nUdp: 9 8 7 6 5 4 3 2 1\nUdpLite: X\nUdpLite: 0\n";
        assert_eq!(udp(text), Some(Udp { overflowed: 6, damaged: 3 }));
        assert_eq!(udp("Udp: InDatagrams\nUdp: 9\n"), None);
    }
}
