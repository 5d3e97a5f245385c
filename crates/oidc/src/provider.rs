//! The provider as the rest of the server sees it: what is known of it, and the two halves of a sign-in.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use aws_lc_rs::rand;
use causeway_app::{Departure, ProviderAnswer, ProviderClaims, ProviderError, ProviderFuture, SignInProvider};
use causeway_types::{Secret, UnixTime};
use hyper::StatusCode;
use parking_lot::Mutex;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::{
    claims::PersonClaims,
    discovery::Metadata,
    fetch::{Answer, Fetcher, PATIENCE},
    flow::Flow,
    id_token::{self, Expected, IdTokenError},
    issuer::{Endpoint, Issuer},
    keys::KeySet,
    token::{self, Client, Tokens, form, plain},
};

/// How long metadata and keys are believed. Short: whoever begins a sign-in is told at once when the provider is away.
const FRESH: Duration = Duration::from_secs(60);
/// How long a provider that did not answer is left alone, and the shortest time between two looks for newer keys.
const PAUSE: Duration = Duration::from_secs(5);
/// Requests to the provider at once; a sign-in that needs one more is refused.
pub const REQUESTS_AT_ONCE_MAX: usize = 16;
/// Longest code that is handed on.
const CODE_BYTES_MAX: usize = 4096;

/// What is configured.
#[derive(Clone, Debug)]
pub struct OidcSettings {
    /// Who it is.
    pub issuer: Issuer,
    /// Who this server is there.
    pub client_id: String,
    /// None: a public client.
    pub client_secret: Option<Secret<String>>,
    /// Where people come back to; the provider has to know it.
    pub redirect_uri: String,
    /// What is asked for.
    pub scopes: Vec<String>,
    /// What people call it.
    pub name: String,
}

/// How requests to the provider ended, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Answered, with whatever status.
    pub answered: u64,
    /// Not answered, or not in time.
    pub failed: u64,
}

/// An OpenID provider.
#[derive(Debug)]
pub struct Oidc {
    settings: OidcSettings,
    client: Client,
    fetcher: Fetcher,
    known: Mutex<Known>,
    room: Semaphore,
    answered: AtomicU64,
    failed: AtomicU64,
}

/// What the provider said of itself, and when.
#[derive(Debug, Default)]
struct Known {
    metadata: Option<(Instant, Arc<Metadata>)>,
    keys: Option<(Instant, Arc<KeySet>)>,
    failed: Option<(Instant, String)>,
    /// Since when somebody looks the metadata up; a look-up that was given up half-way counts no longer than it could take.
    asked: Option<Instant>,
}

impl Oidc {
    /// Nothing is asked of the provider yet: it may be away.
    ///
    /// # Errors
    /// The TLS library does not start.
    pub fn new(settings: OidcSettings) -> Result<Self, String> {
        let fetcher = Fetcher::new().map_err(|error| error.to_string())?;
        let client = Client { id: settings.client_id.clone(), secret: settings.client_secret.clone() };
        Ok(Self {
            settings,
            client,
            fetcher,
            known: Mutex::default(),
            room: Semaphore::new(REQUESTS_AT_ONCE_MAX),
            answered: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        })
    }

    /// How its requests ended.
    #[must_use]
    pub fn figures(&self) -> Figures {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Figures { answered: read(&self.answered), failed: read(&self.failed) }
    }

    async fn depart(&self, now: UnixTime) -> Result<Departure, ProviderError> {
        let metadata = self.metadata().await?;
        let mut random = [0; 32];
        rand::fill(&mut random).map_err(|_| ProviderError::Unreachable("the system has no randomness".to_owned()))?;
        let flow = Flow::begin(random, now);
        Ok(Departure { url: self.authorization_url(&metadata, &flow), flow: flow.kept() })
    }

    /// Source: OpenID Connect Core 1.0 §3.1.2.1; RFC 7636 §4.3.
    fn authorization_url(&self, metadata: &Metadata, flow: &Flow) -> String {
        let query = form(&[
            ("response_type", "code"),
            ("client_id", &self.settings.client_id),
            ("redirect_uri", &self.settings.redirect_uri),
            ("scope", &self.settings.scopes.join(" ")),
            ("state", &flow.state()),
            ("nonce", &flow.nonce()),
            ("code_challenge", &flow.challenge()),
            ("code_challenge_method", "S256"),
        ]);
        let url = &metadata.authorization.url;
        format!("{url}{}{query}", if url.contains('?') { '&' } else { '?' })
    }

