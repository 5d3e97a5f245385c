//! Datagrams in, from clients and from peers, and on their way: the hot path.

use std::{
    io::{self, IoSlice},
    net::{IpAddr, SocketAddr},
};

use causeway_net_io::{ConnectedSender, Event, Received, SEGMENTS_MAX, UdpSocket};
use causeway_stun_codec::{Kind, channel_data, classify};
use causeway_turn_core::{ClientLeg, DropReason, Forward, IcmpError, RelayId};
use causeway_types::{ClientTransport, FiveTuple, Now};
use smallvec::SmallVec;

use super::{Shard, listeners::LISTENER_OPTIONS, outlets::Direction};
use crate::{
    command::Command,
    leg::Leg,
    ports::{RELAY_OPTIONS, RelaySocket},
};

/// Most receives per socket and wake-up: what keeps one busy flow from starving the others.
const HINT_MAX: u8 = 32;
/// ICMP reports taken per wake-up.
const REPORTS_MAX: usize = 16;
/// EMSGSIZE: larger than the path takes with the don't-fragment bit set.
const MESSAGE_TOO_LONG: i32 = 90;
/// Most bytes the kernel takes in one segmented send.
const BURST_BYTES_MAX: usize = 65_000;

/// `count` messages of one length, one behind the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segments<'a> {
    bytes: &'a [u8],
    stride: usize,
    count: usize,
}

impl<'a> Segments<'a> {
    pub(crate) const fn single(bytes: &'a [u8]) -> Self {
        Self { bytes, stride: bytes.len(), count: 1 }
    }

    /// The part `start..start + len` of each message.
    fn parts(self, start: usize, len: usize) -> impl Iterator<Item = &'a [u8]> {
        let bytes = self.bytes;
        (0..self.count).filter_map(move |index| bytes.get(index * self.stride + start..)?.get(..len))
    }
}

impl Shard {
    /// A UDP listener has something.
    pub(super) fn udp_readable(&mut self, now: Now, index: usize) {
        let Some(listener) = self.listeners.udp.get_mut(index) else { return };
        let mut inbox = std::mem::take(&mut self.inbox);
        let taken = inbox.read(&listener.socket, listener.hint);
        listener.hint = next_hint(listener.hint, taken);
        while let Some(burst) = inbox.next_burst() {
            if let Some((received, bytes)) = inbox.content(burst) {
                self.client_datagrams(now, index, received, bytes);
            }
        }
        self.inbox = inbox;
    }

    /// What one receive on a listener brought: one datagram, or several of one size.
    fn client_datagrams(&mut self, now: Now, index: usize, received: &Received, bytes: &[u8]) {
        let Some(listener) = self.listeners.udp.get(index) else { return };
        let local = listener.socket.local_addr();
        let server = received.to.map_or(local, |ip| SocketAddr::new(ip, local.port()));
        let five_tuple = FiveTuple { transport: ClientTransport::Udp, client: received.from, server };
        let client = ClientLeg { five_tuple, leg: Leg::Udp(index).id() };
        let dtls = listener.dtls;
        let mut rest = bytes;
        while !rest.is_empty() {
            let len = received.segment_len.min(rest.len());
            let Some(message) = rest.get(..len) else { return };
            let mut count = 1;
            match classify(message) {
                Kind::Dtls if dtls => self.dtls_datagram(now, index, received.from, server, message),
                Kind::ChannelData if self.forwarded.is_empty() => {
                    if len < rest.len() {
                        count = run_of_equal_channel_data(rest, len);
                    }
                    let burst = u16::try_from(count).unwrap_or(1);
                    let forward = self.core.handle_channel_data_burst(now, client, message, burst);
                    self.forward(now, forward, Segments { bytes: rest, stride: len, count });
                }
                kind @ (Kind::Stun | Kind::ChannelData | Kind::Dtls | Kind::Other) => {
                    if kind == Kind::Stun {
                        self.count_kernel_of(now, &client.five_tuple);
                    }
                    self.client_message(now, client, message);
                }
            }
            rest = rest.get(count * len..).unwrap_or_default();
        }
    }

