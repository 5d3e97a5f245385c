//! [`Client`]: one connection's agent, and what it needs of the rest.

use std::{
    net::IpAddr,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use causeway_app::{VoiceCalls, VoiceDialNote, VoiceLogin, VoiceLoginRefusal, VoiceProof, VoiceRoute, VoiceUser};
use causeway_call_core::{AccountId, CallId, HangupCause, Identity, LegId, LegTraits, Party, RingRule, Target};
use causeway_switchboard::{Connection, Placing, ToClient};
use causeway_types::{Now, Secret};
use causeway_verto_core::{
    AgentLimits, AgentOutput, AgentSettings, DialAsk, GatewayState, LoggedIn, LoginAsk, LoginProof, VertoAgent, bridge,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

use crate::{
    VertoService, VertoStore,
    sessions::{Control, Found, HAND_OVER_PATIENCE, Left},
};

/// How long a binding is good for that nothing else ends.
const LASTING: Duration = Duration::from_secs(365 * 86_400);

/// What the dialect's clients can do: every candidate inside an offer, no transfer of their own, sessions that come back.
pub(crate) fn traits(resumable_for: Duration) -> LegTraits {
    LegTraits { takes_candidates: false, takes_transfer: false, grace: Some(resumable_for) }
}

/// What is to be written.
pub(crate) enum Write {
    Text(String),
    Probe(usize),
    Close,
}

/// Who is logged in here.
struct Known {
    identity: Identity,
    session: String,
    token: String,
    /// When the proof stops counting.
    ends_at: Option<Instant>,
}

/// One connection.
pub(crate) struct Client<S> {
    service: Arc<VertoService<S>>,
    connection: Connection,
    agent: VertoAgent,
    address: Option<IpAddr>,
    /// As the URL had it.
    reconnect_token: Option<String>,
    control: mpsc::Sender<Control>,
    known: Option<Known>,
    login_until: Instant,
}

impl<S: VertoStore> Client<S> {
    pub(crate) fn new(
        service: Arc<VertoService<S>>,
        connection: Connection,
        address: Option<IpAddr>,
        reconnect_token: Option<String>,
        control: mpsc::Sender<Control>,
    ) -> Self {
        let agent = VertoAgent::new(AgentSettings::default(), AgentLimits::default(), Now::read());
        let login_until = Instant::now() + service.settings.login_within;
        Self { service, connection, agent, address, reconnect_token, control, known: None, login_until }
    }

    pub(crate) const fn service(&self) -> &Arc<VertoService<S>> {
        &self.service
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        let login_until = self.known.is_none().then_some(self.login_until);
        let ends_at = self.known.as_ref().and_then(|known| known.ends_at);
        self.agent.poll_timeout().into_iter().chain(login_until).chain(ends_at).min()
    }

    /// Does what is due; whether the connection is over.
    pub(crate) fn wake(&mut self) -> bool {
        let now = Now::read();
        self.agent.handle_timeout(now);
        if let Some(known) = &mut self.known
            && known.ends_at.take_if(|at| *at <= now.mono).is_some()
        {
            // The client comes back, is refused, and asks its application for a new token.
            self.agent.handle_gateway(GatewayState::Failed);
            return true;
        }
        self.known.is_none() && now.mono >= self.login_until
    }

    pub(crate) fn heard(&mut self, text: &str) {
        self.service.counters.frames.fetch_add(1, Ordering::Relaxed);
        if let Err(reason) = self.agent.handle_text(Now::read(), text) {
            self.service.counters.dropped.fetch_add(1, Ordering::Relaxed);
            tracing::debug!(?reason, "a frame had no effect");
        }
    }

    pub(crate) fn told(&mut self, told: ToClient) {
        let ToClient { leg, message } = told;
        let call = self.call_of(leg);
        self.agent.handle_leg_message(leg, call, message);
    }

    fn call_of(&self, leg: LegId) -> Option<CallId> {
        self.connection.board().leg(leg).map(|view| view.call)
    }

    pub(crate) fn has_calls(&self) -> bool {
        self.agent.dialog_count() > 0
    }

    /// It is sent away.
    pub(crate) fn punt(&mut self) {
        self.agent.handle_punt();
    }

    /// What is to be written next.
    pub(crate) async fn next(&mut self) -> Option<Write> {
        while let Some(output) = self.agent.poll_output() {
            let id = self.connection.id();
            let agent = &mut self.agent;
            let rest = self.connection.with_calls(|calls, now| bridge::pass(now, agent, calls, id, output));
            match rest {
                None => {}
                Some(AgentOutput::Send(text)) => return Some(Write::Text(text)),
                Some(AgentOutput::Probe { bytes }) => return Some(Write::Probe(bytes)),
                Some(AgentOutput::Close) => return Some(Write::Close),
                // Boxed: what these need meanwhile would be kept for every idle client.
                Some(AgentOutput::Login(ask)) => Box::pin(self.login(ask)).await,
                Some(AgentOutput::Dial(ask)) => Box::pin(self.dial(ask)).await,
                Some(AgentOutput::Act { .. }) => unreachable!("the bridge takes these"),
            }
        }
        None
    }

    async fn login(&mut self, ask: LoginAsk) {
        let LoginAsk { ask, proof, session, software: _ } = ask;
        let proof = match proof {
            LoginProof::Password { user, password } => VoiceProof::Password { user, password: Secret::new(password) },
            LoginProof::Token(token) => VoiceProof::Token(Secret::new(token)),
        };
        let now = Now::read();
        let outcome = match self.service.desk.login(&proof, now.unix).await {
            Ok(login) => self.logged_in(login, session, now).await,
            Err(VoiceLoginRefusal::Store(error)) => {
                tracing::warn!(%error, "a login could not be judged");
                Err("try again later".to_owned())
            }
            Err(refusal) => {
                self.service.counters.refused_logins.fetch_add(1, Ordering::Relaxed);
                if !self.service.may_fail(self.address) {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                tracing::debug!(%refusal, "a login was refused");
                Err("login incorrect".to_owned())
            }
        };
        self.agent.handle_login(ask, outcome);
    }

    async fn logged_in(&mut self, login: VoiceLogin, offered: Option<String>, now: Now) -> Result<LoggedIn, String> {
        // Before its binding: a call may come as soon as there is one.
        self.introduce(&login.user);
        let identity = Identity::new(AccountId(login.user.connection.project.0), &login.name);
        let found = match &self.known {
            // Another login on the same socket: the session goes on, and is the newest of its identity.
            Some(_) => None,
            None => self.reconnect_token.take().and_then(|token| {
                let found = self.service.sessions.take(&token, &identity);
                found.map(|found| (token, found))
            }),
        };
        let (token, session, resumed) = match (found, &self.known) {
            (_, Some(known)) => (known.token.clone(), known.session.clone(), None),
            (Some((token, found)), None) => match self.resume(found).await {
                Some((session, resumed)) if offered.as_ref().is_none_or(|offered| *offered == session) => {
                    (token, session, Some(resumed))
                }
                Some(_) | None => (random_token()?, uuid::Uuid::new_v4().to_string(), None),
            },
            (None, None) => (random_token()?, uuid::Uuid::new_v4().to_string(), None),
        };
        if let Some(old) = &self.known {
            self.connection.unregister(&old.identity, &old.session);
        }
        let remaining = login.good_until.map(|at| at.saturating_since(now.unix));
        let grant = login.user.credential.as_ref().map(|credential| credential.id.as_str()).unwrap_or_default();
        let lifetime = remaining.unwrap_or(LASTING);
        self.connection
            .register_with(identity.clone(), &session, lifetime, true, Arc::from(grant))
            .map_err(|refusal| refusal.to_string())?;
        self.service.sessions.live(&token, &session, identity.clone(), self.control.clone());
        let ends_at = remaining.map(|remaining| now.mono + remaining);
        self.known = Some(Known { identity, session: session.clone(), token: token.clone(), ends_at });
        let resumed = resumed.map(|(left, legs)| (left.dialogs, legs));
        Ok(LoggedIn { session, reconnect_token: token, resumed })
    }

    /// Says whose client this is, here and to other servers.
    fn introduce(&self, user: &VoiceUser) {
        self.service.voice.client(self.connection.id(), user);
        if self.connection.board().has_others() {
            self.service.places.put_note(self.connection.id(), VoiceCalls::note_on(user));
        }
    }

    /// Takes a session over from the connection that had it.
    async fn resume(&self, found: Found) -> Option<(String, (Left, Vec<LegId>))> {
        let (session, left) = match found {
            Found::Left { session, left } => (session, left),
            Found::Live { session, control } => {
                let (sender, receiver) = oneshot::channel();
                control.send(Control::HandOver(sender)).await.ok()?;
                (session, timeout(HAND_OVER_PATIENCE, receiver).await.ok()?.ok()?)
            }
        };
        let legs = self.connection.resume(left.connection);
        self.service.counters.resumed.fetch_add(1, Ordering::Relaxed);
        Some((session, (left, legs)))
    }

    async fn dial(&mut self, ask: DialAsk) {
        let outcome = match &self.known {
            Some(known) => self.place(known, &ask).await,
            None => Err(HangupCause::Forbidden),
        };
        self.agent.handle_dialled(ask.ask, outcome);
    }

    async fn place(&self, known: &Known, ask: &DialAsk) -> Result<(LegId, CallId), HangupCause> {
        let desk = &self.service.desk;
        let now = Now::read();
        let unavailable = |error| {
            tracing::warn!(%error, "a call could not be routed");
            HangupCause::Congestion
        };
        let own = desk.user(&known.identity.name).await.map_err(unavailable)?.ok_or(HangupCause::Forbidden)?;
        if !own.connection.is_active || own.is_project_disabled {
            return Err(HangupCause::Forbidden);
        }
        let (target, ring, ring_for) = if own.connection.parks_calls {
            (Target::Parked, RingRule::Newest, None)
        } else {
            match desk.route(own.connection.project, &ask.destination, now.unix).await.map_err(unavailable)? {
                VoiceRoute::Forbidden => return Err(HangupCause::Forbidden),
                VoiceRoute::NotFound => return Err(HangupCause::NotFound),
                VoiceRoute::Name { name, rings_all, ring_for, is_known } => {
                    let to = Identity::new(known.identity.account, &name);
                    if !is_known && self.service.board.locate(&to).await.is_empty() {
                        return Err(HangupCause::NotFound);
                    }
                    let ring = if rings_all { RingRule::All } else { RingRule::Newest };
                    (Target::Identities(vec![to]), ring, ring_for)
                }
            }
        };
        let placing = Placing {
            from: Party { identity: known.identity.clone(), display: Arc::from(ask.display.as_str()) },
            target,
            offer: Arc::clone(&ask.offer),
            is_trickling: ask.is_trickling,
            headers: ask.headers.clone(),
            ring,
            ring_for,
        };
        let note = VoiceDialNote {
            to: ask.destination.clone(),
            client_state: ask.client_state.clone(),
            headers: ask.headers.clone(),
        };
        self.service.voice.dialling(self.connection.id(), &own, note);
        let leg = self.connection.dial(placing).map_err(|refusal| {
            tracing::debug!(%refusal, "a call was refused");
            HangupCause::Congestion
        })?;
        // A call that ended within the dial is told by its leg's messages, which wait behind this.
        Ok((leg, self.call_of(leg).unwrap_or(CallId(0))))
    }

    /// Not a client of a voice connection any more; its legs are still known.
    fn forgotten(&self) {
        self.service.voice.client_gone(self.connection.id());
    }

    /// The socket is gone: the session waits, with what is in it.
    pub(crate) fn gone(self) {
        self.forgotten();
        let Some(known) = &self.known else { return };
        let resumable_for = self.service.settings.resumable_for;
        let connection = self.connection.detach(resumable_for);
        let left = Left { connection, dialogs: self.agent.into_dialogs() };
        self.service.sessions.wait(&known.token, &self.control, left, resumable_for);
    }

    /// Another connection takes over.
    pub(crate) fn hand_over(self, to: oneshot::Sender<Left>) {
        self.forgotten();
        let connection = self.connection.detach(self.service.settings.resumable_for);
        let left = Left { connection, dialogs: self.agent.into_dialogs() };
        if to.send(left).is_err() {
            tracing::debug!("the connection that was to take over is gone");
        }
    }

    /// The session ends with the connection.
    pub(crate) fn ended(self) {
        self.forgotten();
        if let Some(known) = &self.known {
            self.service.sessions.end(&known.token, &self.control);
        }
    }
}

fn random_token() -> Result<String, String> {
    let mut random = [0; 24];
    aws_lc_rs::rand::fill(&mut random).map_err(|_| "the system has no randomness".to_owned())?;
    Ok(URL_SAFE_NO_PAD.encode(random))
}
