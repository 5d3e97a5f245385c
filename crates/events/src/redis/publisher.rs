//! The task that speaks to Redis.

use std::{
    collections::{BTreeSet, VecDeque},
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use causeway_app::SessionStart;
use causeway_types::{FiveTuple, Now};
use parking_lot::Mutex;
use redis::{Pipeline, Value};
use tokio::task::JoinHandle;

use super::{
    connect::{self, Connection},
    ledger::{self, Command, Ledger},
    queue::{Next, Queue},
    target::RedisTarget,
};
use crate::{EventBus, Subscription};

/// Events taken from the bus at once.
const INTAKE: usize = 4096;
/// Events rendered at once.
const EVENTS_PER_ROUND: usize = 256;
/// Commands in one pipeline: as many as are sent again when the connection breaks before the answers.
const COMMANDS_PER_PIPELINE: usize = 256;
/// An idle connection is asked whether it lives this often.
const PING_INTERVAL: Duration = Duration::from_secs(5);
/// First wait after a connection that failed; doubles up to [`BACKOFF_MAX`].
const BACKOFF_FIRST: Duration = Duration::from_millis(100);
/// Longest wait between two attempts.
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// A fault that stays is told again after this.
const TELL_AGAIN: Duration = Duration::from_secs(60);
/// The list of own keys goes when a server does not come back for this long.
const OWN_KEYS_KEPT: Duration = Duration::from_secs(7 * 86_400);
/// How long a start waits for the host name.
const RESOLVE_WAIT: Duration = Duration::from_secs(2);
/// After lost events the live sessions are compared again after this.
const SWEEP_INTERVAL: Duration = Duration::from_secs(2);

/// Every live session and where its client is: what to begin anew from when events were lost.
pub type LiveSessions = Arc<dyn Fn() -> Vec<(Arc<SessionStart>, FiveTuple)> + Send + Sync>;

/// What the publisher needs.
#[derive(Clone)]
pub struct RedisSettings {
    /// Where to.
    pub target: RedisTarget,
    /// This server's name: keeps its keys apart from those of other servers.
    pub node: String,
    /// Events that may wait while Redis does not answer.
    pub waiting_max: usize,
    /// The live sessions.
    pub live: LiveSessions,
}

impl std::fmt::Debug for RedisSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisSettings")
            .field("target", &self.target)
            .field("node", &self.node)
            .field("waiting_max", &self.waiting_max)
            .finish_non_exhaustive()
    }
}

/// How the publisher is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RedisStatus {
    /// Connected, logged in, and the last commands were obeyed.
    pub is_well: bool,
    /// Why not.
    pub fault: Option<String>,
    /// Commands answered.
    pub commands: u64,
    /// Commands answered with an error.
    pub refused: u64,
    /// Connections that failed or broke.
    pub failures: u64,
    /// Events lost because Redis was away too long.
    pub events_dropped: u64,
    /// Events that wait.
    pub events_waiting: u64,
}

/// Publishes to Redis until it is finished or dropped.
#[derive(Debug)]
pub struct RedisPublisher {
    shared: Arc<Shared>,
    intake: JoinHandle<()>,
    sender: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    queue: Queue,
    status: Mutex<RedisStatus>,
    addresses: Mutex<BTreeSet<SocketAddr>>,
}

impl RedisPublisher {
    /// Starts publishing what the bus gives from now on. Returns when the host name was looked up, or after two seconds,
    /// so that [`RedisPublisher::addresses`] is worth asking.
    pub async fn start(settings: RedisSettings, bus: &EventBus) -> Self {
        let shared = Arc::new(Shared {
            queue: Queue::new(settings.waiting_max),
            status: Mutex::default(),
            addresses: Mutex::default(),
        });
        let subscription = bus.subscribe();
        match tokio::time::timeout(RESOLVE_WAIT, connect::resolve(&settings.target)).await {
            Ok(Ok(found)) => shared.addresses.lock().extend(found),
            Ok(Err(error)) => tracing::warn!(redis = settings.target.address(), %error, "the host name is not known"),
            Err(_) => tracing::warn!(redis = settings.target.address(), "the host name is still being looked up"),
        }
        shared.queue.begin_at(subscription.after());
        let intake = tokio::spawn(take_in(subscription, Arc::clone(&shared)));
        let sender = Sender {
            settings,
            shared: Arc::clone(&shared),
            ledger: Ledger::default(),
            pending: VecDeque::new(),
            is_cleaned: false,
            keeps_list: true,
            told: None,
        };
        Self { shared, intake, sender: Mutex::new(Some(tokio::spawn(sender.run()))) }
    }

