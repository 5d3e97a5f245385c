//! What the control side has granted, for the traffic to hold the kernel to.

use std::{
    sync::atomic::{AtomicU64, Ordering::SeqCst},
    time::{Duration, Instant},
};

/// Until when each channel lives.
#[derive(Debug)]
pub(crate) struct Ledger {
    epoch: Instant,
    cells: Vec<Cell>,
}

#[derive(Debug, Default)]
struct Cell {
    /// Odd while it is being changed.
    version: AtomicU64,
    until: AtomicU64,
    incarnation: AtomicU64,
}

/// A channel at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    /// The same in two looks: nothing was changed between them.
    pub(crate) version: u64,
    /// Nanoseconds since the ledger began; 0 when there is no channel.
    pub(crate) until: u64,
    /// Another one each time the channel is bound.
    pub(crate) incarnation: u64,
}

impl Look {
    /// Whether nothing was being changed.
    pub(crate) const fn is_settled(self) -> bool {
        self.version.is_multiple_of(2)
    }
}

impl Ledger {
    pub(crate) fn new(n_channels: usize) -> Self {
        Self { epoch: Instant::now(), cells: (0..n_channels).map(|_| Cell::default()).collect() }
    }

    pub(crate) const fn n_channels(&self) -> usize {
        self.cells.len()
    }

    /// A moment as the ledger counts: nanoseconds since it began.
    pub(crate) fn nanos(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.epoch).as_nanos()).unwrap_or(u64::MAX)
    }

    pub(crate) fn instant(&self, nanos: u64) -> Instant {
        self.epoch + Duration::from_nanos(nanos)
    }

    pub(crate) fn look(&self, channel: usize) -> Look {
        self.cells.get(channel).map_or(Look { version: 1, until: 0, incarnation: 0 }, |cell| Look {
            version: cell.version.load(SeqCst),
            until: cell.until.load(SeqCst),
            incarnation: cell.incarnation.load(SeqCst),
        })
    }

    /// Does `act` and writes down until when the channel lives since.
    pub(crate) fn change(&self, channel: usize, until: u64, is_bound_anew: bool, act: impl FnOnce()) {
        let Some(cell) = self.cells.get(channel) else { return };
        cell.version.fetch_add(1, SeqCst);
        act();
        cell.until.store(until, SeqCst);
        cell.incarnation.fetch_add(u64::from(is_bound_anew), SeqCst);
        cell.version.fetch_add(1, SeqCst);
    }
}

/// Random numbers enough for a load: SplitMix64.
#[derive(Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end.max(1)).unwrap_or(1)).unwrap_or(0)
    }

    /// From 0 to 1.
    pub(crate) fn part(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}
