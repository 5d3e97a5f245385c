//! TCP relaying (RFC 6062): Connect, ConnectionBind and ConnectionAttempt.
//!
//! ```text
//! Connect ─▶ Connecting ─▶ Waiting (30 s) ─▶ Bound ─▶ closed
//!                │ 447         ▲    │ closed      ▲
//! peer accepted ───────────────┘    └ ConnectionBind
//! ```

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use causeway_stun_codec::{
    Class, Message, MessageBuilder, Method, TransactionId,
    attributes::{ConnectionId as ConnectionIdAttribute, XorPeerAddress},
};
use causeway_types::{LimitName, Now, RelayTransport};

use crate::{
    TurnServer,
    allocation::Reach,
    data_path::is_over_quota,
    drop_reason::DropReason,
    io::{ClientLeg, ConnectOutcome, ConnectionId, HandOverReason, Output, RelayId, StreamDirection, TimerKind},
    meter::{self, Packets},
    reply::{Authenticated, Signature},
    scope,
    server::Owner,
};

/// How long a connection may take to be made, and then to be bound (RFC 6062 §5.2, §5.3).
const PATIENCE: Duration = Duration::from_secs(30);

/// A TCP connection between a relayed address and a peer.
#[derive(Debug)]
pub(crate) struct PeerConnection {
    allocation: usize,
    peer: SocketAddr,
    deadline: Instant,
    state: State,
}

#[derive(Debug)]
enum State {
    /// The Connect request that is answered when the connection stands.
    Connecting { client: ClientLeg, bytes: Vec<u8>, signature: Signature },
    /// Waits for its ConnectionBind.
    Waiting,
    /// Carries bytes.
    Bound,
}

impl PeerConnection {
    pub(crate) const fn peer(&self) -> SocketAddr {
        self.peer
    }
}

impl TurnServer {
    /// Connect (RFC 6062 §5.2).
    pub(crate) fn connect(&mut self, now: Now, request: Authenticated<'_>, key: usize) {
        let Some(allocation) = self.allocations.get(key) else { return };
        let keys = allocation.grant.keys.clone();
        let count = allocation.connections.len();
        if allocation.transport != RelayTransport::Tcp {
            return self.refuse(request, &keys, 400);
        }
        let Ok(Some(XorPeerAddress(peer))) = request.message.attribute::<XorPeerAddress>() else {
            return self.refuse(request, &keys, 400);
        };
        // A TCP connection cannot be delivered inside the process: a host that is only open to relayed datagrams is closed.
        match self.check_peer(key, peer) {
            Ok(Reach::Open | Reach::CheckPort) => {}
            Ok(Reach::OwnRelayOnly) => return self.refuse(request, &keys, 403),
            Err(code) => return self.refuse(request, &keys, code),
        }
        if self.connection_to(key, peer).is_some() {
            // A retransmission is absorbed: its first copy is still being worked on.
            if !self.is_connecting_for(key, peer, &request) {
                self.refuse(request, &keys, 446);
            }
            return;
        }
        if count >= usize::from(self.config.limits.connections_per_allocation_max) {
            self.limit_reached_by(LimitName::ConnectionsPerAllocation, key);
            return self.refuse(request, &keys, 508);
        }
        let Some(slot) = self.allocations.get(key).and_then(|a| a.relay_for(peer.ip()).copied()) else { return };
        let state = State::Connecting {
            client: request.client,
            bytes: request.message.as_bytes().to_vec(),
            signature: request.signature,
        };
        let connection = self.add_connection(now, key, peer, state);
        self.tell_peer(key, peer);
        self.outputs.push_back(Output::ConnectPeer { connection, relay: slot.relay, peer });
    }

    /// Takes the outcome of [`Output::ConnectPeer`].
    pub fn handle_peer_connected(&mut self, now: Now, connection: ConnectionId, outcome: ConnectOutcome) {
        self.debug_assert_drained();
        let Some(entry) = self.connections.get_mut(&connection) else {
            if outcome == ConnectOutcome::Connected {
                self.outputs.push_back(Output::ClosePeerConnection { connection });
            }
            return;
        };
        // A second outcome for the same connection changes nothing.
        if !matches!(entry.state, State::Connecting { .. }) {
            return;
        }
        let State::Connecting { client, bytes, signature } = std::mem::replace(&mut entry.state, State::Waiting) else {
            return;
        };
        let key = entry.allocation;
        let old = entry.deadline;
        entry.deadline = now.mono + PATIENCE;
        let deadline = entry.deadline;
        self.deadlines.remove(&(old, TimerKind::Connection, u64::from(connection.0)));
        let (Some(allocation), Ok(message)) = (self.allocations.get(key), Message::parse(&bytes)) else { return };
        let keys = allocation.grant.keys.clone();
        let request = Authenticated { client, message, signature };
        match outcome {
            ConnectOutcome::Connected => {
                self.deadlines.insert((deadline, TimerKind::Connection, u64::from(connection.0)));
                self.succeed(request, &keys, |b| b.attribute(&ConnectionIdAttribute(connection.0)));
            }
            ConnectOutcome::Failed => {
                self.drop_connection(connection);
                self.refuse(request, &keys, 447);
            }
        }
    }

