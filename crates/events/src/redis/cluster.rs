//! The cluster port over Redis: a key per living node, a key per claimed thing, a list per node as its inbox, hashes of what
//! nodes post.
//!
//! A claim counts as long as its owner lives, so nothing has to be renewed but one key per node. Lists keep the order; a
//! message is lost only with Redis itself, and then every connection to it breaks, which is told as the loss of all nodes.
//!
//! A node also subscribes to a channel that nobody writes to. When its process is killed the system closes that connection, so
//! others see at their next tick that nobody listens there, long before the node's key expires.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use causeway_app::{
    Claiming, Cluster, ClusterListener, ClusterUnavailable, Finding, NodeAddress, Owner, Posted, Reading,
};
use parking_lot::Mutex;
use redis::RedisResult;
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
    time::{MissedTickBehavior, interval, timeout},
};

use super::{
    board::Board,
    connect::{Connection, connect, subscribe},
    target::RedisTarget,
};

/// How long a node counts as living after its last sign of life.
const ALIVE_FOR: Duration = Duration::from_secs(5);
/// How often it gives one, and looks for those of others.
const TICK: Duration = Duration::from_millis(500);
/// How long a claim is kept without a sign of use; it is renewed at a quarter of that.
const CLAIM_FOR: Duration = Duration::from_secs(86_400);
/// Commands that may wait; one more claim is unavailable, one more message loses its node.
const COMMANDS_MAX: usize = 10_000;
/// Messages a node may leave unread; beyond, it counts as lost.
const INBOX_MAX: i64 = 50_000;
/// How long an unread inbox is kept.
const INBOX_FOR: Duration = Duration::from_secs(30);
/// Messages taken at once.
const BATCH: usize = 500;
/// How long a claim may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// Pause before another attempt to connect.
const RETRY: Duration = Duration::from_millis(500);

const CLAIM: &str = "local owner = redis.call('GET', KEYS[1]) \
     if owner and redis.call('EXISTS', ARGV[2] .. owner) == 1 then return owner end \
     redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[3]) return ARGV[1]";
const RELEASE: &str =
    "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) else return 0 end";

const ALIVE: &str = "causeway:cluster:alive:";
const INBOX: &str = "causeway:cluster:inbox:";
const OWNER: &str = "causeway:cluster:owner:";
const NOTE: &str = "causeway:cluster:note:";
const LIFE: &str = "causeway:cluster:life:";

enum Command {
    Claim {
        what: String,
        reply: oneshot::Sender<Result<Owner, ClusterUnavailable>>,
    },
    Release {
        what: String,
    },
    Send {
        to: NodeAddress,
        message: Vec<u8>,
    },
    Note {
        what: String,
        lasts: Duration,
    },
    Erase {
        what: String,
    },
    HasNote {
        what: String,
        reply: oneshot::Sender<Result<bool, ClusterUnavailable>>,
    },
    Find {
        shelf: String,
        name: Option<String>,
        reply: oneshot::Sender<Result<Vec<Posted>, ClusterUnavailable>>,
    },
    Heard {
        from: NodeAddress,
    },
    /// The reader's connection broke: messages may be lost.
    Broken,
}

/// Whether another node was seen to listen to its own channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Seen {
    /// Nobody looked.
    #[default]
    Never,
    Listening,
    /// At the first look it did not: it may be about to.
    Missed,
}

/// This node among the others.
pub struct RedisCluster {
    address: NodeAddress,
    commands: mpsc::Sender<Command>,
    listener: Arc<dyn ClusterListener>,
    addresses: Arc<Mutex<BTreeSet<SocketAddr>>>,
    board: Arc<Board>,
    /// Redis answered what it was asked last.
    is_up: Arc<AtomicBool>,
    stop: watch::Sender<bool>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl fmt::Debug for RedisCluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisCluster").field("address", &self.address).finish_non_exhaustive()
    }
}

impl RedisCluster {
    /// How others address this start of a node.
    #[must_use]
    pub fn address(node: &str, start: u64) -> NodeAddress {
        Arc::from(format!("{node}/{start:x}"))
    }

