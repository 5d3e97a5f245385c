//! One [`TurnServer`] and the shell's half of its contract, watched: whatever the server says is held against the books
//! (what it took) and the model (what its clients may do).

use std::{
    collections::VecDeque,
    hash::{DefaultHasher, Hasher},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use causeway_stun_codec::{
    Class, Fingerprint, Message, MessageBuilder, Method,
    attributes::{Data, ReservationToken as TokenAttribute, XorPeerAddress},
    channel_data,
};
use causeway_turn_core::{
    Admission, ClientLeg, ConnectOutcome, ConnectionId, Forward, HandOverReason, IcmpError, KeyAnswer, KeyQuery,
    OnExpiry, OpenRelay, OpenRelayError, Output, QueryId, RelayId, ReservationToken, ScopeKind, StreamDirection,
    Transmit, TurnConfig, TurnServer, peer_policy::Verdict,
};
use causeway_types::{
    AllocationEndReason, AuthRefusal, FiveTuple, Now, RelayEvent, RelayTransport, ScopeId, ShardIndex,
};

use crate::{
    books::{Books, Connection},
    model::{Held, Model},
    users::{User, Users},
};

/// Something the server wants to know.
#[derive(Clone, Debug)]
enum Question {
    Key(KeyQuery),
    Admission(QueryId, Arc<str>),
    Relay(OpenRelay),
}

/// How a question is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// As the users and the books have it.
    Right,
    /// With a refusal; which one is up to the number.
    Refusal(u8),
}

/// A message that continues on another shard.
#[derive(Clone, Debug)]
pub struct HandedOver {
    /// From whom.
    pub client: ClientLeg,
    /// Where to.
    pub to: ShardIndex,
    /// The message.
    pub message: Vec<u8>,
    /// Why.
    pub reason: HandOverReason,
}

/// An address has joined a room, or left it.
#[derive(Clone, Copy, Debug)]
pub struct ScopeNews {
    /// Which room.
    pub scope: ScopeId,
    /// Whose address.
    pub address: SocketAddr,
    /// What kind of address it is.
    pub kind: ScopeKind,
    /// Whether it joined.
    pub present: bool,
}

/// A watched server. Every method ends with all outputs taken.
#[derive(Debug)]
pub struct Shell {
    server: TurnServer,
    config: Arc<TurnConfig>,
    users: Users,
    pub(crate) books: Books,
    pub(crate) model: Model,
    questions: VecDeque<Question>,
    outbox: VecDeque<Transmit>,
    handed_over: VecDeque<HandedOver>,
    scope_news: VecDeque<ScopeNews>,
    /// The request that is being handled.
    input: Option<(ClientLeg, Vec<u8>)>,
    transcript: DefaultHasher,
}

impl Shell {
    /// A server without allocations.
    #[must_use]
    pub fn new(config: Arc<TurnConfig>, users: Users, shard: ShardIndex, seed: [u8; 32], now: Now) -> Self {
        Self {
            server: TurnServer::new(Arc::clone(&config), shard, seed, now),
            config,
            users,
            books: Books::default(),
            model: Model::default(),
            questions: VecDeque::new(),
            outbox: VecDeque::new(),
            handed_over: VecDeque::new(),
            scope_news: VecDeque::new(),
            input: None,
            transcript: DefaultHasher::new(),
        }
    }

    /// Feeds one message of a client; what is to be forwarded has been held against the model.
    ///
    /// # Panics
    /// The server did something it must not.
    pub fn client_message(&mut self, now: Now, client: ClientLeg, bytes: &[u8]) -> Forward {
        self.input = Some((client, bytes.to_vec()));
        let forward = self.server.handle_client_message(now, client, bytes);
        self.judge_to_peer(now, client, bytes, forward);
        self.drain(now);
        self.input = None;
        forward
    }

    /// Feeds `count` ChannelData messages of equal length at once.
    ///
    /// # Panics
    /// The server did something it must not.
    pub fn channel_data_burst(&mut self, now: Now, client: ClientLeg, first: &[u8], count: u16) -> Forward {
        let forward = self.server.handle_channel_data_burst(now, client, first, count);
        self.judge_to_peer(now, client, first, forward);
        self.drain(now);
        forward
    }

