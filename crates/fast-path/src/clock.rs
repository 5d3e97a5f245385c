//! Instants as the kernel counts them.

use std::{
    io,
    time::{Duration, Instant},
};

/// One moment on both clocks. The instant is read second, so that what is computed is never late.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Anchor {
    nanos: u64,
    instant: Instant,
}

impl Anchor {
    pub(crate) fn read() -> io::Result<Self> {
        let nanos = causeway_net_io::monotonic_nanos()?;
        Ok(Self { nanos, instant: Instant::now() })
    }

    /// `at` on CLOCK_MONOTONIC; never 0, which means "taken back".
    pub(crate) fn nanos(self, at: Instant) -> u64 {
        let since = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let nanos = match at.checked_duration_since(self.instant) {
            Some(later) => self.nanos.saturating_add(since(later)),
            None => self.nanos.saturating_sub(since(self.instant.duration_since(at))),
        };
        nanos.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_at_most_a_moment_early_and_never_late() {
        let anchor = Anchor::read().expect("a clock");
        let before = causeway_net_io::monotonic_nanos().expect("a clock");
        let deadline = anchor.nanos(Instant::now() + Duration::from_secs(5));
        let after = causeway_net_io::monotonic_nanos().expect("a clock");
        assert!(deadline <= after + 5_000_000_000, "late");
        assert!(deadline + 1_000_000_000 >= before + 5_000_000_000, "a second early");
        assert_eq!(
            anchor.nanos(anchor.instant - Duration::from_secs(u64::MAX >> 40)).max(1),
            anchor.nanos.saturating_sub((u64::MAX >> 40) * 1_000_000_000).max(1)
        );
    }
}
