//! What the control plane remembers.

use causeway_types::{Secret, UnixTime};

use crate::Identifier;

/// A project's number in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProjectId(pub i64);

/// An API token's number in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenId(pub i64);

/// Who calls the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApiCaller {
    /// For which project.
    pub project: ProjectId,
    /// With which token.
    pub token: TokenId,
}

/// A token to be stored.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// SHA-256 of the token.
    pub hash: [u8; 32],
    /// What people call it.
    pub name: String,
}

/// Which of the two named clients holds a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientRole {
    /// The one who calls.
    Initiator,
    /// The one who is called.
    Receiver,
}

impl ClientRole {
    /// As in requests and in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Initiator => "initiator",
            Self::Receiver => "receiver",
        }
    }
}

/// An issued credential.
#[derive(Clone, Debug)]
pub struct CredentialRecord {
    /// UUID v4.
    pub username: String,
    /// Its password.
    pub secret: Secret<String>,
    /// USERHASH in the realm it was issued for (RFC 8489 §14.4).
    pub user_hash: [u8; 32],
    /// Whose it is.
    pub project: ProjectId,
    /// Which token minted it.
    pub token: TokenId,
    /// Label.
    pub room: Option<Identifier>,
    /// Label.
    pub initiator_client: Option<Identifier>,
    /// Label.
    pub receiver_client: Option<Identifier>,
    /// Which of the two holds it, when the request said so.
    pub client_type: Option<ClientRole>,
    /// Region it was issued for.
    pub region: String,
    /// When.
    pub issued_at: UnixTime,
    /// Until when new allocations may be made with it.
    pub expires_at: UnixTime,
}