    /// How it is.
    #[must_use]
    pub fn status(&self) -> RedisStatus {
        let mut status = self.shared.status.lock().clone();
        status.events_dropped = self.shared.queue.dropped();
        status.events_waiting = u64::try_from(self.shared.queue.len()).unwrap_or(u64::MAX);
        if self.sender.lock().as_ref().is_none_or(JoinHandle::is_finished) {
            (status.is_well, status.fault) = (false, Some("the publisher has ended".to_owned()));
        }
        status
    }

    /// Every address Redis was reached at, or might have been.
    #[must_use]
    pub fn addresses(&self) -> BTreeSet<SocketAddr> {
        self.shared.addresses.lock().clone()
    }

    /// Publishes what the bus holds by now, removes every key of this server, and ends; whether all of that was done
    /// within `limit`.
    pub async fn finish(&self, bus: &EventBus, limit: Duration) -> bool {
        let Some(mut sender) = self.sender.lock().take() else { return true };
        let newest = bus.newest();
        let finishing = async {
            self.shared.queue.caught_up(newest).await;
            self.shared.queue.close();
            (&mut sender).await.is_ok()
        };
        let is_done = tokio::time::timeout(limit, finishing).await.unwrap_or(false);
        self.intake.abort();
        sender.abort();
        is_done
    }
}

impl Drop for RedisPublisher {
    fn drop(&mut self) {
        self.intake.abort();
        if let Some(sender) = self.sender.lock().take() {
            sender.abort();
        }
    }
}

/// Empties the bus as fast as it fills, whatever Redis does.
async fn take_in(mut subscription: Subscription, shared: Arc<Shared>) {
    while let Some(batch) = subscription.next(INTAKE).await {
        shared.queue.push(batch.records, batch.missed);
    }
    shared.queue.close();
}

struct Sender {
    settings: RedisSettings,
    shared: Arc<Shared>,
    ledger: Ledger,
    /// Rendered, but not answered.
    pending: VecDeque<Command>,
    /// Whether keys that an earlier process of this server left were removed.
    is_cleaned: bool,
    /// Whether Redis lets this user keep a list of own keys.
    keeps_list: bool,
    /// The last fault that was told, and when.
    told: Option<(String, Instant)>,
}

/// Why a connection is given up.
struct Broken(String);

impl From<redis::RedisError> for Broken {
    fn from(error: redis::RedisError) -> Self {
        Self(error.to_string())
    }
}

impl Sender {
    async fn run(mut self) {
        let mut wait = BACKOFF_FIRST;
        loop {
            let fault = match connect::connect(&self.settings.target, &self.shared.addresses).await {
                Ok(connection) => {
                    let since = Instant::now();
                    let over = self.speak(connection).await;
                    if since.elapsed() > BACKOFF_MAX {
                        wait = BACKOFF_FIRST;
                    }
                    match over {
                        Ok(()) => return,
                        Err(Broken(fault)) => fault,
                    }
                }
                Err(error) => error.to_string(),
            };
            self.failed(&fault);
            tokio::time::sleep(jittered(wait)).await;
            wait = (wait * 2).min(BACKOFF_MAX);
        }
    }

    /// Speaks over one connection until it breaks or everything is said.
    async fn speak(&mut self, mut connection: Connection) -> Result<(), Broken> {
        let connection = &mut connection;
        self.keeps_list = true;
        self.begin(connection).await?;
        self.recovered();
        let mut list_due = Instant::now() + OWN_KEYS_KEPT / 100;
        loop {
            self.send(connection).await?;
            match self.shared.queue.take(EVENTS_PER_ROUND) {
                Next::Events(events) => {
                    let mut commands = Vec::new();
                    events.iter().for_each(|record| self.ledger.render(record, &mut commands));
                    self.enqueue(commands);
                }
                Next::Nothing => self.idle(connection).await?,
                Next::Closed => {
                    let mut commands = Vec::new();
                    self.ledger.close(&mut commands);
                    self.enqueue(commands);
                    return self.send(connection).await;
                }
            }
            if Instant::now() > list_due {
                self.keep_list(connection).await?;
                list_due = Instant::now() + OWN_KEYS_KEPT / 100;
            }
        }
    }

