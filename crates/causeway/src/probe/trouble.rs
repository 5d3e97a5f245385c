//! What can go wrong in a step, before it is put into words.

use std::io;

use causeway_turn_client::Outcome;

/// Why a step failed.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The socket said so.
    Io(io::Error),
    /// The TLS handshake or connection failed.
    Tls(rustls::Error),
    /// The DTLS handshake or association failed; dimpl's words.
    Dtls(String),
    /// The certificate shown over DTLS is not believed.
    DtlsCertificate(rustls::Error),
    /// The TLS or DTLS handshake got no answer.
    HandshakeSilence,
    /// The server closed the connection.
    Closed,
    /// What came over the stream is not TURN.
    NotTurn,
    /// The server's answer.
    Outcome(Outcome),
    /// Data of this many bytes did not arrive.
    NoData {
        /// Payload bytes.
        len: usize,
        /// What did arrive instead was something else, or nothing.
        garbled: bool,
    },
}

impl Trouble {
    /// Whether this machine cannot send to the address at all, as many cannot over IPv6.
    pub(super) fn is_no_route(&self) -> bool {
        const ADDRESS_FAMILY_NOT_SUPPORTED: i32 = 97;
        let Self::Io(error) = self else { return false };
        matches!(error.kind(), io::ErrorKind::NetworkUnreachable | io::ErrorKind::AddrNotAvailable)
            || error.raw_os_error() == Some(ADDRESS_FAMILY_NOT_SUPPORTED)
    }

    /// An error of a TLS stream: rustls wraps its own into `io::Error`.
    pub(super) fn of_tls(error: io::Error) -> Self {
        match error.downcast::<rustls::Error>() {
            Ok(error) => Self::Tls(error),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Self::Closed,
            Err(error) => Self::Io(error),
        }
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
