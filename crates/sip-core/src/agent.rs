//! [`SipAgent`]: the SIP side of one connection.
//!
//! It is a user agent towards the client: it answers the client's requests and sends its own. What they mean for
//! registrations and calls it asks and tells the shell ([`AgentOutput`]), in the words of `call-core`.
//!
//! Deviation: RFC 3261 §13.3.1.4 repeats a 2xx until its ACK; over a WebSocket to the client itself nothing is lost but with
//! the connection, so it is sent once.

mod dialog;
mod in_dialog;
mod io;
mod legs;
mod page;
mod requests;
mod responses;
mod session_timer;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::{Duration, Instant},
};

use causeway_call_core::LegId;
use causeway_types::Now;
use rand_chacha::{
    ChaCha12Rng,
    rand_core::{Rng, SeedableRng},
};

use self::{dialog::Dialog, responses::ClientTransaction};
pub use self::{
    io::{AgentOutput, AgentSettings, AskId, Contact, DialAsk, DropReason, PageId, RegisterAsk, ReplacesRef},
    page::Page,
};
use crate::message::{FirstLine, Message, ParseError};

/// How long a client may take to answer a request (RFC 3261 §17.1.1.2, timer B; §17.1.2.2, timer F).
const ANSWER_TIME: Duration = Duration::from_secs(32);

/// The methods we understand, as the Allow header lists them.
const ALLOW: &str = "ACK, BYE, CANCEL, INFO, INVITE, MESSAGE, NOTIFY, OPTIONS, REFER, REGISTER, UPDATE";

/// Which dialogue: Call-ID and our own tag.
type DialogKey = (String, String);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// A request of ours waits for its final answer.
    Client(String),
    /// A 2xx of ours waits for its ACK.
    Ack(DialogKey),
    /// A session waits for its refresh.
    Session(DialogKey),
}

/// Limits of one connection. Beyond them requests are refused with 503.
#[derive(Clone, Copy, Debug)]
pub struct AgentLimits {
    /// Requests that wait for the shell.
    pub asks_max: usize,
    /// Dialogues.
    pub dialogs_max: usize,
    /// Texts to the client that it has not answered.
    pub pages_max: usize,
}

impl Default for AgentLimits {
    fn default() -> Self {
        Self { asks_max: 32, dialogs_max: 32, pages_max: 32 }
    }
}

/// The SIP side of one connection.
#[derive(Debug)]
pub struct SipAgent {
    settings: AgentSettings,
    limits: AgentLimits,
    rng: ChaCha12Rng,
    next_ask: u64,
    next_page: u64,
    /// Requests that wait for the shell.
    asks: BTreeMap<AskId, Message>,
    dialogs: BTreeMap<DialogKey, Dialog>,
    by_leg: BTreeMap<LegId, DialogKey>,
    /// By branch.
    clients: BTreeMap<String, ClientTransaction>,
    /// Texts that the client has not answered, by branch.
    pages: BTreeMap<String, PageId>,
    /// The client's Contact URIs, by user part.
    contacts: BTreeMap<String, String>,
    /// The host of the client's own address.
    domain: String,
    /// Branches of INVITEs that were refused: their ACK is to come.
    refused: VecDeque<String>,
    timers: BTreeSet<(Instant, Timer)>,
    outputs: VecDeque<AgentOutput>,
}

