//! A registrar and a call server in virtual time, and clients that only listen.

use std::{
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

use causeway_types::{Now, UnixTime};

use crate::{
    AccountId, CallEventKind, CallLimits, CallServer, ConnectionId, Dial, EndedBy, HangupCause, Identity, LegId,
    LegMessage, LegRoute, LegTraits, NodeId, Output, Party, Refusal, Registrar, Registration, RingRule, Target,
};

pub(super) const SIP: LegTraits = LegTraits { takes_candidates: false, takes_transfer: true, grace: None };
pub(super) const RESUMING: LegTraits =
    LegTraits { takes_candidates: true, takes_transfer: false, grace: Some(Duration::from_secs(90)) };

pub(super) struct World {
    pub(super) server: CallServer,
    pub(super) registrar: Registrar,
    pub(super) now: Now,
    pub(super) said: Vec<(ConnectionId, LegId, LegMessage)>,
    pub(super) events: Vec<CallEventKind>,
}

pub(super) fn connection(number: u64) -> ConnectionId {
    ConnectionId { node: NodeId(1), number }
}

pub(super) fn identity(name: &str) -> Identity {
    Identity::new(AccountId(1), name)
}

pub(super) fn text(text: &str) -> Arc<str> {
    Arc::from(text)
}

impl World {
    pub(super) fn new() -> Self {
        Self::with(CallLimits::default())
    }

    pub(super) fn with(limits: CallLimits) -> Self {
        static START: LazyLock<Instant> = LazyLock::new(|| Now::read().mono);
        Self {
            server: CallServer::new(limits, [7; 32]).of_node(NodeId(1)),
            registrar: Registrar::default(),
            now: Now { mono: *START, unix: UnixTime::from_secs(1000) },
            said: Vec::new(),
            events: Vec::new(),
        }
    }

    pub(super) fn register(&mut self, name: &str, number: u64, traits: LegTraits) {
        let registration = Registration {
            identity: identity(name),
            route: LegRoute { connection: connection(number), traits },
            contact: Arc::from(format!("{name}-{number}")),
            lifetime: Duration::from_secs(600),
            is_ringable: true,
            grant: Arc::from(""),
        };
        self.registrar.handle_register(self.now, registration).unwrap();
    }

    pub(super) fn dial_as(&mut self, dial: Dial) -> Result<LegId, Refusal> {
        let leg = self.server.handle_dial(self.now, dial);
        self.drain();
        leg
    }

    pub(super) fn dial(&mut self, from: &str, number: u64, to: &str) -> LegId {
        self.dial_as(dial(from, number, to, SIP)).unwrap()
    }

    /// Takes every output; questions are answered from the registrar.
    pub(super) fn drain(&mut self) {
        while let Some(output) = self.server.poll_output() {
            match output {
                Output::ToLeg { leg, connection, message } => self.said.push((connection, leg, message)),
                Output::ToOwner { .. } => unreachable!("there is one node"),
                Output::Event(event) => self.events.push(event.kind),
                Output::Locate { id, identities } => {
                    let found = identities.iter().flat_map(|identity| self.registrar.locate(identity)).collect();
                    self.server.handle_located(self.now, id, Ok(found));
                }
            }
        }
    }

    pub(super) fn advance(&mut self, by: Duration) {
        self.now = Now { mono: self.now.mono + by, unix: self.now.unix.saturating_add(by) };
        self.server.handle_timeout(self.now);
        self.registrar.handle_timeout(self.now);
        self.drain();
    }

    /// The connection of a client is gone.
    pub(super) fn cut(&mut self, number: u64) {
        self.registrar.handle_connection_lost(self.now, connection(number));
        self.server.handle_connection_lost(self.now, connection(number));
        self.drain();
    }

    /// What a connection was told since this was last asked.
    pub(super) fn heard(&mut self, number: u64) -> Vec<LegMessage> {
        let (mine, others) = std::mem::take(&mut self.said).into_iter().partition(|said| said.0 == connection(number));
        self.said = others;
        let mine: Vec<(ConnectionId, LegId, LegMessage)> = mine;
        mine.into_iter().map(|said| said.2).collect()
    }

    /// The leg at which a connection was invited last.
    pub(super) fn invited(&self, number: u64) -> Option<LegId> {
        let last = self
            .said
            .iter()
            .rev()
            .find(|said| said.0 == connection(number) && matches!(said.2, LegMessage::Invite { .. }));
        last.map(|said| said.1)
    }

    pub(super) fn answer(&mut self, number: u64, leg: LegId) -> Result<(), Refusal> {
        let answer = text("v=0\nm=audio 9 X 0\ns=answer\n");
        let result = self.server.handle_answer(self.now, connection(number), leg, answer, Vec::new(), false);
        self.drain();
        result
    }

    pub(super) fn hang_up(&mut self, number: u64, leg: LegId, cause: HangupCause) -> Result<(), Refusal> {
        let result = self.server.handle_hangup(self.now, connection(number), leg, cause);
        self.drain();
        result
    }

    /// Alice on 1 calls bob on 2; bob has answered. Both legs; what was said until here is forgotten.
    pub(super) fn call(&mut self, caller: LegTraits, callee: LegTraits) -> (LegId, LegId) {
        self.register("bob", 2, callee);
        let alice = self.dial_as(dial("alice", 1, "bob", caller)).unwrap();
        let bob = self.invited(2).unwrap();
        self.answer(2, bob).unwrap();
        self.said.clear();
        self.events.clear();
        (alice, bob)
    }

    pub(super) fn ended(&self) -> Option<(HangupCause, EndedBy)> {
        self.events
            .iter()
            .find_map(|event| if let CallEventKind::Ended { cause, by } = event { Some((*cause, *by)) } else { None })
    }

    pub(super) fn assert_nothing_is_kept(&self) {
        assert!(self.server.is_empty(), "{:?}", self.server);
    }
}

pub(super) fn dial(from: &str, number: u64, to: &str, traits: LegTraits) -> Dial {
    Dial {
        from: Party { identity: identity(from), display: Arc::from("") },
        route: LegRoute { connection: connection(number), traits },
        target: Target::Identities(vec![identity(to)]),
        offer: text("v=0\nm=audio 9 X 0\na=mid:0\n"),
        is_trickling: false,
        headers: Vec::new(),
        ring: RingRule::Newest,
        ring_for: None,
    }
}

pub(super) fn ended(cause: HangupCause) -> LegMessage {
    LegMessage::Ended { cause }
}
