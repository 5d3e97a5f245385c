//! The Redis publisher as part of the server: its start and end, its health, and its addresses as denied peers.

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc, time::Duration};

use causeway_api_causeway::{Metric, Sample};
use causeway_app::InsightStore;
use causeway_events::{
    EventBus,
    redis::{LiveSessions, RedisPublisher, RedisSettings, RedisTarget},
};
use parking_lot::Mutex;

use crate::sessions::SessionKeeper;

/// Events that may wait while Redis is away.
const WAITING_MAX: usize = 65_536;
/// How long the last messages may take when the server stops.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// The publisher, when one is configured.
pub(crate) struct Redis {
    publisher: Option<RedisPublisher>,
    /// Addresses the peer policy in force denies.
    denied: Mutex<BTreeSet<SocketAddr>>,
}

impl Redis {
    /// Starts publishing from here on.
    pub(crate) async fn start<S: InsightStore>(
        target: Option<RedisTarget>,
        node: &str,
        bus: &EventBus,
        sessions: &Arc<SessionKeeper<S>>,
    ) -> Self {
        let sessions = Arc::clone(sessions);
        let live: LiveSessions = Arc::new(move || sessions.live());
        let publisher = match target {
            Some(target) => {
                let settings = RedisSettings { target, node: node.to_owned(), waiting_max: WAITING_MAX, live };
                Some(RedisPublisher::start(settings, bus).await)
            }
            None => None,
        };
        Self { publisher, denied: Mutex::default() }
    }

    /// Addresses that no peer may have, for a new peer policy.
    pub(crate) fn addresses(&self) -> BTreeSet<SocketAddr> {
        let addresses = self.publisher.as_ref().map(RedisPublisher::addresses).unwrap_or_default();
        self.denied.lock().clone_from(&addresses);
        addresses
    }

    /// Whether Redis has addresses that the policy in force does not deny.
    pub(crate) fn has_moved(&self) -> bool {
        self.publisher.as_ref().is_some_and(|publisher| publisher.addresses() != *self.denied.lock())
    }

    /// Whether it is well; none when there is none.
    pub(crate) fn health(&self) -> Option<bool> {
        self.publisher.as_ref().map(|publisher| publisher.status().is_well)
    }

    /// Its counters.
    pub(crate) fn samples(&self) -> Vec<Sample> {
        let Some(publisher) = &self.publisher else { return Vec::new() };
        let status = publisher.status();
        let sample = |metric, value| Sample { metric, label: None, value };
        vec![
            sample(Metric::RedisUp, u64::from(status.is_well)),
            sample(Metric::RedisCommands, status.commands),
            sample(Metric::RedisCommandsRefused, status.refused),
            sample(Metric::RedisFailures, status.failures),
            sample(Metric::RedisEventsDropped, status.events_dropped),
            sample(Metric::RedisEventsWaiting, status.events_waiting),
        ]
    }

    /// Publishes the last messages and removes this server's keys.
    pub(crate) async fn finish(&self, bus: &EventBus) {
        let Some(publisher) = &self.publisher else { return };
        if !publisher.finish(bus, LAST_WORDS).await {
            tracing::error!("Redis did not take the last messages; status keys there expire by themselves");
        }
    }
}

#[cfg(test)]
mod tests {
    use causeway_app::Cursor;

    use super::*;

    #[tokio::test]
    async fn an_address_of_redis_that_the_policy_does_not_deny_is_noticed() {
        let bus = EventBus::new(Cursor(1), 10);
        let settings = RedisSettings {
            target: "host=localhost port=1".parse().unwrap(),
            node: "node".to_owned(),
            waiting_max: 10,
            live: Arc::new(Vec::new),
        };
        let publisher = RedisPublisher::start(settings, &bus).await;
        let redis = Redis { publisher: Some(publisher), denied: Mutex::default() };
        assert!(redis.has_moved(), "nothing is denied so far");
        assert!(redis.addresses().contains(&"127.0.0.1:1".parse().unwrap()));
        assert!(!redis.has_moved(), "what was asked for is denied");
        redis.denied.lock().clear();
        assert!(redis.has_moved());
    }

    #[tokio::test]
    async fn without_redis_there_is_nothing_to_deny_and_nothing_ill() {
        let redis = Redis { publisher: None, denied: Mutex::default() };
        assert!(!redis.has_moved() && redis.addresses().is_empty());
        assert_eq!((redis.health(), redis.samples()), (None, Vec::new()));
    }
}
