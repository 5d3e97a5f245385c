//! Calls of voice connections as their backends see them: which leg is whose, what happened to it, what was said about it.
//!
//! It hears of calls as the switchboard does, under its lock: it notes and returns. What a backend is to be told goes into one
//! bounded queue, in order.

mod client;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use causeway_call_core::{CallEvent, CallEventKind, CallId, ConnectionId, EndedBy, HangupCause, Header, LegId};
use causeway_types::UnixTime;
use parking_lot::Mutex;
use tokio::sync::mpsc;

use self::client::Client;
use crate::{CallBook, OrganizationId, ProjectId, VoiceConnectionId, VoiceUser, VoiceWebhook};

/// Events that wait to be told; one more is counted and lost.
pub const VOICE_EVENTS_MAX: usize = 10_000;
/// How long the state of a leg that ended can be asked for.
const ENDED_KEPT: Duration = Duration::from_secs(600);
/// Ended legs that are kept; one more and the oldest is forgotten.
const ENDED_MAX: usize = 10_000;

/// What a client that dials says beside the call itself.
#[derive(Clone, Debug, Default)]
pub struct VoiceDialNote {
    /// As it was dialled.
    pub to: String,
    /// The application's own.
    pub client_state: Option<String>,
    /// Passed on.
    pub headers: Vec<Header>,
}

/// A leg of a voice connection.
#[derive(Clone, Debug)]
pub struct VoiceLeg {
    /// Which.
    pub leg: LegId,
    /// Of which call.
    pub call: CallId,
    /// Whose.
    pub project: ProjectId,
    /// Whose.
    pub organization: OrganizationId,
    /// Of which connection.
    pub connection: VoiceConnectionId,
    /// Where its events go.
    pub webhook: VoiceWebhook,
    /// Who called.
    pub from: String,
    /// Whom.
    pub to: String,
    /// Whether its client placed the call.
    pub is_caller: bool,
    /// Whether it waited for a backend when it began.
    pub is_parked: bool,
    /// The application's own.
    pub client_state: Option<String>,
    /// `X-` headers.
    pub headers: Vec<Header>,
    /// When it began.
    pub started: UnixTime,
    /// When it was answered.
    pub answered: Option<UnixTime>,
    /// When it ended.
    pub ended: Option<UnixTime>,
}

/// What happened to a leg.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VoiceEventKind {
    /// It began.
    Initiated,
    /// It was answered.
    Answered,
    /// It and its other party talk.
    Bridged,
    /// Its party holds the call, or takes it back.
    Held(bool),
    /// Its party sent a digit.
    Dtmf(char),
    /// It is over.
    HungUp {
        /// Why.
        cause: HangupCause,
        /// By whom.
        by: EndedBy,
    },
}

/// Something a backend is told.
#[derive(Clone, Debug)]
pub struct VoiceEvent {
    /// When.
    pub at: UnixTime,
    /// What.
    pub kind: VoiceEventKind,
    /// The leg as it was then.
    pub leg: VoiceLeg,
}

#[derive(Debug, Default)]
struct State {
    clients: BTreeMap<ConnectionId, Client>,
    dialling: BTreeMap<ConnectionId, VoiceDialNote>,
    legs: BTreeMap<LegId, VoiceLeg>,
    by_call: BTreeMap<CallId, Vec<LegId>>,
    /// Who called whom, for legs that are invited later.
    parties: BTreeMap<CallId, String>,
    ended: VecDeque<(UnixTime, LegId)>,
}

