//! Builds a message into one buffer, length field right at every step.

use aws_lc_rs::hmac;

use crate::{
    attribute_type::AttributeType,
    attributes::Attribute,
    header::{Class, HEADER_LEN, MAGIC_COOKIE, Method, TransactionId, message_type},
    integrity::{fingerprint_of, hmac_of},
    message::Message,
};

/// Builds one message: attributes in calling order, then integrity, then fingerprint.
#[derive(Clone, Debug)]
pub struct MessageBuilder {
    bytes: Vec<u8>,
    magic: [u8; 16],
}

impl MessageBuilder {
    /// A message with the magic cookie.
    #[must_use]
    pub fn new(class: Class, method: Method, id: TransactionId) -> Self {
        let mut magic = [0; 16];
        for (to, from) in magic.iter_mut().zip(MAGIC_COOKIE.iter().chain(&id.0)) {
            *to = *from;
        }
        Self::with_magic(class, method, magic)
    }

    /// An answer to `request`, classic when the request is.
    #[must_use]
    pub fn reply_to(request: &Message<'_>, class: Class) -> Self {
        Self::with_magic(class, request.method(), *request.cookie_and_id())
    }

    fn with_magic(class: Class, method: Method, magic: [u8; 16]) -> Self {
        let mut bytes = Vec::with_capacity(160);
        bytes.extend_from_slice(&message_type(method, class).to_be_bytes());
        bytes.extend_from_slice(&[0, 0]);
        bytes.extend_from_slice(&magic);
        Self { bytes, magic }
    }

    /// Appends an attribute with its padding.
    #[must_use]
    pub fn attribute<'a, A: Attribute<'a>>(mut self, attribute: &A) -> Self {
        let magic = self.magic;
        self.append(A::TYPE, |out| attribute.encode(out, &magic));
        self
    }

    /// Appends an attribute when there is one.
    #[must_use]
    pub fn maybe<'a, A: Attribute<'a>>(self, attribute: Option<&A>) -> Self {
        match attribute {
            Some(attribute) => self.attribute(attribute),
            None => self,
        }
    }

    /// Appends an attribute by number and bytes, for types this crate has no codec for.
    #[must_use]
    pub fn raw_attribute(mut self, typ: AttributeType, value: &[u8]) -> Self {
        self.append(typ, |out| out.extend_from_slice(value));
        self
    }

    /// Appends MESSAGE-INTEGRITY (RFC 8489 §14.5).
    #[must_use]
    pub fn integrity_sha1(mut self, key: &[u8]) -> Self {
        self.set_len(self.bytes.len() + 24);
        let tag = hmac_of(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key, &self.bytes);
        self.append(AttributeType::MESSAGE_INTEGRITY, |out| out.extend_from_slice(tag.as_ref()));
        self
    }

    /// Appends MESSAGE-INTEGRITY-SHA256, full length (RFC 8489 §14.6).
    #[must_use]
    pub fn integrity_sha256(mut self, key: &[u8]) -> Self {
        self.set_len(self.bytes.len() + 36);
        let tag = hmac_of(hmac::HMAC_SHA256, key, &self.bytes);
        self.append(AttributeType::MESSAGE_INTEGRITY_SHA256, |out| out.extend_from_slice(tag.as_ref()));
        self
    }

    /// Appends FINGERPRINT (RFC 8489 §14.7); nothing may follow.
    #[must_use]
    pub fn fingerprint(mut self) -> Self {
        self.set_len(self.bytes.len() + 8);
        let value = fingerprint_of(&self.bytes);
        self.append(AttributeType::FINGERPRINT, |out| out.extend_from_slice(&value.to_be_bytes()));
        self
    }

    /// The message.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }

    fn append(&mut self, typ: AttributeType, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&typ.0.to_be_bytes());
        self.bytes.extend_from_slice(&[0, 0]);
        write(&mut self.bytes);
        let len = u16::try_from(self.bytes.len() - start - 4).unwrap_or(u16::MAX);
        if let Some(field) = self.bytes.get_mut(start + 2..start + 4) {
            field.copy_from_slice(&len.to_be_bytes());
        }
        while !self.bytes.len().is_multiple_of(4) {
            self.bytes.push(0);
        }
        self.set_len(self.bytes.len());
    }

    fn set_len(&mut self, total: usize) {
        let len = u16::try_from(total - HEADER_LEN).unwrap_or(u16::MAX);
        if let Some(field) = self.bytes.get_mut(2..4) {
            field.copy_from_slice(&len.to_be_bytes());
        }
    }
}
