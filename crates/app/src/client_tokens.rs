//! Minting, verifying and revoking client tokens.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rand,
    rsa::{KeyPair, KeySize},
};
use causeway_credentials::client_token::{
    AccessLabel, Callees, Claims, ClientId, CloudId, SigningKey, TokenFault, VerifyingKey, kid,
};
use causeway_types::{Secret, UnixTime};
use parking_lot::{Mutex, RwLock};

use crate::{
    Admission, ApiCaller, AuditEntry, ClientAccount, ClientTokenStore, NewClientToken, Notice, ProjectId,
    Registrations, RevokeClientTokens, StoreError, StoreResult, StoredSigningKey,
};

/// Shortest and longest life of a token.
pub const CLIENT_TOKEN_TTL_MIN: Duration = Duration::from_secs(600);
/// See [`CLIENT_TOKEN_TTL_MIN`].
pub const CLIENT_TOKEN_TTL_MAX: Duration = Duration::from_secs(86_400);
/// Life of a token when none is asked for.
pub const CLIENT_TOKEN_TTL_DEFAULT: Duration = Duration::from_secs(3600);

/// What a rotated key signed is believed for the longest life of a token, and a minute for clocks that differ.
const OVERLAP: Duration = Duration::from_secs(86_400 + 60);
/// How long an answer of the store about an account is believed.
const BELIEVED: Duration = Duration::from_millis(500);
/// Accounts remembered, known and unknown; one more and all are asked for again.
const REMEMBERED_MAX: usize = 10_000;
/// The store is asked for keys at most this often on behalf of strangers, whatever tokens they make up.
const KEYS_ASKED_EVERY: Duration = Duration::from_secs(1);

/// How client tokens are minted.
#[derive(Clone, Debug)]
pub struct ClientTokenSettings {
    /// Which cloud this installation is to its clients.
    pub cloud: CloudId,
    /// Tokens a project may mint in a calendar month (UTC).
    pub monthly_quota: u64,
    /// A key signs for this long; then another one does.
    pub key_lifetime: Duration,
}

/// What a token is to allow.
#[derive(Clone, Debug)]
pub struct ClientTokenRequest {
    /// Who.
    pub client: ClientId,
    /// Between [`CLIENT_TOKEN_TTL_MIN`] and [`CLIENT_TOKEN_TTL_MAX`].
    pub ttl: Duration,
    /// Whether the client may register.
    pub allows_incoming: bool,
    /// Whom it may call.
    pub callees: Callees,
}

/// A token that was just minted.
#[derive(Clone, Debug)]
pub struct MintedClientToken {
    /// Names it.
    pub id: String,
    /// The token.
    pub token: Secret<String>,
    /// When it was issued.
    pub issued_at: UnixTime,
    /// Until when it is good.
    pub expires_at: UnixTime,
}

/// Who shows a token, and what the token allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientIdentity {
    /// Whose client.
    pub project: ProjectId,
    /// The project's label: the first one of the client's domain must be this.
    pub access: AccessLabel,
    /// The cloud of the token: the one of the client's domain must be this.
    pub cloud: CloudId,
    /// Which client.
    pub client_id: ClientId,
    /// Whether it may register.
    pub allows_incoming: bool,
    /// Whom it may call.
    pub callees: Callees,
    /// When the token ends.
    pub expires_at: UnixTime,
    /// Names the token.
    pub jti: Arc<str>,
}

/// Why no token was minted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MintTokenError {
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The project has minted as many as it may in this month.
    #[error("the project has minted its {quota} client tokens of this month")]
    QuotaReached {
        /// How many.
        quota: u64,
    },
    /// The system has no randomness, or the key is broken.
    #[error("the system has no randomness, or the key is broken")]
    NoKey,
}

