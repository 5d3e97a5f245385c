//! One data-plane thread: its sockets, its core, its loop.

mod client_out;
mod dtls;
mod inbox;
mod kernel;
mod listeners;
mod outlets;
mod outputs;
mod routes;
mod stream;
mod tcp_relay;
mod udp;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    net::SocketAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::{Duration, Instant},
};

use causeway_net_io::{Epoll, Event, Events, Interest};
use causeway_turn_core::{ClientLeg, DropCounts, DropReason, RelayId, TurnServer};
use causeway_types::{LimitName, Now, RelayEvent, ShardIndex};
use crossbeam_channel::Receiver;
use foldhash::fast::FixedState;
use slab::Slab;

pub(crate) use client_out::Weight;
pub(crate) use listeners::Listeners;
pub(crate) use stream::Connection;

use outlets::{Outlet, Outlets};
use routes::Routes;

use crate::{
    command::Command,
    handle::Shared,
    keys::KeySource,
    leg::{Leg, Token},
    settings::{DtlsIdentity, RelaySettings},
    stats::ShardStats,
};

/// Reports taken per wait.
const EVENTS_PER_WAIT: usize = 256;
/// Commands taken per wake-up, so that a flood of them does not starve packets.
const COMMANDS_PER_WAKE: usize = 256;
/// Longest wait, so that counters and idle checks stay fresh.
const TICK: Duration = Duration::from_millis(500);
/// That `bandwidth_total` is used up is told no more often.
const TOTAL_TOLD_EVERY: Duration = Duration::from_secs(60);

/// A relay socket.
#[derive(Debug)]
pub(crate) struct RelayEntry {
    socket: crate::ports::RelaySocket,
    advertised: SocketAddr,
    /// How many datagrams to try to read at the next wake-up.
    hint: u8,
    to_peer: Outlet,
    to_client: Outlet,
}

/// A thread's whole world.
pub(crate) struct Shard {
    index: ShardIndex,
    shared: Arc<Shared>,
    keys: Arc<dyn KeySource>,
    commands: Receiver<Command>,
    core: TurnServer,
    epoll: Epoll,
    listeners: Listeners,
    connections: Slab<Connection>,
    associations: Slab<dtls::Association>,
    association_by_client: HashMap<(usize, SocketAddr), usize, FixedState>,
    dtls_timers: BTreeSet<(Instant, usize)>,
    dtls_handshakes: usize,
    dtls_config: Arc<dimpl::Config>,
    doorkeeper: dtls::Doorkeeper,
    dtls_identity: Option<DtlsIdentity>,
    tls: Option<Arc<rustls::ServerConfig>>,
    proxy_protocol: bool,
    relays: Slab<RelayEntry>,
    outlets: Outlets,
    peers: BTreeMap<u32, tcp_relay::PeerStream>,
    /// Streams whose reading is paused, by the time it goes on.
    paused: BTreeSet<(Instant, u64)>,
    /// Clients of this shard's sockets whose allocation moved to another shard.
    forwarded: Routes,
    followups: VecDeque<outputs::Followup>,
    /// The shell's own drops.
    drops: DropCounts,
    /// When it was last told that `bandwidth_total` is used up.
    total_told: Option<Instant>,
    panics: u64,
    inbox: inbox::Inbox,
    /// TCP listeners that found no descriptor free.
    resting_listeners: Vec<usize>,
    /// What is relayed in the kernel.
    kernel: Option<kernel::KernelPath>,
    next_sweep: Instant,
    next_publish: Instant,
    stopping: bool,
}

