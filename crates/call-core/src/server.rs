//! [`CallServer`]: what it holds, its timers and outputs, and how a call ends.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Instant,
};

use causeway_types::{Now, UnixTime};
use rand_chacha::{
    ChaCha12Rng,
    rand_core::{Rng, SeedableRng},
};

use crate::{
    CallEvent, CallEventKind, CallId, CallLimits, ConnectionId, EndedBy, HangupCause, Identity, LegId, LegMessage,
    LocateId, MediaSide, NodeId, Output, Refusal,
    call::{Call, Leg, Phase},
    guest::Guest,
    ids::as_uuid,
    timers::{Timer, Timers},
};

/// The calls whose callers are connected to this node, and the legs here of calls that other nodes own.
#[derive(Debug)]
pub struct CallServer {
    pub(crate) node: NodeId,
    pub(crate) limits: CallLimits,
    rng: ChaCha12Rng,
    pub(crate) calls: BTreeMap<CallId, Call>,
    pub(crate) legs: BTreeMap<LegId, Leg>,
    /// Legs at connections of this node whose calls are other nodes'.
    pub(crate) guests: BTreeMap<LegId, Guest>,
    pub(crate) by_connection: BTreeSet<(ConnectionId, LegId)>,
    pub(crate) locating: BTreeMap<LocateId, CallId>,
    pub(crate) next_locate: u64,
    pub(crate) timers: Timers,
    outputs: VecDeque<Output>,
}

/// A call as others may see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallView {
    /// Which.
    pub id: CallId,
    /// Who placed it.
    pub from: Identity,
    /// `locating`, `ringing`, `parked`, `active`.
    pub phase: &'static str,
    /// When it was placed.
    pub started: UnixTime,
    /// When it was answered.
    pub answered: Option<UnixTime>,
    /// The caller's leg first.
    pub legs: Vec<LegId>,
}

/// A leg as others may see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LegView {
    /// Of which call.
    pub call: CallId,
    /// Who is there.
    pub identity: Identity,
    /// Where.
    pub connection: ConnectionId,
    /// Where its media ends.
    pub media: MediaSide,
    /// Whether it placed the call.
    pub is_caller: bool,
    /// Whether its party holds the call.
    pub is_held: bool,
    /// Whether its connection is gone for now.
    pub is_detached: bool,
    /// The other party's leg, once there is one and this node owns the call.
    pub other: Option<LegId>,
}

impl CallServer {
    /// A server without calls. All randomness grows from the seed.
    #[must_use]
    pub fn new(limits: CallLimits, seed: [u8; 32]) -> Self {
        Self {
            node: NodeId::default(),
            limits,
            rng: ChaCha12Rng::from_seed(seed),
            calls: BTreeMap::new(),
            legs: BTreeMap::new(),
            guests: BTreeMap::new(),
            by_connection: BTreeSet::new(),
            locating: BTreeMap::new(),
            next_locate: 0,
            timers: Timers::default(),
            outputs: VecDeque::new(),
        }
    }

    /// One of several servers: connections of other nodes are these nodes'.
    #[must_use]
    pub fn of_node(mut self, node: NodeId) -> Self {
        self.node = node;
        self
    }

    /// What to do next; none when everything was taken.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call [`Self::handle_timeout`] next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Does what is due. It may come late, early or twice.
    pub fn handle_timeout(&mut self, now: Now) {
        while let Some(timer) = self.timers.take_due(now.mono) {
            match timer {
                Timer::Phase(call) => self.phase_due(now, call),
                Timer::Renegotiation(call) => self.renegotiation_due(now, call),
                Timer::Detached(leg) => self.detached_due(now, leg),
            }
        }
    }

