//! DTLS to the server, with the crate the relay serves it with.

use std::{net::UdpSocket, sync::Arc, time::Instant};

use dimpl::{Config, Dtls, Output, certificate::generate_self_signed_certificate};

use super::{
    link::{Destination, Incoming, silence, wait_until},
    trouble::Trouble,
};

/// Larger than any record.
const ROOM: usize = 18_000;

/// An association whose handshake is done.
pub(super) struct DtlsLink {
    socket: UdpSocket,
    session: Dtls,
    inbox: Vec<Vec<u8>>,
    timer: Instant,
}

/// What pumping the session brought besides records and data.
#[derive(Default)]
struct Pumped {
    connected: bool,
    closed: bool,
    leaf: Option<Vec<u8>>,
}

impl DtlsLink {
    pub(super) fn connect(socket: UdpSocket, to: &Destination) -> Result<Self, Trouble> {
        let dtls = |error: dimpl::Error| Trouble::Dtls(error.to_string());
        let certificate = generate_self_signed_certificate().map_err(|error| Trouble::Dtls(error.to_string()))?;
        let config = Config::builder().handshake_timeout(to.timeout).build().map_err(dtls)?;
        let now = Instant::now();
        let mut session = Dtls::new_auto(Arc::new(config), certificate, now);
        session.set_active(true);
        let mut link = Self { socket, session, inbox: Vec::new(), timer: now };
        let deadline = now + to.timeout;
        link.session.handle_timeout(now).map_err(dtls)?;
        loop {
            let pumped = link.pump()?;
            if let Some(leaf) = pumped.leaf {
                to.trust.verify(&leaf, &to.intermediates, &to.name).map_err(Trouble::DtlsCertificate)?;
            }
            if pumped.connected {
                return Ok(link);
            }
            if pumped.closed {
                return Err(Trouble::Closed);
            }
            if Instant::now() >= deadline {
                return Err(Trouble::HandshakeSilence);
            }
            link.wait(deadline)?;
        }
    }

    pub(super) fn send(&mut self, bytes: &[u8]) -> Result<(), Trouble> {
        self.session.send_application_data(bytes).map_err(|error| Trouble::Dtls(error.to_string()))?;
        self.pump().map(|_| ())
    }

    pub(super) fn receive(&mut self, until: Instant) -> Result<Incoming, Trouble> {
        loop {
            if !self.inbox.is_empty() {
                return Ok(Incoming::Bytes(self.inbox.remove(0)));
            }
            if Instant::now() >= until {
                return Ok(Incoming::Silence);
            }
            self.wait(until)?;
            if self.pump()?.closed {
                return Ok(Incoming::Closed);
            }
        }
    }

    /// One datagram or one timer.
    fn wait(&mut self, until: Instant) -> Result<(), Trouble> {
        let mut room = vec![0; ROOM];
        self.socket.set_read_timeout(Some(wait_until(until.min(self.timer))))?;
        let received = match self.socket.recv(&mut room) {
            Ok(len) => Some(len),
            Err(error) => silence(error).map(|_| None)?,
        };
        let mut fed = self.session.handle_timeout(Instant::now());
        if let Some(record) = received.and_then(|len| room.get(..len)) {
            fed = fed.and_then(|()| self.session.handle_packet(record));
        }
        match fed {
            Err(dimpl::Error::Timeout(_)) => Err(Trouble::HandshakeSilence),
            Err(error) => Err(Trouble::Dtls(error.to_string())),
            Ok(()) => Ok(()),
        }
    }

    fn pump(&mut self) -> Result<Pumped, Trouble> {
        let mut pumped = Pumped::default();
        let mut room = vec![0; ROOM];
        loop {
            match self.session.poll_output(&mut room) {
                Output::Packet(record) => {
                    self.socket.send(record)?;
                }
                Output::ApplicationData(data) => self.inbox.push(data.to_vec()),
                Output::Connected => pumped.connected = true,
                Output::PeerCert(leaf) => pumped.leaf = Some(leaf.to_vec()),
                Output::CloseNotify => pumped.closed = true,
                Output::BufferTooSmall { needed } => room.resize(needed, 0),
                Output::Timeout(at) => {
                    self.timer = at;
                    return Ok(pumped);
                }
                // No keys are exported.
                Output::KeyingMaterial(..) | _ => {}
            }
        }
    }
}
