//! The maps' keys and values, byte by byte as `bpf/flow.h` declares them.

use std::net::{IpAddr, SocketAddr};

use crate::routes::Way;

/// A channel that may be relayed in the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// The client, as its datagrams say.
    pub client: SocketAddr,
    /// Where they go to: a real address of this host, not a wildcard.
    pub server: SocketAddr,
    /// The channel number.
    pub channel: u16,
    /// What the relay socket is bound to.
    pub relay: SocketAddr,
    /// How the peer is told that address; differs behind a NAT.
    pub advertised: IpAddr,
    /// The peer.
    pub peer: SocketAddr,
    /// For a peer that is a relayed address of this server: what that is bound to. Such a flow goes from allocation to
    /// allocation and never to a network.
    pub peer_relay: Option<IpAddr>,
}

/// Directions in which the first packet came through the process already. Only those pass in the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Open {
    /// From the client.
    pub up: bool,
    /// To the client.
    pub down: bool,
}

impl Open {
    /// As the program reads it.
    pub(crate) fn bits(self) -> u64 {
        u64::from(self.up) | u64::from(self.down) << 1
    }
}

/// What went through a flow in the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Packets from the client.
    pub up_packets: u64,
    /// Their payload.
    pub up_bytes: u64,
    /// Packets to the client.
    pub down_packets: u64,
    /// Their payload.
    pub down_bytes: u64,
    /// Packets from the client over its allocation's bandwidth: dropped, in none of the above.
    pub up_over_rate: u64,
    /// Packets to it, likewise.
    pub down_over_rate: u64,
    /// Packets over the bandwidth of everything: dropped, and counted above, as in user space.
    pub over_total: u64,
}

impl Traffic {
    /// What was added since `earlier`.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Self {
        Self {
            up_packets: self.up_packets.wrapping_sub(earlier.up_packets),
            up_bytes: self.up_bytes.wrapping_sub(earlier.up_bytes),
            down_packets: self.down_packets.wrapping_sub(earlier.down_packets),
            down_bytes: self.down_bytes.wrapping_sub(earlier.down_bytes),
            up_over_rate: self.up_over_rate.wrapping_sub(earlier.up_over_rate),
            down_over_rate: self.down_over_rate.wrapping_sub(earlier.down_over_rate),
            over_total: self.over_total.wrapping_sub(earlier.over_total),
        }
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_nothing(self) -> bool {
        self == Self::default()
    }
}

/// Words of a flow's record.
pub(crate) const FLOW_WORDS: usize = 26;
/// Words of a rate's record.
pub(crate) const RATE_WORDS: usize = 4;
/// The words of a record that the program writes, or both sides do; the rest never changes while a key leads to it.
pub(crate) const DEADLINE: usize = 0;
/// The words that hold both interfaces, and what they take.
pub(crate) const WAYS: std::ops::Range<usize> = 17..19;
/// The word that tells which directions are open.
pub(crate) const OPEN: usize = 25;
const COUNTERS: usize = 1;
const COUNTERS_END: usize = 8;

/// Bytes of either key.
pub(crate) const KEY_LEN: usize = 40;
/// A key.
pub(crate) type FlowKey = [u8; KEY_LEN];

/// The counters of a record, `word` reading its words.
pub(crate) fn traffic(word: impl Fn(usize) -> u64) -> Traffic {
    Traffic {
        up_packets: word(COUNTERS),
        up_bytes: word(COUNTERS + 1),
        down_packets: word(COUNTERS + 2),
        down_bytes: word(COUNTERS + 3),
        up_over_rate: word(COUNTERS + 4),
        down_over_rate: word(COUNTERS + 5),
        over_total: word(COUNTERS + 6),
    }
}

/// Ways out, and the bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Placement {
    pub(crate) up: Way,
    pub(crate) down: Way,
    pub(crate) rate: u32,
}

impl Flow {
    /// The key of the client's ChannelData.
    pub(crate) fn up_key(&self) -> FlowKey {
        let mut key = Writer::default();
        key.address(self.client.ip());
        key.address(self.server.ip());
        key.bytes(&self.client.port().to_be_bytes());
        key.bytes(&self.server.port().to_be_bytes());
        key.bytes(&self.channel.to_be_bytes());
        key.done()
    }

    /// The key of the peer's datagrams; between two allocations, as the receiving one knows the sending one.
    pub(crate) fn down_key(&self) -> FlowKey {
        let mut key = Writer::default();
        key.address(self.peer.ip());
        key.address(self.relay.ip());
        key.bytes(&self.peer.port().to_be_bytes());
        key.bytes(&self.relay.port().to_be_bytes());
        key.done()
    }

    /// The record, counters at zero. It has effect until `until`.
    pub(crate) fn record(&self, until: u64, placement: &Placement, open: Open) -> [u64; FLOW_WORDS] {
        let mut record = Writer::<{ FLOW_WORDS * 8 }>::default();
        record.bytes(&until.to_ne_bytes());
        record.bytes(&[0; (COUNTERS_END - COUNTERS) * 8]);
        for address in [self.client, self.server, self.relay, self.peer] {
            record.address(address.ip());
        }
        for port in [self.client, self.server, self.relay, self.peer].map(|address| address.port()) {
            record.bytes(&port.to_be_bytes());
        }
        record.bytes(&self.channel.to_be_bytes());
        record.bytes(&[family(self.client.ip()), family(self.peer.ip()), u8::from(self.peer_relay.is_some())]);
        record.bytes(&[u8::from(placement.up.takes_frames), u8::from(placement.down.takes_frames), 0]);
        record.bytes(&placement.up.interface.to_ne_bytes());
        record.bytes(&placement.down.interface.to_ne_bytes());
        record.bytes(&placement.up.mtu.to_ne_bytes());
        record.bytes(&placement.down.mtu.to_ne_bytes());
        record.bytes(&placement.rate.to_ne_bytes());
        record.address(self.advertised);
        record.address(self.peer_relay.unwrap_or(self.advertised));
        // Nothing of the client was seen.
        record.bytes(&[0; 8]);
        record.bytes(&open.bits().to_ne_bytes());
        let bytes = record.done();
        let mut words = [0; FLOW_WORDS];
        for (word, chunk) in words.iter_mut().zip(bytes.as_chunks().0) {
            *word = u64::from_ne_bytes(*chunk);
        }
        words
    }
}

/// 4 or 6.
pub(crate) const fn family(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 4,
        IpAddr::V6(_) => 6,
    }
}

/// Puts fields one behind the other.
#[derive(Debug)]
struct Writer<const LEN: usize> {
    bytes: [u8; LEN],
    at: usize,
}

impl<const LEN: usize> Default for Writer<LEN> {
    fn default() -> Self {
        Self { bytes: [0; LEN], at: 0 }
    }
}

impl<const LEN: usize> Writer<LEN> {
    fn bytes(&mut self, source: &[u8]) {
        if let Some(to) = self.bytes.get_mut(self.at..self.at + source.len()) {
            to.copy_from_slice(source);
        }
        self.at += source.len();
    }

    /// Sixteen bytes.
    fn address(&mut self, address: IpAddr) {
        match address {
            IpAddr::V4(ip) => {
                self.bytes(&ip.octets());
                self.bytes(&[0; 12]);
            }
            IpAddr::V6(ip) => self.bytes(&ip.octets()),
        }
    }

    const fn done(self) -> [u8; LEN] {
        self.bytes
    }
}
