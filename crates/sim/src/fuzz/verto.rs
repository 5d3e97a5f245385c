//! Four clients of the JSON-RPC dialect on one call core, in virtual time.
//!
//! Clients say what the libraries say, at the wrong time, twice, about each other's calls, or changed by a byte. Connections
//! break, and their sessions come back on others or do not. Whatever is sent can be read and has what the libraries need; a
//! client's calls are the core's; when everybody is gone and time has passed, nothing is kept.

use std::{
    collections::VecDeque,
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

use arbitrary::{Arbitrary, Unstructured};
use causeway_call_core::{
    AccountId, CallEventKind, CallLimits, CallServer, ConnectionId, Dial, HangupCause, Identity, LegRoute, LegTraits,
    NodeId, Output, Party, Registrar, Registration, RingRule, Target,
};
use causeway_types::{Now, UnixTime};
use causeway_verto_core::{
    AgentLimits, AgentOutput, AgentSettings, DialAsk, GatewayState, LoggedIn, LoginAsk, LoginProof, SavedDialogs,
    VertoAgent, bridge,
};
use serde_json::{Value, json};

/// Acts of one run; what is longer is cut.
const ACTS_MAX: usize = 250;
const CLIENTS: usize = 4;
/// Calls that a client remembers, its own and those it was asked to take.
const REMEMBERED: usize = 8;
const NAMES: [&str; 3] = ["alice", "bob", "carol"];
const GRACE: Duration = Duration::from_secs(90);
const TRAITS: LegTraits = LegTraits { takes_candidates: false, takes_transfer: false, grace: Some(GRACE) };
const SDP: &str = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\n";
/// What a client says within a call.
const METHODS: [&str; 8] = ["answer", "bye", "modify", "info", "candidate", "endOfCandidates", "attach", "ringing_ack"];
const ACTIONS: [&str; 6] = ["hold", "unhold", "toggleHold", "updateMedia", "transfer", "replace"];
const CAUSES: [&str; 5] = ["NORMAL_CLEARING", "USER_BUSY", "CALL_REJECTED", "NO_ANSWER", "NEVER_HEARD_OF"];

#[derive(Clone, Debug, Arbitrary)]
enum Act {
    Login {
        client: u8,
        name: u8,
        is_wrong: bool,
    },
    Invite {
        client: u8,
        to: u8,
        is_trickling: bool,
        has_sdp: bool,
    },
    /// A request about a call that some client knows.
    InCall {
        client: u8,
        whose: u8,
        which: u8,
        method: u8,
        variant: u8,
    },
    Other {
        client: u8,
        method: u8,
    },
    /// Says the last frame again, changed.
    Again {
        client: u8,
        at: u16,
        byte: u8,
    },
    Raw {
        client: u8,
        text: String,
    },
    /// The connection is lost; another takes its place, and its session perhaps.
    Cut {
        client: u8,
        comes_back: bool,
    },
    Gateway {
        client: u8,
    },
    Punt {
        client: u8,
    },
    Wait {
        secs: u8,
    },
}

/// What came of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Life {
    /// Logins that were taken.
    pub logged_in: u32,
    /// Calls that were answered.
    pub answered: u32,
    /// Sessions that came back with calls.
    pub resumed: u32,
    /// Frames that the server sent.
    pub sent: u32,
}

struct Client {
    connection: ConnectionId,
    agent: VertoAgent,
    identity: Option<Identity>,
    session: String,
    /// What the connection before it left.
    left: Option<Left>,
    calls: VecDeque<String>,
    said: String,
    number: u32,
    last_id: u64,
    is_closed: bool,
}

struct Left {
    connection: ConnectionId,
    identity: Identity,
    session: String,
    dialogs: SavedDialogs,
}

struct Switch {
    now: Now,
    registrar: Registrar,
    calls: CallServer,
    clients: Vec<Client>,
    connections: u64,
    life: Life,
}

/// Runs the acts that the bytes mean.
///
/// # Panics
/// On a finding.
#[must_use]
pub fn verto(data: &[u8]) -> Life {
    let mut bytes = Unstructured::new(data);
    let mut switch = Switch::new();
    for _ in 0..ACTS_MAX {
        let Ok(act) = Act::arbitrary(&mut bytes) else { break };
        switch.act(act);
        switch.check();
        if bytes.is_empty() {
            break;
        }
    }
    for client in 0..CLIENTS {
        switch.cut(client, false);
    }
    switch.wait(Duration::from_secs(48 * 3600));
    assert!(switch.calls.is_empty(), "calls are kept: {:?}", switch.calls);
    assert!(switch.registrar.is_empty(), "registrations are kept");
    switch.life
}

