//! [`CallBook`]: what happened to calls and clients, as events for everybody and records for the store.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    net::IpAddr,
    sync::Arc,
};

use causeway_call_core::{
    AccountId, Binding, CallEvent, CallEventKind, CallId, ConnectionId, EndedBy, HangupCause, Identity, LegId,
    PresenceChange, PresenceKind,
};
use causeway_types::UnixTime;
use parking_lot::Mutex;

use crate::{
    Admission, CallRecord, CallStart, CallState, CallView, DomainEvent, EventSink, ProjectId, Registration,
    RegistrationEnd,
};

/// Where a client is, as its signalling tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientPlace {
    /// What is spoken there: `sip`.
    pub dialect: &'static str,
    /// Its address.
    pub address: Option<IpAddr>,
    /// As the client calls its program.
    pub user_agent: Option<Arc<str>>,
}

/// Where every connected client is, and what other servers are to know of it. Dialects say it, others ask.
#[derive(Debug, Default)]
pub struct ClientPlaces {
    places: Mutex<BTreeMap<ConnectionId, ClientPlace>>,
    notes: Mutex<BTreeMap<ConnectionId, Arc<str>>>,
}

impl ClientPlaces {
    /// A client is connected, or more is known of it.
    pub fn put(&self, connection: ConnectionId, place: ClientPlace) {
        self.places.lock().insert(connection, place);
    }

    /// Whose clients call this one, hears this of it: [`BindingRef::note`](causeway_call_core::BindingRef::note).
    pub fn put_note(&self, connection: ConnectionId, note: Arc<str>) {
        self.notes.lock().insert(connection, note);
    }

    /// A client is gone.
    pub fn remove(&self, connection: ConnectionId) {
        self.places.lock().remove(&connection);
        self.notes.lock().remove(&connection);
    }

    /// Whether nobody is there.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.lock().is_empty() && self.notes.lock().is_empty()
    }

    /// Where a client is; nothing is known of one that is not connected here.
    #[must_use]
    pub fn of(&self, connection: ConnectionId) -> ClientPlace {
        self.places.lock().get(&connection).cloned().unwrap_or_default()
    }

    /// What other servers are to know of a client.
    #[must_use]
    pub fn note_of(&self, connection: ConnectionId) -> Option<Arc<str>> {
        self.notes.lock().get(&connection).cloned()
    }
}

/// Records that wait for the store.
#[derive(Debug)]
struct CallQueue {
    waiting: VecDeque<Arc<CallRecord>>,
    waiting_max: usize,
    lost: u64,
}

/// A call that is not over.
struct Live {
    start: Arc<CallStart>,
    legs: BTreeMap<LegId, Arc<str>>,
    ringing_at: Option<UnixTime>,
    answered: Option<(UnixTime, Arc<str>, ClientPlace)>,
    connections: BTreeMap<LegId, ConnectionId>,
}

/// Hears of every call and registration.
pub struct CallBook {
    sink: Arc<dyn EventSink>,
    places: Arc<ClientPlaces>,
    live: Mutex<BTreeMap<CallId, Live>>,
    queue: Mutex<CallQueue>,
}

impl fmt::Debug for CallBook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallBook").field("live", &self.live.lock().len()).finish_non_exhaustive()
    }
}

impl CallBook {
    /// An empty book. At most `waiting_max` records wait for the store; the oldest gives way.
    #[must_use]
    pub fn new(sink: Arc<dyn EventSink>, places: Arc<ClientPlaces>, waiting_max: usize) -> Self {
        let queue = CallQueue { waiting: VecDeque::new(), waiting_max, lost: 0 };
        Self { sink, places, live: Mutex::default(), queue: Mutex::new(queue) }
    }

    /// The project of an account.
    #[must_use]
    pub const fn project(account: AccountId) -> ProjectId {
        ProjectId(account.0)
    }

    /// A client came or went.
    pub fn presence(&self, change: &PresenceChange) {
        let reason = match change.kind {
            PresenceKind::Appeared => None,
            PresenceKind::Refreshed => return,
            PresenceKind::Unregistered => Some(RegistrationEnd::Unregistered),
            PresenceKind::ConnectionLost => Some(RegistrationEnd::ConnectionLost),
            PresenceKind::Expired => Some(RegistrationEnd::Expired),
            PresenceKind::Revoked => Some(RegistrationEnd::Revoked),
        };
        let registration = Arc::new(registration(&change.binding, self.places.of(change.binding.connection)));
        let project = registration.project;
        let event = match reason {
            None => DomainEvent::RegistrationOpened(registration),
            Some(reason) => DomainEvent::RegistrationClosed { registration, reason },
        };
        self.sink.emit(change.at, project, event);
    }

