//! What a project and a token may use: regions, and how much in a month. In memory, so that those who mint wait for nothing.

use std::collections::{BTreeMap, BTreeSet};

use causeway_types::UnixTime;
use parking_lot::RwLock;

use crate::{ProjectId, Store, StoreResult, TokenId};

/// What an operator allows a project. Nothing set: everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProjectRules {
    /// Slugs of regions; empty: every one.
    pub regions: BTreeSet<String>,
    /// Credentials it may have issued in a calendar month (UTC).
    pub credentials_per_month_max: Option<u64>,
    /// Bytes its sessions may carry in a calendar month, both directions at the client's side together.
    pub bytes_per_month_max: Option<u64>,
}

/// Every rule there is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Projects that have any.
    pub projects: BTreeMap<ProjectId, ProjectRules>,
    /// Tokens with a list of regions.
    pub tokens: BTreeMap<TokenId, BTreeSet<String>>,
}

/// What a project has used since some moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProjectUse {
    /// Issued credentials.
    pub credentials: u64,
    /// Bytes.
    pub bytes: u64,
}

/// A project has used up what it may use in a month.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuotaExceeded {
    /// Credentials.
    #[error("the project's credentials of this month are used up")]
    Credentials,
    /// Bytes.
    #[error("the project's traffic of this month is used up")]
    Bytes,
}

/// The rules, and what was used, as far as this server knows.
#[derive(Debug, Default)]
pub struct RuleBook {
    known: RwLock<Known>,
}

#[derive(Debug, Default)]
struct Known {
    rules: Rules,
    used: BTreeMap<ProjectId, Used>,
}

/// As counted by the store, and what was minted here since it began to count.
#[derive(Clone, Copy, Debug, Default)]
struct Used {
    /// The month it is about.
    month: UnixTime,
    counted: ProjectUse,
    minted_since: u64,
    /// Of `minted_since`, what was minted before the count that is under way began.
    minted_before: u64,
}

impl RuleBook {
    /// Reads the rules, and with `with_use` what was used of every quota.
    ///
    /// # Errors
    /// The store did not answer; what was known stays.
    pub async fn refresh<S: Store>(&self, store: &S, now: UnixTime, with_use: bool) -> StoreResult<()> {
        let rules = store.rules().await?;
        let metered: Vec<ProjectId> =
            rules.projects.iter().filter(|(_, rules)| rules.has_quota()).map(|(id, _)| *id).collect();
        self.set_rules(rules);
        for project in metered.into_iter().filter(|project| with_use || !self.is_counted(*project, now)) {
            self.begin_count(project, now);
            let counted = store.used_since(project, month_of(now)).await?;
            self.end_count(project, counted);
        }
        Ok(())
    }

    /// Whether the project may have another credential.
    ///
    /// # Errors
    /// It has used up what it may use this month.
    pub fn check_quota(&self, project: ProjectId, now: UnixTime) -> Result<(), QuotaExceeded> {
        let known = self.known.read();
        let Some(rules) = known.rules.projects.get(&project).filter(|rules| rules.has_quota()) else { return Ok(()) };
        let used = known.used.get(&project).filter(|used| used.month == month_of(now)).copied().unwrap_or_default();
        let credentials = used.counted.credentials.saturating_add(used.minted_since);
        if rules.credentials_per_month_max.is_some_and(|max| credentials >= max) {
            return Err(QuotaExceeded::Credentials);
        }
        if rules.bytes_per_month_max.is_some_and(|max| used.counted.bytes >= max) {
            return Err(QuotaExceeded::Bytes);
        }
        Ok(())
    }

    /// A credential was issued for the project.
    pub fn count_credential(&self, project: ProjectId, now: UnixTime) {
        let is_metered = |known: &Known| known.rules.projects.get(&project).is_some_and(ProjectRules::has_quota);
        if !is_metered(&self.known.read()) {
            return;
        }
        let mut known = self.known.write();
        known.used.entry(project).or_default().of(month_of(now)).minted_since += 1;
    }

    /// The regions a token may use in a project; `None`: every one.
    #[must_use]
    pub fn regions_of(&self, project: ProjectId, token: TokenId) -> Option<BTreeSet<String>> {
        let known = self.known.read();
        let project = known.rules.projects.get(&project).map(|rules| &rules.regions).filter(|list| !list.is_empty());
        let token = known.rules.tokens.get(&token).filter(|list| !list.is_empty());
        match (project, token) {
            (None, None) => None,
            (Some(list), None) | (None, Some(list)) => Some(list.clone()),
            (Some(project), Some(token)) => Some(project.intersection(token).cloned().collect()),
        }
    }

    /// Replaces the rules.
    pub fn set_rules(&self, rules: Rules) {
        if self.known.read().rules == rules {
            return;
        }
        let mut known = self.known.write();
        known.used.retain(|project, _| rules.projects.get(project).is_some_and(ProjectRules::has_quota));
        known.rules = rules;
    }

    fn is_counted(&self, project: ProjectId, now: UnixTime) -> bool {
        self.known.read().used.get(&project).is_some_and(|used| used.month == month_of(now))
    }

    fn begin_count(&self, project: ProjectId, now: UnixTime) {
        let mut known = self.known.write();
        let used = known.used.entry(project).or_default().of(month_of(now));
        used.minted_before = used.minted_since;
    }

    /// What was minted while the store counted may be in its count or not; it is counted on top until the next time, so that
    /// a quota is never exceeded for it.
    fn end_count(&self, project: ProjectId, counted: ProjectUse) {
        let mut known = self.known.write();
        if let Some(used) = known.used.get_mut(&project) {
            used.counted = counted;
            used.minted_since = used.minted_since.saturating_sub(used.minted_before);
            used.minted_before = 0;
        }
    }
}

