//! Minting: issued credentials, and TURN REST ones.

use std::{fmt, sync::Arc, time::Duration};

use causeway_credentials::{issued::IssuedPair, turn_rest};
use causeway_stun_codec::key;
use causeway_types::{Secret, UnixTime};

use crate::{
    CredentialDirectory, CredentialStore, DomainEvent, EventSink, IceUrls, Identifier, QuotaExceeded, RegionRefusal,
    RegionWish, Regions, RuleBook, StoreError,
    model::{ApiCaller, ClientRole, CredentialLimits, CredentialRecord, ProjectId, TokenId},
};

/// What the operator allows.
#[derive(Clone, Debug)]
pub struct MintPolicy {
    /// Lifetime when none is asked for (30 s for issued credentials).
    pub ttl_default: Duration,
    /// Longest lifetime (86 400 s).
    pub ttl_max: Duration,
    /// What becomes of a longer one.
    pub ttl_over_max: OverMax,
    /// The realm of long-term credentials.
    pub realm: String,
    /// Between expiry and user in TURN REST names.
    pub rest_separator: char,
}

/// What becomes of a lifetime that is longer than the longest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OverMax {
    /// The request is refused.
    #[default]
    Reject,
    /// It is made the longest.
    Clamp,
}

/// The longest lifetime a request may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TtlLimit {
    /// The longest.
    pub max: Duration,
    /// What becomes of a longer one.
    pub over: OverMax,
}

impl TtlLimit {
    /// Longer ones are refused.
    #[must_use]
    pub const fn reject_over(max: Duration) -> Self {
        Self { max, over: OverMax::Reject }
    }
}

impl MintPolicy {
    /// What limits the lifetime in a request.
    #[must_use]
    pub const fn ttl_limit(&self) -> TtlLimit {
        TtlLimit { max: self.ttl_max, over: self.ttl_over_max }
    }
}

/// A checked request for an issued credential.
#[derive(Clone, Debug, Default)]
pub struct MintRequest {
    /// Label.
    pub room: Option<Identifier>,
    /// Label.
    pub initiator_client: Option<Identifier>,
    /// Label.
    pub receiver_client: Option<Identifier>,
    /// Which of the two holds it.
    pub client_type: Option<ClientRole>,
    /// Lifetime; already known to be within the policy.
    pub ttl: Option<Duration>,
    /// Limits that travel with it.
    pub limits: CredentialLimits,
    /// A JSON object of the application's own, at most 1 KiB.
    pub metadata: Option<String>,
    /// Where its client is to be served.
    pub region: RegionWish,
}

/// An issued credential as its client gets it.
#[derive(Clone, Debug)]
pub struct Minted {
    /// User name.
    pub username: String,
    /// Password.
    pub credential: Secret<String>,
    /// Until when.
    pub expires_at: UnixTime,
    /// Which region it is for.
    pub region: Arc<str>,
    /// What its client is handed.
    pub urls: IceUrls,
}

/// A checked request for a TURN REST credential.
#[derive(Clone, Debug, Default)]
pub struct RestRequest {
    /// User id to put into the name.
    pub user: Option<String>,
    /// Lifetime; already known to be within the policy.
    pub ttl: Option<Duration>,
    /// Where its client is to be served.
    pub region: RegionWish,
}

/// A TURN REST credential.
#[derive(Clone, Debug)]
pub struct RestMinted {
    /// `expiry:user`.
    pub username: String,
    /// Derived password.
    pub password: Secret<String>,
    /// Lifetime.
    pub ttl: Duration,
    /// What its client is handed.
    pub urls: IceUrls,
}

/// Why nothing was minted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MintError {
    /// The store did not take it; try again.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The project has used up what it may use.
    #[error(transparent)]
    Quota(#[from] QuotaExceeded),
    /// No region can serve it.
    #[error(transparent)]
    Region(#[from] RegionRefusal),
    /// No TURN REST secret is configured.
    #[error("no TURN REST secret is configured")]
    NoSecret,
    /// The system has no randomness.
    #[error("the system has no randomness")]
    NoRandomness,
}

/// Lifetime of a TURN REST credential when none is asked for (draft-uberti-behave-turn-rest-00 §2.2).
const REST_TTL_DEFAULT: Duration = Duration::from_secs(86_400);

/// The minting use-cases.
pub struct Minting<S> {
    store: Arc<S>,
    directory: Arc<CredentialDirectory>,
    policy: MintPolicy,
    regions: Arc<Regions>,
    rules: Arc<RuleBook>,
    sink: Arc<dyn EventSink>,
}

impl<S> fmt::Debug for Minting<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Minting").field("policy", &self.policy).finish_non_exhaustive()
    }
}

