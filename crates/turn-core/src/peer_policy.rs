//! Which peers a client may reach. Closed by default; every refusal names its rule.
//!
//! Order: the server's own services are always refused; then `--allow-peer` and `--deny-peer` by longest prefix, deny
//! winning ties; then the server's own relayed addresses, open to relayed traffic only; then this host's other
//! addresses and the special-purpose ranges, refused; everything else is allowed. An IPv6 address that carries an IPv4
//! one must pass in both forms.

use std::{
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    sync::Arc,
};

use causeway_types::{CanonicalIp, special_range};
use ipnet::IpNet;

/// What a [`PeerPolicy`] is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerPolicyConfig {
    /// `--allow-peer`.
    pub allow: Vec<IpNet>,
    /// `--deny-peer`.
    pub deny: Vec<IpNet>,
    /// Relay addresses, both as advertised and as bound, with their port range.
    pub own_relays: Vec<(IpAddr, RangeInclusive<u16>)>,
    /// Addresses the server's own services listen on or connect to (HTTP, database, Redis, TURN listeners); an
    /// unspecified IP stands for every address of this host.
    pub own_services: Vec<SocketAddr>,
    /// Other addresses of this host.
    pub local_addresses: Vec<IpAddr>,
}

/// The compiled rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerPolicy {
    config: PeerPolicyConfig,
}

/// What the policy says of a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Any port.
    Allowed,
    /// The address is open, but one of its ports may be our own service: ask again with each port.
    AllowedExceptServices,
    /// Only our own live relayed addresses may be reached there.
    OwnRelayOnly,
    /// Refused by this rule.
    Refused(Arc<str>),
}

impl Verdict {
    const fn severity(&self) -> u8 {
        match self {
            Self::Allowed => 0,
            Self::AllowedExceptServices => 1,
            Self::OwnRelayOnly => 2,
            Self::Refused(_) => 3,
        }
    }
}

impl PeerPolicy {
    /// Compiles the rules.
    #[must_use]
    pub const fn new(config: PeerPolicyConfig) -> Self {
        Self { config }
    }

    /// What a permission for `ip` allows. The strictest verdict over all views of the address counts.
    #[must_use]
    pub fn check_ip(&self, ip: IpAddr) -> Verdict {
        CanonicalIp::new(ip)
            .views()
            .map(|view| self.check_view(view))
            .max_by_key(Verdict::severity)
            .unwrap_or(Verdict::Allowed)
    }

    /// What may be sent to `peer`: as [`Self::check_ip`], with the port taken into account. Never
    /// [`Verdict::AllowedExceptServices`].
    #[must_use]
    pub fn check_address(&self, peer: SocketAddr) -> Verdict {
        if let Some(rule) = self.own_service(peer) {
            return Verdict::Refused(rule);
        }
        match self.check_ip(peer.ip()) {
            Verdict::AllowedExceptServices => Verdict::Allowed,
            Verdict::OwnRelayOnly if !self.is_relay_port(peer) => {
                Verdict::Refused("default: this host's own address outside the relay ports".into())
            }
            verdict @ (Verdict::Allowed | Verdict::OwnRelayOnly | Verdict::Refused(_)) => verdict,
        }
    }

    fn check_view(&self, ip: IpAddr) -> Verdict {
        let longest =
            |nets: &[IpNet]| nets.iter().filter(|net| net.contains(&ip)).max_by_key(|n| n.prefix_len()).copied();
        let (allow, deny) = (longest(&self.config.allow), longest(&self.config.deny));
        match (allow, deny) {
            (Some(allow), Some(deny)) if allow.prefix_len() > deny.prefix_len() => self.explicitly_allowed(ip),
            (_, Some(deny)) => Verdict::Refused(format!("deny-peer {deny}").into()),
            (Some(_), None) => self.explicitly_allowed(ip),
            (None, None) => self.check_default(ip),
        }
    }

    fn explicitly_allowed(&self, ip: IpAddr) -> Verdict {
        if self.is_this_host(ip) { Verdict::AllowedExceptServices } else { self.allowed(ip) }
    }

    fn allowed(&self, ip: IpAddr) -> Verdict {
        let named = self.config.own_services.iter().any(|service| service.ip() == ip);
        if named { Verdict::AllowedExceptServices } else { Verdict::Allowed }
    }

    fn check_default(&self, ip: IpAddr) -> Verdict {
        if self.config.own_relays.iter().any(|(relay, _)| *relay == ip) {
            return Verdict::OwnRelayOnly;
        }
        if let Some(range) = special_range(ip) {
            return Verdict::Refused(format!("default: {range}").into());
        }
        if self.config.local_addresses.contains(&ip) {
            return Verdict::Refused("default: this host's own address".into());
        }
        self.allowed(ip)
    }

    fn is_this_host(&self, ip: IpAddr) -> bool {
        ip.is_loopback()
            || ip.is_unspecified()
            || self.config.local_addresses.contains(&ip)
            || self.config.own_relays.iter().any(|(relay, _)| *relay == ip)
            || self.config.own_services.iter().any(|service| service.ip() == ip)
    }

    fn is_relay_port(&self, peer: SocketAddr) -> bool {
        CanonicalIp::new(peer.ip())
            .views()
            .all(|ip| self.config.own_relays.iter().any(|(relay, ports)| *relay == ip && ports.contains(&peer.port())))
    }

    /// Our own services are refused in every embedding and on every address that leads to this host.
    fn own_service(&self, peer: SocketAddr) -> Option<Arc<str>> {
        let hit = CanonicalIp::new(peer.ip()).views().any(|ip| {
            self.config.own_services.iter().any(|service| {
                service.port() == peer.port()
                    && (service.ip() == ip || (service.ip().is_unspecified() && self.is_this_host(ip)))
            })
        });
        hit.then(|| "always: causeway's own service".into())
    }
}

#[cfg(test)]
mod tests;
