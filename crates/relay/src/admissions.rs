//! Who holds how many allocations, over all shards.

use std::{collections::HashMap, sync::Arc};

use causeway_turn_core::Admission;
use parking_lot::Mutex;

/// Counts allocations per user and in all.
#[derive(Debug, Default)]
pub(crate) struct Admissions {
    counts: Mutex<Counts>,
}

/// How many allocations there may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AdmissionLimits {
    /// Of one user.
    pub(crate) per_user_max: u32,
    /// Of this user, by its credential.
    pub(crate) credential_max: Option<u32>,
    /// In all.
    pub(crate) total_max: u32,
}

#[derive(Debug, Default)]
struct Counts {
    by_user: HashMap<Arc<str>, u32>,
    total: u32,
}

impl Admissions {
    pub(crate) fn admit(&self, username: &Arc<str>, limits: AdmissionLimits) -> Admission {
        let mut counts = self.counts.lock();
        if counts.total >= limits.total_max {
            return Admission::TotalQuota;
        }
        let held = counts.by_user.entry(Arc::clone(username)).or_default();
        let refusal = if *held >= limits.per_user_max {
            Some(Admission::UserQuota)
        } else if limits.credential_max.is_some_and(|max| *held >= max) {
            Some(Admission::CredentialQuota)
        } else {
            None
        };
        if let Some(refusal) = refusal {
            if *held == 0 {
                counts.by_user.remove(username);
            }
            return refusal;
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
        let limits = AdmissionLimits { per_user_max: 2, credential_max: None, total_max: 3 };
        assert_eq!(admissions.admit(&alice, limits), Admission::Granted);
        assert_eq!(admissions.admit(&alice, limits), Admission::Granted);
        assert_eq!(admissions.admit(&alice, limits), Admission::UserQuota);
        assert_eq!(admissions.admit(&bob, limits), Admission::Granted);
        assert_eq!(admissions.admit(&bob, limits), Admission::TotalQuota);
        admissions.release("alice");
        assert_eq!(admissions.admit(&bob, limits), Admission::Granted);
        assert_eq!(admissions.total(), 3);
    }

    #[test]
    fn nothing_is_kept_of_names_that_came_and_went() {
        let admissions = Admissions::default();
        let limits = AdmissionLimits { per_user_max: 2, credential_max: None, total_max: 3 };
        for number in 0..10_000 {
            let name: Arc<str> = Arc::from(format!("1790000000:user-{number}"));
            assert_eq!(admissions.admit(&name, limits), Admission::Granted);
            admissions.release(&name);
        }
        assert!(admissions.counts.lock().by_user.is_empty() && admissions.total() == 0);
    }

    #[test]
    fn a_credentials_own_limit_counts_where_it_is_the_smaller_one() {
        let admissions = Admissions::default();
        let limits = |credential_max| AdmissionLimits { per_user_max: 2, credential_max, total_max: 9 };
        let alice = Arc::from("alice");
        assert_eq!(admissions.admit(&alice, limits(Some(0))), Admission::CredentialQuota);
        assert!(admissions.counts.lock().by_user.is_empty(), "a refused user leaves nothing behind");
        assert_eq!(admissions.admit(&alice, limits(Some(1))), Admission::Granted);
        assert_eq!(admissions.admit(&alice, limits(Some(1))), Admission::CredentialQuota);
        assert_eq!(admissions.admit(&alice, limits(Some(5))), Admission::Granted);
        assert_eq!(admissions.admit(&alice, limits(Some(5))), Admission::UserQuota);
    }
}
