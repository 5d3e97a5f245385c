//! Two nodes in virtual time: alice is at the first, which owns the call, and bob at the second.

use std::{
    collections::VecDeque,
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

use causeway_types::{Now, UnixTime};

use super::*;
use crate::{AccountId, BindingRef, CallLimits, Dial, LegTraits, Party, RingRule, Target};

const SIP: LegTraits = LegTraits { takes_candidates: false, takes_transfer: true, grace: None };
const RESUMING: LegTraits =
    LegTraits { takes_candidates: false, takes_transfer: false, grace: Some(Duration::from_secs(90)) };
const ALICE: ConnectionId = ConnectionId { node: NodeId(1), number: 10 };
const BOB: ConnectionId = ConnectionId { node: NodeId(2), number: 20 };

/// What one node tells the other.
enum Letter {
    Say(Option<CallId>, LegId, ConnectionId, LegMessage),
    Did(LegId, ConnectionId, LegInput),
}

struct Pair {
    nodes: [CallServer; 2],
    now: Now,
    bob: Option<LegRoute>,
    /// On the way to each.
    letters: [VecDeque<Letter>; 2],
    heard: Vec<(ConnectionId, LegId, LegMessage)>,
}

fn text(text: &str) -> Arc<str> {
    Arc::from(text)
}

fn identity(name: &str) -> Identity {
    Identity::new(AccountId(1), name)
}

impl Pair {
    fn new(callee: LegTraits) -> Self {
        static START: LazyLock<Instant> = LazyLock::new(|| Now::read().mono);
        let node = |id: u8| CallServer::new(CallLimits::default(), [id; 32]).of_node(NodeId(id.into()));
        Self {
            nodes: [node(1), node(2)],
            now: Now { mono: *START, unix: UnixTime::from_secs(1000) },
            bob: Some(LegRoute { connection: BOB, traits: callee }),
            letters: Default::default(),
            heard: Vec::new(),
        }
    }

    /// Takes what the nodes want; letters wait.
    fn drain(&mut self) {
        for at in 0..2 {
            while let Some(output) = self.nodes[at].poll_output() {
                let here = NodeId(u32::try_from(at).unwrap() + 1);
                match output {
                    Output::ToLeg { leg, connection, message } if connection.node == here => {
                        self.heard.push((connection, leg, message));
                    }
                    Output::ToLeg { leg, connection, message } => {
                        let call = self.nodes[at].leg(leg).map(|leg| leg.call);
                        self.letters[1 - at].push_back(Letter::Say(call, leg, connection, message));
                    }
                    Output::ToOwner { leg, connection, input, .. } => {
                        self.letters[1 - at].push_back(Letter::Did(leg, connection, input));
                    }
                    Output::Locate { id, identities } => {
                        let identity = identities[0].clone();
                        let route = self.bob.unwrap_or(LegRoute { connection: BOB, traits: SIP });
                        let found = BindingRef { identity, route, contact: text("b"), note: Some(text("n")) };
                        self.nodes[at].handle_located(self.now, id, Ok(vec![found]));
                    }
                    Output::Event(_) => {}
                }
            }
        }
    }

    /// Letters of one direction arrive.
    fn deliver_to(&mut self, at: usize) {
        self.drain();
        while let Some(letter) = self.letters[at].pop_front() {
            let from = NodeId(2 - u32::try_from(at).unwrap());
            match letter {
                Letter::Say(call, leg, connection, message) => {
                    let route = self.bob.filter(|bob| bob.connection == connection);
                    self.nodes[at].handle_from_owner(from, call, leg, connection, route, message);
                }
                Letter::Did(leg, connection, input) => {
                    self.nodes[at].handle_from_guest(self.now, from, leg, connection, input);
                }
            }
            self.drain();
        }
    }

    /// Letters arrive until none is on the way.
    fn settle(&mut self) {
        self.drain();
        while self.letters.iter().any(|letters| !letters.is_empty()) {
            self.deliver_to(0);
            self.deliver_to(1);
        }
    }

    fn dial(&mut self) -> LegId {
        let dial = Dial {
            from: Party { identity: identity("alice"), display: text("") },
            route: LegRoute { connection: ALICE, traits: SIP },
            target: Target::Identities(vec![identity("bob")]),
            offer: text("v=0\nm=audio 9 X 0\n"),
            is_trickling: false,
            headers: Vec::new(),
            ring: RingRule::Newest,
            ring_for: None,
        };
        self.nodes[0].handle_dial(self.now, dial).unwrap()
    }

    /// A call that is answered; what was said until here is forgotten.
    fn call(&mut self) -> (LegId, LegId) {
        let alice = self.dial();
        self.settle();
        let bob = self.heard.iter().find(|heard| heard.0 == BOB).unwrap().1;
        let answer = text("v=0\nm=audio 9 X 0\ns=answer\n");
        self.nodes[1].handle_answer(self.now, BOB, bob, answer, Vec::new(), false).unwrap();
        self.settle();
        assert!(matches!(self.told(ALICE).last(), Some(LegMessage::Answered { .. })));
        self.heard.clear();
        (alice, bob)
    }

    /// What a connection was told since this was last asked.
    fn told(&mut self, connection: ConnectionId) -> Vec<LegMessage> {
        let (mine, others) = std::mem::take(&mut self.heard).into_iter().partition(|heard| heard.0 == connection);
        self.heard = others;
        let mine: Vec<(ConnectionId, LegId, LegMessage)> = mine;
        mine.into_iter().map(|heard| heard.2).collect()
    }

    fn assert_nothing_is_left(&self) {
        assert!(self.nodes.iter().all(CallServer::is_empty), "{:?}", self.nodes);
    }
}

#[test]
fn a_call_rings_is_answered_and_ends_from_either_side() {
    for ender in [0, 1] {
        let mut pair = Pair::new(SIP);
        let alice = pair.dial();
        pair.settle();
        let (_, bob, invite) = pair.heard.pop().unwrap();
        assert!(matches!(invite, LegMessage::Invite { .. }));
        let view = pair.nodes[1].leg(bob).unwrap();
        assert_eq!((view.call, view.identity), (pair.nodes[0].leg(alice).unwrap().call, identity("bob")));
        pair.nodes[1].handle_progress(pair.now, BOB, bob, Progress::Ringing).unwrap();
        pair.settle();
        assert_eq!(pair.told(ALICE), [LegMessage::Ringing]);
        pair.nodes[1].handle_answer(pair.now, BOB, bob, text("v=0\n"), Vec::new(), false).unwrap();
        assert_eq!(
            pair.nodes[1].handle_answer(pair.now, BOB, bob, text("v=0\n"), Vec::new(), false),
            Err(Refusal::WrongState),
            "one answer"
        );
        pair.settle();
        assert!(matches!(pair.told(ALICE).as_slice(), [LegMessage::Answered { .. }]));
        let (leg, at, other) = if ender == 0 { (alice, ALICE, BOB) } else { (bob, BOB, ALICE) };
        pair.nodes[ender].handle_hangup(pair.now, at, leg, HangupCause::Normal).unwrap();
        pair.settle();
        assert_eq!(pair.told(other), [LegMessage::Ended { cause: HangupCause::Normal }]);
        pair.assert_nothing_is_left();
    }
}

#[test]
fn a_cancel_reaches_the_callee_and_a_refusal_the_caller() {
    let mut pair = Pair::new(SIP);
    let alice = pair.dial();
    pair.settle();
    pair.told(BOB);
    pair.nodes[0].handle_hangup(pair.now, ALICE, alice, HangupCause::Normal).unwrap();
    pair.settle();
    assert_eq!(pair.told(BOB), [LegMessage::Ended { cause: HangupCause::Cancelled }]);
    pair.assert_nothing_is_left();

    pair.dial();
    pair.settle();
    let (_, bob, _) = pair.heard.pop().unwrap();
    pair.nodes[1].handle_hangup(pair.now, BOB, bob, HangupCause::Busy).unwrap();
    pair.settle();
    assert_eq!(pair.told(ALICE), [LegMessage::Ended { cause: HangupCause::Busy }]);
    pair.assert_nothing_is_left();
}

#[test]
fn an_answer_that_crosses_a_cancel_is_over() {
    let mut pair = Pair::new(SIP);
    let alice = pair.dial();
    pair.settle();
    let (_, bob, _) = pair.heard.pop().unwrap();
    pair.nodes[1].handle_answer(pair.now, BOB, bob, text("v=0\n"), Vec::new(), false).unwrap();
    pair.nodes[0].handle_hangup(pair.now, ALICE, alice, HangupCause::Normal).unwrap();
    pair.settle();
    assert_eq!(pair.told(BOB), [LegMessage::Ended { cause: HangupCause::Cancelled }]);
    pair.assert_nothing_is_left();
}

#[test]
fn renegotiation_goes_both_ways_and_digits_too() {
    let mut pair = Pair::new(SIP);
    let (alice, bob) = pair.call();
    for (node, leg, at, other_node, other_leg, other) in
        [(0, alice, ALICE, 1, bob, BOB), (1, bob, BOB, 0, alice, ALICE)]
    {
        pair.nodes[node].handle_reoffer(pair.now, at, leg, text("v=0\nnew\n")).unwrap();
        pair.settle();
        assert_eq!(pair.told(other), [LegMessage::Reoffer { offer: text("v=0\nnew\n") }]);
        let glare = pair.nodes[other_node].handle_reoffer(pair.now, other, other_leg, text("v=0\n"));
        assert_eq!(glare, Err(Refusal::RenegotiationPending));
        pair.nodes[other_node].handle_reanswer(pair.now, other, other_leg, text("v=0\nyes\n")).unwrap();
        pair.settle();
        assert_eq!(pair.told(at), [LegMessage::Reanswer { answer: text("v=0\nyes\n") }]);
        let info = Info::Dtmf { digits: text("5"), duration: Duration::from_millis(100) };
        pair.nodes[node].handle_info(pair.now, at, leg, info.clone()).unwrap();
        pair.nodes[node].handle_hold(pair.now, at, leg, true).unwrap();
        pair.settle();
        assert_eq!(pair.told(other), [LegMessage::Info(info), LegMessage::Held { is_held: true }]);
    }
}

#[test]
fn offers_that_cross_are_both_refused_and_the_call_goes_on() {
    let mut pair = Pair::new(SIP);
    let (alice, bob) = pair.call();
    pair.nodes[0].handle_reoffer(pair.now, ALICE, alice, text("v=0\na\n")).unwrap();
    pair.nodes[1].handle_reoffer(pair.now, BOB, bob, text("v=0\nb\n")).unwrap();
    pair.settle();
    let told = pair.told(BOB);
    assert!(matches!(told.as_slice(), [LegMessage::Reoffer { .. }, LegMessage::ReofferRefused { .. }]), "{told:?}");
    // A client with an offer of its own under way refuses: its node must still take that.
    pair.nodes[1].handle_reoffer_refused(BOB, bob, HangupCause::Busy).unwrap();
    pair.settle();
    assert_eq!(pair.told(ALICE), [LegMessage::ReofferRefused { cause: HangupCause::Busy }]);
    pair.nodes[1].handle_reoffer(pair.now, BOB, bob, text("v=0\nb\n")).unwrap();
    pair.settle();
    assert_eq!(pair.told(ALICE), [LegMessage::Reoffer { offer: text("v=0\nb\n") }]);
}

#[test]
fn a_node_that_is_lost_ends_the_legs_of_the_other() {
    for lost in [0, 1] {
        let mut pair = Pair::new(RESUMING);
        pair.call();
        let (node, other) = if lost == 0 { (NodeId(1), BOB) } else { (NodeId(2), ALICE) };
        pair.nodes[1 - lost].handle_node_lost(pair.now, node);
        pair.drain();
        assert_eq!(pair.told(other), [LegMessage::Ended { cause: HangupCause::ConnectionLost }]);
        assert!(pair.nodes[1 - lost].is_empty());
    }
}

#[test]
fn a_callee_that_comes_back_goes_on_and_one_that_does_not_ends_the_call() {
    let mut pair = Pair::new(RESUMING);
    let (alice, bob) = pair.call();
    pair.nodes[1].handle_connection_lost(pair.now, BOB);
    pair.settle();
    assert_eq!(pair.told(ALICE), [], "it is waited for");
    pair.nodes[0].handle_reoffer(pair.now, ALICE, alice, text("v=0\nnew\n")).unwrap();
    let back = LegRoute { connection: ConnectionId { number: 21, ..BOB }, traits: RESUMING };
    assert_eq!(pair.nodes[1].handle_connection_resumed(pair.now, BOB, back), [bob]);
    pair.bob = Some(back);
    pair.settle();
    assert_eq!(pair.told(back.connection), [LegMessage::Reoffer { offer: text("v=0\nnew\n") }]);

    pair.nodes[1].handle_connection_lost(pair.now, back.connection);
    pair.settle();
    pair.nodes[0].handle_timeout(Now { mono: pair.now.mono + Duration::from_secs(91), ..pair.now });
    pair.settle();
    assert!(matches!(pair.told(ALICE).last(), Some(LegMessage::Ended { cause: HangupCause::ConnectionLost })));
    pair.assert_nothing_is_left();
}

#[test]
fn an_invitation_to_a_connection_that_is_gone_or_full_comes_back() {
    let mut pair = Pair::new(SIP);
    pair.bob = None;
    pair.dial();
    pair.settle();
    assert_eq!(pair.told(ALICE), [LegMessage::Ended { cause: HangupCause::ConnectionLost }]);
    pair.assert_nothing_is_left();

    // Full at the callee's node, whatever the owner counts.
    let mut pair = Pair::new(SIP);
    pair.nodes[1].limits.legs_per_connection_max = 0;
    pair.dial();
    pair.settle();
    assert_eq!(pair.told(ALICE), [LegMessage::Ended { cause: HangupCause::Busy }]);
    pair.assert_nothing_is_left();
}

#[test]
fn a_stop_of_either_node_is_told_to_both_parties() {
    for stops in [0, 1] {
        let mut pair = Pair::new(SIP);
        pair.call();
        pair.nodes[stops].handle_shutdown(pair.now);
        pair.settle();
        for party in [ALICE, BOB] {
            assert_eq!(pair.told(party), [LegMessage::Ended { cause: HangupCause::Shutdown }]);
        }
        pair.assert_nothing_is_left();
    }
}

#[test]
fn another_node_can_do_nothing_to_a_leg_that_is_not_its() {
    let mut pair = Pair::new(SIP);
    let (alice, bob) = pair.call();
    let end = || LegInput::HangUp(HangupCause::Normal);
    let stranger = ConnectionId { node: NodeId(3), ..BOB };
    pair.nodes[0].handle_from_guest(pair.now, NodeId(3), bob, BOB, end());
    pair.nodes[0].handle_from_guest(pair.now, NodeId(3), bob, stranger, end());
    pair.nodes[0].handle_from_guest(pair.now, NodeId(3), alice, ALICE, end());
    let ended = LegMessage::Ended { cause: HangupCause::Normal };
    pair.nodes[1].handle_from_owner(NodeId(3), None, bob, BOB, pair.bob, ended);
    pair.drain();
    assert_eq!((pair.told(ALICE), pair.told(BOB)), (Vec::new(), Vec::new()));
    assert_eq!((pair.nodes[0].leg_count(), pair.nodes[1].leg_count()), (2, 1));
    // One who asks about a leg that is not there hears that it is over.
    pair.letters = Default::default();
    pair.nodes[0].handle_from_guest(pair.now, NodeId(2), LegId(5), BOB, LegInput::Hold(true));
    pair.deliver_to(0);
    assert!(matches!(
        pair.letters[1].pop_front(),
        Some(Letter::Say(None, LegId(5), BOB, LegMessage::Ended { cause: HangupCause::ConnectionLost }))
    ));
}

/// A call of somebody else's that replaces one: its caller is at the node of this index, on a connection of its own.
fn replacing(pair: &mut Pair, at: usize, leg: LegId, party: &str) -> LegId {
    let connection = ConnectionId { node: NodeId(u32::try_from(at).unwrap() + 1), number: 30 };
    let dial = Dial {
        from: Party { identity: identity("eve"), display: text("") },
        route: LegRoute { connection, traits: SIP },
        target: Target::ReplacingAt { leg, party: identity(party) },
        offer: text("v=0\nm=audio 9 X 0\n"),
        is_trickling: false,
        headers: Vec::new(),
        ring: RingRule::Newest,
        ring_for: None,
    };
    pair.nodes[at].handle_dial(pair.now, dial).unwrap()
}

/// What the leg of a new call at this connection was told to replace.
fn told_to_replace(pair: &mut Pair, connection: ConnectionId) -> Option<LegId> {
    let told = pair.told(connection);
    let [LegMessage::Invite { replaces, .. }] = &told[..] else { panic!("{told:?}") };
    *replaces
}

#[test]
fn a_call_replaces_one_at_another_node_where_its_party_is_a_guest() {
    let mut pair = Pair::new(SIP);
    let (_, bob) = pair.call();
    replacing(&mut pair, 0, bob, "bob");
    pair.settle();
    assert_eq!(told_to_replace(&mut pair, BOB), Some(bob));
}

#[test]
fn a_call_replaces_one_at_the_node_that_owns_it_by_the_leg_of_the_other_party() {
    let mut pair = Pair::new(SIP);
    let (alice, bob) = pair.call();
    // Bob's node knows its guest alone: that stands for the party across.
    pair.bob = Some(LegRoute { connection: ALICE, traits: SIP });
    replacing(&mut pair, 1, bob, "alice");
    pair.settle();
    assert_eq!(told_to_replace(&mut pair, ALICE), Some(alice));
}

#[test]
fn a_place_without_the_leg_to_be_replaced_does_not_ring() {
    for at in 0..2 {
        let mut pair = Pair::new(SIP);
        let (_, bob) = pair.call();
        for (leg, party) in [(LegId(99), "bob"), (bob, "carol")] {
            replacing(&mut pair, at, leg, party);
            pair.settle();
            assert!(pair.told(BOB).is_empty(), "{party} at {at}");
            let caller = ConnectionId { node: NodeId(u32::try_from(at).unwrap() + 1), number: 30 };
            assert_eq!(pair.told(caller), [LegMessage::Ended { cause: HangupCause::NotFound }]);
        }
    }
}
