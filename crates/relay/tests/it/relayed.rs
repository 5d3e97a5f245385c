//! Data through the relay, on every kind of leg.

use std::{
    io::IoSlice,
    net::{SocketAddr, UdpSocket},
};

use causeway_net_io::{UdpOptions, UdpSocket as OffloadedSocket};
use causeway_stun_codec::{
    AttributeType, MessageBuilder, Method,
    attributes::{Data, DontFragment, EvenPort, MobilityTicket, ReservationToken, XorPeerAddress},
};
use causeway_turn_core::DropReason;
use causeway_types::ClientTransport;

use crate::{
    client::{Client, PATIENCE, SILENCE, channel_message},
    server::{Server, settings, start, start_with, wait_until},
};

const ALL: [ClientTransport; 4] =
    [ClientTransport::Udp, ClientTransport::Tcp, ClientTransport::Tls, ClientTransport::Dtls];

/// A peer that answers what it gets.
struct Peer(UdpSocket);

impl Peer {
    fn bind(v6: bool) -> Self {
        Self(UdpSocket::bind(if v6 { "[::1]:0" } else { "127.0.0.1:0" }).expect("binds"))
    }

    fn address(&self) -> SocketAddr {
        self.0.local_addr().expect("an address")
    }

    fn receive(&self) -> (Vec<u8>, SocketAddr) {
        self.0.set_read_timeout(Some(PATIENCE)).expect("an option");
        let mut room = vec![0; 65_536];
        let (n, from) = self.0.recv_from(&mut room).expect("something comes");
        room.truncate(n);
        (room, from)
    }

    fn echo(&self) {
        let (bytes, from) = self.receive();
        self.0.send_to(&bytes, from).expect("sends");
    }
}

