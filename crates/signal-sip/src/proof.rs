//! Who sent a request: a token (RFC 8898), a digest (RFC 7616, RFC 8760), or what its connection has proven before.

use std::sync::Arc;

use causeway_call_core::{AccountId, Identity};
use causeway_sip_core::{
    Uri,
    auth::{Credentials, DigestAlgorithm, DigestCredentials, NonceState, bearer_challenge, digest_challenge},
};
use causeway_types::Now;

use crate::{CalleeRule, SipUser, TokenRefusal, client::Client, domain::Domain};

/// Nonces whose use is remembered per connection.
const NONCES_MAX: usize = 8;
/// Users that one connection may prove.
const TRUSTED_MAX: usize = 8;

/// A request that claims to be somebody's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claim<'a> {
    pub(crate) method: &'a str,
    pub(crate) request_uri: &'a str,
    pub(crate) from: &'a Uri,
    pub(crate) credentials: Option<&'a Credentials>,
}

/// What is known of a sender.
#[derive(Clone, Debug)]
pub(crate) struct Proven {
    pub(crate) identity: Identity,
    pub(crate) grant: Arc<str>,
    pub(crate) may_receive: bool,
    pub(crate) callees: CalleeRule,
}

/// A user that proved itself, and how much had been revoked then.
#[derive(Clone, Debug)]
pub(crate) struct Trust {
    identity: Identity,
    revocations: u64,
}

impl Proven {
    fn user(account: AccountId, name: &str) -> Self {
        let (grant, callees) = (Arc::from(format!("user:{name}")), CalleeRule::Anybody);
        Self { identity: Identity::new(account, name), grant, may_receive: true, callees }
    }
}

