//! `/api/v1/overview`: how everything is, at a glance.

mod fast_path;

use std::{
    collections::BTreeMap,
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{extract::State, http::StatusCode, response::Response};
use causeway_api_http::{ApiError, Timestamp, json};
use causeway_app::{Bitrate, DayCounts, InsightStore, LiveCounts, LiveFigures, ProjectId, RegionSnapshot};
use causeway_types::{AllocationId, Now, UnixTime};
use parking_lot::Mutex;
use serde::Serialize;
use utoipa::ToSchema;

use self::fast_path::FastPath;
use crate::{ApiState, extract::Caller, health};

/// How long the store's figures are shown again.
const LIVE_FRESH: Duration = Duration::from_secs(1);
const DAY_FRESH: Duration = Duration::from_secs(5);
/// Projects whose figures are kept; with more the oldest are read anew.
const PROJECTS_MAX: usize = 1000;

const DAY_SECS: u64 = 86_400;
/// Days left of a certificate from which on it is told, and from which on it is an error.
const CERTIFICATE_DAYS_WARNING: u64 = 14;
const CERTIFICATE_DAYS_ERROR: u64 = 3;

/// What this server knows of itself and no store does.
pub struct LiveView {
    /// What goes on in a project on this server.
    pub figures: Arc<dyn Fn(ProjectId) -> LiveFigures + Send + Sync>,
    /// What a live session of a project carried so far.
    pub bitrate: Arc<dyn Fn(ProjectId, AllocationId) -> Option<Bitrate> + Send + Sync>,
    /// How regions are.
    pub regions: Arc<dyn Fn() -> Arc<RegionSnapshot> + Send + Sync>,
    /// What somebody should look at.
    pub alerts: Arc<dyn Fn() -> Vec<Alert> + Send + Sync>,
    cache: Mutex<BTreeMap<ProjectId, Cached>>,
}

#[derive(Clone, Debug, Default)]
struct Cached {
    live: Option<(Instant, LiveCounts)>,
    day: Option<(Instant, UnixTime, DayCounts)>,
}

impl fmt::Debug for LiveView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LiveView")
    }
}

impl LiveView {
    /// Of functions that tell.
    pub fn new(
        figures: Arc<dyn Fn(ProjectId) -> LiveFigures + Send + Sync>,
        bitrate: Arc<dyn Fn(ProjectId, AllocationId) -> Option<Bitrate> + Send + Sync>,
        regions: Arc<dyn Fn() -> Arc<RegionSnapshot> + Send + Sync>,
        alerts: Arc<dyn Fn() -> Vec<Alert> + Send + Sync>,
    ) -> Self {
        Self { figures, bitrate, regions, alerts, cache: Mutex::default() }
    }

    /// Of a server without sessions, regions or trouble.
    #[must_use]
    pub fn quiet() -> Self {
        Self::new(
            Arc::new(|_| LiveFigures::default()),
            Arc::new(|_, _| None),
            Arc::new(Arc::<RegionSnapshot>::default),
            Arc::new(Vec::new),
        )
    }

    fn cached(&self, project: ProjectId) -> Cached {
        self.cache.lock().get(&project).cloned().unwrap_or_default()
    }

    fn keep(&self, project: ProjectId, change: impl FnOnce(&mut Cached)) {
        let mut cache = self.cache.lock();
        if cache.len() >= PROJECTS_MAX && !cache.contains_key(&project) {
            cache.clear();
        }
        change(cache.entry(project).or_default());
    }
}

/// Something to look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Alert {
    /// `warning` or `error`.
    pub severity: &'static str,
    /// For programs: `certificate_expires`, `store_down`, `redis_down`, `draining`, `allocations_near_limit`,
    /// `relay_ports_near_limit`, `connections_near_limit`, `events_dropped`, `records_lost`, `failures_folded`.
    pub code: &'static str,
    /// For people, one sentence.
    pub message: String,
    /// The page of the console that tells more.
    pub link: &'static str,
}

/// How everything is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Overview {
    /// When this was put together.
    at: Timestamp,
    /// What lives now.
    live: Live,
    /// Since midnight in UTC.
    today: Today,
    /// Every region.
    regions: Vec<OverviewRegion>,
    /// How the parts are, as `/healthz` tells.
    health: health::Body,
    /// What the kernel relays by itself; absent where everything is relayed in user space.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    fast_path: Option<FastPath>,
    /// What somebody should look at, errors first.
    alerts: Vec<Alert>,
}

/// What lives now.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = OverviewLive)]
pub(crate) struct Live {
    /// Live sessions of the project, on every server.
    sessions: u64,
    /// Rooms with one.
    rooms: u64,
    /// Clients with one.
    clients: u64,
    /// Client to relay, on the server that was asked.
    bytes_in_per_sec: u64,
    /// Relay to client, on the server that was asked.
    bytes_out_per_sec: u64,
}

/// Since midnight in UTC.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = OverviewToday)]
pub(crate) struct Today {
    /// That midnight.
    since: Timestamp,
    /// Client to relay.
    bytes_in: u64,
    /// Relay to client.
    bytes_out: u64,
    /// Sessions begun.
    sessions: u64,
    /// Credentials issued.
    minted: u64,
    /// Refusals, the most frequent reason first.
    refusals: Vec<RefusalCount>,
}

