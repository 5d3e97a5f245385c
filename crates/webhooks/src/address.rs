//! Where a webhook may be: the same special ranges as for peers are closed.

use std::net::{IpAddr, SocketAddr};

use causeway_types::{CanonicalIp, special_range};
use ipnet::IpNet;

/// Which addresses may be posted to.
#[derive(Clone, Debug, Default)]
pub struct AddressPolicy {
    /// Open although special: `webhook_allow`.
    pub allow: Vec<IpNet>,
    /// This host's own addresses; closed unless allowed.
    pub own: Vec<IpAddr>,
}

impl AddressPolicy {
    /// Why an address is refused. An IPv6 address that carries an IPv4 one must pass in both forms.
    ///
    /// # Errors
    /// The rule, in words an operator can search for.
    pub fn judge(&self, address: SocketAddr) -> Result<(), String> {
        CanonicalIp::new(address.ip()).views().try_for_each(|view| self.judge_view(view))
    }

    fn judge_view(&self, ip: IpAddr) -> Result<(), String> {
        if self.allow.iter().any(|net| net.contains(&ip)) {
            return Ok(());
        }
        if let Some(range) = special_range(ip) {
            return Err(format!("{ip} is refused: {range}"));
        }
        if self.own.contains(&ip) {
            return Err(format!("{ip} is refused: this host's own address"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(policy: &AddressPolicy, ip: &str) -> bool {
        policy.judge(SocketAddr::new(ip.parse().expect("an address"), 443)).is_ok()
    }

    #[test]
    fn special_addresses_are_closed_in_every_dress() {
        let policy = AddressPolicy { allow: Vec::new(), own: vec!["8.8.4.4".parse().expect("an address")] };
        for closed in [
            "169.254.169.254",
            "127.0.0.1",
            "10.0.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "0.0.0.0",
            "255.255.255.255",
            "::1",
            "::",
            "::ffff:10.0.0.1",
            "::ffff:8.8.8.8",
            "64:ff9b::a9fe:a9fe",
            "2002:a00:1::",
            "fd00:ec2::254",
            "fe80::1",
            "8.8.4.4",
        ] {
            assert!(!judge(&policy, closed), "{closed}");
        }
        for open in ["8.8.8.8", "2606:4700::1111"] {
            assert!(judge(&policy, open), "{open}");
        }
    }

    #[test]
    fn an_allowed_network_opens_itself_and_nothing_else() {
        let policy = AddressPolicy { allow: vec!["10.1.0.0/16".parse().expect("a network")], own: Vec::new() };
        assert!(judge(&policy, "10.1.2.3"));
        assert!(!judge(&policy, "10.2.0.1"));
        assert!(!judge(&policy, "::ffff:10.1.2.3"), "the mapped form is a range of its own");
    }
}
