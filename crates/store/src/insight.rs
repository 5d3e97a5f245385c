//! What explains calls: the short text forms in a session's row, and refusals.
//!
//! The privacy of addresses is applied here, where they are written: what a project does not keep never reaches a disk.

mod doctor;
mod erasure;
mod failures;
mod overview;

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use causeway_app::{
    AddressPrivacy, DayCounts, DoctorLinkView, DoctorResult, Erased, ErasureSubject, Failure, FailureFilter,
    FailureGroup, FailureGroupBy, FailureView, InsightStore, LiveCounts, MarkKind, MarkView, NewDoctorLink, OpenedLink,
    Page, PageRequest, ProjectId, SessionRecord, StoreResult,
};
use causeway_types::UnixTime;
use parking_lot::RwLock;

use crate::{SqlStore, store_error};

/// How much of addresses each project keeps; all of them where nothing was said.
#[derive(Debug, Default)]
pub(crate) struct Privacy(RwLock<BTreeMap<ProjectId, AddressPrivacy>>);

impl Privacy {
    pub(crate) fn of(&self, project: ProjectId) -> AddressPrivacy {
        self.0.read().get(&project).copied().unwrap_or_default()
    }
}

/// What of a session's addresses and story is written.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) client_address: String,
    pub(crate) peers: String,
    pub(crate) marks: String,
    pub(crate) bitrate: String,
}

impl Shown {
    pub(crate) fn of(session: &SessionRecord, privacy: AddressPrivacy) -> Self {
        let own: Vec<IpAddr> = session.start.relayed.iter().flatten().map(SocketAddr::ip).collect();
        // The relay's own addresses are nobody's secret, and tell whether one side permitted the other.
        let shown = |address: SocketAddr| {
            if own.contains(&address.ip()) { address.to_string() } else { privacy.shown(address) }
        };
        let peer = |peer: &causeway_app::PeerSeen| {
            let address = shown(peer.address);
            let address = if address.is_empty() { "-" } else { &address };
            peer.session.map_or_else(|| address.to_owned(), |session| format!("{address} {session}"))
        };
        let mark = |mark: &causeway_app::Mark| {
            let (subject, detail) = match &mark.what {
                MarkKind::PeerNamed { peer } => (shown(*peer), String::new()),
                MarkKind::PeerRefused { peer, rule } | MarkKind::PeerWithdrawn { peer, rule } => {
                    // A rule may repeat the address it refuses.
                    let rule = if privacy == AddressPrivacy::Keep { rule.to_string() } else { words_of(rule) };
                    (shown(*peer), rule)
                }
                MarkKind::Refreshed { lifetime } => (lifetime.as_secs().to_string(), String::new()),
                MarkKind::Moved { from, to } => (privacy.shown(to.client), privacy.shown(from.client)),
            };
            format!("{}\t{}\t{subject}\t{detail}", mark.after.as_millis(), mark.what.name())
        };
        Self {
            client_address: privacy.shown(session.five_tuple.client),
            peers: session.peers.iter().map(peer).collect::<Vec<_>>().join("\n"),
            marks: session.insight.marks.iter().map(mark).collect::<Vec<_>>().join("\n"),
            // Live sessions are charted from memory.
            bitrate: if session.end.is_some() { session.insight.bitrate.to_text() } else { String::new() },
        }
    }
}

/// A rule without the addresses in it: `default: private`.
fn words_of(rule: &str) -> String {
    let is_word = |word: &&str| !word.contains(|c: char| c.is_ascii_digit());
    rule.split(' ').filter(is_word).collect::<Vec<_>>().join(" ")
}

