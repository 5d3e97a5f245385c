//! The other servers: what they are told of clients here, who is registered there, and letters about legs.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use causeway_app::{ClientPlaces, Cluster, ClusterListener, NodeAddress, Posted, Registration};
use causeway_call_core::{
    AccountId, Binding, BindingRef, CallId, ConnectionId, HangupCause, Identity, LegId, LegInput, LegMessage, LegRoute,
    LocateId, NodeId, PresenceChange,
};
use causeway_types::{Now, UnixTime};
use parking_lot::Mutex;
use tokio::{
    sync::{Notify, mpsc},
    task::{JoinHandle, JoinSet},
};

use crate::{
    Switchboard,
    ask::Questions,
    letter::{Content, Letter},
    posting::{self, Elsewhere},
};

/// Questions of where somebody is that may wait; one more call is refused.
const QUESTIONS_MAX: usize = 4096;
/// Questions asked at once.
const ASKED_AT_ONCE: usize = 256;

/// The number of a node in names of connections, from how others address it: FNV-1a.
#[must_use]
pub fn node_of(address: &str) -> NodeId {
    let hash = address.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    NodeId(hash)
}

/// Who is asked for.
struct Question {
    id: LocateId,
    identities: Vec<Identity>,
}

/// The way to the other servers.
pub(crate) struct Links {
    pub(crate) cluster: Arc<dyn Cluster>,
    /// Questions about what one server owns.
    pub(crate) asked: Questions,
    places: Arc<ClientPlaces>,
    /// How the nodes that were met are addressed.
    peers: Mutex<BTreeMap<NodeId, NodeAddress>>,
    /// Nodes that are gone, until their legs are.
    lost: Mutex<BTreeSet<NodeAddress>>,
    is_lost: Notify,
    questions: mpsc::Sender<Question>,
}

impl fmt::Debug for Links {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Links").field("peers", &self.peers.lock().len()).finish_non_exhaustive()
    }
}

impl Links {
    /// A binding here came, changed or went: as it is now.
    pub(crate) fn post(&self, change: &PresenceChange, now: Option<&Binding>) {
        let binding = &change.binding;
        let text = now.and_then(|now| {
            let at = now.connection;
            posting::text(now, self.places.of(at), self.places.note_of(at))
        });
        self.cluster.post(&shelf(binding.identity.account), &binding.identity.name, binding.id.0, text);
    }

    /// Asks where somebody is. False when too many ask.
    pub(crate) fn ask(&self, id: LocateId, identities: Vec<Identity>) -> bool {
        self.questions.try_send(Question { id, identities }).is_ok()
    }

    pub(crate) fn tell_owner(&self, owner: NodeId, leg: LegId, connection: ConnectionId, input: LegInput) {
        self.send(owner, Letter::did(leg, connection.number, input));
    }

    pub(crate) fn tell_leg(&self, call: Option<CallId>, leg: LegId, connection: ConnectionId, message: LegMessage) {
        self.send(connection.node, Letter::say(call, leg, connection.number, message));
    }

    pub(crate) fn send(&self, to: NodeId, letter: Letter) {
        let Some(address) = self.peers.lock().get(&to).cloned() else { return };
        match letter.write() {
            Some(bytes) => self.cluster.send(&address, bytes),
            None => tracing::error!("a letter to another server cannot be written"),
        }
    }

    /// Learns how a node is addressed. False for one whose number is another's.
    fn meet(&self, address: &NodeAddress) -> bool {
        let mut peers = self.peers.lock();
        let known = peers.entry(node_of(address)).or_insert_with(|| Arc::clone(address));
        known == address
    }

    async fn elsewhere(&self, account: AccountId, name: Option<&str>) -> Option<Vec<Elsewhere>> {
        let posted = self.cluster.posted(&shelf(account), name).await.ok()?;
        let now = Now::read().unix;
        let read = |posted: Posted| posting::read(account, node_of(&posted.node), posted, now);
        Some(posted.into_iter().filter_map(read).filter(|found| self.meet(&found.node)).collect())
    }
}

fn shelf(account: AccountId) -> String {
    account.0.to_string()
}

impl Switchboard {
    /// Joins other servers. The cluster tells this switchboard what it hears; the task answers questions and ends what was lost,
    /// until it is aborted.
    pub fn join(self: &Arc<Self>, cluster: Arc<dyn Cluster>, places: Arc<ClientPlaces>) -> JoinHandle<()> {
        let (questions, mut asked) = mpsc::channel(QUESTIONS_MAX);
        let (peers, lost, is_lost) = (Mutex::default(), Mutex::default(), Notify::new());
        let links = Links { cluster, asked: Questions::default(), places, peers, lost, is_lost, questions };
        // A second cluster is a fault of the program's; the first stays.
        let _is_first = self.links.set(links);
        let this = Arc::clone(self);
        tokio::spawn(async move {
            let mut answers = JoinSet::new();
            loop {
                let Some(links) = this.links.get() else { return };
                tokio::select! {
                    question = asked.recv(), if answers.len() < ASKED_AT_ONCE => {
                        let Some(question) = question else { return };
                        answers.spawn(Arc::clone(&this).answer(question));
                    }
                    Some(_) = answers.join_next(), if !answers.is_empty() => {}
                    () = links.is_lost.notified() => this.end_lost(),
                }
            }
        })
    }

