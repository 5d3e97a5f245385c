//! Sends over random channels in both directions, sees where each packet comes out, and judges.

use std::{
    io::ErrorKind,
    net::UdpSocket,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use causeway_fast_path::Traffic as Carried;
use causeway_net_io::{Epoll, Events, Interest};
use causeway_stun_codec::channel_data;

use crate::{
    judge::{Place, Sent, Verdict, judge},
    ledger::{Dice, Ledger},
    world::Crowd,
};

/// Packets under way at a time.
const BURST: usize = 64;
/// What has not come out by then is lost.
const PATIENCE: Duration = Duration::from_secs(5);
/// Faults that are told; all are counted.
const TOLD_MAX: usize = 10;

const CHANNEL_LEN: usize = 4;
/// Sequence number and channel.
const HEAD_LEN: usize = 12;
const PAYLOAD_MAX: usize = 1200;

/// One thread's load.
#[derive(Debug)]
pub(crate) struct Load<'a> {
    crowd: &'a Crowd,
    ledger: &'a Ledger,
    /// Of the crowd's channels in the ledger.
    first: usize,
    dice: Dice,
    sequence: u64,
    burst: Vec<Packet>,
    /// The incarnation of each channel in which a packet of its client came out.
    seen: Vec<u64>,
    tally: Tally,
    /// Packets so far, for who wants to know meanwhile.
    progress: &'a AtomicU64,
}

/// A packet under way.
#[derive(Clone, Copy, Debug)]
struct Packet {
    sent: Sent,
    channel: usize,
    direction: Direction,
    len: usize,
    is_out: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    Up,
    Down,
}

/// What came of it all.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) sent: u64,
    pub(crate) relayed: u64,
    pub(crate) left_to_user_space: u64,
    /// Of both: the channel changed meanwhile.
    pub(crate) raced: u64,
    pub(crate) faults: u64,
    pub(crate) told: Vec<String>,
    /// What came out at the far ends, by channel.
    pub(crate) carried: Vec<Carried>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Client(usize),
    Peer(usize),
    Listener,
    Relay(usize),
}

/// The end that the socket of this index is.
type Kind = fn(usize) -> End;

impl<'a> Load<'a> {
    pub(crate) fn new(
        crowd: &'a Crowd,
        ledger: &'a Ledger,
        first: usize,
        n_channels: usize,
        progress: &'a AtomicU64,
    ) -> Self {
        let tally = Tally { carried: vec![Carried::default(); n_channels], ..Tally::default() };
        Self {
            crowd,
            ledger,
            first,
            dice: Dice::new(u64::try_from(first).unwrap_or(0) + 1),
            sequence: 0,
            burst: Vec::with_capacity(BURST),
            seen: vec![0; n_channels],
            tally,
            progress,
        }
    }

    /// Goes on until `stop`.
    pub(crate) fn run(mut self, stop: &AtomicBool) -> Result<Tally> {
        self.meet()?;
        let epoll = Epoll::new()?;
        let mut ends = Vec::new();
        let crowd = self.crowd;
        let kinds: [(&[UdpSocket], Kind); 4] = [
            (&crowd.clients, End::Client),
            (&crowd.peers, End::Peer),
            (std::slice::from_ref(&crowd.listener), |_| End::Listener),
            (&crowd.relays, End::Relay),
        ];
        for (sockets, kind) in kinds {
            for (index, socket) in sockets.iter().enumerate() {
                epoll.add(socket, u64::try_from(ends.len())?, Interest::Read)?;
                ends.push((socket, kind(index)));
            }
        }
        let mut events = Events::with_capacity(BURST);
        while !stop.load(SeqCst) {
            self.send_burst()?;
            let deadline = Instant::now() + PATIENCE;
            while self.burst.iter().any(|packet| !packet.is_out) && Instant::now() < deadline {
                epoll.wait(&mut events, Some(Duration::from_millis(100)))?;
                for event in (0..events.len()).filter_map(|index| events.event(index)) {
                    let (socket, end) = ends.get(usize::try_from(event.token)?).context("a token of ours")?;
                    self.take(socket, *end)?;
                }
            }
            for packet in std::mem::take(&mut self.burst).iter().filter(|packet| !packet.is_out) {
                self.fault(format_args!("lost: {packet:?}"));
            }
            self.progress.fetch_add(u64::try_from(BURST)?, SeqCst);
        }
        Ok(self.tally)
    }

