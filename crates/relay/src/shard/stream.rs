//! Clients over TCP and TLS: accept, read frames, write with a bounded queue.

use std::{
    collections::VecDeque,
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

use causeway_net_io::{Event, Interest};
use causeway_stun_codec::{
    Kind, classify,
    framing::{Frame, frame},
};
use causeway_turn_core::{ClientLeg, ConnectionId, DropReason};
use causeway_types::{ClientSecurity, ClientTransport, FiveTuple, Now};

use super::{Shard, client_out::Weight, outputs::Followup};
use crate::{
    leg::{Leg, Token},
    proxy_protocol::{self, Header},
    security,
};

/// Connections accepted per wake-up.
const ACCEPTS_MAX: usize = 32;
/// How long a listener rests when the system has no descriptor left.
const ACCEPT_REST: std::time::Duration = std::time::Duration::from_millis(100);
/// Bytes per read.
const READ_LEN: usize = 16 * 1024;
/// Reads per wake-up.
const READS_MAX: usize = 4;
/// Bytes waiting in one direction of a spliced stream before its sender is held back.
pub(super) const SPLICE_HIGH: usize = 256 * 1024;
/// Answers and stream bytes are kept even over the queue limit, up to this many times it; then the client is given up.
const CONTROL_FACTOR: usize = 4;

/// A client's TCP or TLS connection.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    tls: Option<Box<rustls::ServerConnection>>,
    pub(super) five_tuple: FiveTuple,
    pub(super) mode: Mode,
    /// A STUN message came: what follows may be ChannelData, too.
    speaks_turn: bool,
    /// Plaintext not yet framed, from `inbox_at` on.
    inbox: Vec<u8>,
    inbox_at: usize,
    queue: VecDeque<Queued>,
    queued_len: usize,
    /// Bytes of the queue's front that are out already.
    front_sent: usize,
    interest: Interest,
    last_heard: Instant,
    /// The client will send no more.
    pub(super) read_closed: bool,
    /// The peer's buffer is full.
    pub(super) held_back: bool,
    /// The bandwidth limit says wait.
    pub(super) rate_paused: bool,
    /// Shut our side down once the queue is empty.
    pub(super) finishing: bool,
    write_shut: bool,
}

/// What a connection's bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// A PROXY header comes first.
    Proxy,
    /// TURN frames.
    Framed,
    /// The raw bytes of a peer connection (RFC 6062 §5.4).
    Spliced(ConnectionId),
}

#[derive(Debug)]
struct Queued {
    bytes: Vec<u8>,
    weight: Weight,
    at: Instant,
}

