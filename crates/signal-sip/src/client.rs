//! [`Client`]: one connection's agent, its place on the switchboard, and what it has proven.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use axum::extract::ws::close_code;
use causeway_app::ClientPlace;
use causeway_call_core::{AccountId, Identity};
use causeway_sip_core::{AgentOutput, AskId, PageId, SipAgent, bridge};
use causeway_switchboard::{Connection, ToClient};
use causeway_types::Now;
use tokio::task::JoinSet;

use crate::{
    LimitReached, SipService,
    ice::IceHeld,
    page::{OpenText, PageAsk, Reply},
    proof::Trust,
};

/// Longest name of a program that is kept.
const USER_AGENT_CHARS_MAX: usize = 100;
/// How often a connection that is to close looks whether its calls are over.
const CALL_CHECK: Duration = Duration::from_millis(500);

/// Why a connection is over.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Over {
    /// Its client is gone.
    Gone,
    /// It is told.
    Close(u16, &'static str),
}

/// One connection's side of everything.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) service: Arc<SipService>,
    pub(crate) connection: Connection,
    pub(crate) agent: SipAgent,
    pub(crate) address: Option<IpAddr>,
    /// Users that proved themselves with a password: they need not do it again here, until something is revoked.
    pub(crate) trusted: BTreeMap<(String, String), Trust>,
    /// Bindings made here: who, and the Contact.
    pub(crate) bound: BTreeSet<(Identity, String)>,
    /// Nonces that were used here, and how often.
    pub(crate) nonces: BTreeMap<String, u32>,
    /// Challenges so far.
    pub(crate) challenges: u32,
    pub(crate) ice: Option<IceHeld>,
    /// Credentials that were made for this connection.
    pub(crate) ice_names: Vec<(AccountId, String)>,
    /// Service calls that wait for a decision; none is waited for once the client is gone.
    pub(crate) decisions: JoinSet<()>,
    /// Texts of the client's that are not answered.
    pub(crate) texts: BTreeMap<AskId, OpenText>,
    /// Where answers to texts go that the client was told.
    pub(crate) replies: BTreeMap<PageId, Reply>,
    refusals: u32,
    close_at: Option<Instant>,
    is_sent_away: bool,
    /// Whether its first message was looked at for the name of its program.
    is_known: bool,
}

impl Client {
    pub(crate) fn new(
        service: Arc<SipService>,
        connection: Connection,
        agent: SipAgent,
        address: Option<IpAddr>,
    ) -> Self {
        service.places.put(connection.id(), place(address, None));
        Self {
            service,
            connection,
            agent,
            address,
            trusted: BTreeMap::new(),
            bound: BTreeSet::new(),
            nonces: BTreeMap::new(),
            challenges: 0,
            ice: None,
            ice_names: Vec::new(),
            decisions: JoinSet::new(),
            texts: BTreeMap::new(),
            replies: BTreeMap::new(),
            refusals: 0,
            close_at: None,
            is_sent_away: false,
            is_known: false,
        }
    }

    pub(crate) fn service(&self) -> &SipService {
        &self.service
    }

