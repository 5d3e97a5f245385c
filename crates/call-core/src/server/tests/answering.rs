//! From the dial to the answer.

use std::time::Duration;

use super::world::{RESUMING, SIP, World, connection, dial, ended, identity, text};
use crate::{
    CallEventKind, CallLimits, Candidate, Dial, EndedBy, HangupCause, Header, LegMessage, Progress, Refusal, RingRule,
    Target,
};

fn to_all(from: &str, number: u64, to: &str) -> Dial {
    Dial { ring: RingRule::All, ..dial(from, number, to, SIP) }
}

#[test]
fn a_call_rings_is_answered_and_ends_with_nothing_kept() {
    let mut world = World::new();
    world.register("bob", 2, SIP);
    let headers = vec![Header { name: "X-Order".into(), value: "7".into() }];
    let alice = world.dial_as(Dial { headers: headers.clone(), ..dial("alice", 1, "bob", SIP) }).unwrap();
    let bob = world.invited(2).unwrap();
    assert_ne!(alice, bob);
    let [LegMessage::Invite { from, to, headers: passed, replaces: None, .. }] = &world.heard(2)[..] else { panic!() };
    assert_eq!((&from.identity, to, passed), (&identity("alice"), &identity("bob"), &headers));
    world.server.handle_progress(world.now, connection(2), bob, Progress::Ringing).unwrap();
    world.server.handle_progress(world.now, connection(2), bob, Progress::Ringing).unwrap();
    world.drain();
    assert_eq!(world.heard(1), [LegMessage::Ringing], "once, however often the device says so");
    world.answer(2, bob).unwrap();
    let [LegMessage::Answered { by, .. }] = &world.heard(1)[..] else { panic!() };
    assert_eq!(*by, identity("bob"));
    assert_eq!(world.server.leg(alice).unwrap().other, Some(bob));
    world.hang_up(1, alice, HangupCause::Normal).unwrap();
    assert_eq!(world.heard(2), [ended(HangupCause::Normal)]);
    assert_eq!(world.heard(1), [], "who hangs up is not told");
    assert_eq!(world.ended(), Some((HangupCause::Normal, EndedBy::Caller)));
    world.assert_nothing_is_kept();
}

#[test]
fn nobody_registered_is_told_at_once() {
    let mut world = World::new();
    world.dial("alice", 1, "bob");
    assert_eq!(world.heard(1), [ended(HangupCause::NotRegistered)]);
    world.assert_nothing_is_kept();
}

#[test]
fn the_newest_rings_and_the_next_newest_when_it_goes() {
    let mut world = World::new();
    for number in 2..5 {
        world.register("bob", number, SIP);
    }
    world.dial("alice", 1, "bob");
    assert!(world.invited(4).is_some() && world.invited(3).is_none());
    world.cut(4);
    assert!(world.invited(3).is_some() && world.invited(2).is_none());
    world.cut(3);
    world.cut(2);
    assert_eq!(world.heard(1), [ended(HangupCause::ConnectionLost)]);
    world.assert_nothing_is_kept();
}

#[test]
fn the_newest_that_is_busy_ends_the_call() {
    let mut world = World::new();
    world.register("bob", 2, SIP);
    world.register("bob", 3, SIP);
    world.dial("alice", 1, "bob");
    let bob = world.invited(3).unwrap();
    world.hang_up(3, bob, HangupCause::Busy).unwrap();
    assert_eq!(world.heard(1), [ended(HangupCause::Busy)]);
    assert_eq!(world.invited(2), None);
    world.assert_nothing_is_kept();
}

#[test]
fn all_ring_and_the_first_answer_wins() {
    let mut world = World::new();
    world.register("bob", 2, SIP);
    world.register("bob", 3, SIP);
    world.dial_as(to_all("alice", 1, "bob")).unwrap();
    let (first, second) = (world.invited(2).unwrap(), world.invited(3).unwrap());
    world.said.clear();
    world.answer(2, first).unwrap();
    assert_eq!(world.heard(3), [ended(HangupCause::AnsweredElsewhere)]);
    assert_eq!(world.answer(3, second), Err(Refusal::NoSuchLeg), "an answer that crosses");
    assert_eq!(world.heard(1).len(), 1);
    assert_eq!(world.server.leg_count(), 2);
}

