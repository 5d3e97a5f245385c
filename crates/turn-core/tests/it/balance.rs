//! Whatever comes, in whatever order, what was taken is given back exactly once, and data only flows where a simple
//! reference model says so.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use causeway_stun_codec::{
    Method,
    attributes::{EvenPort, Lifetime, RequestedTransport},
};
use causeway_turn_core::{Admission, Forward, OpenRelayError, Output, RelayId, TurnConfig};
use causeway_types::ClientTransport;
use proptest::prelude::*;

use crate::world::{Client, World, config, secs};

const PEERS: [&str; 3] = ["8.8.8.8:1000", "8.8.4.4:1000", "1.1.1.1:1000"];
const CHANNELS: [u16; 2] = [0x4000, 0x7fff];

#[derive(Clone, Copy, Debug)]
enum Step {
    Allocate { client: usize, reserve: bool },
    AnswerOne,
    Permit { client: usize, peer: usize },
    Bind { client: usize, channel: usize, peer: usize },
    Refresh { client: usize, lifetime_secs: u32 },
    Close { client: usize },
    RelayFails { relay: u32 },
    Terminate,
    Refuse { admission: bool },
    Wait { secs: u64, timers: bool },
    Say { client: usize, peer: usize },
    SayOn { client: usize, channel: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let client = 0_usize..3;
    prop_oneof![
        4 => (client.clone(), any::<bool>()).prop_map(|(client, reserve)| Step::Allocate { client, reserve }),
        12 => Just(Step::AnswerOne),
        4 => (client.clone(), 0_usize..3).prop_map(|(client, peer)| Step::Permit { client, peer }),
        4 => (client.clone(), 0_usize..2, 0_usize..3)
            .prop_map(|(client, channel, peer)| Step::Bind { client, channel, peer }),
        2 => (client.clone(), prop_oneof![Just(0), Just(600), Just(9999)])
            .prop_map(|(client, lifetime_secs)| Step::Refresh { client, lifetime_secs }),
        1 => client.clone().prop_map(|client| Step::Close { client }),
        1 => (0_u32..8).prop_map(|relay| Step::RelayFails { relay }),
        1 => Just(Step::Terminate),
        1 => any::<bool>().prop_map(|admission| Step::Refuse { admission }),
        3 => (prop_oneof![1_u64..20, 250_u64..350, 550_u64..650], any::<bool>())
            .prop_map(|(secs, timers)| Step::Wait { secs, timers }),
        4 => (client.clone(), 0_usize..3).prop_map(|(client, peer)| Step::Say { client, peer }),
        4 => (client, 0_usize..2).prop_map(|(client, channel)| Step::SayOn { client, channel }),
    ]
}

/// What a client may do, told in the fewest words: deadlines, and nothing else.
#[derive(Debug, Default)]
struct Model {
    permissions: BTreeMap<usize, Instant>,
    channels: BTreeMap<usize, (usize, Instant)>,
}

impl Model {
    fn may_say(&self, peer: usize, now: Instant) -> bool {
        self.permissions.get(&peer).is_some_and(|until| *until > now)
    }

    fn channel_peer(&self, channel: usize, now: Instant) -> Option<usize> {
        let (peer, until) = *self.channels.get(&channel)?;
        (until > now && self.may_say(peer, now)).then_some(peer)
    }

    fn bind(&mut self, channel: usize, peer: usize, now: Instant) -> bool {
        self.channels.retain(|_, (_, until)| *until > now);
        let conflict = self.channels.iter().any(|(c, (p, _))| (*c == channel) != (*p == peer));
        if !conflict {
            self.channels.insert(channel, (peer, now + secs(600)));
            self.permissions.insert(peer, now + secs(300));
        }
        !conflict
    }
}

struct Run {
    world: World,
    clients: Vec<Client>,
    models: Vec<Model>,
}

impl Run {
    fn new() -> Self {
        let mut world = World::with(TurnConfig { nonce_lifetime: secs(10_000_000), ..config() });
        let mut clients: Vec<Client> =
            (0..3).map(|n| world.client("alice", ClientTransport::Udp, &format!("203.0.113.1{n}:5000"))).collect();
        for client in &mut clients {
            client.challenge(&mut world);
        }
        world.late = true;
        Self { world, clients, models: (0..3).map(|_| Model::default()).collect() }
    }

    fn alive(&self, client: usize) -> bool {
        self.world.server.has_allocation(&self.clients[client].leg.five_tuple)
    }

    /// A request of a client with an allocation; the answer's code.
    fn ask(&mut self, client: usize, bytes: &[u8]) -> Option<u16> {
        self.clients[client].send(&mut self.world, bytes).code()
    }

