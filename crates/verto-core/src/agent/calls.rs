//! Calls that the client places, takes and ends, and what the core says to that.

use std::sync::Arc;

use causeway_call_core::{CallId, HangupCause, LegId, Refusal};
use serde_json::{Value, json};

use super::{
    Act, AgentOutput, AskId, DialAsk, Dialing, Dialog, LegIds, Params, RequestId, VertoAgent, code, merged,
    refusal_text,
};
use crate::{
    cause,
    frame::{self, object, text},
};

/// Longest name that is shown, and longest destination.
const NAME_CHARS_MAX: usize = 128;
const DESTINATION_BYTES_MAX: usize = 256;
/// Base64 of the application's own state.
const CLIENT_STATE_BYTES_MAX: usize = 4096;

impl VertoAgent {
    pub(super) fn invite(&mut self, id: Value, params: &Params) {
        let Some(dialog) = object(params, "dialogParams") else {
            self.fail(&id, code::CALL, "Dialog data missing");
            return;
        };
        let Some(call_id) = frame::call_id(params).filter(|id| id.len() <= self.limits.call_id_bytes_max) else {
            self.fail(&id, code::CALL, "CallID missing");
            return;
        };
        let (Some(offer), Some(destination)) = (text(params, "sdp"), text(dialog, "destination_number")) else {
            let what = if text(params, "sdp").is_none() { "SDP missing" } else { "Params data missing" };
            self.fail_call(&id, call_id, what);
            return;
        };
        let is_known = self.dialogs.contains_key(call_id) || self.dials.values().any(|(_, known, _)| known == call_id);
        let is_full = self.dialogs.len() + self.dials.len() >= self.limits.dialogs_max;
        if is_known || is_full || destination.len() > DESTINATION_BYTES_MAX {
            self.fail_call(&id, call_id, "CALL ERROR");
            return;
        }
        let ask = AskId(self.number());
        let is_trickling = params.get("trickle").and_then(Value::as_bool).unwrap_or(false);
        let display = text(dialog, "caller_id_name").unwrap_or_default();
        let display = display.chars().filter(|character| !character.is_control()).take(NAME_CHARS_MAX).collect();
        let client_state = text(dialog, "clientState").or_else(|| text(dialog, "client_state"));
        let remote_name = text(dialog, "remote_caller_id_name").unwrap_or("Outbound Call");
        let dialing = Dialing {
            remote: (remote_name.chars().take(NAME_CHARS_MAX).collect(), destination.to_owned()),
            is_trickling,
        };
        self.dials.insert(ask, (id, call_id.to_owned(), dialing));
        self.give(AgentOutput::Dial(DialAsk {
            ask,
            destination: destination.to_owned(),
            display,
            offer: Arc::from(offer),
            is_trickling,
            headers: frame::headers(dialog),
            client_state: client_state.filter(|state| state.len() <= CLIENT_STATE_BYTES_MAX).map(str::to_owned),
        }));
    }

    /// Where a call went. One that goes nowhere is told as a call that ended: the library hides the reason of an error.
    pub fn handle_dialled(&mut self, ask: AskId, outcome: Result<(LegId, CallId), HangupCause>) {
        let Some((id, call_id, dialing)) = self.dials.remove(&ask) else { return };
        self.succeed(&id, json!({"message": "CALL CREATED", "callID": call_id}));
        match outcome {
            Ok((leg, call)) => {
                let Dialing { remote, is_trickling } = dialing;
                self.by_leg.insert(leg, call_id.clone());
                self.dialogs.insert(
                    call_id,
                    Dialog {
                        ids: LegIds { leg, call },
                        remote,
                        is_caller: true,
                        is_held: false,
                        has_answer: false,
                        is_answered: false,
                        is_trickling,
                        update: None,
                        is_attaching: false,
                    },
                );
            }
            Err(cause) => self.say_bye(&call_id, cause),
        }
    }

    pub(super) fn answer(&mut self, id: Value, params: &Params) {
        let Some((call_id, leg)) = self.known(&id, params) else { return };
        let is_callee = self.dialogs.get(&call_id).is_some_and(|dialog| !dialog.is_caller && !dialog.is_answered);
        match text(params, "sdp") {
            Some(_) if !is_callee => self.fail_call(&id, &call_id, "CALL ERROR"),
            Some(answer) => {
                let headers = object(params, "dialogParams").map(frame::headers).unwrap_or_default();
                let is_trickling = params.get("trickle").and_then(Value::as_bool).unwrap_or(false);
                let act = Act::Answer { answer: Arc::from(answer), headers, is_trickling };
                self.act(id, call_id, leg, act, "answer");
            }
            None => self.fail_call(&id, &call_id, "SDP missing"),
        }
    }

