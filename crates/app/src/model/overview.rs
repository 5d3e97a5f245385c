//! What a project is doing, at a glance; and what was forgotten of it.

use super::FailureReason;
use crate::Identifier;

/// What lives now, on every server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LiveCounts {
    /// Live sessions.
    pub sessions: u64,
    /// Rooms with one.
    pub rooms: u64,
    /// Clients with one.
    pub clients: u64,
}

/// What happened since a moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DayCounts {
    /// Client to relay.
    pub bytes_in: u64,
    /// Relay to client.
    pub bytes_out: u64,
    /// Sessions begun.
    pub sessions: u64,
    /// Credentials issued.
    pub minted: u64,
    /// Refusals by reason, the most frequent first.
    pub refusals: Vec<(FailureReason, u64)>,
}

/// Of whom everything is forgotten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ErasureSubject {
    /// A room.
    Room(Identifier),
    /// A client.
    Client(Identifier),
}

impl ErasureSubject {
    /// `room` or `client`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Room(_) => "room",
            Self::Client(_) => "client",
        }
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &Identifier {
        match self {
            Self::Room(name) | Self::Client(name) => name,
        }
    }
}

/// What was forgotten: rows of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Erased {
    /// Sessions.
    pub sessions: u64,
    /// Credentials.
    pub credentials: u64,
    /// Refusals.
    pub failures: u64,
    /// Events kept for webhooks.
    pub events: u64,
    /// Hours of usage that bore the name; sums of the project stay as they were.
    pub usage_hours: u64,
    /// Entries of the lists of rooms and clients.
    pub names: u64,
    /// Entries of the audit log that lost the name.
    pub audit_entries: u64,
}
