//! One queue per call, so that a call's events go out in order, and what is held in the store.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use causeway_app::{VOICE_DELIVERIES_MAX, VoiceDelivery, VoiceDeliveryStore, VoiceEvent, VoiceStore};
use causeway_types::{Now, UnixTime};
use serde_json::json;
use tokio::{sync::mpsc, task::JoinSet};

use super::{Deliveries, Step};
use crate::{payload::payload, times::precise};

/// A queue without an event for so long is given up: the next event makes another.
const IDLE: Duration = Duration::from_secs(5);
/// Events of one call that wait; one more is dropped and logged.
const PER_CALL_MAX: usize = 256;
/// How long deliveries are held: those of a server that is gone are taken over by others after it.
const HELD: Duration = Duration::from_secs(30);
/// A store that was away was so for the others, too: they hold what is theirs first.
const LOOKS_OFF: u32 = 2;
/// Nobody wants to hear of a call any more after so long.
const DELIVERED_WITHIN: Duration = Duration::from_secs(86_400);
/// Old ones are forgotten every so many looks.
const FORGET_EVERY: u64 = 120;

/// A delivery in its call's queue.
pub(super) struct Waiting {
    pub(super) delivery: VoiceDelivery,
    /// The store has it.
    pub(super) is_kept: bool,
    pub(super) since: Instant,
}

pub(super) struct Queues<S> {
    deliveries: Arc<Deliveries<S>>,
    steps: mpsc::Sender<Step>,
    calls: HashMap<String, mpsc::Sender<Waiting>>,
    tasks: JoinSet<()>,
    /// What this server held before it started is not taken over yet.
    is_start: bool,
    looks: u64,
    /// Looks without taking anything over.
    looks_off: u32,
}

impl<S: VoiceStore + VoiceDeliveryStore> Queues<S> {
    pub(super) fn new(deliveries: Arc<Deliveries<S>>, steps: mpsc::Sender<Step>) -> Self {
        // The tasks end with this.
        Self { deliveries, steps, calls: HashMap::new(), tasks: JoinSet::new(), is_start: true, looks: 0, looks_off: 0 }
    }

    /// Keeps what happened, then delivers it.
    pub(super) async fn take(&mut self, events: Vec<VoiceEvent>) {
        let (made, is_kept) = self.keep(events).await;
        for delivery in made {
            self.queue(delivery, is_kept).await;
        }
    }

    /// What happened last stays in the store, and so does what is not delivered yet.
    pub(super) async fn close(mut self, events: Vec<VoiceEvent>) {
        self.tasks.shutdown().await;
        self.keep(events).await;
    }

    /// What is to be delivered, and whether the store has it.
    async fn keep(&self, events: Vec<VoiceEvent>) -> (Vec<VoiceDelivery>, bool) {
        let mut made: Vec<VoiceDelivery> = events.iter().filter_map(delivery).collect();
        {
            let mut live = self.deliveries.live.lock();
            let room = VOICE_DELIVERIES_MAX.saturating_sub(live.len());
            if made.len() > room {
                let dropped = u64::try_from(made.len() - room).unwrap_or(u64::MAX);
                self.deliveries.figures.dropped.fetch_add(dropped, Ordering::Relaxed);
                tracing::warn!(dropped, "too many voice webhooks wait: events are not delivered");
                made.truncate(room);
            }
            live.extend(made.iter().map(|delivery| delivery.event.clone()));
        }
        let held_until = Now::read().unix.saturating_add(HELD);
        if made.is_empty() {
            return (made, true);
        }
        match self.deliveries.store.insert_voice_deliveries(&made, held_until).await {
            Ok(()) => (made, true),
            Err(error) => {
                tracing::warn!(%error, "voice webhooks are not kept: a restart would lose them");
                (made, false)
            }
        }
    }

    async fn queue(&mut self, delivery: VoiceDelivery, is_kept: bool) {
        let waiting = Waiting { delivery, is_kept, since: Instant::now() };
        let waiting = match self.calls.get(&waiting.delivery.call) {
            Some(queue) => match queue.try_send(waiting) {
                Ok(()) => return,
                Err(mpsc::error::TrySendError::Full(Waiting { delivery, .. })) => {
                    self.deliveries.figures.dropped.fetch_add(1, Ordering::Relaxed);
                    tracing::warn!("a voice webhook is too far behind: an event is not delivered");
                    self.deliveries.live.lock().remove(&delivery.event);
                    // The writer lives as long as this.
                    drop(self.steps.send(Step::Over(delivery.event)).await);
                    return;
                }
                Err(mpsc::error::TrySendError::Closed(waiting)) => waiting,
            },
            None => waiting,
        };
        self.calls.retain(|_, queue| !queue.is_closed());
        while let Some(ended) = self.tasks.try_join_next() {
            if let Err(error) = ended {
                tracing::error!(%error, "deliveries of a call ended badly");
            }
        }
        let (queue, in_line) = mpsc::channel(PER_CALL_MAX);
        let call = waiting.delivery.call.clone();
        // It has room: it is new.
        if queue.try_send(waiting).is_ok() {
            self.calls.insert(call, queue);
            let task = deliver_call(Arc::clone(&self.deliveries), self.steps.clone(), in_line);
            self.tasks.spawn(task);
        }
    }