    /// Joins. `start` tells this start of the node from every other; nodes with one name must not live at once.
    #[must_use]
    pub fn start(target: RedisTarget, node: &str, start: u64, listener: Arc<dyn ClusterListener>) -> Self {
        let address = Self::address(node, start);
        let (board, is_up) = (Arc::<Board>::default(), Arc::new(AtomicBool::new(true)));
        let addresses: Arc<Mutex<BTreeSet<SocketAddr>>> = Arc::default();
        let (commands, waiting) = mpsc::channel(COMMANDS_MAX);
        let (stop, stopped) = watch::channel(false);
        let keeper = Keeper {
            target: target.clone(),
            addresses: Arc::clone(&addresses),
            address: Arc::clone(&address),
            listener: Arc::clone(&listener),
            claims: BTreeSet::new(),
            board: Arc::clone(&board),
            is_up: Arc::clone(&is_up),
            peers: BTreeMap::new(),
            connection: None,
            renewed: Instant::now(),
            was_seen: false,
            is_reported: false,
        };
        let reader = Reader {
            target,
            addresses: Arc::clone(&addresses),
            inbox: format!("{INBOX}{address}"),
            listener: Arc::clone(&listener),
            keeper: commands.clone(),
        };
        let life = Lifeline {
            target: reader.target.clone(),
            addresses: Arc::clone(&addresses),
            channel: format!("{LIFE}{address}"),
            keeper: commands.clone(),
        };
        let tasks = vec![
            tokio::spawn(keeper.run(waiting, stopped.clone())),
            tokio::spawn(reader.run(stopped.clone())),
            tokio::spawn(life.run(stopped)),
        ];
        Self { address, commands, listener, addresses, board, is_up, stop, tasks: Mutex::new(tasks) }
    }

    /// Addresses of Redis, which no peer of the relay may have.
    #[must_use]
    pub fn addresses(&self) -> BTreeSet<SocketAddr> {
        self.addresses.lock().clone()
    }

    /// Leaves: what this node owned is free, and the others notice at once.
    pub async fn finish(&self) {
        self.stop.send_replace(true);
        let tasks = std::mem::take(&mut *self.tasks.lock());
        for task in tasks {
            if timeout(PATIENCE, task).await.is_err() {
                tracing::warn!("the cluster was left without a word; others notice within seconds");
            }
        }
    }
}

impl Cluster for RedisCluster {
    fn claim<'a>(&'a self, what: &'a str) -> Claiming<'a> {
        Box::pin(async move {
            let (reply, answer) = oneshot::channel();
            let command = Command::Claim { what: what.to_owned(), reply };
            self.commands.try_send(command).map_err(|_| ClusterUnavailable)?;
            timeout(PATIENCE, answer).await.map_err(|_| ClusterUnavailable)?.map_err(|_| ClusterUnavailable)?
        })
    }

    fn release(&self, what: &str) {
        // A release that is lost is made good by the claim's age.
        let _is_queued = self.commands.try_send(Command::Release { what: what.to_owned() });
    }

    fn note(&self, what: &str, lasts: Duration) {
        let _is_queued = self.commands.try_send(Command::Note { what: what.to_owned(), lasts });
    }

    fn erase(&self, what: &str) {
        // One that is lost ends with its age.
        let _is_queued = self.commands.try_send(Command::Erase { what: what.to_owned() });
    }

    fn has_note<'a>(&'a self, what: &'a str) -> Reading<'a> {
        Box::pin(async move {
            let (reply, answer) = oneshot::channel();
            let command = Command::HasNote { what: what.to_owned(), reply };
            self.commands.try_send(command).map_err(|_| ClusterUnavailable)?;
            timeout(PATIENCE, answer).await.map_err(|_| ClusterUnavailable)?.map_err(|_| ClusterUnavailable)?
        })
    }

    fn post(&self, shelf: &str, name: &str, entry: u64, text: Option<String>) {
        self.board.post(shelf, name, entry, text);
    }

