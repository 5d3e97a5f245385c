//! Which addresses the relay has: from the configuration, or from the default routes.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs, UdpSocket},
    ops::RangeInclusive,
};

use causeway_relay::RelayAddress;
use causeway_turn_core::NatDiscoveryGrid;
use causeway_types::{Secret, special_range};

use crate::config::Settings;

/// Where the relay is, and how that came to be known.
#[derive(Clone, Debug)]
pub(crate) struct RelayAddresses {
    pub(crate) addresses: Vec<RelayAddress>,
    /// Taken from the default route rather than from the configuration.
    pub(crate) detected: bool,
}

impl RelayAddresses {
    pub(crate) fn of(settings: &Settings) -> Self {
        if !settings.public_ip.is_empty() {
            let address = |ip: &crate::config::PublicIp| RelayAddress { advertised: ip.public, bound: ip.private };
            return Self { addresses: settings.public_ip.iter().map(address).collect(), detected: false };
        }
        let mut ips: Vec<IpAddr> = [default_route_v4(), default_route_v6()].into_iter().flatten().collect();
        if ips.is_empty() {
            // A machine without any route still relays to itself.
            ips.push(IpAddr::V4(Ipv4Addr::LOCALHOST));
        }
        Self {
            addresses: ips.into_iter().map(|ip| RelayAddress { advertised: ip, bound: ip }).collect(),
            detected: true,
        }
    }

    /// Addresses of the family that has the fewest, of those there are: an allocation takes a port of one.
    pub(crate) fn per_family(&self) -> u64 {
        let v4 = self.addresses.iter().filter(|address| address.bound.is_ipv4()).count();
        let v6 = self.addresses.len() - v4;
        [v4, v6].into_iter().filter(|count| *count > 0).min().map_or(1, |count| count as u64)
    }

    /// The address URLs name when there is no host name: IPv4 first, since every client has it.
    pub(crate) fn preferred(&self) -> IpAddr {
        self.addresses.first().map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |address| address.advertised)
    }

    /// Every relay address, as advertised and as bound, with its ports.
    pub(crate) fn with_ports(&self, ports: &RangeInclusive<u16>) -> Vec<(IpAddr, RangeInclusive<u16>)> {
        self.addresses.iter().flat_map(|a| [a.advertised, a.bound]).map(|ip| (ip, ports.clone())).collect()
    }

    /// Warnings a person should see at start-up.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let special = |a: &RelayAddress| {
            let range = special_range(a.advertised)?;
            let (how, advice) =
                if self.detected { ("the default route's address", "; set --public-ip") } else { ("public_ip", "") };
            Some(format!(
                "relay address {} ({how}) is {}: clients elsewhere will not reach it{advice}",
                a.advertised, range.name
            ))
        };
        self.addresses.iter().filter_map(special).collect()
    }
}

/// The address the system would send from. Connecting a UDP socket sends nothing.
fn default_route_v4() -> Option<IpAddr> {
    source_towards(SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), 9)), SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)))
}

fn default_route_v6() -> Option<IpAddr> {
    let documentation = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
    source_towards(SocketAddr::from((documentation, 9)), SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)))
}

fn source_towards(target: SocketAddr, any: SocketAddr) -> Option<IpAddr> {
    let socket = UdpSocket::bind(any).ok()?;
    socket.connect(target).ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_unspecified() && !ip.is_loopback()).then_some(ip)
}

/// Addresses of this host: of its interfaces, and those the configuration names. Peers may not reach its services by any
/// of them; relay addresses have rules of their own.
pub(crate) fn local_addresses(settings: &Settings) -> Vec<IpAddr> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_else(|error| {
        tracing::warn!(%error, "interface addresses are not known: peers are checked against configured ones only");
        Vec::new()
    });
    let listeners = settings.turn_listen.iter().chain(&settings.turn_tls_listen).map(SocketAddr::ip);
    let http = std::iter::once(settings.http_listen).chain(settings.http_tls_listen).map(|address| address.ip());
    let named = listeners.chain(http).filter(|ip| !ip.is_unspecified());
    let mut all: Vec<IpAddr> = interfaces.iter().map(if_addrs::Interface::ip).chain(named).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// Addresses of the server in `postgres://user:password@host:port/database?…`, its name resolved now.
pub(crate) fn database_addresses(url: &Secret<String>) -> Vec<SocketAddr> {
    let rest = url.expose().split_once("://").map_or("", |(_, rest)| rest);
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let has_port = host.rsplit_once(':').is_some_and(|(name, port)| {
        !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) && (!name.contains(':') || name.ends_with(']'))
    });
    let host = if has_port { host.to_owned() } else { format!("{host}:5432") };
    host.to_socket_addrs().map(Iterator::collect).unwrap_or_else(|error| {
        tracing::warn!(%error, "the database's address is not known: peers are not checked against it");
        Vec::new()
    })
}

/// Every pair of two IPs and two ports of which all four are listened on (RFC 5780 §6).
pub(crate) fn nat_discovery_grids(listen: &[SocketAddr]) -> Vec<NatDiscoveryGrid> {
    let mut grids = Vec::new();
    for primary in listen {
        let grid = listen.iter().find_map(|alternate| {
            let differs = alternate.ip() != primary.ip() && alternate.port() != primary.port();
            let complete = listen.contains(&SocketAddr::new(primary.ip(), alternate.port()))
                && listen.contains(&SocketAddr::new(alternate.ip(), primary.port()));
            let usable = !primary.ip().is_unspecified() && primary.is_ipv4() == alternate.is_ipv4();
            (differs && complete && usable).then_some(NatDiscoveryGrid { primary: *primary, alternate: *alternate })
        });
        if let Some(grid) = grid
            && !grids.iter().any(|known: &NatDiscoveryGrid| known.other(*primary).is_some())
        {
            grids.push(grid);
        }
    }
    grids
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_url_gives_its_address_whatever_its_form() {
        for (url, expected) in [
            ("postgres://u:p@127.0.0.1:5433/d", "127.0.0.1:5433"),
            ("postgres://u:p%40@127.0.0.1/d?sslmode=require", "127.0.0.1:5432"),
            ("postgresql://127.0.0.1", "127.0.0.1:5432"),
            ("postgres://u@[::1]/d", "[::1]:5432"),
            ("postgres://u@[::1]:77/d", "[::1]:77"),
        ] {
            let found = database_addresses(&Secret::new(url.to_owned()));
            assert_eq!(found, [expected.parse().expect("an address")], "{url}");
        }
    }
}
