//! One connection to the server: blocking sockets with a limit on every wait.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket},
    time::{Duration, Instant},
};

use causeway_types::ClientTransport;
use rustls::{
    ClientConnection, StreamOwned,
    pki_types::{CertificateDer, ServerName},
};

use super::{dtls::DtlsLink, trouble::Trouble, trust::Trust};

/// Larger than any datagram or TLS record.
const ROOM: usize = 66_000;

/// Whom to connect to, and how.
#[derive(Clone, Debug)]
pub(super) struct Destination {
    pub(super) transport: ClientTransport,
    pub(super) server: SocketAddr,
    /// For SNI and the certificate.
    pub(super) name: ServerName<'static>,
    pub(super) trust: Trust,
    /// Intermediate certificates seen over TLS, for DTLS.
    pub(super) intermediates: Vec<CertificateDer<'static>>,
    /// How long a step may take.
    pub(super) timeout: Duration,
}

/// An open connection.
pub(super) enum Link {
    Udp(UdpSocket),
    Tcp(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
    Dtls(Box<DtlsLink>),
}

/// What a wait brought.
pub(super) enum Incoming {
    /// A datagram, or the next bytes of the stream.
    Bytes(Vec<u8>),
    /// Nothing in time.
    Silence,
    /// The server has closed.
    Closed,
}

impl Link {
    pub(super) fn open(to: &Destination) -> Result<Self, Trouble> {
        match to.transport {
            ClientTransport::Udp => Ok(Self::Udp(udp(to.server)?)),
            ClientTransport::Tcp => Ok(Self::Tcp(tcp(to)?)),
            ClientTransport::Tls => tls(to).map(|stream| Self::Tls(Box::new(stream))),
            ClientTransport::Dtls => {
                DtlsLink::connect(udp(to.server)?, to).map(|association| Self::Dtls(Box::new(association)))
            }
        }
    }

    /// What the server showed behind its own certificate, over TLS.
    pub(super) fn intermediates(&self) -> Vec<CertificateDer<'static>> {
        let Self::Tls(stream) = self else { return Vec::new() };
        let shown = stream.conn.peer_certificates().unwrap_or_default();
        shown.iter().skip(1).map(|certificate| certificate.clone().into_owned()).collect()
    }

    pub(super) fn send(&mut self, bytes: &[u8]) -> Result<(), Trouble> {
        match self {
            Self::Udp(socket) => socket.send(bytes).map(|_| ())?,
            Self::Tcp(stream) => stream.write_all(bytes)?,
            Self::Tls(stream) => stream.write_all(bytes).and_then(|()| stream.flush()).map_err(Trouble::of_tls)?,
            Self::Dtls(association) => association.send(bytes)?,
        }
        Ok(())
    }

    /// Waits until something comes, at most until `until`.
    pub(super) fn receive(&mut self, until: Instant) -> Result<Incoming, Trouble> {
        let mut room = vec![0; ROOM];
        let wait = Some(wait_until(until));
        let read = match self {
            Self::Udp(socket) => {
                socket.set_read_timeout(wait)?;
                // An empty datagram is not the end of anything.
                return match socket.recv(&mut room) {
                    Ok(len) => Ok(Incoming::Bytes(taken(room, len))),
                    Err(error) => silence(error),
                };
            }
            Self::Tcp(stream) => {
                stream.set_read_timeout(wait)?;
                stream.read(&mut room)
            }
            Self::Tls(stream) => {
                stream.sock.set_read_timeout(wait)?;
                stream.read(&mut room)
            }
            Self::Dtls(association) => return association.receive(until),
        };
        match read {
            Ok(0) => Ok(Incoming::Closed),
            Ok(len) => Ok(Incoming::Bytes(taken(room, len))),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(Incoming::Closed),
            Err(error) => silence(error),
        }
    }
}

/// A timeout for a socket; zero would mean none.
pub(super) fn wait_until(until: Instant) -> Duration {
    until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1))
}

fn taken(mut room: Vec<u8>, len: usize) -> Vec<u8> {
    room.truncate(len);
    room
}

pub(super) fn silence(error: io::Error) -> Result<Incoming, Trouble> {
    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted) {
        return Ok(Incoming::Silence);
    }
    Err(Trouble::of_tls(error))
}

pub(super) fn udp(server: SocketAddr) -> io::Result<UdpSocket> {
    let any = match server {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    let socket = UdpSocket::bind(any)?;
    // Connected, so that a closed port is heard of.
    socket.connect(server)?;
    Ok(socket)
}

fn tcp(to: &Destination) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&to.server, to.timeout)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(to.timeout))?;
    stream.set_write_timeout(Some(to.timeout))?;
    Ok(stream)
}

fn tls(to: &Destination) -> Result<StreamOwned<ClientConnection, TcpStream>, Trouble> {
    let mut socket = tcp(to)?;
    let connection = ClientConnection::new(to.trust.client_config(), to.name.clone());
    let mut connection = connection.map_err(Trouble::Tls)?;
    while connection.is_handshaking() {
        match connection.complete_io(&mut socket) {
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return Err(Trouble::HandshakeSilence);
            }
            Err(error) => return Err(Trouble::of_tls(error)),
        }
    }
    Ok(StreamOwned::new(connection, socket))
}
