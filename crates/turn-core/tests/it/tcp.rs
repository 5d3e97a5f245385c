//! TCP allocations (RFC 6062).

use causeway_stun_codec::{
    Method,
    attributes::{ConnectionId as ConnectionIdAttribute, DontFragment, EvenPort, RequestedTransport, ReservationToken},
};
use causeway_turn_core::{ConnectOutcome, Forward, Output, RelayId};
use causeway_types::ClientTransport;

use crate::world::{World, addr, secs};

const PEER: &str = "8.8.8.8:80";

#[test]
fn a_tcp_allocation_needs_a_stream_and_no_udp_attributes() {
    for transport in [ClientTransport::Udp, ClientTransport::Dtls] {
        let mut world = World::new();
        let mut alice = world.client("alice", transport, "203.0.113.10:5000");
        alice.request(&mut world, Method::ALLOCATE, |b| b.attribute(&RequestedTransport::TCP)).refused(400);
    }
    let mut world = World::new();
    let mut alice = world.alice_tcp();
    let tcp = RequestedTransport::TCP;
    let even = EvenPort { reserve_next: false };
    alice.request(&mut world, Method::ALLOCATE, |b| b.attribute(&tcp).attribute(&even)).refused(400);
    let token = ReservationToken([1; 8]);
    alice.request(&mut world, Method::ALLOCATE, |b| b.attribute(&tcp).attribute(&token)).refused(400);
    alice.request(&mut world, Method::ALLOCATE, |b| b.attribute(&tcp).attribute(&DontFragment)).refused(400);
    alice.request(&mut world, Method::ALLOCATE, |b| b.attribute(&tcp)).granted();
}

#[test]
fn a_tcp_allocation_takes_no_channel_and_no_send_indication() {
    let mut world = World::new();
    let mut alice = world.allocated_tcp();
    alice.bind(&mut world, 0x4000, PEER).refused(400);
    alice.permit(&mut world, &[PEER]).granted();
    assert_eq!(alice.say(&mut world, PEER, b"x"), Forward::Nothing);
}

#[test]
fn connect_needs_a_tcp_allocation_and_a_peer() {
    let mut world = World::new();
    let mut alice = world.allocated();
    let bytes = alice.connect(&mut world, PEER);
    assert!(!bytes.is_empty());
    world.last_reply().refused(400);
    let mut world = World::new();
    let mut alice = world.allocated_tcp();
    alice.request(&mut world, Method::CONNECT, |b| b).refused(400);
}

#[test]
fn connect_to_a_refused_peer_gets_403() {
    let mut world = World::new();
    let mut alice = world.allocated_tcp();
    for peer in ["169.254.169.254:80", "127.0.0.1:80", "10.0.0.1:443", "198.51.100.7:3478", "198.51.100.7:50001"] {
        alice.connect(&mut world, peer);
        world.last_reply().refused(403);
    }
    assert_eq!(world.connecting(), None);
}

#[test]
fn a_second_connect_to_the_same_peer_gets_446() {
    let mut world = World::new();
    let mut alice = world.allocated_tcp();
    let first = alice.connect(&mut world, PEER);
    let connection = world.connecting().unwrap();
    alice.send_in_vain(&mut world, &first);
    alice.connect(&mut world, PEER);
    world.last_reply().refused(446);
    world.connected(connection, ConnectOutcome::Connected);
    world.last_reply().granted();
    alice.connect(&mut world, PEER);
    world.last_reply().refused(446);
}

#[test]
fn a_connect_that_does_not_come_about_in_30_seconds_gets_447() {
    let mut world = World::new();
    let mut alice = world.allocated_tcp();
    alice.connect(&mut world, PEER);
    world.advance(secs(30));
    world.last_reply().refused(447);
    assert!(world.others.iter().any(|o| matches!(o, Output::ClosePeerConnection { .. })));
}

#[test]
fn a_connection_nobody_binds_in_30_seconds_is_closed() {
    let mut world = World::new();
    let mut alice = world.allocated_tcp();
    alice.connect(&mut world, PEER);
    let connection = world.connecting().unwrap();
    world.connected(connection, ConnectOutcome::Connected);
    world.advance(secs(29));
    assert!(!world.others.iter().any(|o| matches!(o, Output::ClosePeerConnection { .. })));
    world.advance(secs(1));
    assert!(
        world.others.iter().any(|o| matches!(o, Output::ClosePeerConnection { connection: c } if *c == connection))
    );
    alice.connect(&mut world, PEER);
    assert_ne!(world.connecting(), Some(connection));
}

