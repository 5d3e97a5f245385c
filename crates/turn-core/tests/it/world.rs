//! One server, some clients, a clock that is moved by hand, and a shell that says yes.

use std::{
    collections::VecDeque,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use causeway_stun_codec::{
    AttributeType, Class, Message, MessageBuilder, Method, TransactionId,
    attributes::{
        ChannelNumber, Data, ErrorCode, Nonce, PasswordAlgorithm, Realm, RequestedTransport, Username, XorPeerAddress,
        XorRelayedAddress,
    },
    channel_data, key,
};
use causeway_turn_core::{
    Admission, ClientLeg, ConnectOutcome, ConnectionId, DropReason, Forward, Grant, GrantLimits, IntegrityKeys,
    KeyAnswer, KeyQuery, LegId, Limits, NonceKeys, OnExpiry, OpenRelay, OpenRelayError, Output, PortChoice, QueryId,
    RelayFamilies, RelayId, RelayOpened, Transmit, TurnConfig, TurnServer, UserRef,
    peer_policy::{PeerPolicy, PeerPolicyConfig},
};
use causeway_types::{
    AddressFamily, AuthRefusal, ClientTransport, CredentialKind, FiveTuple, Now, RelayEvent, Secret, ShardIndex,
    UnixTime,
};

pub(crate) const REALM: &str = "example.org";
pub(crate) const SERVER: &str = "198.51.100.7:3478";
pub(crate) const START: UnixTime = UnixTime::from_secs(1_790_000_000);

pub(crate) fn addr(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

pub(crate) const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// A user the server knows.
#[derive(Clone, Debug)]
pub(crate) struct User {
    pub(crate) name: &'static str,
    pub(crate) passwords: Vec<&'static str>,
    pub(crate) expires: Option<UnixTime>,
    pub(crate) on_expiry: OnExpiry,
    pub(crate) limits: GrantLimits,
}

pub(crate) fn config() -> TurnConfig {
    TurnConfig {
        realm: REALM.into(),
        software: None,
        nonce_keys: NonceKeys { signing: Secret::new([7; 32]), accepted: Vec::new() },
        nonce_lifetime: secs(7200),
        username_anonymity: true,
        lifetime_default: secs(600),
        lifetime_max: secs(3600),
        limits: Limits {
            permissions_per_allocation_max: 4,
            channels_per_allocation_max: 3,
            connections_per_allocation_max: 3,
            pending_requests_max: 100,
            bandwidth_per_allocation: None,
            unauthenticated_replies_per_sec: 100,
            unauthenticated_replies_burst: 1000,
        },
        peer_policy: Arc::new(PeerPolicy::new(PeerPolicyConfig {
            own_relays: vec![(addr(SERVER).ip(), 49152..=65535)],
            own_services: vec![addr(SERVER)],
            ..PeerPolicyConfig::default()
        })),
        relay_families: RelayFamilies { v4: true, v6: true },
        tcp_relaying: true,
        mobility: true,
        nat_discovery: Vec::new(),
        alternate_servers: Vec::new(),
        draining: false,
    }
}

/// What the core wants to know.
#[derive(Debug)]
enum Question {
    Key(KeyQuery),
    Admission(QueryId),
    Relay(OpenRelay),
}

/// The server and everything it said.
pub(crate) struct World {
    pub(crate) server: TurnServer,
    pub(crate) now: Now,
    pub(crate) users: Vec<User>,
    pub(crate) admission: Admission,
    /// Answers to give instead of a socket, first one first.
    pub(crate) relay_errors: Vec<Option<OpenRelayError>>,
    /// Control messages for clients.
    pub(crate) sent: Vec<Transmit>,
    pub(crate) events: Vec<RelayEvent>,
    pub(crate) opened: Vec<OpenRelay>,
    /// What the shell was told besides.
    pub(crate) others: Vec<Output>,
    /// Questions are kept instead of answered.
    pub(crate) late: bool,
    questions: VecDeque<Question>,
    next_relay: u32,
    /// The credentials' own quotas that admissions were asked with.
    pub(crate) asked_quota: Vec<Option<u32>>,
    /// How often the shell said yes to an admission.
    pub(crate) admissions_granted: usize,
    next_id: u32,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(config())
    }

    #[expect(clippy::disallowed_methods, reason = "an `Instant` to start from has no other source")]
    pub(crate) fn with(config: TurnConfig) -> Self {
        let now = Now { mono: Instant::now(), unix: START };
        let user = |name, password| User {
            name,
            passwords: vec![password],
            expires: None,
            on_expiry: OnExpiry::GateNew,
            limits: GrantLimits::default(),
        };
        Self {
            server: TurnServer::new(Arc::new(config), ShardIndex(0), [1; 32], now),
            now,
            users: vec![user("alice", "wonder"), user("bob", "builder")],
            admission: Admission::Granted,
            relay_errors: Vec::new(),
            sent: Vec::new(),
            events: Vec::new(),
            opened: Vec::new(),
            others: Vec::new(),
            late: false,
            questions: VecDeque::new(),
            next_relay: 0,
            asked_quota: Vec::new(),
            admissions_granted: 0,
            next_id: 0,
        }
    }

    pub(crate) fn advance(&mut self, by: Duration) {
        self.advance_without_timers(by);
        self.server.handle_timeout(self.now);
        self.drain();
    }

    /// Time passes and the shell is late.
    pub(crate) fn advance_without_timers(&mut self, by: Duration) {
        self.now = Now { mono: self.now.mono + by, unix: self.now.unix.saturating_add(by) };
    }

    pub(crate) fn drops(&self, reason: DropReason) -> u64 {
        self.server.drops().count(reason)
    }

    /// Hands in bytes and does what the core asks for; the forwarding decision is returned.
    pub(crate) fn feed(&mut self, from: ClientLeg, bytes: &[u8]) -> Forward {
        let forward = self.server.handle_client_message(self.now, from, bytes);
        self.drain();
        forward
    }

    pub(crate) fn drain(&mut self) {
        while let Some(output) = self.server.poll_output() {
            self.take(output);
        }
    }

    /// Answers the kept questions, oldest first, as a slow shell would.
    pub(crate) fn answer_late_questions(&mut self) {
        while let Some(question) = self.questions.pop_front() {
            self.reply_to(question);
            self.drain();
        }
        self.late = false;
    }

    pub(crate) fn relays_opened(&self) -> usize {
        usize::try_from(self.next_relay).expect("few relays")
    }

    pub(crate) fn questions_waiting(&self) -> usize {
        self.questions.len()
    }

    /// Answers the oldest kept question; false when there is none.
    pub(crate) fn answer_next_question(&mut self) -> bool {
        let Some(question) = self.questions.pop_front() else { return false };
        self.reply_to(question);
        self.drain();
        true
    }

    fn take(&mut self, output: Output) {
        match output {
            Output::Transmit(transmit) => self.sent.push(transmit),
            Output::NeedKey(query) => self.ask(Question::Key(query)),
            Output::NeedAdmission { id, allocations_max, .. } => {
                self.asked_quota.push(allocations_max);
                self.ask(Question::Admission(id));
            }
            Output::OpenRelay(request) => {
                self.opened.push(request);
                self.ask(Question::Relay(request));
            }
            Output::Event(event) => self.events.push(event),
            other @ (Output::ReleaseAdmission { .. }
            | Output::CloseRelay { .. }
            | Output::DropReservation { .. }
            | Output::ConnectPeer { .. }
            | Output::BindConnection { .. }
            | Output::ClosePeerConnection { .. }
            | Output::HandOver { .. }
            | Output::ScopeMember { .. }
            | Output::Challenged { .. }
            | Output::CloseClient { .. }) => self.others.push(other),
        }
    }

    /// The contract: drain first, then the next input.
    fn ask(&mut self, question: Question) {
        self.questions.push_back(question);
        if !self.late {
            self.drain();
            if let Some(question) = self.questions.pop_front() {
                self.reply_to(question);
                self.drain();
            }
        }
    }

    fn reply_to(&mut self, question: Question) {
        match question {
            Question::Key(query) => {
                let answer = self.answer(&query);
                self.server.handle_key(self.now, query.id, answer);
            }
            Question::Admission(id) => {
                self.admissions_granted += usize::from(self.admission == Admission::Granted);
                self.server.handle_admission(self.now, id, self.admission);
            }
            Question::Relay(request) => {
                let result = self.open(&request);
                self.server.handle_relay_opened(self.now, request.request, result);
            }
        }
    }

    fn answer(&self, query: &KeyQuery) -> KeyAnswer {
        let found = self.users.iter().find(|user| match &query.user {
            UserRef::Name(name) => user.name == &**name,
            UserRef::Hash(hash) => key::user_hash(user.name, REALM) == *hash,
        });
        let Some(user) = found else { return KeyAnswer::Refused(AuthRefusal::UnknownUser) };
        let grant = |password: &&str| Grant {
            username: user.name.into(),
            kind: CredentialKind::Static,
            keys: IntegrityKeys {
                md5: Secret::new(key::md5_key(user.name, REALM, password)),
                sha256: Secret::new(key::sha256_key(user.name, REALM, password)),
            },
            expires: user.expires,
            on_expiry: user.on_expiry,
            limits: user.limits,
        };
        KeyAnswer::Known(user.passwords.iter().map(grant).collect())
    }

    fn open(&mut self, request: &OpenRelay) -> Result<RelayOpened, OpenRelayError> {
        if !self.relay_errors.is_empty()
            && let Some(error) = self.relay_errors.remove(0)
        {
            return Err(error);
        }
        let id = self.next_relay;
        self.next_relay += 1;
        let port = 50_000 + 2 * u16::try_from(id).expect("few relays") + u16::from(request.ports == PortChoice::Any);
        let ip: IpAddr = match request.family {
            AddressFamily::V4 => addr(SERVER).ip(),
            AddressFamily::V6 => "2606:4700:ffff::7".parse().expect("an address"),
        };
        Ok(RelayOpened { relay: RelayId(id), address: SocketAddr::new(ip, port) })
    }

    /// A client at an address of its own.
    pub(crate) fn client(&self, name: &'static str, transport: ClientTransport, at: &str) -> Client {
        let password = if name == "bob" { "builder" } else { "wonder" };
        let five_tuple = FiveTuple { transport, client: addr(at), server: addr(SERVER) };
        Client { leg: ClientLeg { five_tuple, leg: LegId(0) }, name, password, nonce: None, algorithm: None }
    }

    pub(crate) fn alice(&self) -> Client {
        self.client("alice", ClientTransport::Udp, "203.0.113.10:5000")
    }

    /// Alice over TCP.
    pub(crate) fn alice_tcp(&self) -> Client {
        self.client("alice", ClientTransport::Tcp, "203.0.113.10:5000")
    }

    pub(crate) fn next_id(&mut self) -> TransactionId {
        self.next_id += 1;
        let mut id = [0; 12];
        id[8..].copy_from_slice(&self.next_id.to_be_bytes());
        TransactionId(id)
    }

    /// Alice with a UDP allocation.
    pub(crate) fn allocated(&mut self) -> Client {
        let mut alice = self.alice();
        alice.allocate(self, |b| b).granted();
        alice
    }

    /// Alice with a TCP allocation.
    pub(crate) fn allocated_tcp(&mut self) -> Client {
        let mut alice = self.alice_tcp();
        alice.request(self, Method::ALLOCATE, |b| b.attribute(&RequestedTransport::TCP)).granted();
        alice
    }

    /// A datagram from a peer to the relay of this number.
    pub(crate) fn peer_says(&mut self, relay: u32, peer: &str, len: u16) -> Forward {
        let forward = self.server.handle_peer_datagram(self.now, RelayId(relay), addr(peer), len, 1);
        self.drain();
        forward
    }

    /// The connection the core last asked for.
    pub(crate) fn connecting(&self) -> Option<ConnectionId> {
        self.others.iter().rev().find_map(|output| {
            let Output::ConnectPeer { connection, .. } = output else { return None };
            Some(*connection)
        })
    }

    pub(crate) fn connected(&mut self, connection: ConnectionId, outcome: ConnectOutcome) {
        self.server.handle_peer_connected(self.now, connection, outcome);
        self.drain();
    }

    /// The last message to a client.
    pub(crate) fn last_reply(&mut self) -> Reply {
        Reply(self.sent.pop().expect("a message for a client").bytes)
    }
}

/// A TURN client that does what it is told.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) leg: ClientLeg,
    pub(crate) name: &'static str,
    pub(crate) password: &'static str,
    pub(crate) nonce: Option<String>,
    /// Sends PASSWORD-ALGORITHMS, this choice, and MESSAGE-INTEGRITY-SHA256.
    pub(crate) algorithm: Option<PasswordAlgorithm>,
}

