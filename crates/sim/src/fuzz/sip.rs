//! Four SIP clients on one call core, in virtual time.
//!
//! Clients say what SIP clients say, at the wrong time, twice, about each other's dialogues, or changed by a byte. Connections
//! break and come back. Whatever is sent can be read; when everybody is gone and time has passed, nothing is kept.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

use arbitrary::{Arbitrary, Unstructured};
use causeway_call_core::{
    AccountId, CallLimits, CallServer, ConnectionId, Dial, Identity, LegId, LegRoute, LegTraits, NodeId, Output, Party,
    Registrar, Registration, RingRule, Target,
};
use causeway_sip_core::{
    AgentLimits, AgentOutput, AgentSettings, AskId, DialAsk, Message, Page, PageId, RegisterAsk, SipAgent, bridge,
    message::FirstLine,
};
use causeway_types::{Now, UnixTime};

/// Acts of one run; what is longer is cut.
const ACTS_MAX: usize = 250;
const CLIENTS: usize = 4;
/// Messages that a client remembers.
const REMEMBERED: usize = 12;
const NAMES: [&str; 3] = ["alice", "bob", "carol"];
const TRAITS: LegTraits = LegTraits { takes_candidates: false, takes_transfer: true, grace: None };
const SDP: &str = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=sendrecv\r\n";

#[derive(Clone, Debug, Arbitrary)]
enum Act {
    Register {
        client: u8,
        expires: u8,
    },
    Invite {
        client: u8,
        to: u8,
        is_empty: bool,
    },
    /// Answers one of the server's requests.
    Respond {
        client: u8,
        which: u8,
        status: u8,
        has_sdp: bool,
    },
    /// Acknowledges one of the server's final answers.
    Ack {
        client: u8,
        which: u8,
    },
    Cancel {
        client: u8,
    },
    InDialog {
        client: u8,
        which: u8,
        method: u8,
        has_sdp: bool,
    },
    /// Says the last message again, changed.
    Again {
        client: u8,
        at: u16,
        byte: u8,
    },
    Raw {
        client: u8,
        text: String,
    },
    Cut {
        client: u8,
    },
    Wait {
        secs: u8,
    },
}

/// What came of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Life {
    /// Registrations that held.
    pub registered: u32,
    /// Calls that were answered.
    pub answered: u32,
    /// Messages that the server sent.
    pub sent: u32,
}

struct Client {
    connection: ConnectionId,
    agent: SipAgent,
    name: &'static str,
    heard: VecDeque<Message>,
    said: String,
    invite: Option<Message>,
    number: u32,
    /// Texts the client was told: whose they are.
    pages: BTreeMap<PageId, (ConnectionId, AskId)>,
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
pub fn sip(data: &[u8]) -> Life {
    let mut bytes = Unstructured::new(data);
    let mut switch = Switch::new();
    for _ in 0..ACTS_MAX {
        let Ok(act) = Act::arbitrary(&mut bytes) else { break };
        switch.act(act);
        if bytes.is_empty() {
            break;
        }
    }
    for client in 0..CLIENTS {
        switch.cut(client);
    }
    switch.wait(Duration::from_secs(48 * 3600));
    // Every text was answered, or given up.
    assert!(switch.clients.iter().all(|client| client.agent.is_idle()), "a connection keeps something");
    assert!(switch.calls.is_empty(), "calls are kept: {:?}", switch.calls);
    assert!(switch.registrar.is_empty(), "registrations are kept");
    switch.life
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
        switch.clients = (0..CLIENTS).map(|index| switch.client(index)).collect();
        switch
    }

