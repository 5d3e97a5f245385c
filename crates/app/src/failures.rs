//! Refusals on their way to the store: equal ones of a minute are one row, and no flood makes more rows than a limit.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use causeway_types::{ClientTransport, UnixTime};

use crate::model::{Failure, FailureReason, ProjectId, Refusal};

/// Rows of one user name in one minute.
pub const FAILURES_PER_USER_MINUTE_MAX: u32 = 16;
/// Rows of all user names that no credential has, in one minute: anybody can make them up.
pub const FAILURES_UNKNOWN_PER_MINUTE_MAX: u32 = 64;
/// Rows of all in one minute.
pub const FAILURES_PER_MINUTE_MAX: u32 = 2000;
/// Rows that a project keeps; the oldest make room.
pub const FAILURES_KEPT_MAX: u64 = 500_000;
/// Minutes kept for a store that does not answer.
const MINUTES_WAITING_MAX: u64 = 30;

const MINUTE_MILLIS: u64 = 60_000;

/// What makes two refusals equal. A client's port is not in it: each attempt has another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    user: UserKey,
    reason: FailureReason,
    subject: Option<SocketAddr>,
    limit: Option<&'static str>,
    from: Option<(IpAddr, &'static str)>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct UserKey {
    minute: u64,
    project: ProjectId,
    username: Option<Arc<str>>,
}

#[derive(Debug)]
struct Held {
    failure: Failure,
    is_changed: bool,
}

/// Refusals of the last minutes.
#[derive(Debug, Default)]
pub struct FailureBook {
    node_number: u16,
    held: BTreeMap<Key, Held>,
    per_user: BTreeMap<UserKey, u32>,
    /// Rows of this minute, and those of them without a known user.
    minute: (u64, u32, u32),
    newest_id: u64,
    folded: u64,
    lost: u64,
}

impl FailureBook {
    /// An empty book of the server with this number (0–999).
    #[must_use]
    pub fn new(node_number: u16) -> Self {
        Self { node_number: node_number % 1000, ..Self::default() }
    }

    /// Takes a refusal.
    pub fn note(&mut self, at: UnixTime, refusal: Refusal) {
        let minute = at.as_millis() / MINUTE_MILLIS;
        if minute > self.minute.0 {
            self.minute = (minute, 0, 0);
            self.forget_before(minute);
        }
        let user = UserKey { minute, project: refusal.project, username: refusal.username.clone() };
        let transport = |t: ClientTransport| t.as_str();
        let key = Key {
            user: user.clone(),
            reason: refusal.reason,
            subject: refusal.peer,
            limit: refusal.limit.map(|limit| limit.as_str()),
            from: refusal.five_tuple.map(|five| (five.client.ip(), transport(five.transport))),
        };
        if let Some(held) = self.held.get_mut(&key) {
            held.failure.count = held.failure.count.saturating_add(1);
            held.failure.last_at = held.failure.last_at.max(at);
            held.is_changed = true;
            return;
        }
        if !self.has_room(&user, refusal.attribution.is_some()) {
            self.fold(&user);
            return;
        }
        let id = self.next_id(at);
        let failure = Failure { id, first_at: at, last_at: at, count: 1, folded: 0, refusal };
        self.held.insert(key, Held { failure, is_changed: true });
    }

    /// Rows to write, at most `max`. Give those back that could not be written.
    pub fn changed(&mut self, max: usize) -> Vec<Failure> {
        let changed = self.held.values_mut().filter(|held| held.is_changed).take(max);
        changed
            .map(|held| {
                held.is_changed = false;
                held.failure.clone()
            })
            .collect()
    }

    /// Takes back what the store did not write.
    pub fn not_written(&mut self, failures: &[Failure]) {
        let names: BTreeSet<&str> = failures.iter().map(|failure| failure.id.as_str()).collect();
        for held in self.held.values_mut() {
            held.is_changed |= names.contains(held.failure.id.as_str());
        }
    }

    /// Refusals that found no row of their own.
    #[must_use]
    pub const fn folded(&self) -> u64 {
        self.folded
    }

    /// Rows that were given up because the store did not answer for long.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.lost
    }

    fn has_room(&mut self, user: &UserKey, is_known: bool) -> bool {
        let (_, all, unknown) = &mut self.minute;
        let own = self.per_user.get(user).copied().unwrap_or(0);
        let has_room = own < FAILURES_PER_USER_MINUTE_MAX
            && *all < FAILURES_PER_MINUTE_MAX
            && (is_known || *unknown < FAILURES_UNKNOWN_PER_MINUTE_MAX);
        if has_room {
            *all += 1;
            *unknown += u32::from(!is_known);
            self.per_user.insert(user.clone(), own + 1);
        }
        has_room
    }

    /// Counts one at any row of the same user and minute.
    fn fold(&mut self, user: &UserKey) {
        self.folded = self.folded.saturating_add(1);
        let first =
            Key { user: user.clone(), reason: FailureReason::UnknownUser, subject: None, limit: None, from: None };
        let next = self.held.range_mut(first..).next();
        if let Some((_, held)) = next.filter(|(key, _)| key.user == *user) {
            held.failure.folded = held.failure.folded.saturating_add(1);
            held.is_changed = true;
        }
    }

    /// Forgets minutes that are over and written, and what waits too long.
    fn forget_before(&mut self, minute: u64) {
        self.per_user.retain(|user, _| user.minute >= minute);
        let before = self.held.len();
        let written = self.held.values().filter(|held| !held.is_changed).count();
        self.held.retain(|key, held| {
            key.user.minute >= minute || (held.is_changed && key.user.minute + MINUTES_WAITING_MAX >= minute)
        });
        let gone = before - self.held.len();
        self.lost = self.lost.saturating_add(gone.saturating_sub(written) as u64);
    }

    /// 13 digits of microseconds since 1970, three of the server.
    fn next_id(&mut self, at: UnixTime) -> String {
        self.newest_id = self.newest_id.saturating_add(1).max(at.as_millis().saturating_mul(1000));
        format!("{:013x}{:03x}", self.newest_id, self.node_number)
    }
}

#[cfg(test)]
mod tests;
