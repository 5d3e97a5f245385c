//! Issued credentials: a UUID v4 as user name and 32 hexadecimal digits as password.
//!
//! Source: `compat/turnix.md#success`. The same shape satisfies `[a-zA-Z0-9_.-]+`, which AWS clients expect.

use causeway_types::Secret;
use uuid::{Builder, Uuid};

/// A user name and its password, as handed to a client once.
#[derive(Clone, Debug)]
pub struct IssuedPair {
    /// UUID v4, lower case, 36 characters.
    pub username: String,
    /// 32 lower-case hexadecimal digits.
    pub credential: Secret<String>,
}

impl IssuedPair {
    /// Makes a pair of 32 random bytes.
    #[must_use]
    pub fn from_random(random: [u8; 32]) -> Self {
        let mut id = [0; 16];
        let mut secret = [0; 16];
        for (to, from) in id.iter_mut().chain(&mut secret).zip(random) {
            *to = from;
        }
        let username = Builder::from_random_bytes(id).into_uuid().hyphenated().to_string();
        Self { username, credential: Secret::new(hex::encode(secret)) }
    }
}

/// Whether `username` has the form of an issued one, so that only the store can know it.
#[must_use]
pub fn is_issued_form(username: &str) -> bool {
    username.len() == 36 && Uuid::try_parse(username).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_a_version_4_uuid_and_32_hex_digits() {
        let pair = IssuedPair::from_random([0xff; 32]);
        assert_eq!(pair.username, "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(pair.credential.expose(), &"f".repeat(32));
        assert!(is_issued_form(&pair.username));
        assert!(!is_issued_form("1790371886:alice"));
    }
}
