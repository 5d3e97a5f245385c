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

impl<T> Page<T> {
    /// The page of `rows`, which begin where it was asked for and hold at least one more when there is a next page; `place` is
    /// where the one after an entry begins.
    pub fn cut(mut rows: Vec<T>, request: &PageRequest, place: impl Fn(&T) -> String) -> Self {
        let limit = usize::try_from(request.limit).unwrap_or(usize::MAX);
        let has_more = rows.len() > limit;
        rows.truncate(limit);
        let next = rows.last().filter(|_| has_more).map(place);
        Self { items: rows, next }
    }
}

/// In what order to list: by what, and whether the most or newest comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order<K> {
    /// By what.
    pub by: K,
    /// The most, newest or last name first.
    pub is_descending: bool,
}

/// By what rooms and clients may be listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameKey {
    /// Its name.
    Name,
    /// When it was first named.
    FirstSeen,
    /// When it was last seen.
    LastSeen,
    /// How many sessions it ever had.
    Sessions,
    /// Client to relay.
    BytesIn,
    /// Relay to client.
    BytesOut,
}

impl NameKey {
    /// Every key, under its name in requests.
    pub const ALL: [(&'static str, Self); 6] = [
        ("name", Self::Name),
        ("first_seen", Self::FirstSeen),
        ("last_seen", Self::LastSeen),
        ("sessions", Self::Sessions),
        ("bytes_in", Self::BytesIn),
        ("bytes_out", Self::BytesOut),
    ];
}

impl Default for Order<NameKey> {
    fn default() -> Self {
        Self { by: NameKey::Name, is_descending: false }
    }
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
    /// In which order.
    pub order: Order<NameKey>,
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
    /// Milliseconds of allocation time: whole seconds of many short sessions would not add up.
    pub millis: u64,
}
