//! Does what the core asks for.

use std::{net::SocketAddr, sync::atomic::Ordering};

use causeway_net_io::Interest;
use causeway_stun_codec::{Class, Message, Method};
use causeway_turn_core::{
    Admission, ClientLeg, ConnectOutcome, ConnectionId, DropReason, HandOverReason, KeyAnswer, OpenRelay,
    OpenRelayError, Output, QueryId, RelayId, RelayOpened, RelayRequestId, Transmit,
};
use causeway_types::{FiveTuple, Now, RelayEvent, ShardIndex};

use super::{
    RelayEntry, Shard, client_out::Weight, dtls::Association, kernel::add, outlets::Outlet, stream::Connection,
};
use crate::{
    admissions::AdmissionLimits,
    command::Command,
    keys::KeyLookup,
    leg::{Leg, Token},
    ports::RelaySocket,
    scopes::{Member, Source},
};

/// An answer the core gets once its outputs are drained.
#[derive(Debug)]
pub(super) enum Followup {
    Key(QueryId, KeyAnswer),
    Admission(QueryId, Admission),
    Relay(RelayRequestId, Result<RelayOpened, OpenRelayError>),
    Connected(ConnectionId, ConnectOutcome),
    ClientClosed(ClientLeg),
    PeerClosed(ConnectionId),
}

impl Shard {
    /// Takes every output, then gives the answers that are at hand, until the core is content.
    pub(super) fn drain(&mut self, now: Now) {
        if !self.core.is_at_rest() || !self.followups.is_empty() {
            self.drain_all(now);
        }
    }

    fn drain_all(&mut self, now: Now) {
        loop {
            self.settle_channels(now);
            while let Some(output) = self.core.poll_output() {
                self.perform(now, output);
                self.settle_channels(now);
            }
            match self.followups.pop_front() {
                Some(Followup::Key(id, answer)) => self.core.handle_key(now, id, answer),
                Some(Followup::Admission(id, admission)) => self.core.handle_admission(now, id, admission),
                Some(Followup::Relay(request, result)) => self.core.handle_relay_opened(now, request, result),
                Some(Followup::Connected(id, outcome)) => self.core.handle_peer_connected(now, id, outcome),
                Some(Followup::ClientClosed(client)) => self.client_closed(now, client),
                Some(Followup::PeerClosed(id)) => self.core.handle_peer_connection_closed(now, id),
                None => return,
            }
        }
    }

    /// A connection or association is gone; its allocation is here or where it moved to.
    fn client_closed(&mut self, now: Now, client: ClientLeg) {
        if let Some(to) = self.forwarded.remove(&client.five_tuple) {
            let told = self.shared.send(to, Command::RemoteClosed { via: self.index, client });
            // Not told, the other shard keeps the allocation for its lifetime.
            self.count_drop(DropReason::SendQueueFull, u64::from(!told));
        }
        self.core.handle_client_closed(now, client);
    }

    fn perform(&mut self, now: Now, output: Output) {
        match output {
            Output::Transmit(transmit) => self.transmit(now, transmit),
            Output::NeedKey(query) => {
                if let KeyLookup::Answer(answer) = self.keys.keys(&query, now.unix, self.index) {
                    self.followups.push_back(Followup::Key(query.id, answer));
                }
            }
            Output::NeedAdmission { id, username, allocations_max } => {
                let limits = self.shared.limits.load();
                let limits = AdmissionLimits {
                    per_user_max: limits.allocations_per_user_max,
                    credential_max: allocations_max,
                    total_max: limits.allocations_max,
                };
                let admission = self.shared.admissions.admit(&username, limits);
                self.followups.push_back(Followup::Admission(id, admission));
            }
            Output::ReleaseAdmission { username } => self.shared.admissions.release(&username),
            Output::OpenRelay(request) => {
                let result = self.open_relay(&request);
                self.followups.push_back(Followup::Relay(request.request, result));
            }
            Output::CloseRelay { relay } => self.close_relay(relay),
            Output::DropReservation { token } => self.shared.ports.drop_reservation(token),
            Output::ConnectPeer { connection, relay, peer } => self.connect_peer(connection, relay, peer),
            Output::BindConnection { connection, client } => self.bind_connection(now, connection, client),
            Output::ClosePeerConnection { connection } => self.close_peer(connection),
            Output::HandOver { client, to, message, reason } => self.hand_over(client, to, message, reason),
            Output::Challenged { client } => self.shared.unanswered.note(client.client.ip(), now.mono),
            Output::CloseClient { client } => self.close_client(client),
            Output::ScopeMember { scope, address, kind, present } => {
                self.shared.set_scope_member(Member::new(scope, address, kind), Source::Allocation, present);
            }
            Output::Event(event) => self.tell(now, event),
        }
    }

    /// Passes an event on, with what only the shell knows.
    fn tell(&mut self, now: Now, mut event: RelayEvent) {
        if let RelayEvent::AuthRefused { five_tuple, .. } = &event
            && five_tuple.transport.is_datagram()
        {
            self.shared.unanswered.forget(five_tuple.client.ip());
        }
        if let RelayEvent::AllocationCreated { five_tuple, security, udp_unanswered, .. } = &mut event {
            let unanswered = &self.shared.unanswered;
            if five_tuple.transport.is_datagram() {
                unanswered.forget(five_tuple.client.ip());
            } else {
                *udp_unanswered = unanswered.since(five_tuple.client.ip(), now.mono);
            }
            let leg = self.core.client_leg(five_tuple).map(|client| Leg::of(client.leg));
            *security = match leg {
                Some(Leg::Stream(key)) => self.connections.get(key).and_then(Connection::security),
                Some(Leg::Dtls(key)) => self.associations.get(key).and_then(Association::security),
                // The session of a remote leg is another shard's.
                Some(Leg::Udp(_) | Leg::Remote(..)) | None => None,
            };
        }
        if let RelayEvent::AllocationEnded { allocation, traffic, messages, .. } = &mut event
            && let Some(kernel) = &mut self.kernel
        {
            let late = kernel.take_ended(*allocation);
            add(traffic, &late.traffic);
            add(messages, &late.messages());
        }
        self.shared.emit(event);
    }