impl ProjectRules {
    fn has_quota(&self) -> bool {
        self.credentials_per_month_max.is_some() || self.bytes_per_month_max.is_some()
    }
}

impl Used {
    /// Begins anew with a new month.
    fn of(&mut self, month: UnixTime) -> &mut Self {
        if self.month != month {
            *self = Self { month, ..Self::default() };
        }
        self
    }
}

/// When the calendar month of a moment began, in UTC.
#[must_use]
pub fn month_of(at: UnixTime) -> UnixTime {
    const DAY: u64 = 86_400;
    let days = at.as_secs() / DAY;
    UnixTime::from_secs((days - (day_of_month(days) - 1)) * DAY)
}

/// The day of the month, from 1, of a day since 1970, by the proleptic Gregorian calendar: years are counted from a March, so
/// that the day that leap years add is their last.
fn day_of_month(days_since_1970: u64) -> u64 {
    const DAYS_TO_MARCH_OF_YEAR_0: u64 = 719_468;
    let day_of_era = (days_since_1970 + DAYS_TO_MARCH_OF_YEAR_0) % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    day_of_year - (153 * month + 2) / 5 + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROJECT: ProjectId = ProjectId(7);
    /// 2026-09-21.
    const NOW: UnixTime = UnixTime::from_secs(1_790_000_000);
    /// 2026-10-01.
    const NEXT_MONTH: UnixTime = UnixTime::from_secs(1_790_812_800);

    fn list(slugs: &[&str]) -> BTreeSet<String> {
        slugs.iter().map(|slug| (*slug).to_owned()).collect()
    }

    fn book(rules: ProjectRules) -> RuleBook {
        let book = RuleBook::default();
        book.set_rules(Rules { projects: BTreeMap::from([(PROJECT, rules)]), tokens: BTreeMap::new() });
        book
    }

    fn count(book: &RuleBook, credentials: u64, bytes: u64) {
        book.begin_count(PROJECT, NOW);
        book.end_count(PROJECT, ProjectUse { credentials, bytes });
    }

    #[test]
    fn a_month_begins_on_its_first_day_in_utc() {
        for (at, month) in [
            (0, 0),
            (2_678_399, 0),
            (2_678_400, 2_678_400),
            // 2000-02-29 and 2000-03-01.
            (951_868_799, 949_363_200),
            (951_868_800, 951_868_800),
            // 2026-09-21, 2026-12-31, 2100-03-01 after a February of 28 days.
            (1_790_000_000, 1_788_220_800),
            (1_798_761_599, 1_796_083_200),
            (4_107_542_400, 4_107_542_400),
        ] {
            assert_eq!(month_of(UnixTime::from_secs(at)).as_secs(), month, "{at}");
        }
    }

    #[test]
    fn a_quota_of_credentials_counts_the_stores_and_those_minted_since() {
        let book = book(ProjectRules { credentials_per_month_max: Some(5), ..ProjectRules::default() });
        count(&book, 3, u64::MAX);
        for _ in 0..2 {
            assert_eq!(book.check_quota(PROJECT, NOW), Ok(()));
            book.count_credential(PROJECT, NOW);
        }
        assert_eq!(book.check_quota(PROJECT, NOW), Err(QuotaExceeded::Credentials));
        // Counting them again does not double them, and what is minted meanwhile is not forgotten.
        count(&book, 4, 0);
        assert_eq!(book.check_quota(PROJECT, NOW), Ok(()));
        book.begin_count(PROJECT, NOW);
        book.count_credential(PROJECT, NOW);
        book.end_count(PROJECT, ProjectUse { credentials: 4, bytes: 0 });
        assert_eq!(book.check_quota(PROJECT, NOW), Err(QuotaExceeded::Credentials));
        assert_eq!(book.check_quota(PROJECT, NEXT_MONTH), Ok(()), "a new month begins at nothing");
        assert_eq!(book.check_quota(ProjectId(8), NOW), Ok(()), "of another project");
    }

    #[test]
    fn a_quota_of_bytes_ends_at_its_limit() {
        let book = book(ProjectRules { bytes_per_month_max: Some(1000), ..ProjectRules::default() });
        assert_eq!(book.check_quota(PROJECT, NOW), Ok(()), "nothing is counted yet");
        count(&book, 99, 999);
        assert_eq!(book.check_quota(PROJECT, NOW), Ok(()));
        count(&book, 99, 1000);
        assert_eq!(book.check_quota(PROJECT, NOW), Err(QuotaExceeded::Bytes));
    }

    #[test]
    fn a_token_may_use_what_both_its_own_list_and_its_projects_have() {
        let book = RuleBook::default();
        let rules = ProjectRules { regions: list(&["eu", "us"]), ..ProjectRules::default() };
        let tokens = BTreeMap::from([(TokenId(1), list(&["us", "sg"])), (TokenId(2), BTreeSet::new())]);
        book.set_rules(Rules { projects: BTreeMap::from([(PROJECT, rules)]), tokens });
        assert_eq!(book.regions_of(ProjectId(7), TokenId(1)), Some(list(&["us"])));
        assert_eq!(book.regions_of(ProjectId(7), TokenId(2)), Some(list(&["eu", "us"])));
        assert_eq!(book.regions_of(ProjectId(8), TokenId(1)), Some(list(&["sg", "us"])));
        assert_eq!(book.regions_of(ProjectId(8), TokenId(2)), None);
    }
}
