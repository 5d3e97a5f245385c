//! Inside a call: hang up, renegotiate, hold, say, transfer.

use std::sync::Arc;

use causeway_types::Now;

use crate::{
    CallEventKind, CallId, CallServer, ConnectionId, EndedBy, HangupCause, Identity, Info, LegId, LegInput, LegMessage,
    Refusal, Transfer,
    call::{Phase, Renegotiation},
    timers::Timer,
};

impl CallServer {
    /// A party is through with its leg. What that means is decided by its role: a caller before the answer cancels, a callee
    /// before the answer declines, anybody after it hangs up.
    ///
    /// # Errors
    /// [`Refusal::NoSuchLeg`], also when the other party was first: both got what they wanted.
    pub fn handle_hangup(
        &mut self,
        now: Now,
        connection: ConnectionId,
        leg: LegId,
        cause: HangupCause,
    ) -> Result<(), Refusal> {
        if let Some(handed) = self.as_guest(connection, leg, || LegInput::HangUp(cause)) {
            return handed;
        }
        let id = self.call_of(connection, leg)?;
        let call = self.calls.get(&id).ok_or(Refusal::NoSuchLeg)?;
        let is_active = matches!(call.phase, Phase::Active { .. });
        if call.ringing.contains(&leg) {
            self.decline(now, id, leg, cause);
        } else if call.caller == leg {
            let cause = if is_active { cause } else { HangupCause::Cancelled };
            self.end_call(now, id, cause, EndedBy::Caller, Some(leg));
        } else {
            self.end_call(now, id, cause, EndedBy::Callee, Some(leg));
        }
        Ok(())
    }

    /// A device does not take the call. One that is declined by its user is declined for all devices of that user.
    fn decline(&mut self, now: Now, id: CallId, leg: LegId, cause: HangupCause) {
        let cause = if cause == HangupCause::Normal { HangupCause::Rejected } else { cause };
        let who = self.legs.get(&leg).map(|leg| leg.identity.clone());
        self.leg_out(now, leg, cause, false);
        if cause == HangupCause::Rejected {
            let others: Vec<LegId> = self.calls.get(&id).map(|call| call.ringing.clone()).unwrap_or_default();
            for other in others {
                if self.legs.get(&other).map(|leg| &leg.identity) == who.as_ref() {
                    self.leg_out(now, other, HangupCause::AnsweredElsewhere, true);
                }
            }
        }
        self.end_if_nobody_is_left(now, id, EndedBy::Callee);
    }

    /// A party offers a new description (SIP: re-INVITE; hold with a direction is one of these).
    ///
    /// # Errors
    /// [`Refusal::NoSuchLeg`]; [`Refusal::WrongState`]; [`Refusal::Description`]; [`Refusal::RenegotiationPending`].
    pub fn handle_reoffer(
        &mut self,
        now: Now,
        connection: ConnectionId,
        leg: LegId,
        offer: Arc<str>,
    ) -> Result<(), Refusal> {
        if let Some(handed) = self.as_guest(connection, leg, || LegInput::Reoffer(Arc::clone(&offer))) {
            return handed;
        }
        let (id, other) = self.active(connection, leg)?;
        self.check_description(&offer)?;
        let until = now.mono + self.limits.renegotiation_max;
        let call = self.calls.get_mut(&id).ok_or(Refusal::NoSuchLeg)?;
        if call.renegotiation.is_some() {
            return Err(Refusal::RenegotiationPending);
        }
        call.renegotiation = Some(Renegotiation { by: leg, until });
        self.timers.set(until, Timer::Renegotiation(id));
        self.say(other, LegMessage::Reoffer { offer });
        Ok(())
    }

    /// The answer to the other party's new description.
    ///
    /// # Errors
    /// [`Refusal::NoSuchLeg`]; [`Refusal::WrongState`] when nothing was offered; [`Refusal::Description`].
    pub fn handle_reanswer(
        &mut self,
        now: Now,
        connection: ConnectionId,
        leg: LegId,
        answer: Arc<str>,
    ) -> Result<(), Refusal> {
        if let Some(handed) = self.as_guest(connection, leg, || LegInput::Reanswer(Arc::clone(&answer))) {
            return handed;
        }
        let (id, other) = self.active(connection, leg)?;
        self.check_description(&answer)?;
        self.close_renegotiation(id, other)?;
        self.event(now, id, CallEventKind::Renegotiated);
        self.say(other, LegMessage::Reanswer { answer });
        Ok(())
    }

    /// A party does not take the other's new description; the call goes on as it was.
    ///
    /// # Errors
    /// [`Refusal::NoSuchLeg`]; [`Refusal::WrongState`].
    pub fn handle_reoffer_refused(
        &mut self,
        connection: ConnectionId,
        leg: LegId,
        cause: HangupCause,
    ) -> Result<(), Refusal> {
        if let Some(handed) = self.as_guest(connection, leg, || LegInput::ReofferRefused(cause)) {
            return handed;
        }
        let (id, other) = self.active(connection, leg)?;
        self.close_renegotiation(id, other)?;
        self.say(other, LegMessage::ReofferRefused { cause });
        Ok(())
    }

