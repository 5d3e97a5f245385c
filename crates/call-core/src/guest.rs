//! Guest legs: legs at connections of this node whose call another node owns.
//!
//! A guest is always a callee's leg, since the caller's node owns a call. What its client does goes to the owner as a
//! [`LegInput`], and what the owner says goes to its connection. Only what must be answered at once is known here: whether the
//! leg rings, and whether a renegotiation is under way.

use causeway_types::Now;

use crate::{
    CallEventKind, CallId, CallServer, Candidate, ConnectionId, HangupCause, Header, Identity, Info, LegId, LegMessage,
    LegRoute, NodeId, Output, Progress, Refusal,
};
use std::sync::Arc;

/// What a client did with a leg, told to the node that owns its call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LegInput {
    /// [`CallServer::handle_progress`].
    Progress(Progress),
    /// [`CallServer::handle_answer`].
    Answer {
        /// Description.
        answer: Arc<str>,
        /// From the callee.
        headers: Vec<Header>,
        /// More candidates will come.
        is_trickling: bool,
    },
    /// [`CallServer::handle_hangup`].
    HangUp(HangupCause),
    /// [`CallServer::handle_candidate`].
    Candidate(Candidate),
    /// [`CallServer::handle_end_of_candidates`].
    EndOfCandidates,
    /// [`CallServer::handle_reoffer`].
    Reoffer(Arc<str>),
    /// [`CallServer::handle_reanswer`].
    Reanswer(Arc<str>),
    /// [`CallServer::handle_reoffer_refused`].
    ReofferRefused(HangupCause),
    /// [`CallServer::handle_hold`].
    Hold(bool),
    /// [`CallServer::handle_info`].
    Info(Info),
    /// [`CallServer::handle_transfer`].
    Transfer {
        /// Whom.
        to: Identity,
        /// The party at this leg is in a call that the new one replaces.
        replaces: Option<LegId>,
    },
    /// [`CallServer::handle_transfer_progress`].
    TransferProgress(Option<Result<(), HangupCause>>),
    /// [`CallServer::handle_end`].
    End(HangupCause),
    /// The client's connection is gone.
    Lost {
        /// It may come back within its dialect's grace.
        may_return: bool,
    },
    /// The client is back on another connection of the same node.
    Resumed(LegRoute),
}

/// A leg that another node owns.
#[derive(Debug)]
pub(crate) struct Guest {
    pub(crate) owner: NodeId,
    pub(crate) call: CallId,
    pub(crate) route: LegRoute,
    pub(crate) identity: Identity,
    pub(crate) is_answered: bool,
    pub(crate) is_held: bool,
    pub(crate) is_detached: bool,
    /// Its own offer is under way.
    has_offered: bool,
    /// The other party's offer waits for its answer.
    is_offered: bool,
}

impl CallServer {
    /// What the owner of a call says to a leg here. `route` is that of the connection it names, none when that is gone; `call` is
    /// needed with an invitation alone.
    pub fn handle_from_owner(
        &mut self,
        owner: NodeId,
        call: Option<CallId>,
        leg: LegId,
        connection: ConnectionId,
        route: Option<LegRoute>,
        mut message: LegMessage,
    ) {
        if let LegMessage::Invite { to, replaces, .. } = &mut message {
            let Some(call) = call.filter(|_| !self.legs.contains_key(&leg) && !self.guests.contains_key(&leg)) else {
                return;
            };
            let Some(route) = route.filter(|route| route.connection == connection) else {
                return self.tell_owner(owner, leg, connection, LegInput::Lost { may_return: false });
            };
            if self.legs_on(connection).len() >= self.limits.legs_per_connection_max {
                return self.tell_owner(owner, leg, connection, LegInput::HangUp(HangupCause::Busy));
            }
            if let Some(named) = *replaces {
                *replaces = self.replaced_here(named, to, connection);
                if replaces.is_none() {
                    return self.tell_owner(owner, leg, connection, LegInput::HangUp(HangupCause::NotFound));
                }
            }
            let guest = Guest {
                owner,
                call,
                route,
                identity: to.clone(),
                is_answered: false,
                is_held: false,
                is_detached: false,
                has_offered: false,
                is_offered: false,
            };
            self.guests.insert(leg, guest);
            self.by_connection.insert((connection, leg));
        } else {
            let Some(guest) = self.guests.get_mut(&leg).filter(|guest| guest.owner == owner) else { return };
            match &message {
                LegMessage::Reoffer { .. } => guest.is_offered = true,
                LegMessage::Reanswer { .. } | LegMessage::ReofferRefused { .. } => guest.has_offered = false,
                LegMessage::Invite { .. }
                | LegMessage::Ringing
                | LegMessage::Parked
                | LegMessage::Early { .. }
                | LegMessage::Answered { .. }
                | LegMessage::Ended { .. }
                | LegMessage::Candidate(_)
                | LegMessage::EndOfCandidates
                | LegMessage::Held { .. }
                | LegMessage::Info(_)
                | LegMessage::Transfer(_)
                | LegMessage::TransferProgress { .. } => {}
            }
        }
        self.tell_guest(leg, message);
    }

