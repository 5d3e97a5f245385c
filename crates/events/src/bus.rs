//! The ring.

use std::{collections::VecDeque, sync::Arc};

use causeway_app::{Cursor, DomainEvent, EventRecord, EventSink, ProjectId};
use causeway_types::UnixTime;
use parking_lot::Mutex;
use tokio::sync::watch;

/// The bus. Shared by an `Arc`; dropped when no giver is left, which ends every subscription.
#[derive(Debug)]
pub struct EventBus {
    ring: Arc<Mutex<Ring>>,
    /// The newest event's cursor: wakes who waits for it.
    newest: watch::Sender<Cursor>,
}

#[derive(Debug)]
struct Ring {
    records: VecDeque<Arc<EventRecord>>,
    capacity: usize,
    next: u64,
}

/// A place in the ring.
#[derive(Debug)]
pub struct Subscription {
    ring: Arc<Mutex<Ring>>,
    newest: watch::Receiver<Cursor>,
    /// Everything up to here was handed out.
    after: Cursor,
}

/// What a subscription hands out.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Events in order.
    pub records: Vec<Arc<EventRecord>>,
    /// Events before them that were overwritten before they could be read.
    pub missed: u64,
}

impl EventBus {
    /// A bus that keeps the last `capacity` events (at least one). Cursors begin at the microseconds of `started`, so
    /// they rise over restarts as long as fewer than a million events a second were given before.
    #[must_use]
    pub fn new(started: UnixTime, capacity: usize) -> Self {
        let first = started.as_millis().saturating_mul(1000).saturating_add(1);
        let ring =
            Ring { records: VecDeque::with_capacity(capacity.min(1 << 16)), capacity: capacity.max(1), next: first };
        Self { ring: Arc::new(Mutex::new(ring)), newest: watch::Sender::new(Cursor(first - 1)) }
    }

    /// From here on.
    #[must_use]
    pub fn subscribe(&self) -> Subscription {
        let after = Cursor(self.ring.lock().next - 1);
        self.subscribe_after(after)
    }

    /// Everything after `after` that the ring still holds; what it does not is counted as missed. A cursor of the future
    /// (of a server whose clock was ahead) is taken as the newest.
    #[must_use]
    pub fn subscribe_after(&self, after: Cursor) -> Subscription {
        let newest = Cursor(self.ring.lock().next - 1);
        Subscription { ring: Arc::clone(&self.ring), newest: self.newest.subscribe(), after: after.min(newest) }
    }

    /// The newest event's cursor.
    #[must_use]
    pub fn newest(&self) -> Cursor {
        Cursor(self.ring.lock().next - 1)
    }
}

impl EventSink for EventBus {
    fn emit(&self, at: UnixTime, project: ProjectId, event: DomainEvent) {
        let mut ring = self.ring.lock();
        let cursor = Cursor(ring.next);
        ring.next += 1;
        if ring.records.len() >= ring.capacity {
            ring.records.pop_front();
        }
        ring.records.push_back(Arc::new(EventRecord { cursor, at, project, event }));
        // Under the lock, so that the newest never goes back.
        self.newest.send_replace(cursor);
    }
}

impl Subscription {
    /// Waits for at least one event, then hands out at most `max`; `None` when the bus is gone and everything was read.
    ///
    /// Safe to cancel: what was not handed out comes with the next call.
    pub async fn next(&mut self, max: usize) -> Option<Batch> {
        loop {
            if let Some(batch) = self.take(max) {
                return Some(batch);
            }
            let after = self.after;
            if self.newest.wait_for(|newest| *newest > after).await.is_err() {
                return self.take(max);
            }
        }
    }

    /// What is there by now, without waiting.
    pub fn take(&mut self, max: usize) -> Option<Batch> {
        let ring = self.ring.lock();
        let oldest = ring.records.front()?.cursor;
        let missed = oldest.0.saturating_sub(self.after.0 + 1);
        let from = usize::try_from((self.after.0 + 1).saturating_sub(oldest.0)).unwrap_or(usize::MAX);
        let records: Vec<_> = ring.records.iter().skip(from).take(max.max(1)).map(Arc::clone).collect();
        let last = records.last()?.cursor;
        drop(ring);
        self.after = last;
        Some(Batch { records, missed })
    }

    /// Steps over what was overwritten before it could be read, also when nothing newer is there; whether there was any.
    pub fn skip_missed(&mut self) -> bool {
        let ring = self.ring.lock();
        let before_oldest = Cursor(ring.records.front().map_or(ring.next, |oldest| oldest.cursor.0) - 1);
        drop(ring);
        let has_missed = self.after < before_oldest;
        self.after = self.after.max(before_oldest);
        has_missed
    }

    /// Where it stands: everything up to here was handed out or missed.
    #[must_use]
    pub const fn after(&self) -> Cursor {
        self.after
    }
}

#[cfg(test)]
mod tests {
    use causeway_app::TokenId;

    use super::*;

    const NOW: UnixTime = UnixTime::from_secs(1_790_000_000);

    fn emit(bus: &EventBus, count: i64) {
        (0..count).for_each(|n| bus.emit(NOW, ProjectId(1), DomainEvent::TokenRevoked { token: TokenId(n) }));
    }

    #[tokio::test]
    async fn a_subscriber_reads_in_order_and_resumes_by_cursor() {
        let bus = EventBus::new(NOW, 100);
        let mut subscription = bus.subscribe();
        emit(&bus, 5);
        let batch = subscription.next(3).await.unwrap();
        assert_eq!((batch.records.len(), batch.missed), (3, 0));
        assert!(batch.records.is_sorted_by_key(|record| record.cursor));
        let mut resumed = bus.subscribe_after(batch.records[0].cursor);
        assert_eq!(resumed.next(100).await.unwrap().records.len(), 4);
        assert_eq!(subscription.next(100).await.unwrap().records.len(), 2);
        assert!(subscription.take(1).is_none());
        assert!(bus.newest().0 < 1 << 53, "exact in JavaScript");
    }

    #[tokio::test]
    async fn a_slow_subscriber_is_told_how_many_it_missed() {
        let bus = EventBus::new(NOW, 10);
        let mut subscription = bus.subscribe();
        emit(&bus, 25);
        let batch = subscription.next(100).await.unwrap();
        assert_eq!((batch.records.len(), batch.missed), (10, 15));
    }

    #[tokio::test]
    async fn a_waiting_subscriber_wakes_and_the_end_of_the_bus_ends_it() {
        let bus = EventBus::new(NOW, 10);
        let mut subscription = bus.subscribe();
        let waiting = tokio::spawn(async move {
            let first = subscription.next(1).await.map(|batch| batch.records.len());
            (first, subscription.next(1).await.is_none())
        });
        tokio::task::yield_now().await;
        emit(&bus, 1);
        drop(bus);
        assert_eq!(waiting.await.unwrap(), (Some(1), true));
    }

    #[tokio::test]
    async fn cursors_rise_over_a_restart() {
        let before = EventBus::new(NOW, 10);
        emit(&before, 1000);
        let after = EventBus::new(UnixTime::from_millis(NOW.as_millis() + 1000), 10);
        assert!(after.newest() > before.newest());
        assert!(after.subscribe_after(Cursor(u64::MAX)).take(1).is_none());
    }
}
