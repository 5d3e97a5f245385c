//! What the control plane does by the clock: other servers' notices are heard, token uses are written, expired credentials told, old refusals forgotten.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use causeway_app::{
    AccessKeyStore, CallStore, Callers, ClientTokens, CredentialDirectory, DomainEvent, EventSink, FAILURES_KEPT_MAX,
    InsightStore, Notice, OrganizationId, OrganizationSettings, PeopleStore, Registrations, Revocation, SipUserStore,
    Store, StoreResult, VoiceClients, end_registrations_of,
};
use causeway_types::{Now, UnixTime};
use causeway_webhooks::Webhooks;
use tokio::sync::watch;

/// What other servers of this database revoke is heard this often: a revocation counts everywhere within a second.
const TICK: Duration = Duration::from_millis(500);
const EVERY_SECOND: u64 = 2;
/// Token uses are written, and refusals forgotten, every so many ticks.
const SLOW: u64 = 10;
/// What notices tell is read without one every so many ticks, should one have been missed.
const VERY_SLOW: u64 = 60;

/// Expired client tokens stay in their list for a week.
const CLIENT_TOKENS_KEPT_SECS: u64 = 7 * 86_400;

/// Numbers read again each time: two servers that tell at once may have the lower number appear last.
const READ_AGAIN: i64 = 100;

/// Which notices of other servers were heard.
#[derive(Debug, Default)]
struct Heard {
    first: Option<i64>,
    newest: Option<i64>,
    numbers: BTreeSet<i64>,
    /// Which projects are disabled is to be read: stays until the store answered.
    is_project_switched: bool,
    /// Which client tokens are revoked is to be read: stays until the store answered.
    is_client_token_revoked: bool,
}

pub(crate) struct Housekeeping<S> {
    pub(crate) store: Arc<S>,
    pub(crate) callers: Arc<Callers<S>>,
    pub(crate) directory: Arc<CredentialDirectory>,
    pub(crate) sink: Arc<dyn EventSink>,
    pub(crate) revocation: Arc<Revocation<S>>,
    pub(crate) webhooks: Arc<Webhooks>,
    pub(crate) client_tokens: Arc<ClientTokens<S>>,
    pub(crate) registrations: Arc<dyn Registrations>,
    pub(crate) voice_clients: Arc<dyn VoiceClients>,
}

/// Batches of old records forgotten at a time, so that nobody waits for a long clean-up.
const FORGOTTEN_AT_ONCE: usize = 20;

