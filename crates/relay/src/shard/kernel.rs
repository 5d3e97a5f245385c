//! Which of this shard's channels are relayed in the kernel, and what they carried there.
//!
//! The core says which channels carry data and until when; this keeps the kernel's flows the same. What passed there is
//! counted into the core a few times a second, and to the last packet when a flow ends.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use causeway_fast_path::{FastPath, Flow, FlowId, Life, Open, RateId, Traffic};
use causeway_turn_core::{AllocationKey, BoundChannels, Relayed};
use causeway_types::{AllocationId, ClientTransport, FiveTuple, Now, TrafficCount, TrafficCounters};

use super::{RelayEntry, Shard};
use crate::{leg::Leg, ports::RelaySocket};

/// How often what passed in the kernel is counted: the delay of figures, and of the end at `bytes_max`.
pub(super) const COUNT_EVERY: Duration = Duration::from_millis(250);

/// Flows whose routes are looked at again at each count.
const FLOWS_PER_LOOK: usize = 64;

/// This shard's flows.
#[derive(Debug)]
pub(super) struct KernelPath {
    path: Arc<FastPath>,
    by_allocation: HashMap<AllocationId, Held>,
    /// What flows of ended allocations carried, until their end is told.
    ended: HashMap<AllocationId, Relayed>,
    next_count: Instant,
    /// Which part of the flows is looked at next.
    round: u32,
}

/// The flows of one allocation.
#[derive(Debug)]
struct Held {
    key: AllocationKey,
    rate: Option<(RateId, u64)>,
    flows: Vec<InKernel>,
}

#[derive(Clone, Copy, Debug)]
struct InKernel {
    id: FlowId,
    flow: Flow,
    life: Life,
    /// What is counted already.
    counted: Traffic,
}

impl InKernel {
    /// What passed since the last time.
    fn count(&mut self, path: &FastPath) -> Traffic {
        let traffic = path.traffic(self.id);
        let since = traffic.since(self.counted);
        self.counted = traffic;
        since
    }
}

impl KernelPath {
    pub(super) fn new(path: Arc<FastPath>, now: Instant) -> Self {
        Self { path, by_allocation: HashMap::new(), ended: HashMap::new(), next_count: now, round: 0 }
    }

    /// When to count next.
    pub(super) fn due(&self) -> Option<Instant> {
        (!self.by_allocation.is_empty()).then_some(self.next_count)
    }

    /// What an ended allocation carried beyond what the core knew.
    pub(super) fn take_ended(&mut self, allocation: AllocationId) -> Relayed {
        self.ended.remove(&allocation).unwrap_or_default()
    }

    /// Makes the flows of one allocation those of `wanted`; what the ones that went had carried since they were counted.
    fn settle(
        &mut self,
        now: Instant,
        key: AllocationKey,
        wanted: &[(Flow, Life)],
        bandwidth: Option<u64>,
    ) -> Vec<Traffic> {
        let path = &self.path;
        let held = self.by_allocation.remove(&key.id());
        if held.is_none() && wanted.is_empty() {
            return Vec::new();
        }
        let mut held = held.unwrap_or(Held { key, rate: None, flows: Vec::new() });
        let same_rate = held.rate.map(|(_, rate)| rate) == bandwidth;
        let mut gone = Vec::new();
        held.flows.retain_mut(|known| {
            let still = wanted.iter().find(|(flow, _)| *flow == known.flow).filter(|_| same_rate);
            let Some((_, life)) = still else {
                gone.push(path.remove(known.id, &known.flow, now).since(known.counted));
                return false;
            };
            if known.life != *life {
                path.set_life(known.id, *life);
                known.life = *life;
            }
            true
        });
        if (!same_rate || wanted.is_empty())
            && let Some((rate, _)) = held.rate.take()
        {
            path.unlimit(rate, now);
        }
        if held.rate.is_none() && !wanted.is_empty() {
            held.rate = bandwidth.and_then(|bandwidth| Some((path.limit(bandwidth, now)?, bandwidth)));
        }
        // Without a bucket of its own a limited allocation stays in user space.
        if bandwidth.is_none() || held.rate.is_some() {
            for (flow, life) in wanted {
                if held.flows.iter().any(|known| known.flow == *flow) {
                    continue;
                }
                let rate = held.rate.map(|(rate, _)| rate);
                if let Some(id) = path.insert(flow, rate, *life, now) {
                    held.flows.push(InKernel { id, flow: *flow, life: *life, counted: Traffic::default() });
                }
            }
        }
        if !held.flows.is_empty() || held.rate.is_some() {
            self.by_allocation.insert(key.id(), held);
        }
        gone
    }

    /// Allocations with a flow whose way has moved. Each time a part of the flows is looked at, in turn.
    fn moved(&mut self) -> Vec<AllocationKey> {
        let n_flows: usize = self.by_allocation.values().map(|held| held.flows.len()).sum();
        let rounds = u32::try_from(n_flows.div_ceil(FLOWS_PER_LOOK)).unwrap_or(u32::MAX).max(1);
        self.round = self.round.wrapping_add(1);
        let turn = self.round % rounds;
        let has_moved = |held: &&Held| {
            let mut in_turn = held.flows.iter().filter(|known| known.id.number() % rounds == turn);
            in_turn.any(|known| !self.path.is_current(known.id, &known.flow))
        };
        self.by_allocation.values().filter(has_moved).map(|held| held.key).collect()
    }

    /// What passed of one allocation since the last time.
    fn count_one(&mut self, allocation: AllocationId) -> Vec<Traffic> {
        let Some(held) = self.by_allocation.get_mut(&allocation) else { return Vec::new() };
        let path = &self.path;
        held.flows.iter_mut().map(|known| known.count(path)).collect()
    }