    /// One message of a client, whatever it came by.
    pub(super) fn client_message(&mut self, now: Now, client: ClientLeg, message: &[u8]) {
        if !self.forwarded.is_empty()
            && let Some(to) = self.forwarded.to(&client.five_tuple)
        {
            let command = Command::RemoteMessage { via: self.index, client, message: message.to_vec() };
            if !self.shared.send(to, command) {
                self.count_drop(DropReason::SendQueueFull, 1);
            }
            return;
        }
        let forward = self.core.handle_client_message(now, client, message);
        self.forward(now, forward, Segments::single(message));
    }

    /// Takes what the core has to say, then does what it decided about `segments`.
    pub(super) fn forward(&mut self, now: Now, forward: Forward, segments: Segments<'_>) {
        self.drain(now);
        match forward {
            // Only what a peer sent goes to a client.
            Forward::Nothing | Forward::ToClient { .. } => {}
            Forward::ToPeer { relay, peer, start, len, dont_fragment, own_relay_only } => {
                let payload = Payload { segments, start: usize::from(start), len: usize::from(len) };
                if !self.shared.rate.take(payload.total(), now.mono) {
                    self.drop_over_total(now, segments.count as u64);
                    return;
                }
                if let Some((shard, target)) = self.shared.ports.route(peer) {
                    self.hairpin(now, relay, shard, target, payload);
                } else if own_relay_only {
                    self.count_drop(DropReason::NoSuchRelay, segments.count as u64);
                } else {
                    self.send_to_peer(now, relay, peer, payload, dont_fragment);
                }
            }
        }
    }

    /// Out of a relay socket: one send for a whole burst where the kernel can cut it.
    fn send_to_peer(&mut self, now: Now, relay: RelayId, peer: SocketAddr, payload: Payload<'_>, dont_fragment: bool) {
        let mut failed = Failed::default();
        let Ok(key) = usize::try_from(relay.0) else { return };
        let Some(RelayEntry { socket: RelaySocket::Udp(socket), to_peer, .. }) = self.relays.get_mut(key) else {
            return;
        };
        if dont_fragment {
            // Rare by nature: two more system calls for the datagrams that ask for it.
            failed.note_setup(socket.set_dont_fragment(true));
            send_payload(SendBy::Open { socket, to: peer, source: None }, payload, &mut failed);
            failed.note_setup(socket.set_dont_fragment(false));
        } else {
            let by = match to_peer.sender(self.outlets.period, socket.local_addr(), peer) {
                Some(sender) => SendBy::Connected(sender),
                None => SendBy::Open { socket, to: peer, source: None },
            };
            send_payload(by, payload, &mut failed);
            if to_peer.wants_sender() {
                self.outlets.open(key, Direction::Peer, to_peer, RELAY_OPTIONS);
            }
        }
        if !failed.is_nothing() {
            self.count_failed(failed);
        }
        if dont_fragment && failed.too_large > 0 {
            // The system knows the path's MTU: its own report names no port.
            self.take_icmp_reports(now, relay, peer.port());
        }
    }

    /// To another allocation of ours, without the network.
    fn hairpin(
        &mut self,
        now: Now,
        relay: RelayId,
        shard: causeway_types::ShardIndex,
        target: RelayId,
        payload: Payload<'_>,
    ) {
        let Some(from) = self.relay(relay).map(|entry| entry.advertised) else { return };
        if shard == self.index {
            let segments = Segments {
                bytes: payload.segments.bytes.get(payload.start..).unwrap_or_default(),
                stride: payload.segments.stride,
                count: payload.segments.count,
            };
            self.deliver_burst(now, target, from, payload.len, segments);
            return;
        }
        for part in payload.iter() {
            let command = Command::Hairpin { relay: target, from, payload: part.to_vec() };
            if !self.shared.send(shard, command) {
                self.count_drop(DropReason::SendQueueFull, 1);
            }
        }
    }

    /// A datagram for one of our own relays that did not cross the network.
    pub(super) fn deliver_inside(&mut self, now: Now, relay: RelayId, from: SocketAddr, segments: Segments<'_>) {
        self.deliver_burst(now, relay, from, segments.stride, segments);
    }

