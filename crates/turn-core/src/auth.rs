//! Who sent this request? The long-term credential mechanism (RFC 8489 §9.2.4).

use std::sync::Arc;

use causeway_stun_codec::{
    AttributeType, Integrity, Message, Method,
    attributes::{Nonce, PasswordAlgorithm, PasswordAlgorithms, Realm, UserHash, Username},
};
use causeway_types::{ClientTransport, Now};

use crate::{
    TurnServer,
    config::{Grant, IntegrityKeys},
    io::{ClientLeg, Output, UserRef},
    nonce::{self, Features, NonceCheck},
    reply::Signature,
};

/// What a request claims, before any key was looked at.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    pub(crate) user: UserRef,
    pub(crate) signature: Signature,
}

/// Why a request has no claim worth looking at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ClaimError {
    /// 401: no integrity value, or another realm.
    Challenge,
    /// 400: parts are missing or contradict each other.
    BadRequest,
    /// 400 because the client was talked down to a weaker algorithm.
    BidDown,
    /// 438.
    Stale,
}

impl TurnServer {
    /// Reads the claim, or answers the request.
    pub(crate) fn claim(&mut self, now: Now, client: ClientLeg, message: &Message<'_>) -> Option<Claim> {
        match self.read_claim(now, client, message) {
            Ok(claim) => Some(claim),
            Err(error) => {
                match error {
                    ClaimError::Challenge => {
                        let told = self.challenge(now, client, message, 401);
                        let begins = message.method() == Method::ALLOCATE && message.integrity() == Integrity::None;
                        if told && begins && client.five_tuple.transport == ClientTransport::Udp {
                            self.outputs.push_back(Output::Challenged { client: client.five_tuple });
                        }
                        told
                    }
                    ClaimError::Stale => self.challenge(now, client, message, 438),
                    ClaimError::BadRequest => self.refuse_unauthenticated(now, client, message, 400, &[]),
                    ClaimError::BidDown => {
                        let told = self.refuse_unauthenticated(now, client, message, 400, &[]);
                        if told {
                            self.auth_refused(client, None, causeway_types::AuthRefusal::BidDown);
                        }
                        told
                    }
                };
                None
            }
        }
    }

    /// The checks of RFC 8489 §9.2.4 that need no key. The nonce is judged before the user name, so that a source is
    /// known to receive at its address before any question is asked about it.
    fn read_claim(&self, now: Now, client: ClientLeg, message: &Message<'_>) -> Result<Claim, ClaimError> {
        let integrity = message.integrity();
        if integrity == Integrity::None {
            return Err(ClaimError::Challenge);
        }
        let bad = |_| ClaimError::BadRequest;
        let username = message.attribute::<Username<'_>>().map_err(bad)?;
        let hash = message.attribute::<UserHash>().map_err(bad)?;
        let realm = message.attribute::<Realm<'_>>().map_err(bad)?;
        let nonce = message.attribute::<Nonce<'_>>().map_err(bad)?;
        let user = match (username, hash) {
            (Some(Username(name)), None) if is_acceptable_name(name) => UserRef::Name(Arc::from(name)),
            (None, Some(UserHash(hash))) => UserRef::Hash(hash),
            _ => return Err(ClaimError::BadRequest),
        };
        let (Some(Realm(realm)), Some(Nonce(nonce))) = (realm, nonce) else { return Err(ClaimError::BadRequest) };
        let algorithm = password_algorithm(message, nonce)?;
        let (keys, source) = (&self.config.nonce_keys, client.five_tuple.client.ip());
        let features = Features::of(self.config.username_anonymity);
        let check =
            nonce::check(keys, features, &self.config.realm, source, now.unix, self.config.nonce_lifetime, nonce);
        if check == NonceCheck::Stale {
            return Err(ClaimError::Stale);
        }
        if realm != &*self.config.realm {
            return Err(ClaimError::Challenge);
        }
        let sha256_value = matches!(integrity, Integrity::Sha256 | Integrity::Both);
        let signature = match (sha256_value, algorithm) {
            (false, PasswordAlgorithm::Md5) => Signature::Sha1Md5,
            (true, PasswordAlgorithm::Md5) => Signature::Sha256Md5,
            (false, PasswordAlgorithm::Sha256) => Signature::Sha1Sha256,
            (true, PasswordAlgorithm::Sha256) => Signature::Sha256Sha256,
            (_, PasswordAlgorithm::Other(_)) => return Err(ClaimError::BadRequest),
        };
        Ok(Claim { user, signature })
    }
}

/// RFC 8489 §9.2.4: without either attribute the key is MD5; with them, the list must be the one we sent (else somebody
/// cut it) and the choice must be on it.
fn password_algorithm(message: &Message<'_>, nonce: &str) -> Result<PasswordAlgorithm, ClaimError> {
    let bad = |_| ClaimError::BadRequest;
    let offered = message.attribute::<PasswordAlgorithms<'_>>().map_err(bad)?;
    let chosen = message.attribute::<PasswordAlgorithm>().map_err(bad)?;
    match (offered, chosen) {
        (None, None) => Ok(PasswordAlgorithm::Md5),
        (Some(offered), Some(chosen)) if nonce::has_features(nonce) => {
            if offered != PasswordAlgorithms::OFFERED {
                Err(ClaimError::BidDown)
            } else if PasswordAlgorithms::OFFERED.iter().any(|known| known == chosen) {
                Ok(chosen)
            } else {
                Err(ClaimError::BadRequest)
            }
        }
        _ => Err(ClaimError::BadRequest),
    }
}

/// Control characters, spaces, quotes and backslashes are not taken in a USERNAME.
fn is_acceptable_name(name: &str) -> bool {
    !name.is_empty() && !name.chars().any(|c| c.is_control() || matches!(c, ' ' | '"' | '\'' | '\\'))
}

/// Whether every integrity value in `message` was made with the key that `signature` names.
pub(crate) fn verify(message: &Message<'_>, signature: Signature, keys: &IntegrityKeys) -> bool {
    let key: &[u8] = match signature {
        Signature::Sha1Md5 | Signature::Sha256Md5 => keys.md5.expose(),
        Signature::Sha1Sha256 | Signature::Sha256Sha256 => keys.sha256.expose(),
    };
    let sha1 = !message.has(AttributeType::MESSAGE_INTEGRITY) || message.verify_integrity_sha1(key);
    let sha256 = !message.has(AttributeType::MESSAGE_INTEGRITY_SHA256) || message.verify_integrity_sha256(key);
    sha1 && sha256
}

/// Whether the claim names the user of `grant`.
pub(crate) fn same_user(user: &UserRef, grant: &Grant, realm: &str) -> bool {
    match user {
        UserRef::Name(name) => **name == *grant.username,
        UserRef::Hash(hash) => *hash == causeway_stun_codec::key::user_hash(&grant.username, realm),
    }
}
