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
    pub cursor: Cursor,
    /// Nothing is sent while it is off.
    pub is_disabled: bool,
}

/// An event as it is kept for delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvent {
    /// Place.
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

/// One attempt to deliver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryAttempt {
    /// To which.
    pub webhook: WebhookId,
    /// Which event.
    pub cursor: Cursor,
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

    /// Adds one; its number.
    fn insert_webhook(&self, webhook: &Webhook) -> impl Future<Output = StoreResult<WebhookId>> + Send;

    /// Replaces URL, secrets, events and the switch; whether it was there.
    fn update_webhook(&self, webhook: &Webhook) -> impl Future<Output = StoreResult<bool>> + Send;

    /// Removes one with its log; whether it was there.
    fn delete_webhook(&self, project: ProjectId, id: WebhookId) -> impl Future<Output = StoreResult<bool>> + Send;

    /// Keeps events for delivery and replay, in one transaction.
    fn keep_events(&self, events: &[StoredEvent]) -> impl Future<Output = StoreResult<()>> + Send;

    /// A project's kept events after a cursor, oldest first.
    fn events_after(
        &self,
        project: ProjectId,
        after: Cursor,
        limit: u32,
    ) -> impl Future<Output = StoreResult<Vec<StoredEvent>>> + Send;

    /// Forgets kept events older than `before`, and attempts as old; how many events.
    fn forget_events(&self, before: UnixTime) -> impl Future<Output = StoreResult<u64>> + Send;

    /// Moves a webhook's cursor: forward after deliveries, back for a replay.
    fn move_cursor(&self, id: WebhookId, to: Cursor) -> impl Future<Output = StoreResult<()>> + Send;

    /// Logs attempts.
    fn log_attempts(&self, attempts: &[DeliveryAttempt]) -> impl Future<Output = StoreResult<()>> + Send;

    /// A webhook's attempts, newest first.
    fn attempts(
        &self,
        id: WebhookId,
        page: &PageRequest,
    ) -> impl Future<Output = StoreResult<Page<DeliveryAttempt>>> + Send;
}
