//! DTLS associations (RFC 7350), on the UDP side of TLS listeners.

mod cookie;
mod first_flight;
mod hello;

use std::{
    io::IoSlice,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use causeway_turn_core::{ClientLeg, DropReason};
use causeway_types::{ClientSecurity, ClientTransport, FiveTuple, Now};
use dimpl::{Dtls, DtlsCertificate, Output};

pub(crate) use first_flight::Doorkeeper;

use self::{
    cookie::{Cookie, expecting},
    first_flight::{FirstFlight, Proven, Version},
    hello::ClientHello,
};
use super::{Shard, outputs::Followup};
use crate::{leg::Leg, security};

/// Room for the largest record dimpl hands out.
const RECORD_MAX: usize = 18_000;

/// Largest payload of a record (RFC 6347 §4.1, RFC 9147 §4.1).
const PAYLOAD_MAX: usize = 16_384;

/// How long a handshake may take: it holds one of `dtls_handshakes_max` places while it lasts.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// TURN clients have no certificates, so none is asked for.
pub(super) fn config() -> Result<dimpl::Config, dimpl::Error> {
    dimpl::Config::builder()
        .with_crypto_provider(cookie::provider())
        .require_client_certificate(false)
        .handshake_timeout(HANDSHAKE_TIMEOUT)
        .max_queue_tx(32)
        .build()
}

/// One client's DTLS state.
pub(crate) struct Association {
    dtls: Dtls,
    listener: usize,
    five_tuple: FiveTuple,
    /// What its client proved its address with.
    cookie: Cookie,
    /// See [`Proven::record_offset`].
    record_offset: u64,
    connected: bool,
    /// The cipher suite of our latest ServerHello.
    suite: Option<u16>,
    timer: Instant,
    last_heard: Instant,
}

impl Association {
    /// What protects it.
    pub(super) fn security(&self) -> Option<ClientSecurity> {
        security::of_dtls(&self.dtls, self.suite)
    }
}

/// What pumping an association brought.
#[derive(Default)]
struct Pumped {
    records: Vec<Vec<u8>>,
    messages: Vec<Vec<u8>>,
    closed: bool,
}

impl Shard {
    /// A datagram whose first byte says DTLS.
    pub(super) fn dtls_datagram(
        &mut self,
        now: Now,
        listener: usize,
        from: SocketAddr,
        server: SocketAddr,
        bytes: &[u8],
    ) {
        let known = self.association_by_client.get(&(listener, from)).copied();
        // Anybody can write a ClientHello with somebody else's address on it: what is connected stays so until a client
        // at that address has answered (RFC 6347 §4.2.8).
        let connected = |key: &usize| self.associations.get(*key).is_some_and(|a| a.connected);
        let key = match known.filter(|key| !(connected(key) && ClientHello::is_at(bytes))) {
            Some(key) => key,
            None => match self.first_flight(now, listener, from, server, bytes) {
                Some(key) => key,
                None => return,
            },
        };
        let Some(association) = self.associations.get_mut(key) else { return };
        association.last_heard = now.mono;
        let failed = !association.feed(now.mono, bytes);
        self.pump(now, key, failed);
    }

    /// A ClientHello of a client without association: answered with nothing kept, or the opening of one.
    fn first_flight(
        &mut self,
        now: Now,
        listener: usize,
        client: SocketAddr,
        server: SocketAddr,
        bytes: &[u8],
    ) -> Option<usize> {
        let judged = self.doorkeeper.judge(now.mono, client, bytes);
        let reason = match &judged {
            FirstFlight::Malformed => Some(DropReason::Malformed),
            FirstFlight::BadCookie => Some(DropReason::DtlsCookie),
            FirstFlight::Answer(_) | FirstFlight::Proven(_) => None,
        };
        if let Some(reason) = reason {
            self.count_drop(reason, 1);
            return None;
        }
        if !self.core.allow_unauthenticated_reply(now, client.ip()) {
            return None;
        }
        match judged {
            FirstFlight::Answer(answer) => {
                let socket = self.listeners.udp.get(listener).map(|l| &l.socket)?;
                let sent = socket.send(client, Some(server.ip()), &[IoSlice::new(&answer)], None);
                self.count_drop(DropReason::SendFailed, u64::from(sent.is_err()));
                None
            }
            FirstFlight::Proven(proven) => self.open_association(now, listener, client, server, proven),
            FirstFlight::Malformed | FirstFlight::BadCookie => None,
        }
    }

    /// Only a client that received our cookie gets here, and only while handshakes and associations are under their
    /// limits. An association it had before is gone.
    fn open_association(
        &mut self,
        now: Now,
        listener: usize,
        client: SocketAddr,
        server: SocketAddr,
        proven: Proven,
    ) -> Option<usize> {
        if let Some(&old) = self.association_by_client.get(&(listener, client)) {
            if self.associations.get(old).is_some_and(|a| a.cookie == proven.cookie) {
                // A late copy of the hello that opened it.
                return None;
            }
            self.close_association(old);
            self.drain(now);
        }
        let limits = self.shared.limits.load();
        let handshakes_max = usize::try_from(limits.dtls_handshakes_max).unwrap_or(usize::MAX);
        let associations_max = usize::try_from(limits.dtls_associations_max).unwrap_or(usize::MAX);
        if self.dtls_handshakes >= handshakes_max || self.associations.len() >= associations_max {
            self.count_drop(DropReason::DtlsLimit, 1);
            return None;
        }
        let identity = self.dtls_identity.as_ref()?;
        let certificate =
            DtlsCertificate { certificate: identity.certificate.clone(), private_key: identity.private_key.clone() };
        let config = Arc::clone(&self.dtls_config);
        let mut association = Association {
            dtls: match proven.version {
                Version::Dtls12 => Dtls::new_12(config, certificate, now.mono),
                Version::Dtls13 => Dtls::new_13(config, certificate, now.mono),
            },
            listener,
            five_tuple: FiveTuple { transport: ClientTransport::Dtls, client, server },
            cookie: proven.cookie,
            record_offset: proven.record_offset,
            connected: false,
            suite: None,
            timer: now.mono,
            last_heard: now.mono,
        };
        if !association.prime(now.mono, &proven.primer) {
            self.count_drop(DropReason::Malformed, 1);
            return None;
        }
        let key = self.associations.insert(association);
        self.dtls_handshakes += 1;
        self.association_by_client.insert((listener, client), key);
        Some(key)
    }

    pub(super) fn dtls_timeout(&mut self, now: Now, key: usize) {
        let Some(association) = self.associations.get_mut(key) else { return };
        let failed = association.dtls.handle_timeout(now.mono).is_err();
        self.pump(now, key, failed);
    }

    pub(super) fn dtls_send(&mut self, now: Now, key: usize, five_tuple: FiveTuple, message: &[u8]) {
        if message.len() > PAYLOAD_MAX {
            return self.count_drop(DropReason::TooLarge, 1);
        }
        let Some(association) = self.associations.get_mut(key).filter(|a| a.five_tuple == five_tuple) else { return };
        let failed = association.dtls.send_application_data(message).is_err();
        self.pump(now, key, failed);
    }

    /// Takes everything dimpl has: records go out at once, messages to the core once the association is at rest.
    fn pump(&mut self, now: Now, key: usize, failed: bool) {
        let mut pumped = Pumped { closed: failed, ..Pumped::default() };
        let Some(association) = self.associations.get_mut(key) else { return };
        let mut room = vec![0; RECORD_MAX];
        let due = loop {
            match association.dtls.poll_output(&mut room) {
                Output::Packet(packet) => {
                    if !association.connected {
                        association.suite = security::suite_of_server_hello(packet).or(association.suite);
                    }
                    let mut datagram = packet.to_vec();
                    if association.record_offset > 0 {
                        first_flight::renumber(&mut datagram, association.record_offset);
                    }
                    pumped.records.push(datagram);
                }
                Output::ApplicationData(message) => pumped.messages.push(message.to_vec()),
                Output::Connected => {
                    // Said once per association.
                    association.connected = true;
                    self.dtls_handshakes = self.dtls_handshakes.saturating_sub(1);
                }
                Output::CloseNotify => pumped.closed = true,
                Output::BufferTooSmall { needed } => room.resize(needed, 0),
                Output::Timeout(at) => break at,
                // No client certificate is asked for and no keys are exported.
                Output::PeerCert(_) | Output::KeyingMaterial(..) | _ => {}
            }
        };
        self.dtls_timers.remove(&(association.timer, key));
        association.timer = due;
        let (listener, five_tuple) = (association.listener, association.five_tuple);
        if !pumped.closed {
            self.dtls_timers.insert((due, key));
        }
        let udp = ClientLeg { five_tuple, leg: Leg::Udp(listener).id() };
        for record in pumped.records {
            self.send_to_client(now, udp, &record, super::client_out::Weight::Control);
        }
        let client = ClientLeg { five_tuple, leg: Leg::Dtls(key).id() };
        for message in pumped.messages {
            self.client_message(now, client, &message);
        }
        if pumped.closed {
            self.close_association(key);
            self.drain(now);
        }
    }

    /// Forgets an association; the core hears of it with the next drain.
    pub(super) fn close_association(&mut self, key: usize) {
        let Some(association) = self.associations.try_remove(key) else { return };
        if !association.connected {
            self.dtls_handshakes = self.dtls_handshakes.saturating_sub(1);
        }
        self.dtls_timers.remove(&(association.timer, key));
        self.association_by_client.remove(&(association.listener, association.five_tuple.client));
        let client = ClientLeg { five_tuple: association.five_tuple, leg: Leg::Dtls(key).id() };
        self.followups.push_back(Followup::ClientClosed(client));
    }

    /// Associations that hold no allocation and have been silent for too long.
    pub(super) fn idle_associations(&self, now: Now, silent_since: Instant) -> Vec<usize> {
        let idle =
            |a: &Association| a.last_heard < silent_since && self.has_no_allocation(now, &a.five_tuple, a.last_heard);
        self.associations.iter().filter(|(_, a)| idle(a)).map(|(key, _)| key).collect()
    }
}

impl Association {
    /// Gives the library a datagram; false when the association cannot go on.
    fn feed(&mut self, now: Instant, bytes: &[u8]) -> bool {
        let cookie = (!self.connected).then_some(self.cookie);
        // dimpl reads its clock from the latest timeout call; the packet comes after it.
        expecting(cookie, || self.dtls.handle_timeout(now).and_then(|()| self.dtls.handle_packet(bytes))).is_ok()
    }

    /// Shows the library the flight that was answered without it, and throws its own answer away.
    fn prime(&mut self, now: Instant, primer: &[u8]) -> bool {
        let fed = self.feed(now, primer);
        let mut room = vec![0; RECORD_MAX];
        while !matches!(self.dtls.poll_output(&mut room), Output::Timeout(_)) {}
        fed
    }
}
