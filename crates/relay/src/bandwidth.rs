//! The bandwidth of everything together: one number that all shards move.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

/// How far ahead of real time the bucket may run.
const BURST_NANOS: u64 = 250_000_000;

/// A rate shared by all threads: the time up to which what has passed fills it, in nanoseconds since the start.
#[derive(Debug)]
pub(crate) struct SharedRate {
    start: Instant,
    filled_until: AtomicU64,
    bytes_per_sec: AtomicU64,
}

impl SharedRate {
    pub(crate) fn new(bytes_per_sec: Option<u64>) -> Self {
        Self {
            start: Instant::now(),
            filled_until: AtomicU64::new(0),
            bytes_per_sec: AtomicU64::new(bytes_per_sec.unwrap_or(0)),
        }
    }

    /// 0 or `None` is unlimited.
    pub(crate) fn set(&self, bytes_per_sec: Option<u64>) {
        self.bytes_per_sec.store(bytes_per_sec.unwrap_or(0), Ordering::Relaxed);
    }

    /// Counts `bytes` that passed already.
    pub(crate) fn charge(&self, bytes: u64, now: Instant) {
        let rate = self.bytes_per_sec.load(Ordering::Relaxed);
        if rate == 0 || bytes == 0 {
            return;
        }
        let now = u64::try_from(now.saturating_duration_since(self.start).as_nanos()).unwrap_or(u64::MAX);
        let cost = u64::try_from(u128::from(bytes) * 1_000_000_000 / u128::from(rate)).unwrap_or(u64::MAX);
        let step = |filled: u64| Some(filled.max(now).saturating_add(cost));
        let charged = self.filled_until.fetch_update(Ordering::Relaxed, Ordering::Relaxed, step);
        debug_assert!(charged.is_ok(), "the step always has a value");
    }

    /// Whether `bytes` may pass now.
    pub(crate) fn take(&self, bytes: u64, now: Instant) -> bool {
        let rate = self.bytes_per_sec.load(Ordering::Relaxed);
        if rate == 0 {
            return true;
        }
        let now = u64::try_from(now.saturating_duration_since(self.start).as_nanos()).unwrap_or(u64::MAX);
        let cost = u64::try_from(u128::from(bytes) * 1_000_000_000 / u128::from(rate)).unwrap_or(u64::MAX);
        let step = |filled: u64| {
            let from = filled.max(now);
            (from <= now.saturating_add(BURST_NANOS)).then(|| from.saturating_add(cost))
        };
        self.filled_until.fetch_update(Ordering::Relaxed, Ordering::Relaxed, step).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_passes_in_ten_seconds_is_ten_seconds_worth_and_a_burst() {
        let rate = SharedRate::new(Some(1_000_000));
        let mut passed = 0_u64;
        for millis in 0..10_000 {
            if rate.take(5_000, rate.start + Duration::from_millis(millis)) {
                passed += 5_000;
            }
        }
        assert!((10_000_000..=10_270_000).contains(&passed), "{passed}");
    }
}