#[test]
fn one_busy_device_leaves_the_others_ringing_and_the_weightiest_reason_is_told() {
    let mut world = World::new();
    world.register("bob", 2, SIP);
    world.register("bob", 3, SIP);
    world.dial_as(to_all("alice", 1, "bob")).unwrap();
    let (first, second) = (world.invited(2).unwrap(), world.invited(3).unwrap());
    world.hang_up(2, first, HangupCause::Busy).unwrap();
    assert_eq!(world.heard(1), []);
    world.hang_up(3, second, HangupCause::NoAnswer).unwrap();
    assert_eq!(world.heard(1), [ended(HangupCause::Busy)]);
    world.assert_nothing_is_kept();
}

#[test]
fn a_user_who_declines_declines_on_all_devices() {
    let mut world = World::new();
    world.register("bob", 2, SIP);
    world.register("bob", 3, SIP);
    world.dial_as(to_all("alice", 1, "bob")).unwrap();
    let first = world.invited(2).unwrap();
    world.said.clear();
    world.hang_up(2, first, HangupCause::Rejected).unwrap();
    assert_eq!(world.heard(3), [ended(HangupCause::AnsweredElsewhere)]);
    assert_eq!(world.heard(1), [ended(HangupCause::Rejected)]);
    world.assert_nothing_is_kept();
}

#[test]
fn several_callees_ring_and_one_who_declines_leaves_the_other() {
    let mut world = World::new();
    world.register("bob", 2, SIP);
    world.register("eve", 3, SIP);
    let both = Target::Identities(vec![identity("bob"), identity("eve")]);
    world.dial_as(Dial { target: both, ..dial("alice", 1, "", SIP) }).unwrap();
    let (bob, eve) = (world.invited(2).unwrap(), world.invited(3).unwrap());
    world.hang_up(2, bob, HangupCause::Rejected).unwrap();
    assert_eq!(world.heard(1), []);
    world.answer(3, eve).unwrap();
    assert!(matches!(world.heard(1)[..], [LegMessage::Answered { .. }]));
}

#[test]
fn a_caller_who_gives_up_cancels_whatever_reason_it_names() {
    let mut world = World::new();
    world.register("bob", 2, SIP);
    let alice = world.dial("alice", 1, "bob");
    let bob = world.invited(2).unwrap();
    world.said.clear();
    world.hang_up(1, alice, HangupCause::Busy).unwrap();
    assert_eq!(world.heard(2), [ended(HangupCause::Cancelled)]);
    assert_eq!(world.answer(2, bob), Err(Refusal::NoSuchLeg), "the answer that crosses the cancel");
    world.assert_nothing_is_kept();
}

#[test]
fn nobody_answers_in_time() {
    let mut world = World::new();
    world.register("bob", 2, SIP);
    world.dial_as(Dial { ring_for: Some(Duration::from_secs(20)), ..dial("alice", 1, "bob", SIP) }).unwrap();
    world.advance(Duration::from_millis(19_999));
    assert_eq!(world.heard(1), []);
    world.said.clear();
    world.advance(Duration::from_millis(1));
    assert_eq!(world.heard(1), [ended(HangupCause::NoAnswer)]);
    assert_eq!(world.heard(2), [ended(HangupCause::NoAnswer)]);
    world.assert_nothing_is_kept();
}

#[test]
fn a_ring_time_beyond_the_limit_is_the_limit() {
    let mut world = World::new();
    world.register("bob", 2, SIP);
    world.dial_as(Dial { ring_for: Some(Duration::from_secs(6000)), ..dial("alice", 1, "bob", SIP) }).unwrap();
    world.advance(CallLimits::default().ring_max);
    assert_eq!(world.heard(1), [ended(HangupCause::NoAnswer)]);
}

fn candidate(line: &str) -> Candidate {
    Candidate { line: text(line), mid: Some(text("0")), media_index: None }
}

