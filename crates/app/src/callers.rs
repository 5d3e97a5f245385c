//! Who calls the API: tokens and people that signed in, what they may do, when they last did something.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use causeway_credentials::{sign_in, token};
use causeway_types::UnixTime;
use parking_lot::Mutex;

use crate::{
    ApiCaller, CredentialStore, DomainEvent, EventSink, SignInHolder, StoreError, StoreResult, TokenId,
    store::TokenHolder,
};

/// How long an answer about a token is believed: a revoked token works at most this much longer.
const BELIEVED: Duration = Duration::from_millis(500);
/// Tokens remembered; one more and all are asked for again.
const REMEMBERED_MAX: usize = 10_000;

/// Why a caller is not let in.
#[derive(Debug, thiserror::Error)]
pub enum CallerError {
    /// No such token, or not for this project.
    #[error("the token is not known")]
    Unknown,
    /// It was revoked.
    #[error("the token was revoked")]
    Revoked,
    /// Its time is over.
    #[error("the token expired")]
    Expired,
    /// Somebody is signed in, but there is no such project.
    #[error("there is no such project")]
    NoSuchProject,
    /// Its project is disabled; who it would be.
    #[error("the project is disabled")]
    ProjectDisabled(ApiCaller),
    /// Nobody can tell.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How long a sign-in lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignInLimits {
    /// Without use.
    pub idle: Duration,
    /// In all.
    pub lifetime: Duration,
}

impl Default for SignInLimits {
    fn default() -> Self {
        Self { idle: Duration::from_secs(12 * 3600), lifetime: Duration::from_secs(7 * 86_400) }
    }
}

type Question = ([u8; 32], Option<String>);

/// Knows callers by their tokens.
pub struct Callers<S> {
    store: Arc<S>,
    sink: Arc<dyn EventSink>,
    limits: SignInLimits,
    remembered: Mutex<HashMap<Question, (TokenHolder, Instant)>>,
    used: Mutex<BTreeMap<TokenId, UnixTime>>,
    sign_ins: Mutex<HashMap<Question, (SignInHolder, Instant)>>,
    used_sign_ins: Mutex<BTreeMap<[u8; 32], UnixTime>>,
}

impl<S> std::fmt::Debug for Callers<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Callers").finish_non_exhaustive()
    }
}

impl<S: CredentialStore> Callers<S> {
    /// Over a store; first uses are told to `sink`.
    pub fn new(store: Arc<S>, sink: Arc<dyn EventSink>) -> Self {
        Self {
            store,
            sink,
            limits: SignInLimits::default(),
            remembered: Mutex::default(),
            used: Mutex::default(),
            sign_ins: Mutex::default(),
            used_sign_ins: Mutex::default(),
        }
    }

    /// With other limits of sign-ins.
    #[must_use]
    pub fn with_sign_in_limits(self, limits: SignInLimits) -> Self {
        Self { limits, ..self }
    }

    /// How long a sign-in lasts.
    #[must_use]
    pub const fn sign_in_limits(&self) -> SignInLimits {
        self.limits
    }

    /// Who holds `token`; `project` is the slug an organization-wide token may name.
    ///
    /// # Errors
    /// See [`CallerError`].
    pub async fn identify(&self, token: &str, project: Option<&str>, now: UnixTime) -> Result<ApiCaller, CallerError> {
        let question = (token::hash(token), project.map(str::to_owned));
        let remembered = self.remembered.lock().get(&question).filter(|(_, at)| at.elapsed() < BELIEVED).copied();
        let holder = match remembered {
            Some((holder, _)) => holder,
            None => self.ask(question).await?.ok_or(CallerError::Unknown)?,
        };
        if holder.is_revoked {
            return Err(CallerError::Revoked);
        }
        if holder.expires_at.is_some_and(|expires| now > expires) {
            return Err(CallerError::Expired);
        }
        if holder.is_project_disabled {
            return Err(CallerError::ProjectDisabled(holder.caller));
        }
        let caller = holder.caller;
        let is_first = self.used.lock().insert(caller.token, now).is_none() && !holder.is_used;
        if is_first {
            self.sink.emit(now, caller.project, DomainEvent::TokenFirstUsed { token: caller.token });
        }
        Ok(caller)
    }

