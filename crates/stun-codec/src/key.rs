//! Long-term keys (RFC 8489 §9.2.2) and USERHASH (§14.4).
//!
//! Names and passwords are used as given; the OpaqueString profile of RFC 8265 is the identity on the ASCII names and
//! passwords that causeway issues.

use aws_lc_rs::digest;
use md5::{Digest, Md5};

/// `MD5(username ":" realm ":" password)`.
#[must_use]
pub fn md5_key(username: &str, realm: &str, password: &str) -> [u8; 16] {
    let mut hash = Md5::new();
    for part in [username, ":", realm, ":", password] {
        hash.update(part.as_bytes());
    }
    hash.finalize().into()
}

/// `SHA-256(username ":" realm ":" password)`.
#[must_use]
pub fn sha256_key(username: &str, realm: &str, password: &str) -> [u8; 32] {
    sha256(&[username, ":", realm, ":", password])
}

/// USERHASH: `SHA-256(username ":" realm)`.
#[must_use]
pub fn user_hash(username: &str, realm: &str) -> [u8; 32] {
    sha256(&[username, ":", realm])
}

fn sha256(parts: &[&str]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(part.as_bytes());
    }
    let mut out = [0; 32];
    for (to, from) in out.iter_mut().zip(context.finish().as_ref()) {
        *to = *from;
    }
    out
}