    fn tell_guest(&mut self, leg: LegId, message: LegMessage) {
        let Some(guest) = self.guests.get(&leg) else { return };
        let connection = guest.route.connection;
        if matches!(message, LegMessage::Ended { .. }) {
            self.forget_guest(leg);
        }
        self.give(Output::ToLeg { leg, connection, message });
    }

    pub(crate) fn forget_guest(&mut self, leg: LegId) -> Option<Guest> {
        let guest = self.guests.remove(&leg)?;
        self.by_connection.remove(&(guest.route.connection, leg));
        Some(guest)
    }

    /// What a client of another node did with a leg of a call that this node owns. Whoever sent it is `from`, and only legs at
    /// that node's connections are meant.
    pub fn handle_from_guest(&mut self, now: Now, from: NodeId, leg: LegId, connection: ConnectionId, input: LegInput) {
        if connection.node != from {
            return;
        }
        let is_leave = matches!(input, LegInput::HangUp(_) | LegInput::Lost { .. } | LegInput::End(_));
        let outcome = self.obey_guest(now, leg, connection, input);
        if outcome == Err(Refusal::NoSuchLeg) && !is_leave {
            // It ended here: its node has heard so, or missed it.
            let message = LegMessage::Ended { cause: HangupCause::ConnectionLost };
            self.give(Output::ToLeg { leg, connection, message });
        }
    }

    fn obey_guest(&mut self, now: Now, leg: LegId, connection: ConnectionId, input: LegInput) -> Result<(), Refusal> {
        match input {
            LegInput::Progress(progress) => self.handle_progress(now, connection, leg, progress),
            LegInput::Answer { answer, headers, is_trickling } => {
                let outcome = self.handle_answer(now, connection, leg, answer, headers, is_trickling);
                if outcome.is_err() {
                    // Its client believes that it talks.
                    self.say(leg, LegMessage::Ended { cause: HangupCause::IncompatibleMedia });
                    return self.handle_hangup(now, connection, leg, HangupCause::IncompatibleMedia).and(outcome);
                }
                outcome
            }
            LegInput::HangUp(cause) => self.handle_hangup(now, connection, leg, cause),
            LegInput::Candidate(candidate) => self.handle_candidate(connection, leg, candidate),
            LegInput::EndOfCandidates => self.handle_end_of_candidates(now, connection, leg),
            LegInput::Reoffer(offer) => {
                let outcome = self.handle_reoffer(now, connection, leg, offer);
                if outcome.is_err_and(|refusal| refusal != Refusal::NoSuchLeg) {
                    self.say(leg, LegMessage::ReofferRefused { cause: HangupCause::Busy });
                }
                outcome
            }
            LegInput::Reanswer(answer) => self.handle_reanswer(now, connection, leg, answer),
            LegInput::ReofferRefused(cause) => self.handle_reoffer_refused(connection, leg, cause),
            LegInput::Hold(is_held) => self.handle_hold(now, connection, leg, is_held),
            LegInput::Info(info) => self.handle_info(now, connection, leg, info),
            LegInput::Transfer { to, replaces } => {
                let outcome = self.handle_transfer(now, connection, leg, to, replaces);
                if outcome.is_err_and(|refusal| refusal != Refusal::NoSuchLeg) {
                    self.say(leg, LegMessage::TransferProgress { outcome: Some(Err(HangupCause::Failure)) });
                }
                outcome
            }
            LegInput::TransferProgress(outcome) => self.handle_transfer_progress(connection, leg, outcome),
            LegInput::End(cause) => {
                self.call_of(connection, leg)?;
                self.handle_end(now, leg, cause)
            }
            LegInput::Lost { may_return } => {
                self.call_of(connection, leg)?;
                self.lose(now, leg, may_return);
                Ok(())
            }
            LegInput::Resumed(route) => {
                self.call_of(connection, leg)?;
                if route.connection.node == connection.node {
                    self.resume_leg(now, leg, connection, route);
                }
                Ok(())
            }
        }
    }

