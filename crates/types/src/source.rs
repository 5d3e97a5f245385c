//! Whom a limit per source address is about.

use std::net::{IpAddr, Ipv6Addr};

/// What one source has of addresses: an IPv4 address, however it is written, or the /64 of an IPv6 one, since whoever has one of
/// these has all of them.
#[must_use]
pub fn source_network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX)).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv4_address_is_one_source_and_so_is_a_network_of_ipv6() {
        for (address, source) in [
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
            ("2001:db8:1:2::", "2001:db8:1:2::"),
        ] {
            assert_eq!(source_network(address.parse().unwrap()).to_string(), source, "{address}");
        }
    }
}