    /// A peer connected to a TCP relay (RFC 6062 §5.3). `None`: not permitted, or no room; close it.
    pub fn handle_peer_accepted(&mut self, now: Now, on: RelayId, peer: SocketAddr) -> Option<ConnectionId> {
        self.debug_assert_drained();
        let key = self.allocation_of_relay(on)?;
        let allocation = self.allocations.get(key).filter(|a| a.expires > now.mono && !a.detached)?;
        let client = allocation.client;
        let full = allocation.connections.len() >= usize::from(self.config.limits.connections_per_allocation_max);
        if allocation.permission(peer.ip(), now.mono).is_none() {
            self.drops.add(DropReason::NoPermission, 1);
            return None;
        }
        if !scope::reaches(&self.scopes, &allocation.grant.limits, peer) {
            self.drops.add(DropReason::PeerScope, 1);
            return None;
        }
        if full {
            self.limit_reached_by(LimitName::ConnectionsPerAllocation, key);
            return None;
        }
        if self.check_peer(key, peer).is_err() {
            self.drops.add(DropReason::PeerPolicy, 1);
            return None;
        }
        let connection = self.add_connection(now, key, peer, State::Waiting);
        let id = TransactionId(self.random_bytes());
        let bytes = MessageBuilder::new(Class::Indication, Method::CONNECTION_ATTEMPT, id)
            .attribute(&ConnectionIdAttribute(connection.0))
            .attribute(&XorPeerAddress(peer))
            .finish();
        self.send(client, bytes);
        Some(connection)
    }

    /// Whose connection a ConnectionBind names.
    pub(crate) fn owner_of_connection(&mut self, from: ClientLeg, message: &Message<'_>) -> Owner {
        let Ok(Some(ConnectionIdAttribute(id))) = message.attribute::<ConnectionIdAttribute>() else {
            return Owner::None;
        };
        let connection = ConnectionId(id);
        if from.five_tuple.transport.is_datagram() {
            return Owner::None;
        }
        if connection.shard() != self.shard {
            self.outputs.push_back(Output::HandOver {
                client: from,
                to: connection.shard(),
                message: message.as_bytes().to_vec(),
                reason: HandOverReason::ConnectionBind,
            });
            return Owner::Elsewhere;
        }
        self.connections.get(&connection).map_or(Owner::None, |entry| Owner::Local(entry.allocation))
    }

    /// ConnectionBind on a client connection of its own (RFC 6062 §5.4); its sender is the allocation's user.
    pub(crate) fn connection_bind(&mut self, _now: Now, request: Authenticated<'_>, key: usize) {
        let Some(allocation) = self.allocations.get(key) else { return };
        let keys = allocation.grant.keys.clone();
        let Ok(Some(ConnectionIdAttribute(id))) = request.message.attribute::<ConnectionIdAttribute>() else {
            return self.refuse(request, &keys, 400);
        };
        let connection = ConnectionId(id);
        let holds_allocation = self.by_client.contains_key(&request.client.five_tuple);
        let Some(entry) = self.connections.get_mut(&connection).filter(|_| !holds_allocation) else {
            return self.refuse(request, &keys, 400);
        };
        if !matches!(entry.state, State::Waiting) {
            return self.refuse(request, &keys, 400);
        }
        entry.state = State::Bound;
        self.deadlines.remove(&(entry.deadline, TimerKind::Connection, u64::from(connection.0)));
        self.succeed(request, &keys, |builder| builder.attribute(&ConnectionIdAttribute(connection.0)));
        self.outputs.push_back(Output::BindConnection { connection, client: request.client });
    }

    /// A peer connection, or the client connection bound to it, is gone.
    pub fn handle_peer_connection_closed(&mut self, _now: Now, connection: ConnectionId) {
        self.debug_assert_drained();
        self.drop_connection(connection);
    }

