//! Servers that will hardly come back: what they left open is closed by another one. No clock, no I/O.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use causeway_types::UnixTime;

use super::NodeReport;

/// A server counts as lost when it was silent for so many times the node timeout: by then nobody waits for its restart, and
/// one that was merely cut off from the store writes its sessions anew when it is back.
const LOST_AFTER_TIMEOUTS: u32 = 20;

/// Watches the last words of the other servers of a database.
#[derive(Debug)]
pub struct LostNodes {
    own: String,
    after: Duration,
    others: BTreeMap<String, Silence>,
}

/// Since when, by this server's monotonic clock, a node says nothing new.
#[derive(Clone, Copy, Debug)]
struct Silence {
    last_word: UnixTime,
    since: Instant,
}

impl LostNodes {
    /// Of the server `own`, where a node counts as gone after `node_timeout`.
    #[must_use]
    pub const fn new(own: String, node_timeout: Duration) -> Self {
        Self { own, after: node_timeout.saturating_mul(LOST_AFTER_TIMEOUTS), others: BTreeMap::new() }
    }

    /// The store told every node's last report. Returned are those lost, with the time of their last word; they are returned
    /// again after as long a time, in case that nothing came of it.
    pub fn handle_nodes(&mut self, now: Instant, reports: &[NodeReport]) -> Vec<(String, UnixTime)> {
        let mut before = std::mem::take(&mut self.others);
        let mut lost = Vec::new();
        for report in reports.iter().filter(|report| report.name != self.own) {
            let mut silence = before
                .remove(&report.name)
                .filter(|known| known.last_word == report.seen_at)
                .unwrap_or(Silence { last_word: report.seen_at, since: now });
            if now.saturating_duration_since(silence.since) >= self.after {
                lost.push((report.name.clone(), report.seen_at));
                silence.since = now;
            }
            self.others.insert(report.name.clone(), silence);
        }
        lost
    }

    /// The store did not answer, so nobody could tell anything.
    pub fn handle_silence(&mut self, now: Instant) {
        for silence in self.others.values_mut() {
            silence.since = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::IceUrls;

    const TIMEOUT: Duration = Duration::from_secs(15);
    const LOST: Duration = Duration::from_secs(300);

    fn word(name: &str, secs: u64) -> NodeReport {
        NodeReport::serving(name, "here", IceUrls::default(), UnixTime::from_secs(secs))
    }

    #[test]
    fn a_node_without_a_word_for_its_time_is_lost_and_one_that_speaks_is_not() {
        let start = Instant::now();
        let mut nodes = LostNodes::new("own".into(), TIMEOUT);
        assert!(nodes.handle_nodes(start, &[word("own", 1), word("dead", 1), word("alive", 1)]).is_empty());
        let almost = start + LOST - Duration::from_millis(1);
        assert!(nodes.handle_nodes(almost, &[word("own", 1), word("dead", 1), word("alive", 300)]).is_empty());
        let lost = [("dead".to_owned(), UnixTime::from_secs(1))];
        assert_eq!(nodes.handle_nodes(start + LOST, &[word("own", 1), word("dead", 1), word("alive", 300)]), lost);
        assert!(nodes.handle_nodes(start + LOST, &[word("dead", 1)]).is_empty(), "not at every look");
        assert_eq!(nodes.handle_nodes(start + LOST * 2, &[word("dead", 1)]), lost, "in case that nothing came of it");
        assert!(nodes.handle_nodes(start + LOST * 4, &[word("dead", 1200)]).is_empty(), "it is back");
    }

    #[test]
    fn a_store_that_is_away_is_no_sign_against_anybody() {
        let start = Instant::now();
        let mut nodes = LostNodes::new("own".into(), TIMEOUT);
        nodes.handle_nodes(start, &[word("other", 1)]);
        nodes.handle_silence(start + LOST);
        assert!(nodes.handle_nodes(start + LOST, &[word("other", 1)]).is_empty());
        assert_eq!(nodes.handle_nodes(start + LOST * 2, &[word("other", 1)]).len(), 1);
    }
}
