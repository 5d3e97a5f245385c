//! Two shards of a TURN server and a hostile world: any message, in any order, with any answer at any time.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use arbitrary::{Arbitrary, Unstructured};
use causeway_stun_codec::{Class, Message, MessageBuilder, Method, TransactionId, attributes::Nonce, channel_data};
use causeway_turn_core::{
    ClientLeg, ConnectOutcome, ConnectionId, HandOverReason, IcmpError, LegId, NatDiscoveryGrid, RelayId, ScopeKind,
    StreamDirection, TurnConfig,
    peer_policy::{PeerPolicy, PeerPolicyConfig},
};
use causeway_types::{AddressFamily, ClientTransport, FiveTuple, Now, RelayTransport, ScopeId, ShardIndex};

use super::recipe::{Ask, Context, Recipe, Seen, channel_number};
use crate::{
    books::relay_ip,
    settings::{self, SERVER_V4, SERVER_V6},
    shell::{Answer, Shell},
    users::{START, User, Users},
};

/// Steps of one run; what is longer is cut.
const STEPS_MAX: usize = 200;
/// Longer than any deadline.
const LONG_ENOUGH: Duration = Duration::from_secs(4000);

#[derive(Clone, Copy, Debug, Arbitrary)]
struct Setup {
    tight_limits: bool,
    slow: bool,
    short_nonces: bool,
    mobility: bool,
    one_family: bool,
    alternate: bool,
    draining: bool,
    nat_discovery: bool,
    software: bool,
    /// Which clients begin with an allocation.
    allocated: u16,
    /// Whether 8.8.4.0/24 is denied.
    deny: bool,
}

#[derive(Clone, Debug, Arbitrary)]
enum Step {
    /// A right request. Mostly all questions about it are answered rightly; from 200 on, only some or one wrongly.
    Good { client: u8, ask: Ask, trouble: u8 },
    /// Data, either way.
    Data(Data),
    /// Time passes; the timers may be late.
    Wait { wait: Wait, timers: bool },
    /// What goes wrong.
    Odd(Odd),
}

#[derive(Clone, Copy, Debug, Arbitrary)]
enum Data {
    FromClient { client: u8, channel: u8, len: u8 },
    Cut { client: u8, channel: u8, len: u8 },
    Burst { client: u8, channel: u8, len: u8, count: u8 },
    FromPeer { shard: bool, relay: u8, peer: u8, len: u16, count: u8 },
}

#[derive(Clone, Debug, Arbitrary)]
enum Odd {
    /// A message as strange as can be; nobody answers the server's questions.
    Message {
        client: u8,
        recipe: Recipe,
    },
    /// The same, and all questions are answered.
    Exchange {
        client: u8,
        recipe: Recipe,
    },
    /// The client's last message once more.
    Again {
        client: u8,
    },
    Bytes {
        client: u8,
        bytes: Vec<u8>,
    },
    Answer {
        shard: bool,
        which: u8,
        answer: Result<(), u8>,
    },
    Outside {
        shard: bool,
        what: Outside,
    },
    ClientClosed {
        client: u8,
    },
    Reconfigure(Setup),
    Terminate {
        shard: bool,
        which: u8,
    },
    TerminateUser {
        shard: bool,
        user: u8,
    },
}

/// What happens beyond the relay sockets.
#[derive(Clone, Copy, Debug, Arbitrary)]
enum Outside {
    Icmp {
        relay: u8,
        peer: u8,
        icmp_type: u8,
        error_data: u32,
    },
    RelayFailed {
        relay: u8,
    },
    PeerAccepted {
        relay: u8,
        peer: u8,
    },
    PeerConnected {
        which: u8,
        connected: bool,
    },
    /// An outcome for a connection that is gone or never was.
    Unknown {
        connection: u32,
        connected: bool,
    },
    PeerClosed {
        which: u8,
    },
    Stream {
        which: u8,
        to_client: bool,
        bytes: u32,
    },
}

#[derive(Clone, Copy, Debug, Arbitrary)]
enum Wait {
    Millis(u16),
    Secs(u16),
    /// Up to the next timer, exactly.
    ToTimer,
    /// One millisecond short of it.
    NearTimer,
}