    fn deliver_burst(&mut self, now: Now, relay: RelayId, from: SocketAddr, len: usize, segments: Segments<'_>) {
        let (Ok(len16), Ok(count)) = (u16::try_from(len), u16::try_from(segments.count)) else { return };
        let forward = self.core.handle_peer_datagram(now, relay, from, len16, count);
        self.drain(now);
        match forward {
            Forward::ToClient { client, prefix, padding } => {
                let cut = Cut { segments, len };
                self.parts_to_client(now, relay, client, prefix.as_slice(), usize::from(padding), cut.iter());
            }
            Forward::Nothing | Forward::ToPeer { .. } => {}
        }
    }

    /// A relay socket has something: datagrams, or ICMP errors.
    pub(super) fn relay_ready(&mut self, now: Now, key: usize, event: Event) {
        let Ok(id) = u32::try_from(key).map(RelayId) else { return };
        if event.error {
            self.take_icmp_reports(now, id, 0);
        }
        if !event.readable {
            return;
        }
        let Some(entry) = self.relays.get_mut(key) else { return };
        let RelaySocket::Udp(socket) = &entry.socket else { return };
        let mut inbox = std::mem::take(&mut self.inbox);
        let taken = inbox.read(socket, entry.hint);
        entry.hint = next_hint(entry.hint, taken);
        while let Some(burst) = inbox.next_burst() {
            if let Some((received, bytes)) = inbox.content(burst) {
                self.peer_datagrams(now, id, received, bytes);
            }
        }
        self.inbox = inbox;
    }

    /// What one receive on a relay socket brought; a last, shorter datagram is judged by itself.
    fn peer_datagrams(&mut self, now: Now, relay: RelayId, received: &Received, bytes: &[u8]) {
        if bytes.is_empty() {
            return self.peer_burst(now, relay, received.from, Segments::single(bytes));
        }
        let stride = received.segment_len.min(bytes.len()).max(1);
        let whole = bytes.len() / stride;
        let (burst, last) = bytes.split_at(whole * stride);
        self.peer_burst(now, relay, received.from, Segments { bytes: burst, stride, count: whole });
        if !last.is_empty() {
            self.peer_burst(now, relay, received.from, Segments::single(last));
        }
    }

    fn peer_burst(&mut self, now: Now, relay: RelayId, from: SocketAddr, segments: Segments<'_>) {
        let (Ok(len), Ok(count)) = (u16::try_from(segments.stride), u16::try_from(segments.count)) else { return };
        let forward = self.core.handle_peer_datagram(now, relay, from, len, count);
        self.drain(now);
        let Forward::ToClient { client, prefix, padding } = forward else { return };
        if self.shared.rate.take(u64::from(len) * u64::from(count), now.mono) {
            let cut = Cut { segments, len: segments.stride };
            self.parts_to_client(now, relay, client, prefix.as_slice(), usize::from(padding), cut.iter());
        } else {
            self.drop_over_total(now, u64::from(count));
        }
    }

    /// `port` is that of the peer just sent to, for reports that name none.
    fn take_icmp_reports(&mut self, now: Now, id: RelayId, port: u16) {
        for _ in 0..REPORTS_MAX {
            let Some(RelayEntry { socket: RelaySocket::Udp(socket), .. }) = self.relay(id) else { return };
            let Some(mut report) = socket.take_icmp() else { return };
            if report.peer.port() == 0 {
                report.peer.set_port(port);
            }
            let error = IcmpError { icmp_type: report.icmp_type, icmp_code: report.icmp_code, error_data: report.mtu };
            self.core.handle_icmp(now, id, report.peer, error);
            self.drain(now);
        }
    }

