//! A random life: clients that ask, send, crash and move, peers that answer, and weather.

use std::{net::SocketAddr, time::Duration};

use arbitrary::{Arbitrary, Unstructured};
use causeway_turn_client::{AllocateOptions, PortWish, Request};
use rand_chacha::{
    ChaCha12Rng,
    rand_core::{Rng, SeedableRng},
};

use crate::{
    books::RELAY_PORTS,
    world::{Conditions, World, relay_address},
};

/// Acts of one run; what is longer is cut.
const ACTS_MAX: usize = 300;
/// Bytes of a random run.
const SOAK_LEN: usize = 6000;

/// Who is there; whoever lives at home shares the router with the others there.
const CLIENTS: [(&str, bool); 6] = [
    ("alice", false),
    ("alice-phone", true),
    ("bob", true),
    ("bob-tablet", true),
    ("carol", false),
    ("erin-tv", false),
];
const PEERS: [&str; 5] = ["8.8.8.8:1000", "8.8.8.8:1001", "8.8.4.4:1000", "10.1.0.1:5433", "9.9.9.9:53"];
/// Relay ports that are spoken of: the lowest are taken first.
const RELAYS: u8 = 6;

#[derive(Clone, Debug, Arbitrary)]
enum Act {
    Ask {
        client: u8,
        wish: Wish,
    },
    /// All it takes to talk to a peer.
    Introduce {
        client: u8,
        channel: Option<u8>,
        to: To,
    },
    Send {
        client: u8,
        to: To,
        len: u8,
    },
    SendOn {
        client: u8,
        channel: u8,
        len: u8,
    },
    PeerSends {
        peer: u8,
        relay: u8,
        len: u8,
    },
    Wait(Wait),
    Happening(Happening),
}

#[derive(Clone, Copy, Debug, Arbitrary)]
enum Wish {
    Binding,
    Allocate { secs: u16, port: Port },
    Refresh { secs: u16 },
    End,
    Permit(To),
    Bind { channel: u8, to: To },
}

#[derive(Clone, Copy, Debug, Arbitrary)]
enum Port {
    Any,
    Even,
    Pair,
    V6,
}

/// A peer, or a relayed address of the server.
#[derive(Clone, Copy, Debug, Arbitrary)]
enum To {
    Peer(u8),
    Relay(u8),
}

#[derive(Clone, Copy, Debug, Arbitrary)]
enum Wait {
    Millis(u16),
    Secs(u8),
    Minutes(u8),
}

#[derive(Clone, Copy, Debug, Arbitrary)]
enum Happening {
    Restart {
        client: u8,
    },
    Rebind {
        client: u8,
    },
    Weather(Conditions),
    /// The server is busy: its timers run late.
    Lateness(u8),
}

/// What came of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Drawn from everything the server said.
    pub transcript: u64,
    /// Allocations that were granted.
    pub allocations: u64,
    /// Datagrams that reached a client.
    pub at_clients: usize,
    /// Datagrams that reached a peer.
    pub at_peers: usize,
}

/// Lives the life that `data` describes, lets everything expire, and looks at what arrived.
///
/// # Panics
/// The server did something it must not: see [`Shell`](crate::Shell).
#[must_use]
pub fn world(data: &[u8]) -> Summary {
    let mut data = Unstructured::new(data);
    let (Ok(seed), Ok(conditions)) = (u64::arbitrary(&mut data), Conditions::arbitrary(&mut data)) else {
        return Summary::default();
    };
    let mut life = Life { world: World::troubled(seed, mild(conditions)), sent: 0 };
    for _ in 0..ACTS_MAX {
        if data.is_empty() {
            break;
        }
        let Ok(act) = Act::arbitrary(&mut data) else { break };
        life.act(&act);
    }
    life.end()
}

/// [`world`] with a life drawn from a seed.
///
/// # Panics
/// As [`world`].
#[must_use]
pub fn soak(seed: u64) -> Summary {
    let mut data = vec![0; SOAK_LEN];
    ChaCha12Rng::seed_from_u64(seed).fill_bytes(&mut data);
    world(&data)
}

/// Bad, but not so bad that nothing works.
fn mild(conditions: Conditions) -> Conditions {
    Conditions {
        delay_millis_max: conditions.delay_millis_max % 2000,
        lost: conditions.lost % 80,
        doubled: conditions.doubled % 80,
    }
}

struct Life {
    world: World,
    sent: u32,
}

