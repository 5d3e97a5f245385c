use causeway_app::ProjectId;

use super::*;
use crate::redis::fixtures::{NOW, ended, session, traffic};

fn record(event: DomainEvent) -> Arc<EventRecord> {
    Arc::new(EventRecord { cursor: Cursor(1), at: NOW, project: ProjectId::DEFAULT, event })
}

fn taken(queue: &Queue) -> Vec<&'static str> {
    match queue.take(usize::MAX) {
        Next::Events(events) => events.iter().map(|record| record.event.name()).collect(),
        Next::Nothing | Next::Closed => Vec::new(),
    }
}

#[test]
fn only_what_redis_is_told_waits() {
    let (queue, alice) = (Queue::new(10), session(1, "alice"));
    let refused = DomainEvent::CredentialExpired { username: Arc::from("x") };
    queue.push(vec![record(refused), record(DomainEvent::SessionStarted(Arc::clone(&alice)))], 0);
    assert_eq!(taken(&queue), ["session.started"]);
    assert_eq!(queue.dropped(), 0);
}

#[test]
fn a_full_queue_drops_the_oldest_and_counts_it() {
    let (queue, alice) = (Queue::new(4), session(1, "alice"));
    let push = |event| queue.push(vec![record(event)], 0);
    push(DomainEvent::SessionStarted(Arc::clone(&alice)));
    (0..3).for_each(|_| push(ended(&alice, 1)));
    assert_eq!((queue.len(), queue.dropped(), queue.take_gap()), (4, 0, false));
    push(ended(&alice, 1));
    assert_eq!((queue.len(), queue.dropped(), queue.take_gap()), (4, 1, true));
    assert!(!queue.take_gap(), "told once");
    assert_eq!(taken(&queue), ["session.ended"; 4]);
}

#[test]
fn from_half_full_on_traffic_reports_are_left_to_the_next_one() {
    let (queue, alice) = (Queue::new(4), session(1, "alice"));
    (0..10).for_each(|n| queue.push(vec![record(traffic(&alice, n))], 0));
    assert_eq!((queue.len(), queue.dropped(), queue.take_gap()), (2, 0, false));
}

#[test]
fn events_the_bus_could_not_keep_count_as_dropped() {
    let queue = Queue::new(4);
    queue.push(Vec::new(), 7);
    assert_eq!((queue.dropped(), queue.take_gap()), (7, true));
}

#[tokio::test]
async fn who_waits_wakes_for_events_and_for_the_end() {
    let queue = Arc::new(Queue::new(4));
    let waiting = tokio::spawn({
        let queue = Arc::clone(&queue);
        async move {
            queue.filled().await;
            let first = taken(&queue);
            queue.filled().await;
            (first, matches!(queue.take(1), Next::Closed))
        }
    });
    tokio::task::yield_now().await;
    queue.push(vec![record(ended(&session(1, "alice"), 1))], 0);
    while queue.len() > 0 {
        tokio::task::yield_now().await;
    }
    queue.close();
    assert_eq!(waiting.await.unwrap(), (vec!["session.ended"], true));
}
