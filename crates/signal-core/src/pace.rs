//! An even rate with a burst of one second's worth, in one instant.

use std::time::{Duration, Instant};

/// When the allowance will be whole again.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pace {
    whole_at: Option<Instant>,
}

impl Pace {
    /// Whether one more is allowed.
    pub(crate) fn take(&mut self, now: Instant, per_sec: u32) -> bool {
        let step = Duration::from_secs(1) / per_sec.max(1);
        let whole_at = self.whole_at.map_or(now, |at| at.max(now)) + step;
        let is_allowed = whole_at <= now + Duration::from_secs(1);
        if is_allowed {
            self.whole_at = Some(whole_at);
        }
        is_allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holds_as_many_as_allowed_and_no_more() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        assert_eq!((0..10).filter(|_| pace.take(start, 5)).count(), 5);
        assert_eq!((0..10).filter(|_| pace.take(start + Duration::from_millis(400), 5)).count(), 2);
        assert_eq!((0..10).filter(|_| pace.take(start + Duration::from_secs(60), 5)).count(), 5);
    }
}
