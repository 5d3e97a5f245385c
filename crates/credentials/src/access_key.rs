//! Access keys for clients that sign: an id that is shown, a secret that is not, a session token for temporary ones.

use aws_lc_rs::digest;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use causeway_types::Secret;

/// An id and its secret.
#[derive(Clone, Debug)]
pub struct MadeKey {
    /// 20 characters: `CWAK` or `CWTK` and 16 of `A-Z2-7`.
    pub id: String,
    /// 40 base64url characters.
    pub secret: Secret<String>,
}

/// A key that lasts until it is revoked, of 46 random bytes.
#[must_use]
pub fn lasting(random: [u8; 46]) -> MadeKey {
    make("CWAK", random)
}

/// A temporary key of 46 random bytes, with a session token of 48: 64 base64url characters.
#[must_use]
pub fn temporary(random: [u8; 46], token: [u8; 48]) -> (MadeKey, Secret<String>) {
    (make("CWTK", random), Secret::new(URL_SAFE_NO_PAD.encode(token)))
}

fn make(prefix: &str, random: [u8; 46]) -> MadeKey {
    const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let (id, secret) = random.split_at(16);
    let letter = |byte: &u8| LETTERS.get(usize::from(byte & 31)).map_or('A', |letter| char::from(*letter));
    let id: String = prefix.chars().chain(id.iter().map(letter)).collect();
    MadeKey { id, secret: Secret::new(URL_SAFE_NO_PAD.encode(secret)) }
}

/// What stands in the table of API tokens for a key. No API token hashes to it: the text has a NUL, which no header carries.
#[must_use]
pub fn token_hash(id: &str) -> [u8; 32] {
    let mut out = [0; 32];
    let text = format!("access key\0{id}");
    for (to, from) in out.iter_mut().zip(digest::digest(&digest::SHA256, text.as_bytes()).as_ref()) {
        *to = *from;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_their_form_and_differ() {
        let key = lasting([7; 46]);
        assert_eq!((key.id.as_str(), key.secret.expose().len()), ("CWAKHHHHHHHHHHHHHHHH", 40));
        let (key, token) = temporary([0xff; 46], [0xff; 48]);
        assert_eq!((key.id.as_str(), token.expose().len()), ("CWTK7777777777777777", 64));
        assert!(token.expose().bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
        assert_ne!(token_hash("a"), token_hash("b"));
    }
}
