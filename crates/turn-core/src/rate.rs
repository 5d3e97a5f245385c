//! Token buckets: bandwidth of an allocation, and unauthenticated replies per source.

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use foldhash::fast::FixedState;
use std::hash::BuildHasher;

/// A bucket that may go into debt by one burst, so that the long-run rate is exact whatever the burst size.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TokenBucket {
    rate_per_sec: u64,
    capacity: i64,
    tokens: i64,
    /// Billionths of a token.
    fraction: u32,
    refilled: Instant,
}

const NANOS_PER_SEC: u128 = 1_000_000_000;

impl TokenBucket {
    /// A full bucket of `rate_per_sec` that holds a quarter of a second, at least 64 KiB.
    pub(crate) fn for_bandwidth(rate_per_sec: u64, now: Instant) -> Self {
        let capacity = i64::try_from((rate_per_sec / 4).max(65_536)).unwrap_or(i64::MAX);
        Self { rate_per_sec, capacity, tokens: capacity, fraction: 0, refilled: now }
    }

    /// What flows in.
    pub(crate) const fn rate_per_sec(&self) -> u64 {
        self.rate_per_sec
    }

    /// Takes `amount`; false when the bucket is empty, and then nothing is taken.
    pub(crate) fn take(&mut self, amount: u64, now: Instant) -> bool {
        self.refill(now);
        if self.tokens <= 0 {
            return false;
        }
        self.tokens = self.tokens.saturating_sub(i64::try_from(amount).unwrap_or(i64::MAX));
        true
    }

    /// Takes `amount` in any case; when that leaves a debt, the time at which it is paid.
    pub(crate) fn charge(&mut self, amount: u64, now: Instant) -> Option<Instant> {
        self.refill(now);
        self.tokens = self.tokens.saturating_sub(i64::try_from(amount).unwrap_or(i64::MAX));
        if self.tokens > 0 {
            return None;
        }
        let nanos = u128::from(self.tokens.unsigned_abs()) * 1_000_000_000 / u128::from(self.rate_per_sec.max(1));
        Some(now + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX).saturating_add(1)))
    }

    fn refill(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.refilled);
        if elapsed.is_zero() {
            return;
        }
        self.refilled = now;
        // Fractions are carried over: with many small packets they would add up.
        let gained = elapsed.as_nanos() * u128::from(self.rate_per_sec) + u128::from(self.fraction);
        self.fraction = u32::try_from(gained % NANOS_PER_SEC).unwrap_or(0);
        let gained = i64::try_from(gained / NANOS_PER_SEC).unwrap_or(i64::MAX);
        self.tokens = self.tokens.saturating_add(gained).min(self.capacity);
    }
}

/// How many sources are told apart; more share buckets. 512 KiB per shard.
const SOURCE_SLOTS: usize = 65_536;

/// Unauthenticated replies per source, in fixed memory: a source is a slot chosen by a secret hash, so nobody can aim
/// at another's slot, and no state grows with the number of sources.
#[derive(Debug)]
pub(crate) struct SourceBuckets {
    /// Time at which the slot is full again, in microseconds since `start` (a GCRA in one number).
    full_at: Box<[u64]>,
    hash: FixedState,
    start: Instant,
}

impl SourceBuckets {
    pub(crate) fn new(seed: u64, start: Instant) -> Self {
        Self { full_at: vec![0; SOURCE_SLOTS].into_boxed_slice(), hash: FixedState::with_seed(seed), start }
    }

    /// Whether one more reply may go to `source` at `per_sec` with `burst` at once.
    pub(crate) fn allow(&mut self, source: IpAddr, per_sec: u32, burst: u32, now: Instant) -> bool {
        if per_sec == 0 {
            return false;
        }
        let key = match source {
            IpAddr::V4(ip) => u64::from(ip.to_bits()),
            IpAddr::V6(ip) => u64::try_from(ip.to_bits() >> 64).unwrap_or(0) | 1 << 63,
        };
        let slot = usize::try_from(self.hash.hash_one(key) % SOURCE_SLOTS as u64).unwrap_or(0);
        let now = u64::try_from(now.saturating_duration_since(self.start).as_micros()).unwrap_or(u64::MAX);
        let cost = 1_000_000 / u64::from(per_sec);
        let Some(full_at) = self.full_at.get_mut(slot) else { return false };
        let from = (*full_at).max(now);
        if from + cost > now + cost.saturating_mul(u64::from(burst)) {
            return false;
        }
        *full_at = from + cost;
        true
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "an `Instant` to start from has no other source")]
mod tests {
    use super::*;

    #[test]
    fn the_long_run_rate_is_exact_whatever_the_burst() {
        let start = Instant::now();
        let mut bucket = TokenBucket::for_bandwidth(1_000_000, start);
        let mut passed = 0_u64;
        for millis in 0..10_000_u64 {
            let now = start + Duration::from_millis(millis);
            if bucket.take(5_000, now) {
                passed += 5_000;
            }
        }
        assert!((10_000_000..=10_000_000 + 250_000 + 10_000).contains(&passed), "{passed}");
    }

    #[test]
    fn asking_often_does_not_slow_the_bucket_down() {
        let start = Instant::now();
        // 1.9 bytes a microsecond, asked every microsecond for two seconds: fractions must not be lost.
        let mut bucket = TokenBucket::for_bandwidth(1_900_000, start);
        let mut passed = 0_u64;
        for micros in 0..2_000_000_u64 {
            if bucket.take(10, start + Duration::from_micros(micros)) {
                passed += 10;
            }
        }
        let burst = 1_900_000 / 4;
        assert!((3_800_000 + burst - 20..=3_800_000 + burst + 20).contains(&passed), "{passed}");
    }

    #[test]
    fn a_source_gets_its_burst_then_its_rate_and_another_source_is_untouched() {
        let start = Instant::now();
        let mut buckets = SourceBuckets::new(1, start);
        let (alice, bob) = (IpAddr::from([1, 2, 3, 4]), IpAddr::from([5, 6, 7, 8]));
        let granted = (0..100).filter(|_| buckets.allow(alice, 10, 20, start)).count();
        assert_eq!(granted, 20);
        assert!(buckets.allow(bob, 10, 20, start));
        let later = start + Duration::from_secs(1);
        let granted = (0..100).filter(|_| buckets.allow(alice, 10, 20, later)).count();
        assert_eq!(granted, 10);
    }
}
