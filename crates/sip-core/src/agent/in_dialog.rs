//! The client's requests inside dialogues (RFC 3261 §12.2.2).

use std::{sync::Arc, time::Duration};

use causeway_call_core::{HangupCause, Info, LegId};
use causeway_types::Now;

use super::{
    ALLOW, AgentOutput, DialogKey, DropReason, ReplacesRef, SipAgent, Timer,
    dialog::Stage,
    requests::is_sdp,
    session_timer::{self, Asked, with_timer},
};
use crate::{message::Message, status::cause_of, uri::Address};

/// INVITEs that were refused and whose ACK is to come.
const REFUSED_MAX: usize = 32;
/// How long a digit sounds when the client does not say.
const DIGIT_TIME: Duration = Duration::from_millis(100);

impl SipAgent {
    pub(super) fn note_refused(&mut self, request: &Message) {
        if self.refused.len() >= REFUSED_MAX {
            self.refused.pop_front();
        }
        self.refused.extend(request.branch().map(str::to_owned));
    }

    /// ACK has no answer: of a refusal it is absorbed, of a 2xx it confirms the dialogue.
    pub(super) fn ack(&mut self, ack: &Message, tag: Option<String>) -> Result<(), DropReason> {
        if let Some(at) = self.refused.iter().position(|branch| Some(branch.as_str()) == ack.branch()) {
            self.refused.remove(at);
            return Ok(());
        }
        let key = (ack.call_id().to_owned(), tag.unwrap_or_default());
        self.timers.retain(|(_, timer)| *timer != Timer::Ack(key.clone()));
        let dialog = self.dialogs.get_mut(&key).ok_or(DropReason::StrayAck)?;
        if matches!(dialog.stage, Stage::Answered) {
            dialog.stage = Stage::Confirmed;
        }
        Ok(())
    }

    pub(super) fn ack_timeout(&mut self, now: Now, key: &DialogKey) {
        let Some(leg) = self.dialogs.get(key).filter(|dialog| matches!(dialog.stage, Stage::Answered)).map(|d| d.leg)
        else {
            return;
        };
        self.bye(now, key, HangupCause::Failure);
        self.give(AgentOutput::HangUp { leg, cause: HangupCause::Failure });
    }

    pub(super) fn request_in_dialog(&mut self, now: Now, key: DialogKey, method: &str, request: Message) {
        let number = request.cseq().map_or(0, |cseq| cseq.number);
        let remote_tag = request.address("From").and_then(|from| from.tag().map(str::to_owned));
        let known = self.dialogs.get_mut(&key).filter(|dialog| {
            Address::parse(&dialog.remote).and_then(|remote| remote.tag().map(str::to_owned)) == remote_tag
        });
        let Some(dialog) = known else {
            self.respond_in(&key, &request, 481, |answer| answer);
            return;
        };
        if number <= dialog.remote_seq {
            // RFC 3261 §12.2.2: out of order.
            self.respond_in(&key, &request, 500, |answer| answer);
            return;
        }
        dialog.remote_seq = number;
        let leg = dialog.leg;
        if matches!(method, "INVITE" | "UPDATE") && session_timer::asked(&request) == Asked::TooShort {
            self.refuse_in(&key, &request, 422);
            return;
        }
        match method {
            "BYE" => self.their_bye(&key, leg, &request),
            "INVITE" => self.reinvite(&key, leg, request),
            "UPDATE" => self.update(now, &key, leg, request),
            "INFO" => self.info(&key, leg, &request),
            "MESSAGE" => {
                let info =
                    Info::Message { content_type: content_type(&request), body: Arc::from(request.body.as_str()) };
                self.respond_in(&key, &request, 200, |answer| answer);
                self.give(AgentOutput::Info { leg, info });
            }
            "REFER" => self.refer(&key, leg, number, &request),
            "NOTIFY" => self.notify(&key, leg, &request),
            "OPTIONS" => self.respond_in(&key, &request, 200, |answer| answer.with("Allow", ALLOW)),
            _ => self.respond_in(&key, &request, 405, |answer| answer.with("Allow", ALLOW)),
        }
    }

    fn respond_in(&mut self, key: &DialogKey, request: &Message, status: u16, more: impl FnOnce(Message) -> Message) {
        let tag = key.1.clone();
        self.respond_with_tag(request, &tag, status, more);
    }

    fn their_bye(&mut self, key: &DialogKey, leg: LegId, request: &Message) {
        self.respond_in(key, request, 200, |answer| answer);
        let dialog = self.forget_dialog(key);
        if let Some(Stage::Asked(invite)) = dialog.map(|dialog| dialog.stage) {
            // RFC 3261 §15.1.2: the INVITE has no final answer yet.
            self.note_refused(&invite);
            self.respond_with_tag(&invite, &key.1, 487, |answer| answer);
        }
        let cause = reason_cause(request).unwrap_or(HangupCause::Normal);
        self.give(AgentOutput::HangUp { leg, cause });
    }

    fn reinvite(&mut self, key: &DialogKey, leg: LegId, request: Message) {
        if request.body.is_empty() || !is_sdp(&request) {
            self.refuse_in(key, &request, 488);
            return;
        }
        let trying = Message::response_to(&request, 100);
        self.send(&trying);
        self.their_offer(key, leg, request);
    }

    /// UPDATE without a description refreshes the session timer (RFC 4028 §7.4): we answer it ourselves.
    fn update(&mut self, now: Now, key: &DialogKey, leg: LegId, request: Message) {
        if request.body.is_empty() {
            let timer = session_timer::interval(&request);
            self.refresh_target(key, &request);
            self.set_session_timer(now, key, timer);
            self.respond_in(key, &request, 200, |answer| with_timer(answer, timer));
        } else if is_sdp(&request) {
            self.their_offer(key, leg, request);
        } else {
            self.respond_in(key, &request, 415, |answer| answer.with("Accept", "application/sdp"));
        }
    }

