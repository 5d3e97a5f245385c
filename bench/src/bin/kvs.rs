//! Verifies AWS signatures, and holds idle signalling WebSockets of a server of its own: `make bench-kvs`.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "printing is what it is for")]

use std::{
    fs,
    io::{Read, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use causeway_credentials::sigv4::{self, HttpRequest, amz_date, sign::Signer};
use causeway_types::{Now, UnixTime};
use clap::Parser;
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    client::Resumption,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use socket2::{Domain, Socket, Type};
use tempfile::TempDir;

const KEY: (&str, &str) = ("AKIDBENCH", "secretBENCH/KEY+1");
const REGION: &str = "us-west-2";
const SERVICE: &str = "kinesisvideo";
/// Viewers of one channel.
const PER_CHANNEL: usize = 100;
/// Connections from one source address: its ports are few.
const PER_SOURCE: usize = 20_000;

/// Verifies signatures, and holds idle connections.
#[derive(Debug, Parser)]
struct Options {
    /// The server.
    #[arg(long, default_value = "target/release/causeway")]
    server: PathBuf,
    /// Idle connections.
    #[arg(long, default_value_t = 15_000)]
    connections: usize,
    /// How long signatures are verified.
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// Hold the connections over TLS, as clients do in production.
    #[arg(long)]
    tls: bool,
}

fn main() -> Result<()> {
    let options = Options::parse();
    signatures(Duration::from_secs(options.seconds))?;
    connections(&options)
}

fn signer(at: UnixTime) -> Signer<'static> {
    Signer { access_key: KEY.0, secret: KEY.1, region: REGION, service: SERVICE, at }
}

/// On one thread: a call of boto3's shape, and a presigned WebSocket.
fn signatures(how_long: Duration) -> Result<()> {
    let now = Now::read().unix;
    let date = amz_date(now);
    let body = br#"{"ChannelARN": "arn:aws:kinesisvideo:us-west-2:123456789012:channel/demo/1700000000000", "ClientId": "viewer-1"}"#;
    let mut headers = vec![("host", "kvs.example.test"), ("content-type", "application/json"), ("x-amz-date", &date)];
    let path = "/v1/get-ice-server-config";
    let unsigned = HttpRequest { method: "POST", path, query: "", headers: &headers, body };
    let authorization = signer(now).authorization(&unsigned, &["content-type", "host", "x-amz-date"]);
    headers.push(("authorization", &authorization));
    let header_form = HttpRequest { method: "POST", path, query: "", headers: &headers, body };
    rate("header form", &header_form, how_long)?;

    let arn = "arn:aws:kinesisvideo:us-west-2:123456789012:channel/demo/1700000000000";
    let query = signer(now).presign("kvs.example.test", &[("X-Amz-ChannelARN", arn), ("X-Amz-ClientId", "v-1")], 3600);
    let host = [("host", "kvs.example.test")];
    rate("query form", &HttpRequest { method: "GET", path: "/", query: &query, headers: &host, body: b"" }, how_long)
}

fn rate(what: &str, request: &HttpRequest<'_>, how_long: Duration) -> Result<()> {
    let now = Now::read().unix;
    let start = Instant::now();
    let mut n_verified = 0_u32;
    while start.elapsed() < how_long {
        for _ in 0..100 {
            let presented = sigv4::read(request)?;
            presented.verify(request, KEY.1, REGION, SERVICE, now)?;
            n_verified += 1;
        }
    }
    println!("signatures, {what}: {:.0} per second on one core", f64::from(n_verified) / start.elapsed().as_secs_f64());
    Ok(())
}

/// A server with a data directory of its own; it ends with this value.
struct Server {
    process: Child,
    address: SocketAddr,
    /// Where TLS is spoken, and by what certificate.
    tls: (SocketAddr, Arc<ClientConfig>),
    directory: TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _is_ended = self.process.kill();
        let _status = self.process.wait();
    }
}

