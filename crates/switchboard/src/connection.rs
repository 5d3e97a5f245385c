//! [`Connection`]: one client's way into the cores.

use std::{sync::Arc, time::Duration};

use causeway_call_core::{
    CallServer, Candidate, ConnectionId, Dial, HangupCause, Header, Identity, Info, LegId, LegMessage, LegRoute,
    LegTraits, Party, Progress, Refusal, RegisterRefusal, Registered, Registration, RingRule, Target,
};
use causeway_types::Now;
use tokio::sync::mpsc;

use crate::Switchboard;

/// What a client is to hear.
#[derive(Debug)]
pub struct ToClient {
    /// Of which leg.
    pub leg: LegId,
    /// What.
    pub message: LegMessage,
}

/// What waits for a client. Boxed: a channel keeps room for 32 messages, and most clients are idle.
pub type Inbox = mpsc::Receiver<Box<ToClient>>;

/// A call that a client places; the rest is the connection's.
#[derive(Clone, Debug)]
pub struct Placing {
    /// Verified.
    pub from: Party,
    /// Whom.
    pub target: Target,
    /// Offer.
    pub offer: Arc<str>,
    /// More candidates will come.
    pub is_trickling: bool,
    /// Passed on.
    pub headers: Vec<Header>,
    /// Which bindings ring.
    pub ring: RingRule,
    /// How long.
    pub ring_for: Option<Duration>,
}

/// One client. When it is dropped the client is gone.
#[derive(Debug)]
pub struct Connection {
    board: Arc<Switchboard>,
    route: LegRoute,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.board.disconnect(self.route.connection);
    }
}

impl Connection {
    pub(crate) const fn new(board: Arc<Switchboard>, connection: ConnectionId, traits: LegTraits) -> Self {
        Self { board, route: LegRoute { connection, traits } }
    }

    /// Its name.
    #[must_use]
    pub const fn id(&self) -> ConnectionId {
        self.route.connection
    }

    /// Where it belongs.
    #[must_use]
    pub const fn board(&self) -> &Arc<Switchboard> {
        &self.board
    }

    /// The client can be found here, for a time.
    ///
    /// # Errors
    /// The limit that was reached.
    pub fn register(
        &self,
        identity: Identity,
        contact: &str,
        lifetime: Duration,
        is_ringable: bool,
    ) -> Result<Registered, RegisterRefusal> {
        self.register_with(identity, contact, lifetime, is_ringable, Arc::from(""))
    }

    /// The same, and what allows it: a token's id, for a limit and for revocation.
    ///
    /// # Errors
    /// The limit that was reached.
    pub fn register_with(
        &self,
        identity: Identity,
        contact: &str,
        lifetime: Duration,
        is_ringable: bool,
        grant: Arc<str>,
    ) -> Result<Registered, RegisterRefusal> {
        let contact = Arc::from(contact);
        let registration = Registration { identity, route: self.route, contact, lifetime, is_ringable, grant };
        self.board.run(|state, now| state.registrar.handle_register(now, registration))
    }

    /// The client cannot be found here any more. Whether it could.
    pub fn unregister(&self, identity: &Identity, contact: &str) -> bool {
        self.board.run(|state, now| state.registrar.handle_unregister(now, self.id(), identity, contact))
    }

    /// This client was connected before as `old`: its bindings and calls are this connection's. The legs it has.
    pub fn resume(&self, old: ConnectionId) -> Vec<LegId> {
        self.board.run(|state, now| state.resume(now, old, self.route))
    }

    /// One input about this client's legs, for dialects that have a way of their own into the call core.
    pub fn with_calls<T>(&self, input: impl FnOnce(&mut CallServer, Now) -> T) -> T {
        self.board.run(|state, now| input(&mut state.calls, now))
    }

    /// The client is gone and may come back within this time, as another connection that resumes this one: its bindings keep
    /// their places, its calls go on. Its name, for that.
    pub fn detach(&self, grace: Duration) -> ConnectionId {
        self.board.detach(self.id(), grace);
        self.id()
    }

    /// The client places a call.
    ///
    /// # Errors
    /// As [`handle_dial`](causeway_call_core::CallServer::handle_dial).
    pub fn dial(&self, placing: Placing) -> Result<LegId, Refusal> {
        let Placing { from, target, offer, is_trickling, headers, ring, ring_for } = placing;
        let dial = Dial { from, route: self.route, target, offer, is_trickling, headers, ring, ring_for };
        self.board.run(|state, now| state.calls.handle_dial(now, dial))
    }

