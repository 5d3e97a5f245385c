//! [`Switchboard`]: the cores, the clients' inboxes, and the clock.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use causeway_call_core::{
    BindingId, CallEvent, CallLimits, CallServer, CallView, ConnectionId, HangupCause, Identity, LegId, LegTraits,
    LegView, NodeId, Output, PresenceChange, Refusal, Registrar, RegistrarLimits, RingRule,
};
use causeway_types::Now;
use parking_lot::Mutex;
use tokio::{
    sync::{Notify, mpsc},
    task::JoinHandle,
};

use crate::{
    cluster::Links,
    connection::{Connection, Inbox, ToClient},
    text::TextPort,
};

/// Hears of calls and presence. It is called under the switchboard's lock: it hands on and returns.
pub trait CallListener: Send + Sync + 'static {
    /// Something happened to a call.
    fn call(&self, event: CallEvent);
    /// A binding came, was refreshed, or went.
    fn presence(&self, change: PresenceChange);
}

/// How a switchboard is set up.
#[derive(Clone, Copy, Debug)]
pub struct SwitchboardSettings {
    /// This server among several.
    pub node: NodeId,
    /// Of calls.
    pub calls: CallLimits,
    /// Of registrations.
    pub registrations: RegistrarLimits,
    /// Messages that may wait for one client; one more cuts it off.
    pub inbox_max: usize,
}

impl Default for SwitchboardSettings {
    fn default() -> Self {
        Self { node: NodeId(0), calls: CallLimits::default(), registrations: RegistrarLimits::default(), inbox_max: 64 }
    }
}

/// For metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connected clients.
    pub connections: usize,
    /// Bindings.
    pub registrations: usize,
    /// Calls.
    pub calls: usize,
    /// Clients that were cut off because they did not take what they were told.
    pub slow_clients: u64,
}

/// Registrations and calls of one server.
pub struct Switchboard {
    pub(crate) state: Mutex<State>,
    pub(crate) settings: SwitchboardSettings,
    /// The other servers, when there are any.
    pub(crate) links: OnceLock<Links>,
    /// Who understands texts outside calls.
    pub(crate) texts: OnceLock<Weak<dyn TextPort>>,
    listener: Arc<dyn CallListener>,
    /// The next deadline may have moved.
    moved: Notify,
    slow_clients: AtomicU64,
    revocations: AtomicU64,
}

pub(crate) struct State {
    pub(crate) calls: CallServer,
    pub(crate) registrar: Registrar,
    pub(crate) inboxes: BTreeMap<ConnectionId, (mpsc::Sender<Box<ToClient>>, LegTraits)>,
    next_connection: u64,
}

impl std::fmt::Debug for Switchboard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Switchboard").field("counts", &self.counts()).finish_non_exhaustive()
    }
}

impl Switchboard {
    /// A switchboard without clients. `seed` is random and secret: ids of calls grow from it.
    #[must_use]
    pub fn new(settings: SwitchboardSettings, seed: [u8; 32], listener: Arc<dyn CallListener>) -> Arc<Self> {
        let state = State {
            calls: CallServer::new(settings.calls, seed).of_node(settings.node),
            registrar: Registrar::new(settings.registrations),
            inboxes: BTreeMap::new(),
            next_connection: 0,
        };
        let (state, moved, links, texts) = (Mutex::new(state), Notify::new(), OnceLock::new(), OnceLock::new());
        let (slow_clients, revocations) = (AtomicU64::new(0), AtomicU64::new(0));
        Arc::new(Self { state, settings, links, texts, listener, moved, slow_clients, revocations })
    }

