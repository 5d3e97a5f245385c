//! The port to whoever else vouches for people: an OpenID provider.

use std::{fmt, future::Future, pin::Pin};

use causeway_types::{Secret, UnixTime};

/// Where a browser is sent to sign in, and what it keeps meanwhile.
#[derive(Clone, Debug)]
pub struct Departure {
    /// A page of the provider.
    pub url: String,
    /// Ties the provider's answer to this browser: letters, digits, `-`, `_` and `.`.
    pub flow: Secret<String>,
}

/// What a browser brings back from the provider.
#[derive(Clone, Debug, Default)]
pub struct ProviderAnswer {
    /// What was kept of [`Departure::flow`]; empty when there is nothing.
    pub flow: String,
    /// Has to follow from the flow.
    pub state: String,
    /// To be exchanged for what the provider knows.
    pub code: Option<String>,
    /// Why there is no code.
    pub error: Option<String>,
    /// Who answers, where the provider says so.
    pub issuer: Option<String>,
}

/// What an OpenID provider says of somebody, when all of it is proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderClaims {
    /// Who says it.
    pub issuer: String,
    /// Who it is there, whatever the rest says: never given to somebody else.
    pub subject: String,
    /// Only when the provider has verified it.
    pub verified_email: Option<String>,
    /// What to call them.
    pub name: Option<String>,
}

impl ProviderClaims {
    /// What a person is known by: issuer and subject. A URL has no space, so that no two people have the same.
    #[must_use]
    pub fn provider_id(&self) -> String {
        format!("{}{}", self.issuer_prefix(), self.subject)
    }

    /// What [`Self::provider_id`] of everybody from this issuer begins with.
    #[must_use]
    pub fn issuer_prefix(&self) -> String {
        format!("{} ", self.issuer)
    }
}

/// Why a provider vouches for nobody.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProviderError {
    /// No provider is configured.
    #[error("there is no provider")]
    NoProvider,
    /// It does not answer, or not as a provider does. For the log: no name or address of a person.
    #[error("the provider is not reached: {0}")]
    Unreachable(String),
    /// As many people sign in as may at once.
    #[error("too many sign-ins at once")]
    Busy,
    /// The answer belongs to no sign-in of this browser, or to one that began too long ago.
    #[error("the answer belongs to no sign-in of this browser")]
    Stale,
    /// The provider, or the person there, said no.
    #[error("the provider said no: {0}")]
    Denied(String),
    /// What the provider said is not proved.
    #[error("the provider's answer is refused: {0}")]
    Refused(String),
}

/// What a provider is asked, under way.
pub type ProviderFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, ProviderError>> + Send + 'a>>;

/// An OpenID provider.
pub trait SignInProvider: fmt::Debug + Send + Sync + 'static {
    /// What people call it.
    fn name(&self) -> &str;

    /// Begins a sign-in.
    fn begin(&self, now: UnixTime) -> ProviderFuture<'_, Departure>;

    /// Ends one: exchanges and proves what the browser brought back.
    fn finish<'a>(&'a self, answer: &'a ProviderAnswer, now: UnixTime) -> ProviderFuture<'a, ProviderClaims>;
}
