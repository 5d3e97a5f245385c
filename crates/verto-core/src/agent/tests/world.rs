//! Clients on one registrar and one call server, in virtual time, without a shell.

use std::{
    collections::BTreeMap,
    sync::LazyLock,
    time::{Duration, Instant},
};

use causeway_call_core::{
    AccountId, CallLimits, CallServer, ConnectionId, Dial, HangupCause, Identity, LegRoute, LegTraits, NodeId, Output,
    Party, Registrar, RegistrarLimits, Registration, RingRule, Target,
};
use causeway_types::{Now, UnixTime};
use serde_json::{Value, json};

use crate::{AgentLimits, AgentOutput, AgentSettings, DialAsk, LoggedIn, LoginAsk, LoginProof, VertoAgent, bridge};

pub(super) const TRAITS: LegTraits =
    LegTraits { takes_candidates: false, takes_transfer: false, grace: Some(Duration::from_secs(90)) };
pub(super) const OFFER: &str = "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\n";

/// One connection.
pub(super) struct Client {
    pub(super) agent: VertoAgent,
    pub(super) heard: Vec<Value>,
    pub(super) raw: Vec<String>,
    pub(super) is_closed: bool,
    identity: Option<Identity>,
}

pub(super) struct World {
    pub(super) now: Now,
    pub(super) clients: BTreeMap<u64, Client>,
    pub(super) calls: CallServer,
    pub(super) registrar: Registrar,
    pub(super) is_parking: bool,
    next: u64,
}

impl World {
    pub(super) fn new() -> Self {
        static START: LazyLock<Instant> = LazyLock::new(|| Now::read().mono);
        Self {
            now: Now { mono: *START, unix: UnixTime::from_secs(1_800_000_000) },
            clients: BTreeMap::new(),
            calls: CallServer::new(CallLimits::default(), [7; 32]),
            registrar: Registrar::new(RegistrarLimits::default()),
            is_parking: false,
            next: 0,
        }
    }

    pub(super) fn connect(&mut self) -> u64 {
        let id = self.next;
        self.next += 1;
        let agent = VertoAgent::new(AgentSettings::default(), AgentLimits::default(), self.now);
        let client = Client { agent, heard: Vec::new(), raw: Vec::new(), is_closed: false, identity: None };
        self.clients.insert(id, client);
        id
    }

    /// A client that is logged in as `name`: its password is its name.
    pub(super) fn login(&mut self, name: &str) -> u64 {
        let id = self.connect();
        self.log_in(id, name);
        id
    }

    pub(super) fn log_in(&mut self, id: u64, name: &str) {
        let frame = json!({"jsonrpc": "2.0", "id": "login-1", "method": "login", "params": {
            "login": name, "passwd": name, "userVariables": {"push_when_active": false}, "reconnection": false,
            "loginParams": {"early_sdp_answer": false},
            "User-Agent": {"sdkVersion": "2.27.10", "data": "Mozilla/5.0"}}});
        self.says(id, &frame);
    }

    pub(super) fn says(&mut self, id: u64, frame: &Value) {
        self.says_text(id, &frame.to_string());
    }

    pub(super) fn says_text(&mut self, id: u64, text: &str) {
        let now = self.now;
        let outcome = self.client(id).agent.handle_text(now, text);
        // What is counted is in tests of its own.
        outcome.err();
        self.settle();
    }

    pub(super) fn request(&mut self, id: u64, method: &str, params: Value) -> Value {
        let n = self.client(id).heard.len();
        let name = format!("{method}-{n}");
        self.says(id, &json!({"jsonrpc": "2.0", "id": name, "method": method, "params": params}));
        let answer = self.client(id).heard.iter().find(|frame| frame["id"] == json!(name)).cloned();
        answer.unwrap_or(Value::Null)
    }

    pub(super) fn client(&mut self, id: u64) -> &mut Client {
        self.clients.get_mut(&id).expect("the test connected it")
    }

    /// The frames with this method that the client heard.
    pub(super) fn heard(&mut self, id: u64, method: &str) -> Vec<Value> {
        self.client(id).heard.iter().filter(|frame| frame["method"] == json!(method)).cloned().collect()
    }

    pub(super) fn advance(&mut self, by: Duration) {
        self.now = Now { mono: self.now.mono + by, unix: self.now.unix.saturating_add(by) };
        let now = self.now;
        for client in self.clients.values_mut() {
            client.agent.handle_timeout(now);
        }
        self.calls.handle_timeout(now);
        self.settle();
    }

    pub(super) fn drop_client(&mut self, id: u64) -> Client {
        let client = self.clients.remove(&id).expect("the test connected it");
        self.registrar.handle_connection_lost(self.now, connection(id));
        self.calls.handle_connection_lost(self.now, connection(id));
        self.settle();
        client
    }

    /// Everything that follows from the last input.
    fn settle(&mut self) {
        while self.take_outputs() {}
    }