    /// Each payload with `prefix` before it and `padding` zero bytes behind it.
    fn parts_to_client<'a>(
        &mut self,
        now: Now,
        relay: RelayId,
        client: ClientLeg,
        prefix: &[u8],
        padding: usize,
        payloads: impl Iterator<Item = &'a [u8]>,
    ) {
        let zeros = [0_u8; 4];
        let zeros = zeros.get(..padding).unwrap_or_default();
        let Leg::Udp(index) = Leg::of(client.leg) else {
            for payload in payloads {
                let message = [prefix, payload, zeros].concat();
                self.send_to_client(now, client, &message, super::client_out::Weight::Data);
            }
            return;
        };
        let Some(listener) = self.listeners.udp.get(index) else { return };
        let mut parts: SmallVec<[IoSlice<'_>; SEGMENTS_MAX * 2]> = SmallVec::new();
        let mut message_len = 0;
        for payload in payloads {
            message_len = prefix.len() + payload.len() + zeros.len();
            parts.push(IoSlice::new(prefix));
            parts.push(IoSlice::new(payload));
            if padding > 0 {
                parts.push(IoSlice::new(zeros));
            }
        }
        let per_message = if padding > 0 { 3 } else { 2 };
        let FiveTuple { client: to, server, .. } = client.five_tuple;
        let mut failed = Failed::default();
        let open = SendBy::Open { socket: &listener.socket, to, source: Some(server.ip()) };
        let key = usize::try_from(relay.0).unwrap_or(usize::MAX);
        let mut outlet = self.relays.get_mut(key).map(|entry| &mut entry.to_client);
        let own = outlet.as_mut().and_then(|outlet| outlet.sender(self.outlets.period, server, to));
        send_bursts(&parts, per_message, message_len, own.map_or(open, SendBy::Connected), &mut failed);
        if let Some(outlet) = outlet.filter(|outlet| outlet.wants_sender()) {
            self.outlets.open(key, Direction::Client, outlet, LISTENER_OPTIONS);
        }
        self.count_failed(failed);
    }

    fn count_failed(&mut self, failed: Failed) {
        self.count_drop(DropReason::SendQueueFull, failed.full);
        self.count_drop(DropReason::TooLarge, failed.too_large);
        self.count_drop(DropReason::SendFailed, failed.other);
    }
}

use super::RelayEntry;

/// The first `len` bytes of each segment.
struct Cut<'a> {
    segments: Segments<'a>,
    len: usize,
}

impl<'a> Cut<'a> {
    fn iter(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.segments.parts(0, self.len)
    }
}

/// The application data inside each of some messages.
#[derive(Clone, Copy)]
struct Payload<'a> {
    segments: Segments<'a>,
    start: usize,
    len: usize,
}

impl<'a> Payload<'a> {
    fn iter(self) -> impl Iterator<Item = &'a [u8]> {
        self.segments.parts(self.start, self.len)
    }

    /// The first one when there is no other.
    fn only(self) -> Option<&'a [u8]> {
        if self.segments.count == 1 { self.segments.bytes.get(self.start..self.start + self.len) } else { None }
    }

    const fn total(self) -> u64 {
        (self.len * self.segments.count) as u64
    }
}

/// Datagrams that could not be sent.
#[derive(Clone, Copy, Debug, Default)]
struct Failed {
    full: u64,
    too_large: u64,
    other: u64,
}

impl Failed {
    fn note(&mut self, error: &io::Error, messages: u64) {
        if error.kind() == io::ErrorKind::WouldBlock {
            self.full += messages;
        } else if error.raw_os_error() == Some(MESSAGE_TOO_LONG) {
            self.too_large += messages;
        } else {
            self.other += messages;
        }
    }

    const fn is_nothing(&self) -> bool {
        self.full == 0 && self.too_large == 0 && self.other == 0
    }

    fn note_setup(&mut self, result: io::Result<()>) {
        if let Err(error) = result {
            self.note(&error, 1);
        }
    }
}

