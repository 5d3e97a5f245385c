//! A client that speaks JSON-RPC over a WebSocket and logs in with a name and a password.

use serde_json::{Value, json};

use crate::phone::{Dialect, News};

/// What a client logs in with.
#[derive(Clone, Debug)]
pub(crate) struct Login {
    pub(crate) name: String,
    pub(crate) password: String,
}

/// One client.
#[derive(Debug)]
pub(crate) struct VertoPhone {
    login: Login,
    offer: String,
    next: u32,
    session: String,
    placed: Option<String>,
    is_hanging_up: bool,
}

impl VertoPhone {
    pub(crate) fn new(login: Login, offer: &str) -> Self {
        let offer = offer.to_owned();
        Self { login, offer, next: 0, session: String::new(), placed: None, is_hanging_up: false }
    }

    fn ask(&mut self, method: &str, mut params: Value) -> String {
        self.next += 1;
        params["sessid"] = Value::from(self.session.as_str());
        json!({"jsonrpc": "2.0", "id": format!("{method}-{}", self.next), "method": method, "params": params})
            .to_string()
    }

    /// The server asks or tells something; the libraries confirm what is about a call.
    fn asked(&mut self, method: &str, frame: &Value, out: &mut Vec<String>) -> Option<News> {
        let call_id = frame["params"]["callID"].as_str().unwrap_or_default();
        if !call_id.is_empty() {
            out.push(json!({"jsonrpc": "2.0", "id": frame["id"], "result": {"method": method}}).to_string());
        }
        let is_own = self.placed.as_deref() == Some(call_id);
        match method {
            "telnyx_rtc.clientReady" => {
                out.push(self.ask("telnyx_rtc.gatewayState", json!({})));
                None
            }
            "telnyx_rtc.ping" => {
                out.push(self.ask("telnyx_rtc.ping", json!({})));
                None
            }
            "telnyx_rtc.invite" => {
                let params = json!({"sdp": self.offer, "dialogParams": {"callID": call_id}});
                out.push(self.ask("telnyx_rtc.answer", params));
                None
            }
            "telnyx_rtc.ringing" if is_own => Some(News::Rings),
            "telnyx_rtc.answer" if is_own => Some(News::Answered),
            "telnyx_rtc.bye" if is_own && !self.is_hanging_up => {
                Some(News::Fault(format!("the call ended by itself: {}", frame["params"])))
            }
            _ => None,
        }
    }
}

impl Dialect for VertoPhone {
    fn hello(&mut self, out: &mut Vec<String>) {
        let Login { name, password } = &self.login;
        let software = json!({"sdkVersion": "causeway-bench", "data": ""});
        let params = json!({"login": name, "passwd": password, "reconnection": false, "User-Agent": software});
        out.push(json!({"jsonrpc": "2.0", "id": "login", "method": "login", "params": params}).to_string());
    }

    fn heard(&mut self, text: &str, out: &mut Vec<String>) -> Option<News> {
        let Ok(frame) = serde_json::from_str::<Value>(text) else {
            return Some(News::Fault(format!("not JSON: {text}")));
        };
        if let Some(method) = frame["method"].as_str() {
            return self.asked(method, &frame, out);
        }
        if frame.get("error").is_some() {
            return Some(News::Fault(text.to_owned()));
        }
        if let Some(session) = frame["result"]["sessid"].as_str() {
            session.clone_into(&mut self.session);
        }
        let asked = frame["id"].as_str().unwrap_or_default();
        if asked.starts_with("telnyx_rtc.gatewayState") {
            let state = frame["result"]["params"]["state"].as_str();
            return Some(if state == Some("REGED") { News::Registered } else { News::Fault(text.to_owned()) });
        }
        asked.starts_with("telnyx_rtc.bye").then_some(News::Over)
    }

    fn dial(&mut self, callee: &str, out: &mut Vec<String>) {
        let call_id = format!("call-{}-{}", self.login.name, self.next);
        let dialog = json!({
            "callID": call_id, "destination_number": callee, "caller_id_name": "", "caller_id_number": self.login.name,
            "remote_caller_id_name": "Outbound Call", "audio": true, "video": false,
        });
        out.push(self.ask("telnyx_rtc.invite", json!({"sdp": self.offer, "dialogParams": dialog})));
        self.placed = Some(call_id);
        self.is_hanging_up = false;
    }

    fn hang_up(&mut self, out: &mut Vec<String>) {
        let Some(call_id) = &self.placed else { return };
        self.is_hanging_up = true;
        let params = json!({
            "cause": "NORMAL_CLEARING", "causeCode": 16, "dialogParams": {"callID": call_id},
        });
        out.push(self.ask("telnyx_rtc.bye", params));
    }
}