    /// What a new connection begins with: keys of an earlier process go, keys of live sessions come back.
    async fn begin(&mut self, connection: &mut Connection) -> Result<(), Broken> {
        if !self.is_cleaned {
            self.clean(connection).await?;
            self.is_cleaned = true;
        }
        let mut commands = Vec::new();
        self.ledger.rewrite(Now::read().unix, &mut commands);
        // Before what is pending: that may end some of these sessions.
        self.enqueue_first(commands);
        self.send(connection).await?;
        self.keep_list(connection).await
    }

    /// Removes status keys that an earlier process of this server left behind, and says so. Keys of others are not in
    /// the list and are not looked at.
    async fn clean(&mut self, connection: &mut Connection) -> Result<(), Broken> {
        let own = self.ledger.status_keys();
        let mut cursor = 0_u64;
        let mut left_behind = Vec::new();
        loop {
            let mut scan = redis::cmd("SSCAN");
            scan.arg(self.list()).arg(cursor).arg("COUNT").arg(1000);
            match scan.query_async::<(u64, Vec<String>)>(&mut connection.redis).await {
                Ok((next, keys)) => {
                    left_behind.extend(keys.into_iter().filter(|key| !own.contains(key)));
                    cursor = next;
                }
                Err(error) if error.code().is_some() => {
                    self.without_list(&error.to_string());
                    return Ok(());
                }
                Err(error) => return Err(error.into()),
            }
            if cursor == 0 {
                break;
            }
        }
        if !left_behind.is_empty() {
            tracing::info!(keys = left_behind.len(), "status keys an earlier process left in Redis are removed");
        }
        let mut commands = Vec::new();
        left_behind.iter().for_each(|key| ledger::deleted(Arc::from(key.as_str()), &mut commands));
        self.enqueue_first(commands);
        Ok(())
    }

    /// Keeps the list of own keys from expiring.
    async fn keep_list(&mut self, connection: &mut Connection) -> Result<(), Broken> {
        if !self.keeps_list {
            return Ok(());
        }
        let mut expire = redis::cmd("EXPIRE");
        expire.arg(self.list()).arg(OWN_KEYS_KEPT.as_secs());
        match expire.query_async::<i64>(&mut connection.redis).await {
            Err(error) if error.code().is_none() => Err(error.into()),
            Err(error) => {
                self.without_list(&error.to_string());
                Ok(())
            }
            Ok(_) => Ok(()),
        }
    }

    /// Waits for work; compares notes after lost events; asks whether the connection lives.
    async fn idle(&mut self, connection: &mut Connection) -> Result<(), Broken> {
        let gap = self.shared.queue.take_gap();
        let wait = if gap || self.ledger.has_suspects() { SWEEP_INTERVAL } else { PING_INTERVAL };
        if gap {
            self.sweep();
            return Ok(());
        }
        if tokio::time::timeout(wait, self.shared.queue.filled()).await.is_ok() {
            return Ok(());
        }
        if self.ledger.has_suspects() {
            self.sweep();
        }
        match redis::cmd("PING").query_async::<Value>(&mut connection.redis).await {
            Err(error) if error.code().is_none_or(|code| code != "NOPERM") => Err(error.into()),
            _ => Ok(()),
        }
    }

    fn enqueue(&mut self, commands: Vec<Command>) {
        let keeps_list = self.keeps_list;
        self.pending.extend(commands.into_iter().filter(|command| keeps_list || !command.is_about_list()));
    }

    fn enqueue_first(&mut self, commands: Vec<Command>) {
        let behind = std::mem::take(&mut self.pending);
        self.enqueue(commands);
        self.pending.extend(behind);
    }

    fn sweep(&mut self) {
        let mut commands = Vec::new();
        self.ledger.sweep(&(self.settings.live)(), Now::read().unix, &mut commands);
        self.enqueue(commands);
    }