    /// Runs deadlines until the task is aborted.
    pub fn keep_time(self: &Arc<Self>) -> JoinHandle<()> {
        let this = Arc::clone(self);
        tokio::spawn(async move {
            loop {
                let next = this.next_deadline();
                let due = async {
                    match next {
                        Some(at) => tokio::time::sleep_until(at.into()).await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    () = due => this.run(|state, now| {
                        state.registrar.handle_timeout(now);
                        state.calls.handle_timeout(now);
                    }),
                    () = this.moved.notified() => {}
                }
            }
        })
    }

    fn next_deadline(&self) -> Option<Instant> {
        let state = self.state.lock();
        state.calls.poll_timeout().into_iter().chain(state.registrar.poll_timeout()).min()
    }

    /// A client is connected. What it is to hear comes out of the inbox, which ends when the client is cut off.
    #[must_use]
    pub fn connect(self: &Arc<Self>, traits: LegTraits) -> (Connection, Inbox) {
        let (sender, inbox) = mpsc::channel(self.settings.inbox_max);
        let mut state = self.state.lock();
        let id = ConnectionId { node: self.settings.node, number: state.next_connection };
        state.next_connection += 1;
        state.inboxes.insert(id, (sender, traits));
        (Connection::new(Arc::clone(self), id, traits), inbox)
    }

    /// Ends a call for a backend, an operator or a revocation.
    ///
    /// # Errors
    /// [`Refusal::NoSuchLeg`].
    pub fn end(&self, leg: LegId, cause: HangupCause) -> Result<(), Refusal> {
        self.run(|state, now| state.calls.handle_end(now, leg, cause))
    }

    /// Sends an unanswered call somewhere else.
    ///
    /// # Errors
    /// As [`CallServer::handle_redirect`].
    pub fn redirect(&self, leg: LegId, to: Vec<Identity>, ring: RingRule) -> Result<(), Refusal> {
        self.redirect_for(leg, to, ring, None)
    }

    /// The same, for as long as this rings.
    ///
    /// # Errors
    /// As [`CallServer::handle_redirect`].
    pub fn redirect_for(
        &self,
        leg: LegId,
        to: Vec<Identity>,
        ring: RingRule,
        ring_for: Option<Duration>,
    ) -> Result<(), Refusal> {
        self.run(|state, now| state.calls.handle_redirect(now, leg, to, ring, ring_for))
    }

    /// Removes the bindings that are meant, and ends the calls of their connections: a token or user was revoked. How many bindings.
    pub fn revoke(&self, is_meant: impl Fn(&causeway_call_core::Binding) -> bool) -> usize {
        // Before the bindings: who proves something meanwhile, and is bound after them, sees the number change.
        self.revocations.fetch_add(1, Ordering::SeqCst);
        self.run(|state, now| {
            let meant: Vec<(BindingId, ConnectionId)> = state
                .registrar
                .bindings()
                .filter(|binding| is_meant(binding))
                .map(|binding| (binding.id, binding.connection))
                .collect();
            for (binding, connection) in &meant {
                state.registrar.handle_revoked(now, *binding);
                for leg in state.calls.legs_on(*connection) {
                    if state.calls.handle_end(now, leg, HangupCause::Administrative).is_err() {
                        // The call ended with another of these legs.
                        continue;
                    }
                }
            }
            meant.len()
        })
    }

    /// How often something was revoked: what a dialect remembers of a client is worth nothing once this is another number.
    #[must_use]
    pub fn revocations(&self) -> u64 {
        self.revocations.load(Ordering::SeqCst)
    }

    /// Takes a binding back, on whichever connection it is: its owner proved who it is. Whether there was one.
    pub fn unregister(&self, identity: &Identity, contact: &str) -> bool {
        self.run(|state, now| {
            let found = state.registrar.bindings_of(identity).find(|binding| &*binding.contact == contact);
            let connection = found.map(|binding| binding.connection);
            connection.is_some_and(|at| state.registrar.handle_unregister(now, at, identity, contact))
        })
    }

    /// Ends every call and cuts every client off: the server stops.
    pub fn shut_down(&self) {
        self.run(|state, now| state.calls.handle_shutdown(now));
        self.state.lock().inboxes.clear();
    }

    /// Whether there may be other servers.
    #[must_use]
    pub fn has_others(&self) -> bool {
        self.links.get().is_some()
    }

    /// Which server this is.
    #[must_use]
    pub const fn node(&self) -> NodeId {
        self.settings.node
    }

    /// Looks at the bindings.
    pub fn with_registrar<T>(&self, look: impl FnOnce(&Registrar) -> T) -> T {
        look(&self.state.lock().registrar)
    }

    /// Every call.
    #[must_use]
    pub fn calls(&self) -> Vec<CallView> {
        self.state.lock().calls.calls().collect()
    }

    /// One leg.
    #[must_use]
    pub fn leg(&self, leg: LegId) -> Option<LegView> {
        self.state.lock().calls.leg(leg)
    }

    /// Whether nobody is there and nothing is kept of anybody.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let state = self.state.lock();
        state.calls.is_empty() && state.registrar.is_empty() && state.inboxes.is_empty()
    }

