//! Webhooks: keeps the events of projects that have some, and posts them, signed, retried, in order per session, at least
//! once (`docs/events.md#webhooks`).
//!
//! Every server keeps its own events in the store, which gives them one order; one server at a time posts, for all that
//! share the database (`docs/decisions/0006-servers-of-one-database.md`).
//!
//! It serves no route and knows no bus: events come by `app::EventFeed`, webhooks by `app::WebhookStore`. What is posted
//! when is decided by a core without sockets and clocks; the rest is one task that keeps and one that posts.
//!
//! Entry point: [`Webhooks::start`].

#![forbid(unsafe_code)]

mod address;
mod ask;
mod core;
mod deliver;
mod keep;
mod lease;
mod post;
mod signature;

use std::{
    collections::HashSet,
    future::Future,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use causeway_app::{EventFeed, ProjectId, WebhookControl, WebhookStore};
use parking_lot::{Mutex, RwLock};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
};

pub use address::AddressPolicy;
pub use ask::{NoAnswer, Question};
pub use post::{PostSettings, URL_BYTES_MAX};

/// For how long an event that is not taken is posted again: kept events must not be forgotten sooner.
pub const RETRIED_FOR: Duration = core::GIVE_UP_AFTER;

use crate::{
    deliver::{Command, Counters, Deliverer, Wanted},
    keep::Keeper,
    post::Poster,
};

/// Commands that wait for the deliverer; the keeper and the API wait for room.
const COMMANDS_MAX: usize = 64;

/// The running deliveries.
pub struct Webhooks {
    poster: Poster,
    counters: Arc<Counters>,
    commands: mpsc::Sender<Command>,
    stop: watch::Sender<bool>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl std::fmt::Debug for Webhooks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Webhooks").field("counters", &self.counters).finish_non_exhaustive()
    }
}

/// What was done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Posts that were taken.
    pub taken: u64,
    /// Posts that failed; each is made again until it is given up.
    pub failed: u64,
    /// Events that were not taken for a day.
    pub given_up: u64,
    /// Times events were lost because the store was away too long.
    pub lost: u64,
    /// Events in memory that wait.
    pub pending: u64,
    /// Whether this server is the one that posts.
    pub is_posting: bool,
}

/// How events are kept and posted.
#[derive(Clone, Debug)]
pub struct WebhookSettings {
    /// Posting.
    pub post: PostSettings,
    /// How long events and the log of deliveries stay.
    pub kept_for: Duration,
}

impl Webhooks {
    /// Starts both tasks. Events from here on are kept; what was kept before is posted on.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn start<S: WebhookStore>(
        store: Arc<S>,
        feed: &dyn EventFeed,
        settings: WebhookSettings,
        seed: [u8; 32],
    ) -> Result<Self, rustls::Error> {
        let poster = Poster::new(settings.post)?;
        let wanted: Wanted = Arc::new(RwLock::new(HashSet::new()));
        let counters = Arc::new(Counters::default());
        let (commands, received) = mpsc::channel(COMMANDS_MAX);
        let (stop, stopped) = watch::channel(false);
        let known = Arc::clone(&wanted);
        let keeper = Keeper {
            store: Arc::clone(&store),
            reader: feed.open(None, Arc::new(move |project: ProjectId| known.read().contains(&project))),
            counters: Arc::clone(&counters),
            deliverer: commands.clone(),
            kept_for: settings.kept_for,
        };
        let deliverer = Deliverer::new(store, poster.clone(), wanted, Arc::clone(&counters), seed);
        let tasks = vec![tokio::spawn(keeper.run(stopped)), tokio::spawn(deliverer.run(received))];
        Ok(Self { poster, counters, commands, stop, tasks: Mutex::new(tasks) })
    }

    /// Keeps the last events and stops. What was not posted is posted after the next start.
    pub async fn finish(&self) {
        self.stop.send_replace(true);
        let tasks = std::mem::take(&mut *self.tasks.lock());
        for (task, is_keeper) in tasks.into_iter().zip([true, false]) {
            if !is_keeper {
                // Behind everything that the keeper still told.
                drop(self.commands.send(Command::Stop).await);
            }
            if let Err(error) = task.await {
                tracing::error!(%error, "a task of the webhooks ended badly");
            }
        }
    }

    /// What was done so far.
    #[must_use]
    pub fn figures(&self) -> Figures {
        let read = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let Counters { taken, failed, given_up, lost, pending, is_posting } = &*self.counters;
        Figures {
            taken: read(taken),
            failed: read(failed),
            given_up: read(given_up),
            lost: read(lost),
            pending: read(pending),
            is_posting: is_posting.load(Ordering::Relaxed),
        }
    }

    /// Posts something of another family's, once, to an address that webhooks may have; the status of the answer, or why
    /// there is none.
    ///
    /// # Errors
    /// What went wrong, in one line.
    pub async fn post(
        &self,
        url: &str,
        headers: &[(&str, String)],
        body: String,
        patience: Duration,
    ) -> Result<u16, String> {
        match tokio::time::timeout(patience, self.poster.send(url, headers, body)).await {
            Ok(answered) => answered,
            Err(_) => Err(format!("no answer within {} s", patience.as_secs_f32())),
        }
    }

    /// Asks an application something, once: its answer, which is a success.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn put_question(&self, question: Question<'_>) -> Result<Vec<u8>, NoAnswer> {
        self.poster.question(question).await
    }

    /// Another server changed webhooks: they are read soon.
    pub fn note_change(&self) {
        let (done, _) = oneshot::channel();
        if self.commands.try_send(Command::Changed(done)).is_err() {
            tracing::debug!("the deliveries are busy; they read webhooks anew by the clock");
        }
    }

    async fn ask(&self, command: impl FnOnce(oneshot::Sender<()>) -> Command) {
        let (done, answer) = oneshot::channel();
        if self.commands.send(command(done)).await.is_ok() {
            // The deliverer may be stopping: then the next start reads what is stored.
            answer.await.unwrap_or_default();
        }
    }
}

impl WebhookControl for Webhooks {
    fn changed(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(self.ask(Command::Changed))
    }

    fn check_url(&self, url: &str) -> Result<(), String> {
        self.poster.settings().check_url(url)
    }
}
