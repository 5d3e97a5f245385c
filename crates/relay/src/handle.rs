//! Starting the data plane and talking to it.

use std::{
    collections::BTreeSet,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use causeway_fast_path::FastPath;
use causeway_net_io::Waker;
use causeway_turn_core::{AllocationView, GrantLimits, KeyAnswer, QueryId, ScopeKind};
use causeway_types::{AllocationId, ClientTransport, LimitName, RelayEvent, ScopeId, ShardIndex};
use crossbeam_channel::{Receiver, Sender, bounded};
use parking_lot::Mutex;

use crate::{
    admissions::Admissions,
    bandwidth::SharedRate,
    command::Command,
    keys::KeySource,
    ports::RelayPorts,
    scopes::{Member, ScopeInbox, ScopeRegistry, Source},
    settings::{RelayLimits, RelaySettings, Reload},
    shard::{Listeners, Shard},
    stats::{RelayStats, ShardStats},
    unanswered::Unanswered,
};

/// Commands that may wait for one shard.
const COMMANDS_MAX: usize = 4096;
/// As many of them may be relayed data; the rest of the room is for requests, answers and commands.
const DATA_COMMANDS_MAX: usize = COMMANDS_MAX / 4 * 3;
/// Events that may wait for their consumer; full: the newest is dropped and counted.
const EVENTS_MAX: usize = 65_536;
/// How long a question to a shard may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why the data plane did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A listener could not be bound.
    #[error("cannot listen on {address} ({transport})")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// UDP or TCP.
        transport: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// epoll, eventfd or a thread could not be made.
    #[error("cannot start a data-plane thread")]
    Thread(#[source] io::Error),
}

/// A listener that is really bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BoundAddress {
    /// Where.
    pub address: SocketAddr,
    /// What is spoken there; a TLS listener appears as TLS (TCP) and DTLS (UDP).
    pub transport: ClientTransport,
}

/// What all shards share; nothing in it is locked for a packet.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) limits: ArcSwap<RelayLimits>,
    pub(crate) admissions: Admissions,
    pub(crate) scopes: ScopeRegistry,
    pub(crate) ports: RelayPorts,
    pub(crate) rate: SharedRate,
    pub(crate) unanswered: Unanswered,
    pub(crate) connections: AtomicU64,
    pub(crate) events: Sender<RelayEvent>,
    pub(crate) events_dropped: AtomicU64,
    pub(crate) shards: Vec<ShardPort>,
}

/// The outside of one shard.
#[derive(Debug)]
pub(crate) struct ShardPort {
    pub(crate) commands: Sender<Command>,
    pub(crate) waker: Waker,
    pub(crate) stats: Mutex<ShardStats>,
    pub(crate) scopes: ScopeInbox,
}

impl ShardPort {
    fn send(&self, command: Command) -> bool {
        if command.is_data() && self.commands.len() >= DATA_COMMANDS_MAX {
            return false;
        }
        let sent = self.commands.try_send(command).is_ok();
        self.waker.wake();
        sent
    }
}

impl Shared {
    /// Hands `command` to `shard`; false when its queue is full.
    pub(crate) fn send(&self, shard: ShardIndex, command: Command) -> bool {
        self.shards.get(shard.as_usize()).is_some_and(|port| port.send(command))
    }

    /// Counts what is said about a member of a scope, and tells every shard if that changed who is in. False when there
    /// was no room.
    pub(crate) fn set_scope_member(&self, member: Member, source: Source, present: bool) -> bool {
        let taken = self.scopes.set(member, source, present, || {
            for shard in &self.shards {
                if shard.scopes.put(member, present) {
                    shard.waker.wake();
                }
            }
        });
        if !taken {
            self.emit(RelayEvent::LimitReached { limit: LimitName::ScopeMembers, username: None, five_tuple: None });
        }
        taken
    }

