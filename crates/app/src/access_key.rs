//! Access keys: what clients that sign their requests have instead of an API token.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use aws_lc_rs::rand;
use causeway_credentials::access_key::{self, MadeKey};
use causeway_types::{Secret, UnixTime};
use parking_lot::Mutex;

use crate::{
    ApiCaller, AuditEntry, Callers, CredentialStore, OrganizationId, Page, PageRequest, ProjectId, Scopes, Store,
    StoreError, StoreResult, TokenId,
};

/// Access keys of one project that do not expire by themselves.
pub const ACCESS_KEYS_PER_PROJECT_MAX: usize = 1000;
/// Temporary access keys of one project that have not expired.
pub const TEMPORARY_KEYS_PER_PROJECT_MAX: u64 = 100_000;
/// How long an answer of the store is believed: a revoked key works at most this much longer on another server.
const BELIEVED: Duration = Duration::from_millis(500);
/// Keys remembered, known and unknown; one more and all are asked for again.
const REMEMBERED_MAX: usize = 10_000;

/// What may be done with a signalling channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChannelAction {
    /// Make one.
    Create,
    /// Look at one.
    Describe,
    /// Look at all.
    List,
    /// Change one.
    Update,
    /// Remove one.
    Delete,
    /// Ask where it is served.
    GetEndpoint,
    /// Set and remove tags.
    Tag,
    /// Read tags.
    ListTags,
    /// Read its recording settings.
    DescribeStorage,
    /// Change its recording settings.
    UpdateStorage,
    /// Get relay credentials for it.
    GetIceServers,
    /// Offer a call to its master over HTTP.
    SendOffer,
    /// Connect as its master.
    ConnectAsMaster,
    /// Connect as one of its viewers.
    ConnectAsViewer,
    /// Join its recording.
    JoinStorage,
}

/// What a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyPreset {
    /// Everything.
    Admin,
    /// What a camera does: make its channel, be its master, get relay credentials.
    Master,
    /// What an onlooker does: find a channel, view it, get relay credentials.
    Viewer,
    /// Only look.
    Describe,
}

impl KeyPreset {
    /// Every preset.
    pub const ALL: [Self; 4] = [Self::Admin, Self::Master, Self::Viewer, Self::Describe];

    /// As in requests, configuration and the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Master => "master",
            Self::Viewer => "viewer",
            Self::Describe => "describe",
        }
    }

    /// Reads [`Self::as_str`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|preset| preset.as_str() == text)
    }

    /// Whether it allows an action.
    #[must_use]
    pub const fn allows(self, action: ChannelAction) -> bool {
        use ChannelAction as A;
        match self {
            Self::Admin => true,
            Self::Master => matches!(
                action,
                A::Create
                    | A::Describe
                    | A::GetEndpoint
                    | A::Tag
                    | A::ListTags
                    | A::DescribeStorage
                    | A::GetIceServers
                    | A::ConnectAsMaster
            ),
            Self::Viewer => matches!(
                action,
                A::Describe | A::GetEndpoint | A::DescribeStorage | A::GetIceServers | A::ConnectAsViewer
            ),
            Self::Describe => {
                matches!(action, A::Describe | A::List | A::GetEndpoint | A::ListTags | A::DescribeStorage)
            }
        }
    }
}

/// What a key is restricted to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyGrant {
    /// What it may do.
    pub preset: KeyPreset,
    /// To channels whose name fits: `*` stands for any characters, `?` for one. None: all.
    pub channel: Option<String>,
    /// As this client only.
    pub client: Option<String>,
}

impl KeyGrant {
    /// Whether it allows an action on the channel of this name.
    #[must_use]
    pub fn allows(&self, action: ChannelAction, channel: &str) -> bool {
        self.preset.allows(action) && self.channel.as_ref().is_none_or(|glob| fits(glob.as_bytes(), channel.as_bytes()))
    }

    /// Whether it allows to be this client.
    #[must_use]
    pub fn allows_client(&self, client: Option<&str>) -> bool {
        self.client.is_none() || self.client.as_deref() == client
    }
}