impl Shard {
    /// A TCP listener has connections.
    pub(super) fn accept(&mut self, now: Now, index: usize) {
        for _ in 0..ACCEPTS_MAX {
            let Some(listener) = self.listeners.tcp.get(index) else { return };
            let (tls, local) = (listener.tls, listener.local);
            let (stream, client) = match listener.socket.accept() {
                Ok(accepted) => accepted,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
                Err(_) => return self.rest_listener(now, index),
            };
            let max = u64::from(self.shared.limits.load().tcp_connections_max);
            if self.shared.connections.fetch_add(1, Ordering::Relaxed) >= max {
                self.shared.connections.fetch_sub(1, Ordering::Relaxed);
                self.count_drop(DropReason::ConnectionLimit, 1);
                continue;
            }
            if self.open_stream(now, stream, client, local, tls).is_err() {
                self.shared.connections.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }

    /// Out of descriptors: the listener rests until the next sweep, or it would be reported without end.
    fn rest_listener(&mut self, now: Now, index: usize) {
        if let Some(listener) = self.listeners.tcp.get(index)
            && self.epoll.modify(&listener.socket, Token::Tcp(index).bits(), Interest::None).is_ok()
        {
            self.next_sweep = self.next_sweep.min(now.mono + ACCEPT_REST);
            self.resting_listeners.push(index);
        }
    }

    fn wake_listeners(&mut self) {
        for index in std::mem::take(&mut self.resting_listeners) {
            if let Some(listener) = self.listeners.tcp.get(index) {
                // Fails only for a descriptor that is not watched.
                drop(self.epoll.modify(&listener.socket, Token::Tcp(index).bits(), Interest::Read));
            }
        }
    }

    fn open_stream(
        &mut self,
        now: Now,
        stream: TcpStream,
        client: SocketAddr,
        local: SocketAddr,
        tls: bool,
    ) -> io::Result<()> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        let server = stream.local_addr().unwrap_or(local);
        let tls = match (tls, &self.tls) {
            (false, _) => None,
            (true, Some(config)) => {
                let connection = rustls::ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
                Some(Box::new(connection))
            }
            (true, None) => return Err(io::ErrorKind::Unsupported.into()),
        };
        let transport = if tls.is_some() { ClientTransport::Tls } else { ClientTransport::Tcp };
        let entry = self.connections.vacant_entry();
        self.epoll.add(&stream, Token::Stream(entry.key()).bits(), Interest::Read)?;
        entry.insert(Connection {
            stream,
            tls,
            five_tuple: FiveTuple { transport, client, server },
            mode: if self.proxy_protocol { Mode::Proxy } else { Mode::Framed },
            speaks_turn: false,
            inbox: Vec::new(),
            inbox_at: 0,
            queue: VecDeque::new(),
            queued_len: 0,
            front_sent: 0,
            interest: Interest::Read,
            last_heard: now.mono,
            read_closed: false,
            held_back: false,
            rate_paused: false,
            finishing: false,
            write_shut: false,
        });
        Ok(())
    }

    /// Takes a connection over from another shard.
    pub(super) fn adopt(&mut self, now: Now, mut connection: Connection, message: &[u8]) {
        let entry = self.connections.vacant_entry();
        let key = entry.key();
        connection.interest = Interest::Read;
        if self.epoll.add(&connection.stream, Token::Stream(key).bits(), Interest::Read).is_err() {
            self.shared.connections.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        let client = ClientLeg { five_tuple: connection.five_tuple, leg: Leg::Stream(key).id() };
        entry.insert(connection);
        self.client_message(now, client, message);
        self.take_inbox(now, key);
    }

    /// Gives a connection away; unread bytes go with it.
    pub(super) fn release_connection(&mut self, key: usize) -> Option<Connection> {
        let connection = self.connections.try_remove(key)?;
        if self.epoll.remove(&connection.stream).is_err() {
            self.shared.connections.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(connection)
    }

    pub(super) fn stream_ready(&mut self, now: Now, key: usize, event: Event) {
        if event.writable {
            self.flush_stream(now, key);
        }
        if event.readable || event.hangup || event.error {
            self.read_stream(now, key, event.hangup || event.error);
        }
        self.drain(now);
    }

    fn read_stream(&mut self, now: Now, key: usize, hangup: bool) {
        let mut room = [0; READ_LEN];
        for _ in 0..READS_MAX {
            let Some(connection) = self.connections.get_mut(key) else { return };
            if connection.read_closed || connection.held_back || connection.rate_paused {
                // Only a hang-up can have brought us here.
                if hangup {
                    self.close_stream(key);
                }
                return;
            }
            match connection.stream.read(&mut room) {
                Ok(0) => return self.stream_ended(now, key),
                Ok(n) => {
                    connection.last_heard = now.mono;
                    let bytes = room.get(..n).unwrap_or_default();
                    if !self.take_bytes(now, key, bytes) {
                        return self.close_stream(key);
                    }
                    if n < READ_LEN {
                        return;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return self.close_stream(key),
            }
        }
    }

    /// Bytes off the wire; false when the connection cannot go on.
    fn take_bytes(&mut self, now: Now, key: usize, bytes: &[u8]) -> bool {
        let Some(connection) = self.connections.get_mut(key) else { return true };
        if connection.mode == Mode::Proxy {
            connection.inbox.extend_from_slice(bytes);
            match proxy_protocol::parse(&connection.inbox) {
                Header::Incomplete => return true,
                Header::Invalid => {
                    self.count_drop(DropReason::Malformed, 1);
                    return false;
                }
                Header::Complete { len, client } => {
                    let rest = connection.inbox.split_off(len);
                    connection.inbox.clear();
                    connection.mode = Mode::Framed;
                    if let Some(client) = client {
                        connection.five_tuple.client = client;
                    }
                    return rest.is_empty() || self.take_bytes(now, key, &rest);
                }
            }
        }
        match &mut connection.tls {
            None => connection.inbox.extend_from_slice(bytes),
            Some(tls) => {
                let decrypted = decrypt(tls, bytes, &mut connection.inbox);
                let closed = !matches!(decrypted, Ok(false));
                // Handshake records, alerts and key updates wait in rustls.
                self.flush_stream(now, key);
                if closed {
                    self.take_inbox(now, key);
                    if decrypted.is_ok() {
                        self.stream_ended(now, key);
                        return true;
                    }
                    return false;
                }
            }
        }
        self.take_inbox(now, key)
    }

    /// Frames in the inbox to the core, or raw bytes to the peer; false when the stream makes no sense.
    fn take_inbox(&mut self, now: Now, key: usize) -> bool {
        loop {
            let Some(connection) = self.connections.get_mut(key) else { return true };
            let rest = connection.inbox.get(connection.inbox_at..).unwrap_or_default();
            if let Mode::Spliced(id) = connection.mode {
                let bytes = rest.to_vec();
                connection.inbox.clear();
                connection.inbox_at = 0;
                if !bytes.is_empty() {
                    self.splice_to_peer(now, id, key, &bytes);
                }
                return true;
            }
            // Without an allocation there is no channel: a stream begins with STUN. To the framing, the letters of an HTTP
            // request are a channel number and a length, and it would wait for the rest.
            if !connection.speaks_turn && !rest.is_empty() && classify(rest) != Kind::Stun {
                self.count_drop(DropReason::NotTurn, 1);
                return false;
            }
            let (len, advance) = match frame(rest) {
                Frame::Incomplete { .. } => {
                    connection.inbox.drain(..connection.inbox_at);
                    connection.inbox_at = 0;
                    if connection.inbox.is_empty() {
                        connection.inbox.shrink_to(2048);
                    }
                    return true;
                }
                Frame::Stun { len } => (len, len),
                Frame::ChannelData { len, padded_len } => (len, padded_len),
                Frame::Invalid => {
                    self.count_drop(DropReason::Malformed, 1);
                    return false;
                }
            };
            let message = rest.get(..len).unwrap_or_default().to_vec();
            connection.inbox_at += advance;
            connection.speaks_turn = true;
            let client = ClientLeg { five_tuple: connection.five_tuple, leg: Leg::Stream(key).id() };
            self.client_message(now, client, &message);
        }
    }

    fn stream_ended(&mut self, now: Now, key: usize) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        let Mode::Spliced(id) = connection.mode else { return self.close_stream(key) };
        connection.read_closed = true;
        self.watch_stream(key);
        self.peer_finish(now, id);
    }

    /// Queues a message and writes what the socket takes.
    pub(super) fn stream_send(&mut self, now: Now, key: usize, five_tuple: FiveTuple, message: &[u8], weight: Weight) {
        let limits = **self.shared.limits.load();
        let Some(connection) = self.connections.get_mut(key).filter(|c| c.five_tuple == five_tuple) else { return };
        connection.queue.push_back(Queued { bytes: message.to_vec(), weight, at: now.mono });
        connection.queued_len += message.len();
        let dropped =
            connection.drop_old_data(limits.tcp_write_queue_bytes, now.mono.checked_sub(limits.tcp_write_queue_age));
        let over = connection.queued_len > limits.tcp_write_queue_bytes.max(SPLICE_HIGH) * CONTROL_FACTOR;
        self.count_drop(DropReason::SlowReader, dropped);
        if over {
            self.close_stream(key);
            return;
        }
        self.flush_stream(now, key);
    }

    /// Writes until the queue is empty or the socket full.
    pub(super) fn flush_stream(&mut self, now: Now, key: usize) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        if connection.flush().is_err() {
            return self.close_stream(key);
        }
        let room = connection.queued_len < SPLICE_HIGH / 2;
        let mode = connection.mode;
        self.watch_stream(key);
        if room && let Mode::Spliced(id) = mode {
            self.peer_may_go_on(now, id);
        }
    }

    /// Tells epoll what the connection waits for.
    pub(super) fn watch_stream(&mut self, key: usize) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        let read = !connection.read_closed && !connection.held_back && !connection.rate_paused;
        let interest = match (read, connection.wants_write()) {
            (true, true) => Interest::ReadWrite,
            (true, false) => Interest::Read,
            (false, true) => Interest::Write,
            (false, false) => Interest::None,
        };
        if interest == connection.interest {
            return;
        }
        connection.interest = interest;
        if self.epoll.modify(&connection.stream, Token::Stream(key).bits(), interest).is_err() {
            self.close_stream(key);
        }
    }

    /// Forgets a connection; the core hears of it with the next drain.
    pub(super) fn close_stream(&mut self, key: usize) {
        let Some(connection) = self.connections.try_remove(key) else { return };
        self.shared.connections.fetch_sub(1, Ordering::Relaxed);
        if let Mode::Spliced(id) = connection.mode {
            self.forget_peer(id);
        }
        let client = ClientLeg { five_tuple: connection.five_tuple, leg: Leg::Stream(key).id() };
        self.followups.push_back(Followup::ClientClosed(client));
    }

    /// How many bytes wait for the client.
    pub(super) fn stream_backlog(&self, key: usize) -> usize {
        self.connections.get(key).map_or(0, |c| c.queued_len)
    }

    /// Connections and associations that hold no allocation and have been silent for too long are closed.
    pub(super) fn close_idle(&mut self, now: Now) {
        self.wake_listeners();
        let Some(silent_since) = now.mono.checked_sub(self.shared.limits.load().idle_timeout) else { return };
        // A spliced connection lives as long as its peer; without one it only has its last bytes to write.
        let spliced = |c: &Connection| matches!(c.mode, Mode::Spliced(id) if self.peers.contains_key(&id.0));
        let idle = |c: &Connection| {
            c.last_heard < silent_since && !spliced(c) && self.has_no_allocation(now, &c.five_tuple, c.last_heard)
        };
        let keys: Vec<usize> = self.connections.iter().filter(|(_, c)| idle(c)).map(|(key, _)| key).collect();
        for key in keys {
            self.close_stream(key);
        }
        for key in self.idle_associations(now, silent_since) {
            self.close_association(key);
        }
        self.drain(now);
    }

    /// Whether a client that was last heard then has no allocation, here or on another shard. There it can have none any
    /// more when it has sent no Refresh for the longest lifetime.
    pub(super) fn has_no_allocation(&self, now: Now, client: &FiveTuple, last_heard: Instant) -> bool {
        let routed = self.forwarded.to(client).is_some();
        let silent = now.mono.saturating_duration_since(last_heard);
        !(self.core.has_allocation(client) || routed && silent <= self.core.lifetime_max())
    }
}

impl Connection {
    /// What protects it, once that is agreed.
    pub(super) fn security(&self) -> Option<ClientSecurity> {
        self.tls.as_deref().and_then(security::of_tls)
    }

    fn wants_write(&self) -> bool {
        !self.queue.is_empty() || self.tls.as_ref().is_some_and(|tls| tls.wants_write())
    }

    /// Drops data packets that are too old, then the oldest while there are too many bytes; how many.
    fn drop_old_data(&mut self, bytes_max: usize, oldest: Option<Instant>) -> u64 {
        let mut dropped = 0;
        let mut index = usize::from(self.front_sent > 0);
        while let Some(queued) = self.queue.get(index) {
            let stale = oldest.is_some_and(|oldest| queued.at < oldest);
            if !stale && self.queued_len <= bytes_max {
                break;
            }
            if queued.weight != Weight::Data || index + 1 == self.queue.len() {
                index += 1;
                continue;
            }
            if let Some(gone) = self.queue.remove(index) {
                self.queued_len -= gone.bytes.len();
                dropped += 1;
            }
        }
        dropped
    }

    fn flush(&mut self) -> io::Result<()> {
        loop {
            if let Some(tls) = &mut self.tls {
                while tls.wants_write() {
                    match tls.write_tls(&mut self.stream) {
                        Ok(_) => {}
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                        Err(error) => return Err(error),
                    }
                }
                if tls.is_handshaking() {
                    return Ok(());
                }
            }
            let Some(front) = self.queue.front() else { return self.finish() };
            match &mut self.tls {
                Some(tls) => {
                    tls.writer().write_all(&front.bytes)?;
                    self.pop_front();
                }
                None => match self.stream.write(front.bytes.get(self.front_sent..).unwrap_or_default()) {
                    Ok(n) => {
                        self.front_sent += n;
                        if self.front_sent >= front.bytes.len() {
                            self.pop_front();
                        }
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                    Err(error) => return Err(error),
                },
            }
        }
    }

    fn pop_front(&mut self) {
        if let Some(front) = self.queue.pop_front() {
            self.queued_len -= front.bytes.len();
        }
        self.front_sent = 0;
    }

    /// Says that nothing more will come, once everything is out.
    fn finish(&mut self) -> io::Result<()> {
        if !self.finishing || self.write_shut {
            return Ok(());
        }
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
            // A full socket drops the notice; the shutdown says the same.
            drop(tls.write_tls(&mut self.stream));
        }
        self.write_shut = true;
        self.stream.shutdown(Shutdown::Write)
    }
}

/// Feeds TLS records and takes the plaintext; true when the client closed the session.
fn decrypt(
    tls: &mut rustls::ServerConnection,
    mut bytes: &[u8],
    plaintext: &mut Vec<u8>,
) -> Result<bool, rustls::Error> {
    let mut closed = false;
    while !bytes.is_empty() {
        // Reading from a slice cannot fail; a full rustls buffer is emptied below.
        if !matches!(tls.read_tls(&mut bytes), Ok(n) if n > 0) {
            break;
        }
        let state = tls.process_new_packets()?;
        closed |= state.peer_has_closed();
        let start = plaintext.len();
        plaintext.resize(start + state.plaintext_bytes_to_read(), 0);
        let mut at = start;
        while let Some(room) = plaintext.get_mut(at..).filter(|room| !room.is_empty()) {
            match tls.reader().read(room) {
                Ok(n) if n > 0 => at += n,
                _ => break,
            }
        }
        plaintext.truncate(at);
    }
    Ok(closed)
}
