//! The book of sessions: relay events in, records to write and domain events out.
//!
//! Like a core it has no clock, no thread and no I/O. A live session's figures are refreshed from the relay's listing;
//! what changed is handed out to be written, and comes back when the store did not take it.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use causeway_types::{
    AllocationEndReason, AllocationId, AuthRefusal, FiveTuple, LimitName, PayloadDirection, RelayEvent,
    TrafficCounters, UnixTime,
};

use crate::{
    Attribution, DomainEvent, EventSink, FailureBook, FailureReason, Identifier, MarkKind, PeerSeen, ProjectId,
    Refusal, SessionEnd, SessionEndReason, SessionInsight, SessionRecord, SessionStart,
};

/// Peers kept per session.
const PEERS_MAX: usize = 32;
/// A session is written once it is this old: one that ends before is written once, with its end.
const FIRST_WRITE: Duration = Duration::from_secs(1);
/// An idle session is written this often, so that its record tells that it lived.
const IDLE_WRITE: Duration = Duration::from_secs(60);

/// What the book needs to know of the server.
#[derive(Clone, Debug)]
pub struct BookSettings {
    /// Realm.
    pub realm: Arc<str>,
    /// Region of this server.
    pub region: String,
    /// 0–999; tells servers apart in session numbers.
    pub node_number: u16,
    /// A live session whose figures changed is written this often.
    pub flush_interval: Duration,
    /// Ended sessions that may wait for a store that does not answer; more are lost and counted.
    pub waiting_max: usize,
}

/// Figures of one allocation, from the relay's listing.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    /// Which.
    pub id: AllocationId,
    /// Payload.
    pub traffic: TrafficCounters,
    /// Whole messages.
    pub messages: TrafficCounters,
}

#[derive(Debug)]
struct Live {
    record: SessionRecord,
    is_changed: bool,
    written: Option<UnixTime>,
    /// Not in the last complete listing: its end may be under way, or lost.
    is_missing: bool,
    /// Whole messages per second between the last two listings: to the relay, from it.
    rate: (u64, u64),
}

/// The book.
pub struct SessionBook {
    settings: BookSettings,
    sink: Arc<dyn EventSink>,
    /// TURN REST names and static users belong to the first project, without labels.
    unlabelled: Arc<Attribution>,
    next_number: u64,
    live: BTreeMap<AllocationId, Live>,
    by_relayed: BTreeMap<SocketAddr, AllocationId>,
    rooms: BTreeMap<(ProjectId, Identifier), u32>,
    ended: VecDeque<SessionRecord>,
    lost_records: u64,
    failures: FailureBook,
    listed_at: Option<UnixTime>,
}

impl std::fmt::Debug for SessionBook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionBook")
            .field("live", &self.live.len())
            .field("ended", &self.ended.len())
            .field("lost_records", &self.lost_records)
            .finish_non_exhaustive()
    }
}

impl SessionBook {
    /// An empty book of a server that started at `started`.
    pub fn new(settings: BookSettings, sink: Arc<dyn EventSink>, started: UnixTime) -> Self {
        let node = u64::from(settings.node_number % 1000) * 1_000_000_000_000_000;
        let unlabelled = Attribution {
            project: ProjectId::DEFAULT,
            token: None,
            room: None,
            clients: Vec::new(),
            region: settings.region.clone(),
        };
        Self {
            unlabelled: Arc::new(unlabelled),
            next_number: node + started.as_secs().saturating_mul(100_000) % 1_000_000_000_000_000,
            failures: FailureBook::new(settings.node_number),
            listed_at: None,
            settings,
            sink,
            live: BTreeMap::new(),
            by_relayed: BTreeMap::new(),
            rooms: BTreeMap::new(),
            ended: VecDeque::new(),
            lost_records: 0,
        }
    }