    /// Feeds datagrams of a peer.
    ///
    /// # Panics
    /// The server did something it must not.
    pub fn peer_datagram(&mut self, now: Now, relay: RelayId, peer: SocketAddr, len: u16, count: u16) -> Forward {
        let forward = self.server.handle_peer_datagram(now, relay, peer, len, count);
        self.judge_to_client(now, relay, peer, len, forward);
        self.drain(now);
        forward
    }

    /// Feeds an ICMP error.
    pub fn icmp(&mut self, now: Now, relay: RelayId, peer: SocketAddr, error: IcmpError) {
        self.server.handle_icmp(now, relay, peer, error);
        self.drain(now);
    }

    /// Answers a waiting question, counted round; false when there is none.
    pub fn answer(&mut self, now: Now, which: usize, answer: Answer) -> bool {
        let Some(index) = which.checked_rem(self.questions.len()) else { return false };
        let Some(question) = self.questions.remove(index) else { return false };
        match question {
            Question::Key(query) => {
                let known = match answer {
                    Answer::Right => self.users.answer(&query.user),
                    Answer::Refusal(_) => KeyAnswer::Refused(AuthRefusal::Unavailable),
                };
                self.server.handle_key(now, query.id, known);
            }
            Question::Admission(id, username) => {
                let admission = match answer {
                    Answer::Right => self.books.admit(&username),
                    Answer::Refusal(n) if n % 2 == 0 => Admission::UserQuota,
                    Answer::Refusal(_) => Admission::TotalQuota,
                };
                self.server.handle_admission(now, id, admission);
            }
            Question::Relay(request) => {
                let errors = [OpenRelayError::NoPort, OpenRelayError::NoFamily, OpenRelayError::System];
                let result = match answer {
                    Answer::Right => self.books.open(&request),
                    Answer::Refusal(n) => Err(errors[usize::from(n) % errors.len()]),
                };
                self.server.handle_relay_opened(now, request.request, result);
            }
        }
        self.drain(now);
        true
    }

    /// Questions that wait for an answer.
    #[must_use]
    pub fn question_count(&self) -> usize {
        self.questions.len()
    }

    /// Answers everything rightly, oldest first.
    pub fn answer_all(&mut self, now: Now) {
        while self.answer(now, 0, Answer::Right) {}
    }

    /// A relay socket failed.
    pub fn relay_failed(&mut self, now: Now, relay: RelayId) {
        self.server.handle_relay_failed(now, relay);
        self.drain(now);
    }

    /// A client's connection closed, and with it the peer connection it carried.
    pub fn client_closed(&mut self, now: Now, client: ClientLeg) {
        let bound = self.books.connections.iter().find(|(_, c)| **c == Connection::Bound(client)).map(|(id, _)| *id);
        if let Some(connection) = bound {
            self.peer_connection_closed(now, connection);
        }
        let id = self.model.of_client(client.five_tuple).map(|(id, _)| id);
        if let Some(held) = id.and_then(|id| self.model.held.get_mut(&id)) {
            held.detached |= held.has_ticket;
        }
        self.server.handle_client_closed(now, client);
        self.drain(now);
    }

    /// A peer connected to a relay; false when it is to be turned away.
    ///
    /// # Panics
    /// A peer without permission was let in.
    pub fn peer_accepted(&mut self, now: Now, relay: RelayId, peer: SocketAddr) -> bool {
        let accepted = self.server.handle_peer_accepted(now, relay, peer);
        if let Some(connection) = accepted {
            let held = self.model.of_relay(relay).expect("a peer is let in to an allocation");
            assert!(held.permits(peer.ip(), now.mono) && held.expires > now.mono, "{peer} has no permission");
            assert_eq!(self.books.connections.insert(connection, Connection::Waiting), None, "ids are not reused");
        }
        self.drain(now);
        accepted.is_some()
    }