    async fn arrive(&self, answer: &ProviderAnswer, now: UnixTime) -> Result<ProviderClaims, ProviderError> {
        let flow = Flow::resume(&answer.flow, now).ok_or(ProviderError::Stale)?;
        if !flow.is_state(&answer.state) {
            return Err(ProviderError::Stale);
        }
        let metadata = self.metadata().await?;
        self.check_issuer(&metadata, answer)?;
        if let Some(error) = &answer.error {
            return Err(ProviderError::Denied(plain(error)));
        }
        let code = answer.code.as_deref().filter(|code| !code.is_empty() && code.len() <= CODE_BYTES_MAX);
        let code = code.ok_or_else(|| refused("it brought no code"))?;
        let tokens = self.exchange(&metadata, &flow, code).await?;
        let person = self.prove(&metadata, &tokens.id_token, &flow, now).await?;
        let person = self.with_email(&metadata, tokens.access_token.as_deref(), person).await?;
        Ok(person.told(self.settings.issuer.as_str()))
    }

    /// An answer of another provider is not taken to this one.
    ///
    /// Source: RFC 9207 §2.4.
    fn check_issuer(&self, metadata: &Metadata, answer: &ProviderAnswer) -> Result<(), ProviderError> {
        let is_own = match answer.issuer.as_deref() {
            Some(issuer) => issuer == self.settings.issuer.as_str(),
            None => !metadata.names_itself,
        };
        if is_own { Ok(()) } else { Err(refused("it comes from another issuer")) }
    }

    async fn exchange(&self, metadata: &Metadata, flow: &Flow, code: &str) -> Result<Tokens, ProviderError> {
        let redirect_uri = &self.settings.redirect_uri;
        let exchange = token::exchange(&self.client, metadata.takes_basic, code, &flow.verifier(), redirect_uri);
        let _permit = self.permit()?;
        let posted = self.fetcher.post(&metadata.token, exchange.authorization, exchange.form).await;
        let answer = self.count(posted)?;
        if answer.status.is_server_error() {
            return Err(unreachable(format!("the token endpoint said {}", answer.status.as_u16())));
        }
        token::tokens(&answer).map_err(ProviderError::Refused)
    }

    /// With the keys that are known, and when the token's is not among them, with newer ones.
    async fn prove(
        &self,
        metadata: &Metadata,
        id_token: &str,
        flow: &Flow,
        now: UnixTime,
    ) -> Result<PersonClaims, ProviderError> {
        let nonce = flow.nonce();
        let expected =
            Expected { issuer: self.settings.issuer.as_str(), client_id: &self.settings.client_id, nonce: &nonce };
        let keys = self.keys(metadata, FRESH).await?;
        let mut proved = id_token::verify(id_token, &keys, expected, now);
        if matches!(proved, Err(IdTokenError::UnknownKey)) {
            let keys = self.keys(metadata, PAUSE).await?;
            proved = id_token::verify(id_token, &keys, expected, now);
        }
        proved.map_err(|error| refused(&error.to_string()))
    }

    /// Many providers put the e-mail address into the ID token; the others tell it to who holds the access token.
    ///
    /// Source: OpenID Connect Core 1.0 §5.3, §5.4.
    async fn with_email(
        &self,
        metadata: &Metadata,
        access_token: Option<&str>,
        person: PersonClaims,
    ) -> Result<PersonClaims, ProviderError> {
        let (None, Some(endpoint), Some(access_token)) = (&person.email, &metadata.user_info, access_token) else {
            return Ok(person);
        };
        let answer = self.get(endpoint, Some(access_token)).await?;
        let told: PersonClaims =
            serde_json::from_slice(&answer.body).map_err(|_| refused("the UserInfo endpoint is not understood"))?;
        // What it says counts for the person of the ID token only.
        if told.sub == person.sub { Ok(told) } else { Err(refused("the UserInfo endpoint tells of somebody else")) }
    }