impl<S: Store + CallStore + AccessKeyStore + PeopleStore + InsightStore + SipUserStore> Housekeeping<S> {
    /// Works until `stop` changes.
    pub(crate) async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut heard = Heard::default();
        for count in 0_u64.. {
            tokio::select! {
                _ = tick.tick() => {}
                _ = stop.changed() => break,
            }
            let now = Now::read().unix;
            if let Err(error) = self.hear(&mut heard, now).await {
                tracing::debug!(%error, "notices of other servers are not known");
            }
            heard.is_project_switched |= count % VERY_SLOW == 0;
            if heard.is_project_switched {
                match self.store.disabled_projects().await {
                    Ok(projects) => {
                        self.callers.forget();
                        self.directory.set_disabled(projects);
                        heard.is_project_switched = false;
                    }
                    Err(error) => tracing::debug!(%error, "disabled projects are not known"),
                }
            }
            if count % VERY_SLOW == 0 {
                // Keys too: one is made at the first start, and when the one there is has signed long enough.
                if let Err(error) = self.client_tokens.refresh(now).await {
                    tracing::debug!(%error, "what signs client tokens is not known");
                }
            }
            if heard.is_client_token_revoked {
                match self.client_tokens.heed_revocations(now).await {
                    Ok(()) => heard.is_client_token_revoked = false,
                    Err(error) => tracing::debug!(%error, "which client tokens are revoked is not known"),
                }
            }
            if count % EVERY_SECOND == 0 {
                self.tell_expired(now).await;
            }
            if count % VERY_SLOW == 0
                && let Err(error) = self.trim_failures().await
            {
                tracing::debug!(%error, "old refusals are still kept");
            }
            if count % SLOW == 0 {
                self.directory.forget_refused(now);
                self.write_uses().await;
                self.forget_keys(now).await;
                if let Err(error) = self.apply_settings(now).await {
                    tracing::debug!(%error, "the organization's settings are not known");
                }
            }
        }
        self.write_uses().await;
    }

    /// Does what other servers told since the last time, each notice once.
    async fn hear(&self, heard: &mut Heard, now: UnixTime) -> StoreResult<()> {
        let Some(newest) = heard.newest else {
            heard.newest = Some(self.store.newest_notice().await?);
            return Ok(());
        };
        let mut notices = self.store.notices_after(newest.saturating_sub(READ_AGAIN)).await?;
        // What was told before this server began is not for it.
        let first = *heard.first.get_or_insert(newest);
        notices.retain(|(number, _)| *number > first && heard.numbers.insert(*number));
        let newest = notices.iter().map(|(number, _)| *number).fold(newest, i64::max);
        heard.newest = Some(newest);
        heard.numbers = heard.numbers.split_off(&newest.saturating_sub(READ_AGAIN));
        let notices: Vec<Notice> = notices.into_iter().map(|(_, notice)| notice).collect();
        self.revocation.heed(&notices, now);
        heard.is_project_switched |= notices.contains(&Notice::ProjectsSwitched);
        heard.is_client_token_revoked |= notices.contains(&Notice::ClientTokensRevoked);
        for notice in &notices {
            match notice {
                Notice::SipUserRemoved { project, name } => {
                    end_registrations_of(&*self.registrations, *project, name);
                }
                Notice::VoiceUserSentAway { project, name } => {
                    self.voice_clients.send_away(*project, std::slice::from_ref(name));
                }
                Notice::Refused { .. }
                | Notice::EndSessionsOf { .. }
                | Notice::EndSession { .. }
                | Notice::WebhooksChanged
                | Notice::ProjectsSwitched
                | Notice::ClientTokensRevoked => {}
            }
        }
        if notices.contains(&Notice::WebhooksChanged) {
            self.webhooks.note_change();
        }
        Ok(())
    }

    /// Tells of credentials that expired, each at one server only: the one that gets them from the store. When the store
    /// was away they are told afterwards.
    async fn tell_expired(&self, now: UnixTime) {
        match self.store.claim_expired(now).await {
            Ok(expired) => {
                for (project, username) in expired {
                    let event = DomainEvent::CredentialExpired { username: Arc::from(username) };
                    self.sink.emit(now, project, event);
                }
            }
            Err(error) => tracing::debug!(%error, "expired credentials are not known"),
        }
    }

    /// What owners set of addresses and retention counts for every project of theirs.
    async fn apply_settings(&self, now: UnixTime) -> StoreResult<()> {
        let organization = OrganizationId::DEFAULT;
        let settings = OrganizationSettings::read(&*self.store, organization).await?;
        let before = settings
            .retention_days
            .map(|days| UnixTime::from_secs(now.as_secs().saturating_sub(u64::from(days) * 86_400)));
        for project in self.store.projects(organization).await? {
            self.store.set_address_privacy(project.id, settings.addresses);
            let Some(before) = before else { continue };
            for _ in 0..FORGOTTEN_AT_ONCE {
                if self.store.forget_before(project.id, before).await? == 0 {
                    break;
                }
            }
        }
        if let Some(before) = before {
            self.store.forget_calls(before).await?;
        }
        Ok(())
    }

    /// A flood of refusals must not fill the disk, whatever retention is set.
    async fn trim_failures(&self) -> StoreResult<()> {
        for project in self.store.projects(OrganizationId::DEFAULT).await? {
            for _ in 0..FORGOTTEN_AT_ONCE {
                if self.store.trim_failures(project.id, FAILURES_KEPT_MAX).await? == 0 {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Temporary keys are kept a while after their end, so that their clients are told that they expired.
    async fn forget_keys(&self, now: UnixTime) {
        let before = UnixTime::from_secs(now.as_secs().saturating_sub(3600));
        if let Err(error) = self.store.forget_access_keys(before).await {
            tracing::debug!(%error, "expired access keys are still kept");
        }
        let before = UnixTime::from_secs(now.as_secs().saturating_sub(CLIENT_TOKENS_KEPT_SECS));
        if let Err(error) = self.store.forget_client_tokens(before).await {
            tracing::debug!(%error, "expired client tokens are still kept");
        }
    }

    async fn write_uses(&self) {
        if let Err(error) = self.callers.flush().await {
            tracing::warn!(%error, "token uses were not written; they are kept and written later");
        }
    }
}
