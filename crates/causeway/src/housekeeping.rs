//! What the control plane does by the clock: token uses are written, expired credentials told, old refusals forgotten.

use std::{sync::Arc, time::Duration};

use causeway_app::{Callers, CredentialDirectory, DomainEvent, EventSink, Store};
use causeway_types::Now;
use tokio::sync::watch;

const TICK: Duration = Duration::from_secs(1);
/// Token uses are written, and refusals forgotten, every so many ticks.
const SLOW: u64 = 5;

pub(crate) struct Housekeeping<S> {
    pub(crate) store: Arc<S>,
    pub(crate) callers: Arc<Callers<S>>,
    pub(crate) directory: Arc<CredentialDirectory>,
    pub(crate) sink: Arc<dyn EventSink>,
}

impl<S: Store> Housekeeping<S> {
    /// Works until `stop` changes.
    pub(crate) async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut told_to = Now::read().unix;
        for count in 0_u64.. {
            tokio::select! {
                _ = tick.tick() => {}
                _ = stop.changed() => break,
            }
            let now = Now::read().unix;
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

    async fn write_uses(&self) {
        if let Err(error) = self.callers.flush().await {
            tracing::warn!(%error, "token uses were not written; they are kept and written later");
        }
    }
}
