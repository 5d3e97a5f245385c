//! The task that does what the core says.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use causeway_app::{Cursor, DeliveryAttempt, ProjectId, StoredEvent, Webhook, WebhookId, WebhookStore};
use causeway_types::Now;
use parking_lot::RwLock;
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
    time::{MissedTickBehavior, sleep_until},
};

use crate::{
    core::{DeliveryCore, Outcome, Output, Place},
    post::Poster,
};

/// Attempts and cursors are written so often.
const WRITE_INTERVAL: Duration = Duration::from_millis(250);
/// Webhooks are read anew every so many writes: another server may have changed them.
const RELOAD_EVERY: u64 = 40;
/// Attempts that wait for a store that does not answer; older ones are forgotten, the deliveries are not.
const ATTEMPTS_WAITING_MAX: usize = 10_000;

/// What the task is told.
#[derive(Debug)]
pub(crate) enum Command {
    Changed(oneshot::Sender<()>),
    Replay(WebhookId, Cursor, oneshot::Sender<()>),
    Kept(HashSet<ProjectId>),
    Stop,
}

/// What was done so far.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) taken: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) given_up: AtomicU64,
    pub(crate) lost: AtomicU64,
    pub(crate) pending: AtomicU64,
}

/// Projects whose events are kept.
pub(crate) type Wanted = Arc<RwLock<HashSet<ProjectId>>>;

struct Done {
    place: Place,
    event: Arc<StoredEvent>,
    attempt: DeliveryAttempt,
    outcome: Outcome,
}

pub(crate) struct Deliverer<S> {
    pub(crate) store: Arc<S>,
    pub(crate) poster: Poster,
    pub(crate) wanted: Wanted,
    pub(crate) counters: Arc<Counters>,
    core: DeliveryCore,
    webhooks: BTreeMap<WebhookId, Webhook>,
    posts: JoinSet<Done>,
    attempts: Vec<DeliveryAttempt>,
    cursors: BTreeMap<WebhookId, Cursor>,
}

impl<S: WebhookStore> Deliverer<S> {
    pub(crate) fn new(store: Arc<S>, poster: Poster, wanted: Wanted, counters: Arc<Counters>, seed: [u8; 32]) -> Self {
        Self {
            store,
            poster,
            wanted,
            counters,
            core: DeliveryCore::new(seed),
            webhooks: BTreeMap::new(),
            posts: JoinSet::new(),
            attempts: Vec::new(),
            cursors: BTreeMap::new(),
        }
    }

    /// Works until it is told to stop; posts under way are then cut off, and made again at the next start.
    pub(crate) async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let mut tick = tokio::time::interval(WRITE_INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut ticks = 0_u64;
        loop {
            self.drain().await;
            let due = self.core.poll_timeout().unwrap_or_else(|| Instant::now() + WRITE_INTERVAL);
            tokio::select! {
                command = commands.recv() => match command {
                    Some(Command::Stop) | None => break,
                    Some(command) => self.handle(command).await,
                },
                Some(done) = self.posts.join_next() => self.finish(done),
                () = sleep_until(due.into()) => self.core.handle_timeout(Instant::now()),
                _ = tick.tick() => {
                    self.write().await;
                    if ticks.is_multiple_of(RELOAD_EVERY) {
                        self.reload().await;
                    }
                    ticks += 1;
                }
            }
        }
        self.write().await;
    }

    async fn handle(&mut self, command: Command) {
        match command {
            Command::Changed(done) => {
                self.reload().await;
                // Whoever asked may have gone.
                done.send(()).unwrap_or_default();
            }
            Command::Replay(webhook, after, done) => {
                self.core.handle_replay(webhook, after);
                self.drain().await;
                self.write().await;
                done.send(()).unwrap_or_default();
            }
            Command::Kept(projects) => projects.into_iter().for_each(|project| self.core.handle_kept(project)),
            Command::Stop => {}
        }
    }

