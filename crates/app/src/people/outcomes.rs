//! How sign-ins end, counted.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{PeopleError, SignedIn};
use crate::ProviderError;

/// How a sign-in ended: the way in, or why there was none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignInOutcome {
    /// In, by a password.
    Password,
    /// In, by a one-time link.
    Link,
    /// In, by the provider.
    Oidc,
    /// E-mail address or password is wrong, or the person is kept out.
    WrongPassword,
    /// The one-time link does not work.
    BadLink,
    /// Too many tries.
    TooManyTries,
    /// The provider knows them, but nothing here lets them in.
    NotLetIn,
    /// The provider has not verified the e-mail address.
    EmailUnverified,
    /// The provider did not answer, or not as a provider does.
    ProviderUnreachable,
    /// As many people sign in at the provider as may at once.
    ProviderBusy,
    /// The provider's answer belongs to no sign-in of the browser.
    ProviderStale,
    /// The provider, or the person there, said no.
    ProviderDenied,
    /// What the provider said is not proved.
    ProviderRefused,
    /// Something else, such as a store that does not answer.
    Failed,
}

/// Every one, in the order of the enum.
pub const SIGN_IN_OUTCOMES: [SignInOutcome; 14] = [
    SignInOutcome::Password,
    SignInOutcome::Link,
    SignInOutcome::Oidc,
    SignInOutcome::WrongPassword,
    SignInOutcome::BadLink,
    SignInOutcome::TooManyTries,
    SignInOutcome::NotLetIn,
    SignInOutcome::EmailUnverified,
    SignInOutcome::ProviderUnreachable,
    SignInOutcome::ProviderBusy,
    SignInOutcome::ProviderStale,
    SignInOutcome::ProviderDenied,
    SignInOutcome::ProviderRefused,
    SignInOutcome::Failed,
];

impl SignInOutcome {
    /// As the metric's label has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Link => "link",
            Self::Oidc => "oidc",
            Self::WrongPassword => "wrong_password",
            Self::BadLink => "bad_link",
            Self::TooManyTries => "too_many_tries",
            Self::NotLetIn => "not_let_in",
            Self::EmailUnverified => "email_unverified",
            Self::ProviderUnreachable => "provider_unreachable",
            Self::ProviderBusy => "provider_busy",
            Self::ProviderStale => "provider_stale",
            Self::ProviderDenied => "provider_denied",
            Self::ProviderRefused => "provider_refused",
            Self::Failed => "failed",
        }
    }

    /// Why there was no way in.
    #[must_use]
    pub const fn of(error: &PeopleError) -> Self {
        match error {
            PeopleError::WrongPassword => Self::WrongPassword,
            PeopleError::TooManyTries { .. } => Self::TooManyTries,
            PeopleError::BadLink => Self::BadLink,
            PeopleError::NotLetIn => Self::NotLetIn,
            PeopleError::EmailUnverified => Self::EmailUnverified,
            PeopleError::Provider(error) => match error {
                ProviderError::Unreachable(_) => Self::ProviderUnreachable,
                ProviderError::Busy => Self::ProviderBusy,
                ProviderError::Stale => Self::ProviderStale,
                ProviderError::Denied(_) => Self::ProviderDenied,
                ProviderError::Refused(_) => Self::ProviderRefused,
                ProviderError::NoProvider => Self::Failed,
            },
            PeopleError::Store(_)
            | PeopleError::EmailNeeded
            | PeopleError::Unknown
            | PeopleError::Taken
            | PeopleError::LastOwner
            | PeopleError::TooManyUsers
            | PeopleError::NoRandomness => Self::Failed,
        }
    }
}

/// How many ended how.
#[derive(Debug, Default)]
pub(crate) struct Outcomes([AtomicU64; SIGN_IN_OUTCOMES.len()]);

impl Outcomes {
    /// Counts how one ended that would have been by `way`, and hands it on.
    pub(crate) fn entered(
        &self,
        way: SignInOutcome,
        entered: Result<SignedIn, PeopleError>,
    ) -> Result<SignedIn, PeopleError> {
        self.count(entered.as_ref().map_or_else(SignInOutcome::of, |_| way));
        entered
    }

    pub(crate) fn count(&self, outcome: SignInOutcome) {
        if let Some(counter) = self.0.get(outcome as usize) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn figures(&self) -> impl Iterator<Item = (SignInOutcome, u64)> + '_ {
        SIGN_IN_OUTCOMES.into_iter().zip(self.0.iter().map(|counter| counter.load(Ordering::Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_has_its_own_counter_and_name() {
        let outcomes = Outcomes::default();
        for (n, outcome) in SIGN_IN_OUTCOMES.into_iter().enumerate() {
            assert_eq!(outcome as usize, n);
            (0..=n).for_each(|_| outcomes.count(outcome));
        }
        let counted: Vec<u64> = outcomes.figures().map(|(_, count)| count).collect();
        assert_eq!(counted, (1..=SIGN_IN_OUTCOMES.len() as u64).collect::<Vec<_>>());
        let names: std::collections::BTreeSet<_> = SIGN_IN_OUTCOMES.iter().map(|outcome| outcome.as_str()).collect();
        assert_eq!(names.len(), SIGN_IN_OUTCOMES.len());
    }
}
