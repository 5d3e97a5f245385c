//! DTLS associations (RFC 7350), on the UDP side of TLS listeners.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use causeway_turn_core::{ClientLeg, DropReason};
use causeway_types::{ClientSecurity, ClientTransport, FiveTuple, Now};
use dimpl::{Dtls, DtlsCertificate, Output};

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
        .require_client_certificate(false)
        .handshake_timeout(HANDSHAKE_TIMEOUT)
        .max_queue_tx(32)
        .build()
}
/// A plaintext record of DTLS 1.0: alert, fatal, protocol_version (RFC 5246 §7.2). Smaller than any ClientHello.
const PROTOCOL_VERSION_ALERT: [u8; 15] = [21, 0xfe, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 70];

/// One client's DTLS state.
pub(crate) struct Association {
    dtls: Dtls,
    listener: usize,
    five_tuple: FiveTuple,
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
        let Some(key) = known.or_else(|| self.open_association(now, listener, from, server, bytes)) else { return };
        let Some(association) = self.associations.get_mut(key) else { return };
        association.last_heard = now.mono;
        // dimpl reads its clock from the latest timeout call; the packet comes after it.
        let fed = association.dtls.handle_timeout(now.mono).and_then(|()| association.dtls.handle_packet(bytes));
        self.pump(now, key, fed.is_err());
    }

    /// Only a ClientHello opens an association, and only while handshakes and associations are under their limits.
    fn open_association(
        &mut self,
        now: Now,
        listener: usize,
        client: SocketAddr,
        server: SocketAddr,
        bytes: &[u8],
    ) -> Option<usize> {
        const HANDSHAKE: u8 = 22;
        const CLIENT_HELLO: u8 = 1;
        if bytes.first() != Some(&HANDSHAKE) || bytes.get(13) != Some(&CLIENT_HELLO) {
            self.count_drop(DropReason::Malformed, 1);
            return None;
        }
        // client_version, behind the record's and the message's header. DTLS 1.0 (RFC 8996 forbids it) gets an alert, so
        // that a client which has a newer version tries that instead of waiting.
        if bytes.get(25..27) == Some(&[0xfe, 0xff]) {
            if let Some(socket) = self.listeners.udp.get(listener).map(|l| &l.socket) {
                let sent =
                    socket.send(client, Some(server.ip()), &[std::io::IoSlice::new(&PROTOCOL_VERSION_ALERT)], None);
                self.count_drop(DropReason::SendFailed, u64::from(sent.is_err()));
            }
            return None;
        }
        let limits = self.shared.limits.load();
        let handshakes_max = usize::try_from(limits.dtls_handshakes_max).unwrap_or(usize::MAX);
        let associations_max = usize::try_from(limits.dtls_associations_max).unwrap_or(usize::MAX);
        if self.dtls_handshakes >= handshakes_max || self.associations.len() >= associations_max {
            self.count_drop(DropReason::UnauthenticatedRate, 1);
            return None;
        }
        let identity = self.dtls_identity.as_ref()?;
        let certificate =
            DtlsCertificate { certificate: identity.certificate.clone(), private_key: identity.private_key.clone() };
        let five_tuple = FiveTuple { transport: ClientTransport::Dtls, client, server };
        let key = self.associations.insert(Association {
            dtls: Dtls::new_auto(std::sync::Arc::clone(&self.dtls_config), certificate, now.mono),
            listener,
            five_tuple,
            connected: false,
            suite: None,
            timer: now.mono,
            last_heard: now.mono,
        });
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
                Output::Packet(record) => {
                    if !association.connected {
                        association.suite = security::suite_of_server_hello(record).or(association.suite);
                    }
                    pumped.records.push(record.to_vec());
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
    pub(super) fn idle_associations(&self, silent_since: Instant) -> Vec<usize> {
        let idle = |a: &Association| a.last_heard < silent_since && !self.core.has_allocation(&a.five_tuple);
        self.associations.iter().filter(|(_, a)| idle(a)).map(|(key, _)| key).collect()
    }
}