    /// Something happened to a call. A record that gave way to it, when too many wait.
    pub fn call(&self, event: &CallEvent) -> Option<Arc<CallRecord>> {
        let CallEvent { at, call: id, kind } = event;
        let mut live = self.live.lock();
        if let CallEventKind::Started { leg, from, to, connection, .. } = kind {
            let call = self.started(*id, *at, *leg, from, to, *connection);
            let start = Arc::clone(&call.start);
            live.insert(*id, call);
            self.sink.emit(*at, start.project, DomainEvent::CallStarted(start));
            return None;
        }
        if let CallEventKind::Ended { cause, by } = kind {
            return live.remove(id).and_then(|call| self.ended(call, *at, *cause, *by));
        }
        let call = live.get_mut(id)?;
        if let Some(event) = self.heard(call, *at, kind) {
            self.sink.emit(*at, call.start.project, event);
        }
        None
    }

    /// A call that is not over was placed to a service of this name.
    pub fn note_service(&self, call: CallId, service: &str) {
        if let Some(live) = self.live.lock().get_mut(&call) {
            Arc::make_mut(&mut live.start).service = Some(Arc::from(service));
        }
    }

    fn started(
        &self,
        id: CallId,
        at: UnixTime,
        leg: LegId,
        from: &Identity,
        to: &[Identity],
        connection: ConnectionId,
    ) -> Live {
        let start = CallStart {
            id,
            project: Self::project(from.account),
            from: Arc::clone(&from.name),
            to: to.iter().map(|to| Arc::clone(&to.name)).collect(),
            service: None,
            place: self.places.of(connection),
            at,
        };
        let legs = BTreeMap::from([(leg, Arc::clone(&from.name))]);
        let connections = BTreeMap::from([(leg, connection)]);
        Live { start: Arc::new(start), legs, ringing_at: None, answered: None, connections }
    }

    fn heard(&self, call: &mut Live, at: UnixTime, kind: &CallEventKind) -> Option<DomainEvent> {
        let start = Arc::clone(&call.start);
        let name = |call: &Live, leg: &LegId| call.legs.get(leg).map_or_else(|| Arc::from(""), Arc::clone);
        match kind {
            CallEventKind::Redirected { to } => {
                let start = Arc::make_mut(&mut call.start);
                start.to = to.iter().map(|to| Arc::clone(&to.name)).collect();
                None
            }
            CallEventKind::Invited { leg, to, connection, note: _ } => {
                call.legs.insert(*leg, Arc::clone(&to.name));
                call.connections.insert(*leg, *connection);
                None
            }
            CallEventKind::Ringing { leg } => {
                call.ringing_at.get_or_insert(at);
                Some(DomainEvent::CallRinging { client: name(call, leg), call: start })
            }
            CallEventKind::Answered { leg } => {
                let client = name(call, leg);
                let place = call.connections.get(leg).map(|connection| self.places.of(*connection));
                call.answered = Some((at, Arc::clone(&client), place.unwrap_or_default()));
                let after = at.saturating_since(start.at);
                Some(DomainEvent::CallAnswered { call: start, client, after })
            }
            CallEventKind::Held { leg, is_held } => {
                Some(DomainEvent::CallHeld { client: name(call, leg), call: start, is_held: *is_held })
            }
            CallEventKind::Dtmf { leg, digits } => {
                Some(DomainEvent::CallDtmf { client: name(call, leg), call: start, digits: Arc::clone(digits) })
            }
            CallEventKind::Transferred { by, to } => {
                Some(DomainEvent::CallTransferred { client: name(call, by), call: start, to: Arc::clone(&to.name) })
            }
            CallEventKind::LegEnded { leg, .. } => {
                call.legs.remove(leg);
                call.connections.remove(leg);
                None
            }
            CallEventKind::Started { .. }
            | CallEventKind::Ended { .. }
            | CallEventKind::Renegotiated
            | CallEventKind::Detached { .. }
            | CallEventKind::Resumed { .. } => None,
        }
    }

    fn ended(&self, call: Live, at: UnixTime, cause: HangupCause, by: EndedBy) -> Option<Arc<CallRecord>> {
        let Live { start, ringing_at, answered, .. } = call;
        let (answered_at, answered_by, answered_place) = match answered {
            Some((at, by, place)) => (Some(at), Some(by), Some(place)),
            None => (None, None, None),
        };
        let project = start.project;
        let record = CallRecord {
            start,
            ringing_at,
            answered_at,
            answered_by,
            answered_place,
            ended_at: at,
            cause,
            ended_by: by,
        };
        let record = Arc::new(record);
        self.sink.emit(at, project, DomainEvent::CallEnded(Arc::clone(&record)));
        let mut queue = self.queue.lock();
        let is_full = queue.waiting.len() >= queue.waiting_max;
        queue.lost += u64::from(is_full);
        let displaced = is_full.then(|| queue.waiting.pop_front()).flatten();
        queue.waiting.push_back(record);
        displaced
    }

