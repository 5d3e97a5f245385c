//! A whole world in virtual time: a real [`TurnServer`](causeway_turn_core::TurnServer), real clients, peers, a router
//! and a bad network. Nothing waits: time jumps to whatever happens next.
//!
//! ```
//! # use causeway_sim::World;
//! # use std::time::Duration;
//! let mut world = World::seeded(7);
//! let allocation = world.client("alice").allocate(Duration::from_secs(600)).allocation();
//! world.advance(Duration::from_secs(599)).assert_alive(&allocation);
//! world.advance(Duration::from_secs(2)).assert_gone(&allocation);
//! ```

mod actors;
mod nat;
mod network;

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use causeway_stun_codec::{Class, Message, Method, TransactionId};
use causeway_turn_client::{
    Allocation, AuthFeatures, ClientConfig, Outcome, Output, Received, Request, RequestId, SendDataError, TurnClient,
    Via,
};
use causeway_turn_core::{ClientLeg, Forward, LegId, TurnConfig};
use causeway_types::{AddressFamily, AllocationId, ClientTransport, FiveTuple, Now, ShardIndex};
use rand_chacha::{
    ChaCha12Rng,
    rand_core::{Rng, SeedableRng},
};

use self::{
    actors::address,
    nat::Nat,
    network::{Arrival, Network},
};
use crate::{
    settings,
    shell::Shell,
    users::{START, Users},
};

pub use actors::{Arrived, Client, Peer, Reply};
pub use network::Conditions;

/// Where the server listens.
pub const SERVER: &str = "198.51.200.7:3478";
/// The router's public address.
const ROUTER: [u8; 4] = [203, 0, 113, 200];
/// Longer than any deadline of the server.
const LONG_ENOUGH: Duration = Duration::from_secs(4000);

struct ClientState {
    name: &'static str,
    machine: TurnClient,
    config: ClientConfig,
    inside: SocketAddr,
    is_behind_router: bool,
    outcomes: Vec<(RequestId, Outcome)>,
    received: Vec<Arrived>,
}

impl std::fmt::Debug for ClientState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientState").field("name", &self.name).field("machine", &self.machine).finish_non_exhaustive()
    }
}

/// The world; see the module's text.
#[derive(Debug)]
pub struct World {
    now: Now,
    shell: Shell,
    clients: Vec<ClientState>,
    /// What reached each peer.
    peers: BTreeMap<SocketAddr, Vec<Arrived>>,
    router: Nat,
    network: Network,
    /// Questions to the control plane whose answer is not under way yet.
    answers_due: usize,
    /// Success responses to Allocate, by allocation and transaction: a retransmission is answered alike.
    answered: BTreeMap<(AllocationId, TransactionId), Vec<u8>>,
    rng: ChaCha12Rng,
    /// How late the server's timers run.
    lateness: Duration,
}

