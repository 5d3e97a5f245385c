//! Whether XDP may ask the routing table. The kernel answers a program only as if it forwarded for others; asked as the loopback,
//! that one alone has to be allowed to: a packet that comes by the loopback is for this host anyway.

use crate::netlink::{Family, Netlink, attribute, put, word};

/// Linux's numbers.
const RTM_NEWNETCONF: u16 = 80;
const RTM_GETNETCONF: u16 = 82;
const NETCONFA_IFINDEX: u16 = 1;
const NETCONFA_FORWARDING: u16 = 2;
/// A family, padded.
const NETCONFMSG: usize = 4;
/// Its index, in every network namespace.
const LOOPBACK: u32 = 1;
/// Address family, name, and directory of sysctl.
const FAMILIES: [(u8, &str, &str); 2] = [(2, "IPv4", "ipv4"), (10, "IPv6", "ipv6")];

/// Families whose packets XDP has to leave to tc, and why.
pub(crate) fn not_allowed() -> Vec<(&'static str, String)> {
    FAMILIES
        .into_iter()
        // Without that family there is nothing to leave.
        .filter(|(family, ..)| is_forwarding(*family) == Some(false))
        .map(|(_, name, directory)| (name, format!("it needs sysctl net.{directory}.conf.lo.forwarding=1")))
        .collect()
}

/// Asked over netlink: a service whose `/proc` shows processes only (`ProcSubset=pid` of systemd) sees no sysctl.
fn is_forwarding(family: u8) -> Option<bool> {
    let mut body = vec![family, 0, 0, 0];
    put(&mut body, NETCONFA_IFINDEX, &LOOPBACK.to_ne_bytes());
    let answer = Netlink::open(Family::Route).ok()?.ask(RTM_GETNETCONF, RTM_NEWNETCONF, &body).ok()??;
    attribute(answer.get(NETCONFMSG..)?, NETCONFA_FORWARDING).and_then(word).map(|value| value != 0)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn netlink_tells_what_sysctl_tells() {
        for (family, name, directory) in FAMILIES {
            let path = format!("/proc/sys/net/{directory}/conf/lo/forwarding");
            let told = fs::read_to_string(path).ok().map(|value| value.trim() != "0");
            assert_eq!(is_forwarding(family), told, "{name}");
        }
        assert_eq!(is_forwarding(0xff), None, "no such family");
    }
}