impl Shard {
    pub(crate) fn new(
        index: ShardIndex,
        settings: &RelaySettings,
        shared: Arc<Shared>,
        keys: Arc<dyn KeySource>,
        listeners: Listeners,
        commands: Receiver<Command>,
    ) -> std::io::Result<Self> {
        let mut seed = [0; 32];
        aws_lc_rs::rand::fill(&mut seed).map_err(|_| std::io::Error::other("no randomness"))?;
        let mut hash_seed = [0; 8];
        aws_lc_rs::rand::fill(&mut hash_seed).map_err(|_| std::io::Error::other("no randomness"))?;
        let hasher = FixedState::with_seed(u64::from_ne_bytes(hash_seed));
        let now = Now::read();
        let epoll = Epoll::new()?;
        if let Some(port) = shared.shards.get(index.as_usize()) {
            epoll.add(&port.waker, Token::Waker.bits(), Interest::Read)?;
        }
        listeners.register(&epoll)?;
        let dtls_config = dtls::config().map_err(std::io::Error::other)?;
        let doorkeeper =
            dtls::Doorkeeper::new(&dtls_config, now.mono).map_err(|_| std::io::Error::other("no randomness"))?;
        let kernel = settings.fast_path.clone().map(|path| kernel::KernelPath::new(path, now.mono));
        let mut core = TurnServer::new(Arc::clone(&settings.turn), index, seed, now);
        if kernel.is_some() {
            core.watch_channels();
        }
        Ok(Self {
            index,
            shared,
            keys,
            commands,
            core,
            epoll,
            listeners,
            connections: Slab::new(),
            associations: Slab::new(),
            association_by_client: HashMap::with_hasher(hasher.clone()),
            dtls_timers: BTreeSet::new(),
            dtls_handshakes: 0,
            dtls_config: Arc::new(dtls_config),
            doorkeeper,
            dtls_identity: settings.dtls.clone(),
            tls: settings.tls.clone(),
            proxy_protocol: settings.proxy_protocol,
            relays: Slab::new(),
            outlets: Outlets::new(settings),
            peers: BTreeMap::new(),
            paused: BTreeSet::new(),
            forwarded: Routes::new(hasher),
            followups: VecDeque::new(),
            drops: DropCounts::default(),
            total_told: None,
            panics: 0,
            inbox: inbox::Inbox::new(),
            resting_listeners: Vec::new(),
            kernel,
            next_sweep: now.mono,
            next_publish: now.mono,
            stopping: false,
        })
    }

    /// Runs until told to shut down.
    pub(crate) fn run(mut self) {
        let mut events = Events::with_capacity(EVENTS_PER_WAIT);
        while !self.stopping {
            if let Err(error) = self.epoll.wait(&mut events, Some(self.until_next_timer())) {
                tracing::error!(shard = %self.index, %error, "epoll failed");
                break;
            }
            let now = Now::read();
            for index in 0..events.len() {
                let Some(event) = events.event(index) else { break };
                self.isolated(|shard| shard.handle_event(now, event));
            }
            self.isolated(|shard| shard.handle_timers(now));
        }
        self.publish(Now::read().mono);
    }

    /// A bug costs the one event it was met in: it is counted, told once per kind of event, and the shard carries on.
    fn isolated(&mut self, work: impl FnOnce(&mut Self)) {
        if catch_unwind(AssertUnwindSafe(|| work(self))).is_err() {
            if self.panics == 0 {
                tracing::error!(shard = %self.index, "a bug was met on the data path; further ones are only counted");
            }
            self.panics += 1;
            if self.inbox.is_missing() {
                self.inbox = inbox::Inbox::new();
            }
            self.followups.clear();
            // What the interrupted input left behind would break the next one.
            while self.core.poll_output().is_some() {}
        }
    }

    fn until_next_timer(&self) -> Duration {
        let core = self.core.poll_timeout().map(|(at, _)| at);
        let dtls = self.dtls_timers.first().map(|(at, _)| *at);
        let paused = self.paused.first().map(|(at, _)| *at);
        let now = Instant::now();
        let kernel = self.kernel.as_ref().and_then(kernel::KernelPath::due);
        let next = [core, dtls, paused, kernel].into_iter().flatten().min();
        next.map_or(TICK, |at| at.saturating_duration_since(now).min(TICK))
    }

    fn handle_event(&mut self, now: Now, event: Event) {
        // First of all: whoever sent what waits here may know already that a member came or went.
        self.take_scope_changes(now);
        match Token::of(event.token) {
            Token::Waker => self.take_commands(now),
            Token::Udp(index) => self.udp_readable(now, index),
            Token::Tcp(index) => self.accept(now, index),
            Token::Stream(key) => self.stream_ready(now, key, event),
            Token::Relay(key) => self.relay_ready(now, key, event),
            Token::RelayListener(key) => self.accept_peer(now, key),
            Token::Peer(id) => self.peer_ready(now, id, event),
        }
        self.drain(now);
    }

    fn handle_timers(&mut self, now: Now) {
        if self.core.poll_timeout().is_some_and(|(at, _)| at <= now.mono) {
            self.core.handle_timeout(now);
            self.drain(now);
        }
        while let Some(&(at, key)) = self.dtls_timers.first() {
            if at > now.mono {
                break;
            }
            self.dtls_timers.pop_first();
            self.dtls_timeout(now, key);
        }
        while let Some(&(at, token)) = self.paused.first() {
            if at > now.mono {
                break;
            }
            self.paused.pop_first();
            self.resume(token);
        }
        self.count_kernel(now);
        if now.mono >= self.next_sweep {
            self.next_sweep = now.mono + Duration::from_secs(1);
            self.close_idle(now);
            self.outlets.sweep(&mut self.relays);
        }
        if now.mono >= self.next_publish {
            self.publish(now.mono);
        }
    }

