//! From a dial to an answer: locate, gather, ring; the first answer wins.

use std::{sync::Arc, time::Duration};

use causeway_types::Now;

use crate::{
    BindingRef, CallEventKind, CallId, CallServer, Candidate, ConnectionId, Dial, EndedBy, HangupCause, Header,
    Identity, LegId, LegInput, LegMessage, LocateId, MediaSide, Progress, Refusal, RingRule, Target,
    call::{Call, Leg, Offer, Phase},
    description::with_candidates,
    hunt::Hunt,
};

impl CallServer {
    /// Places a call. The id is the caller's leg.
    ///
    /// # Errors
    /// The limit of that name, or [`Refusal::NoSuchLeg`] for a call to replace that is not there or not the account's.
    pub fn handle_dial(&mut self, now: Now, dial: Dial) -> Result<LegId, Refusal> {
        self.check_dial(&dial)?;
        let replaced = match dial.target {
            Target::Replacing(leg) => Some(self.replaced_party(&dial, leg)?),
            Target::Identities(_) | Target::ReplacingAt { .. } | Target::Parked => None,
        };
        let (id, leg) = (CallId(self.random_id()), LegId(self.random_id()));
        let is_parked = dial.target == Target::Parked;
        // Only one of the places has the leg, and it is known where it is asked.
        let ring = if matches!(dial.target, Target::ReplacingAt { .. }) { RingRule::All } else { dial.ring };
        let (to, replaces) = match dial.target {
            Target::Identities(to) => (to, None),
            Target::Replacing(replaces) => {
                (replaced.iter().map(|party| party.identity.clone()).collect(), Some(replaces))
            }
            Target::ReplacingAt { leg, party } => (vec![party], Some(leg)),
            Target::Parked => (Vec::new(), None),
        };
        let connection = dial.route.connection;
        let started =
            CallEventKind::Started { leg, from: dial.from.identity.clone(), to: to.clone(), connection, is_parked };
        self.legs.insert(
            leg,
            Leg {
                call: id,
                route: dial.route,
                media: MediaSide::PassThrough,
                identity: dial.from.identity.clone(),
                note: None,
                is_ringing: false,
                is_held: false,
                detached_until: None,
                waiting: Vec::new(),
            },
        );
        self.by_connection.insert((connection, leg));
        self.calls.insert(
            id,
            Call {
                id,
                caller: leg,
                from: dial.from,
                phase: Phase::Parked,
                deadline: None,
                offer: Offer { description: dial.offer, candidates: Vec::new(), is_complete: !dial.is_trickling },
                headers: dial.headers,
                ring,
                ring_for: self.ring_time(dial.ring_for),
                hunt: Hunt::default(),
                replaces,
                has_early_answer: false,
                is_ringing_told: false,
                ringing: Vec::new(),
                renegotiation: None,
                started: now.unix,
                answered: None,
            },
        );
        self.event(now, id, started);
        match replaced {
            Some(party) => self.located(now, id, vec![party]),
            None if is_parked => {
                self.set_deadline(id, now.mono + self.limits.park_max);
                self.say(leg, LegMessage::Parked);
            }
            None => self.locate(now, id, to),
        }
        Ok(leg)
    }

    fn check_dial(&self, dial: &Dial) -> Result<(), Refusal> {
        if self.calls.len() >= self.limits.calls_max {
            return Err(Refusal::TooManyCalls);
        }
        if self.is_full(dial.route.connection) {
            return Err(Refusal::TooManyLegs);
        }
        self.check_description(&dial.offer)?;
        self.check_headers(&dial.headers)?;
        match &dial.target {
            Target::Identities(to) => self.check_targets(&dial.from.identity, to),
            Target::ReplacingAt { party, .. } => self.check_targets(&dial.from.identity, std::slice::from_ref(party)),
            Target::Replacing(_) | Target::Parked => Ok(()),
        }
    }

    fn check_targets(&self, from: &Identity, to: &[Identity]) -> Result<(), Refusal> {
        let is_own_account = to.iter().all(|identity| identity.account == from.account);
        if to.is_empty() || to.len() > self.limits.targets_max || !is_own_account {
            Err(Refusal::Targets)
        } else {
            Ok(())
        }
    }

    pub(crate) fn check_description(&self, description: &str) -> Result<(), Refusal> {
        let is_fine = (1..=self.limits.description_bytes_max).contains(&description.len());
        if is_fine { Ok(()) } else { Err(Refusal::Description) }
    }