    fn their_offer(&mut self, key: &DialogKey, leg: LegId, request: Message) {
        let is_ready = self.dialogs.get(key).is_some_and(|dialog| {
            dialog.reinvite.is_none() && matches!(dialog.stage, Stage::Answered | Stage::Confirmed)
        });
        if !is_ready {
            self.refuse_in(key, &request, 491);
            return;
        }
        self.refresh_target(key, &request);
        let offer = Arc::from(request.body.as_str());
        if let Some(dialog) = self.dialogs.get_mut(key) {
            dialog.reinvite = Some(Box::new(request));
        }
        self.give(AgentOutput::Reoffer { leg, offer });
    }

    fn refuse_in(&mut self, key: &DialogKey, request: &Message, status: u16) {
        if request.method() == Some("INVITE") {
            self.note_refused(request);
        }
        let more = if status == 422 { session_timer::with_least } else { |answer| answer };
        self.respond_in(key, request, status, more);
    }

    /// The client's new description was not taken: 491 when another was under way, 488 when the other party refused.
    pub fn handle_reoffer_refused(&mut self, leg: LegId, status: u16) {
        let Some(key) = self.by_leg.get(&leg).cloned() else { return };
        let request = self.dialogs.get_mut(&key).and_then(|dialog| dialog.reinvite.take());
        if let Some(request) = request {
            self.refuse_in(&key, &request, status);
        }
    }

    /// The other party's answer to the client's new description.
    pub(super) fn answer_reoffer(&mut self, now: Now, key: &DialogKey, answer: &str) {
        let contact = self.contact(&key.1);
        let Some(dialog) = self.dialogs.get_mut(key) else { return };
        dialog.given = Some(Arc::from(answer));
        let Some(request) = dialog.reinvite.take() else { return };
        let timer = session_timer::interval(&request);
        self.set_session_timer(now, key, timer);
        self.respond_in(key, &request, 200, |response| {
            with_timer(response.with("Contact", contact).with("Allow", ALLOW), timer)
                .with_body("application/sdp", answer)
        });
    }

    fn info(&mut self, key: &DialogKey, leg: LegId, request: &Message) {
        let info = digits(request).map_or_else(
            || Info::Message { content_type: content_type(request), body: Arc::from(request.body.as_str()) },
            |(digits, duration)| Info::Dtmf { digits: Arc::from(digits), duration },
        );
        self.respond_in(key, request, 200, |answer| answer);
        self.give(AgentOutput::Info { leg, info });
    }

    fn refer(&mut self, key: &DialogKey, leg: LegId, number: u32, request: &Message) {
        let Some(to) = request.address("Refer-To").map(|address| address.uri) else {
            self.respond_in(key, request, 400, |answer| answer);
            return;
        };
        if let Some(dialog) = self.dialogs.get_mut(key) {
            dialog.referred_by = Some(number);
        }
        let contact = self.contact(&key.1);
        self.respond_in(key, request, 202, |answer| answer.with("Contact", contact));
        let replaces = to.header("Replaces").and_then(|text| ReplacesRef::parse(&text));
        self.give(AgentOutput::Transfer { leg, to, replaces });
    }

    /// A transferred client tells how its new call comes on (RFC 3515 §2.4.5).
    fn notify(&mut self, key: &DialogKey, leg: LegId, request: &Message) {
        let is_refer = request.header("Event").is_some_and(|event| event.split(';').next() == Some("refer"));
        if !is_refer {
            self.respond_in(key, request, 489, |answer| answer);
            return;
        }
        self.respond_in(key, request, 200, |answer| answer);
        let status = request.body.split_whitespace().nth(1).and_then(|status| status.parse::<u16>().ok());
        let outcome = match status {
            Some(100..200) | None => None,
            Some(200..300) => Some(Ok(())),
            Some(status) => Some(Err(cause_of(status))),
        };
        self.give(AgentOutput::TransferProgress { leg, outcome });
    }
}

/// The cause of a Reason header (RFC 3326).
pub(super) fn reason_cause(request: &Message) -> Option<HangupCause> {
    let reason = request.header("Reason").filter(|reason| reason.trim_start().starts_with("SIP"))?;
    let cause = reason.split(';').filter_map(|part| part.trim().strip_prefix("cause=")).next()?;
    cause.trim().parse().ok().map(cause_of)
}

fn content_type(request: &Message) -> Arc<str> {
    Arc::from(request.header("Content-Type").unwrap_or("text/plain"))
}

/// Digits of `application/dtmf-relay` (`Signal=5`, `Duration=100`) and `application/dtmf`.
fn digits(request: &Message) -> Option<(String, Duration)> {
    let kind = request.header("Content-Type")?.split(';').next()?.trim().to_ascii_lowercase();
    let (text, duration) = match kind.as_str() {
        "application/dtmf-relay" => {
            let field = |name: &str| {
                let pair = request.body.lines().filter_map(|line| line.split_once('='));
                pair.filter(|(known, _)| known.trim().eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
            };
            let millis = field("Duration").and_then(|text| text.parse().ok()).unwrap_or(100_u64);
            (field("Signal")?, Duration::from_millis(millis.clamp(40, 6000)))
        }
        "application/dtmf" => (request.body.trim(), DIGIT_TIME),
        _ => return None,
    };
    let is_digit = |digit: char| matches!(digit, '0'..='9' | 'A'..='D' | 'a'..='d' | '*' | '#');
    let is_fine = (1..=32).contains(&text.len()) && text.chars().all(is_digit);
    is_fine.then(|| (text.to_ascii_uppercase(), duration))
}
