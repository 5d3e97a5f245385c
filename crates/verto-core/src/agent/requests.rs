//! Requests of the client, one by one.

use causeway_call_core::{Info, LegId};
use serde_json::{Value, json};

use super::{Act, AgentOutput, AskId, DropReason, LoginAsk, LoginProof, Params, RequestId, VertoAgent, Waiting, code};
use crate::frame::{self, object, text};

impl VertoAgent {
    pub(super) fn request(&mut self, id: Value, method: &str, params: &Params) -> Result<(), DropReason> {
        match method {
            "login" => self.login(id, params),
            "anonymous_login" => {
                let message = "anonymous login is not offered: log in with a user name and password, or a token";
                self.fail(&id, code::LOGIN_FAILED, message);
            }
            "telnyx_rtc.ping" => self.pinged(&id),
            _ if self.session.is_none() => {
                // A client that calls before it is registered is told so in these words.
                self.fail(&id, code::NOT_RPC, "GATEWAY_DOWN");
                return Err(DropReason::NotLoggedIn);
            }
            "telnyx_rtc.gatewayState" => {
                let state = self.session.as_ref().map(|session| session.gateway.wire());
                self.succeed(&id, json!({"params": {"state": state}}));
            }
            "telnyx_rtc.invite" => self.invite(id, params),
            "telnyx_rtc.answer" => self.answer(id, params),
            "telnyx_rtc.attach" => self.attach(id, params),
            "telnyx_rtc.bye" => self.bye(id, params),
            "telnyx_rtc.modify" => self.modify(id, params),
            "telnyx_rtc.info" => self.info(id, params),
            "telnyx_rtc.candidate" => self.candidate(id, params),
            "telnyx_rtc.endOfCandidates" => self.end_of_candidates(id, params),
            "telnyx_rtc.broadcast" | "telnyx_rtc.subscribe" | "telnyx_rtc.unsubscribe" => {
                self.channels(&id, method, params);
            }
            "telnyx_rtc.ringing_ack" | "telnyx_rtc.attachCalls" | "telnyx_rtc.disable_push_notification" => {
                self.succeed(&id, json!({"message": "SENT"}));
            }
            _ => {
                self.fail(&id, code::UNKNOWN_METHOD, "unknown method");
                return Err(DropReason::UnknownMethod);
            }
        }
        Ok(())
    }

    fn login(&mut self, id: Value, params: &Params) {
        if self.login.is_some() {
            self.fail(&id, code::LOGIN_FAILED, "another login is under way");
            return;
        }
        // Both may be there: the pair wins.
        let pair = text(params, "login").zip(text(params, "passwd").or_else(|| text(params, "password")));
        let proof = match (pair, text(params, "login_token")) {
            (Some((user, password)), _) => {
                LoginProof::Password { user: user.to_owned(), password: password.to_owned() }
            }
            (None, Some(token)) => LoginProof::Token(token.to_owned()),
            (None, None) => {
                self.fail(&id, code::LOGIN_FAILED, "send login and passwd, or login_token");
                return;
            }
        };
        let software = match params.get("User-Agent") {
            Some(Value::String(software)) => software.clone(),
            Some(Value::Object(software)) => text(software, "sdkVersion").unwrap_or_default().to_owned(),
            Some(_) | None => String::new(),
        };
        let software: String = software.chars().filter(|character| !character.is_control()).take(64).collect();
        let ask = AskId(self.number());
        let session = frame::session_id(params).map(str::to_owned);
        self.login = Some((ask, id));
        self.give(AgentOutput::Login(LoginAsk { ask, proof, session, software }));
    }

    /// Some libraries send our own ping back: that is its answer. One asks on its own, and must be answered.
    fn pinged(&mut self, id: &Value) {
        if id.as_u64().is_some_and(|id| self.ping.take_if(|ping| *ping == id).is_some()) {
            return;
        }
        self.succeed(id, json!({"message": "PONG"}));
    }

    /// Nothing is published here: every channel is refused.
    fn channels(&mut self, id: &Value, method: &str, params: &Params) {
        let asked = match params.get("eventChannel") {
            Some(Value::Array(list)) => list.iter().filter(|name| name.is_string()).take(32).cloned().collect(),
            Some(Value::String(name)) => vec![Value::from(name.as_str())],
            Some(_) | None => Vec::new(),
        };
        let done = if method.ends_with("unsubscribe") { "unsubscribedChannels" } else { "subscribedChannels" };
        self.succeed(id, json!({done: [], "unauthorizedChannels": asked}));
    }