/// Whether a name fits a glob. Linear in both but for one restart per star.
fn fits(glob: &[u8], name: &[u8]) -> bool {
    let (mut g, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match glob.get(g) {
            Some(b'*') => {
                star = Some((g, n));
                g += 1;
            }
            Some(byte) if *byte == b'?' || Some(byte) == name.get(n) => {
                g += 1;
                n += 1;
            }
            _ => {
                let Some((at, from)) = star else { return false };
                star = Some((at, from + 1));
                g = at + 1;
                n = from + 1;
            }
        }
    }
    glob.iter().skip(g).all(|byte| *byte == b'*')
}

/// An access key as the server knows it.
#[derive(Clone, Debug)]
pub struct AccessKey {
    /// Shown in every request.
    pub id: String,
    /// Signs; the server signs once more to compare, so it is kept in clear.
    pub secret: Secret<String>,
    /// Temporary credentials show it.
    pub session_token: Option<Secret<String>>,
    /// What it may do.
    pub grant: KeyGrant,
    /// Whose.
    pub organization: OrganizationId,
    /// Whose.
    pub project: ProjectId,
    /// The token that credentials minted with it are ascribed to.
    pub token: TokenId,
    /// What people call it.
    pub name: String,
    /// When it was made.
    pub created_at: UnixTime,
    /// When it stops working.
    pub expires_at: Option<UnixTime>,
    /// When it was taken back.
    pub revoked_at: Option<UnixTime>,
    /// Whether its project is disabled.
    pub is_project_disabled: bool,
}

impl AccessKey {
    /// Who calls, for the use-cases that know API callers.
    #[must_use]
    pub fn caller(&self) -> ApiCaller {
        ApiCaller {
            organization: self.organization,
            project: self.project,
            token: self.token,
            scopes: Scopes::default(),
            organization_wide: false,
            person: None,
        }
    }
}

/// An access key to be stored.
#[derive(Clone, Debug)]
pub struct NewAccessKey {
    /// Shown in every request.
    pub id: String,
    /// Signs.
    pub secret: Secret<String>,
    /// Temporary credentials show it.
    pub session_token: Option<Secret<String>>,
    /// What it may do.
    pub grant: KeyGrant,
    /// What people call it.
    pub name: String,
    /// The token it stands for; none: one of its own is made, which opens nothing else.
    pub token: Option<TokenId>,
    /// When it stops working.
    pub expires_at: Option<UnixTime>,
}

/// Keeps access keys.
pub trait AccessKeyStore: Send + Sync + 'static {
    /// The key of this id, revoked and expired ones too.
    fn access_key(&self, id: &str) -> impl Future<Output = StoreResult<Option<AccessKey>>> + Send;

    /// A project's keys that were not minted as temporary ones, newest first.
    fn access_keys(&self, project: ProjectId) -> impl Future<Output = StoreResult<Vec<AccessKey>>> + Send;

    /// A project's temporary keys that have not expired, those that end last first.
    fn temporary_keys(
        &self,
        project: ProjectId,
        now: UnixTime,
        page: &PageRequest,
    ) -> impl Future<Output = StoreResult<Page<AccessKey>>> + Send;

    /// How many temporary keys of a project have not expired.
    fn temporary_key_count(&self, project: ProjectId, now: UnixTime) -> impl Future<Output = StoreResult<u64>> + Send;

    /// Adds a key.
    fn insert_access_key(
        &self,
        project: ProjectId,
        key: &NewAccessKey,
        now: UnixTime,
    ) -> impl Future<Output = StoreResult<()>> + Send;

    /// Revokes a key of a project; whether there was a live one.
    fn revoke_access_key(
        &self,
        project: ProjectId,
        id: &str,
        now: UnixTime,
    ) -> impl Future<Output = StoreResult<bool>> + Send;

    /// Lets a key of a project expire at `at`, unless it does so earlier.
    fn expire_access_key(
        &self,
        project: ProjectId,
        id: &str,
        at: UnixTime,
    ) -> impl Future<Output = StoreResult<()>> + Send;

    /// Removes temporary keys that expired before `before`; how many.
    fn forget_access_keys(&self, before: UnixTime) -> impl Future<Output = StoreResult<u64>> + Send;

    /// Whom a key of the configuration stands for: the project of this slug and a token of its own, made when missing.
    /// None: there is no such project.
    fn adopt_access_key(
        &self,
        slug: &str,
        id: &str,
        now: UnixTime,
    ) -> impl Future<Output = StoreResult<Option<ApiCaller>>> + Send;
}

