//! Registrations and calls between clients as part of the server: the switchboard, its clock, its counters.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use causeway_api_causeway::{Metric, Sample};
use causeway_app::{CallBook, CallStore, ClientPlaces, ProjectId, Registration, Registrations, VoiceCalls, VoiceEvent};
use causeway_call_core::{
    AccountId, Binding, CallEvent, CallEventKind, CallLimits, HangupCause, NodeId, PresenceChange, RegistrarLimits,
};
use causeway_events::{EventBus, redis::RedisCluster};
use causeway_signal_sip::{LimitReached, SipService, SipUser};
use causeway_store::SqlStore;
use causeway_switchboard::{CallListener, Switchboard, SwitchboardSettings, node_of};
use causeway_types::Now;
use causeway_webhooks::Webhooks;
use parking_lot::Mutex;
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};

use crate::{
    call_services::CallServices,
    config::{CallsConfig, Settings},
    live_calls::LiveBoard,
    node::Node,
    sip,
};

/// Records of calls that wait for a store that does not answer.
const RECORDS_WAITING_MAX: usize = 100_000;
/// Records written at once, and how often.
const RECORDS_AT_ONCE: usize = 500;
const RECORDS_EVERY: Duration = Duration::from_millis(500);
/// How long the last records are tried for.
const RECORDS_PATIENCE: Duration = Duration::from_secs(5);

/// The running part.
pub(crate) struct Calls {
    /// Where every signalling dialect connects its clients.
    pub(crate) board: Arc<Switchboard>,
    /// Where its clients are.
    pub(crate) places: Arc<ClientPlaces>,
    /// SIP users of the configuration.
    pub(crate) users: BTreeMap<String, SipUser>,
    pub(crate) config: CallsConfig,
    /// Random and secret.
    pub(crate) nonce_key: [u8; 32],
    /// In challenges for passwords.
    pub(crate) realm: String,
    /// SIP clients, once they are served.
    pub(crate) sip: OnceLock<Arc<SipService>>,
    /// Names that clients call and that are no clients.
    pub(crate) services: Arc<CallServices>,
    pub(crate) book: Arc<CallBook>,
    /// Calls that go on, on all servers.
    pub(crate) live: Arc<LiveBoard>,
    counters: Arc<Counters>,
    node: String,
    /// Calls of voice connections, as their backends see them.
    pub(crate) voice: Arc<VoiceCalls>,
    events: Mutex<Option<mpsc::Receiver<VoiceEvent>>>,
    /// Clock, and the link to other servers.
    tasks: Mutex<Vec<JoinHandle<()>>>,
    cluster: Option<Arc<RedisCluster>>,
}

impl Calls {
    /// Opens the switchboard.
    pub(crate) async fn start(
        settings: &Settings,
        node: &Node,
        store: &SqlStore,
        bus: &Arc<EventBus>,
        webhooks: &Arc<Webhooks>,
    ) -> anyhow::Result<Self> {
        let users = sip::users(settings, store).await?;
        let services = Arc::new(CallServices::start(settings, store, webhooks).await?);
        let mut seed = [0; 32];
        aws_lc_rs::rand::fill(&mut seed).map_err(|_| anyhow::anyhow!("the system has no randomness"))?;
        let places = Arc::<ClientPlaces>::default();
        let book = CallBook::new(Arc::<EventBus>::clone(bus), Arc::clone(&places), RECORDS_WAITING_MAX);
        let (book, counters) = (Arc::new(book), Arc::<Counters>::default());
        let (voice, events) = VoiceCalls::new();
        let voice = Arc::new(voice);
        let live = Arc::new(LiveBoard::new(Arc::clone(&book)));
        let (shown, told) = (Arc::clone(&live), Arc::clone(&book));
        let listener = Listener { book: told, live: shown, counters: Arc::clone(&counters), voice: Arc::clone(&voice) };
        // Apart from other uses of the cluster, so that none waits for another.
        let (name, start) = (format!("{}.calls", node.name), Now::read().unix.as_millis());
        let mut own = switchboard_settings(&settings.calls, node);
        if settings.cluster_redis.is_some() {
            own.node = node_of(&RedisCluster::address(&name, start));
        }
        let board = Switchboard::new(own, seed, Arc::new(listener));
        let mut tasks = vec![board.keep_time()];
        let cluster = settings
            .cluster_redis
            .clone()
            .map(|target| Arc::new(RedisCluster::start(target, &name, start, Arc::<Switchboard>::clone(&board))));
        if let Some(cluster) = &cluster {
            live.join(Arc::<RedisCluster>::clone(cluster));
            tasks.push(board.join(Arc::<RedisCluster>::clone(cluster), Arc::clone(&places)));
        }
        let mut nonce_key = [0; 32];
        aws_lc_rs::rand::fill(&mut nonce_key).map_err(|_| anyhow::anyhow!("the system has no randomness"))?;
        let sip = OnceLock::new();
        let config = settings.calls.clone();
        Ok(Self {
            nonce_key,
            board,
            places,
            users,
            config,
            realm: settings.realm.clone(),
            sip,
            services,
            book,
            live,
            counters,
            node: node.name.clone(),
            voice,
            events: Mutex::new(Some(events)),
            tasks: Mutex::new(tasks),
            cluster,
        })
    }

