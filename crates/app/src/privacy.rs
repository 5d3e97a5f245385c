//! What is kept of addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// How much of a client's or peer's address is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum AddressPrivacy {
    /// All of it.
    #[default]
    Keep,
    /// The network: 24 bits of IPv4, 48 of IPv6, and no port.
    Truncate,
    /// Nothing.
    Drop,
}

impl AddressPrivacy {
    /// Every choice.
    pub const ALL: [Self; 3] = [Self::Keep, Self::Truncate, Self::Drop];

    /// As in requests and in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Truncate => "truncate",
            Self::Drop => "drop",
        }
    }

    /// What may be written of an address; empty for nothing.
    #[must_use]
    pub fn shown(self, address: SocketAddr) -> String {
        match self {
            Self::Keep => address.to_string(),
            Self::Truncate => SocketAddr::new(network(address.ip()), 0).to_string(),
            Self::Drop => String::new(),
        }
    }
}

fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(ip) => IpAddr::V4(Ipv4Addr::from_bits(ip.to_bits() & 0xffff_ff00)),
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & (u128::MAX << 80))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_truncated_address_names_a_network_and_a_dropped_one_nothing() {
        for (address, truncated) in [
            ("203.0.113.77:4000", "203.0.113.0:0"),
            ("[::ffff:203.0.113.77]:4000", "203.0.113.0:0"),
            ("[2001:db8:1:2::77]:4000", "[2001:db8:1::]:0"),
        ] {
            let address: SocketAddr = address.parse().expect("an address");
            assert_eq!(AddressPrivacy::Keep.shown(address), address.to_string());
            assert_eq!(AddressPrivacy::Truncate.shown(address), truncated);
            assert_eq!(AddressPrivacy::Drop.shown(address), "");
        }
    }
}
