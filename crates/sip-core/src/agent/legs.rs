//! What the call core says to a leg, as SIP.

use std::sync::Arc;

use causeway_call_core::{HangupCause, Header, Identity, Info, LegId, LegMessage, Party, Transfer};
use causeway_types::Now;

use super::{
    ALLOW, ANSWER_TIME, DialogKey, SipAgent, Timer,
    dialog::{Dialog, Stage},
    session_timer::{asking, with_timer},
};
use crate::{
    description::with_direction,
    message::Message,
    status::{reason, status_of},
    uri::Uri,
};

impl SipAgent {
    /// Says to the client what the call core says to its leg.
    pub fn handle_leg_message(&mut self, now: Now, leg: LegId, message: LegMessage) {
        if let LegMessage::Invite { from, to, contact, offer, headers, replaces } = message {
            let replaces = replaces.and_then(|leg| self.replaces_of(leg));
            self.send_invite(now, leg, &Invitation { from, to, contact, offer, headers, replaces });
            return;
        }
        let Some(key) = self.key_of(leg) else { return };
        match message {
            LegMessage::Ringing => self.progress(&key, 180, None),
            LegMessage::Early { answer } => self.progress(&key, 183, Some(answer)),
            LegMessage::Answered { answer, headers, .. } => self.answered(now, &key, &answer, &headers),
            LegMessage::Ended { cause } => self.ended(now, &key, cause),
            LegMessage::Reoffer { offer } => self.send_reinvite(now, &key, &offer),
            LegMessage::Reanswer { answer } => self.answer_reoffer(now, &key, &answer),
            LegMessage::ReofferRefused { cause } => {
                let status = if cause == HangupCause::NoAnswer { 504 } else { 488 };
                self.handle_reoffer_refused(leg, status);
            }
            LegMessage::Held { is_held } => self.hold(now, &key, is_held),
            LegMessage::Info(info) => self.send_info(now, &key, &info),
            LegMessage::Transfer(transfer) => self.send_refer(now, &key, &transfer),
            LegMessage::TransferProgress { outcome } => self.send_notify(now, &key, outcome),
            // SIP clients neither trickle nor know parking: the one is not sent to them, the other sounds like ringing.
            LegMessage::Candidate(_) | LegMessage::EndOfCandidates => {}
            LegMessage::Parked => self.progress(&key, 180, None),
            LegMessage::Invite { .. } => {}
        }
    }

    fn progress(&mut self, key: &DialogKey, status: u16, answer: Option<Arc<str>>) {
        let contact = self.contact(&key.1);
        let Some(Dialog { stage: Stage::Asked(invite), .. }) = self.dialogs.get(key) else { return };
        let invite = invite.clone();
        self.respond_with_tag(&invite, &key.1.clone(), status, |response| {
            let response = response.with("Contact", contact);
            match answer {
                Some(answer) => response.with_body("application/sdp", &answer),
                None => response,
            }
        });
    }

    fn answered(&mut self, now: Now, key: &DialogKey, answer: &Arc<str>, headers: &[Header]) {
        let contact = self.contact(&key.1);
        let Some(dialog) = self.dialogs.get_mut(key) else { return };
        if !matches!(dialog.stage, Stage::Asked(_)) {
            return;
        }
        let Stage::Asked(invite) = std::mem::replace(&mut dialog.stage, Stage::Answered) else { return };
        dialog.given = Some(Arc::clone(answer));
        let timer = dialog.session_expires;
        self.set_session_timer(now, key, timer);
        self.timers.insert((now.mono + ANSWER_TIME, Timer::Ack(key.clone())));
        self.respond_with_tag(&invite, &key.1.clone(), 200, |mut response| {
            response = response.with("Contact", contact).with("Allow", ALLOW).with("Supported", "timer, replaces");
            for header in headers {
                response = response.with(&header.name, &header.value);
            }
            with_timer(response, timer).with_body("application/sdp", answer)
        });
    }

    fn ended(&mut self, now: Now, key: &DialogKey, cause: HangupCause) {
        let Some(dialog) = self.dialogs.get_mut(key) else { return };
        match &mut dialog.stage {
            Stage::Asked(invite) => {
                let invite = invite.clone();
                let status = if cause == HangupCause::Normal { 480 } else { status_of(cause).max(400) };
                self.note_refused(&invite);
                self.respond_with_tag(&invite, &key.1.clone(), status, |answer| answer);
                self.forget_dialog(key);
            }
            Stage::Inviting { request, has_provisional, is_cancelled } => {
                *is_cancelled = true;
                let cancel = has_provisional.then(|| {
                    let cancel = Self::beside_invite(request, "CANCEL", None);
                    if cause == HangupCause::AnsweredElsewhere {
                        cancel.with("Reason", "SIP;cause=200;text=\"Call completed elsewhere\"")
                    } else {
                        cancel
                    }
                });
                let (leg, branch) = (dialog.leg, request.branch().unwrap_or("").to_owned());
                self.by_leg.remove(&leg);
                // The client owes a final answer to its INVITE either way.
                self.timers.insert((now.mono + ANSWER_TIME, Timer::Client(branch)));
                if let Some(cancel) = cancel {
                    self.send(&cancel);
                }
            }
            Stage::Answered | Stage::Confirmed => self.bye(now, key, cause),
        }
    }