#[test]
fn candidates_are_gathered_for_a_callee_that_cannot_trickle() {
    let mut world = World::new();
    world.register("bob", 2, SIP);
    let alice = world.dial_as(Dial { is_trickling: true, ..dial("alice", 1, "bob", RESUMING) }).unwrap();
    assert_eq!(world.invited(2), None);
    world.server.handle_candidate(connection(1), alice, candidate("candidate:1")).unwrap();
    world.server.handle_end_of_candidates(world.now, connection(1), alice).unwrap();
    world.drain();
    let [LegMessage::Invite { offer, .. }] = &world.heard(2)[..] else { panic!() };
    assert!(offer.ends_with("a=mid:0\na=candidate:1\n"), "{offer}");
}

#[test]
fn gathering_ends_with_its_time() {
    let mut world = World::new();
    world.register("bob", 2, SIP);
    world.dial_as(Dial { is_trickling: true, ..dial("alice", 1, "bob", RESUMING) }).unwrap();
    world.advance(CallLimits::default().gather_max);
    assert!(world.invited(2).is_some());
}

#[test]
fn candidates_pass_to_a_callee_that_takes_them() {
    let mut world = World::new();
    world.register("bob", 2, RESUMING);
    let alice = world.dial_as(Dial { is_trickling: true, ..dial("alice", 1, "bob", RESUMING) }).unwrap();
    assert!(world.invited(2).is_some(), "without waiting");
    world.said.clear();
    world.server.handle_candidate(connection(1), alice, candidate("candidate:1")).unwrap();
    world.server.handle_end_of_candidates(world.now, connection(1), alice).unwrap();
    world.drain();
    assert_eq!(world.heard(2), [LegMessage::Candidate(candidate("candidate:1")), LegMessage::EndOfCandidates]);
}

#[test]
fn an_answer_that_trickles_is_gathered_for_a_caller_that_cannot() {
    let mut world = World::new();
    world.register("bob", 2, RESUMING);
    world.dial("alice", 1, "bob");
    let bob = world.invited(2).unwrap();
    let answer = text("v=0\nm=audio 9 X 0\na=mid:0\n");
    world.server.handle_answer(world.now, connection(2), bob, answer, Vec::new(), true).unwrap();
    world.server.handle_candidate(connection(2), bob, candidate("candidate:9")).unwrap();
    world.drain();
    assert_eq!(world.heard(1), []);
    world.advance(CallLimits::default().gather_max);
    let [LegMessage::Answered { answer, .. }] = &world.heard(1)[..] else { panic!() };
    assert!(answer.ends_with("a=candidate:9\n"), "{answer}");
}

#[test]
fn a_candidate_with_a_line_end_is_refused() {
    let mut world = World::new();
    world.register("bob", 2, RESUMING);
    let alice = world.dial_as(Dial { is_trickling: true, ..dial("alice", 1, "bob", RESUMING) }).unwrap();
    let forged = candidate("candidate:1\r\na=setup:active");
    assert_eq!(world.server.handle_candidate(connection(1), alice, forged), Err(Refusal::Candidates));
}

#[test]
fn early_media_passes_while_one_device_rings_and_only_once() {
    let mut world = World::new();
    world.register("bob", 2, SIP);
    world.dial("alice", 1, "bob");
    let bob = world.invited(2).unwrap();
    let early = || Progress::Early { answer: text("v=0\n") };
    world.server.handle_progress(world.now, connection(2), bob, early()).unwrap();
    assert_eq!(world.server.handle_progress(world.now, connection(2), bob, early()), Err(Refusal::WrongState));
    world.drain();
    assert_eq!(world.heard(1), [LegMessage::Early { answer: text("v=0\n") }]);
}

#[test]
fn early_media_of_one_of_two_ringing_devices_is_not_passed() {
    let mut world = World::new();
    world.register("bob", 2, SIP);
    world.register("bob", 3, SIP);
    world.dial_as(to_all("alice", 1, "bob")).unwrap();
    let bob = world.invited(2).unwrap();
    let early = Progress::Early { answer: text("v=0\n") };
    assert_eq!(world.server.handle_progress(world.now, connection(2), bob, early), Err(Refusal::WrongState));
}

