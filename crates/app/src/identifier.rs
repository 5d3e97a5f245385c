//! Names of rooms and clients.

use std::{fmt, sync::Arc};

/// 1–100 ASCII letters, digits, `-` and `_`; case-sensitive. Needs no escaping in URLs, keys, labels or templates.
///
/// Source: `compat/turnix.md#identifiers`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identifier(Arc<str>);

/// Why a text is no [`Identifier`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentifierError {
    /// More than 100 characters.
    #[error("at most 100 characters are allowed")]
    TooLong,
    /// Empty, or a character outside the set.
    #[error("only letters, digits, - and _ are allowed, at most 100 characters")]
    BadCharacters,
}

impl Identifier {
    /// Most characters.
    pub const LEN_MAX: usize = 100;

    /// Checks `text` as a whole; nothing is trimmed.
    ///
    /// # Errors
    /// See [`IdentifierError`].
    pub fn new(text: &str) -> Result<Self, IdentifierError> {
        let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if text.is_empty() || !text.bytes().all(good) {
            return Err(IdentifierError::BadCharacters);
        }
        if text.len() > Self::LEN_MAX {
            return Err(IdentifierError::TooLong);
        }
        Ok(Self(Arc::from(text)))
    }

    /// A label for a name that may have other characters: the same where it can be, else its permitted characters and a hash.
    #[must_use]
    pub fn like(name: &str) -> Option<Self> {
        if let Ok(label) = Self::new(name) {
            return Some(label);
        }
        let good = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        let head: String = name.chars().filter(good).take(67).collect();
        let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, name.as_bytes());
        let hash = hex::encode(hash);
        Self::new(&format!("{head}-{}", hash.get(..32)?)).ok()
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_other_characters_has_a_label_of_its_own() {
        assert_eq!(Identifier::like("alice").unwrap().as_str(), "alice");
        let (dot, plus) = (Identifier::like("a.b").unwrap(), Identifier::like("a+b").unwrap());
        assert!(dot.as_str().starts_with("ab-") && dot != plus);
        assert!(Identifier::like(&"x.".repeat(200)).is_some());
    }

    #[test]
    fn the_table_of_the_original_service_holds() {
        for good in ["alice", "demo-room", "chat-room-42", "secret_room_id", "A", "-", "_", "007", &"a".repeat(100)] {
            assert!(Identifier::new(good).is_ok(), "{good}");
        }
        assert_eq!(Identifier::new(&"a".repeat(101)), Err(IdentifierError::TooLong));
        for bad in ["", "alice@example.com", "a.b", "a b", "a+b", "a/b", "a:b", "a%20b", "a\n", "é", "ａ", "🙂", "../x"]
        {
            assert_eq!(Identifier::new(bad), Err(IdentifierError::BadCharacters), "{bad:?}");
        }
    }
}
