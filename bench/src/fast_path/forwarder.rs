//! The least a relay in user space can be: sockets, epoll, and four bytes more or less.

use std::{
    collections::HashMap,
    io::ErrorKind,
    net::{SocketAddr, UdpSocket},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use causeway_bench::turn::CHANNEL;
use causeway_net_io::{Epoll, Events, Interest};
use causeway_stun_codec::channel_data;

use crate::{
    flows::channel_data_of,
    subject::{Place, Processors, free_address, pinned},
};

/// The token of the socket that clients send to.
const CLIENTS: u64 = u64::MAX;
/// Datagrams of one socket before the others get their turn.
const IN_A_ROW_MAX: usize = 64;
const CHANNEL_LEN: usize = 4;

/// How the forwarder's sockets on the peer's side are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peers {
    /// Connected to the one peer they will ever have: the kernel keeps the route, and no address goes with a packet.
    One,
    /// Open to any peer, as a relay's have to be (RFC 8656 §11.3): the kernel looks up the route for each packet.
    Any,
}

impl Peers {
    const fn as_str(self) -> &'static str {
        match self {
            Self::One => "one",
            Self::Any => "any",
        }
    }
}

/// This program in another process, forwarding.
#[derive(Debug)]
pub(crate) struct Forwarder {
    pub(crate) place: Place,
    pub(crate) address: SocketAddr,
    /// Where everything goes to.
    pub(crate) peer: UdpSocket,
    process: Child,
}

impl Forwarder {
    pub(crate) fn start(place: &Place, processors: Processors, peers: Peers) -> Result<Self> {
        let ip = place.coturn_ip;
        let address = place.at_server(|| free_address(ip))?;
        let peer = place.at_generator(|| Ok(UdpSocket::bind((place.peer_ip, 0))?))?;
        let mut command: Command = pinned(&std::env::current_exe()?, Some(processors), place);
        let how = format!("{address},{},{}", peer.local_addr()?, peers.as_str());
        command.args(["--forwarder", &how]).stdin(Stdio::null());
        let process = command.spawn().context("the forwarder cannot be started")?;
        Ok(Self { place: place.clone(), address, peer, process })
    }

    /// Waits for one of each, by which the forwarder gets to know them.
    pub(crate) fn see_one_datagram_each(&self, senders: &[UdpSocket]) -> Result<()> {
        self.peer.set_read_timeout(Some(Duration::from_millis(100)))?;
        let deadline = Instant::now() + Duration::from_secs(20);
        for (index, sender) in senders.iter().enumerate() {
            let payload = format!("datagram of sender {index}").into_bytes();
            let mut buffer = [0; 2048];
            loop {
                ensure!(Instant::now() < deadline, "the forwarder does not forward");
                // Refused by a port that is not open so far.
                if sender.send(&channel_data_of(&payload)).is_err() {
                    thread::sleep(Duration::from_millis(5));
                    continue;
                }
                if self.peer.recv(&mut buffer).is_ok_and(|len| buffer.get(..len) == Some(&*payload)) {
                    break;
                }
            }
        }
        Ok(())
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        // Both fail only when the process has ended by itself.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// Forwards for ever. `how`: its own address, the peer's, and [`Peers`], with commas.
pub(crate) fn forward(how: &str) -> Result<()> {
    let [own, peer, peers] = how.split(',').collect::<Vec<_>>().try_into().ok().context("two addresses and a word")?;
    let (own, peer): (SocketAddr, SocketAddr) = (own.parse()?, peer.parse()?);
    let is_connected = peers == Peers::One.as_str();
    let clients = UdpSocket::bind(own)?;
    clients.set_nonblocking(true)?;
    let epoll = Epoll::new()?;
    epoll.add(&clients, CLIENTS, Interest::Read)?;
    let mut relays: Vec<(SocketAddr, UdpSocket)> = Vec::new();
    let mut by_client: HashMap<SocketAddr, usize> = HashMap::new();
    let mut events = Events::with_capacity(64);
    let mut buffer = [0; 2048];
    loop {
        epoll.wait(&mut events, None)?;
        for event in (0..events.len()).filter_map(|index| events.event(index)) {
            if event.token != CLIENTS {
                let (client, relay) = relays.get(usize::try_from(event.token)?).context("a token of ours")?;
                to_client(relay, &clients, *client, &mut buffer)?;
                continue;
            }
            for _ in 0..IN_A_ROW_MAX {
                let (len, client) = match clients.recv_from(&mut buffer) {
                    Ok(received) => received,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => bail!(error),
                };
                let index = match by_client.get(&client) {
                    Some(index) => *index,
                    None => {
                        let relay = UdpSocket::bind((own.ip(), 0))?;
                        if is_connected {
                            relay.connect(peer)?;
                        }
                        relay.set_nonblocking(true)?;
                        epoll.add(&relay, u64::try_from(relays.len())?, Interest::Read)?;
                        by_client.insert(client, relays.len());
                        relays.push((client, relay));
                        relays.len() - 1
                    }
                };
                if let (Some((_, relay)), Some(data)) = (relays.get(index), buffer.get(CHANNEL_LEN..len)) {
                    // A full queue loses a packet, as any may.
                    drop(if is_connected { relay.send(data) } else { relay.send_to(data, peer) });
                }
            }
        }
    }
}

fn to_client(relay: &UdpSocket, clients: &UdpSocket, client: SocketAddr, buffer: &mut [u8]) -> Result<()> {
    for _ in 0..IN_A_ROW_MAX {
        let len = match relay.recv(buffer.get_mut(CHANNEL_LEN..).context("room")?) {
            Ok(len) => len,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::ConnectionRefused) => break,
            Err(error) => bail!(error),
        };
        let header = channel_data::header(CHANNEL, u16::try_from(len)?);
        if let Some(to) = buffer.first_chunk_mut() {
            *to = header;
        }
        drop(clients.send_to(buffer.get(..CHANNEL_LEN + len).context("what was received")?, client));
    }
    Ok(())
}
