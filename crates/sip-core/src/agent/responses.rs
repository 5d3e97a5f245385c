//! The client's answers to our requests.

use std::sync::Arc;

use causeway_call_core::{HangupCause, LegId, Progress};
use causeway_types::Now;

use super::{
    ANSWER_TIME, AgentOutput, DialogKey, DropReason, SipAgent, Timer,
    dialog::Stage,
    requests::{application_headers, is_sdp},
    session_timer,
};
use crate::{message::Message, status::cause_of};

/// A request of ours that waits for its final answer.
#[derive(Debug)]
pub(super) struct ClientTransaction {
    pub(super) dialog: DialogKey,
    pub(super) method: String,
    /// A re-INVITE: its INVITE is not the dialogue's first.
    pub(super) is_again: bool,
}

impl SipAgent {
    /// Sends a request and waits for its answer.
    pub(super) fn start(&mut self, now: Now, dialog: &DialogKey, request: &Message, is_again: bool) {
        let (Some(branch), Some(method)) = (request.branch().map(str::to_owned), request.method()) else { return };
        let transaction = ClientTransaction { dialog: dialog.clone(), method: method.to_owned(), is_again };
        self.timers.insert((now.mono + ANSWER_TIME, Timer::Client(branch.clone())));
        self.clients.insert(branch, transaction);
        self.send(request);
    }

    fn finish(&mut self, branch: &str) {
        self.clients.remove(branch);
        self.timers.retain(|(_, timer)| *timer != Timer::Client(branch.to_owned()));
    }

    pub(super) fn response(&mut self, now: Now, status: u16, response: &Message) -> Result<(), DropReason> {
        let branch = response.branch().unwrap_or("").to_owned();
        let method = response.cseq().map(|cseq| cseq.method).unwrap_or_default();
        let known = self.clients.get(&branch).filter(|known| known.method == method);
        let Some(transaction) = known else { return self.stray(status, response) };
        let (key, is_again) = (transaction.dialog.clone(), transaction.is_again);
        match (method.as_str(), status) {
            ("INVITE", 100..200) => self.provisional(now, &key, &branch, status, response, is_again),
            ("INVITE", 200..300) => {
                self.finish(&branch);
                self.accepted(now, &key, response, is_again);
            }
            ("INVITE", _) => {
                self.finish(&branch);
                self.declined(now, &key, status, response, is_again);
            }
            (_, 100..200) => {}
            ("REFER", 300..) => {
                self.finish(&branch);
                if let Some(leg) = self.dialogs.get(&key).map(|dialog| dialog.leg) {
                    self.give(AgentOutput::TransferProgress { leg, outcome: Some(Err(cause_of(status))) });
                }
            }
            ("MESSAGE", _) => {
                self.finish(&branch);
                self.page_over(&branch, status);
            }
            _ => self.finish(&branch),
        }
        Ok(())
    }

    /// A 2xx that comes again is confirmed again (RFC 3261 §13.2.2.4).
    fn stray(&mut self, status: u16, response: &Message) -> Result<(), DropReason> {
        let tag = response.address("From").and_then(|from| from.tag().map(str::to_owned)).unwrap_or_default();
        let key = (response.call_id().to_owned(), tag);
        let ack = self.dialogs.get(&key).filter(|_| (200..300).contains(&status)).and_then(|dialog| dialog.ack.clone());
        let ack = ack.ok_or(DropReason::StrayResponse)?;
        self.send_text(ack);
        Ok(())
    }

    fn provisional(
        &mut self,
        now: Now,
        key: &DialogKey,
        branch: &str,
        status: u16,
        response: &Message,
        is_again: bool,
    ) {
        // The client lives: from here on the call's own ringing time counts.
        self.timers.retain(|(_, timer)| *timer != Timer::Client(branch.to_owned()));
        let Some(dialog) = self.dialogs.get_mut(key) else { return };
        let leg = dialog.leg;
        let Stage::Inviting { request, has_provisional, is_cancelled } = &mut dialog.stage else { return };
        let is_first = !std::mem::replace(has_provisional, true);
        if *is_cancelled {
            if is_first {
                let cancel = Self::beside_invite(request, "CANCEL", None);
                self.timers.insert((now.mono + ANSWER_TIME, Timer::Client(branch.to_owned())));
                self.send(&cancel);
            }
            return;
        }
        if is_again || status == 100 {
            return;
        }
        if !response.body.is_empty() && is_sdp(response) {
            let progress = Progress::Early { answer: Arc::from(response.body.as_str()) };
            self.give(AgentOutput::Progress { leg, progress });
        }
        if status == 180 {
            self.give(AgentOutput::Progress { leg, progress: Progress::Ringing });
        }
    }

    fn accepted(&mut self, now: Now, key: &DialogKey, response: &Message, is_again: bool) {
        self.refresh_target(key, response);
        let number = response.cseq().map_or(1, |cseq| cseq.number);
        self.set_session_timer(now, key, session_timer::granted(response));
        let Some(dialog) = self.dialogs.get_mut(key) else { return };
        let leg = dialog.leg;
        dialog.remote = response.header("To").unwrap_or("").to_owned();
        let was_cancelled = matches!(dialog.stage, Stage::Inviting { is_cancelled: true, .. });
        dialog.stage = Stage::Confirmed;
        if let Some(ack) = self.ack_of(key, number) {
            let text = ack.to_text();
            if let Some(dialog) = self.dialogs.get_mut(key) {
                dialog.ack = Some(text.clone());
            }
            self.send_text(text);
        }
        if was_cancelled {
            // The answer crossed our CANCEL.
            self.bye(now, key, HangupCause::Cancelled);
            return;
        }
        if response.body.is_empty() || !is_sdp(response) {
            if is_again {
                self.give(AgentOutput::ReofferRefused { leg, cause: HangupCause::IncompatibleMedia });
            } else {
                self.bye(now, key, HangupCause::IncompatibleMedia);
                self.give(AgentOutput::HangUp { leg, cause: HangupCause::IncompatibleMedia });
            }
            return;
        }
        let answer = Arc::from(response.body.as_str());
        if is_again {
            self.give(AgentOutput::Reanswer { leg, answer });
        } else {
            self.give(AgentOutput::Answer { leg, answer, headers: application_headers(response) });
        }
    }