    fn send_invite(&mut self, now: Now, leg: LegId, invitation: &Invitation) {
        let (tag, call_id) = (self.token(), format!("{}@{}", self.token(), self.settings.host));
        let domain = self.own_domain().to_owned();
        let to = Uri::sip(&invitation.to.name, &domain);
        let target = self.contact_uri(&invitation.contact).map_or_else(|| to.to_string(), str::to_owned);
        let from = format!("{};tag={tag}", self.address_of(&invitation.from, &domain));
        let key: DialogKey = (call_id, tag.clone());
        let branch = format!("z9hG4bK{}", self.token());
        let mut request = Message::request("INVITE", &target)
            .with("Via", format!("SIP/2.0/WSS {};branch={branch}", self.settings.host))
            .with("Max-Forwards", "70")
            .with("From", &from)
            .with("To", format!("<{to}>"))
            .with("Call-ID", &key.0)
            .with("CSeq", "1 INVITE")
            .with("Contact", self.contact(&tag))
            .with("Allow", ALLOW)
            .with("Supported", "replaces")
            .with("User-Agent", &self.settings.software);
        for header in &invitation.headers {
            request = request.with(&header.name, &header.value);
        }
        if let Some(replaces) = &invitation.replaces {
            request = request.with("Replaces", replaces);
        }
        let request = request.with_body("application/sdp", &invitation.offer);
        let dialog = Dialog {
            leg,
            stage: Stage::Inviting { request: Box::new(request.clone()), has_provisional: false, is_cancelled: false },
            local: from,
            remote: format!("<{to}>"),
            target,
            local_seq: 1,
            remote_seq: 0,
            reinvite: None,
            session_expires: None,
            min_se: None,
            ack: None,
            referred_by: None,
            given: Some(Arc::clone(&invitation.offer)),
        };
        self.by_leg.insert(leg, key.clone());
        self.dialogs.insert(key.clone(), dialog);
        self.start(now, &key, &request, false);
    }

    pub(super) fn send_reinvite(&mut self, now: Now, key: &DialogKey, offer: &Arc<str>) {
        if let Some(dialog) = self.dialogs.get_mut(key) {
            dialog.given = Some(Arc::clone(offer));
        }
        let min_se = self.dialogs.get(key).and_then(|dialog| dialog.min_se);
        if let Some(request) = self.dialog_request(key, "INVITE") {
            let request = asking(request.with("Allow", ALLOW), min_se).with_body("application/sdp", offer);
            self.start(now, key, &request, true);
        }
    }

    /// The other party's dialect holds without a description: ours is told with the last one in the other direction.
    fn hold(&mut self, now: Now, key: &DialogKey, is_held: bool) {
        let given = self.dialogs.get(key).and_then(|dialog| dialog.given.clone());
        let Some(given) = given else { return };
        let offer = with_direction(&given, if is_held { "sendonly" } else { "sendrecv" });
        self.send_reinvite(now, key, &offer);
    }

    fn send_info(&mut self, now: Now, key: &DialogKey, info: &Info) {
        let bodies: Vec<(String, String)> = match info {
            Info::Dtmf { digits, duration } => digits
                .chars()
                .map(|digit| {
                    let body = format!("Signal={digit}\r\nDuration={}", duration.as_millis());
                    ("application/dtmf-relay".to_owned(), body)
                })
                .collect(),
            Info::Message { content_type, body } => vec![(content_type.to_string(), body.to_string())],
        };
        for (kind, body) in bodies {
            if let Some(request) = self.dialog_request(key, "INFO") {
                self.start(now, key, &request.with_body(&kind, &body), false);
            }
        }
    }

    fn send_refer(&mut self, now: Now, key: &DialogKey, transfer: &Transfer) {
        let domain = self.own_domain().to_owned();
        let (to, by) = (Uri::sip(&transfer.to.name, &domain), Uri::sip(&transfer.by.name, &domain));
        // The client repeats it in the INVITE it makes: the leg's id stands for the dialogue, which is at another client.
        let replaces = transfer.replaces.map(|leg| format!("?Replaces={leg}%3Bto-tag%3D{leg}%3Bfrom-tag%3D{leg}"));
        let replaces = replaces.unwrap_or_default();
        if let Some(request) = self.dialog_request(key, "REFER") {
            let request = request.with("Refer-To", format!("<{to}{replaces}>")).with("Referred-By", format!("<{by}>"));
            self.start(now, key, &request, false);
        }
    }

    fn send_notify(&mut self, now: Now, key: &DialogKey, outcome: Option<Result<(), HangupCause>>) {
        let Some(number) = self.dialogs.get(key).and_then(|dialog| dialog.referred_by) else { return };
        let status = match outcome {
            None => 100,
            Some(Ok(())) => 200,
            Some(Err(cause)) => status_of(cause),
        };
        let state = if outcome.is_some() { "terminated;reason=noresource" } else { "active;expires=60" };
        if let Some(request) = self.dialog_request(key, "NOTIFY") {
            let request = request
                .with("Event", format!("refer;id={number}"))
                .with("Subscription-State", state)
                .with_body("message/sipfrag;version=2.0", &format!("SIP/2.0 {status} {}", reason(status)));
            self.start(now, key, &request, false);
        }
    }

    /// The client asked for a transfer that cannot be: its subscription ends with this status.
    pub fn handle_transfer_refused(&mut self, now: Now, leg: LegId, cause: HangupCause) {
        if let Some(key) = self.key_of(leg) {
            self.send_notify(now, &key, Some(Err(cause)));
        }
    }
}

/// An invitation to the client.
struct Invitation {
    from: Party,
    to: Identity,
    contact: Arc<str>,
    offer: Arc<str>,
    headers: Vec<Header>,
    replaces: Option<String>,
}