    fn take(&mut self, step: Step) {
        let now = self.world.now.mono;
        match step {
            Step::Allocate { client, reserve } => {
                let bytes = self.clients[client].signed(&mut self.world, Method::ALLOCATE, |b| {
                    let b = b.attribute(&RequestedTransport::UDP).attribute(&Lifetime(3600));
                    if reserve { b.attribute(&EvenPort { reserve_next: true }) } else { b }
                });
                self.world.feed(self.clients[client].leg, &bytes);
            }
            Step::AnswerOne => {
                self.world.answer_next_question();
            }
            Step::Permit { client, peer } if self.is_surely_alive(client) => {
                let bytes = self.clients[client].signed(&mut self.world, Method::CREATE_PERMISSION, |b| {
                    b.attribute(&causeway_stun_codec::attributes::XorPeerAddress(crate::world::addr(PEERS[peer])))
                });
                assert_eq!(self.ask(client, &bytes), None);
                self.models[client].permissions.insert(peer, now + secs(300));
            }
            Step::Bind { client, channel, peer } if self.is_surely_alive(client) => {
                let code = self.clients[client].bind(&mut self.world, CHANNELS[channel], PEERS[peer]).code();
                let bound = self.models[client].bind(channel, peer, now);
                assert_eq!(code, (!bound).then_some(400));
            }
            Step::Refresh { client, lifetime_secs } if self.is_surely_alive(client) => {
                let bytes = self.clients[client]
                    .signed(&mut self.world, Method::REFRESH, |b| b.attribute(&Lifetime(lifetime_secs)));
                assert_eq!(self.ask(client, &bytes), None);
            }
            Step::Permit { .. } | Step::Bind { .. } | Step::Refresh { .. } => {}
            Step::Close { client } => self.world.server.handle_client_closed(self.world.now, self.clients[client].leg),
            Step::RelayFails { relay } => self.world.server.handle_relay_failed(self.world.now, RelayId(relay)),
            Step::Terminate => {
                self.world.server.terminate_user(self.world.now, "alice");
            }
            Step::Refuse { admission: true } => {
                self.world.admission = match self.world.admission {
                    Admission::Granted => Admission::UserQuota,
                    Admission::UserQuota | Admission::TotalQuota | Admission::CredentialQuota => Admission::Granted,
                };
            }
            Step::Refuse { admission: false } => self.world.relay_errors.push(Some(OpenRelayError::NoPort)),
            Step::Wait { secs, timers: true } => self.world.advance(Duration::from_secs(secs)),
            Step::Wait { secs, timers: false } => self.world.advance_without_timers(Duration::from_secs(secs)),
            Step::Say { client, peer } => self.say(client, peer),
            Step::SayOn { client, channel } => self.say_on(client, channel),
        }
        self.world.drain();
        for client in 0..self.clients.len() {
            if !self.alive(client) {
                self.models[client] = Model::default();
            }
        }
        self.check();
    }

    fn say(&mut self, client: usize, peer: usize) {
        let forward = self.clients[client].say(&mut self.world, PEERS[peer], b"x");
        self.compare(client, forward, self.models[client].may_say(peer, self.world.now.mono).then_some(peer));
    }

    fn say_on(&mut self, client: usize, channel: usize) {
        let forward = self.clients[client].say_on(&mut self.world, CHANNELS[channel], b"x");
        self.compare(client, forward, self.models[client].channel_peer(channel, self.world.now.mono));
    }

    fn compare(&self, client: usize, forward: Forward, expected: Option<usize>) {
        // An allocation past its own deadline forwards nothing even before its timer has run; the model does not know.
        let expected = expected.filter(|_| self.alive(client));
        match (forward, expected) {
            (Forward::ToPeer { peer, .. }, Some(expected)) => assert_eq!(peer, crate::world::addr(PEERS[expected])),
            (Forward::Nothing, _) if self.may_have_expired(client) => {}
            (forward, expected) => assert_eq!((forward, expected), (Forward::Nothing, None)),
        }
    }

    fn is_surely_alive(&self, client: usize) -> bool {
        self.alive(client) && !self.may_have_expired(client)
    }

    fn may_have_expired(&self, client: usize) -> bool {
        self.alive(client) && self.world.server.poll_timeout().is_some_and(|(at, _)| at <= self.world.now.mono)
    }

    /// Sockets: opened = closed + live. Admissions: granted = released + live + under way.
    fn check(&self) {
        let live = self.world.server.allocation_count();
        let closed: Vec<RelayId> = self
            .world
            .others
            .iter()
            .filter_map(|o| if let Output::CloseRelay { relay } = o { Some(*relay) } else { None })
            .collect();
        let mut once = closed.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), closed.len(), "a socket is closed once");
        assert!(self.world.relays_opened() >= closed.len() + live);
        if self.world.questions_waiting() == 0 {
            assert_eq!(self.world.relays_opened(), closed.len() + live, "sockets");
            let released = self.world.others.iter().filter(|o| matches!(o, Output::ReleaseAdmission { .. })).count();
            assert_eq!(self.world.admissions_granted, released + live, "admissions");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn what_was_taken_is_given_back_once_and_data_flows_as_the_model_says(
        steps in proptest::collection::vec(step(), 1..120),
    ) {
        let mut run = Run::new();
        for step in steps {
            run.take(step);
        }
        while run.world.answer_next_question() {}
        run.check();
        run.world.server.shutdown(run.world.now);
        run.world.drain();
        run.check();
        prop_assert_eq!(run.world.server.allocation_count(), 0);
    }
}
