//! One channel: who is connected, and what waits for whom.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use crate::io::{ConnectionId, MessageKind, Output, Peer};

#[derive(Debug, Default)]
pub(crate) struct Channel {
    master: Option<ConnectionId>,
    pub(crate) viewers: BTreeMap<Arc<str>, ConnectionId>,
    waiting: BTreeMap<Peer, VecDeque<Waiting>>,
    pub(crate) message_ttl: Duration,
    pub(crate) timer: Option<Instant>,
}

/// A message on its way.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) kind: MessageKind,
    /// None: the master.
    pub(crate) sender: Option<Arc<str>>,
    pub(crate) payload: Arc<str>,
    pub(crate) expires: Instant,
}

impl Waiting {
    pub(crate) fn deliver(self, to: ConnectionId) -> Output {
        Output::Deliver { to, kind: self.kind, sender: self.sender, payload: self.payload }
    }
}

impl Channel {
    /// Makes this connection the peer's; the one before.
    pub(crate) fn connect(&mut self, peer: &Peer, connection: ConnectionId) -> Option<ConnectionId> {
        match peer {
            Peer::Master => self.master.replace(connection),
            Peer::Viewer(id) => self.viewers.insert(Arc::clone(id), connection),
        }
    }

    pub(crate) fn disconnect(&mut self, peer: &Peer) {
        match peer {
            Peer::Master => self.master = None,
            Peer::Viewer(id) => {
                self.viewers.remove(id);
            }
        }
    }

    pub(crate) fn connection(&self, peer: &Peer) -> Option<ConnectionId> {
        match peer {
            Peer::Master => self.master,
            Peer::Viewer(id) => self.viewers.get(id).copied(),
        }
    }

    pub(crate) fn connections(&self) -> Vec<ConnectionId> {
        self.master.into_iter().chain(self.viewers.values().copied()).collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.master.is_none() && self.viewers.is_empty() && self.waiting.is_empty()
    }

    /// In the order it came.
    pub(crate) fn take_waiting(&mut self, peer: &Peer) -> VecDeque<Waiting> {
        self.waiting.remove(peer).unwrap_or_default()
    }

    /// A newer description replaces its sender's older one; an offer also drops the candidates of the call before. How many
    /// bytes went.
    pub(crate) fn make_way_for(&mut self, recipient: &Peer, newer: &Waiting) -> usize {
        let Some(queue) = self.waiting.get_mut(recipient) else { return 0 };
        let is_stale = |older: &Waiting| {
            older.sender == newer.sender
                && match newer.kind {
                    MessageKind::Offer => older.kind != MessageKind::Answer,
                    MessageKind::Answer => older.kind == MessageKind::Answer,
                    MessageKind::Candidate => false,
                }
        };
        let mut bytes = 0;
        queue.retain(|older| {
            let stays = !is_stale(older);
            bytes += if stays { 0 } else { older.payload.len() };
            stays
        });
        bytes
    }

    pub(crate) fn store(&mut self, recipient: Peer, message: Waiting) {
        self.waiting.entry(recipient).or_default().push_back(message);
    }

    /// How many messages of a sender wait for a recipient, and their bytes.
    pub(crate) fn waiting_of(&self, recipient: &Peer, sender: Option<&Arc<str>>) -> (usize, usize) {
        let own = self.waiting.get(recipient).into_iter().flatten().filter(|message| message.sender.as_ref() == sender);
        own.fold((0, 0), |(count, bytes), message| (count + 1, bytes + message.payload.len()))
    }

    pub(crate) fn waiting_count(&self) -> usize {
        self.waiting.values().map(VecDeque::len).sum()
    }

    pub(crate) fn waiting_bytes(&self) -> usize {
        self.waiting.values().flatten().map(|message| message.payload.len()).sum()
    }

    /// Drops what waited too long: how many, and their bytes.
    pub(crate) fn expire(&mut self, now: Instant) -> (u64, usize) {
        let (mut n_expired, mut bytes) = (0, 0);
        for queue in self.waiting.values_mut() {
            queue.retain(|message| {
                let stays = message.expires > now;
                if !stays {
                    n_expired += 1;
                    bytes += message.payload.len();
                }
                stays
            });
        }
        self.waiting.retain(|_, queue| !queue.is_empty());
        (n_expired, bytes)
    }

    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        self.waiting.values().flatten().map(|message| message.expires).min()
    }
}
