//! Mobility (RFC 8016).

use causeway_stun_codec::{AttributeType, Method, attributes::MobilityTicket};
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
