//! Webhooks of voice calls: signed with ed25519, in order per call, retried, then to the failover URL
//! (`compat/telnyx.md#webhooks`). Each is in the store before it is posted, so that no restart loses it.

mod progress;
mod queues;

use std::{
    collections::{HashMap, HashSet},
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::{Engine, engine::general_purpose::STANDARD};
use causeway_app::{
    OrganizationId, StoreResult, VoiceAttempt, VoiceDelivery, VoiceDeliveryPlace, VoiceDeliveryStore, VoiceEvent,
    VoiceStore, VoiceTry,
};
use causeway_types::Now;
use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::{Mutex as AsyncMutex, Semaphore, mpsc, watch};

use self::{
    progress::{Step, write_steps},
    queues::{Queues, Waiting},
};

/// For one attempt, when the connection does not say.
const PATIENCE: Duration = Duration::from_secs(2);
/// Before each attempt at one URL.
const PAUSES: [Duration; 3] = [Duration::ZERO, Duration::from_secs(1), Duration::from_secs(3)];
/// As many attempts at one URL.
const TRIES: u32 = 3;
/// Posts at once.
const POSTS_MAX: usize = 64;
/// Events kept at once.
const BATCH_MAX: usize = 256;
/// Outcomes that may wait to be kept; then attempts wait too.
const STEPS_MAX: usize = 1000;
/// What waited for so long may be erased, or another server's, by then.
const FRESH: Duration = Duration::from_secs(1);
/// How often a server says that it holds its deliveries, and looks for those of others that are gone.
const HOLD_EVERY: Duration = Duration::from_secs(5);

/// Posts a body to a URL; the status of the answer, or why there is none.
pub trait Post: Send + Sync + 'static {
    /// Once.
    fn post<'a>(
        &'a self,
        url: &'a str,
        headers: &'a [(&'static str, String)],
        body: String,
        patience: Duration,
    ) -> Pin<Box<dyn Future<Output = Result<u16, String>> + Send + 'a>>;
}

/// Events that no receiver took, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeliveryFigures {
    /// Not tried: more events of one call, or in all, waited than may.
    pub dropped: u64,
    /// Every attempt at every URL failed.
    pub given_up: u64,
}

#[derive(Default)]
struct Counters {
    dropped: AtomicU64,
    given_up: AtomicU64,
}

/// The deliveries.
pub struct Deliveries<S> {
    store: Arc<S>,
    post: Arc<dyn Post>,
    /// How long attempts can be looked at.
    kept_for: Duration,
    keys: AsyncMutex<HashMap<OrganizationId, Arc<Ed25519KeyPair>>>,
    posts: Semaphore,
    figures: Counters,
    /// Events that this process delivers now.
    live: Mutex<HashSet<String>>,
}

impl<S> std::fmt::Debug for Deliveries<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Deliveries")
    }
}

impl<S: VoiceStore + VoiceDeliveryStore> Deliveries<S> {
    /// Over a store that keeps them and the signing keys; attempts can be looked at for so long.
    pub fn new(store: Arc<S>, post: Arc<dyn Post>, kept_for: Duration) -> Arc<Self> {
        let (keys, live, posts) = (AsyncMutex::default(), Mutex::default(), Semaphore::new(POSTS_MAX));
        Arc::new(Self { store, post, kept_for, keys, posts, figures: Counters::default(), live })
    }

    /// What came to nothing.
    pub fn figures(&self) -> DeliveryFigures {
        let Counters { dropped, given_up } = &self.figures;
        DeliveryFigures { dropped: dropped.load(Ordering::Relaxed), given_up: given_up.load(Ordering::Relaxed) }
    }

    /// Delivers what was left by the process before, then what happens, until `stop` changes. What is not delivered then stays
    /// in the store.
    pub async fn run(self: Arc<Self>, mut events: mpsc::Receiver<VoiceEvent>, mut stop: watch::Receiver<bool>) {
        let (steps, outcomes) = mpsc::channel(STEPS_MAX);
        let writer = tokio::spawn(write_steps(Arc::clone(&self.store), outcomes));
        let mut queues = Queues::new(Arc::clone(&self), steps);
        let mut clock = tokio::time::interval(HOLD_EVERY);
        clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut batch = Vec::new();
        loop {
            tokio::select! {
                count = events.recv_many(&mut batch, BATCH_MAX) => {
                    if count == 0 {
                        break;
                    }
                    queues.take(std::mem::take(&mut batch)).await;
                }
                _ = clock.tick() => queues.look_after().await,
                _ = stop.changed() => break,
            }
        }
        while let Ok(event) = events.try_recv() {
            batch.push(event);
        }
        queues.close(batch).await;
        if let Err(error) = writer.await {
            tracing::error!(%error, "what became of voice webhooks is not kept");
        }
    }