/// Why a token is not believed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientTokenError {
    /// It is not good by itself.
    #[error(transparent)]
    Fault(#[from] TokenFault),
    /// No key of ours has signed it.
    #[error("the key that signed the token is not known")]
    UnknownKey,
    /// It is for another cloud.
    #[error("the token is for another cloud")]
    WrongCloud,
    /// Its account is not there, or disabled.
    #[error("the account of the token is not there, or disabled")]
    NoAccount,
    /// It was revoked.
    #[error("the token was revoked")]
    Revoked,
    /// Nobody can tell.
    #[error(transparent)]
    Store(#[from] StoreError),
}

#[derive(Default)]
struct Keys {
    signing: Option<(Arc<SigningKey>, UnixTime)>,
    verifying: BTreeMap<String, (VerifyingKey, Option<UnixTime>)>,
    asked: Option<Instant>,
}

/// The use-cases.
pub struct ClientTokens<S> {
    store: Arc<S>,
    registrations: Arc<dyn Registrations>,
    settings: ClientTokenSettings,
    keys: RwLock<Keys>,
    /// One key is made at a time.
    making: tokio::sync::Mutex<()>,
    revoked: RwLock<BTreeSet<String>>,
    accounts: Mutex<HashMap<AccessLabel, (Option<ClientAccount>, Instant)>>,
}

impl<S> fmt::Debug for ClientTokens<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTokens").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl<S: ClientTokenStore> ClientTokens<S> {
    /// Over a store and whoever knows registrations.
    #[must_use]
    pub fn new(store: Arc<S>, registrations: Arc<dyn Registrations>, settings: ClientTokenSettings) -> Self {
        Self {
            store,
            registrations,
            settings,
            keys: RwLock::default(),
            making: tokio::sync::Mutex::default(),
            revoked: RwLock::default(),
            accounts: Mutex::default(),
        }
    }

    /// The settings.
    #[must_use]
    pub const fn settings(&self) -> &ClientTokenSettings {
        &self.settings
    }

    /// Reads keys and revocations as other servers of the database left them, and makes a key when there is none, or when
    /// the one there is has signed for long enough.
    ///
    /// # Errors
    /// The store did not answer.
    pub async fn refresh(&self, now: UnixTime) -> Result<(), MintTokenError> {
        self.read_keys(now).await?;
        self.signing_key(now).await?;
        self.heed_revocations(now).await?;
        Ok(())
    }

    /// Mints a token for a client of the caller's project.
    ///
    /// # Errors
    /// See [`MintTokenError`].
    pub async fn mint(
        &self,
        caller: ApiCaller,
        request: ClientTokenRequest,
        now: UnixTime,
    ) -> Result<MintedClientToken, MintTokenError> {
        let ClientTokenRequest { client, ttl, allows_incoming, callees } = request;
        let key = self.signing_key(now).await?;
        let account = self.account(caller).await?;
        let mut random = [0; 16];
        rand::fill(&mut random).map_err(|_| MintTokenError::NoKey)?;
        let id = format!("{:032x}", u128::from_be_bytes(random));
        // Tokens count whole seconds.
        let issued_at = UnixTime::from_secs(now.as_secs());
        let expires_at = issued_at.saturating_add(ttl);
        let claims = Claims {
            id: id.clone(),
            cloud: self.settings.cloud.clone(),
            access: account.access,
            client: client.clone(),
            issued_at,
            expires_at,
            allows_incoming,
            callees: callees.clone(),
        };
        let token = key.sign(&claims).ok_or(MintTokenError::NoKey)?;
        let kept = NewClientToken {
            id: id.clone(),
            client,
            token: caller.token,
            issued_at,
            expires_at,
            allows_incoming,
            callees,
        };
        let quota = self.settings.monthly_quota;
        if !self.store.insert_client_token(caller.project, &kept, &month(now), quota).await? {
            return Err(MintTokenError::QuotaReached { quota });
        }
        Ok(MintedClientToken { id, token, issued_at, expires_at })
    }

    /// Who shows this token. It asks the store for nothing that it was told within the last half second.
    ///
    /// # Errors
    /// See [`ClientTokenError`].
    pub async fn verify(&self, token: &str, now: UnixTime) -> Result<ClientIdentity, ClientTokenError> {
        let kid = kid(token)?;
        let key = self.verifying_key(&kid, now).await?.ok_or(ClientTokenError::UnknownKey)?;
        let claims = key.verify(token, now)?;
        if claims.cloud != self.settings.cloud {
            return Err(ClientTokenError::WrongCloud);
        }
        if self.is_revoked(&claims.id) {
            return Err(ClientTokenError::Revoked);
        }
        let account = self.find_account(&claims.access).await?;
        let account = account.filter(|account| !account.is_project_disabled).ok_or(ClientTokenError::NoAccount)?;
        Ok(ClientIdentity {
            project: account.project,
            access: claims.access,
            cloud: claims.cloud,
            client_id: claims.client,
            allows_incoming: claims.allows_incoming,
            callees: claims.callees,
            expires_at: claims.expires_at,
            jti: Arc::from(claims.id),
        })
    }

    /// The account of this label, disabled or not: for requests that bear no token.
    ///
    /// # Errors
    /// The store did not answer, and did not before.
    pub async fn find_account(&self, access: &AccessLabel) -> StoreResult<Option<ClientAccount>> {
        let remembered = self.accounts.lock().get(access).cloned();
        if let Some((account, at)) = &remembered
            && at.elapsed() < BELIEVED
        {
            return Ok(account.clone());
        }
        match self.store.client_account_of(access).await {
            Ok(account) => {
                self.remember(access.clone(), account.clone());
                Ok(account)
            }
            // An old answer is better than turning every client away.
            Err(error) => remembered.map(|(account, _)| account).ok_or(error),
        }
    }

    /// The account of the caller's project; it gets a label when it has none.
    ///
    /// # Errors
    /// The store did not answer, or the system has no randomness.
    pub async fn account(&self, caller: ApiCaller) -> Result<ClientAccount, MintTokenError> {
        if let Some(account) = self.store.client_account(caller.project).await? {
            return Ok(account);
        }
        let mut random = [0; 25];
        rand::fill(&mut random).map_err(|_| MintTokenError::NoKey)?;
        let made = self.store.set_client_access(caller.project, &AccessLabel::from_random(random)).await;
        // Somebody else may have made one meanwhile.
        let account = self.store.client_account(caller.project).await?;
        match account {
            Some(account) => Ok(account),
            None => Err(made.err().unwrap_or_else(no_row).into()),
        }
    }

    /// Gives the caller's project another label. Tokens with the old one end.
    ///
    /// # Errors
    /// Another project has it, or the store did not answer.
    pub async fn rename(&self, caller: ApiCaller, access: AccessLabel, now: UnixTime) -> StoreResult<()> {
        self.store.set_client_access(caller.project, &access).await?;
        self.accounts.lock().clear();
        self.note(caller, "client_access.change", access.to_string(), "{}".to_owned(), now).await
    }

    /// How many tokens the caller's project has minted in this month.
    ///
    /// # Errors
    /// The store did not answer.
    pub async fn minted_this_month(&self, caller: ApiCaller, now: UnixTime) -> StoreResult<u64> {
        self.store.client_tokens_minted(caller.project, &month(now)).await
    }

    /// Revokes tokens of the caller's project, and ends the registrations that stand on them. How many tokens were good.
    ///
    /// # Errors
    /// The store did not answer; then nothing is revoked.
    pub async fn revoke(&self, caller: ApiCaller, by: &RevokeClientTokens, now: UnixTime) -> StoreResult<u64> {
        let revoked = self.store.revoke_client_tokens(caller.project, by, now).await?;
        if revoked > 0 {
            self.heed_revocations(now).await?;
            self.store.tell(&[Notice::ClientTokensRevoked], now).await?;
        }
        let subject = match by {
            RevokeClientTokens::Id(id) => id.clone(),
            RevokeClientTokens::Client(client) => format!("client {client}"),
            RevokeClientTokens::Project => "all".to_owned(),
        };
        self.note(caller, "client_token.revoke", subject, format!(r#"{{"tokens":{revoked}}}"#), now).await?;
        Ok(revoked)
    }

    /// Reads which tokens are revoked, and ends what stands on them here: another server, or this one, revoked some.
    ///
    /// # Errors
    /// The store did not answer.
    pub async fn heed_revocations(&self, now: UnixTime) -> StoreResult<()> {
        let revoked: BTreeSet<String> = self.store.revoked_client_tokens(now).await?.into_iter().collect();
        let is_new = { revoked.difference(&self.revoked.read()).next().is_some() };
        *self.revoked.write() = revoked;
        if is_new {
            let ended = self.registrations.end(&|registration| match &registration.admission {
                Some(Admission::ClientToken(id)) => self.is_revoked(id),
                Some(Admission::User(_)) | None => false,
            });
            tracing::debug!(ended, "registrations ended: their tokens were revoked");
        }
        Ok(())
    }

    /// Another key signs from here on. What the others signed is believed until the last token of theirs has ended.
    ///
    /// # Errors
    /// The store did not answer, or the system has no randomness.
    pub async fn rotate(&self, caller: ApiCaller, now: UnixTime) -> Result<String, MintTokenError> {
        let kid = self.make_key(now).await?;
        self.note(caller, "client_key.rotate", kid.clone(), "{}".to_owned(), now).await?;
        Ok(kid)
    }

    /// The public keys of tokens that are believed now.
    ///
    /// # Errors
    /// The store did not answer.
    pub async fn public_keys(&self, now: UnixTime) -> Result<Vec<VerifyingKey>, MintTokenError> {
        // One that another server made is among them within a second.
        self.read_keys_at_times(now).await?;
        self.signing_key(now).await?;
        let keys = self.keys.read();
        Ok(keys.verifying.values().map(|(key, _)| key.clone()).collect())
    }

    fn is_revoked(&self, id: &str) -> bool {
        self.revoked.read().contains(id)
    }

    fn remember(&self, access: AccessLabel, account: Option<ClientAccount>) {
        let mut accounts = self.accounts.lock();
        if accounts.len() >= REMEMBERED_MAX {
            accounts.clear();
        }
        accounts.insert(access, (account, Instant::now()));
    }

    /// The key that signs now; another one is made when it has signed for its lifetime.
    async fn signing_key(&self, now: UnixTime) -> Result<Arc<SigningKey>, MintTokenError> {
        if let Some(key) = self.current_key(now) {
            return Ok(key);
        }
        let _making = self.making.lock().await;
        self.read_keys(now).await?;
        if let Some(key) = self.current_key(now) {
            return Ok(key);
        }
        self.make_key(now).await?;
        self.current_key(now).ok_or(MintTokenError::NoKey)
    }

    fn current_key(&self, now: UnixTime) -> Option<Arc<SigningKey>> {
        let keys = self.keys.read();
        let (key, made) = keys.signing.as_ref()?;
        (now < made.saturating_add(self.settings.key_lifetime)).then(|| Arc::clone(key))
    }

    async fn make_key(&self, now: UnixTime) -> Result<String, MintTokenError> {
        // Finding two primes takes a tenth of a second.
        let made = tokio::task::spawn_blocking(new_key).await.ok().flatten().ok_or(MintTokenError::NoKey)?;
        let (kid, pkcs8) = made;
        let key = StoredSigningKey { kid: kid.clone(), pkcs8, created_at: now, verifies_until: None };
        self.store.insert_signing_key(&key, now.saturating_add(OVERLAP)).await?;
        self.read_keys(now).await?;
        Ok(kid)
    }

    async fn verifying_key(&self, kid: &str, now: UnixTime) -> StoreResult<Option<VerifyingKey>> {
        let find = || {
            let keys = self.keys.read();
            let found = keys.verifying.get(kid).filter(|(_, until)| until.is_none_or(|until| now < until));
            found.map(|(key, _)| key.clone())
        };
        if let Some(key) = find() {
            return Ok(Some(key));
        }
        self.read_keys_at_times(now).await?;
        Ok(find())
    }

    /// Reads the keys, unless strangers had them read a moment ago.
    async fn read_keys_at_times(&self, now: UnixTime) -> StoreResult<()> {
        let may_ask = {
            let mut keys = self.keys.write();
            let may_ask = keys.asked.is_none_or(|at| at.elapsed() >= KEYS_ASKED_EVERY);
            if may_ask {
                keys.asked = Some(Instant::now());
            }
            may_ask
        };
        if may_ask { self.read_keys(now).await } else { Ok(()) }
    }

    async fn read_keys(&self, now: UnixTime) -> StoreResult<()> {
        let stored = self.store.signing_keys(now).await?;
        let known: BTreeSet<String> = self.keys.read().verifying.keys().cloned().collect();
        let mut fresh = Keys { asked: self.keys.read().asked, ..Keys::default() };
        let is_same = stored.len() == known.len() && stored.iter().all(|key| known.contains(&key.kid));
        for key in stored {
            let signs = key.verifies_until.is_none() && fresh.signing.is_none();
            let current = self.keys.read().signing.clone().filter(|(old, _)| is_same && old.public().kid() == key.kid);
            let parsed = match current {
                Some((parsed, _)) => parsed,
                None => match SigningKey::from_pkcs8(&key.pkcs8) {
                    Ok(parsed) => Arc::new(parsed),
                    Err(error) => {
                        tracing::error!(kid = key.kid, %error, "a key of the database is broken; it is left out");
                        continue;
                    }
                },
            };
            fresh.verifying.insert(key.kid, (parsed.public().clone(), key.verifies_until));
            if signs {
                fresh.signing = Some((parsed, key.created_at));
            }
        }
        *self.keys.write() = fresh;
        Ok(())
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

fn no_row() -> StoreError {
    StoreError::Unavailable { reason: "the project has no account".to_owned() }
}

fn new_key() -> Option<(String, Secret<Vec<u8>>)> {
    let pair = KeyPair::generate(KeySize::Rsa2048).ok()?;
    let der: Pkcs8V1Der<'_> = pair.as_der().ok()?;
    let pkcs8 = Secret::new(der.as_ref().to_vec());
    let key = SigningKey::from_pkcs8(&pkcs8).ok()?;
    Some((key.public().kid().to_owned(), pkcs8))
}

/// The calendar month of a time in UTC: `2026-11`.
///
/// Days to civil date as in Howard Hinnant's `civil_from_days`, for days since 1970.
fn month(at: UnixTime) -> String {
    let days = at.as_secs() / 86_400 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_is_the_calendars() {
        let of = |secs| month(UnixTime::from_secs(secs));
        assert_eq!(of(0), "1970-01");
        assert_eq!(of(951_782_399), "2000-02", "28 February 2000, last second");
        assert_eq!(of(951_782_400), "2000-02", "29 February 2000");
        assert_eq!(of(951_868_800), "2000-03");
        assert_eq!(of(1_798_761_599), "2026-12");
        assert_eq!(of(1_798_761_600), "2027-01");
        assert_eq!(of(4_107_542_400), "2100-03", "2100 is no leap year");
    }
}
