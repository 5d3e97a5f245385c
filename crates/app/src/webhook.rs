//! Webhooks as the control plane knows them, and the port that keeps them.

use std::future::Future;

use causeway_types::{Secret, UnixTime};

use crate::{
    event::Cursor,
    model::{Page, PageRequest, ProjectId},
    store::StoreResult,
};

/// A webhook's number in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WebhookId(pub i64);

/// The place of a kept event in the one order of the whole database, drawn by the store: later places appear later,
/// whichever server kept the event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventPlace(pub u64);

/// A place events are posted to.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// Number.
    pub id: WebhookId,
    /// Whose.
    pub project: ProjectId,
    /// An `https:` URL.
    pub url: String,
    /// Signs. Two during a rotation: the first is the new one; receivers may check either.
    pub secrets: Vec<Secret<String>>,
    /// Names of the events it wants; empty: all public ones.
    pub events: Vec<String>,
    /// When it was made.
    pub created_at: UnixTime,
    /// Up to here everything is delivered or given up.
    pub place: EventPlace,
    /// The newest event of its project up to there; zero when none is kept.
    pub delivered_to: Cursor,
    /// How often a replay began: what was done before the last one counts no more.
    pub run: u32,
    /// Nothing is sent while it is off.
    pub is_disabled: bool,
}

/// An event as consumers get it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvent {
    /// Its id, and its place in the order of the server that told it.
    pub cursor: Cursor,
    /// Whose.
    pub project: ProjectId,
    /// Session, for order; empty when it belongs to none.
    pub session: String,
    /// Public name.
    pub name: String,
    /// When.
    pub at: UnixTime,
    /// The JSON that is posted.
    pub body: String,
}

/// A kept event, and what was tried before for the webhook it is read for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptEvent {
    /// Its place among those of all servers.
    pub place: EventPlace,
    /// The event.
    pub event: StoredEvent,
    /// What the log says of this run's attempts, if there were any.
    pub tried: Option<Tried>,
}

/// Attempts so far, by whichever process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tried {
    /// The number of the last one.
    pub attempts: u32,
    /// When the first began.
    pub first_at: UnixTime,
    /// When the last began.
    pub last_at: UnixTime,
    /// One was answered 2xx.
    pub is_taken: bool,
}

/// Who posts for all servers of the database. It renews: one that stops doing so is followed by another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lease {
    /// Name of the server; empty when it was given back.
    pub holder: String,
    /// Rises with every change.
    pub renewals: i64,
}

/// One attempt to deliver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryAttempt {
    /// To which.
    pub webhook: WebhookId,
    /// Which event.
    pub cursor: Cursor,
    /// Of which run of the webhook.
    pub run: u32,
    /// 1 for the first.
    pub attempt: u32,
    /// When.
    pub at: UnixTime,
    /// HTTP status, when there was an answer.
    pub status: Option<u16>,
    /// Why it failed.
    pub error: Option<String>,
    /// Milliseconds until the answer.
    pub took_ms: u64,
}

/// Keeps webhooks, the events they wait for, and the log of attempts.
pub trait WebhookStore: Send + Sync + 'static {
    /// Every webhook of a project, or of all projects.
    fn webhooks(&self, project: Option<ProjectId>) -> impl Future<Output = StoreResult<Vec<Webhook>>> + Send;

    /// Adds one that begins behind the newest kept event; its number.
    fn insert_webhook(&self, webhook: &Webhook) -> impl Future<Output = StoreResult<WebhookId>> + Send;

    /// Replaces URL, secrets, events and the switch; whether it was there.
    fn update_webhook(&self, webhook: &Webhook) -> impl Future<Output = StoreResult<bool>> + Send;

    /// Switches one off, and changes nothing else in it.
    fn disable_webhook(&self, id: WebhookId) -> impl Future<Output = StoreResult<()>> + Send;

    /// Removes one with its log; whether it was there.
    fn delete_webhook(&self, project: ProjectId, id: WebhookId) -> impl Future<Output = StoreResult<bool>> + Send;

    /// Begins a new run behind the kept event `after`, or before the first one with a higher id when that one is not kept;
    /// whether the project has the webhook.
    fn replay_webhook(
        &self,
        project: ProjectId,
        id: WebhookId,
        after: Cursor,
    ) -> impl Future<Output = StoreResult<bool>> + Send;

    /// Keeps events for delivery and replay, in one transaction that gives them their places. One that is kept already is
    /// passed over.
    fn keep_events(&self, events: &[StoredEvent]) -> impl Future<Output = StoreResult<()>> + Send;

    /// The newest place given by any server.
    fn newest_place(&self) -> impl Future<Output = StoreResult<EventPlace>> + Send;

    /// Kept events of the webhook's project after a place, oldest first, with this run's attempts.
    fn events_for(
        &self,
        webhook: &Webhook,
        after: EventPlace,
        limit: u32,
    ) -> impl Future<Output = StoreResult<Vec<KeptEvent>>> + Send;

    /// Forgets kept events older than `before`, and attempts as old; how many events.
    fn forget_events(&self, before: UnixTime) -> impl Future<Output = StoreResult<u64>> + Send;

    /// Notes how far a webhook is, unless a replay began another run.
    fn move_place(&self, id: WebhookId, run: u32, to: EventPlace) -> impl Future<Output = StoreResult<()>> + Send;

    /// Logs attempts.
    fn log_attempts(&self, attempts: &[DeliveryAttempt]) -> impl Future<Output = StoreResult<()>> + Send;

    /// A webhook's attempts, newest first.
    fn attempts(
        &self,
        id: WebhookId,
        page: &PageRequest,
    ) -> impl Future<Output = StoreResult<Page<DeliveryAttempt>>> + Send;

    /// The name this server holds a lease by.
    fn server_name(&self) -> &str;

    /// Who posts; `None` when no other server can have this database.
    fn lease(&self) -> impl Future<Output = StoreResult<Option<Lease>>> + Send;

    /// This server posts from here on, if nothing changed since `seen`; the lease it then holds.
    fn take_lease(&self, seen: &Lease) -> impl Future<Output = StoreResult<Option<Lease>>> + Send;

    /// This server posts no more, so that another need not wait.
    fn give_lease_back(&self, held: &Lease) -> impl Future<Output = StoreResult<()>> + Send;
}