    /// What passed since the last time.
    fn count(&mut self) -> Vec<(AllocationKey, Traffic)> {
        let mut passed = Vec::new();
        for held in self.by_allocation.values_mut() {
            for known in &mut held.flows {
                let since = known.count(&self.path);
                if !since.is_nothing() {
                    passed.push((held.key, since));
                }
            }
        }
        passed
    }
}

impl Shard {
    /// Brings the kernel up to date with what the last input changed, before anybody hears of it.
    pub(super) fn settle_channels(&mut self, now: Now) {
        let Some(mut kernel) = self.kernel.take() else { return };
        while let Some(key) = self.core.poll_changed_channels() {
            let bound = self.core.bound_channels(now, key);
            let bandwidth = bound.as_ref().and_then(|bound| bound.bandwidth);
            let wanted = bound.map(|bound| self.flows_of(&bound)).unwrap_or_default();
            for traffic in kernel.settle(now.mono, key, &wanted, bandwidth) {
                if let Some(late) = self.count_from_kernel(now, key, traffic) {
                    let ended = kernel.ended.entry(key.id()).or_default();
                    add(&mut ended.traffic, &late.traffic);
                }
            }
        }
        self.kernel = Some(kernel);
    }

    /// Counts what passed in the kernel, when it is time.
    pub(super) fn count_kernel(&mut self, now: Now) {
        if self.kernel.as_ref().and_then(KernelPath::due).is_some_and(|due| due <= now.mono) {
            self.count_kernel_now(now);
        }
    }

    /// Counts what passed in the kernel so far.
    pub(super) fn count_kernel_now(&mut self, now: Now) {
        let Some(kernel) = &mut self.kernel else { return };
        kernel.next_count = now.mono + COUNT_EVERY;
        for key in kernel.moved() {
            self.renew(now, key);
        }
        let Some(kernel) = &mut self.kernel else { return };
        for (key, traffic) in kernel.count() {
            // One that ends over this keeps its flows until the drain: what they carry till then is counted there.
            let late = self.count_from_kernel(now, key, traffic);
            debug_assert!(late.is_none(), "flows end with their allocation");
            self.drain(now);
        }
    }

    /// Counts what one client's channels carried in the kernel, before a message of its may end or tell them.
    pub(super) fn count_kernel_of(&mut self, now: Now, client: &FiveTuple) {
        let Some(kernel) = &mut self.kernel else { return };
        let Some(key) = self.core.allocation_key(client) else { return };
        for traffic in kernel.count_one(key.id()) {
            let late = self.count_from_kernel(now, key, traffic);
            debug_assert!(late.is_none(), "flows end with their allocation");
        }
        self.drain(now);
    }

    /// Makes an allocation's flows anew, with the ways of now.
    fn renew(&mut self, now: Now, key: AllocationKey) {
        let Some(mut kernel) = self.kernel.take() else { return };
        let gone = kernel.settle(now.mono, key, &[], None);
        self.kernel = Some(kernel);
        for traffic in gone {
            let late = self.count_from_kernel(now, key, traffic);
            debug_assert!(late.is_none(), "flows end with their allocation");
        }
        self.core.touch_channels(key);
        self.drain(now);
    }

    /// The flows for channels of a client that speaks plain UDP to this shard.
    fn flows_of(&self, bound: &BoundChannels) -> Vec<(Flow, Life)> {
        let client = bound.client;
        if client.five_tuple.transport != ClientTransport::Udp || !matches!(Leg::of(client.leg), Leg::Udp(_)) {
            return Vec::new();
        }
        let open = Open { up: bound.from_client_began, down: bound.to_client_began };
        let flow = |channel: &causeway_turn_core::BoundChannel| {
            let Some(RelayEntry { socket: RelaySocket::Udp(socket), advertised, .. }) = self.relay(channel.relay)
            else {
                return None;
            };
            let peer_relay = self.shared.ports.bound_to(channel.peer);
            if channel.own_relay_only && peer_relay.is_none() {
                return None;
            }
            let flow = Flow {
                client: client.five_tuple.client,
                server: client.five_tuple.server,
                channel: channel.number,
                relay: socket.local_addr(),
                advertised: advertised.ip(),
                peer: channel.peer,
                peer_relay,
            };
            Some((flow, Life { until: channel.until, open }))
        };
        bound.channels.iter().filter_map(flow).collect()
    }

    /// Counts what passed in the kernel as if it had come through here; what it was, if its allocation is gone.
    fn count_from_kernel(&mut self, now: Now, key: AllocationKey, traffic: Traffic) -> Option<Relayed> {
        if traffic.is_nothing() {
            return None;
        }
        let count = |packets, bytes| TrafficCount { packets, bytes };
        let relayed = Relayed {
            traffic: TrafficCounters {
                from_client: count(traffic.up_packets, traffic.up_bytes),
                to_client: count(traffic.down_packets, traffic.down_bytes),
            },
            over_from_client: traffic.up_over_rate,
            over_to_client: traffic.down_over_rate,
        };
        if traffic.over_total > 0 {
            self.drop_over_total(now, traffic.over_total);
        }
        self.shared.rate.charge(traffic.up_bytes.saturating_add(traffic.down_bytes), now.mono);
        (!self.core.count_relayed(now, key, &relayed)).then_some(relayed)
    }
}

/// Adds what an ended allocation carried to the figures it is told with.
pub(super) const fn add(to: &mut TrafficCounters, more: &TrafficCounters) {
    to.from_client.packets += more.from_client.packets;
    to.from_client.bytes += more.from_client.bytes;
    to.to_client.packets += more.to_client.packets;
    to.to_client.bytes += more.to_client.bytes;
}