    pub(crate) fn check_headers(&self, headers: &[Header]) -> Result<(), Refusal> {
        let bytes: usize = headers.iter().map(|header| header.name.len() + header.value.len()).sum();
        if bytes > self.limits.headers_bytes_max { Err(Refusal::Headers) } else { Ok(()) }
    }

    fn is_full(&self, connection: ConnectionId) -> bool {
        self.legs_on(connection).len() >= self.limits.legs_per_connection_max
    }

    fn ring_time(&self, asked: Option<Duration>) -> Duration {
        asked.map_or(self.limits.ring_max, |asked| asked.min(self.limits.ring_max))
    }

    /// Where the party is whose call is to be replaced.
    fn replaced_party(&self, dial: &Dial, leg: LegId) -> Result<BindingRef, Refusal> {
        let known = self.legs.get(&leg).map(|known| (&known.identity, known.route, known.note.clone()));
        let known = known.or_else(|| self.guests.get(&leg).map(|guest| (&guest.identity, guest.route, None)));
        let known = known.filter(|(identity, ..)| identity.account == dial.from.identity.account);
        let (identity, route, note) = known.ok_or(Refusal::NoSuchLeg)?;
        Ok(BindingRef { identity: identity.clone(), route, contact: Arc::from(""), note })
    }

    /// The leg of this party on this connection that is meant by a leg to be replaced: that one, or the other one of its call.
    pub(crate) fn replaced_here(&self, leg: LegId, party: &Identity, connection: ConnectionId) -> Option<LegId> {
        if let Some(guest) = self.guests.get(&leg) {
            return (guest.route.connection == connection && guest.identity == *party).then_some(leg);
        }
        let call = self.calls.get(&self.legs.get(&leg)?.call)?;
        [Some(leg), call.other(leg)].into_iter().flatten().find(|one| {
            let known = self.legs.get(one);
            known.is_some_and(|known| known.route.connection == connection && known.identity == *party)
        })
    }

    fn locate(&mut self, now: Now, id: CallId, to: Vec<Identity>) {
        let question = LocateId(self.next_locate);
        self.next_locate += 1;
        let Some(call) = self.calls.get_mut(&id) else { return };
        call.phase = Phase::Locating(question);
        self.locating.insert(question, id);
        self.set_deadline(id, now.mono + self.limits.ring_max);
        self.ask(question, to);
    }

    /// The answer to a question: every binding, newest first per identity, or why there is none.
    pub fn handle_located(&mut self, now: Now, id: LocateId, answer: Result<Vec<BindingRef>, HangupCause>) {
        let Some(call) = self.locating.remove(&id) else { return };
        match answer {
            Ok(bindings) => self.located(now, call, bindings),
            Err(cause) => self.end_call(now, call, cause, EndedBy::Server, None),
        }
    }

