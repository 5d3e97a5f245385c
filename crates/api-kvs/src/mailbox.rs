//! What waits to be written to a connection: bounded, and one that reads too slowly is given up.

use std::{collections::VecDeque, sync::Arc};

use causeway_signal_core::{CloseReason, MessageKind, Problem};
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Events that may wait.
const EVENTS_MAX: usize = 64;
/// Payloads that may wait; one is always taken.
const BYTES_MAX: usize = 512 * 1024;

/// What a connection is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A message of another peer.
    Deliver { kind: MessageKind, sender: Option<Arc<str>>, payload: Arc<str> },
    /// A message of its own went nowhere.
    Status { correlation: Arc<str>, problem: Problem },
    /// A frame of its own was no message.
    BadFrame { correlation: Arc<str>, what: &'static str },
    /// It is to reconnect.
    GoAway,
    /// It is to fetch relay addresses and to reconnect.
    RelaysChanged,
}

/// Why nothing more comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The core closed it.
    Closed(CloseReason),
    /// It reads too slowly.
    TooSlow,
}

/// The queue of one connection.
#[derive(Debug, Default)]
pub(crate) struct Mailbox {
    queue: Mutex<Queue>,
    filled: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    events: VecDeque<Event>,
    bytes: usize,
    end: Option<End>,
}

impl Mailbox {
    /// Adds an event; whether there was room. When not, the mailbox ends: too slow.
    pub(crate) fn push(&self, event: Event) -> bool {
        let mut queue = self.queue.lock();
        if queue.end.is_some() {
            return true;
        }
        let bytes = size(&event);
        let has_room = queue.events.is_empty() || queue.events.len() < EVENTS_MAX && queue.bytes + bytes <= BYTES_MAX;
        if has_room {
            queue.bytes += bytes;
            queue.events.push_back(event);
        } else {
            queue.events.clear();
            queue.end = Some(End::TooSlow);
        }
        drop(queue);
        self.filled.notify_one();
        has_room
    }

    /// Ends it after what waits.
    pub(crate) fn end(&self, reason: CloseReason) {
        self.queue.lock().end.get_or_insert(End::Closed(reason));
        self.filled.notify_one();
    }

    /// The next event. May be given up at any time.
    pub(crate) async fn next(&self) -> Result<Event, End> {
        loop {
            {
                let mut queue = self.queue.lock();
                if let Some(event) = queue.events.pop_front() {
                    queue.bytes -= size(&event);
                    if queue.events.is_empty() {
                        // An idle connection holds no buffer.
                        queue.events = VecDeque::new();
                    }
                    return Ok(event);
                }
                if let Some(end) = queue.end {
                    return Err(end);
                }
            }
            self.filled.notified().await;
        }
    }
}

fn size(event: &Event) -> usize {
    match event {
        Event::Deliver { payload, .. } => payload.len(),
        Event::Status { .. } | Event::BadFrame { .. } | Event::GoAway | Event::RelaysChanged => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deliver(len: usize) -> Event {
        Event::Deliver { kind: MessageKind::Offer, sender: None, payload: Arc::from("x".repeat(len)) }
    }

    #[tokio::test]
    async fn events_come_in_order_and_then_the_end() {
        let mailbox = Mailbox::default();
        assert!(mailbox.push(Event::GoAway) && mailbox.push(Event::RelaysChanged));
        mailbox.end(CloseReason::Idle);
        mailbox.end(CloseReason::TooOld);
        assert!(mailbox.push(Event::GoAway), "after the end nothing counts");
        assert_eq!(mailbox.next().await, Ok(Event::GoAway));
        assert_eq!(mailbox.next().await, Ok(Event::RelaysChanged));
        assert_eq!(mailbox.next().await, Err(End::Closed(CloseReason::Idle)));
    }

    #[tokio::test]
    async fn too_many_or_too_large_is_too_slow_and_one_is_always_taken() {
        for (events, len) in [(EVENTS_MAX, 1), (8, 64 * 1024), (1, BYTES_MAX + 1)] {
            let mailbox = Mailbox::default();
            assert!((0..events).all(|_| mailbox.push(deliver(len))), "{events} of {len}");
            assert!(!mailbox.push(deliver(len)), "{events} of {len}");
            assert_eq!(mailbox.next().await, Err(End::TooSlow));
        }
    }
}
