//! Binds, refreshes, ends and forgets channels at random, as a server would for its clients.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    sync::atomic::{AtomicBool, Ordering::SeqCst},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use causeway_fast_path::{FastPath, Flow, FlowId, Life, Open, Traffic};

use crate::ledger::{Dice, Ledger};

/// Lifetimes, from the shortest to the longest; as many between one and ten seconds as between a tenth and one.
const LIFE_SECS_MIN: f64 = 0.1;
const LIFE_SECS_MAX: f64 = 30.0;
/// How late the server is with forgetting what is over, at most.
const LATE_SECS_MAX: f64 = 0.5;
/// How long a channel stays away, at most.
const AWAY_SECS_MAX: f64 = 0.4;
/// How long it sleeps when there is nothing to do.
const NAP: Duration = Duration::from_millis(1);

const BOTH: Open = Open { up: true, down: true };

/// What comes next for a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Deed {
    Bind,
    Refresh,
    Remove,
}

/// A channel as the server knows it.
#[derive(Debug)]
struct Channel {
    flow: Flow,
    id: Option<FlowId>,
    carried: Traffic,
}

/// What has been done.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Deeds {
    pub(crate) bound: u64,
    pub(crate) refreshed: u64,
    pub(crate) removed: u64,
    /// Those without room.
    pub(crate) refused: u64,
    pub(crate) live: u64,
    pub(crate) live_min: u64,
}

#[derive(Debug)]
pub(crate) struct Control<'a> {
    path: &'a FastPath,
    ledger: &'a Ledger,
    channels: Vec<Channel>,
    agenda: BinaryHeap<Reverse<(u64, usize, Deed)>>,
    dice: Dice,
    /// By how much the kernel is told a later end than the ledger: to see that it is noticed.
    late: Duration,
    pub(crate) deeds: Deeds,
}

impl<'a> Control<'a> {
    /// Binds them all.
    pub(crate) fn start(path: &'a FastPath, ledger: &'a Ledger, flows: Vec<Flow>, late: Duration) -> Self {
        let channels: Vec<Channel> =
            flows.into_iter().map(|flow| Channel { flow, id: None, carried: Traffic::default() }).collect();
        let mut this = Self {
            path,
            ledger,
            channels,
            agenda: BinaryHeap::new(),
            dice: Dice::new(7),
            late,
            deeds: Deeds::default(),
        };
        for index in 0..this.channels.len() {
            this.bind(index);
        }
        this.deeds.live_min = this.deeds.live;
        this
    }

    /// Goes on until `stop`.
    pub(crate) fn run(&mut self, stop: &AtomicBool) {
        while !stop.load(SeqCst) {
            let now = self.ledger.nanos(Instant::now());
            match self.agenda.peek() {
                Some(Reverse((due, _, _))) if *due <= now => {}
                _ => {
                    thread::sleep(NAP);
                    continue;
                }
            }
            let Some(Reverse((_, index, deed))) = self.agenda.pop() else { continue };
            match deed {
                Deed::Bind => self.bind(index),
                Deed::Refresh => self.refresh(index),
                Deed::Remove => self.remove(index),
            }
        }
    }

    /// Ends all channels; what each has carried since the start.
    pub(crate) fn finish(mut self) -> Vec<Traffic> {
        for index in 0..self.channels.len() {
            self.remove(index);
        }
        self.channels.iter().map(|channel| channel.carried).collect()
    }

    fn bind(&mut self, index: usize) {
        let until = self.plan(index);
        let life = self.life(until);
        let Some(channel) = self.channels.get_mut(index) else { return };
        let (path, id) = (self.path, &mut channel.id);
        self.ledger.change(index, until, true, || *id = path.insert(&channel.flow, None, life, Instant::now()));
        if id.is_some() {
            self.deeds.bound += 1;
            self.deeds.live += 1;
        } else {
            self.deeds.refused += 1;
            self.ledger.change(index, 0, false, || {});
        }
    }

    fn refresh(&mut self, index: usize) {
        let until = self.plan(index);
        let life = self.life(until);
        let Some(id) = self.channels.get(index).and_then(|channel| channel.id) else { return };
        self.ledger.change(index, until, false, || self.path.set_life(id, life));
        self.deeds.refreshed += 1;
    }

    fn remove(&mut self, index: usize) {
        let Some(channel) = self.channels.get_mut(index) else { return };
        let Some(id) = channel.id.take() else { return };
        let (path, flow, carried) = (self.path, &channel.flow, &mut channel.carried);
        self.ledger.change(index, 0, false, || add(carried, path.remove(id, flow, Instant::now())));
        self.deeds.removed += 1;
        self.deeds.live -= 1;
        self.deeds.live_min = self.deeds.live_min.min(self.deeds.live);
        let away = self.ledger.nanos(Instant::now()) + nanos(self.dice.part() * AWAY_SECS_MAX);
        self.agenda.push(Reverse((away, index, Deed::Bind)));
    }

    fn life(&self, until: u64) -> Life {
        Life { until: self.ledger.instant(until) + self.late, open: BOTH }
    }

    /// Rolls how long the channel lives from now on, and what becomes of it: refreshed in time, ended in time, or forgotten
    /// when it is long over.
    fn plan(&mut self, index: usize) -> u64 {
        let life = nanos(LIFE_SECS_MIN * (LIFE_SECS_MAX / LIFE_SECS_MIN).powf(self.dice.part()));
        let now = self.ledger.nanos(Instant::now());
        let within = nanos(life as f64 / 1e9 * self.dice.part());
        let (due, deed) = match self.dice.below(10) {
            0..4 => (now + within, Deed::Refresh),
            4..6 => (now + within, Deed::Remove),
            _ => (now + life + nanos(self.dice.part() * LATE_SECS_MAX), Deed::Remove),
        };
        self.agenda.push(Reverse((due, index, deed)));
        now + life
    }
}

/// The flows of all crowds, one behind the other.
pub(crate) fn flows(crowds: &[crate::world::Crowd], n_each: usize) -> Result<Vec<Flow>> {
    crowds
        .iter()
        .flat_map(|crowd| (0..n_each).map(|channel| crowd.flow(channel)))
        .collect::<Result<_>>()
        .context("flows")
}

fn nanos(secs: f64) -> u64 {
    u64::try_from(Duration::from_secs_f64(secs).as_nanos()).unwrap_or(u64::MAX)
}

const fn add(sum: &mut Traffic, more: Traffic) {
    sum.up_packets += more.up_packets;
    sum.up_bytes += more.up_bytes;
    sum.down_packets += more.down_packets;
    sum.down_bytes += more.down_bytes;
    sum.up_over_rate += more.up_over_rate;
    sum.down_over_rate += more.down_over_rate;
    sum.over_total += more.over_total;
}