impl Client {
    pub(crate) fn key(&self) -> Vec<u8> {
        match self.algorithm {
            Some(PasswordAlgorithm::Sha256) => key::sha256_key(self.name, REALM, self.password).to_vec(),
            _ => key::md5_key(self.name, REALM, self.password).to_vec(),
        }
    }

    /// Gets a nonce the way clients do: by a request without credentials.
    pub(crate) fn challenge(&mut self, world: &mut World) -> Reply {
        let bytes = MessageBuilder::new(Class::Request, Method::ALLOCATE, world.next_id())
            .attribute(&RequestedTransport::UDP)
            .finish();
        let reply = self.send(world, &bytes);
        self.nonce = reply.message().attribute::<Nonce<'_>>().expect("well formed").map(|n| n.0.to_owned());
        reply
    }

    /// A signed request as bytes; gets a nonce first when there is none.
    pub(crate) fn signed(
        &mut self,
        world: &mut World,
        method: Method,
        more: impl FnOnce(MessageBuilder) -> MessageBuilder,
    ) -> Vec<u8> {
        if self.nonce.is_none() {
            self.challenge(world);
        }
        let nonce = self.nonce.clone().expect("a nonce");
        let builder = more(MessageBuilder::new(Class::Request, method, world.next_id()))
            .attribute(&Username(self.name))
            .attribute(&Realm(REALM))
            .attribute(&Nonce(&nonce));
        match self.algorithm {
            Some(algorithm) => builder
                .attribute(&causeway_stun_codec::attributes::PasswordAlgorithms::OFFERED)
                .attribute(&algorithm)
                .integrity_sha256(&self.key())
                .finish(),
            None => builder.integrity_sha1(&self.key()).finish(),
        }
    }

