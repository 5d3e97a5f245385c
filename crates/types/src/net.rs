//! Addresses by role. A bare `SocketAddr` never says whose address it is; these types do.

use std::{
    fmt,
    hash::{Hash, Hasher},
    net::{IpAddr, SocketAddr},
};

/// How a client reaches the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ClientTransport {
    /// Plain datagrams.
    Udp,
    /// A plain TCP connection.
    Tcp,
    /// TLS over TCP.
    Tls,
    /// DTLS over UDP (RFC 7350).
    Dtls,
}

impl ClientTransport {
    /// Whether one receive is one message (UDP, DTLS) rather than a byte stream that needs framing.
    #[must_use]
    pub const fn is_datagram(self) -> bool {
        matches!(self, Self::Udp | Self::Dtls)
    }

    /// Lower-case name as used in logs, metrics and events.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Dtls => "dtls",
        }
    }
}

impl fmt::Display for ClientTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How the relay reaches peers: REQUESTED-TRANSPORT 17 or 6 (RFC 8656 §18.8, RFC 6062 §4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RelayTransport {
    /// Datagrams between relay and peers.
    Udp,
    /// TCP connections between relay and peers.
    Tcp,
}

/// IPv4 or IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AddressFamily {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl AddressFamily {
    /// The family of `ip` as written; a v4-mapped IPv6 address is [`AddressFamily::V6`].
    #[must_use]
    pub const fn of(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }
}

/// Names one TURN client: its address, ours, and the transport between them (RFC 8656 §3.2).
///
/// `client` is the address as the server sees it, after any NAT; `server` is the local address the client sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FiveTuple {
    /// Transport between client and server.
    pub transport: ClientTransport,
    /// The client's address as received.
    pub client: SocketAddr,
    /// The server address the client used.
    pub server: SocketAddr,
}

impl Hash for FiveTuple {
    /// In three words: a table is asked for each packet, and what is derived takes a dozen steps.
    fn hash<H: Hasher>(&self, state: &mut H) {
        let ip = |address: SocketAddr| match address.ip() {
            IpAddr::V4(ip) => u128::from(ip.to_bits()),
            IpAddr::V6(ip) => ip.to_bits(),
        };
        let ports = u64::from(self.client.port()) << 16 | u64::from(self.server.port());
        state.write_u64(ports << 8 | self.transport as u64);
        state.write_u128(ip(self.client));
        state.write_u128(ip(self.server));
    }
}

impl fmt::Display for FiveTuple {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} -> {}", self.transport, self.client, self.server)
    }
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher, RandomState};

    use super::*;

    #[test]
    fn every_part_of_a_five_tuple_is_in_its_hash() {
        let one: SocketAddr = "192.0.2.1:7".parse().unwrap();
        let base = FiveTuple { transport: ClientTransport::Udp, client: one, server: one };
        let mut others = vec![FiveTuple { transport: ClientTransport::Tcp, ..base }];
        for address in ["192.0.2.2:7", "192.0.2.1:8", "[2001:db8::1]:7", "[2001:db8:1::]:7"] {
            let address = address.parse().unwrap();
            others.extend([FiveTuple { client: address, ..base }, FiveTuple { server: address, ..base }]);
        }
        let state = RandomState::new();
        let hash = |five_tuple: &FiveTuple| state.hash_one(five_tuple);
        let same = base;
        assert_eq!(hash(&base), hash(&same));
        for other in others {
            assert_ne!(hash(&base), hash(&other), "{other}");
        }
    }
}