impl World {
    /// A world with a perfect network: no delay, nothing lost.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self::with(seed, Conditions::default(), settings::config())
    }

    /// A world with a bad network.
    #[must_use]
    pub fn troubled(seed: u64, conditions: Conditions) -> Self {
        Self::with(seed, conditions, settings::config())
    }

    /// A world whose server is configured otherwise.
    #[must_use]
    pub fn with(seed: u64, conditions: Conditions, config: TurnConfig) -> Self {
        let now = Now { mono: Instant::now(), unix: START };
        let mut rng = ChaCha12Rng::seed_from_u64(seed);
        let mut server_seed = [0; 32];
        rng.fill_bytes(&mut server_seed);
        let network = Network::new(conditions, ChaCha12Rng::seed_from_u64(rng.next_u64()));
        Self {
            now,
            shell: Shell::new(Arc::new(config), Users::all(), ShardIndex(0), server_seed, now),
            clients: Vec::new(),
            peers: BTreeMap::new(),
            router: Nat::new(IpAddr::from(ROUTER), Duration::from_secs(120)),
            network,
            answers_due: 0,
            answered: BTreeMap::new(),
            rng,
            lateness: Duration::ZERO,
        }
    }

    /// The client of this name, with an address of its own. What is before the first `-` is its user.
    pub fn client(&mut self, name: &'static str) -> Client<'_> {
        let index = self.index_of(name, false);
        Client { world: self, index }
    }

    /// The client of this name, behind the router.
    pub fn client_at_home(&mut self, name: &'static str) -> Client<'_> {
        let index = self.index_of(name, true);
        Client { world: self, index }
    }

    /// The peer at this address.
    pub fn peer(&mut self, at: &str) -> Peer<'_> {
        Peer { world: self, address: address(at) }
    }

    /// Lets time pass, with everything that happens on the way.
    ///
    /// # Panics
    /// The server did something it must not: see [`Shell`].
    pub fn advance(&mut self, by: Duration) -> &mut Self {
        let end = self.now.mono + by;
        self.run(end, |_| false);
        self
    }

    /// Lets time pass until `is_so`, at most `limit`; whether it came so.
    pub fn run_until(&mut self, limit: Duration, is_so: impl Fn(&Self) -> bool) -> bool {
        let end = self.now.mono + limit;
        self.run(end, is_so)
    }

    /// Changes the network.
    pub const fn set_conditions(&mut self, conditions: Conditions) {
        self.network.conditions = conditions;
    }

    /// From here on the server's timers run so much too late, as those of a busy server do.
    pub const fn set_lateness(&mut self, lateness: Duration) {
        self.lateness = lateness;
    }

    /// # Panics
    /// The server has no such allocation.
    #[track_caller]
    pub fn assert_alive(&self, allocation: &Allocation) {
        assert!(self.is_alive(allocation), "the allocation is gone");
    }

    /// # Panics
    /// The server has such an allocation.
    #[track_caller]
    pub fn assert_gone(&self, allocation: &Allocation) {
        assert!(!self.is_alive(allocation), "the allocation is alive");
    }

    /// Live allocations.
    #[must_use]
    pub fn allocation_count(&self) -> usize {
        self.shell.server().allocation_count()
    }

    /// The first relayed address of a client's allocation.
    ///
    /// # Panics
    /// The client has none.
    #[track_caller]
    #[must_use]
    pub fn relayed(&self, name: &str) -> SocketAddr {
        let client = self.clients.iter().find(|client| client.name == name).expect("the client is there");
        client.machine.allocation().expect("it has an allocation").relayed[0]
    }

    /// The watched server.
    #[must_use]
    pub const fn shell(&self) -> &Shell {
        &self.shell
    }

    /// Everybody leaves and everything expires; nothing may be left. Gives a number drawn from all the server said.
    ///
    /// # Panics
    /// Something is left.
    pub fn settle(mut self) -> u64 {
        self.set_conditions(Conditions::default());
        self.set_lateness(Duration::ZERO);
        self.clients.clear();
        self.advance(LONG_ENOUGH);
        self.shell.assert_balanced();
        self.shell.transcript()
    }

    pub(crate) const fn client_count(&self) -> usize {
        self.clients.len()
    }

    pub(crate) fn take_received(&mut self, index: usize) -> Vec<Arrived> {
        std::mem::take(&mut self.clients[index].received)
    }

    fn is_alive(&self, allocation: &Allocation) -> bool {
        let first = allocation.relayed.first().copied();
        self.shell
            .server()
            .allocations()
            .any(|view| view.relayed.contains(&first) && view.five_tuple.client == allocation.mapped)
    }

    fn index_of(&mut self, name: &'static str, is_behind_router: bool) -> usize {
        if let Some(index) = self.clients.iter().position(|client| client.name == name) {
            return index;
        }
        let users = Users::all();
        let user = name.split('-').next().and_then(|user| users.named(user)).expect("a client is named for its user");
        let mut config = ClientConfig::new(ClientTransport::Udp).with_credentials(&user.name, user.passwords[0]);
        let number = u8::try_from(self.clients.len()).expect("few clients");
        // Both kinds of clients are there: those of RFC 5389 and those that take up what is offered.
        config.auth_features = if number.is_multiple_of(2) { AuthFeatures::Offered } else { AuthFeatures::Classic };
        config.fingerprint = number.is_multiple_of(3);
        let inside = if is_behind_router { [192, 168, 1, 10 + number] } else { [203, 0, 113, 10 + number] };
        let machine = TurnClient::new(config.clone(), self.client_seed());
        self.clients.push(ClientState {
            name,
            machine,
            config,
            inside: SocketAddr::from((inside, 5000)),
            is_behind_router,
            outcomes: Vec::new(),
            received: Vec::new(),
        });
        self.clients.len() - 1
    }

    fn client_seed(&mut self) -> [u8; 32] {
        let mut seed = [0; 32];
        self.rng.fill_bytes(&mut seed);
        seed
    }

    /// Asks through a client without waiting.
    pub(crate) fn request(&mut self, index: usize, request: Request) -> RequestId {
        let id = self.clients[index].machine.handle_request(self.now, request);
        self.drain_client(index);
        id
    }

    pub(crate) fn send_data(&mut self, index: usize, peer: SocketAddr, data: &[u8]) -> Result<Via, SendDataError> {
        let mut bytes = Vec::new();
        let via = self.clients[index].machine.write_data(peer, data, &mut bytes)?;
        self.transmit(index, bytes);
        Ok(via)
    }

    pub(crate) fn transmit(&mut self, index: usize, bytes: Vec<u8>) {
        let from = self.public_address(index);
        self.network.send(self.now.mono, Arrival::AtServer { from, bytes });
    }

    pub(crate) fn peer_sends(&mut self, from: SocketAddr, to: SocketAddr, data: &[u8]) {
        self.network.send(self.now.mono, Arrival::AtRelay { to, from, data: data.to_vec() });
    }

    pub(crate) fn restart(&mut self, index: usize) {
        let seed = self.client_seed();
        let client = &mut self.clients[index];
        client.machine = TurnClient::new(client.config.clone(), seed);
        client.outcomes.clear();
    }

    pub(crate) fn rebind(&mut self, index: usize) {
        self.router.forget(self.clients[index].inside);
    }

    fn public_address(&mut self, index: usize) -> SocketAddr {
        let client = &self.clients[index];
        if client.is_behind_router { self.router.outbound(client.inside, self.now.mono) } else { client.inside }
    }

    fn run(&mut self, end: Instant, is_so: impl Fn(&Self) -> bool) -> bool {
        loop {
            if is_so(self) {
                return true;
            }
            let timers = self.clients.iter().filter_map(|client| client.machine.poll_timeout());
            let server = self.server_due();
            let next = timers.chain(server).chain(self.network.next_at()).min().map(|at| at.max(self.now.mono));
            let Some(next) = next.filter(|at| *at <= end) else {
                self.jump_to(end);
                return is_so(self);
            };
            self.jump_to(next);
            self.happen();
        }
    }

    fn server_due(&self) -> Option<Instant> {
        self.shell.server().poll_timeout().map(|(at, _)| at + self.lateness)
    }

    fn jump_to(&mut self, at: Instant) {
        let by = at.saturating_duration_since(self.now.mono);
        self.now = Now { mono: self.now.mono + by, unix: self.now.unix.saturating_add(by) };
    }

    /// Everything that is due now.
    fn happen(&mut self) {
        while let Some(arrival) = self.network.take_due(self.now.mono) {
            self.arrive(arrival);
        }
        if self.server_due().is_some_and(|at| at <= self.now.mono) {
            self.shell.timeout(self.now);
            self.drain_server();
        }
        for index in 0..self.clients.len() {
            if self.clients[index].machine.poll_timeout().is_some_and(|at| at <= self.now.mono) {
                self.clients[index].machine.handle_timeout(self.now);
                self.drain_client(index);
            }
        }
    }

    fn arrive(&mut self, arrival: Arrival) {
        match arrival {
            Arrival::AtServer { from, bytes } => self.at_server(from, &bytes),
            Arrival::AtClient { to, bytes } => self.at_client(to, &bytes),
            Arrival::AtRelay { to, from, data } => self.at_relay(to, from, &data),
            Arrival::AtPeer { to, from, data } => {
                self.peers.entry(to).or_default().push(Arrived { from, via: None, data });
            }
            Arrival::Answer => {
                self.answers_due -= 1;
                self.shell.answer(self.now, 0, crate::shell::Answer::Right);
                self.drain_server();
            }
        }
    }

    fn at_server(&mut self, from: SocketAddr, bytes: &[u8]) {
        let five_tuple = FiveTuple { transport: ClientTransport::Udp, client: from, server: address(SERVER) };
        let leg = ClientLeg { five_tuple, leg: LegId(0) };
        let forward = self.shell.client_message(self.now, leg, bytes);
        self.drain_server();
        let Forward::ToPeer { relay, peer, start, len, .. } = forward else { return };
        let (start, len) = (usize::from(start), usize::from(len));
        let data = bytes.get(start..start + len).expect("the shell has checked it").to_vec();
        let from = self.shell.books.sockets[&relay].address;
        if self.shell.books.relay_at(peer).is_some() {
            // One of the server's own relays: delivered inside the process.
            self.at_relay(peer, from, &data);
        } else if peer.ip() != from.ip() {
            self.network.send(self.now.mono, Arrival::AtPeer { to: peer, from, data });
        }
    }

    fn at_relay(&mut self, to: SocketAddr, from: SocketAddr, data: &[u8]) {
        let Some(relay) = self.shell.books.relay_at(to) else { return };
        let len = u16::try_from(data.len()).expect("datagrams are short");
        let forward = self.shell.peer_datagram(self.now, relay, from, len, 1);
        self.drain_server();
        if let Forward::ToClient { client, prefix, padding } = forward {
            let bytes = [prefix.as_slice(), data, &[0; 4][..usize::from(padding)]].concat();
            self.network.send(self.now.mono, Arrival::AtClient { to: client.five_tuple.client, bytes });
        }
    }

    fn at_client(&mut self, to: SocketAddr, bytes: &[u8]) {
        let inside = self.router.inbound(to, self.now.mono).unwrap_or(to);
        let Some(index) = self.clients.iter().position(|client| client.inside == inside) else { return };
        let client = &mut self.clients[index];
        if let Received::Data { peer, via, data } = client.machine.handle_datagram(self.now, bytes) {
            client.received.push(Arrived { from: peer, via: Some(via), data: data.to_vec() });
        }
        self.drain_client(index);
    }

    fn drain_client(&mut self, index: usize) {
        while let Some(output) = self.clients[index].machine.poll_output() {
            match output {
                Output::Transmit(bytes) => self.transmit(index, bytes),
                Output::Done { id, outcome } => self.clients[index].outcomes.push((id, outcome)),
                Output::KeepAliveFailed { .. } | Output::AllocationLost => {}
                Output::Data { .. } | Output::Icmp { .. } | Output::StreamBroken => {
                    panic!("there are no streams here: {output:?}");
                }
            }
        }
    }

    fn drain_server(&mut self) {
        while let Some(transmit) = self.shell.take_transmit() {
            let message = Message::parse(&transmit.bytes).expect("the shell has read it");
            if (message.class(), message.method()) == (Class::Success, Method::ALLOCATE) {
                let (id, _) = self.shell.model.of_client(transmit.client.five_tuple).expect("it has been granted");
                let key = (id, message.transaction_id());
                let first = self.answered.entry(key).or_insert_with(|| transmit.bytes.clone());
                assert_eq!(*first, transmit.bytes, "a retransmitted Allocate is answered alike");
            }
            let to = transmit.client.five_tuple.client;
            self.network.send(self.now.mono, Arrival::AtClient { to, bytes: transmit.bytes });
        }
        while self.answers_due < self.shell.question_count() {
            self.answers_due += 1;
            self.network.schedule(self.now.mono, Arrival::Answer);
        }
    }
}

/// The relay address of IPv4.
#[must_use]
pub fn relay_address() -> IpAddr {
    crate::books::relay_ip(AddressFamily::V4)
}
