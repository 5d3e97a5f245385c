//! Keeps the book of sessions: relay events go in as they come, records go to the store every second.

use std::{
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use causeway_app::{
    Bitrate, CredentialDirectory, Figures, InsightStore, LiveFigures, ProjectId, SessionBook, SessionStart,
};
use causeway_relay::RelayHandle;
use causeway_types::{AllocationId, FiveTuple, Now, RelayEvent};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::event_log::log_event;

/// How often the relay's figures are read and records are written.
const TICK: Duration = Duration::from_secs(1);
/// Records in one transaction.
const BATCH_MAX: usize = 1000;
/// How long the last records may take when the server stops.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// The book, shared by the thread that hears the relay and the task that writes.
pub(crate) struct SessionKeeper<S> {
    book: Mutex<SessionBook>,
    directory: Arc<CredentialDirectory>,
    relay: Arc<OnceLock<RelayHandle>>,
    store: Arc<S>,
}

impl<S: InsightStore> SessionKeeper<S> {
    pub(crate) fn new(
        book: SessionBook,
        directory: Arc<CredentialDirectory>,
        relay: Arc<OnceLock<RelayHandle>>,
        store: Arc<S>,
    ) -> Self {
        Self { book: Mutex::new(book), directory, relay, store }
    }

    /// Takes events of the relay.
    pub(crate) fn hear(&self, events: impl Iterator<Item = RelayEvent>) {
        let at = Now::read().unix;
        let mut book = self.book.lock();
        for event in events {
            log_event(&event);
            book.handle(at, event, |username| self.directory.attribution(username));
        }
    }

    /// Every live session and where its client is.
    pub(crate) fn live(&self) -> Vec<(Arc<SessionStart>, FiveTuple)> {
        self.book.lock().live().map(|record| (Arc::clone(&record.start), record.five_tuple)).collect()
    }

    /// What goes on in a project on this server.
    pub(crate) fn now(&self, project: ProjectId) -> LiveFigures {
        self.book.lock().now(Some(project))
    }

    /// What a live session of a project carried so far.
    pub(crate) fn bitrate(&self, project: ProjectId, id: AllocationId) -> Option<Bitrate> {
        let book = self.book.lock();
        let record = book.live_one(id).filter(|record| record.start.attribution.project == project);
        record.map(|record| record.insight.bitrate.clone())
    }

    /// Refusals since the start that found no row of their own.
    pub(crate) fn failures_folded(&self) -> u64 {
        self.book.lock().failures().folded()
    }

    /// Ended sessions that were lost because the store did not answer for long.
    pub(crate) fn lost_records(&self) -> u64 {
        self.book.lock().lost_records()
    }

    /// Reads figures and writes records until `stop` changes.
    pub(crate) async fn run(&self, mut stop: watch::Receiver<bool>) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                _ = stop.changed() => return,
            }
            self.read_figures();
            self.write().await;
            self.write_failures().await;
        }
    }

    /// Writes what is left after the relay has ended; whether everything was written.
    pub(crate) async fn finish(&self) -> bool {
        let deadline = Instant::now() + LAST_WORDS;
        while Instant::now() < deadline {
            if self.write().await && self.write_failures().await && self.book.lock().live_count() == 0 {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        false
    }

    /// Writes refusals that are due; false when the store did not take them (they come again).
    async fn write_failures(&self) -> bool {
        loop {
            let failures = self.book.lock().failures().changed(BATCH_MAX);
            if failures.is_empty() {
                return true;
            }
            if let Err(error) = self.store.write_failures(&failures).await {
                tracing::debug!(%error, waiting = failures.len(), "refusals were not written; they come again");
                self.book.lock().failures().not_written(&failures);
                return false;
            }
        }
    }

    fn read_figures(&self) {
        let Some(relay) = self.relay.get() else { return };
        let listing: Vec<Figures> = tokio::task::block_in_place(|| relay.allocations())
            .into_iter()
            .map(|view| Figures { id: view.id, traffic: view.traffic, messages: view.messages })
            .collect();
        self.book.lock().handle_listing(Now::read().unix, &listing);
    }

    /// Writes all that is due; false when the store did not take it (it comes again).
    async fn write(&self) -> bool {
        loop {
            let records = self.book.lock().changed(Now::read().unix, BATCH_MAX);
            if records.is_empty() {
                return true;
            }
            if let Err(error) = self.store.write_sessions(&records).await {
                tracing::warn!(%error, waiting = records.len(), "sessions were not written; they are kept and written later");
                self.book.lock().not_written(records);
                return false;
            }
        }
    }
}
