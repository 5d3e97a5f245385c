//! Viewers whose connection outlived its time and that did not come back: their clients are told so when they ask for relay
//! credentials. Where there are several nodes, what they share remembers it, else this one's memory.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use causeway_signal_core::ChannelId;

use super::Hub;

/// Remembered by a node that is alone; one more and all are forgotten.
const EXPIRED_MAX: usize = 10_000;
/// How long they are remembered.
const EXPIRED_FOR: Duration = Duration::from_secs(3600);

/// Until when each is remembered.
#[derive(Debug, Default)]
pub(super) struct Expired(BTreeMap<(ChannelId, Arc<str>), Instant>);

impl Expired {
    fn insert(&mut self, channel: ChannelId, client: &Arc<str>, now: Instant) {
        if self.0.len() >= EXPIRED_MAX {
            self.0.clear();
        }
        self.0.insert((channel, Arc::clone(client)), now + EXPIRED_FOR);
    }

    fn remove(&mut self, channel: ChannelId, client: &Arc<str>) {
        self.0.remove(&(channel, Arc::clone(client)));
    }

    fn has(&self, channel: ChannelId, client: &str, now: Instant) -> bool {
        self.0.get(&(channel, Arc::from(client))).is_some_and(|until| *until > now)
    }
}

impl Hub {
    /// A viewer's connection outlived its time.
    pub(super) fn session_expired(&self, channel: ChannelId, client: &Arc<str>) {
        match self.cluster.get() {
            Some(cluster) => cluster.note(&note_name(channel, client), EXPIRED_FOR),
            None => self.with(|inner| inner.expired.insert(channel, client, Instant::now())),
        }
    }

    /// A viewer connected again.
    pub(super) fn session_is_back(&self, channel: ChannelId, client: &Arc<str>) {
        match self.cluster.get() {
            Some(cluster) => cluster.erase(&note_name(channel, client)),
            None => self.with(|inner| inner.expired.remove(channel, client)),
        }
    }

    /// Whether a viewer's connection outlived its time and it did not come back. When the other nodes cannot be asked it
    /// counts as one that did: a client that may go on is not stopped by that.
    pub(crate) async fn has_session_expired(&self, channel: ChannelId, client: &str) -> bool {
        match self.cluster.get() {
            Some(cluster) => cluster.has_note(&note_name(channel, client)).await.unwrap_or(false),
            None => self.with(|inner| inner.expired.has(channel, client, Instant::now())),
        }
    }
}

fn note_name(channel: ChannelId, client: &str) -> String {
    format!("signal-expired:{}:{client}", channel.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ended_sessions_are_remembered_for_an_hour_and_within_bounds() {
        let (mut expired, now) = (Expired::default(), Instant::now());
        let name = |n: usize| Arc::<str>::from(format!("v{n}"));
        expired.insert(ChannelId(1), &name(0), now);
        assert!(expired.has(ChannelId(1), "v0", now + EXPIRED_FOR - Duration::from_secs(1)));
        assert!(!expired.has(ChannelId(1), "v0", now + EXPIRED_FOR) && !expired.has(ChannelId(2), "v0", now));
        for n in 1..EXPIRED_MAX {
            expired.insert(ChannelId(1), &name(n), now);
        }
        assert!(expired.has(ChannelId(1), "v0", now), "as many as may be");
        expired.insert(ChannelId(1), &name(EXPIRED_MAX), now);
        assert!(!expired.has(ChannelId(1), "v0", now) && expired.0.len() == 1, "one more");
        expired.remove(ChannelId(1), &name(EXPIRED_MAX));
        assert!(expired.0.is_empty());
    }
}
