//! Addresses, plain and XORed, and the RFC 5780 attributes.
//!
//! ```text
//! |0 0 0 0 0 0 0 0|    family     |             port              |
//! |               address (32 or 128 bits)                        |
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Attribute, AttributeError, malformed};
use crate::{attribute_type::AttributeType, header::MAGIC_COOKIE};

fn decode_plain(value: &[u8]) -> Option<SocketAddr> {
    let (&[_, family, p0, p1], address) = value.split_first_chunk::<4>()?;
    let ip = match family {
        1 => IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(address).ok()?)),
        2 => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(address).ok()?)),
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_be_bytes([p0, p1])))
}

fn encode_plain(address: SocketAddr, out: &mut Vec<u8>) {
    out.extend_from_slice(&[0, if address.is_ipv4() { 1 } else { 2 }]);
    out.extend_from_slice(&address.port().to_be_bytes());
    match address.ip() {
        IpAddr::V4(ip) => out.extend_from_slice(&ip.octets()),
        IpAddr::V6(ip) => out.extend_from_slice(&ip.octets()),
    }
}

/// XORs an address with the cookie and transaction id (RFC 8489 §14.2); its own inverse.
fn xor(address: SocketAddr, magic: &[u8; 16]) -> SocketAddr {
    let [c0, c1, c2, c3] = MAGIC_COOKIE;
    let ip = match address.ip() {
        IpAddr::V4(ip) => IpAddr::V4(Ipv4Addr::from_bits(ip.to_bits() ^ u32::from_be_bytes([c0, c1, c2, c3]))),
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() ^ u128::from_be_bytes(*magic))),
    };
    SocketAddr::new(ip, address.port() ^ u16::from_be_bytes([c0, c1]))
}

macro_rules! address_attribute {
    ($(#[$doc:meta])* $name:ident, $typ:ident, $convert:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name(pub SocketAddr);

        impl Attribute<'_> for $name {
            const TYPE: AttributeType = AttributeType::$typ;

            fn decode(value: &[u8], magic: &[u8; 16]) -> Result<Self, AttributeError> {
                let convert: fn(SocketAddr, &[u8; 16]) -> SocketAddr = $convert;
                decode_plain(value).map(|a| Self(convert(a, magic))).ok_or(malformed(Self::TYPE, value))
            }

            fn encode(&self, out: &mut Vec<u8>, magic: &[u8; 16]) {
                let convert: fn(SocketAddr, &[u8; 16]) -> SocketAddr = $convert;
                encode_plain(convert(self.0, magic), out);
            }
        }
    };
}

address_attribute!(
    /// MAPPED-ADDRESS (RFC 8489 §14.1).
    MappedAddress, MAPPED_ADDRESS, |a, _| a
);
address_attribute!(
    /// SOURCE-ADDRESS of classic answers (RFC 3489 §11.2.5).
    SourceAddress, SOURCE_ADDRESS, |a, _| a
);
address_attribute!(
    /// CHANGED-ADDRESS of classic answers (RFC 3489 §11.2.3).
    ChangedAddress, CHANGED_ADDRESS, |a, _| a
);
address_attribute!(
    /// XOR-MAPPED-ADDRESS (RFC 8489 §14.2).
    XorMappedAddress, XOR_MAPPED_ADDRESS, xor
);
address_attribute!(
    /// XOR-PEER-ADDRESS (RFC 8656 §18.3).
    XorPeerAddress, XOR_PEER_ADDRESS, xor
);
address_attribute!(
    /// XOR-RELAYED-ADDRESS (RFC 8656 §18.5).
    XorRelayedAddress, XOR_RELAYED_ADDRESS, xor
);
address_attribute!(
    /// ALTERNATE-SERVER (RFC 8489 §14.15).
    AlternateServer, ALTERNATE_SERVER, |a, _| a
);
address_attribute!(
    /// RESPONSE-ORIGIN (RFC 5780 §7.3).
    ResponseOrigin, RESPONSE_ORIGIN, |a, _| a
);
address_attribute!(
    /// OTHER-ADDRESS (RFC 5780 §7.4).
    OtherAddress, OTHER_ADDRESS, |a, _| a
);

/// CHANGE-REQUEST (RFC 5780 §7.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChangeRequest {
    /// Answer from the other address.
    pub change_ip: bool,
    /// Answer from the other port.
    pub change_port: bool,
}

impl Attribute<'_> for ChangeRequest {
    const TYPE: AttributeType = AttributeType::CHANGE_REQUEST;

    fn decode(value: &[u8], _magic: &[u8; 16]) -> Result<Self, AttributeError> {
        let &[_, _, _, flags] = value else { return Err(malformed(Self::TYPE, value)) };
        Ok(Self { change_ip: flags & 4 != 0, change_port: flags & 2 != 0 })
    }

    fn encode(&self, out: &mut Vec<u8>, _magic: &[u8; 16]) {
        out.extend_from_slice(&[0, 0, 0, u8::from(self.change_ip) << 2 | u8::from(self.change_port) << 1]);
    }
}

/// RESPONSE-PORT (RFC 5780 §7.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponsePort(pub u16);

impl Attribute<'_> for ResponsePort {
    const TYPE: AttributeType = AttributeType::RESPONSE_PORT;

    fn decode(value: &[u8], _magic: &[u8; 16]) -> Result<Self, AttributeError> {
        match *value {
            [p0, p1] | [p0, p1, _, _] => Ok(Self(u16::from_be_bytes([p0, p1]))),
            _ => Err(malformed(Self::TYPE, value)),
        }
    }

    fn encode(&self, out: &mut Vec<u8>, _magic: &[u8; 16]) {
        out.extend_from_slice(&self.0.to_be_bytes());
    }
}

/// PADDING (RFC 5780 §7.6): its length is what counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Padding<'a>(pub &'a [u8]);

impl<'a> Attribute<'a> for Padding<'a> {
    const TYPE: AttributeType = AttributeType::PADDING;

    fn decode(value: &'a [u8], _magic: &[u8; 16]) -> Result<Self, AttributeError> {
        Ok(Self(value))
    }

    fn encode(&self, out: &mut Vec<u8>, _magic: &[u8; 16]) {
        out.extend_from_slice(self.0);
    }
}
