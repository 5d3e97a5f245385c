//! Signing in at an OpenID provider: who is let in, and as whom.

use std::net::IpAddr;

use causeway_types::UnixTime;

use super::{ORGANIZATION, People, PeopleError, SignInOutcome, SignedIn, normal_email};
use crate::{
    AuditEntry, Departure, NewUser, PeopleStore, ProjectId, ProviderAnswer, ProviderClaims, ProviderError, Store,
    UserId, UserRole, UserView,
};

/// Whom a provider lets in beside those who are here already.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProviderPolicy {
    /// What newcomers may do; none: there are no newcomers.
    pub default_role: Option<UserRole>,
    /// Domains of newcomers' e-mail addresses, in small letters; `*` is every domain.
    pub domains: Vec<String>,
}

impl ProviderPolicy {
    /// What somebody may do who is new here; none: they are not let in.
    #[must_use]
    pub fn role_of(&self, email: &str) -> Option<UserRole> {
        let (_, domain) = email.rsplit_once('@')?;
        let is_welcome = self.domains.iter().any(|known| known == "*" || known == domain);
        self.default_role.filter(|_| is_welcome)
    }
}

impl<S: Store + PeopleStore> People<S> {
    /// What people call the provider; none when there is none.
    pub fn provider_name(&self) -> Option<&str> {
        self.provider.as_ref().map(|(provider, _)| provider.name())
    }

    /// Where to send a browser that is to sign in at the provider.
    ///
    /// # Errors
    /// [`PeopleError::Provider`].
    pub async fn begin_by_provider(&self, now: UnixTime) -> Result<Departure, PeopleError> {
        let begun = self.departure(now).await;
        if let Err(error) = &begun {
            self.outcomes.count(SignInOutcome::of(error));
        }
        begun
    }

    /// Signs in who comes back from the provider: who is known by issuer and subject, or has an account under the e-mail
    /// address that the provider verified, or is let in by the policy.
    ///
    /// # Errors
    /// See [`PeopleError`].
    pub async fn enter_by_provider(
        &self,
        answer: &ProviderAnswer,
        from: IpAddr,
        now: UnixTime,
    ) -> Result<SignedIn, PeopleError> {
        let entered = self.enter(answer, from, now).await;
        self.outcomes.entered(SignInOutcome::Oidc, entered)
    }

    async fn departure(&self, now: UnixTime) -> Result<Departure, PeopleError> {
        let (provider, _) = self.provider.as_ref().ok_or(ProviderError::NoProvider)?;
        Ok(provider.begin(now).await?)
    }

    async fn enter(&self, answer: &ProviderAnswer, from: IpAddr, now: UnixTime) -> Result<SignedIn, PeopleError> {
        let (provider, policy) = self.provider.as_ref().ok_or(ProviderError::NoProvider)?;
        // Each answer is a request to the provider: strangers are not to make many of them.
        self.take_try(from)?;
        let claims = provider.finish(answer, now).await?;
        let user = self.user_of(&claims, policy, now).await?;
        self.begin(user, "oidc", now).await
    }

    async fn user_of(
        &self,
        claims: &ProviderClaims,
        policy: &ProviderPolicy,
        now: UnixTime,
    ) -> Result<UserView, PeopleError> {
        let known = self.store.user_by_provider(&claims.provider_id()).await?;
        let id = match known {
            Some(user) => user.id,
            None => self.meet(claims, policy, now).await?,
        };
        self.callers.forget();
        let user = self.store.user(ORGANIZATION, id).await?.ok_or(PeopleError::Unknown)?;
        if user.is_disabled { Err(PeopleError::NotLetIn) } else { Ok(user) }
    }

    /// Somebody the provider did not send before: who has the e-mail address, or somebody new.
    async fn meet(
        &self,
        claims: &ProviderClaims,
        policy: &ProviderPolicy,
        now: UnixTime,
    ) -> Result<UserId, PeopleError> {
        let email = claims.verified_email.as_deref().and_then(normal_email).ok_or(PeopleError::EmailUnverified)?;
        let provider_id = claims.provider_id();
        match self.store.user_by_email(&email).await? {
            Some((user, _)) if user.is_disabled => Err(PeopleError::NotLetIn),
            Some((user, _)) => {
                // Another subject of the same provider with the same address: it gave the address to somebody else.
                if !self.store.tie_user(user.id, &provider_id, &claims.issuer_prefix()).await? {
                    return Err(PeopleError::NotLetIn);
                }
                self.note_provider(user.id, "user.tie", now).await?;
                Ok(user.id)
            }
            None => {
                let role = policy.role_of(&email).ok_or(PeopleError::NotLetIn)?;
                let name = claims.name.clone().unwrap_or_else(|| email.clone());
                let user = NewUser { email, name, role, password_hash: None, provider_id: Some(provider_id) };
                let id = self.insert(&user, now).await?;
                self.note_provider(id, "user.join", now).await?;
                Ok(id)
            }
        }
    }

    async fn note_provider(&self, id: UserId, action: &str, now: UnixTime) -> Result<(), PeopleError> {
        let entry = AuditEntry {
            at: now,
            project: ProjectId::DEFAULT,
            token: None,
            user: Some(id),
            action: action.to_owned(),
            subject: id.0.to_string(),
            detail: r#"{"by":"oidc"}"#.to_owned(),
        };
        Ok(self.store.audit(&entry).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_new_without_a_role_and_a_domain() {
        let policy = |default_role, domains: &[&str]| ProviderPolicy {
            default_role,
            domains: domains.iter().map(|domain| (*domain).to_owned()).collect(),
        };
        assert_eq!(ProviderPolicy::default().role_of("ann@example.net"), None);
        assert_eq!(policy(None, &["*"]).role_of("ann@example.net"), None);
        assert_eq!(policy(Some(UserRole::Viewer), &[]).role_of("ann@example.net"), None);
        let staff = policy(Some(UserRole::Viewer), &["example.net"]);
        assert_eq!(staff.role_of("ann@example.net"), Some(UserRole::Viewer));
        for stranger in [
            "ann@example.org",
            "ann@sub.example.net",
            "ann@badexample.net",
            "ann@example.net@example.org",
            "example.net",
        ] {
            assert_eq!(staff.role_of(stranger), None, "{stranger}");
        }
        assert_eq!(policy(Some(UserRole::Operator), &["*"]).role_of("ann@x"), Some(UserRole::Operator));
    }
}
