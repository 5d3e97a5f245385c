//! A client and a server joined by hand: nothing is lost, nothing takes time, relayed data comes back as it went.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use causeway_stun_codec::{channel_data, key};
use causeway_turn_client::{ClientConfig, Outcome, Output, Received, Request, TurnClient, Via};
use causeway_turn_core::{
    Admission, ClientLeg, Forward, Grant, GrantLimits, IntegrityKeys, KeyAnswer, KeyQuery, LegId, Limits, NonceKeys,
    OnExpiry, OpenRelay, Output as ServerOutput, PortChoice, RelayFamilies, RelayId, RelayOpened, TurnConfig,
    TurnServer, UserRef,
    peer_policy::{PeerPolicy, PeerPolicyConfig},
};
use causeway_types::{AddressFamily, AuthRefusal, CredentialKind, FiveTuple, Now, Secret, ShardIndex, UnixTime};

const REALM: &str = "example.org";

fn addr(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

/// A peer that the policy lets through.
pub(crate) fn peer() -> SocketAddr {
    addr("9.9.9.9:7000")
}

fn config() -> TurnConfig {
    TurnConfig {
        realm: REALM.into(),
        software: None,
        nonce_keys: NonceKeys { signing: Secret::new([7; 32]), accepted: Vec::new() },
        nonce_lifetime: Duration::from_secs(3600),
        username_anonymity: true,
        lifetime_default: Duration::from_secs(600),
        lifetime_max: Duration::from_secs(3600),
        limits: Limits {
            permissions_per_allocation_max: 4,
            channels_per_allocation_max: 3,
            connections_per_allocation_max: 3,
            pending_requests_max: 100,
            bandwidth_per_allocation: None,
            unauthenticated_replies_per_sec: 100,
            unauthenticated_replies_burst: 1000,
        },
        peer_policy: Arc::new(PeerPolicy::new(PeerPolicyConfig::default())),
        relay_families: RelayFamilies { v4: true, v6: true },
        tcp_relaying: true,
        mobility: true,
        nat_discovery: Vec::new(),
        alternate_servers: Vec::new(),
        draining: false,
    }
}

pub(crate) struct World {
    pub(crate) client: TurnClient,
    server: TurnServer,
    now: Now,
    leg: ClientLeg,
    relays: u16,
    /// Everything the client sent.
    pub(crate) sent: Vec<Vec<u8>>,
    /// What the client said that was neither a transmission nor an outcome.
    pub(crate) told: Vec<Output>,
    outcomes: Vec<Outcome>,
    data: Vec<(SocketAddr, Via, Vec<u8>)>,
}

impl World {
    #[expect(clippy::disallowed_methods, reason = "an `Instant` to start from has no other source")]
    pub(crate) fn new(client: ClientConfig) -> Self {
        let now = Now { mono: Instant::now(), unix: UnixTime::from_secs(1_790_000_000) };
        let five_tuple = FiveTuple {
            transport: client.transport,
            client: addr("203.0.113.10:5000"),
            server: addr("198.51.100.7:3478"),
        };
        Self {
            client: TurnClient::new(client, [2; 32]),
            server: TurnServer::new(Arc::new(config()), ShardIndex(0), [1; 32], now),
            now,
            leg: ClientLeg { five_tuple, leg: LegId(0) },
            relays: 0,
            sent: Vec::new(),
            told: Vec::new(),
            outcomes: Vec::new(),
            data: Vec::new(),
        }
    }

    pub(crate) const fn client_address(&self) -> SocketAddr {
        self.leg.five_tuple.client
    }

    /// Asks and gives the outcome, which comes without waiting.
    pub(crate) fn ask(&mut self, request: Request) -> Outcome {
        self.client.handle_request(self.now, request);
        self.drain_client();
        self.outcomes.pop().expect("an outcome")
    }

    /// Sends `payload` to `peer` and back again.
    pub(crate) fn exchange(&mut self, peer: SocketAddr, payload: &[u8]) -> (Via, Vec<u8>) {
        let mut out = Vec::new();
        self.client.write_data(peer, payload, &mut out).expect("short");
        self.feed_server(&out);
        let (from, via, data) = self.data.pop().expect("data came back");
        assert_eq!(from, peer);
        (via, data)
    }

    /// Time passes; whose timer is due is called.
    pub(crate) fn run_for(&mut self, time: Duration) {
        let end = self.now.mono + time;
        loop {
            let due = [self.client.poll_timeout(), self.server.poll_timeout().map(|(due, _)| due)];
            let Some(due) = due.into_iter().flatten().min().filter(|due| *due <= end) else { break };
            self.move_to(due.max(self.now.mono));
            self.server.handle_timeout(self.now);
            self.drain_server();
            self.client.handle_timeout(self.now);
            self.drain_client();
        }
        self.move_to(end);
    }

    fn move_to(&mut self, mono: Instant) {
        let by = mono - self.now.mono;
        self.now = Now { mono, unix: self.now.unix.saturating_add(by) };
    }

    fn drain_client(&mut self) {
        let mut to_send = Vec::new();
        while let Some(output) = self.client.poll_output() {
            match output {
                Output::Transmit(bytes) => to_send.push(bytes),
                Output::Done { outcome, .. } => self.outcomes.push(outcome),
                Output::Data { peer, via, data } => self.data.push((peer, via, data)),
                other @ (Output::Icmp { .. }
                | Output::KeepAliveFailed { .. }
                | Output::AllocationLost
                | Output::StreamBroken) => self.told.push(other),
            }
        }
        for bytes in to_send {
            self.sent.push(bytes.clone());
            self.feed_server(&bytes);
        }
    }

    /// One message; what the relay would send to the peer comes back from the peer.
    fn feed_server(&mut self, bytes: &[u8]) {
        let forward = self.server.handle_client_message(self.now, self.leg, bytes);
        self.drain_server();
        let Forward::ToPeer { relay, peer, start, len, .. } = forward else { return };
        let payload = &bytes[usize::from(start)..usize::from(start) + usize::from(len)];
        let forward = self.server.handle_peer_datagram(self.now, relay, peer, len, 1);
        self.drain_server();
        let Forward::ToClient { prefix, padding, .. } = forward else { panic!("{forward:?}") };
        let mut message = [prefix.as_slice(), payload].concat();
        message.extend(std::iter::repeat_n(0, usize::from(padding)));
        if !self.leg.five_tuple.transport.is_datagram() && channel_data::parse(&message).is_ok() {
            message.resize(message.len().next_multiple_of(4), 0);
        }
        self.feed_client(&message);
    }

    fn feed_client(&mut self, bytes: &[u8]) {
        if self.leg.five_tuple.transport.is_datagram() {
            if let Received::Data { peer, via, data } = self.client.handle_datagram(self.now, bytes) {
                self.data.push((peer, via, data.to_vec()));
            }
        } else {
            self.client.handle_stream(self.now, bytes);
        }
        self.drain_client();
    }

    fn drain_server(&mut self) {
        let (mut questions, mut replies) = (VecDeque::new(), Vec::new());
        loop {
            while let Some(output) = self.server.poll_output() {
                if let ServerOutput::Transmit(transmit) = output {
                    replies.push(transmit.bytes);
                } else {
                    questions.push_back(output);
                }
            }
            let Some(question) = questions.pop_front() else { break };
            self.answer_question(&question);
        }
        for bytes in replies {
            self.feed_client(&bytes);
        }
    }

    fn answer_question(&mut self, question: &ServerOutput) {
        match question {
            ServerOutput::NeedKey(query) => self.server.handle_key(self.now, query.id, answer(query)),
            ServerOutput::NeedAdmission { id, .. } => self.server.handle_admission(self.now, *id, Admission::Granted),
            ServerOutput::OpenRelay(request) => {
                let opened = self.open(request);
                self.server.handle_relay_opened(self.now, request.request, Ok(opened));
            }
            ServerOutput::Transmit(_)
            | ServerOutput::ReleaseAdmission { .. }
            | ServerOutput::CloseRelay { .. }
            | ServerOutput::DropReservation { .. }
            | ServerOutput::ConnectPeer { .. }
            | ServerOutput::BindConnection { .. }
            | ServerOutput::ClosePeerConnection { .. }
            | ServerOutput::HandOver { .. }
            | ServerOutput::ScopeMember { .. }
            | ServerOutput::Challenged { .. }
            | ServerOutput::CloseClient { .. }
            | ServerOutput::Event(_) => {}
        }
    }

    fn open(&mut self, request: &OpenRelay) -> RelayOpened {
        self.relays += 1;
        let port = 50_000 + 2 * self.relays + u16::from(request.ports == PortChoice::Any);
        let ip = match request.family {
            AddressFamily::V4 => addr("198.51.100.7:0").ip(),
            AddressFamily::V6 => addr("[2606:4700:ffff::7]:0").ip(),
        };
        RelayOpened { relay: RelayId(u32::from(self.relays)), address: SocketAddr::new(ip, port) }
    }
}

fn answer(query: &KeyQuery) -> KeyAnswer {
    let is_alice = match &query.user {
        UserRef::Name(name) => &**name == "alice",
        UserRef::Hash(hash) => *hash == key::user_hash("alice", REALM),
    };
    if !is_alice {
        return KeyAnswer::Refused(AuthRefusal::UnknownUser);
    }
    KeyAnswer::Known(vec![Grant {
        username: "alice".into(),
        kind: CredentialKind::Static,
        keys: IntegrityKeys {
            md5: Secret::new(key::md5_key("alice", REALM, "wonder")),
            sha256: Secret::new(key::sha256_key("alice", REALM, "wonder")),
        },
        expires: None,
        on_expiry: OnExpiry::GateNew,
        limits: GrantLimits::default(),
    }])
}
