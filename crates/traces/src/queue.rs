//! Spans on their way to the collector: a bounded queue, and the one task that empties it in batches.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use opentelemetry::Context;
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{Span, SpanData, SpanExporter, SpanProcessor},
};
use parking_lot::Mutex;
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::{Instant, timeout, timeout_at},
};

use crate::TraceFigures;

/// Spans that may wait; the newest are dropped beyond. Some 2 MB.
pub const SPANS_WAITING_MAX: usize = 4096;
/// Spans of one post.
const BATCH_MAX: usize = 512;
/// How long the first span of a batch waits for others.
const LINGER: Duration = Duration::from_secs(5);

/// The entrance, and the counters.
#[derive(Debug)]
pub(crate) struct Queue {
    entrance: mpsc::Sender<SpanData>,
    exported: AtomicU64,
    dropped: AtomicU64,
}

/// The task behind it.
#[derive(Debug)]
pub(crate) struct QueueEnd {
    stop: watch::Sender<bool>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Queue {
    pub(crate) fn start<E: SpanExporter + 'static>(exporter: E) -> (Arc<Self>, QueueEnd) {
        let (entrance, spans) = mpsc::channel(SPANS_WAITING_MAX);
        let queue = Arc::new(Self { entrance, exported: AtomicU64::new(0), dropped: AtomicU64::new(0) });
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(empty(spans, exporter, Arc::clone(&queue), stopped));
        (queue, QueueEnd { stop, task: Mutex::new(Some(task)) })
    }

    pub(crate) fn figures(&self) -> TraceFigures {
        TraceFigures { exported: self.exported.load(Ordering::Relaxed), dropped: self.dropped.load(Ordering::Relaxed) }
    }

    fn push(&self, span: SpanData) {
        if self.entrance.try_send(span).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl QueueEnd {
    /// Takes no more, sends what waits; whether that was done within `limit`.
    pub(crate) async fn finish(&self, limit: Duration) -> bool {
        let Some(mut task) = self.task.lock().take() else { return true };
        self.stop.send_replace(true);
        let ended = timeout(limit, &mut task).await;
        task.abort();
        matches!(ended, Ok(Ok(())))
    }
}

/// Empties the queue until it is stopped, then to the end.
async fn empty<E: SpanExporter>(
    mut spans: mpsc::Receiver<SpanData>,
    exporter: E,
    queue: Arc<Queue>,
    mut stopped: watch::Receiver<bool>,
) {
    loop {
        let mut batch = Vec::new();
        tokio::select! {
            biased;
            received = spans.recv_many(&mut batch, BATCH_MAX) => if received == 0 { return },
            // No more come in; what is in goes out.
            _ = stopped.changed(), if !spans.is_closed() => { spans.close(); continue }
        }
        fill(&mut batch, &mut spans, &mut stopped).await;
        let count = u64::try_from(batch.len()).unwrap_or(u64::MAX);
        // The poster tells what went wrong; here it only counts.
        let figure = if exporter.export(batch).await.is_ok() { &queue.exported } else { &queue.dropped };
        figure.fetch_add(count, Ordering::Relaxed);
    }
}

/// Waits a little for more spans; not at all when the server stops.
async fn fill(batch: &mut Vec<SpanData>, spans: &mut mpsc::Receiver<SpanData>, stopped: &mut watch::Receiver<bool>) {
    let until = Instant::now() + LINGER;
    while batch.len() < BATCH_MAX && !*stopped.borrow() {
        let room = BATCH_MAX - batch.len();
        tokio::select! {
            received = timeout_at(until, spans.recv_many(batch, room)) => match received {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            },
            _ = stopped.changed() => { stopped.mark_changed(); return }
        }
    }
}

/// Hands ended spans to the queue.
#[derive(Debug)]
pub(crate) struct Processor(pub(crate) Arc<Queue>);

impl SpanProcessor for Processor {
    fn on_start(&self, _span: &mut Span, _context: &Context) {}

    fn on_end(&self, span: SpanData) {
        // Spans that were not chosen end here too.
        if span.span_context.is_sampled() {
            self.0.push(span);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    /// The queue ends by [`QueueEnd::finish`], which can wait.
    fn shutdown_with_timeout(&self, _limit: Duration) -> OTelSdkResult {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
