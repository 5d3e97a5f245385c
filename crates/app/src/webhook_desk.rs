//! Making, changing and removing webhooks.

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use aws_lc_rs::rand;
use causeway_types::{Secret, UnixTime};

use crate::{
    ApiCaller, AuditEntry, Cursor, EventPlace, Notice, Store, StoreError, StoreResult, Webhook, WebhookId, WebhookStore,
};

/// Webhooks of one project.
pub const WEBHOOKS_PER_PROJECT_MAX: usize = 20;

/// What the deliveries are told, and asked.
pub trait WebhookControl: Send + Sync + 'static {
    /// Webhooks changed in the store. When this is done, events are kept and posted accordingly.
    fn changed(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;

    /// Why events cannot be posted there.
    ///
    /// # Errors
    /// What is wrong with the URL.
    fn check_url(&self, url: &str) -> Result<(), String>;
}

/// Why a webhook was not changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WebhookDeskError {
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There are as many as a project may have.
    #[error("the project has {WEBHOOKS_PER_PROJECT_MAX} webhooks already")]
    TooMany,
    /// No events can be posted to this URL.
    #[error("{reason}")]
    BadUrl {
        /// Why, for the caller.
        reason: String,
    },
    /// The project has no such webhook.
    #[error("no such webhook")]
    Unknown,
    /// The system has no randomness.
    #[error("the system has no randomness")]
    NoRandomness,
}

/// What to change; `None` leaves it as it is.
#[derive(Clone, Debug, Default)]
pub struct WebhookChange {
    /// Where to.
    pub url: Option<String>,
    /// Which events; empty: all.
    pub events: Option<Vec<String>>,
    /// Whether nothing is sent.
    pub is_disabled: Option<bool>,
    /// Sign with the newest secret only.
    pub drop_previous_secret: bool,
}

/// The use-cases. Each works for the caller's project only.
pub struct WebhookDesk<S> {
    store: Arc<S>,
    control: Arc<dyn WebhookControl>,
}

impl<S> fmt::Debug for WebhookDesk<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookDesk").finish_non_exhaustive()
    }
}

impl<S: Store + WebhookStore> WebhookDesk<S> {
    /// Over a store and the deliveries.
    pub fn new(store: Arc<S>, control: Arc<dyn WebhookControl>) -> Self {
        Self { store, control }
    }

    /// The project's webhooks.
    ///
    /// # Errors
    /// The store did not answer.
    pub async fn list(&self, caller: ApiCaller) -> StoreResult<Vec<Webhook>> {
        self.store.webhooks(Some(caller.project)).await
    }

    /// One of them.
    ///
    /// # Errors
    /// See [`WebhookDeskError`].
    pub async fn one(&self, caller: ApiCaller, id: WebhookId) -> Result<Webhook, WebhookDeskError> {
        let all = self.list(caller).await?;
        all.into_iter().find(|webhook| webhook.id == id).ok_or(WebhookDeskError::Unknown)
    }

    /// Makes one. Events from here on are kept for it.
    ///
    /// # Errors
    /// See [`WebhookDeskError`].
    pub async fn make(
        &self,
        caller: ApiCaller,
        url: String,
        events: Vec<String>,
        now: UnixTime,
    ) -> Result<Webhook, WebhookDeskError> {
        self.control.check_url(&url).map_err(|reason| WebhookDeskError::BadUrl { reason })?;
        if self.list(caller).await?.len() >= WEBHOOKS_PER_PROJECT_MAX {
            return Err(WebhookDeskError::TooMany);
        }
        let mut webhook = Webhook {
            id: WebhookId(0),
            project: caller.project,
            url,
            secrets: vec![new_secret()?],
            events,
            created_at: now,
            place: EventPlace::default(),
            delivered_to: Cursor::default(),
            run: 0,
            is_disabled: false,
        };
        webhook.id = self.store.insert_webhook(&webhook).await?;
        self.note(caller, "webhook.create", webhook.id, now).await?;
        // As the store has it: with the place it begins at.
        self.one(caller, webhook.id).await
    }

    /// Changes one; as it is now.
    ///
    /// # Errors
    /// See [`WebhookDeskError`].
    pub async fn change(
        &self,
        caller: ApiCaller,
        id: WebhookId,
        change: WebhookChange,
        now: UnixTime,
    ) -> Result<Webhook, WebhookDeskError> {
        let mut webhook = self.one(caller, id).await?;
        if let Some(url) = change.url {
            self.control.check_url(&url).map_err(|reason| WebhookDeskError::BadUrl { reason })?;
            webhook.url = url;
        }
        webhook.events = change.events.unwrap_or(webhook.events);
        webhook.is_disabled = change.is_disabled.unwrap_or(webhook.is_disabled);
        if change.drop_previous_secret {
            webhook.secrets.truncate(1);
        }
        self.write(caller, &webhook, "webhook.change", now).await?;
        Ok(webhook)
    }

    /// Gives it a new secret; posts are signed with the new and the one before until that is dropped.
    ///
    /// # Errors
    /// See [`WebhookDeskError`].
    pub async fn rotate(&self, caller: ApiCaller, id: WebhookId, now: UnixTime) -> Result<Webhook, WebhookDeskError> {
        let mut webhook = self.one(caller, id).await?;
        webhook.secrets.insert(0, new_secret()?);
        webhook.secrets.truncate(2);
        self.write(caller, &webhook, "webhook.rotate_secret", now).await?;
        Ok(webhook)
    }

    /// Removes it with its log.
    ///
    /// # Errors
    /// See [`WebhookDeskError`].
    pub async fn remove(&self, caller: ApiCaller, id: WebhookId, now: UnixTime) -> Result<(), WebhookDeskError> {
        if !self.store.delete_webhook(caller.project, id).await? {
            return Err(WebhookDeskError::Unknown);
        }
        self.note(caller, "webhook.delete", id, now).await
    }

    /// Posts everything after a cursor once more.
    ///
    /// # Errors
    /// See [`WebhookDeskError`].
    pub async fn replay(
        &self,
        caller: ApiCaller,
        id: WebhookId,
        after: Cursor,
        now: UnixTime,
    ) -> Result<(), WebhookDeskError> {
        if !self.store.replay_webhook(caller.project, id, after).await? {
            return Err(WebhookDeskError::Unknown);
        }
        self.note(caller, "webhook.replay", id, now).await
    }

    async fn write(
        &self,
        caller: ApiCaller,
        webhook: &Webhook,
        action: &str,
        now: UnixTime,
    ) -> Result<(), WebhookDeskError> {
        if !self.store.update_webhook(webhook).await? {
            return Err(WebhookDeskError::Unknown);
        }
        self.note(caller, action, webhook.id, now).await
    }

    /// Notes what was done, tells the other servers and this one's deliveries.
    async fn note(
        &self,
        caller: ApiCaller,
        action: &str,
        id: WebhookId,
        now: UnixTime,
    ) -> Result<(), WebhookDeskError> {
        let told = self.store.tell(&[Notice::WebhooksChanged], now).await;
        self.control.changed().await;
        let entry = AuditEntry::by(caller, action, id.0.to_string(), "{}".to_owned(), now);
        told?;
        Ok(self.store.audit(&entry).await?)
    }
}

fn new_secret() -> Result<Secret<String>, WebhookDeskError> {
    let mut random = [0; 32];
    rand::fill(&mut random).map_err(|_| WebhookDeskError::NoRandomness)?;
    Ok(Secret::new(format!("whsec_{}", hex::encode(random))))
}
