//! MESSAGE-INTEGRITY, MESSAGE-INTEGRITY-SHA256 and FINGERPRINT (RFC 8489 §14.5–§14.7).
//!
//! Each is computed over the message up to the attribute, with the length field set as if the message ended right
//! after it. The two length bytes are fed to the hash separately, so nothing is copied or patched.

use aws_lc_rs::{constant_time::verify_slices_are_equal, hmac};

use crate::{attribute_type::AttributeType, header::HEADER_LEN, message::Message};

/// What FINGERPRINT is XORed with: "STUN" (RFC 8489 §14.7).
const FINGERPRINT_XOR: u32 = 0x5354_554e;

/// Which integrity attributes a message carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Integrity {
    /// Neither.
    None,
    /// MESSAGE-INTEGRITY only.
    Sha1,
    /// MESSAGE-INTEGRITY-SHA256 only.
    Sha256,
    /// Both.
    Both,
}

/// What a message says of its FINGERPRINT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fingerprint {
    /// There is none.
    Absent,
    /// It is right.
    Valid,
    /// It is wrong, or not the last attribute.
    Invalid,
}

impl Message<'_> {
    /// Which integrity attributes are there.
    #[must_use]
    pub fn integrity(&self) -> Integrity {
        match (self.has(AttributeType::MESSAGE_INTEGRITY), self.has(AttributeType::MESSAGE_INTEGRITY_SHA256)) {
            (false, false) => Integrity::None,
            (true, false) => Integrity::Sha1,
            (false, true) => Integrity::Sha256,
            (true, true) => Integrity::Both,
        }
    }

    /// Whether MESSAGE-INTEGRITY is there and was made with `key`. Constant time in the value.
    #[must_use]
    pub fn verify_integrity_sha1(&self, key: &[u8]) -> bool {
        let Some(raw) = self.raw(AttributeType::MESSAGE_INTEGRITY) else { return false };
        if raw.value.len() != 20 {
            return false;
        }
        match self.hmac_until(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key, raw.offset, 24) {
            Some(tag) => verify_slices_are_equal(tag.as_ref(), raw.value).is_ok(),
            None => false,
        }
    }

    /// Whether MESSAGE-INTEGRITY-SHA256 is there and was made with `key`; a truncated value of at least 16 bytes in
    /// steps of 4 counts (RFC 8489 §14.6). Constant time in the value.
    #[must_use]
    pub fn verify_integrity_sha256(&self, key: &[u8]) -> bool {
        let Some(raw) = self.raw(AttributeType::MESSAGE_INTEGRITY_SHA256) else { return false };
        let len = raw.value.len();
        if !(16..=32).contains(&len) || len % 4 != 0 {
            return false;
        }
        let Some(tag) = self.hmac_until(hmac::HMAC_SHA256, key, raw.offset, 4 + len) else { return false };
        match tag.as_ref().get(..len) {
            Some(expected) => verify_slices_are_equal(expected, raw.value).is_ok(),
            None => false,
        }
    }

    /// Checks FINGERPRINT.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        let Some(raw) = self.raw(AttributeType::FINGERPRINT) else { return Fingerprint::Absent };
        let Ok(value) = <[u8; 4]>::try_from(raw.value) else { return Fingerprint::Invalid };
        if raw.offset + 8 != self.as_bytes().len() {
            return Fingerprint::Invalid;
        }
        match self.as_bytes().get(..raw.offset) {
            Some(covered) if fingerprint_of(covered) == u32::from_be_bytes(value) => Fingerprint::Valid,
            _ => Fingerprint::Invalid,
        }
    }

    fn hmac_until(
        &self,
        algorithm: hmac::Algorithm,
        key: &[u8],
        offset: usize,
        attribute_len: usize,
    ) -> Option<hmac::Tag> {
        let covered = self.as_bytes().get(..offset)?;
        let (head, tail) = covered.split_first_chunk::<4>()?;
        let [t0, t1, _, _] = *head;
        let [l0, l1] = u16::try_from(offset - HEADER_LEN + attribute_len).ok()?.to_be_bytes();
        let mut context = hmac::Context::with_key(&hmac::Key::new(algorithm, key));
        context.update(&[t0, t1, l0, l1]);
        context.update(tail);
        Some(context.sign())
    }
}

/// FINGERPRINT over `covered`, whose length field already counts the FINGERPRINT attribute.
pub(crate) fn fingerprint_of(covered: &[u8]) -> u32 {
    crc32fast::hash(covered) ^ FINGERPRINT_XOR
}

/// HMAC over `covered`, whose length field already counts the integrity attribute.
pub(crate) fn hmac_of(algorithm: hmac::Algorithm, key: &[u8], covered: &[u8]) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(algorithm, key), covered)
}