    fn take_outputs(&mut self) -> bool {
        let mut is_any = false;
        let ids: Vec<u64> = self.clients.keys().copied().collect();
        for id in ids {
            while let Some(output) = self.client(id).agent.poll_output() {
                is_any = true;
                self.agent_output(id, output);
            }
        }
        while self.registrar.poll_output().is_some() {}
        while let Some(output) = self.calls.poll_output() {
            is_any = true;
            match output {
                Output::Locate { id, identities } => {
                    let found = identities.iter().flat_map(|identity| self.registrar.locate(identity)).collect();
                    self.calls.handle_located(self.now, id, Ok(found));
                }
                Output::ToLeg { leg, connection, message } => {
                    let call = self.calls.leg(leg).map(|view| view.call);
                    if let Some(client) = self.clients.get_mut(&connection.number) {
                        client.agent.handle_leg_message(leg, call, message);
                    }
                }
                Output::ToOwner { .. } => unreachable!("there is one node"),
                Output::Event(_) => {}
            }
        }
        is_any
    }

    fn agent_output(&mut self, id: u64, output: AgentOutput) {
        let now = self.now;
        let client = self.clients.get_mut(&id).expect("it is among them");
        match bridge::pass(now, &mut client.agent, &mut self.calls, connection(id), output) {
            None => {}
            Some(AgentOutput::Send(text)) => match serde_json::from_str(&text) {
                Ok(frame) => client.heard.push(frame),
                Err(_) => client.raw.push(text),
            },
            Some(AgentOutput::Close) => client.is_closed = true,
            Some(AgentOutput::Probe { bytes }) => client.raw.push(format!("probe {bytes}")),
            Some(AgentOutput::Login(ask)) => self.logs_in(id, &ask),
            Some(AgentOutput::Dial(ask)) => self.dials(id, ask),
            Some(AgentOutput::Act { .. }) => unreachable!("the bridge takes these"),
        }
    }

    fn logs_in(&mut self, id: u64, ask: &LoginAsk) {
        let name = match &ask.proof {
            LoginProof::Password { user, password } if user == password => Some(user.clone()),
            LoginProof::Password { .. } => None,
            LoginProof::Token(token) => token.strip_prefix("jwt-of-").map(str::to_owned),
        };
        let client = self.clients.get_mut(&id).expect("it is among them");
        let Some(name) = name else {
            client.agent.handle_login(ask.ask, Err("wrong user name or password".to_owned()));
            return;
        };
        let identity = Identity::new(AccountId(1), &name);
        client.identity = Some(identity.clone());
        let session = format!("session-{id}");
        let registration = Registration {
            identity,
            route: LegRoute { connection: connection(id), traits: TRAITS },
            contact: session.as_str().into(),
            lifetime: Duration::from_secs(1 << 20),
            is_ringable: true,
            grant: "".into(),
        };
        self.registrar.handle_register(self.now, registration).expect("there is room");
        let logged_in = LoggedIn { session, reconnect_token: format!("voice-{id}"), resumed: None };
        client.agent.handle_login(ask.ask, Ok(logged_in));
    }

    fn dials(&mut self, id: u64, ask: DialAsk) {
        let client = self.clients.get_mut(&id).expect("it is among them");
        let identity = client.identity.clone().expect("it is logged in");
        let to = Identity::new(AccountId(1), &ask.destination);
        let dial = Dial {
            from: Party { identity, display: ask.display.as_str().into() },
            route: LegRoute { connection: connection(id), traits: TRAITS },
            target: if self.is_parking { Target::Parked } else { Target::Identities(vec![to]) },
            offer: ask.offer,
            is_trickling: ask.is_trickling,
            headers: ask.headers,
            ring: RingRule::Newest,
            ring_for: None,
        };
        let outcome = self.calls.handle_dial(self.now, dial).map_err(|_| HangupCause::Congestion);
        let outcome = outcome.map(|leg| (leg, self.calls.leg(leg).expect("it was made").call));
        client.agent.handle_dialled(ask.ask, outcome);
    }
}

pub(super) fn connection(number: u64) -> ConnectionId {
    ConnectionId { node: NodeId(0), number }
}

/// An invite as the library sends it.
pub(super) fn invite(call_id: &str, to: &str) -> Value {
    json!({"sessid": "s", "sdp": OFFER, "User-Agent": "Web-2.27.10", "trickle": false, "dialogParams": {
        "callID": call_id, "destination_number": to, "caller_id_name": "Alice A", "caller_id_number": "not-me",
        "remote_caller_id_name": "Outbound Call", "remote_caller_id_number": to,
        "custom_headers": [{"name": "X-Foo", "value": "bar"}, {"name": "From", "value": "evil"}],
        "clientState": "Y3M=", "audio": true, "video": false, "iceServers": [{"urls": "turn:t", "credential": "secret"}],
        "userVariables": {"microphoneLabel": "m"}, "mediaSettings": {"useSdpASBandwidthKbps": false}}})
}