    fn publish(&mut self, now: Instant) {
        self.next_publish = now + TICK;
        let mut drops = self.core.drops();
        for reason in DropReason::ALL {
            drops.add(reason, self.drops.count(reason));
        }
        let stats = ShardStats {
            turn: self.core.stats(),
            drops,
            allocations: self.core.allocation_count() as u64,
            connections: self.connections.len() as u64,
            dtls_associations: self.associations.len() as u64,
            senders: self.outlets.count(),
            senders_refused: self.outlets.refused(),
            panics: self.panics,
        };
        if let Some(port) = self.shared.shards.get(self.index.as_usize()) {
            *port.stats.lock() = stats;
        }
    }

    fn take_scope_changes(&mut self, now: Now) {
        let Some(port) = self.shared.shards.get(self.index.as_usize()) else { return };
        for (member, present) in port.scopes.take() {
            self.core.handle_scope(now, member.scope, member.address, member.kind, present);
            self.drain(now);
        }
    }

    fn take_commands(&mut self, now: Now) {
        if let Some(port) = self.shared.shards.get(self.index.as_usize()) {
            port.waker.clear();
        }
        for _ in 0..COMMANDS_PER_WAKE {
            let Ok(command) = self.commands.try_recv() else { return };
            self.obey(now, command);
        }
        // There may be more: come back after the other sockets had their turn.
        if let Some(port) = self.shared.shards.get(self.index.as_usize()) {
            port.waker.wake();
        }
    }

    fn obey(&mut self, now: Now, command: Command) {
        match command {
            Command::Reload(reload) => {
                self.tls = reload.tls;
                self.dtls_identity = reload.dtls;
                self.core.handle_config(now, reload.turn);
            }
            Command::AnswerKey(id, answer) => self.core.handle_key(now, id, answer),
            Command::Terminate(id, reply) => {
                let found = self.core.terminate(now, id);
                self.drain(now);
                answer(&reply, found);
            }
            Command::TerminateUser(username, reply) => {
                let ended = self.core.terminate_user(now, &username);
                self.drain(now);
                answer(&reply, ended);
            }
            Command::TerminateUsers(usernames, reply) => {
                let ended = self.core.terminate_users(now, &usernames);
                self.drain(now);
                answer(&reply, ended);
            }
            Command::LimitUser(username, limits, reply) => {
                let changed = self.core.limit_user(now, &username, limits);
                self.drain(now);
                answer(&reply, changed);
            }
            Command::List(reply) => {
                self.count_kernel_now(now);
                answer(&reply, self.core.allocations().collect());
            }
            Command::Adopt { connection, message } => self.adopt(now, *connection, &message),
            Command::RemoteMessage { via, client, message } => {
                let client = remote(via, client);
                let forward = self.core.handle_client_message(now, client, &message);
                self.forward(now, forward, udp::Segments::single(&message));
            }
            Command::RemoteClosed { via, client } => self.core.handle_client_closed(now, remote(via, client)),
            Command::RemoteTransmit { from, leg, five_tuple, bytes, weight } => {
                self.follow_move(from, five_tuple, &bytes);
                let client = ClientLeg { five_tuple, leg };
                self.send_to_client(now, client, &bytes, weight);
            }
            Command::Hairpin { relay, from, payload } => {
                self.deliver_inside(now, relay, from, udp::Segments::single(&payload))
            }
            Command::Shutdown => {
                self.core.shutdown(now);
                self.stopping = true;
            }
        }
        self.drain(now);
    }

    fn relay(&self, relay: RelayId) -> Option<&RelayEntry> {
        self.relays.get(usize::try_from(relay.0).ok()?)
    }

    /// `bandwidth_total` is used up for the moment: counted always, told once in a while.
    fn drop_over_total(&mut self, now: Now, n: u64) {
        self.count_drop(DropReason::BandwidthTotal, n);
        if self.total_told.is_none_or(|told| now.mono.saturating_duration_since(told) >= TOTAL_TOLD_EVERY) {
            self.total_told = Some(now.mono);
            let limit = LimitName::BandwidthTotal;
            self.shared.emit(RelayEvent::LimitReached { limit, username: None, five_tuple: None });
        }
    }

    fn count_drop(&mut self, reason: DropReason, n: u64) {
        self.drops.add(reason, n);
    }
}

/// A client of shard `via` as this shard names it.
fn remote(via: ShardIndex, client: ClientLeg) -> ClientLeg {
    ClientLeg { leg: Leg::Remote(via, client.leg).id(), ..client }
}

/// Answers a question; the asker may have given up waiting.
fn answer<T>(reply: &crossbeam_channel::Sender<T>, value: T) {
    if reply.try_send(value).is_err() {
        tracing::debug!("nobody waits for the answer any more");
    }
}