    /// Lets both hosts get to know each other's hardware addresses.
    fn meet(&self) -> Result<()> {
        let crowd = self.crowd;
        let firsts = (crowd.clients.first(), crowd.peers.first(), crowd.relays.first());
        let (Some(client), Some(peer), Some(relay)) = firsts else { bail!("nobody there") };
        let pairs = [
            (client, &crowd.listener, true),
            (&crowd.listener, client, false),
            (peer, relay, false),
            (relay, peer, false),
        ];
        for (from, to, is_connected) in pairs {
            let deadline = Instant::now() + Duration::from_secs(20);
            loop {
                let sent = if is_connected { from.send(b"hello") } else { from.send_to(b"hello", to.local_addr()?) };
                sent.context("hello")?;
                std::thread::sleep(Duration::from_millis(5));
                let mut buffer = [0; 64];
                if to.recv(&mut buffer).is_ok() {
                    break;
                }
                ensure!(Instant::now() < deadline, "the link carries nothing");
            }
        }
        Ok(())
    }

    fn send_burst(&mut self) -> Result<()> {
        self.burst.clear();
        let mut buffer = [0x5a; CHANNEL_LEN + PAYLOAD_MAX];
        for _ in 0..BURST {
            let channel = self.dice.below(self.seen.len());
            let len = HEAD_LEN + self.dice.below(PAYLOAD_MAX - HEAD_LEN + 1);
            let look = self.ledger.look(self.first + channel);
            let is_seen = self.seen.get(channel) == Some(&look.incarnation);
            // The kernel relays to a client only after the client was heard.
            let direction = if is_seen && self.dice.below(2) == 0 { Direction::Down } else { Direction::Up };
            let payload = buffer.get_mut(CHANNEL_LEN..CHANNEL_LEN + len).context("room")?;
            write_head(payload, self.sequence, channel)?;
            self.sequence += 1;
            let (client, peer) = Crowd::ends(channel);
            let sent = Sent { look, at: self.ledger.nanos(Instant::now()) };
            match direction {
                Direction::Up => {
                    let header = channel_data::header(Crowd::number(channel), u16::try_from(len)?);
                    *buffer.first_chunk_mut().context("room")? = header;
                    let datagram = buffer.get(..CHANNEL_LEN + len).context("room")?;
                    self.crowd.clients.get(client).context("a client")?.send(datagram)?;
                }
                Direction::Down => {
                    let relay = self.crowd.relays.get(client).context("a relay")?.local_addr()?;
                    let datagram = buffer.get(CHANNEL_LEN..CHANNEL_LEN + len).context("room")?;
                    self.crowd.peers.get(peer).context("a peer")?.send_to(datagram, relay)?;
                }
            }
            self.tally.sent += 1;
            self.burst.push(Packet { sent, channel, direction, len, is_out: false });
        }
        Ok(())
    }