impl Server {
    fn start(options: &Options) -> Result<Self> {
        let directory = TempDir::new()?;
        let free = || Ok::<_, std::io::Error>(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port());
        let (http, https, turn) = (free()?, free()?, free()?);
        let config = directory.path().join("causeway.toml");
        let text = format!(
            "data_dir = {:?}\nhttp_listen = \"127.0.0.1:{http}\"\nhttp_tls_listen = \"127.0.0.1:{https}\"\n\
             public_host = \"localhost\"\nturn_listen = [\"127.0.0.1:{turn}\"]\nthreads = 1\n\
             [kvs]\nregion = {REGION:?}\nconnections_max = 1000000\nviewers_max = {PER_CHANNEL}\n\
             [[kvs.access_key]]\nid = {:?}\nsecret = {:?}\npreset = \"admin\"\n",
            directory.path().join("data"),
            KEY.0,
            KEY.1
        );
        fs::write(&config, text)?;
        let process = Command::new(&options.server)
            .args(["serve", "--config"])
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("{}: build it with cargo build --release", options.server.display()))?;
        let local = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let nobody = Arc::new(client_config(RootCertStore::empty())?);
        let mut server = Self { process, address: local(http), tls: (local(https), nobody), directory };
        for _ in 0..500 {
            if server.ask("GET /healthz HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n").is_ok() {
                let mut roots = RootCertStore::empty();
                let certificate = server.directory.path().join("data/self-signed.crt");
                for certificate in CertificateDer::pem_file_iter(certificate)? {
                    roots.add(certificate?)?;
                }
                server.tls.1 = Arc::new(client_config(roots)?);
                return Ok(server);
            }
            thread::sleep(Duration::from_millis(20));
        }
        bail!("the server is not ready")
    }

    fn ask(&self, request: &str) -> Result<String> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    /// The ARN of a new channel.
    fn make_channel(&self, number: usize) -> Result<String> {
        let (host, body) = (self.address.to_string(), format!(r#"{{"ChannelName":"bench-{number}"}}"#));
        let now = Now::read().unix;
        let date = amz_date(now);
        let headers = [("host", host.as_str()), ("x-amz-date", date.as_str())];
        let path = "/createSignalingChannel";
        let request = HttpRequest { method: "POST", path, query: "", headers: &headers, body: body.as_bytes() };
        let authorization = signer(now).authorization(&request, &["host", "x-amz-date"]);
        let answer = self.ask(&format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nX-Amz-Date: {date}\r\nAuthorization: {authorization}\r\n\
             Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ))?;
        let arn = answer.split("\"ChannelARN\":\"").nth(1).and_then(|rest| rest.split('"').next());
        arn.map(str::to_owned).with_context(|| format!("no channel: {answer}"))
    }

    fn resident_bytes(&self) -> Result<u64> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let kib =
            text.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse::<u64>().ok());
        kib.map(|kib| kib * 1024).context("no VmRSS")
    }
}

/// Without session tickets, which would cost the client memory that is not looked at.
fn client_config(roots: RootCertStore) -> Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.resumption = Resumption::disabled();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// A connection that is held.
enum Held {
    Plain { _socket: Socket },
    Tls { _stream: Box<StreamOwned<ClientConnection, Socket>> },
}

fn connections(options: &Options) -> Result<()> {
    let descriptors = causeway_net_io::raise_descriptor_limit()?;
    let needed = u64::try_from(options.connections)? + 500;
    ensure!(descriptors >= needed, "{needed} descriptors are needed and {descriptors} allowed: ulimit -Hn {needed}");
    let server = Server::start(options)?;
    let n_channels = options.connections.div_ceil(PER_CHANNEL);
    let arns: Vec<String> = (0..n_channels).map(|number| server.make_channel(number)).collect::<Result<_>>()?;
    let before = server.resident_bytes()?;
    let started = Instant::now();
    let mut held = Vec::with_capacity(options.connections);
    // Round and round, so that no channel sees more connections a second than it takes.
    for number in 0..options.connections {
        // A channel takes twenty a second.
        if number > 0 && number % (15 * n_channels) == 0 {
            thread::sleep(Duration::from_millis(1100));
        }
        let arn = arns.get(number % n_channels).context("a channel")?;
        held.push(open(&server, arn, number, options.tls)?);
    }
    let took = started.elapsed();
    let after = server.resident_bytes()?;
    let each = (after - before) / u64::try_from(held.len()).unwrap_or(1);
    println!(
        "idle connections over {}: {} opened in {:.1} s, {each} bytes of resident memory each ({} MiB before, {} MiB after)",
        if options.tls { "TLS" } else { "TCP" },
        held.len(),
        took.as_secs_f64(),
        before >> 20,
        after >> 20
    );
    ensure!(each <= 12 * 1024, "more than 12 KiB each");
    Ok(())
}

fn open(server: &Server, arn: &str, number: usize, is_tls: bool) -> Result<Held> {
    let address = if is_tls { server.tls.0 } else { server.address };
    let host = if is_tls { format!("localhost:{}", address.port()) } else { address.to_string() };
    let client = format!("viewer-{number}");
    let query = signer(Now::read().unix).presign(&host, &[("X-Amz-ChannelARN", arn), ("X-Amz-ClientId", &client)], 299);
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    let source = Ipv4Addr::new(127, 0, 1, u8::try_from(number / PER_SOURCE + 1).context("too many connections")?);
    socket.bind(&SocketAddr::new(IpAddr::V4(source), 0).into())?;
    socket.connect(&address.into())?;
    let request = format!(
        "GET /?{query} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    if is_tls {
        let name = ServerName::try_from("localhost")?;
        let mut stream = StreamOwned::new(ClientConnection::new(Arc::clone(&server.tls.1), name)?, socket);
        upgrade(&mut stream, &request)?;
        return Ok(Held::Tls { _stream: Box::new(stream) });
    }
    upgrade(&mut &socket, &request)?;
    Ok(Held::Plain { _socket: socket })
}

fn upgrade(stream: &mut (impl Read + Write), request: &str) -> Result<()> {
    stream.write_all(request.as_bytes())?;
    let mut answer = [0; 1024];
    let n_read = stream.read(&mut answer)?;
    let head = String::from_utf8_lossy(answer.get(..n_read).unwrap_or_default()).into_owned();
    ensure!(head.starts_with("HTTP/1.1 101"), "not upgraded: {head}");
    Ok(())
}