/// Runs the script that `data` describes, then lets everything expire; gives a number drawn from all outputs.
///
/// # Panics
/// The server did something it must not: see [`Shell`].
#[must_use]
pub fn core(data: &[u8]) -> u64 {
    let mut data = Unstructured::new(data);
    let Ok(setup) = Setup::arbitrary(&mut data) else { return 0 };
    let mut run = Run::new(setup);
    for _ in 0..STEPS_MAX {
        if data.is_empty() {
            break;
        }
        let Ok(step) = Step::arbitrary(&mut data) else { break };
        run.take(&step);
    }
    run.settle()
}

struct Client {
    leg: ClientLeg,
    user: User,
    nonce: String,
    last: Vec<u8>,
    shard: usize,
}

struct Run {
    shells: [Shell; 2],
    users: Users,
    clients: Vec<Client>,
    peers: Vec<SocketAddr>,
    seen: Seen,
    /// How many allocations stand for each member of a room.
    members: BTreeMap<(ScopeId, ScopeKind, IpAddr, u16), u32>,
    now: Now,
    next_id: u32,
}

fn addr(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn config(setup: Setup) -> Arc<TurnConfig> {
    let mut config = settings::config();
    if setup.tight_limits {
        config.limits.permissions_per_allocation_max = 2;
        config.limits.channels_per_allocation_max = 2;
        config.limits.connections_per_allocation_max = 2;
        config.limits.pending_requests_max = 2;
    }
    config.limits.bandwidth_per_allocation = setup.slow.then_some(10_000);
    config.software = setup.software.then(|| "causeway".into());
    config.nonce_lifetime = Duration::from_secs(if setup.short_nonces { 120 } else { 1_000_000 });
    config.relay_families.v6 = !setup.one_family;
    config.mobility = setup.mobility;
    if setup.nat_discovery {
        config.nat_discovery =
            vec![NatDiscoveryGrid { primary: addr(SERVER_V4), alternate: addr("198.51.200.8:3479") }];
    }
    if setup.alternate {
        config.alternate_servers = vec![addr("198.51.200.9:3478")];
    }
    config.draining = setup.draining;
    if setup.deny {
        let rules = PeerPolicyConfig { deny: vec!["8.8.4.0/24".parse().expect("a network")], ..settings::peers() };
        config.peer_policy = Arc::new(PeerPolicy::new(rules));
    }
    Arc::new(config)
}

fn peers() -> Vec<SocketAddr> {
    let mut peers: Vec<SocketAddr> = [
        "8.8.8.8:1000",
        "8.8.8.8:1001",
        "8.8.4.4:1000",
        "[2001:4860:4860::8888]:1000",
        "[2001:4860:4860::8844]:1000",
        "10.1.0.1:5432",
        "10.1.0.1:5433",
        "9.9.9.9:53",
        "5.5.5.14:6000",
        "5.5.5.15:6000",
        "127.0.0.1:80",
        "[::ffff:8.8.8.8]:1000",
        "[64:ff9b::7f00:1]:80",
        SERVER_V4,
    ]
    .map(addr)
    .to_vec();
    peers.extend([50_000, 50_001].map(|port| SocketAddr::new(relay_ip(AddressFamily::V4), port)));
    peers.push(SocketAddr::new(relay_ip(AddressFamily::V6), 50_000));
    peers
}

impl Run {
    fn new(setup: Setup) -> Self {
        let now = Now { mono: Instant::now(), unix: START };
        let users = Users::all();
        let shell = |shard| Shell::new(config(setup), users.clone(), ShardIndex(shard), [shard; 32], now);
        let shells = [shell(0), shell(1)];
        let client = |index: usize, (transport, client, server, user): (ClientTransport, &str, &str, &str)| Client {
            leg: ClientLeg {
                five_tuple: FiveTuple { transport, client: addr(client), server: addr(server) },
                leg: LegId(u32::try_from(index).expect("few")),
            },
            user: users.named(user).expect("a user").clone(),
            nonce: String::new(),
            last: Vec::new(),
            shard: index % 2,
        };
        let clients = [
            (ClientTransport::Udp, "203.0.113.10:5000", SERVER_V4, "alice"),
            (ClientTransport::Tcp, "203.0.113.10:5001", SERVER_V4, "alice"),
            (ClientTransport::Udp, "[2001:db8::5]:5000", SERVER_V6, "bob"),
            (ClientTransport::Dtls, "203.0.113.11:5000", SERVER_V4, "carol"),
            (ClientTransport::Tls, "203.0.113.12:5000", SERVER_V4, "erin"),
            (ClientTransport::Tcp, "203.0.113.10:5002", SERVER_V4, "alice"),
            (ClientTransport::Udp, "203.0.113.13:5000", SERVER_V4, "dave"),
            (ClientTransport::Udp, "5.5.5.14:5000", SERVER_V4, "frank"),
            (ClientTransport::Tcp, "5.5.5.15:5000", SERVER_V4, "grace"),
        ];
        let clients = clients.into_iter().enumerate().map(|(index, spec)| client(index, spec)).collect();
        let mut run = Self {
            shells,
            users,
            clients,
            peers: peers(),
            seen: Seen::default(),
            members: BTreeMap::new(),
            now,
            next_id: 0,
        };
        run.renew_nonces();
        for client in (0_u8..9).filter(|client| setup.allocated >> client & 1 != 0) {
            let tcp = !run.clients[usize::from(client)].leg.five_tuple.transport.is_datagram();
            run.say(client, &Recipe::right(Ask::Allocate { tcp, with_ticket: setup.mobility }));
            run.answer_all();
        }
        run
    }

    /// Every client asks without credentials, as clients begin.
    fn renew_nonces(&mut self) {
        for index in 0..self.clients.len() {
            let id = self.transaction();
            let bytes = MessageBuilder::new(Class::Request, Method::REFRESH, id).finish();
            self.feed(index, &bytes);
        }
    }

    fn transaction(&mut self) -> TransactionId {
        self.next_id += 1;
        let mut id = [0; 12];
        id[8..].copy_from_slice(&self.next_id.to_be_bytes());
        TransactionId(id)
    }

    fn shell_of(&mut self, client: usize) -> &mut Shell {
        &mut self.shells[self.clients[client].shard]
    }

    fn client(&self, which: u8) -> usize {
        usize::from(which) % self.clients.len()
    }

    fn peer(&self, which: u8) -> SocketAddr {
        self.peers[usize::from(which) % self.peers.len()]
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Good { client, ask, trouble } => {
                self.say(*client, &Recipe::right(ask.clone()));
                self.answer_some(*trouble);
            }
            Step::Data(data) => self.data(*data),
            Step::Wait { wait, timers } => self.wait(*wait, *timers),
            Step::Odd(odd) => self.odd(odd),
        }
        self.collect();
    }

    fn data(&mut self, data: Data) {
        match data {
            Data::FromClient { client, channel, len } => self.channel_data(client, channel, len, 0, 1),
            Data::Cut { client, channel, len } => self.channel_data(client, channel, len, 1, 1),
            Data::Burst { client, channel, len, count } => self.channel_data(client, channel, len, 0, count.max(1)),
            Data::FromPeer { shard, relay, peer, len, count } => {
                let (relay, peer) = (RelayId(u32::from(relay % 16)), self.peer(peer));
                let shell = &mut self.shells[usize::from(shard)];
                // An open socket only gives datagrams of its own family.
                if shell.books.sockets.get(&relay).is_none_or(|s| s.address.is_ipv4() == peer.is_ipv4()) {
                    shell.peer_datagram(self.now, relay, peer, len, u16::from(count).max(1));
                }
            }
        }
    }

    fn odd(&mut self, odd: &Odd) {
        let now = self.now;
        match *odd {
            Odd::Message { client, ref recipe } => self.say(client, recipe),
            Odd::Exchange { client, ref recipe } => {
                self.say(client, recipe);
                self.answer_all();
            }
            Odd::Again { client } => {
                let client = self.client(client);
                let last = self.clients[client].last.clone();
                self.feed(client, &last);
            }
            Odd::Bytes { client, ref bytes } => self.feed(self.client(client), bytes),
            Odd::Reconfigure(setup) => {
                for shell in &mut self.shells {
                    shell.reconfigure(now, config(setup));
                }
            }
            Odd::ClientClosed { client } => {
                let leg = self.clients[self.client(client)].leg;
                for shell in &mut self.shells {
                    shell.client_closed(now, leg);
                }
            }
            Odd::Answer { shard, which, answer } => {
                let answer = answer.map_or_else(Answer::Refusal, |()| Answer::Right);
                self.shells[usize::from(shard)].answer(now, usize::from(which), answer);
            }
            Odd::Outside { shard, what } => self.outside(usize::from(shard), what),
            Odd::Terminate { shard, which } => self.shells[usize::from(shard)].terminate(now, usize::from(which)),
            Odd::TerminateUser { shard, user } => {
                let name = Arc::clone(&self.users.nth(usize::from(user)).name);
                self.shells[usize::from(shard)].terminate_user(now, &name);
            }
        }
    }

    fn outside(&mut self, shard: usize, what: Outside) {
        let now = self.now;
        let relay = |number: u8| RelayId(u32::from(number % 16));
        match what {
            Outside::Icmp { relay: number, peer, icmp_type, error_data } => {
                let error = IcmpError { icmp_type, icmp_code: 4, error_data };
                let peer = self.peer(peer);
                self.shells[shard].icmp(now, relay(number), peer, error);
            }
            Outside::RelayFailed { relay: number } => self.shells[shard].relay_failed(now, relay(number)),
            Outside::PeerAccepted { relay: number, peer } => {
                let peer = self.peer(peer);
                let (relay, shell) = (relay(number), &mut self.shells[shard]);
                if shell.books.sockets.get(&relay).is_some_and(|s| s.transport == RelayTransport::Tcp) {
                    shell.peer_accepted(now, relay, peer);
                }
            }
            Outside::PeerConnected { which, connected } => {
                if let Some(connection) = self.connection(shard, which) {
                    self.shells[shard].peer_connected(now, connection, outcome(connected));
                }
            }
            Outside::Unknown { connection, connected } => {
                self.shells[shard].peer_connected(now, ConnectionId(connection), outcome(connected));
            }
            Outside::PeerClosed { which } => {
                if let Some(connection) = self.connection(shard, which) {
                    self.shells[shard].peer_connection_closed(now, connection);
                }
            }
            Outside::Stream { which, to_client, bytes } => {
                let direction = if to_client { StreamDirection::ToClient } else { StreamDirection::FromClient };
                if let Some(connection) = self.connection(shard, which) {
                    self.shells[shard].stream_bytes(now, connection, direction, u64::from(bytes));
                }
            }
        }
    }

    fn connection(&self, shard: usize, which: u8) -> Option<ConnectionId> {
        let connections = &self.shells[shard].books.connections;
        let index = usize::from(which).checked_rem(connections.len())?;
        connections.keys().nth(index).copied()
    }

    fn say(&mut self, client: u8, recipe: &Recipe) {
        let client = self.client(client);
        let id = self.transaction();
        let Client { user, nonce, .. } = &self.clients[client];
        let context = Context { users: &self.users, user, nonce, peers: &self.peers, seen: &self.seen, id };
        let bytes = recipe.cook(&context);
        self.feed(client, &bytes);
        self.clients[client].last = bytes;
    }

    fn feed(&mut self, client: usize, bytes: &[u8]) {
        let (now, leg) = (self.now, self.clients[client].leg);
        // A connection that carries a peer's bytes brings no messages.
        if !self.shells.iter().any(|shell| shell.books.is_raw(leg)) {
            self.shell_of(client).client_message(now, leg, bytes);
        }
        self.collect();
    }

    fn channel_data(&mut self, client: u8, channel: u8, len: u8, cut: u8, count: u8) {
        let client = self.client(client);
        let mut bytes = channel_data::header(channel_number(channel), u16::from(len)).to_vec();
        bytes.extend(vec![0x2c; usize::from(len.saturating_sub(cut))]);
        let (now, leg) = (self.now, self.clients[client].leg);
        if self.shells.iter().any(|shell| shell.books.is_raw(leg)) {
            return;
        }
        if count > 1 {
            self.shell_of(client).channel_data_burst(now, leg, &bytes, u16::from(count));
        } else {
            self.shell_of(client).client_message(now, leg, &bytes);
        }
    }

    fn wait(&mut self, wait: Wait, timers: bool) {
        let next = self.shells.iter().filter_map(|shell| shell.server().poll_timeout()).map(|(at, _)| at).min();
        let to_timer = next.map_or(Duration::ZERO, |at| at.saturating_duration_since(self.now.mono));
        let by = match wait {
            Wait::Millis(millis) => Duration::from_millis(u64::from(millis)),
            Wait::Secs(secs) => Duration::from_secs(u64::from(secs)),
            Wait::ToTimer => to_timer,
            Wait::NearTimer => to_timer.saturating_sub(Duration::from_millis(1)),
        };
        self.advance(by);
        if timers {
            self.run_timers();
        }
    }

    fn advance(&mut self, by: Duration) {
        self.now = Now { mono: self.now.mono + by, unix: self.now.unix.saturating_add(by) };
    }

    fn run_timers(&mut self) {
        for shell in &mut self.shells {
            shell.timeout(self.now);
        }
        self.collect();
    }

    fn answer_some(&mut self, trouble: u8) {
        let (right, refusal) = match trouble {
            0..200 => return self.answer_all(),
            200..228 => (trouble % 4, None),
            228.. => (trouble % 4, Some(Answer::Refusal(trouble))),
        };
        for shell in &mut self.shells {
            for _ in 0..right {
                shell.answer(self.now, 0, Answer::Right);
            }
            if let Some(refusal) = refusal {
                shell.answer(self.now, 0, refusal);
                shell.answer_all(self.now);
            }
        }
        self.collect();
    }

    fn answer_all(&mut self) {
        for shell in &mut self.shells {
            shell.answer_all(self.now);
        }
        self.collect();
    }

    /// Brings what the servers said to whom it is for.
    fn collect(&mut self) {
        self.spread_scope_news();
        for index in 0..self.shells.len() {
            while let Some(handed) = self.shells[index].take_handed_over() {
                let to = handed.to.as_usize();
                assert_ne!(to, index, "nothing is handed over to oneself");
                let Some(shell) = self.shells.get_mut(to) else { continue };
                shell.client_message(self.now, handed.client, &handed.message);
                let moved = shell.server().has_allocation(&handed.client.five_tuple);
                let client = self.clients.iter_mut().find(|client| client.leg == handed.client);
                if let (HandOverReason::Mobility, true, Some(client)) = (handed.reason, moved, client) {
                    client.shard = to;
                }
            }
        }
        for index in 0..self.shells.len() {
            assert!(self.shells[index].take_handed_over().is_none(), "what was handed over stays there");
            while let Some(transmit) = self.shells[index].take_transmit() {
                let message = Message::parse(&transmit.bytes).expect("the shell has read it");
                self.seen.learn(&message);
                let client = self.clients.iter_mut().find(|client| client.leg == transmit.client);
                let client = client.expect("the server answers those who asked");
                if let Ok(Some(Nonce(nonce))) = message.attribute() {
                    nonce.clone_into(&mut client.nonce);
                }
            }
        }
    }

    /// Tells all shards who has joined a room or left it: the first and the last time an address is named.
    fn spread_scope_news(&mut self) {
        for index in 0..self.shells.len() {
            while let Some(news) = self.shells[index].take_scope_news() {
                let ip = news.address.ip();
                let port = if news.kind == ScopeKind::Relayed { news.address.port() } else { 0 };
                let count = self.members.entry((news.scope, news.kind, ip, port)).or_default();
                let before = *count;
                *count = if news.present { before + 1 } else { before.checked_sub(1).expect("who leaves was there") };
                if (before == 0) != (*count == 0) {
                    for shell in &mut self.shells {
                        shell.scope_changed(self.now, news);
                    }
                }
            }
        }
    }

    /// Lets everything expire; nothing may be left.
    fn settle(mut self) -> u64 {
        self.answer_all();
        // Connections under way end as the network pleases: nobody answers.
        self.advance(Duration::from_secs(1));
        self.run_timers();
        let end = self.now.mono + LONG_ENOUGH;
        while let Some(at) =
            self.shells.iter().filter_map(|shell| shell.server().poll_timeout()).map(|(at, _)| at).min()
        {
            assert!(at < end, "a timer is later than any deadline");
            self.advance(at.saturating_duration_since(self.now.mono));
            self.run_timers();
            self.answer_all();
        }
        for shell in &self.shells {
            shell.assert_balanced();
        }
        assert!(self.members.values().all(|count| *count == 0), "rooms are not empty: {:?}", self.members);
        self.shells.iter().fold(0, |sum, shell| sum ^ shell.transcript().rotate_left(1))
    }
}

const fn outcome(connected: bool) -> ConnectOutcome {
    if connected { ConnectOutcome::Connected } else { ConnectOutcome::Failed }
}