#[test]
fn a_peer_is_accepted_with_permission_only() {
    let mut world = World::new();
    let mut alice = world.allocated_tcp();
    assert_eq!(world.server.handle_peer_accepted(world.now, RelayId(0), addr(PEER)), None);
    world.drain();
    alice.permit(&mut world, &[PEER]).granted();
    assert!(world.server.handle_peer_accepted(world.now, RelayId(0), addr(PEER)).is_some());
    world.drain();
    let reply = world.last_reply();
    assert_eq!(reply.message().method(), Method::CONNECTION_ATTEMPT);
}

#[test]
fn connection_bind_with_an_unknown_id_gets_400() {
    let mut world = World::new();
    let mut alice = world.allocated_tcp();
    alice.leg.five_tuple.client.set_port(5001);
    alice
        .request(&mut world, Method::CONNECTION_BIND, |b| b.attribute(&ConnectionIdAttribute(0x00ab_cdef)))
        .refused(400);
}

#[test]
fn connection_bind_with_another_user_is_refused() {
    let mut world = World::new();
    let mut alice = world.allocated_tcp();
    alice.connect(&mut world, PEER);
    let connection = world.connecting().unwrap();
    world.connected(connection, ConnectOutcome::Connected);
    let id = ConnectionIdAttribute(connection.0);
    let mut mallory = world.client("bob", ClientTransport::Tcp, "203.0.113.10:5001");
    mallory.request(&mut world, Method::CONNECTION_BIND, |b| b.attribute(&id)).refused(441);
    assert!(!world.others.iter().any(|o| matches!(o, Output::BindConnection { .. })));
    let mut data = world.client("alice", ClientTransport::Tcp, "203.0.113.10:5002");
    data.request(&mut world, Method::CONNECTION_BIND, |b| b.attribute(&id)).granted();
    assert!(world.others.iter().any(|o| matches!(o, Output::BindConnection { connection: c, .. } if *c == connection)));
    // Once only.
    let mut again = world.client("alice", ClientTransport::Tcp, "203.0.113.10:5003");
    again.request(&mut world, Method::CONNECTION_BIND, |b| b.attribute(&id)).refused(400);
}

#[test]
fn the_end_of_a_tcp_allocation_closes_its_connections() {
    let mut world = World::new();
    let mut alice = world.allocated_tcp();
    alice.connect(&mut world, PEER);
    let connection = world.connecting().unwrap();
    world.connected(connection, ConnectOutcome::Connected);
    world.server.handle_client_closed(world.now, alice.leg);
    world.drain();
    assert!(
        world.others.iter().any(|o| matches!(o, Output::ClosePeerConnection { connection: c } if *c == connection))
    );
    assert_eq!(world.server.poll_timeout(), None);
}

#[test]
fn one_connection_more_than_the_limit_gets_508() {
    let mut world = World::new();
    let mut alice = world.allocated_tcp();
    for peer in ["8.8.8.8:1", "8.8.8.8:2", "8.8.8.8:3"] {
        alice.connect(&mut world, peer);
    }
    alice.connect(&mut world, "8.8.8.8:4");
    world.last_reply().refused(508);
}

#[test]
fn a_second_outcome_does_not_unbind_a_connection() {
    let mut world = World::new();
    let mut alice = world.allocated_tcp();
    alice.connect(&mut world, "8.8.8.8:80");
    let connection = world.connecting().unwrap();
    world.connected(connection, ConnectOutcome::Connected);
    world.last_reply().granted();
    let id = ConnectionIdAttribute(connection.0);
    let mut data = world.client("alice", ClientTransport::Tcp, "203.0.113.10:5001");
    data.request(&mut world, Method::CONNECTION_BIND, |b| b.attribute(&id)).granted();
    world.connected(connection, ConnectOutcome::Connected);
    let mut other = world.client("alice", ClientTransport::Tcp, "203.0.113.10:5002");
    other.request(&mut world, Method::CONNECTION_BIND, |b| b.attribute(&id)).refused(400);
}