    fn transmit(&mut self, now: Now, transmit: Transmit) {
        let Transmit { client, bytes, source, to } = transmit;
        if source.is_none() && to.is_none() {
            self.send_to_client(now, client, &bytes, Weight::Control);
            return;
        }
        // RFC 5780: from another of our addresses, or to another port of the client.
        let source = source.unwrap_or(client.five_tuple.server);
        let to = to.unwrap_or(client.five_tuple.client);
        let listens_on = |address: SocketAddr| {
            let exact = move |local: SocketAddr| local == address;
            let wildcard = move |local: SocketAddr| {
                local.ip().is_unspecified() && local.port() == address.port() && local.is_ipv4() == address.is_ipv4()
            };
            (exact, wildcard)
        };
        let (exact, wildcard) = listens_on(source);
        let all = || self.listeners.udp.iter().map(|l| &l.socket);
        let socket = all().find(|s| exact(s.local_addr())).or_else(|| all().find(|s| wildcard(s.local_addr())));
        let sent = socket.map(|s| s.send(to, Some(source.ip()), &[std::io::IoSlice::new(&bytes)], None));
        if !matches!(sent, Some(Ok(()))) {
            self.count_drop(DropReason::SendFailed, 1);
        }
    }

    fn open_relay(&mut self, request: &OpenRelay) -> Result<RelayOpened, OpenRelayError> {
        let opened = self.shared.ports.open(request)?;
        let advertised = opened.advertised;
        let slot = self.relays.vacant_entry();
        let key = slot.key();
        let relay = RelayId(u32::try_from(key).map_err(|_| OpenRelayError::System)?);
        let watched = match &opened.socket {
            RelaySocket::Udp(socket) => self.epoll.add(socket, Token::Relay(key).bits(), Interest::Read),
            RelaySocket::Tcp(listener, _) => self.epoll.add(listener, Token::RelayListener(key).bits(), Interest::Read),
        };
        if watched.is_err() {
            self.shared.ports.free(advertised);
            return Err(OpenRelayError::System);
        }
        if matches!(opened.socket, RelaySocket::Udp(_)) {
            self.shared.ports.announce(advertised, self.index, relay);
        }
        slot.insert(RelayEntry {
            socket: opened.socket,
            advertised,
            hint: 1,
            to_peer: Outlet::default(),
            to_client: Outlet::default(),
        });
        Ok(RelayOpened { relay, address: advertised })
    }

    fn close_relay(&mut self, relay: RelayId) {
        let Ok(key) = usize::try_from(relay.0) else { return };
        if let Some(entry) = self.relays.try_remove(key) {
            if entry.to_peer.has_sender() || entry.to_client.has_sender() {
                self.outlets.forget(key);
            }
            let advertised = entry.advertised;
            // The sockets first: the port is free when it is given back.
            drop(entry);
            self.shared.ports.free(advertised);
        }
    }

    /// Sends what `client` says from here on to shard `from`, once that shard has granted it a Refresh: until then
    /// anybody with a made-up ticket could fill the table.
    pub(super) fn follow_move(&mut self, from: ShardIndex, client: FiveTuple, message: &[u8]) {
        if self.forwarded.to(&client) == Some(from) {
            return;
        }
        let granted = Message::parse(message)
            .is_ok_and(|message| (message.class(), message.method()) == (Class::Success, Method::REFRESH));
        if granted {
            self.forwarded.insert(client, from);
        }
    }

    fn hand_over(&mut self, client: ClientLeg, to: ShardIndex, message: Vec<u8>, reason: HandOverReason) {
        if to.as_usize() >= self.shared.shards.len() {
            return;
        }
        let command = match (reason, Leg::of(client.leg)) {
            (HandOverReason::ConnectionBind, Leg::Stream(key)) => match self.release_connection(key) {
                Some(connection) => Command::Adopt { connection: Box::new(connection), message },
                None => return,
            },
            (HandOverReason::ConnectionBind, Leg::Udp(_) | Leg::Dtls(_) | Leg::Remote(..)) => return,
            // One message, no route yet: its ticket and its sender are still to be believed.
            (HandOverReason::Mobility, Leg::Remote(via, leg)) => {
                // The answer goes to the shard of the socket, not through this one.
                Command::RemoteMessage { via, client: ClientLeg { leg, ..client }, message }
            }
            (HandOverReason::Mobility, Leg::Udp(_) | Leg::Stream(_) | Leg::Dtls(_)) => {
                Command::RemoteMessage { via: self.index, client, message }
            }
        };
        let connection = matches!(command, Command::Adopt { .. });
        if !self.shared.send(to, command) {
            self.count_drop(DropReason::SendQueueFull, 1);
            // Dropped with the command, it is closed.
            self.shared.connections.fetch_sub(u64::from(connection), Ordering::Relaxed);
        }
    }
}