fn pick<'a>(of: &[&'a str], index: u8) -> &'a str {
    of[usize::from(index) % of.len()]
}

impl Switch {
    fn new() -> Self {
        static START: LazyLock<Instant> = LazyLock::new(|| Now::read().mono);
        let mut switch = Self {
            now: Now { mono: *START, unix: UnixTime::from_secs(1_000_000) },
            registrar: Registrar::default(),
            calls: CallServer::new(CallLimits::default(), [9; 32]),
            clients: Vec::new(),
            connections: 0,
            life: Life::default(),
        };
        switch.clients = (0..CLIENTS).map(|_| switch.client()).collect();
        switch
    }

    fn client(&mut self) -> Client {
        self.connections += 1;
        Client {
            connection: ConnectionId { node: NodeId(0), number: self.connections },
            agent: VertoAgent::new(AgentSettings::default(), AgentLimits::default(), self.now),
            identity: None,
            session: format!("session-{}", self.connections),
            left: None,
            calls: VecDeque::new(),
            said: String::new(),
            number: 0,
            last_id: 0,
            is_closed: false,
        }
    }

    /// The calls of a client are those that the core knows.
    fn check(&self) {
        for client in self.clients.iter().filter(|client| !client.is_closed) {
            let legs = self.calls.legs_on(client.connection).len();
            assert_eq!(client.agent.dialog_count(), legs, "a client and the core disagree");
        }
    }

    fn act(&mut self, act: Act) {
        let own = |client: u8| usize::from(client) % CLIENTS;
        match act {
            Act::Login { client, name, is_wrong } => {
                let name = pick(&NAMES, name);
                let password = if is_wrong { "wrong" } else { name };
                self.request(own(client), "login", json!({"login": name, "passwd": password, "User-Agent": "x"}));
            }
            Act::Invite { client, to, is_trickling, has_sdp } => {
                self.invite(own(client), to, is_trickling, has_sdp);
            }
            Act::InCall { client, whose, which, method, variant } => {
                let known = &self.clients[own(whose)].calls;
                let call = known.get(usize::from(which) % known.len().max(1)).cloned().unwrap_or_default();
                self.in_call(own(client), &call, pick(&METHODS, method), variant);
            }
            Act::Other { client, method } => {
                let methods =
                    ["telnyx_rtc.ping", "telnyx_rtc.gatewayState", "anonymous_login", "telnyx_rtc.subscribe", "x"];
                self.request(own(client), pick(&methods, method), json!({"eventChannel": ["a"]}));
            }
            Act::Again { client, at, byte } => {
                let client = own(client);
                let mut bytes = self.clients[client].said.clone().into_bytes();
                let len = bytes.len().max(1);
                if let Some(changed) = bytes.get_mut(usize::from(at) % len) {
                    *changed = byte;
                }
                self.say(client, String::from_utf8_lossy(&bytes).into_owned());
            }
            Act::Raw { client, text } => self.say(own(client), text),
            Act::Cut { client, comes_back } => self.cut(own(client), comes_back),
            Act::Gateway { client } => {
                self.clients[own(client)].agent.handle_gateway(GatewayState::NotRegistered);
                self.drain();
            }
            Act::Punt { client } => {
                self.clients[own(client)].agent.handle_punt();
                self.drain();
            }
            Act::Wait { secs } => self.wait(Duration::from_secs(u64::from(secs))),
        }
    }

    fn invite(&mut self, client: usize, to: u8, is_trickling: bool, has_sdp: bool) {
        let known = &mut self.clients[client];
        let call = format!("call-{}-{}", known.connection.number, known.number);
        known.calls.push_front(call.clone());
        known.calls.truncate(REMEMBERED);
        let dialog = json!({
            "callID": call, "destination_number": pick(&NAMES, to), "caller_id_name": "N", "clientState": "Y3M=",
            "custom_headers": [{"name": "X-Order", "value": "7"}, {"name": "Via", "value": "no"}],
        });
        let sdp = if has_sdp { json!(SDP) } else { Value::Null };
        self.request(client, "telnyx_rtc.invite", json!({"sdp": sdp, "trickle": is_trickling, "dialogParams": dialog}));
    }