    /// Holds what is this server's, takes over what nobody holds, and forgets what is old.
    pub(super) async fn look_after(&mut self) {
        let now = Now::read().unix;
        let held_until = now.saturating_add(HELD);
        let store = Arc::clone(&self.deliveries.store);
        if !self.is_start
            && let Err(error) = store.hold_voice_deliveries(held_until).await
        {
            tracing::debug!(%error, "voice webhooks are not held");
            self.looks_off = LOOKS_OFF;
        }
        if self.looks_off > 0 {
            self.looks_off -= 1;
        } else {
            match store.claim_voice_deliveries(self.is_start, now, held_until).await {
                Ok(claimed) => {
                    self.is_start = false;
                    self.adopt(claimed).await;
                }
                Err(error) => tracing::debug!(%error, "voice webhooks of other servers are not known"),
            }
        }
        if self.looks.is_multiple_of(FORGET_EVERY) {
            let before = |kept: Duration| UnixTime::from_secs(now.as_secs().saturating_sub(kept.as_secs()));
            let (old, attempts) = (before(DELIVERED_WITHIN), before(self.deliveries.kept_for));
            match store.forget_voice_deliveries(old, attempts).await {
                Ok(0) => {}
                Ok(forgotten) => {
                    self.deliveries.figures.given_up.fetch_add(forgotten, Ordering::Relaxed);
                    tracing::warn!(forgotten, "voice webhooks that nobody took in a day are forgotten");
                }
                Err(error) => tracing::debug!(%error, "old voice webhooks are still kept"),
            }
        }
        self.looks += 1;
    }

    /// Deliveries that an earlier process, or a server that is gone, left.
    async fn adopt(&mut self, claimed: Vec<VoiceDelivery>) {
        // What this process delivers already: its hold had run out while the store was away.
        let new: Vec<VoiceDelivery> = {
            let mut live = self.deliveries.live.lock();
            claimed.into_iter().filter(|delivery| live.insert(delivery.event.clone())).collect()
        };
        if !new.is_empty() {
            tracing::info!(count = new.len(), "voice webhooks that were left are delivered");
        }
        for delivery in new {
            self.queue(delivery, true).await;
        }
    }
}

/// Ends when the call had no event for a while, or with the sender.
async fn deliver_call<S: VoiceStore + VoiceDeliveryStore>(
    deliveries: Arc<Deliveries<S>>,
    steps: mpsc::Sender<Step>,
    mut in_line: mpsc::Receiver<Waiting>,
) {
    // Another server took this call over while the store could not be asked from here.
    let mut is_elsewhere = false;
    let mut deliver = async |waiting: Waiting| {
        let event = waiting.delivery.event.clone();
        if is_elsewhere && waiting.is_kept {
            // First: this server may be the one that claims it again.
            deliveries.live.lock().remove(&event);
            deliveries.hand_over(&event).await;
            return;
        }
        is_elsewhere |= deliveries.deliver(waiting, &steps).await;
        deliveries.live.lock().remove(&event);
    };
    while let Ok(Some(waiting)) = tokio::time::timeout(IDLE, in_line.recv()).await {
        deliver(waiting).await;
    }
    in_line.close();
    while let Ok(waiting) = in_line.try_recv() {
        deliver(waiting).await;
    }
}

/// An event on its way; none when nobody is to be told.
fn delivery(event: &VoiceEvent) -> Option<VoiceDelivery> {
    let webhook = &event.leg.webhook;
    let mut urls = [&webhook.url, &webhook.failover_url].into_iter().flatten().cloned();
    let url = urls.next()?;
    let id = uuid::Uuid::new_v4().to_string();
    let (event_type, payload) = payload(event);
    let data = json!({
        "record_type": "event", "event_type": event_type, "id": id, "occurred_at": precise(event.at), "payload": payload,
    });
    Some(VoiceDelivery {
        event: id,
        project: event.leg.project,
        organization: event.leg.organization,
        call: event.leg.call.to_string(),
        event_type: event_type.to_owned(),
        body: data.to_string(),
        url,
        failover_url: urls.next(),
        timeout: webhook.timeout,
        attempts: 0,
        step: 0,
        next_at: event.at,
        created_at: event.at,
    })
}