    /// An attempt to connect to a peer ended.
    pub fn peer_connected(&mut self, now: Now, connection: ConnectionId, outcome: ConnectOutcome) {
        if let Some(state) = self.books.connections.get_mut(&connection)
            && *state == Connection::Connecting
        {
            match outcome {
                ConnectOutcome::Connected => *state = Connection::Waiting,
                ConnectOutcome::Failed => {
                    self.books.connections.remove(&connection);
                }
            }
        }
        self.server.handle_peer_connected(now, connection, outcome);
        self.drain(now);
    }

    /// A peer connection closed.
    pub fn peer_connection_closed(&mut self, now: Now, connection: ConnectionId) {
        self.books.connections.remove(&connection);
        self.server.handle_peer_connection_closed(now, connection);
        self.drain(now);
    }

    /// Bytes went through a bound connection.
    pub fn stream_bytes(&mut self, now: Now, connection: ConnectionId, direction: StreamDirection, bytes: u64) {
        if let Some(pause) = self.server.handle_stream_bytes(now, connection, direction, bytes) {
            assert!(pause > now.mono, "a pause ends after it began");
        }
        self.drain(now);
    }

    /// The configuration is replaced.
    pub fn reconfigure(&mut self, now: Now, config: Arc<TurnConfig>) {
        if self.config.peer_policy != config.peer_policy {
            self.model.withdraw(&config.peer_policy);
        }
        self.config = Arc::clone(&config);
        self.server.handle_config(now, config);
        self.drain(now);
    }

    /// A room has changed, here or on another shard.
    pub fn scope_changed(&mut self, now: Now, news: ScopeNews) {
        let ScopeNews { scope, address, kind, present } = news;
        self.model.member(scope, address, kind, present);
        self.server.handle_scope(now, scope, address, kind, present);
        self.drain(now);
    }

    /// An operator ends the allocations of a user.
    pub fn terminate_user(&mut self, now: Now, username: &str) {
        let expected = self.model.held.values().filter(|held| &*held.username == username).count();
        assert_eq!(usize::try_from(self.server.terminate_user(now, username)).expect("few"), expected);
        self.drain(now);
    }

    /// An operator ends one allocation, counted round.
    pub fn terminate(&mut self, now: Now, which: usize) {
        let ids: Vec<_> = self.model.held.keys().copied().collect();
        if let Some(index) = which.checked_rem(ids.len()) {
            assert!(self.server.terminate(now, ids[index]));
            self.drain(now);
        }
    }

    /// The server goes down.
    pub fn shutdown(&mut self, now: Now) {
        self.server.shutdown(now);
        self.drain(now);
        assert_eq!(self.server.allocation_count(), 0);
    }

    /// Runs the timers.
    ///
    /// # Panics
    /// Something that is due was left.
    pub fn timeout(&mut self, now: Now) {
        self.server.handle_timeout(now);
        self.drain(now);
        if let Some((due, kind)) = self.server.poll_timeout() {
            assert!(due > now.mono, "{kind:?} is due and was left");
        }
        for held in self.model.held.values() {
            assert!(held.expires > now.mono, "the allocation of {} outlives its lifetime", held.client);
        }
    }

    /// The server.
    #[must_use]
    pub const fn server(&self) -> &TurnServer {
        &self.server
    }

    /// A number drawn from everything the server said.
    #[must_use]
    pub fn transcript(&self) -> u64 {
        self.transcript.finish()
    }

    /// The next control message for a client.
    pub fn take_transmit(&mut self) -> Option<Transmit> {
        self.outbox.pop_front()
    }

    /// The next change of a room, for all shards.
    pub fn take_scope_news(&mut self) -> Option<ScopeNews> {
        self.scope_news.pop_front()
    }

    /// The next message for another shard.
    pub fn take_handed_over(&mut self) -> Option<HandedOver> {
        self.handed_over.pop_front()
    }

    /// Whether nothing is held any more, by the server or by its shell.
    ///
    /// # Panics
    /// Something was not given back.
    pub fn assert_balanced(&self) {
        assert_eq!(self.server.allocation_count(), 0);
        assert_eq!(self.server.poll_timeout(), None, "a timer is left");
        assert!(self.questions.is_empty());
        self.books.assert_balanced();
    }

