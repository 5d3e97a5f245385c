//! SIP users: clients that show a password instead of a token. The password itself is never kept.

use std::{fmt, future::Future, sync::Arc};

use aws_lc_rs::rand;
use causeway_credentials::client_token::{AccessLabel, ClientId};
use causeway_sip_core::auth::DigestAlgorithm;
use causeway_types::{Secret, UnixTime};

use crate::{
    Admission, ApiCaller, AuditEntry, ClientTokenStore, Notice, ProjectId, Registrations, StoreError, StoreResult,
};

/// SIP users of one project.
pub const SIP_USERS_PER_PROJECT_MAX: u64 = 10_000;
/// Shortest and longest password, in bytes.
pub const SIP_PASSWORD_BYTES: std::ops::RangeInclusive<usize> = 12..=128;

/// A user as it is kept: hashes over name, realm and password (RFC 7616 §3.4.2, A1), as good as the password for this realm.
#[derive(Clone, Debug)]
pub struct StoredSipUser {
    /// Whose.
    pub project: ProjectId,
    /// Unique in the project.
    pub name: String,
    /// The realm that the hashes are over.
    pub realm: String,
    /// With MD5, in hexadecimal.
    pub md5: Secret<String>,
    /// With SHA-256, in hexadecimal.
    pub sha256: Secret<String>,
    /// When it was made.
    pub created_at: UnixTime,
}

/// Keeps SIP users.
pub trait SipUserStore: ClientTokenStore {
    /// Adds a user. `StoreError::Exists`: the project has one of this name.
    fn insert_sip_user(&self, user: &StoredSipUser) -> impl Future<Output = StoreResult<()>> + Send;

    /// A project's user of this name; none when its project is disabled.
    fn sip_user(
        &self,
        project: ProjectId,
        name: &str,
    ) -> impl Future<Output = StoreResult<Option<StoredSipUser>>> + Send;

    /// A project's users after a name, by name.
    fn sip_users(
        &self,
        project: ProjectId,
        after: Option<&str>,
        limit: u32,
    ) -> impl Future<Output = StoreResult<Vec<StoredSipUser>>> + Send;

    /// How many users a project has.
    fn sip_user_count(&self, project: ProjectId) -> impl Future<Output = StoreResult<u64>> + Send;

    /// Removes a user; whether there was one.
    fn delete_sip_user(&self, project: ProjectId, name: &str) -> impl Future<Output = StoreResult<bool>> + Send;
}

/// Why no user was made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SipUserError {
    /// The store did not answer, or the project has a user of this name.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There are as many as a project may have.
    #[error("the project has {SIP_USERS_PER_PROJECT_MAX} SIP users already")]
    TooMany,
    /// The system has no randomness.
    #[error("the system has no randomness")]
    NoRandomness,
}

/// The use-cases.
pub struct SipUsers<S> {
    store: Arc<S>,
    registrations: Arc<dyn Registrations>,
    realm: String,
}

impl<S> fmt::Debug for SipUsers<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SipUsers").field("realm", &self.realm).finish_non_exhaustive()
    }
}

impl<S: SipUserStore> SipUsers<S> {
    /// Over a store; `realm` is the one that challenges name.
    #[must_use]
    pub fn new(store: Arc<S>, registrations: Arc<dyn Registrations>, realm: String) -> Self {
        Self { store, registrations, realm }
    }

    /// The realm users sign in to.
    #[must_use]
    pub fn realm(&self) -> &str {
        &self.realm
    }

    /// Makes a user of the caller's project; the password is the given one, or a random one. It is told this once.
    ///
    /// # Errors
    /// See [`SipUserError`].
    pub async fn make(
        &self,
        caller: ApiCaller,
        name: &ClientId,
        password: Option<Secret<String>>,
        now: UnixTime,
    ) -> Result<Secret<String>, SipUserError> {
        if self.store.sip_user_count(caller.project).await? >= SIP_USERS_PER_PROJECT_MAX {
            return Err(SipUserError::TooMany);
        }
        let password = match password {
            Some(password) => password,
            None => {
                let mut random = [0; 16];
                rand::fill(&mut random).map_err(|_| SipUserError::NoRandomness)?;
                Secret::new(format!("{:032x}", u128::from_be_bytes(random)))
            }
        };
        let hash =
            |algorithm: DigestAlgorithm| Secret::new(algorithm.secret(name.as_str(), &self.realm, password.expose()));
        let user = StoredSipUser {
            project: caller.project,
            name: name.to_string(),
            realm: self.realm.clone(),
            md5: hash(DigestAlgorithm::Md5),
            sha256: hash(DigestAlgorithm::Sha256),
            created_at: now,
        };
        self.store.insert_sip_user(&user).await?;
        self.note(caller, "sip_user.create", name.as_str(), now).await?;
        Ok(password)
    }

    /// Removes a user of the caller's project, and ends its registrations. Whether there was one.
    ///
    /// # Errors
    /// The store did not answer.
    pub async fn remove(&self, caller: ApiCaller, name: &str, now: UnixTime) -> StoreResult<bool> {
        if !self.store.delete_sip_user(caller.project, name).await? {
            return Ok(false);
        }
        end_registrations_of(&*self.registrations, caller.project, name);
        let notice = Notice::SipUserRemoved { project: caller.project, name: name.to_owned() };
        self.store.tell(&[notice], now).await?;
        self.note(caller, "sip_user.delete", name, now).await?;
        Ok(true)
    }

    /// The user that a SIP address means: of the project whose access key is the first label of the host, else of the
    /// default project. None when its hashes are over another realm.
    ///
    /// # Errors
    /// The store did not answer.
    pub async fn find(&self, host: &str, name: &str) -> StoreResult<Option<StoredSipUser>> {
        let project = self.project_of(host).await?.unwrap_or(ProjectId::DEFAULT);
        let user = self.store.sip_user(project, name).await?;
        Ok(user.filter(|user| user.realm == self.realm))
    }

    /// The project whose access key is the first label of a host; none when it is nobody's.
    ///
    /// # Errors
    /// The store did not answer.
    pub async fn project_of(&self, host: &str) -> StoreResult<Option<ProjectId>> {
        let label = host.split('.').next().unwrap_or_default();
        let Ok(label) = AccessLabel::new(label) else { return Ok(None) };
        Ok(self.store.client_account_of(&label).await?.map(|account| account.project))
    }

    async fn note(&self, caller: ApiCaller, action: &str, name: &str, at: UnixTime) -> StoreResult<()> {
        self.store.audit(&AuditEntry::by(caller, action, name.to_owned(), "{}".to_owned(), at)).await
    }
}

/// Ends the registrations of a removed user here: another server, or this one, removed it.
pub fn end_registrations_of(registrations: &dyn Registrations, project: ProjectId, name: &str) {
    let ended = registrations.end(&|registration| {
        let is_by_token = matches!(registration.admission, Some(Admission::ClientToken(_)));
        registration.project == project && &*registration.client == name && !is_by_token
    });
    tracing::debug!(ended, "registrations ended: their SIP user was removed");
}