    /// Notes the use of a token that something else stands for.
    pub fn note_use(&self, token: TokenId, now: UnixTime) {
        self.used.lock().insert(token, now);
    }

    /// Who signed in and holds `secret`; `project` is the slug they may name.
    ///
    /// # Errors
    /// See [`CallerError`].
    pub async fn identify_sign_in(
        &self,
        secret: &str,
        project: Option<&str>,
        now: UnixTime,
    ) -> Result<ApiCaller, CallerError> {
        let hash = sign_in::hash(secret);
        let question = (hash, project.map(str::to_owned));
        let remembered = self.sign_ins.lock().get(&question).filter(|(_, at)| at.elapsed() < BELIEVED).copied();
        let holder = match remembered {
            Some((holder, _)) => holder,
            None => self.ask_sign_in(question).await?,
        };
        let used_at = self.used_sign_ins.lock().get(&hash).copied().unwrap_or(holder.last_used_at);
        let idle_until = used_at.max(holder.last_used_at).saturating_add(self.limits.idle);
        if now > idle_until || now > holder.created_at.saturating_add(self.limits.lifetime) {
            return Err(CallerError::Expired);
        }
        if holder.is_disabled {
            return Err(CallerError::Revoked);
        }
        if holder.is_project_disabled {
            return Err(CallerError::ProjectDisabled(holder.caller));
        }
        self.used_sign_ins.lock().insert(hash, now);
        Ok(holder.caller)
    }

    /// Forgets what is remembered, after a change.
    pub fn forget(&self) {
        self.remembered.lock().clear();
        self.sign_ins.lock().clear();
    }

    /// Writes when tokens were last used; what could not be written is kept for the next time.
    ///
    /// # Errors
    /// The store did not answer.
    pub async fn flush(&self) -> StoreResult<()> {
        let tokens = self.flush_tokens().await;
        tokens.and(self.flush_sign_ins().await)
    }

    async fn flush_sign_ins(&self) -> StoreResult<()> {
        let used: Vec<([u8; 32], UnixTime)> = std::mem::take(&mut *self.used_sign_ins.lock()).into_iter().collect();
        if used.is_empty() {
            return Ok(());
        }
        let written = self.store.touch_sign_ins(&used).await;
        if written.is_err() {
            let mut waiting = self.used_sign_ins.lock();
            for (hash, at) in used {
                waiting.entry(hash).or_insert(at);
            }
        }
        written
    }

    async fn flush_tokens(&self) -> StoreResult<()> {
        let used: Vec<(TokenId, UnixTime)> = std::mem::take(&mut *self.used.lock()).into_iter().collect();
        if used.is_empty() {
            return Ok(());
        }
        let written = self.store.touch_tokens(&used).await;
        if written.is_err() {
            let mut waiting = self.used.lock();
            for (token, at) in used {
                waiting.entry(token).or_insert(at);
            }
        } else {
            // So that the next use is not taken for the first one.
            self.forget();
        }
        written
    }

    async fn ask_sign_in(&self, question: Question) -> Result<SignInHolder, CallerError> {
        let Some(holder) = self.store.sign_in_holder(question.0, question.1.as_deref()).await? else {
            // Whether the secret or the project is unknown makes a difference to somebody who is signed in.
            let known = question.1.is_some() && self.store.sign_in_holder(question.0, None).await?.is_some();
            return Err(if known { CallerError::NoSuchProject } else { CallerError::Unknown });
        };
        let mut remembered = self.sign_ins.lock();
        if remembered.len() >= REMEMBERED_MAX {
            remembered.clear();
        }
        remembered.insert(question, (holder, Instant::now()));
        Ok(holder)
    }

    async fn ask(&self, question: Question) -> Result<Option<TokenHolder>, StoreError> {
        let holder = self.store.token_holder(question.0, question.1.as_deref()).await?;
        if let Some(holder) = holder {
            let mut remembered = self.remembered.lock();
            if remembered.len() >= REMEMBERED_MAX {
                remembered.clear();
            }
            remembered.insert(question, (holder, Instant::now()));
        }
        Ok(holder)
    }
}
