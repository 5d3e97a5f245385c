//! The flows: who holds which record, and what the control side does with them.
//!
//! Records live in memory that the kernel shares. A deadline is moved and a counter read without a system call; a flow that
//! comes or goes costs two, under a lock that no packet takes.

use std::{
    collections::{BTreeSet, VecDeque},
    net::SocketAddr,
    ops::RangeInclusive,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use causeway_net_io::SharedMemory;
use parking_lot::Mutex;

use crate::{
    clock::Anchor,
    forwarding, interfaces,
    layout::{DEADLINE, FLOW_WORDS, Flow, OPEN, Open, Placement, RATE_WORDS, Traffic, WAYS, traffic},
    program::{OUTCOMES, Program, Size},
    routes::{Link, Routes, Way},
    site::Site,
};

/// Its index is the same everywhere.
const LOOPBACK: u32 = 1;
/// How long a record rests before it serves another flow: a program that found it before it was taken back is long done.
const REST: Duration = Duration::from_secs(1);
/// How far a bucket may run ahead of time, and the least it holds; as the process's own.
const BURST_NANOS: u64 = 250_000_000;
const BURST_BYTES_MIN: u64 = 65_536;

/// What the operator asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Take it where it works.
    #[default]
    Auto,
    /// Everything in user space.
    Off,
    /// At the tc ingress.
    Tc,
    /// XDP where it works, and tc behind it.
    Xdp,
}

/// What the fast path is started with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which kind.
    pub mode: Mode,
    /// Interfaces by name; empty: those that carry one of `addresses`, and the loopback.
    pub interfaces: Vec<String>,
    /// Listen and relay addresses.
    pub addresses: Vec<SocketAddr>,
    /// Ports of relay sockets.
    pub relay_ports: RangeInclusive<u16>,
    /// Most flows at a time; one more stays in user space. At least 2.
    pub flows_max: u32,
}

/// Why there is no fast path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unavailable {
    /// The configuration says so.
    #[error("switched off")]
    Off,
    /// There was no clang when this program was built.
    #[error("this program was built without it: no clang was found")]
    NotBuilt,
    /// The kernel would not have it: capabilities, an old kernel, the verifier.
    #[error("the kernel refuses: {0}")]
    Refused(String),
    /// No interface to put it at.
    #[error("no interface to attach to: {0}")]
    NoInterface(String),
}

/// Names a flow until it is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlowId(u32);

impl FlowId {
    /// A small number, another one for each flow there is.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }
}

/// Names the pair of buckets of an allocation with a bandwidth limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RateId(u32);

/// What changes while a flow is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// Nothing passes from this moment on.
    pub until: Instant,
    /// What passes till then.
    pub open: Open,
}

/// How it stands.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// Where the programs sit.
    pub sites: Vec<Site>,
    /// Flows there are.
    pub flows: u32,
    /// Flows there may be.
    pub flows_max: u32,
    /// Channels that found no room.
    pub flows_refused: u64,
    /// Packets by outcome, in the order of [`OUTCOMES`].
    pub outcomes: Vec<(&'static str, u64)>,
    /// How many of those forwarded XDP took.
    pub by_xdp: u64,
}

/// A running fast path. The programs leave the interfaces when it is dropped, or the process ends in whatever way.
#[derive(Debug)]
pub struct FastPath {
    flows: SharedMemory,
    rates: SharedMemory,
    clock: Anchor,
    remarks: Vec<String>,
    flows_max: u32,
    refused: AtomicU64,
    held: Mutex<Held>,
}

#[derive(Debug)]
struct Held {
    program: Program,
    routes: Routes,
    flows: Slots,
    rates: Slots,
}

impl Held {
    fn attach(&mut self, name: &str) -> Result<Link, Unavailable> {
        match self.routes.link_named(name) {
            Ok(Some(link)) if link.is_ethernet => self.program.attach(name).map(|()| link),
            Ok(Some(_)) => Err(Unavailable::NoInterface("its frames are not Ethernet's".to_owned())),
            Ok(None) => Err(Unavailable::NoInterface("there is none of that name".to_owned())),
            Err(error) => Err(Unavailable::NoInterface(error.to_string())),
        }
    }

    /// Puts XDP before the classifiers where that works; what did not.
    fn attach_xdp(&mut self, links: &[(String, Link)]) -> Vec<String> {
        let mut remarks = Vec::new();
        for (family, why) in forwarding::not_allowed() {
            remarks.push(format!("XDP leaves {family} to tc: {why}"));
        }
        let mut devices = BTreeSet::new();
        for (name, link) in links {
            if link.index == LOOPBACK {
                // Its packets have unfinished checksums and may be several in one, which XDP cannot see.
                continue;
            }
            let device = link.vlan.map_or(link.index, |vlan| vlan.device);
            let attached = match link.vlan {
                Some(vlan) if devices.contains(&device) => self.program.know_vlan(link.index, vlan),
                None if devices.contains(&device) => Ok(()),
                Some(_) | None => self.program.attach_xdp(name, link),
            };
            match attached {
                Ok(()) => {
                    devices.insert(device);
                }
                Err(error) => remarks.push(format!("no XDP at {name}, but tc: {error}")),
            }
        }
        if devices.is_empty() {
            remarks.push("XDP is at no interface: on the loopback there is only tc".to_owned());
        }
        remarks
    }
}