    /// Tries until it is taken or given up; goes on where an earlier process was. Whether another server does.
    async fn deliver(&self, waiting: Waiting, steps: &mpsc::Sender<Step>) -> bool {
        let Waiting { mut delivery, is_kept, since } = waiting;
        let urls = [Some(delivery.url.clone()), delivery.failover_url.clone()];
        let urls: Vec<String> = urls.into_iter().flatten().collect();
        let url_of = |step: u32| usize::try_from(step / TRIES).ok().and_then(|index| urls.get(index));
        while let Some(url) = url_of(delivery.step) {
            let pause = delivery.next_at.saturating_since(Now::read().unix);
            // A clock that was set back must not hold an event for long.
            tokio::time::sleep(pause.min(PAUSES[2])).await;
            if is_kept && (delivery.attempts > 0 || since.elapsed() >= FRESH) {
                match self.store.voice_delivery_place(&delivery.event).await {
                    Ok(VoiceDeliveryPlace::Here) => {}
                    Ok(VoiceDeliveryPlace::Gone) => return false,
                    Ok(VoiceDeliveryPlace::Elsewhere) => return true,
                    Err(error) => {
                        tracing::debug!(%error, "whether a voice webhook is still wanted is not known: it is told")
                    }
                }
            }
            delivery.attempts += 1;
            let outcome = self.send(&delivery, url).await;
            let is_taken = matches!(outcome, Ok(200..300));
            // The receiver does not want it; its failover may.
            let is_refused = matches!(outcome, Ok(status) if !matches!(status, 200..300 | 408 | 429 | 500..));
            delivery.step = if is_refused { (delivery.step / TRIES + 1) * TRIES } else { delivery.step + 1 };
            let is_over = is_taken || url_of(delivery.step).is_none();
            let now = Now::read().unix;
            let pause = usize::try_from(delivery.step % TRIES).ok().and_then(|index| PAUSES.get(index));
            delivery.next_at = now.saturating_add(pause.copied().unwrap_or_default());
            let attempt = VoiceAttempt {
                project: delivery.project,
                event: delivery.event.clone(),
                event_type: delivery.event_type.clone(),
                url: url.clone(),
                attempt: delivery.attempts,
                at: now,
                outcome,
            };
            let (attempts, step, next_at) = (delivery.attempts, delivery.step, delivery.next_at);
            let tried = (!is_over).then(|| VoiceTry { event: delivery.event.clone(), attempts, step, next_at });
            if steps.send(Step::Tried { attempt, tried }).await.is_err() {
                // The server stops: the next process tries once more.
                return false;
            }
            if is_over {
                if !is_taken {
                    self.figures.given_up.fetch_add(1, Ordering::Relaxed);
                    tracing::debug!(event_type = delivery.event_type, "a voice webhook was given up");
                }
                return false;
            }
        }
        false
    }

    /// The server that is at this call tells this, too, after what it tells already.
    async fn hand_over(&self, event: &str) {
        if let Err(error) = self.store.yield_voice_delivery(event).await {
            tracing::debug!(%error, "a voice webhook waits for the end of this server's hold");
        }
    }

    async fn send(&self, delivery: &VoiceDelivery, url: &str) -> Result<u16, String> {
        let meta = json!({"attempt": delivery.attempts, "delivered_to": url});
        let body = format!(r#"{{"data":{},"meta":{meta}}}"#, delivery.body);
        let key = self.key(delivery.organization).await.map_err(|error| error.to_string())?;
        let key = key.ok_or_else(|| "there is no key to sign with".to_owned())?;
        let timestamp = Now::read().unix.as_secs();
        let signature = key.sign(format!("{timestamp}|{body}").as_bytes());
        let headers = [
            ("user-agent", "telnyx-webhooks".to_owned()),
            ("telnyx-timestamp", timestamp.to_string()),
            ("telnyx-signature-ed25519", STANDARD.encode(signature.as_ref())),
        ];
        let Ok(_room) = self.posts.acquire().await else { return Err("the server stops".to_owned()) };
        self.post.post(url, &headers, body, delivery.timeout.unwrap_or(PATIENCE)).await
    }

    /// The organization's key pair, made when it is first needed.
    async fn key(&self, organization: OrganizationId) -> StoreResult<Option<Arc<Ed25519KeyPair>>> {
        let mut keys = self.keys.lock().await;
        if let Some(key) = keys.get(&organization) {
            return Ok(Some(Arc::clone(key)));
        }
        let Ok(made) = Ed25519KeyPair::generate().and_then(|key| key.to_pkcs8v1()) else { return Ok(None) };
        let kept = self.store.voice_key(organization, made.as_ref(), Now::read().unix).await?;
        let key = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&kept).ok().map(Arc::new);
        if let Some(key) = &key {
            keys.insert(organization, Arc::clone(key));
        }
        Ok(key)
    }

    /// What receivers verify with: base64 of 32 bytes.
    pub(crate) async fn public_key(&self, organization: OrganizationId) -> StoreResult<Option<String>> {
        Ok(self.key(organization).await?.map(|key| STANDARD.encode(key.public_key().as_ref())))
    }
}
