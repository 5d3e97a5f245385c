//! The long-term credential mechanism from the client's side (RFC 8489 §9.2.3, §9.2.5).

use causeway_stun_codec::{
    AttributeType, Message, MessageBuilder,
    attributes::{Nonce, PasswordAlgorithm, PasswordAlgorithms, Realm, UserHash, Username},
    key,
};
use causeway_types::Secret;

use crate::config::{AuthFeatures, Credentials};

/// What begins a nonce whose next four characters are security features (RFC 8489 §9.2).
const COOKIE: &str = "obMatJos2";
/// "Password algorithms", the first of the 24 feature bits (RFC 8489 §18.1).
const PASSWORD_ALGORITHMS_BIT: u8 = 0b10_0000;
/// "Username anonymity", the second one.
const USERNAME_ANONYMITY_BIT: u8 = 0b01_0000;

/// What requests are signed with, from one challenge to the next.
pub(crate) struct Session {
    pub(crate) realm: String,
    nonce: String,
    /// PASSWORD-ALGORITHMS as received, and the choice; `None` for a challenge of RFC 5389.
    algorithms: Option<(Vec<u8>, PasswordAlgorithm)>,
    name: Name,
    key: Secret<Vec<u8>>,
}

enum Name {
    Plain(String),
    Hash([u8; 32]),
}

/// Why a challenge cannot be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChallengeError {
    /// REALM or NONCE is missing or malformed.
    Incomplete,
    /// The nonce announces password algorithms, and there is no list.
    BidDown,
    /// The list has none that is known.
    NoCommonAlgorithm,
}

impl Session {
    /// Reads the challenge of a 401 or 438.
    pub(crate) fn from_challenge(
        answer: &Message<'_>,
        credentials: &Credentials,
        features: AuthFeatures,
    ) -> Result<Self, ChallengeError> {
        let incomplete = |_| ChallengeError::Incomplete;
        let realm = answer.attribute::<Realm<'_>>().map_err(incomplete)?;
        let nonce = answer.attribute::<Nonce<'_>>().map_err(incomplete)?;
        let (Some(Realm(realm)), Some(Nonce(nonce))) = (realm, nonce) else { return Err(ChallengeError::Incomplete) };
        let bits = match features {
            AuthFeatures::Offered => feature_bits(nonce),
            AuthFeatures::Classic => 0,
        };
        let algorithms = if bits & PASSWORD_ALGORITHMS_BIT == 0 {
            None
        } else {
            let list = answer.attribute::<PasswordAlgorithms<'_>>().map_err(|_| ChallengeError::BidDown)?;
            let list = list.ok_or(ChallengeError::BidDown)?;
            let known = |choice: &PasswordAlgorithm| !matches!(choice, PasswordAlgorithm::Other(_));
            let choice = list.iter().find(known).ok_or(ChallengeError::NoCommonAlgorithm)?;
            Some((list.0.to_vec(), choice))
        };
        let (user, password) = (&credentials.username, credentials.password.expose());
        let key = match algorithms {
            Some((_, PasswordAlgorithm::Sha256)) => key::sha256_key(user, realm, password).to_vec(),
            Some((_, PasswordAlgorithm::Md5 | PasswordAlgorithm::Other(_))) | None => {
                key::md5_key(user, realm, password).to_vec()
            }
        };
        let name = if bits & USERNAME_ANONYMITY_BIT == 0 {
            Name::Plain(user.clone())
        } else {
            Name::Hash(key::user_hash(user, realm))
        };
        Ok(Self { realm: realm.to_owned(), nonce: nonce.to_owned(), algorithms, name, key: Secret::new(key) })
    }

    /// Appends everything up to and with the integrity value.
    pub(crate) fn sign(&self, builder: MessageBuilder) -> MessageBuilder {
        let named = match &self.name {
            Name::Plain(name) => builder.attribute(&Username(name)),
            Name::Hash(hash) => builder.attribute(&UserHash(*hash)),
        };
        let claimed = named.attribute(&Realm(&self.realm)).attribute(&Nonce(&self.nonce));
        match &self.algorithms {
            Some((list, choice)) => {
                claimed.attribute(&PasswordAlgorithms(list)).attribute(choice).integrity_sha256(self.key.expose())
            }
            None => claimed.integrity_sha1(self.key.expose()),
        }
    }

    /// Whether an answer carries the integrity value that fits the request's, and it is right.
    pub(crate) fn verifies(&self, answer: &Message<'_>) -> bool {
        if self.algorithms.is_some() || answer.has(AttributeType::MESSAGE_INTEGRITY_SHA256) {
            answer.verify_integrity_sha256(self.key.expose())
        } else {
            answer.verify_integrity_sha1(self.key.expose())
        }
    }

    /// Whether `newer` is another chance: another realm, so another key.
    pub(crate) fn differs_in_key(&self, newer: &Self) -> bool {
        self.key.expose() != newer.key.expose()
    }
}

/// The first six feature bits of a nonce, or none when it has no cookie. Bits are counted from the left, in base64.
fn feature_bits(nonce: &str) -> u8 {
    let Some(&[first, _, _, _]) = nonce.strip_prefix(COOKIE).and_then(|rest| rest.as_bytes().first_chunk::<4>()) else {
        return 0;
    };
    match first {
        b'A'..=b'Z' => first - b'A',
        b'a'..=b'z' => first - b'a' + 26,
        b'0'..=b'9' => first - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => 0,
    }
}
