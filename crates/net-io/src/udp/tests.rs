use std::time::{Duration, Instant};

use super::*;

const OPTIONS: UdpOptions =
    UdpOptions { reuse_port: false, receive_buffer: 1 << 20, send_buffer: 1 << 20, report_errors: true };

fn bind(address: &str) -> UdpSocket {
    UdpSocket::bind(address.parse().expect("an address"), OPTIONS).expect("binds")
}

fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> Received {
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        match socket.receive(buffer) {
            Ok(received) => return received,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && Instant::now() < deadline => {
                std::thread::yield_now()
            }
            Err(error) => panic!("nothing received: {error}"),
        }
    }
}

#[test]
fn segments_with_a_header_each_arrive_as_single_datagrams() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let (alice, bob) = (bind(address), std::net::UdpSocket::bind(address).unwrap());
        let payload: Vec<u8> = (0..50_u8).collect();
        let parts: Vec<IoSlice<'_>> =
            payload.chunks(20).flat_map(|chunk| [IoSlice::new(b"head"), IoSlice::new(chunk)]).collect();
        alice.send(bob.local_addr().unwrap(), None, &parts, Some(24)).unwrap();
        assert!(alice.can_segment());
        let mut buffer = [0; 100];
        for (from, to) in [(0, 20), (20, 40), (40, 50)] {
            let (n, _) = bob.recv_from(&mut buffer).unwrap();
            assert_eq!(buffer.get(..4), Some(&b"head"[..]));
            assert_eq!(buffer.get(4..n), payload.get(from..to));
        }
    }
}

#[test]
fn a_burst_is_received_in_one_call_with_its_segment_size() {
    let (alice, bob) = (bind("127.0.0.1:0"), bind("127.0.0.1:0"));
    let bytes = vec![7; 1000 * 9 + 500];
    alice.send(bob.local_addr(), None, &[IoSlice::new(&bytes)], Some(1000)).unwrap();
    let mut buffer = vec![0; 65_536];
    let received = receive(&bob, &mut buffer);
    assert_eq!((received.len, received.segment_len, received.from), (9500, 1000, alice.local_addr()));
}

#[test]
fn a_wildcard_socket_knows_the_destination_and_answers_from_it() {
    for (wildcard, target) in [("0.0.0.0:0", "127.0.0.2"), ("[::]:0", "::1")] {
        let server = bind(wildcard);
        let target: IpAddr = target.parse().unwrap();
        let client = bind(if target.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" });
        client.send(SocketAddr::new(target, server.local_addr().port()), None, &[IoSlice::new(b"hi")], None).unwrap();
        let mut buffer = [0; 100];
        let received = receive(&server, &mut buffer);
        assert_eq!(received.to, Some(target));
        server.send(received.from, received.to, &[IoSlice::new(b"yo")], None).unwrap();
        assert_eq!(receive(&client, &mut buffer).from.ip(), target);
    }
}

#[test]
fn a_closed_port_is_reported_with_its_address() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let closed = std::net::UdpSocket::bind(address).unwrap().local_addr().unwrap();
        let socket = bind(address);
        socket.send(closed, None, &[IoSlice::new(b"x")], None).unwrap();
        let deadline = Instant::now() + Duration::from_secs(5);
        let report = loop {
            if let Some(report) = socket.take_icmp() {
                break report;
            }
            assert!(Instant::now() < deadline, "no report");
        };
        let (icmp_type, icmp_code) = if closed.is_ipv4() { (3, 3) } else { (1, 4) };
        assert_eq!(report, IcmpReport { peer: closed, icmp_type, icmp_code, mtu: 0 });
    }
}

#[test]
fn writes_of_a_segmenting_socket_arrive_as_single_datagrams() {
    let bob = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let alice = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    alice.connect(bob.local_addr().unwrap()).unwrap();
    segment_writes(&alice, 20).unwrap();
    alice.send(&[7; 50]).unwrap();
    let mut buffer = [0; 100];
    for len in [20, 20, 10] {
        assert_eq!(bob.recv(&mut buffer).unwrap(), len);
    }
}

