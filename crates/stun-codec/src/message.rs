//! A parsed message: a view over the bytes it came in.

use std::fmt;

use smallvec::SmallVec;

use crate::{
    attribute_type::AttributeType,
    attributes::{Attribute, AttributeError},
    header::{Class, HEADER_LEN, MAGIC_COOKIE, Method, TransactionId, split_message_type},
};

/// Why bytes are not a STUN message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// Fewer than 20 bytes.
    #[error("{len} bytes are too short for a STUN header")]
    TooShort {
        /// Bytes given.
        len: usize,
    },
    /// The two top bits of the type are not zero.
    #[error("not a STUN message type")]
    NotStun,
    /// The length field is not a multiple of 4, or does not match the number of bytes.
    #[error("length field says {declared}, {actual} bytes follow the header")]
    BadLength {
        /// The length field.
        declared: usize,
        /// Bytes after the header.
        actual: usize,
    },
    /// An attribute reaches over the end of the message.
    #[error("attribute at byte {offset} reaches over the end")]
    AttributeOverrun {
        /// Where the attribute begins, counted from the start of the message.
        offset: usize,
    },
}

/// A structurally sound STUN message.
#[derive(Clone, Copy)]
pub struct Message<'a> {
    bytes: &'a [u8],
    method: Method,
    class: Class,
    magic: [u8; 16],
}

/// An attribute as it stands on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawAttribute<'a> {
    /// Its type.
    pub typ: AttributeType,
    /// Its value without padding.
    pub value: &'a [u8],
    /// Where its header begins, counted from the start of the message.
    pub(crate) offset: usize,
}

impl<'a> Message<'a> {
    /// Reads a message that fills `bytes` exactly.
    ///
    /// # Errors
    /// See [`ParseError`]; every attribute has been bounds-checked when this succeeds.
    ///
    /// Source: RFC 8489 §5, §6.3, §14.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let Some((header, body)) = bytes.split_first_chunk::<HEADER_LEN>() else {
            return Err(ParseError::TooShort { len: bytes.len() });
        };
        let [t0, t1, l0, l1, magic @ ..] = *header;
        if t0 & 0xc0 != 0 {
            return Err(ParseError::NotStun);
        }
        let declared = usize::from(u16::from_be_bytes([l0, l1]));
        if declared != body.len() || declared % 4 != 0 {
            return Err(ParseError::BadLength { declared, actual: body.len() });
        }
        let (method, class) = split_message_type(u16::from_be_bytes([t0, t1]));
        let message = Self { bytes, method, class, magic };
        let mut walk = RawWalk { bytes, offset: HEADER_LEN };
        while walk.offset < bytes.len() {
            if walk.next().is_none() {
                return Err(ParseError::AttributeOverrun { offset: walk.offset });
            }
        }
        Ok(message)
    }

    /// The method.
    #[must_use]
    pub const fn method(&self) -> Method {
        self.method
    }

    /// The class.
    #[must_use]
    pub const fn class(&self) -> Class {
        self.class
    }

    /// The 96-bit transaction id.
    #[must_use]
    pub const fn transaction_id(&self) -> TransactionId {
        let [_, _, _, _, id @ ..] = self.magic;
        TransactionId(id)
    }

    /// Magic cookie and transaction id as they stand on the wire: what XOR addresses are made with, and the whole
    /// 128-bit transaction id of a classic message.
    #[must_use]
    pub const fn cookie_and_id(&self) -> &[u8; 16] {
        &self.magic
    }

    /// Whether the magic cookie is missing: a client of RFC 3489.
    #[must_use]
    pub fn is_classic(&self) -> bool {
        self.magic.first_chunk() != Some(&MAGIC_COOKIE)
    }

    /// The whole message.
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The attributes that count, in order: what stands behind MESSAGE-INTEGRITY is passed over except
    /// MESSAGE-INTEGRITY-SHA256 and FINGERPRINT (RFC 8489 §14.5), behind MESSAGE-INTEGRITY-SHA256 all but FINGERPRINT.
    #[must_use]
    pub const fn attributes(&self) -> Attributes<'a> {
        Attributes { walk: RawWalk { bytes: self.bytes, offset: HEADER_LEN }, after: Position::BeforeIntegrity }
    }

    /// The first attribute of type `A` that counts.
    ///
    /// # Errors
    /// It is there and its value is malformed.
    pub fn attribute<A: Attribute<'a>>(&self) -> Result<Option<A>, AttributeError> {
        match self.raw(A::TYPE) {
            Some(raw) => A::decode(raw.value, &self.magic).map(Some),
            None => Ok(None),
        }
    }

    /// Whether an attribute of this type counts.
    #[must_use]
    pub fn has(&self, typ: AttributeType) -> bool {
        self.raw(typ).is_some()
    }

    /// Comprehension-required attributes that are not in `known`, at most 32, each once.
    #[must_use]
    pub fn unknown_comprehension_required(&self, known: &[AttributeType]) -> SmallVec<[u16; 8]> {
        let mut unknown = SmallVec::new();
        for raw in self.attributes() {
            if raw.typ.is_comprehension_required()
                && !known.contains(&raw.typ)
                && !unknown.contains(&raw.typ.0)
                && unknown.len() < 32
            {
                unknown.push(raw.typ.0);
            }
        }
        unknown
    }

    pub(crate) fn raw(&self, typ: AttributeType) -> Option<RawAttribute<'a>> {
        self.attributes().find(|raw| raw.typ == typ)
    }
}