    /// Takes all outputs and holds them against books and model.
    fn drain(&mut self, now: Now) {
        while let Some(output) = self.server.poll_output() {
            self.take(now, output);
        }
        self.check();
    }

    fn take(&mut self, now: Now, output: Output) {
        self.transcript.write(format!("{output:?}").as_bytes());
        match output {
            Output::Transmit(transmit) => self.transmitted(now, transmit),
            Output::NeedKey(query) => self.questions.push_back(Question::Key(query)),
            Output::NeedAdmission { id, username, .. } => self.questions.push_back(Question::Admission(id, username)),
            Output::ReleaseAdmission { username } => self.books.release(&username),
            Output::OpenRelay(request) => self.questions.push_back(Question::Relay(request)),
            Output::CloseRelay { relay } => {
                self.books.close(relay);
                self.model.relay_closed(relay);
            }
            Output::DropReservation { token } => self.books.drop_reservation(token),
            Output::ConnectPeer { connection, relay, peer } => {
                let held = self.model.of_relay(relay).expect("a connection leaves from an allocation");
                assert!(held.transport == RelayTransport::Tcp && held.expires > now.mono);
                assert!(!matches!(self.config.peer_policy.check_address(peer), Verdict::Refused(_)));
                let known = self.books.connections.insert(connection, Connection::Connecting);
                assert_eq!(known, None, "ids are not reused");
            }
            Output::BindConnection { connection, client } => {
                let known = self.books.connections.insert(connection, Connection::Bound(client));
                assert_eq!(known, Some(Connection::Waiting), "{connection:?} is bound once");
            }
            Output::ClosePeerConnection { connection } => {
                self.books.connections.remove(&connection);
            }
            Output::HandOver { client, to, message, reason } => {
                self.handed_over.push_back(HandedOver { client, to, message, reason });
            }
            Output::ScopeMember { scope, address, kind, present } => {
                self.scope_news.push_back(ScopeNews { scope, address, kind, present });
            }
            Output::Challenged { .. } | Output::CloseClient { .. } => {}
            Output::Event(event) => self.happened(now, event),
        }
    }

    fn happened(&mut self, now: Now, event: RelayEvent) {
        match event {
            RelayEvent::AllocationCreated {
                allocation, username, five_tuple, relayed, transport, lifetime, ..
            } => {
                let relay = |address| self.books.relay_at(address).expect("a relayed address has a socket");
                let relays = relayed.into_iter().flatten().map(relay).collect();
                let slack = self.slack(&username);
                let mut held = Held::new(five_tuple, username, transport, relays, now.mono);
                held.lives(now.mono, lifetime, slack);
                assert!(lifetime <= self.config.lifetime_max);
                assert!(self.model.of_client(five_tuple).is_none(), "{five_tuple} holds two allocations");
                assert!(self.model.held.insert(allocation, held).is_none(), "ids are not reused");
            }
            RelayEvent::AllocationRefreshed { allocation, lifetime } => {
                let held = self.model.held.get_mut(&allocation).expect("a refreshed allocation exists");
                assert!(held.expires > now.mono, "a refresh brings back what has expired");
                let slack = held.slack;
                held.lives(now.mono, lifetime, slack);
            }
            RelayEvent::AllocationMoved { allocation, moved } => {
                let holder = self.model.of_client(moved.to).map(|(id, _)| id);
                assert!(holder.is_none_or(|id| id == allocation), "a move takes another allocation's five-tuple");
                let held = self.model.held.get_mut(&allocation).expect("a moved allocation exists");
                assert!(held.client == moved.from && held.has_ticket && held.expires > now.mono);
                held.client = moved.to;
                held.detached = false;
            }
            RelayEvent::AllocationEnded { allocation, reason, .. } => {
                let held = self.model.held.remove(&allocation).expect("an allocation ends once");
                assert!(held.relays.is_empty(), "sockets are closed first");
                if reason == AllocationEndReason::LifetimeExpired {
                    assert!(held.expires <= now.mono + held.slack, "it had time left");
                }
            }
            RelayEvent::AuthRefused { .. } | RelayEvent::PeerRefused { .. } | RelayEvent::LimitReached { .. } | _ => {}
        }
    }