#[test]
fn a_parked_call_waits_is_redirected_and_rings() {
    let mut world = World::new();
    world.register("eve", 3, SIP);
    let alice = world.dial_as(Dial { target: Target::Parked, ..dial("alice", 1, "", SIP) }).unwrap();
    assert_eq!(world.heard(1), [LegMessage::Parked]);
    world.server.handle_redirect(world.now, alice, vec![identity("eve")], RingRule::Newest, None).unwrap();
    world.drain();
    let eve = world.invited(3).unwrap();
    world.answer(3, eve).unwrap();
    assert!(matches!(world.heard(1)[..], [LegMessage::Answered { .. }]));
    let again = world.server.handle_redirect(world.now, alice, vec![identity("bob")], RingRule::Newest, None);
    assert_eq!(again, Err(Refusal::NeedsMedia), "an answered call");
}

#[test]
fn a_parked_call_ends_with_its_time_or_by_its_backend() {
    let mut world = World::new();
    let parked =
        |world: &mut World| world.dial_as(Dial { target: Target::Parked, ..dial("alice", 1, "", SIP) }).unwrap();
    parked(&mut world);
    world.advance(CallLimits::default().park_max);
    assert_eq!(world.heard(1), [LegMessage::Parked, ended(HangupCause::NoAnswer)]);
    let leg = parked(&mut world);
    world.server.handle_end(world.now, leg, HangupCause::Rejected).unwrap();
    world.drain();
    assert_eq!(world.heard(1), [LegMessage::Parked, ended(HangupCause::Rejected)]);
    world.assert_nothing_is_kept();
}

#[test]
fn a_ringing_call_is_redirected_and_the_device_that_rang_is_cancelled() {
    let mut world = World::new();
    world.register("bob", 2, SIP);
    world.register("eve", 3, SIP);
    let alice = world.dial("alice", 1, "bob");
    world.said.clear();
    world.server.handle_redirect(world.now, alice, vec![identity("eve")], RingRule::Newest, None).unwrap();
    world.drain();
    assert_eq!(world.heard(2), [ended(HangupCause::Cancelled)]);
    assert!(world.invited(3).is_some());
    assert!(world.events.contains(&CallEventKind::Redirected { to: vec![identity("eve")] }));
}

#[test]
fn limits_hold_at_themselves_and_refuse_one_more() {
    let limits =
        CallLimits { calls_max: 2, legs_per_connection_max: 1, description_bytes_max: 30, ..CallLimits::default() };
    let mut world = World::with(limits);
    world.register("bob", 2, SIP);
    let long = Dial { offer: text(&"v".repeat(31)), ..dial("alice", 1, "bob", SIP) };
    assert_eq!(world.dial_as(long), Err(Refusal::Description));
    let none = Dial { offer: text(""), ..dial("alice", 1, "bob", SIP) };
    assert_eq!(world.dial_as(none), Err(Refusal::Description));
    world.dial_as(dial("alice", 1, "bob", SIP)).unwrap();
    assert_eq!(world.dial_as(dial("alice", 1, "bob", SIP)), Err(Refusal::TooManyLegs));
    world.said.clear();
    world.dial_as(dial("eve", 3, "bob", SIP)).unwrap();
    assert_eq!(world.heard(3), [ended(HangupCause::Busy)], "bob's connection has its one leg");
    world.dial_as(Dial { target: Target::Parked, ..dial("kim", 4, "", SIP) }).unwrap();
    assert_eq!(world.dial_as(dial("lea", 5, "bob", SIP)), Err(Refusal::TooManyCalls));
    let many = Target::Identities(vec![identity("bob"); 17]);
    let mut world = World::new();
    assert_eq!(world.dial_as(Dial { target: many, ..dial("lea", 5, "", SIP) }), Err(Refusal::Targets));
    let headers = vec![Header { name: "X-A".into(), value: "a".repeat(8 * 1024) }];
    assert_eq!(world.dial_as(Dial { headers, ..dial("lea", 5, "bob", SIP) }), Err(Refusal::Headers));
}

#[test]
fn another_accounts_identity_is_not_a_target() {
    let mut world = World::new();
    let foreign = crate::Identity::new(crate::AccountId(2), "bob");
    let target = Target::Identities(vec![foreign]);
    assert_eq!(world.dial_as(Dial { target, ..dial("alice", 1, "", SIP) }), Err(Refusal::Targets));
}
