//! Regions: where relays are, how they are, and which of them a credential is for.
//!
//! [`RegionBoard`] decides from what nodes tell and what operators drain; [`Regions`] shares its newest picture with
//! those who mint, who never wait for anything but memory. Source: `compat/turnix.md#regions`.

mod board;
mod choice;
mod lost;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeSet,
    fmt,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use causeway_types::{Now, UnixTime};
use ipnet::IpNet;
use parking_lot::{Mutex, RwLock};

pub use board::{BoardSettings, RegionBoard};
pub use lost::LostNodes;

use crate::{DomainEvent, EventSink, ProjectId};

/// The URLs a client is handed: only those whose listener is bound, in the order clients expect.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IceUrls {
    /// `stun:` URLs.
    pub stun: Vec<String>,
    /// `turn:` and `turns:` URLs.
    pub turn: Vec<String>,
}

/// A region as the operator wrote it down.
#[derive(Clone, Debug, PartialEq)]
pub struct RegionSite {
    /// Its name in requests: by the rule of identifiers.
    pub slug: Arc<str>,
    /// ISO 3166-1 alpha-2; `ZZ` where nothing is known.
    pub country: String,
    /// For people.
    pub city: String,
    /// For people.
    pub name: String,
    /// Degrees north.
    pub latitude: f64,
    /// Degrees east.
    pub longitude: f64,
    /// Clients of these networks are near it.
    pub networks: Vec<IpNet>,
    /// What its clients are handed; when there are none, what its nodes tell of themselves.
    pub urls: Option<IceUrls>,
}

impl RegionSite {
    /// A region of which only the name is known.
    #[must_use]
    pub fn nameless(slug: &str) -> Self {
        Self {
            slug: Arc::from(slug),
            country: "ZZ".to_owned(),
            city: slug.to_owned(),
            name: slug.to_owned(),
            latitude: 0.0,
            longitude: 0.0,
            networks: Vec::new(),
            urls: None,
        }
    }
}

/// What a node does with a request for a new allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeState {
    /// Grants it.
    Serving,
    /// Refuses it: as many as allowed are live.
    Full,
    /// Refuses it: it is going down, or was drained.
    Draining,
    /// Does not hear it: it ended in order.
    Stopped,
}

impl NodeState {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Serving, Self::Full, Self::Draining, Self::Stopped];

    /// As in answers and the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Serving => "serving",
            Self::Full => "full",
            Self::Draining => "draining",
            Self::Stopped => "stopped",
        }
    }
}

/// What a server tells of itself every few seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeReport {
    /// Which.
    pub name: String,
    /// The region it serves.
    pub region: String,
    /// What its clients are to be handed.
    pub urls: IceUrls,
    /// Of the program.
    pub version: String,
    /// Since when it runs.
    pub started_at: UnixTime,
    /// When it told this, by its own clock.
    pub seen_at: UnixTime,
    /// What it does with new allocations.
    pub state: NodeState,
    /// Live allocations.
    pub live_sessions: u32,
    /// Until when its certificate is good, if it has one that others trust.
    pub certificate_expires_at: Option<UnixTime>,
}

impl NodeReport {
    /// Of a server that has just begun to serve.
    #[must_use]
    pub fn serving(name: &str, region: &str, urls: IceUrls, now: UnixTime) -> Self {
        Self {
            name: name.to_owned(),
            region: region.to_owned(),
            urls,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: now,
            seen_at: now,
            state: NodeState::Serving,
            live_sessions: 0,
            certificate_expires_at: None,
        }
    }
}

/// What an operator took out of service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Drain {
    /// Region.
    pub region: String,
    /// One node of it; all of them when none is named.
    pub node: Option<String>,
}

/// A node as it is seen from here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeView {
    /// What it told last.
    pub report: NodeReport,
    /// It told it recently.
    pub is_online: bool,
    /// An operator drained it, or its region.
    pub is_drained: bool,
}

impl NodeView {
    /// It takes new allocations.
    #[must_use]
    pub fn is_operational(&self) -> bool {
        self.is_online && !self.is_drained && self.report.state == NodeState::Serving
    }
}

/// A region and how it is.
#[derive(Clone, Debug, PartialEq)]
pub struct RegionView {
    /// Where.
    pub site: Arc<RegionSite>,
    /// A node of it answers, or its URLs are written down.
    pub is_online: bool,
    /// It takes new allocations.
    pub is_operational: bool,
    /// An operator drained all of it.
    pub is_drained: bool,
    /// Its nodes, by name.
    pub nodes: Vec<NodeView>,
}

/// Every region, by slug, at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RegionSnapshot {
    /// Regions.
    pub regions: Vec<RegionView>,
    /// The region of this server: where clients go of whom nothing is known.
    pub own: Arc<str>,
}

impl RegionSnapshot {
    /// The region of this name.
    #[must_use]
    pub fn find(&self, slug: &str) -> Option<&RegionView> {
        self.regions.iter().find(|view| &*view.site.slug == slug)
    }
}

/// Where an address is, as far as a database knows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Place {
    /// Degrees north and east.
    pub coordinates: Option<(f64, f64)>,
    /// ISO 3166-1 alpha-2.
    pub country: Option<String>,
}

/// Finds places by address.
pub trait Locator: Send + Sync + 'static {
    /// Where `ip` is. Called for each credential, so it must be quick.
    fn locate(&self, ip: IpAddr) -> Option<Place>;
}

