//! The connection doctor's links: whoever has one may fetch a short credential a few times and say what came of it, and
//! nothing else.

use std::{fmt, sync::Arc, time::Duration};

use aws_lc_rs::{digest, rand};
use causeway_types::{Secret, UnixTime};

use crate::{
    ApiCaller, CredentialLimits, InsightStore, MintError, MintRequest, Minted, Minting, Page, PageRequest, ProjectId,
    StoreError, StoreResult, TokenId,
};

/// Links of a project that work at the same time.
pub const DOCTOR_LINKS_MAX: u64 = 100;
/// How often a link may be opened when it is not said.
pub const DOCTOR_OPENS_DEFAULT: u32 = 20;
/// How often a link may be opened at most.
pub const DOCTOR_OPENS_MAX: u32 = 100;
/// How long a link works when it is not said.
pub const DOCTOR_TTL_DEFAULT: Duration = Duration::from_secs(86_400);
/// How long a link works at most.
pub const DOCTOR_TTL_MAX: Duration = Duration::from_secs(7 * 86_400);
/// Results kept of one link.
pub const DOCTOR_RESULTS_MAX: u32 = 20;
/// Longest result.
pub const DOCTOR_RESULT_BYTES_MAX: usize = 16 * 1024;

/// How long the credential works that an opened link gives: for all trials, and worth nothing afterwards.
const CREDENTIAL_TTL: Duration = Duration::from_secs(120);
/// What it may carry: trials of a few seconds on each URL.
const CREDENTIAL_LIMITS: CredentialLimits = CredentialLimits {
    bytes_max: Some(64_000_000),
    allocations_max: Some(16),
    bandwidth: Some(1_250_000),
    client_ip: None,
    peer_scope: crate::PeerScope::Any,
};

/// A link to keep.
#[derive(Clone, Debug)]
pub struct NewDoctorLink {
    /// Whose.
    pub project: ProjectId,
    /// Which token made it.
    pub token: TokenId,
    /// SHA-256 of its secret.
    pub hash: [u8; 32],
    /// What people call it.
    pub name: String,
    /// When it was made.
    pub created_at: UnixTime,
    /// When it stops working.
    pub expires_at: UnixTime,
    /// How often it may be opened.
    pub opened_max: u32,
}

/// A link as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DoctorLinkView {
    /// Its number.
    pub id: i64,
    /// What people call it.
    pub name: String,
    /// When it was made.
    pub created_at: UnixTime,
    /// When it stops working.
    pub expires_at: UnixTime,
    /// How often it was opened.
    pub opened: u64,
    /// How often it may be.
    pub opened_max: u64,
    /// Results that came.
    pub results: u64,
}

/// A link that was just opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenedLink {
    /// Whose.
    pub project: ProjectId,
    /// Which token made it.
    pub token: TokenId,
    /// When it stops working.
    pub expires_at: UnixTime,
}

/// A result that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DoctorResult {
    /// When.
    pub at: UnixTime,
    /// A JSON object, as the page sent it.
    pub body: String,
}

/// Why a link was not made or does not open.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DoctorError {
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No credential was made.
    #[error(transparent)]
    Mint(#[from] MintError),
    /// There is none, its time is over, or it was opened or answered often enough.
    #[error("this link does not work, or does not any more")]
    Gone,
    /// The project has as many links as it may.
    #[error("a project may have {DOCTOR_LINKS_MAX} links that work")]
    TooMany,
    /// The system has no randomness.
    #[error("the system has no randomness")]
    NoRandomness,
}

/// The use-cases.
pub struct DoctorDesk<S> {
    store: Arc<S>,
    minting: Arc<Minting<S>>,
}

impl<S> fmt::Debug for DoctorDesk<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DoctorDesk").finish_non_exhaustive()
    }
}

impl<S: InsightStore> DoctorDesk<S> {
    /// Over a store, and what mints.
    pub const fn new(store: Arc<S>, minting: Arc<Minting<S>>) -> Self {
        Self { store, minting }
    }

    /// Makes a link; its secret is seen this once.
    ///
    /// # Errors
    /// See [`DoctorError`].
    pub async fn make(
        &self,
        caller: ApiCaller,
        name: String,
        ttl: Duration,
        opened_max: u32,
        now: UnixTime,
    ) -> Result<(i64, Secret<String>, UnixTime), DoctorError> {
        if self.store.doctor_links_live(caller.project, now).await? >= DOCTOR_LINKS_MAX {
            return Err(DoctorError::TooMany);
        }
        let mut random = [0; 16];
        rand::fill(&mut random).map_err(|_| DoctorError::NoRandomness)?;
        let secret = hex::encode(random);
        let expires_at = now.saturating_add(ttl);
        let link = NewDoctorLink {
            project: caller.project,
            token: caller.token,
            hash: hash(&secret),
            name,
            created_at: now,
            expires_at,
            opened_max,
        };
        let id = self.store.insert_doctor_link(&link).await?;
        Ok((id, Secret::new(secret), expires_at))
    }

    /// A project's links, newest first.
    ///
    /// # Errors
    /// The store did not answer.
    pub async fn links(&self, project: ProjectId, page: &PageRequest) -> StoreResult<Page<DoctorLinkView>> {
        self.store.doctor_links(project, page).await
    }

    /// What came of a link of the project, oldest first.
    ///
    /// # Errors
    /// The store did not answer.
    pub async fn results(&self, project: ProjectId, link: i64) -> StoreResult<Vec<DoctorResult>> {
        self.store.doctor_results(project, link).await
    }

    /// Opens a link: a credential that works for two minutes, in the name of the token that made the link.
    ///
    /// # Errors
    /// See [`DoctorError`].
    pub async fn open(&self, secret: &str, now: UnixTime) -> Result<(Minted, UnixTime), DoctorError> {
        let link = self.store.open_doctor_link(hash(secret), now).await?.ok_or(DoctorError::Gone)?;
        let minted = self.minting.mint_for(link.project, link.token, request(), now).await?;
        Ok((minted, link.expires_at))
    }

    /// A credential for an examination from the server.
    ///
    /// # Errors
    /// See [`DoctorError`].
    pub async fn own_credential(&self, caller: ApiCaller, now: UnixTime) -> Result<Minted, DoctorError> {
        Ok(self.minting.mint_for(caller.project, caller.token, request(), now).await?)
    }

    /// Keeps what a page found out over a link: a JSON object.
    ///
    /// # Errors
    /// See [`DoctorError`].
    pub async fn report(&self, secret: &str, body: &str, now: UnixTime) -> Result<(), DoctorError> {
        let taken = self.store.add_doctor_result(hash(secret), body, now, DOCTOR_RESULTS_MAX).await?;
        if taken { Ok(()) } else { Err(DoctorError::Gone) }
    }
}

fn request() -> MintRequest {
    MintRequest { ttl: Some(CREDENTIAL_TTL), limits: CREDENTIAL_LIMITS, ..MintRequest::default() }
}

fn hash(secret: &str) -> [u8; 32] {
    let digest = digest::digest(&digest::SHA256, secret.as_bytes());
    let mut hash = [0; 32];
    for (to, from) in hash.iter_mut().zip(digest.as_ref()) {
        *to = *from;
    }
    hash
}