    fn posted<'a>(&'a self, shelf: &'a str, name: Option<&'a str>) -> Finding<'a> {
        Box::pin(async move {
            // Nobody waits for a Redis that did not answer a moment ago.
            if !self.is_up.load(Ordering::Relaxed) {
                return Err(ClusterUnavailable);
            }
            let (reply, answer) = oneshot::channel();
            let command = Command::Find { shelf: shelf.to_owned(), name: name.map(str::to_owned), reply };
            self.commands.try_send(command).map_err(|_| ClusterUnavailable)?;
            timeout(PATIENCE, answer).await.map_err(|_| ClusterUnavailable)?.map_err(|_| ClusterUnavailable)?
        })
    }

    fn send(&self, to: &NodeAddress, message: Vec<u8>) {
        if self.commands.try_send(Command::Send { to: Arc::clone(to), message }).is_err() {
            self.listener.node_lost(to);
        }
    }
}

/// Writes: signs of life, claims, messages.
struct Keeper {
    target: RedisTarget,
    addresses: Arc<Mutex<BTreeSet<SocketAddr>>>,
    address: NodeAddress,
    listener: Arc<dyn ClusterListener>,
    claims: BTreeSet<String>,
    board: Arc<Board>,
    is_up: Arc<AtomicBool>,
    /// Whom this node sent to or heard from, and how it was seen.
    peers: BTreeMap<NodeAddress, Seen>,
    connection: Option<Connection>,
    renewed: Instant,
    /// It gave a sign of life before.
    was_seen: bool,
    is_reported: bool,
}

impl Keeper {
    async fn run(mut self, mut waiting: mpsc::Receiver<Command>, mut stop: watch::Receiver<bool>) {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut batch = Vec::new();
        let board = Arc::clone(&self.board);
        loop {
            tokio::select! {
                _ = tick.tick() => self.beat().await,
                () = board.changed() => self.write_board().await,
                n = waiting.recv_many(&mut batch, BATCH) => {
                    if n == 0 {
                        return;
                    }
                    self.obey(std::mem::take(&mut batch)).await;
                }
                _ = stop.changed() => break,
            }
        }
        waiting.close();
        while waiting.recv_many(&mut batch, BATCH).await > 0 {
            self.obey(std::mem::take(&mut batch)).await;
        }
        self.leave().await;
    }

    /// A sign of life, after which others' are looked for.
    async fn beat(&mut self) {
        let was_connected = self.connection.is_some();
        let mut pipe = redis::pipe();
        pipe.cmd("SET").arg(format!("{ALIVE}{}", self.address)).arg(1).arg("EX").arg(ALIVE_FOR.as_secs()).arg("GET");
        let peers: Vec<NodeAddress> = self.peers.keys().cloned().collect();
        for peer in &peers {
            pipe.cmd("EXISTS").arg(format!("{ALIVE}{peer}"));
        }
        if self.renewed.elapsed() > CLAIM_FOR / 4 {
            self.renewed = Instant::now();
            self.board.write_again();
            for what in &self.claims {
                pipe.cmd("EXPIRE").arg(format!("{OWNER}{what}")).arg(CLAIM_FOR.as_secs()).ignore();
            }
        }
        let Some(answers) = self.ask::<Vec<Option<i64>>>(&pipe).await else { return };
        self.board.try_again();
        let was_alive = answers.first().copied().flatten().is_some();
        for (peer, alive) in peers.iter().zip(answers.iter().skip(1)) {
            if *alive != Some(1) {
                self.lose(peer);
            }
        }
        self.look_for_listeners().await;
        // Others may have taken what this node owned while it gave no sign of life.
        if !was_connected || !was_alive {
            self.claim_again().await;
            self.board.write_again();
        }
        if was_connected && !was_alive && self.was_seen {
            // They hold this node for lost.
            self.lose_all();
        }
        self.was_seen = true;
    }

    /// A node whose process is gone listens no more.
    async fn look_for_listeners(&mut self) {
        let peers: Vec<NodeAddress> = self.peers.keys().cloned().collect();
        if peers.is_empty() {
            return;
        }
        let Some(listening) = self.listening(&peers).await else { return };
        for (peer, listens) in peers.iter().zip(listening) {
            let Some(seen) = self.peers.get_mut(peer) else { continue };
            match (listens, *seen) {
                (true, _) => *seen = Seen::Listening,
                (false, Seen::Never) => *seen = Seen::Missed,
                (false, Seen::Listening | Seen::Missed) => self.lose(peer),
            }
        }
    }