    /// Takes what the relay told; `attribute` finds to whom a user name's sessions are ascribed.
    pub fn handle(
        &mut self,
        at: UnixTime,
        event: RelayEvent,
        attribute: impl FnOnce(&str) -> Option<Arc<Attribution>>,
    ) {
        match event {
            RelayEvent::AllocationRefreshed { allocation, lifetime } => self.refresh(at, allocation, lifetime),
            RelayEvent::AllocationMoved { allocation, moved } => self.change(
                allocation,
                |record, told| {
                    let session = Arc::clone(&record.start);
                    record.five_tuple = moved.to;
                    record.moves = record.moves.saturating_add(1);
                    mark(record, at, MarkKind::Moved { from: moved.from, to: moved.to });
                    record.last_seen = at;
                    told.push(DomainEvent::SessionPathChanged { session, from: moved.from, to: moved.to });
                },
                at,
            ),
            RelayEvent::PeerPermitted { allocation, peer } => {
                let session = self.by_relayed.get(&peer).copied();
                self.change(
                    allocation,
                    |record, _| {
                        if record.peers.len() < PEERS_MAX && record.peers.iter().all(|seen| seen.address != peer) {
                            record.peers.push(PeerSeen { address: peer, session });
                        }
                        mark(record, at, MarkKind::PeerNamed { peer });
                    },
                    at,
                );
            }
            RelayEvent::FirstData { allocation, direction, after } => self.change(
                allocation,
                |record, told| {
                    match direction {
                        PayloadDirection::FromClient => record.insight.first_sent = Some(after),
                        PayloadDirection::ToClient => record.insight.first_heard = Some(after),
                    }
                    if record.first_data.is_none() {
                        record.first_data = Some(after);
                        told.push(DomainEvent::SessionFirstData { session: Arc::clone(&record.start), after });
                    }
                },
                at,
            ),
            RelayEvent::TrafficCounted { allocation, traffic, messages } => self.change(
                allocation,
                |record, told| {
                    (record.traffic, record.messages, record.last_seen) = (traffic, messages, at);
                    told.push(DomainEvent::SessionTraffic { session: Arc::clone(&record.start), traffic, messages });
                },
                at,
            ),
            RelayEvent::PeerRefused { allocation, peer, rule } => {
                self.refuse_peer(at, allocation, FailureReason::ForbiddenPeer, MarkKind::PeerRefused { peer, rule });
            }
            RelayEvent::PeerWithdrawn { allocation, peer, rule } => {
                self.refuse_peer(at, allocation, FailureReason::PeerWithdrawn, MarkKind::PeerWithdrawn { peer, rule });
            }
            RelayEvent::AllocationEnded { allocation, at, reason, traffic, messages, .. } => {
                if reason == AllocationEndReason::ClientDeleted {
                    self.refresh(at, allocation, Duration::ZERO);
                }
                self.end(
                    allocation,
                    SessionEnd { at, reason: SessionEndReason::Relay(reason) },
                    Some((traffic, messages)),
                );
            }
            RelayEvent::AuthRefused { five_tuple, username, refusal } => {
                let attribution = username.as_deref().and_then(attribute);
                self.refuse(at, five_tuple, username, refusal, attribution);
            }
            RelayEvent::LimitReached { limit, username, five_tuple } => {
                let attribution = username.as_deref().and_then(attribute);
                self.limit(at, limit, username, five_tuple, attribution);
            }
            // Only the creation is left; an event the book does not know changes nothing in it.
            created @ (RelayEvent::AllocationCreated { .. } | _) => self.start(created, attribute),
        }
    }

    /// Takes the relay's complete listing. A session that is missing from two of them in a row has ended unheard.
    pub fn handle_listing(&mut self, at: UnixTime, listing: &[Figures]) {
        let listed: BTreeMap<AllocationId, &Figures> = listing.iter().map(|figures| (figures.id, figures)).collect();
        let mut lost: Vec<AllocationId> = Vec::new();
        let since = self.listed_at.map_or(1000, |before| at.as_millis().saturating_sub(before.as_millis())).max(1);
        self.listed_at = Some(at);
        for (id, live) in &mut self.live {
            let Some(figures) = listed.get(id) else {
                // Its end may still wait in the event queue: only the second time counts.
                if live.is_missing {
                    lost.push(*id);
                }
                live.is_missing = true;
                continue;
            };
            live.is_missing = false;
            live.rate = rate(&live.record.messages, &figures.messages, since);
            live.is_changed |= live.record.messages != figures.messages || live.record.traffic != figures.traffic;
            (live.record.traffic, live.record.messages) = (figures.traffic, figures.messages);
            live.record.last_seen = at;
            observe(&mut live.record, at);
        }
        for id in lost {
            self.end(id, SessionEnd { at, reason: SessionEndReason::Lost }, None);
        }
    }