    /// The client's answer to an offer of ours in the middle of a call.
    pub(super) fn attach(&mut self, id: Value, params: &Params) {
        let Some((call_id, leg)) = self.known(&id, params) else { return };
        let Some(answer) = text(params, "sdp") else {
            self.fail_call(&id, &call_id, "SDP missing");
            return;
        };
        let is_asked = self.dialogs.get_mut(&call_id).is_some_and(|dialog| std::mem::take(&mut dialog.is_attaching));
        if is_asked {
            self.act(id, call_id, leg, Act::Reanswer(Arc::from(answer)), "attach");
        } else {
            self.fail_call(&id, &call_id, "CALL ERROR");
        }
    }

    /// Answered with a result also for a call that is gone: an error would only alarm the application.
    pub(super) fn bye(&mut self, id: Value, params: &Params) {
        let cause = cause::read(text(params, "cause"));
        let call_id = frame::call_id(params).unwrap_or_default().to_owned();
        if let Some(dialog) = self.forget(&call_id) {
            let act = Act::HangUp(cause);
            self.give(AgentOutput::Act { request: RequestId(0), leg: dialog.ids.leg, act });
        }
        let told = cause::of(cause);
        let call_id = call_id.get(..self.limits.call_id_bytes_max).unwrap_or(&call_id);
        let result = json!({"message": "CALL ENDED", "callID": call_id, "cause": told.name, "causeCode": told.code});
        self.succeed(&id, result);
    }

    /// What the core said to an act.
    pub fn handle_act_outcome(&mut self, request: RequestId, outcome: Result<(), Refusal>) {
        let Some(waiting) = self.waiting.remove(&request) else { return };
        let (id, call_id) = (waiting.id, waiting.call_id);
        if let Err(refusal) = outcome {
            self.fail_call(&id, &call_id, &refusal_text(refusal));
            return;
        }
        let Some(dialog) = self.dialogs.get_mut(&call_id) else {
            self.fail_call(&id, &call_id, "CALL DOES NOT EXIST");
            return;
        };
        match waiting.act {
            Act::Answer { .. } => {
                dialog.is_answered = true;
                dialog.has_answer = true;
                self.succeed(&id, json!({"message": "CALL ANSWERED", "callID": call_id}));
            }
            Act::Hold(is_held) => {
                dialog.is_held = is_held;
                let state = if is_held { "held" } else { "active" };
                let result = json!({"callID": call_id, "action": waiting.action, "holdState": state});
                self.succeed(&id, result);
            }
            // Answered when the other party's description is there.
            Act::Reoffer(_) => dialog.update = Some(id),
            Act::Reanswer(_) => {
                let result = merged(json!({"message": "CALL ATTACHED", "callID": call_id}), self.ids_of(&call_id));
                self.succeed(&id, result);
            }
            Act::Info(_) => self.succeed(&id, json!({"message": "SENT"})),
            Act::Transfer(_) => {
                let result = json!({"message": "CALL TRANSFERRED", "callID": call_id, "action": waiting.action});
                self.succeed(&id, result);
            }
            Act::Progress(_) | Act::HangUp(_) | Act::Candidate(_) | Act::EndOfCandidates => {}
        }
    }

    pub(super) fn forget(&mut self, call_id: &str) -> Option<Dialog> {
        let dialog = self.dialogs.remove(call_id)?;
        self.by_leg.remove(&dialog.ids.leg);
        if let Some(id) = &dialog.update {
            self.fail_call(id, call_id, "CALL DOES NOT EXIST");
        }
        Some(dialog)
    }

    pub(super) fn say_bye(&mut self, call_id: &str, cause: HangupCause) {
        let told = cause::of(cause);
        self.ask_client(
            "telnyx_rtc.bye",
            json!({
                "callID": call_id,
                "cause": told.name,
                "causeCode": told.code,
                "sipCode": told.sip,
                "sipReason": cause.name(),
                "sip_call_id": null,
            }),
        );
    }
}
