//! Clients whose socket is one thread's and whose allocation is another's.

use std::{
    io::Read,
    net::{SocketAddr, TcpStream, UdpSocket},
    time::Duration,
};

use causeway_relay::RelaySettings;
use causeway_stun_codec::{
    AttributeType, Method,
    attributes::{Lifetime, MobilityTicket},
};
use causeway_turn_core::DropReason;
use causeway_types::ClientTransport;

use crate::{
    client::{Client, PATIENCE},
    robustness::{check_talk, peer},
    server::{Server, settings, start_with, wait_until},
};

/// So many, and the kernel has put some of them on another thread than before.
const CLIENTS: usize = 6;

fn threaded() -> RelaySettings {
    RelaySettings { threads: 4, ..settings() }
}

struct Moved {
    client: Client,
    peer: UdpSocket,
    relayed: SocketAddr,
    ticket: Vec<u8>,
}

/// A client with channel 0x4000 that came over UDP and went on over another transport.
fn moved(server: &Server, transport: ClientTransport) -> Moved {
    let mut client = Client::new(server, ClientTransport::Udp, false);
    let reply = client.allocate_with(|b| b.attribute(&MobilityTicket(&[]))).granted();
    let ticket = reply.raw(AttributeType::MOBILITY_TICKET).expect("a ticket");
    let (peer, address) = peer();
    client.bind_channel(0x4000, address);
    let mut moved = Moved { client: Client::new(server, transport, false), peer, relayed: reply.relayed(), ticket };
    moved.show_ticket();
    moved.check(1);
    moved
}

impl Moved {
    fn show_ticket(&mut self) {
        let reply = self.client.call(Method::REFRESH, |b| b.attribute(&MobilityTicket(&self.ticket))).granted();
        self.ticket = reply.raw(AttributeType::MOBILITY_TICKET).expect("a ticket");
    }

    fn check(&mut self, tag: u8) {
        check_talk(&mut self.client, &self.peer, self.relayed, tag);
    }
}

#[test]
fn an_answer_to_a_slow_reader_is_kept_before_data_though_it_comes_from_another_thread() {
    let server = start_with(threaded());
    for _ in 0..CLIENTS {
        let mut moved = moved(&server, ClientTransport::Tcp);
        let drops = |more: u64, what: &str| {
            let before = server.drops(DropReason::SlowReader);
            wait_until(what, || {
                for _ in 0..100 {
                    moved.peer.send_to(&[7; 1000], moved.relayed).expect("sends");
                }
                server.drops(DropReason::SlowReader) > before + more
            });
        };
        drops(100, "data is dropped");
        let refreshes = || {
            let of = |s: &causeway_relay::ShardStats| s.turn.requests().find(|(name, _)| *name == "refresh");
            server.sum(|s| of(s).map_or(0, |(_, n)| n))
        };
        let before = refreshes();
        let request = moved.client.request(Method::REFRESH, |b| b.attribute(&Lifetime(500)));
        moved.client.send(&request);
        wait_until("the request is taken", || refreshes() > before);
        drops(300, "more data than the queue holds came behind the answer");
        while moved.client.receive(PATIENCE).expect("the answer comes")[0] >= 4 {}
    }
}

#[test]
fn the_end_of_a_connection_is_told_to_the_thread_that_has_the_allocation() {
    for transport in [ClientTransport::Tcp, ClientTransport::Dtls] {
        let mut settings = threaded();
        settings.limits.idle_timeout = Duration::from_millis(100);
        let server = start_with(settings);
        for _ in 0..CLIENTS {
            let Moved { mut client, peer, relayed, ticket } = moved(&server, transport);
            if transport == ClientTransport::Dtls {
                client.close_dtls();
            }
            drop(client);
            let before = server.drops(DropReason::NoAllocation);
            wait_until("peers are told nothing any more", || {
                peer.send_to(b"is anybody there", relayed).expect("sends");
                server.drops(DropReason::NoAllocation) > before
            });
            // And the ticket still opens it from elsewhere.
            let client = Client::new(&server, ClientTransport::Udp, false);
            let mut back = Moved { client, peer, relayed, ticket };
            back.show_ticket();
            back.check(2);
        }
    }
}

#[test]
fn a_moved_client_that_says_nothing_is_not_taken_for_idle() {
    let mut settings = threaded();
    settings.limits.idle_timeout = Duration::from_millis(200);
    let server = start_with(settings);
    for transport in [ClientTransport::Tcp, ClientTransport::Dtls] {
        let mut all: Vec<Moved> = (0..CLIENTS).map(|_| moved(&server, transport)).collect();
        // Silent ones without an allocation, one of them on each thread as far as chance goes, are closed meanwhile.
        for _ in 0..CLIENTS {
            let mut silent = TcpStream::connect(server.address(ClientTransport::Tcp, false)).unwrap();
            silent.set_read_timeout(Some(PATIENCE)).unwrap();
            assert_eq!(silent.read(&mut [0]).unwrap_or(0), 0);
        }
        for moved in &mut all {
            moved.check(3);
        }
    }
}
