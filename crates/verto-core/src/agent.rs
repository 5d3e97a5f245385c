//! [`VertoAgent`]: the dialect's side of one connection.
//!
//! It answers every request that has an id, never waits for an acknowledgement, and numbers its own requests with
//! integers: one library declares the id as such (`compat/telnyx.md#framing`).

mod calls;
mod io;
mod legs;
mod requests;

use std::{
    collections::{BTreeMap, VecDeque},
    time::Instant,
};

use causeway_call_core::{LegId, Refusal};
use causeway_types::Now;
use serde_json::{Map, Value, json};

use self::io::LegIds;
pub use self::io::{
    Act, AgentLimits, AgentOutput, AgentSettings, AskId, DialAsk, DropReason, GatewayState, LoggedIn, LoginAsk,
    LoginProof, RequestId,
};
use crate::frame::{Frame, Unreadable};

/// Codes of the dialect (`compat/telnyx.md#errors`).
mod code {
    pub(super) const LOGIN_FAILED: i64 = -32001;
    pub(super) const CALL: i64 = -32002;
    pub(super) const NOT_RPC: i64 = -32600;
    pub(super) const UNKNOWN_METHOD: i64 = -32601;
    pub(super) const DENIED: i64 = -32602;
    pub(super) const NOT_JSON: i64 = -32700;
}

/// Who is logged in.
#[derive(Clone, Debug)]
struct Session {
    id: String,
    reconnect_token: String,
    gateway: GatewayState,
}

/// One call as its client knows it.
#[derive(Clone, Debug)]
struct Dialog {
    ids: LegIds,
    /// Name and number of the other party, as the client is told.
    remote: (String, String),
    is_caller: bool,
    is_held: bool,
    /// The client has the other party's description.
    has_answer: bool,
    is_answered: bool,
    /// It sends candidates one by one, and takes them so: only callers do.
    is_trickling: bool,
    /// The client's request for a new description waits for the answer.
    update: Option<Value>,
    /// The client was given a new offer and has not answered.
    is_attaching: bool,
}

/// What is left of a connection for the one that resumes it.
#[derive(Clone, Debug, Default)]
pub struct SavedDialogs(BTreeMap<String, Dialog>);

impl SavedDialogs {
    /// Whether there is no call.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A request of the client that waits for the core's word.
#[derive(Clone, Debug)]
struct Waiting {
    id: Value,
    call_id: String,
    act: Act,
    action: &'static str,
}

/// The dialect's side of one connection.
#[derive(Debug)]
pub struct VertoAgent {
    settings: AgentSettings,
    limits: AgentLimits,
    next: u64,
    session: Option<Session>,
    /// The login that waits for the shell: its id.
    login: Option<(AskId, Value)>,
    /// Calls that wait for the shell: their request's id and call.
    dials: BTreeMap<AskId, (Value, String, Dialing)>,
    waiting: BTreeMap<RequestId, Waiting>,
    dialogs: BTreeMap<String, Dialog>,
    by_leg: BTreeMap<LegId, String>,
    heard_at: Instant,
    ping_at: Instant,
    /// The id of our own ping that may come back.
    ping: Option<u64>,
    probe_bytes: Option<(usize, Instant)>,
    is_over: bool,
    outputs: VecDeque<AgentOutput>,
}

/// What is known of a call before it has a leg.
#[derive(Clone, Debug)]
struct Dialing {
    remote: (String, String),
    is_trickling: bool,
}

impl VertoAgent {
    /// The agent of a new connection.
    #[must_use]
    pub fn new(settings: AgentSettings, limits: AgentLimits, now: Now) -> Self {
        Self {
            settings,
            limits,
            next: 1,
            session: None,
            login: None,
            dials: BTreeMap::new(),
            waiting: BTreeMap::new(),
            dialogs: BTreeMap::new(),
            by_leg: BTreeMap::new(),
            heard_at: now.mono,
            ping_at: now.mono + settings.ping_interval,
            ping: None,
            probe_bytes: None,
            is_over: false,
            outputs: VecDeque::new(),
        }
    }

