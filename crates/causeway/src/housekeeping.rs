//! What the control plane does by the clock: other servers' notices are heard, token uses are written, expired credentials told, old refusals forgotten.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use causeway_app::{Callers, CredentialDirectory, DomainEvent, EventSink, Notice, Revocation, Store, StoreResult};
use causeway_types::{Now, UnixTime};
use tokio::sync::watch;

/// What other servers of this database revoke is heard this often: a revocation counts everywhere within a second.
const TICK: Duration = Duration::from_millis(500);
const EVERY_SECOND: u64 = 2;
/// Token uses are written, and refusals forgotten, every so many ticks.
const SLOW: u64 = 10;

/// Numbers read again each time: two servers that tell at once may have the lower number appear last.
const READ_AGAIN: i64 = 100;

/// Which notices of other servers were heard.
#[derive(Debug, Default)]
struct Heard {
    first: Option<i64>,
    newest: Option<i64>,
    numbers: BTreeSet<i64>,
}

pub(crate) struct Housekeeping<S> {
    pub(crate) store: Arc<S>,
    pub(crate) callers: Arc<Callers<S>>,
    pub(crate) directory: Arc<CredentialDirectory>,
    pub(crate) sink: Arc<dyn EventSink>,
    pub(crate) revocation: Arc<Revocation<S>>,
}

impl<S: Store> Housekeeping<S> {
    /// Works until `stop` changes.
    pub(crate) async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut told_to = Now::read().unix;
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
            if count % EVERY_SECOND != 0 {
                continue;
            }
            match self.store.expired_between(told_to, now).await {
                Ok(expired) => {
                    told_to = now;
                    for (project, username) in expired {
                        let event = DomainEvent::CredentialExpired { username: Arc::from(username) };
                        self.sink.emit(now, project, event);
                    }
                }
                // Told when the store is back: the moment stays where it was.
                Err(error) => tracing::debug!(%error, "expired credentials are not known"),
            }
            // Another server of this database may have switched one.
            match self.store.disabled_projects().await {
                Ok(projects) => self.directory.set_disabled(projects),
                Err(error) => tracing::debug!(%error, "disabled projects are not known"),
            }
            if count % SLOW == 0 {
                self.directory.forget_refused(now);
                self.write_uses().await;
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
        Ok(())
    }

    async fn write_uses(&self) {
        if let Err(error) = self.callers.flush().await {
            tracing::warn!(%error, "token uses were not written; they are kept and written later");
        }
    }
}