/// Why no key was made or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccessKeyError {
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There are as many as a project may have.
    #[error("the project has {ACCESS_KEYS_PER_PROJECT_MAX} access keys already")]
    TooMany,
    /// There are as many temporary ones as a project may have.
    #[error("the project has {TEMPORARY_KEYS_PER_PROJECT_MAX} temporary access keys already; they go when they expire")]
    TooManyTemporary,
    /// The project has no such live key.
    #[error("no such access key")]
    Unknown,
    /// The system has no randomness.
    #[error("the system has no randomness")]
    NoRandomness,
}

/// The use-cases.
pub struct AccessKeys<S> {
    store: Arc<S>,
    callers: Arc<Callers<S>>,
    /// Of the configuration, by id.
    configured: BTreeMap<String, AccessKey>,
    remembered: Mutex<HashMap<String, (Option<AccessKey>, Instant)>>,
}

impl<S> fmt::Debug for AccessKeys<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessKeys").field("configured", &self.configured.len()).finish_non_exhaustive()
    }
}

impl<S: AccessKeyStore + CredentialStore> AccessKeys<S> {
    /// Over a store, with the keys of the configuration; `callers` notes when keys are used.
    pub fn new(store: Arc<S>, callers: Arc<Callers<S>>, configured: Vec<AccessKey>) -> Self {
        let configured = configured.into_iter().map(|key| (key.id.clone(), key)).collect();
        Self { store, callers, configured, remembered: Mutex::default() }
    }

    /// The key of this id. It may be revoked or expired.
    ///
    /// # Errors
    /// The store did not answer.
    pub async fn find(&self, id: &str) -> StoreResult<Option<AccessKey>> {
        if let Some(key) = self.configured.get(id) {
            return Ok(Some(key.clone()));
        }
        let remembered = self.remembered.lock().get(id).filter(|(_, at)| at.elapsed() < BELIEVED).cloned();
        if let Some((key, _)) = remembered {
            return Ok(key);
        }
        let key = self.store.access_key(id).await?;
        let mut remembered = self.remembered.lock();
        if remembered.len() >= REMEMBERED_MAX {
            remembered.clear();
        }
        remembered.insert(id.to_owned(), (key.clone(), Instant::now()));
        Ok(key)
    }

    /// Notes that a key was used.
    pub fn note_use(&self, key: &AccessKey, now: UnixTime) {
        self.callers.note_use(key.token, now);
    }
}

impl<S: AccessKeyStore + Store> AccessKeys<S> {
    /// The project's keys: those of the store, newest first, then those of the configuration.
    ///
    /// # Errors
    /// The store did not answer.
    pub async fn list(&self, caller: ApiCaller) -> StoreResult<Vec<AccessKey>> {
        let mut keys = self.store.access_keys(caller.project).await?;
        keys.extend(self.configured.values().filter(|key| key.project == caller.project).cloned());
        Ok(keys)
    }

    /// The project's temporary keys that have not expired, those that end last first.
    ///
    /// # Errors
    /// The store did not answer, or the page's place is none of this list.
    pub async fn list_temporary(
        &self,
        caller: ApiCaller,
        page: &PageRequest,
        now: UnixTime,
    ) -> StoreResult<Page<AccessKey>> {
        self.store.temporary_keys(caller.project, now, page).await
    }

    /// Whether a key is one of the configuration.
    #[must_use]
    pub fn is_configured(&self, id: &str) -> bool {
        self.configured.contains_key(id)
    }

    /// Makes a key for the caller's project.
    ///
    /// # Errors
    /// See [`AccessKeyError`].
    pub async fn make(
        &self,
        caller: ApiCaller,
        name: String,
        grant: KeyGrant,
        expires_at: Option<UnixTime>,
        now: UnixTime,
    ) -> Result<NewAccessKey, AccessKeyError> {
        if self.store.access_keys(caller.project).await?.len() >= ACCESS_KEYS_PER_PROJECT_MAX {
            return Err(AccessKeyError::TooMany);
        }
        let MadeKey { id, secret } = access_key::lasting(random()?);
        let key = NewAccessKey { id, secret, session_token: None, grant, name, token: None, expires_at };
        self.store.insert_access_key(caller.project, &key, now).await?;
        self.note(caller, "access_key.create", &key.id, now).await?;
        Ok(key)
    }

