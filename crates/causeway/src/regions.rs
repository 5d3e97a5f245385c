//! Keeps the picture of all regions: tells the others of this server, hears of them, and drains what is to be drained.

use std::{
    collections::BTreeSet,
    path::Path,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context;
use causeway_app::{
    BoardSettings, Drain, EventSink, IceUrls, Locator, LostNodes, NodeReport, NodeState, RegionBoard, Regions,
    RuleBook, Store, StoreResult, tell_left_open,
};
use causeway_certificates::CertificateStore;
use causeway_relay::RelayHandle;
use causeway_types::{Now, UnixTime};
use parking_lot::Mutex;
use tokio::{
    sync::{Notify, watch},
    time::MissedTickBehavior,
};

use crate::{config::Settings, geoip};

/// How often other servers and drains are read, and this server looks at itself.
const TICK: Duration = Duration::from_secs(1);
/// What projects used of their quotas is counted every so many ticks.
const TICKS_PER_COUNT: u32 = 5;
/// A server tells of itself so many times before it would count as gone.
const BEATS_PER_TIMEOUT: u32 = 3;
/// How long the last word of a server that ends may take.
const LAST_WORD: Duration = Duration::from_secs(2);

/// Whether this server refuses new allocations, and why.
#[derive(Debug, Default)]
pub(crate) struct Draining {
    /// It is going down.
    pub(crate) is_ending: AtomicBool,
    /// An operator drained it or its region.
    pub(crate) is_drained: AtomicBool,
    /// The second changed.
    pub(crate) changed: Notify,
}

impl Draining {
    pub(crate) fn is_ending(&self) -> bool {
        self.is_ending.load(Ordering::Relaxed)
    }

    pub(crate) fn is_drained(&self) -> bool {
        self.is_drained.load(Ordering::Relaxed)
    }
}

/// What this server is, for its reports.
pub(crate) struct Own {
    pub(crate) name: String,
    pub(crate) urls: IceUrls,
    pub(crate) started: UnixTime,
    pub(crate) relay: Arc<OnceLock<RelayHandle>>,
    pub(crate) draining: Arc<Draining>,
    /// Those that others trust: a self-signed one is nobody's concern.
    pub(crate) certificates: Option<Arc<CertificateStore>>,
}

pub(crate) struct RegionKeeper<S> {
    store: Arc<S>,
    regions: Arc<Regions>,
    rules: Arc<RuleBook>,
    own: Own,
    region: String,
    allocations_max: u32,
    beat: Duration,
    lost: Mutex<LostNodes>,
    sink: Arc<dyn EventSink>,
    /// Other servers may use the same database.
    is_shared: bool,
}

impl<S: Store> RegionKeeper<S> {
    /// Reads what is known by now.
    pub(crate) async fn start(
        settings: &Settings,
        store: &Arc<S>,
        own: Own,
        sink: Arc<dyn EventSink>,
    ) -> anyhow::Result<Self> {
        let is_shared = settings.database_url.is_some();
        let board_settings = BoardSettings { sites: settings.regions.clone(), node_timeout: settings.node_timeout };
        let report = report(&own, &settings.region, settings.allocations_max, Now::read().unix);
        let mut board = RegionBoard::new(board_settings, report);
        let (nodes, drains) = read(&**store, is_shared).await?;
        let now = Now::read();
        board.handle_nodes(now, nodes, drains);
        own.draining.is_drained.store(board.is_own_drained(), Ordering::Relaxed);
        let rules = Arc::new(RuleBook::default());
        rules.refresh(&**store, now.unix, true).await?;
        let locator = settings.geoip_database.as_deref().map(locator).transpose()?;
        Ok(Self {
            store: Arc::clone(store),
            regions: Arc::new(Regions::new(board, locator, Arc::clone(&sink), now)),
            rules,
            lost: Mutex::new(LostNodes::new(own.name.clone(), settings.node_timeout)),
            sink,
            own,
            region: settings.region.clone(),
            allocations_max: settings.allocations_max,
            beat: settings.node_timeout / BEATS_PER_TIMEOUT,
            is_shared,
        })
    }

    pub(crate) fn regions(&self) -> &Arc<Regions> {
        &self.regions
    }

    pub(crate) const fn rules(&self) -> &Arc<RuleBook> {
        &self.rules
    }

    /// Reads the database of places anew; one that cannot be read leaves the old one.
    pub(crate) fn reload(&self, settings: &Settings) {
        match settings.geoip_database.as_deref().map(locator).transpose() {
            Ok(locator) => self.regions.set_locator(locator),
            Err(error) => tracing::error!("{error:#}; the GeoIP database in force stays"),
        }
    }

    /// Looks at this server: from here on no client is sent to what does not serve.
    pub(crate) fn look_at_own(&self) -> NodeReport {
        let now = Now::read();
        let report = report(&self.own, &self.region, self.allocations_max, now.unix);
        self.regions.update(now, |board| board.handle_own(report.clone()));
        report
    }

    /// Works until `stop` changes.
    pub(crate) async fn run(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut told: Option<(NodeState, Instant)> = None;
        for count in 0_u32.. {
            tokio::select! {
                _ = tick.tick() => {}
                _ = stop.changed() => break,
            }
            let report = self.look_at_own();
            if self.is_shared {
                let is_news = told.is_none_or(|(state, at)| state != report.state || at.elapsed() + TICK > self.beat);
                if is_news && self.tell(&report).await {
                    told = Some((report.state, Instant::now()));
                }
            }
            self.hear().await;
            if let Err(error) = self.rules.refresh(&*self.store, Now::read().unix, count % TICKS_PER_COUNT == 0).await {
                tracing::debug!(%error, "what projects may use was not read");
            }
        }
        if self.is_shared {
            let last = NodeReport { state: NodeState::Stopped, live_sessions: 0, ..self.look_at_own() };
            if tokio::time::timeout(LAST_WORD, self.tell(&last)).await.is_err() {
                tracing::warn!("the other servers were not told of the end; they notice by themselves");
            }
        }
    }

    async fn tell(&self, report: &NodeReport) -> bool {
        let written = self.store.write_node(report).await;
        if let Err(error) = &written {
            tracing::debug!(%error, "the other servers were not told of this one");
        }
        written.is_ok()
    }

    async fn hear(&self) {
        match read(&*self.store, self.is_shared).await {
            Ok((nodes, drains)) => {
                let now = Now::read();
                let lost = self.lost.lock().handle_nodes(now.mono, &nodes);
                self.regions.update(now, |board| board.handle_nodes(now, nodes, drains));
                for (node, last_word) in lost {
                    self.close_lost(&node, last_word).await;
                }
            }
            Err(error) => {
                tracing::debug!(%error, "other servers are not known");
                let now = Now::read();
                self.lost.lock().handle_silence(now.mono);
                self.regions.update(now, |board| board.handle_silence(now));
            }
        }
        let is_drained = self.regions.is_own_drained();
        if self.own.draining.is_drained.swap(is_drained, Ordering::Relaxed) != is_drained {
            tracing::info!(is_drained, "an operator drained this server, or put it back");
            self.own.draining.changed.notify_one();
        }
    }

    /// Ends the sessions of a server that will hardly come back, and tells of it.
    async fn close_lost(&self, node: &str, last_word: UnixTime) {
        match self.store.close_lost(node, last_word).await {
            Ok(left_open) if left_open.is_empty() => {}
            Ok(left_open) => {
                tracing::warn!(
                    node,
                    sessions = left_open.len(),
                    "sessions of a lost server are closed: server_restart"
                );
                tell_left_open(&*self.sink, left_open);
            }
            Err(error) => tracing::warn!(node, %error, "sessions of a lost server were not closed; tried again later"),
        }
    }
}

async fn read<S: Store>(store: &S, is_shared: bool) -> StoreResult<(Vec<NodeReport>, BTreeSet<Drain>)> {
    let nodes = if is_shared { store.nodes().await? } else { Vec::new() };
    Ok((nodes, store.drains().await?))
}

fn report(own: &Own, region: &str, allocations_max: u32, now: UnixTime) -> NodeReport {
    let live = own.relay.get().map_or(0, RelayHandle::live_allocations);
    let state = match () {
        () if own.draining.is_ending() => NodeState::Draining,
        () if live >= allocations_max => NodeState::Full,
        () => NodeState::Serving,
    };
    NodeReport {
        started_at: own.started,
        state,
        live_sessions: live,
        certificate_expires_at: own.certificates.as_ref().and_then(|store| store.expires_at()).map(UnixTime::from),
        ..NodeReport::serving(&own.name, region, own.urls.clone(), now)
    }
}

fn locator(path: &Path) -> anyhow::Result<Arc<dyn Locator>> {
    geoip::open(path).with_context(|| format!("cannot read the GeoIP database {}", path.display()))
}
