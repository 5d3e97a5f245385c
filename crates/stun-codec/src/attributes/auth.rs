//! Names, realms, nonces, algorithms and error codes.

use super::{Attribute, AttributeError, malformed};
use crate::attribute_type::AttributeType;

macro_rules! text_attribute {
    ($(#[$doc:meta])* $name:ident, $typ:ident, $max:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name<'a>(pub &'a str);

        impl<'a> Attribute<'a> for $name<'a> {
            const TYPE: AttributeType = AttributeType::$typ;

            fn decode(value: &'a [u8], _magic: &[u8; 16]) -> Result<Self, AttributeError> {
                match std::str::from_utf8(value) {
                    Ok(text) if value.len() <= $max => Ok(Self(text)),
                    _ => Err(malformed(Self::TYPE, value)),
                }
            }

            fn encode(&self, out: &mut Vec<u8>, _magic: &[u8; 16]) {
                out.extend_from_slice(self.0.as_bytes());
            }
        }
    };
}

text_attribute!(
    /// USERNAME (RFC 8489 §14.3): fewer than 509 bytes.
    Username, USERNAME, 508
);
text_attribute!(
    /// REALM (RFC 8489 §14.9): at most 763 bytes.
    Realm, REALM, 763
);
text_attribute!(
    /// NONCE (RFC 8489 §14.10): at most 763 bytes.
    Nonce, NONCE, 763
);
text_attribute!(
    /// SOFTWARE (RFC 8489 §14.14): at most 763 bytes.
    Software, SOFTWARE, 763
);
text_attribute!(
    /// ALTERNATE-DOMAIN (RFC 8489 §14.16): at most 255 bytes.
    AlternateDomain, ALTERNATE_DOMAIN, 255
);

/// USERHASH: `SHA-256(username ":" realm)` (RFC 8489 §14.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserHash(pub [u8; 32]);

impl Attribute<'_> for UserHash {
    const TYPE: AttributeType = AttributeType::USERHASH;

    fn decode(value: &[u8], _magic: &[u8; 16]) -> Result<Self, AttributeError> {
        value.try_into().map(Self).map_err(|_| malformed(Self::TYPE, value))
    }

    fn encode(&self, out: &mut Vec<u8>, _magic: &[u8; 16]) {
        out.extend_from_slice(&self.0);
    }
}

/// ERROR-CODE (RFC 8489 §14.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorCode<'a> {
    /// 300–699.
    pub code: u16,
    /// May be empty.
    pub reason: &'a str,
}

impl<'a> Attribute<'a> for ErrorCode<'a> {
    const TYPE: AttributeType = AttributeType::ERROR_CODE;

    fn decode(value: &'a [u8], _magic: &[u8; 16]) -> Result<Self, AttributeError> {
        let (code, reason) = decode_code(value).ok_or_else(|| malformed(Self::TYPE, value))?;
        Ok(Self { code, reason })
    }

    fn encode(&self, out: &mut Vec<u8>, _magic: &[u8; 16]) {
        encode_code(0, self.code, self.reason, out);
    }
}

/// `|reserved|class|number|reason…|`, shared with ADDRESS-ERROR-CODE, whose first byte is the family.
pub(super) fn decode_code(value: &[u8]) -> Option<(u16, &str)> {
    let (&[_, _, class, number], reason) = value.split_first_chunk::<4>()?;
    let class = u16::from(class & 7);
    if !(3..=6).contains(&class) || number > 99 {
        return None;
    }
    Some((class * 100 + u16::from(number), std::str::from_utf8(reason).ok()?))
}

pub(super) fn encode_code(first: u8, code: u16, reason: &str, out: &mut Vec<u8>) {
    let class = u8::try_from(code / 100).unwrap_or(0) & 7;
    let number = u8::try_from(code % 100).unwrap_or(0);
    out.extend_from_slice(&[first, 0, class, number]);
    out.extend_from_slice(reason.as_bytes());
}

/// UNKNOWN-ATTRIBUTES (RFC 8489 §14.13): big-endian 16-bit types, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownAttributes<'a>(pub &'a [u16]);

