use std::{collections::BTreeMap, time::Duration};

use causeway_types::UnixTime;
use proptest::prelude::*;

use super::*;

const CHANNEL: ChannelId = ChannelId(1);

struct World {
    core: SignalChannels,
    now: Now,
    next: u64,
}

impl World {
    #[expect(clippy::disallowed_methods, reason = "virtual time starts somewhere")]
    fn new(limits: Limits) -> Self {
        let now = Now { mono: Instant::now(), unix: UnixTime::from_secs(1_790_000_000) };
        Self { core: SignalChannels::new(limits), now, next: 0 }
    }

    fn try_attach(&mut self, channel: ChannelId, peer: Peer) -> Result<ConnectionId, Refusal> {
        self.next += 1;
        let connection = ConnectionId(self.next);
        let message_ttl = Duration::from_secs(60);
        self.core.handle_attach(self.now, Attach { connection, channel, peer, message_ttl })?;
        Ok(connection)
    }

    fn master(&mut self) -> ConnectionId {
        self.try_attach(CHANNEL, Peer::Master).expect("let in")
    }

    fn viewer(&mut self, id: &str) -> ConnectionId {
        self.try_attach(CHANNEL, viewer(id)).expect("let in")
    }

    fn send(&mut self, from: ConnectionId, kind: MessageKind, to: Option<&str>, payload: &str) {
        let message =
            Message { kind, recipient: to.map(Arc::from), payload: Arc::from(payload), correlation: Some("c".into()) };
        self.core.handle_message(self.now, from, message);
    }

    fn pass(&mut self, secs: u64) {
        self.now.mono += Duration::from_secs(secs);
        self.core.handle_timeout(self.now);
    }

    fn outputs(&mut self) -> Vec<Output> {
        std::iter::from_fn(|| self.core.poll_output()).collect()
    }

    /// Payloads given to a connection.
    fn delivered(&mut self, to: ConnectionId) -> Vec<String> {
        let mut payloads = Vec::new();
        for output in self.outputs() {
            let Output::Deliver { to: at, payload, .. } = output else { panic!("{output:?}") };
            assert_eq!(at, to);
            payloads.push(payload.to_string());
        }
        payloads
    }
}

fn viewer(id: &str) -> Peer {
    Peer::Viewer(Arc::from(id))
}

use MessageKind::{Answer, Candidate, Offer};

#[test]
fn a_viewers_offer_names_it_and_the_masters_answer_names_nobody() {
    let mut world = World::new(Limits::ROOMY);
    let (master, alice, bob) = (world.master(), world.viewer("alice"), world.viewer("bob"));
    world.send(alice, Offer, Some("bob"), "o");
    let expected = Output::Deliver { to: master, kind: Offer, sender: Some("alice".into()), payload: "o".into() };
    assert_eq!(world.outputs(), [expected], "a viewer speaks to the master whatever it says");
    world.send(master, Answer, Some("alice"), "a");
    assert_eq!(world.outputs(), [Output::Deliver { to: alice, kind: Answer, sender: None, payload: "a".into() }]);
    world.send(master, Candidate, Some("bob"), "c");
    assert_eq!(world.delivered(bob), ["c"]);
}

#[test]
fn a_master_that_names_nobody_is_told_and_so_is_who_sends_too_much() {
    let mut world = World::new(Limits { payload_bytes_max: 3, ..Limits::ROOMY });
    let master = world.master();
    let status = |problem| Output::Status { to: master, correlation: "c".into(), problem };
    world.send(master, Answer, None, "a");
    world.send(master, Answer, Some("x"), "1234");
    assert_eq!(world.outputs(), [status(Problem::NoRecipient), status(Problem::PayloadTooLong)]);
    world.send(master, Answer, Some("x"), "123");
    assert_eq!(world.outputs(), []);
    let silent = Message { kind: Answer, recipient: None, payload: "a".into(), correlation: None };
    world.core.handle_message(world.now, master, silent);
    assert_eq!(world.outputs(), [], "without a name for the failure there is nothing to tell");
    let figures = world.core.figures();
    assert_eq!((figures.no_recipient, figures.payload_too_long), (2, 1));
}

#[test]
fn each_kind_has_its_rate_per_connection() {
    let mut world = World::new(Limits::AWS_STRICT);
    let (_master, alice, bob) = (world.master(), world.viewer("alice"), world.viewer("bob"));
    for _ in 0..6 {
        world.send(alice, Offer, None, "o");
    }
    for _ in 0..21 {
        world.send(alice, Candidate, None, "c");
    }
    world.send(bob, Offer, None, "o");
    let outputs = world.outputs();
    let refused = |output: &&Output| matches!(output, Output::Status { problem: Problem::TooFast, .. });
    assert_eq!((outputs.len(), outputs.iter().filter(refused).count()), (28, 2));
    world.pass(1);
    world.send(alice, Offer, None, "o");
    assert_eq!(world.outputs().iter().filter(refused).count(), 0);
}

