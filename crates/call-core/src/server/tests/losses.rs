//! Connections that go, and some that come back.

use std::time::Duration;

use super::world::{RESUMING, SIP, World, connection, ended, text};
use crate::{CallEventKind, ConnectionId, EndedBy, HangupCause, LegMessage, LegRoute, NodeId};

#[test]
fn without_grace_the_other_party_hears_at_once() {
    let mut world = World::new();
    world.call(SIP, SIP);
    world.cut(1);
    assert_eq!(world.heard(2), [ended(HangupCause::ConnectionLost)]);
    assert_eq!(world.ended(), Some((HangupCause::ConnectionLost, EndedBy::Caller)));
    world.assert_nothing_is_kept();
}

#[test]
fn with_grace_the_call_waits_and_ends_with_its_time() {
    let mut world = World::new();
    world.call(RESUMING, SIP);
    world.cut(1);
    world.cut(1);
    world.advance(Duration::from_millis(89_999));
    assert_eq!(world.heard(2), []);
    world.advance(Duration::from_millis(1));
    assert_eq!(world.heard(2), [ended(HangupCause::ConnectionLost)]);
    world.assert_nothing_is_kept();
}

#[test]
fn a_client_that_comes_back_has_its_leg_and_the_offer_that_waited() {
    let mut world = World::new();
    let (alice, bob) = world.call(RESUMING, SIP);
    world.cut(1);
    world.server.handle_reoffer(world.now, connection(2), bob, text("offer")).unwrap();
    world.drain();
    assert_eq!(world.heard(1), []);
    let route = LegRoute { connection: connection(9), traits: RESUMING };
    assert_eq!(world.server.handle_connection_resumed(world.now, connection(1), route), [alice]);
    world.drain();
    assert_eq!(world.heard(9), [LegMessage::Reoffer { offer: text("offer") }]);
    world.server.handle_reanswer(world.now, connection(9), alice, text("answer")).unwrap();
    world.advance(Duration::from_secs(100));
    assert_eq!(world.server.call_count(), 1, "the grace time is over and means nothing");
    assert!(world.events.contains(&CallEventKind::Resumed { leg: alice }));
}

#[test]
fn a_party_that_hangs_up_on_a_detached_one_ends_the_call() {
    let mut world = World::new();
    let (alice, bob) = world.call(RESUMING, SIP);
    world.cut(1);
    world.hang_up(2, bob, HangupCause::Normal).unwrap();
    assert!(world.server.leg(alice).is_none());
    assert_eq!(world.heard(1), []);
    world.assert_nothing_is_kept();
}

#[test]
fn both_detached_end_with_the_first_grace() {
    let mut world = World::new();
    world.call(RESUMING, RESUMING);
    world.cut(1);
    world.advance(Duration::from_secs(30));
    world.cut(2);
    world.advance(Duration::from_secs(60));
    world.assert_nothing_is_kept();
}

#[test]
fn a_lost_node_takes_its_legs_even_with_grace() {
    let mut world = World::new();
    let (_, bob) = world.call(SIP, RESUMING);
    let far = ConnectionId { node: NodeId(2), number: 5 };
    let route = LegRoute { connection: far, traits: RESUMING };
    world.server.handle_connection_resumed(world.now, connection(2), route);
    world.server.handle_node_lost(world.now, NodeId(3));
    assert!(world.server.leg(bob).is_some());
    world.server.handle_node_lost(world.now, NodeId(2));
    world.drain();
    assert_eq!(world.heard(1), [ended(HangupCause::ConnectionLost)]);
    world.assert_nothing_is_kept();
}