    /// Mints temporary credentials. They are ascribed to the caller's token.
    ///
    /// # Errors
    /// See [`AccessKeyError`].
    pub async fn make_temporary(
        &self,
        caller: ApiCaller,
        grant: KeyGrant,
        ttl: Duration,
        now: UnixTime,
    ) -> Result<NewAccessKey, AccessKeyError> {
        if self.store.temporary_key_count(caller.project, now).await? >= TEMPORARY_KEYS_PER_PROJECT_MAX {
            return Err(AccessKeyError::TooManyTemporary);
        }
        let (MadeKey { id, secret }, session_token) = access_key::temporary(random()?, random()?);
        let key = NewAccessKey {
            id,
            secret,
            session_token: Some(session_token),
            grant,
            name: String::new(),
            token: Some(caller.token),
            expires_at: Some(now.saturating_add(ttl)),
        };
        self.store.insert_access_key(caller.project, &key, now).await?;
        Ok(key)
    }

    /// Makes a key like this one and lets this one expire after `overlap`.
    ///
    /// # Errors
    /// See [`AccessKeyError`].
    pub async fn rotate(
        &self,
        caller: ApiCaller,
        id: &str,
        overlap: Duration,
        now: UnixTime,
    ) -> Result<NewAccessKey, AccessKeyError> {
        let keys = self.store.access_keys(caller.project).await?;
        let is_live = |key: &AccessKey| key.revoked_at.is_none() && key.expires_at.is_none_or(|at| at > now);
        let old = keys.into_iter().find(|key| key.id == id && is_live(key)).ok_or(AccessKeyError::Unknown)?;
        let new = self.make(caller, old.name, old.grant, old.expires_at, now).await?;
        self.store.expire_access_key(caller.project, id, now.saturating_add(overlap)).await?;
        self.remembered.lock().clear();
        self.note(caller, "access_key.rotate", id, now).await?;
        Ok(new)
    }

    /// Revokes a key. On this server it stops at once.
    ///
    /// # Errors
    /// See [`AccessKeyError`].
    pub async fn revoke(&self, caller: ApiCaller, id: &str, now: UnixTime) -> Result<(), AccessKeyError> {
        if !self.store.revoke_access_key(caller.project, id, now).await? {
            return Err(AccessKeyError::Unknown);
        }
        self.remembered.lock().clear();
        self.note(caller, "access_key.revoke", id, now).await?;
        Ok(())
    }

    async fn note(&self, caller: ApiCaller, action: &str, id: &str, at: UnixTime) -> StoreResult<()> {
        self.store.audit(&AuditEntry::by(caller, action, id.to_owned(), "{}".to_owned(), at)).await
    }
}

fn random<const N: usize>() -> Result<[u8; N], AccessKeyError> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_| AccessKeyError::NoRandomness)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_fit_whole_names() {
        for (glob, name, expected) in [
            ("*", "", true),
            ("*", "anything", true),
            ("cam-*", "cam-1", true),
            ("cam-*", "xcam-1", false),
            ("*-1", "cam-1", true),
            ("*-1", "cam-12", false),
            ("c?m", "cam", true),
            ("c?m", "cm", false),
            ("a*b*c", "a.b.b.c", true),
            ("a*b*c", "a.c.b", false),
            ("demo", "demo", true),
            ("demo", "demo2", false),
            ("", "x", false),
        ] {
            assert_eq!(fits(glob.as_bytes(), name.as_bytes()), expected, "{glob} {name}");
        }
    }

    #[test]
    fn presets_hold_what_their_clients_need_and_no_more() {
        use ChannelAction as A;
        for (preset, action, expected) in [
            (KeyPreset::Master, A::ConnectAsMaster, true),
            (KeyPreset::Master, A::ConnectAsViewer, false),
            (KeyPreset::Master, A::Delete, false),
            (KeyPreset::Viewer, A::ConnectAsViewer, true),
            (KeyPreset::Viewer, A::ConnectAsMaster, false),
            (KeyPreset::Viewer, A::Create, false),
            (KeyPreset::Viewer, A::SendOffer, false),
            (KeyPreset::Describe, A::Describe, true),
            (KeyPreset::Describe, A::GetIceServers, false),
            (KeyPreset::Describe, A::ConnectAsViewer, false),
            (KeyPreset::Admin, A::Delete, true),
        ] {
            assert_eq!(preset.allows(action), expected, "{preset:?} {action:?}");
        }
        for preset in KeyPreset::ALL {
            assert_eq!(KeyPreset::parse(preset.as_str()), Some(preset));
        }
    }
}
