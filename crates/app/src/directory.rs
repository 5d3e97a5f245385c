//! Who a user name stands for: the relay's question, answered from memory.
//!
//! Order: issued credentials (UUID form), TURN REST names when a secret is set, static users; the first matching form
//! decides. Issued ones that are not in the bounded cache are for the store; that answer comes later.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use aws_lc_rs::digest;
use causeway_credentials::{
    issued,
    turn_rest::{self, SharedSecrets},
};
use causeway_stun_codec::key;
use causeway_types::{AuthRefusal, CredentialKind, ScopeId, Secret, UnixTime};
use parking_lot::{Mutex, RwLock};

use crate::model::{Attribution, CredentialLimits, CredentialRecord, PeerScope, ProjectId};

/// A user of the configuration.
#[derive(Clone, Debug)]
pub struct StaticUser {
    /// Name.
    pub name: String,
    /// Password.
    pub password: Secret<String>,
}

/// What of the configuration the directory needs.
#[derive(Clone, Debug)]
pub struct DirectoryConfig {
    /// The realm.
    pub realm: String,
    /// TURN REST secrets.
    pub secrets: SharedSecrets,
    /// Between expiry and user in TURN REST names.
    pub rest_separator: char,
    /// How far ahead a TURN REST expiry may lie; `None` is unlimited.
    pub rest_ttl_max: Option<Duration>,
    /// Static users.
    pub users: Vec<StaticUser>,
    /// Issued credentials kept in memory.
    pub cache_max: usize,
}

