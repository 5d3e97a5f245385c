//! Signalling channels: at most one master and many viewers exchange offers, answers and candidates, also while the other
//! side is away.
//!
//! A core: no socket, clock, lock or JSON, and no vendor's words. It knows connections by a number; the shell reads frames,
//! calls one `handle_*`, then takes [`SignalChannels::poll_output`] until it gives `None`.
//!
//! What it is not: a registry of channels (it is told what a channel's time to live is) or of permissions.
//!
//! Entry points: [`SignalChannels`], [`Limits`]. Source: `compat/aws-kvs.md#signalling`.

#![forbid(unsafe_code)]

mod channel;
mod io;
mod limits;
mod pace;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    ops::Bound,
    sync::Arc,
    time::Instant,
};

use causeway_types::Now;

pub use io::{
    Attach, ChannelId, CloseReason, ConnectionId, Figures, Message, MessageKind, Output, Peer, Problem, Refusal,
};
pub use limits::Limits;
pub use pace::Pace;

use crate::channel::{Channel, Waiting};

/// All channels that have a connection or a waiting message.
#[derive(Debug)]
pub struct SignalChannels {
    limits: Limits,
    channels: BTreeMap<ChannelId, Channel>,
    connections: BTreeMap<ConnectionId, Connection>,
    /// When to look at a connection. It may be earlier than its deadline, never later.
    connection_timers: BTreeSet<(Instant, ConnectionId)>,
    /// When a channel's oldest waiting message expires, or earlier.
    channel_timers: BTreeSet<(Instant, ChannelId)>,
    waiting_bytes: usize,
    figures: Figures,
    outputs: VecDeque<Output>,
}

#[derive(Debug)]
struct Connection {
    channel: ChannelId,
    peer: Peer,
    opened: Instant,
    last_heard: Instant,
    /// When it is closed after it was told to go.
    leaves_at: Option<(Instant, CloseReason)>,
    descriptions: Pace,
    candidates: Pace,
    timer: Option<Instant>,
}