    /// Everything that waits at one socket.
    fn take(&mut self, socket: &UdpSocket, end: End) -> Result<()> {
        let mut buffer = [0; 2048];
        loop {
            let len = match socket.recv(&mut buffer) {
                Ok(len) => len,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            self.arrived(buffer.get(..len).context("what was received")?, end);
        }
    }

    fn arrived(&mut self, datagram: &[u8], end: End) {
        let now = self.ledger.nanos(Instant::now());
        let payload = match end {
            End::Client(_) | End::Listener => datagram.get(CHANNEL_LEN..),
            End::Peer(_) | End::Relay(_) => Some(datagram),
        };
        let Some((sequence, channel)) = payload.and_then(read_head) else { return };
        let oldest = self.sequence - u64::try_from(self.burst.len()).unwrap_or(0);
        let index = sequence.checked_sub(oldest).and_then(|index| usize::try_from(index).ok());
        let Some(packet) = index.and_then(|index| self.burst.get_mut(index)) else {
            return self.fault(format_args!("came late or from nowhere: {sequence} at {end:?}"));
        };
        let was_out = std::mem::replace(&mut packet.is_out, true);
        let packet = *packet;
        if was_out || channel != packet.channel || !is_as_sent(datagram, end, packet) {
            return self.fault(format_args!("altered, doubled or astray: {packet:?} at {end:?}"));
        }
        let place = match end {
            End::Client(_) | End::Peer(_) => Place::Far,
            End::Listener | End::Relay(_) => Place::Near,
        };
        let look = self.ledger.look(self.first + packet.channel);
        self.count(packet, place);
        match judge(packet.sent, look, now, place) {
            Verdict::Right => {}
            Verdict::Raced => self.tally.raced += 1,
            Verdict::AfterDeadline(late) => self.fault(format_args!("passed {late:?} after its deadline")),
            Verdict::WithoutChannel => self.fault(format_args!("passed without a channel")),
            Verdict::BeforeDeadline(left) => self.fault(format_args!("not relayed {left:?} before its deadline")),
        }
    }

    fn count(&mut self, packet: Packet, place: Place) {
        if place == Place::Near {
            self.tally.left_to_user_space += 1;
            return;
        }
        self.tally.relayed += 1;
        let len = u64::try_from(packet.len).unwrap_or(0);
        let Some(carried) = self.tally.carried.get_mut(packet.channel) else { return };
        match packet.direction {
            Direction::Up => {
                carried.up_packets += 1;
                carried.up_bytes += len;
                // Of which incarnation is certain only when none came between.
                let now = self.ledger.look(self.first + packet.channel);
                if now.version == packet.sent.look.version
                    && now.is_settled()
                    && let Some(seen) = self.seen.get_mut(packet.channel)
                {
                    *seen = now.incarnation;
                }
            }
            Direction::Down => {
                carried.down_packets += 1;
                carried.down_bytes += len;
            }
        }
    }

    fn fault(&mut self, what: std::fmt::Arguments<'_>) {
        self.tally.faults += 1;
        if self.tally.told.len() < TOLD_MAX {
            self.tally.told.push(what.to_string());
        }
    }
}

/// Whether it came out where it was to, and every byte is what it was.
fn is_as_sent(datagram: &[u8], end: End, packet: Packet) -> bool {
    let (client, peer) = Crowd::ends(packet.channel);
    let is_right_end = match packet.direction {
        Direction::Up => end == End::Peer(peer) || end == End::Listener,
        Direction::Down => end == End::Client(client) || end == End::Relay(client),
    };
    let header = u16::try_from(packet.len).map(|len| channel_data::header(Crowd::number(packet.channel), len));
    let payload = match end {
        End::Client(_) | End::Listener => match datagram.split_first_chunk::<CHANNEL_LEN>() {
            Some((head, payload)) if header.is_ok_and(|header| header == *head) => payload,
            _ => return false,
        },
        End::Peer(_) | End::Relay(_) => datagram,
    };
    is_right_end && payload.len() == packet.len && payload.iter().skip(HEAD_LEN).all(|byte| *byte == 0x5a)
}

fn write_head(payload: &mut [u8], sequence: u64, channel: usize) -> Result<()> {
    let head = [&sequence.to_be_bytes()[..], &u32::try_from(channel)?.to_be_bytes()].concat();
    payload.get_mut(..HEAD_LEN).context("room for a head")?.copy_from_slice(&head);
    Ok(())
}

fn read_head(payload: &[u8]) -> Option<(u64, usize)> {
    let (sequence, rest) = payload.split_first_chunk()?;
    let channel = u32::from_be_bytes(*rest.first_chunk()?);
    Some((u64::from_be_bytes(*sequence), usize::try_from(channel).ok()?))
}
