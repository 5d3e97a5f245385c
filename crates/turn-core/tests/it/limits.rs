//! What a credential may, and how that changes while its allocations live.

use std::collections::BTreeSet;

use causeway_stun_codec::{Method, attributes::MobilityTicket};
use causeway_turn_core::{Admission, DropReason, Forward, GrantLimits, Output};
use causeway_types::{AllocationEndReason, AuthRefusal, ClientTransport, LimitName, RelayEvent};

use crate::world::{World, goes_to};

fn refusals(world: &World) -> Vec<AuthRefusal> {
    let refusal = |event: &RelayEvent| {
        let RelayEvent::AuthRefused { refusal, .. } = event else { return None };
        Some(refusal.clone())
    };
    world.events.iter().filter_map(refusal).collect()
}

fn reasons(world: &World) -> Vec<AllocationEndReason> {
    let reason = |event: &RelayEvent| {
        let RelayEvent::AllocationEnded { reason, .. } = event else { return None };
        Some(*reason)
    };
    world.events.iter().filter_map(reason).collect()
}

#[test]
fn the_credentials_own_quota_goes_with_the_question_and_its_refusal_is_named() {
    let mut world = World::new();
    world.users[0].limits.allocations_max = Some(3);
    world.late = true;
    let mut alice = world.alice();
    alice.challenge(&mut world);
    let bytes = alice.signed(&mut world, Method::ALLOCATE, |b| {
        b.attribute(&causeway_stun_codec::attributes::RequestedTransport::UDP)
    });
    assert_eq!(world.feed(alice.leg, &bytes), Forward::Nothing);
    world.admission = Admission::CredentialQuota;
    world.answer_late_questions();
    world.last_reply().refused(486);
    assert_eq!(world.asked_quota, [Some(3)]);
    let reached = |event: &RelayEvent| matches!(event, RelayEvent::LimitReached { limit: LimitName::AllocationsPerCredential, username: Some(name), .. } if &**name == "alice");
    assert!(world.events.iter().any(reached));
}

#[test]
fn from_another_address_the_credential_is_as_good_as_a_wrong_key() {
    for (bound, admitted) in
        [("203.0.113.10", true), ("::ffff:203.0.113.10", true), ("203.0.113.11", false), ("2001:db8::1", false)]
    {
        let mut world = World::new();
        world.users[0].limits.client_ip = Some(bound.parse().unwrap());
        let reply = world.alice().allocate(&mut world, |b| b);
        if admitted {
            reply.granted();
            assert_eq!(refusals(&world), []);
        } else {
            let mut liar = world.alice();
            liar.password = "wrong";
            let wrong = liar.allocate(&mut world, |b| b).refused(401);
            assert_eq!(reply.clone().refused(401).0.len(), wrong.0.len(), "nothing tells the two apart");
            assert_eq!(refusals(&world), [AuthRefusal::OtherAddress, AuthRefusal::WrongKey]);
            assert_eq!(world.relays_opened(), 0);
        }
    }
}

#[test]
fn a_ticket_does_not_carry_a_bound_credential_to_another_address() {
    let mut world = World::new();
    world.users[0].limits.client_ip = Some("203.0.113.10".parse().unwrap());
    let mut alice = world.alice();
    let reply = alice.allocate(&mut world, |b| b.attribute(&MobilityTicket(&[]))).granted();
    let ticket = reply.message().attribute::<MobilityTicket<'_>>().unwrap().unwrap().0.to_vec();
    for (place, code) in [("203.0.113.99:5000", Some(401)), ("203.0.113.10:6000", None)] {
        let mut moved = world.client("alice", ClientTransport::Udp, place);
        let reply = moved.request(&mut world, Method::REFRESH, |b| b.attribute(&MobilityTicket(&ticket)));
        assert_eq!(reply.code(), code, "{place}");
    }
    assert_eq!(refusals(&world), [AuthRefusal::OtherAddress]);
}

#[test]
fn used_up_bytes_end_the_allocation_and_are_named() {
    let mut world = World::new();
    world.users[0].limits.bytes_max = Some(10);
    let mut alice = world.allocated();
    alice.bind(&mut world, 0x4000, "8.8.8.8:1").granted();
    assert!(matches!(world.peer_says(0, "8.8.8.8:1", 10), Forward::ToClient { .. }));
    assert_eq!(world.peer_says(0, "8.8.8.8:1", 1), Forward::Nothing);
    let named =
        |event: &RelayEvent| matches!(event, RelayEvent::LimitReached { limit: LimitName::BytesPerCredential, .. });
    assert_eq!(world.events.iter().filter(|e| named(e)).count(), 1);
    assert_eq!(reasons(&world), [AllocationEndReason::QuotaReached]);
}

