//! Who may call the API: organizations, projects and their tokens.

use std::collections::BTreeSet;

use causeway_types::UnixTime;

use super::person::{Person, UserRole};
use crate::rules::ProjectRules;

/// An organization's number in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrganizationId(pub i64);

impl OrganizationId {
    /// The organization that exists from the first start on.
    pub const DEFAULT: Self = Self(1);
}

/// A project's number in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProjectId(pub i64);

impl ProjectId {
    /// The project that exists from the first start on: it also owns what no token stands for, TURN REST names and
    /// static users.
    pub const DEFAULT: Self = Self(1);
}

/// An API token's number in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenId(pub i64);

/// What a token may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Mint credentials, list regions.
    Credentials,
    /// Read rooms, clients, sessions, credentials, usage, events.
    Read,
    /// Everything else: revoke, end sessions, tokens, webhooks, projects.
    Admin,
}

impl Scope {
    /// Every scope, in the order they are written.
    pub const ALL: [Self; 3] = [Self::Credentials, Self::Read, Self::Admin];

    /// As in requests, answers and the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Credentials => "credentials",
            Self::Read => "read",
            Self::Admin => "admin",
        }
    }

    const fn bit(self) -> u8 {
        match self {
            Self::Credentials => 1,
            Self::Read => 2,
            Self::Admin => 4,
        }
    }
}

/// A set of [`Scope`]s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scopes(u8);

impl Scopes {
    /// Every scope.
    pub const ALL: Self = Self(7);

    /// Whether `scope` is in it.
    #[must_use]
    pub const fn has(self, scope: Scope) -> bool {
        self.0 & scope.bit() != 0
    }

    /// This set with `scope`.
    #[must_use]
    pub const fn with(self, scope: Scope) -> Self {
        Self(self.0 | scope.bit())
    }

    /// The scopes in it, in the order they are written.
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.into_iter().filter(move |scope| self.has(*scope))
    }

    /// Reads the comma-separated form; words it does not know are left out.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let named = |word: &str| Scope::ALL.into_iter().find(|scope| scope.as_str() == word.trim());
        text.split(',').filter_map(named).fold(Self::default(), Self::with)
    }

    /// The comma-separated form.
    #[must_use]
    pub fn to_text(self) -> String {
        self.iter().map(Scope::as_str).collect::<Vec<_>>().join(",")
    }
}

/// Who calls the API, for which project.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApiCaller {
    /// Of which organization.
    pub organization: OrganizationId,
    /// For which project.
    pub project: ProjectId,
    /// With which token.
    pub token: TokenId,
    /// What the token may do.
    pub scopes: Scopes,
    /// Whether it stands for every project of its organization.
    pub organization_wide: bool,
    /// Who, when it is a person that signed in; `token` is then the one that stands for them.
    pub person: Option<Person>,
}

impl ApiCaller {
    /// Whether this caller may end sessions and take credentials back.
    #[must_use]
    pub fn may_end(self) -> bool {
        self.scopes.has(Scope::Admin) || self.person.is_some_and(|person| person.role == UserRole::Operator)
    }
}

/// A token to be stored.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// SHA-256 of the token.
    pub hash: [u8; 32],
    /// What people call it.
    pub name: String,
    /// Its first characters, to recognise it by; never enough to use it.
    pub prefix: String,
    /// What it may do.
    pub scopes: Scopes,
    /// Whether it stands for every project of its organization.
    pub organization_wide: bool,
    /// When it stops working.
    pub expires_at: Option<UnixTime>,
    /// Regions it may mint for; empty: every one of its project.
    pub regions: BTreeSet<String>,
}

/// A token as its owner may see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenView {
    /// Number.
    pub id: TokenId,
    /// What people call it.
    pub name: String,
    /// Its first characters.
    pub prefix: String,
    /// What it may do.
    pub scopes: Scopes,
    /// Whether it stands for every project of its organization.
    pub organization_wide: bool,
    /// When it was made.
    pub created_at: UnixTime,
    /// When it was last used, to the flush interval.
    pub last_used_at: Option<UnixTime>,
    /// When it stops working.
    pub expires_at: Option<UnixTime>,
    /// When it was revoked.
    pub revoked_at: Option<UnixTime>,
    /// Regions it may mint for; empty: every one of its project.
    pub regions: BTreeSet<String>,
}

/// A project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectView {
    /// Number.
    pub id: ProjectId,
    /// Its name in URLs and headers.
    pub slug: String,
    /// When it was made.
    pub created_at: UnixTime,
    /// No credential is minted for it, and none of its credentials opens a new allocation.
    pub is_disabled: bool,
    /// What it may use.
    pub rules: ProjectRules,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_survive_their_text_form_and_unknown_words_grant_nothing() {
        let scopes = Scopes::default().with(Scope::Admin).with(Scope::Credentials);
        assert_eq!(scopes.to_text(), "credentials,admin");
        assert_eq!(Scopes::parse("credentials, admin"), scopes);
        assert!(!Scopes::parse("root,*").has(Scope::Read));
        assert_eq!(Scopes::parse("read,credentials,admin"), Scopes::ALL);
    }
}
