use std::time::SystemTime;

use opentelemetry::{
    InstrumentationScope,
    trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState},
};
use opentelemetry_sdk::{
    error::OTelSdkError,
    trace::{SpanEvents, SpanLinks},
};
use tokio::sync::Semaphore;

use super::*;

/// Answers when it is let, and keeps the sizes of its batches.
#[derive(Clone, Debug)]
struct Collector {
    lets: Arc<Semaphore>,
    batches: Arc<Mutex<Vec<usize>>>,
    takes: bool,
}

impl Collector {
    fn new(takes: bool) -> Self {
        Self { lets: Arc::new(Semaphore::new(0)), batches: Arc::default(), takes }
    }

    fn open(self) -> Self {
        self.lets.add_permits(1000);
        self
    }
}

impl SpanExporter for Collector {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.batches.lock().push(batch.len());
        self.lets.acquire().await.expect("never closed").forget();
        if self.takes { Ok(()) } else { Err(OTelSdkError::InternalFailure("away".to_owned())) }
    }
}

fn span(flags: TraceFlags) -> SpanData {
    SpanData {
        span_context: SpanContext::new(TraceId::from(1), SpanId::from(1), flags, false, TraceState::NONE),
        parent_span_id: SpanId::INVALID,
        parent_span_is_remote: false,
        span_kind: SpanKind::Server,
        name: "GET".into(),
        start_time: SystemTime::UNIX_EPOCH,
        end_time: SystemTime::UNIX_EPOCH,
        attributes: Vec::new(),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: Status::Unset,
        instrumentation_scope: InstrumentationScope::default(),
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn what_waits_goes_out_when_the_server_stops_in_batches_of_the_largest_size() {
    let collector = Collector::new(true).open();
    let (queue, end) = Queue::start(collector.clone());
    for _ in 0..1025 {
        queue.push(span(TraceFlags::SAMPLED));
    }
    assert!(end.finish(SECOND).await);
    assert_eq!(*collector.batches.lock(), [512, 512, 1]);
    assert_eq!(queue.figures(), TraceFigures { exported: 1025, dropped: 0 });
    queue.push(span(TraceFlags::SAMPLED));
    assert_eq!(queue.figures().dropped, 1, "after the end");
}

#[tokio::test(start_paused = true)]
async fn a_span_goes_out_by_itself_with_those_that_came_within_five_seconds() {
    let collector = Collector::new(true).open();
    let (queue, end) = Queue::start(collector.clone());
    queue.push(span(TraceFlags::SAMPLED));
    tokio::time::sleep(4 * SECOND).await;
    queue.push(span(TraceFlags::SAMPLED));
    assert_eq!(queue.figures().exported, 0);
    tokio::time::sleep(2 * SECOND).await;
    assert_eq!((queue.figures().exported, collector.batches.lock().clone()), (2, vec![2]));
    assert!(end.finish(SECOND).await);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_drops_the_newest_and_counts_them() {
    let collector = Collector::new(true);
    let (queue, end) = Queue::start(collector.clone());
    queue.push(span(TraceFlags::SAMPLED));
    tokio::time::sleep(6 * SECOND).await;
    assert_eq!(*collector.batches.lock(), [1], "the collector holds the first");
    for _ in 0..SPANS_WAITING_MAX {
        queue.push(span(TraceFlags::SAMPLED));
    }
    assert_eq!(queue.figures().dropped, 0);
    queue.push(span(TraceFlags::SAMPLED));
    assert_eq!(queue.figures().dropped, 1);
    assert!(!end.finish(SECOND).await, "the collector does not answer: the end does not wait for it");
}

#[tokio::test(start_paused = true)]
async fn what_the_collector_does_not_take_is_counted_and_the_next_batch_is_tried() {
    let collector = Collector::new(false).open();
    let (queue, end) = Queue::start(collector.clone());
    queue.push(span(TraceFlags::SAMPLED));
    tokio::time::sleep(6 * SECOND).await;
    queue.push(span(TraceFlags::SAMPLED));
    assert!(end.finish(SECOND).await);
    assert_eq!(queue.figures(), TraceFigures { exported: 0, dropped: 2 });
    assert_eq!(*collector.batches.lock(), [1, 1]);
}

#[tokio::test(start_paused = true)]
async fn spans_that_were_not_chosen_do_not_wait() {
    let collector = Collector::new(true).open();
    let (queue, end) = Queue::start(collector.clone());
    Processor(Arc::clone(&queue)).on_end(span(TraceFlags::default()));
    assert!(end.finish(SECOND).await);
    assert!(collector.batches.lock().is_empty());
}