    async fn listening(&mut self, nodes: &[NodeAddress]) -> Option<Vec<bool>> {
        let mut pipe = redis::pipe();
        pipe.cmd("PUBSUB").arg("NUMSUB");
        for node in nodes {
            pipe.arg(format!("{LIFE}{node}"));
        }
        let (counts,): (Vec<(String, i64)>,) = self.ask(&pipe).await?;
        Some(counts.iter().map(|(_, n)| *n > 0).collect())
    }

    async fn write_board(&mut self) {
        let changes = self.board.take(BATCH);
        let Some(pipe) = self.board.pipe(&self.address, &changes, CLAIM_FOR) else { return };
        if self.ask::<()>(&pipe).await.is_none() {
            self.board.put_back(changes);
        }
    }

    async fn find(&mut self, shelf: &str, name: Option<&str>) -> Option<Vec<Posted>> {
        let names: Vec<String> = match name {
            Some(name) => vec![name.to_owned()],
            None => self.ask::<(Vec<String>,)>(&Board::ask_names(shelf)).await?.0,
        };
        let mut found = Vec::new();
        for names in names.chunks(BATCH) {
            let entries: Vec<Vec<(String, String)>> = self.ask(&Board::ask_entries(shelf, names)).await?;
            for (name, entries) in names.iter().zip(entries) {
                found.extend(entries.into_iter().filter_map(|(field, text)| Board::read(name, &field, text)));
            }
        }
        found.retain(|posted: &Posted| posted.node != self.address);
        let nodes: Vec<NodeAddress> =
            found.iter().map(|posted| Arc::clone(&posted.node)).collect::<BTreeSet<_>>().into_iter().collect();
        if nodes.is_empty() {
            return Some(Vec::new());
        }
        let listening = self.listening(&nodes).await?;
        let mut pipe = redis::pipe();
        for node in &nodes {
            pipe.cmd("EXISTS").arg(format!("{ALIVE}{node}"));
        }
        let alive: Vec<i64> = self.ask(&pipe).await?;
        let state: BTreeMap<NodeAddress, (bool, bool)> =
            nodes.into_iter().zip(listening.into_iter().zip(alive.into_iter().map(|n| n > 0))).collect();
        let of = |posted: &Posted| state.get(&posted.node).copied().unwrap_or_default();
        let dead = Board::forget(shelf, found.iter().filter(|posted| !of(posted).1));
        if let Some(pipe) = dead {
            // What stays is left out again next time.
            let _is_swept: Option<()> = self.ask(&pipe).await;
        }
        found.retain(|posted| of(posted) == (true, true));
        Some(found)
    }

    async fn obey(&mut self, batch: Vec<Command>) {
        for command in batch {
            match command {
                Command::Claim { what, reply } => {
                    let answer = self.claim(&what).await;
                    // Whoever asked may have given up.
                    let _is_heard = reply.send(answer);
                }
                Command::Release { what } => self.release(&what).await,
                Command::Send { to, message } => self.send(to, message).await,
                Command::Note { what, lasts } => {
                    let mut pipe = redis::pipe();
                    pipe.cmd("SET").arg(format!("{NOTE}{what}")).arg(1).arg("EX").arg(lasts.as_secs().max(1)).ignore();
                    let _is_written: Option<()> = self.ask(&pipe).await;
                }
                Command::Erase { what } => {
                    let mut pipe = redis::pipe();
                    pipe.cmd("DEL").arg(format!("{NOTE}{what}")).ignore();
                    let _is_erased: Option<()> = self.ask(&pipe).await;
                }
                Command::HasNote { what, reply } => {
                    let mut pipe = redis::pipe();
                    pipe.cmd("EXISTS").arg(format!("{NOTE}{what}"));
                    let found = self.ask::<(i64,)>(&pipe).await.map(|(n,)| n > 0);
                    // Whoever asked may have given up.
                    let _is_heard = reply.send(found.ok_or(ClusterUnavailable));
                }
                Command::Find { shelf, name, reply } => {
                    let found = self.find(&shelf, name.as_deref()).await.ok_or(ClusterUnavailable);
                    // Whoever asked may have given up.
                    let _is_heard = reply.send(found);
                }
                Command::Heard { from } => {
                    self.peers.entry(from).or_default();
                }
                Command::Broken => self.lose_all(),
            }
        }
    }

