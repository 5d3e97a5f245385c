//! A connected peer, as its socket sees it.

use std::sync::Arc;

use causeway_signal_core::{ChannelId, CloseReason, ConnectionId, Message, Peer};
use causeway_types::Now;

use super::{Hub, wire::Letter};
use crate::mailbox::{End, Event, Mailbox};

/// A connected peer; disconnected when dropped.
pub(crate) struct Attached {
    pub(super) hub: Arc<Hub>,
    pub(super) id: ConnectionId,
    pub(super) channel: ChannelId,
    pub(super) peer: Peer,
    pub(super) mailbox: Arc<Mailbox>,
}

impl Attached {
    /// Where it is connected.
    pub(crate) fn hub(&self) -> &Hub {
        &self.hub
    }

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
            self.hub.session_expired(self.channel, client);
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
