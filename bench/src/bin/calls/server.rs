//! The server under test, on a data directory of its own.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    path::{Path, PathBuf},
    process::{Child, Command},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result};
use causeway_bench::{
    http::Connection,
    process::{cpu_time, resident_bytes},
    serving,
};
use rustls::{
    ClientConfig, RootCertStore,
    client::Resumption,
    pki_types::{CertificateDer, pem::PemObject},
};
use tempfile::TempDir;

/// The API token that may do everything.
pub(crate) const TOKEN: &str = "bench-token";

/// A running server. It ends with this value.
#[derive(Debug)]
pub(crate) struct Server {
    process: Child,
    directory: TempDir,
    pub(crate) http: SocketAddr,
    pub(crate) https: SocketAddr,
}

impl Server {
    /// Starts the server with these SIP users and waits until it is well.
    pub(crate) async fn start(program: &Path, users: &str) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let free = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
        let (http, https) = (free()?, free()?);
        let turn = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let config = directory.path().join("causeway.toml");
        fs::write(
            &config,
            format!(
                "http_listen = \"{http}\"\nhttp_tls_listen = \"{https}\"\npublic_host = \"localhost\"\nlog = \"warn\"\n\
                 turn_listen = [\"{turn}\"]\npublic_ip = [\"127.0.0.1\"]\nrelay_ports = \"20000-32000\"\nnode_id = \"bench\"\n\
                 api_requests_per_sec = 1000000\napi_requests_burst = 1000000\n\n[calls]\nconnections_max = 1000000\n\
                 registrations_max = 1000000\n{users}"
            ),
        )?;
        let (data, log) = (directory.path().join("data"), directory.path().join("log"));
        let process =
            serving::start(Command::new("setpriv"), program, &config, &data, &[("CAUSEWAY_API_TOKEN", TOKEN)], &log)?;
        let mut this = Self { process, directory, http, https };
        serving::wait_until_well(&mut this.process, this.http, TOKEN, &log).await?;
        Ok(this)
    }

    /// How its clients take its TLS, without session tickets, which would cost them memory that is not looked at.
    pub(crate) fn tls(&self) -> Result<Arc<ClientConfig>> {
        let mut roots = RootCertStore::empty();
        let path: PathBuf = self.directory.path().join("data/self-signed.crt");
        for certificate in CertificateDer::pem_file_iter(path)? {
            roots.add(certificate?)?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.resumption = Resumption::disabled();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    /// One of its metrics.
    pub(crate) async fn metric(&self, name: &str) -> Result<u64> {
        let mut connection = Connection::open(self.http, TOKEN).await?;
        let answer = connection.get("/metrics").await?;
        let mut lines = answer.body.lines().filter_map(|line| line.split_once(' '));
        let value = lines.find(|(known, _)| *known == name).map(|(_, value)| value);
        value.with_context(|| format!("no metric {name}"))?.parse().with_context(|| format!("the value of {name}"))
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
    fn drop(&mut self) {
        // Both fail only when the process has ended by itself.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