/// Refusals for one reason.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RefusalCount {
    /// As in `/api/v1/failures`.
    reason: &'static str,
    /// How many.
    count: u64,
}

/// How a region is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OverviewRegion {
    /// Its name in requests.
    slug: String,
    /// For people.
    name: String,
    /// A node of it answers.
    is_online: bool,
    /// It takes new allocations.
    is_operational: bool,
    /// Live allocations of its nodes, whoever's.
    live_sessions: u64,
}

/// Read the overview
///
/// Cheap enough to be asked every second: figures of the store are at most five seconds old.
#[utoipa::path(
    get,
    path = "/api/v1/overview",
    tag = "overview",
    responses((status = 200, description = "How everything is.", body = Overview)),
)]
pub(crate) async fn read<S: InsightStore>(
    State(state): State<Arc<ApiState<S>>>,
    Caller(caller): Caller,
) -> Result<Response, ApiError> {
    let now = Now::read();
    let midnight = UnixTime::from_secs(now.unix.as_secs() / DAY_SECS * DAY_SECS);
    let health = (state.health)().await;
    let (live, day) = counts(&state, caller.project, now, midnight).await?;
    let figures = (state.live.figures)(caller.project);
    let regions = (state.live.regions)();
    let mut alerts = health_alerts(health);
    alerts.extend(certificate_alerts(&regions, now.unix));
    alerts.extend((state.live.alerts)());
    alerts.sort_by_key(|alert| alert.severity);
    let region = |view: &causeway_app::RegionView| OverviewRegion {
        slug: view.site.slug.to_string(),
        name: view.site.name.clone(),
        is_online: view.is_online,
        is_operational: view.is_operational,
        live_sessions: view.nodes.iter().map(|node| u64::from(node.report.live_sessions)).sum(),
    };
    let refusal = |(reason, count): (causeway_app::FailureReason, u64)| RefusalCount { reason: reason.as_str(), count };
    let overview = Overview {
        at: now.unix.into(),
        live: Live {
            sessions: live.sessions,
            rooms: live.rooms,
            clients: live.clients,
            bytes_in_per_sec: figures.bytes_in_per_sec,
            bytes_out_per_sec: figures.bytes_out_per_sec,
        },
        today: Today {
            since: midnight.into(),
            bytes_in: day.bytes_in,
            bytes_out: day.bytes_out,
            sessions: day.sessions,
            minted: day.minted,
            refusals: day.refusals.into_iter().map(refusal).collect(),
        },
        regions: regions.regions.iter().map(region).collect(),
        health: health::Body::from(health).1,
        fast_path: FastPath::of(&(state.metrics)()),
        alerts,
    };
    Ok(json(StatusCode::OK, &overview))
}

/// The store's figures, from memory while they are fresh.
async fn counts<S: InsightStore>(
    state: &ApiState<S>,
    project: ProjectId,
    now: Now,
    midnight: UnixTime,
) -> Result<(LiveCounts, DayCounts), ApiError> {
    let known = state.live.cached(project);
    let is_fresh = |at: Instant, fresh| now.mono.saturating_duration_since(at) < fresh;
    let live = match known.live {
        Some((at, live)) if is_fresh(at, LIVE_FRESH) => live,
        Some(_) | None => {
            let live = state.store.live_counts(project).await?;
            state.live.keep(project, |cached| cached.live = Some((now.mono, live)));
            live
        }
    };
    let day = match known.day {
        Some((at, since, day)) if is_fresh(at, DAY_FRESH) && since == midnight => day,
        Some(_) | None => {
            let day = state.store.day_counts(project, midnight).await?;
            state.live.keep(project, |cached| cached.day = Some((now.mono, midnight, day.clone())));
            day
        }
    };
    Ok((live, day))
}

/// Certificates whose time runs out.
fn certificate_alerts(regions: &RegionSnapshot, now: UnixTime) -> Vec<Alert> {
    let nodes = regions.regions.iter().flat_map(|region| &region.nodes).filter(|node| node.is_online);
    let alert = |node: &causeway_app::NodeView| {
        let expires = node.report.certificate_expires_at?;
        let days = expires.saturating_since(now).as_secs() / DAY_SECS;
        let severity = if days < CERTIFICATE_DAYS_ERROR { "error" } else { "warning" };
        let message = match days {
            0 => format!("The certificate of {} expires within a day, or has expired.", node.report.name),
            days => format!("The certificate of {} expires in {days} days.", node.report.name),
        };
        let code = "certificate_expires";
        (days < CERTIFICATE_DAYS_WARNING).then_some(Alert { severity, code, message, link: "/regions" })
    };
    nodes.filter_map(alert).collect()
}

fn health_alerts(health: health::Health) -> Vec<Alert> {
    let alert = |severity, code, message: &str| Alert { severity, code, message: message.to_owned(), link: "/regions" };
    let mut alerts = Vec::new();
    if !health.store {
        alerts.push(alert("error", "store_down", "The store does not answer: nothing is recorded and nothing minted."));
    }
    if health.redis == Some(false) {
        alerts.push(alert(
            "warning",
            "redis_down",
            "Redis does not answer: what is published waits, and is lost in time.",
        ));
    }
    if health.draining || health.drained {
        alerts.push(alert("warning", "draining", "This server takes no new allocations: it is being drained."));
    }
    alerts
}
