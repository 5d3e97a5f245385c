//! Webhooks of voice calls: the vendor's JSON, signed with ed25519, in order per call, retried, then to the failover URL
//! (`compat/telnyx.md#webhooks`).

use std::{
    collections::{HashMap, VecDeque},
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
use causeway_app::{OrganizationId, ProjectId, StoreResult, VoiceEvent, VoiceEventKind, VoiceLeg, VoiceStore};
use causeway_call_core::{CallId, EndedBy, HangupCause};
use causeway_types::Now;
use serde_json::{Map, Value, json};
use tokio::{
    sync::{Mutex as AsyncMutex, Semaphore, mpsc},
    task::JoinSet,
};

use crate::times::precise;

/// For one attempt, when the connection does not say.
const PATIENCE: Duration = Duration::from_secs(2);
/// Before each attempt at one URL.
const PAUSES: [Duration; 3] = [Duration::ZERO, Duration::from_secs(1), Duration::from_secs(3)];
/// A queue without an event for so long is given up: the next event makes another.
const IDLE: Duration = Duration::from_secs(5);
/// Events of one call that wait; one more is dropped and logged.
const PER_CALL_MAX: usize = 256;
/// Posts at once.
const POSTS_MAX: usize = 64;
/// Deliveries that can be looked at, over all projects.
const LOG_MAX: usize = 1000;

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

/// One attempt, as the log shows it.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    pub(crate) project: ProjectId,
    pub(crate) event: String,
    pub(crate) event_type: &'static str,
    pub(crate) url: String,
    pub(crate) attempt: u32,
    pub(crate) at: String,
    pub(crate) outcome: Result<u16, String>,
}

/// Events that no receiver took, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeliveryFigures {
    /// Not tried: more events of one call waited than may.
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
    keys: AsyncMutex<HashMap<OrganizationId, Arc<Ed25519KeyPair>>>,
    posts: Semaphore,
    figures: Counters,
    log: parking_lot::Mutex<VecDeque<Attempt>>,
}

impl<S> std::fmt::Debug for Deliveries<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Deliveries")
    }
}

impl<S: VoiceStore> Deliveries<S> {
    /// Over a store that keeps the signing keys.
    pub fn new(store: Arc<S>, post: Arc<dyn Post>) -> Arc<Self> {
        let (keys, log) = (AsyncMutex::default(), parking_lot::Mutex::default());
        Arc::new(Self { store, post, keys, posts: Semaphore::new(POSTS_MAX), figures: Counters::default(), log })
    }

    /// What came to nothing.
    pub fn figures(&self) -> DeliveryFigures {
        let Counters { dropped, given_up } = &self.figures;
        DeliveryFigures { dropped: dropped.load(Ordering::Relaxed), given_up: given_up.load(Ordering::Relaxed) }
    }

    /// Delivers until the events end: one queue per call, so that a call's events come in order.
    pub async fn run(self: Arc<Self>, mut events: mpsc::Receiver<VoiceEvent>) {
        let mut calls: HashMap<CallId, mpsc::Sender<VoiceEvent>> = HashMap::new();
        // They end with this.
        let mut tasks = JoinSet::new();
        while let Some(event) = events.recv().await {
            let call = event.leg.call;
            let event = match calls.get(&call) {
                Some(queue) => match queue.try_send(event) {
                    Ok(()) => continue,
                    Err(mpsc::error::TrySendError::Full(_)) => {
                        self.figures.dropped.fetch_add(1, Ordering::Relaxed);
                        tracing::warn!("a voice webhook is too far behind: an event is not delivered");
                        continue;
                    }
                    Err(mpsc::error::TrySendError::Closed(event)) => event,
                },
                None => event,
            };
            calls.retain(|_, queue| !queue.is_closed());
            while let Some(ended) = tasks.try_join_next() {
                if let Err(error) = ended {
                    tracing::error!(%error, "deliveries of a call ended badly");
                }
            }
            let (queue, waiting) = mpsc::channel(PER_CALL_MAX);
            // It has room: it is new.
            if queue.try_send(event).is_ok() {
                calls.insert(call, queue);
                tasks.spawn(Arc::clone(&self).deliver_call(waiting));
            }
        }
    }

    /// Ends when the call had no event for a while, or with the sender.
    async fn deliver_call(self: Arc<Self>, mut waiting: mpsc::Receiver<VoiceEvent>) {
        while let Ok(Some(event)) = tokio::time::timeout(IDLE, waiting.recv()).await {
            self.deliver(&event).await;
        }
        waiting.close();
        while let Ok(event) = waiting.try_recv() {
            self.deliver(&event).await;
        }
    }

    async fn deliver(&self, event: &VoiceEvent) {
        let id = uuid::Uuid::new_v4().to_string();
        let (event_type, payload) = payload(event);
        let data = json!({
            "record_type": "event", "event_type": event_type, "id": id, "occurred_at": precise(event.at), "payload": payload,
        });
        let patience = event.leg.webhook.timeout.unwrap_or(PATIENCE);
        let urls = [&event.leg.webhook.url, &event.leg.webhook.failover_url];
        let mut attempt = 0;
        for url in urls.into_iter().flatten() {
            for pause in PAUSES {
                tokio::time::sleep(pause).await;
                attempt += 1;
                let body = json!({"data": data, "meta": {"attempt": attempt, "delivered_to": url}}).to_string();
                let outcome = self.send(event.leg.organization, url, body, patience).await;
                self.note(Attempt {
                    project: event.leg.project,
                    event: id.clone(),
                    event_type,
                    url: url.clone(),
                    attempt,
                    at: precise(Now::read().unix),
                    outcome: outcome.clone(),
                });
                match outcome {
                    Ok(200..300) => return,
                    // The receiver does not want it; its failover may.
                    Ok(status) if !matches!(status, 408 | 429 | 500..) => break,
                    Ok(_) | Err(_) => {}
                }
            }
        }
        if attempt > 0 {
            self.figures.given_up.fetch_add(1, Ordering::Relaxed);
            tracing::debug!(event_type, "a voice webhook was given up");
        }
    }