/// Why a request goes no further.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Doubt {
    /// This status, with these headers.
    Answer(u16, Vec<(&'static str, String)>),
    /// It cannot be judged now.
    Unavailable,
}

impl Doubt {
    const FORBIDDEN: Self = Self::Answer(403, Vec::new());
}

impl Client {
    /// Finds out who sent a request.
    pub(crate) async fn prove(&mut self, claim: Claim<'_>) -> Result<Proven, Doubt> {
        let proven = match claim.credentials {
            Some(Credentials::Bearer(token)) => self.by_token(claim.from, token).await,
            Some(Credentials::Digest(digest)) => self.by_digest(claim, digest).await,
            None => {
                let revocations = self.service.board.revocations();
                match self.trusted.get(&name(claim.from)).filter(|trust| trust.revocations == revocations) {
                    Some(Trust { identity, .. }) => Ok(Proven::user(identity.account, &identity.name)),
                    None => Err(self.challenge(claim, false)),
                }
            }
        };
        match &proven {
            Ok(_) => self.note_proof(),
            Err(_) => self.note_refusal(),
        }
        proven
    }

    async fn by_token(&self, from: &Uri, token: &str) -> Result<Proven, Doubt> {
        let grant = match self.service.access.token(token).await {
            Ok(grant) => grant,
            Err(TokenRefusal::Invalid) => return Err(self.invalid_token()),
            Err(TokenRefusal::Unavailable) => return Err(Doubt::Unavailable),
        };
        match Domain::of(&from.host) {
            Domain::Key { key, cloud } if key != grant.key || cloud != grant.cloud => return Err(self.invalid_token()),
            Domain::Key { .. } | Domain::Other => {}
            Domain::Cloud { .. } | Domain::Service { .. } => return Err(Doubt::FORBIDDEN),
        }
        if from.user != grant.client {
            return Err(Doubt::FORBIDDEN);
        }
        Ok(Proven {
            identity: Identity::new(grant.account, &grant.client),
            grant: Arc::from(format!("token:{}", grant.id)),
            may_receive: grant.may_receive,
            callees: grant.callees,
        })
    }

    async fn by_digest(&mut self, claim: Claim<'_>, digest: &DigestCredentials) -> Result<Proven, Doubt> {
        let (now, connection) = (Now::read().unix, self.connection.id().number);
        let is_ours = digest.realm == self.service.settings.realm && digest.uri == claim.request_uri;
        match self.service.nonces.judge(now, connection, &digest.nonce) {
            NonceState::Fresh if is_ours => {}
            // A nonce of another connection is an old one to its client: it goes on without asking its user.
            NonceState::Stale | NonceState::Foreign if is_ours => return Err(self.challenge(claim, true)),
            NonceState::Fresh | NonceState::Stale | NonceState::Foreign => return Err(self.challenge(claim, false)),
        }
        if digest.username != claim.from.user {
            return Err(Doubt::FORBIDDEN);
        }
        // Read before the user is: a user that is removed meanwhile is not trusted for what it was.
        let revocations = self.service.board.revocations();
        let Ok(user) = self.service.access.sip_user(&claim.from.host, &digest.username).await else {
            return Err(Doubt::Unavailable);
        };
        // A user that is not there costs as much as one that is.
        let is_known = user.is_some();
        let user = user.unwrap_or_else(|| SipUser { account: AccountId(0), md5: String::new(), sha256: String::new() });
        let secret = match digest.algorithm {
            DigestAlgorithm::Md5 => &user.md5,
            DigestAlgorithm::Sha256 => &user.sha256,
        };
        let is_right = digest.is_by(secret, claim.method);
        if !is_right || !is_known {
            return Err(self.challenge(claim, false));
        }
        if !self.is_first_use(digest) {
            return Err(self.challenge(claim, true));
        }
        if revocations != self.service.board.revocations() {
            return Err(self.challenge(claim, true));
        }
        self.trusted.retain(|_, trust| trust.revocations == revocations);
        if self.trusted.len() < TRUSTED_MAX {
            let identity = Identity::new(user.account, &digest.username);
            self.trusted.insert(name(claim.from), Trust { identity, revocations });
        }
        Ok(Proven::user(user.account, &digest.username))
    }

    /// Each use of a nonce has a higher number than the last (RFC 7616 §3.4.5).
    fn is_first_use(&mut self, digest: &DigestCredentials) -> bool {
        let Ok(count) = u32::from_str_radix(&digest.nonce_count, 16) else { return digest.qop.is_none() };
        if self.nonces.len() >= NONCES_MAX && !self.nonces.contains_key(&digest.nonce) {
            // They begin with their time: the first is the oldest.
            self.nonces.pop_first();
        }
        let last = self.nonces.entry(digest.nonce.clone()).or_default();
        let is_first = count > *last;
        *last = count.max(*last);
        is_first
    }

    fn challenge(&mut self, claim: Claim<'_>, is_stale: bool) -> Doubt {
        if matches!(Domain::of(&claim.from.host), Domain::Key { .. } | Domain::Cloud { .. } | Domain::Service { .. }) {
            return self.invalid_token();
        }
        let (status, name) =
            if claim.method == "REGISTER" { (401, "WWW-Authenticate") } else { (407, "Proxy-Authenticate") };
        self.challenges = self.challenges.wrapping_add(1);
        let nonce = self.service.nonces.issue(Now::read().unix, self.connection.id().number, self.challenges);
        // The preferred one is first (RFC 8760 §2.4). Browsers keep the last header of a name, and speak MD5 alone.
        let challenges = [DigestAlgorithm::Sha256, DigestAlgorithm::Md5]
            .map(|algorithm| (name, digest_challenge(&self.service.settings.realm, &nonce, is_stale, algorithm)));
        Doubt::Answer(status, challenges.into())
    }

    fn invalid_token(&self) -> Doubt {
        let challenge = bearer_challenge(&self.service.settings.realm, "invalid_token");
        Doubt::Answer(401, vec![("WWW-Authenticate", challenge)])
    }

    /// The token is good and does not allow this.
    pub(crate) fn insufficient_scope(&self) -> Doubt {
        let challenge = bearer_challenge(&self.service.settings.realm, "insufficient_scope");
        Doubt::Answer(403, vec![("WWW-Authenticate", challenge)])
    }
}

/// Who a connection speaks for.
fn name(from: &Uri) -> (String, String) {
    (from.host.clone(), from.user.clone())
}
