//! Both clocks, read once per wake-up by a shell and passed down by value.

use std::{
    fmt,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// The two clocks a core may know: `mono` drives timers, `unix` judges credential expiry.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// Monotonic time; every deadline is measured against it.
    pub mono: Instant,
    /// Wall-clock time; only expiry times that outside parties wrote are measured against it.
    pub unix: UnixTime,
}

impl Now {
    /// Reads both clocks of the operating system. Only shells call this.
    #[must_use]
    pub fn read() -> Self {
        Self { mono: Instant::now(), unix: UnixTime::from(SystemTime::now()) }
    }
}

/// Milliseconds since 1970-01-01T00:00:00Z, leap seconds ignored as Unix does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixTime(u64);

impl UnixTime {
    /// A time from milliseconds since the epoch.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// A time from whole seconds since the epoch; saturates beyond 2^64 milliseconds.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down.
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        self.0 / 1000
    }

    /// This time moved `by` into the future, saturating.
    #[must_use]
    pub fn saturating_add(self, by: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(by.as_millis()).unwrap_or(u64::MAX)))
    }

    /// How long after `earlier` this time is; zero when it is not after.
    #[must_use]
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl From<SystemTime> for UnixTime {
    fn from(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

impl fmt::Display for UnixTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}", self.0 / 1000, self.0 % 1000)
    }
}