/// The peers that [`Shown`] wrote; the address is empty where none is kept.
pub(crate) fn read_peers(text: &str) -> Vec<(String, Option<String>)> {
    let peer = |line: &str| {
        let (address, session) =
            line.split_once(' ').map_or((line, None), |(address, session)| (address, Some(session)));
        if address == "-" {
            return Some((String::new(), session.map(str::to_owned)));
        }
        // Nothing but addresses was written; a line that is none is left out.
        address.parse::<SocketAddr>().ok()?;
        Some((address.to_owned(), session.map(str::to_owned)))
    };
    text.lines().filter_map(peer).collect()
}

/// The marks that [`Shown`] wrote.
pub(crate) fn read_marks(text: &str) -> Vec<MarkView> {
    let mark = |line: &str| {
        let mut fields = line.splitn(4, '\t');
        Some(MarkView {
            after: Duration::from_millis(fields.next()?.parse().ok()?),
            kind: fields.next()?.to_owned(),
            subject: fields.next()?.to_owned(),
            detail: fields.next()?.to_owned(),
        })
    };
    text.lines().filter_map(mark).collect()
}

impl InsightStore for SqlStore {
    fn set_address_privacy(&self, project: ProjectId, privacy: AddressPrivacy) {
        self.privacy.0.write().insert(project, privacy);
    }

    async fn write_failures(&self, failures: &[Failure]) -> StoreResult<()> {
        failures::write(&self.writes, &self.privacy, failures).await.map_err(store_error)
    }

    async fn failures(
        &self,
        project: ProjectId,
        filter: &FailureFilter,
        page: &PageRequest,
    ) -> StoreResult<Page<FailureView>> {
        failures::list(&self.pool, project, filter, page).await
    }

    async fn failure_groups(
        &self,
        project: ProjectId,
        filter: &FailureFilter,
        by: FailureGroupBy,
    ) -> StoreResult<Vec<FailureGroup>> {
        failures::groups(&self.pool, project, filter, by).await.map_err(store_error)
    }

    async fn live_counts(&self, project: ProjectId) -> StoreResult<LiveCounts> {
        overview::live(&self.pool, project).await.map_err(store_error)
    }

    async fn day_counts(&self, project: ProjectId, since: UnixTime) -> StoreResult<DayCounts> {
        overview::day(&self.pool, project, since).await.map_err(store_error)
    }

    async fn forget_before(&self, project: ProjectId, before: UnixTime) -> StoreResult<u64> {
        erasure::forget_before(&self.writes, project, before).await.map_err(store_error)
    }

    async fn trim_failures(&self, project: ProjectId, keep: u64) -> StoreResult<u64> {
        erasure::trim_failures(&self.writes, project, keep).await.map_err(store_error)
    }

    async fn erase(&self, project: ProjectId, subject: &ErasureSubject) -> StoreResult<Erased> {
        erasure::erase(&self.writes, project, subject).await.map_err(store_error)
    }

    async fn insert_doctor_link(&self, link: &NewDoctorLink) -> StoreResult<i64> {
        doctor::insert(&self.writes, link).await.map_err(store_error)
    }

    async fn doctor_links_live(&self, project: ProjectId, now: UnixTime) -> StoreResult<u64> {
        doctor::live(&self.pool, project, now).await.map_err(store_error)
    }

    async fn doctor_links(&self, project: ProjectId, page: &PageRequest) -> StoreResult<Page<DoctorLinkView>> {
        doctor::list(&self.pool, project, page).await
    }

    async fn open_doctor_link(&self, hash: [u8; 32], now: UnixTime) -> StoreResult<Option<OpenedLink>> {
        doctor::open(&self.writes, hash, now).await.map_err(store_error)
    }

    async fn add_doctor_result(
        &self,
        hash: [u8; 32],
        body: &str,
        now: UnixTime,
        results_max: u32,
    ) -> StoreResult<bool> {
        doctor::add_result(&self.writes, hash, body, now, results_max).await.map_err(store_error)
    }

    async fn doctor_results(&self, project: ProjectId, link: i64) -> StoreResult<Vec<DoctorResult>> {
        doctor::results(&self.pool, project, link).await.map_err(store_error)
    }
}
