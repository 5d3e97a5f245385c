//! `SocketAddr` to and from the kernel's form.

use std::{
    mem,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6},
};

/// Room for any address the kernel writes for a socket of this crate. Small, since one is cleared for each receive.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) union RawAddress {
    v4: libc::sockaddr_in,
    v6: libc::sockaddr_in6,
    any: libc::sockaddr,
}

impl RawAddress {
    pub(crate) fn zeroed() -> Self {
        // SAFETY: every member is plain old data for which all-zero bytes are a valid value.
        unsafe { mem::zeroed() }
    }

    /// The kernel's form and its length.
    pub(crate) fn new(address: SocketAddr) -> (Self, libc::socklen_t) {
        let mut raw = Self::zeroed();
        let len = match address {
            SocketAddr::V4(address) => {
                raw.v4 = libc::sockaddr_in {
                    sin_family: family(libc::AF_INET),
                    sin_port: address.port().to_be(),
                    sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(address.ip().octets()) },
                    sin_zero: [0; 8],
                };
                size_of::<libc::sockaddr_in>()
            }
            SocketAddr::V6(address) => {
                raw.v6 = libc::sockaddr_in6 {
                    sin6_family: family(libc::AF_INET6),
                    sin6_port: address.port().to_be(),
                    sin6_flowinfo: address.flowinfo(),
                    sin6_addr: libc::in6_addr { s6_addr: address.ip().octets() },
                    sin6_scope_id: address.scope_id(),
                };
                size_of::<libc::sockaddr_in6>()
            }
        };
        (raw, libc::socklen_t::try_from(len).unwrap_or(0))
    }

    pub(crate) fn to_socket_addr(self) -> Option<SocketAddr> {
        // SAFETY: the family field is at the same place in every member, and the whole union is initialised.
        let family = i32::from(unsafe { self.any.sa_family });
        match family {
            libc::AF_INET => {
                // SAFETY: AF_INET says that this member is the one that was written.
                let v4 = unsafe { self.v4 };
                let ip = Ipv4Addr::from(v4.sin_addr.s_addr.to_ne_bytes());
                Some(SocketAddr::V4(SocketAddrV4::new(ip, u16::from_be(v4.sin_port))))
            }
            libc::AF_INET6 => {
                // SAFETY: AF_INET6 says that this member is the one that was written.
                let v6 = unsafe { self.v6 };
                let ip = Ipv6Addr::from(v6.sin6_addr.s6_addr);
                Some(SocketAddr::V6(SocketAddrV6::new(ip, u16::from_be(v6.sin6_port), 0, v6.sin6_scope_id)))
            }
            _ => None,
        }
    }
}

fn family(value: libc::c_int) -> libc::sa_family_t {
    libc::sa_family_t::try_from(value).unwrap_or(0)
}
