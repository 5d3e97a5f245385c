//! The names in a client token: whose client, which one, whom it may call.

use std::{fmt, sync::Arc};

/// Longest name of a client, in bytes.
pub const CLIENT_ID_BYTES_MAX: usize = 255;
/// Most patterns a token names.
pub const CALLEES_MAX: usize = 100;

/// Why a text is none of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// It is longer, or they are more, than allowed.
    #[error("too long, or too many")]
    TooLong,
    /// Empty, or a character outside the set.
    #[error("empty, or a character that is not allowed")]
    BadCharacters,
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// As text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(
    /// Name of a client: ASCII letters, digits and `+-_.`, at most [`CLIENT_ID_BYTES_MAX`]; case-sensitive.
    ClientId
);
name!(
    /// An account in the domain of its clients, and the issuer of their tokens: 1–63 of `a-z0-9`, one DNS label.
    AccessLabel
);
name!(
    /// A cloud: three numbers with dashes, as `1-2-0`.
    CloudId
);

fn check(text: &str, max: usize, is_good: impl Fn(u8) -> bool) -> Result<Arc<str>, NameError> {
    if text.is_empty() || !text.bytes().all(is_good) {
        return Err(NameError::BadCharacters);
    }
    if text.len() > max {
        return Err(NameError::TooLong);
    }
    Ok(Arc::from(text))
}

impl ClientId {
    /// Checks `text` as a whole.
    ///
    /// # Errors
    /// See [`NameError`].
    pub fn new(text: &str) -> Result<Self, NameError> {
        let is_good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'_' | b'.');
        check(text, CLIENT_ID_BYTES_MAX, is_good).map(Self)
    }
}

impl AccessLabel {
    /// Checks `text` as a whole.
    ///
    /// # Errors
    /// See [`NameError`].
    pub fn new(text: &str) -> Result<Self, NameError> {
        check(text, 63, |byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()).map(Self)
    }

    /// A label of 25 random bytes: 25 characters, 125 bits.
    #[must_use]
    pub fn from_random(random: [u8; 25]) -> Self {
        const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
        let letter = |byte: u8| LETTERS.get(usize::from(byte & 31)).map_or('a', |letter| char::from(*letter));
        Self(random.into_iter().map(letter).collect::<String>().into())
    }
}

impl Default for CloudId {
    /// `1-2-0`, the one that examples have.
    fn default() -> Self {
        Self(Arc::from("1-2-0"))
    }
}

impl CloudId {
    /// Checks `text` as a whole.
    ///
    /// # Errors
    /// See [`NameError`].
    pub fn new(text: &str) -> Result<Self, NameError> {
        let text = check(text, 40, |byte| byte.is_ascii_digit() || byte == b'-')?;
        let mut n_parts = 0;
        for part in text.split('-') {
            if part.is_empty() {
                return Err(NameError::BadCharacters);
            }
            n_parts += 1;
        }
        if n_parts == 3 { Ok(Self(text)) } else { Err(NameError::BadCharacters) }
    }
}

/// One client that may be called, or all whose names begin so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CalleePattern {
    /// This one.
    Client(ClientId),
    /// All that begin with this.
    Prefix(ClientId),
    /// Everybody.
    All,
}

impl CalleePattern {
    /// A name, a name with `*` behind it, or `*`.
    ///
    /// # Errors
    /// See [`NameError`].
    pub fn new(text: &str) -> Result<Self, NameError> {
        match text.strip_suffix('*') {
            Some("") => Ok(Self::All),
            Some(prefix) => ClientId::new(prefix).map(Self::Prefix),
            None => ClientId::new(text).map(Self::Client),
        }
    }

    fn fits(&self, client: &str) -> bool {
        match self {
            Self::Client(name) => name.as_str() == client,
            Self::Prefix(prefix) => client.starts_with(prefix.as_str()),
            Self::All => true,
        }
    }
}

impl fmt::Display for CalleePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(name) => write!(f, "{name}"),
            Self::Prefix(prefix) => write!(f, "{prefix}*"),
            Self::All => f.write_str("*"),
        }
    }
}

/// Whom a client may call; nobody when empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Callees(Vec<CalleePattern>);

impl Callees {
    /// Those of these patterns, each once.
    ///
    /// # Errors
    /// A pattern is none, or there are more than [`CALLEES_MAX`].
    pub fn new<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Result<Self, NameError> {
        let mut all = Vec::new();
        for text in patterns {
            let pattern = CalleePattern::new(text)?;
            if !all.contains(&pattern) {
                all.push(pattern);
            }
            if all.len() > CALLEES_MAX {
                return Err(NameError::TooLong);
            }
        }
        Ok(Self(all))
    }

    /// Whether the client of this name may be called.
    #[must_use]
    pub fn allows(&self, client: &str) -> bool {
        self.0.iter().any(|pattern| pattern.fits(client))
    }

    /// The patterns as they are written.
    #[must_use]
    pub fn texts(&self) -> Vec<String> {
        self.0.iter().map(CalleePattern::to_string).collect()
    }
}