    fn located(&mut self, now: Now, id: CallId, bindings: Vec<BindingRef>) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        if call.offer.is_complete || bindings.iter().all(|binding| binding.route.traits.takes_candidates) {
            self.ring(now, id, bindings);
        } else {
            call.phase = Phase::Gathering(bindings);
            self.set_deadline(id, now.mono + self.limits.gather_max);
        }
    }

    pub(crate) fn ring(&mut self, now: Now, id: CallId, bindings: Vec<BindingRef>) {
        let ringing_max = self.limits.ringing_max;
        let Some(call) = self.calls.get_mut(&id) else { return };
        call.phase = Phase::Ringing;
        call.hunt = Hunt::new(bindings);
        let asked = call.hunt.start(call.ring, ringing_max);
        let until = now.mono + call.ring_for;
        if asked.is_empty() {
            self.end_call(now, id, HangupCause::NotRegistered, EndedBy::Server, None);
            return;
        }
        self.set_deadline(id, until);
        for binding in asked {
            self.invite(now, id, binding);
        }
        self.end_if_nobody_is_left(now, id, EndedBy::Server);
    }

    fn invite(&mut self, now: Now, id: CallId, binding: BindingRef) {
        if self.is_full(binding.route.connection) {
            if let Some(call) = self.calls.get_mut(&id) {
                call.hunt.note(HangupCause::Busy);
            }
            return;
        }
        // Another node looks by itself.
        let is_here = binding.route.connection.node == self.node;
        let mut replaces = self.calls.get(&id).and_then(|call| call.replaces);
        if let Some(named) = replaces.filter(|_| is_here) {
            replaces = self.replaced_here(named, &binding.identity, binding.route.connection);
            if replaces.is_none() {
                if let Some(call) = self.calls.get_mut(&id) {
                    call.hunt.note(HangupCause::NotFound);
                }
                return;
            }
        }
        let leg = LegId(self.random_id());
        let Some(call) = self.calls.get_mut(&id) else { return };
        call.ringing.push(leg);
        let message = LegMessage::Invite {
            from: call.from.clone(),
            to: binding.identity.clone(),
            contact: Arc::clone(&binding.contact),
            offer: with_candidates(&call.offer.description, &call.offer.candidates),
            headers: call.headers.clone(),
            replaces,
        };
        let connection = binding.route.connection;
        self.legs.insert(
            leg,
            Leg {
                call: id,
                route: binding.route,
                media: MediaSide::PassThrough,
                identity: binding.identity.clone(),
                note: binding.note.clone(),
                is_ringing: false,
                is_held: false,
                detached_until: None,
                waiting: Vec::new(),
            },
        );
        self.by_connection.insert((connection, leg));
        let BindingRef { identity: to, note, .. } = binding;
        self.event(now, id, CallEventKind::Invited { leg, to, connection, note });
        self.say(leg, message);
    }

    /// Sends an unanswered call, parked or ringing, somewhere else. Devices that rang hear that it was cancelled.
    ///
    /// # Errors
    /// [`Refusal::NoSuchLeg`]; [`Refusal::Targets`]; [`Refusal::NeedsMedia`] once the caller has a callee's description.
    pub fn handle_redirect(
        &mut self,
        now: Now,
        caller: LegId,
        to: Vec<Identity>,
        ring: RingRule,
        ring_for: Option<Duration>,
    ) -> Result<(), Refusal> {
        let id = self.legs.get(&caller).ok_or(Refusal::NoSuchLeg)?.call;
        let ring_for = self.ring_time(ring_for);
        let call = self.calls.get(&id).filter(|call| call.caller == caller).ok_or(Refusal::NoSuchLeg)?;
        self.check_targets(&call.from.identity, &to)?;
        let is_answered = matches!(call.phase, Phase::Active { .. } | Phase::Answering { .. });
        if is_answered || call.has_early_answer {
            return Err(Refusal::NeedsMedia);
        }
        if let Phase::Locating(question) = call.phase {
            self.locating.remove(&question);
        }
        for leg in call.ringing.clone() {
            self.leg_out(now, leg, HangupCause::Cancelled, true);
        }
        if let Some(call) = self.calls.get_mut(&id) {
            call.ring = ring;
            call.ring_for = ring_for;
            call.replaces = None;
        }
        self.event(now, id, CallEventKind::Redirected { to: to.clone() });
        self.locate(now, id, to);
        Ok(())
    }

    /// A callee's device is alerted, or gives early media.
    ///
    /// # Errors
    /// [`Refusal::NoSuchLeg`]; [`Refusal::Description`]; [`Refusal::WrongState`] for a leg that does not ring, and for early media
    /// while several devices ring: the caller has room for one description.
    pub fn handle_progress(
        &mut self,
        now: Now,
        connection: ConnectionId,
        leg: LegId,
        progress: Progress,
    ) -> Result<(), Refusal> {
        if let Some(handed) = self.as_guest(connection, leg, || LegInput::Progress(progress.clone())) {
            return handed;
        }
        let id = self.ringing(connection, leg)?;
        match progress {
            Progress::Ringing => self.alerted(now, id, leg),
            Progress::Early { answer } => {
                self.check_description(&answer)?;
                let call = self.calls.get_mut(&id).ok_or(Refusal::NoSuchLeg)?;
                if call.ringing.len() > 1 || call.has_early_answer {
                    return Err(Refusal::WrongState);
                }
                call.has_early_answer = true;
                let caller = call.caller;
                self.say(caller, LegMessage::Early { answer });
            }
        }
        Ok(())
    }

    fn alerted(&mut self, now: Now, id: CallId, leg: LegId) {
        let is_first = self.legs.get_mut(&leg).is_some_and(|leg| !std::mem::replace(&mut leg.is_ringing, true));
        if !is_first {
            return;
        }
        self.event(now, id, CallEventKind::Ringing { leg });
        let Some(call) = self.calls.get_mut(&id) else { return };
        if !std::mem::replace(&mut call.is_ringing_told, true) {
            let caller = call.caller;
            self.say(caller, LegMessage::Ringing);
        }
    }

    /// A callee's device takes the call. The other devices hear [`HangupCause::AnsweredElsewhere`].
    ///
    /// # Errors
    /// [`Refusal::NoSuchLeg`], also for an answer that comes after a cancel or another answer; [`Refusal::Description`];
    /// [`Refusal::Headers`]; [`Refusal::WrongState`].
    pub fn handle_answer(
        &mut self,
        now: Now,
        connection: ConnectionId,
        leg: LegId,
        answer: Arc<str>,
        headers: Vec<Header>,
        is_trickling: bool,
    ) -> Result<(), Refusal> {
        if let Some(handed) = self.as_guest(connection, leg, || LegInput::Answer {
            answer: Arc::clone(&answer),
            headers: headers.clone(),
            is_trickling,
        }) {
            return handed;
        }
        let id = self.ringing(connection, leg)?;
        self.check_description(&answer)?;
        self.check_headers(&headers)?;
        let call = self.calls.get_mut(&id).ok_or(Refusal::NoSuchLeg)?;
        let caller = call.caller;
        let losers: Vec<LegId> = call.ringing.drain(..).filter(|ringing| *ringing != leg).collect();
        call.phase = Phase::Answering { callee: leg, answer, headers, candidates: Vec::new() };
        for loser in losers {
            self.say(loser, LegMessage::Ended { cause: HangupCause::AnsweredElsewhere });
            self.forget_leg(loser);
            self.event(now, id, CallEventKind::LegEnded { leg: loser, cause: HangupCause::AnsweredElsewhere });
        }
        let takes_candidates = self.legs.get(&caller).is_some_and(|caller| caller.route.traits.takes_candidates);
        if is_trickling && !takes_candidates {
            self.set_deadline(id, now.mono + self.limits.gather_max);
        } else {
            self.connect(now, id);
        }
        Ok(())
    }

    /// The caller is told of the answer.
    pub(crate) fn connect(&mut self, now: Now, id: CallId) {
        let until = now.mono + self.limits.duration_max;
        let Some(call) = self.calls.get_mut(&id) else { return };
        let Phase::Answering { callee, .. } = call.phase else { return };
        let Phase::Answering { answer, headers, candidates, .. } =
            std::mem::replace(&mut call.phase, Phase::Active { callee })
        else {
            return;
        };
        call.answered = Some(now.unix);
        let caller = call.caller;
        let Some(by) = self.legs.get(&callee).map(|leg| leg.identity.clone()) else { return };
        self.set_deadline(id, until);
        self.event(now, id, CallEventKind::Answered { leg: callee });
        self.say(caller, LegMessage::Answered { answer: with_candidates(&answer, &candidates), headers, by });
    }

    /// A candidate that came after its description.
    ///
    /// # Errors
    /// [`Refusal::NoSuchLeg`]; [`Refusal::Candidates`]; [`Refusal::WrongState`] when the other party cannot take it any more: it is
    /// not needed then, media flows with the candidates there are.
    pub fn handle_candidate(
        &mut self,
        connection: ConnectionId,
        leg: LegId,
        candidate: Candidate,
    ) -> Result<(), Refusal> {
        if let Some(handed) = self.as_guest(connection, leg, || LegInput::Candidate(candidate.clone())) {
            return handed;
        }
        let id = self.call_of(connection, leg)?;
        let (line_max, candidates_max) = (self.limits.candidate_bytes_max, self.limits.candidates_max);
        let call = self.calls.get_mut(&id).ok_or(Refusal::NoSuchLeg)?;
        if candidate.line.len() > line_max || candidate.line.contains(['\r', '\n']) {
            return Err(Refusal::Candidates);
        }
        if let Some(other) = call.other(leg) {
            return self.pass_candidate(&[other], candidate);
        }
        match &mut call.phase {
            Phase::Answering { callee, candidates, .. } if *callee == leg => {
                if candidates.len() >= candidates_max {
                    return Err(Refusal::Candidates);
                }
                candidates.push(candidate);
                Ok(())
            }
            Phase::Answering { .. }
            | Phase::Locating(_)
            | Phase::Gathering(_)
            | Phase::Ringing
            | Phase::Active { .. }
            | Phase::Parked => {
                if call.caller != leg || call.offer.is_complete {
                    return Err(Refusal::WrongState);
                }
                if call.offer.candidates.len() >= candidates_max {
                    return Err(Refusal::Candidates);
                }
                call.offer.candidates.push(candidate.clone());
                let ringing = call.ringing.clone();
                if ringing.is_empty() { Ok(()) } else { self.pass_candidate(&ringing, candidate) }
            }
        }
    }

    fn pass_candidate(&mut self, to: &[LegId], candidate: Candidate) -> Result<(), Refusal> {
        let takers = self.takers(to);
        for leg in &takers {
            self.say(*leg, LegMessage::Candidate(candidate.clone()));
        }
        if takers.is_empty() { Err(Refusal::WrongState) } else { Ok(()) }
    }

    fn takers(&self, legs: &[LegId]) -> Vec<LegId> {
        let takes = |leg: &&LegId| self.legs.get(*leg).is_some_and(|leg| leg.route.traits.takes_candidates);
        legs.iter().filter(takes).copied().collect()
    }

    /// A party has no more candidates.
    ///
    /// # Errors
    /// [`Refusal::NoSuchLeg`].
    pub fn handle_end_of_candidates(&mut self, now: Now, connection: ConnectionId, leg: LegId) -> Result<(), Refusal> {
        if let Some(handed) = self.as_guest(connection, leg, || LegInput::EndOfCandidates) {
            return handed;
        }
        let id = self.call_of(connection, leg)?;
        let call = self.calls.get_mut(&id).ok_or(Refusal::NoSuchLeg)?;
        let mut listeners: Vec<LegId> = call.other(leg).into_iter().collect();
        if call.caller == leg {
            call.offer.is_complete = true;
            listeners.extend(call.ringing.iter().copied());
        }
        match &mut call.phase {
            Phase::Gathering(bindings) if call.caller == leg => {
                let bindings = std::mem::take(bindings);
                self.ring(now, id, bindings);
            }
            Phase::Answering { callee, .. } if *callee == leg => self.connect(now, id),
            Phase::Gathering(_)
            | Phase::Answering { .. }
            | Phase::Locating(_)
            | Phase::Ringing
            | Phase::Active { .. }
            | Phase::Parked => {
                for listener in self.takers(&listeners) {
                    self.say(listener, LegMessage::EndOfCandidates);
                }
            }
        }
        Ok(())
    }

    /// The call of a leg on this connection that rings.
    fn ringing(&self, connection: ConnectionId, leg: LegId) -> Result<CallId, Refusal> {
        let id = self.call_of(connection, leg)?;
        let is_ringing = self.calls.get(&id).is_some_and(|call| call.ringing.contains(&leg));
        if is_ringing { Ok(id) } else { Err(Refusal::WrongState) }
    }

    /// A device that rang is out. `is_told`: it must still hear it.
    pub(crate) fn leg_out(&mut self, now: Now, id: LegId, cause: HangupCause, is_told: bool) {
        if is_told {
            self.say(id, LegMessage::Ended { cause });
        }
        let Some(leg) = self.forget_leg(id) else { return };
        self.event(now, leg.call, CallEventKind::LegEnded { leg: id, cause });
        if let Some(call) = self.calls.get_mut(&leg.call) {
            call.ringing.retain(|ringing| *ringing != id);
            call.hunt.note(cause);
        }
    }

    /// A device went without an answer: the next newest of the same callee is asked.
    pub(crate) fn ask_next(&mut self, now: Now, id: CallId, gone: &Identity) {
        while let Some(call) = self.calls.get_mut(&id) {
            let ringing = call.ringing.len();
            let Some(binding) = call.hunt.next(gone) else { return };
            self.invite(now, id, binding);
            if self.calls.get(&id).is_some_and(|call| call.ringing.len() > ringing) {
                return;
            }
        }
    }

    pub(crate) fn end_if_nobody_is_left(&mut self, now: Now, id: CallId, by: EndedBy) {
        let Some(call) = self.calls.get(&id) else { return };
        if matches!(call.phase, Phase::Ringing) && call.ringing.is_empty() {
            let verdict = call.hunt.verdict();
            self.end_call(now, id, verdict, by, None);
        }
    }
}