#[test]
fn many_users_are_ended_at_once_and_others_live_on() {
    let mut world = World::new();
    for (name, host) in [("alice", 1), ("alice", 2), ("bob", 3), ("bob", 4), ("alice", 5)] {
        world.client(name, ClientTransport::Udp, &format!("203.0.113.{host}:5")).allocate(&mut world, |b| b).granted();
    }
    let names = |names: &[&str]| -> BTreeSet<String> { names.iter().map(|&name| name.to_owned()).collect() };
    assert_eq!(world.server.terminate_users(world.now, &names(&["mallory", "alice"])), 3);
    world.drain();
    assert_eq!(reasons(&world), [AllocationEndReason::Terminated; 3]);
    assert_eq!(world.server.allocation_count(), 2);
    assert_eq!(world.server.terminate_users(world.now, &names(&["alice"])), 0);
    assert_eq!(world.server.terminate_users(world.now, &names(&["bob", "carol"])), 2);
}

#[test]
fn a_request_under_way_does_not_outlive_the_revocation_of_its_user() {
    for answered in 0..3 {
        let mut world = World::new();
        let mut alice = world.alice();
        alice.challenge(&mut world);
        world.late = true;
        let bytes = alice.signed(&mut world, Method::ALLOCATE, |b| {
            b.attribute(&causeway_stun_codec::attributes::RequestedTransport::UDP)
        });
        assert_eq!(world.feed(alice.leg, &bytes), Forward::Nothing);
        for _ in 0..answered {
            assert!(world.answer_next_question());
        }
        assert_eq!(world.server.terminate_user(world.now, "alice"), 0);
        world.drain();
        world.answer_late_questions();
        assert_eq!(world.server.allocation_count(), 0, "after {answered} answers");
        let given_back = world.others.iter().filter(|o| matches!(o, Output::ReleaseAdmission { .. })).count();
        assert_eq!(given_back, world.admissions_granted);
    }
}

#[test]
fn new_limits_take_effect_on_live_allocations() {
    let mut world = World::new();
    let mut alice = world.allocated();
    let mut bob = world.client("bob", ClientTransport::Udp, "203.0.113.20:5000");
    bob.allocate(&mut world, |b| b).granted();
    for client in [&mut alice, &mut bob] {
        client.bind(&mut world, 0x4000, "8.8.8.8:1").granted();
    }
    let limit = |world: &mut World, limits: GrantLimits| {
        assert_eq!(world.server.limit_user(world.now, "alice", limits), 1);
        world.drain();
    };
    let data = [0; 1000];
    let passed =
        |world: &mut World| (0..200).filter(|_| goes_to(alice.say_on(world, 0x4000, &data), "8.8.8.8:1")).count();
    assert_eq!(passed(&mut world), 200);
    limit(&mut world, GrantLimits { bandwidth: Some(1000), ..GrantLimits::default() });
    assert!(passed(&mut world) < 100);
    assert!(world.drops(DropReason::BandwidthFromClient) > 100);
    let reached = |event: &&RelayEvent| matches!(event, RelayEvent::LimitReached { limit: LimitName::BandwidthPerAllocation, username: Some(name), five_tuple: Some(_) } if &**name == "alice");
    assert_eq!(world.events.iter().filter(reached).count(), 1, "told the first time");
    limit(&mut world, GrantLimits::default());
    assert_eq!(passed(&mut world), 200);
    // What it has carried by now is more than this: it ends at once.
    assert_eq!(reasons(&world), []);
    limit(&mut world, GrantLimits { bytes_max: Some(400_000), ..GrantLimits::default() });
    assert_eq!(reasons(&world), [AllocationEndReason::QuotaReached]);
    assert!(goes_to(bob.say_on(&mut world, 0x4000, &data), "8.8.8.8:1"), "another user's");

    let limits = GrantLimits { client_ip: Some("203.0.113.20".parse().unwrap()), ..GrantLimits::default() };
    assert_eq!(world.server.limit_user(world.now, "bob", limits), 1);
    world.drain();
    assert_eq!(world.server.allocation_count(), 1, "bob is where he may be");
    let limits = GrantLimits { client_ip: Some("203.0.113.21".parse().unwrap()), ..GrantLimits::default() };
    assert_eq!(world.server.limit_user(world.now, "bob", limits), 1);
    world.drain();
    assert_eq!(world.server.allocation_count(), 0);
    assert_eq!(world.server.limit_user(world.now, "bob", limits), 0);
}