    /// Who is registered here.
    pub(crate) fn registrations(&self) -> Arc<dyn Registrations> {
        Arc::new(OwnRegistrations { board: Arc::clone(&self.board), places: Arc::clone(&self.places) })
    }

    /// Sends clients away one after the other; those with calls when these are over.
    pub(crate) fn drain(&self) {
        if let Some(sip) = self.sip.get() {
            sip.drain();
        }
    }

    /// What backends of voice connections are to be told; once.
    pub(crate) fn take_voice_events(&self) -> Option<mpsc::Receiver<VoiceEvent>> {
        self.events.lock().take()
    }

    /// Ends every call and cuts every client off.
    pub(crate) fn end(&self) {
        self.board.shut_down();
        for task in std::mem::take(&mut *self.tasks.lock()) {
            task.abort();
        }
    }

    /// Writes records of calls until `stop` changes; what is left then is tried for a while.
    pub(crate) fn task(self: &Arc<Self>, store: &Arc<SqlStore>, mut stop: watch::Receiver<bool>) -> JoinHandle<()> {
        let (this, store) = (Arc::clone(self), Arc::clone(store));
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    () = tokio::time::sleep(RECORDS_EVERY) => {}
                    _ = stop.changed() => break,
                }
                this.write(&store).await;
            }
            // Calls end after the stop is told: their records come until the switchboard is empty.
            let until = Instant::now() + RECORDS_PATIENCE;
            while Instant::now() < until && (this.book.live() > 0 || !this.write(&store).await) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            if let Some(cluster) = &this.cluster {
                cluster.finish().await;
            }
        })
    }

    /// Whether nothing waits any more.
    async fn write(&self, store: &SqlStore) -> bool {
        loop {
            let records = self.book.waiting(RECORDS_AT_ONCE);
            if records.is_empty() {
                return true;
            }
            if let Err(error) = store.insert_calls(&self.node, &records).await {
                tracing::warn!(%error, "records of calls were not written; they are kept and written later");
                return false;
            }
            self.live.taken(&records);
        }
    }

    /// Its counters.
    pub(crate) fn samples(&self) -> Vec<Sample> {
        let counts = self.board.counts();
        let plain = |metric, value| Sample { metric, label: None, value };
        let number = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        let mut samples = vec![
            plain(Metric::CallClients, number(counts.connections)),
            plain(Metric::CallClientsCutOff, counts.slow_clients),
            plain(Metric::Registrations, number(counts.registrations)),
            plain(Metric::Calls, number(counts.calls)),
            plain(Metric::CallsStarted, self.counters.started.load(Ordering::Relaxed)),
            plain(Metric::CallsAnswered, self.counters.answered.load(Ordering::Relaxed)),
        ];
        samples.extend(HangupCause::ALL.iter().zip(&self.counters.ended).map(|(cause, n)| Sample {
            metric: Metric::CallsEnded,
            label: Some(("cause", cause.name().to_owned())),
            value: n.load(Ordering::Relaxed),
        }));
        samples.push(plain(Metric::CallRecordsLost, self.book.lost()));
        if let Some(figures) = self.sip.get().map(|sip| sip.figures()) {
            samples.push(plain(Metric::SipConnections, figures.connections));
            samples.push(plain(Metric::SipMessages, figures.messages));
            samples.push(plain(Metric::SipMessagesDropped, figures.dropped));
            samples.extend(LimitReached::ALL.iter().zip(figures.limits).map(|(limit, value)| Sample {
                metric: Metric::SipLimits,
                label: Some(("limit", limit.name().to_owned())),
                value,
            }));
        }
        samples
    }
}

