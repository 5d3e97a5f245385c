//! Time-limited credentials of the TURN REST API: derived from a shared secret, verified without any state.
//!
//! Source: draft-uberti-behave-turn-rest-00 §2.2; `compat/turnix.md#turn-rest` for what is accepted.

use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::STANDARD};
use causeway_types::{Secret, UnixTime};

/// The expiry a user name carries, or `None` when it has no such form.
///
/// `expiry`, `expiry:user` and `user:expiry` are taken: the part before the first separator when it is all digits, else
/// the part behind it.
#[must_use]
pub fn expiry_of(username: &str, separator: char) -> Option<UnixTime> {
    let (first, rest) = match username.split_once(separator) {
        Some((first, rest)) => (first, Some(rest)),
        None => (username, None),
    };
    digits(first).or_else(|| digits(rest?)).map(UnixTime::from_secs)
}

fn digits(text: &str) -> Option<u64> {
    let all_digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if all_digits { text.parse().ok() } else { None }
}

/// `base64(HMAC-SHA1(secret, username))`.
#[must_use]
pub fn password(secret: &str, username: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.as_bytes());
    STANDARD.encode(hmac::sign(&key, username.as_bytes()))
}

/// A user name that expires at `expiry`.
#[must_use]
pub fn username(expiry: UnixTime, user: Option<&str>, separator: char) -> String {
    match user {
        Some(user) => format!("{}{separator}{user}", expiry.as_secs()),
        None => expiry.as_secs().to_string(),
    }
}

/// The shared secrets of a realm: the first signs, all verify.
#[derive(Clone, Debug, Default)]
pub struct SharedSecrets {
    secrets: Vec<Secret<String>>,
}

impl SharedSecrets {
    /// From a list, signing one first.
    #[must_use]
    pub const fn new(secrets: Vec<Secret<String>>) -> Self {
        Self { secrets }
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.secrets.is_empty()
    }

    /// The one that signs.
    #[must_use]
    pub fn signing(&self) -> Option<&Secret<String>> {
        self.secrets.first()
    }

    /// All of them with their position.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &Secret<String>)> {
        self.secrets.iter().enumerate()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_match_the_vectors_of_two_independent_tools() {
        for (secret, username, expected) in [
            ("causeway-test-secret", "1790371886:alice", "DdSyKug/rqO62k9Pv02/k1NpEyg="),
            ("causeway-test-secret", "1790371886", "boksdXIlJLbx1T7joyRm9TECtRE="),
            ("second-secret", "1790371886:alice", "BjTlLymudfDyGIQKfFBr5MUQaF0="),
        ] {
            assert_eq!(password(secret, username), expected);
        }
    }

    #[test]
    fn the_expiry_is_found_where_coturn_finds_it() {
        for (username, expected) in [
            ("1790371886:alice", Some(1_790_371_886)),
            ("1790371886", Some(1_790_371_886)),
            ("alice:1790371886", Some(1_790_371_886)),
            ("1790371886:alice:x", Some(1_790_371_886)),
            (":1790371886", Some(1_790_371_886)),
            ("99999999999:bob", Some(99_999_999_999)),
            ("alice", None),
            ("alice:bob", None),
            ("", None),
            ("-5:x", None),
        ] {
            assert_eq!(expiry_of(username, ':').map(UnixTime::as_secs), expected, "{username:?}");
        }
        assert_eq!(expiry_of("17_alice", '_').map(UnixTime::as_secs), Some(17));
    }
}