    fn in_call(&mut self, client: usize, call: &str, method: &str, variant: u8) {
        let dialog = json!({"callID": call});
        let params = match method {
            "bye" => json!({"dialogParams": dialog, "cause": pick(&CAUSES, variant)}),
            "modify" => json!({"dialogParams": dialog, "action": pick(&ACTIONS, variant), "sdp": SDP,
                "destination": pick(&NAMES, variant)}),
            "info" if variant.is_multiple_of(2) => json!({"dialogParams": dialog, "dtmf": "12#"}),
            "info" => json!({"dialogParams": dialog, "msg": {"body": "hello"}}),
            "candidate" => json!({"dialogParams": dialog, "candidate": "candidate:1 1 udp 1 192.0.2.1 9 typ host",
                "sdpMid": "0", "sdpMLineIndex": 0}),
            _ if variant.is_multiple_of(4) => json!({"dialogParams": dialog}),
            _ => json!({"dialogParams": {"callId": call}, "sdp": SDP}),
        };
        self.request(client, &format!("telnyx_rtc.{method}"), params);
    }

    fn request(&mut self, client: usize, method: &str, params: Value) {
        let known = &mut self.clients[client];
        known.number += 1;
        let id = format!("r{}", known.number);
        let frame = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        self.say(client, frame.to_string());
    }

    fn say(&mut self, client: usize, text: String) {
        let now = self.now;
        self.clients[client].said.clone_from(&text);
        // What is not understood is dropped for a reason, which is a counter's.
        let _dropped = self.clients[client].agent.handle_text(now, &text).is_err();
        self.drain();
    }

    /// A lost connection, and the next of the same client.
    fn cut(&mut self, index: usize, comes_back: bool) {
        let next = self.client();
        let gone = std::mem::replace(&mut self.clients[index], next);
        self.registrar.handle_connection_detached(self.now, gone.connection, GRACE);
        self.calls.handle_connection_lost(self.now, gone.connection);
        if let (Some(identity), true) = (gone.identity, comes_back) {
            let calls = gone.calls;
            let client = &mut self.clients[index];
            let (connection, session, dialogs) = (gone.connection, gone.session, gone.agent.into_dialogs());
            client.left = Some(Left { connection, identity, session, dialogs });
            client.calls = calls;
        }
        self.drain();
    }

    fn wait(&mut self, by: Duration) {
        self.now = Now { mono: self.now.mono + by, unix: self.now.unix.saturating_add(by) };
        self.registrar.handle_timeout(self.now);
        self.calls.handle_timeout(self.now);
        for client in &mut self.clients {
            client.agent.handle_timeout(self.now);
        }
        self.drain();
    }

    /// Takes every output of every part until there is none.
    fn drain(&mut self) {
        loop {
            let mut is_quiet = true;
            for index in 0..CLIENTS {
                while let Some(output) = self.clients[index].agent.poll_output() {
                    is_quiet = false;
                    self.agent_output(index, output);
                }
            }
            while self.registrar.poll_output().is_some() {}
            while let Some(output) = self.calls.poll_output() {
                is_quiet = false;
                self.call_output(output);
            }
            if is_quiet {
                break;
            }
        }
        // The shell closes such a connection, and the client may come back.
        let closed = (0..CLIENTS).find(|index| self.clients[*index].is_closed);
        if let Some(index) = closed {
            self.cut(index, true);
        }
    }

    fn agent_output(&mut self, index: usize, output: AgentOutput) {
        let client = &mut self.clients[index];
        let Some(output) = bridge::pass(self.now, &mut client.agent, &mut self.calls, client.connection, output) else {
            return;
        };
        match output {
            AgentOutput::Send(text) => self.heard(index, &text),
            AgentOutput::Login(ask) => self.login(index, ask),
            AgentOutput::Dial(ask) => self.dial(index, ask),
            AgentOutput::Probe { bytes } => assert!(bytes <= AgentLimits::default().probe_bytes_max),
            AgentOutput::Close => client.is_closed = true,
            AgentOutput::Act { .. } => unreachable!("the bridge takes what is about legs"),
        }
    }