    /// Hands an input about a guest to its owner; none when the leg is no guest on this connection.
    pub(crate) fn as_guest(
        &mut self,
        connection: ConnectionId,
        leg: LegId,
        input: impl FnOnce() -> LegInput,
    ) -> Option<Result<(), Refusal>> {
        let guest = self.guests.get(&leg).filter(|guest| guest.route.connection == connection)?;
        let (owner, is_answered) = (guest.owner, guest.is_answered);
        let (has_offered, is_offered, account) = (guest.has_offered, guest.is_offered, guest.identity.account);
        let input = input();
        let refusal = match &input {
            LegInput::Progress(_) if is_answered => Some(Refusal::WrongState),
            LegInput::Answer { answer, headers, .. } if !is_answered => {
                self.check_description(answer).and_then(|()| self.check_headers(headers)).err()
            }
            LegInput::Answer { .. } => Some(Refusal::WrongState),
            LegInput::Reoffer(_) if has_offered || is_offered => Some(Refusal::RenegotiationPending),
            LegInput::Reanswer(_) | LegInput::ReofferRefused(_) if !is_offered => Some(Refusal::WrongState),
            LegInput::Reoffer(description) | LegInput::Reanswer(description) if is_answered => {
                self.check_description(description).err()
            }
            LegInput::Info(Info::Message { body, .. }) if is_answered => self.check_description(body).err(),
            LegInput::Info(Info::Dtmf { digits, .. }) if is_answered => self.check_description(digits).err(),
            LegInput::Candidate(candidate) if candidate.line.len() > self.limits.candidate_bytes_max => {
                Some(Refusal::Candidates)
            }
            LegInput::Reoffer(_)
            | LegInput::Reanswer(_)
            | LegInput::ReofferRefused(_)
            | LegInput::Hold(_)
            | LegInput::Info(_)
            | LegInput::Transfer { .. }
            | LegInput::TransferProgress(_)
                if !is_answered =>
            {
                Some(Refusal::WrongState)
            }
            LegInput::Transfer { to, .. } if to.account != account => Some(Refusal::Targets),
            LegInput::Progress(_)
            | LegInput::HangUp(_)
            | LegInput::Candidate(_)
            | LegInput::EndOfCandidates
            | LegInput::Reoffer(_)
            | LegInput::Reanswer(_)
            | LegInput::ReofferRefused(_)
            | LegInput::Hold(_)
            | LegInput::Info(_)
            | LegInput::Transfer { .. }
            | LegInput::TransferProgress(_)
            | LegInput::End(_)
            | LegInput::Lost { .. }
            | LegInput::Resumed(_) => None,
        };
        if let Some(refusal) = refusal {
            return Some(Err(refusal));
        }
        self.note_input(leg, &input);
        self.tell_owner(owner, leg, connection, input);
        Some(Ok(()))
    }