    async fn send(
        &self,
        organization: OrganizationId,
        url: &str,
        body: String,
        patience: Duration,
    ) -> Result<u16, String> {
        let key = self.key(organization).await.map_err(|error| error.to_string())?;
        let key = key.ok_or_else(|| "there is no key to sign with".to_owned())?;
        let timestamp = Now::read().unix.as_secs();
        let signature = key.sign(format!("{timestamp}|{body}").as_bytes());
        let headers = [
            ("user-agent", "telnyx-webhooks".to_owned()),
            ("telnyx-timestamp", timestamp.to_string()),
            ("telnyx-signature-ed25519", STANDARD.encode(signature.as_ref())),
        ];
        let Ok(_room) = self.posts.acquire().await else { return Err("the server stops".to_owned()) };
        self.post.post(url, &headers, body, patience).await
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

    fn note(&self, attempt: Attempt) {
        let mut log = self.log.lock();
        if log.len() >= LOG_MAX {
            log.pop_front();
        }
        log.push_back(attempt);
    }

    /// The last attempts of a project, newest first.
    pub(crate) fn log(&self, project: ProjectId) -> Vec<Attempt> {
        self.log.lock().iter().rev().filter(|attempt| attempt.project == project).cloned().collect()
    }
}

fn payload(event: &VoiceEvent) -> (&'static str, Value) {
    let leg = &event.leg;
    let mut payload = common(leg);
    let event_type = match &event.kind {
        VoiceEventKind::Initiated => {
            payload.insert("direction".to_owned(), "outgoing".into());
            payload.insert("state".to_owned(), if leg.is_parked { "parked" } else { "bridging" }.into());
            payload.insert("start_time".to_owned(), precise(leg.started).into());
            payload.insert("custom_headers".to_owned(), headers(leg));
            payload.insert("tags".to_owned(), json!([]));
            "call.initiated"
        }
        VoiceEventKind::Answered => {
            payload.insert("state".to_owned(), "answered".into());
            payload.insert("start_time".to_owned(), precise(leg.started).into());
            payload.insert("custom_headers".to_owned(), headers(leg));
            "call.answered"
        }
        VoiceEventKind::Bridged => "call.bridged",
        VoiceEventKind::Held(true) => "call.hold",
        VoiceEventKind::Held(false) => "call.unhold",
        VoiceEventKind::Dtmf(digit) => {
            payload.insert("digit".to_owned(), digit.to_string().into());
            "call.dtmf.received"
        }
        VoiceEventKind::HungUp { cause, by } => {
            let (name, sip) = hangup_cause(*cause);
            let source = match by {
                EndedBy::Caller => "caller",
                EndedBy::Callee => "callee",
                EndedBy::Server => "unknown",
            };
            payload.insert("state".to_owned(), "hangup".into());
            payload.insert("start_time".to_owned(), precise(leg.started).into());
            payload.insert("end_time".to_owned(), precise(event.at).into());
            payload.insert("hangup_cause".to_owned(), name.into());
            payload.insert("hangup_source".to_owned(), source.into());
            payload.insert("sip_hangup_cause".to_owned(), sip.into());
            payload.insert("custom_headers".to_owned(), headers(leg));
            "call.hangup"
        }
    };
    (event_type, Value::Object(payload))
}

fn common(leg: &VoiceLeg) -> Map<String, Value> {
    let common = json!({
        "call_control_id": format!("v3:{}", leg.leg),
        "connection_id": leg.connection.0.to_string(),
        "call_leg_id": leg.leg.to_string(),
        "call_session_id": leg.call.to_string(),
        "client_state": leg.client_state,
        "from": leg.from,
        "to": leg.to,
    });
    match common {
        Value::Object(common) => common,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Map::new(),
    }
}

fn headers(leg: &VoiceLeg) -> Value {
    leg.headers.iter().map(|header| json!({"name": header.name, "value": header.value})).collect()
}

/// The vendor's word and SIP code.
const fn hangup_cause(cause: HangupCause) -> (&'static str, &'static str) {
    match cause {
        HangupCause::Normal | HangupCause::Replaced | HangupCause::Administrative | HangupCause::AnsweredElsewhere => {
            ("normal_clearing", "200")
        }
        HangupCause::Cancelled => ("originator_cancel", "487"),
        HangupCause::Busy => ("user_busy", "486"),
        HangupCause::Rejected => ("call_rejected", "603"),
        HangupCause::Forbidden => ("call_rejected", "403"),
        HangupCause::NoAnswer => ("timeout", "480"),
        HangupCause::TimedOut => ("no_answer", "408"),
        HangupCause::NotFound => ("not_found", "404"),
        HangupCause::NotRegistered => ("not_found", "480"),
        HangupCause::DurationLimit => ("time_limit", "unspecified"),
        HangupCause::ConnectionLost
        | HangupCause::IncompatibleMedia
        | HangupCause::Congestion
        | HangupCause::Failure
        | HangupCause::Shutdown => ("unspecified", "unspecified"),
    }
}
