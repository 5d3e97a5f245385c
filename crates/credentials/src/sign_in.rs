//! Sign-ins and one-time links of people: random, held by a browser, stored as a hash.

use aws_lc_rs::digest;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use causeway_types::Secret;

use crate::token;

/// Prefix of a one-time link's token.
pub const LINK_PREFIX: &str = "cwl_";

/// What a browser holds of a sign-in: 32 random bytes in 43 base64url characters.
#[must_use]
pub fn from_random(random: [u8; 32]) -> Secret<String> {
    Secret::new(URL_SAFE_NO_PAD.encode(random))
}

/// A one-time link's token.
#[must_use]
pub fn link_from_random(random: [u8; 32]) -> Secret<String> {
    Secret::new(format!("{LINK_PREFIX}{}", URL_SAFE_NO_PAD.encode(random)))
}

/// What is stored of either.
#[must_use]
pub fn hash(secret: &str) -> [u8; 32] {
    token::hash(secret)
}

/// What a request that changes something must repeat: who does not hold the secret cannot make it, and it does not tell
/// the secret.
#[must_use]
pub fn csrf_token(secret: &str) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(b"causeway csrf\n");
    context.update(secret.as_bytes());
    URL_SAFE_NO_PAD.encode(context.finish().as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_csrf_token_follows_from_the_secret_and_is_not_what_is_stored() {
        let secret = from_random([7; 32]);
        let token = csrf_token(secret.expose());
        assert_eq!(token, csrf_token(secret.expose()));
        assert_eq!(token.len(), 43);
        assert_ne!(token, csrf_token(from_random([8; 32]).expose()));
        assert_ne!(token, URL_SAFE_NO_PAD.encode(hash(secret.expose())));
    }

    #[test]
    fn a_links_token_can_be_recognised() {
        assert!(link_from_random([7; 32]).expose().starts_with(LINK_PREFIX));
    }
}
