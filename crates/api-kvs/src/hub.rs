//! The shell of the signalling core: feeds it, obeys its outputs, wakes it in time, and speaks with other nodes.
//!
//! A channel is served by one node. A connection whose channel is another's is *away*: its inputs are sent to the owner, and
//! what the owner says comes back. The owner knows such a connection as *remote*.

mod peers;
mod wire;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
    sync::{Arc, OnceLock, Weak},
    time::{Duration, Instant},
};

use causeway_app::{Cluster, NodeAddress, Owner, SignalChannelId};
use causeway_signal_core::{
    Attach, ChannelId, CloseReason, ConnectionId, Figures, Limits, Message, Output, Peer, Refusal, SignalChannels,
};
use causeway_types::Now;
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot, watch};

use crate::{
    hub::wire::{Letter, Why},
    mailbox::{End, Event, Mailbox},
};

/// Ended sessions remembered, so that their clients can be told; one more and all are forgotten.
const EXPIRED_MAX: usize = 10_000;
/// How long they are remembered.
const EXPIRED_FOR: Duration = Duration::from_secs(3600);
/// How long the owner of a channel may take to answer.
const OWNER_PATIENCE: Duration = Duration::from_secs(3);
/// How often the owner is looked for: it may change between the question and the attempt.
const ATTEMPTS: usize = 3;

/// Connects sockets with the core.
pub struct Hub {
    inner: Mutex<Inner>,
    /// The core's next deadline may be an earlier one.
    sooner: Notify,
    connections_max: usize,
    cluster: OnceLock<Arc<dyn Cluster>>,
    /// For what must be done off the caller's stack.
    myself: Weak<Self>,
}

struct Inner {
    core: SignalChannels,
    /// Where each connection the core knows is.
    places: HashMap<ConnectionId, Place>,
    /// Sockets of this node whose channel is another's, by number.
    away: HashMap<u64, Away>,
    /// Connections of other nodes, by theirs.
    remote: HashMap<(NodeAddress, u64), ConnectionId>,
    /// Channels this node serves, when there are several nodes.
    owned: HashSet<ChannelId>,
    next: u64,
    n_sockets: usize,
    /// Viewers whose connection outlived its time and that did not come back.
    expired: BTreeMap<(ChannelId, Arc<str>), Instant>,
    /// Until when the timer sleeps.
    sleeps_until: Option<Instant>,
    /// For other nodes, in order.
    letters: Vec<(NodeAddress, Letter)>,
}

enum Place {
    Here(Arc<Mailbox>),
    Remote { node: NodeAddress, n: u64, channel: ChannelId },
}

struct Away {
    owner: NodeAddress,
    mailbox: Arc<Mailbox>,
    /// Until the owner has answered.
    answer: Option<oneshot::Sender<Option<Why>>>,
}

/// What was counted since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HubFigures {
    /// Sockets there are.
    pub connections: usize,
    /// Messages.
    pub messages: Figures,
}

/// Why a peer is not connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AttachError {
    TooManyViewers,
    TooManyConnections,
    Unavailable,
}

/// A connected peer; disconnected when dropped.
pub(crate) struct Attached {
    hub: Arc<Hub>,
    id: ConnectionId,
    channel: ChannelId,
    peer: Peer,
    mailbox: Arc<Mailbox>,
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").field("figures", &self.figures()).finish_non_exhaustive()
    }
}

impl Hub {
    /// With no connections, and alone.
    #[must_use]
    pub fn new(limits: Limits, connections_max: usize) -> Arc<Self> {
        let inner = Inner {
            core: SignalChannels::new(limits),
            places: HashMap::new(),
            away: HashMap::new(),
            remote: HashMap::new(),
            owned: HashSet::new(),
            next: 0,
            n_sockets: 0,
            expired: BTreeMap::new(),
            sleeps_until: None,
            letters: Vec::new(),
        };
        Arc::new_cyclic(|myself| Self {
            inner: Mutex::new(inner),
            sooner: Notify::new(),
            connections_max,
            cluster: OnceLock::new(),
            myself: Weak::clone(myself),
        })
    }

    /// From here on this node is one of several. To be called before the first connection.
    pub fn join(&self, cluster: Arc<dyn Cluster>) {
        self.cluster.get_or_init(|| cluster);
    }

