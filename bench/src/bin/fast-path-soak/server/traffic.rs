//! Packets through all channels, both ways: each is numbered, and looked for where it has to come out.

use std::{io::ErrorKind, net::SocketAddr, time::Duration};

use anyhow::{Context, Result};
use causeway_stun_codec::{
    Kind, Message, Method,
    attributes::{Data, XorPeerAddress},
    channel_data, classify,
};

use super::{
    crowd::Crowd,
    verdict::{Fate, Missing, nanos, too_late},
};

/// Packets of a thread that should come out and have not: fewer than any queue on their way has room for.
const EXPECTED_MAX: usize = 48;
/// What should have come out and has not by then is lost. It may have waited for the process.
const PATIENCE: Duration = Duration::from_secs(20);
/// What need not come out, or was passed over, and has not by then, will not; and the first so when everything is over.
const REST: Duration = Duration::from_secs(5);
const LAST_REST: Duration = Duration::from_secs(1);
/// So long after its channel's end a packet is not expected any more.
const GRACE: Duration = Duration::from_millis(20);

const CHANNEL_LEN: usize = 4;
/// Number, time, allocation and channel.
const HEAD_LEN: usize = 24;
const PAYLOAD_MAX: usize = 1200;
const FILLING: u8 = 0x5a;

/// A packet under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packet {
    missing: Missing,
    allocation: usize,
    channel: usize,
    direction: Direction,
    len: usize,
    /// Whether it takes one of the places of [`EXPECTED_MAX`].
    is_expected: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    Up,
    Down,
}

/// What a payload says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Head {
    sequence: u64,
    sent_at: u64,
    allocation: usize,
    channel: usize,
}

