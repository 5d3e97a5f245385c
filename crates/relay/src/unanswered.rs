//! Who asked over UDP, was challenged, and has not come back: its answers may not reach it.
//!
//! One table for all threads, of a fixed size, since whoever is challenged has proved nothing: a slot per address, found
//! by a keyed hash; a newer address takes the slot of an older one. It is written and read for control messages only.

use std::{
    net::IpAddr,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use foldhash::fast::FixedState;
use std::hash::BuildHasher;

/// Addresses remembered at once.
const SLOTS: usize = 8192;
/// How long an address counts as one that just tried.
const FRESH: Duration = Duration::from_secs(60);
/// A slot holds a tag of the address above so many bits of time.
const TIME_BITS: u32 = 32;

/// The table. A slot is zero, or a tag of the address and the milliseconds since the start (they wrap after 49 days).
pub(crate) struct Unanswered {
    start: Instant,
    hasher: FixedState,
    slots: Box<[AtomicU64]>,
}

impl std::fmt::Debug for Unanswered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Unanswered")
    }
}

impl Unanswered {
    pub(crate) fn new(seed: u64, start: Instant) -> Self {
        let slots = (0..SLOTS).map(|_| AtomicU64::new(0)).collect();
        Self { start, hasher: FixedState::with_seed(seed), slots }
    }

    /// `source` was challenged. The first time counts until it is answered or stale.
    pub(crate) fn note(&self, source: IpAddr, now: Instant) {
        let (slot, tag) = self.place(source);
        if self.age(slot, tag, now).is_none() {
            let at = self.millis(now) & u64::from(u32::MAX);
            slot.store((tag << TIME_BITS) | at, Ordering::Relaxed);
        }
    }

    /// `source` came back.
    pub(crate) fn forget(&self, source: IpAddr) {
        let (slot, tag) = self.place(source);
        if slot.load(Ordering::Relaxed) >> TIME_BITS == tag {
            slot.store(0, Ordering::Relaxed);
        }
    }

    /// How long ago `source` was first challenged, if it has not come back since.
    pub(crate) fn since(&self, source: IpAddr, now: Instant) -> Option<Duration> {
        let (slot, tag) = self.place(source);
        self.age(slot, tag, now)
    }

    fn age(&self, slot: &AtomicU64, tag: u64, now: Instant) -> Option<Duration> {
        let held = slot.load(Ordering::Relaxed);
        if held == 0 || held >> TIME_BITS != tag {
            return None;
        }
        let age = self.millis(now).wrapping_sub(held) & u64::from(u32::MAX);
        Some(Duration::from_millis(age)).filter(|age| *age <= FRESH)
    }

    fn place(&self, source: IpAddr) -> (&AtomicU64, u64) {
        let hash = self.hasher.hash_one(source.to_canonical());
        let index = usize::try_from(hash % SLOTS as u64).unwrap_or(0);
        // A tag is never 0, so that no entry looks like an empty slot.
        let tag = (hash >> TIME_BITS) | 1;
        #[expect(clippy::indexing_slicing, reason = "the index is a remainder of the length")]
        (&self.slots[index], tag)
    }

    fn millis(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.start).as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    #[test]
    fn the_first_challenge_counts_until_the_client_comes_back_or_a_minute_passed() {
        let start = Instant::now();
        let table = Unanswered::new(7, start);
        let at = |secs| start + Duration::from_secs(secs);
        assert_eq!(table.since(ip(1), at(0)), None);
        table.note(ip(1), at(5));
        table.note(ip(1), at(7));
        assert_eq!(table.since(ip(1), at(8)), Some(Duration::from_secs(3)));
        assert_eq!(table.since(ip(2), at(8)), None);
        assert_eq!(table.since(ip(1), at(65)), Some(FRESH));
        assert_eq!(table.since(ip(1), at(66)), None);
        table.note(ip(1), at(67));
        assert_eq!(table.since(ip(1), at(68)), Some(Duration::from_secs(1)));
        table.forget(ip(1));
        assert_eq!(table.since(ip(1), at(68)), None);
    }

    #[test]
    fn any_number_of_addresses_takes_no_more_room() {
        let start = Instant::now();
        let table = Unanswered::new(7, start);
        for n in 0..100_000_u32 {
            table.note(IpAddr::V4((0x0a00_0000 + n).into()), start);
        }
        assert_eq!(table.slots.len(), SLOTS);
        let kept = (0..100_000_u32).filter(|n| table.since(IpAddr::V4((0x0a00_0000 + n).into()), start).is_some());
        assert!(kept.count() <= SLOTS);
    }
}
