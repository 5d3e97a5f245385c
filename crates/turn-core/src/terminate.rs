//! Ending allocations and changing their limits from outside: revocations, operators, shutdown.

use std::collections::BTreeSet;

use causeway_types::{AllocationEndReason, AllocationId, Now};

use crate::{
    TurnServer,
    allocation::Buckets,
    config::GrantLimits,
    data_path::is_over_quota,
    io::UserRef,
    pending::{Pending, Stage},
};

impl TurnServer {
    /// Ends one allocation; false when it is not here.
    pub fn terminate(&mut self, now: Now, allocation: AllocationId) -> bool {
        self.debug_assert_drained();
        let found = self.allocations.iter().find(|(_, a)| a.id == allocation).map(|(key, _)| key);
        if let Some(key) = found {
            self.end_allocation(now, key, AllocationEndReason::Terminated);
        }
        found.is_some()
    }

    /// Ends every allocation of `username`; how many.
    pub fn terminate_user(&mut self, now: Now, username: &str) -> u32 {
        self.terminate_where(now, |name| name == username)
    }

    /// Ends every allocation of these users in one pass; how many. Their requests under way are given up, too.
    pub fn terminate_users(&mut self, now: Now, usernames: &BTreeSet<String>) -> u32 {
        self.terminate_where(now, |name| usernames.contains(name))
    }

    fn terminate_where(&mut self, now: Now, is_meant: impl Fn(&str) -> bool) -> u32 {
        self.debug_assert_drained();
        let pending: Vec<u64> = self.pending.iter().filter(|(_, p)| is_of(p, &is_meant)).map(|(id, _)| *id).collect();
        for id in pending {
            self.abandon_pending(id);
        }
        let keys = self.keys_of(is_meant);
        for &key in &keys {
            self.end_allocation(now, key, AllocationEndReason::Terminated);
        }
        u32::try_from(keys.len()).unwrap_or(u32::MAX)
    }

    /// Replaces the limits of every live allocation of `username`; how many there were. Those that may not exist under
    /// the new limits end: more bytes carried than allowed, or a client at another address. `allocations_max` counts from
    /// the next Allocate on.
    pub fn limit_user(&mut self, now: Now, username: &str, limits: GrantLimits) -> u32 {
        self.debug_assert_drained();
        let keys = self.keys_of(|name| name == username);
        for &key in &keys {
            self.limit_allocation(now, key, limits);
        }
        u32::try_from(keys.len()).unwrap_or(u32::MAX)
    }

    fn limit_allocation(&mut self, now: Now, key: usize, limits: GrantLimits) {
        let rate = limits.bandwidth.or(self.config.limits.bandwidth_per_allocation);
        let Some(allocation) = self.allocations.get_mut(key) else { return };
        let old = std::mem::replace(&mut allocation.grant.limits, limits);
        if (old.bandwidth, old.scope) != (limits.bandwidth, limits.scope) {
            self.channels_changed(key);
        }
        let Some(allocation) = self.allocations.get_mut(key) else { return };
        if old.bandwidth != limits.bandwidth {
            allocation.buckets = rate.map(|rate| Box::new(Buckets::new(rate, now.mono)));
        }
        let ends = if is_over_quota(allocation) {
            Some(AllocationEndReason::QuotaReached)
        } else if limits.admits(allocation.client.five_tuple.client.ip()) {
            None
        } else {
            Some(AllocationEndReason::Terminated)
        };
        if let Some(reason) = ends {
            allocation.grant.limits = old;
            self.end_allocation(now, key, reason);
            return;
        }
        if (old.scope, old.membership()) != (limits.scope, limits.membership()) {
            self.change_scope(now, key, old);
        }
    }

    fn keys_of(&self, is_meant: impl Fn(&str) -> bool) -> Vec<usize> {
        self.allocations.iter().filter(|(_, a)| is_meant(&a.grant.username)).map(|(key, _)| key).collect()
    }

    /// Ends everything because the server goes down.
    pub fn shutdown(&mut self, now: Now) {
        self.debug_assert_drained();
        let pending: Vec<u64> = self.pending.keys().copied().collect();
        for id in pending {
            self.abandon_pending(id);
        }
        let keys: Vec<usize> = self.allocations.iter().map(|(key, _)| key).collect();
        for key in keys {
            self.end_allocation(now, key, AllocationEndReason::ServerShutdown);
        }
    }
}

/// Whether a waiting request may be one of these users'; before its key is known, by the name it claims.
fn is_of(pending: &Pending, is_meant: impl Fn(&str) -> bool) -> bool {
    match (&pending.stage, &pending.user) {
        (Stage::Admission { grant, .. } | Stage::Relays { grant, .. }, _) => is_meant(&grant.username),
        (Stage::Key, UserRef::Name(name)) => is_meant(name),
        // Whose it is nobody knows yet. Its client asks again.
        (Stage::Key, UserRef::Hash(_)) => true,
    }
}
