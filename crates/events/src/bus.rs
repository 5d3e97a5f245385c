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
    /// The newest that was overwritten, or the one before the first.
    forgotten: Cursor,
    /// How many were overwritten.
    n_forgotten: u64,
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
    /// A bus that keeps the last `capacity` events (at least one) and gives cursors from `first` on.
    #[must_use]
    pub fn new(first: Cursor, capacity: usize) -> Self {
        let next = first.0.max(1);
        let forgotten = Cursor(next - 1);
        let records = VecDeque::with_capacity(capacity.min(1 << 16));
        let ring = Ring { records, capacity: capacity.max(1), next, forgotten, n_forgotten: 0 };
        Self { ring: Arc::new(Mutex::new(ring)), newest: watch::Sender::new(forgotten) }
    }

    /// Gives cursors from `first` on, if that is above all given so far.
    pub fn continue_at(&self, first: Cursor) {
        let mut ring = self.ring.lock();
        ring.next = ring.next.max(first.0);
    }

    /// From here on.
    #[must_use]
    pub fn subscribe(&self) -> Subscription {
        self.subscribe_after(self.newest())
    }

    /// Everything after `after` that the ring still holds; what it does not is counted as missed. A cursor above all
    /// given here is another server's: whatever its reader did not see here is not known, so everything held is handed out
    /// behind a gap.
    #[must_use]
    pub fn subscribe_after(&self, after: Cursor) -> Subscription {
        let after = if after > self.newest() { Cursor::default() } else { after };
        Subscription { ring: Arc::clone(&self.ring), newest: self.newest.subscribe(), after }
    }

    /// The newest event's cursor.
    #[must_use]
    pub fn newest(&self) -> Cursor {
        *self.newest.borrow()
    }
}

impl EventSink for EventBus {
    fn emit(&self, at: UnixTime, project: ProjectId, event: DomainEvent) {
        let mut ring = self.ring.lock();
        let cursor = Cursor(ring.next);
        ring.next += 1;
        if ring.records.len() >= ring.capacity
            && let Some(oldest) = ring.records.pop_front()
        {
            ring.forgotten = oldest.cursor;
            ring.n_forgotten += 1;
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
        // A resumed reader may stand far before the first event there ever was here.
        let missed = ring.forgotten.0.saturating_sub(self.after.0).min(ring.n_forgotten.max(1));
        let from = ring.records.partition_point(|record| record.cursor <= self.after);
        let records: Vec<_> = ring.records.iter().skip(from).take(max.max(1)).map(Arc::clone).collect();
        let last = records.last()?.cursor;
        drop(ring);
        self.after = last;
        Some(Batch { records, missed })
    }

    /// Steps over what was overwritten before it could be read, also when nothing newer is there; whether there was any.
    pub fn skip_missed(&mut self) -> bool {
        let forgotten = self.ring.lock().forgotten;
        let has_missed = self.after < forgotten;
        self.after = self.after.max(forgotten);
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
    const FIRST: Cursor = Cursor(1_790_000_000_000_000);

    fn emit(bus: &EventBus, count: i64) {
        (0..count).for_each(|n| bus.emit(NOW, ProjectId(1), DomainEvent::TokenRevoked { token: TokenId(n) }));
    }

    #[tokio::test]
    async fn a_subscriber_reads_in_order_and_resumes_by_cursor() {
        let bus = EventBus::new(FIRST, 100);
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
        let bus = EventBus::new(FIRST, 10);
        let mut subscription = bus.subscribe();
        emit(&bus, 25);
        let batch = subscription.next(100).await.unwrap();
        assert_eq!((batch.records.len(), batch.missed), (10, 15));
    }

    #[tokio::test]
    async fn a_waiting_subscriber_wakes_and_the_end_of_the_bus_ends_it() {
        let bus = EventBus::new(FIRST, 10);
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
    async fn cursors_go_on_in_another_block_and_nobody_misses_what_is_between() {
        let bus = EventBus::new(FIRST, 10);
        let mut reader = bus.subscribe();
        emit(&bus, 4);
        bus.continue_at(Cursor(FIRST.0 + 1000));
        emit(&bus, 4);
        let batch = reader.take(3).unwrap();
        assert_eq!((batch.records.len(), batch.missed), (3, 0));
        let batch = reader.take(10).unwrap();
        let cursors: Vec<u64> = batch.records.iter().map(|record| record.cursor.0 - FIRST.0).collect();
        assert_eq!((cursors, batch.missed), (vec![3, 1000, 1001, 1002, 1003], 0));
        let mut late = bus.subscribe_after(Cursor(FIRST.0 + 1));
        emit(&bus, 7);
        assert!(late.skip_missed() && !reader.skip_missed());
        assert_eq!(reader.take(10).unwrap().records.len(), 7);
        bus.continue_at(FIRST);
        emit(&bus, 1);
        assert_eq!(bus.newest(), Cursor(FIRST.0 + 1011), "never back");
        let mut of_another_server = bus.subscribe_after(Cursor(u64::MAX));
        assert!(of_another_server.skip_missed());
        assert_eq!(of_another_server.take(20).unwrap().records.len(), 10);
    }
}
