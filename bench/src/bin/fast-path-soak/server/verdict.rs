//! Whether the server did right by a packet, as far as somebody outside can know.

use std::time::Duration;

/// How long after its deadline a packet may still pass.
const AFTER_MAX: Duration = Duration::from_millis(10);
/// How long before its deadline a channel may end: the fast path rounds towards the safe side when it translates clocks.
const BEFORE_MAX: Duration = Duration::from_millis(2);
/// A packet that was sent that long ago has been looked at, wherever it waited.
const LOOKED_AT_AFTER: Duration = Duration::from_secs(5);

/// When a channel ends: a moment between these two. Nanoseconds of the soak's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    /// It carries until then.
    pub(super) not_before: u64,
    /// It does not carry any more.
    pub(super) by: u64,
}

impl Bounds {
    /// No end is known.
    pub(super) const OPEN: Self = Self { not_before: u64::MAX, by: u64::MAX };

    /// Whichever comes first.
    pub(super) fn or(self, other: Self) -> Self {
        Self { not_before: self.not_before.min(other.not_before), by: self.by.min(other.by) }
    }
}

/// How long after the deadline of its channel a packet was sent that was relayed, if that was too late.
pub(super) fn too_late(sent_at: u64, bounds: Bounds) -> Option<Duration> {
    let late = Duration::from_nanos(sent_at.saturating_sub(bounds.by));
    (late > AFTER_MAX).then_some(late)
}

/// A packet that did not come out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Missing {
    pub(super) sent_at: u64,
    /// When a packet was out that had been sent behind it by the same thread, which keeps to one processor. The kernel looks
    /// at packets of one processor one after the other.
    pub(super) overtaken_at: Option<u64>,
    /// Packets of this direction have been relayed before: the kernel does it.
    pub(super) is_warm: bool,
}

/// What is to be said of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Its channel was over.
    Refused,
    /// Its channel ended while it was under way.
    Raced,
    /// It was looked at so long before its channel ended.
    Lost(Duration),
}

impl Missing {
    /// Whether the kernel has looked at it, and did not relay it.
    pub(super) const fn was_passed_over(self) -> bool {
        self.is_warm && self.overtaken_at.is_some()
    }

    /// What became of it.
    pub(super) fn fate(self, bounds: Bounds) -> Fate {
        if self.sent_at > bounds.by {
            return Fate::Refused;
        }
        let at_the_latest = self.sent_at + nanos(LOOKED_AT_AFTER);
        let looked_at = match self.overtaken_at {
            Some(at) if self.was_passed_over() => at.min(at_the_latest),
            Some(_) | None => at_the_latest,
        };
        let left = Duration::from_nanos(bounds.not_before.saturating_sub(looked_at));
        if left > BEFORE_MAX { Fate::Lost(left) } else { Fate::Raced }
    }
}

/// Whole nanoseconds.
pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;
    const BOUNDS: Bounds = Bounds { not_before: 5000 * MS, by: 5100 * MS };

    fn missing(sent_at: u64, overtaken_at: Option<u64>) -> Missing {
        Missing { sent_at: sent_at * MS, overtaken_at: overtaken_at.map(|at| at * MS), is_warm: true }
    }

    #[test]
    fn what_was_sent_ten_milliseconds_after_the_end_must_not_pass() {
        assert_eq!(too_late(5110 * MS, BOUNDS), None);
        assert_eq!(too_late(5111 * MS, BOUNDS), Some(Duration::from_millis(11)));
        assert_eq!(too_late(u64::MAX - 1, Bounds::OPEN), None);
    }

    #[test]
    fn what_the_kernel_had_looked_at_before_the_end_must_not_be_missing() {
        let lost = |left| Fate::Lost(Duration::from_millis(left));
        assert_eq!(missing(4990, Some(4997)).fate(BOUNDS), lost(3));
        assert_eq!(missing(4990, Some(4998)).fate(BOUNDS), Fate::Raced);
        assert_eq!(missing(4990, None).fate(BOUNDS), Fate::Raced, "nobody knows when it was looked at");
        let later = Bounds { not_before: 7000 * MS, by: 7100 * MS };
        assert_eq!(missing(1000, None).fate(later), lost(1000), "but at some time it was");
        assert!(matches!(missing(1000, None).fate(Bounds::OPEN), Fate::Lost(_)));
    }

    #[test]
    fn a_packet_that_may_wait_for_the_process_is_not_overtaken_by_others() {
        let cold = Missing { is_warm: false, ..missing(4000, Some(4001)) };
        assert_eq!(cold.fate(BOUNDS), Fate::Raced);
        let later = Bounds { not_before: 10_000 * MS, by: 10_000 * MS };
        assert_eq!(cold.fate(later), Fate::Lost(Duration::from_millis(1000)));
    }

    #[test]
    fn what_was_sent_after_the_end_is_rightly_missing() {
        assert_eq!(missing(5101, Some(5102)).fate(BOUNDS), Fate::Refused);
        assert_eq!(missing(5050, Some(5051)).fate(BOUNDS), Fate::Raced);
    }

    #[test]
    fn the_first_of_two_ends_counts() {
        let other = Bounds { not_before: 4000, by: u64::MAX };
        assert_eq!(BOUNDS.or(other), Bounds { not_before: 4000, by: 5100 * MS });
        assert_eq!(BOUNDS.or(Bounds::OPEN), BOUNDS);
    }
}
