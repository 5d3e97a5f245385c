//! A server's host and one of clients and peers, with a link between them, and all the sockets there are.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    ops::RangeInclusive,
};

use anyhow::{Context, Result, ensure};
use causeway_bench::space::Space;
use causeway_fast_path::Flow;

pub(crate) const SERVER: Ipv4Addr = Ipv4Addr::new(198, 18, 1, 1);
const CLIENTS: Ipv4Addr = Ipv4Addr::new(198, 18, 1, 2);
const PEERS: Ipv4Addr = Ipv4Addr::new(198, 18, 1, 3);
/// The server's interface.
pub(crate) const INTERFACE: &str = "eth0";
const LISTENER_PORT: u16 = 3478;
pub(crate) const RELAY_PORTS: RangeInclusive<u16> = 20_000..=30_000;
const CHANNEL_MIN: u16 = 0x4000;
/// Channels of one client, each to another peer.
const CHANNELS_PER_CLIENT: usize = 100;

/// Both hosts.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) server: Space,
    pub(crate) far: Space,
}

impl World {
    pub(crate) fn new() -> Result<Self> {
        let (server, far) = (Space::new()?, Space::new()?);
        far.link("far0", &server, INTERFACE)?;
        far.ip(&format!("addr add {CLIENTS}/24 dev far0"))?;
        far.ip(&format!("addr add {PEERS}/24 dev far0"))?;
        server.ip(&format!("addr add {SERVER}/24 dev {INTERFACE}"))?;
        Ok(Self { server, far })
    }
}

/// The clients, channels and peers of one thread, and the sockets of the server that they have to do with.
#[derive(Debug)]
pub(crate) struct Crowd {
    pub(crate) listener: UdpSocket,
    pub(crate) clients: Vec<UdpSocket>,
    pub(crate) relays: Vec<UdpSocket>,
    pub(crate) peers: Vec<UdpSocket>,
}

impl Crowd {
    /// The `index`th, for `n_channels`.
    pub(crate) fn new(world: &World, index: usize, n_channels: usize) -> Result<Self> {
        let n_clients = n_channels.div_ceil(CHANNELS_PER_CLIENT);
        let index = u16::try_from(index)?;
        let bind = |address: SocketAddr| -> Result<UdpSocket> {
            let socket = UdpSocket::bind(address).with_context(|| address.to_string())?;
            socket.set_nonblocking(true)?;
            Ok(socket)
        };
        let many = |n: usize, ip: Ipv4Addr| (0..n).map(|_| bind((ip, 0).into())).collect::<Result<Vec<_>>>();
        let relay_port = |n: usize| -> Result<u16> {
            let port = RELAY_PORTS.start() + index * 2000 + u16::try_from(n)?;
            ensure!(RELAY_PORTS.contains(&port), "too many channels");
            Ok(port)
        };
        let (listener, relays) = world.server.inside(|| {
            let listener = bind((SERVER, LISTENER_PORT + index).into())?;
            let relays: Result<Vec<_>> = (0..n_clients).map(|n| bind((SERVER, relay_port(n)?).into())).collect();
            Ok((listener, relays?))
        })?;
        let address = listener.local_addr()?;
        let (clients, peers) = world.far.inside(|| {
            let clients = many(n_clients, CLIENTS)?;
            for client in &clients {
                client.connect(address)?;
            }
            Ok((clients, many(CHANNELS_PER_CLIENT, PEERS)?))
        })?;
        Ok(Self { listener, clients, relays, peers })
    }

    /// Whose channel it is, and whom it leads to.
    pub(crate) const fn ends(channel: usize) -> (usize, usize) {
        (channel / CHANNELS_PER_CLIENT, channel % CHANNELS_PER_CLIENT)
    }

    /// The number by which its client names it.
    pub(crate) fn number(channel: usize) -> u16 {
        CHANNEL_MIN + u16::try_from(channel % CHANNELS_PER_CLIENT).unwrap_or(0)
    }

    /// As the fast path has it.
    pub(crate) fn flow(&self, channel: usize) -> Result<Flow> {
        let (client, peer) = Self::ends(channel);
        let address = |sockets: &[UdpSocket], index: usize| -> Result<SocketAddr> {
            Ok(sockets.get(index).context("one for each channel")?.local_addr()?)
        };
        Ok(Flow {
            client: address(&self.clients, client)?,
            server: self.listener.local_addr()?,
            channel: Self::number(channel),
            relay: address(&self.relays, client)?,
            advertised: IpAddr::V4(SERVER),
            peer: address(&self.peers, peer)?,
            peer_relay: None,
        })
    }
}