/// The socket that something leaves by.
#[derive(Clone, Copy)]
enum SendBy<'a> {
    /// One that hears anybody.
    Open { socket: &'a UdpSocket, to: SocketAddr, source: Option<IpAddr> },
    /// One for this destination alone.
    Connected(&'a ConnectedSender),
}

impl SendBy<'_> {
    fn can_segment(self) -> bool {
        match self {
            Self::Open { socket, .. } => socket.can_segment(),
            Self::Connected(sender) => sender.can_segment(),
        }
    }

    fn send(self, parts: &[IoSlice<'_>], segment_len: Option<u16>) -> io::Result<()> {
        match self {
            Self::Open { socket, to, source } => socket.send(to, source, parts, segment_len),
            Self::Connected(sender) => sender.send(parts, segment_len),
        }
    }
}

fn send_payload(by: SendBy<'_>, payload: Payload<'_>, failed: &mut Failed) {
    if let Some(whole) = payload.only() {
        if let Err(error) = by.send(&[IoSlice::new(whole)], None) {
            failed.note(&error, 1);
        }
        return;
    }
    let mut parts: SmallVec<[IoSlice<'_>; SEGMENTS_MAX]> = SmallVec::new();
    parts.extend(payload.iter().map(IoSlice::new));
    send_bursts(&parts, 1, payload.len, by, failed);
}

/// Sends messages of `per_message` slices each, as few sends as the kernel allows.
fn send_bursts(parts: &[IoSlice<'_>], per_message: usize, message_len: usize, by: SendBy<'_>, failed: &mut Failed) {
    let fitting = (BURST_BYTES_MAX / message_len.max(1)).clamp(1, SEGMENTS_MAX);
    let per_send = if by.can_segment() { fitting } else { 1 };
    for burst in parts.chunks(per_send * per_message) {
        let messages = burst.len() / per_message;
        let segment = if messages > 1 { u16::try_from(message_len).ok() } else { None };
        let Err(error) = by.send(burst, segment) else { continue };
        if messages == 1 || error.kind() == io::ErrorKind::WouldBlock {
            failed.note(&error, messages as u64);
            continue;
        }
        // The kernel or the device would not cut the burst: one by one.
        for message in burst.chunks(per_message) {
            if let Err(error) = by.send(message, None) {
                failed.note(&error, 1);
            }
        }
    }
}

/// How many messages at the start of `bytes`, each `len` long, have the same ChannelData header and no padding.
fn run_of_equal_channel_data(bytes: &[u8], len: usize) -> usize {
    let Some(header) = bytes.get(..channel_data::HEADER_LEN) else { return 1 };
    let exact = channel_data::parse(bytes.get(..len).unwrap_or_default())
        .is_ok_and(|d| d.data.len() + channel_data::HEADER_LEN == len);
    if !exact {
        return 1;
    }
    let same = |message: &&[u8]| message.len() == len && message.get(..channel_data::HEADER_LEN) == Some(header);
    bytes.chunks(len).take_while(same).count().max(1)
}

/// Reads grow while they find data and shrink to what they found: a lone packet costs one receive, most of the time.
const fn next_hint(hint: u8, taken: u8) -> u8 {
    if taken < hint {
        if taken == 0 { 1 } else { taken }
    } else if hint >= HINT_MAX / 2 {
        HINT_MAX
    } else {
        hint * 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_ends_at_another_channel_another_length_or_the_end() {
        let message = |channel: u8, len: u8| [vec![0x40, channel, 0, len], vec![9; usize::from(len)]].concat();
        let same = [message(1, 8), message(1, 8), message(1, 8)].concat();
        assert_eq!(run_of_equal_channel_data(&same, 12), 3);
        let other_channel = [message(1, 8), message(1, 8), message(2, 8)].concat();
        assert_eq!(run_of_equal_channel_data(&other_channel, 12), 2);
        let shorter_last = [message(1, 8), message(1, 8), message(1, 4)].concat();
        assert_eq!(run_of_equal_channel_data(&shorter_last, 12), 2);
        let padded = [message(1, 7), vec![0], message(1, 7), vec![0]].concat();
        assert_eq!(run_of_equal_channel_data(&padded, 12), 1);
    }

    #[test]
    fn the_hint_doubles_while_there_is_more_and_falls_to_what_was_found() {
        assert_eq!(next_hint(1, 1), 2);
        assert_eq!(next_hint(2, 1), 1);
        assert_eq!(next_hint(32, 32), 32);
        assert_eq!(next_hint(8, 0), 1);
    }
}
