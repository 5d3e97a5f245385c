//! The task that does what the core says, while this server is the one that posts.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use causeway_app::{
    DeliveryAttempt, EventPlace, KeptEvent, ProjectId, StoreError, StoreResult, Webhook, WebhookId, WebhookStore,
};
use causeway_types::Now;
use parking_lot::RwLock;
use tokio::{
    sync::{mpsc, oneshot},
    task::{self, JoinError, JoinSet},
    time::{MissedTickBehavior, sleep_until, timeout},
};

use crate::{
    core::{DeliveryCore, Life, Outcome, Output},
    lease::LeaseWatch,
    post::Poster,
};

/// Attempts and places are written, and events of other servers looked for, so often.
const TICK: Duration = Duration::from_millis(250);
/// The lease is renewed, or looked at, every so many ticks.
const RENEW_EVERY: u64 = 4;
/// Webhooks are read anew every so many ticks, should a notice of another server have been missed.
const RELOAD_EVERY: u64 = 40;
/// An answer of the store that takes longer is none.
const PATIENCE: Duration = Duration::from_secs(10);
/// The same for the lease, which is lost soon after.
const LEASE_PATIENCE: Duration = Duration::from_secs(2);
/// Attempts that wait for a store that does not answer; newer ones are forgotten, the deliveries are not.
const ATTEMPTS_WAITING_MAX: usize = 10_000;

/// What the task is told.
#[derive(Debug)]
pub(crate) enum Command {
    Changed(oneshot::Sender<()>),
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
    pub(crate) is_posting: AtomicBool,
}

/// Projects whose events are kept.
pub(crate) type Wanted = Arc<RwLock<HashSet<ProjectId>>>;

struct Done {
    attempt: DeliveryAttempt,
    outcome: Outcome,
}

pub(crate) struct Deliverer<S> {
    store: Arc<S>,
    poster: Poster,
    wanted: Wanted,
    counters: Arc<Counters>,
    core: DeliveryCore,
    lease: LeaseWatch,
    /// Whether no other server can have this database.
    is_alone: bool,
    is_posting: bool,
    newest: EventPlace,
    webhooks: BTreeMap<WebhookId, Webhook>,
    posts: JoinSet<Done>,
    under_way: HashMap<task::Id, (Life, Arc<KeptEvent>)>,
    attempts: Vec<DeliveryAttempt>,
    places: BTreeMap<(WebhookId, u32), EventPlace>,
}

impl<S: WebhookStore> Deliverer<S> {
    pub(crate) fn new(store: Arc<S>, poster: Poster, wanted: Wanted, counters: Arc<Counters>, seed: [u8; 32]) -> Self {
        let lease = LeaseWatch::new(store.server_name().to_owned());
        Self {
            store,
            poster,
            wanted,
            counters,
            core: DeliveryCore::new(seed),
            lease,
            is_alone: false,
            is_posting: false,
            newest: EventPlace::default(),
            webhooks: BTreeMap::new(),
            posts: JoinSet::new(),
            under_way: HashMap::new(),
            attempts: Vec::new(),
            places: BTreeMap::new(),
        }
    }

