//! The shell of the signalling core: feeds it, obeys its outputs, wakes it in time, and speaks with other nodes.
//!
//! A channel is served by one node. A connection whose channel is another's is *away*: its inputs are sent to the owner, and
//! what the owner says comes back. The owner knows such a connection as *remote*.

mod attached;
mod expired;
mod peers;
mod wire;

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::{Arc, OnceLock, Weak},
    time::{Duration, Instant},
};

use causeway_app::{Cluster, NodeAddress, Owner, SignalChannelId};
use causeway_signal_core::{
    Attach, ChannelId, CloseReason, ConnectionId, Figures, Limits, Output, Peer, Refusal, SignalChannels,
};
use causeway_types::Now;
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot, watch};

pub(crate) use self::attached::Attached;
use self::{
    expired::Expired,
    wire::{Letter, Why},
};
use crate::{
    error::NAMES,
    mailbox::{Event, Mailbox},
    tally::Tally,
};

/// How long the owner of a channel may take to answer.
const OWNER_PATIENCE: Duration = Duration::from_secs(3);
/// How often the owner is looked for: it may change between the question and the attempt.
const ATTEMPTS: usize = 3;
/// How often channels that nobody uses any more are looked for: those whose waiting messages expired.
const SWEEP: Duration = Duration::from_secs(30);
/// Connections told at once that relays changed, and the pause after that: at most 2000 a second come back.
const TOLD_AT_ONCE: usize = 200;
const TOLD_PAUSE: Duration = Duration::from_millis(100);
/// Why this server closes a connection.
const CLOSE_REASONS: &[&str] =
    &["superseded", "channel_deleted", "idle", "too_old", "going_away", "too_slow", "frame_too_large", "silent"];
/// A frame that was no message.
pub(crate) const MALFORMED: &str = "malformed";
/// A connection's frames came faster than they are read.
pub(crate) const FLOOD: &str = "flood";

/// Connects sockets with the core.
pub struct Hub {
    inner: Mutex<Inner>,
    /// The core's next deadline may be an earlier one.
    sooner: Notify,
    connections_max: usize,
    cluster: OnceLock<Arc<dyn Cluster>>,
    /// Refused calls and upgrades by the name of their error.
    pub(crate) refusals: Tally,
    /// Connections this server closed, by reason.
    pub(crate) closes: Tally,
    /// [`MALFORMED`] and [`FLOOD`].
    pub(crate) notes: Tally,
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
    expired: Expired,
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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HubFigures {
    /// Sockets there are.
    pub connections: usize,
    /// Messages.
    pub messages: Figures,
    /// Refused calls and upgrades by the name of their error.
    pub refusals: Vec<(&'static str, u64)>,
    /// Connections this server closed, by reason.
    pub closes: Vec<(&'static str, u64)>,
    /// Frames that were no messages.
    pub malformed: u64,
    /// Times a connection's frames came faster than they are read.
    pub floods: u64,
}

/// Why a peer is not connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AttachError {
    TooManyViewers,
    TooManyConnections,
    Unavailable,
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
            expired: Expired::default(),
            sleeps_until: None,
            letters: Vec::new(),
        };
        Arc::new_cyclic(|myself| Self {
            inner: Mutex::new(inner),
            sooner: Notify::new(),
            connections_max,
            cluster: OnceLock::new(),
            refusals: Tally::of(NAMES),
            closes: Tally::of(CLOSE_REASONS),
            notes: Tally::of(&[MALFORMED, FLOOD]),
            myself: Weak::clone(myself),
        })
    }

    /// From here on this node is one of several. To be called before the first connection.
    pub fn join(&self, cluster: Arc<dyn Cluster>) {
        self.cluster.get_or_init(|| cluster);
    }

    /// Wakes the core in time, until `stop` changes.
    pub async fn run(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let mut sweep = tokio::time::interval(SWEEP);
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
                _ = sweep.tick() => self.release_unused(),
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

    /// Tells every connection of the channels this server owns to fetch relay credentials anew, some at a time.
    pub async fn relays_changed(&self) {
        let mut after = None;
        loop {
            let next = self.with(|inner| {
                let next = inner.core.handle_relays_changed(after, TOLD_AT_ONCE);
                inner.obey();
                next
            });
            if next.is_none() {
                return;
            }
            after = next;
            tokio::time::sleep(TOLD_PAUSE).await;
        }
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
        let (connections, messages) = self.with(|inner| (inner.n_sockets, inner.core.figures()));
        let notes = self.notes.counts();
        let note = |word| notes.iter().find(|(noted, _)| *noted == word).map_or(0, |(_, count)| *count);
        HubFigures {
            connections,
            messages,
            refusals: self.refusals.counts(),
            closes: self.closes.counts(),
            malformed: note(MALFORMED),
            floods: note(FLOOD),
        }
    }

    /// A channel was removed.
    pub(crate) async fn channel_gone(&self, id: SignalChannelId) {
        let channel = ChannelId(id.0);
        if let Some(owner) = self.other_owner(channel).await {
            self.with(|inner| inner.letters.push((owner, Letter::ChannelGone { channel: channel.0 })));
        } else {
            self.input(|core| core.handle_channel_gone(channel, CloseReason::ChannelGone));
            self.release(channel);
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
            self.release(channel);
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
                    self.session_is_back(channel, client);
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

impl Hub {
    /// Gives back every channel that nobody uses.
    fn release_unused(&self) {
        if self.cluster.get().is_none() {
            return;
        }
        let unused = self.with(|inner| {
            let is_unused = |channel: &&ChannelId| !inner.core.is_in_use(**channel);
            inner.owned.iter().filter(is_unused).copied().collect::<Vec<_>>()
        });
        for channel in unused {
            self.release(channel);
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