/// Numbers that are free, and those that rest.
#[derive(Debug)]
struct Slots {
    next: u32,
    end: u32,
    step: u32,
    resting: VecDeque<(Instant, u32)>,
    used: u32,
}

impl Slots {
    const fn new(first: u32, end: u32, step: u32) -> Self {
        Self { next: first, end, step, resting: VecDeque::new(), used: 0 }
    }

    fn take(&mut self, now: Instant) -> Option<u32> {
        let rested = self.resting.front().is_some_and(|(since, _)| now.saturating_duration_since(*since) >= REST);
        let slot = if rested {
            self.resting.pop_front()?.1
        } else if self.next.saturating_add(self.step) <= self.end {
            let slot = self.next;
            self.next += self.step;
            slot
        } else {
            return None;
        };
        self.used += 1;
        Some(slot)
    }

    fn give_back(&mut self, slot: u32, now: Instant) {
        self.used = self.used.saturating_sub(1);
        self.resting.push_back((now, slot));
    }
}

impl FastPath {
    /// Loads the program and puts it at the interfaces.
    ///
    /// # Errors
    /// See [`Unavailable`]; nothing is left behind.
    pub fn start(settings: &Settings) -> Result<Self, Unavailable> {
        if settings.mode == Mode::Off {
            return Err(Unavailable::Off);
        }
        let mut path = Self::load(settings)?;
        let names: Vec<String> = if settings.interfaces.is_empty() {
            let carrying = interfaces::carrying(&settings.addresses);
            carrying.map_err(|error| Unavailable::NoInterface(error.to_string()))?.into_iter().collect()
        } else {
            settings.interfaces.clone()
        };
        let mut last = Unavailable::NoInterface("there is none with such an address".to_owned());
        let mut links = Vec::new();
        for name in names {
            match path.held.get_mut().attach(&name) {
                Ok(link) => links.push((name, link)),
                Err(error) if settings.interfaces.is_empty() => last = error,
                Err(error) => return Err(Unavailable::NoInterface(format!("{name}: {error}"))),
            }
        }
        if links.is_empty() {
            return Err(last);
        }
        if settings.mode == Mode::Xdp {
            path.remarks = path.held.get_mut().attach_xdp(&links);
        }
        Ok(path)
    }

    /// What is not as the settings want it, in sentences for the log.
    pub fn remarks(&self) -> &[String] {
        &self.remarks
    }

    /// Loads the program without putting it anywhere.
    pub(crate) fn load(settings: &Settings) -> Result<Self, Unavailable> {
        let system = |error: std::io::Error| Unavailable::Refused(error.to_string());
        let flows_max = settings.flows_max.max(2);
        let size = Size {
            flows_max,
            relay_ports: settings.relay_ports.clone(),
            with_xdp: settings.mode == Mode::Xdp,
            without_neighbours: cfg!(test),
        };
        let (program, flows, rates) = Program::load(&size)?;
        Ok(Self {
            flows,
            rates,
            clock: Anchor::read().map_err(system)?,
            remarks: Vec::new(),
            flows_max,
            refused: AtomicU64::new(0),
            held: Mutex::new(Held {
                program,
                routes: Routes::open().map_err(system)?,
                flows: Slots::new(0, flows_max, 1),
                // The first pair is the total's.
                rates: Slots::new(2, flows_max, 2),
            }),
        })
    }