    /// Records to write, at most `max`: ended ones first, then new ones and those whose last writing is an interval ago.
    /// Give those back that could not be written ([`SessionBook::not_written`]).
    pub fn changed(&mut self, now: UnixTime, max: usize) -> Vec<SessionRecord> {
        let ended = self.ended.len().min(max);
        let mut records: Vec<SessionRecord> = self.ended.drain(..ended).collect();
        for live in self.live.values_mut() {
            if records.len() >= max {
                break;
            }
            let (since, wait) = match live.written {
                None => (live.record.start.at, FIRST_WRITE),
                Some(written) if live.is_changed => (written, self.settings.flush_interval),
                Some(written) => (written, IDLE_WRITE),
            };
            if now.saturating_since(since) >= wait {
                live.is_changed = false;
                live.written = Some(now);
                records.push(live.record.clone());
            }
        }
        records
    }

    /// Takes back what the store did not write.
    pub fn not_written(&mut self, records: Vec<SessionRecord>) {
        for record in records.into_iter().rev() {
            if record.end.is_none() {
                if let Some(live) = self.live.get_mut(&record.start.id) {
                    (live.is_changed, live.written) = (true, None);
                }
            } else if self.ended.len() < self.settings.waiting_max {
                self.ended.push_front(record);
            } else {
                self.lost_records = self.lost_records.saturating_add(1);
            }
        }
    }

    /// Live sessions.
    #[must_use]
    pub fn live_count(&self) -> usize {
        self.live.len()
    }

    /// Every live session as it stands: for consumers that have to begin anew.
    pub fn live(&self) -> impl Iterator<Item = &SessionRecord> {
        self.live.values().map(|live| &live.record)
    }

    /// A live session as it stands.
    #[must_use]
    pub fn live_one(&self, id: AllocationId) -> Option<&SessionRecord> {
        self.live.get(&id).map(|live| &live.record)
    }

    /// What goes on now in a project, or on the whole server.
    #[must_use]
    pub fn now(&self, project: Option<ProjectId>) -> LiveFigures {
        let mut figures = LiveFigures::default();
        let (mut rooms, mut clients) = (BTreeSet::new(), BTreeSet::new());
        for live in self.live.values() {
            let attribution = &live.record.start.attribution;
            if project.is_some_and(|project| project != attribution.project) {
                continue;
            }
            figures.sessions += 1;
            figures.bytes_in_per_sec += live.rate.0;
            figures.bytes_out_per_sec += live.rate.1;
            rooms.extend(attribution.room.as_ref().map(|room| (attribution.project, room)));
            clients.extend(attribution.clients.iter().map(|(client, _)| (attribution.project, client)));
        }
        (figures.rooms, figures.clients) = (rooms.len() as u64, clients.len() as u64);
        figures
    }

    /// Refusals on their way to the store.
    pub const fn failures(&mut self) -> &mut FailureBook {
        &mut self.failures
    }

    /// Ended sessions that could not be kept for a store that did not answer.
    #[must_use]
    pub const fn lost_records(&self) -> u64 {
        self.lost_records
    }

