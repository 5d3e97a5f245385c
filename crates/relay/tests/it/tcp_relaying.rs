//! TCP relaying (RFC 6062).

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    ops::RangeInclusive,
    thread,
};

use causeway_relay::RelaySettings;
use causeway_stun_codec::{
    MessageBuilder, Method,
    attributes::{ConnectionId, RequestedTransport, XorPeerAddress},
};
use causeway_types::ClientTransport;

use crate::{
    client::{Client, PATIENCE},
    server::{Server, settings, start_with, wait_until},
};

/// TCP relay ports are shared by servers of one user: each test has its own.
fn start(threads: u8, relay_ports: RangeInclusive<u16>) -> Server {
    start_with(RelaySettings { threads, relay_ports, ..settings() })
}

fn tcp_allocation(server: &Server) -> (Client, SocketAddr) {
    let mut client = Client::new(server, ClientTransport::Tcp, false);
    let relayed = client.call(Method::ALLOCATE, |b| b.attribute(&RequestedTransport(6))).granted().relayed();
    (client, relayed)
}

fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
    let address = listener.local_addr().expect("an address");
    (listener, address)
}

fn connection_id(reply: &crate::client::Reply) -> u32 {
    reply.message().attribute::<ConnectionId>().expect("decodes").expect("an id").0
}

fn connect(control: &mut Client, peer: SocketAddr) -> u32 {
    connection_id(&control.call(Method::CONNECT, |b| b.attribute(&XorPeerAddress(peer))).granted())
}

/// A data connection bound to a peer connection.
fn bind(server: &Server, id: u32) -> TcpStream {
    let mut data = Client::new(server, ClientTransport::Tcp, false);
    data.call(Method::CONNECTION_BIND, |b: MessageBuilder| b.attribute(&ConnectionId(id))).granted();
    let stream = data.into_tcp();
    stream.set_read_timeout(Some(PATIENCE)).expect("an option");
    stream
}

fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    let (stream, from) = listener.accept().expect("accepts");
    stream.set_read_timeout(Some(PATIENCE)).expect("an option");
    (stream, from)
}

fn check_stream(from: &TcpStream, mut to: &TcpStream, bytes: &[u8]) {
    let (mut sender, sent) = (from.try_clone().expect("clones"), bytes.to_vec());
    let writing = thread::spawn(move || sender.write_all(&sent).expect("writes"));
    let mut received = vec![0; bytes.len()];
    to.read_exact(&mut received).expect("arrives");
    assert!(received == bytes, "other bytes arrived");
    writing.join().expect("ends");
}

fn megabytes(n: usize) -> Vec<u8> {
    (0..=250_u8).map(|byte| byte.wrapping_mul(31)).cycle().take(n << 20).collect()
}

#[test]
fn a_client_connects_to_a_peer_and_bytes_pass_both_ways_on_any_thread() {
    for (threads, ports) in [(1, 20_000..=20_099), (4, 20_100..=20_199)] {
        let server = start(threads, ports);
        let (listener, peer) = listen();
        let (mut control, relayed) = tcp_allocation(&server);
        let id = connect(&mut control, peer);
        let (mut far, from) = accept(&listener);
        assert_eq!(from, relayed, "RFC 6062 §5.2: from the relayed address");
        let mut near = bind(&server, id);
        check_stream(&near, &far, b"hello");
        check_stream(&far, &near, b"good day");
        check_stream(&near, &far, &megabytes(3));
        check_stream(&far, &near, &megabytes(3));
        near.shutdown(Shutdown::Write).unwrap();
        assert_eq!(far.read(&mut [0]).unwrap(), 0, "half-close is passed on");
        check_stream(&far, &near, b"still open this way");
        drop(far);
        assert_eq!(near.read(&mut [0]).unwrap(), 0);
        wait_until("the data connection is closed", || server.sum(|s| s.connections) == 1);
    }
}

#[test]
fn data_connections_are_served_on_whichever_thread_they_arrive() {
    let server = start(4, 20_200..=20_299);
    let (mut control, _) = tcp_allocation(&server);
    let mut open = Vec::new();
    for n in 0..12_u8 {
        let (listener, peer) = listen();
        let id = connect(&mut control, peer);
        let (far, _) = accept(&listener);
        let near = bind(&server, id);
        check_stream(&near, &far, &[n; 10]);
        check_stream(&far, &near, &[n; 10]);
        open.push((near, far));
    }
    // The allocation's end takes all of them with it.
    drop(control);
    for (near, far) in &mut open {
        assert_eq!(near.read(&mut [0]).unwrap_or(0), 0);
        assert_eq!(far.read(&mut [0]).unwrap_or(0), 0);
    }
}

