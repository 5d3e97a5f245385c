//! Mobility (RFC 8016).

use causeway_stun_codec::{
    AttributeType, Method,
    attributes::{Lifetime, MobilityTicket},
};
use causeway_types::{ClientTransport, RelayEvent};

use crate::world::{Client, Reply, World, config, goes_to, secs};

fn ticket(reply: &Reply) -> Vec<u8> {
    let message = reply.message();
    message.attribute::<MobilityTicket<'_>>().expect("well formed").expect("a ticket").0.to_vec()
}

/// Alice with a mobile allocation, and her ticket.
fn mobile(world: &mut World, transport: ClientTransport) -> (Client, Vec<u8>) {
    let mut alice = world.client("alice", transport, "203.0.113.10:5000");
    let reply = alice.allocate(world, |b| b.attribute(&MobilityTicket(&[]))).granted();
    let ticket = ticket(&reply);
    (alice, ticket)
}

#[test]
fn an_allocation_moves_with_its_ticket_and_gets_a_new_one() {
    let mut world = World::new();
    let (mut alice, old) = mobile(&mut world, ClientTransport::Udp);
    alice.permit(&mut world, &["8.8.8.8:1"]).granted();
    alice.bind(&mut world, 0x4000, "8.8.8.8:1").granted();
    let mut moved = world.client("alice", ClientTransport::Tcp, "203.0.113.77:9000");
    let reply = moved.request(&mut world, Method::REFRESH, |b| b.attribute(&MobilityTicket(&old))).granted();
    assert_ne!(ticket(&reply), old);
    assert!(world.events.iter().any(|e| matches!(e, RelayEvent::AllocationMoved { .. })));
    assert!(goes_to(moved.say_on(&mut world, 0x4000, b"x"), "8.8.8.8:1"), "the channel came along");
    assert!(!goes_to(alice.say_on(&mut world, 0x4000, b"x"), "8.8.8.8:1"), "and is gone from the old place");
    let forward = world.peer_says(0, "8.8.8.8:2", 4);
    assert!(matches!(forward, causeway_turn_core::Forward::ToClient { client, .. } if client == moved.leg));
    // The old ticket is used up.
    let mut thief = world.client("alice", ClientTransport::Udp, "203.0.113.78:9000");
    thief.request(&mut world, Method::REFRESH, |b| b.attribute(&MobilityTicket(&old))).refused(437);
}

#[test]
fn mobility_switched_off_gets_405() {
    let mut settings = config();
    settings.mobility = false;
    let mut world = World::with(settings);
    let mut alice = world.alice();
    alice.allocate(&mut world, |b| b.attribute(&MobilityTicket(&[]))).refused(405);
}

#[test]
fn a_ticket_without_the_owners_password_moves_nothing() {
    let mut world = World::new();
    let (alice, ticket) = mobile(&mut world, ClientTransport::Udp);
    let mut thief = world.client("bob", ClientTransport::Udp, "203.0.113.77:9000");
    thief.request(&mut world, Method::REFRESH, |b| b.attribute(&MobilityTicket(&ticket))).refused(441);
    (thief.name, thief.password) = ("alice", "guess");
    thief.request(&mut world, Method::REFRESH, |b| b.attribute(&MobilityTicket(&ticket))).refused(401);
    let mut forged = ticket;
    *forged.last_mut().unwrap() ^= 1;
    let mut moved = world.client("alice", ClientTransport::Udp, "203.0.113.77:9001");
    moved.request(&mut world, Method::REFRESH, |b| b.attribute(&MobilityTicket(&forged))).refused(437);
    assert!(world.server.has_allocation(&alice.leg.five_tuple));
}