    /// What to do next; none when everything was taken.
    pub fn poll_output(&mut self) -> Option<AgentOutput> {
        self.outputs.pop_front()
    }

    /// When to call [`Self::handle_timeout`] next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let silent_at = self.heard_at + self.settings.silence_max;
        (!self.is_over).then_some(self.ping_at.min(silent_at))
    }

    /// Does what is due. It may come late, early or twice.
    pub fn handle_timeout(&mut self, now: Now) {
        if self.is_over {
            return;
        }
        if now.mono >= self.heard_at + self.settings.silence_max {
            self.close();
        } else if now.mono >= self.ping_at {
            self.ping_at = now.mono + self.settings.ping_interval;
            if self.session.is_some() {
                self.ping = Some(self.ask_client("telnyx_rtc.ping", json!({})));
            }
        }
    }

    /// A text frame of the client.
    ///
    /// # Errors
    /// Why nothing came of it: for a counter. The client was told.
    pub fn handle_text(&mut self, now: Now, text: &str) -> Result<(), DropReason> {
        if self.is_over {
            return Ok(());
        }
        self.heard_at = now.mono;
        match Frame::read(text) {
            Ok(Frame::Request { id, method, params }) => self.request(id, &method, &params),
            Ok(Frame::Response) => Ok(()),
            Ok(Frame::DebugReport { id }) => {
                self.succeed(&id, json!({}));
                Ok(())
            }
            Ok(Frame::ProbeStart { bytes }) => {
                self.probe_bytes = Some((bytes.min(self.limits.probe_bytes_max), now.mono));
                Ok(())
            }
            Ok(Frame::ProbeData) => Ok(()),
            Ok(Frame::ProbeEnd) => {
                if let Some((bytes, since)) = self.probe_bytes.take() {
                    let millis = now.mono.saturating_duration_since(since).as_millis();
                    self.give(AgentOutput::Send(format!("#SPU{millis}")));
                    self.give(AgentOutput::Probe { bytes });
                }
                Ok(())
            }
            Err(Unreadable::NotJson) => {
                self.refuse_unnamed(&Value::Null, code::NOT_JSON, "not JSON");
                Err(DropReason::NotJson)
            }
            Err(Unreadable::NotRpc(id)) => {
                self.refuse_unnamed(&id, code::NOT_RPC, "not a request");
                Err(DropReason::NotRpc)
            }
        }
    }

    /// What became of a login. A refusal is told as one code: the library knows no other.
    pub fn handle_login(&mut self, ask: AskId, outcome: Result<LoggedIn, String>) {
        let Some((_, id)) = self.login.take_if(|(waiting, _)| *waiting == ask) else { return };
        let logged_in = match outcome {
            Ok(logged_in) => logged_in,
            Err(message) => {
                self.fail(&id, code::LOGIN_FAILED, &message);
                return;
            }
        };
        let LoggedIn { session, reconnect_token, resumed } = logged_in;
        self.session = Some(Session { id: session.clone(), reconnect_token, gateway: GatewayState::Registered });
        if let Some((SavedDialogs(dialogs), alive)) = resumed {
            for (call_id, dialog) in dialogs {
                if alive.contains(&dialog.ids.leg) {
                    self.by_leg.insert(dialog.ids.leg, call_id.clone());
                    self.dialogs.insert(call_id, Dialog { update: None, is_attaching: false, ..dialog });
                }
            }
        }
        self.succeed(&id, json!({"message": "logged in"}));
        // Without this the library never asks for the state, and with a state in it it takes no later one.
        let held: Vec<&String> = self.dialogs.keys().collect();
        let held = json!(held);
        self.ask_client("telnyx_rtc.clientReady", json!({"reattached_sessions": held}));
    }

