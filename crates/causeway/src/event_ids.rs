//! Ids of events: no two servers of a database give the same one, and a later process gives higher ones.

use std::{sync::Arc, time::Duration};

use causeway_app::{Cursor, EVENT_IDS_AT_ONCE, Store};
use causeway_events::EventBus;
use causeway_types::Now;
use tokio::sync::watch;

/// How often it is looked whether those claimed come to an end: half of them last for hours.
const LOOK_INTERVAL: Duration = Duration::from_secs(60);

/// Claims the next block before this one is used up, until `stop` changes.
pub(crate) async fn keep_claimed<S: Store>(
    store: Arc<S>,
    bus: Arc<EventBus>,
    mut first: Cursor,
    mut stop: watch::Receiver<bool>,
) {
    let mut look = tokio::time::interval(LOOK_INTERVAL);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = look.tick() => {}
            _ = stop.changed() => return,
        }
        if bus.newest().0.saturating_sub(first.0) < EVENT_IDS_AT_ONCE / 2 {
            continue;
        }
        match store.claim_event_ids(Now::read().unix).await {
            Ok(claimed) => {
                first = claimed;
                bus.continue_at(claimed);
            }
            Err(error) => tracing::warn!(%error, "no more ids for events; those there are go on meanwhile"),
        }
    }
}