    fn start(&mut self, created: RelayEvent, attribute: impl FnOnce(&str) -> Option<Arc<Attribution>>) {
        let RelayEvent::AllocationCreated {
            allocation,
            at,
            username,
            credential,
            five_tuple,
            relayed,
            transport,
            lifetime,
            security,
            udp_unanswered,
        } = created
        else {
            return;
        };
        let attribution = self.served_here(attribute(&username));
        let number = self.next_number;
        self.next_number = number.wrapping_add(1);
        let start = Arc::new(SessionStart {
            id: allocation,
            number,
            attribution,
            username,
            credential,
            realm: Arc::clone(&self.settings.realm),
            at,
            five_tuple,
            security,
            relayed,
            transport,
            lifetime,
        });
        for address in relayed.iter().flatten() {
            self.by_relayed.insert(*address, allocation);
        }
        let record = SessionRecord {
            start: Arc::clone(&start),
            five_tuple,
            last_seen: at,
            end: None,
            traffic: TrafficCounters::default(),
            messages: TrafficCounters::default(),
            first_data: None,
            peers: Vec::new(),
            refusals: 0,
            moves: 0,
            insight: SessionInsight { udp_unanswered, ..SessionInsight::default() },
        };
        self.live.insert(allocation, Live { record, is_changed: true, written: None, is_missing: false, rate: (0, 0) });
        let (project, room) = (start.attribution.project, start.attribution.room.clone());
        self.sink.emit(at, project, DomainEvent::SessionStarted(start));
        if let Some(room) = room {
            let count = self.rooms.entry((project, room.clone())).or_insert(0);
            *count += 1;
            if *count == 1 {
                self.sink.emit(at, project, DomainEvent::RoomOpened { room });
            }
        }
    }

    /// A credential opens any server of its realm: what counts for a session is where it is, not what it was minted for.
    fn served_here(&self, attribution: Option<Arc<Attribution>>) -> Arc<Attribution> {
        match attribution {
            None => Arc::clone(&self.unlabelled),
            Some(here) if here.region == self.settings.region => here,
            Some(elsewhere) => Arc::new(Attribution { region: self.settings.region.clone(), ..(*elsewhere).clone() }),
        }
    }

    fn refresh(&mut self, at: UnixTime, allocation: AllocationId, lifetime: Duration) {
        self.change(
            allocation,
            |record, told| {
                record.last_seen = at;
                if !lifetime.is_zero() {
                    mark(record, at, MarkKind::Refreshed { lifetime });
                }
                let (session, five_tuple) = (Arc::clone(&record.start), record.five_tuple);
                told.push(DomainEvent::SessionRefreshed { session, five_tuple, lifetime });
            },
            at,
        );
    }

    fn change(
        &mut self,
        allocation: AllocationId,
        change: impl FnOnce(&mut SessionRecord, &mut Vec<DomainEvent>),
        at: UnixTime,
    ) {
        let Some(live) = self.live.get_mut(&allocation) else { return };
        let mut told = Vec::new();
        change(&mut live.record, &mut told);
        live.is_changed = true;
        let project = live.record.start.attribution.project;
        for event in told {
            self.sink.emit(at, project, event);
        }
    }

