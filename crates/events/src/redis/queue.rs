//! What waits for Redis: events, not yet commands, in a bounded queue between the bus and the connection.

use std::{collections::VecDeque, sync::Arc};

use causeway_app::{Cursor, DomainEvent, EventRecord};
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Full-policy: from half full on, traffic reports are left out, since the next one carries their figures; when full,
/// the oldest event is dropped and counted. The giver never waits.
#[derive(Debug)]
pub(crate) struct Queue {
    inner: Mutex<Inner>,
    changed: Notify,
    capacity: usize,
}

#[derive(Debug, Default)]
struct Inner {
    events: VecDeque<Arc<EventRecord>>,
    /// Events up to here were taken from the bus.
    taken: Cursor,
    dropped: u64,
    has_gap: bool,
    is_closed: bool,
}

/// What to do next.
#[derive(Debug)]
pub(crate) enum Next {
    /// Render and send these.
    Events(Vec<Arc<EventRecord>>),
    /// Nothing is there by now.
    Nothing,
    /// Nothing is there and nothing will come.
    Closed,
}

impl Queue {
    /// An empty queue.
    pub(crate) fn new(capacity: usize) -> Self {
        Self { inner: Mutex::default(), changed: Notify::new(), capacity: capacity.max(2) }
    }

    /// The bus is read from after `cursor` on.
    pub(crate) fn begin_at(&self, cursor: Cursor) {
        self.inner.lock().taken = cursor;
    }

    /// Takes what came from the bus; `missed` events were overwritten there before they could be read.
    pub(crate) fn push(&self, records: Vec<Arc<EventRecord>>, missed: u64) {
        let mut inner = self.inner.lock();
        inner.dropped = inner.dropped.saturating_add(missed);
        inner.has_gap |= missed > 0;
        for record in records {
            inner.taken = record.cursor;
            if !concerns_redis(&record.event) {
                continue;
            }
            let is_traffic = matches!(record.event, DomainEvent::SessionTraffic { .. });
            if is_traffic && inner.events.len() >= self.capacity / 2 {
                continue;
            }
            if inner.events.len() >= self.capacity {
                inner.events.pop_front();
                inner.dropped = inner.dropped.saturating_add(1);
                inner.has_gap = true;
            }
            inner.events.push_back(record);
        }
        drop(inner);
        self.changed.notify_waiters();
    }

    /// At most `max` events.
    pub(crate) fn take(&self, max: usize) -> Next {
        let mut inner = self.inner.lock();
        let count = inner.events.len().min(max);
        if count > 0 {
            return Next::Events(inner.events.drain(..count).collect());
        }
        if inner.is_closed { Next::Closed } else { Next::Nothing }
    }

    /// Waits until something is there to be taken, or nothing will come.
    pub(crate) async fn filled(&self) {
        self.until(|inner| !inner.events.is_empty() || inner.is_closed).await;
    }

    /// Waits until everything up to `cursor` was taken from the bus.
    pub(crate) async fn caught_up(&self, cursor: Cursor) {
        self.until(|inner| inner.taken >= cursor || inner.is_closed).await;
    }

    /// Nothing will come any more.
    pub(crate) fn close(&self) {
        self.inner.lock().is_closed = true;
        self.changed.notify_waiters();
    }

    /// Whether events were lost since this was last asked.
    pub(crate) fn take_gap(&self) -> bool {
        std::mem::take(&mut self.inner.lock().has_gap)
    }

    /// Events lost so far.
    pub(crate) fn dropped(&self) -> u64 {
        self.inner.lock().dropped
    }

    /// Events that wait.
    pub(crate) fn len(&self) -> usize {
        self.inner.lock().events.len()
    }

    async fn until(&self, is_so: impl Fn(&Inner) -> bool) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Registered before the look, so that no change falls between the two.
            changed.as_mut().enable();
            if is_so(&self.inner.lock()) {
                return;
            }
            changed.await;
        }
    }
}

const fn concerns_redis(event: &DomainEvent) -> bool {
    matches!(
        event,
        DomainEvent::SessionStarted(_)
            | DomainEvent::SessionRefreshed { .. }
            | DomainEvent::SessionPathChanged { .. }
            | DomainEvent::SessionTraffic { .. }
            | DomainEvent::SessionEnded { .. }
    )
}

#[cfg(test)]
mod tests;
