//! Which special-purpose range an address belongs to, however it is dressed up.
//!
//! One canonical view unwraps IPv4 addresses embedded in IPv6 ones before any rule looks at them, so that no embedding
//! reaches what its plain form may not. Sources: the IANA IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890),
//! RFC 4291 §2.5.5 (v4-mapped, v4-compatible), RFC 3056 (6to4), RFC 4380 §4 (Teredo), RFC 6052 and RFC 8215 (NAT64).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A range no relay should reach unless told so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpecialRange {
    /// What the range is for, e.g. `link-local`.
    pub name: &'static str,
    /// First address.
    pub first: IpAddr,
    /// Prefix length.
    pub prefix_len: u8,
}

const fn v4(name: &'static str, [a, b, c, d]: [u8; 4], prefix_len: u8) -> SpecialRange {
    SpecialRange { name, first: IpAddr::V4(Ipv4Addr::new(a, b, c, d)), prefix_len }
}

const fn v6(name: &'static str, high: u64, low: u64, prefix_len: u8) -> SpecialRange {
    let bits = ((high as u128) << 64) | low as u128;
    SpecialRange { name, first: IpAddr::V6(Ipv6Addr::from_bits(bits)), prefix_len }
}

/// Every special range, narrow ones before the wide ones they lie in.
pub const SPECIAL_RANGES: &[SpecialRange] = &[
    v4("unspecified or this network", [0, 0, 0, 0], 8),
    v4("private", [10, 0, 0, 0], 8),
    v4("shared address space (CGNAT)", [100, 64, 0, 0], 10),
    v4("loopback", [127, 0, 0, 0], 8),
    // Not in the registries, but of the same kind: Azure answers every virtual machine here.
    v4("host services of Azure (cloud metadata)", [168, 63, 129, 16], 32),
    v4("link-local (cloud metadata)", [169, 254, 0, 0], 16),
    v4("private", [172, 16, 0, 0], 12),
    v4("IETF protocol assignments", [192, 0, 0, 0], 24),
    v4("documentation", [192, 0, 2, 0], 24),
    v4("AS112", [192, 31, 196, 0], 24),
    v4("AMT", [192, 52, 193, 0], 24),
    v4("6to4 relay anycast", [192, 88, 99, 0], 24),
    v4("private", [192, 168, 0, 0], 16),
    v4("AS112", [192, 175, 48, 0], 24),
    v4("benchmarking", [198, 18, 0, 0], 15),
    v4("documentation", [198, 51, 100, 0], 24),
    v4("documentation", [203, 0, 113, 0], 24),
    v4("multicast", [224, 0, 0, 0], 4),
    v4("broadcast", [255, 255, 255, 255], 32),
    v4("reserved", [240, 0, 0, 0], 4),
    v6("unspecified", 0, 0, 128),
    v6("loopback", 0, 1, 128),
    v6("IPv4-mapped", 0, 0xffff_0000_0000, 96),
    v6("IPv4-compatible", 0, 0, 96),
    v6("IPv4-translated", 0, 0xffff_0000_0000_0000, 64),
    v6("local-use NAT64", 0x0064_ff9b_0001_0000, 0, 48),
    v6("discard-only", 0x0100_0000_0000_0000, 0, 64),
    v6("Teredo", 0x2001_0000_0000_0000, 0, 32),
    v6("benchmarking", 0x2001_0002_0000_0000, 0, 48),
    v6("IETF protocol assignments", 0x2001_0000_0000_0000, 0, 23),
    v6("documentation", 0x2001_0db8_0000_0000, 0, 32),
    v6("documentation", 0x3fff_0000_0000_0000, 0, 20),
    v6("segment routing", 0x5f00_0000_0000_0000, 0, 16),
    v6("unique local", 0xfc00_0000_0000_0000, 0, 7),
    v6("link-local", 0xfe80_0000_0000_0000, 0, 10),
    v6("site-local", 0xfec0_0000_0000_0000, 0, 10),
    v6("multicast", 0xff00_0000_0000_0000, 0, 8),
];

impl SpecialRange {
    /// Whether `ip`, as written, lies in the range.
    #[must_use]
    pub const fn contains(&self, ip: IpAddr) -> bool {
        match (self.first, ip) {
            (IpAddr::V4(first), IpAddr::V4(ip)) => {
                let shift = 32 - self.prefix_len as u32;
                shift >= 32 || first.to_bits() >> shift == ip.to_bits() >> shift
            }
            (IpAddr::V6(first), IpAddr::V6(ip)) => {
                let shift = 128 - self.prefix_len as u32;
                shift >= 128 || first.to_bits() >> shift == ip.to_bits() >> shift
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

impl std::fmt::Display for SpecialRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}/{}", self.name, self.first, self.prefix_len)
    }
}

/// The special range `ip`, as written, lies in.
#[must_use]
pub fn special_range(ip: IpAddr) -> Option<&'static SpecialRange> {
    SPECIAL_RANGES.iter().find(|range| range.contains(ip))
}

/// An address together with the IPv4 address it carries inside, if it carries one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CanonicalIp {
    /// As written.
    pub outer: IpAddr,
    /// The embedded IPv4 address.
    pub embedded: Option<Ipv4Addr>,
}

impl CanonicalIp {
    /// Looks inside `ip`.
    #[must_use]
    pub fn new(ip: IpAddr) -> Self {
        let embedded = match ip {
            IpAddr::V4(_) => None,
            IpAddr::V6(v6) => embedded_v4(v6),
        };
        Self { outer: ip, embedded }
    }

    /// Every address a rule must look at: the outer one, then the embedded one.
    pub fn views(self) -> impl Iterator<Item = IpAddr> {
        std::iter::once(self.outer).chain(self.embedded.map(IpAddr::V4))
    }
}

/// The IPv4 address that `ip` stands for on some path.
fn embedded_v4(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let bits = ip.to_bits();
    let low = |bits: u128| Ipv4Addr::from_bits(u32::try_from(bits & 0xffff_ffff).unwrap_or_default());
    match ip.segments() {
        // Unspecified and loopback are no v4-compatible addresses (RFC 4291 §2.5.5.1).
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        // v4-mapped, v4-compatible, v4-translated (RFC 2765), NAT64 well-known prefix.
        [0, 0, 0, 0, 0, 0 | 0xffff, _, _] | [0, 0, 0, 0, 0xffff, 0, _, _] | [0x64, 0xff9b, 0, 0, 0, 0, _, _] => {
            Some(low(bits))
        }
        // Local-use NAT64 (RFC 8215): a /96 inside the /48 is the usual form.
        [0x64, 0xff9b, 1, ..] => Some(low(bits)),
        // 6to4: bits 16–47.
        [0x2002, ..] => Some(low(bits >> 80)),
        // Teredo: the client's address, inverted, in the last 32 bits.
        [0x2001, 0, ..] => Some(low(!bits)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
