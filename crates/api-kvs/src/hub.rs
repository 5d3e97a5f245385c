//! The shell of the signalling core: feeds it, obeys its outputs, wakes it in time.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use causeway_app::SignalChannelId;
use causeway_signal_core::{
    Attach, ChannelId, CloseReason, ConnectionId, Figures, Limits, Message, Output, Peer, Refusal, SignalChannels,
};
use causeway_types::Now;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use crate::mailbox::{End, Event, Mailbox};

/// Ended sessions remembered, so that their clients can be told; one more and all are forgotten.
const EXPIRED_MAX: usize = 10_000;
/// How long they are remembered.
const EXPIRED_FOR: Duration = Duration::from_secs(3600);

/// Connects sockets with the core.
pub struct Hub {
    inner: Mutex<Inner>,
    /// The core's next deadline may be an earlier one.
    sooner: Notify,
    connections_max: usize,
}

struct Inner {
    core: SignalChannels,
    mailboxes: HashMap<ConnectionId, Arc<Mailbox>>,
    next: u64,
    /// Viewers whose connection outlived its time and that did not come back.
    expired: BTreeMap<(ChannelId, Arc<str>), Instant>,
    /// Until when the timer sleeps.
    sleeps_until: Option<Instant>,
}

/// What was counted since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HubFigures {
    /// Connections there are.
    pub connections: usize,
    /// Messages.
    pub messages: Figures,
}

/// Why a peer is not connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AttachError {
    TooManyViewers,
    TooManyConnections,
    #[expect(dead_code, reason = "one node knows everything; several do not")]
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
    /// With no connections.
    #[must_use]
    pub fn new(limits: Limits, connections_max: usize) -> Arc<Self> {
        let inner = Inner {
            core: SignalChannels::new(limits),
            mailboxes: HashMap::new(),
            next: 0,
            expired: BTreeMap::new(),
            sleeps_until: None,
        };
        Arc::new(Self { inner: Mutex::new(inner), sooner: Notify::new(), connections_max })
    }

    /// Wakes the core in time, until `stop` changes.
    pub async fn run(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        loop {
            let next = self.with(|inner| {
                inner.core.handle_timeout(Now::read());
                inner.obey();
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
        self.input(|core| core.handle_go_away(Now::read(), None, CloseReason::ServerEnds));
    }

    /// Tells every connection to fetch relay credentials anew.
    pub fn relays_changed(&self) {
        self.input(|core| core.handle_relays_changed(None));
    }

    /// Closes every connection, and waits a little until their peers were told.
    pub async fn end(&self) {
        self.with(|inner| {
            for mailbox in inner.mailboxes.values() {
                mailbox.end(CloseReason::ServerEnds);
            }
        });
        for _ in 0..100 {
            if self.with(|inner| inner.mailboxes.is_empty()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// What was counted since the start.
    pub fn figures(&self) -> HubFigures {
        self.with(|inner| HubFigures { connections: inner.mailboxes.len(), messages: inner.core.figures() })
    }

    /// A channel was removed.
    pub(crate) fn channel_gone(&self, id: SignalChannelId, reason: CloseReason) {
        self.input(|core| core.handle_channel_gone(ChannelId(id.0), reason));
    }

    /// A channel's messages wait this long from here on.
    pub(crate) fn message_ttl(&self, id: SignalChannelId, message_ttl: Duration) {
        self.input(|core| core.handle_message_ttl(ChannelId(id.0), message_ttl));
    }

    /// Connects a peer.
    #[expect(clippy::unused_async, reason = "asks another node when there are several")]
    pub(crate) async fn attach(
        self: &Arc<Self>,
        channel: ChannelId,
        peer: Peer,
        message_ttl: Duration,
    ) -> Result<Attached, AttachError> {
        let mailbox = Arc::new(Mailbox::default());
        let id = self.with(|inner| {
            if inner.mailboxes.len() >= self.connections_max {
                return Err(AttachError::TooManyConnections);
            }
            inner.next += 1;
            let connection = ConnectionId(inner.next);
            let attach = Attach { connection, channel, peer: peer.clone(), message_ttl };
            // First the mailbox: what waits for the peer goes there at once.
            inner.mailboxes.insert(connection, Arc::clone(&mailbox));
            if let Err(refusal) = inner.core.handle_attach(Now::read(), attach) {
                inner.mailboxes.remove(&connection);
                return Err(match refusal {
                    Refusal::TooManyViewers => AttachError::TooManyViewers,
                });
            }
            if let Peer::Viewer(client) = &peer {
                inner.expired.remove(&(channel, Arc::clone(client)));
            }
            inner.obey();
            Ok(connection)
        })?;
        self.hurry();
        Ok(Attached { hub: Arc::clone(self), id, channel, peer, mailbox })
    }

    /// A message of a connection.
    pub(crate) fn message(&self, from: ConnectionId, message: Message) {
        self.input(|core| core.handle_message(Now::read(), from, message));
    }

    /// A sign of life of a connection.
    pub(crate) fn activity(&self, from: ConnectionId) {
        self.with(|inner| inner.core.handle_activity(Now::read(), from));
    }

    /// Whether a viewer's connection outlived its time and it did not come back.
    pub(crate) fn has_session_expired(&self, channel: ChannelId, client: &str) -> bool {
        let now = Instant::now();
        self.with(|inner| inner.expired.get(&(channel, Arc::from(client))).is_some_and(|until| *until > now))
    }

    fn with<T>(&self, act: impl FnOnce(&mut Inner) -> T) -> T {
        act(&mut self.inner.lock())
    }

    fn input(&self, act: impl FnOnce(&mut SignalChannels)) {
        self.with(|inner| {
            act(&mut inner.core);
            inner.obey();
        });
        self.hurry();
    }

    /// Wakes the timer when the core wants to be called before it would be.
    fn hurry(&self) {
        let is_sooner = self.with(|inner| match (inner.core.poll_timeout(), inner.sleeps_until) {
            (Some(next), Some(until)) => next < until,
            (Some(_), None) => true,
            (None, _) => false,
        });
        if is_sooner {
            self.sooner.notify_one();
        }
    }
}

impl Inner {
    /// Does what the core says.
    fn obey(&mut self) {
        while let Some(output) = self.core.poll_output() {
            let to = output.connection();
            let Some(mailbox) = self.mailboxes.get(&to) else { continue };
            let event = match output {
                Output::Deliver { kind, sender, payload, .. } => Event::Deliver { kind, sender, payload },
                Output::Status { correlation, problem, .. } => Event::Status { correlation, problem },
                Output::GoAway { .. } => Event::GoAway,
                Output::RelaysChanged { .. } => Event::RelaysChanged,
                Output::Close { reason, .. } => {
                    mailbox.end(reason);
                    continue;
                }
            };
            if !mailbox.push(event) {
                self.core.handle_closed(to);
            }
        }
    }
}

impl Attached {
    /// Its number.
    pub(crate) const fn id(&self) -> ConnectionId {
        self.id
    }

    /// Its hub.
    pub(crate) const fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    /// A message of the peer.
    pub(crate) fn message(&self, message: Message) {
        self.hub.message(self.id, message);
    }

    /// Tells the peer that a frame of its own was no message.
    pub(crate) fn tell_bad_frame(&self, correlation: Arc<str>, what: &'static str) {
        if !self.mailbox.push(Event::BadFrame { correlation, what }) {
            self.hub.with(|inner| inner.core.handle_closed(self.id));
        }
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
            inner.mailboxes.remove(&self.id);
            inner.core.handle_closed(self.id);
            inner.obey();
        });
    }
}