    fn close_renegotiation(&mut self, id: CallId, by: LegId) -> Result<(), Refusal> {
        let call = self.calls.get_mut(&id).ok_or(Refusal::NoSuchLeg)?;
        let Some(open) = call.renegotiation.filter(|open| open.by == by) else { return Err(Refusal::WrongState) };
        call.renegotiation = None;
        self.timers.clear(Some(open.until), Timer::Renegotiation(id));
        Ok(())
    }

    pub(crate) fn renegotiation_due(&mut self, now: Now, id: CallId) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let Some(open) = call.renegotiation.filter(|open| open.until <= now.mono) else { return };
        call.renegotiation = None;
        if let Some(other) = call.other(open.by).and_then(|other| self.legs.get_mut(&other)) {
            other.waiting.retain(|message| !matches!(message, LegMessage::Reoffer { .. }));
        }
        self.say(open.by, LegMessage::ReofferRefused { cause: HangupCause::NoAnswer });
    }

    /// A party holds the call, or takes it back, in a dialect that tells it without a description.
    ///
    /// # Errors
    /// [`Refusal::NoSuchLeg`]; [`Refusal::WrongState`].
    pub fn handle_hold(
        &mut self,
        now: Now,
        connection: ConnectionId,
        leg: LegId,
        is_held: bool,
    ) -> Result<(), Refusal> {
        if let Some(handed) = self.as_guest(connection, leg, || LegInput::Hold(is_held)) {
            return handed;
        }
        let (id, other) = self.active(connection, leg)?;
        let known = self.legs.get_mut(&leg).ok_or(Refusal::NoSuchLeg)?;
        if std::mem::replace(&mut known.is_held, is_held) != is_held {
            self.event(now, id, CallEventKind::Held { leg, is_held });
            self.say(other, LegMessage::Held { is_held });
        }
        Ok(())
    }

    /// A party says something beside the media.
    ///
    /// # Errors
    /// [`Refusal::NoSuchLeg`]; [`Refusal::WrongState`]; [`Refusal::Description`] for a body that is too long.
    pub fn handle_info(&mut self, now: Now, connection: ConnectionId, leg: LegId, info: Info) -> Result<(), Refusal> {
        if let Some(handed) = self.as_guest(connection, leg, || LegInput::Info(info.clone())) {
            return handed;
        }
        let (id, other) = self.active(connection, leg)?;
        match &info {
            Info::Dtmf { digits, .. } => {
                self.check_description(digits)?;
                self.event(now, id, CallEventKind::Dtmf { leg, digits: Arc::clone(digits) });
            }
            Info::Message { body, .. } => self.check_description(body)?,
        }
        self.say(other, LegMessage::Info(info));
        Ok(())
    }

    /// A party asks that the other calls somebody else (SIP: REFER).
    ///
    /// # Errors
    /// [`Refusal::NoSuchLeg`]; [`Refusal::WrongState`]; [`Refusal::Targets`] for another account's identity;
    /// [`Refusal::NeedsMedia`] when the other party's dialect cannot place the call itself.
    pub fn handle_transfer(
        &mut self,
        now: Now,
        connection: ConnectionId,
        leg: LegId,
        to: Identity,
        replaces: Option<LegId>,
    ) -> Result<(), Refusal> {
        if let Some(handed) = self.as_guest(connection, leg, || LegInput::Transfer { to: to.clone(), replaces }) {
            return handed;
        }
        let (id, other) = self.active(connection, leg)?;
        let by = self.legs.get(&leg).ok_or(Refusal::NoSuchLeg)?.identity.clone();
        if to.account != by.account {
            return Err(Refusal::Targets);
        }
        if !self.legs.get(&other).is_some_and(|other| other.route.traits.takes_transfer) {
            return Err(Refusal::NeedsMedia);
        }
        self.event(now, id, CallEventKind::Transferred { by: leg, to: to.clone() });
        self.say(other, LegMessage::Transfer(Transfer { to, replaces, by }));
        Ok(())
    }

    /// How the new call of a transferred party comes on.
    ///
    /// # Errors
    /// [`Refusal::NoSuchLeg`]; [`Refusal::WrongState`].
    pub fn handle_transfer_progress(
        &mut self,
        connection: ConnectionId,
        leg: LegId,
        outcome: Option<Result<(), HangupCause>>,
    ) -> Result<(), Refusal> {
        if let Some(handed) = self.as_guest(connection, leg, || LegInput::TransferProgress(outcome)) {
            return handed;
        }
        let (_, other) = self.active(connection, leg)?;
        self.say(other, LegMessage::TransferProgress { outcome });
        Ok(())
    }
}