    async fn metadata(&self) -> Result<Arc<Metadata>, ProviderError> {
        if let Some(known) = self.known.lock().metadata()? {
            return Ok(known);
        }
        let looked_up = self.look_up().await;
        let mut known = self.known.lock();
        known.asked = None;
        match looked_up {
            Ok(metadata) => {
                let metadata = Arc::new(metadata);
                known.metadata = Some((Instant::now(), Arc::clone(&metadata)));
                known.failed = None;
                Ok(metadata)
            }
            Err(error) => {
                if let ProviderError::Unreachable(why) = &error {
                    // Seldom enough for the log: it is not asked again before the pause is over.
                    tracing::warn!(issuer = %self.settings.issuer, %why, "the OpenID provider is not reached");
                    known.failed = Some((Instant::now(), why.clone()));
                }
                Err(error)
            }
        }
    }

    async fn look_up(&self) -> Result<Metadata, ProviderError> {
        let url = self.settings.issuer.metadata_url();
        let endpoint = self.settings.issuer.endpoint(&url).map_err(ProviderError::Unreachable)?;
        let answer = self.get(&endpoint, None).await?;
        Metadata::parse(&self.settings.issuer, &answer.body).map_err(ProviderError::Unreachable)
    }

    /// Keys that were read within `age`.
    async fn keys(&self, metadata: &Metadata, age: Duration) -> Result<Arc<KeySet>, ProviderError> {
        let known = self.known.lock().keys.clone();
        if let Some((_, keys)) = known.filter(|(at, _)| at.elapsed() < age) {
            return Ok(keys);
        }
        let answer = self.get(&metadata.keys, None).await?;
        let keys = Arc::new(KeySet::parse(&answer.body).map_err(ProviderError::Unreachable)?);
        self.known.lock().keys = Some((Instant::now(), Arc::clone(&keys)));
        Ok(keys)
    }

    async fn get(&self, from: &Endpoint, bearer: Option<&str>) -> Result<Answer, ProviderError> {
        let _permit = self.permit()?;
        let answer = self.count(self.fetcher.get(from, bearer).await)?;
        match answer.status {
            StatusCode::OK => Ok(answer),
            other => Err(unreachable(format!("{} said {}", from.path, other.as_u16()))),
        }
    }

    fn permit(&self) -> Result<SemaphorePermit<'_>, ProviderError> {
        self.room.try_acquire().map_err(|_| ProviderError::Busy)
    }

    fn count(&self, answered: Result<Answer, String>) -> Result<Answer, ProviderError> {
        let counter = if answered.is_ok() { &self.answered } else { &self.failed };
        counter.fetch_add(1, Ordering::Relaxed);
        answered.map_err(ProviderError::Unreachable)
    }
}

impl Known {
    /// What is fresh, or was until somebody else began to ask again; none: the caller is to ask. An error while a provider
    /// that did not answer is left alone.
    fn metadata(&mut self) -> Result<Option<Arc<Metadata>>, ProviderError> {
        let is_asked = self.asked.is_some_and(|since| since.elapsed() < PATIENCE);
        if let Some((at, metadata)) = &self.metadata
            && (is_asked || at.elapsed() < FRESH)
        {
            return Ok(Some(Arc::clone(metadata)));
        }
        match &self.failed {
            Some((at, why)) if at.elapsed() < PAUSE => Err(ProviderError::Unreachable(why.clone())),
            _ => {
                self.asked = Some(Instant::now());
                Ok(None)
            }
        }
    }
}

impl SignInProvider for Oidc {
    fn name(&self) -> &str {
        &self.settings.name
    }

    fn begin(&self, now: UnixTime) -> ProviderFuture<'_, Departure> {
        Box::pin(self.depart(now))
    }

    fn finish<'a>(&'a self, answer: &'a ProviderAnswer, now: UnixTime) -> ProviderFuture<'a, ProviderClaims> {
        Box::pin(self.arrive(answer, now))
    }
}

fn refused(why: &str) -> ProviderError {
    ProviderError::Refused(why.to_owned())
}

fn unreachable(why: String) -> ProviderError {
    ProviderError::Unreachable(why)
}

#[cfg(test)]
mod tests;