#[test]
fn bytes_sent_right_behind_the_bind_request_reach_the_peer() {
    for (threads, ports) in [(1, 20_300..=20_399), (4, 20_400..=20_499)] {
        let server = start(threads, ports);
        let (mut control, _) = tcp_allocation(&server);
        for _ in 0..6 {
            let (listener, peer) = listen();
            let id = connect(&mut control, peer);
            let (mut far, _) = accept(&listener);
            far.write_all(b"early from the peer").unwrap();
            let mut data = Client::new(&server, ClientTransport::Tcp, false);
            // Fetches the nonce: there is no connection 0.
            data.call(Method::CONNECTION_BIND, |b| b.attribute(&ConnectionId(0)));
            let mut bytes = data.request(Method::CONNECTION_BIND, |b| b.attribute(&ConnectionId(id)));
            bytes.extend_from_slice(b"early from the client");
            data.send(&bytes);
            let mut room = [0; 21];
            far.read_exact(&mut room).unwrap();
            assert_eq!(&room, b"early from the client");
            let reply = data.receive(PATIENCE).expect("a reply");
            assert_eq!(crate::client::Reply(reply).code(), 0);
            let mut room = [0; 19];
            let mut stream = data.tcp().try_clone().unwrap();
            // What came with the reply is in the client's buffer; it is no message, so read it from there.
            let early = data.take_rest();
            let (have, want) = room.split_at_mut(early.len());
            have.copy_from_slice(&early);
            stream.read_exact(want).unwrap();
            assert_eq!(&room, b"early from the peer");
        }
    }
}

#[test]
fn a_peer_that_connects_is_announced_and_one_without_permission_is_not() {
    let server = start(1, 20_500..=20_599);
    let (mut control, relayed) = tcp_allocation(&server);
    let mut refused = TcpStream::connect(relayed).unwrap();
    refused.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(refused.read(&mut [0]).unwrap_or(0), 0, "closed without permission");
    control.permit("127.0.0.1:1".parse().unwrap()).granted();
    let far = TcpStream::connect(relayed).unwrap();
    far.set_read_timeout(Some(PATIENCE)).unwrap();
    let attempt = control.receive_indication(Method::CONNECTION_ATTEMPT);
    let from = attempt.message().attribute::<XorPeerAddress>().unwrap();
    assert_eq!(from, Some(XorPeerAddress(far.local_addr().unwrap())));
    let near = bind(&server, connection_id(&attempt));
    check_stream(&near, &far, b"hello");
    check_stream(&far, &near, b"hello yourself");
}

#[test]
fn a_refused_connection_is_answered_447() {
    let server = start(1, 20_600..=20_699);
    let (mut control, _) = tcp_allocation(&server);
    let (listener, peer) = listen();
    drop(listener);
    assert_eq!(control.call(Method::CONNECT, |b| b.attribute(&XorPeerAddress(peer))).code(), 447);
}

#[test]
fn a_side_that_does_not_read_holds_the_other_back_and_loses_nothing() {
    let server = start(1, 20_700..=20_799);
    let (mut control, _) = tcp_allocation(&server);
    let (listener, peer) = listen();
    let id = connect(&mut control, peer);
    let (mut far, _) = accept(&listener);
    let mut near = bind(&server, id);
    for _ in 0..2 {
        let sent = megabytes(24);
        let (mut sender, bytes) = (near.try_clone().unwrap(), sent.clone());
        let writing = thread::spawn(move || sender.write_all(&bytes).unwrap());
        // Nobody reads: the writer must come to a halt instead of filling the relay's memory.
        wait_until("the relay has taken something", || server.sum(|s| s.turn.from_client.bytes) > 0);
        thread::park_timeout(std::time::Duration::from_millis(300));
        assert!(!writing.is_finished(), "24 MiB cannot all be on the way");
        let mut received = vec![0; sent.len()];
        far.read_exact(&mut received).unwrap();
        writing.join().unwrap();
        assert!(received == sent);
        std::mem::swap(&mut near, &mut far);
    }
}

#[test]
fn bandwidth_limits_shape_streams_instead_of_dropping() {
    let mut settings = RelaySettings { relay_ports: 20_800..=20_899, ..settings() };
    let mut turn = crate::server::turn_config();
    turn.limits.bandwidth_per_allocation = Some(1 << 20);
    settings.turn = std::sync::Arc::new(turn);
    let server = start_with(settings);
    let (mut control, _) = tcp_allocation(&server);
    let (listener, peer) = listen();
    let id = connect(&mut control, peer);
    let (far, _) = accept(&listener);
    let near = bind(&server, id);
    let start = std::time::Instant::now();
    check_stream(&near, &far, &megabytes(3));
    assert!(start.elapsed().as_millis() > 1000, "3 MiB at 1 MiB/s took {:?}", start.elapsed());
}