/// What became of a leg that can be asked for here.
#[derive(Clone, Copy, Debug)]
pub enum LegNews<'a> {
    /// It can be from here on.
    Began(&'a VoiceLeg),
    /// It was answered, or its application's state is another.
    Changed(&'a VoiceLeg),
    /// It does not live any more.
    Ended(&'a VoiceLeg),
    /// It cannot be asked for any more.
    Forgotten(LegId),
}

/// Hears of legs, under the switchboard's lock: it hands on and returns.
pub type LegWatch = Box<dyn Fn(LegNews<'_>) + Send + Sync>;

/// The book.
pub struct VoiceCalls {
    state: Mutex<State>,
    events: mpsc::Sender<VoiceEvent>,
    lost: AtomicU64,
    watch: OnceLock<LegWatch>,
}

impl std::fmt::Debug for VoiceCalls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VoiceCalls").field("lost", &self.lost).finish_non_exhaustive()
    }
}

impl VoiceCalls {
    /// An empty book, and what is to be told.
    #[must_use]
    pub fn new() -> (Self, mpsc::Receiver<VoiceEvent>) {
        let (events, told) = mpsc::channel(VOICE_EVENTS_MAX);
        (Self { state: Mutex::default(), events, lost: AtomicU64::new(0), watch: OnceLock::new() }, told)
    }

    /// Has this hear of legs; once.
    pub fn watch_legs(&self, watch: LegWatch) {
        // A second one is a fault of the program's; the first stays.
        let _is_first = self.watch.set(watch);
    }

    /// A client of a voice connection is there.
    pub fn client(&self, connection: ConnectionId, user: &VoiceUser) {
        self.state.lock().clients.insert(connection, user.into());
    }

    /// What servers whose clients call this one need to tell its backend: a note for [`note`](Self::note) there.
    #[must_use]
    pub fn note_on(user: &VoiceUser) -> Arc<str> {
        Client::from(user).note()
    }

    /// It is gone.
    pub fn client_gone(&self, connection: ConnectionId) {
        let mut state = self.state.lock();
        state.clients.remove(&connection);
        state.dialling.remove(&connection);
    }

    /// It is about to dial.
    pub fn dialling(&self, connection: ConnectionId, user: &VoiceUser, note: VoiceDialNote) {
        // The connection may have other webhooks than when its client logged in.
        self.client(connection, user);
        self.state.lock().dialling.insert(connection, note);
    }

    /// A leg of a project, live or ended not long ago.
    #[must_use]
    pub fn leg(&self, project: ProjectId, leg: LegId) -> Option<VoiceLeg> {
        self.state.lock().legs.get(&leg).filter(|leg| leg.project == project).cloned()
    }

    /// The live legs of a connection.
    #[must_use]
    pub fn live(&self, project: ProjectId, connection: VoiceConnectionId) -> Vec<VoiceLeg> {
        let state = self.state.lock();
        let is_meant = |leg: &&VoiceLeg| leg.project == project && leg.connection == connection && leg.ended.is_none();
        state.legs.values().filter(is_meant).cloned().collect()
    }

    /// The application's own state of a leg is another; whether the leg lives.
    pub fn set_client_state(&self, project: ProjectId, leg: LegId, client_state: &str) -> bool {
        let mut state = self.state.lock();
        let leg = state.legs.get_mut(&leg).filter(|leg| leg.project == project && leg.ended.is_none());
        let Some(leg) = leg else { return false };
        leg.client_state = Some(client_state.to_owned());
        self.watched(LegNews::Changed(leg));
        true
    }

    /// Events that were lost because nobody took them.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Whether no client is there and no call goes on.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        let state = self.state.lock();
        state.clients.is_empty() && state.dialling.is_empty() && state.by_call.is_empty() && state.parties.is_empty()
    }

    /// Something happened to a call. It does not wait.
    pub fn note(&self, event: &CallEvent) {
        let mut state = self.state.lock();
        let (at, call) = (event.at, event.call);
        match &event.kind {
            CallEventKind::Started { leg, from, connection, is_parked, .. } => {
                state.parties.insert(call, from.name.to_string());
                let note = state.dialling.remove(connection).unwrap_or_default();
                if let Some(client) = state.clients.get(connection).cloned() {
                    let begun = begun(*leg, call, client, from.name.to_string(), note, at);
                    self.begin(&mut state, VoiceLeg { is_caller: true, is_parked: *is_parked, ..begun });
                }
            }
            CallEventKind::Invited { leg, to, connection, note } => {
                let noted = || Client::read(CallBook::project(to.account), note.as_deref()?);
                if let Some(client) = state.clients.get(connection).cloned().or_else(noted) {
                    let from = state.parties.get(&call).cloned().unwrap_or_default();
                    let note = VoiceDialNote { to: to.name.to_string(), ..VoiceDialNote::default() };
                    let begun = begun(*leg, call, client, from, note, at);
                    self.begin(&mut state, begun);
                }
            }
            CallEventKind::Answered { leg } => {
                let others: Vec<LegId> = callers(&state, call);
                for leg in [vec![*leg], others].concat() {
                    self.change(&mut state, leg, at, VoiceEventKind::Answered, |known| known.answered = Some(at));
                }
                for leg in live_of(&state, call) {
                    self.change(&mut state, leg, at, VoiceEventKind::Bridged, |_| {});
                }
            }
            CallEventKind::Held { leg, is_held } => {
                self.change(&mut state, *leg, at, VoiceEventKind::Held(*is_held), |_| {});
            }
            CallEventKind::Dtmf { leg, digits } => {
                for digit in digits.chars() {
                    self.change(&mut state, *leg, at, VoiceEventKind::Dtmf(digit), |_| {});
                }
            }
            CallEventKind::LegEnded { leg, cause } => {
                self.end(&mut state, *leg, at, *cause, EndedBy::Callee);
            }
            CallEventKind::Ended { cause, by } => {
                for leg in live_of(&state, call) {
                    self.end(&mut state, leg, at, *cause, *by);
                }
                state.by_call.remove(&call);
                state.parties.remove(&call);
            }
            CallEventKind::Redirected { .. }
            | CallEventKind::Ringing { .. }
            | CallEventKind::Renegotiated
            | CallEventKind::Transferred { .. }
            | CallEventKind::Detached { .. }
            | CallEventKind::Resumed { .. } => {}
        }
    }

    fn begin(&self, state: &mut State, leg: VoiceLeg) {
        state.by_call.entry(leg.call).or_default().push(leg.leg);
        state.legs.insert(leg.leg, leg.clone());
        self.watched(LegNews::Began(&leg));
        self.tell(VoiceEvent { at: leg.started, kind: VoiceEventKind::Initiated, leg });
    }

    fn change(
        &self,
        state: &mut State,
        leg: LegId,
        at: UnixTime,
        kind: VoiceEventKind,
        change: impl FnOnce(&mut VoiceLeg),
    ) {
        let Some(known) = state.legs.get_mut(&leg) else { return };
        change(known);
        match kind {
            VoiceEventKind::Answered => self.watched(LegNews::Changed(known)),
            VoiceEventKind::HungUp { .. } => self.watched(LegNews::Ended(known)),
            VoiceEventKind::Initiated | VoiceEventKind::Bridged | VoiceEventKind::Held(_) | VoiceEventKind::Dtmf(_) => {
            }
        }
        self.tell(VoiceEvent { at, kind, leg: known.clone() });
    }

    fn end(&self, state: &mut State, leg: LegId, at: UnixTime, cause: HangupCause, by: EndedBy) {
        if state.legs.get(&leg).is_none_or(|known| known.ended.is_some()) {
            return;
        }
        self.change(state, leg, at, VoiceEventKind::HungUp { cause, by }, |known| known.ended = Some(at));
        state.ended.push_back((at, leg));
        while let Some((ended, leg)) = state.ended.front().copied() {
            if state.ended.len() <= ENDED_MAX && at.saturating_since(ended) < ENDED_KEPT {
                return;
            }
            state.ended.pop_front();
            state.legs.remove(&leg);
            self.watched(LegNews::Forgotten(leg));
        }
    }

    fn watched(&self, news: LegNews<'_>) {
        if let Some(watch) = self.watch.get() {
            watch(news);
        }
    }

    fn tell(&self, event: VoiceEvent) {
        if event.leg.webhook.url.is_some() && self.events.try_send(event).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
            tracing::debug!("an event of a voice call was lost: its deliveries are behind");
        }
    }
}