    fn client(&mut self, index: usize) -> Client {
        self.connections += 1;
        let settings = AgentSettings { host: "causeway.invalid".to_owned(), software: "causeway".to_owned() };
        let seed = u8::try_from(self.connections % 251).unwrap_or(0);
        Client {
            connection: ConnectionId { node: NodeId(0), number: self.connections },
            agent: SipAgent::new(settings, AgentLimits::default(), [seed; 32]),
            name: NAMES[index % NAMES.len()],
            heard: VecDeque::new(),
            said: String::new(),
            invite: None,
            number: 0,
            pages: BTreeMap::new(),
        }
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Register { client, expires } => {
                let client = usize::from(client) % CLIENTS;
                let message = self.request(client, "REGISTER", 0).with("Expires", expires.to_string());
                self.say(client, message.to_text());
            }
            Act::Invite { client, to, is_empty } => {
                let client = usize::from(client) % CLIENTS;
                let mut message = self.request(client, "INVITE", to).with("X-Order", "7");
                if to.is_multiple_of(2) {
                    message = message.with("Supported", "timer").with("Session-Expires", "90");
                }
                if !is_empty {
                    message = message.with_body("application/sdp", SDP);
                }
                self.clients[client].invite = Some(message.clone());
                self.say(client, message.to_text());
            }
            Act::Respond { client, which, status, has_sdp } => {
                self.respond(usize::from(client) % CLIENTS, which, status, has_sdp)
            }
            Act::Ack { client, which } => {
                let client = usize::from(client) % CLIENTS;
                self.in_dialog(client, which, "ACK", false);
            }
            Act::Cancel { client } => {
                let to = client;
                let client = usize::from(client) % CLIENTS;
                let Some(invite) = self.clients[client].invite.clone() else {
                    // Nothing to cancel: it says something to somebody, outside a call.
                    let message = self.request(client, "MESSAGE", to / 4).with_body("text/plain", "hello");
                    self.say(client, message.to_text());
                    return;
                };
                self.say(client, invite.to_text().replace("INVITE", "CANCEL"));
            }
            Act::InDialog { client, which, method, has_sdp } => {
                let methods = ["BYE", "INVITE", "INFO", "REFER", "NOTIFY", "UPDATE", "MESSAGE", "OPTIONS"];
                self.in_dialog(
                    usize::from(client) % CLIENTS,
                    which,
                    methods[usize::from(method) % methods.len()],
                    has_sdp,
                );
            }
            Act::Again { client, at, byte } => {
                let client = usize::from(client) % CLIENTS;
                let mut bytes = self.clients[client].said.clone().into_bytes();
                let len = bytes.len().max(1);
                if let Some(changed) = bytes.get_mut(usize::from(at) % len) {
                    *changed = byte;
                }
                self.say(client, String::from_utf8_lossy(&bytes).into_owned());
            }
            Act::Raw { client, text } => self.say(usize::from(client) % CLIENTS, text),
            Act::Cut { client } => self.cut(usize::from(client) % CLIENTS),
            Act::Wait { secs } => self.wait(Duration::from_secs(u64::from(secs))),
        }
    }

    fn request(&mut self, client: usize, method: &str, to: u8) -> Message {
        let client = &mut self.clients[client];
        client.number += 1;
        let (name, number, connection) = (client.name, client.number, client.connection.number);
        let to = if method == "REGISTER" { name } else { NAMES[usize::from(to) % NAMES.len()] };
        Message::request(method, &format!("sip:{to}@example.invalid"))
            .with("Via", format!("SIP/2.0/WSS c{connection}.invalid;branch=z9hG4bK{connection}-{number}"))
            .with("From", format!("<sip:{name}@example.invalid>;tag=t{connection}"))
            .with("To", format!("<sip:{to}@example.invalid>"))
            .with("Call-ID", format!("call-{connection}-{number}"))
            .with("CSeq", format!("{number} {method}"))
            .with("Contact", format!("<sip:x{connection}@c{connection}.invalid;transport=ws>"))
    }

    fn respond(&mut self, client: usize, which: u8, status: u8, has_sdp: bool) {
        let requests: Vec<&Message> = self.clients[client]
            .heard
            .iter()
            .filter(|message| message.method().is_some_and(|method| method != "ACK"))
            .collect();
        let Some(request) = requests.get(usize::from(which) % requests.len().max(1)) else { return };
        let statuses = [100, 180, 183, 200, 200, 202, 401, 480, 486, 487, 488, 491, 603];
        let status = statuses[usize::from(status) % statuses.len()];
        // Some callees want a session timer, or have one.
        let status = if status == 491 && !which.is_multiple_of(2) { 422 } else { status };
        let mut answer = Message::response_to(request, status).with("Contact", "<sip:there@c.invalid;transport=ws>");
        if status == 422 {
            answer = answer.with("Min-SE", "120");
        } else if status == 200 && which.is_multiple_of(3) {
            answer = answer.with("Session-Expires", "120;refresher=uas");
        }
        for (name, value) in &mut answer.headers {
            if name == "To" && !value.contains("tag=") {
                value.push_str(";tag=device");
            }
        }
        if has_sdp {
            answer = answer.with_body("application/sdp", SDP);
        }
        self.say(client, answer.to_text());
    }

    /// A request about a dialogue that the client has heard of, from either side.
    fn in_dialog(&mut self, client: usize, which: u8, method: &str, has_sdp: bool) {
        let heard = &self.clients[client].heard;
        let Some(known) = heard.get(usize::from(which) % heard.len().max(1)).cloned() else { return };
        let mut request = self.request(client, method, 0);
        let is_answer = known.status().is_some();
        let (from, to) = if is_answer { ("From", "To") } else { ("To", "From") };
        let number = known.cseq().map_or(1, |cseq| cseq.number);
        for (name, value) in &mut request.headers {
            let own_tag = if is_answer { "" } else { ";tag=device" };
            match name.as_str() {
                "From" => *value = format!("{}{own_tag}", known.header(from).unwrap_or_default()),
                "To" => *value = known.header(to).unwrap_or_default().to_owned(),
                "Call-ID" => *value = known.call_id().to_owned(),
                "CSeq" if method == "ACK" => *value = format!("{number} ACK"),
                "Via" if method == "ACK" && known.status().is_some_and(|status| status >= 300) => {
                    *value = known.header("Via").unwrap_or_default().to_owned();
                }
                _ => {}
            }
        }
        if matches!(method, "INVITE" | "UPDATE") {
            let secs = if which.is_multiple_of(5) { 30 } else { 90 };
            request = request.with("Supported", "timer").with("Session-Expires", format!("{secs};refresher=uac"));
        }
        request = match (method, has_sdp) {
            ("REFER", _) => {
                request.with("Refer-To", "<sip:carol@example.invalid?Replaces=a%3Bto-tag%3Db%3Bfrom-tag%3Dc>")
            }
            ("NOTIFY", _) => request.with("Event", "refer").with_body("message/sipfrag", "SIP/2.0 486 Busy Here"),
            ("INFO", true) => request.with_body("application/dtmf-relay", "Signal=5\r\nDuration=100"),
            (_, true) => request.with_body("application/sdp", SDP),
            (_, false) => request,
        };
        self.say(client, request.to_text());
    }

    fn say(&mut self, client: usize, text: String) {
        let now = self.now;
        self.clients[client].said.clone_from(&text);
        // What is not understood is dropped for a reason, which is a counter's.
        let _dropped = self.clients[client].agent.handle_text(now, &text).is_err();
        self.drain();
    }

    fn cut(&mut self, index: usize) {
        let gone = self.clients[index].connection;
        self.clients[index] = self.client(index);
        self.registrar.handle_connection_lost(self.now, gone);
        self.calls.handle_connection_lost(self.now, gone);
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
                return;
            }
        }
    }

    fn agent_output(&mut self, index: usize, output: AgentOutput) {
        let client = &mut self.clients[index];
        let Some(output) = bridge::pass(self.now, &mut client.agent, &mut self.calls, client.connection, output) else {
            return;
        };
        match output {
            AgentOutput::Send(text) => self.heard(index, &text),
            AgentOutput::Register(ask) => self.register(index, &ask),
            AgentOutput::Dial(ask) => self.dial(index, &ask),
            AgentOutput::IceServers { ask, .. } => client.agent.handle_ice_servers(ask, "[]"),
            AgentOutput::Page { ask, from, to, content_type, body, .. } => {
                let page = Page {
                    from: Party {
                        identity: Identity::new(AccountId(1), &from.uri.user),
                        display: Arc::from(from.display),
                    },
                    to: Identity::new(AccountId(1), &to.user),
                    content_type: Arc::from(content_type),
                    body: Arc::from(body),
                };
                self.page(index, ask, &page);
            }
            AgentOutput::PageAnswered { page, status } => {
                let asked = client.pages.remove(&page);
                let (sender, ask) = asked.expect("only what was told is answered, and once");
                let sender = self.clients.iter_mut().find(|client| client.connection == sender);
                match sender {
                    Some(sender) if (200..300).contains(&status) => sender.agent.handle_taken(ask),
                    Some(sender) => sender.agent.handle_refused(ask, status.max(400), &[]),
                    None => {}
                }
            }
            AgentOutput::Progress { .. }
            | AgentOutput::Answer { .. }
            | AgentOutput::HangUp { .. }
            | AgentOutput::Reoffer { .. }
            | AgentOutput::Reanswer { .. }
            | AgentOutput::ReofferRefused { .. }
            | AgentOutput::Info { .. }
            | AgentOutput::Transfer { .. }
            | AgentOutput::TransferProgress { .. } => unreachable!("the bridge takes what is about legs"),
        }
    }

    fn page(&mut self, index: usize, ask: AskId, page: &Page) {
        let sender = self.clients[index].connection;
        let now = self.now;
        let reader = self.clients.iter_mut().find(|client| *client.name == *page.to.name);
        let told = reader.and_then(|reader| Some((reader.agent.handle_page(now, "x", page)?, reader)));
        match told {
            Some((id, reader)) => _ = reader.pages.insert(id, (sender, ask)),
            None => self.clients[index].agent.handle_refused(ask, 480, &[]),
        }
    }

    fn heard(&mut self, index: usize, text: &str) {
        self.life.sent += 1;
        if text == "\r\n" {
            return;
        }
        let message = Message::parse(text).unwrap_or_else(|error| panic!("we cannot read our own: {error}\n{text}"));
        if let FirstLine::Response { status, .. } = &message.first {
            assert!(*status == 100 || message.address("To").is_some_and(|to| to.tag().is_some()), "no tag: {text}");
        }
        let heard = &mut self.clients[index].heard;
        heard.push_front(message);
        heard.truncate(REMEMBERED);
    }

    fn register(&mut self, index: usize, ask: &RegisterAsk) {
        let client = &mut self.clients[index];
        let mut bindings = Vec::new();
        for contact in &ask.contacts {
            let identity = Identity::new(AccountId(1), &ask.from.user);
            let expires = contact.expires.unwrap_or(600);
            if expires == 0 {
                self.registrar.handle_unregister(self.now, client.connection, &identity, &contact.user);
                continue;
            }
            let registration = Registration {
                identity,
                route: LegRoute { connection: client.connection, traits: TRAITS },
                contact: Arc::from(contact.user.as_str()),
                lifetime: Duration::from_secs(u64::from(expires)),
                is_ringable: true,
                grant: Arc::from(""),
            };
            if self.registrar.handle_register(self.now, registration).is_err() {
                client.agent.handle_refused(ask.ask, 503, &[]);
                return;
            }
            self.life.registered += 1;
            bindings.push((contact.uri.clone(), expires));
        }
        client.agent.handle_registered(ask.ask, &bindings);
    }

    fn dial(&mut self, index: usize, ask: &DialAsk) {
        let client = &mut self.clients[index];
        let Some(offer) = ask.offer.clone() else {
            client.agent.handle_refused(ask.ask, 488, &[]);
            return;
        };
        let replaced = ask.replaces.as_ref().and_then(|replaces| LegId::parse(&replaces.call_id));
        let to = Identity::new(AccountId(1), &ask.to.user);
        let dial = Dial {
            from: Party {
                identity: Identity::new(AccountId(1), &ask.from.uri.user),
                display: Arc::from(ask.from.display.as_str()),
            },
            route: LegRoute { connection: client.connection, traits: TRAITS },
            target: replaced.map_or_else(|| Target::Identities(vec![to]), Target::Replacing),
            offer,
            is_trickling: false,
            headers: ask.headers.clone(),
            ring: if index.is_multiple_of(2) { RingRule::All } else { RingRule::Newest },
            ring_for: ask.expires.map(|secs| Duration::from_secs(u64::from(secs))),
        };
        let placed = self.calls.handle_dial(self.now, dial);
        match placed {
            Err(_) => client.agent.handle_refused(ask.ask, 480, &[]),
            Ok(leg) => assert!(client.agent.handle_dialled(ask.ask, leg), "nothing comes between"),
        }
    }

    fn call_output(&mut self, output: Output) {
        match output {
            Output::ToOwner { .. } => unreachable!("there is one node"),
            Output::Event(event) => {
                let is_answer = matches!(event.kind, causeway_call_core::CallEventKind::Answered { .. });
                self.life.answered += u32::from(is_answer);
            }
            Output::Locate { id, identities } => {
                let found = identities.iter().flat_map(|identity| self.registrar.locate(identity)).collect();
                self.calls.handle_located(self.now, id, Ok(found));
            }
            Output::ToLeg { leg, connection, message } => {
                let now = self.now;
                if let Some(client) = self.clients.iter_mut().find(|client| client.connection == connection) {
                    client.agent.handle_leg_message(now, leg, message);
                }
            }
        }
    }
}