#[test]
fn a_mobile_allocation_outlives_its_connection() {
    let mut world = World::new();
    let (alice, ticket) = mobile(&mut world, ClientTransport::Tcp);
    world.server.handle_client_closed(world.now, alice.leg);
    world.drain();
    assert_eq!(world.server.allocation_count(), 1);
    let mut back = world.client("alice", ClientTransport::Tcp, "203.0.113.10:5001");
    let reply = back.request(&mut world, Method::REFRESH, |b| b.attribute(&MobilityTicket(&ticket))).granted();
    assert!(reply.has(AttributeType::MOBILITY_TICKET));
    world.server.handle_client_closed(world.now, back.leg);
    world.drain();
    world.advance(secs(600));
    assert_eq!(world.server.allocation_count(), 0, "but not its lifetime");
}

#[test]
fn without_asking_there_is_no_ticket() {
    let mut world = World::new();
    let mut alice = world.alice();
    assert!(!alice.allocate(&mut world, |b| b).granted().has(AttributeType::MOBILITY_TICKET));
}

#[test]
fn a_client_that_lost_its_connection_may_allocate_anew_from_the_same_place() {
    let mut world = World::new();
    let (alice, ticket) = mobile(&mut world, ClientTransport::Tcp);
    world.server.handle_client_closed(world.now, alice.leg);
    world.drain();
    let mut again = world.client("alice", ClientTransport::Tcp, "203.0.113.10:5000");
    again.allocate(&mut world, |b| b).granted();
    assert_eq!(world.server.allocation_count(), 2);
    again.permit(&mut world, &["8.8.8.8:1"]).granted();
    // The first one is still there for its ticket, and takes nothing of the second one along.
    let mut moved = world.client("alice", ClientTransport::Udp, "203.0.113.77:9000");
    moved.request(&mut world, Method::REFRESH, |b| b.attribute(&MobilityTicket(&ticket))).granted();
    assert!(world.server.has_allocation(&again.leg.five_tuple));
    assert!(goes_to(again.say(&mut world, "8.8.8.8:1", b"x"), "8.8.8.8:1"));
    moved.request(&mut world, Method::REFRESH, |b| b.attribute(&Lifetime(0))).granted();
    world.server.handle_client_closed(world.now, again.leg);
    world.drain();
    assert_eq!(world.server.allocation_count(), 0);
}

#[test]
fn an_allocation_without_a_connection_ends_alone() {
    let mut world = World::new();
    let (alice, _) = mobile(&mut world, ClientTransport::Tcp);
    world.server.handle_client_closed(world.now, alice.leg);
    world.drain();
    world.advance(secs(300));
    let mut again = world.client("alice", ClientTransport::Tcp, "203.0.113.10:5000");
    again.allocate(&mut world, |b| b).granted();
    world.advance(secs(301));
    assert_eq!(world.server.allocation_count(), 1, "the lifetime of the first one is over");
    assert!(world.server.has_allocation(&again.leg.five_tuple));
}

#[test]
fn the_old_place_is_free_once_the_allocation_moved() {
    let mut world = World::new();
    let (mut alice, ticket) = mobile(&mut world, ClientTransport::Udp);
    let mut moved = world.client("alice", ClientTransport::Udp, "203.0.113.77:9000");
    moved.request(&mut world, Method::REFRESH, |b| b.attribute(&MobilityTicket(&ticket))).granted();
    alice.allocate(&mut world, |b| b).granted();
    assert_eq!(world.server.allocation_count(), 2);
}

#[test]
fn a_client_that_comes_back_to_the_same_place_is_heard_and_reached() {
    let mut world = World::new();
    let (mut alice, ticket) = mobile(&mut world, ClientTransport::Tcp);
    alice.permit(&mut world, &["8.8.8.8:1"]).granted();
    world.server.handle_client_closed(world.now, alice.leg);
    world.drain();
    assert!(!goes_to(alice.say(&mut world, "8.8.8.8:1", b"x"), "8.8.8.8:1"), "a new connection shows its ticket first");
    alice.request(&mut world, Method::REFRESH, |b| b.attribute(&MobilityTicket(&ticket))).granted();
    assert!(goes_to(alice.say(&mut world, "8.8.8.8:1", b"x"), "8.8.8.8:1"));
    assert!(matches!(world.peer_says(0, "8.8.8.8:1", 4), causeway_turn_core::Forward::ToClient { .. }));
}
