//! API tokens: shown once, stored as a hash.

use aws_lc_rs::digest;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use causeway_types::Secret;

/// Prefix of a project's token, so that secret scanners find leaked ones.
pub const PROJECT_PREFIX: &str = "cwp_";

/// Prefix of an organization-wide token.
pub const ORGANIZATION_PREFIX: &str = "cwo_";

/// A project token of 32 random bytes: the prefix and 43 base64url characters.
#[must_use]
pub fn from_random(random: [u8; 32]) -> Secret<String> {
    with_prefix(PROJECT_PREFIX, random)
}

/// An organization-wide token of 32 random bytes.
#[must_use]
pub fn organization_wide_from_random(random: [u8; 32]) -> Secret<String> {
    with_prefix(ORGANIZATION_PREFIX, random)
}

fn with_prefix(prefix: &str, random: [u8; 32]) -> Secret<String> {
    Secret::new(format!("{prefix}{}", URL_SAFE_NO_PAD.encode(random)))
}

/// The part of a token its owner may see again, to recognise it by: the first eight characters, or fewer of a short one
/// so that most of it stays hidden.
#[must_use]
pub fn shown_prefix(token: &str) -> String {
    let shown = (token.chars().count() / 3).min(8);
    token.chars().take(shown).collect()
}

/// What is stored of a token, whatever its form: SHA-256. A token is random, so it needs no salt or stretching.
#[must_use]
pub fn hash(token: &str) -> [u8; 32] {
    let mut out = [0; 32];
    for (to, from) in out.iter_mut().zip(digest::digest(&digest::SHA256, token.as_bytes()).as_ref()) {
        *to = *from;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_its_prefix_and_length() {
        let token = from_random([7; 32]);
        assert!(token.expose().starts_with("cwp_"));
        assert_eq!(token.expose().len(), 4 + 43);
        assert!(organization_wide_from_random([7; 32]).expose().starts_with("cwo_"));
        assert_ne!(hash(token.expose()), hash("cwp_other"));
    }
}