    /// The call that a request names, and its leg; the client is told what is missing.
    pub(super) fn known(&mut self, id: &Value, params: &Params) -> Option<(String, LegId)> {
        let Some(call_id) = frame::call_id(params) else {
            self.fail(id, code::CALL, "CallID missing");
            return None;
        };
        let Some(dialog) = self.dialogs.get(call_id) else {
            let call_id = call_id.get(..self.limits.call_id_bytes_max).unwrap_or(call_id).to_owned();
            self.fail_call(id, &call_id, "CALL DOES NOT EXIST");
            return None;
        };
        Some((call_id.to_owned(), dialog.ids.leg))
    }

    /// Asks the core; the client is answered with what it says.
    pub(super) fn act(&mut self, id: Value, call_id: String, leg: LegId, act: Act, action: &'static str) {
        let request = RequestId(self.number());
        self.waiting.insert(request, Waiting { id, call_id, act: act.clone(), action });
        self.give(AgentOutput::Act { request, leg, act });
    }

    fn modify(&mut self, id: Value, params: &Params) {
        let Some((call_id, leg)) = self.known(&id, params) else { return };
        let is_held = self.dialogs.get(&call_id).is_some_and(|dialog| dialog.is_held);
        match text(params, "action") {
            Some("hold") => self.act(id, call_id, leg, Act::Hold(true), "hold"),
            Some("unhold") => self.act(id, call_id, leg, Act::Hold(false), "unhold"),
            Some("toggleHold") => self.act(id, call_id, leg, Act::Hold(!is_held), "toggleHold"),
            Some("updateMedia") => match text(params, "sdp") {
                Some(offer) => self.act(id, call_id, leg, Act::Reoffer(offer.into()), "updateMedia"),
                None => self.fail_call(&id, &call_id, "SDP missing"),
            },
            Some("transfer") => match text(params, "destination") {
                Some(to) => self.act(id, call_id, leg, Act::Transfer(to.to_owned()), "transfer"),
                None => self.fail_call(&id, &call_id, "Params data missing"),
            },
            Some(_) | None => self.fail(&id, code::DENIED, "unknown action"),
        }
    }

    fn info(&mut self, id: Value, params: &Params) {
        let Some((call_id, leg)) = self.known(&id, params) else { return };
        let info = match (text(params, "dtmf"), object(params, "msg")) {
            (Some(digits), _) => {
                let is_digit =
                    |byte: u8| byte.is_ascii_digit() || matches!(byte, b'*' | b'#' | b'A'..=b'D' | b'a'..=b'd');
                if digits.len() > self.limits.digits_max || !digits.bytes().all(is_digit) {
                    self.fail_call(&id, &call_id, "Params data missing");
                    return;
                }
                let duration = std::time::Duration::from_millis(160);
                Info::Dtmf { digits: digits.to_ascii_uppercase().into(), duration }
            }
            (None, Some(message)) => {
                let body = text(message, "body").unwrap_or_default();
                Info::Message { content_type: "text/plain".into(), body: body.into() }
            }
            (None, None) => {
                self.fail_call(&id, &call_id, "Params data missing");
                return;
            }
        };
        self.act(id, call_id, leg, Act::Info(info), "info");
    }

    /// Answered in any case: a candidate that comes too late is none the client could repair.
    fn candidate(&mut self, id: Value, params: &Params) {
        let Some((_, leg)) = self.known(&id, params) else { return };
        if let Some(candidate) = frame::candidate(params) {
            self.give(AgentOutput::Act { request: RequestId(0), leg, act: Act::Candidate(candidate) });
        }
        self.succeed(&id, json!({"message": "SENT"}));
    }

    fn end_of_candidates(&mut self, id: Value, params: &Params) {
        let Some((_, leg)) = self.known(&id, params) else { return };
        self.give(AgentOutput::Act { request: RequestId(0), leg, act: Act::EndOfCandidates });
        self.succeed(&id, json!({"message": "SENT"}));
    }
}