    /// The oldest records that wait for the store.
    #[must_use]
    pub fn waiting(&self, max: usize) -> Vec<Arc<CallRecord>> {
        self.queue.lock().waiting.iter().take(max).cloned().collect()
    }

    /// The store has taken these.
    pub fn taken(&self, records: &[Arc<CallRecord>]) {
        let mut queue = self.queue.lock();
        queue.waiting.retain(|waiting| !records.iter().any(|taken| taken.start.id == waiting.start.id));
    }

    /// How many records were lost because the store was away too long.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.queue.lock().lost
    }

    /// A project's calls that go on, and those that ended a moment ago and are not kept yet: newest first. Where their parties
    /// are is not told: how much of an address may be is known where it is kept.
    #[must_use]
    pub fn views(&self, project: ProjectId) -> Vec<CallView> {
        let live = self.live.lock();
        let of_project = live.values().filter(|call| call.start.project == project);
        let mut views: Vec<CallView> = of_project.map(live_view).collect();
        drop(live);
        let queue = self.queue.lock();
        let ended = queue.waiting.iter().filter(|record| record.start.project == project);
        views.extend(ended.map(|record| ended_view(record)));
        drop(queue);
        views.sort_by(|a, b| (b.started_at, &b.id).cmp(&(a.started_at, &a.id)));
        views
    }

    /// One of these, and whose it is.
    #[must_use]
    pub fn view(&self, id: CallId) -> Option<(ProjectId, CallView)> {
        let live = self.live.lock().get(&id).map(|call| (call.start.project, live_view(call)));
        live.or_else(|| {
            let queue = self.queue.lock();
            // It ended last.
            let record = queue.waiting.iter().rev().find(|record| record.start.id == id);
            record.map(|record| (record.start.project, ended_view(record)))
        })
    }

    /// How many calls are not over.
    #[must_use]
    pub fn live(&self) -> usize {
        self.live.lock().len()
    }
}

fn live_view(call: &Live) -> CallView {
    let state = match (&call.answered, call.ringing_at) {
        (Some(_), _) => CallState::Active,
        (None, Some(_)) => CallState::Ringing,
        (None, None) => CallState::Calling,
    };
    let answered = call.answered.as_ref().map(|(at, by, _)| (*at, Arc::clone(by)));
    view(&call.start, state, call.ringing_at, answered)
}

fn ended_view(record: &CallRecord) -> CallView {
    let answered = record.answered_at.zip(record.answered_by.clone());
    CallView {
        ended_at: Some(record.ended_at),
        cause: Some(record.cause.name().to_owned()),
        sip_code: Some(record.sip_code()),
        ended_by: Some(record.ended_by_name().to_owned()),
        ..view(&record.start, CallState::Ended, record.ringing_at, answered)
    }
}

fn view(
    start: &CallStart,
    state: CallState,
    ringing_at: Option<UnixTime>,
    answered: Option<(UnixTime, Arc<str>)>,
) -> CallView {
    let (answered_at, answered_by) = answered.unzip();
    CallView {
        id: start.id.to_string(),
        state,
        from: start.from.to_string(),
        to: start.to.iter().map(ToString::to_string).collect(),
        service: start.service.as_ref().map(ToString::to_string),
        dialect: start.place.dialect.to_owned(),
        client_address: None,
        started_at: start.at,
        ringing_at,
        answered_at,
        answered_by: answered_by.map(|by| by.to_string()),
        answered_address: None,
        ended_at: None,
        cause: None,
        sip_code: None,
        ended_by: None,
    }
}

/// A binding and where it is, as others see it.
#[must_use]
pub fn registration(binding: &Binding, place: ClientPlace) -> Registration {
    Registration {
        id: format!("{}-{}", binding.connection.node.0, binding.id.0),
        project: CallBook::project(binding.identity.account),
        client: Arc::clone(&binding.identity.name),
        dialect: place.dialect,
        is_ringable: binding.is_ringable,
        since: binding.since,
        updated: binding.updated,
        expires_at: binding.expires_at,
        address: place.address,
        user_agent: place.user_agent,
        admission: admission(&binding.grant),
    }
}

/// What let a client in, as its binding's grant names it.
#[must_use]
pub fn admission(grant: &str) -> Option<Admission> {
    match grant.split_once(':') {
        Some(("token", id)) => Some(Admission::ClientToken(Arc::from(id))),
        Some(("user", name)) => Some(Admission::User(Arc::from(name))),
        Some(_) | None => None,
    }
}

#[cfg(test)]
mod tests;