    async fn answer(self: Arc<Self>, question: Question) {
        let Question { id, identities } = question;
        let mut found = Vec::new();
        let mut is_certain = true;
        for identity in &identities {
            let (bindings, is_complete) = self.find(identity).await;
            found.extend(bindings);
            is_certain &= is_complete;
        }
        // Somebody may be registered with a server that cannot be asked: that is no answer.
        let answer = if found.is_empty() && !is_certain { Err(HangupCause::Congestion) } else { Ok(found) };
        self.run(|state, now| state.calls.handle_located(now, id, answer));
    }

    /// Where an identity rings on all servers, newest first, and whether all could be asked.
    pub async fn find(&self, identity: &Identity) -> (Vec<BindingRef>, bool) {
        let elsewhere = match self.links.get() {
            Some(links) => links.elsewhere(identity.account, Some(&identity.name)).await,
            None => Some(Vec::new()),
        };
        let is_complete = elsewhere.is_some();
        let mut found: Vec<(UnixTime, u64, BindingRef)> = self.with_registrar(|registrar| {
            let own = registrar.bindings_of(identity).filter(|binding| binding.is_ringable);
            let reference = |binding: &Binding| BindingRef {
                identity: binding.identity.clone(),
                route: LegRoute { connection: binding.connection, traits: binding.traits },
                contact: Arc::clone(&binding.contact),
                note: None,
            };
            own.map(|binding| (binding.since, binding.id.0, reference(binding))).collect()
        });
        let elsewhere = elsewhere.unwrap_or_default().into_iter().filter(|found| found.is_ringable);
        found.extend(elsewhere.map(|found| (found.since, found.id, found.binding)));
        found.sort_by_key(|found| std::cmp::Reverse((found.0, found.1)));
        let mut newest: Vec<BindingRef> = Vec::with_capacity(found.len());
        for (_, _, binding) in found {
            // A client that moved to another server left its older binding behind.
            if newest.iter().all(|known| known.contact != binding.contact) {
                newest.push(binding);
            }
        }
        (newest, is_complete)
    }

    /// Where an identity rings on all servers, newest first. When others cannot be asked: here.
    pub async fn locate(&self, identity: &Identity) -> Vec<BindingRef> {
        self.find(identity).await.0
    }

    /// What is registered with the other servers, as far as they can be asked.
    pub async fn registrations_elsewhere(&self, account: AccountId) -> Vec<Registration> {
        let Some(links) = self.links.get() else { return Vec::new() };
        let elsewhere = links.elsewhere(account, None).await.unwrap_or_default();
        elsewhere.into_iter().map(Elsewhere::registration).collect()
    }

    /// Ends what depended on nodes that are gone.
    fn end_lost(&self) {
        let Some(links) = self.links.get() else { return };
        let lost = std::mem::take(&mut *links.lost.lock());
        for address in lost {
            let node = node_of(&address);
            links.asked.lost(&address);
            let affected = self.run(|state, now| state.calls.handle_node_lost(now, node));
            links.peers.lock().remove(&node);
            if let Some(port) = self.text_port() {
                port.texts_lost(node);
            }
            if affected > 0 {
                tracing::warn!(node = %address, legs = affected, "calls with a server that is lost are over");
                // It may live and not know that it is given up.
                if let Some(bytes) = Letter::severed().write() {
                    links.cluster.send(&address, bytes);
                }
            }
        }
    }
}

impl ClusterListener for Switchboard {
    fn heard(&self, from: &NodeAddress, message: &[u8]) {
        let Some(links) = self.links.get() else { return };
        self.end_lost();
        let Some(letter) = Letter::read(message) else {
            tracing::warn!(node = %from, "a letter that cannot be read: do the servers have the same version?");
            return;
        };
        if !links.meet(from) {
            tracing::error!(node = %from, "two servers have one number; one must have another name");
            return;
        }
        let (sender, here) = (node_of(from), self.settings.node);
        let Letter { leg, number, content } = letter;
        match content {
            Content::Say { call, message } => self.run(|state, _| {
                let connection = ConnectionId { node: here, number };
                let route = state.inboxes.get(&connection).map(|(_, traits)| LegRoute { connection, traits: *traits });
                state.calls.handle_from_owner(sender, call, leg, connection, route, message);
            }),
            Content::Did { input } => self.run(|state, now| {
                let connection = ConnectionId { node: sender, number };
                state.calls.handle_from_guest(now, sender, leg, connection, input);
            }),
            Content::Ask { id, question } => links.asked.asked(&links.cluster, from, id, question),
            Content::Reply { id, answer } => links.asked.replied(from, id, answer),
            Content::Severed => {
                self.run(|state, now| state.calls.handle_node_lost(now, sender));
            }
            Content::Text { id, text } => match self.text_port() {
                Some(port) => port.text(sender, id, ConnectionId { node: here, number }, text),
                None => self.answer_text(sender, id, 480),
            },
            Content::TextDone { id, status } => {
                if let Some(port) = self.text_port() {
                    port.text_done(sender, id, status);
                }
            }
        }
    }

    fn node_lost(&self, node: &NodeAddress) {
        // The port may tell while this server sends, under the switchboard's lock: so it is done elsewhere.
        let Some(links) = self.links.get() else { return };
        links.lost.lock().insert(Arc::clone(node));
        links.is_lost.notify_one();
    }

    /// Nothing is claimed: a call is its caller's server's.
    fn claims_lost(&self, _: &[String]) {}
}

#[cfg(test)]
mod tests;
