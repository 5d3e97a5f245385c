//! People: they are invited by one-time links, sign in and out, and are kept out.

use std::{
    fmt,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use aws_lc_rs::rand;
use causeway_credentials::{sign_in, token};
use causeway_types::{Secret, UnixTime};
use parking_lot::Mutex;

use crate::{
    ApiCaller, AuditEntry, Callers, LinkKind, NewUser, OneTimeLink, OrganizationId, PeopleStore, ProjectId,
    ProviderError, Redemption, SignInProvider, Store, StoreError, StoreResult, UserChange, UserId, UserRole, UserView,
};

mod outcomes;
mod passwords;
mod provider;
mod throttle;

pub use outcomes::{SIGN_IN_OUTCOMES, SignInOutcome};
pub use provider::ProviderPolicy;

use outcomes::Outcomes;
use passwords::{Busy, Passwords};
use throttle::Throttle;

/// Longest e-mail address.
///
/// Source: RFC 5321 §4.5.3.1.3.
pub const EMAIL_BYTES_MAX: usize = 254;
/// Shortest password.
pub const PASSWORD_CHARS_MIN: usize = 10;
/// Longest password.
pub const PASSWORD_BYTES_MAX: usize = 1024;
/// People of an organization.
const USERS_MAX: usize = 1000;
/// How long a one-time link works.
const LINK_LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// The organization that every store has.
const ORGANIZATION: OrganizationId = OrganizationId(1);

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PeopleError {
    /// The store did not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// E-mail address and password do not go together, or whoever has them is kept out: nobody is told which.
    #[error("e-mail address or password is wrong")]
    WrongPassword,
    /// There were too many tries.
    #[error("too many tries; wait {} s", .wait.as_secs())]
    TooManyTries {
        /// How long to wait.
        wait: Duration,
    },
    /// A link that was used, is over or never was.
    #[error("this link does not work any more")]
    BadLink,
    /// The link of the first owner needs an e-mail address.
    #[error("an e-mail address is needed")]
    EmailNeeded,
    /// There is no such person, or it is not this caller's to change.
    #[error("there is no such person")]
    Unknown,
    /// Somebody has this e-mail address.
    #[error("somebody has this e-mail address already")]
    Taken,
    /// Nobody would be left who may do everything.
    #[error("at least one owner has to stay")]
    LastOwner,
    /// There are as many people as there may be.
    #[error("there are {USERS_MAX} people already")]
    TooManyUsers,
    /// The provider knows this person, but nothing here lets them in.
    #[error("this person is not let in here")]
    NotLetIn,
    /// The provider has not verified the e-mail address, so that it says nothing.
    #[error("the provider has not verified the e-mail address")]
    EmailUnverified,
    /// The provider vouches for nobody.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// The system has no randomness.
    #[error("the system has no randomness")]
    NoRandomness,
}

impl From<Busy> for PeopleError {
    fn from(_: Busy) -> Self {
        Self::TooManyTries { wait: Duration::from_secs(1) }
    }
}

/// Somebody who just signed in.
#[derive(Clone, Debug)]
pub struct SignedIn {
    /// Who.
    pub user: UserView,
    /// What their browser is to keep.
    pub secret: Secret<String>,
}

/// A one-time link that was just made: the only time its token is seen.
#[derive(Clone, Debug)]
pub struct MadeLink {
    /// What comes after `/welcome#token=`.
    pub token: Secret<String>,
    /// When it stops working.
    pub expires_at: UnixTime,
}

/// The e-mail address as it is kept and compared: in small letters. None for what is none.
#[must_use]
pub fn normal_email(text: &str) -> Option<String> {
    let text = text.trim().to_lowercase();
    let is_plain = text.len() <= EMAIL_BYTES_MAX && !text.chars().any(|c| c.is_control() || c.is_whitespace());
    let (local, domain) = text.rsplit_once('@')?;
    let is_good = is_plain && !local.is_empty() && !domain.is_empty() && !local.contains('@');
    is_good.then(|| text.clone())
}

/// The use-cases.
pub struct People<S> {
    store: Arc<S>,
    callers: Arc<Callers<S>>,
    passwords: Passwords,
    throttle: Mutex<Throttle>,
    start: Instant,
    provider: Option<(Arc<dyn SignInProvider>, ProviderPolicy)>,
    outcomes: Outcomes,
}

impl<S> fmt::Debug for People<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("People").finish_non_exhaustive()
    }
}