    pub(crate) fn request(
        &mut self,
        world: &mut World,
        method: Method,
        more: impl FnOnce(MessageBuilder) -> MessageBuilder,
    ) -> Reply {
        let bytes = self.signed(world, method, more);
        self.send(world, &bytes)
    }

    /// Sends bytes; the answer must come to this client.
    pub(crate) fn send(&self, world: &mut World, bytes: &[u8]) -> Reply {
        assert_eq!(world.feed(self.leg, bytes), Forward::Nothing);
        let Transmit { client, bytes, .. } = world.sent.pop().expect("an answer");
        assert_eq!(client, self.leg, "the answer goes to the one who asked");
        Reply(bytes)
    }

    /// Sends bytes that get no answer.
    pub(crate) fn send_in_vain(&self, world: &mut World, bytes: &[u8]) {
        let before = world.sent.len();
        assert_eq!(world.feed(self.leg, bytes), Forward::Nothing);
        assert_eq!(world.sent.len(), before, "there is no answer");
    }

    pub(crate) fn allocate(&mut self, world: &mut World, more: impl FnOnce(MessageBuilder) -> MessageBuilder) -> Reply {
        self.request(world, Method::ALLOCATE, |b| more(b.attribute(&RequestedTransport::UDP)))
    }

    pub(crate) fn permit(&mut self, world: &mut World, peers: &[&str]) -> Reply {
        self.request(world, Method::CREATE_PERMISSION, |b| {
            peers.iter().fold(b, |b, peer| b.attribute(&XorPeerAddress(addr(peer))))
        })
    }

