//! The attributes of TURN and its extensions.

use causeway_types::AddressFamily;

use super::{
    Attribute, AttributeError,
    auth::{decode_code, encode_code},
    malformed,
};
use crate::attribute_type::AttributeType;

macro_rules! u32_attribute {
    ($(#[$doc:meta])* $name:ident, $typ:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name(pub u32);

        impl Attribute<'_> for $name {
            const TYPE: AttributeType = AttributeType::$typ;

            fn decode(value: &[u8], _magic: &[u8; 16]) -> Result<Self, AttributeError> {
                value.try_into().map(|b| Self(u32::from_be_bytes(b))).map_err(|_| malformed(Self::TYPE, value))
            }

            fn encode(&self, out: &mut Vec<u8>, _magic: &[u8; 16]) {
                out.extend_from_slice(&self.0.to_be_bytes());
            }
        }
    };
}

u32_attribute!(
    /// LIFETIME in seconds (RFC 8656 §18.2).
    Lifetime, LIFETIME
);
u32_attribute!(
    /// CONNECTION-ID (RFC 6062 §6.2.1).
    ConnectionId, CONNECTION_ID
);

macro_rules! bytes_attribute {
    ($(#[$doc:meta])* $name:ident, $typ:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name<'a>(pub &'a [u8]);

        impl<'a> Attribute<'a> for $name<'a> {
            const TYPE: AttributeType = AttributeType::$typ;

            fn decode(value: &'a [u8], _magic: &[u8; 16]) -> Result<Self, AttributeError> {
                Ok(Self(value))
            }

            fn encode(&self, out: &mut Vec<u8>, _magic: &[u8; 16]) {
                out.extend_from_slice(self.0);
            }
        }
    };
}

bytes_attribute!(
    /// DATA (RFC 8656 §18.4).
    Data, DATA
);
bytes_attribute!(
    /// MOBILITY-TICKET (RFC 8016 §3.4); empty in a request that asks for one.
    MobilityTicket, MOBILITY_TICKET
);

/// `|value|0|0|0|`: one byte and three reserved ones.
fn decode_byte(typ: AttributeType, value: &[u8]) -> Result<u8, AttributeError> {
    match *value {
        [byte, _, _, _] => Ok(byte),
        _ => Err(malformed(typ, value)),
    }
}

const fn family_byte(family: AddressFamily) -> u8 {
    match family {
        AddressFamily::V4 => 1,
        AddressFamily::V6 => 2,
    }
}

const fn family_of(byte: u8) -> Option<AddressFamily> {
    match byte {
        1 => Some(AddressFamily::V4),
        2 => Some(AddressFamily::V6),
        _ => None,
    }
}

/// REQUESTED-TRANSPORT: an IP protocol number, 17 or 6 (RFC 8656 §18.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestedTransport(pub u8);

impl RequestedTransport {
    /// UDP.
    pub const UDP: Self = Self(17);
    /// TCP (RFC 6062).
    pub const TCP: Self = Self(6);
}

impl Attribute<'_> for RequestedTransport {
    const TYPE: AttributeType = AttributeType::REQUESTED_TRANSPORT;

    fn decode(value: &[u8], _magic: &[u8; 16]) -> Result<Self, AttributeError> {
        decode_byte(Self::TYPE, value).map(Self)
    }

    fn encode(&self, out: &mut Vec<u8>, _magic: &[u8; 16]) {
        out.extend_from_slice(&[self.0, 0, 0, 0]);
    }
}

/// REQUESTED-ADDRESS-FAMILY; `Err` holds a family that is neither 1 nor 2, which is answered 440 (RFC 8656 §18.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestedAddressFamily(pub Result<AddressFamily, u8>);

impl Attribute<'_> for RequestedAddressFamily {
    const TYPE: AttributeType = AttributeType::REQUESTED_ADDRESS_FAMILY;

    fn decode(value: &[u8], _magic: &[u8; 16]) -> Result<Self, AttributeError> {
        let byte = decode_byte(Self::TYPE, value)?;
        Ok(Self(family_of(byte).ok_or(byte)))
    }

    fn encode(&self, out: &mut Vec<u8>, _magic: &[u8; 16]) {
        out.extend_from_slice(&[self.0.map_or_else(|byte| byte, family_byte), 0, 0, 0]);
    }
}

/// ADDITIONAL-ADDRESS-FAMILY (RFC 8656 §18.11): only IPv6 is allowed; `Err` holds any other byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdditionalAddressFamily(pub Result<AddressFamily, u8>);

impl Attribute<'_> for AdditionalAddressFamily {
    const TYPE: AttributeType = AttributeType::ADDITIONAL_ADDRESS_FAMILY;

    fn decode(value: &[u8], _magic: &[u8; 16]) -> Result<Self, AttributeError> {
        let byte = decode_byte(Self::TYPE, value)?;
        Ok(Self(family_of(byte).ok_or(byte)))
    }

    fn encode(&self, out: &mut Vec<u8>, _magic: &[u8; 16]) {
        out.extend_from_slice(&[self.0.map_or_else(|byte| byte, family_byte), 0, 0, 0]);
    }
}

