//! Datagrams on their way: late, twice, out of order, or never.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    time::{Duration, Instant},
};

use arbitrary::Arbitrary;
use rand_chacha::{ChaCha12Rng, rand_core::Rng};

/// How bad the network is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Arbitrary)]
pub struct Conditions {
    /// A datagram takes up to this many milliseconds, each its own time: this is what reorders them.
    pub delay_millis_max: u16,
    /// So many of 256 are lost.
    pub lost: u8,
    /// So many of 256 come twice.
    pub doubled: u8,
}

/// A datagram, or something else that happens at a time.
#[derive(Clone, Debug)]
pub(crate) enum Arrival {
    /// From a client, as the server sees its address.
    AtServer { from: SocketAddr, bytes: Vec<u8> },
    /// To a client's public address.
    AtClient { to: SocketAddr, bytes: Vec<u8> },
    /// From a peer, to a relayed address.
    AtRelay { to: SocketAddr, from: SocketAddr, data: Vec<u8> },
    /// To a peer, from a relayed address.
    AtPeer { to: SocketAddr, from: SocketAddr, data: Vec<u8> },
    /// The control plane has answered the server's oldest question.
    Answer,
}

/// What is under way.
#[derive(Clone, Debug)]
pub(crate) struct Network {
    pub(crate) conditions: Conditions,
    rng: ChaCha12Rng,
    under_way: BTreeMap<(Instant, u64), Arrival>,
    sent: u64,
}

impl Network {
    pub(crate) const fn new(conditions: Conditions, rng: ChaCha12Rng) -> Self {
        Self { conditions, rng, under_way: BTreeMap::new(), sent: 0 }
    }

    /// Sends a datagram.
    pub(crate) fn send(&mut self, now: Instant, arrival: Arrival) {
        let [lost, doubled, ..] = self.rng.next_u32().to_be_bytes();
        if doubled < self.conditions.doubled {
            let at = now + self.delay();
            self.put(at, arrival.clone());
        }
        if lost >= self.conditions.lost {
            let at = now + self.delay();
            self.put(at, arrival);
        }
    }

    /// Something that happens for sure, after a delay.
    pub(crate) fn schedule(&mut self, now: Instant, arrival: Arrival) {
        let at = now + self.delay();
        self.put(at, arrival);
    }

    pub(crate) fn next_at(&self) -> Option<Instant> {
        self.under_way.keys().next().map(|(at, _)| *at)
    }

    /// The first arrival that is due.
    pub(crate) fn take_due(&mut self, now: Instant) -> Option<Arrival> {
        let entry = self.under_way.first_entry().filter(|entry| entry.key().0 <= now)?;
        Some(entry.remove())
    }

    fn put(&mut self, at: Instant, arrival: Arrival) {
        self.sent += 1;
        self.under_way.insert((at, self.sent), arrival);
    }

    fn delay(&mut self) -> Duration {
        let max = u64::from(self.conditions.delay_millis_max);
        Duration::from_millis(self.rng.next_u64() % (max + 1))
    }
}