    fn phase_due(&mut self, now: Now, id: CallId) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        if call.deadline.is_none_or(|at| at > now.mono) {
            return;
        }
        call.deadline = None;
        match &mut call.phase {
            Phase::Gathering(bindings) => {
                let bindings = std::mem::take(bindings);
                self.ring(now, id, bindings);
            }
            Phase::Answering { .. } => self.connect(now, id),
            Phase::Locating(_) => self.end_call(now, id, HangupCause::Failure, EndedBy::Server, None),
            Phase::Ringing | Phase::Parked => self.end_call(now, id, HangupCause::NoAnswer, EndedBy::Server, None),
            Phase::Active { .. } => self.end_call(now, id, HangupCause::DurationLimit, EndedBy::Server, None),
        }
    }

    /// Ends a call for a backend, an operator or a revocation.
    ///
    /// # Errors
    /// [`Refusal::NoSuchLeg`].
    pub fn handle_end(&mut self, now: Now, leg: LegId, cause: HangupCause) -> Result<(), Refusal> {
        let Some(call) = self.legs.get(&leg).map(|leg| leg.call) else { return self.end_guest(leg, cause) };
        self.end_call(now, call, cause, EndedBy::Server, None);
        Ok(())
    }

    /// Ends every call: the server stops.
    pub fn handle_shutdown(&mut self, now: Now) {
        let calls: Vec<CallId> = self.calls.keys().copied().collect();
        for call in calls {
            self.end_call(now, call, HangupCause::Shutdown, EndedBy::Server, None);
        }
        let guests: Vec<LegId> = self.guests.keys().copied().collect();
        for leg in guests {
            if self.end_guest(leg, HangupCause::Shutdown).is_err() {
                // It is not there any more.
                continue;
            }
        }
    }

    /// How many calls there are.
    #[must_use]
    pub fn call_count(&self) -> usize {
        self.calls.len()
    }

    /// How many legs there are at connections or in calls of this node.
    #[must_use]
    pub fn leg_count(&self) -> usize {
        self.legs.len() + self.guests.len()
    }

    /// Whether nothing is kept: no call, leg, question or deadline.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty()
            && self.legs.is_empty()
            && self.guests.is_empty()
            && self.by_connection.is_empty()
            && self.locating.is_empty()
            && self.timers.len() == 0
    }

    /// One leg.
    #[must_use]
    pub fn leg(&self, id: LegId) -> Option<LegView> {
        if let Some(guest) = self.guests.get(&id) {
            return Some(LegView {
                call: guest.call,
                identity: guest.identity.clone(),
                connection: guest.route.connection,
                media: MediaSide::PassThrough,
                is_caller: false,
                is_held: guest.is_held,
                is_detached: guest.is_detached,
                other: None,
            });
        }
        let leg = self.legs.get(&id)?;
        let call = self.calls.get(&leg.call)?;
        Some(LegView {
            call: leg.call,
            identity: leg.identity.clone(),
            connection: leg.route.connection,
            media: leg.media,
            is_caller: call.caller == id,
            is_held: leg.is_held,
            is_detached: leg.detached_until.is_some(),
            other: call.other(id),
        })
    }

    /// Whether a leg here is of a call that another node owns.
    #[must_use]
    pub fn is_guest(&self, leg: LegId) -> bool {
        self.guests.contains_key(&leg)
    }

    /// Every call, oldest id first.
    pub fn calls(&self) -> impl Iterator<Item = CallView> {
        self.calls.values().map(|call| CallView {
            id: call.id,
            from: call.from.identity.clone(),
            phase: match call.phase {
                Phase::Locating(_) | Phase::Gathering(_) => "locating",
                Phase::Ringing | Phase::Answering { .. } => "ringing",
                Phase::Active { .. } => "active",
                Phase::Parked => "parked",
            },
            started: call.started,
            answered: call.answered,
            legs: self.legs_of(call),
        })
    }

    /// The legs of a connection, for a client that comes back.
    #[must_use]
    pub fn legs_on(&self, connection: ConnectionId) -> Vec<LegId> {
        self.by_connection.range((connection, LegId(0))..=(connection, LegId(u128::MAX))).map(|(_, leg)| *leg).collect()
    }

    pub(crate) fn random_id(&mut self) -> u128 {
        let high = u128::from(self.rng.next_u64());
        as_uuid((high << 64) | u128::from(self.rng.next_u64()))
    }

    /// The call of a leg that is on this connection.
    pub(crate) fn call_of(&self, connection: ConnectionId, leg: LegId) -> Result<CallId, Refusal> {
        let known = self.legs.get(&leg).filter(|known| known.route.connection == connection);
        known.map(|known| known.call).ok_or(Refusal::NoSuchLeg)
    }

    /// The call of an active leg on this connection, and the other party's leg.
    pub(crate) fn active(&self, connection: ConnectionId, leg: LegId) -> Result<(CallId, LegId), Refusal> {
        let id = self.call_of(connection, leg)?;
        let other = self.calls.get(&id).and_then(|call| call.other(leg)).ok_or(Refusal::WrongState)?;
        Ok((id, other))
    }

    pub(crate) fn give(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    pub(crate) fn event(&mut self, now: Now, call: CallId, kind: CallEventKind) {
        self.outputs.push_back(Output::Event(CallEvent { at: now.unix, call, kind }));
    }

    pub(crate) fn ask(&mut self, id: LocateId, identities: Vec<Identity>) {
        self.outputs.push_back(Output::Locate { id, identities });
    }

    /// Tells a leg, or keeps for a detached one what it must hear when it is back.
    pub(crate) fn say(&mut self, id: LegId, message: LegMessage) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        // The other node must know that it is over; it keeps nothing back.
        let is_last = matches!(message, LegMessage::Ended { .. }) && leg.route.connection.node != self.node;
        if leg.detached_until.is_some() && !is_last {
            let is_offer = |message: &LegMessage| matches!(message, LegMessage::Reoffer { .. });
            if is_offer(&message) {
                leg.waiting.retain(|waiting| !is_offer(waiting));
            }
            if is_offer(&message) || matches!(message, LegMessage::Answered { .. }) {
                leg.waiting.push(message);
            }
            return;
        }
        let connection = leg.route.connection;
        self.outputs.push_back(Output::ToLeg { leg: id, connection, message });
    }

    pub(crate) fn set_deadline(&mut self, id: CallId, at: Instant) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let before = call.deadline.replace(at);
        self.timers.clear(before, Timer::Phase(id));
        self.timers.set(at, Timer::Phase(id));
    }

    /// Takes a leg out; it hears nothing of it.
    pub(crate) fn forget_leg(&mut self, id: LegId) -> Option<Leg> {
        let leg = self.legs.remove(&id)?;
        self.by_connection.remove(&(leg.route.connection, id));
        self.timers.clear(leg.detached_until, Timer::Detached(id));
        Some(leg)
    }

    /// Ends a call. `ender` knows already; every other leg is told. Devices that still rang are told that the caller gave up,
    /// unless nobody answered in time.
    pub(crate) fn end_call(&mut self, now: Now, id: CallId, cause: HangupCause, by: EndedBy, ender: Option<LegId>) {
        let Some(call) = self.calls.get(&id) else { return };
        for leg in self.legs_of(call) {
            if Some(leg) != ender {
                self.say(leg, LegMessage::Ended { cause });
            }
            self.forget_leg(leg);
        }
        if let Some(call) = self.calls.remove(&id) {
            self.timers.clear(call.deadline, Timer::Phase(id));
            self.timers.clear(call.renegotiation.map(|renegotiation| renegotiation.until), Timer::Renegotiation(id));
            if let Phase::Locating(question) = call.phase {
                self.locating.remove(&question);
            }
        }
        self.event(now, id, CallEventKind::Ended { cause, by });
    }

    fn legs_of(&self, call: &Call) -> Vec<LegId> {
        let mut legs = vec![call.caller];
        legs.extend(call.ringing.iter().copied());
        match &call.phase {
            Phase::Active { callee } | Phase::Answering { callee, .. } => legs.push(*callee),
            Phase::Locating(_) | Phase::Gathering(_) | Phase::Ringing | Phase::Parked => {}
        }
        legs
    }
}

#[cfg(test)]
mod tests;