    /// The client's device rings, or gives early media.
    ///
    /// # Errors
    /// As [`handle_progress`](causeway_call_core::CallServer::handle_progress).
    pub fn progress(&self, leg: LegId, progress: Progress) -> Result<(), Refusal> {
        self.board.run(|state, now| state.calls.handle_progress(now, self.id(), leg, progress))
    }

    /// The client takes a call.
    ///
    /// # Errors
    /// As [`handle_answer`](causeway_call_core::CallServer::handle_answer).
    pub fn answer(
        &self,
        leg: LegId,
        answer: Arc<str>,
        headers: Vec<Header>,
        is_trickling: bool,
    ) -> Result<(), Refusal> {
        self.board.run(|state, now| state.calls.handle_answer(now, self.id(), leg, answer, headers, is_trickling))
    }

    /// The client is through with a leg.
    ///
    /// # Errors
    /// As [`handle_hangup`](causeway_call_core::CallServer::handle_hangup).
    pub fn hang_up(&self, leg: LegId, cause: HangupCause) -> Result<(), Refusal> {
        self.board.run(|state, now| state.calls.handle_hangup(now, self.id(), leg, cause))
    }

    /// A candidate, or with none the end of them.
    ///
    /// # Errors
    /// As [`handle_candidate`](causeway_call_core::CallServer::handle_candidate).
    pub fn candidate(&self, leg: LegId, candidate: Option<Candidate>) -> Result<(), Refusal> {
        self.board.run(|state, now| match candidate {
            Some(candidate) => state.calls.handle_candidate(self.id(), leg, candidate),
            None => state.calls.handle_end_of_candidates(now, self.id(), leg),
        })
    }

    /// The client offers a new description.
    ///
    /// # Errors
    /// As [`handle_reoffer`](causeway_call_core::CallServer::handle_reoffer).
    pub fn reoffer(&self, leg: LegId, offer: Arc<str>) -> Result<(), Refusal> {
        self.board.run(|state, now| state.calls.handle_reoffer(now, self.id(), leg, offer))
    }

    /// The client answers a new description, or does not take it.
    ///
    /// # Errors
    /// As [`handle_reanswer`](causeway_call_core::CallServer::handle_reanswer).
    pub fn reanswer(&self, leg: LegId, answer: Result<Arc<str>, HangupCause>) -> Result<(), Refusal> {
        self.board.run(|state, now| match answer {
            Ok(answer) => state.calls.handle_reanswer(now, self.id(), leg, answer),
            Err(cause) => state.calls.handle_reoffer_refused(self.id(), leg, cause),
        })
    }

    /// The client holds the call, or takes it back.
    ///
    /// # Errors
    /// As [`handle_hold`](causeway_call_core::CallServer::handle_hold).
    pub fn hold(&self, leg: LegId, is_held: bool) -> Result<(), Refusal> {
        self.board.run(|state, now| state.calls.handle_hold(now, self.id(), leg, is_held))
    }

    /// The client says something beside the media.
    ///
    /// # Errors
    /// As [`handle_info`](causeway_call_core::CallServer::handle_info).
    pub fn info(&self, leg: LegId, info: Info) -> Result<(), Refusal> {
        self.board.run(|state, now| state.calls.handle_info(now, self.id(), leg, info))
    }

    /// The client wants the other party to call somebody else.
    ///
    /// # Errors
    /// As [`handle_transfer`](causeway_call_core::CallServer::handle_transfer).
    pub fn transfer(&self, leg: LegId, to: Identity, replaces: Option<LegId>) -> Result<(), Refusal> {
        self.board.run(|state, now| state.calls.handle_transfer(now, self.id(), leg, to, replaces))
    }

    /// How the call of this transferred client comes on.
    ///
    /// # Errors
    /// As [`handle_transfer_progress`](causeway_call_core::CallServer::handle_transfer_progress).
    pub fn transfer_progress(&self, leg: LegId, outcome: Option<Result<(), HangupCause>>) -> Result<(), Refusal> {
        self.board.run(|state, _| state.calls.handle_transfer_progress(self.id(), leg, outcome))
    }
}