    /// A control message must be well formed; a success signed by a key of a user; and what it grants is learnt.
    fn transmitted(&mut self, now: Now, transmit: Transmit) {
        let message = Message::parse(&transmit.bytes).expect("the server sends messages");
        assert_ne!(message.fingerprint(), Fingerprint::Invalid);
        assert_ne!(message.class(), Class::Request);
        if message.class() == Class::Success && message.method() != Method::BINDING {
            let signed = self.users.keys().any(|keys| {
                let (md5, sha256) = (keys.md5.expose(), keys.sha256.expose());
                let sha1 = message.verify_integrity_sha1(md5) || message.verify_integrity_sha1(sha256);
                sha1 || message.verify_integrity_sha256(md5) || message.verify_integrity_sha256(sha256)
            });
            assert!(signed, "a success carries an integrity value of its user");
            let synchronous = !matches!(message.method(), Method::ALLOCATE | Method::CONNECT);
            if let Some(input) = &self.input
                && let Ok(request) = Message::parse(&input.1)
                && request.cookie_and_id() == message.cookie_and_id()
            {
                assert_eq!((input.0, request.method()), (transmit.client, message.method()));
                self.model.granted(transmit.client.five_tuple, &request, &message, now.mono);
            } else {
                assert!(!synchronous, "{message:?} answers nothing");
                self.model.granted(transmit.client.five_tuple, &message, &message, now.mono);
            }
            if let Some(TokenAttribute(token)) = message.attribute().expect("well formed")
                && self.input.is_none()
            {
                assert!(self.books.is_reserved(ReservationToken(token)), "the token names a port");
            }
        }
        self.outbox.push_back(transmit);
    }

    fn check(&self) {
        assert_eq!(self.server.allocation_count(), self.model.held.len());
        let stats = self.server.stats();
        let alive = stats.allocations_created - stats.allocations_ended;
        assert_eq!(u64::try_from(self.model.held.len()).expect("few"), alive);
        for held in self.model.held.values() {
            let client = held.client;
            assert!(held.detached || self.server.has_allocation(&client), "{client} has lost its allocation");
            assert!(!held.relays.is_empty(), "an allocation has a relay");
            let (due, _) = self.server.poll_timeout().expect("an allocation has a timer");
            assert!(due <= held.expires, "the timer of {client} comes late");
        }
        // Every socket belongs to an allocation, or to a request that still waits.
        let owned: usize = self.model.held.values().map(|held| held.relays.len()).sum();
        assert!(self.books.sockets.len() >= owned);
        assert!(usize::try_from(self.books.places()).expect("few") >= self.model.held.len());
    }

    /// Clients are told whole seconds; a credential that ends an allocation does so to the millisecond.
    fn slack(&self, username: &str) -> Duration {
        let terminates = |user: &User| user.on_expiry == OnExpiry::Terminate;
        if self.users.named(username).is_some_and(terminates) { Duration::from_millis(1001) } else { Duration::ZERO }
    }

    /// Whether what this client's allocation forwards follows from deadlines alone.
    fn is_plain(&self, held: &Held) -> bool {
        let cut_short = self.users.named(&held.username).is_none_or(User::is_cut_short);
        !cut_short && self.config.limits.bandwidth_per_allocation.is_none()
    }

    /// Whether the room of this allocation's user, if there is one, has the peer.
    fn is_in_scope(&self, held: &Held, peer: SocketAddr) -> bool {
        let scope = self.users.named(&held.username).and_then(|user| user.scope);
        scope.is_none_or(|scope| self.model.has_member(scope, peer))
    }