impl Crowd<'_> {
    pub(super) fn may_send(&self) -> bool {
        !self.is_ending && self.n_expected < EXPECTED_MAX && !self.places.is_empty()
    }

    /// One packet through any channel.
    pub(super) fn send_one(&mut self) -> Result<()> {
        let place = self.dice.below(self.places.len());
        let (index, number) = *self.places.get(place).context("a place")?;
        let allocation = self.allocations.get(index).context("an allocation")?;
        let channel = allocation.channels.get(number).context("a channel")?;
        let len = HEAD_LEN + self.dice.below(PAYLOAD_MAX - HEAD_LEN + 1);
        let direction = if self.dice.below(2) == 0 { Direction::Up } else { Direction::Down };
        let bounds = allocation.bounds(number);
        let mut buffer = [FILLING; CHANNEL_LEN + PAYLOAD_MAX];
        *buffer.first_chunk_mut().context("room")? = channel_data::header(channel.number, u16::try_from(len)?);
        let sent_at = self.clock.now();
        let head = Head { sequence: self.sequence, sent_at, allocation: index, channel: number };
        head.write(buffer.get_mut(CHANNEL_LEN..).context("room")?);
        let datagram = buffer.get(..CHANNEL_LEN + len).context("room")?;
        let (sent, is_warm) = match direction {
            Direction::Up => {
                let client = self.clients.get(allocation.client).context("a client")?;
                (client.socket.send(datagram), allocation.up.packets > 0)
            }
            Direction::Down => {
                let (peer, _) = self.peers.get(channel.peer).context("a peer")?;
                let payload = datagram.get(CHANNEL_LEN..).context("a payload")?;
                let relayed = allocation.relayed.context("a relayed address")?;
                (peer.send_to(payload, relayed), allocation.down.packets > 0 && channel.is_heard)
            }
        };
        match sent {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error).context("a packet"),
        }
        let is_expected = sent_at < bounds.not_before;
        let missing = Missing { sent_at, overtaken_at: None, is_warm };
        let packet = Packet { missing, allocation: index, channel: number, direction, len, is_expected };
        self.under_way.insert(self.sequence, packet);
        self.sequence += 1;
        self.n_expected += usize::from(is_expected);
        self.tally.sent += 1;
        Ok(())
    }

    /// A datagram from a relayed address.
    pub(super) fn arrived_at_peer(&mut self, peer: usize, from: SocketAddr, payload: &[u8]) {
        let Some(packet) = self.take(payload, Direction::Up) else { return };
        let Some(allocation) = self.allocations.get_mut(packet.allocation) else { return };
        let is_there = allocation.channels.get(packet.channel).is_some_and(|channel| channel.peer == peer);
        if !is_there || allocation.relayed != Some(from) {
            return self.tally.fault(format_args!("astray: {packet:?} at peer {peer} from {from}"));
        }
        allocation.up.add(packet.len);
        if let Some(channel) = allocation.channels.get_mut(packet.channel) {
            channel.is_heard = true;
        }
        self.judge_passed(packet);
    }

    /// A datagram from the server.
    pub(super) fn arrived_at_client(&mut self, client: usize, datagram: &[u8]) -> Result<()> {
        if classify(datagram) == Kind::ChannelData {
            let data = channel_data::parse(datagram).context("the server's own data")?;
            self.payload_at_client(client, Some(data.number), None, data.data);
            return Ok(());
        }
        let message = Message::parse(datagram).context("neither data nor STUN came from the server")?;
        if message.method() == Method::DATA {
            let peer = message.attribute::<XorPeerAddress>()?.context("whose data?")?.0;
            let Data(payload) = message.attribute::<Data<'_>>()?.context("an indication without data")?;
            self.payload_at_client(client, None, Some(peer), payload);
            return Ok(());
        }
        match self.clients.get(client).and_then(|client| client.requests.answer(datagram)) {
            Some(answer) => self.answered(client, answer),
            // A second answer to what was asked twice.
            None => Ok(()),
        }
    }

    /// By a channel or, from a peer that has none, in an indication.
    fn payload_at_client(&mut self, client: usize, number: Option<u16>, from: Option<SocketAddr>, payload: &[u8]) {
        let Some(packet) = self.take(payload, Direction::Down) else { return };
        let Some(sent_for) = self.allocations.get(packet.allocation) else { return };
        let channel = sent_for.channels.get(packet.channel);
        let peer = channel.map(|channel| channel.peer);
        if sent_for.client == client && number.is_some() && channel.map(|channel| channel.number) == number {
            if let Some(allocation) = self.allocations.get_mut(packet.allocation) {
                allocation.down.add(packet.len);
            }
            return self.judge_passed(packet);
        }
        // The relayed address was given to another allocation, which may hear that peer too.
        let relayed = sent_for.relayed;
        let here = self.clients.get(client).and_then(|client| client.allocation);
        let heir = here.filter(|index| *index != packet.allocation).and_then(|index| self.allocations.get_mut(index));
        let Some(heir) = heir.filter(|heir| heir.relayed == relayed) else {
            return self.tally.fault(format_args!("astray: {packet:?} at client {client}"));
        };
        let its_channel = heir.channels.iter().find(|channel| Some(channel.number) == number);
        let its_peer = its_channel.map(|channel| channel.peer);
        let address = peer.and_then(|peer| self.peers.get(peer)).map(|(_, address)| *address);
        if (number.is_some() && its_peer != peer) || (number.is_none() && from != address) {
            return self.tally.fault(format_args!("astray: {packet:?} at client {client}, from another peer"));
        }
        heir.down.add(packet.len);
        self.tally.inherited += 1;
    }

    /// The packet that this is the payload of, if it is as it was sent, and sent in this direction.
    fn take(&mut self, payload: &[u8], direction: Direction) -> Option<Packet> {
        let now = self.clock.now();
        let Some(head) = Head::read(payload) else {
            self.tally.fault(format_args!("{} bytes came from nowhere", payload.len()));
            return None;
        };
        let Some(packet) = self.under_way.remove(&head.sequence) else {
            self.tally.fault(format_args!("came twice, or after {PATIENCE:?}: {head:?}"));
            return None;
        };
        self.n_expected -= usize::from(packet.is_expected);
        for (_, before) in self.under_way.range_mut(self.overtaken_before..head.sequence.max(self.overtaken_before)) {
            before.missing.overtaken_at.get_or_insert(now);
        }
        self.overtaken_before = self.overtaken_before.max(head.sequence);
        let said = (head.sent_at, head.allocation, head.channel, payload.len());
        let is_same = said == (packet.missing.sent_at, packet.allocation, packet.channel, packet.len);
        let is_whole = payload.iter().skip(HEAD_LEN).all(|byte| *byte == FILLING);
        if !is_same || !is_whole || packet.direction != direction {
            self.tally.fault(format_args!("altered: {packet:?}"));
            return None;
        }
        self.tally.arrived += 1;
        Some(packet)
    }

    fn judge_passed(&mut self, packet: Packet) {
        let Some(allocation) = self.allocations.get(packet.allocation) else { return };
        if let Some(late) = too_late(packet.missing.sent_at, allocation.bounds(packet.channel)) {
            let end = allocation.end;
            self.tally.fault(format_args!("passed {late:?} after its deadline ({end:?}): {packet:?}"));
        }
    }

    /// Judges what will not come out any more.
    pub(super) fn sweep(&mut self, now: u64) {
        let rest = nanos(if self.is_ending { LAST_REST } else { REST });
        let old = self.under_way.iter().take_while(|(_, packet)| packet.missing.sent_at + rest < now);
        let judged = old.filter_map(|(sequence, packet)| {
            let allocation = self.allocations.get(packet.allocation)?;
            let fate = packet.missing.fate(allocation.bounds(packet.channel));
            let is_patient = !packet.missing.was_passed_over() && packet.missing.sent_at + nanos(PATIENCE) >= now;
            let may_come = matches!(fate, Fate::Lost(_)) && (is_patient || packet.missing.sent_at + nanos(REST) >= now);
            (!may_come).then_some((*sequence, *packet, fate, allocation.end))
        });
        for (sequence, packet, fate, end) in judged.collect::<Vec<_>>() {
            self.under_way.remove(&sequence);
            self.n_expected -= usize::from(packet.is_expected);
            match fate {
                Fate::Refused => self.tally.refused += 1,
                Fate::Raced => self.tally.raced += 1,
                Fate::Lost(left) => {
                    self.tally.fault(format_args!("lost {left:?} before its deadline ({end:?}): {packet:?}"));
                }
            }
        }
        for packet in self.under_way.values_mut().filter(|packet| packet.is_expected) {
            let Some(allocation) = self.allocations.get(packet.allocation) else { continue };
            if allocation.bounds(packet.channel).not_before.saturating_add(nanos(GRACE)) < now {
                packet.is_expected = false;
                self.n_expected -= 1;
            }
        }
    }
}

impl Head {
    fn write(self, to: &mut [u8]) {
        let numbers = [self.sequence, self.sent_at, short(self.allocation) << 32 | short(self.channel)];
        for (place, number) in to.chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_be_bytes());
        }
    }

    fn read(payload: &[u8]) -> Option<Self> {
        let number = |at: usize| Some(u64::from_be_bytes(payload.get(at..at + 8)?.try_into().ok()?));
        let whose = number(16)?;
        let index = |number: u64| usize::try_from(number).ok();
        let (allocation, channel) = (index(whose >> 32)?, index(whose & 0xffff_ffff)?);
        Some(Self { sequence: number(0)?, sent_at: number(8)?, allocation, channel })
    }
}

fn short(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
