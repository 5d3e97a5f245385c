//! Connections between TCP relays and peers, and splicing them to clients (RFC 6062).

use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
};

use causeway_net_io::{Event, Interest, tcp};
use causeway_turn_core::{ClientLeg, ConnectOutcome, ConnectionId, RelayId, StreamDirection};
use causeway_types::Now;

use super::{
    RelayEntry, Shard,
    client_out::Weight,
    outputs::Followup,
    stream::{Mode, SPLICE_HIGH},
};
use crate::{
    leg::{Leg, Token},
    ports::RelaySocket,
};

/// Peers accepted per wake-up.
const ACCEPTS_MAX: usize = 16;

/// A TCP connection to a peer.
#[derive(Debug)]
pub(super) struct PeerStream {
    stream: TcpStream,
    state: PeerState,
    /// Bytes for the peer, from `out_at` on.
    out: Vec<u8>,
    out_at: usize,
    interest: Interest,
    read_closed: bool,
    /// The client's queue is full.
    held_back: bool,
    rate_paused: bool,
    /// Shut our side down once `out` is empty.
    finishing: bool,
    write_shut: bool,
    /// Out of epoll: the peer hung up while its bytes must wait, and a hang-up cannot be masked.
    unwatched: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PeerState {
    Connecting,
    /// Connected; nobody reads yet.
    Waiting,
    /// Spliced to this client connection.
    Bound(usize),
}

impl Shard {
    /// Starts a connection from the relay's own address.
    pub(super) fn connect_peer(&mut self, connection: ConnectionId, relay: RelayId, peer: SocketAddr) {
        let local = match self.relay(relay) {
            Some(RelayEntry { socket: RelaySocket::Tcp(_, local), .. }) => Some(*local),
            Some(_) | None => None,
        };
        let started =
            local.ok_or_else(|| io::ErrorKind::NotFound.into()).and_then(|local| tcp::connect_from(local, peer));
        let added = started.and_then(|stream| self.add_peer(connection, stream, PeerState::Connecting));
        if added.is_err() {
            self.followups.push_back(Followup::Connected(connection, ConnectOutcome::Failed));
        }
    }

    /// A TCP relay's listener has peers.
    pub(super) fn accept_peer(&mut self, now: Now, key: usize) {
        let Ok(relay) = u32::try_from(key).map(RelayId) else { return };
        for _ in 0..ACCEPTS_MAX {
            let Some(RelayEntry { socket: RelaySocket::Tcp(listener, _), .. }) = self.relays.get(key) else { return };
            let Ok((stream, peer)) = listener.accept() else { return };
            if let Some(connection) = self.core.handle_peer_accepted(now, relay, peer)
                && self.add_peer(connection, stream, PeerState::Waiting).is_err()
            {
                self.drain(now);
                self.core.handle_peer_connection_closed(now, connection);
            }
            self.drain(now);
        }
    }

    fn add_peer(&mut self, connection: ConnectionId, stream: TcpStream, state: PeerState) -> io::Result<()> {
        stream.set_nonblocking(true)?;
        let interest = if state == PeerState::Connecting { Interest::Write } else { Interest::None };
        self.epoll.add(&stream, Token::Peer(connection.0).bits(), interest)?;
        let peer = PeerStream {
            stream,
            state,
            out: Vec::new(),
            out_at: 0,
            interest,
            read_closed: false,
            held_back: false,
            rate_paused: false,
            finishing: false,
            write_shut: false,
            unwatched: false,
        };
        self.peers.insert(connection.0, peer);
        Ok(())
    }

    pub(super) fn peer_ready(&mut self, now: Now, id: u32, event: Event) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        match peer.state {
            PeerState::Connecting => self.connect_ended(now, id),
            PeerState::Waiting if event.hangup || event.error => self.peer_gone(now, ConnectionId(id)),
            PeerState::Waiting => {}
            PeerState::Bound(client) => {
                if event.writable {
                    self.flush_peer(now, ConnectionId(id));
                }
                if event.readable || event.hangup || event.error {
                    self.read_peer(now, id, client, event.hangup || event.error);
                }
            }
        }
        self.drain(now);
    }

