//! Busy flows have sockets of their own; nobody but the processor notices.

use std::net::{SocketAddr, UdpSocket};

use causeway_relay::RelaySettings;
use causeway_stun_codec::{AttributeType, Method};
use causeway_types::ClientTransport;

use crate::{
    client::{Client, PATIENCE},
    server::{Server, settings, start, start_with, wait_until},
};

const CHANNEL: u16 = 0x4000;
/// Longer from one to the next, since equal ones that wait would leave with one send.
const LENGTHS: std::ops::Range<usize> = 10..60;

/// A client with a channel to a peer.
struct Flow {
    client: Client,
    relayed: SocketAddr,
    peer: UdpSocket,
}

impl Flow {
    fn new(server: &Server, transport: ClientTransport, v6: bool) -> Self {
        let mut client = Client::new(server, transport, v6);
        let relayed = client.allocate(v6);
        let peer = UdpSocket::bind(if v6 { "[::1]:0" } else { "127.0.0.1:0" }).expect("binds");
        peer.set_read_timeout(Some(PATIENCE)).expect("an option");
        client.bind_channel(CHANNEL, peer.local_addr().expect("an address"));
        Self { client, relayed, peer }
    }

    /// Fifty datagrams there and back, each of which has to arrive, from the right address.
    fn talk(&mut self) {
        for len in LENGTHS {
            self.client.send_channel(CHANNEL, &vec![0x61; len]);
        }
        let mut room = [0; 100];
        for len in LENGTHS {
            assert_eq!(self.peer.recv_from(&mut room).expect("arrives"), (len, self.relayed));
            self.peer.send_to(room.get(..len).expect("fits"), self.relayed).expect("sends");
        }
        for len in LENGTHS {
            assert_eq!(self.client.receive_channel(PATIENCE), Some((CHANNEL, vec![0x61; len])));
        }
    }

    /// Talks until the server has `senders` sockets for busy flows.
    fn talk_until(&mut self, server: &Server, senders: u64) {
        wait_until("a socket of its own", || {
            self.talk();
            count(server) == senders
        });
    }
}

fn count(server: &Server) -> u64 {
    server.sum(|shard| shard.senders)
}

fn refused(server: &Server) -> u64 {
    server.sum(|shard| shard.senders_refused)
}

#[test]
fn a_busy_flow_gets_a_socket_each_way_and_loses_them_when_it_is_silent() {
    for v6 in [false, true] {
        let server = start();
        let mut flow = Flow::new(&server, ClientTransport::Udp, v6);
        flow.talk_until(&server, 2);
        flow.talk();
        // A second peer is heard and spoken to as ever.
        let other = UdpSocket::bind(if v6 { "[::1]:0" } else { "127.0.0.1:0" }).unwrap();
        other.set_read_timeout(Some(PATIENCE)).unwrap();
        flow.client.bind_channel(CHANNEL + 1, other.local_addr().unwrap());
        flow.client.send_channel(CHANNEL + 1, b"to the other");
        let mut room = [0; 100];
        assert_eq!(other.recv_from(&mut room).unwrap(), (12, flow.relayed));
        other.send_to(b"from the other", flow.relayed).unwrap();
        assert_eq!(flow.client.receive_channel(PATIENCE), Some((CHANNEL + 1, b"from the other".to_vec())));
        wait_until("they are closed", || count(&server) == 0);
        flow.talk();
        assert_eq!(refused(&server), 0);
    }
}

#[test]
fn a_client_by_tcp_has_one_towards_its_peer() {
    let server = start();
    let mut flow = Flow::new(&server, ClientTransport::Tcp, false);
    flow.talk_until(&server, 1);
    flow.talk();
}

#[test]
fn beyond_the_limit_a_busy_flow_is_relayed_all_the_same_and_counted() {
    let server = start_with(RelaySettings { senders_max: 2, ..settings() });
    let mut first = Flow::new(&server, ClientTransport::Udp, false);
    first.talk_until(&server, 2);
    assert_eq!(refused(&server), 0);
    let mut second = Flow::new(&server, ClientTransport::Udp, false);
    wait_until("it is refused", || {
        first.talk();
        second.talk();
        refused(&server) > 0
    });
    assert!(count(&server) <= 2);
    drop(first);
    wait_until("there is room again", || {
        second.talk();
        count(&server) == 2
    });
}

#[test]
fn they_go_with_the_allocation_and_its_port_is_free() {
    let server = start_with(RelaySettings { relay_ports: 21_010..=21_010, ..settings() });
    for _ in 0..3 {
        let mut flow = Flow::new(&server, ClientTransport::Udp, false);
        flow.talk_until(&server, 2);
        let ended = flow.client.call(Method::REFRESH, |b| b.attribute(&causeway_stun_codec::attributes::Lifetime(0)));
        ended.granted();
        wait_until("they are closed", || count(&server) == 0);
    }
}

#[test]
fn that_a_busy_peer_is_gone_is_told() {
    let server = start();
    let mut flow = Flow::new(&server, ClientTransport::Udp, false);
    flow.talk_until(&server, 2);
    let Flow { mut client, peer, .. } = flow;
    drop(peer);
    client.send_channel(CHANNEL, b"is anybody there?");
    let indication = client.receive_indication(Method::DATA);
    assert!(indication.raw(AttributeType::ICMP).is_some());
    assert!(count(&server) > 0, "it went to the socket that is open");
}
