//! Counters.

use std::sync::atomic::{AtomicU64, Ordering};

/// Which limit was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitReached {
    /// `connections_max`.
    Connections,
    /// `connections_per_address_max`.
    ConnectionsPerAddress,
    /// `messages_per_sec`.
    Messages,
    /// `message_bytes_max`.
    MessageBytes,
    /// `refusals_max`.
    Refusals,
    /// `registrations_max`, or one of its kind.
    Registrations,
    /// `calls_max`, or one of its kind.
    Calls,
    /// `ice_per_address_per_sec`.
    IcePerAddress,
    /// `ice_per_key_per_sec`.
    IcePerKey,
    /// `service_calls_per_address_per_sec`, or decisions that one connection waits for.
    ServiceCalls,
}

impl LimitReached {
    /// Every one.
    pub const ALL: [Self; 10] = [
        Self::Connections,
        Self::ConnectionsPerAddress,
        Self::Messages,
        Self::MessageBytes,
        Self::Refusals,
        Self::Registrations,
        Self::Calls,
        Self::IcePerAddress,
        Self::IcePerKey,
        Self::ServiceCalls,
    ];

    /// As a label.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connections => "connections_max",
            Self::ConnectionsPerAddress => "connections_per_address_max",
            Self::Messages => "messages_per_sec",
            Self::MessageBytes => "message_bytes_max",
            Self::Refusals => "refusals_max",
            Self::Registrations => "registrations_max",
            Self::Calls => "calls_max",
            Self::IcePerAddress => "ice_per_address_per_sec",
            Self::IcePerKey => "ice_per_key_per_sec",
            Self::ServiceCalls => "service_calls_per_address_per_sec",
        }
    }
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SipFigures {
    /// Open connections.
    pub connections: u64,
    /// Messages that came.
    pub messages: u64,
    /// Messages nothing came of: unreadable, or of no exchange that is known.
    pub dropped: u64,
    /// Limits that were reached, as [`LimitReached::ALL`].
    pub limits: [u64; LimitReached::ALL.len()],
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) messages: AtomicU64,
    pub(crate) dropped: AtomicU64,
    limits: [AtomicU64; LimitReached::ALL.len()],
}

impl Counters {
    pub(crate) fn limit(&self, limit: LimitReached) {
        let counters = LimitReached::ALL.iter().zip(&self.limits);
        counters.filter(|(known, _)| **known == limit).for_each(|(_, n)| _ = n.fetch_add(1, Ordering::Relaxed));
    }

    pub(crate) fn figures(&self, connections: usize) -> SipFigures {
        let mut limits = [0; LimitReached::ALL.len()];
        limits.iter_mut().zip(&self.limits).for_each(|(out, n)| *out = n.load(Ordering::Relaxed));
        SipFigures {
            connections: u64::try_from(connections).unwrap_or(u64::MAX),
            messages: self.messages.load(Ordering::Relaxed),
            dropped: self.dropped.load(Ordering::Relaxed),
            limits,
        }
    }
}
