//! An even rate with a burst of one second's worth, in one instant.

use std::time::{Duration, Instant};

/// An allowance of so many per second; it remembers when it will be whole again.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pace {
    whole_at: Option<Instant>,
}

impl Pace {
    /// Whether one more is allowed; if so it is taken.
    pub fn take(&mut self, now: Instant, per_sec: u32) -> bool {
        let step = Duration::from_secs(1) / per_sec.max(1);
        let whole_at = self.whole_at.map_or(now, |at| at.max(now)) + step;
        let is_allowed = whole_at <= now + Duration::from_secs(1);
        if is_allowed {
            self.whole_at = Some(whole_at);
        }
        is_allowed
    }

    /// Whether nothing of it is used: it may be forgotten.
    #[must_use]
    pub fn is_whole(&self, now: Instant) -> bool {
        self.whole_at.is_none_or(|at| at <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "virtual time starts somewhere")]
    fn a_second_holds_as_many_as_allowed_and_no_more() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        assert_eq!((0..10).filter(|_| pace.take(start, 5)).count(), 5);
        assert_eq!((0..10).filter(|_| pace.take(start + Duration::from_millis(400), 5)).count(), 2);
        assert_eq!((0..10).filter(|_| pace.take(start + Duration::from_secs(60), 5)).count(), 5);
    }
}
