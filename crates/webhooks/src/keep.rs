//! The task that keeps events in the store for projects that have webhooks.

use std::{
    collections::HashSet,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use causeway_app::{FeedBatch, FeedReader, WebhookStore};
use causeway_types::{Now, UnixTime};
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};

use crate::deliver::{Command, Counters, in_time};

/// Events written at once.
const BATCH_MAX: usize = 500;
/// Pause after a store that did not answer; the bus holds what happens meanwhile.
const PAUSE: Duration = Duration::from_millis(500);
/// An answer of the store that takes longer is none; what it did is done once more, and then passed over.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often old ones are removed.
const FORGET_INTERVAL: Duration = Duration::from_secs(600);

pub(crate) struct Keeper<S> {
    pub(crate) store: Arc<S>,
    pub(crate) reader: Box<dyn FeedReader>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) deliverer: mpsc::Sender<Command>,
    /// How long kept events and the log of deliveries stay.
    pub(crate) kept_for: Duration,
}

impl<S: WebhookStore> Keeper<S> {
    /// Works until `stop` changes, then keeps what is left, if the store takes it at once.
    pub(crate) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut forgot = Instant::now();
        loop {
            let batch = tokio::select! {
                batch = self.reader.next(BATCH_MAX) => batch,
                _ = stop.changed() => break,
            };
            let Some(batch) = batch else { break };
            while !self.keep(&batch).await {
                tokio::select! {
                    () = tokio::time::sleep(PAUSE) => {}
                    _ = stop.changed() => return,
                }
            }
            if forgot.elapsed() > FORGET_INTERVAL {
                forgot = Instant::now();
                self.forget().await;
            }
        }
        while let Some(batch) = self.reader.take(BATCH_MAX) {
            if !self.keep(&batch).await {
                tracing::error!("the store did not take the last events for webhooks: they are lost");
                return;
            }
        }
    }

    async fn keep(&self, batch: &FeedBatch) -> bool {
        if batch.events.is_empty() {
            self.note_gap(batch);
            return true;
        }
        if let Err(error) = in_time(PATIENCE, self.store.keep_events(&batch.events)).await {
            tracing::debug!(%error, "events for webhooks are not kept; again soon");
            return false;
        }
        self.note_gap(batch);
        let projects: HashSet<_> = batch.events.iter().map(|event| event.project).collect();
        // When the deliverer has stopped, what is kept is posted after the next start.
        drop(self.deliverer.send(Command::Kept(projects)).await);
        true
    }

    fn note_gap(&self, batch: &FeedBatch) {
        if batch.has_gap {
            self.counters.lost.fetch_add(1, Ordering::Relaxed);
            tracing::error!("the store was away too long: events for webhooks are lost");
        }
    }

    async fn forget(&self) {
        let kept_for = u64::try_from(self.kept_for.as_millis()).unwrap_or(u64::MAX);
        let before = UnixTime::from_millis(Now::read().unix.as_millis().saturating_sub(kept_for));
        if let Err(error) = self.store.forget_events(before).await {
            tracing::debug!(%error, "old events are not removed; again later");
        }
    }
}