    fn declined(&mut self, now: Now, key: &DialogKey, status: u16, response: &Message, is_again: bool) {
        let ack = match self.dialogs.get(key).map(|dialog| &dialog.stage) {
            Some(Stage::Inviting { request, .. }) => Some(Self::beside_invite(request, "ACK", response.header("To"))),
            Some(Stage::Asked(_) | Stage::Answered | Stage::Confirmed) => self.ack_of_refusal(key, response),
            None => None,
        };
        if let Some(ack) = ack {
            self.send(&ack);
        }
        if status == 422 && self.invite_with_timer(now, key, response) {
            return;
        }
        let cause = cause_of(status);
        if is_again {
            if let Some(leg) = self.dialogs.get(key).map(|dialog| dialog.leg) {
                self.give(AgentOutput::ReofferRefused { leg, cause });
            }
            return;
        }
        let Some(dialog) = self.forget_dialog(key) else { return };
        if !matches!(dialog.stage, Stage::Inviting { is_cancelled: true, .. }) {
            self.give(AgentOutput::HangUp { leg: dialog.leg, cause });
        }
    }

    /// The client wants a session timer, of which our INVITE said nothing: once more with the interval it wants. False when that was
    /// done before, or is not wanted any more.
    fn invite_with_timer(&mut self, now: Now, key: &DialogKey, response: &Message) -> bool {
        let Some(least) = session_timer::least(response) else { return false };
        let branch = format!("z9hG4bK{}", self.token());
        let Some(dialog) = self.dialogs.get_mut(key).filter(|dialog| dialog.min_se.is_none()) else { return false };
        match &mut dialog.stage {
            Stage::Inviting { is_cancelled: true, .. } | Stage::Asked(_) => false,
            Stage::Inviting { request, has_provisional, .. } => {
                dialog.min_se = Some(least);
                dialog.local_seq += 1;
                let again = Self::once_more(request, dialog.local_seq, &self.settings.host, &branch);
                let again = session_timer::asking(again, Some(least));
                **request = again.clone();
                *has_provisional = false;
                self.start(now, key, &again, false);
                true
            }
            Stage::Answered | Stage::Confirmed => {
                let Some(offer) = dialog.given.clone() else { return false };
                dialog.min_se = Some(least);
                self.send_reinvite(now, key, &offer);
                true
            }
        }
    }

    /// The ACK of a refused re-INVITE has the branch of that re-INVITE, which its answer repeats.
    fn ack_of_refusal(&self, key: &DialogKey, response: &Message) -> Option<Message> {
        let dialog = self.dialogs.get(key)?;
        let mut invite = Message::request("INVITE", &dialog.target);
        for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
            invite = invite.with(name, response.header(name).unwrap_or(""));
        }
        invite = invite.with("Max-Forwards", "70");
        Some(Self::beside_invite(&invite, "ACK", response.header("To")))
    }

    pub(super) fn client_timeout(&mut self, branch: &str) {
        let Some(transaction) = self.clients.remove(branch) else { return };
        self.page_over(branch, 408);
        let key = transaction.dialog;
        let leg = self.dialogs.get(&key).map(|dialog| dialog.leg);
        let output = match (transaction.method.as_str(), leg) {
            ("INVITE", Some(leg)) if transaction.is_again => {
                Some(AgentOutput::ReofferRefused { leg, cause: HangupCause::NoAnswer })
            }
            ("INVITE", Some(leg)) => {
                let dialog = self.forget_dialog(&key);
                let is_over =
                    dialog.is_some_and(|dialog| matches!(dialog.stage, Stage::Inviting { is_cancelled: true, .. }));
                (!is_over).then_some(AgentOutput::HangUp { leg, cause: HangupCause::ConnectionLost })
            }
            ("REFER", Some(leg)) => {
                Some(AgentOutput::TransferProgress { leg, outcome: Some(Err(HangupCause::NoAnswer)) })
            }
            _ => None,
        };
        if let Some(output) = output {
            self.give(output);
        }
    }

    /// Our requests in a dialogue that is over are answered into the void.
    pub(super) fn bye(&mut self, now: Now, key: &DialogKey, cause: HangupCause) {
        let Some(mut bye) = self.dialog_request(key, "BYE") else { return };
        if cause != HangupCause::Normal {
            let (status, text) = (crate::status::status_of(cause), cause.name());
            bye = bye.with("Reason", format!("SIP;cause={status};text=\"{text}\""));
        }
        self.start(now, key, &bye, false);
        self.forget_dialog(key);
    }

    /// The dialogue of a leg.
    pub(super) fn key_of(&self, leg: LegId) -> Option<DialogKey> {
        self.by_leg.get(&leg).cloned()
    }
}
