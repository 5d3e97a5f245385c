//! Debian's `redis-server` on a free port, ended by its process id.

use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use futures_util::StreamExt;
use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use tempfile::TempDir;
use tokio::task::JoinHandle;

/// How long a state may take to come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct RedisServer {
    directory: TempDir,
    pub(crate) port: u16,
    /// For TLS, when it was asked for.
    pub(crate) tls_port: u16,
    configuration: String,
    process: Option<Child>,
}

impl RedisServer {
    /// Starts one with more lines of configuration; `TLS_PORT` and `DIR` in them are replaced.
    pub(crate) fn start(more: &str) -> Self {
        Self::start_in(TempDir::new().expect("a directory"), more)
    }

    pub(crate) fn start_in(directory: TempDir, more: &str) -> Self {
        let (port, tls_port) = (free_port(), free_port());
        let dir = directory.path().display().to_string();
        let configuration = format!("port {port}\nbind 127.0.0.1\nsave \"\"\nappendonly no\ndir {dir}\n{more}\n")
            .replace("TLS_PORT", &tls_port.to_string())
            .replace("DIR", &dir);
        let mut server = Self { directory, port, tls_port, configuration, process: None };
        server.run();
        server
    }

    /// Starts the stopped server again on its port, empty.
    pub(crate) fn run(&mut self) {
        let file = self.directory.path().join("redis.conf");
        std::fs::write(&file, &self.configuration).expect("a writable directory");
        let started = Command::new("redis-server").arg(file).stdout(Stdio::null()).spawn();
        self.process = Some(started.expect("redis-server: run scripts/install-test-tools"));
    }

    pub(crate) fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().expect("a child of ours");
            process.wait().expect("a child of ours");
        }
    }

    /// A connection of the test's own. `login` is what stands before the host in a URL.
    pub(crate) async fn connect(&self, login: &str, database: u32) -> MultiplexedConnection {
        let client = redis::Client::open(self.url(login, database)).expect("a good URL");
        let mut last = None;
        for _ in 0..400 {
            match client.get_multiplexed_async_connection().await {
                Ok(connection) => return connection,
                Err(error) => last = Some(error),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("no connection: {last:?}")
    }

    pub(crate) fn url(&self, login: &str, database: u32) -> String {
        format!("redis://{login}127.0.0.1:{}/{database}", self.port)
    }

    /// Hears everything under `turn/`.
    pub(crate) async fn listen(&self, login: &str) -> Listener {
        drop(self.connect(login, 0).await);
        let client = redis::Client::open(self.url(login, 0)).expect("a good URL");
        let mut pubsub = client.get_async_pubsub().await.expect("a connection");
        pubsub.psubscribe("turn/*").await.expect("a subscription");
        let heard: Arc<Mutex<Vec<(String, String)>>> = Arc::default();
        let task = tokio::spawn({
            let heard = Arc::clone(&heard);
            async move {
                let mut messages = pubsub.on_message();
                while let Some(message) = messages.next().await {
                    let value = message.get_payload().expect("text");
                    heard.lock().push((message.get_channel_name().to_owned(), value));
                }
            }
        });
        Listener { heard, task }
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What was published.
pub(crate) struct Listener {
    heard: Arc<Mutex<Vec<(String, String)>>>,
    task: JoinHandle<()>,
}

impl Listener {
    /// Every message so far as `user number/leaf: value`.
    pub(crate) fn heard(&self) -> Vec<String> {
        self.heard.lock().iter().map(short).collect()
    }

    /// Waits for a message, and looks at each only once: among many, looking takes the time of who sends them.
    pub(crate) async fn hears(&self, message: &str) {
        let mut n_seen = 0;
        until(message, || {
            let heard = self.heard.lock();
            let is_there = heard.iter().skip(n_seen).any(|heard| short(heard) == message);
            n_seen = heard.len();
            is_there
        })
        .await;
    }

    /// Waits until `count` messages came.
    pub(crate) async fn wait_for(&self, count: usize) -> Vec<String> {
        until("messages", || self.heard.lock().len() >= count).await;
        self.heard()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn short((channel, value): &(String, String)) -> String {
    let rest = channel.strip_prefix("turn/realm/example.test/user/").unwrap_or(channel);
    let rest = rest.replace("/allocation/00000000000000000", " ");
    format!("{rest}: {}", value.split(", type=").next().unwrap_or_default())
}

/// Waits for a state.
pub(crate) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !is_so() {
        assert!(tokio::time::Instant::now() < deadline, "{what} did not come");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).and_then(|socket| socket.local_addr()).expect("a free port").port()
}