fn begun(leg: LegId, call: CallId, client: Client, from: String, note: VoiceDialNote, at: UnixTime) -> VoiceLeg {
    VoiceLeg {
        leg,
        call,
        project: client.project,
        organization: client.organization,
        connection: client.connection,
        webhook: client.webhook,
        from,
        to: note.to,
        is_caller: false,
        is_parked: false,
        client_state: note.client_state,
        headers: note.headers,
        started: at,
        answered: None,
        ended: None,
    }
}

fn live_of(state: &State, call: CallId) -> Vec<LegId> {
    let legs = state.by_call.get(&call).map(Vec::as_slice).unwrap_or_default();
    let is_live = |leg: &&LegId| state.legs.get(*leg).is_some_and(|known| known.ended.is_none());
    legs.iter().filter(is_live).copied().collect()
}

fn callers(state: &State, call: CallId) -> Vec<LegId> {
    live_of(state, call).into_iter().filter(|leg| state.legs.get(leg).is_some_and(|known| known.is_caller)).collect()
}

#[cfg(test)]
mod tests {
    use causeway_call_core::{AccountId, Identity, NodeId};

    use super::*;
    use crate::{UriCalls, VoiceConnection, VoiceConnectionKind};

    const CONNECTION: ConnectionId = ConnectionId { node: NodeId(0), number: 1 };