/// The registrations of this server, and those of others as far as they can be asked.
struct OwnRegistrations {
    board: Arc<Switchboard>,
    places: Arc<ClientPlaces>,
}

impl OwnRegistrations {
    fn view(&self, binding: &Binding) -> Registration {
        causeway_app::registration(binding, self.places.of(binding.connection))
    }
}

impl Registrations for OwnRegistrations {
    fn of_project(&self, project: ProjectId) -> Pin<Box<dyn Future<Output = Vec<Registration>> + Send + '_>> {
        let own: Vec<Registration> = self.board.with_registrar(|registrar| {
            let own = registrar.bindings().filter(|binding| CallBook::project(binding.identity.account) == project);
            own.map(|binding| self.view(binding)).collect()
        });
        Box::pin(async move {
            let mut all = own;
            all.extend(self.board.registrations_elsewhere(AccountId(project.0)).await);
            all.sort_by(|a, b| (a.since, &a.id).cmp(&(b.since, &b.id)));
            all
        })
    }

    fn end(&self, is_meant: &dyn Fn(&Registration) -> bool) -> u64 {
        u64::try_from(self.board.revoke(|binding| is_meant(&self.view(binding)))).unwrap_or(u64::MAX)
    }
}

fn switchboard_settings(config: &CallsConfig, node: &Node) -> SwitchboardSettings {
    let calls = CallLimits {
        calls_max: config.calls_max,
        legs_per_connection_max: config.calls_per_client_max,
        ring_max: config.ring_for,
        ..CallLimits::default()
    };
    let registrations = RegistrarLimits {
        bindings_max: config.registrations_max,
        bindings_per_identity_max: config.registrations_per_client_max,
        bindings_per_grant_max: config.registrations_per_token_max,
        ..RegistrarLimits::default()
    };
    let node = NodeId(u32::from(node.number));
    SwitchboardSettings { node, calls, registrations, ..SwitchboardSettings::default() }
}

/// What happened so far.
#[derive(Debug, Default)]
struct Counters {
    started: AtomicU64,
    answered: AtomicU64,
    /// As [`HangupCause::ALL`].
    ended: [AtomicU64; HangupCause::ALL.len()],
}

/// Everybody who hears of calls.
struct Listener {
    book: Arc<CallBook>,
    live: Arc<LiveBoard>,
    counters: Arc<Counters>,
    voice: Arc<VoiceCalls>,
}

impl CallListener for Listener {
    fn call(&self, event: CallEvent) {
        self.voice.note(&event);
        self.live.note(&event);
        self.counters.count(&event);
    }

    fn presence(&self, change: PresenceChange) {
        self.book.presence(&change);
    }
}

impl Counters {
    fn count(&self, event: &CallEvent) {
        match &event.kind {
            CallEventKind::Started { .. } => _ = self.started.fetch_add(1, Ordering::Relaxed),
            CallEventKind::Answered { .. } => _ = self.answered.fetch_add(1, Ordering::Relaxed),
            CallEventKind::Ended { cause, .. } => {
                let counters = HangupCause::ALL.iter().zip(&self.ended);
                counters.filter(|(known, _)| *known == cause).for_each(|(_, n)| _ = n.fetch_add(1, Ordering::Relaxed));
            }
            CallEventKind::Redirected { .. }
            | CallEventKind::Invited { .. }
            | CallEventKind::Ringing { .. }
            | CallEventKind::Held { .. }
            | CallEventKind::Renegotiated
            | CallEventKind::Dtmf { .. }
            | CallEventKind::Transferred { .. }
            | CallEventKind::Detached { .. }
            | CallEventKind::Resumed { .. }
            | CallEventKind::LegEnded { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use causeway_call_core::{CallId, EndedBy};
    use causeway_types::UnixTime;

    use super::*;

    #[test]
    fn ended_calls_are_counted_by_cause() {
        let counters = Counters::default();
        let kind = CallEventKind::Ended { cause: HangupCause::Busy, by: EndedBy::Callee };
        counters.count(&CallEvent { at: UnixTime::from_secs(1), call: CallId(1), kind });
        let counts: Vec<u64> = counters.ended.iter().map(|n| n.load(Ordering::Relaxed)).collect();
        let busy = HangupCause::ALL.iter().position(|cause| *cause == HangupCause::Busy).unwrap();
        assert_eq!((counts[busy], counts.iter().sum::<u64>()), (1, 1));
    }
}
