//! DTLS handshakes: what a stranger gets, and what it cannot break.

use std::{
    net::UdpSocket,
    time::{Duration, Instant},
};

use causeway_stun_codec::Method;
use causeway_turn_core::DropReason;
use causeway_types::ClientTransport;

use crate::{
    client::{Client, MakeDtls, PATIENCE, dtls_session, dtls_session_at, receive_datagram},
    robustness::{check_talk, peer, talking},
    server::{Server, settings, start, start_with, wait_until},
};

const VERSIONS: [MakeDtls; 3] = [dimpl::Dtls::new_12, dimpl::Dtls::new_13, dimpl::Dtls::new_auto];

/// A socket that talks to the DTLS listener only.
fn socket(server: &Server) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("binds");
    socket.connect(server.address(ClientTransport::Dtls, false)).expect("connects");
    socket
}

/// What a session sends next.
fn packets(session: &mut dimpl::Dtls) -> Vec<Vec<u8>> {
    let (mut room, mut packets) = (vec![0; 20_000], Vec::new());
    loop {
        match session.poll_output(&mut room) {
            dimpl::Output::Packet(packet) => packets.push(packet.to_vec()),
            dimpl::Output::Timeout(_) => return packets,
            dimpl::Output::PeerCert(_) | dimpl::Output::KeyingMaterial(..) | _ => {}
        }
    }
}

/// Sends a first hello; it, and the answer.
fn first_flight(socket: &UdpSocket, session: &mut dimpl::Dtls) -> (Vec<u8>, Vec<u8>) {
    let hello = packets(session).remove(0);
    socket.send(&hello).expect("sends");
    (hello, receive_datagram(socket, Instant::now() + PATIENCE).expect("an answer"))
}

/// The hello that answers `answer`, by a clock that has stood at `now` since the first one: however long the machine took, there
/// is nothing to be sent again.
fn second_hello(session: &mut dimpl::Dtls, answer: &[u8], now: Instant) -> Vec<u8> {
    session.handle_packet(answer).expect("is understood");
    session.handle_timeout(now).expect("goes on");
    packets(session).remove(0)
}

/// Waits until the listener has taken everything sent to it before.
fn settle(server: &Server) {
    let address = server.address(ClientTransport::Dtls, false);
    Client::to(address, ClientTransport::Udp).call(Method::BINDING, |b| b).granted();
}

#[test]
fn a_client_hello_is_answered_with_a_cookie_and_leaves_no_state() {
    let mut settings = settings();
    settings.limits.dtls_handshakes_max = 1;
    let server = start_with(settings);
    for make in VERSIONS {
        for _ in 0..10 {
            let (hello, answer) = first_flight(&socket(&server), &mut dtls_session(make));
            assert!(answer.len() <= hello.len(), "{} bytes for {}", answer.len(), hello.len());
        }
    }
    assert_eq!(server.drops(DropReason::DtlsLimit), 0, "no place is taken");
    // Not even one: a client that answers gets in.
    let (mut client, peer, relayed) = talking(&server, ClientTransport::Dtls);
    wait_until("it is counted", || server.sum(|s| s.dtls_associations) == 1);
    check_talk(&mut client, &peer, relayed, 3);
}

#[test]
fn a_cookie_opens_nothing_for_another_address() {
    let server = start();
    for make in VERSIONS {
        let now = Instant::now();
        let mut session = dtls_session_at(make, now);
        // Open until the end: the system may give its port to the next one otherwise.
        let first = socket(&server);
        let (_, answer) = first_flight(&first, &mut session);
        socket(&server).send(&second_hello(&mut session, &answer, now)).expect("sends");
    }
    wait_until("they are counted", || server.drops(DropReason::DtlsCookie) == 3);
    assert_eq!(server.sum(|s| s.dtls_associations), 0);
}

#[test]
fn each_dtls_version_connects_and_carries_data() {
    let server = start();
    for make in VERSIONS {
        let mut client = Client::over_dtls(socket(&server), make);
        let relayed = client.allocate(false);
        let (peer, address) = peer();
        client.bind_channel(0x4000, address);
        check_talk(&mut client, &peer, relayed, 1);
    }
}

