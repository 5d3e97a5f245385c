//! One connection to Redis: TCP, TLS, log-in. Replies of the log-in are read, so a wrong password is told as such.

use std::{collections::BTreeSet, io, net::SocketAddr, sync::Arc, time::Duration};

use parking_lot::Mutex;
use redis::{AsyncConnectionConfig, Cmd, RedisConnectionInfo, aio::MultiplexedConnection};
use rustls::pki_types::ServerName;
use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
};
use tokio_rustls::TlsConnector;

use super::{target::RedisTarget, tls};

/// How long connecting and logging in may take when the target does not say.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long replies may take before the connection counts as dead.
pub(crate) const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);
/// Addresses remembered of a host name whose addresses change; beyond, only the newest are.
const ADDRESSES_MAX: usize = 64;
/// Longest reply line of a log-in.
const REPLY_MAX: usize = 4096;

/// Why there is no connection.
#[derive(Debug, Error)]
pub(crate) enum ConnectError {
    #[error("the host name is not known: {0}")]
    Resolve(#[source] io::Error),
    #[error("no connection: {0}")]
    Connect(#[source] io::Error),
    #[error("TLS: {0}")]
    Tls(String),
    #[error("{0}")]
    Refused(String),
    #[error("no answer in time{0}")]
    TimedOut(&'static str),
    #[error("the connection broke while logging in: {0}")]
    Broken(#[source] io::Error),
    #[error("the connection broke: {0}")]
    Redis(#[from] redis::RedisError),
}

/// An open connection that is logged in. Its driver ends with it.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) redis: MultiplexedConnection,
    driver: JoinHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Connects and logs in. Every address the host name stands for is added to `addresses`.
pub(crate) async fn connect(
    target: &RedisTarget,
    addresses: &Mutex<BTreeSet<SocketAddr>>,
) -> Result<Connection, ConnectError> {
    let limit = target.connect_timeout.unwrap_or(CONNECT_TIMEOUT);
    let opening = async {
        let mut stream = open(target, addresses).await?;
        log_in(&mut stream, target).await?;
        let info = RedisConnectionInfo::default().set_skip_set_lib_name();
        let config = AsyncConnectionConfig::new().set_response_timeout(Some(RESPONSE_TIMEOUT));
        let (redis, driver) = MultiplexedConnection::new_with_config(&info, stream, config).await?;
        Ok(Connection { redis, driver: tokio::spawn(driver) })
    };
    let hint = if target.tls.is_some() { "; does this port speak TLS?" } else { "" };
    tokio::time::timeout(limit, opening).await.map_err(|_| ConnectError::TimedOut(hint))?
}

/// Subscribes to a channel and stays so until the connection breaks; an error when it never came to that.
pub(crate) async fn subscribe(
    target: &RedisTarget,
    addresses: &Mutex<BTreeSet<SocketAddr>>,
    channel: &str,
) -> Result<(), ConnectError> {
    let limit = target.connect_timeout.unwrap_or(CONNECT_TIMEOUT);
    let opening = async {
        let mut stream = open(target, addresses).await?;
        log_in(&mut stream, target).await?;
        let command = redis::cmd("SUBSCRIBE").arg(channel).get_packed_command();
        stream.write_all(&command).await.map_err(ConnectError::Broken)?;
        let mut reply = [0; 1];
        stream.read_exact(&mut reply).await.map_err(ConnectError::Broken)?;
        if reply == *b"-" {
            return Err(ConnectError::Refused("Redis refuses a subscription".to_owned()));
        }
        Ok(stream)
    };
    let mut stream = tokio::time::timeout(limit, opening).await.map_err(|_| ConnectError::TimedOut(""))??;
    let mut rest = [0; 256];
    // Nobody writes there: what comes is the rest of the reply, then the end.
    while stream.read(&mut rest).await.is_ok_and(|n| n > 0) {}
    Ok(())
}

async fn open(target: &RedisTarget, addresses: &Mutex<BTreeSet<SocketAddr>>) -> Result<Box<dyn Stream>, ConnectError> {
    let found: Vec<SocketAddr> = resolve(target).await.map_err(ConnectError::Resolve)?;
    {
        let mut known = addresses.lock();
        if known.len() + found.len() > ADDRESSES_MAX {
            known.clear();
        }
        known.extend(found.iter().copied());
    }
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    let mut connected = None;
    for address in found {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                connected = Some(stream);
                break;
            }
            Err(error) => failure = error,
        }
    }
    let stream = connected.ok_or(ConnectError::Connect(failure))?;
    stream.set_nodelay(true).map_err(ConnectError::Connect)?;
    let Some(how) = target.tls.clone() else { return Ok(Box::new(stream)) };
    let name = how.server_name.clone().unwrap_or_else(|| target.host.clone());
    let name = ServerName::try_from(name).map_err(|error| ConnectError::Tls(error.to_string()))?;
    // Reads files: off the runtime's threads, and at every connection, so that renewed certificates count.
    let config = tokio::task::spawn_blocking(move || tls::client_config(&how)).await;
    let config = config.map_err(|error| ConnectError::Tls(error.to_string()))?.map_err(ConnectError::Tls)?;
    let connector = TlsConnector::from(Arc::new(config));
    let stream = connector.connect(name, stream).await.map_err(|error| ConnectError::Tls(error.to_string()))?;
    Ok(Box::new(stream))
}

/// Every address the host name stands for.
pub(crate) async fn resolve(target: &RedisTarget) -> io::Result<Vec<SocketAddr>> {
    Ok(tokio::net::lookup_host((target.host.as_str(), target.port)).await?.collect())
}

async fn log_in(stream: &mut Box<dyn Stream>, target: &RedisTarget) -> Result<(), ConnectError> {
    if let Some(password) = &target.password {
        let mut auth = redis::cmd("AUTH");
        if let Some(username) = &target.username {
            auth.arg(username);
        }
        auth.arg(password.expose());
        said_ok(ask(stream, &auth).await?, "the log-in")?;
    }
    if target.database > 0 {
        said_ok(ask(stream, redis::cmd("SELECT").arg(target.database)).await?, "the database")?;
    }
    let reply = ask(stream, &redis::cmd("PING")).await?;
    // A user who may not ping is logged in all the same.
    if reply.starts_with("-NOPERM") { Ok(()) } else { said_ok(reply, "commands") }
}

fn said_ok(reply: String, what: &str) -> Result<(), ConnectError> {
    match reply.strip_prefix('-') {
        Some(error) => Err(ConnectError::Refused(format!("Redis refuses {what}: {error}"))),
        None => Ok(()),
    }
}

/// Sends one command whose reply is one line, and reads that. Done by hand, since a server that is full says so and
/// closes before anything was asked.
async fn ask(stream: &mut Box<dyn Stream>, command: &Cmd) -> Result<String, ConnectError> {
    let sent = stream.write_all(&command.get_packed_command()).await;
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") && line.len() < REPLY_MAX {
        match stream.read_u8().await {
            Ok(byte) => line.push(byte),
            Err(error) => return Err(ConnectError::Broken(sent.err().unwrap_or(error))),
        }
    }
    let line = String::from_utf8_lossy(&line);
    match line.trim_end() {
        line if line.starts_with(['+', '-', ':']) => Ok(line.to_owned()),
        _ => Err(ConnectError::Refused(
            "the answer is not one of Redis; is this its port, and TLS as it expects?".to_owned(),
        )),
    }
}