impl<S: Store + PeopleStore> People<S> {
    /// Over a store and those who remember callers.
    pub fn new(store: Arc<S>, callers: Arc<Callers<S>>) -> Self {
        let (passwords, throttle) = (Passwords::new(), Mutex::default());
        let (start, outcomes) = (Instant::now(), Outcomes::default());
        Self { store, callers, passwords, throttle, start, provider: None, outcomes }
    }

    /// With a provider at which people may sign in too.
    #[must_use]
    pub fn with_provider(mut self, provider: Arc<dyn SignInProvider>, policy: ProviderPolicy) -> Self {
        self.provider = Some((provider, policy));
        self
    }

    /// How many sign-ins ended how, since the start.
    pub fn sign_in_outcomes(&self) -> impl Iterator<Item = (SignInOutcome, u64)> + '_ {
        self.outcomes.figures()
    }

    /// Whether nobody can sign in yet.
    ///
    /// # Errors
    /// The store did not answer.
    pub async fn needs_first_owner(&self) -> StoreResult<bool> {
        Ok(!self.store.has_owner(ORGANIZATION).await?)
    }

    /// A link that makes the first owner, in place of earlier ones; none when somebody can sign in already.
    ///
    /// # Errors
    /// See [`PeopleError`].
    pub async fn first_link(&self, now: UnixTime) -> Result<Option<MadeLink>, PeopleError> {
        if !self.needs_first_owner().await? {
            return Ok(None);
        }
        self.make_link(LinkKind::First, None, now).await.map(Some)
    }

    /// A link with which the person of this e-mail address chooses a new password: for whoever runs the server.
    ///
    /// # Errors
    /// See [`PeopleError`].
    pub async fn rescue_link(&self, email: &str, now: UnixTime) -> Result<MadeLink, PeopleError> {
        let email = normal_email(email).ok_or(PeopleError::Unknown)?;
        let (user, _) = self.store.user_by_email(&email).await?.ok_or(PeopleError::Unknown)?;
        self.make_link(LinkKind::Password, Some(user.id), now).await
    }

    /// Signs somebody in who has a password.
    ///
    /// # Errors
    /// See [`PeopleError`].
    pub async fn sign_in(
        &self,
        email: &str,
        password: &str,
        from: IpAddr,
        now: UnixTime,
    ) -> Result<SignedIn, PeopleError> {
        let entered = self.enter_by_password(email, password, from, now).await;
        self.outcomes.entered(SignInOutcome::Password, entered)
    }

    async fn enter_by_password(
        &self,
        email: &str,
        password: &str,
        from: IpAddr,
        now: UnixTime,
    ) -> Result<SignedIn, PeopleError> {
        let email = email.trim().to_lowercase();
        let account = token::hash(&email);
        self.throttle
            .lock()
            .take(account, from, self.start.elapsed())
            .map_err(|wait| PeopleError::TooManyTries { wait })?;
        let known = self.store.user_by_email(&email).await?;
        let stored = known.as_ref().and_then(|(_, stored)| stored.as_deref());
        let is_right = self.passwords.is_right(password, stored).await?;
        match known {
            Some((user, _)) if is_right && !user.is_disabled => {
                self.throttle.lock().forgive(account);
                self.begin(user, "password", now).await
            }
            Some(_) | None => Err(PeopleError::WrongPassword),
        }
    }

    /// A link that still works, and whom it is for.
    ///
    /// # Errors
    /// See [`PeopleError`].
    pub async fn link(
        &self,
        token: &str,
        from: IpAddr,
        now: UnixTime,
    ) -> Result<(OneTimeLink, Option<UserView>), PeopleError> {
        let found = self.find_link(token, from, now).await;
        if let Err(error) = &found {
            self.outcomes.count(SignInOutcome::of(error));
        }
        found
    }

    async fn find_link(
        &self,
        token: &str,
        from: IpAddr,
        now: UnixTime,
    ) -> Result<(OneTimeLink, Option<UserView>), PeopleError> {
        self.take_try(from)?;
        let link = self.store.link(sign_in::hash(token), now).await?.ok_or(PeopleError::BadLink)?;
        let user = match link.user {
            Some(id) => self.store.user(link.organization, id).await?,
            None => None,
        };
        Ok((link, user))
    }

    /// Uses a link up: sets the password and signs in. `first` is the e-mail address of the first owner.
    ///
    /// # Errors
    /// See [`PeopleError`].
    pub async fn redeem(
        &self,
        link_token: &str,
        password: &str,
        first: Option<&str>,
        name: Option<String>,
        from: IpAddr,
        now: UnixTime,
    ) -> Result<SignedIn, PeopleError> {
        let entered = self.enter_by_link(link_token, password, first, name, from, now).await;
        self.outcomes.entered(SignInOutcome::Link, entered)
    }

    async fn enter_by_link(
        &self,
        link_token: &str,
        password: &str,
        first: Option<&str>,
        name: Option<String>,
        from: IpAddr,
        now: UnixTime,
    ) -> Result<SignedIn, PeopleError> {
        let (link, user) = self.find_link(link_token, from, now).await?;
        if user.is_some_and(|user| user.is_disabled) {
            return Err(PeopleError::BadLink);
        }
        let first = match (link.kind, first) {
            (LinkKind::First, None) => return Err(PeopleError::EmailNeeded),
            (LinkKind::First, Some(email)) => {
                let email = normal_email(email).ok_or(PeopleError::EmailNeeded)?;
                Some((email.clone(), name.clone().unwrap_or(email)))
            }
            (LinkKind::Invitation | LinkKind::Password, _) => None,
        };
        let redemption = Redemption { password_hash: self.passwords.hash(password).await?, first, name };
        let redeemed = self.store.redeem(sign_in::hash(link_token), &redemption, now).await;
        let id = redeemed.map_err(taken)?.ok_or(PeopleError::BadLink)?;
        self.callers.forget();
        let user = self.store.user(link.organization, id).await?.ok_or(PeopleError::Unknown)?;
        self.begin(user, link.kind.as_str(), now).await
    }

    /// Ends one sign-in.
    ///
    /// # Errors
    /// The store did not answer.
    pub async fn sign_out(&self, caller: ApiCaller, secret: &str, now: UnixTime) -> StoreResult<()> {
        self.store.end_sign_in(sign_in::hash(secret)).await?;
        self.callers.forget();
        self.note(caller, "user.sign_out", caller_id(caller), "{}".to_owned(), now).await
    }

    /// Ends every sign-in of the caller, this one too.
    ///
    /// # Errors
    /// See [`PeopleError`].
    pub async fn sign_out_everywhere(&self, caller: ApiCaller, now: UnixTime) -> Result<(), PeopleError> {
        let person = caller.person.ok_or(PeopleError::Unknown)?;
        self.end_sign_ins(caller, person.id, now).await
    }

    /// Replaces the caller's own password; every sign-in ends, and a new one begins.
    ///
    /// # Errors
    /// See [`PeopleError`].
    pub async fn change_password(
        &self,
        caller: ApiCaller,
        current: &str,
        password: &str,
        from: IpAddr,
        now: UnixTime,
    ) -> Result<SignedIn, PeopleError> {
        let changed = self.enter_by_new_password(caller, current, password, from, now).await;
        self.outcomes.entered(SignInOutcome::Password, changed)
    }

    async fn enter_by_new_password(
        &self,
        caller: ApiCaller,
        current: &str,
        password: &str,
        from: IpAddr,
        now: UnixTime,
    ) -> Result<SignedIn, PeopleError> {
        let person = caller.person.ok_or(PeopleError::Unknown)?;
        let user = self.store.user(caller.organization, person.id).await?.ok_or(PeopleError::Unknown)?;
        let account = token::hash(&user.email);
        self.throttle
            .lock()
            .take(account, from, self.start.elapsed())
            .map_err(|wait| PeopleError::TooManyTries { wait })?;
        let stored = self.store.user_by_email(&user.email).await?.and_then(|(_, stored)| stored);
        if !self.passwords.is_right(current, stored.as_deref()).await? {
            return Err(PeopleError::WrongPassword);
        }
        self.throttle.lock().forgive(account);
        self.store.set_password(person.id, &self.passwords.hash(password).await?).await?;
        self.note(caller, "user.password", user.id.0.to_string(), "{}".to_owned(), now).await?;
        self.store.end_sign_ins(person.id).await?;
        self.callers.forget();
        self.begin(user, "password", now).await
    }

    /// Everybody.
    ///
    /// # Errors
    /// The store did not answer.
    pub async fn list(&self, caller: ApiCaller) -> StoreResult<Vec<UserView>> {
        self.store.users(caller.organization).await
    }

    /// One of them.
    ///
    /// # Errors
    /// See [`PeopleError`].
    pub async fn one(&self, caller: ApiCaller, id: UserId) -> Result<UserView, PeopleError> {
        self.store.user(caller.organization, id).await?.ok_or(PeopleError::Unknown)
    }

    /// Adds a person, who chooses a password by the link.
    ///
    /// # Errors
    /// See [`PeopleError`].
    pub async fn invite(
        &self,
        caller: ApiCaller,
        email: String,
        name: Option<String>,
        role: UserRole,
        now: UnixTime,
    ) -> Result<(UserView, MadeLink), PeopleError> {
        let name = name.unwrap_or_else(|| email.clone());
        let user = NewUser { email, name, role, password_hash: None, provider_id: None };
        let id = self.insert(&user, now).await?;
        let link = self.make_link(LinkKind::Invitation, Some(id), now).await?;
        let detail = format!(r#"{{"role":"{}"}}"#, role.as_str());
        self.note(caller, "user.invite", id.0.to_string(), detail, now).await?;
        Ok((self.one(caller, id).await?, link))
    }

    /// A new link for a person: an invitation while there is no password, else for a new one.
    ///
    /// # Errors
    /// See [`PeopleError`].
    pub async fn new_link(&self, caller: ApiCaller, id: UserId, now: UnixTime) -> Result<MadeLink, PeopleError> {
        let user = self.one(caller, id).await?;
        let kind = if user.has_password { LinkKind::Password } else { LinkKind::Invitation };
        let link = self.make_link(kind, Some(id), now).await?;
        self.note(caller, "user.link", id.0.to_string(), "{}".to_owned(), now).await?;
        Ok(link)
    }

    /// Changes a person. Who loses a role or is kept out is so at once, on every server within half a second.
    ///
    /// # Errors
    /// See [`PeopleError`].
    pub async fn change(
        &self,
        caller: ApiCaller,
        id: UserId,
        change: &UserChange,
        now: UnixTime,
    ) -> Result<UserView, PeopleError> {
        self.one(caller, id).await?;
        if !self.store.change_user(caller.organization, id, change).await? {
            return Err(PeopleError::LastOwner);
        }
        if change.is_disabled == Some(true) {
            self.store.end_sign_ins(id).await?;
        }
        self.callers.forget();
        let role = change.role.map(|role| format!(r#""role":"{}""#, role.as_str()));
        let disabled = change.is_disabled.map(|is_disabled| format!(r#""disabled":{is_disabled}"#));
        let detail: Vec<String> = [role, disabled].into_iter().flatten().collect();
        self.note(caller, "user.change", id.0.to_string(), format!("{{{}}}", detail.join(",")), now).await?;
        self.one(caller, id).await
    }

    /// Ends every sign-in of a person.
    ///
    /// # Errors
    /// See [`PeopleError`].
    pub async fn end_sign_ins(&self, caller: ApiCaller, id: UserId, now: UnixTime) -> Result<(), PeopleError> {
        self.one(caller, id).await?;
        self.store.end_sign_ins(id).await?;
        self.callers.forget();
        self.note(caller, "user.sign_out_everywhere", id.0.to_string(), "{}".to_owned(), now).await?;
        Ok(())
    }

    async fn insert(&self, user: &NewUser, now: UnixTime) -> Result<UserId, PeopleError> {
        if self.store.users(ORGANIZATION).await?.len() >= USERS_MAX {
            return Err(PeopleError::TooManyUsers);
        }
        self.store.insert_user(ORGANIZATION, user, now).await.map_err(taken)
    }

    async fn make_link(&self, kind: LinkKind, user: Option<UserId>, now: UnixTime) -> Result<MadeLink, PeopleError> {
        let token = sign_in::link_from_random(random()?);
        let expires_at = now.saturating_add(LINK_LIFETIME);
        let link = OneTimeLink { organization: ORGANIZATION, kind, user, expires_at };
        self.store.insert_link(sign_in::hash(token.expose()), &link, now).await?;
        Ok(MadeLink { token, expires_at })
    }

    /// Always with a new secret, whatever the browser brought: a planted one never becomes a signed-in one.
    async fn begin(&self, user: UserView, how: &str, now: UnixTime) -> Result<SignedIn, PeopleError> {
        let secret = sign_in::from_random(random()?);
        let lifetime = u64::try_from(self.callers.sign_in_limits().lifetime.as_millis()).unwrap_or(u64::MAX);
        let forget_before = UnixTime::from_millis(now.as_millis().saturating_sub(lifetime));
        self.store.insert_sign_in(sign_in::hash(secret.expose()), user.id, now, forget_before).await?;
        let entry = AuditEntry {
            at: now,
            project: ProjectId::DEFAULT,
            token: None,
            user: Some(user.id),
            action: "user.sign_in".to_owned(),
            subject: user.id.0.to_string(),
            detail: format!(r#"{{"by":"{how}"}}"#),
        };
        self.store.audit(&entry).await?;
        Ok(SignedIn { user, secret })
    }

    fn take_try(&self, from: IpAddr) -> Result<(), PeopleError> {
        let taken = self.throttle.lock().take_address(from, self.start.elapsed());
        taken.map_err(|wait| PeopleError::TooManyTries { wait })
    }

    async fn note(
        &self,
        caller: ApiCaller,
        action: &str,
        subject: String,
        detail: String,
        at: UnixTime,
    ) -> StoreResult<()> {
        self.store.audit(&AuditEntry::by(caller, action, subject, detail, at)).await
    }
}

fn taken(error: StoreError) -> PeopleError {
    match error {
        StoreError::Exists { .. } => PeopleError::Taken,
        other @ (StoreError::Unavailable { .. } | StoreError::BadCursor) => other.into(),
    }
}

fn caller_id(caller: ApiCaller) -> String {
    caller.person.map(|person| person.id.0.to_string()).unwrap_or_default()
}

fn random() -> Result<[u8; 32], PeopleError> {
    let mut random = [0; 32];
    rand::fill(&mut random).map_err(|_| PeopleError::NoRandomness)?;
    Ok(random)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_email_address_is_compared_in_small_letters() {
        assert_eq!(normal_email(" Ann@Example.NET ").as_deref(), Some("ann@example.net"));
        for bad in ["", "ann", "@example.net", "ann@", "a@b@c", "an n@example.net", "ann\n@example.net"] {
            assert_eq!(normal_email(bad), None, "{bad:?}");
        }
        let long = format!("{}@example.net", "a".repeat(EMAIL_BYTES_MAX - 12));
        assert!(normal_email(&long).is_some());
        assert_eq!(normal_email(&format!("a{long}")), None);
    }
}