fn check_echo(server: &Server, transport: ClientTransport, v6: bool) {
    let mut client = Client::new(server, transport, v6);
    let relayed = client.allocate(v6);
    let peer = Peer::bind(v6);
    client.permit(peer.address()).granted();
    for len in [0, 1, 2, 3, 4, 1200] {
        let data = vec![0x61; len];
        client.send_indication(peer.address(), &data);
        let (bytes, from) = peer.receive();
        assert_eq!((&bytes, from), (&data, relayed));
        peer.0.send_to(&data, from).expect("sends");
        let indication = client.receive_indication(Method::DATA);
        assert_eq!(indication.message().attribute::<Data<'_>>(), Ok(Some(Data(&data))));
        assert_eq!(indication.message().attribute::<XorPeerAddress>(), Ok(Some(XorPeerAddress(peer.address()))));
    }
    client.bind_channel(0x4000, peer.address());
    for len in [1, 2, 3, 160, 1400] {
        let data = vec![0x62; len];
        client.send_channel(0x4000, &data);
        peer.echo();
        assert_eq!(client.receive_channel(PATIENCE), Some((0x4000, data)), "{transport} {len}");
    }
}

#[test]
fn data_passes_both_ways_over_every_transport_and_family() {
    let server = start();
    for transport in ALL {
        for v6 in [false, true] {
            check_echo(&server, transport, v6);
        }
    }
}

#[test]
fn clients_of_one_family_reach_peers_of_the_other() {
    let server = start();
    let mut client = Client::new(&server, ClientTransport::Udp, false);
    client.allocate(true);
    let peer = Peer::bind(true);
    client.bind_channel(0x4001, peer.address());
    client.send_channel(0x4001, b"across");
    peer.echo();
    assert_eq!(client.receive_channel(PATIENCE), Some((0x4001, b"across".to_vec())));
}

#[test]
fn a_peer_without_permission_is_not_heard() {
    let server = start();
    let mut client = Client::new(&server, ClientTransport::Udp, false);
    let relayed = client.allocate(false);
    Peer::bind(false).0.send_to(b"hello", relayed).unwrap();
    wait_until("the drop is counted", || server.drops(DropReason::NoPermission) == 1);
    assert_eq!(client.receive(SILENCE), None);
}

#[test]
fn a_wildcard_listener_answers_from_the_address_it_was_asked_on() {
    let mut settings = settings();
    settings.turn_listen = vec!["0.0.0.0:0".parse().unwrap(), "[::]:0".parse().unwrap()];
    let server = start_with(settings);
    for (target, v6) in [("127.0.0.3", false), ("::1", true)] {
        let port = server.address(ClientTransport::Udp, v6).port();
        let mut client = Client::to(SocketAddr::new(target.parse().unwrap(), port), ClientTransport::Udp);
        // The client's socket is connected: an answer from anywhere else would not arrive.
        client.allocate(v6);
        let peer = Peer::bind(v6);
        client.bind_channel(0x4000, peer.address());
        client.send_channel(0x4000, b"x");
        peer.echo();
        assert_eq!(client.receive_channel(PATIENCE), Some((0x4000, b"x".to_vec())));
    }
}

fn offloaded(address: &str) -> OffloadedSocket {
    let options = UdpOptions { reuse_port: false, receive_buffer: 4 << 20, send_buffer: 4 << 20, report_errors: false };
    OffloadedSocket::bind(address.parse().expect("an address"), options).expect("binds")
}

#[test]
fn a_burst_of_channel_data_arrives_whole_in_order_and_without_its_headers() {
    let server = start();
    let mut client = Client::new(&server, ClientTransport::Udp, false);
    client.allocate(false);
    let (one, two) = (Peer::bind(false), Peer::bind(false));
    client.bind_channel(0x4000, one.address());
    client.bind_channel(0x4001, two.address());
    // One segmented send: 20 messages for one peer with one for another in between, then a shorter last one.
    let payload = |n: u8, len: usize| vec![n; len];
    let mut messages: Vec<Vec<u8>> = (0..20).map(|n| channel_message(0x4000, &payload(n, 996), false)).collect();
    messages.insert(7, channel_message(0x4001, &payload(99, 996), false));
    messages.push(channel_message(0x4000, &payload(20, 17), false));
    let bytes = messages.concat();
    // The same socket, so that it is the same five-tuple.
    send_segmented(client.udp(), &bytes, 1000);
    for n in 0..20 {
        assert_eq!(one.receive().0, payload(n, 996));
    }
    assert_eq!(one.receive().0, payload(20, 17));
    assert_eq!(two.receive().0, payload(99, 996));
}

#[test]
fn a_burst_from_a_peer_arrives_whole_and_in_order_on_every_transport() {
    let server = start();
    for transport in ALL {
        let mut client = Client::new(&server, transport, false);
        let relayed = client.allocate(false);
        let peer = offloaded("127.0.0.1:0");
        client.bind_channel(0x4000, peer.local_addr());
        let bytes: Vec<u8> = (0..10_u8).flat_map(|n| vec![n; 1111]).chain(vec![10; 5]).collect();
        peer.send(relayed, None, &[IoSlice::new(&bytes)], Some(1111)).unwrap();
        for n in 0..10 {
            assert_eq!(client.receive_channel(PATIENCE), Some((0x4000, vec![n; 1111])), "{transport} {n}");
        }
        assert_eq!(client.receive_channel(PATIENCE), Some((0x4000, vec![10; 5])), "{transport}");
    }
}

#[test]
fn a_large_burst_that_grows_by_its_headers_is_still_byte_exact() {
    let server = start();
    let mut client = Client::new(&server, ClientTransport::Udp, false);
    let relayed = client.allocate(false);
    let peer = offloaded("127.0.0.1:0");
    client.permit(peer.local_addr()).granted();
    // 64 segments of 1020 bytes with 36 bytes of Data indication each come to more than one datagram can hold.
    let bytes: Vec<u8> = (0..64_u8).flat_map(|n| vec![n; 1020]).collect();
    peer.send(relayed, None, &[IoSlice::new(&bytes)], Some(1020)).unwrap();
    for n in 0..64 {
        let indication = client.receive_indication(Method::DATA);
        assert_eq!(indication.message().attribute::<Data<'_>>().unwrap(), Some(Data(&vec![n; 1020])), "{n}");
    }
}

fn check_hairpin(server: &Server, ours: ClientTransport, theirs: ClientTransport) {
    let mut alice = Client::new(server, ours, false);
    let mut bob = Client::new(server, theirs, false);
    let (alice_relayed, bob_relayed) = (alice.allocate(false), bob.allocate(false));
    alice.bind_channel(0x4000, bob_relayed);
    bob.bind_channel(0x4001, alice_relayed);
    for n in 0..5_u8 {
        alice.send_channel(0x4000, &[n; 100]);
        assert_eq!(bob.receive_channel(PATIENCE), Some((0x4001, vec![n; 100])));
        bob.send_channel(0x4001, &[n; 50]);
        assert_eq!(alice.receive_channel(PATIENCE), Some((0x4000, vec![n; 50])));
    }
}

#[test]
fn two_allocations_of_ours_reach_each_other_on_one_thread_and_across_threads() {
    for threads in [1, 4] {
        let mut settings = settings();
        settings.threads = threads;
        let server = start_with(settings);
        // With four threads the kernel spreads these over them; eight pairs miss no combination worth missing.
        for n in 0..8 {
            check_hairpin(&server, ALL[n % 4], ClientTransport::Udp);
        }
    }
}

#[test]
fn a_burst_between_two_allocations_of_ours_is_byte_exact() {
    for threads in [1, 4] {
        let mut settings = settings();
        settings.threads = threads;
        let server = start_with(settings);
        for _ in 0..4 {
            let mut alice = Client::new(&server, ClientTransport::Udp, false);
            let mut bob = Client::new(&server, ClientTransport::Udp, false);
            let (alice_relayed, bob_relayed) = (alice.allocate(false), bob.allocate(false));
            alice.bind_channel(0x4000, bob_relayed);
            bob.bind_channel(0x4001, alice_relayed);
            let messages: Vec<Vec<u8>> = (0..30).map(|n| channel_message(0x4000, &[n; 1000], false)).collect();
            send_segmented(alice.udp(), &messages.concat(), 1004);
            for n in 0..30 {
                assert_eq!(bob.receive_channel(PATIENCE), Some((0x4001, vec![n; 1000])), "{n}");
            }
        }
    }
}

#[test]
fn a_closed_peer_port_is_reported_and_costs_no_other_datagram() {
    let server = start();
    let mut client = Client::new(&server, ClientTransport::Udp, false);
    client.allocate(false);
    let closed = Peer::bind(false).address();
    let peer = Peer::bind(false);
    client.bind_channel(0x4000, peer.address());
    client.permit(closed).granted();
    for n in 0..20_u8 {
        client.send_indication(closed, b"anyone?");
        client.send_channel(0x4000, &[n]);
        assert_eq!(peer.receive().0, [n]);
    }
    let indication = client.receive_indication(Method::DATA);
    assert!(indication.raw(AttributeType::ICMP).is_some());
    assert_eq!(indication.message().attribute::<XorPeerAddress>().unwrap(), Some(XorPeerAddress(closed)));
}

#[test]
fn dont_fragment_is_taken_on_an_allocation_and_on_single_datagrams() {
    let server = start();
    let mut client = Client::new(&server, ClientTransport::Udp, false);
    client.allocate_with(|b| b.attribute(&DontFragment)).granted();
    let peer = Peer::bind(false);
    client.permit(peer.address()).granted();
    let bytes = MessageBuilder::new(
        causeway_stun_codec::Class::Indication,
        Method::SEND,
        causeway_stun_codec::TransactionId([3; 12]),
    )
    .attribute(&XorPeerAddress(peer.address()))
    .attribute(&DontFragment)
    .attribute(&Data(b"whole"))
    .finish();
    client.send(&bytes);
    assert_eq!(peer.receive().0, b"whole");
    client.send_indication(peer.address(), b"either way");
    assert_eq!(peer.receive().0, b"either way");
}

#[test]
fn a_reserved_port_is_claimed_by_token() {
    for threads in [1, 4] {
        let mut settings = settings();
        settings.threads = threads;
        let server = start_with(settings);
        for _ in 0..4 {
            let mut first = Client::new(&server, ClientTransport::Udp, false);
            let reply = first.allocate_with(|b| b.attribute(&EvenPort { reserve_next: true })).granted();
            let token = reply.raw(AttributeType::RESERVATION_TOKEN).expect("a token");
            let token = ReservationToken(token.try_into().expect("eight bytes"));
            assert_eq!(reply.relayed().port() % 2, 0);
            let mut second = Client::new(&server, ClientTransport::Udp, false);
            let next = second.allocate_with(|b| b.attribute(&token)).granted().relayed();
            assert_eq!(next.port(), reply.relayed().port() + 1);
            let mut third = Client::new(&server, ClientTransport::Udp, false);
            assert_eq!(third.allocate_with(|b| b.attribute(&token)).code(), 508);
        }
    }
}

fn check_mobility(server: &Server, from: ClientTransport, to: ClientTransport) {
    let peer = Peer::bind(false);
    let mut client = Client::new(server, from, false);
    let reply = client.allocate_with(|b| b.attribute(&MobilityTicket(&[]))).granted();
    let ticket = reply.raw(AttributeType::MOBILITY_TICKET).expect("a ticket");
    assert!(ticket.len() <= 32 && ticket.iter().all(u8::is_ascii_graphic), "coturn's client keeps it as text");
    client.bind_channel(0x4000, peer.address());
    drop(client);
    let mut moved = Client::new(server, to, false);
    moved.call(Method::REFRESH, |b| b.attribute(&MobilityTicket(&ticket))).granted();
    for n in 0..5_u8 {
        moved.send_channel(0x4000, &[n; 33]);
        let (bytes, source) = peer.receive();
        assert_eq!((bytes.as_slice(), source), ([n; 33].as_slice(), reply.relayed()));
        peer.0.send_to(&bytes, source).expect("sends");
        let (channel, data) = moved.receive_channel(PATIENCE).expect("comes back");
        assert_eq!((channel, data.as_slice()), (0x4000, [n; 33].as_slice()));
    }
}

#[test]
fn an_allocation_follows_its_client_to_another_transport_and_thread() {
    for threads in [1, 4] {
        let mut settings = settings();
        settings.threads = threads;
        let server = start_with(settings);
        for from in ALL {
            for to in ALL {
                check_mobility(&server, from, to);
            }
        }
    }
}

/// One send that the kernel cuts into datagrams of `len` bytes.
fn send_segmented(socket: &UdpSocket, bytes: &[u8], len: u16) {
    let options = UdpOptions { reuse_port: true, receive_buffer: 65_536, send_buffer: 1 << 20, report_errors: false };
    let same_address = OffloadedSocket::bind(socket.local_addr().expect("an address"), options).expect("binds");
    let to = socket.peer_addr().expect("connected");
    same_address.send(to, None, &[IoSlice::new(bytes)], Some(len)).expect("sends");
}