    fn end(&mut self, id: AllocationId, end: SessionEnd, figures: Option<(TrafficCounters, TrafficCounters)>) {
        let Some(Live { mut record, .. }) = self.live.remove(&id) else { return };
        if let Some((traffic, messages)) = figures {
            (record.traffic, record.messages) = (traffic, messages);
        }
        record.end = Some(end);
        record.last_seen = end.at;
        observe(&mut record, end.at);
        let start = Arc::clone(&record.start);
        for address in start.relayed.iter().flatten() {
            if self.by_relayed.get(address) == Some(&id) {
                self.by_relayed.remove(address);
            }
        }
        let project = start.attribution.project;
        self.sink.emit(
            end.at,
            project,
            DomainEvent::SessionEnded {
                session: Arc::clone(&start),
                reason: end.reason,
                duration: end.at.saturating_since(start.at),
                traffic: record.traffic,
                messages: record.messages,
            },
        );
        if let Some(room) = start.attribution.room.clone() {
            let key = (project, room.clone());
            if let Some(count) = self.rooms.get_mut(&key) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    self.rooms.remove(&key);
                    self.sink.emit(end.at, project, DomainEvent::RoomClosed { room });
                }
            }
        }
        if self.ended.len() < self.settings.waiting_max {
            self.ended.push_back(record);
        } else {
            self.lost_records = self.lost_records.saturating_add(1);
        }
    }

    fn refuse(
        &mut self,
        at: UnixTime,
        five_tuple: FiveTuple,
        username: Option<Arc<str>>,
        refusal: AuthRefusal,
        attribution: Option<Arc<Attribution>>,
    ) {
        let project = attribution.as_ref().map_or(ProjectId::DEFAULT, |whose| whose.project);
        let expired_by = if let AuthRefusal::Expired { ago } = &refusal { Some(*ago) } else { None };
        let kept = Refusal {
            project,
            reason: FailureReason::from(&refusal),
            username: username.clone(),
            attribution,
            five_tuple: Some(five_tuple),
            session: None,
            expired_by,
            limit: None,
            peer: None,
            rule: None,
        };
        self.failures.note(at, kept);
        let (client, transport) = (five_tuple.client, five_tuple.transport);
        self.sink.emit(at, project, DomainEvent::AuthRefused { username, refusal, client, transport });
    }

    fn limit(
        &mut self,
        at: UnixTime,
        limit: LimitName,
        username: Option<Arc<str>>,
        five_tuple: Option<FiveTuple>,
        attribution: Option<Arc<Attribution>>,
    ) {
        let project = attribution.as_ref().map_or(ProjectId::DEFAULT, |whose| whose.project);
        let kept = Refusal {
            project,
            reason: FailureReason::from(limit),
            username: username.clone(),
            attribution,
            five_tuple,
            session: None,
            expired_by: None,
            limit: Some(limit),
            peer: None,
            rule: None,
        };
        self.failures.note(at, kept);
        self.sink.emit(at, project, DomainEvent::LimitReached { limit, username });
    }

    /// A peer was refused to a live session, or taken from it.
    fn refuse_peer(&mut self, at: UnixTime, allocation: AllocationId, reason: FailureReason, what: MarkKind) {
        let Some(live) = self.live.get_mut(&allocation) else { return };
        let record = &mut live.record;
        record.refusals = record.refusals.saturating_add(1);
        live.is_changed = true;
        let (peer, rule) = match &what {
            MarkKind::PeerRefused { peer, rule } | MarkKind::PeerWithdrawn { peer, rule } => {
                (Some(*peer), Some(Arc::clone(rule)))
            }
            MarkKind::PeerNamed { .. } | MarkKind::Refreshed { .. } | MarkKind::Moved { .. } => (None, None),
        };
        let is_known = record.insight.marks.iter().any(|mark| mark.what == what);
        let refusal = Refusal {
            project: record.start.attribution.project,
            reason,
            username: Some(Arc::clone(&record.start.username)),
            attribution: Some(Arc::clone(&record.start.attribution)),
            five_tuple: Some(record.five_tuple),
            session: Some(allocation),
            expired_by: None,
            limit: None,
            peer,
            rule,
        };
        // A client that asks again and again marks its session once.
        if !is_known {
            mark(record, at, what);
        }
        self.failures.note(at, refusal);
    }
}

/// What goes on now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LiveFigures {
    /// Live sessions.
    pub sessions: u64,
    /// Rooms with one.
    pub rooms: u64,
    /// Clients with one.
    pub clients: u64,
    /// Client to relay, whole messages.
    pub bytes_in_per_sec: u64,
    /// Relay to client, whole messages.
    pub bytes_out_per_sec: u64,
}

fn mark(record: &mut SessionRecord, at: UnixTime, what: MarkKind) {
    record.insight.mark(at.saturating_since(record.start.at), what);
}

fn observe(record: &mut SessionRecord, at: UnixTime) {
    let after = at.saturating_since(record.start.at);
    let (bytes_in, bytes_out) = (record.messages.from_client.bytes, record.messages.to_client.bytes);
    record.insight.bitrate.observe(after, bytes_in, bytes_out);
}

/// Bytes per second between two readings.
const fn rate(before: &TrafficCounters, now: &TrafficCounters, millis: u64) -> (u64, u64) {
    let bytes_in = now.from_client.bytes.saturating_sub(before.from_client.bytes);
    let bytes_out = now.to_client.bytes.saturating_sub(before.to_client.bytes);
    (bytes_in.saturating_mul(1000) / millis, bytes_out.saturating_mul(1000) / millis)
}

#[cfg(test)]
mod tests;