    fn judge_to_peer(&self, now: Now, client: ClientLeg, bytes: &[u8], forward: Forward) {
        let held = self.model.of_client(client.five_tuple).map(|(_, held)| held);
        let held = held.filter(|held| held.expires > now.mono);
        let channel = channel_data::parse(bytes).ok();
        match forward {
            Forward::ToPeer { relay, peer, start, len, own_relay_only, .. } => {
                let held = held.expect("data needs a live allocation");
                assert!(held.permits(peer.ip(), now.mono), "{peer} has no permission");
                assert!(self.is_in_scope(held, peer), "{peer} is not in the room");
                assert!(held.relays.contains(&relay), "data leaves from its allocation's relay");
                assert_eq!(held.transport, RelayTransport::Udp);
                assert_eq!(self.books.sockets[&relay].address.is_ipv4(), peer.is_ipv4());
                if let Some(channel) = channel {
                    assert_eq!(held.channel(channel.number, now.mono), Some(peer));
                }
                let payload = bytes.get(usize::from(start)..usize::from(start) + usize::from(len));
                let expected = channel.map(|channel| channel.data).or_else(|| {
                    let message = Message::parse(bytes).ok()?;
                    message.attribute::<Data<'_>>().ok()?.map(|data| data.0)
                });
                assert!(payload.is_some() && payload == expected, "the payload goes on, and nothing else");
                // What may only go to a relay of our own goes nowhere when there is none at that port.
                if !own_relay_only {
                    let verdict = self.config.peer_policy.check_address(peer);
                    assert!(matches!(verdict, Verdict::Allowed), "{peer} is reached against {verdict:?}");
                }
            }
            Forward::Nothing => {
                if let (Some(held), Some(channel)) = (held, channel)
                    && self.is_plain(held)
                    && let Some(peer) = held.channel(channel.number, now.mono)
                    && self.is_in_scope(held, peer)
                {
                    let same_family = |relay| self.books.sockets[relay].address.is_ipv4() == peer.is_ipv4();
                    assert!(!held.relays.iter().any(same_family), "data on a live channel is dropped");
                }
            }
            Forward::ToClient { .. } => panic!("a client's message does not go to a client"),
        }
    }

    fn judge_to_client(&self, now: Now, relay: RelayId, peer: SocketAddr, len: u16, forward: Forward) {
        let found = self.model.of_relay(relay).filter(|held| held.expires > now.mono && !held.detached);
        let permitted = found.filter(|held| held.permits(peer.ip(), now.mono));
        match forward {
            Forward::ToClient { client, prefix, padding } => {
                let held = permitted.expect("data needs a live allocation and a permission");
                assert_eq!(client.five_tuple, held.client);
                assert!(self.is_in_scope(held, peer), "{peer} is not in the room");
                let payload = vec![0x55; usize::from(len)];
                let message = [prefix.as_slice(), &payload, &[0; 4][..usize::from(padding)]].concat();
                check_data(&message, peer, &payload, held.channel_to(peer, now.mono), &held.client);
            }
            Forward::Nothing => {
                let dropped = permitted.filter(|held| self.is_plain(held) && self.is_in_scope(held, peer));
                // A Data indication cannot carry the longest datagrams.
                assert!(dropped.is_none() || len > 65_400, "data of a permitted peer is dropped");
            }
            Forward::ToPeer { .. } => panic!("a peer's datagram does not go to a peer"),
        }
    }
}

/// What reaches a client says where it came from.
fn check_data(message: &[u8], peer: SocketAddr, payload: &[u8], channel: Option<u16>, client: &FiveTuple) {
    match channel {
        Some(number) => {
            let parsed = channel_data::parse(message).expect("ChannelData");
            assert_eq!((parsed.number, parsed.data), (number, payload));
            assert!(client.transport.is_datagram() || message.len().is_multiple_of(4));
        }
        None => {
            let parsed = Message::parse(message).expect("a Data indication");
            assert_eq!((parsed.class(), parsed.method()), (Class::Indication, Method::DATA));
            assert_eq!(parsed.attribute(), Ok(Some(XorPeerAddress(peer))));
            assert_eq!(parsed.attribute(), Ok(Some(Data(payload))));
            let rebuilt = MessageBuilder::reply_to(&parsed, Class::Indication)
                .attribute(&XorPeerAddress(peer))
                .attribute(&Data(payload))
                .finish();
            assert_eq!(rebuilt, message);
        }
    }
}