    fn connect_ended(&mut self, now: Now, id: u32) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let connected = matches!(peer.stream.take_error(), Ok(None)) && peer.stream.peer_addr().is_ok();
        if connected {
            peer.state = PeerState::Waiting;
            self.watch_peer(id);
        } else {
            self.peers.remove(&id);
        }
        let outcome = if connected { ConnectOutcome::Connected } else { ConnectOutcome::Failed };
        self.core.handle_peer_connected(now, ConnectionId(id), outcome);
    }

    /// From here on the client's connection carries the peer's bytes.
    pub(super) fn bind_connection(&mut self, now: Now, connection: ConnectionId, client: ClientLeg) {
        let Leg::Stream(key) = Leg::of(client.leg) else { return };
        let Some(peer) = self.peers.get_mut(&connection.0) else {
            self.close_stream(key);
            return self.followups.push_back(Followup::PeerClosed(connection));
        };
        peer.state = PeerState::Bound(key);
        if let Some(stream) = self.connections.get_mut(key) {
            stream.mode = Mode::Spliced(connection);
        }
        self.watch_peer(connection.0);
        // The client may have written behind its request; `take_inbox` goes on with the new mode.
        self.flush_peer(now, connection);
    }

    /// Bytes of the client for the peer.
    pub(super) fn splice_to_peer(&mut self, now: Now, id: ConnectionId, client: usize, bytes: &[u8]) {
        self.drain(now);
        let pause = self.core.handle_stream_bytes(now, id, StreamDirection::FromClient, bytes.len() as u64);
        self.drain(now);
        let Some(peer) = self.peers.get_mut(&id.0) else { return };
        peer.out.extend_from_slice(bytes);
        let full = peer.out.len() - peer.out_at > SPLICE_HIGH;
        if let Some(stream) = self.connections.get_mut(client) {
            stream.held_back |= full;
            stream.rate_paused |= pause.is_some();
        }
        if let Some(until) = pause {
            self.paused.insert((until, Token::Stream(client).bits()));
        }
        self.watch_stream(client);
        self.flush_peer(now, id);
    }

    fn read_peer(&mut self, now: Now, id: u32, client: usize, hangup: bool) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if peer.read_closed || peer.held_back || peer.rate_paused {
            if hangup && peer.read_closed {
                self.peer_gone(now, ConnectionId(id));
            } else if hangup && self.epoll.remove(&peer.stream).is_ok() {
                peer.unwatched = true;
            }
            return;
        }
        let mut room = [0; 16 * 1024];
        match peer.stream.read(&mut room) {
            Ok(0) => {
                peer.read_closed = true;
                let both = peer.write_shut;
                self.watch_peer(id);
                if let Some(stream) = self.connections.get_mut(client) {
                    stream.finishing = true;
                }
                self.flush_stream(now, client);
                if both {
                    self.peer_gone(now, ConnectionId(id));
                }
            }
            Ok(n) => {
                let pause = self.core.handle_stream_bytes(now, ConnectionId(id), StreamDirection::ToClient, n as u64);
                self.drain(now);
                let Some(five_tuple) = self.connections.get(client).map(|c| c.five_tuple) else { return };
                self.stream_send(now, client, five_tuple, room.get(..n).unwrap_or_default(), Weight::Stream);
                let full = self.stream_backlog(client) > SPLICE_HIGH;
                if let Some(peer) = self.peers.get_mut(&id) {
                    peer.held_back |= full;
                    peer.rate_paused |= pause.is_some();
                }
                if let Some(until) = pause {
                    self.paused.insert((until, Token::Peer(id).bits()));
                }
                self.watch_peer(id);
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(_) => self.peer_gone(now, ConnectionId(id)),
        }
    }

    fn flush_peer(&mut self, now: Now, id: ConnectionId) {
        let Some(peer) = self.peers.get_mut(&id.0) else { return };
        while let Some(rest) = peer.out.get(peer.out_at..).filter(|rest| !rest.is_empty()) {
            match peer.stream.write(rest) {
                Ok(n) => peer.out_at += n,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => return self.peer_gone(now, id),
            }
        }
        if peer.out_at >= peer.out.len() {
            peer.out.clear();
            peer.out_at = 0;
            if peer.finishing && !peer.write_shut {
                peer.write_shut = true;
                // The other side may be gone already: then the read side tells.
                drop(peer.stream.shutdown(Shutdown::Write));
            }
        } else if peer.out_at > SPLICE_HIGH {
            peer.out.drain(..peer.out_at);
            peer.out_at = 0;
        }
        let room = peer.out.len() - peer.out_at < SPLICE_HIGH / 2;
        let done = peer.write_shut && peer.read_closed;
        let state = peer.state;
        self.watch_peer(id.0);
        if let PeerState::Bound(client) = state
            && room
            && let Some(stream) = self.connections.get_mut(client)
            && stream.held_back
        {
            stream.held_back = false;
            self.watch_stream(client);
        }
        if done {
            self.peer_gone(now, id);
        }
    }

    /// The client will send no more.
    pub(super) fn peer_finish(&mut self, now: Now, id: ConnectionId) {
        if let Some(peer) = self.peers.get_mut(&id.0) {
            peer.finishing = true;
        }
        self.flush_peer(now, id);
    }

    /// The client's queue has room again.
    pub(super) fn peer_may_go_on(&mut self, _now: Now, id: ConnectionId) {
        if let Some(peer) = self.peers.get_mut(&id.0).filter(|peer| peer.held_back) {
            peer.held_back = false;
            self.watch_peer(id.0);
        }
    }

    /// A bandwidth pause is over.
    pub(super) fn resume(&mut self, token: u64) {
        match Token::of(token) {
            Token::Stream(key) => {
                if let Some(stream) = self.connections.get_mut(key) {
                    stream.rate_paused = false;
                }
                self.watch_stream(key);
            }
            Token::Peer(id) => {
                if let Some(peer) = self.peers.get_mut(&id) {
                    peer.rate_paused = false;
                }
                self.watch_peer(id);
            }
            Token::Waker | Token::Udp(_) | Token::Tcp(_) | Token::Relay(_) | Token::RelayListener(_) => {}
        }
    }

    fn watch_peer(&mut self, id: u32) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let bound = matches!(peer.state, PeerState::Bound(_));
        let read = bound && !peer.read_closed && !peer.held_back && !peer.rate_paused;
        let write = peer.out_at < peer.out.len() || peer.state == PeerState::Connecting;
        let interest = match (read, write) {
            (true, true) => Interest::ReadWrite,
            (true, false) => Interest::Read,
            (false, true) => Interest::Write,
            (false, false) => Interest::None,
        };
        if peer.unwatched {
            if read && self.epoll.add(&peer.stream, Token::Peer(id).bits(), interest).is_ok() {
                peer.unwatched = false;
                peer.interest = interest;
            }
            return;
        }
        if interest != peer.interest && self.epoll.modify(&peer.stream, Token::Peer(id).bits(), interest).is_ok() {
            peer.interest = interest;
        }
    }

    /// The peer is gone: the client learns it by the end of its stream.
    fn peer_gone(&mut self, now: Now, id: ConnectionId) {
        let Some(peer) = self.peers.remove(&id.0) else { return };
        if let PeerState::Bound(client) = peer.state
            && let Some(stream) = self.connections.get_mut(client)
        {
            stream.finishing = true;
            stream.read_closed = true;
            self.flush_stream(now, client);
            if self.stream_backlog(client) == 0 {
                self.close_stream(client);
            }
        }
        self.followups.push_back(Followup::PeerClosed(id));
    }

    /// The core says close.
    pub(super) fn close_peer(&mut self, connection: ConnectionId) {
        let Some(peer) = self.peers.remove(&connection.0) else { return };
        if let PeerState::Bound(client) = peer.state {
            self.close_stream(client);
        }
    }

    /// The client's connection is gone, and its peer connection with it.
    pub(super) fn forget_peer(&mut self, id: ConnectionId) {
        if self.peers.remove(&id.0).is_some() {
            self.followups.push_back(Followup::PeerClosed(id));
        }
    }
}
