//! Inside a call.

use std::time::Duration;

use super::world::{RESUMING, SIP, World, connection, dial, ended, identity, text};
use crate::{CallEventKind, CallLimits, Dial, EndedBy, HangupCause, Info, LegMessage, Refusal, Target, Transfer};

#[test]
fn a_renegotiation_passes_and_comes_back() {
    let mut world = World::new();
    let (alice, bob) = world.call(SIP, SIP);
    world.server.handle_reoffer(world.now, connection(2), bob, text("offer")).unwrap();
    world.drain();
    assert_eq!(world.heard(1), [LegMessage::Reoffer { offer: text("offer") }]);
    world.server.handle_reanswer(world.now, connection(1), alice, text("answer")).unwrap();
    world.drain();
    assert_eq!(world.heard(2), [LegMessage::Reanswer { answer: text("answer") }]);
    assert_eq!(world.events, [CallEventKind::Renegotiated]);
    let unasked = world.server.handle_reanswer(world.now, connection(1), alice, text("answer"));
    assert_eq!(unasked, Err(Refusal::WrongState));
}

#[test]
fn of_two_that_cross_the_second_is_refused() {
    let mut world = World::new();
    let (alice, bob) = world.call(SIP, SIP);
    world.server.handle_reoffer(world.now, connection(1), alice, text("first")).unwrap();
    let second = world.server.handle_reoffer(world.now, connection(2), bob, text("second"));
    assert_eq!(second, Err(Refusal::RenegotiationPending));
    let own = world.server.handle_reanswer(world.now, connection(1), alice, text("answer"));
    assert_eq!(own, Err(Refusal::WrongState), "nobody answers its own offer");
    world.server.handle_reoffer_refused(connection(2), bob, HangupCause::IncompatibleMedia).unwrap();
    world.drain();
    assert_eq!(world.heard(1), [LegMessage::ReofferRefused { cause: HangupCause::IncompatibleMedia }]);
    world.server.handle_reoffer(world.now, connection(2), bob, text("third")).unwrap();
}

#[test]
fn a_renegotiation_nobody_answers_is_given_up() {
    let mut world = World::new();
    let (alice, bob) = world.call(SIP, SIP);
    world.server.handle_reoffer(world.now, connection(1), alice, text("offer")).unwrap();
    world.advance(CallLimits::default().renegotiation_max);
    assert_eq!(world.heard(1), [LegMessage::ReofferRefused { cause: HangupCause::NoAnswer }]);
    let late = world.server.handle_reanswer(world.now, connection(2), bob, text("answer"));
    assert_eq!(late, Err(Refusal::WrongState));
}

#[test]
fn hold_is_told_once() {
    let mut world = World::new();
    let (alice, _) = world.call(SIP, SIP);
    for is_held in [true, true, false] {
        world.server.handle_hold(world.now, connection(1), alice, is_held).unwrap();
        world.drain();
    }
    assert_eq!(world.heard(2), [LegMessage::Held { is_held: true }, LegMessage::Held { is_held: false }]);
}

#[test]
fn digits_pass_and_are_told() {
    let mut world = World::new();
    let (alice, _) = world.call(SIP, SIP);
    let info = Info::Dtmf { digits: text("5#"), duration: Duration::from_millis(100) };
    world.server.handle_info(world.now, connection(1), alice, info.clone()).unwrap();
    world.drain();
    assert_eq!(world.heard(2), [LegMessage::Info(info)]);
    assert_eq!(world.events, [CallEventKind::Dtmf { leg: alice, digits: text("5#") }]);
}

#[test]
fn both_hang_up_at_once_and_each_hears_only_its_own_end() {
    let mut world = World::new();
    let (alice, bob) = world.call(SIP, SIP);
    world.hang_up(1, alice, HangupCause::Normal).unwrap();
    assert_eq!(world.hang_up(2, bob, HangupCause::Normal), Err(Refusal::NoSuchLeg));
    assert_eq!(world.heard(2), [ended(HangupCause::Normal)]);
    world.assert_nothing_is_kept();
}