    pub(crate) fn emit(&self, event: RelayEvent) {
        if self.events.try_send(event).is_err() {
            self.events_dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Starts data planes.
#[derive(Debug)]
pub struct Relay;

/// A running data plane. Dropping it does not stop it; [`RelayHandle::shutdown`] does.
#[derive(Debug)]
pub struct RelayHandle {
    shared: Arc<Shared>,
    bound: Vec<BoundAddress>,
    events: Receiver<RelayEvent>,
    fast_path: Option<Arc<FastPath>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Relay {
    /// Binds every listener, then starts the threads.
    ///
    /// # Errors
    /// See [`StartError`]; nothing is left bound or running.
    pub fn start(settings: RelaySettings, keys: Arc<dyn KeySource>) -> Result<RelayHandle, StartError> {
        let threads = settings.threads.max(1);
        let mut listeners: Vec<Listeners> = Vec::new();
        let mut settings = settings;
        for index in 0..threads {
            let opened = Listeners::bind(&settings)?;
            if index == 0 {
                // Port 0 has become a real port; the other shards share it.
                settings.turn_listen = opened.plain_addresses();
                settings.turn_tls_listen = opened.tls_addresses();
            }
            listeners.push(opened);
        }
        let bound = listeners.first().map(Listeners::bound).unwrap_or_default();
        let (events_in, events) = bounded(EVENTS_MAX);
        let mut shards = Vec::new();
        let mut inboxes = Vec::new();
        for _ in 0..threads {
            let (commands, inbox) = bounded(COMMANDS_MAX);
            let waker = Waker::new().map_err(StartError::Thread)?;
            shards.push(ShardPort { commands, waker, stats: Mutex::default(), scopes: ScopeInbox::default() });
            inboxes.push(inbox);
        }
        let mut seed = [0; 8];
        let random = aws_lc_rs::rand::fill(&mut seed);
        random.map_err(|_| StartError::Thread(io::Error::other("no randomness")))?;
        let shared = Arc::new(Shared {
            limits: ArcSwap::from_pointee(settings.limits),
            admissions: Admissions::default(),
            scopes: ScopeRegistry::default(),
            ports: RelayPorts::new(&settings.relay_addresses, &settings.relay_ports),
            rate: SharedRate::new(settings.limits.bandwidth_total),
            unanswered: Unanswered::new(u64::from_ne_bytes(seed), Instant::now()),
            connections: AtomicU64::new(0),
            events: events_in,
            events_dropped: AtomicU64::new(0),
            shards,
        });
        if let Some(path) = &settings.fast_path {
            path.limit_total(settings.limits.bandwidth_total);
        }
        let fast_path = settings.fast_path.clone();
        let settings = Arc::new(settings);
        let mut handles = Vec::new();
        for (index, (listeners, inbox)) in listeners.into_iter().zip(inboxes).enumerate() {
            let index = ShardIndex(u8::try_from(index).unwrap_or(0));
            let shard = Shard::new(index, &settings, Arc::clone(&shared), Arc::clone(&keys), listeners, inbox)
                .map_err(StartError::Thread)?;
            let thread = std::thread::Builder::new()
                .name(format!("relay-{index}"))
                .spawn(move || shard.run())
                .map_err(StartError::Thread)?;
            handles.push(thread);
        }
        Ok(RelayHandle { shared, bound, events, fast_path, threads: Mutex::new(handles) })
    }
}

impl RelayHandle {
    /// What is bound, ports resolved.
    #[must_use]
    pub fn bound(&self) -> &[BoundAddress] {
        &self.bound
    }

    /// Hands every shard a new configuration; live allocations carry on.
    pub fn reload(&self, reload: &Reload) {
        self.shared.limits.store(Arc::new(reload.limits));
        self.shared.rate.set(reload.limits.bandwidth_total);
        if let Some(path) = &self.fast_path {
            path.limit_total(reload.limits.bandwidth_total);
        }
        for (index, shard) in self.shared.shards.iter().enumerate() {
            // A flood of packets between shards must not keep a reload out: wait for room.
            if shard.commands.send_timeout(Command::Reload(reload.clone()), PATIENCE).is_err() {
                tracing::error!(shard = index, "data-plane thread does not take its reload");
            }
            shard.waker.wake();
        }
    }

    /// Answers a key query that was left pending.
    pub fn answer_key(&self, shard: ShardIndex, id: QueryId, answer: KeyAnswer) {
        self.shared.send(shard, Command::AnswerKey(id, answer));
    }

    /// Ends one allocation; whether it was there. When this returns, its sockets are closed.
    #[must_use]
    pub fn terminate(&self, allocation: AllocationId) -> bool {
        self.ask_all(|reply| Command::Terminate(allocation, reply)).into_iter().any(|found| found)
    }

    /// Ends every allocation of a user; how many there were. When this returns, their sockets are closed.
    #[must_use]
    pub fn terminate_user(&self, username: &str) -> u32 {
        self.ask_all(|reply| Command::TerminateUser(username.to_owned(), reply)).into_iter().sum()
    }

    /// Ends every allocation of these users, in one pass over each shard; how many there were. When this returns, their
    /// sockets are closed.
    #[must_use]
    pub fn terminate_users(&self, usernames: &[String]) -> u32 {
        let usernames: Arc<BTreeSet<String>> = Arc::new(usernames.iter().cloned().collect());
        self.ask_all(|reply| Command::TerminateUsers(Arc::clone(&usernames), reply)).into_iter().sum()
    }

    /// Replaces the limits of every live allocation of a user; how many there were. See
    /// [`TurnServer::limit_user`](causeway_turn_core::TurnServer::limit_user) for what that does to them.
    #[must_use]
    pub fn limit_user(&self, username: &str, limits: GrantLimits) -> u32 {
        self.ask_all(|reply| Command::LimitUser(username.to_owned(), limits, reply)).into_iter().sum()
    }

    /// Says that `address` belongs to `scope`, or does so no longer: for members that have no allocation here. Allocations
    /// whose grant names the scope are members by themselves, as long as they live, and an address is a member while
    /// anybody says so.
    ///
    /// Every shard knows before it handles anything that its sockets receive after this call. False when the scope holds
    /// [`SCOPE_MEMBERS_MAX`](causeway_turn_core::SCOPE_MEMBERS_MAX) other addresses, or there are too many scopes: then
    /// the address stays out of reach.
    pub fn scope(&self, scope: ScopeId, address: SocketAddr, kind: ScopeKind, present: bool) -> bool {
        self.shared.set_scope_member(Member::new(scope, address, kind), Source::Control, present)
    }

    /// Live allocations with their figures.
    #[must_use]
    pub fn allocations(&self) -> Vec<AllocationView> {
        self.ask_all(Command::List).into_iter().flatten().collect()
    }

    /// How many allocations live; exact.
    #[must_use]
    pub fn live_allocations(&self) -> u32 {
        self.shared.admissions.total()
    }

    /// Counters, at most a second old.
    #[must_use]
    pub fn stats(&self) -> RelayStats {
        RelayStats {
            shards: self.shared.shards.iter().map(|shard| *shard.stats.lock()).collect(),
            events_dropped: self.shared.events_dropped.load(Ordering::Relaxed),
            allocations: u64::from(self.live_allocations()),
        }
    }

    /// The kernel's part, where there is one.
    #[must_use]
    pub fn fast_path(&self) -> Option<&FastPath> {
        self.fast_path.as_deref()
    }

    /// Domain events, oldest first.
    #[must_use]
    pub const fn events(&self) -> &Receiver<RelayEvent> {
        &self.events
    }

    /// Ends every allocation, closes everything and waits for the threads.
    pub fn shutdown(&self) {
        for (index, shard) in self.shared.shards.iter().enumerate() {
            // A full queue must not keep the server alive: wait for room.
            if shard.commands.send_timeout(Command::Shutdown, PATIENCE).is_err() {
                tracing::warn!(shard = index, "data-plane thread does not take its shutdown");
            }
            shard.waker.wake();
        }
        for thread in self.threads.lock().drain(..) {
            if thread.join().is_err() {
                tracing::error!("a data-plane thread ended in a panic");
            }
        }
    }

    fn indexes(&self) -> impl Iterator<Item = ShardIndex> {
        (0..self.shared.shards.len()).map(|index| ShardIndex(u8::try_from(index).unwrap_or(0)))
    }

    fn ask_all<T>(&self, command: impl Fn(Sender<T>) -> Command) -> Vec<T> {
        let waiting: Vec<Receiver<T>> = self
            .indexes()
            .map(|index| {
                let (reply, answer) = bounded(1);
                if let Some(shard) = self.shared.shards.get(index.as_usize()) {
                    // A flood of packets between shards must not keep a revocation out: wait for room.
                    if shard.commands.send_timeout(command(reply), PATIENCE).is_err() {
                        tracing::error!(shard = %index, "data-plane thread does not take its command");
                    }
                    shard.waker.wake();
                }
                answer
            })
            .collect();
        waiting.into_iter().filter_map(|answer| answer.recv_timeout(PATIENCE).ok()).collect()
    }
}

#[cfg(test)]
mod tests {
    use causeway_turn_core::RelayId;

    use super::*;

    #[test]
    fn a_flood_of_data_leaves_room_for_what_somebody_waits_for() {
        let (commands, _inbox) = bounded(COMMANDS_MAX);
        let port = ShardPort {
            commands,
            waker: Waker::new().expect("a waker"),
            stats: Mutex::default(),
            scopes: ScopeInbox::default(),
        };
        let data = || Command::Hairpin { relay: RelayId(0), from: ([127, 0, 0, 1], 1).into(), payload: Vec::new() };
        let asked = || port.send(Command::List(bounded(1).0));
        assert_eq!((0..COMMANDS_MAX).filter(|_| port.send(data())).count(), DATA_COMMANDS_MAX);
        assert_eq!((0..COMMANDS_MAX).filter(|_| asked()).count(), COMMANDS_MAX - DATA_COMMANDS_MAX);
    }
}
