//! Draining regions and nodes, and putting them back.

use std::{fmt, sync::Arc};

use causeway_types::{Now, UnixTime};

use crate::{ApiCaller, AuditEntry, Drain, Regions, Store, StoreResult};

/// The use-cases.
pub struct RegionDesk<S> {
    store: Arc<S>,
    regions: Arc<Regions>,
}

impl<S> fmt::Debug for RegionDesk<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegionDesk").finish_non_exhaustive()
    }
}

impl<S: Store> RegionDesk<S> {
    /// Over a store, which the servers it is about read, and the picture that those who mint here look at.
    pub const fn new(store: Arc<S>, regions: Arc<Regions>) -> Self {
        Self { store, regions }
    }

    /// The regions there are.
    #[must_use]
    pub fn regions(&self) -> &Regions {
        &self.regions
    }

    /// Drains a region or a node of it, or puts it back; whether there is such a one. When this returns, this server sends
    /// no client there; other servers, and the relays themselves, follow within two seconds.
    ///
    /// # Errors
    /// The store did not answer; then nothing is changed.
    pub async fn drain(&self, caller: ApiCaller, drain: Drain, is_drained: bool, now: Now) -> StoreResult<bool> {
        if !self.is_known(&drain) {
            return Ok(false);
        }
        self.store.set_drain(&drain, is_drained, now.unix).await?;
        self.note(caller, &drain, is_drained, now.unix).await?;
        self.regions.update(now, |board| board.handle_drain(drain, is_drained));
        Ok(true)
    }

    fn is_known(&self, drain: &Drain) -> bool {
        let snapshot = self.regions.snapshot();
        let Some(region) = snapshot.find(&drain.region) else { return false };
        drain.node.as_ref().is_none_or(|name| region.nodes.iter().any(|node| node.report.name == *name))
    }

    async fn note(&self, caller: ApiCaller, drain: &Drain, is_drained: bool, at: UnixTime) -> StoreResult<()> {
        let action = if is_drained { "region.drain" } else { "region.undrain" };
        // Names hold nothing that JSON would escape.
        let detail = drain.node.as_ref().map_or_else(|| "{}".to_owned(), |node| format!(r#"{{"node":"{node}"}}"#));
        self.store.audit(&AuditEntry::by(caller, action, drain.region.clone(), detail, at)).await
    }
}
