//! Deadlines: the earliest first, judged against what is stored with the call.

use std::{collections::BTreeSet, time::Instant};

use crate::{CallId, LegId};

/// What a deadline is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// A call's phase: gathering, ringing, parked, active.
    Phase(CallId),
    /// A call's renegotiation.
    Renegotiation(CallId),
    /// A leg whose connection is gone.
    Detached(LegId),
}

/// Deadlines in order. Setting one never takes the place of another: an outdated one fires and finds nothing to do.
#[derive(Debug, Default)]
pub(crate) struct Timers(BTreeSet<(Instant, Timer)>);

impl Timers {
    pub(crate) fn set(&mut self, at: Instant, timer: Timer) {
        self.0.insert((at, timer));
    }

    pub(crate) fn clear(&mut self, at: Option<Instant>, timer: Timer) {
        if let Some(at) = at {
            self.0.remove(&(at, timer));
        }
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.0.first().map(|(at, _)| *at)
    }

    pub(crate) fn take_due(&mut self, now: Instant) -> Option<Timer> {
        let (at, timer) = *self.0.first()?;
        (at <= now).then(|| {
            self.0.remove(&(at, timer));
            timer
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}
