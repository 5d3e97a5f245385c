//! Whether XDP may ask the routing table. The kernel answers a program only as if it forwarded for others; asked as the loopback,
//! that one alone has to be allowed to: a packet that comes by the loopback is for this host anyway.

use std::fs;

/// Families whose packets XDP has to leave to tc, and why.
pub(crate) fn not_allowed() -> Vec<(&'static str, String)> {
    [("IPv4", "ipv4"), ("IPv6", "ipv6")]
        .into_iter()
        .filter(|(_, directory)| {
            let path = format!("/proc/sys/net/{directory}/conf/lo/forwarding");
            // Without that family there is nothing to leave.
            fs::read_to_string(path).is_ok_and(|value| value.trim() == "0")
        })
        .map(|(family, directory)| (family, format!("it needs sysctl net.{directory}.conf.lo.forwarding=1")))
        .collect()
}
