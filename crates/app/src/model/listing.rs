//! Lists: pages, rooms, clients, usage.

use causeway_types::UnixTime;

use super::{ProjectId, Role};
use crate::Identifier;

/// Which part of a list.
#[derive(Clone, Debug)]
pub struct PageRequest {
    /// 1–200.
    pub limit: u32,
    /// Where the last page ended.
    pub after: Option<String>,
}

impl Default for PageRequest {
    fn default() -> Self {
        Self { limit: 50, after: None }
    }
}

/// A part of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// Where the next one begins; none on the last one.
    pub next: Option<String>,
}

/// Which rooms or clients to list.
#[derive(Clone, Debug, Default)]
pub struct NameFilter {
    /// Only this one.
    pub name: Option<Identifier>,
    /// Whose name begins so; letters, digits, `-` and `_` only.
    pub prefix: Option<String>,
    /// With (or without) a live session.
    pub active: Option<bool>,
    /// Clients only: that were in this room.
    pub room: Option<Identifier>,
}

/// A room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomView {
    /// Name.
    pub name: String,
    /// When a credential first named it.
    pub first_seen: UnixTime,
    /// When a credential or session last did.
    pub last_seen: UnixTime,
    /// Distinct clients seen in it.
    pub clients: u64,
    /// Live sessions.
    pub active_sessions: u64,
    /// Sessions ever.
    pub sessions: u64,
    /// Client to relay, all its sessions.
    pub bytes_in: u64,
    /// Relay to client, all its sessions.
    pub bytes_out: u64,
}

/// A client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientView {
    /// Name.
    pub name: String,
    /// Roles it appeared in.
    pub roles: Vec<Role>,
    /// When a credential first named it.
    pub first_seen: UnixTime,
    /// When a credential or session last did.
    pub last_seen: UnixTime,
    /// Live sessions.
    pub active_sessions: u64,
    /// Sessions ever.
    pub sessions: u64,
    /// Client to relay, all its sessions.
    pub bytes_in: u64,
    /// Relay to client, all its sessions.
    pub bytes_out: u64,
}

/// Width of a usage row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsageInterval {
    /// One hour, from the full hour in UTC.
    Hour,
    /// One day in UTC.
    Day,
}

/// By what usage is split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsageGroup {
    /// Not at all.
    Total,
    /// By room.
    Room,
    /// By client; a shared session counts for both.
    Client,
    /// By region.
    Region,
    /// By token.
    Token,
    /// By transport of the client's leg.
    Transport,
}

/// What to sum up.
#[derive(Clone, Copy, Debug)]
pub struct UsageQuery {
    /// Whose.
    pub project: ProjectId,
    /// From the interval that holds this moment on.
    pub from: UnixTime,
    /// Before this moment.
    pub to: UnixTime,
    /// Width of a row.
    pub interval: UsageInterval,
    /// Split by.
    pub group: UsageGroup,
}

/// Usage of one interval and group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageRow {
    /// Start of the interval.
    pub start: UnixTime,
    /// Name of the group; empty for the total and for what has no such label.
    pub key: String,
    /// Client to relay.
    pub bytes_in: u64,
    /// Relay to client.
    pub bytes_out: u64,
    /// Sessions begun.
    pub sessions: u64,
    /// Seconds of allocation time.
    pub seconds: u64,
}
