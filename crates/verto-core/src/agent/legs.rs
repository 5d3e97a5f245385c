//! What the core has to say about a leg, in the client's words.

use std::sync::Arc;

use causeway_call_core::{CallId, Candidate, HangupCause, Header, Identity, Info, LegId, LegMessage, Party, Progress};
use serde_json::{Value, json};

use super::{Act, AgentOutput, Dialog, LegIds, RequestId, VertoAgent, merged};
use crate::{cause, frame};

impl VertoAgent {
    /// Something for the client. `call` is the call of the leg.
    pub fn handle_leg_message(&mut self, leg: LegId, call: Option<CallId>, message: LegMessage) {
        if let LegMessage::Invite { from, to, offer, headers, .. } = message {
            self.invited(leg, call, &from, &to, &offer, &headers);
            return;
        }
        let Some(call_id) = self.by_leg.get(&leg).cloned() else { return };
        match message {
            // A parked call rings back: the caller hears that something goes on.
            LegMessage::Ringing | LegMessage::Parked => self.say(&call_id, "telnyx_rtc.ringing", json!({})),
            LegMessage::Early { answer } => {
                self.note(&call_id, |dialog| dialog.has_answer = true);
                self.say(&call_id, "telnyx_rtc.media", json!({"sdp": &*answer}));
            }
            LegMessage::Answered { answer, headers, .. } => self.answered(&call_id, &answer, &headers),
            LegMessage::Ended { cause } => {
                self.forget(&call_id);
                self.say_bye(&call_id, cause);
            }
            LegMessage::Candidate(candidate) => self.say_candidate(&call_id, &candidate),
            LegMessage::Reoffer { offer } => {
                self.note(&call_id, |dialog| dialog.is_attaching = true);
                self.say(&call_id, "telnyx_rtc.attach", json!({"sdp": &*offer}));
            }
            LegMessage::Reanswer { answer } => self.updated(&call_id, Ok(answer)),
            LegMessage::ReofferRefused { cause } => self.updated(&call_id, Err(cause)),
            LegMessage::Info(info) => self.say_info(&call_id, &info),
            // The library takes no candidates after an offer of ours, knows nothing of the other party's hold, and cannot be
            // told to call somebody else.
            LegMessage::EndOfCandidates
            | LegMessage::Held { .. }
            | LegMessage::Transfer(_)
            | LegMessage::TransferProgress { .. }
            | LegMessage::Invite { .. } => {}
        }
    }

    fn invited(
        &mut self,
        leg: LegId,
        call: Option<CallId>,
        from: &Party,
        to: &Identity,
        offer: &str,
        headers: &[Header],
    ) {
        let hang_up = |cause| AgentOutput::Act { request: RequestId(0), leg, act: Act::HangUp(cause) };
        let Some(call) = call else { return };
        if self.dialogs.len() >= self.limits.dialogs_max {
            self.give(hang_up(HangupCause::Busy));
            return;
        }
        let call_id = leg.to_string();
        let name = if from.display.is_empty() { &from.identity.name } else { &from.display };
        let remote = (name.to_string(), from.identity.name.to_string());
        self.by_leg.insert(leg, call_id.clone());
        self.dialogs.insert(
            call_id.clone(),
            Dialog {
                ids: LegIds { leg, call },
                remote: remote.clone(),
                is_caller: false,
                is_held: false,
                has_answer: false,
                is_answered: false,
                is_trickling: false,
                update: None,
                is_attaching: false,
            },
        );
        let parties = json!({
            "callID": call_id,
            "sdp": offer,
            "caller_id_name": remote.0,
            "caller_id_number": remote.1,
            "callee_id_name": "Outbound Call",
            "callee_id_number": &*to.name,
            "display_direction": "outbound",
            "client_state": null,
            "dialogParams": {"custom_headers": frame::header_list(headers)},
            "variables": {},
        });
        let params = merged(parties, self.ids_of(&call_id));
        self.ask_client("telnyx_rtc.invite", params);
        // The library says nothing when it rings, so it rings when it was told.
        let act = Act::Progress(Progress::Ringing);
        self.give(AgentOutput::Act { request: RequestId(0), leg, act });
    }

    fn answered(&mut self, call_id: &str, answer: &str, headers: &[Header]) {
        let has_media = self.dialogs.get(call_id).is_some_and(|dialog| dialog.has_answer);
        self.note(call_id, |dialog| {
            dialog.has_answer = true;
            dialog.is_answered = true;
        });
        let dialog = json!({"dialogParams": {"custom_headers": frame::header_list(headers)}});
        // After early media a second description is ignored.
        let more = if has_media { dialog } else { merged(dialog, json!({"sdp": answer})) };
        self.say(call_id, "telnyx_rtc.answer", more);
    }

    /// Only callers that trickle take candidates.
    fn say_candidate(&mut self, call_id: &str, candidate: &Candidate) {
        if self.dialogs.get(call_id).is_some_and(|dialog| dialog.is_caller && dialog.is_trickling) {
            let params = json!({
                "callID": call_id,
                "candidate": &*candidate.line,
                "sdpMid": candidate.mid.as_deref(),
                "sdpMLineIndex": candidate.media_index,
            });
            self.ask_client("telnyx_rtc.candidate", params);
        }
    }

    fn updated(&mut self, call_id: &str, outcome: Result<Arc<str>, HangupCause>) {
        let Some(dialog) = self.dialogs.get_mut(call_id) else { return };
        let Some(id) = dialog.update.take() else { return };
        let state = if dialog.is_held { "held" } else { "active" };
        match outcome {
            Ok(answer) => self
                .succeed(&id, json!({"action": "updateMedia", "callID": call_id, "sdp": &*answer, "holdState": state})),
            Err(cause) => {
                let message = format!("MEDIA ERROR: {}", cause::of(cause).name);
                self.fail_call(&id, call_id, &message);
            }
        }
    }

    fn say_info(&mut self, call_id: &str, info: &Info) {
        let params = match info {
            Info::Dtmf { digits, .. } => json!({"callID": call_id, "dtmf": &**digits}),
            Info::Message { body, .. } => {
                let from = self.dialogs.get(call_id).map(|dialog| dialog.remote.1.as_str()).unwrap_or_default();
                json!({"callID": call_id, "msg": {"from": from, "body": &**body}})
            }
        };
        self.ask_client("telnyx_rtc.info", params);
    }

    /// A request about a call, with who is in it and the ids that the application may know.
    fn say(&mut self, call_id: &str, method: &str, more: Value) {
        let Some(dialog) = self.dialogs.get(call_id) else { return };
        let (name, number) = &dialog.remote;
        let direction = if dialog.is_caller { "inbound" } else { "outbound" };
        let parties = json!({
            "callID": call_id,
            "caller_id_name": name,
            "caller_id_number": number,
            "callee_id_name": name,
            "callee_id_number": number,
            "display_direction": direction,
            "dialogParams": {"custom_headers": []},
        });
        let params = merged(merged(parties, self.ids_of(call_id)), more);
        self.ask_client(method, params);
    }

    pub(super) fn ids_of(&self, call_id: &str) -> Value {
        let Some(LegIds { leg, call }) = self.dialogs.get(call_id).map(|dialog| dialog.ids) else { return json!({}) };
        json!({
            "telnyx_call_control_id": format!("v3:{leg}"),
            "telnyx_session_id": call.to_string(),
            "telnyx_leg_id": leg.to_string(),
        })
    }

    fn note(&mut self, call_id: &str, change: impl FnOnce(&mut Dialog)) {
        if let Some(dialog) = self.dialogs.get_mut(call_id) {
            change(dialog);
        }
    }
}
