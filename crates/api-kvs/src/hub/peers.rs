//! What other nodes say.

use std::{sync::Arc, time::Duration};

use causeway_app::{ClusterListener, NodeAddress};
use causeway_signal_core::{Attach, ChannelId, CloseReason, ConnectionId, Message, Peer, Refusal};
use causeway_types::Now;

use super::{
    Hub, Inner, Place,
    wire::{Letter, Why},
};
use crate::mailbox::Event;

impl ClusterListener for Hub {
    fn heard(&self, from: &NodeAddress, message: &[u8]) {
        let Ok(letter) = serde_json::from_slice::<Letter>(message) else {
            tracing::warn!(node = %from, "a letter that cannot be read: do the nodes have the same version?");
            return;
        };
        let unused = self.with(|inner| inner.read(from, letter));
        if let Some(channel) = unused {
            self.release(channel);
        }
    }

    fn node_lost(&self, node: &NodeAddress) {
        // The port may tell while this node sends, under the lock: so it is done elsewhere.
        let (hub, node) = (self.myself(), Arc::clone(node));
        if let Some(hub) = hub {
            tokio::spawn(async move { hub.lose(&node) });
        }
    }

    fn claims_lost(&self, what: &[String]) {
        for channel in what.iter().filter_map(|name| name.strip_prefix("signal:")?.parse().ok()).map(ChannelId) {
            self.with(|inner| {
                inner.owned.remove(&channel);
                inner.core.handle_go_away(Now::read(), Some(channel), CloseReason::ServerEnds);
                inner.core.handle_channel_gone(channel, CloseReason::ServerEnds);
                inner.obey();
            });
        }
    }
}

impl Hub {
    /// Ends what depended on a node: its clients reconnect to whoever serves their channel then.
    fn lose(&self, node: &NodeAddress) {
        let unused = self.with(|inner| {
            for away in inner.away.values_mut().filter(|away| away.owner == *node) {
                away.mailbox.push(Event::GoAway);
                away.mailbox.end(CloseReason::ServerEnds);
                // Whoever waits for its answer waits no longer.
                away.answer = None;
            }
            let lost: Vec<(NodeAddress, u64)> = inner.remote.keys().filter(|(at, _)| at == node).cloned().collect();
            let unused: Vec<ChannelId> = lost.into_iter().filter_map(|key| inner.forget_remote(&key)).collect();
            inner.obey();
            unused
        });
        for channel in unused {
            self.release(channel);
        }
    }
}

impl Inner {
    /// Does what a letter says; a channel that may be unused after it.
    fn read(&mut self, from: &NodeAddress, letter: Letter) -> Option<ChannelId> {
        let now = Now::read();
        match letter {
            Letter::Attach { n, channel, viewer, ttl_secs } => {
                let refusal = self.attach_remote(from, n, ChannelId(channel), viewer, Duration::from_secs(ttl_secs));
                // Before what waits for the peer: the other node knows it then.
                let at = self.letters.len();
                self.obey();
                self.letters.insert(at, (Arc::clone(from), Letter::Attached { n, refusal }));
                return Some(ChannelId(channel));
            }
            Letter::Message { n, kind, recipient, payload, correlation } => {
                if let Some(id) = self.remote.get(&(Arc::clone(from), n)) {
                    let message = Message { kind: kind.into(), recipient, payload, correlation };
                    self.core.handle_message(now, *id, message);
                }
            }
            Letter::Activity { n } => {
                if let Some(id) = self.remote.get(&(Arc::clone(from), n)) {
                    self.core.handle_activity(now, *id);
                }
            }
            Letter::Closed { n } => {
                let unused = self.forget_remote(&(Arc::clone(from), n));
                self.obey();
                return unused;
            }
            Letter::ChannelGone { channel } => {
                self.core.handle_channel_gone(ChannelId(channel), CloseReason::ChannelGone);
                self.obey();
                return Some(ChannelId(channel));
            }
            Letter::MessageTtl { channel, secs } => {
                self.core.handle_message_ttl(ChannelId(channel), Duration::from_secs(secs));
            }
            Letter::Attached { n, refusal } => {
                let answer =
                    self.away.get_mut(&n).filter(|away| away.owner == *from).and_then(|away| away.answer.take());
                if let Some(answer) = answer {
                    // Whoever asked may have given up.
                    let _is_heard = answer.send(refusal);
                }
            }
            Letter::Deliver { n, kind, sender, payload } => {
                self.tell_away(from, n, Event::Deliver { kind: kind.into(), sender, payload });
            }
            Letter::Status { n, correlation, problem } => {
                self.tell_away(from, n, Event::Status { correlation, problem: problem.into() });
            }
            Letter::GoAway { n } => self.tell_away(from, n, Event::GoAway),
            Letter::RelaysChanged { n } => self.tell_away(from, n, Event::RelaysChanged),
            Letter::Close { n, reason } => {
                if let Some(away) = self.away.get(&n).filter(|away| away.owner == *from) {
                    away.mailbox.end(reason.into());
                }
            }
        }
        self.obey();
        None
    }

    fn attach_remote(
        &mut self,
        from: &NodeAddress,
        n: u64,
        channel: ChannelId,
        viewer: Option<Arc<str>>,
        message_ttl: Duration,
    ) -> Option<Why> {
        if !self.owned.contains(&channel) {
            return Some(Why::NotOwner);
        }
        self.next += 1;
        let connection = ConnectionId(self.next);
        let peer = viewer.map_or(Peer::Master, Peer::Viewer);
        self.places.insert(connection, Place::Remote { node: Arc::clone(from), n, channel });
        self.remote.insert((Arc::clone(from), n), connection);
        match self.core.handle_attach(Now::read(), Attach { connection, channel, peer, message_ttl }) {
            Ok(()) => None,
            Err(Refusal::TooManyViewers) => {
                self.places.remove(&connection);
                self.remote.remove(&(Arc::clone(from), n));
                Some(Why::TooManyViewers)
            }
        }
    }

    /// A connection of another node is gone; its channel.
    fn forget_remote(&mut self, key: &(NodeAddress, u64)) -> Option<ChannelId> {
        let id = self.remote.remove(key)?;
        self.core.handle_closed(id);
        match self.places.remove(&id) {
            Some(Place::Remote { channel, .. }) => Some(channel),
            Some(Place::Here(_)) | None => None,
        }
    }

    fn tell_away(&self, from: &NodeAddress, n: u64, event: Event) {
        if let Some(away) = self.away.get(&n).filter(|away| away.owner == *from) {
            // One that reads too slowly ends by its mailbox; its socket's end is told to the owner.
            let _has_room = away.mailbox.push(event);
        }
    }
}
