//! What the overview shows of this server: live figures, charts of live sessions, and what somebody should look at.

use std::sync::{Arc, OnceLock};

use causeway_api_causeway::{Alert, LiveView};
use causeway_app::{InsightStore, Regions};
use causeway_relay::RelayHandle;

use crate::{config::Settings, sessions::SessionKeeper};

/// From this share of a limit on it is told, in percent.
const NEAR_PERCENT: u64 = 80;

/// The limits that are watched.
#[derive(Clone, Copy, Debug)]
struct Watched {
    allocations_max: u64,
    connections_max: u64,
    /// Ports there are for allocations of one family, over all addresses of that family.
    ports: u64,
}

/// What this server knows of itself.
pub(crate) fn live_view<S: InsightStore>(
    settings: &Settings,
    relay_addresses: u64,
    sessions: &Arc<SessionKeeper<S>>,
    relay: &Arc<OnceLock<RelayHandle>>,
    regions: &Arc<Regions>,
) -> LiveView {
    let ports = &settings.relay_ports;
    let watched = Watched {
        allocations_max: u64::from(settings.allocations_max),
        connections_max: u64::from(settings.tcp_connections_max),
        ports: u64::from(ports.end() - ports.start()).saturating_add(1).saturating_mul(relay_addresses.max(1)),
    };
    let (figures, charts, keeper) = (Arc::clone(sessions), Arc::clone(sessions), Arc::clone(sessions));
    let (relay, regions) = (Arc::clone(relay), Arc::clone(regions));
    LiveView::new(
        Arc::new(move |project| figures.now(project)),
        Arc::new(move |project, id| charts.bitrate(project, id)),
        Arc::new(move || regions.snapshot()),
        Arc::new(move || {
            let mut alerts = relay.get().map(|relay| near_limits(relay, watched)).unwrap_or_default();
            alerts.extend(lost(keeper.lost_records(), keeper.failures_folded()));
            alerts
        }),
    )
}

fn warning(code: &'static str, message: String, link: &'static str) -> Alert {
    Alert { severity: "warning", code, message, link }
}

fn near_limits(relay: &RelayHandle, watched: Watched) -> Vec<Alert> {
    let stats = relay.stats();
    let connections: u64 = stats.shards.iter().map(|shard| shard.connections).sum();
    let near = |code, what: &str, used: u64, max: u64| {
        let is_near = max > 0 && used.saturating_mul(100) >= max.saturating_mul(NEAR_PERCENT);
        is_near.then(|| warning(code, format!("{used} of {max} {what} are in use."), "/sessions?active=true"))
    };
    let mut alerts: Vec<Alert> = [
        near("allocations_near_limit", "allocations (allocations_max)", stats.allocations, watched.allocations_max),
        near("relay_ports_near_limit", "relay ports (relay_ports)", stats.allocations, watched.ports),
        near("connections_near_limit", "connections (tcp_connections_max)", connections, watched.connections_max),
    ]
    .into_iter()
    .flatten()
    .collect();
    if stats.events_dropped > 0 {
        let message =
            format!("{} events found their queue full since the start: records may lack them.", stats.events_dropped);
        alerts.push(warning("events_dropped", message, "/sessions"));
    }
    alerts
}

fn lost(records: u64, folded: u64) -> Vec<Alert> {
    let mut alerts = Vec::new();
    if records > 0 {
        let message = format!("{records} sessions were lost since the start because the store did not answer.");
        alerts.push(warning("records_lost", message, "/usage"));
    }
    if folded > 0 {
        let message =
            format!("{folded} refusals since the start were counted without being described: somebody floods.");
        alerts.push(warning("failures_folded", message, "/failures"));
    }
    alerts
}