    /// A frame is a request with a rising integer, an answer with the session, or the probe's text.
    fn heard(&mut self, index: usize, text: &str) {
        self.life.sent += 1;
        let client = &mut self.clients[index];
        if text.starts_with("#SP") {
            return;
        }
        let frame: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("not JSON: {error}\n{text}"));
        let is_known = client.identity.is_some();
        assert_eq!(frame["voice_sdk_id"].is_string(), is_known, "{text}");
        if let Some(method) = frame["method"].as_str() {
            let id = frame["id"].as_u64().unwrap_or_else(|| panic!("no integer: {text}"));
            assert!(id > client.last_id, "ids rise: {text}");
            client.last_id = id;
            if method == "telnyx_rtc.invite" {
                let call = frame["params"]["callID"].as_str().expect("an invite names its call");
                client.calls.push_front(call.to_owned());
                client.calls.truncate(REMEMBERED);
            }
            assert!(method != "telnyx_rtc.clientReady" || frame["params"].get("state").is_none(), "{text}");
        } else if frame["error"].is_object() {
            assert!(frame["error"]["code"].as_i64().is_some_and(|code| code != -32000), "{text}");
        } else {
            assert!(frame["result"].is_object(), "{text}");
            assert_eq!(frame["result"]["sessid"].is_string(), is_known, "{text}");
        }
    }

    fn login(&mut self, index: usize, ask: LoginAsk) {
        let (now, client) = (self.now, &mut self.clients[index]);
        let name = match ask.proof {
            LoginProof::Password { user, password } if user == password => user,
            LoginProof::Password { .. } | LoginProof::Token(_) => {
                client.agent.handle_login(ask.ask, Err("login incorrect".to_owned()));
                return;
            }
        };
        let identity = Identity::new(AccountId(1), &name);
        let route = LegRoute { connection: client.connection, traits: TRAITS };
        let is_first = client.identity.is_none();
        let left = client.left.take_if(|left| is_first && left.identity == identity);
        let resumed = left.map(|left| {
            self.registrar.handle_connection_resumed(left.connection, route);
            let legs = self.calls.handle_connection_resumed(now, left.connection, route);
            self.life.resumed += u32::from(!legs.is_empty());
            client.session = left.session;
            (left.dialogs, legs)
        });
        if let Some(old) = &client.identity {
            self.registrar.handle_unregister(now, client.connection, old, &client.session);
        }
        let registration = Registration {
            identity: identity.clone(),
            route,
            contact: client.session.as_str().into(),
            lifetime: Duration::from_secs(3600),
            is_ringable: true,
            grant: "".into(),
        };
        if self.registrar.handle_register(now, registration).is_err() {
            client.agent.handle_login(ask.ask, Err("too many".to_owned()));
            return;
        }
        self.life.logged_in += 1;
        client.identity = Some(identity);
        let (session, reconnect_token) = (client.session.clone(), client.session.clone());
        client.agent.handle_login(ask.ask, Ok(LoggedIn { session, reconnect_token, resumed }));
    }

    fn dial(&mut self, index: usize, ask: DialAsk) {
        let client = &mut self.clients[index];
        let identity = client.identity.clone().expect("nobody dials before the login");
        let to = Identity::new(AccountId(1), &ask.destination);
        let dial = Dial {
            from: Party { identity, display: Arc::from(ask.display.as_str()) },
            route: LegRoute { connection: client.connection, traits: TRAITS },
            target: if index == 0 { Target::Parked } else { Target::Identities(vec![to]) },
            offer: ask.offer,
            is_trickling: ask.is_trickling,
            headers: ask.headers,
            ring: if index.is_multiple_of(2) { RingRule::All } else { RingRule::Newest },
            ring_for: None,
        };
        let placed = self.calls.handle_dial(self.now, dial).map_err(|_| HangupCause::Congestion);
        let placed = placed.map(|leg| (leg, self.calls.leg(leg).expect("it was made").call));
        client.agent.handle_dialled(ask.ask, placed);
    }

    fn call_output(&mut self, output: Output) {
        match output {
            Output::ToOwner { .. } => unreachable!("there is one node"),
            Output::Event(event) => {
                self.life.answered += u32::from(matches!(event.kind, CallEventKind::Answered { .. }));
            }
            Output::Locate { id, identities } => {
                let found = identities.iter().flat_map(|identity| self.registrar.locate(identity)).collect();
                self.calls.handle_located(self.now, id, Ok(found));
            }
            Output::ToLeg { leg, connection, message } => {
                let call = self.calls.leg(leg).map(|view| view.call);
                if let Some(client) = self.clients.iter_mut().find(|client| client.connection == connection) {
                    client.agent.handle_leg_message(leg, call, message);
                }
            }
        }
    }
}