impl SipAgent {
    /// The agent of a new connection. All randomness grows from the seed.
    #[must_use]
    pub fn new(settings: AgentSettings, limits: AgentLimits, seed: [u8; 32]) -> Self {
        Self {
            domain: settings.host.clone(),
            settings,
            limits,
            rng: ChaCha12Rng::from_seed(seed),
            next_ask: 0,
            next_page: 0,
            asks: BTreeMap::new(),
            dialogs: BTreeMap::new(),
            by_leg: BTreeMap::new(),
            clients: BTreeMap::new(),
            pages: BTreeMap::new(),
            contacts: BTreeMap::new(),
            refused: VecDeque::new(),
            timers: BTreeSet::new(),
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
        self.timers.first().map(|(at, _)| *at)
    }

    /// A message of the client, as it came in one WebSocket message.
    ///
    /// # Errors
    /// Why nothing came of it: for a counter.
    pub fn handle_text(&mut self, now: Now, text: &str) -> Result<(), DropReason> {
        if text.chars().all(|character| matches!(character, '\r' | '\n')) {
            // RFC 5626 §3.5.1: a keep-alive asks with two line ends and is answered with one.
            if text.len() >= 4 {
                self.send_text("\r\n".to_owned());
            }
            return Ok(());
        }
        let message = match Message::parse(text) {
            Ok(message) => message,
            Err(error) => return self.unreadable(text, error),
        };
        match &message.first {
            FirstLine::Request { method, .. } => {
                let method = method.clone();
                self.request(now, &method, message)
            }
            FirstLine::Response { status, .. } => {
                let status = *status;
                self.response(now, status, &message)
            }
        }
    }

    /// What cannot be read is answered with 400 when it is a request that says whom to answer, and dropped otherwise.
    fn unreadable(&mut self, text: &str, error: ParseError) -> Result<(), DropReason> {
        let head: String = text.lines().take_while(|line| !line.is_empty()).map(|line| format!("{line}\r\n")).collect();
        let without_length: String = head
            .lines()
            .filter(|line| !line.to_ascii_lowercase().starts_with("content-length") && !line.starts_with("l:"))
            .map(|line| format!("{line}\r\n"))
            .collect();
        let is_short = error == ParseError::ShortBody;
        let request = is_short.then(|| Message::parse(&format!("{without_length}\r\n"))).and_then(Result::ok);
        if let Some(request) = request.filter(|request| request.method().is_some_and(|method| method != "ACK")) {
            self.respond(&request, 400, |answer| {
                answer.with("Warning", "399 causeway \"the body is shorter than its length\"")
            });
        }
        Err(DropReason::Unreadable(error))
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Now) {
        while let Some((at, timer)) = self.timers.first().cloned() {
            if at > now.mono {
                return;
            }
            self.timers.remove(&(at, timer.clone()));
            match timer {
                Timer::Client(branch) => self.client_timeout(&branch),
                Timer::Ack(key) => self.ack_timeout(now, &key),
                Timer::Session(key) => self.session_timeout(now, &key),
            }
        }
    }

    /// How many dialogues there are.
    #[must_use]
    pub fn dialog_count(&self) -> usize {
        self.dialogs.len()
    }

    /// Whether nothing is under way.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.asks.is_empty() && self.dialogs.is_empty() && self.by_leg.is_empty() && self.clients.is_empty()
    }

    fn give(&mut self, output: AgentOutput) {
        self.outputs.push_back(output);
    }

    fn send_text(&mut self, text: String) {
        self.give(AgentOutput::Send(text));
    }

    fn send(&mut self, message: &Message) {
        let text = message.to_text();
        self.send_text(text);
    }

    fn token(&mut self) -> String {
        format!("{:016x}", self.rng.next_u64())
    }

    /// Answers a request outside a dialogue; every answer but 100 has a To tag (RFC 3261 §8.2.6.2).
    fn respond(&mut self, request: &Message, status: u16, more: impl FnOnce(Message) -> Message) {
        let tag = self.token();
        self.respond_with_tag(request, &tag, status, more);
    }

    fn respond_with_tag(&mut self, request: &Message, tag: &str, status: u16, more: impl FnOnce(Message) -> Message) {
        let mut answer = Message::response_to(request, status);
        if status > 100 {
            for (name, value) in &mut answer.headers {
                if name == "To" && crate::uri::Address::parse(value).is_some_and(|to| to.tag().is_none()) {
                    value.push_str(&format!(";tag={tag}"));
                }
            }
            answer = answer.with("Server", &self.settings.software);
        }
        let answer = more(answer);
        self.send(&answer);
    }

    fn ask(&mut self, request: Message) -> AskId {
        let id = AskId(self.next_ask);
        self.next_ask += 1;
        self.asks.insert(id, request);
        id
    }

    /// What our own Contact is in a dialogue.
    fn contact(&self, tag: &str) -> String {
        format!("<sip:{tag}@{};transport=ws>", self.settings.host)
    }
}

#[cfg(test)]
mod tests;