    fn user(url: Option<&str>) -> VoiceUser {
        let at = UnixTime::from_secs(1);
        VoiceUser {
            connection: VoiceConnection {
                id: VoiceConnectionId(7),
                project: ProjectId(1),
                kind: VoiceConnectionKind::Clients,
                name: String::new(),
                user_name: None,
                password: None,
                is_active: true,
                parks_calls: true,
                rings_all: false,
                is_dialled_by_number: false,
                uri_calls: UriCalls::Nobody,
                ring_for: Duration::ZERO,
                webhook: VoiceWebhook { url: url.map(str::to_owned), ..VoiceWebhook::default() },
                document: String::new(),
                created_at: at,
                updated_at: at,
            },
            credential: None,
            organization: OrganizationId(1),
            is_project_disabled: false,
        }
    }

    fn event(secs: u64, call: u128, kind: CallEventKind) -> CallEvent {
        CallEvent { at: UnixTime::from_secs(secs), call: CallId(call), kind }
    }

    fn started(leg: u128) -> CallEventKind {
        let from = Identity::new(AccountId(1), "alice");
        CallEventKind::Started { leg: LegId(leg), from, to: Vec::new(), connection: CONNECTION, is_parked: true }
    }

    fn ended() -> CallEventKind {
        CallEventKind::Ended { cause: HangupCause::Normal, by: EndedBy::Caller }
    }

    #[test]
    fn a_leg_is_told_from_its_beginning_to_its_end_and_kept_for_ten_minutes() {
        let (book, mut told) = VoiceCalls::new();
        let note = VoiceDialNote { to: "bob".to_owned(), client_state: Some("YQ==".to_owned()), headers: Vec::new() };
        book.dialling(CONNECTION, &user(Some("https://a")), note);
        book.note(&event(10, 1, started(1)));
        assert!(book.set_client_state(ProjectId(1), LegId(1), "Yg=="));
        assert!(!book.set_client_state(ProjectId(2), LegId(1), "Yw=="), "another project's");
        assert_eq!(book.live(ProjectId(1), VoiceConnectionId(7)).len(), 1);
        book.note(&event(20, 1, ended()));
        let told: Vec<(VoiceEventKind, Option<String>)> =
            std::iter::from_fn(|| told.try_recv().ok()).map(|event| (event.kind, event.leg.client_state)).collect();
        let hung_up = VoiceEventKind::HungUp { cause: HangupCause::Normal, by: EndedBy::Caller };
        let expected = [(VoiceEventKind::Initiated, "YQ=="), (hung_up, "Yg==")];
        assert_eq!(told, expected.map(|(kind, state)| (kind, Some(state.to_owned()))));
        assert!(book.live(ProjectId(1), VoiceConnectionId(7)).is_empty());
        assert!(book.leg(ProjectId(1), LegId(1)).is_some_and(|leg| leg.ended.is_some()));

        book.client(CONNECTION, &user(None));
        book.note(&event(619, 2, started(2)));
        book.note(&event(619, 2, ended()));
        assert!(book.leg(ProjectId(1), LegId(1)).is_some());
        book.note(&event(620, 3, started(3)));
        book.note(&event(620, 3, ended()));
        assert!(book.leg(ProjectId(1), LegId(1)).is_none());
    }