impl UnknownAttributes<'_> {
    /// The types listed in a received value.
    pub fn types(value: &[u8]) -> impl Iterator<Item = u16> + '_ {
        value.chunks_exact(2).filter_map(|pair| pair.try_into().ok().map(u16::from_be_bytes))
    }

    /// Appends the value.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        for typ in self.0 {
            out.extend_from_slice(&typ.to_be_bytes());
        }
    }
}

impl<'a> Attribute<'a> for UnknownAttributes<'a> {
    const TYPE: AttributeType = AttributeType::UNKNOWN_ATTRIBUTES;

    /// Always refused: the list cannot be borrowed from big-endian bytes; use [`UnknownAttributes::types`].
    fn decode(value: &'a [u8], _magic: &[u8; 16]) -> Result<Self, AttributeError> {
        if value.is_empty() { Ok(Self(&[])) } else { Err(malformed(Self::TYPE, value)) }
    }

    fn encode(&self, out: &mut Vec<u8>, _magic: &[u8; 16]) {
        self.write(out);
    }
}

/// A password algorithm (RFC 8489 §18.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordAlgorithm {
    /// 1: the key is MD5.
    Md5,
    /// 2: the key is SHA-256.
    Sha256,
    /// Another number, or a known one with parameters.
    Other(u16),
}

impl PasswordAlgorithm {
    /// Reads one `number, length, parameters` entry; gives the rest.
    fn split(value: &[u8]) -> Option<(Self, &[u8])> {
        let (&[n0, n1, l0, l1], rest) = value.split_first_chunk::<4>()?;
        let len = usize::from(u16::from_be_bytes([l0, l1]));
        let number = u16::from_be_bytes([n0, n1]);
        let algorithm = match (number, len) {
            (1, 0) => Self::Md5,
            (2, 0) => Self::Sha256,
            _ => Self::Other(number),
        };
        let padded = len.next_multiple_of(4);
        Some((algorithm, rest.get(padded..).or_else(|| rest.get(len..))?))
    }

    const fn number(self) -> u16 {
        match self {
            Self::Md5 => 1,
            Self::Sha256 => 2,
            Self::Other(number) => number,
        }
    }
}

impl Attribute<'_> for PasswordAlgorithm {
    const TYPE: AttributeType = AttributeType::PASSWORD_ALGORITHM;

    fn decode(value: &[u8], _magic: &[u8; 16]) -> Result<Self, AttributeError> {
        match Self::split(value) {
            Some((algorithm, [])) => Ok(algorithm),
            _ => Err(malformed(Self::TYPE, value)),
        }
    }

    fn encode(&self, out: &mut Vec<u8>, _magic: &[u8; 16]) {
        out.extend_from_slice(&self.number().to_be_bytes());
        out.extend_from_slice(&[0, 0]);
    }
}

/// PASSWORD-ALGORITHMS (RFC 8489 §14.11), kept as bytes so that a bid-down check can compare them exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PasswordAlgorithms<'a>(pub &'a [u8]);

impl PasswordAlgorithms<'_> {
    /// SHA-256 first, then MD5: what causeway offers.
    pub const OFFERED: PasswordAlgorithms<'static> = PasswordAlgorithms(&[0, 2, 0, 0, 0, 1, 0, 0]);

    /// The algorithms in order of preference.
    pub fn iter(&self) -> impl Iterator<Item = PasswordAlgorithm> + '_ {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let (algorithm, after) = PasswordAlgorithm::split(rest)?;
            rest = after;
            Some(algorithm)
        })
    }
}

impl<'a> Attribute<'a> for PasswordAlgorithms<'a> {
    const TYPE: AttributeType = AttributeType::PASSWORD_ALGORITHMS;

    fn decode(value: &'a [u8], _magic: &[u8; 16]) -> Result<Self, AttributeError> {
        if value.len() < 4 { Err(malformed(Self::TYPE, value)) } else { Ok(Self(value)) }
    }

    fn encode(&self, out: &mut Vec<u8>, _magic: &[u8; 16]) {
        out.extend_from_slice(self.0);
    }
}