impl SignalChannels {
    /// No channels yet.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            channels: BTreeMap::new(),
            connections: BTreeMap::new(),
            connection_timers: BTreeSet::new(),
            channel_timers: BTreeSet::new(),
            waiting_bytes: 0,
            figures: Figures::default(),
            outputs: VecDeque::new(),
        }
    }

    /// Connects a peer. The newest connection of a master or of a viewer's id wins: the one before is closed. What waits for
    /// the peer is delivered.
    ///
    /// # Errors
    /// See [`Refusal`]; nothing changes then.
    pub fn handle_attach(&mut self, now: Now, attach: Attach) -> Result<(), Refusal> {
        let Attach { connection, channel: id, peer, message_ttl } = attach;
        let viewers_max = self.limits.viewers_max;
        let channel = self.channels.entry(id).or_default();
        let is_new = channel.connection(&peer).is_none();
        if matches!(peer, Peer::Viewer(_)) && is_new && channel.viewers.len() >= viewers_max {
            self.forget_if_empty(id);
            return Err(Refusal::TooManyViewers);
        }
        channel.message_ttl = message_ttl;
        if let Some(earlier) = channel.connect(&peer, connection) {
            self.remove_connection(earlier);
            self.outputs.push_back(Output::Close { to: earlier, reason: CloseReason::Superseded });
        }
        let waiting = self.channels.get_mut(&id).map(|channel| channel.take_waiting(&peer)).unwrap_or_default();
        for message in waiting {
            self.waiting_bytes -= message.payload.len();
            if message.expires <= now.mono {
                self.figures.expired += 1;
                continue;
            }
            self.figures.delivered += 1;
            self.outputs.push_back(message.deliver(connection));
        }
        let state = Connection {
            channel: id,
            peer,
            opened: now.mono,
            last_heard: now.mono,
            leaves_at: None,
            descriptions: Pace::default(),
            candidates: Pace::default(),
            timer: None,
        };
        self.connections.insert(connection, state);
        self.schedule(connection);
        Ok(())
    }

    /// A message of a connection. One that cannot be delivered is told to its sender, if it asked to be told.
    pub fn handle_message(&mut self, now: Now, from: ConnectionId, message: Message) {
        self.handle_activity(now, from);
        let correlation = message.correlation.clone();
        if let Err(problem) = self.route(now, from, message) {
            self.figures.note(problem);
            if let Some(correlation) = correlation {
                self.outputs.push_back(Output::Status { to: from, correlation, problem });
            }
        }
    }

    /// A sign of life.
    pub fn handle_activity(&mut self, now: Now, from: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(&from) {
            connection.last_heard = connection.last_heard.max(now.mono);
        }
    }

    /// A connection ended, whoever ended it. One that was superseded is known no more, and nothing happens.
    pub fn handle_closed(&mut self, connection: ConnectionId) {
        let Some(Connection { channel: id, peer, .. }) = self.remove_connection(connection) else { return };
        if let Some(channel) = self.channels.get_mut(&id) {
            channel.disconnect(&peer);
        }
        self.forget_if_empty(id);
    }

    /// The channel is gone: its connections are closed and what waits is dropped.
    pub fn handle_channel_gone(&mut self, id: ChannelId, reason: CloseReason) {
        let Some(channel) = self.channels.remove(&id) else { return };
        for connection in channel.connections() {
            self.remove_connection(connection);
            self.outputs.push_back(Output::Close { to: connection, reason });
        }
        self.waiting_bytes -= channel.waiting_bytes();
        if let Some(timer) = channel.timer {
            self.channel_timers.remove(&(timer, id));
        }
    }

    /// Messages from here on wait this long.
    pub fn handle_message_ttl(&mut self, id: ChannelId, message_ttl: std::time::Duration) {
        if let Some(channel) = self.channels.get_mut(&id) {
            channel.message_ttl = message_ttl;
        }
    }

    /// Asks the connections of a channel, or all, to go; those that stay are closed after the grace.
    pub fn handle_go_away(&mut self, now: Now, only: Option<ChannelId>, reason: CloseReason) {
        let told = self.connections_of(only);
        for connection in told {
            self.send_away(now, connection, reason);
        }
    }

    /// Asks connections to fetch new relay addresses and to reconnect: those of the channels after one, until `n_told` or a
    /// few more were told, for all at once would come back at once. Where to go on; none: all were told.
    ///
    /// A connection that was asked to go is not asked again.
    pub fn handle_relays_changed(&mut self, after: Option<ChannelId>, n_told: usize) -> Option<ChannelId> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let told_until = self.outputs.len() + n_told.max(1);
        for (id, channel) in self.channels.range((from, Bound::Unbounded)) {
            let stays = |to: &ConnectionId| self.connections.get(to).is_some_and(|c| c.leaves_at.is_none());
            let told = channel.connections().into_iter().filter(stays);
            self.outputs.extend(told.map(|to| Output::RelaysChanged { to }));
            if self.outputs.len() >= told_until {
                return Some(*id);
            }
        }
        None
    }

    /// Closes what is too old or silent, and drops what waited too long. May be called at any time.
    pub fn handle_timeout(&mut self, now: Now) {
        while let Some(&(at, id)) = self.connection_timers.first().filter(|(at, _)| *at <= now.mono) {
            self.connection_timers.remove(&(at, id));
            self.judge(now, id);
        }
        while let Some(&(at, id)) = self.channel_timers.first().filter(|(at, _)| *at <= now.mono) {
            self.channel_timers.remove(&(at, id));
            if let Some(channel) = self.channels.get_mut(&id) {
                channel.timer = None;
                let (n_expired, bytes) = channel.expire(now.mono);
                self.figures.expired += n_expired;
                self.waiting_bytes -= bytes;
                self.schedule_channel(id);
                self.forget_if_empty(id);
            }
        }
    }

    /// When to call [`Self::handle_timeout`] next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let first = self.connection_timers.first().map(|(at, _)| *at);
        let second = self.channel_timers.first().map(|(at, _)| *at);
        first.into_iter().chain(second).min()
    }

    /// What to do next.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Connections there are.
    #[must_use]
    pub fn connection_count(&self) -> usize {
        self.connections.len()
    }

    /// Whether a channel has a connection or a waiting message.
    #[must_use]
    pub fn is_in_use(&self, id: ChannelId) -> bool {
        self.channels.contains_key(&id)
    }

    /// The connection of a peer.
    #[must_use]
    pub fn connection_of(&self, id: ChannelId, peer: &Peer) -> Option<ConnectionId> {
        self.channels.get(&id)?.connection(peer)
    }

    /// What was counted since the start.
    #[must_use]
    pub const fn figures(&self) -> Figures {
        self.figures
    }

    /// What it decides by.
    #[must_use]
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    fn route(&mut self, now: Now, from: ConnectionId, message: Message) -> Result<(), Problem> {
        let limits = self.limits;
        let Some(connection) = self.connections.get_mut(&from) else { return Ok(()) };
        let (pace, per_sec) = match message.kind {
            MessageKind::Offer | MessageKind::Answer => (&mut connection.descriptions, limits.descriptions_per_sec),
            MessageKind::Candidate => (&mut connection.candidates, limits.candidates_per_sec),
        };
        if !pace.take(now.mono, per_sec) {
            return Err(Problem::TooFast);
        }
        if message.payload.len() > limits.payload_bytes_max {
            return Err(Problem::PayloadTooLong);
        }
        let (recipient, sender) = match (&connection.peer, message.recipient) {
            (Peer::Viewer(id), _) => (Peer::Master, Some(Arc::clone(id))),
            (Peer::Master, Some(id)) => (Peer::Viewer(id), None),
            (Peer::Master, None) => return Err(Problem::NoRecipient),
        };
        let id = connection.channel;
        let Some(channel) = self.channels.get_mut(&id) else { return Ok(()) };
        let expires = now.mono + channel.message_ttl;
        let waiting = Waiting { kind: message.kind, sender, payload: message.payload, expires };
        if let Some(to) = channel.connection(&recipient) {
            self.figures.delivered += 1;
            self.outputs.push_back(waiting.deliver(to));
            return Ok(());
        }
        let bytes = waiting.payload.len();
        self.waiting_bytes -= channel.make_way_for(&recipient, &waiting);
        let (own_count, own_bytes) = channel.waiting_of(&recipient, waiting.sender.as_ref());
        if own_count >= limits.waiting_per_sender_max
            || own_bytes + bytes > limits.waiting_bytes_per_sender_max
            || channel.waiting_count() >= limits.waiting_per_channel_max
            || channel.waiting_bytes() + bytes > limits.waiting_bytes_per_channel_max
            || self.waiting_bytes + bytes > limits.waiting_bytes_max
        {
            return Err(Problem::TooManyWaiting);
        }
        channel.store(recipient, waiting);
        self.waiting_bytes += bytes;
        self.figures.stored += 1;
        self.schedule_channel(id);
        Ok(())
    }

    fn connections_of(&self, only: Option<ChannelId>) -> Vec<ConnectionId> {
        match only {
            Some(id) => self.channels.get(&id).map(Channel::connections).unwrap_or_default(),
            None => self.connections.keys().copied().collect(),
        }
    }

    fn send_away(&mut self, now: Now, id: ConnectionId, reason: CloseReason) {
        let grace = self.limits.go_away_grace;
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if connection.leaves_at.is_none() {
            connection.leaves_at = Some((now.mono + grace, reason));
            self.outputs.push_back(Output::GoAway { to: id });
            self.schedule(id);
        }
    }

    /// Decides about a connection whose timer came.
    fn judge(&mut self, now: Now, id: ConnectionId) {
        let limits = self.limits;
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.timer = None;
        let is_idle = limits.idle_max.is_some_and(|max| connection.last_heard + max <= now.mono);
        let is_old = limits.lifetime_max.is_some_and(|max| connection.opened + max <= now.mono + limits.go_away_grace);
        let reason = match connection.leaves_at {
            Some((at, reason)) if at <= now.mono => Some(reason),
            _ if is_idle => Some(CloseReason::Idle),
            None if is_old => {
                self.send_away(now, id, CloseReason::TooOld);
                return;
            }
            Some(_) | None => None,
        };
        match reason {
            Some(reason) => {
                self.outputs.push_back(Output::Close { to: id, reason });
                self.handle_closed(id);
            }
            None => self.schedule(id),
        }
    }

    /// Sets a connection's timer to its next deadline.
    fn schedule(&mut self, id: ConnectionId) {
        let limits = self.limits;
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let idle = limits.idle_max.map(|max| connection.last_heard + max);
        let end = match connection.leaves_at {
            Some((at, _)) => Some(at),
            None => limits.lifetime_max.map(|max| connection.opened + max.saturating_sub(limits.go_away_grace)),
        };
        let next = idle.into_iter().chain(end).min();
        if let Some(earlier) = std::mem::replace(&mut connection.timer, next) {
            self.connection_timers.remove(&(earlier, id));
        }
        if let Some(at) = next {
            self.connection_timers.insert((at, id));
        }
    }

    fn schedule_channel(&mut self, id: ChannelId) {
        let Some(channel) = self.channels.get_mut(&id) else { return };
        if channel.timer.is_none()
            && let Some(at) = channel.next_expiry()
        {
            channel.timer = Some(at);
            self.channel_timers.insert((at, id));
        }
    }

    fn remove_connection(&mut self, id: ConnectionId) -> Option<Connection> {
        let connection = self.connections.remove(&id)?;
        if let Some(timer) = connection.timer {
            self.connection_timers.remove(&(timer, id));
        }
        Some(connection)
    }

    fn forget_if_empty(&mut self, id: ChannelId) {
        if self.channels.get(&id).is_some_and(Channel::is_empty)
            && let Some(Channel { timer: Some(timer), .. }) = self.channels.remove(&id)
        {
            self.channel_timers.remove(&(timer, id));
        }
    }
}