    pub(crate) fn bind(&mut self, world: &mut World, number: u16, peer: &str) -> Reply {
        self.request(world, Method::CHANNEL_BIND, |b| {
            b.attribute(&ChannelNumber(number)).attribute(&XorPeerAddress(addr(peer)))
        })
    }

    pub(crate) fn connect(&mut self, world: &mut World, peer: &str) -> Vec<u8> {
        let bytes = self.signed(world, Method::CONNECT, |b| b.attribute(&XorPeerAddress(addr(peer))));
        assert_eq!(world.feed(self.leg, &bytes), Forward::Nothing);
        bytes
    }

    /// A Send indication.
    pub(crate) fn say(&self, world: &mut World, peer: &str, data: &[u8]) -> Forward {
        let id = world.next_id();
        let bytes = MessageBuilder::new(Class::Indication, Method::SEND, id)
            .attribute(&XorPeerAddress(addr(peer)))
            .attribute(&Data(data))
            .finish();
        world.feed(self.leg, &bytes)
    }

    /// ChannelData.
    pub(crate) fn say_on(&self, world: &mut World, number: u16, data: &[u8]) -> Forward {
        let len = u16::try_from(data.len()).expect("short");
        world.feed(self.leg, &[&channel_data::header(number, len), data].concat())
    }
}

/// What a client was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reply(pub(crate) Vec<u8>);

impl Reply {
    pub(crate) fn message(&self) -> Message<'_> {
        Message::parse(&self.0).expect("a message")
    }

    pub(crate) fn code(&self) -> Option<u16> {
        self.message().attribute::<ErrorCode<'_>>().expect("well formed").map(|e| e.code)
    }

    #[track_caller]
    pub(crate) fn granted(self) -> Self {
        assert_eq!(self.code(), None);
        assert_eq!(self.message().class(), Class::Success);
        self
    }

    #[track_caller]
    pub(crate) fn refused(self, code: u16) -> Self {
        assert_eq!(self.code(), Some(code));
        assert_eq!(self.message().class(), Class::Error);
        self
    }

    pub(crate) fn has(&self, typ: AttributeType) -> bool {
        self.message().has(typ)
    }

    pub(crate) fn relays(&self) -> Vec<SocketAddr> {
        let message = self.message();
        message
            .attributes()
            .filter(|raw| raw.typ == AttributeType::XOR_RELAYED_ADDRESS)
            .map(|raw| {
                let decoded: Result<XorRelayedAddress, _> =
                    causeway_stun_codec::Attribute::decode(raw.value, message.cookie_and_id());
                decoded.expect("well formed").0
            })
            .collect()
    }
}

/// Whether a decision sends something to this peer.
pub(crate) fn goes_to(forward: Forward, peer: &str) -> bool {
    matches!(forward, Forward::ToPeer { peer: to, .. } if to == addr(peer))
}
