//! Who holds how many allocations, over all shards.

use std::{collections::HashMap, sync::Arc};

use causeway_turn_core::Admission;
use parking_lot::Mutex;

/// Counts allocations per user and in all.
#[derive(Debug, Default)]
pub(crate) struct Admissions {
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    by_user: HashMap<Arc<str>, u32>,
    total: u32,
}

impl Admissions {
    pub(crate) fn admit(&self, username: &Arc<str>, per_user_max: u32, total_max: u32) -> Admission {
        let mut counts = self.counts.lock();
        if counts.total >= total_max {
            return Admission::TotalQuota;
        }
        let held = counts.by_user.entry(Arc::clone(username)).or_default();
        if *held >= per_user_max {
            return Admission::UserQuota;
        }
        *held += 1;
        counts.total += 1;
        Admission::Granted
    }

    pub(crate) fn release(&self, username: &str) {
        let mut counts = self.counts.lock();
        let Some(held) = counts.by_user.get_mut(username) else { return };
        *held -= 1;
        if *held == 0 {
            counts.by_user.remove(username);
        }
        counts.total -= 1;
    }

    pub(crate) fn total(&self) -> u32 {
        self.counts.lock().total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_limits_hold_and_a_release_makes_room() {
        let (admissions, alice, bob) = (Admissions::default(), Arc::from("alice"), Arc::from("bob"));
        assert_eq!(admissions.admit(&alice, 2, 3), Admission::Granted);
        assert_eq!(admissions.admit(&alice, 2, 3), Admission::Granted);
        assert_eq!(admissions.admit(&alice, 2, 3), Admission::UserQuota);
        assert_eq!(admissions.admit(&bob, 2, 3), Admission::Granted);
        assert_eq!(admissions.admit(&bob, 2, 3), Admission::TotalQuota);
        admissions.release("alice");
        assert_eq!(admissions.admit(&bob, 2, 3), Admission::Granted);
        assert_eq!(admissions.total(), 3);
    }
}