impl<S: CredentialStore> Minting<S> {
    /// Over a store, a directory the relay reads, a policy, the regions there are, what projects may use, and where events go.
    pub fn new(
        store: Arc<S>,
        directory: Arc<CredentialDirectory>,
        policy: MintPolicy,
        regions: Arc<Regions>,
        rules: Arc<RuleBook>,
        sink: Arc<dyn EventSink>,
    ) -> Self {
        Self { store, directory, policy, regions, rules, sink }
    }

    /// What the operator allows.
    #[must_use]
    pub const fn policy(&self) -> &MintPolicy {
        &self.policy
    }

    /// The regions there are.
    #[must_use]
    pub fn regions(&self) -> &Regions {
        &self.regions
    }

    /// Issues a credential; when this returns, it survives a crash and the relay knows it.
    ///
    /// # Errors
    /// See [`MintError`].
    pub async fn mint(&self, caller: ApiCaller, request: MintRequest, now: UnixTime) -> Result<Minted, MintError> {
        self.mint_for(caller.project, caller.token, request, now).await
    }

    /// The same in the name of a token that is not there itself.
    ///
    /// # Errors
    /// See [`MintError`].
    pub async fn mint_for(
        &self,
        project: ProjectId,
        token: TokenId,
        request: MintRequest,
        now: UnixTime,
    ) -> Result<Minted, MintError> {
        self.rules.check_quota(project, now)?;
        let region = self.regions.choose(&request.region, self.rules.regions_of(project, token).as_ref())?;
        let mut random = [0; 32];
        aws_lc_rs::rand::fill(&mut random).map_err(|_| MintError::NoRandomness)?;
        let pair = IssuedPair::from_random(random);
        let expires_at = now.saturating_add(request.ttl.unwrap_or(self.policy.ttl_default));
        let record = CredentialRecord {
            user_hash: key::user_hash(&pair.username, &self.policy.realm),
            username: pair.username.clone(),
            secret: pair.credential.clone(),
            project,
            token,
            room: request.room,
            initiator_client: request.initiator_client,
            receiver_client: request.receiver_client,
            client_type: request.client_type,
            region: region.slug.to_string(),
            issued_at: now,
            expires_at,
            revoked_at: None,
            limits: request.limits,
            metadata: request.metadata,
        };
        self.store.insert_credential(record.clone()).await?;
        self.rules.count_credential(project, now);
        self.directory.remember(&record);
        self.tell(&record);
        Ok(Minted {
            username: pair.username,
            credential: pair.credential,
            expires_at,
            region: region.slug,
            urls: region.urls,
        })
    }

    fn tell(&self, record: &CredentialRecord) {
        let event = DomainEvent::CredentialMinted {
            username: Arc::from(record.username.as_str()),
            room: record.room.clone(),
            clients: record.attribution().clients,
            token: record.token,
            expires_at: record.expires_at,
        };
        self.sink.emit(record.issued_at, record.project, event);
    }

    /// Derives a TURN REST credential; nothing is stored.
    ///
    /// # Errors
    /// No secret is configured, no region serves, or the project's quota is used up.
    pub fn mint_rest(&self, caller: ApiCaller, request: &RestRequest, now: UnixTime) -> Result<RestMinted, MintError> {
        let config = self.directory.config();
        let secret = config.secrets.signing().ok_or(MintError::NoSecret)?;
        self.rules.check_quota(caller.project, now)?;
        let urls =
            self.regions.choose(&request.region, self.rules.regions_of(caller.project, caller.token).as_ref())?.urls;
        let ttl = request.ttl.unwrap_or(REST_TTL_DEFAULT).min(self.policy.ttl_max);
        let username =
            turn_rest::username(now.saturating_add(ttl), request.user.as_deref(), self.policy.rest_separator);
        let password = Secret::new(turn_rest::password(secret.expose(), &username));
        Ok(RestMinted { username, password, ttl, urls })
    }
}