#[test]
fn a_third_connection_finds_no_leg() {
    let mut world = World::new();
    let (alice, bob) = world.call(SIP, SIP);
    assert_eq!(world.hang_up(3, alice, HangupCause::Normal), Err(Refusal::NoSuchLeg));
    assert_eq!(world.hang_up(2, alice, HangupCause::Normal), Err(Refusal::NoSuchLeg), "not even the other party");
    assert_eq!(world.server.handle_hold(world.now, connection(3), bob, true), Err(Refusal::NoSuchLeg));
    let forged = world.server.handle_reoffer(world.now, connection(3), alice, text("x"));
    assert_eq!(forged, Err(Refusal::NoSuchLeg));
    assert_eq!(world.server.call_count(), 1);
}

#[test]
fn a_transfer_is_handed_to_the_party_that_is_moved() {
    let mut world = World::new();
    let (alice, bob) = world.call(SIP, SIP);
    world.server.handle_transfer(world.now, connection(1), alice, identity("eve"), None).unwrap();
    world.drain();
    let asked = Transfer { to: identity("eve"), replaces: None, by: identity("alice") };
    assert_eq!(world.heard(2), [LegMessage::Transfer(asked)]);
    world.server.handle_transfer_progress(connection(2), bob, Some(Ok(()))).unwrap();
    world.drain();
    assert_eq!(world.heard(1), [LegMessage::TransferProgress { outcome: Some(Ok(())) }]);
}

#[test]
fn a_transfer_of_a_party_that_cannot_call_itself_needs_media() {
    let mut world = World::new();
    let (alice, _) = world.call(SIP, RESUMING);
    let refused = world.server.handle_transfer(world.now, connection(1), alice, identity("eve"), None);
    assert_eq!(refused, Err(Refusal::NeedsMedia));
    let foreign = crate::Identity::new(crate::AccountId(2), "eve");
    let refused = world.server.handle_transfer(world.now, connection(1), alice, foreign, None);
    assert_eq!(refused, Err(Refusal::Targets));
}

#[test]
fn a_call_that_replaces_another_rings_at_its_party() {
    let mut world = World::new();
    let (_, bob) = world.call(SIP, SIP);
    let target = Target::Replacing(bob);
    world.dial_as(Dial { target, ..dial("eve", 3, "", SIP) }).unwrap();
    let [LegMessage::Invite { replaces, .. }] = &world.heard(2)[..] else { panic!() };
    assert_eq!(*replaces, Some(bob));
    let mut foreign = dial("eve", 3, "", SIP);
    foreign.from.identity = crate::Identity::new(crate::AccountId(2), "eve");
    assert_eq!(world.dial_as(Dial { target: Target::Replacing(bob), ..foreign }), Err(Refusal::NoSuchLeg));
}

#[test]
fn a_call_ends_with_its_longest_duration() {
    let mut world = World::with(CallLimits { duration_max: Duration::from_secs(3600), ..CallLimits::default() });
    world.call(SIP, SIP);
    world.advance(Duration::from_secs(3599));
    assert_eq!(world.server.call_count(), 1);
    world.advance(Duration::from_secs(1));
    assert_eq!(world.ended(), Some((HangupCause::DurationLimit, EndedBy::Server)));
    assert_eq!(
        (world.heard(1), world.heard(2)),
        (vec![ended(HangupCause::DurationLimit)], vec![ended(HangupCause::DurationLimit)])
    );
    world.assert_nothing_is_kept();
}

#[test]
fn a_shutdown_ends_every_call() {
    let mut world = World::new();
    world.call(SIP, SIP);
    world.server.handle_shutdown(world.now);
    world.drain();
    assert_eq!(
        (world.heard(1), world.heard(2)),
        (vec![ended(HangupCause::Shutdown)], vec![ended(HangupCause::Shutdown)])
    );
    world.assert_nothing_is_kept();
}