    /// For metrics.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let state = self.state.lock();
        Counts {
            connections: state.inboxes.len(),
            registrations: state.registrar.len(),
            calls: state.calls.call_count(),
            slow_clients: self.slow_clients.load(Ordering::Relaxed),
        }
    }

    /// Takes a client off, with its bindings and, unless its dialect waits for it, its calls.
    pub(crate) fn disconnect(&self, id: ConnectionId) {
        self.run(|state, now| state.cut(now, id));
    }

    /// Takes a client off that may come back.
    pub(crate) fn detach(&self, id: ConnectionId, grace: Duration) {
        self.run(|state, now| {
            if state.inboxes.remove(&id).is_some() {
                state.registrar.handle_connection_detached(now, id, grace);
                state.calls.handle_connection_lost(now, id);
            }
        });
    }

    /// One input to the cores, then everything that comes of it.
    pub(crate) fn run<T>(&self, input: impl FnOnce(&mut State, Now) -> T) -> T {
        let mut state = self.state.lock();
        let now = Now::read();
        let outcome = input(&mut state, now);
        while let Some(slow) = self.deliver(&mut state, now) {
            self.slow_clients.fetch_add(1, Ordering::Relaxed);
            tracing::debug!(connection = slow.number, "a client does not take what it is told: cut off");
            state.cut(now, slow);
        }
        drop(state);
        self.moved.notify_one();
        outcome
    }

    /// Takes the cores' outputs; the first client that has no room ends it.
    fn deliver(&self, state: &mut State, now: Now) -> Option<ConnectionId> {
        while let Some(change) = state.registrar.poll_output() {
            if let Some(links) = self.links.get() {
                links.post(&change, state.registrar.binding(change.binding.id));
            }
            self.listener.presence(change);
        }
        while let Some(output) = state.calls.poll_output() {
            match output {
                Output::Event(event) => self.listener.call(event),
                Output::Locate { id, identities } if self.links.get().is_some() => {
                    if !self.links.get().is_some_and(|links| links.ask(id, identities)) {
                        state.calls.handle_located(now, id, Err(HangupCause::Congestion));
                    }
                }
                Output::ToOwner { owner, leg, connection, input } => match self.links.get() {
                    Some(links) => links.tell_owner(owner, leg, connection, input),
                    None => _ = state.calls.handle_node_lost(now, owner),
                },
                Output::ToLeg { leg, connection, message } if connection.node != self.settings.node => {
                    if let Some(links) = self.links.get() {
                        let call = state.calls.leg(leg).map(|leg| leg.call);
                        links.tell_leg(call, leg, connection, message);
                    }
                }
                Output::Locate { id, identities } => {
                    let found = identities.iter().flat_map(|identity| state.registrar.locate(identity)).collect();
                    state.calls.handle_located(now, id, Ok(found));
                }
                Output::ToLeg { leg, connection, message } => {
                    let Some((inbox, _)) = state.inboxes.get(&connection) else { continue };
                    if inbox.try_send(Box::new(ToClient { leg, message })).is_err() {
                        return Some(connection);
                    }
                }
            }
        }
        None
    }
}

impl State {
    fn cut(&mut self, now: Now, id: ConnectionId) {
        if self.inboxes.remove(&id).is_some() {
            self.registrar.handle_connection_lost(now, id);
            self.calls.handle_connection_lost(now, id);
        }
    }

    /// A client is back on a new connection: its bindings and legs move there.
    pub(crate) fn resume(&mut self, now: Now, old: ConnectionId, route: causeway_call_core::LegRoute) -> Vec<LegId> {
        self.registrar.handle_connection_resumed(old, route);
        let legs = self.calls.handle_connection_resumed(now, old, route);
        self.inboxes.remove(&old);
        legs
    }
}

#[cfg(test)]
mod tests;