    fn note_input(&mut self, leg: LegId, input: &LegInput) {
        let Some(guest) = self.guests.get_mut(&leg) else { return };
        match input {
            LegInput::Answer { .. } => guest.is_answered = true,
            LegInput::HangUp(_) | LegInput::End(_) | LegInput::Lost { may_return: false } => {
                self.forget_guest(leg);
            }
            LegInput::Reoffer(_) => guest.has_offered = true,
            LegInput::Reanswer(_) | LegInput::ReofferRefused(_) => guest.is_offered = false,
            LegInput::Hold(is_held) => guest.is_held = *is_held,
            LegInput::Lost { may_return: true } => guest.is_detached = true,
            LegInput::Progress(_)
            | LegInput::Candidate(_)
            | LegInput::EndOfCandidates
            | LegInput::Info(_)
            | LegInput::Transfer { .. }
            | LegInput::TransferProgress(_)
            | LegInput::Resumed(_) => {}
        }
    }

    fn tell_owner(&mut self, owner: NodeId, leg: LegId, connection: ConnectionId, input: LegInput) {
        self.give(Output::ToOwner { owner, leg, connection, input });
    }

    /// The connection of a guest is gone: the owner hears it, and the leg is kept here if its client may return.
    pub(crate) fn lose_guest(&mut self, leg: LegId) {
        let Some(guest) = self.guests.get(&leg).filter(|guest| !guest.is_detached) else { return };
        let may_return = guest.route.traits.grace.is_some() && guest.is_answered;
        let connection = guest.route.connection;
        // A guest takes every loss.
        let _taken = self.as_guest(connection, leg, || LegInput::Lost { may_return });
    }

    /// The client of a guest is back.
    pub(crate) fn resume_guest(&mut self, leg: LegId, route: LegRoute) {
        let Some(guest) = self.guests.get_mut(&leg) else { return };
        let (owner, before) = (guest.owner, guest.route.connection);
        guest.route = route;
        guest.is_detached = false;
        self.by_connection.remove(&(before, leg));
        self.by_connection.insert((route.connection, leg));
        self.tell_owner(owner, leg, before, LegInput::Resumed(route));
    }

    /// A guest is ended from here, by an operator or a stop: its client and its owner hear it.
    pub(crate) fn end_guest(&mut self, leg: LegId, cause: HangupCause) -> Result<(), Refusal> {
        let connection = self.guests.get(&leg).ok_or(Refusal::NoSuchLeg)?.route.connection;
        let handed = self.as_guest(connection, leg, || LegInput::End(cause));
        self.give(Output::ToLeg { leg, connection, message: LegMessage::Ended { cause } });
        handed.unwrap_or(Err(Refusal::NoSuchLeg))
    }

    /// The owner of these is gone: their clients hear that the other party is.
    pub(crate) fn lose_guests_of(&mut self, owner: NodeId) -> usize {
        let legs: Vec<LegId> =
            self.guests.iter().filter(|(_, guest)| guest.owner == owner).map(|(leg, _)| *leg).collect();
        let n_legs = legs.len();
        for leg in legs {
            self.tell_guest(leg, LegMessage::Ended { cause: HangupCause::ConnectionLost });
        }
        n_legs
    }

    /// A leg of an own call is on another connection of its node.
    pub(crate) fn resume_leg(&mut self, now: Now, id: LegId, old: ConnectionId, route: LegRoute) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        leg.route = route;
        self.by_connection.remove(&(old, id));
        self.by_connection.insert((route.connection, id));
        let detached = leg.detached_until.take();
        let waiting = std::mem::take(&mut leg.waiting);
        let call = leg.call;
        self.timers.clear(detached, crate::timers::Timer::Detached(id));
        if detached.is_some() {
            self.event(now, call, CallEventKind::Resumed { leg: id });
        }
        for message in waiting {
            self.say(id, message);
        }
    }
}

#[cfg(test)]
mod tests;