#[test]
fn the_newest_connection_wins_and_the_end_of_the_older_changes_nothing() {
    let mut world = World::new(Limits::ROOMY);
    let (first, alice) = (world.master(), world.viewer("alice"));
    let second = world.master();
    assert_eq!(world.outputs(), [Output::Close { to: first, reason: CloseReason::Superseded }]);
    world.core.handle_closed(first);
    world.send(alice, Offer, None, "o");
    assert_eq!(world.delivered(second), ["o"]);
    let again = world.viewer("alice");
    assert_eq!(world.outputs(), [Output::Close { to: alice, reason: CloseReason::Superseded }]);
    world.send(alice, Offer, None, "from the dead");
    assert_eq!(world.outputs(), []);
    world.send(second, Answer, Some("alice"), "a");
    assert_eq!(world.delivered(again), ["a"]);
}

#[test]
fn one_viewer_too_many_is_refused_and_a_known_one_may_always_come_back() {
    let mut world = World::new(Limits { viewers_max: 2, ..Limits::ROOMY });
    let (_, bob) = (world.viewer("alice"), world.viewer("bob"));
    assert_eq!(world.try_attach(CHANNEL, viewer("carol")), Err(Refusal::TooManyViewers));
    assert!(world.try_attach(CHANNEL, viewer("alice")).is_ok());
    assert!(world.try_attach(CHANNEL, Peer::Master).is_ok());
    assert!(world.try_attach(ChannelId(2), viewer("carol")).is_ok(), "channels are apart");
    world.core.handle_closed(bob);
    assert!(world.try_attach(CHANNEL, viewer("carol")).is_ok());
}

#[test]
fn messages_wait_for_the_absent_in_order_until_their_time_is_over() {
    let mut world = World::new(Limits::ROOMY);
    let alice = world.viewer("alice");
    world.send(alice, Offer, None, "o");
    world.pass(30);
    world.send(alice, Candidate, None, "c1");
    world.send(alice, Candidate, None, "c2");
    world.pass(29);
    let master = world.master();
    assert_eq!(world.delivered(master), ["o", "c1", "c2"]);
    let again = world.master();
    assert_eq!(world.outputs().len(), 1, "delivered once; the older master is closed");
    world.core.handle_closed(again);
    world.send(alice, Offer, None, "o");
    world.pass(60);
    let master = world.master();
    assert_eq!(world.delivered(master), Vec::<String>::new());
    assert_eq!(world.core.figures().expired, 1);
}

#[test]
fn a_newer_offer_replaces_the_older_with_its_candidates_and_no_one_elses() {
    let mut world = World::new(Limits::ROOMY);
    let (alice, bob) = (world.viewer("alice"), world.viewer("bob"));
    world.send(alice, Offer, None, "a1");
    world.send(alice, Candidate, None, "a1c");
    world.send(bob, Offer, None, "b1");
    world.send(bob, Candidate, None, "b1c");
    world.send(alice, Offer, None, "a2");
    world.send(alice, Candidate, None, "a2c");
    let master = world.master();
    assert_eq!(world.delivered(master), ["b1", "b1c", "a2", "a2c"]);
}

#[test]
fn a_newer_answer_replaces_the_older_and_leaves_candidates() {
    let mut world = World::new(Limits::ROOMY);
    let master = world.master();
    for (kind, payload) in [(Answer, "1"), (Candidate, "c"), (Answer, "2")] {
        world.send(master, kind, Some("alice"), payload);
    }
    let alice = world.viewer("alice");
    assert_eq!(world.delivered(alice), ["c", "2"]);
}

#[test]
fn what_waits_is_bounded_per_channel_and_in_all() {
    let limits =
        Limits { waiting_per_channel_max: 3, waiting_bytes_per_channel_max: 8, waiting_bytes_max: 12, ..Limits::ROOMY };
    let mut world = World::new(limits);
    let alice = world.viewer("alice");
    let full = |outputs: Vec<Output>| {
        outputs.iter().filter(|o| matches!(o, Output::Status { problem: Problem::TooManyWaiting, .. })).count()
    };
    for _ in 0..4 {
        world.send(alice, Candidate, None, "c");
    }
    assert_eq!(full(world.outputs()), 1);
    world.send(alice, Offer, None, "12345678");
    assert_eq!(full(world.outputs()), 0, "the offer made way for itself");
    world.send(alice, Candidate, None, "9");
    assert_eq!(full(world.outputs()), 1);
    let other = world.try_attach(ChannelId(2), viewer("alice")).unwrap();
    world.send(other, Offer, None, "12345");
    assert_eq!(full(world.outputs()), 1);
    world.send(other, Offer, None, "1234");
    assert_eq!(full(world.outputs()), 0);
}