    /// Lets a channel pass as long and in the directions `life` says. `None`: no room, no way out, or somebody holds the same addresses; then it stays in
    /// user space.
    pub fn insert(&self, flow: &Flow, rate: Option<RateId>, life: Life, now: Instant) -> Option<FlowId> {
        let mut held = self.held.lock();
        let (up, down) = ways(&mut held.routes, flow);
        if down.interface == 0 || (up.interface == 0 && flow.peer_relay.is_none()) {
            return None;
        }
        let Some(slot) = held.flows.take(now) else {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return None;
        };
        let placement = Placement { up, down, rate: rate.map_or(0, |rate| rate.0) };
        let record = flow.record(self.clock.nanos(life.until), &placement, life.open);
        for (word, value) in self.record(slot).iter().zip(record) {
            word.store(value, Ordering::Relaxed);
        }
        // The system call that makes a key lead here orders these stores before it.
        const NO_EXIST: u64 = 1;
        if held.program.up.insert(flow.up_key(), slot, NO_EXIST).is_err() {
            held.flows.give_back(slot, now);
            self.refused.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        if held.program.down.insert(flow.down_key(), slot, NO_EXIST).is_err() {
            // The other key is somebody else's: only the own one goes.
            if let Some(word) = self.record(slot).get(DEADLINE) {
                word.store(0, Ordering::SeqCst);
            }
            if let Err(error) = held.program.up.remove(&flow.up_key()) {
                tracing::debug!(%error, "a key was gone already");
            }
            held.flows.give_back(slot, now);
            self.refused.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(FlowId(slot))
    }

    /// Moves the deadline, and opens directions. No system call.
    pub fn set_life(&self, id: FlowId, life: Life) {
        for (word, value) in [(DEADLINE, self.clock.nanos(life.until)), (OPEN, life.open.bits())] {
            if let Some(word) = self.record(id.0).get(word) {
                word.store(value, Ordering::SeqCst);
            }
        }
    }

    /// Takes a flow back; what it carried in all. Nothing passes by it once this returns.
    pub fn remove(&self, id: FlowId, flow: &Flow, now: Instant) -> Traffic {
        if let Some(word) = self.record(id.0).get(DEADLINE) {
            word.store(0, Ordering::SeqCst);
        }
        let mut held = self.held.lock();
        for key_gone in [held.program.up.remove(&flow.up_key()), held.program.down.remove(&flow.down_key())] {
            if let Err(error) = key_gone {
                tracing::debug!(%error, "a key was gone already");
            }
        }
        held.flows.give_back(id.0, now);
        drop(held);
        self.traffic(id)
    }

    /// Whether the kernel's routes still are what the flow was made with. One that is not is to be made anew.
    pub fn is_current(&self, id: FlowId, flow: &Flow) -> bool {
        let (up, down) = ways(&mut self.held.lock().routes, flow);
        let record = flow.record(1, &Placement { up, down, rate: 0 }, Open::default());
        let ways = self.record(id.0).get(WAYS).unwrap_or_default();
        let now = record.get(WAYS).unwrap_or_default();
        ways.iter().zip(now).all(|(word, value)| word.load(Ordering::Relaxed) == *value)
    }

    /// What a flow carried so far. No system call.
    pub fn traffic(&self, id: FlowId) -> Traffic {
        let record = self.record(id.0);
        traffic(|index| record.get(index).map_or(0, |word| word.load(Ordering::SeqCst)))
    }

    /// A pair of buckets for an allocation, full; `None` when there is no room.
    pub fn limit(&self, bytes_per_sec: u64, now: Instant) -> Option<RateId> {
        let slot = self.held.lock().rates.take(now)?;
        for index in [slot, slot + 1] {
            self.set_rate(index, bytes_per_sec, (bytes_per_sec / 4).max(BURST_BYTES_MIN));
        }
        Some(RateId(slot))
    }

    /// Takes a pair of buckets back, once no flow uses it.
    pub fn unlimit(&self, id: RateId, now: Instant) {
        self.held.lock().rates.give_back(id.0, now);
    }

    /// Limits everything together; `None` is unlimited.
    pub fn limit_total(&self, bytes_per_sec: Option<u64>) {
        let rate = bytes_per_sec.unwrap_or(0);
        self.set_rate(0, rate, rate / (1_000_000_000 / BURST_NANOS));
    }

    /// How it stands; some system calls.
    pub fn status(&self) -> Status {
        let held = self.held.lock();
        Status {
            sites: held.program.sites(),
            flows: held.flows.used,
            flows_max: self.flows_max,
            flows_refused: self.refused.load(Ordering::Relaxed),
            outcomes: OUTCOMES.iter().map(|(outcome, name)| (*name, held.program.outcome(*outcome))).collect(),
            by_xdp: held.program.by_xdp(),
        }
    }

    fn set_rate(&self, index: u32, bytes_per_sec: u64, burst_bytes: u64) {
        let burst_nanos = match bytes_per_sec {
            0 => 0,
            rate => u64::try_from(u128::from(burst_bytes) * 1_000_000_000 / u128::from(rate)).unwrap_or(u64::MAX),
        };
        let at = usize::try_from(index).unwrap_or(usize::MAX).saturating_mul(RATE_WORDS);
        // The rate is written last: 0 has no effect on anybody.
        for (offset, value) in [(1, 0), (0, 0), (2, burst_nanos), (1, bytes_per_sec)] {
            if let Some(word) = self.rates.words().get(at + offset) {
                word.store(value, Ordering::SeqCst);
            }
        }
    }

    fn record(&self, slot: u32) -> &[AtomicU64] {
        let at = usize::try_from(slot).unwrap_or(usize::MAX).saturating_mul(FLOW_WORDS);
        self.flows.words().get(at..at + FLOW_WORDS).unwrap_or_default()
    }

    #[cfg(test)]
    pub(crate) fn test_run(
        &self,
        entry: crate::Entry,
        packet: &[u8],
        room: &mut [u8],
    ) -> Result<(i32, usize), Unavailable> {
        self.held.lock().program.test_run(entry, packet, room)
    }
}

/// Towards the peer and towards the client; an allocation of ours is reached by no network.
fn ways(routes: &mut Routes, flow: &Flow) -> (Way, Way) {
    let up = match flow.peer_relay {
        Some(_) => Way::default(),
        None => routes.way(flow.relay.ip(), flow.peer.ip()),
    };
    (up, routes.way(flow.server.ip(), flow.client.ip()))
}

#[cfg(test)]
mod tests;