    /// Sends what is pending. What was answered is done; the rest stays for the next connection.
    async fn send(&mut self, connection: &mut Connection) -> Result<(), Broken> {
        while !self.pending.is_empty() {
            let count = self.pending.len().min(COMMANDS_PER_PIPELINE);
            let mut pipeline = Pipeline::with_capacity(count);
            let list = self.list();
            for command in self.pending.iter().take(count) {
                add(&mut pipeline, command, &list);
            }
            let replies = connection.redis.send_packed_commands(&pipeline, 0, count).await?;
            let (mut fault, mut list_fault) = (None, None);
            for reply in replies {
                let Some(command) = self.pending.pop_front() else { break };
                if let Value::ServerError(error) = reply {
                    let text = format!("{} {}", error.code(), error.details().unwrap_or_default());
                    if matches!(error.code(), "LOADING" | "READONLY" | "MASTERDOWN" | "NOAUTH" | "CLUSTERDOWN") {
                        self.pending.push_front(command);
                        return Err(Broken(text));
                    }
                    if command.is_about_list() {
                        list_fault = Some(text);
                    } else {
                        fault = Some(text);
                    }
                }
            }
            if let Some(fault) = list_fault {
                self.without_list(&fault);
            }
            self.answered(count, fault);
        }
        Ok(())
    }

    fn answered(&mut self, count: usize, fault: Option<String>) {
        {
            let mut status = self.shared.status.lock();
            status.commands = status.commands.saturating_add(u64::try_from(count).unwrap_or(0));
            status.refused = status.refused.saturating_add(u64::from(fault.is_some()));
            status.is_well = fault.is_none();
            status.fault.clone_from(&fault);
        }
        if let Some(fault) = fault {
            self.tell(&fault, "Redis refuses a command");
        }
    }

    fn failed(&mut self, fault: &str) {
        {
            let mut status = self.shared.status.lock();
            status.failures = status.failures.saturating_add(1);
            status.is_well = false;
            status.fault = Some(fault.to_owned());
        }
        self.tell(fault, "no statistics go to Redis; the relay works on, events wait");
    }

    /// Tells a fault when it is new or a minute old.
    fn tell(&mut self, fault: &str, what: &'static str) {
        let is_known = self.told.as_ref().is_some_and(|(told, at)| told == fault && at.elapsed() < TELL_AGAIN);
        if !is_known {
            let waiting = self.shared.queue.len();
            tracing::error!(redis = self.settings.target.address(), fault, waiting, "{what}");
            self.told = Some((fault.to_owned(), Instant::now()));
        }
    }

    fn recovered(&self) {
        {
            let mut status = self.shared.status.lock();
            status.is_well = true;
            status.fault = None;
        }
        tracing::info!(redis = self.settings.target.address(), "statistics go to Redis");
    }

    fn without_list(&mut self, fault: &str) {
        self.pending.retain(|command| !command.is_about_list());
        if std::mem::take(&mut self.keeps_list) {
            tracing::warn!(
                fault,
                list = self.list(),
                "Redis does not let this user keep a list of own keys; after a crash they stay until they expire"
            );
        }
    }

    /// The set of status keys this server wrote.
    fn list(&self) -> String {
        format!("turn/causeway/{}/status_keys", self.settings.node)
    }
}

fn add(pipeline: &mut Pipeline, command: &Command, list: &str) {
    match command {
        Command::Set { key, value, expires_in } => {
            pipeline.cmd("SET").arg(&**key).arg(&**value).arg("EX").arg(expires_in.as_secs().max(1))
        }
        Command::Publish { channel, value } => pipeline.cmd("PUBLISH").arg(&**channel).arg(&**value),
        Command::Delete { key } => pipeline.cmd("DEL").arg(&**key),
        Command::Own { key } => pipeline.cmd("SADD").arg(list).arg(&**key),
        Command::Disown { key } => pipeline.cmd("SREM").arg(list).arg(&**key),
    };
}

/// Between half of `wait` and all of it.
fn jittered(wait: Duration) -> Duration {
    let mut random = [0];
    // Without randomness every server waits the whole time, which is no harm.
    if aws_lc_rs::rand::fill(&mut random).is_err() {
        return wait;
    }
    wait / 2 + wait / 2 * u32::from(random[0]) / 255
}