#[test]
fn a_silent_connection_is_closed_and_a_sign_of_life_counts() {
    let mut world = World::new(Limits::AWS_STRICT);
    let (master, alice) = (world.master(), world.viewer("alice"));
    world.pass(599);
    world.core.handle_activity(world.now, master);
    assert_eq!(world.outputs(), []);
    world.pass(1);
    assert_eq!(world.outputs(), [Output::Close { to: alice, reason: CloseReason::Idle }]);
    world.pass(598);
    assert_eq!(world.outputs(), []);
    world.pass(1);
    assert_eq!(world.outputs(), [Output::Close { to: master, reason: CloseReason::Idle }]);
    assert!(!world.core.is_in_use(CHANNEL));
    assert_eq!(world.core.poll_timeout(), None);
}

#[test]
fn an_old_connection_is_told_to_go_and_closed_when_the_grace_is_over() {
    let mut world = World::new(Limits { idle_max: None, ..Limits::AWS_STRICT });
    let master = world.master();
    world.pass(3539);
    assert_eq!(world.outputs(), []);
    world.pass(1);
    assert_eq!(world.outputs(), [Output::GoAway { to: master }]);
    world.pass(59);
    assert_eq!(world.outputs(), []);
    world.pass(1);
    assert_eq!(world.outputs(), [Output::Close { to: master, reason: CloseReason::TooOld }]);
}

#[test]
fn everybody_is_sent_away_when_the_server_ends_and_closed_with_its_channel() {
    let mut world = World::new(Limits::ROOMY);
    let (master, alice) = (world.master(), world.viewer("alice"));
    let other = world.try_attach(ChannelId(2), Peer::Master).unwrap();
    world.core.handle_go_away(world.now, None, CloseReason::ServerEnds);
    world.core.handle_go_away(world.now, None, CloseReason::ServerEnds);
    assert_eq!(world.outputs(), [master, alice, other].map(|to| Output::GoAway { to }), "once each");
    world.core.handle_channel_gone(CHANNEL, CloseReason::ChannelGone);
    assert_eq!(world.outputs(), [master, alice].map(|to| Output::Close { to, reason: CloseReason::ChannelGone }));
    world.pass(60);
    assert_eq!(world.outputs(), [Output::Close { to: other, reason: CloseReason::ServerEnds }]);
    assert_eq!((world.core.connection_count(), world.core.poll_timeout()), (0, None));
}

#[test]
fn everybody_that_stays_is_told_of_changed_relays_some_at_a_time() {
    let mut world = World::new(Limits::ROOMY);
    let (master, alice) = (world.master(), world.viewer("alice"));
    let others = [2, 3, 4].map(|id| world.try_attach(ChannelId(id), Peer::Master).unwrap());
    world.core.handle_go_away(world.now, Some(ChannelId(3)), CloseReason::ServerEnds);
    assert_eq!(world.outputs(), [Output::GoAway { to: others[1] }]);
    let told = |world: &mut World, after, n_told| {
        let next = world.core.handle_relays_changed(after, n_told);
        let outputs = world.outputs();
        (next, outputs.into_iter().map(|output| output.connection()).collect::<Vec<_>>())
    };
    assert_eq!(told(&mut world, None, 1), (Some(CHANNEL), vec![master, alice]), "a channel at a time");
    assert_eq!(
        told(&mut world, Some(CHANNEL), 2),
        (Some(ChannelId(4)), vec![others[0], others[2]]),
        "not the one that goes"
    );
    assert_eq!(told(&mut world, Some(ChannelId(4)), 2), (None, vec![]));
    assert_eq!(told(&mut world, None, 100).1, [master, alice, others[0], others[2]]);
}

#[test]
fn one_sender_fills_its_share_of_what_waits_and_not_that_of_others() {
    let limits = Limits { waiting_per_sender_max: 3, waiting_bytes_per_sender_max: 6, ..Limits::ROOMY };
    let mut world = World::new(limits);
    let (alice, bob) = (world.viewer("alice"), world.viewer("bob"));
    let full = |outputs: Vec<Output>| {
        outputs.iter().filter(|o| matches!(o, Output::Status { problem: Problem::TooManyWaiting, .. })).count()
    };
    for (from, sizes, refused) in
        [(alice, vec![1, 1, 1], 0), (alice, vec![1], 1), (bob, vec![3, 3], 0), (bob, vec![1], 1)]
    {
        for size in sizes {
            world.send(from, Candidate, None, &"x".repeat(size));
        }
        assert_eq!(full(world.outputs()), refused);
    }
    // A master's messages for one that is away leave room for those for another.
    let master = world.master();
    assert_eq!(world.outputs().len(), 5);
    for (to, refused) in [("carol", 1), ("dave", 1)] {
        for _ in 0..4 {
            world.send(master, Candidate, Some(to), "x");
        }
        assert_eq!(full(world.outputs()), refused);
    }
    let figures = world.core.figures();
    assert_eq!((figures.stored, figures.too_many_waiting), (11, 4));
}

