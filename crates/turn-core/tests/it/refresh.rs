//! Lifetimes (RFC 8656 §6, §8).

use causeway_stun_codec::{
    Method,
    attributes::{AdditionalAddressFamily, Lifetime, RequestedAddressFamily},
};
use causeway_turn_core::{DropReason, Forward, Output, RelayId};
use causeway_types::{AddressFamily, AllocationEndReason, RelayEvent};

use crate::world::{World, secs};

#[test]
fn requests_without_an_allocation_get_437() {
    let mut world = World::new();
    let mut alice = world.alice();
    alice.request(&mut world, Method::REFRESH, |b| b).refused(437);
    alice.permit(&mut world, &["8.8.8.8:1"]).refused(437);
    alice.bind(&mut world, 0x4000, "8.8.8.8:1").refused(437);
}

#[test]
fn refresh_restarts_the_lifetime_and_does_not_add_to_it() {
    let mut world = World::new();
    let mut alice = world.allocated();
    world.advance(secs(300));
    alice.request(&mut world, Method::REFRESH, |b| b.attribute(&Lifetime(600))).granted();
    world.advance(secs(599));
    assert_eq!(world.server.allocation_count(), 1);
    world.advance(secs(2));
    assert_eq!(world.server.allocation_count(), 0);
}

#[test]
fn refresh_with_lifetime_zero_deletes_at_once() {
    let mut world = World::new();
    let mut alice = world.allocated();
    let reply = alice.request(&mut world, Method::REFRESH, |b| b.attribute(&Lifetime(0))).granted();
    assert_eq!(reply.message().attribute::<Lifetime>().unwrap().unwrap().0, 0);
    assert_eq!(world.server.allocation_count(), 0);
    assert!(world.others.iter().any(|o| matches!(o, Output::CloseRelay { relay: RelayId(0) })));
    assert!(world.others.iter().any(|o| matches!(o, Output::ReleaseAdmission { .. })));
    assert!(matches!(
        world.events.last(),
        Some(RelayEvent::AllocationEnded { reason: AllocationEndReason::ClientDeleted, .. })
    ));
}

#[test]
fn what_a_deleted_allocation_held_is_given_back_before_the_client_hears_of_it() {
    let mut world = World::new();
    let mut alice = world.allocated();
    let bytes = alice.signed(&mut world, Method::REFRESH, |b| b.attribute(&Lifetime(0)));
    world.server.handle_client_message(world.now, alice.leg, &bytes);
    let mut order = Vec::new();
    while let Some(output) = world.server.poll_output() {
        if matches!(output, Output::CloseRelay { .. }) {
            order.push("port");
        } else if matches!(output, Output::ReleaseAdmission { .. }) {
            order.push("place");
        } else if matches!(output, Output::Transmit(_)) {
            order.push("answer");
        }
    }
    assert_eq!(order, ["port", "place", "answer"]);
}

#[test]
fn refresh_with_lifetime_zero_and_a_family_deletes_that_half() {
    let mut world = World::new();
    let mut alice = world.alice();
    alice.allocate(&mut world, |b| b.attribute(&AdditionalAddressFamily(Ok(AddressFamily::V6)))).granted();
    let v6 = RequestedAddressFamily(Ok(AddressFamily::V6));
    alice.request(&mut world, Method::REFRESH, |b| b.attribute(&Lifetime(0)).attribute(&v6)).granted();
    assert_eq!(world.server.allocation_count(), 1);
    assert!(world.others.iter().any(|o| matches!(o, Output::CloseRelay { relay: RelayId(1) })));
    alice.permit(&mut world, &["8.8.8.8:1"]).granted();
    alice.permit(&mut world, &["[2606:4700::1111]:1"]).refused(443);
}

#[test]
fn refresh_of_a_family_the_allocation_does_not_have_gets_443() {
    let mut world = World::new();
    let mut alice = world.allocated();
    for family in [Ok(AddressFamily::V6), Err(9)] {
        alice.request(&mut world, Method::REFRESH, |b| b.attribute(&RequestedAddressFamily(family))).refused(443);
    }
    alice
        .request(&mut world, Method::REFRESH, |b| b.attribute(&RequestedAddressFamily(Ok(AddressFamily::V4))))
        .granted();
}

#[test]
fn an_expired_allocation_is_gone_even_when_the_timer_is_late() {
    let mut world = World::new();
    let mut alice = world.allocated();
    alice.permit(&mut world, &["8.8.8.8:1"]).granted();
    alice.bind(&mut world, 0x4000, "8.8.8.8:1").granted();
    world.advance(secs(400));
    alice.bind(&mut world, 0x4000, "8.8.8.8:1").granted();
    world.advance_without_timers(secs(200));
    assert_eq!(alice.say(&mut world, "8.8.8.8:1", b"x"), Forward::Nothing);
    assert_eq!(alice.say_on(&mut world, 0x4000, b"x"), Forward::Nothing);
    assert_eq!(world.peer_says(0, "8.8.8.8:1", 10), Forward::Nothing);
    assert_eq!(world.drops(DropReason::NoAllocation), 3);
}

#[test]
fn no_request_brings_back_an_allocation_whose_timer_is_late() {
    let mut world = World::new();
    let mut alice = world.allocated();
    world.advance_without_timers(secs(600));
    alice.request(&mut world, Method::REFRESH, |b| b.attribute(&Lifetime(600))).refused(437);
    assert_eq!(world.server.allocation_count(), 0);
}