    #[test]
    fn a_watch_hears_of_a_leg_what_others_can_see_of_it() {
        let (book, _told) = VoiceCalls::new();
        let heard = Arc::<Mutex<Vec<String>>>::default();
        let ear = Arc::clone(&heard);
        book.watch_legs(Box::new(move |news| {
            ear.lock().push(match news {
                LegNews::Began(leg) => format!("{} began", leg.leg.0),
                LegNews::Changed(leg) => format!("{} {:?} {:?}", leg.leg.0, leg.client_state, leg.answered.is_some()),
                LegNews::Ended(leg) => format!("{} ended {}", leg.leg.0, leg.ended.is_some()),
                LegNews::Forgotten(leg) => format!("{} forgotten", leg.0),
            });
        }));
        book.client(CONNECTION, &user(None));
        book.note(&event(1, 1, started(1)));
        book.note(&event(2, 1, CallEventKind::Held { leg: LegId(1), is_held: true }));
        assert!(book.set_client_state(ProjectId(1), LegId(1), "Yg=="));
        book.note(&event(3, 1, CallEventKind::Answered { leg: LegId(2) }));
        book.note(&event(4, 1, ended()));
        book.note(&event(604, 2, started(2)));
        book.note(&event(604, 2, ended()));
        let state = "Some(\"Yg==\")";
        let changed = ["false", "true"].map(|is_answered| format!("1 {state} {is_answered}"));
        let expected = ["1 began", &changed[0], &changed[1], "1 ended true", "2 began", "2 ended true", "1 forgotten"];
        assert_eq!(*heard.lock(), expected);
    }

    #[test]
    fn a_callee_of_another_server_is_told_by_what_that_says_of_it() {
        let (book, mut told) = VoiceCalls::new();
        let invited = |leg: u128, note: Option<Arc<str>>| {
            let to = Identity::new(AccountId(4), "bob");
            let connection = ConnectionId { node: NodeId(9), number: 1 };
            CallEventKind::Invited { leg: LegId(leg), to, connection, note }
        };
        book.note(&event(1, 1, started(1)));
        for (leg, note) in
            [(2, None), (3, Some(Arc::from("?"))), (4, Some(VoiceCalls::note_on(&user(Some("https://b")))))]
        {
            book.note(&event(2, 1, invited(leg, note)));
        }
        assert!(book.leg(ProjectId(4), LegId(2)).is_none() && book.leg(ProjectId(4), LegId(3)).is_none());
        assert_eq!(book.live(ProjectId(4), VoiceConnectionId(7)).len(), 1, "of the account's project");
        book.note(&event(3, 1, CallEventKind::Answered { leg: LegId(4) }));
        book.note(&event(4, 1, ended()));
        let told: Vec<VoiceEvent> = std::iter::from_fn(|| told.try_recv().ok()).collect();
        let kinds: Vec<&VoiceEventKind> = told.iter().map(|event| &event.kind).collect();
        let hung_up = VoiceEventKind::HungUp { cause: HangupCause::Normal, by: EndedBy::Caller };
        assert_eq!(kinds, [&VoiceEventKind::Initiated, &VoiceEventKind::Answered, &VoiceEventKind::Bridged, &hung_up]);
        let (leg, url) = (&told[0].leg, told[0].leg.webhook.url.as_deref());
        assert_eq!((&*leg.from, &*leg.to, url, leg.is_caller), ("alice", "bob", Some("https://b"), false));
    }

    #[test]
    fn calls_of_other_clients_leave_nothing() {
        let (book, mut told) = VoiceCalls::new();
        book.note(&event(1, 1, started(1)));
        book.note(&event(2, 1, ended()));
        assert!(told.try_recv().is_err());
        let state = book.state.lock();
        assert!(state.legs.is_empty() && state.by_call.is_empty() && state.parties.is_empty());
    }
}
