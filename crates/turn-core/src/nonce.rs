//! Stateless nonces: the cookie of RFC 8489 §9.2, then issue time and a MAC over it, the source address and the realm.
//!
//! ```text
//! "obMatJos2" | base64(24 feature bits) | base64url(issue time, 4 bytes | truncated HMAC-SHA-256, 12 bytes)
//! ```
//! The source's port is left out, so that a NAT that changes it does not cost the client a round trip.

use std::{net::IpAddr, time::Duration};

use aws_lc_rs::{constant_time::verify_slices_are_equal, hmac};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use causeway_types::UnixTime;

use crate::config::NonceKeys;

/// Announces that the next four characters are security features (RFC 8489 §9.2).
const COOKIE: &str = "obMatJos2";
/// What a nonce announces (RFC 8489 §18.1): 24 bits, counted from the left, in base64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Features {
    /// Password algorithms (bit 0): clients send USERNAME.
    PlainNames,
    /// That, and user name anonymity (bit 1): clients send USERHASH.
    HashedNames,
}

impl Features {
    /// As `TurnConfig::username_anonymity` says.
    pub(crate) const fn of(username_anonymity: bool) -> Self {
        if username_anonymity { Self::HashedNames } else { Self::PlainNames }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::PlainNames => "gAAA",
            Self::HashedNames => "wAAA",
        }
    }
}

/// What a nonce turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NonceCheck {
    /// Ours, for this source, young enough.
    Fresh,
    /// Anything else: answered 438 with a new one.
    Stale,
}

/// Makes a nonce for `source`.
pub(crate) fn issue(keys: &NonceKeys, features: Features, realm: &str, source: IpAddr, now: UnixTime) -> String {
    let secs = u32::try_from(now.as_secs()).unwrap_or(u32::MAX);
    let mut nonce = String::with_capacity(40);
    nonce.push_str(COOKIE);
    nonce.push_str(features.as_str());
    let mut payload = [0; 16];
    for (to, from) in
        payload.iter_mut().zip(secs.to_be_bytes().into_iter().chain(mac(keys.signing.expose(), realm, source, secs)))
    {
        *to = from;
    }
    URL_SAFE_NO_PAD.encode_string(payload, &mut nonce);
    nonce
}

/// Checks a nonce that came from `source`. One that announces other features is stale, so nobody can change them unseen.
pub(crate) fn check(
    keys: &NonceKeys,
    features: Features,
    realm: &str,
    source: IpAddr,
    now: UnixTime,
    lifetime: Duration,
    nonce: &str,
) -> NonceCheck {
    let payload = nonce.strip_prefix(COOKIE).and_then(|rest| rest.strip_prefix(features.as_str()));
    let mut bytes = [0; 16];
    let Some(Ok(16)) = payload.map(|text| URL_SAFE_NO_PAD.decode_slice(text, &mut bytes)) else {
        return NonceCheck::Stale;
    };
    let [s0, s1, s2, s3, given @ ..] = bytes;
    let secs = u32::from_be_bytes([s0, s1, s2, s3]);
    let genuine = std::iter::once(&keys.signing)
        .chain(&keys.accepted)
        .any(|key| verify_slices_are_equal(&mac(key.expose(), realm, source, secs), &given).is_ok());
    let issued = UnixTime::from_secs(u64::from(secs));
    // Five seconds of grace forward: servers of one fleet share keys, not clocks.
    let young = now.saturating_since(issued) <= lifetime && issued.saturating_since(now) <= Duration::from_secs(5);
    if genuine && young { NonceCheck::Fresh } else { NonceCheck::Stale }
}

/// Whether the client saw our feature bits (RFC 8489 §9.2.4).
pub(crate) fn has_features(nonce: &str) -> bool {
    nonce.starts_with(COOKIE)
}

fn mac(key: &[u8; 32], realm: &str, source: IpAddr, secs: u32) -> [u8; 12] {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    context.update(&secs.to_be_bytes());
    match source {
        IpAddr::V4(ip) => context.update(&ip.octets()),
        IpAddr::V6(ip) => context.update(&ip.octets()),
    }
    context.update(realm.as_bytes());
    let mut out = [0; 12];
    for (to, from) in out.iter_mut().zip(context.sign().as_ref()) {
        *to = *from;
    }
    out
}

#[cfg(test)]
mod tests {
    use causeway_types::Secret;

    use super::*;

    const NOW: UnixTime = UnixTime::from_secs(1_790_000_000);
    const LIFETIME: Duration = Duration::from_secs(600);
    const HASHED: Features = Features::HashedNames;

    fn keys(signing: u8, accepted: &[u8]) -> NonceKeys {
        NonceKeys {
            signing: Secret::new([signing; 32]),
            accepted: accepted.iter().map(|k| Secret::new([*k; 32])).collect(),
        }
    }

    fn after(secs: u64) -> UnixTime {
        NOW.saturating_add(Duration::from_secs(secs))
    }

    #[test]
    fn a_nonce_is_good_for_its_source_and_lifetime_only() {
        let (keys, alice, bob) = (keys(1, &[]), IpAddr::from([1, 2, 3, 4]), IpAddr::from([1, 2, 3, 5]));
        let nonce = issue(&keys, HASHED, "r", alice, NOW);
        assert!(nonce.starts_with("obMatJos2wAAA") && nonce.len() <= 40);
        assert_eq!(check(&keys, HASHED, "r", alice, after(600), LIFETIME, &nonce), NonceCheck::Fresh);
        assert_eq!(check(&keys, HASHED, "r", alice, after(601), LIFETIME, &nonce), NonceCheck::Stale);
        assert_eq!(check(&keys, HASHED, "r", bob, NOW, LIFETIME, &nonce), NonceCheck::Stale);
        assert_eq!(check(&keys, HASHED, "other", alice, NOW, LIFETIME, &nonce), NonceCheck::Stale);
        assert_eq!(check(&keys, HASHED, "r", alice, NOW, LIFETIME, &format!("{nonce}A")), NonceCheck::Stale);
        assert_eq!(check(&keys, HASHED, "r", alice, NOW, LIFETIME, ""), NonceCheck::Stale);
    }

    #[test]
    fn a_nonce_whose_features_were_changed_on_the_way_is_stale() {
        let (keys, alice) = (keys(1, &[]), IpAddr::from([1, 2, 3, 4]));
        let nonce = issue(&keys, Features::PlainNames, "r", alice, NOW);
        assert!(nonce.starts_with("obMatJos2gAAA"));
        assert_eq!(check(&keys, Features::PlainNames, "r", alice, NOW, LIFETIME, &nonce), NonceCheck::Fresh);
        for changed in [nonce.replacen("gAAA", "wAAA", 1), nonce.replacen("gAAA", "AAAA", 1)] {
            assert_eq!(check(&keys, Features::PlainNames, "r", alice, NOW, LIFETIME, &changed), NonceCheck::Stale);
        }
    }

    #[test]
    fn a_rotated_key_still_verifies_and_a_forgotten_one_does_not() {
        let alice = IpAddr::from([1, 2, 3, 4]);
        let nonce = issue(&keys(1, &[]), HASHED, "r", alice, NOW);
        assert_eq!(check(&keys(2, &[1]), HASHED, "r", alice, NOW, LIFETIME, &nonce), NonceCheck::Fresh);
        assert_eq!(check(&keys(2, &[]), HASHED, "r", alice, NOW, LIFETIME, &nonce), NonceCheck::Stale);
    }
}