    async fn claim(&mut self, what: &str) -> Result<Owner, ClusterUnavailable> {
        let mut pipe = redis::pipe();
        pipe.cmd("SET").arg(format!("{ALIVE}{}", self.address)).arg(1).arg("EX").arg(ALIVE_FOR.as_secs()).ignore();
        pipe.cmd("EVAL").arg(CLAIM).arg(1).arg(format!("{OWNER}{what}")).arg(&*self.address).arg(ALIVE);
        pipe.arg(CLAIM_FOR.as_secs());
        let (owner,): (String,) = self.ask(&pipe).await.ok_or(ClusterUnavailable)?;
        if owner == *self.address {
            self.claims.insert(what.to_owned());
            return Ok(Owner::Here);
        }
        Ok(Owner::Node(Arc::from(owner)))
    }

    async fn release(&mut self, what: &str) {
        if self.claims.remove(what) {
            let mut pipe = redis::pipe();
            pipe.cmd("EVAL").arg(RELEASE).arg(1).arg(format!("{OWNER}{what}")).arg(&*self.address).ignore();
            // One that fails ends with its age.
            let _done: Option<()> = self.ask(&pipe).await;
        }
    }

    async fn send(&mut self, to: NodeAddress, message: Vec<u8>) {
        self.peers.entry(Arc::clone(&to)).or_default();
        let inbox = format!("{INBOX}{to}");
        let mut letter = self.address.as_bytes().to_vec();
        letter.push(0);
        letter.extend(message);
        let mut pipe = redis::pipe();
        pipe.cmd("RPUSH").arg(&inbox).arg(letter);
        pipe.cmd("EXPIRE").arg(&inbox).arg(INBOX_FOR.as_secs()).ignore();
        match self.ask::<(i64,)>(&pipe).await {
            Some((length,)) if length <= INBOX_MAX => {}
            Some(_) | None => self.lose(&to),
        }
    }

    /// Claims everything once more; what is another's by now is told.
    async fn claim_again(&mut self) {
        let mut lost = Vec::new();
        for what in self.claims.clone() {
            match self.claim(&what).await {
                Ok(Owner::Here) => {}
                Ok(Owner::Node(_)) => {
                    self.claims.remove(&what);
                    lost.push(what);
                }
                Err(ClusterUnavailable) => return,
            }
        }
        if !lost.is_empty() {
            self.listener.claims_lost(&lost);
        }
    }

    fn lose(&mut self, peer: &NodeAddress) {
        if self.peers.remove(peer).is_some() {
            tracing::warn!(node = %peer, "a node is lost");
            self.listener.node_lost(peer);
        }
    }

    fn lose_all(&mut self) {
        for peer in std::mem::take(&mut self.peers).into_keys() {
            self.listener.node_lost(&peer);
        }
    }

    async fn leave(&mut self) {
        let mut pipe = redis::pipe();
        pipe.cmd("DEL").arg(format!("{ALIVE}{}", self.address)).arg(format!("{INBOX}{}", self.address)).ignore();
        for what in &self.claims {
            pipe.cmd("EVAL").arg(RELEASE).arg(1).arg(format!("{OWNER}{what}")).arg(&*self.address).ignore();
        }
        if let Some(taken) = self.board.take_back(&self.address) {
            let _done: Option<()> = self.ask(&taken).await;
        }
        let _done: Option<()> = self.ask(&pipe).await;
    }

