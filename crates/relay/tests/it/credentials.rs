//! What a credential limits, over real sockets: peer scopes on every path, addresses, quotas, revocation.

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    time::Instant,
};

use causeway_relay::RelaySettings;
use causeway_stun_codec::{
    Method,
    attributes::{ChannelNumber, ConnectionId, RequestedTransport, XorPeerAddress},
};
use causeway_turn_core::{DropReason, GrantLimits, ScopeKind};
use causeway_types::{ClientTransport, RelayEvent, ScopeId};

use crate::{
    client::{Client, PATIENCE, SILENCE, connect_from, receive_datagram},
    server::{Server, settings, start_with, wait_until},
};

const ROOM: ScopeId = ScopeId(77);

/// Alice, bob and carol reach their room only.
fn start(threads: u8) -> Server {
    start_in(RelaySettings { threads, ..settings() })
}

fn start_in(settings: RelaySettings) -> Server {
    let server = start_with(settings);
    for name in ["alice", "bob", "carol"] {
        server.limit(name, GrantLimits { scope: Some(ROOM), ..GrantLimits::default() });
    }
    server
}

fn client(server: &Server, name: &str, at: &str) -> Client {
    let mut client = Client::at(at, server, ClientTransport::Udp);
    client.user(name);
    client
}

fn socket(at: &str) -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind((at, 0)).expect("binds");
    let address = socket.local_addr().expect("an address");
    (socket, address)
}

fn listener(at: &str) -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((at, 0)).expect("binds");
    let address = listener.local_addr().expect("an address");
    (listener, address)
}

fn bind(client: &mut Client, number: u16, peer: SocketAddr) -> u16 {
    client.call(Method::CHANNEL_BIND, |b| b.attribute(&ChannelNumber(number)).attribute(&XorPeerAddress(peer))).code()
}

/// Whether the other end closes the stream, without another byte.
fn ends(stream: &mut TcpStream) -> bool {
    stream.set_read_timeout(Some(PATIENCE)).expect("an option");
    match stream.read(&mut [0]) {
        Ok(n) => n == 0,
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    }
}

/// Data passes between a client's channel and a peer both ways, or neither way.
#[track_caller]
fn check(passes: bool, client: &mut Client, channel: u16, (peer, _): &(UdpSocket, SocketAddr), relayed: SocketAddr) {
    let wait = if passes { PATIENCE } else { SILENCE };
    client.send_channel(channel, b"ping");
    assert_eq!(receive_datagram(peer, Instant::now() + wait).is_some(), passes, "to the peer");
    peer.send_to(b"pong", relayed).expect("sends");
    assert_eq!(client.receive_channel(wait).is_some(), passes, "from the peer");
}

#[test]
fn members_of_a_room_reach_each_other_and_nobody_else_on_any_path() {
    for threads in [1, 4] {
        let server = start(threads);
        let mut alice = client(&server, "alice", "127.0.0.21");
        let mut bob = client(&server, "bob", "127.0.0.22");
        let mut mallory = client(&server, "mallory", "127.0.0.66");
        let (near, far, outside) = (alice.allocate(false), bob.allocate(false), mallory.allocate(false));
        for round in 0..20 {
            if round == 0 {
                alice.bind_channel(0x4000, far);
                bob.bind_channel(0x4000, near);
            }
            alice.send_channel(0x4000, b"to bob");
            assert_eq!(bob.receive_channel(PATIENCE), Some((0x4000, b"to bob".to_vec())));
            bob.send_channel(0x4000, b"to alice");
            assert_eq!(alice.receive_channel(PATIENCE), Some((0x4000, b"to alice".to_vec())));
        }

        // Permission and channel: the answer says no. A permission is by IP, and relays of members are at 127.0.0.1.
        let (_, stranger) = socket("127.0.0.99");
        assert_eq!(alice.permit(stranger).code(), 403);
        assert_eq!(bind(&mut alice, 0x4001, stranger), 403);
        assert_eq!(bind(&mut alice, 0x4001, outside), 403);
        alice.permit(outside).granted();
        mallory.permit(near).granted();
        // Send, and both kinds of inbound: dropped and counted.
        alice.send_indication(outside, b"x");
        wait_until("the Send is dropped", || server.drops(DropReason::PeerScope) == 1);
        mallory.send_indication(near, b"x");
        wait_until("what comes from a relay is dropped", || server.drops(DropReason::PeerScope) == 2);
        socket("127.0.0.1").0.send_to(b"x", near).unwrap();
        wait_until("what comes from a socket is dropped", || server.drops(DropReason::PeerScope) == 3);
        assert_eq!(mallory.receive(SILENCE), None);
        assert_eq!(alice.receive(SILENCE), None);

        // Bob's own address, as the server sees it, is a member with every port.
        let home = socket("127.0.0.22");
        assert_eq!(bind(&mut alice, 0x4001, home.1), 0);
        check(true, &mut alice, 0x4001, &home, near);
        let refused = |event: RelayEvent| matches!(event, RelayEvent::PeerRefused { peer, rule, .. } if peer == outside && &*rule == "peer_scope: room");
        assert!(server.handle.events().try_iter().any(refused));
    }
}

