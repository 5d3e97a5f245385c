//! Issued credentials, and whose sessions they make.

use std::net::IpAddr;

use causeway_types::{Secret, UnixTime};

use super::{Order, ProjectId, TokenId};
use crate::Identifier;

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

/// In which role a client takes part in a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// It called.
    Initiator,
    /// It was called.
    Receiver,
    /// One credential was made for both; which of the two holds the session is not known.
    Shared,
}

impl Role {
    /// As in answers and in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Initiator => "initiator",
            Self::Receiver => "receiver",
            Self::Shared => "shared",
        }
    }
}

/// Towards whom a credential's allocations may relay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PeerScope {
    /// Anyone the peer policy allows.
    #[default]
    Any,
    /// Relayed and mapped addresses of the other allocations of the same room.
    Room,
}

impl PeerScope {
    /// As in requests and in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Room => "room",
        }
    }
}

/// Limits that travel with a credential; `None` leaves the configured value in force.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CredentialLimits {
    /// Payload bytes, both directions together, after which an allocation ends.
    pub bytes_max: Option<u64>,
    /// Allocations at once.
    pub allocations_max: Option<u32>,
    /// Payload bytes per second and direction (a request says bits per second).
    pub bandwidth: Option<u64>,
    /// The only client address that may allocate.
    pub client_ip: Option<IpAddr>,
    /// Towards whom it may relay.
    pub peer_scope: PeerScope,
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
    /// When it was revoked.
    pub revoked_at: Option<UnixTime>,
    /// What it may do.
    pub limits: CredentialLimits,
    /// A JSON object of the application's own, at most 1 KiB.
    pub metadata: Option<String>,
}

impl CredentialRecord {
    /// Where it is in its life.
    #[must_use]
    pub fn state(&self, now: UnixTime) -> CredentialState {
        if self.revoked_at.is_some() {
            CredentialState::Revoked
        } else if self.expires_at < now {
            CredentialState::Expired
        } else {
            CredentialState::Active
        }
    }

    /// Whose sessions this credential makes (`compat/turnix.md#attribution`).
    #[must_use]
    pub fn attribution(&self) -> Attribution {
        let named = [(&self.initiator_client, Role::Initiator), (&self.receiver_client, Role::Receiver)];
        let held = |role| match self.client_type {
            Some(ClientRole::Initiator) => role == Role::Initiator,
            Some(ClientRole::Receiver) => role == Role::Receiver,
            None => true,
        };
        let mut clients: Vec<(Identifier, Role)> = named
            .into_iter()
            .filter(|(_, role)| held(*role))
            .filter_map(|(name, role)| name.clone().map(|name| (name, role)))
            .collect();
        if clients.len() > 1 {
            clients.iter_mut().for_each(|(_, role)| *role = Role::Shared);
        }
        clients.dedup();
        Attribution {
            project: self.project,
            token: Some(self.token),
            room: self.room.clone(),
            clients,
            region: self.region.clone(),
        }
    }
}

/// To whom a session is ascribed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribution {
    /// Whose it is.
    pub project: ProjectId,
    /// Which token minted the credential; none for TURN REST names and static users.
    pub token: Option<TokenId>,
    /// Room, when named.
    pub room: Option<Identifier>,
    /// Clients and their roles: none, one, or two with the role `shared`.
    pub clients: Vec<(Identifier, Role)>,
    /// Region.
    pub region: String,
}

/// A credential as its owner may see it: never the secret part.
#[derive(Clone, Debug)]
pub struct CredentialView {
    /// Everything but the secret, which is empty here.
    pub record: CredentialRecord,
    /// Live sessions made with it.
    pub active_sessions: u64,
}

/// Where a credential is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialState {
    /// Opens allocations.
    Active,
    /// Its time is over.
    Expired,
    /// Taken back.
    Revoked,
}

impl CredentialState {
    /// Every state.
    pub const ALL: [Self; 3] = [Self::Active, Self::Expired, Self::Revoked];

    /// As in requests and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

/// By what credentials may be listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialKey {
    /// When it was made.
    Issued,
    /// When it ends.
    Expires,
}

impl CredentialKey {
    /// Every key, under its name in requests.
    pub const ALL: [(&'static str, Self); 2] = [("issued", Self::Issued), ("expires", Self::Expires)];
}

impl Default for Order<CredentialKey> {
    fn default() -> Self {
        Self { by: CredentialKey::Issued, is_descending: true }
    }
}

/// Which credentials to list.
#[derive(Clone, Debug, Default)]
pub struct CredentialFilter {
    /// Only this one.
    pub username: Option<String>,
    /// Of this room.
    pub room: Option<Identifier>,
    /// That name this client.
    pub client: Option<Identifier>,
    /// Minted with this token.
    pub token: Option<TokenId>,
    /// In this state.
    pub state: Option<CredentialState>,
    /// Whose user name, room or client has this in it; letters in any case.
    pub search: Option<String>,
    /// In which order.
    pub order: Order<CredentialKey>,
}

/// Which credentials to revoke.
#[derive(Clone, Debug)]
pub enum RevokeBy {
    /// One, by user name.
    Username(String),
    /// All of a room.
    Room(Identifier),
    /// All that name a client.
    Client(Identifier),
    /// All minted with a token.
    Token(TokenId),
    /// All issued before a moment.
    IssuedBefore(UnixTime),
}