/// ADDRESS-ERROR-CODE (RFC 8656 §18.12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressErrorCode<'a> {
    /// The family that was not allocated.
    pub family: AddressFamily,
    /// Why.
    pub code: u16,
    /// May be empty.
    pub reason: &'a str,
}

impl<'a> Attribute<'a> for AddressErrorCode<'a> {
    const TYPE: AttributeType = AttributeType::ADDRESS_ERROR_CODE;

    fn decode(value: &'a [u8], _magic: &[u8; 16]) -> Result<Self, AttributeError> {
        let family = value.first().copied().and_then(family_of);
        match (family, decode_code(value)) {
            (Some(family), Some((code, reason))) => Ok(Self { family, code, reason }),
            _ => Err(malformed(Self::TYPE, value)),
        }
    }

    fn encode(&self, out: &mut Vec<u8>, _magic: &[u8; 16]) {
        encode_code(family_byte(self.family), self.code, self.reason, out);
    }
}

/// EVEN-PORT (RFC 8656 §18.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EvenPort {
    /// The R bit: set the next port aside.
    pub reserve_next: bool,
}

impl Attribute<'_> for EvenPort {
    const TYPE: AttributeType = AttributeType::EVEN_PORT;

    fn decode(value: &[u8], _magic: &[u8; 16]) -> Result<Self, AttributeError> {
        // RFC 8656 gives it one byte; clients of RFC 5766 drafts sent four.
        match *value {
            [flags] | [flags, _, _, _] => Ok(Self { reserve_next: flags & 0x80 != 0 }),
            _ => Err(malformed(Self::TYPE, value)),
        }
    }

    fn encode(&self, out: &mut Vec<u8>, _magic: &[u8; 16]) {
        out.push(u8::from(self.reserve_next) << 7);
    }
}

/// DONT-FRAGMENT (RFC 8656 §18.9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DontFragment;

impl Attribute<'_> for DontFragment {
    const TYPE: AttributeType = AttributeType::DONT_FRAGMENT;

    fn decode(_value: &[u8], _magic: &[u8; 16]) -> Result<Self, AttributeError> {
        Ok(Self)
    }

    fn encode(&self, _out: &mut Vec<u8>, _magic: &[u8; 16]) {}
}

/// RESERVATION-TOKEN (RFC 8656 §18.10).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReservationToken(pub [u8; 8]);

impl Attribute<'_> for ReservationToken {
    const TYPE: AttributeType = AttributeType::RESERVATION_TOKEN;

    fn decode(value: &[u8], _magic: &[u8; 16]) -> Result<Self, AttributeError> {
        value.try_into().map(Self).map_err(|_| malformed(Self::TYPE, value))
    }

    fn encode(&self, out: &mut Vec<u8>, _magic: &[u8; 16]) {
        out.extend_from_slice(&self.0);
    }
}

/// CHANNEL-NUMBER (RFC 8656 §18.1), in or out of range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelNumber(pub u16);

impl Attribute<'_> for ChannelNumber {
    const TYPE: AttributeType = AttributeType::CHANNEL_NUMBER;

    fn decode(value: &[u8], _magic: &[u8; 16]) -> Result<Self, AttributeError> {
        match *value {
            [n0, n1, _, _] => Ok(Self(u16::from_be_bytes([n0, n1]))),
            _ => Err(malformed(Self::TYPE, value)),
        }
    }

    fn encode(&self, out: &mut Vec<u8>, _magic: &[u8; 16]) {
        out.extend_from_slice(&self.0.to_be_bytes());
        out.extend_from_slice(&[0, 0]);
    }
}

/// ICMP (RFC 8656 §18.13).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Icmp {
    /// ICMP type; the 7-bit field of RFC 8656 holds every type that is relayed.
    pub icmp_type: u8,
    /// ICMP code (9 bits on the wire).
    pub icmp_code: u8,
    /// For "too big": the MTU.
    pub error_data: u32,
}

impl Attribute<'_> for Icmp {
    const TYPE: AttributeType = AttributeType::ICMP;

    fn decode(value: &[u8], _magic: &[u8; 16]) -> Result<Self, AttributeError> {
        let Some((&[_, _, h0, h1], data)) = value.split_first_chunk::<4>() else {
            return Err(malformed(Self::TYPE, value));
        };
        let Ok(data) = <[u8; 4]>::try_from(data) else { return Err(malformed(Self::TYPE, value)) };
        Ok(Self { icmp_type: h0 >> 1, icmp_code: h1, error_data: u32::from_be_bytes(data) })
    }

    fn encode(&self, out: &mut Vec<u8>, _magic: &[u8; 16]) {
        out.extend_from_slice(&[0, 0, self.icmp_type << 1, self.icmp_code]);
        out.extend_from_slice(&self.error_data.to_be_bytes());
    }
}