#[test]
fn a_member_of_the_room_without_bounds_is_reached_by_those_who_have_them() {
    let server = start(4);
    server.limit("erin", GrantLimits { member_of: Some(ROOM), ..GrantLimits::default() });
    let (mut alice, mut erin) = (client(&server, "alice", "127.0.0.21"), client(&server, "erin", "127.0.0.26"));
    let (near, far) = (alice.allocate(false), erin.allocate(false));
    alice.bind_channel(0x4000, far);
    erin.bind_channel(0x4000, near);
    erin.permit(socket("127.0.0.99").1).granted();
    alice.send_channel(0x4000, b"hello");
    assert_eq!(erin.receive_channel(PATIENCE), Some((0x4000, b"hello".to_vec())));
    assert_eq!(server.handle.terminate_user("erin"), 1);
    assert_eq!(bind(&mut alice, 0x4000, far), 403);
}

#[test]
fn who_leaves_the_room_is_cut_off_at_once_and_counted_by_address() {
    for threads in [1, 4] {
        let server = start(threads);
        let mut alice = client(&server, "alice", "127.0.0.21");
        let near = alice.allocate(false);
        // Two behind one address.
        let (mut bob, mut carol) = (client(&server, "bob", "127.0.0.22"), client(&server, "carol", "127.0.0.22"));
        bob.allocate(false);
        let far = carol.allocate(false);
        let home = socket("127.0.0.22");
        alice.bind_channel(0x4000, home.1);
        alice.bind_channel(0x4001, far);
        check(true, &mut alice, 0x4000, &home, near);
        assert_eq!(server.handle.terminate_user("bob"), 1);
        // Carol is still there.
        check(true, &mut alice, 0x4000, &home, near);
        assert_eq!(server.handle.terminate_user("carol"), 1);
        let before = server.drops(DropReason::PeerScope);
        check(false, &mut alice, 0x4000, &home, near);
        assert_eq!(alice.permit(home.1).code(), 403);
        alice.send_channel(0x4001, b"x");
        alice.send_indication(far, b"x");
        wait_until("four are dropped", || server.drops(DropReason::PeerScope) == before + 4);

        // The control plane may name members of its own.
        for present in [true, true, false, false, true] {
            assert!(server.handle.scope(ROOM, home.1, ScopeKind::Mapped, present));
            check(present, &mut alice, 0x4000, &home, near);
        }
        // Alice alone is left, and what the control plane said.
        assert_eq!(server.handle.terminate_user("alice"), 1);
        let mut alice = client(&server, "alice", "127.0.0.23");
        alice.allocate(false);
        assert_eq!(bind(&mut alice, 0x4000, far), 403);
        alice.permit(home.1).granted();
    }
}

#[test]
fn tcp_peers_of_a_room_are_judged_both_ways_and_cut_off_with_the_membership() {
    let server = start_in(RelaySettings { relay_ports: 20_900..=20_999, ..settings() });
    let mut alice = Client::at("127.0.0.21", &server, ClientTransport::Tcp);
    let relayed = alice.call(Method::ALLOCATE, |b| b.attribute(&RequestedTransport(6))).granted().relayed();
    let ((inside, member), (_outside, stranger)) = (listener("127.0.0.22"), listener("127.0.0.99"));
    let connect = |alice: &mut Client, peer| alice.call(Method::CONNECT, |b| b.attribute(&XorPeerAddress(peer)));
    assert_eq!(connect(&mut alice, member).code(), 403);
    assert!(server.handle.scope(ROOM, member, ScopeKind::Relayed, true));
    assert_eq!(connect(&mut alice, stranger).code(), 403);
    let id = |reply: &crate::client::Reply| reply.message().attribute::<ConnectionId>().unwrap().unwrap();
    let connection = id(&connect(&mut alice, member).granted());
    let mut far = inside.accept().unwrap().0;
    let mut data = Client::at("127.0.0.21", &server, ClientTransport::Tcp);
    data.call(Method::CONNECTION_BIND, |b| b.attribute(&connection)).granted();
    let mut near = data.into_tcp();
    let check_stream = |mut from: &TcpStream, mut to: &TcpStream| {
        from.write_all(b"hello").unwrap();
        to.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut room = [0; 5];
        to.read_exact(&mut room).unwrap();
        assert_eq!(&room, b"hello");
    };
    check_stream(&near, &far);
    check_stream(&far, &near);

    // From the member's IP, but not from its port; and from a member that has all ports.
    alice.permit(member).granted();
    let mut other_port = connect_from(member.ip(), relayed);
    assert!(ends(&mut other_port));
    wait_until("the drop is counted", || server.drops(DropReason::PeerScope) == 1);
    let everywhere: SocketAddr = "127.0.0.24:0".parse().unwrap();
    assert!(server.handle.scope(ROOM, everywhere, ScopeKind::Mapped, true));
    alice.permit(everywhere).granted();
    let caller = connect_from(everywhere.ip(), relayed);
    let attempt = alice.receive_indication(Method::CONNECTION_ATTEMPT);
    assert_eq!(
        attempt.message().attribute::<XorPeerAddress>().unwrap(),
        Some(XorPeerAddress(caller.local_addr().unwrap()))
    );

    assert!(server.handle.scope(ROOM, member, ScopeKind::Relayed, false));
    assert!(ends(&mut near), "the client's side");
    assert!(ends(&mut far), "the peer's side");
}

