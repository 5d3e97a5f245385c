//! What an allocation carried, counted on its two legs: payload towards peers, whole TURN messages towards the client.
//!
//! On the packet path this is a handful of additions and one comparison; what is told goes out as events.

use std::net::SocketAddr;

use causeway_types::{ClientTransport, Now, RelayEvent, TrafficCount};

use crate::{
    TurnServer,
    allocation::Allocation,
    io::{ClientLeg, Output, StreamDirection},
};

/// Packets, counted over both legs, between two [`RelayEvent::TrafficCounted`].
const PACKETS_PER_REPORT: u64 = 4096;
/// Peers told of per allocation with [`RelayEvent::PeerPermitted`].
const PEERS_TOLD_MAX: usize = 32;

/// `count` packets of `len` bytes each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packets {
    pub(crate) count: u16,
    pub(crate) len: usize,
}

impl Packets {
    /// Whole messages as they were on the client's leg: a stream pads ChannelData to four bytes (RFC 8656 §12.5).
    pub(crate) const fn on_leg(transport: ClientTransport, count: u16, len: usize) -> Self {
        let len = if transport.is_datagram() { len } else { len.next_multiple_of(4) };
        Self { count, len }
    }

    pub(crate) const fn bytes(self) -> u64 {
        self.count as u64 * self.len as u64
    }
}

pub(crate) const fn add(count: &mut TrafficCount, packets: Packets) {
    count.packets = count.packets.wrapping_add(packets.count as u64);
    count.bytes = count.bytes.wrapping_add(packets.bytes());
}

impl Allocation {
    /// Whole messages on the client's leg.
    pub(crate) fn count_messages(&mut self, direction: StreamDirection, messages: Packets) {
        let count = match direction {
            StreamDirection::FromClient => &mut self.messages.from_client,
            StreamDirection::ToClient => &mut self.messages.to_client,
        };
        add(count, messages);
        self.packets_untold += u64::from(messages.count);
    }

    /// Payload on the leg of the peers.
    pub(crate) fn count_payload(&mut self, direction: StreamDirection, payload: Packets) {
        let count = match direction {
            StreamDirection::FromClient => &mut self.traffic.from_client,
            StreamDirection::ToClient => &mut self.traffic.to_client,
        };
        add(count, payload);
        self.packets_untold += u64::from(payload.count);
    }

    /// Whether the figures are to be told.
    pub(crate) const fn is_report_due(&self) -> bool {
        self.packets_untold >= PACKETS_PER_REPORT
    }

    /// Whether nothing has gone through this way so far.
    pub(crate) const fn is_first(&self, direction: StreamDirection) -> bool {
        match direction {
            StreamDirection::FromClient => self.traffic.from_client.packets == 0,
            StreamDirection::ToClient => self.traffic.to_client.packets == 0,
        }
    }
}

impl TurnServer {
    /// Counts a control message of the client of `from`'s allocation, if it has a live one.
    pub(crate) fn count_control_from(&mut self, now: Now, from: ClientLeg, len: usize) {
        let Some(&key) = self.by_client.get(&from.five_tuple) else { return };
        let Some(allocation) = self.allocations.get_mut(key).filter(|a| a.expires > now.mono) else { return };
        allocation.count_messages(StreamDirection::FromClient, Packets { count: 1, len });
        self.tell_traffic(key);
    }

    /// Counts a control message to the client of `to`'s allocation, if it has one.
    pub(crate) fn count_control_to(&mut self, to: ClientLeg, len: usize) {
        let Some(&key) = self.by_client.get(&to.five_tuple) else { return };
        let Some(allocation) = self.allocations.get_mut(key) else { return };
        allocation.count_messages(StreamDirection::ToClient, Packets { count: 1, len });
        self.tell_traffic(key);
    }

    /// Tells the figures each time enough packets were counted.
    pub(crate) fn tell_traffic(&mut self, key: usize) {
        let Some(allocation) = self.allocations.get_mut(key) else { return };
        if !allocation.is_report_due() {
            return;
        }
        allocation.packets_untold %= PACKETS_PER_REPORT;
        self.outputs.push_back(Output::Event(RelayEvent::TrafficCounted {
            allocation: allocation.id,
            traffic: allocation.traffic,
            messages: allocation.messages,
        }));
    }

    /// Tells of payload that goes through, when it is the first of its direction or the figures are due.
    #[cold]
    pub(crate) fn tell_passage(&mut self, now: Now, key: usize, first: Option<StreamDirection>) {
        if first.is_some() {
            self.channels_changed(key);
        }
        if let (Some(direction), Some(allocation)) = (first, self.allocations.get(key)) {
            self.outputs.push_back(Output::Event(RelayEvent::FirstData {
                allocation: allocation.id,
                direction,
                after: now.mono.saturating_duration_since(allocation.created),
            }));
        }
        self.tell_traffic(key);
    }

    /// Tells of a peer the first time the client names it.
    pub(crate) fn tell_peer(&mut self, key: usize, peer: SocketAddr) {
        let Some(allocation) = self.allocations.get_mut(key) else { return };
        if allocation.peers_told.len() >= PEERS_TOLD_MAX || allocation.peers_told.contains(&peer) {
            return;
        }
        allocation.peers_told.push(peer);
        self.outputs.push_back(Output::Event(RelayEvent::PeerPermitted { allocation: allocation.id, peer }));
    }
}
