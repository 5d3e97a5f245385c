//! Bound channels as a shell may relay them by itself: what it needs to know, and what it tells back.
//!
//! The core goes on deciding: it says which channels carry data and until when, and again whenever that changes. The shell
//! lets nothing pass after that moment, and tells what passed.

use std::{net::SocketAddr, time::Instant};

use causeway_types::{AllocationId, FiveTuple, Now, TrafficCount, TrafficCounters};

use crate::{
    TurnServer,
    allocation::{Allocation, Reach},
    data_path::is_over_quota,
    drop_reason::DropReason,
    io::{ClientLeg, RelayId, StreamDirection},
};

/// Names an allocation of this shard; one that has ended is not mistaken for the next one in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AllocationKey {
    slot: usize,
    id: AllocationId,
}

impl AllocationKey {
    /// Which allocation.
    #[must_use]
    pub const fn id(self) -> AllocationId {
        self.id
    }
}

/// A channel that carries data, both ways (RFC 8656 §12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BoundChannel {
    /// Its number.
    pub number: u16,
    /// To whom.
    pub peer: SocketAddr,
    /// From which relay socket.
    pub relay: RelayId,
    /// The first of its own, its permission's and its allocation's deadline; a credential that ends its allocations is in the
    /// last.
    pub until: Instant,
    /// As in [`Forward::ToPeer`](crate::Forward::ToPeer): never over a network.
    pub own_relay_only: bool,
}

/// The channels of one allocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundChannels {
    /// Whose.
    pub client: ClientLeg,
    /// Payload bytes per second, each direction.
    pub bandwidth: Option<u64>,
    /// Whether payload came from the client so far. The first packet of a direction has to come through the core, which tells
    /// of it.
    pub from_client_began: bool,
    /// And to it.
    pub to_client_began: bool,
    /// Those that carry data, by number. None for an allocation that may reach the members of a scope only: members come and
    /// go on other threads, and each datagram has to be judged by what this one knows then.
    pub channels: Vec<BoundChannel>,
}

/// What a shell relayed by itself for one allocation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Relayed {
    /// Payload, both ways.
    pub traffic: TrafficCounters,
    /// Packets from the client that were over the bandwidth, and dropped; not in `traffic`.
    pub over_from_client: u64,
    /// And to it.
    pub over_to_client: u64,
}

/// ChannelData's header (RFC 8656 §12.4).
const HEADER: u64 = causeway_stun_codec::channel_data::HEADER_LEN as u64;

impl Relayed {
    /// The same packets as whole messages of the client.
    #[must_use]
    pub fn messages(&self) -> TrafficCounters {
        let whole =
            |count: TrafficCount| TrafficCount { bytes: count.bytes + HEADER * count.packets, packets: count.packets };
        TrafficCounters { from_client: whole(self.traffic.from_client), to_client: whole(self.traffic.to_client) }
    }
}

impl TurnServer {
    /// From here on [`Self::poll_changed_channels`] tells what changes.
    pub const fn watch_channels(&mut self) {
        self.watches_channels = true;
    }

    /// An allocation whose channels may have changed, or that ended. Ask before taking each output: the answer to a request
    /// must not overtake what it changed.
    pub fn poll_changed_channels(&mut self) -> Option<AllocationKey> {
        self.changed_channels.pop()
    }

    /// The channels that carry data; `None` when the allocation is no more, or its client is not there.
    #[must_use]
    pub fn bound_channels(&self, now: Now, key: AllocationKey) -> Option<BoundChannels> {
        let allocation = self.allocations.get(key.slot).filter(|a| a.id == key.id)?;
        if allocation.expires <= now.mono || allocation.detached {
            return None;
        }
        let channels = if allocation.grant.limits.scope.is_some() { Vec::new() } else { channels_of(allocation, now) };
        let bandwidth = allocation.buckets.as_ref().map(|buckets| buckets.from_client.rate_per_sec());
        Some(BoundChannels {
            client: allocation.client,
            bandwidth,
            from_client_began: !allocation.is_first(StreamDirection::FromClient),
            to_client_began: !allocation.is_first(StreamDirection::ToClient),
            channels,
        })
    }