#[test]
fn a_changed_time_to_live_holds_for_later_messages() {
    let mut world = World::new(Limits::ROOMY);
    let alice = world.viewer("alice");
    world.send(alice, Candidate, None, "long");
    world.core.handle_message_ttl(CHANNEL, Duration::from_secs(5));
    world.send(alice, Candidate, None, "short");
    world.pass(5);
    let master = world.master();
    assert_eq!(world.delivered(master), ["long"]);
}

/// The same rules written plainly: everything is a list that is searched.
#[derive(Default)]
struct Model {
    connected: BTreeMap<Peer, u64>,
    waiting: Vec<Kept>,
}

/// Recipient, kind, sender, payload, when it expires.
type Kept = (Peer, MessageKind, Option<Arc<str>>, String, u64);

#[derive(Clone, Debug)]
enum Step {
    Attach(Option<u8>),
    Close(Option<u8>),
    Send(Option<u8>, MessageKind, u8),
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let peer = || prop::option::of(0u8..3);
    let kind = prop_oneof![Just(Offer), Just(Answer), Just(Candidate)];
    prop_oneof![
        3 => peer().prop_map(Step::Attach),
        2 => peer().prop_map(Step::Close),
        8 => (peer(), kind, 0u8..3).prop_map(|(from, kind, to)| Step::Send(from, kind, to)),
        1 => (1u64..40).prop_map(Step::Pass),
    ]
}

fn name(index: u8) -> Arc<str> {
    Arc::from(format!("v{index}"))
}

fn peer(index: Option<u8>) -> Peer {
    index.map_or(Peer::Master, |index| Peer::Viewer(name(index)))
}

proptest! {
    #[test]
    fn the_core_does_what_the_plain_model_does(steps in prop::collection::vec(step(), 1..120)) {
        let mut world = World::new(Limits { descriptions_per_sec: 1000, candidates_per_sec: 1000, ..Limits::ROOMY });
        let (mut model, mut clock) = (Model::default(), 0u64);
        for (number, step) in steps.into_iter().enumerate() {
            let mut expected: Vec<(u64, String)> = Vec::new();
            match step {
                Step::Attach(who) => {
                    let who = peer(who);
                    let connection = world.try_attach(CHANNEL, who.clone()).unwrap();
                    model.connected.insert(who.clone(), connection.0);
                    let (mine, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut model.waiting).into_iter().partition(|w| w.0 == who);
                    model.waiting = rest;
                    expected.extend(mine.into_iter().filter(|w| w.4 > clock).map(|w| (connection.0, w.3)));
                }
                Step::Close(who) => {
                    if let Some(connection) = model.connected.remove(&peer(who)) {
                        world.core.handle_closed(ConnectionId(connection));
                    }
                }
                Step::Send(from, kind, to) => {
                    let Some(&connection) = model.connected.get(&peer(from)) else { continue };
                    let payload = number.to_string();
                    world.send(ConnectionId(connection), kind, Some(&name(to)), &payload);
                    let (recipient, sender) = match from {
                        Some(index) => (Peer::Master, Some(name(index))),
                        None => (Peer::Viewer(name(to)), None),
                    };
                    if let Some(&connected) = model.connected.get(&recipient) {
                        expected.push((connected, payload));
                    } else {
                        model.waiting.retain(|w| {
                            let goes = match kind {
                                Offer => w.1 != Answer,
                                Answer => w.1 == Answer,
                                Candidate => false,
                            };
                            !(goes && w.0 == recipient && w.2 == sender)
                        });
                        model.waiting.push((recipient, kind, sender, payload, clock + 60));
                    }
                }
                Step::Pass(secs) => {
                    clock += secs;
                    world.pass(secs);
                    model.waiting.retain(|w| w.4 > clock);
                }
            }
            let delivered: Vec<(u64, String)> = world.outputs().into_iter().filter_map(|output| match output {
                Output::Deliver { to, payload, .. } => Some((to.0, payload.to_string())),
                Output::Close { .. } | Output::Status { .. } | Output::GoAway { .. } | Output::RelaysChanged { .. } => None,
            }).collect();
            prop_assert_eq!(delivered, expected);
            prop_assert_eq!(world.core.connection_count(), model.connected.len());
            prop_assert_eq!(world.core.waiting_bytes, model.waiting.iter().map(|w| w.3.len()).sum::<usize>());
            prop_assert_eq!(world.core.is_in_use(CHANNEL), !model.connected.is_empty() || !model.waiting.is_empty());
        }
    }
}
