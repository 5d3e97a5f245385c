//! Counters.

use std::sync::atomic::{AtomicU64, Ordering};

/// A limit that was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VertoLimit {
    /// `connections_max`.
    Connections,
    /// `connections_per_address_max`.
    ConnectionsPerAddress,
    /// `frames_per_sec`.
    Frames,
    /// `frame_bytes_max`.
    FrameBytes,
    /// `failed_logins_per_sec`.
    FailedLogins,
}

/// For metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VertoFigures {
    /// Open connections.
    pub connections: u64,
    /// Frames that came.
    pub frames: u64,
    /// Of them, without effect: unreadable, unknown, before the login.
    pub dropped: u64,
    /// Logins that were refused.
    pub refused_logins: u64,
    /// Sessions that came back.
    pub resumed: u64,
    /// Times a limit was reached.
    pub limited: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) frames: AtomicU64,
    pub(crate) dropped: AtomicU64,
    pub(crate) refused_logins: AtomicU64,
    pub(crate) resumed: AtomicU64,
    limited: AtomicU64,
}

impl Counters {
    pub(crate) fn limit(&self, limit: VertoLimit) {
        tracing::debug!(?limit, "a limit was reached");
        self.limited.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn figures(&self, connections: usize) -> VertoFigures {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        VertoFigures {
            connections: u64::try_from(connections).unwrap_or(u64::MAX),
            frames: read(&self.frames),
            dropped: read(&self.dropped),
            refused_logins: read(&self.refused_logins),
            resumed: read(&self.resumed),
            limited: read(&self.limited),
        }
    }
}