#[test]
fn a_move_takes_the_membership_along() {
    use causeway_stun_codec::{AttributeType, attributes::MobilityTicket};
    let server = start(1);
    let mut alice = client(&server, "alice", "127.0.0.21");
    alice.allocate(false);
    let mut bob = client(&server, "bob", "127.0.0.22");
    let reply = bob.allocate_with(|b| b.attribute(&MobilityTicket(&[]))).granted();
    let ticket = reply.raw(AttributeType::MOBILITY_TICKET).expect("a ticket");
    let [old, new] = ["127.0.0.22:9", "127.0.0.25:9"].map(|address| address.parse::<SocketAddr>().unwrap());
    assert_eq!((alice.permit(old).code(), alice.permit(new).code()), (0, 403));
    let mut moved = client(&server, "bob", "127.0.0.25");
    moved.call(Method::REFRESH, |b| b.attribute(&MobilityTicket(&ticket))).granted();
    assert_eq!((alice.permit(old).code(), alice.permit(new).code()), (403, 0));
}

#[test]
fn a_credentials_quota_holds_over_all_threads() {
    let server = start_with(RelaySettings { threads: 4, ..settings() });
    server.limit("dave", GrantLimits { allocations_max: Some(3), ..GrantLimits::default() });
    let mut held: Vec<Client> = (0..8).map(|_| client(&server, "dave", "127.0.0.1")).collect();
    let codes: Vec<u16> = held.iter_mut().map(|client| client.allocate_with(|b| b).code()).collect();
    assert_eq!(codes, [0, 0, 0, 486, 486, 486, 486, 486]);
    client(&server, "erin", "127.0.0.1").allocate(false);
}

#[test]
fn a_credential_bound_to_an_address_works_from_there_only() {
    let server = start_with(settings());
    server.limit("dave", GrantLimits { client_ip: Some("127.0.0.31".parse().unwrap()), ..GrantLimits::default() });
    for transport in [ClientTransport::Udp, ClientTransport::Tcp, ClientTransport::Tls, ClientTransport::Dtls] {
        for (at, code) in [("127.0.0.31", 0), ("127.0.0.32", 401)] {
            let mut dave = Client::at(at, &server, transport);
            dave.user("dave");
            assert_eq!(dave.allocate_with(|b| b).code(), code, "{transport} {at}");
        }
    }
}

#[test]
fn many_users_are_ended_by_one_call_and_live_ones_take_new_limits() {
    let server = start_with(RelaySettings { threads: 4, ..settings() });
    let names = ["dave", "erin", "frank"];
    let mut clients: Vec<Client> = (0..60).map(|n| client(&server, names[n % 3], "127.0.0.1")).collect();
    for client in &mut clients {
        client.allocate(false);
    }
    assert_eq!(server.handle.terminate_users(&["dave".into(), "frank".into(), "dave".into(), "nobody".into()]), 40);
    assert_eq!(server.handle.live_allocations(), 20);
    assert!(server.handle.allocations().iter().all(|allocation| &*allocation.username == "erin"));
    assert_eq!(server.handle.terminate_users(&[]), 0);

    let erin = &mut clients[1];
    let peer = socket("127.0.0.1");
    erin.bind_channel(0x4000, peer.1);
    let limits = GrantLimits { bytes_max: Some(3), ..GrantLimits::default() };
    assert_eq!(server.handle.limit_user("erin", limits), 20);
    erin.send_channel(0x4000, b"abc");
    assert_eq!(receive_datagram(&peer.0, Instant::now() + PATIENCE), Some(b"abc".to_vec()));
    erin.send_channel(0x4000, b"d");
    wait_until("the limit ends it", || server.handle.live_allocations() == 19);
    assert_eq!(server.handle.limit_user("dave", limits), 0);
}
