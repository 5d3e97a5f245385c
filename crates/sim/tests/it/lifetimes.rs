//! Allocations, permissions and channels end when they should, to the second.

use causeway_sim::World;
use causeway_turn_client::Via;

use crate::secs;

const PEER: &str = "8.8.8.8:1000";
const SAME_IP: &str = "8.8.8.8:2000";
const OTHER: &str = "8.8.4.4:1000";

#[test]
fn refresh_restarts_the_lifetime_and_does_not_add_to_it() {
    let mut world = World::seeded(7);
    let allocation = world.client("alice").allocate(secs(600)).allocation();
    world.advance(secs(300));
    world.client("alice").refresh(secs(600)).granted();
    world.advance(secs(599)).assert_alive(&allocation);
    world.advance(secs(2)).assert_gone(&allocation);
    world.settle();
}

#[test]
fn an_allocation_lives_its_granted_lifetime_whatever_was_asked() {
    for (asked, granted) in [(0, 600), (1, 600), (600, 600), (601, 601), (3600, 3600), (3601, 3600), (100_000, 3600)] {
        let mut world = World::seeded(asked);
        let allocation = world.client("alice").allocate(secs(asked)).allocation();
        assert_eq!(allocation.lifetime, secs(granted), "asked {asked}");
        world.advance(secs(granted - 1)).assert_alive(&allocation);
        world.advance(secs(1)).assert_gone(&allocation);
        assert!(!world.client("alice").has_allocation(), "the client knows");
    }
}

#[test]
fn a_refresh_of_zero_ends_it_at_once_and_the_next_refresh_finds_nothing() {
    let mut world = World::seeded(7);
    let allocation = world.client("alice").allocate(secs(600)).allocation();
    world.client("alice").refresh(secs(0)).granted();
    world.assert_gone(&allocation);
    world.client("alice").refresh(secs(600)).refused(437);
    world.client("alice").allocate(secs(600)).granted();
    world.settle();
}

#[test]
fn a_credential_that_terminates_ends_the_allocation_with_it() {
    let mut world = World::seeded(7);
    // Carol's credential is good for 15 minutes and ends what lives on it.
    let allocation = world.client("carol").allocate(secs(3600)).allocation();
    world.advance(secs(899)).assert_alive(&allocation);
    world.advance(secs(2)).assert_gone(&allocation);
    world.client("carol").allocate(secs(600)).refused(401);
    world.settle();
}

/// Whether data passes now, from the client to the peer and back.
fn passes(world: &mut World, peer: &str) -> (bool, bool) {
    let relayed = world.relayed("alice");
    world.client("alice").indicate(peer, b"out");
    world.peer(peer).send(relayed, b"in");
    world.advance(secs(0));
    let out = world.peer(peer).take_received().iter().any(|arrived| arrived.data == b"out");
    let back = world.client("alice").take_received().iter().any(|arrived| arrived.data == b"in");
    (out, back)
}

#[test]
fn a_permission_lasts_300_seconds_for_every_port_of_its_peer_and_is_renewed_by_another() {
    // Deadlines decide, however late the timers run.
    for lateness in [0, 20] {
        let mut world = World::seeded(7);
        world.set_lateness(secs(lateness));
        world.client("alice").allocate(secs(3600)).granted();
        assert_eq!(passes(&mut world, PEER), (false, false), "closed until asked for");
        world.client("alice").permit(PEER).granted();
        assert_eq!((passes(&mut world, PEER), passes(&mut world, SAME_IP)), ((true, true), (true, true)));
        assert_eq!(passes(&mut world, OTHER), (false, false));
        world.advance(secs(299));
        assert_eq!(passes(&mut world, PEER), (true, true));
        // Data does not prolong it; it ends at the second.
        world.advance(secs(1));
        assert_eq!(passes(&mut world, PEER), (false, false));
        world.client("alice").permit(PEER).granted();
        world.advance(secs(200));
        world.client("alice").permit(PEER).granted();
        world.advance(secs(299));
        assert_eq!(passes(&mut world, PEER), (true, true), "it restarts");
        world.advance(secs(1));
        assert_eq!(passes(&mut world, PEER), (false, false), "it does not add up");
        world.settle();
    }
}