impl fmt::Debug for Message<'_> {
    /// Kind and length only: values may be personal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {:?} ({} bytes)", self.method, self.class, self.bytes.len())
    }
}

/// Iterator of [`Message::attributes`].
#[derive(Clone, Debug)]
pub struct Attributes<'a> {
    walk: RawWalk<'a>,
    after: Position,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Position {
    BeforeIntegrity,
    AfterSha1,
    AfterSha256,
    AfterFingerprint,
}

impl<'a> Iterator for Attributes<'a> {
    type Item = RawAttribute<'a>;

    fn next(&mut self) -> Option<RawAttribute<'a>> {
        loop {
            let raw = self.walk.next()?;
            let counts = match self.after {
                Position::BeforeIntegrity => true,
                Position::AfterSha1 => {
                    matches!(raw.typ, AttributeType::MESSAGE_INTEGRITY_SHA256 | AttributeType::FINGERPRINT)
                }
                Position::AfterSha256 => raw.typ == AttributeType::FINGERPRINT,
                Position::AfterFingerprint => false,
            };
            if !counts {
                continue;
            }
            self.after = match raw.typ {
                AttributeType::MESSAGE_INTEGRITY => Position::AfterSha1,
                AttributeType::MESSAGE_INTEGRITY_SHA256 => Position::AfterSha256,
                AttributeType::FINGERPRINT => Position::AfterFingerprint,
                _ => self.after,
            };
            return Some(raw);
        }
    }
}

/// Walks type-length-value triples; `None` at the end or where one reaches over it.
#[derive(Clone, Debug)]
struct RawWalk<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> RawWalk<'a> {
    fn next(&mut self) -> Option<RawAttribute<'a>> {
        let rest = self.bytes.get(self.offset..)?;
        let (&[t0, t1, l0, l1], after) = rest.split_first_chunk::<4>()?;
        let len = usize::from(u16::from_be_bytes([l0, l1]));
        let value = after.get(..len)?;
        let padded = len.next_multiple_of(4);
        if after.len() < padded {
            return None;
        }
        let raw = RawAttribute { typ: AttributeType(u16::from_be_bytes([t0, t1])), value, offset: self.offset };
        self.offset += 4 + padded;
        Some(raw)
    }
}