#[test]
fn a_handshake_survives_the_loss_of_its_first_answers() {
    let server = start();
    for make in VERSIONS {
        let socket = socket(&server);
        let mut session = dtls_session(make);
        let mut now = Instant::now();
        // The answers to three hellos get lost: the client sends it again, each time in a record with a new number.
        let mut hello = packets(&mut session).remove(0);
        for _ in 0..3 {
            socket.send(&hello).expect("sends");
            receive_datagram(&socket, Instant::now() + PATIENCE).expect("an answer");
            now += Duration::from_secs(9);
            session.handle_timeout(now).expect("goes on");
            hello = packets(&mut session).remove(0);
        }
        socket.send(&hello).expect("sends");
        let answer = receive_datagram(&socket, Instant::now() + PATIENCE).expect("an answer");
        assert_eq!(answer[5..11], hello[5..11], "the number of the record");
        session.handle_packet(&answer).expect("is understood");
        session.handle_timeout(now).expect("goes on");
        let second = packets(&mut session).remove(0);
        socket.send(&second).expect("sends");
        let flight = receive_datagram(&socket, Instant::now() + PATIENCE).expect("the server's flight");
        assert_eq!(flight[5..11], second[5..11], "is not taken for a record it saw before");
    }
}

#[test]
fn dtls_handshakes_beyond_the_limit_are_ignored_and_do_not_harm_the_others() {
    let mut settings = settings();
    settings.limits.dtls_handshakes_max = 3;
    let server = start_with(settings);
    let (mut client, peer, relayed) = talking(&server, ClientTransport::Dtls);
    // Clients that prove their address, and then say no more.
    let sockets: Vec<UdpSocket> = (0..10).map(|_| socket(&server)).collect();
    for socket in &sockets {
        let now = Instant::now();
        let mut session = dtls_session_at(dimpl::Dtls::new_12, now);
        let (_, answer) = first_flight(socket, &mut session);
        socket.send(&second_hello(&mut session, &answer, now)).expect("sends");
    }
    wait_until("the rest is dropped", || server.drops(DropReason::DtlsLimit) == 7);
    wait_until("the first are counted", || server.sum(|s| s.dtls_associations) == 4);
    check_talk(&mut client, &peer, relayed, 3);
}

#[test]
fn hellos_count_against_their_sources_allowance() {
    let mut settings = settings();
    let mut turn = crate::server::turn_config();
    (turn.limits.unauthenticated_replies_per_sec, turn.limits.unauthenticated_replies_burst) = (1, 5);
    settings.turn = std::sync::Arc::new(turn);
    let server = start_with(settings);
    for _ in 0..20 {
        let mut session = dtls_session(dimpl::Dtls::new_12);
        socket(&server).send(&packets(&mut session).remove(0)).expect("sends");
    }
    wait_until("the rest is dropped", || server.drops(DropReason::UnauthenticatedRate) >= 10);
}

#[test]
fn a_hello_with_a_clients_address_does_not_end_its_association() {
    let server = start();
    for make in VERSIONS {
        let own = socket(&server);
        let forged = own.try_clone().expect("clones");
        let mut client = Client::over_dtls(own, make);
        let relayed = client.allocate(false);
        let (peer, address) = peer();
        client.bind_channel(0x4000, address);
        // From the same address, as somebody on another network could write it.
        for forger in VERSIONS {
            let mut hello = packets(&mut dtls_session(forger)).remove(0);
            // As a first message, and as one that could be next.
            for number in [0, 2, 5, 9] {
                hello[18] = number;
                forged.send(&hello).expect("sends");
            }
            settle(&server);
        }
        client.skip_foreign_datagrams();
        check_talk(&mut client, &peer, relayed, 2);
    }
}

#[test]
fn a_client_that_starts_anew_from_its_address_gets_in() {
    let server = start();
    let first = socket(&server);
    let again = first.try_clone().expect("clones");
    let mut client = Client::over_dtls(first, dimpl::Dtls::new_12);
    client.allocate(false);
    assert_eq!(server.handle.live_allocations(), 1);
    let mut client = Client::over_dtls(again, dimpl::Dtls::new_13);
    wait_until("what it held before is gone", || server.handle.live_allocations() == 0);
    client.allocate(false);
    wait_until("one association is left", || server.sum(|s| s.dtls_associations) == 1);
}
