//! Routers forget and reuse ports: what a five-tuple holds belongs to its user, not to whoever speaks from it.

use causeway_sim::World;

use crate::secs;

const PEER: &str = "8.8.8.8:1000";

#[test]
fn a_client_whose_port_changed_has_lost_its_allocation_and_makes_another() {
    let mut world = World::seeded(7);
    let first = world.client_at_home("alice-phone").allocate(secs(600)).allocation();
    world.client_at_home("bob").refresh(secs(600)).refused(437);
    world.client_at_home("alice-phone").rebind();
    world.client_at_home("carol").refresh(secs(600)).refused_unsigned(441);
    // Her old port is Carol's now; hers is another, where the server knows of nothing.
    world.client_at_home("alice-phone").refresh(secs(600)).refused(437);
    let second = world.client_at_home("alice-phone").allocate(secs(600)).allocation();
    assert_ne!(first.mapped, second.mapped);
    assert_ne!(first.relayed, second.relayed);
    // The first one lives until its own end, since nobody refreshes it.
    world.assert_alive(&first);
    world.advance(secs(600));
    world.assert_gone(&first);
    world.settle();
}

#[test]
fn who_gets_the_port_of_another_user_cannot_touch_what_is_left_there() {
    let mut world = World::seeded(7);
    let left = world.client_at_home("alice-phone").allocate(secs(600)).allocation();
    world.client_at_home("alice-phone").rebind();
    assert_eq!(world.client_at_home("bob").public(), left.mapped, "the port is reused");
    // The server says no, and cannot sign it: the keys at hand are Alice's.
    world.client_at_home("bob").allocate(secs(600)).refused_unsigned(437);
    world.client_at_home("bob").refresh(secs(0)).refused_unsigned(441);
    world.client_at_home("bob").permit(PEER).refused_unsigned(441);
    world.client_at_home("bob").bind(0x4000, PEER).refused_unsigned(441);
    world.client_at_home("bob").indicate(PEER, b"from bob");
    world.advance(secs(1));
    assert_eq!(world.peer(PEER).take_received(), [], "nothing leaves without a permission");
    world.assert_alive(&left);
    // When it has expired, the five-tuple is Bob's.
    world.advance(secs(600)).assert_gone(&left);
    let own = world.client_at_home("bob").allocate(secs(600)).allocation();
    assert_eq!(own.mapped, left.mapped);
    world.client_at_home("bob").permit(PEER).granted();
    world.settle();
}

#[test]
fn a_client_that_starts_again_on_its_port_finds_its_allocation_and_may_end_it() {
    let mut world = World::seeded(7);
    let first = world.client("alice").allocate(secs(600)).allocation();
    world.client("alice").restart();
    world.client("alice").allocate(secs(600)).refused(437);
    world.assert_alive(&first);
    world.client("alice").refresh(secs(0)).granted();
    world.assert_gone(&first);
    world.client("alice").allocate(secs(600)).granted();
    world.settle();
}

#[test]
fn a_five_tuple_used_again_after_expiry_inherits_nothing() {
    let mut world = World::seeded(7);
    world.client("alice").allocate(secs(600)).granted();
    world.client("alice").bind(0x4000, PEER).granted();
    world.advance(secs(600));
    world.client("alice").restart();
    world.client("alice").allocate(secs(600)).granted();
    let relayed = world.relayed("alice");
    world.client("alice").send_on(0x4000, b"old channel");
    world.client("alice").indicate(PEER, b"old permission");
    world.peer(PEER).send(relayed, b"old friend");
    world.advance(secs(1));
    assert_eq!(world.peer(PEER).take_received(), []);
    assert_eq!(world.client("alice").take_received(), []);
    // And the number is free for another peer.
    world.client("alice").bind(0x4000, "8.8.4.4:1000").granted();
    world.settle();
}

#[test]
fn a_relay_port_used_again_does_not_bring_the_peers_of_its_last_owner() {
    let mut world = World::seeded(7);
    let first = world.client("alice").allocate(secs(600)).allocation();
    world.client("alice").permit(PEER).granted();
    world.client("alice").refresh(secs(0)).granted();
    let second = world.client("bob").allocate(secs(600)).allocation();
    assert_eq!(first.relayed, second.relayed, "the port is reused");
    world.peer(PEER).send(first.relayed[0], b"for alice");
    world.advance(secs(1));
    assert_eq!((world.client("alice").take_received(), world.client("bob").take_received()), (vec![], vec![]));
    world.settle();
}
