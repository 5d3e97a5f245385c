//! Allocations with something to carry: who sends, what, and where it is counted.

use std::{io::ErrorKind, net::UdpSocket, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use causeway_bench::turn::{CHANNEL, TurnClient};
use causeway_stun_codec::channel_data;
use socket2::SockRef;

use crate::{
    sink::Sinks,
    subject::{Place, Subject},
};

/// Bytes waiting between generator and server, at most; the kernel may allow less.
pub(crate) const SEND_BUFFER: usize = 4 << 20;

/// Which way the packets go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// ChannelData from each client, plain data to one peer.
    ToPeer,
    /// Plain data from a peer per allocation, ChannelData to its client.
    ToClient,
    /// ChannelData from a client to the relayed address of the next one, and ChannelData to that client.
    BetweenAllocations,
}

/// Allocations of one server, made for one row.
#[derive(Debug)]
pub(crate) struct Flows {
    direction: Direction,
    /// One per allocation, but one per two in [`Direction::BetweenAllocations`].
    senders: Vec<UdpSocket>,
    receivers: Vec<UdpSocket>,
    clients: Vec<TurnClient>,
}

impl Flows {
    /// Makes `n_allocations` allocations, each with a channel, and sees one datagram of each sender arrive.
    pub(crate) fn open(subject: &Subject, direction: Direction, n_allocations: usize) -> Result<Self> {
        let mut clients = Vec::with_capacity(n_allocations);
        for _ in 0..n_allocations {
            clients.push(TurnClient::allocate(subject.connect()?)?);
        }
        let mut flows = Self { direction, senders: Vec::new(), receivers: Vec::new(), clients };
        match direction {
            Direction::ToPeer => flows.bind_to_one_peer(&subject.place)?,
            Direction::ToClient => flows.bind_to_a_peer_each(&subject.place)?,
            Direction::BetweenAllocations => flows.bind_to_each_other()?,
        }
        for sender in &flows.senders {
            SockRef::from(sender).set_send_buffer_size(SEND_BUFFER)?;
        }
        flows.see_one_datagram_each().with_context(|| format!("{} does not relay", subject.name))?;
        Ok(flows)
    }

    pub(crate) fn senders(&self) -> &[UdpSocket] {
        &self.senders
    }

    pub(crate) fn receivers(&self) -> &[UdpSocket] {
        &self.receivers
    }

    /// Turns the receivers into sinks.
    pub(crate) fn count(&self) -> Result<Sinks> {
        Sinks::new(&self.receivers)
    }

    /// What a sender sends to have `payload` relayed.
    pub(crate) fn datagram(&self, payload: &[u8]) -> Vec<u8> {
        datagram(self.direction, payload)
    }

    /// Lets each client that only receives say something once: the kernel relays to a client only after it was heard.
    pub(crate) fn answer_once(&self) -> Result<()> {
        let expected = match self.direction {
            Direction::ToPeer => return Ok(()),
            Direction::ToClient => b"an answer".to_vec(),
            Direction::BetweenAllocations => channel_data_of(b"an answer"),
        };
        for (client, other) in self.receivers.iter().zip(&self.senders) {
            other.set_read_timeout(Some(Duration::from_millis(500)))?;
            see_one_datagram(client, &channel_data_of(b"an answer"), other, &expected).context("an answer")?;
        }
        Ok(())
    }

    /// Ends the allocations, so that the next row finds the server as this one did.
    pub(crate) fn release(mut self) -> Result<()> {
        for client in &mut self.clients {
            client.release()?;
        }
        Ok(())
    }

    fn bind_to_one_peer(&mut self, place: &Place) -> Result<()> {
        let peer = place.at_generator(|| Ok(UdpSocket::bind((place.peer_ip, 0))?))?;
        for client in &mut self.clients {
            client.bind_channel(peer.local_addr()?)?;
            self.senders.push(client.socket().try_clone()?);
        }
        self.receivers.push(peer);
        Ok(())
    }

    fn bind_to_a_peer_each(&mut self, place: &Place) -> Result<()> {
        for client in &mut self.clients {
            let peer = place.at_generator(|| Ok(UdpSocket::bind((place.peer_ip, 0))?))?;
            peer.connect(client.relayed())?;
            client.bind_channel(peer.local_addr()?)?;
            self.senders.push(peer);
            self.receivers.push(client.socket().try_clone()?);
        }
        Ok(())
    }

    fn bind_to_each_other(&mut self) -> Result<()> {
        for pair in self.clients.chunks_exact_mut(2) {
            let [first, second] = pair else { bail!("chunks of two are two") };
            first.bind_channel(second.relayed())?;
            second.bind_channel(first.relayed())?;
            self.senders.push(first.socket().try_clone()?);
            self.receivers.push(second.socket().try_clone()?);
        }
        Ok(())
    }

    fn see_one_datagram_each(&self) -> Result<()> {
        for receiver in &self.receivers {
            receiver.set_read_timeout(Some(Duration::from_millis(500)))?;
        }
        for (index, sender) in self.senders.iter().enumerate() {
            let payload = format!("datagram of sender {index}").into_bytes();
            let receiver = match self.direction {
                Direction::ToPeer => self.receivers.first(),
                Direction::ToClient | Direction::BetweenAllocations => self.receivers.get(index),
            };
            let expected = match self.direction {
                Direction::ToPeer => payload.clone(),
                Direction::ToClient | Direction::BetweenAllocations => channel_data_of(&payload),
            };
            let receiver = receiver.context("every sender has a receiver")?;
            see_one_datagram(sender, &datagram(self.direction, &payload), receiver, &expected)
                .with_context(|| format!("sender {index}"))?;
        }
        Ok(())
    }
}

fn see_one_datagram(sender: &UdpSocket, datagram: &[u8], receiver: &UdpSocket, expected: &[u8]) -> Result<()> {
    let mut buffer = [0; 2048];
    for _ in 0..3 {
        sender.send(datagram)?;
        match receiver.recv(&mut buffer) {
            Ok(len) => {
                ensure!(buffer.get(..len) == Some(expected), "something else arrived");
                return Ok(());
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) => return Err(error.into()),
        }
    }
    bail!("nothing arrived")
}

fn datagram(direction: Direction, payload: &[u8]) -> Vec<u8> {
    match direction {
        Direction::ToPeer | Direction::BetweenAllocations => channel_data_of(payload),
        Direction::ToClient => payload.to_vec(),
    }
}

pub(crate) fn channel_data_of(payload: &[u8]) -> Vec<u8> {
    let len = u16::try_from(payload.len()).unwrap_or(u16::MAX);
    [&channel_data::header(CHANNEL, len)[..], payload].concat()
}