/// What a request says about its region.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegionWish {
    /// This one or none.
    pub fixed: Option<String>,
    /// This one if it serves.
    pub preferred: Option<String>,
    /// The end client, to find what is near it.
    pub client: Option<IpAddr>,
}

/// Why no region was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegionRefusal {
    /// There is no region of this name.
    #[error("there is no such region")]
    Unknown,
    /// The caller may not use it.
    #[error("this region is not allowed for this token or project")]
    Forbidden,
    /// It does not take new allocations.
    #[error("this region takes no new sessions")]
    Unavailable,
    /// None that the caller may use takes new allocations.
    #[error("no region takes new sessions")]
    NoneServes,
}

/// A region and what its client is handed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChosenRegion {
    /// Which.
    pub slug: Arc<str>,
    /// URLs of one of its nodes, or those written down.
    pub urls: IceUrls,
}

/// The newest picture of all regions, shared.
pub struct Regions {
    board: Mutex<RegionBoard>,
    snapshot: RwLock<Arc<RegionSnapshot>>,
    locator: RwLock<Option<Arc<dyn Locator>>>,
    /// Nodes of a region are handed out in turn.
    turn: AtomicUsize,
    /// Times a relay server that clients were handed went out of service while another serves.
    departures: AtomicU64,
    sink: Arc<dyn EventSink>,
}

impl fmt::Debug for Regions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Regions").field("snapshot", &self.snapshot).finish_non_exhaustive()
    }
}

impl Regions {
    /// From a board that was told what is known at the start; changes from here on are told to `sink`.
    pub fn new(board: RegionBoard, locator: Option<Arc<dyn Locator>>, sink: Arc<dyn EventSink>, now: Now) -> Self {
        let snapshot = RwLock::new(Arc::new(board.snapshot(now)));
        Self {
            board: Mutex::new(board),
            snapshot,
            locator: RwLock::new(locator),
            turn: AtomicUsize::new(0),
            departures: AtomicU64::new(0),
            sink,
        }
    }

    /// The newest picture.
    #[must_use]
    pub fn snapshot(&self) -> Arc<RegionSnapshot> {
        Arc::clone(&self.snapshot.read())
    }

    /// Changes what is known, and tells which regions are better or worse for it. Events go to the first project, the
    /// operator's: regions belong to no other.
    pub fn update(&self, now: Now, change: impl FnOnce(&mut RegionBoard)) {
        let mut board = self.board.lock();
        change(&mut board);
        let new = Arc::new(board.snapshot(now));
        let old = std::mem::replace(&mut *self.snapshot.write(), Arc::clone(&new));
        if departed(&old, &new) {
            self.departures.fetch_add(1, Ordering::Relaxed);
        }
        for view in &new.regions {
            let health = |view: &RegionView| (view.is_online, view.is_operational);
            if old.find(&view.site.slug).map(health) == Some(health(view)) {
                continue;
            }
            let event = DomainEvent::RegionChanged {
                region: Arc::clone(&view.site.slug),
                is_online: view.is_online,
                is_operational: view.is_operational,
            };
            self.sink.emit(now.unix, ProjectId::DEFAULT, event);
        }
    }

    /// How often a relay server went out of service (drained, ended, silent) while another serves: whoever has credentials
    /// for it had better get others.
    #[must_use]
    pub fn departures(&self) -> u64 {
        self.departures.load(Ordering::Relaxed)
    }

    /// Whether an operator drained this server or its region.
    #[must_use]
    pub fn is_own_drained(&self) -> bool {
        self.board.lock().is_own_drained()
    }

    /// Replaces the database of places.
    pub fn set_locator(&self, locator: Option<Arc<dyn Locator>>) {
        *self.locator.write() = locator;
    }

    /// Chooses a region among those in `allowed` (all, when there is no such list).
    ///
    /// # Errors
    /// See [`RegionRefusal`].
    pub fn choose(&self, wish: &RegionWish, allowed: Option<&BTreeSet<String>>) -> Result<ChosenRegion, RegionRefusal> {
        let snapshot = self.snapshot();
        let client = wish.client.map(|ip| ip.to_canonical()).filter(|ip| choice::tells_a_place(*ip));
        let place = || {
            let locator = self.locator.read().clone()?;
            locator.locate(client?)
        };
        let region = choice::choose(&snapshot, wish, client, place, allowed)?;
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        Ok(ChosenRegion { slug: Arc::clone(&region.site.slug), urls: choice::urls(region, turn) })
    }
}

/// Whether a relay server that held clients does so no longer, while there is one to go to. A full one holds those it has.
fn departed(old: &RegionSnapshot, new: &RegionSnapshot) -> bool {
    let holds = |node: &NodeView| {
        node.is_online && !node.is_drained && matches!(node.report.state, NodeState::Serving | NodeState::Full)
    };
    let is_held = |view: &RegionView, name: &str| view.nodes.iter().any(|node| node.report.name == name && holds(node));
    let departs = |before: &RegionView| {
        let after = new.find(&before.site.slug);
        let is_gone = |node: &NodeView| holds(node) && !after.is_some_and(|view| is_held(view, &node.report.name));
        // A region whose URLs are written down may have no nodes that speak.
        let is_static = before.nodes.is_empty() && before.is_operational;
        before.nodes.iter().any(is_gone) || (is_static && !after.is_some_and(|view| view.is_operational))
    };
    new.regions.iter().any(|view| view.is_operational) && old.regions.iter().any(departs)
}