/// How many datagrams reach the peer over the channel, and how the peer's own comes back.
fn heard_on_channel(world: &mut World) -> (usize, Option<Via>) {
    let relayed = world.relayed("alice");
    world.client("alice").send_on(0x4000, b"on the channel");
    world.peer(PEER).send(relayed, b"back");
    world.advance(secs(0));
    let back = world.client("alice").take_received();
    (world.peer(PEER).take_received().len(), back.first().and_then(|arrived| arrived.via))
}

#[test]
fn a_channel_lasts_600_seconds_needs_its_permission_and_can_be_bound_again() {
    let both_ways = (1, Some(Via::Channel(0x4000)));
    for lateness in [0, 20] {
        let mut world = World::seeded(7);
        world.set_lateness(secs(lateness));
        world.client("alice").allocate(secs(3600)).granted();
        world.client("alice").bind(0x4000, PEER).granted();
        assert_eq!(heard_on_channel(&mut world), both_ways);
        // The permission that came with it ends after 300 seconds, and the channel is of no use without.
        world.advance(secs(300));
        assert_eq!(heard_on_channel(&mut world), (0, None));
        world.client("alice").permit(PEER).granted();
        assert_eq!(heard_on_channel(&mut world), both_ways);
        // The binding ends after 600: peers' data comes as indications again.
        world.advance(secs(299));
        assert_eq!(heard_on_channel(&mut world), both_ways);
        world.client("alice").permit(PEER).granted();
        world.advance(secs(1));
        assert_eq!(heard_on_channel(&mut world), (0, Some(Via::Indication)));
        world.client("alice").bind(0x4000, PEER).granted();
        assert_eq!(heard_on_channel(&mut world), both_ways);
        world.settle();
    }
}

#[test]
fn an_allocation_past_its_lifetime_carries_nothing_and_cannot_be_brought_back() {
    let mut world = World::seeded(7);
    world.set_lateness(secs(20));
    world.client("alice").allocate(secs(600)).granted();
    world.client("alice").bind(0x4000, PEER).granted();
    world.advance(secs(599));
    world.client("alice").permit(PEER).granted();
    let relayed = world.relayed("alice");
    world.advance(secs(1));
    world.client("alice").send_on(0x4000, b"late");
    world.client("alice").indicate(PEER, b"late");
    world.peer(PEER).send(relayed, b"late");
    world.advance(secs(0));
    assert_eq!((world.peer(PEER).take_received(), world.client("alice").take_received()), (vec![], vec![]));
    assert_eq!(world.allocation_count(), 1, "its timer has not run");
    world.client("alice").refresh(secs(600)).refused(437);
    assert_eq!(world.allocation_count(), 0);
    world.settle();
}

#[test]
fn a_channel_number_is_free_for_another_peer_when_its_binding_has_expired_and_not_before() {
    let mut world = World::seeded(7);
    world.client("alice").allocate(secs(3600)).granted();
    world.client("alice").bind(0x4000, PEER).granted();
    world.client("alice").bind(0x4000, OTHER).refused(400);
    world.client("alice").bind(0x4001, PEER).refused(400);
    // Without its permission it is of no use and still taken.
    world.advance(secs(599));
    world.client("alice").bind(0x4000, OTHER).refused(400);
    world.advance(secs(1));
    world.client("alice").bind(0x4000, OTHER).granted();
    assert_eq!(world.client("alice").send(OTHER, b"x"), Ok(Via::Channel(0x4000)));
    assert_eq!(world.client("alice").send(PEER, b"y"), Ok(Via::Indication));
    world.advance(secs(0));
    assert_eq!(world.peer(OTHER).take_received().len(), 1);
    assert_eq!(world.peer(PEER).take_received(), [], "its permission has ended too");
    world.settle();
}

#[test]
fn a_reserved_port_waits_30_seconds_for_its_token() {
    use causeway_turn_client::PortWish;
    for (wait, comes) in [(29, true), (31, false)] {
        let mut world = World::seeded(wait);
        let first = world.client("alice").allocate_port(PortWish::EvenAndReserveNext).allocation();
        let token = first.reservation_token.expect("the next port was asked for");
        world.advance(secs(wait));
        let reply = world.client("alice-phone").allocate_port(PortWish::Reserved(token));
        if comes {
            assert_eq!(reply.allocation().relayed[0].port(), first.relayed[0].port() + 1);
        } else {
            reply.refused(508);
        }
        world.settle();
    }
}
