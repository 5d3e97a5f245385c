//! People: who may sign in, and what they may do.

use causeway_types::UnixTime;

use crate::{ApiCaller, OrganizationId, Scope, Scopes};

/// A user's number in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(pub i64);

/// What a person may do, in every project of the organization.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UserRole {
    /// Everything.
    Owner,
    /// Read, mint credentials, end sessions, take credentials back.
    Operator,
    /// Read.
    Viewer,
}

impl UserRole {
    /// Every role, the most powerful first.
    pub const ALL: [Self; 3] = [Self::Owner, Self::Operator, Self::Viewer];

    /// As in requests, answers and the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Operator => "operator",
            Self::Viewer => "viewer",
        }
    }

    /// The role of that name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }

    /// What a token that may do as much has. An operator may also end sessions and take credentials back, which no scope
    /// but `admin` allows: see [`ApiCaller::may_end`].
    #[must_use]
    pub fn scopes(self) -> Scopes {
        match self {
            Self::Owner => Scopes::ALL,
            Self::Operator => Scopes::default().with(Scope::Read).with(Scope::Credentials),
            Self::Viewer => Scopes::default().with(Scope::Read),
        }
    }
}

/// Who calls, when it is a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Person {
    /// Who.
    pub id: UserId,
    /// What they may do.
    pub role: UserRole,
}

/// A person as owners see them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserView {
    /// Number.
    pub id: UserId,
    /// Of which organization.
    pub organization: OrganizationId,
    /// In small letters.
    pub email: String,
    /// What people call them.
    pub name: String,
    /// What they may do.
    pub role: UserRole,
    /// Whether there is a password to sign in with.
    pub has_password: bool,
    /// Whether they signed in at an OpenID provider.
    pub has_provider: bool,
    /// Whether they are kept out.
    pub is_disabled: bool,
    /// When they were added.
    pub created_at: UnixTime,
    /// When they last asked for something, to the flush interval.
    pub last_seen_at: Option<UnixTime>,
}

/// A person to be stored.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// In small letters.
    pub email: String,
    /// What people call them.
    pub name: String,
    /// What they may do.
    pub role: UserRole,
    /// Password as stored.
    pub password_hash: Option<String>,
    /// Issuer and subject at an OpenID provider.
    pub provider_id: Option<String>,
}

/// What to change about a person; what is none stays.
#[derive(Clone, Debug, Default)]
pub struct UserChange {
    /// The name.
    pub name: Option<String>,
    /// The role.
    pub role: Option<UserRole>,
    /// Whether they are kept out.
    pub is_disabled: Option<bool>,
}

/// Who is signed in, and whether it still counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignInHolder {
    /// Who.
    pub caller: ApiCaller,
    /// When they signed in.
    pub created_at: UnixTime,
    /// When they last asked for something, to the flush interval.
    pub last_used_at: UnixTime,
    /// Whether they are kept out.
    pub is_disabled: bool,
    /// Whether the project is disabled.
    pub is_project_disabled: bool,
}

/// What a one-time link is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkKind {
    /// Makes the first owner.
    First,
    /// Lets an invited person choose a password.
    Invitation,
    /// Lets somebody choose a new one.
    Password,
}

impl LinkKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::First, Self::Invitation, Self::Password];

    /// As in answers and the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Invitation => "invitation",
            Self::Password => "password",
        }
    }
}

/// A one-time link that was not used yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OneTimeLink {
    /// Of which organization.
    pub organization: OrganizationId,
    /// What for.
    pub kind: LinkKind,
    /// For whom; none for the first owner.
    pub user: Option<UserId>,
    /// When it stops working.
    pub expires_at: UnixTime,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_may_do_less_than_the_one_before() {
        let counts = UserRole::ALL.map(|role| role.scopes().iter().count());
        assert_eq!(counts, [3, 2, 1]);
        for role in UserRole::ALL {
            assert_eq!(UserRole::parse(role.as_str()), Some(role));
        }
        assert_eq!(UserRole::parse("root"), None);
    }
}