    /// The answers of a pipeline; none when Redis does not answer, and then every node is out of reach.
    async fn ask<T: redis::FromRedisValue>(&mut self, pipe: &redis::Pipeline) -> Option<T> {
        if self.connection.is_none() {
            match connect(&self.target, &self.addresses).await {
                Ok(connection) => {
                    self.connection = Some(connection);
                    self.is_up.store(true, Ordering::Relaxed);
                    self.is_reported = false;
                }
                Err(error) => {
                    if !std::mem::replace(&mut self.is_reported, true) {
                        tracing::warn!(%error, "the cluster's Redis does not answer");
                    }
                    self.is_up.store(false, Ordering::Relaxed);
                    self.lose_all();
                    return None;
                }
            }
        }
        let connection = self.connection.as_mut()?;
        let answer: RedisResult<T> = pipe.query_async(&mut connection.redis).await;
        match answer {
            Ok(answer) => Some(answer),
            Err(error) => {
                tracing::warn!(%error, "the cluster's Redis failed");
                self.connection = None;
                self.is_up.store(false, Ordering::Relaxed);
                self.lose_all();
                None
            }
        }
    }
}

/// Reads the inbox.
struct Reader {
    target: RedisTarget,
    addresses: Arc<Mutex<BTreeSet<SocketAddr>>>,
    inbox: String,
    listener: Arc<dyn ClusterListener>,
    keeper: mpsc::Sender<Command>,
}

impl Reader {
    async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut was_broken = false;
        loop {
            let read = async {
                let mut connection = connect(&self.target, &self.addresses).await.map_err(|_| ())?;
                if was_broken {
                    self.keeper.send(Command::Broken).await.map_err(|_| ())?;
                }
                self.read(&mut connection).await
            };
            tokio::select! {
                _ = read => {}
                _ = stop.changed() => return,
            }
            was_broken = true;
            tokio::select! {
                () = tokio::time::sleep(RETRY) => {}
                _ = stop.changed() => return,
            }
        }
    }

    async fn read(&self, connection: &mut Connection) -> Result<(), ()> {
        loop {
            let mut known: BTreeMap<String, NodeAddress> = BTreeMap::new();
            let mut first = redis::cmd("BLPOP");
            first.arg(&self.inbox).arg(1);
            let first: RedisResult<Option<(String, Vec<u8>)>> = first.query_async(&mut connection.redis).await;
            let Some((_, first)) = first.map_err(|_| ())? else { continue };
            let mut rest = redis::cmd("LPOP");
            rest.arg(&self.inbox).arg(BATCH);
            let rest: RedisResult<Option<Vec<Vec<u8>>>> = rest.query_async(&mut connection.redis).await;
            let rest = rest.map_err(|_| ())?.unwrap_or_default();
            for letter in std::iter::once(first).chain(rest) {
                let mut parts = letter.splitn(2, |byte| *byte == 0);
                let (Some(from), Some(message)) = (parts.next(), parts.next()) else { continue };
                let Ok(from) = std::str::from_utf8(from) else { continue };
                let address = match known.get(from) {
                    Some(address) => Arc::clone(address),
                    None => {
                        let address: NodeAddress = Arc::from(from);
                        self.keeper.send(Command::Heard { from: Arc::clone(&address) }).await.map_err(|_| ())?;
                        known.insert(from.to_owned(), Arc::clone(&address));
                        address
                    }
                };
                self.listener.heard(&address, message);
            }
        }
    }
}

/// Holds the subscription by which others see that this process lives.
struct Lifeline {
    target: RedisTarget,
    addresses: Arc<Mutex<BTreeSet<SocketAddr>>>,
    channel: String,
    keeper: mpsc::Sender<Command>,
}

impl Lifeline {
    async fn run(self, mut stop: watch::Receiver<bool>) {
        loop {
            tokio::select! {
                is_held = subscribe(&self.target, &self.addresses, &self.channel) => {
                    // Others saw that nobody listened.
                    if is_held.is_ok() && self.keeper.send(Command::Broken).await.is_err() {
                        return;
                    }
                }
                _ = stop.changed() => return,
            }
            tokio::select! {
                () = tokio::time::sleep(RETRY) => {}
                _ = stop.changed() => return,
            }
        }
    }
}