    /// Wakes the core in time, until `stop` changes.
    pub async fn run(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        loop {
            self.with(|inner| {
                inner.core.handle_timeout(Now::read());
                inner.obey();
            });
            let next = self.with(|inner| {
                inner.sleeps_until = inner.core.poll_timeout();
                inner.sleeps_until
            });
            let sleep = async {
                match next {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = sleep => {}
                () = self.sooner.notified() => {}
                _ = stop.changed() => return,
            }
        }
    }

    /// Tells every connection to go elsewhere.
    pub fn send_away(&self) {
        self.with(|inner| {
            inner.core.handle_go_away(Now::read(), None, CloseReason::ServerEnds);
            inner.obey();
            for away in inner.away.values() {
                away.mailbox.push(Event::GoAway);
            }
        });
    }

    /// Tells every connection to fetch relay credentials anew.
    pub fn relays_changed(&self) {
        self.input(|core| core.handle_relays_changed(None));
    }

    /// Closes every connection, and waits a little until their peers were told.
    pub async fn end(&self) {
        self.with(|inner| {
            let mut told = Vec::new();
            for place in inner.places.values() {
                match place {
                    Place::Here(mailbox) => mailbox.end(CloseReason::ServerEnds),
                    Place::Remote { node, n, .. } => {
                        let letter = Letter::Close { n: *n, reason: CloseReason::ServerEnds.into() };
                        told.push((Arc::clone(node), letter));
                    }
                }
            }
            inner.letters.extend(told);
            for away in inner.away.values() {
                away.mailbox.end(CloseReason::ServerEnds);
            }
        });
        for _ in 0..100 {
            if self.with(|inner| inner.n_sockets == 0) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// What was counted since the start.
    pub fn figures(&self) -> HubFigures {
        self.with(|inner| HubFigures { connections: inner.n_sockets, messages: inner.core.figures() })
    }

    /// A channel was removed.
    pub(crate) async fn channel_gone(&self, id: SignalChannelId) {
        let channel = ChannelId(id.0);
        if let Some(owner) = self.other_owner(channel).await {
            self.with(|inner| inner.letters.push((owner, Letter::ChannelGone { channel: channel.0 })));
        } else {
            self.input(|core| core.handle_channel_gone(channel, CloseReason::ChannelGone));
        }
    }

    /// A channel's messages wait this long from here on.
    pub(crate) async fn message_ttl(&self, id: SignalChannelId, message_ttl: Duration) {
        let channel = ChannelId(id.0);
        if let Some(owner) = self.other_owner(channel).await {
            let letter = Letter::MessageTtl { channel: channel.0, secs: message_ttl.as_secs() };
            self.with(|inner| inner.letters.push((owner, letter)));
        } else {
            self.input(|core| core.handle_message_ttl(channel, message_ttl));
        }
    }

    /// Connects a peer to the node that serves its channel.
    pub(crate) async fn attach(
        self: &Arc<Self>,
        channel: ChannelId,
        peer: Peer,
        message_ttl: Duration,
    ) -> Result<Attached, AttachError> {
        for _ in 0..ATTEMPTS {
            let owner = self.owner(channel).await.ok_or(AttachError::Unavailable)?;
            let attached = match owner {
                Owner::Here => self.attach_here(channel, &peer, message_ttl)?,
                Owner::Node(node) => self.attach_away(channel, &peer, message_ttl, node).await?,
            };
            if let Some(attached) = attached {
                if let Peer::Viewer(client) = &peer {
                    self.with(|inner| inner.expired.remove(&(channel, Arc::clone(client))));
                }
                return Ok(attached);
            }
        }
        Err(AttachError::Unavailable)
    }

    /// None when this node gave the channel back in between.
    fn attach_here(
        self: &Arc<Self>,
        channel: ChannelId,
        peer: &Peer,
        message_ttl: Duration,
    ) -> Result<Option<Attached>, AttachError> {
        let mailbox = Arc::new(Mailbox::default());
        let is_alone = self.cluster.get().is_none();
        let id = self.with(|inner| {
            if !is_alone && !inner.owned.contains(&channel) {
                return Ok(None);
            }
            let connection = inner.new_socket(self.connections_max)?;
            let attach = Attach { connection, channel, peer: peer.clone(), message_ttl };
            // First the place: what waits for the peer goes there at once.
            inner.places.insert(connection, Place::Here(Arc::clone(&mailbox)));
            if let Err(refusal) = inner.core.handle_attach(Now::read(), attach) {
                inner.places.remove(&connection);
                inner.n_sockets -= 1;
                return Err(match refusal {
                    Refusal::TooManyViewers => AttachError::TooManyViewers,
                });
            }
            inner.obey();
            Ok(Some(connection))
        })?;
        Ok(id.map(|id| Attached { hub: Arc::clone(self), id, channel, peer: peer.clone(), mailbox }))
    }

    /// None when the other node is not the owner any more.
    async fn attach_away(
        self: &Arc<Self>,
        channel: ChannelId,
        peer: &Peer,
        message_ttl: Duration,
        owner: NodeAddress,
    ) -> Result<Option<Attached>, AttachError> {
        let mailbox = Arc::new(Mailbox::default());
        let (answer, answered) = oneshot::channel();
        let viewer = match peer {
            Peer::Master => None,
            Peer::Viewer(id) => Some(Arc::clone(id)),
        };
        let id = self.with(|inner| {
            let id = inner.new_socket(self.connections_max)?;
            let away = Away { owner: Arc::clone(&owner), mailbox: Arc::clone(&mailbox), answer: Some(answer) };
            inner.away.insert(id.0, away);
            let ttl_secs = message_ttl.as_secs();
            inner.letters.push((owner, Letter::Attach { n: id.0, channel: channel.0, viewer, ttl_secs }));
            Ok(id)
        })?;
        // From here on dropping it tells the owner.
        let attached = Attached { hub: Arc::clone(self), id, channel, peer: peer.clone(), mailbox };
        match tokio::time::timeout(OWNER_PATIENCE, answered).await {
            Ok(Ok(None)) => Ok(Some(attached)),
            Ok(Ok(Some(Why::TooManyViewers))) => Err(AttachError::TooManyViewers),
            Ok(Ok(Some(Why::NotOwner))) => Ok(None),
            Ok(Err(_)) | Err(_) => Err(AttachError::Unavailable),
        }
    }

    /// Whether a viewer's connection outlived its time and it did not come back.
    pub(crate) fn has_session_expired(&self, channel: ChannelId, client: &str) -> bool {
        let now = Instant::now();
        self.with(|inner| inner.expired.get(&(channel, Arc::from(client))).is_some_and(|until| *until > now))
    }

    /// Who serves a channel; this node when nobody did. None: nobody can tell.
    async fn owner(&self, channel: ChannelId) -> Option<Owner> {
        let Some(cluster) = self.cluster.get() else { return Some(Owner::Here) };
        if self.with(|inner| inner.owned.contains(&channel)) {
            return Some(Owner::Here);
        }
        let owner = cluster.claim(&claim_name(channel)).await.ok()?;
        if owner == Owner::Here {
            self.with(|inner| inner.owned.insert(channel));
        }
        Some(owner)
    }

    /// The other node that serves a channel.
    async fn other_owner(&self, channel: ChannelId) -> Option<NodeAddress> {
        match self.owner(channel).await? {
            Owner::Here => None,
            Owner::Node(node) => Some(node),
        }
    }

    /// Does something with everything, then sends what is for other nodes, gives back what is not used, and wakes the timer
    /// when it has to be earlier.
    fn with<T>(&self, act: impl FnOnce(&mut Inner) -> T) -> T {
        let mut inner = self.inner.lock();
        let outcome = act(&mut inner);
        if let Some(cluster) = self.cluster.get() {
            // Under the lock, so that letters leave in order; the port never waits.
            for (to, letter) in std::mem::take(&mut inner.letters) {
                cluster.send(&to, letter.write());
            }
        }
        let is_sooner = match (inner.core.poll_timeout(), inner.sleeps_until) {
            (Some(next), Some(until)) => next < until,
            (Some(_), None) => true,
            (None, _) => false,
        };
        drop(inner);
        if is_sooner {
            self.sooner.notify_one();
        }
        outcome
    }

    fn input(&self, act: impl FnOnce(&mut SignalChannels)) {
        self.with(|inner| {
            act(&mut inner.core);
            inner.obey();
        });
    }

    fn myself(&self) -> Option<Arc<Self>> {
        self.myself.upgrade()
    }

    /// Gives a channel back that nobody uses.
    fn release(&self, channel: ChannelId) {
        let Some(cluster) = self.cluster.get() else { return };
        let mut inner = self.inner.lock();
        if !inner.core.is_in_use(channel) && inner.owned.remove(&channel) {
            cluster.release(&claim_name(channel));
        }
    }
}

/// A channel as the cluster knows it.
fn claim_name(channel: ChannelId) -> String {
    format!("signal:{}", channel.0)
}

impl Inner {
    fn new_socket(&mut self, max: usize) -> Result<ConnectionId, AttachError> {
        if self.n_sockets >= max {
            return Err(AttachError::TooManyConnections);
        }
        self.n_sockets += 1;
        self.next += 1;
        Ok(ConnectionId(self.next))
    }

    /// Does what the core says.
    fn obey(&mut self) {
        while let Some(output) = self.core.poll_output() {
            let to = output.connection();
            let Some(place) = self.places.get(&to) else { continue };
            let event = match output {
                Output::Deliver { kind, sender, payload, .. } => Event::Deliver { kind, sender, payload },
                Output::Status { correlation, problem, .. } => Event::Status { correlation, problem },
                Output::GoAway { .. } => Event::GoAway,
                Output::RelaysChanged { .. } => Event::RelaysChanged,
                Output::Close { reason, .. } => {
                    match place {
                        Place::Here(mailbox) => mailbox.end(reason),
                        Place::Remote { node, n, .. } => {
                            let (node, n) = (Arc::clone(node), *n);
                            self.letters.push((Arc::clone(&node), Letter::Close { n, reason: reason.into() }));
                            self.places.remove(&to);
                            self.remote.remove(&(node, n));
                        }
                    }
                    continue;
                }
            };
            match place {
                Place::Here(mailbox) => {
                    if !mailbox.push(event) {
                        self.core.handle_closed(to);
                    }
                }
                Place::Remote { node, n, .. } => {
                    self.letters.extend(Letter::event(*n, event).map(|letter| (Arc::clone(node), letter)));
                }
            }
        }
    }
}

impl Attached {
    /// A message of the peer.
    pub(crate) fn message(&self, message: Message) {
        self.hub.with(|inner| match inner.away.get(&self.id.0) {
            Some(away) => inner.letters.push((Arc::clone(&away.owner), Letter::message(self.id.0, message))),
            None => {
                inner.core.handle_message(Now::read(), self.id, message);
                inner.obey();
            }
        });
    }

    /// A sign of life of the peer.
    pub(crate) fn activity(&self) {
        self.hub.with(|inner| match inner.away.get(&self.id.0) {
            Some(away) => inner.letters.push((Arc::clone(&away.owner), Letter::Activity { n: self.id.0 })),
            None => inner.core.handle_activity(Now::read(), self.id),
        });
    }

    /// Tells the peer that a frame of its own was no message.
    pub(crate) fn tell_bad_frame(&self, correlation: Arc<str>, what: &'static str) {
        // One that is too slow for that ends by its mailbox.
        let _has_room = self.mailbox.push(Event::BadFrame { correlation, what });
    }

    /// What to tell the peer next, or why nothing more comes. May be given up at any time.
    pub(crate) async fn next(&self) -> Result<Event, End> {
        let next = self.mailbox.next().await;
        if let (Err(End::Closed(CloseReason::TooOld)), Peer::Viewer(client)) = (&next, &self.peer) {
            self.hub.with(|inner| {
                if inner.expired.len() >= EXPIRED_MAX {
                    inner.expired.clear();
                }
                inner.expired.insert((self.channel, Arc::clone(client)), Instant::now() + EXPIRED_FOR);
            });
        }
        next
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        self.hub.with(|inner| {
            inner.n_sockets -= 1;
            if let Some(away) = inner.away.remove(&self.id.0) {
                inner.letters.push((away.owner, Letter::Closed { n: self.id.0 }));
            } else {
                inner.places.remove(&self.id);
                inner.core.handle_closed(self.id);
                inner.obey();
            }
        });
        self.hub.release(self.channel);
    }
}