    /// Counts bytes a TCP relay carried; `Some` is the time until which reading in that direction must pause.
    pub fn handle_stream_bytes(
        &mut self,
        now: Now,
        connection: ConnectionId,
        direction: StreamDirection,
        bytes: u64,
    ) -> Option<Instant> {
        self.debug_assert_drained();
        let key = self.connections.get(&connection)?.allocation;
        let allocation = self.allocations.get_mut(key)?;
        let first = allocation.is_first(direction);
        let chunk = Packets { count: 1, len: usize::try_from(bytes).unwrap_or(usize::MAX) };
        allocation.count_messages(direction, chunk);
        allocation.count_payload(direction, chunk);
        let total = match direction {
            StreamDirection::FromClient => &mut self.stats.from_client,
            StreamDirection::ToClient => &mut self.stats.to_client,
        };
        meter::add(total, chunk);
        let pause = allocation.buckets.as_mut().and_then(|buckets| match direction {
            StreamDirection::FromClient => buckets.from_client.charge(bytes, now.mono),
            StreamDirection::ToClient => buckets.to_client.charge(bytes, now.mono),
        });
        if is_over_quota(allocation) {
            self.end_over_quota(now, key);
            return None;
        }
        if first || allocation.is_report_due() {
            self.tell_passage(now, key, first.then_some(direction));
        }
        if pause.is_some() {
            self.tell_bandwidth(key);
        }
        pause
    }

    /// A connection was not made, or not bound, in time.
    pub(crate) fn connection_due(&mut self, now: Now, connection: ConnectionId) {
        self.close_connection(now, connection);
    }

    /// Ends a connection in whatever state; a Connect that waits for it is answered 447.
    pub(crate) fn close_connection(&mut self, now: Now, connection: ConnectionId) {
        let Some(entry) = self.connections.get(&connection) else { return };
        let connecting = matches!(entry.state, State::Connecting { .. });
        self.outputs.push_back(Output::ClosePeerConnection { connection });
        if connecting {
            let drained = std::mem::take(&mut self.outputs);
            self.handle_peer_connected(now, connection, ConnectOutcome::Failed);
            let after = std::mem::replace(&mut self.outputs, drained);
            self.outputs.extend(after);
        } else {
            self.drop_connection(connection);
        }
    }

    fn add_connection(&mut self, now: Now, key: usize, peer: SocketAddr, state: State) -> ConnectionId {
        let connection = loop {
            let [_, r1, r2, r3] = self.random_bytes::<4>();
            let candidate = ConnectionId(u32::from_be_bytes([self.shard.0, r1, r2, r3]));
            if candidate.0 != 0 && !self.connections.contains_key(&candidate) {
                break candidate;
            }
        };
        let deadline = now.mono + PATIENCE;
        self.deadlines.insert((deadline, TimerKind::Connection, u64::from(connection.0)));
        self.connections.insert(connection, PeerConnection { allocation: key, peer, deadline, state });
        if let Some(allocation) = self.allocations.get_mut(key) {
            allocation.connections.push(connection);
        }
        connection
    }

    /// The other end of a connection.
    pub(crate) fn peer_of(&self, connection: ConnectionId) -> Option<SocketAddr> {
        self.connections.get(&connection).map(|entry| entry.peer)
    }

    fn connection_to(&self, key: usize, peer: SocketAddr) -> Option<ConnectionId> {
        let allocation = self.allocations.get(key)?;
        let same = |id: &&ConnectionId| self.connections.get(id).is_some_and(|entry| entry.peer == peer);
        allocation.connections.iter().find(same).copied()
    }

    fn is_connecting_for(&self, key: usize, peer: SocketAddr, request: &Authenticated<'_>) -> bool {
        let entry = self.connection_to(key, peer).and_then(|id| self.connections.get(&id));
        matches!(entry.map(|e| &e.state), Some(State::Connecting { bytes, .. })
            if Message::parse(bytes).is_ok_and(|first| first.transaction_id() == request.message.transaction_id()))
    }

    fn drop_connection(&mut self, connection: ConnectionId) {
        let Some(entry) = self.connections.get(&connection) else { return };
        let key = entry.allocation;
        self.forget_connection(connection);
        if let Some(allocation) = self.allocations.get_mut(key) {
            allocation.connections.retain(|id| *id != connection);
        }
    }

    /// Takes a connection out of the table and the timers, leaving its allocation alone.
    pub(crate) fn forget_connection(&mut self, connection: ConnectionId) {
        if let Some(entry) = self.connections.remove(&connection) {
            self.deadlines.remove(&(entry.deadline, TimerKind::Connection, u64::from(connection.0)));
        }
    }
}