#[test]
fn what_waits_is_received_in_one_call_each_datagram_in_its_place() {
    const STRIDE: usize = 70_000;
    let bob = bind("127.0.0.1:0");
    let senders: Vec<_> = (0..3).map(|_| std::net::UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
    let mut buffer = vec![0; RECEIVES_MAX * STRIDE];
    let mut received = Vec::new();
    let nothing = bob.receive_many(&mut buffer, STRIDE, 4, &mut received).unwrap_err();
    assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
    for len in [1_usize, 500, 60_000] {
        for (sender, byte) in senders.iter().zip(1..) {
            sender.send_to(&vec![byte; len], bob.local_addr()).unwrap();
        }
    }
    let mut expected = [1, 500, 60_000].into_iter().flat_map(|len| senders.iter().zip(1_u8..).map(move |s| (len, s)));
    for count in [4, 4, 1] {
        bob.receive_many(&mut buffer, STRIDE, 4, &mut received).unwrap();
        assert_eq!(received.len(), count);
        for (slot, received) in buffer.chunks(STRIDE).zip(&received) {
            let (len, (sender, byte)) = expected.next().unwrap();
            assert_eq!((received.len, received.segment_len), (len, len));
            assert_eq!(received.from, sender.local_addr().unwrap());
            assert!(slot.iter().take(len).all(|b| *b == byte));
        }
    }
}

#[test]
fn a_burst_among_others_keeps_its_segment_size() {
    let (alice, bob) = (std::net::UdpSocket::bind("127.0.0.1:0").unwrap(), bind("127.0.0.1:0"));
    alice.connect(bob.local_addr()).unwrap();
    alice.send(&[1; 50]).unwrap();
    segment_writes(&alice, 20).unwrap();
    alice.send(&[2; 50]).unwrap();
    let mut buffer = vec![0; 2 * 100];
    let mut received = Vec::new();
    bob.receive_many(&mut buffer, 100, RECEIVES_MAX, &mut received).unwrap();
    let lens: Vec<_> = received.iter().map(|received| (received.len, received.segment_len)).collect();
    assert_eq!(lens, [(50, 50), (50, 20)]);
}

#[test]
fn a_connected_sender_has_the_source_of_the_open_socket_and_hears_nothing() {
    // The kernel itself would choose 127.0.0.1 and the first address.
    for (source, to) in [("127.0.0.2:0", "127.0.0.1:0"), ("127.0.0.1:0", "127.0.0.9:0"), ("[::1]:0", "[::1]:0")] {
        let (open, peer) = (bind(source), bind(to));
        let sender = ConnectedSender::open(open.local_addr(), peer.local_addr(), OPTIONS).unwrap();
        let mut buffer = [0; 2000];
        sender.send(&[IoSlice::new(b"he"), IoSlice::new(b"llo")], None).unwrap();
        let received = receive(&peer, &mut buffer);
        assert_eq!((received.from, received.len), (open.local_addr(), 5));
        sender.send(&[IoSlice::new(&[7; 50])], Some(20)).unwrap();
        assert!(sender.can_segment());
        let received = receive(&peer, &mut buffer);
        assert_eq!((received.from, received.len, received.segment_len), (open.local_addr(), 50, 20));
        peer.send(open.local_addr(), None, &[IoSlice::new(b"answer")], None).unwrap();
        assert_eq!(receive(&open, &mut buffer).from, peer.local_addr());
    }
}

#[test]
fn a_wildcard_socket_has_connected_senders_for_several_clients() {
    for (wildcard, source) in [("0.0.0.0:0", "127.0.0.3"), ("[::]:0", "::1")] {
        let source: IpAddr = source.parse().unwrap();
        let free = bind(wildcard).local_addr();
        let options = UdpOptions { reuse_port: true, ..OPTIONS };
        let open = UdpSocket::bind(free, options).unwrap();
        let own = SocketAddr::new(source, free.port());
        let clients = [0; 3].map(|_| bind(if source.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" }));
        let senders = clients.each_ref().map(|c| ConnectedSender::open(own, c.local_addr(), options).unwrap());
        let mut buffer = [0; 100];
        for (client, sender) in clients.iter().zip(&senders) {
            sender.send(&[IoSlice::new(b"down")], None).unwrap();
            assert_eq!(receive(client, &mut buffer).from, own);
            client.send(own, None, &[IoSlice::new(b"up")], None).unwrap();
            let received = receive(&open, &mut buffer);
            assert_eq!((received.from, received.to), (client.local_addr(), Some(source)));
        }
    }
}

#[test]
fn an_icmp_error_for_a_connected_sender_is_reported_by_the_open_socket() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let closed = std::net::UdpSocket::bind(address).unwrap().local_addr().unwrap();
        let open = bind(address);
        let sender = ConnectedSender::open(open.local_addr(), closed, OPTIONS).unwrap();
        let deadline = Instant::now() + Duration::from_secs(5);
        let report = loop {
            sender.send(&[IoSlice::new(b"x")], None).unwrap();
            if let Some(report) = open.take_icmp() {
                break report;
            }
            assert!(Instant::now() < deadline, "no report");
        };
        assert_eq!(report.peer, closed);
    }
}

#[test]
fn this_kernel_passes_the_check_and_a_foreign_source_is_refused() {
    ConnectedSender::check(true).unwrap();
    ConnectedSender::check(false).unwrap();
    for (foreign, to) in [("192.0.2.1:9", "127.0.0.1:9"), ("[2001:db8::1]:9", "[::1]:9")] {
        let refused = ConnectedSender::open(foreign.parse().unwrap(), to.parse().unwrap(), OPTIONS);
        assert!(refused.is_err(), "{foreign}");
    }
}