    /// The registration is in another state.
    pub fn handle_gateway(&mut self, state: GatewayState) {
        if let Some(session) = &mut self.session {
            session.gateway = state;
            self.ask_client("telnyx_rtc.gatewayState", json!({"state": state.wire()}));
        }
    }

    /// The client is sent away: its calls are dropped there, and it does not come back by itself.
    pub fn handle_punt(&mut self) {
        if !self.is_over {
            self.ask_client("telnyx_rtc.punt", json!({}));
            self.close();
        }
    }

    /// The calls, for the connection that resumes this one.
    #[must_use]
    pub fn into_dialogs(self) -> SavedDialogs {
        SavedDialogs(self.dialogs)
    }

    /// How many calls there are.
    #[must_use]
    pub fn dialog_count(&self) -> usize {
        self.dialogs.len()
    }

    /// Whether nothing is under way.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.login.is_none()
            && self.dials.is_empty()
            && self.waiting.is_empty()
            && self.dialogs.is_empty()
            && self.by_leg.is_empty()
    }

    fn close(&mut self) {
        if !std::mem::replace(&mut self.is_over, true) {
            self.give(AgentOutput::Close);
        }
    }

    fn give(&mut self, output: AgentOutput) {
        self.outputs.push_back(output);
    }

    fn number(&mut self) -> u64 {
        let number = self.next;
        self.next += 1;
        number
    }

    /// A request of ours; nobody waits for its answer.
    fn ask_client(&mut self, method: &str, params: Value) -> u64 {
        let id = self.number();
        self.send(json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}));
        id
    }

    fn send(&mut self, mut frame: Value) {
        if let (Some(session), Some(frame)) = (&self.session, frame.as_object_mut()) {
            frame.insert("voice_sdk_id".to_owned(), Value::from(session.reconnect_token.as_str()));
        }
        self.give(AgentOutput::Send(frame.to_string()));
    }

    /// A result, with the session in it. A request without an id is not answered.
    fn succeed(&mut self, id: &Value, mut result: Value) {
        if id.is_null() {
            return;
        }
        if let (Some(session), Some(result)) = (&self.session, result.as_object_mut()) {
            result.insert("sessid".to_owned(), Value::from(session.id.as_str()));
        }
        self.send(json!({"jsonrpc": "2.0", "id": id, "result": result}));
    }

    fn fail(&mut self, id: &Value, code: i64, message: &str) {
        if !id.is_null() {
            self.refuse_unnamed(id, code, message);
        }
    }

    fn refuse_unnamed(&mut self, id: &Value, code: i64, message: &str) {
        self.send(json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}}));
    }

    /// An error about a call names it.
    fn fail_call(&mut self, id: &Value, call_id: &str, message: &str) {
        if id.is_null() {
            return;
        }
        let mut error = json!({"code": code::CALL, "message": message, "callID": call_id});
        if let (Some(session), Some(error)) = (&self.session, error.as_object_mut()) {
            error.insert("sessid".to_owned(), Value::from(session.id.as_str()));
        }
        self.send(json!({"jsonrpc": "2.0", "id": id, "error": error}));
    }
}

/// What a client reads of a refusal.
fn refusal_text(refusal: Refusal) -> String {
    if refusal == Refusal::NoSuchLeg {
        return "CALL DOES NOT EXIST".to_owned();
    }
    if refusal == Refusal::Description {
        return "SDP missing".to_owned();
    }
    let kind = if refusal == Refusal::NeedsMedia { "MEDIA ERROR" } else { "CALL ERROR" };
    format!("{kind}: {refusal}")
}

/// An object for the parameters that every message about a call has.
fn merged(mut into: Value, more: Value) -> Value {
    if let (Some(into), Value::Object(more)) = (into.as_object_mut(), more) {
        into.extend(more);
    }
    into
}

type Params = Map<String, Value>;

#[cfg(test)]
mod tests;
