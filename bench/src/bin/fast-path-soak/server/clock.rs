//! The soak's clock, and the world's.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::verdict::nanos;

/// Reads of both clocks of which the closest pair counts.
const READS: usize = 5;

/// Nanoseconds since the soak began.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    epoch: Instant,
}

impl Clock {
    pub(super) fn new() -> Self {
        Self { epoch: Instant::now() }
    }

    pub(super) fn now(self) -> u64 {
        nanos(self.epoch.elapsed())
    }

    /// When the second `unix` of the world's clock begins, by its rate of now.
    pub(super) fn of_unix(self, unix: u64) -> u64 {
        let pair = || {
            let before = self.now();
            let world = unix_now();
            (self.now() - before, before, world)
        };
        let closest = (0..READS).map(|_| pair()).min_by_key(|(apart, ..)| *apart);
        let (apart, before, world) = closest.unwrap_or_default();
        let left = Duration::from_secs(unix).saturating_sub(world);
        before + apart / 2 + nanos(left)
    }
}

/// Since 1970.
pub(super) fn unix_now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