    async fn reload(&mut self) {
        match self.store.webhooks(None).await {
            Ok(webhooks) => {
                *self.wanted.write() = webhooks.iter().map(|webhook| webhook.project).collect();
                self.core.handle_webhooks(&webhooks);
                self.webhooks = webhooks.into_iter().map(|webhook| (webhook.id, webhook)).collect();
            }
            Err(error) => tracing::debug!(%error, "webhooks are not known; those known before stay"),
        }
    }

    /// Does everything the core wants.
    async fn drain(&mut self) {
        while let Some(output) = self.core.poll_output() {
            match output {
                Output::Read { place, project, after } => {
                    match self.store.events_after(project, after, crate::core::READ_MAX).await {
                        Ok(events) => self.core.handle_events(place, events),
                        Err(error) => {
                            tracing::debug!(%error, "kept events are not read; again soon");
                            self.core.handle_read_failure(Instant::now(), place);
                        }
                    }
                }
                Output::Post { place, event, attempt } => self.post(place, event, attempt),
                Output::MoveCursor { webhook, to } => drop(self.cursors.insert(webhook, to)),
                Output::GaveUp { webhook, cursor } => {
                    self.counters.given_up.fetch_add(1, Ordering::Relaxed);
                    tracing::warn!(
                        webhook = webhook.0,
                        cursor = cursor.0,
                        "an event was not taken for a day: given up"
                    );
                }
                Output::Disable { webhook } => self.disable(webhook).await,
            }
        }
        self.counters.pending.store(u64::try_from(self.core.pending()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn post(&mut self, place: Place, event: Arc<StoredEvent>, attempt: u32) {
        let Some(webhook) = self.webhooks.get(&place.webhook).cloned() else { return };
        let poster = self.poster.clone();
        self.posts.spawn(async move {
            let (at, began) = (Now::read().unix, Instant::now());
            let answered = poster.post(&webhook, &event, attempt, at).await;
            let outcome = match answered {
                Ok(200..=299) => Outcome::Taken,
                Ok(410) => Outcome::Gone,
                Ok(_) | Err(_) => Outcome::Failed,
            };
            let attempt = DeliveryAttempt {
                webhook: webhook.id,
                cursor: event.cursor,
                attempt,
                at,
                status: answered.as_ref().ok().copied(),
                error: answered.err(),
                took_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            };
            Done { place, event, attempt, outcome }
        });
    }

    fn finish(&mut self, done: Result<Done, tokio::task::JoinError>) {
        let done = match done {
            Ok(done) => done,
            Err(error) => {
                tracing::error!(%error, "a post ended badly");
                return;
            }
        };
        let counter = if done.outcome == Outcome::Taken { &self.counters.taken } else { &self.counters.failed };
        counter.fetch_add(1, Ordering::Relaxed);
        if self.attempts.len() < ATTEMPTS_WAITING_MAX {
            self.attempts.push(done.attempt);
        }
        self.core.handle_outcome(Instant::now(), done.place, &done.event, done.outcome);
    }

    async fn disable(&mut self, id: WebhookId) {
        let Some(webhook) = self.webhooks.get_mut(&id) else { return };
        webhook.is_disabled = true;
        tracing::warn!(webhook = id.0, "its receiver answered 410: the webhook is disabled");
        if let Err(error) = self.store.update_webhook(webhook).await {
            tracing::warn!(%error, "that a webhook is disabled was not written");
        }
    }

    /// Writes the log first: a cursor that was moved without its log would hide a delivery.
    async fn write(&mut self) {
        if !self.attempts.is_empty() {
            let known: Vec<DeliveryAttempt> =
                self.attempts.iter().filter(|attempt| self.webhooks.contains_key(&attempt.webhook)).cloned().collect();
            if let Err(error) = self.store.log_attempts(&known).await {
                tracing::debug!(%error, "delivery attempts are not written; again soon");
                return;
            }
            self.attempts.clear();
        }
        while let Some((webhook, to)) = self.cursors.pop_first() {
            if let Err(error) = self.store.move_cursor(webhook, to).await {
                tracing::debug!(%error, "a webhook's cursor is not written; again soon");
                self.cursors.insert(webhook, to);
                return;
            }
        }
    }
}