    /// Works until it is told to stop; posts under way are then cut off, and made again at the next start.
    pub(crate) async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut ticks = 0_u64;
        loop {
            self.drain().await;
            let due = self.core.poll_timeout().unwrap_or_else(|| Instant::now() + TICK);
            tokio::select! {
                command = commands.recv() => match command {
                    Some(Command::Stop) | None => break,
                    Some(command) => self.handle(command).await,
                },
                Some(done) = self.posts.join_next_with_id() => self.finish(done),
                () = sleep_until(due.into()) => self.core.handle_timeout(Instant::now()),
                _ = tick.tick() => {
                    self.tick(ticks).await;
                    ticks += 1;
                }
            }
        }
        self.write().await;
        if let Some(held) = self.lease.held()
            && let Err(error) = in_time(LEASE_PATIENCE, self.store.give_lease_back(held)).await
        {
            tracing::debug!(%error, "the lease is not given back; another server takes it soon");
        }
    }

    async fn tick(&mut self, ticks: u64) {
        if ticks.is_multiple_of(RENEW_EVERY) {
            self.renew().await;
        }
        self.write().await;
        if ticks.is_multiple_of(RELOAD_EVERY) {
            self.reload().await;
        }
        if self.is_posting && !self.webhooks.is_empty() {
            match in_time(PATIENCE, self.store.newest_place()).await {
                Ok(newest) if newest > self.newest => {
                    self.newest = newest;
                    self.core.handle_kept(None);
                }
                Ok(_) => {}
                Err(error) => tracing::debug!(%error, "whether other servers kept events is not known; again soon"),
            }
        }
    }

    async fn handle(&mut self, command: Command) {
        match command {
            Command::Changed(done) => {
                // What was tried is read back from the log.
                self.write().await;
                self.reload().await;
                // Whoever asked may have gone.
                done.send(()).unwrap_or_default();
            }
            Command::Kept(projects) => projects.into_iter().for_each(|project| self.core.handle_kept(Some(project))),
            Command::Stop => {}
        }
    }

    /// Keeps the lease, or takes it when nobody has it.
    async fn renew(&mut self) {
        let began = Instant::now();
        match in_time(LEASE_PATIENCE, self.store.lease()).await {
            Ok(None) => self.is_alone = true,
            Ok(Some(lease)) if self.lease.judge(began, &lease) => {
                match in_time(LEASE_PATIENCE, self.store.take_lease(&lease)).await {
                    Ok(taken) => self.lease.handle_answer(began, taken),
                    Err(error) => tracing::debug!(%error, "the lease is not renewed; again soon"),
                }
            }
            Ok(Some(_)) => {}
            Err(error) => tracing::debug!(%error, "the lease is not known; again soon"),
        }
        if self.may_post() && !self.is_posting {
            self.is_posting = true;
            tracing::info!("this server posts to webhooks");
            self.reload().await;
        }
    }

    fn may_post(&self) -> bool {
        self.is_alone || self.lease.holds(Instant::now())
    }

    /// Stops posting when another server may have begun. Posts under way are cut off: the other makes them again.
    fn stand_down(&mut self) {
        if self.is_posting && !self.may_post() {
            self.is_posting = false;
            self.core.handle_dismissal();
            self.posts.abort_all();
            tracing::info!("this server posts to webhooks no more: it does not hold the lease");
        }
        self.counters.is_posting.store(self.is_posting, Ordering::Relaxed);
    }

    async fn reload(&mut self) {
        match in_time(PATIENCE, self.store.webhooks(None)).await {
            Ok(webhooks) => {
                *self.wanted.write() = webhooks.iter().map(|webhook| webhook.project).collect();
                if self.is_posting {
                    self.core.handle_webhooks(&webhooks);
                }
                self.webhooks = webhooks.into_iter().map(|webhook| (webhook.id, webhook)).collect();
            }
            Err(error) => tracing::debug!(%error, "webhooks are not known; those known before stay"),
        }
    }

    /// Does everything the core wants.
    async fn drain(&mut self) {
        loop {
            self.stand_down();
            let Some(output) = self.core.poll_output() else { break };
            match output {
                Output::Read { life, after } => self.read(life, after).await,
                Output::Post { life, event, attempt } => self.post(life, event, attempt),
                Output::Move { webhook, run, to } => drop(self.places.insert((webhook, run), to)),
                Output::GaveUp { webhook, event } => {
                    self.counters.given_up.fetch_add(1, Ordering::Relaxed);
                    let event = event.event.cursor.0;
                    tracing::warn!(webhook = webhook.0, event, "an event was not taken for a day: given up");
                }
                Output::Disable { webhook } => self.disable(webhook).await,
            }
        }
        self.counters.pending.store(u64::try_from(self.core.pending()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    async fn read(&mut self, life: Life, after: EventPlace) {
        // The core has its webhooks from this map.
        let Some(webhook) = self.webhooks.get(&life.webhook) else { return };
        match in_time(PATIENCE, self.store.events_for(webhook, after, crate::core::READ_MAX)).await {
            Ok(events) => self.core.handle_events(Now::read(), life, events),
            Err(error) => {
                tracing::debug!(%error, "kept events are not read; again soon");
                self.core.handle_read_failure(Instant::now(), life);
            }
        }
    }

    fn post(&mut self, life: Life, event: Arc<KeptEvent>, attempt: u32) {
        let Some(webhook) = self.webhooks.get(&life.webhook).cloned() else { return };
        let (poster, posted) = (self.poster.clone(), Arc::clone(&event));
        let handle = self.posts.spawn(async move {
            let (at, began) = (Now::read().unix, Instant::now());
            let answered = poster.post(&webhook, &posted.event, attempt, at).await;
            let outcome = match answered {
                Ok(200..=299) => Outcome::Taken,
                Ok(410) => Outcome::Gone,
                Ok(_) | Err(_) => Outcome::Failed,
            };
            let attempt = DeliveryAttempt {
                webhook: webhook.id,
                cursor: posted.event.cursor,
                run: webhook.run,
                attempt,
                at,
                status: answered.as_ref().ok().copied(),
                error: answered.err(),
                took_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            };
            Done { attempt, outcome }
        });
        self.under_way.insert(handle.id(), (life, event));
    }

    fn finish(&mut self, done: Result<(task::Id, Done), JoinError>) {
        let id = done.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
        let Some((life, event)) = self.under_way.remove(&id) else { return };
        let outcome = match done {
            Ok((_, done)) => {
                if self.attempts.len() < ATTEMPTS_WAITING_MAX {
                    self.attempts.push(done.attempt);
                }
                done.outcome
            }
            // Cut off, by `stand_down`: the core has forgotten it.
            Err(error) if error.is_cancelled() => return,
            Err(error) => {
                tracing::error!(%error, "a post ended badly");
                Outcome::Failed
            }
        };
        let counter = if outcome == Outcome::Taken { &self.counters.taken } else { &self.counters.failed };
        counter.fetch_add(1, Ordering::Relaxed);
        self.core.handle_outcome(Instant::now(), life, &event, outcome);
    }

    async fn disable(&mut self, id: WebhookId) {
        tracing::warn!(webhook = id.0, "its receiver answered 410: the webhook is disabled");
        if let Some(webhook) = self.webhooks.get_mut(&id) {
            webhook.is_disabled = true;
        }
        if let Err(error) = in_time(PATIENCE, self.store.disable_webhook(id)).await {
            tracing::warn!(%error, "that a webhook is disabled was not written");
        }
    }

    /// Writes the log first: a place that was moved without its log would hide a delivery.
    async fn write(&mut self) {
        if !self.attempts.is_empty() {
            if let Err(error) = in_time(PATIENCE, self.store.log_attempts(&self.attempts)).await {
                tracing::debug!(%error, "delivery attempts are not written; again soon");
                return;
            }
            self.attempts.clear();
        }
        while let Some(((webhook, run), to)) = self.places.pop_first() {
            if let Err(error) = in_time(PATIENCE, self.store.move_place(webhook, run, to)).await {
                tracing::debug!(%error, "how far a webhook is, is not written; again soon");
                self.places.insert((webhook, run), to);
                return;
            }
        }
    }
}

/// What the store answers within `patience`.
pub(crate) async fn in_time<T>(patience: Duration, asked: impl Future<Output = StoreResult<T>>) -> StoreResult<T> {
    let late = || StoreError::Unavailable { reason: format!("no answer within {} s", patience.as_secs()) };
    timeout(patience, asked).await.unwrap_or_else(|_| Err(late()))
}