/// How a client names itself.
#[derive(Clone, Copy, Debug)]
pub enum UserQuery<'a> {
    /// USERNAME.
    Name(&'a str),
    /// USERHASH (RFC 8489 §14.4).
    Hash(&'a [u8; 32]),
}

/// A user that is known, with what its keys are made of.
#[derive(Clone, Debug)]
pub struct KnownUser {
    /// Name in clear.
    pub username: Arc<str>,
    /// Password.
    pub password: Secret<String>,
    /// Which look-up knew it.
    pub kind: CredentialKind,
    /// When the credential expires.
    pub expires: Option<UnixTime>,
    /// Limits that travel with it.
    pub limits: CredentialLimits,
    /// To whom its sessions are ascribed; `None` for TURN REST names and static users.
    pub attribution: Option<Arc<Attribution>>,
    /// It was taken back.
    pub is_revoked: bool,
}

impl KnownUser {
    /// Names the group of allocations it may relay to, when its credential says `peer_scope: room`.
    #[must_use]
    pub fn scope(&self) -> Option<ScopeId> {
        self.room_scope().filter(|_| self.limits.peer_scope == PeerScope::Room)
    }

    /// Names the group of allocations that its own belong to: the same for every credential of one room of one project,
    /// whatever its `peer_scope`, on every server. 128 bits of a hash, so that nobody who chooses room names finds
    /// one that has the scope of another's room.
    #[must_use]
    pub fn room_scope(&self) -> Option<ScopeId> {
        let attribution = self.attribution.as_ref()?;
        let room = attribution.room.as_ref()?;
        let name = format!("{}/{room}", attribution.project.0);
        let hash = digest::digest(&digest::SHA256, name.as_bytes());
        hash.as_ref().first_chunk().map(|half| ScopeId(u128::from_be_bytes(*half)))
    }
}

/// What the directory says.
#[derive(Clone, Debug)]
pub enum Lookup {
    /// The user, with one candidate per secret that may have made the password; the first whose key fits is the one.
    Known(Vec<KnownUser>),
    /// Not known, or not allowed.
    Refused(AuthRefusal),
    /// Only the store can tell.
    AskStore,
}

/// How long "the store does not know this name" is believed.
const NEGATIVE_LIFETIME: Duration = Duration::from_secs(5);

/// Longest that an answer of the store may be under way.
const UNDER_WAY: Duration = Duration::from_secs(60);

/// The directory. Locks are held for a map operation, never across I/O; a packet never takes one.
#[derive(Debug)]
pub struct CredentialDirectory {
    config: RwLock<Arc<DirectoryConfig>>,
    cache: Mutex<Cache>,
    /// Names outside the store's credentials that are refused, and until when.
    refused: RwLock<HashMap<String, UnixTime>>,
    /// Projects whose credentials open nothing.
    disabled: RwLock<BTreeSet<ProjectId>>,
}

/// Two generations: when the young one is full it becomes the old one, and what was old is forgotten.
#[derive(Debug, Default)]
struct Cache {
    young: HashMap<Arc<str>, KnownUser>,
    old: HashMap<Arc<str>, KnownUser>,
    by_hash: HashMap<[u8; 32], Arc<str>>,
    absent: HashMap<Arc<str>, Instant>,
}

impl CredentialDirectory {
    /// An empty directory.
    #[must_use]
    pub fn new(config: DirectoryConfig) -> Self {
        Self {
            config: RwLock::new(Arc::new(config)),
            cache: Mutex::default(),
            refused: RwLock::default(),
            disabled: RwLock::default(),
        }
    }

    /// The configuration in force.
    #[must_use]
    pub fn config(&self) -> Arc<DirectoryConfig> {
        Arc::clone(&self.config.read())
    }

    /// Replaces the configuration.
    pub fn reload(&self, config: DirectoryConfig) {
        *self.config.write() = Arc::new(config);
    }

    /// Looks a user up in memory.
    #[must_use]
    pub fn look_up(&self, user: UserQuery<'_>, now: UnixTime) -> Lookup {
        let config = self.config();
        match user {
            UserQuery::Name(name) if self.is_refused(name, now) => Lookup::Refused(AuthRefusal::Revoked),
            UserQuery::Name(name) if issued::is_issued_form(name) => self.look_up_issued(name),
            UserQuery::Name(_) if self.is_disabled(ProjectId::DEFAULT) => Lookup::Refused(AuthRefusal::Revoked),
            UserQuery::Name(name) => look_up_derived(&config, name, now),
            UserQuery::Hash(hash) => {
                let named = config.users.iter().find(|user| key::user_hash(&user.name, &config.realm) == *hash);
                if let Some(user) = named {
                    if self.is_disabled(ProjectId::DEFAULT) {
                        return Lookup::Refused(AuthRefusal::Revoked);
                    }
                    return Lookup::Known(vec![static_user(user)]);
                }
                let name = self.cache.lock().by_hash.get(hash).cloned();
                name.map_or(Lookup::AskStore, |name| self.look_up_issued(&name))
            }
        }
    }

    fn look_up_issued(&self, name: &str) -> Lookup {
        let mut cache = self.cache.lock();
        if let Some(user) = cache.young.get(name).or_else(|| cache.old.get(name)) {
            if user.is_revoked || user.attribution.as_ref().is_some_and(|whose| self.is_disabled(whose.project)) {
                return Lookup::Refused(AuthRefusal::Revoked);
            }
            return Lookup::Known(vec![user.clone()]);
        }
        match cache.absent.get(name) {
            Some(since) if since.elapsed() < NEGATIVE_LIFETIME => Lookup::Refused(AuthRefusal::UnknownUser),
            Some(_) => {
                cache.absent.remove(name);
                Lookup::AskStore
            }
            None => Lookup::AskStore,
        }
    }

    /// Keeps an issued credential in memory.
    pub fn remember(&self, record: &CredentialRecord) {
        let max = self.config().cache_max.max(2) / 2;
        let username: Arc<str> = Arc::from(record.username.as_str());
        let user = KnownUser {
            username: Arc::clone(&username),
            password: record.secret.clone(),
            kind: CredentialKind::Issued,
            expires: Some(record.expires_at),
            limits: record.limits,
            attribution: Some(Arc::new(record.attribution())),
            is_revoked: record.revoked_at.is_some() || self.refused.read().contains_key(&record.username),
        };
        let mut cache = self.cache.lock();
        if cache.young.len() >= max {
            cache.old = std::mem::take(&mut cache.young);
            let Cache { young, old, by_hash, .. } = &mut *cache;
            by_hash.retain(|_, name| young.contains_key(name) || old.contains_key(name));
        }
        cache.absent.remove(&username);
        cache.by_hash.insert(record.user_hash, Arc::clone(&username));
        cache.young.insert(username, user);
    }

    /// To whom the sessions of `username` are ascribed, when it is an issued credential that is in memory: the relay
    /// has just looked it up when it makes an allocation.
    #[must_use]
    pub fn attribution(&self, username: &str) -> Option<Arc<Attribution>> {
        let cache = self.cache.lock();
        cache.young.get(username).or_else(|| cache.old.get(username)).and_then(|user| user.attribution.clone())
    }

    /// From here on the credential opens no allocation. One that is not in memory is asked for at the store, which knows;
    /// an answer that was under way when it was revoked is caught by the list of refused names.
    pub fn mark_revoked(&self, username: &str, now: UnixTime) {
        self.refuse_name(username, now.saturating_add(UNDER_WAY));
        let mut cache = self.cache.lock();
        let Cache { young, old, .. } = &mut *cache;
        for user in [young.get_mut(username), old.get_mut(username)].into_iter().flatten() {
            user.is_revoked = true;
        }
    }

    /// From here until `until` no allocation is opened with this name, whichever look-up knows it.
    pub fn refuse_name(&self, username: &str, until: UnixTime) {
        self.refused.write().insert(username.to_owned(), until);
    }

    /// From here on no credential of these projects opens an allocation, and those of all others may. What no token made
    /// (TURN REST names, static users) belongs to [`ProjectId::DEFAULT`].
    pub fn set_disabled(&self, projects: impl IntoIterator<Item = ProjectId>) {
        *self.disabled.write() = projects.into_iter().collect();
    }

    fn is_disabled(&self, project: ProjectId) -> bool {
        self.disabled.read().contains(&project)
    }

    /// Forgets refused names whose time is over.
    pub fn forget_refused(&self, now: UnixTime) {
        self.refused.write().retain(|_, until| *until >= now);
    }

    fn is_refused(&self, username: &str, now: UnixTime) -> bool {
        self.refused.read().get(username).is_some_and(|until| *until >= now)
    }

    /// Remembers for a short while that the store does not know `username`.
    pub fn remember_absent(&self, username: &str) {
        let max = self.config().cache_max;
        let mut cache = self.cache.lock();
        if cache.absent.len() >= max {
            cache.absent.clear();
        }
        cache.absent.insert(Arc::from(username), Instant::now());
    }
}

fn look_up_derived(config: &DirectoryConfig, name: &str, now: UnixTime) -> Lookup {
    if !config.secrets.is_empty()
        && let Some(expires) = turn_rest::expiry_of(name, config.rest_separator)
    {
        if config.rest_ttl_max.is_some_and(|max| expires > now.saturating_add(max)) {
            return Lookup::Refused(AuthRefusal::TooFarAhead);
        }
        let candidate = |(index, secret): (usize, &Secret<String>)| KnownUser {
            username: Arc::from(name),
            password: Secret::new(turn_rest::password(secret.expose(), name)),
            kind: CredentialKind::TurnRest { secret_index: u8::try_from(index).unwrap_or(u8::MAX) },
            expires: Some(expires),
            limits: CredentialLimits::default(),
            attribution: None,
            is_revoked: false,
        };
        return Lookup::Known(config.secrets.iter().map(candidate).collect());
    }
    match config.users.iter().find(|user| user.name == name) {
        Some(user) => Lookup::Known(vec![static_user(user)]),
        None => Lookup::Refused(AuthRefusal::UnknownUser),
    }
}

fn static_user(user: &StaticUser) -> KnownUser {
    KnownUser {
        username: Arc::from(user.name.as_str()),
        password: user.password.clone(),
        kind: CredentialKind::Static,
        expires: None,
        limits: CredentialLimits::default(),
        attribution: None,
        is_revoked: false,
    }
}

#[cfg(test)]
mod tests;