    /// The allocation at this five-tuple, if it has one here.
    #[must_use]
    pub fn allocation_key(&self, client: &FiveTuple) -> Option<AllocationKey> {
        let slot = *self.by_client.get(client)?;
        self.allocations.get(slot).map(|allocation| AllocationKey { slot, id: allocation.id })
    }

    /// Counts what the shell relayed since it last said, as if it had come through here: against the bandwidth, the bytes of
    /// the credential and every figure. False when the allocation is no more: then only this shard's own figures count it.
    pub fn count_relayed(&mut self, now: Now, key: AllocationKey, relayed: &Relayed) -> bool {
        let Relayed { traffic, over_from_client, over_to_client } = *relayed;
        self.drops.add(DropReason::BandwidthFromClient, over_from_client);
        self.drops.add(DropReason::BandwidthToClient, over_to_client);
        plus(&mut self.stats.from_client, traffic.from_client);
        plus(&mut self.stats.to_client, traffic.to_client);
        let Some(allocation) = self.allocations.get_mut(key.slot).filter(|a| a.id == key.id) else { return false };
        if let Some(buckets) = &mut allocation.buckets {
            // What is left over is for what comes through here.
            buckets.from_client.charge(traffic.from_client.bytes, now.mono);
            buckets.to_client.charge(traffic.to_client.bytes, now.mono);
        }
        let first =
            [(StreamDirection::FromClient, traffic.from_client), (StreamDirection::ToClient, traffic.to_client)]
                .map(|(direction, count)| (count.packets > 0 && allocation.is_first(direction)).then_some(direction));
        plus(&mut allocation.traffic.from_client, traffic.from_client);
        plus(&mut allocation.traffic.to_client, traffic.to_client);
        let messages = relayed.messages();
        plus(&mut allocation.messages.from_client, messages.from_client);
        plus(&mut allocation.messages.to_client, messages.to_client);
        allocation.packets_untold += 2 * (traffic.from_client.packets + traffic.to_client.packets);
        let is_over = is_over_quota(allocation);
        for direction in first.into_iter().flatten() {
            self.tell_passage(now, key.slot, Some(direction));
        }
        if over_from_client + over_to_client > 0 {
            self.tell_bandwidth(key.slot);
        }
        if is_over {
            self.end_over_quota(now, key.slot);
        } else {
            self.tell_traffic(key.slot);
        }
        true
    }

    /// Has [`Self::poll_changed_channels`] tell of an allocation again.
    pub fn touch_channels(&mut self, key: AllocationKey) {
        if self.allocations.get(key.slot).is_some_and(|allocation| allocation.id == key.id) {
            self.channels_changed(key.slot);
        }
    }

    /// Notes that the channels of an allocation may have changed.
    pub(crate) fn channels_changed(&mut self, slot: usize) {
        let Some(allocation) = self.allocations.get(slot).filter(|_| self.watches_channels) else { return };
        let key = AllocationKey { slot, id: allocation.id };
        if self.changed_channels.last() != Some(&key) {
            self.changed_channels.push(key);
        }
    }
}

fn channels_of(allocation: &Allocation, now: Now) -> Vec<BoundChannel> {
    let bound = |(channel, until): (crate::allocation::Channel, Instant)| {
        let slot = allocation.relay_for(channel.peer.ip())?;
        Some(BoundChannel {
            number: channel.number,
            peer: channel.peer,
            relay: slot.relay,
            until: until.min(allocation.expires),
            own_relay_only: channel.reach == Reach::OwnRelayOnly,
        })
    };
    allocation.live_channels(now.mono).filter_map(bound).collect()
}

const fn plus(count: &mut TrafficCount, more: TrafficCount) {
    count.packets = count.packets.wrapping_add(more.packets);
    count.bytes = count.bytes.wrapping_add(more.bytes);
}