    /// When to call [`Self::wake`].
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.agent.poll_timeout().into_iter().chain(self.close_at).chain(self.texts_deadline()).min()
    }

    pub(crate) fn wake(&mut self) {
        let now = Now::read();
        self.agent.handle_timeout(now);
        self.expire_texts(now.mono);
    }

    /// The client said something.
    pub(crate) fn heard(&mut self, text: &str) {
        if !self.is_known && text.len() > 4 {
            self.is_known = true;
            self.service.places.put(self.connection.id(), place(self.address, user_agent(text)));
        }
        if let Err(reason) = self.agent.handle_text(Now::read(), text) {
            self.service.counters.dropped.fetch_add(1, Ordering::Relaxed);
            tracing::debug!(?reason, connection = self.connection.id().number, "nothing came of a SIP message");
        }
    }

    /// The switchboard says something to a leg.
    pub(crate) fn told(&mut self, told: ToClient) {
        self.agent.handle_leg_message(Now::read(), told.leg, told.message);
    }

    /// The next text to send; what is not to be sent is done on the way.
    pub(crate) async fn next(&mut self) -> Option<String> {
        while let Some(output) = self.agent.poll_output() {
            let agent = &mut self.agent;
            let id = self.connection.id();
            // What needs the call core alone is done under its lock; the rest asks outside.
            if let AgentOutput::Send(text) = output {
                return Some(text);
            }
            let left = self.connection.with_calls(|calls, now| bridge::pass(now, agent, calls, id, output));
            if let Some(output) = left {
                // Boxed: what it needs meanwhile would be kept for every idle client.
                Box::pin(self.answer(output)).await;
            }
        }
        None
    }

    async fn answer(&mut self, output: AgentOutput) {
        match output {
            AgentOutput::Register(ask) => self.register(ask).await,
            AgentOutput::Dial(ask) => self.dial(ask).await,
            AgentOutput::IceServers { ask, from } => self.ice_servers(ask, &from).await,
            AgentOutput::Page { ask, from, to, request_uri, credentials, content_type, body } => {
                self.page(PageAsk { ask, from, to, request_uri, credentials, content_type, body }).await;
            }
            AgentOutput::PageAnswered { page, status } => {
                if let Some(reply) = self.replies.remove(&page) {
                    reply.give(status);
                }
            }
            AgentOutput::Send(_)
            | AgentOutput::Progress { .. }
            | AgentOutput::Answer { .. }
            | AgentOutput::HangUp { .. }
            | AgentOutput::Reoffer { .. }
            | AgentOutput::Reanswer { .. }
            | AgentOutput::ReofferRefused { .. }
            | AgentOutput::Info { .. }
            | AgentOutput::Transfer { .. }
            | AgentOutput::TransferProgress { .. } => {}
        }
    }

    /// A request proved nothing. After many the connection is closed.
    pub(crate) fn note_refusal(&mut self) {
        self.refusals += 1;
    }

    /// A request proved who sent it.
    pub(crate) fn note_proof(&mut self) {
        self.refusals = 0;
    }

    /// The server drains: this connection closes at a moment of its own.
    pub(crate) fn drain(&mut self) {
        let spread = u64::try_from(self.service.settings.drain_spread.as_millis()).unwrap_or(0);
        // Connections are numbered in order: a number far from its neighbours' spreads them evenly.
        let place = self.connection.id().number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        self.close_at = Some(Instant::now() + Duration::from_millis((place * spread) >> 32));
    }

    /// The client is to come back in a moment: it does so by itself when its connection is closed, and not after a refusal.
    pub(crate) fn send_away(&mut self) {
        self.is_sent_away = true;
    }

    /// Whether the connection is to be closed.
    pub(crate) fn over(&mut self) -> Option<Over> {
        if self.is_sent_away {
            return Some(Over::Close(close_code::AGAIN, "try again later"));
        }
        if self.refusals >= self.service.settings.refusals_max {
            self.service.counters.limit(LimitReached::Refusals);
            return Some(Over::Close(close_code::POLICY, "nothing is proven"));
        }
        let now = Instant::now();
        self.close_at.filter(|at| *at <= now)?;
        if self.agent.dialog_count() == 0 {
            return Some(Over::Close(close_code::AWAY, "going away"));
        }
        self.close_at = Some(now + CALL_CHECK);
        None
    }

    /// The connection is over.
    pub(crate) fn gone(&mut self) {
        self.service.places.remove(self.connection.id());
        self.service.post.close(self.connection.id());
        let names = std::mem::take(&mut self.ice_names);
        if !names.is_empty() {
            self.service.access.ice_over(names);
        }
    }
}

fn place(address: Option<IpAddr>, user_agent: Option<Arc<str>>) -> ClientPlace {
    ClientPlace { dialect: "sip", address, user_agent }
}

/// What a client calls its program, in its own message.
fn user_agent(text: &str) -> Option<Arc<str>> {
    let mut headers = text.lines().take_while(|line| !line.is_empty()).filter_map(|line| line.split_once(':'));
    let (_, value) = headers.find(|(name, _)| name.trim().eq_ignore_ascii_case("User-Agent"))?;
    let short: String = value.trim().chars().take(USER_AGENT_CHARS_MAX).collect();
    Some(Arc::from(short))
}
