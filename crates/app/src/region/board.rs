//! How regions are, from what their nodes tell. No clock, no I/O: times come in with what is told.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use causeway_types::Now;

use super::{Drain, IceUrls, NodeReport, NodeState, NodeView, RegionSite, RegionSnapshot, RegionView};

/// What the board is told once.
#[derive(Clone, Debug)]
pub struct BoardSettings {
    /// The configured list; empty: only this server's own region is known, without place.
    pub sites: Vec<RegionSite>,
    /// How long a node may be silent before it counts as gone.
    pub node_timeout: Duration,
}

/// The board.
#[derive(Debug)]
pub struct RegionBoard {
    /// By slug.
    sites: Vec<Arc<RegionSite>>,
    /// Without a list there is one region with one node, this one.
    is_listed: bool,
    node_timeout: Duration,
    own: NodeReport,
    /// The other servers of this database.
    others: BTreeMap<String, Heard>,
    drains: BTreeSet<Drain>,
    /// The store did not answer the last time: silence since then says nothing about nodes.
    is_blind: bool,
}

/// A report and when it came, by this server's monotonic clock: nodes' clocks are only compared with themselves.
#[derive(Debug)]
struct Heard {
    report: NodeReport,
    /// None: it was old when it was read first.
    at: Option<Instant>,
}

impl RegionBoard {
    /// A board of the server that reports `own`.
    #[must_use]
    pub fn new(settings: BoardSettings, own: NodeReport) -> Self {
        let is_listed = !settings.sites.is_empty();
        let mut sites: Vec<Arc<RegionSite>> = settings.sites.into_iter().map(Arc::new).collect();
        if !is_listed {
            sites.push(Arc::new(RegionSite::nameless(&own.region)));
        }
        sites.sort_by(|a, b| a.slug.cmp(&b.slug));
        Self {
            sites,
            is_listed,
            node_timeout: settings.node_timeout,
            own,
            others: BTreeMap::new(),
            drains: BTreeSet::new(),
            is_blind: false,
        }
    }

    /// What this server last told of itself.
    #[must_use]
    pub const fn own(&self) -> &NodeReport {
        &self.own
    }

    /// This server told of itself; for it, its own word counts, not the store's.
    pub fn handle_own(&mut self, report: NodeReport) {
        self.own = report;
    }

    /// The store told every node's last report and what is drained.
    pub fn handle_nodes(&mut self, now: Now, reports: Vec<NodeReport>, drains: BTreeSet<Drain>) {
        self.drains = drains;
        let mut before = std::mem::take(&mut self.others);
        for report in reports {
            if report.name == self.own.name {
                continue;
            }
            let at = match before.remove(&report.name) {
                // Nobody could write while the store was away: those who were there get their time again.
                Some(known) if self.is_blind && self.is_recent(known.at, now) => Some(now.mono),
                Some(known) if known.report.seen_at == report.seen_at => known.at,
                Some(_) => Some(now.mono),
                None => (now.unix.saturating_since(report.seen_at) < self.node_timeout).then_some(now.mono),
            };
            self.others.insert(report.name.clone(), Heard { report, at });
        }
        self.is_blind = false;
    }

    /// The store did not answer: what was known stays known.
    pub fn handle_silence(&mut self, now: Now) {
        for heard in self.others.values_mut() {
            if heard.at.is_some_and(|at| now.mono.saturating_duration_since(at) < self.node_timeout) {
                heard.at = Some(now.mono);
            }
        }
        self.is_blind = true;
    }

    /// An operator drained something, or put it back.
    pub fn handle_drain(&mut self, drain: Drain, is_drained: bool) {
        if is_drained {
            self.drains.insert(drain);
        } else {
            self.drains.remove(&drain);
        }
    }

    /// Whether an operator drained this server or its region.
    #[must_use]
    pub fn is_own_drained(&self) -> bool {
        self.is_drained(&self.own)
    }

    /// How everything is.
    #[must_use]
    pub fn snapshot(&self, now: Now) -> RegionSnapshot {
        let regions = self.sites.iter().map(|site| self.view(site, now)).collect();
        RegionSnapshot { regions, own: Arc::from(self.own.region.as_str()) }
    }

    fn view(&self, site: &Arc<RegionSite>, now: Now) -> RegionView {
        let nodes = self.nodes_of(&site.slug, now);
        let is_drained = self.drains.contains(&Drain { region: site.slug.to_string(), node: None });
        let is_static = site.urls.is_some();
        let serves = nodes.iter().any(NodeView::is_operational);
        RegionView {
            is_online: is_static || nodes.iter().any(|node| node.is_online),
            // Of a region whose URLs are written down and that no node ever spoke for, nothing is known against it.
            is_operational: !is_drained && (serves || (is_static && nodes.is_empty())),
            is_drained,
            nodes,
            site: Arc::clone(site),
        }
    }

    /// By name.
    fn nodes_of(&self, slug: &str, now: Now) -> Vec<NodeView> {
        let own = (&self.own, self.own.state != NodeState::Stopped);
        let others =
            self.others.values().filter(|_| self.is_listed).map(|heard| {
                (&heard.report, heard.report.state != NodeState::Stopped && self.is_recent(heard.at, now))
            });
        let mut nodes: Vec<NodeView> = others
            .chain([own])
            .filter(|(report, _)| report.region == slug)
            .map(|(report, is_online)| NodeView {
                report: report.clone(),
                is_online,
                is_drained: self.is_drained(report),
            })
            .collect();
        nodes.sort_by(|a, b| a.report.name.cmp(&b.report.name));
        nodes
    }

    fn is_recent(&self, heard_at: Option<Instant>, now: Now) -> bool {
        heard_at.is_some_and(|at| now.mono.saturating_duration_since(at) < self.node_timeout)
    }

    fn is_drained(&self, node: &NodeReport) -> bool {
        let of = |name: Option<&String>| Drain { region: node.region.clone(), node: name.cloned() };
        self.drains.contains(&of(None)) || self.drains.contains(&of(Some(&node.name)))
    }
}

impl IceUrls {
    /// Of texts in any order.
    ///
    /// # Errors
    /// The first text that is neither a STUN nor a TURN URL.
    pub fn sorted(urls: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut sorted = Self::default();
        for url in urls {
            let (scheme, rest) = url.split_once(':').unwrap_or_default();
            let is_plain = !rest.is_empty() && !rest.starts_with('/') && url.bytes().all(|b| b.is_ascii_graphic());
            match scheme {
                "stun" | "stuns" if is_plain => sorted.stun.push(url),
                "turn" | "turns" if is_plain => sorted.turn.push(url),
                _ => return Err(url),
            }
        }
        Ok(sorted)
    }
}