impl Life {
    fn act(&mut self, act: &Act) {
        match *act {
            Act::Ask { client, wish } => self.ask(client, wish),
            Act::Introduce { client, channel, to } => {
                self.ask(client, Wish::Allocate { secs: 600, port: Port::Any });
                self.world.advance(Duration::from_secs(2));
                self.ask(client, channel.map_or(Wish::Permit(to), |channel| Wish::Bind { channel, to }));
                self.world.advance(Duration::from_secs(2));
            }
            Act::Send { client, to, len } => {
                let (index, peer) = (self.client(client), address(to));
                let data = self.payload(CLIENTS[index].0, peer, len);
                self.world.send_data(index, peer, &data).expect("it is short");
            }
            Act::SendOn { client, channel, len } => {
                let index = self.client(client);
                let data = vec![0x5a; usize::from(len)];
                let (name, at_home) = CLIENTS[index];
                let mut client = if at_home { self.world.client_at_home(name) } else { self.world.client(name) };
                client.send_on(number(channel), &data);
            }
            Act::PeerSends { peer, relay, len } => {
                let (peer, relay) = (address(To::Peer(peer)), address(To::Relay(relay)));
                let data = self.payload(&peer.to_string(), relay, len);
                self.world.peer_sends(peer, relay, &data);
            }
            Act::Wait(wait) => {
                let by = match wait {
                    Wait::Millis(millis) => Duration::from_millis(u64::from(millis)),
                    Wait::Secs(secs) => Duration::from_secs(u64::from(secs)),
                    Wait::Minutes(minutes) => Duration::from_secs(u64::from(minutes % 6) * 60),
                };
                self.world.advance(by);
            }
            Act::Happening(Happening::Restart { client }) => {
                let index = self.client(client);
                self.world.restart(index);
            }
            Act::Happening(Happening::Rebind { client }) => {
                let index = self.client(client);
                self.world.rebind(index);
            }
            Act::Happening(Happening::Lateness(secs)) => {
                self.world.set_lateness(Duration::from_secs(u64::from(secs)));
            }
            Act::Happening(Happening::Weather(conditions)) => self.world.set_conditions(mild(conditions)),
        }
    }

    fn ask(&mut self, client: u8, wish: Wish) {
        let request = match wish {
            Wish::Binding => Request::Binding,
            Wish::Allocate { secs, port } => Request::Allocate(AllocateOptions {
                lifetime: Some(Duration::from_secs(u64::from(secs))),
                port: match port {
                    Port::Any | Port::V6 => PortWish::Any,
                    Port::Even => PortWish::Even,
                    Port::Pair => PortWish::EvenAndReserveNext,
                },
                additional_v6: matches!(port, Port::V6),
                ..AllocateOptions::default()
            }),
            Wish::Refresh { secs } => Request::Refresh { lifetime: Some(Duration::from_secs(u64::from(secs))) },
            Wish::End => Request::Refresh { lifetime: Some(Duration::ZERO) },
            Wish::Permit(to) => Request::CreatePermission { peers: vec![address(to).ip()] },
            Wish::Bind { channel, to } => Request::ChannelBind { number: number(channel), peer: address(to) },
        };
        let index = self.client(client);
        self.world.request(index, request);
    }

    /// The position of a client, who comes when first named.
    fn client(&mut self, which: u8) -> usize {
        for (name, at_home) in CLIENTS {
            if at_home {
                self.world.client_at_home(name);
            } else {
                self.world.client(name);
            }
        }
        usize::from(which) % CLIENTS.len()
    }

    /// Says who sent it to whom.
    fn payload(&mut self, from: &str, to: SocketAddr, len: u8) -> Vec<u8> {
        self.sent += 1;
        let mut data = format!("{from}>{to}>{}>", self.sent).into_bytes();
        data.extend(vec![b'.'; usize::from(len)]);
        data
    }

    fn end(mut self) -> Summary {
        self.world.advance(Duration::from_secs(10));
        let mut summary =
            Summary { allocations: self.world.shell().server().stats().allocations_created, ..Summary::default() };
        for peer in PEERS {
            for arrived in self.world.peer(peer).take_received() {
                summary.at_peers += 1;
                let text = String::from_utf8(arrived.data).expect("payloads are text");
                // Who gets another's port from the router speaks on another's channels: only the others are sure.
                let sender = text.split('>').next().unwrap_or_default();
                let is_sure = CLIENTS.iter().any(|(name, at_home)| *name == sender && !at_home);
                assert!(!is_sure || text.split('>').nth(1) == Some(peer), "{text} came to {peer}");
            }
        }
        for (index, (_, at_home)) in CLIENTS.iter().enumerate().take(self.world.client_count()) {
            for arrived in self.world.take_received(index) {
                summary.at_clients += 1;
                let text = String::from_utf8(arrived.data).expect("payloads are text");
                let from = arrived.from.to_string();
                // Who is at home may hear another's channels, as above.
                let is_peer = !at_home && PEERS.contains(&from.as_str());
                assert!(!is_peer || text.split('>').next() == Some(&from), "{text} came from {from}");
            }
        }
        summary.transcript = self.world.settle();
        summary
    }
}

fn address(to: To) -> SocketAddr {
    match to {
        To::Peer(which) => PEERS[usize::from(which) % PEERS.len()].parse().expect("an address"),
        To::Relay(which) => SocketAddr::new(relay_address(), RELAY_PORTS.start() + u16::from(which % RELAYS)),
    }
}

fn number(channel: u8) -> u16 {
    0x4000 + u16::from(channel % 4)
}
