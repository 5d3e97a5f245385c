//! Who may open the simulated server.

use std::{sync::Arc, time::Duration};

use causeway_stun_codec::key;
use causeway_turn_core::{Grant, GrantLimits, IntegrityKeys, KeyAnswer, OnExpiry, UserRef};
use causeway_types::{AuthRefusal, CredentialKind, ScopeId, Secret, UnixTime};

/// The realm of every simulated server.
pub const REALM: &str = "example.org";
/// Wall-clock time when a simulation begins.
pub const START: UnixTime = UnixTime::from_secs(1_790_000_000);

/// A user with all it takes to sign as that user.
#[derive(Clone, Debug)]
pub struct User {
    /// USERNAME.
    pub name: Arc<str>,
    /// The passwords the server takes; clients use the first.
    pub passwords: Vec<&'static str>,
    /// When the credential expires.
    pub expires: Option<UnixTime>,
    /// What that does to a live allocation.
    pub on_expiry: OnExpiry,
    /// Payload bytes after which an allocation ends.
    pub bytes_max: Option<u64>,
    /// The room whose members alone it may reach.
    pub scope: Option<ScopeId>,
    grants: Vec<Grant>,
}

impl User {
    /// A user without limits.
    #[must_use]
    pub fn new(name: &str, passwords: &[&'static str]) -> Self {
        Self::with(name, passwords, None, OnExpiry::GateNew, None, None)
    }

    fn with(
        name: &str,
        passwords: &[&'static str],
        expires: Option<UnixTime>,
        on_expiry: OnExpiry,
        bytes_max: Option<u64>,
        scope: Option<ScopeId>,
    ) -> Self {
        let name: Arc<str> = name.into();
        let grant = |password: &&str| Grant {
            username: Arc::clone(&name),
            kind: CredentialKind::Static,
            keys: IntegrityKeys {
                md5: Secret::new(key::md5_key(&name, REALM, password)),
                sha256: Secret::new(key::sha256_key(&name, REALM, password)),
            },
            expires,
            on_expiry,
            limits: GrantLimits { bytes_max, scope, ..GrantLimits::default() },
        };
        let grants = passwords.iter().map(grant).collect();
        Self { name, passwords: passwords.to_vec(), expires, on_expiry, bytes_max, scope, grants }
    }

    /// The keys of each password.
    #[must_use]
    pub fn grants(&self) -> &[Grant] {
        &self.grants
    }

    /// Whether what an allocation of this user forwards depends on more than permissions and its granted lifetime.
    #[must_use]
    pub const fn is_cut_short(&self) -> bool {
        self.bytes_max.is_some() || matches!(self.on_expiry, OnExpiry::Terminate)
    }
}

/// All users of a server.
#[derive(Clone, Debug)]
pub struct Users(Vec<User>);

impl Users {
    /// `alice`, who has two passwords, and `bob` are ordinary; `carol`'s credential ends her allocations after
    /// 15 minutes; `dave`'s has expired; `erin` may carry 3000 bytes; `frank` and `grace` may reach only each other.
    #[must_use]
    pub fn all() -> Self {
        let quarter = Some(START.saturating_add(Duration::from_secs(900)));
        let past = Some(UnixTime::from_secs(START.as_secs() - 1));
        Self(vec![
            User::new("alice", &["wonder", "land"]),
            User::new("bob", &["builder"]),
            User::with("carol", &["carol"], quarter, OnExpiry::Terminate, None, None),
            User::with("dave", &["dave"], past, OnExpiry::GateNew, None, None),
            User::with("erin", &["erin"], None, OnExpiry::GateNew, Some(3000), None),
            User::with("frank", &["frank"], None, OnExpiry::GateNew, None, Some(ScopeId(1))),
            User::with("grace", &["grace"], None, OnExpiry::GateNew, None, Some(ScopeId(1))),
        ])
    }

    /// The user at a position, counted round.
    ///
    /// # Panics
    /// Never: there are users.
    #[must_use]
    pub fn nth(&self, index: usize) -> &User {
        &self.0[index % self.0.len()]
    }

    /// The user of this name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&User> {
        self.0.iter().find(|user| &*user.name == name)
    }

    /// What the credential directory says.
    #[must_use]
    pub fn answer(&self, asked: &UserRef) -> KeyAnswer {
        let found = self.0.iter().find(|user| match asked {
            UserRef::Name(name) => user.name == *name,
            UserRef::Hash(hash) => key::user_hash(&user.name, REALM) == *hash,
        });
        match found {
            Some(user) => KeyAnswer::Known(user.grants.clone()),
            None => KeyAnswer::Refused(AuthRefusal::UnknownUser),
        }
    }

    /// Every key of every user.
    pub fn keys(&self) -> impl Iterator<Item = &IntegrityKeys> {
        self.0.iter().flat_map(|user| &user.grants).map(|grant| &grant.keys)
    }
}
