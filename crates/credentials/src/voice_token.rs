//! Tokens of voice credentials: JWTs with HS512, signed with a secret of the credential's own. Another secret takes all of
//! them back.
//!
//! The client library decodes the claims with a decoder that does not know the URL-safe alphabet; claims of these characters
//! have neither `-` nor `_` when encoded, so it reads them.
//!
//! Source: RFC 7519, RFC 7518 §3.2; `compat/telnyx.md#tokens`.

use causeway_types::{Secret, UnixTime};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, decode_header, encode};
use serde::{Deserialize, Serialize};

/// Longest token that is looked at.
pub const TOKEN_BYTES_MAX: usize = 4096;
const AUDIENCE: &str = "telnyx_telephony";

/// What a token states.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VoiceClaims {
    /// The credential it belongs to.
    pub credential: String,
    /// Names the token.
    pub id: String,
    /// When it was issued. Whole seconds are kept.
    pub issued_at: UnixTime,
    /// When it stops working. Whole seconds are kept.
    pub expires_at: UnixTime,
}

#[derive(Serialize, Deserialize)]
struct Written {
    aud: String,
    exp: u64,
    iat: u64,
    iss: String,
    jti: String,
    sub: String,
}

/// Why a token does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VoiceTokenFault {
    /// No token of this kind.
    #[error("the token is malformed")]
    Malformed,
    /// Not signed with this secret.
    #[error("the token was not issued here, or was taken back")]
    Forged,
    /// Its time is over.
    #[error("the token expired")]
    Expired,
}

/// Signs a statement; none if the library cannot.
#[must_use]
pub fn sign(claims: &VoiceClaims, secret: &Secret<String>) -> Option<String> {
    let header = Header { kid: Some(claims.credential.clone()), ..Header::new(Algorithm::HS512) };
    let written = Written {
        aud: AUDIENCE.to_owned(),
        exp: claims.expires_at.as_secs(),
        iat: claims.issued_at.as_secs(),
        iss: "causeway".to_owned(),
        jti: claims.id.clone(),
        sub: claims.credential.clone(),
    };
    encode(&header, &written, &EncodingKey::from_secret(secret.expose().as_bytes())).ok()
}

/// Whose token it says it is; nothing is verified.
#[must_use]
pub fn credential_of(token: &str) -> Option<String> {
    let header = (token.len() <= TOKEN_BYTES_MAX).then(|| decode_header(token).ok()).flatten()?;
    header.kid.filter(|kid| kid.len() <= 64)
}

/// Verifies a token of the credential that has this secret.
///
/// # Errors
/// Why it does not count.
pub fn verify(token: &str, secret: &Secret<String>, now: UnixTime) -> Result<VoiceClaims, VoiceTokenFault> {
    let credential = credential_of(token).ok_or(VoiceTokenFault::Malformed)?;
    let mut validation = Validation::new(Algorithm::HS512);
    validation.set_audience(&[AUDIENCE]);
    // Judged below, by the time that is given.
    validation.validate_exp = false;
    let key = DecodingKey::from_secret(secret.expose().as_bytes());
    let claims = decode::<Written>(token, &key, &validation).map_err(|_| VoiceTokenFault::Forged)?.claims;
    if claims.sub != credential {
        return Err(VoiceTokenFault::Malformed);
    }
    let claims = VoiceClaims {
        credential,
        id: claims.jti,
        issued_at: UnixTime::from_secs(claims.iat),
        expires_at: UnixTime::from_secs(claims.exp),
    };
    if claims.expires_at <= now { Err(VoiceTokenFault::Expired) } else { Ok(claims) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);

    fn claims() -> VoiceClaims {
        VoiceClaims {
            credential: "0b7a1f0e-3f2c-4b5d-9e8f-7a6b5c4d3e2f".to_owned(),
            id: "one".to_owned(),
            issued_at: NOW,
            expires_at: NOW.saturating_add(Duration::from_secs(60)),
        }
    }

    fn secret(text: &str) -> Secret<String> {
        Secret::new(text.repeat(64))
    }

    #[test]
    fn a_token_comes_back_until_it_expires_or_its_secret_is_another() {
        let token = sign(&claims(), &secret("a")).unwrap();
        assert_eq!(verify(&token, &secret("a"), NOW), Ok(claims()));
        assert_eq!(verify(&token, &secret("b"), NOW), Err(VoiceTokenFault::Forged));
        assert_eq!(verify(&token, &secret("a"), claims().expires_at), Err(VoiceTokenFault::Expired));
        assert_eq!(credential_of(&token), Some(claims().credential));
        for broken in ["", "a.b.c", "....", &"a".repeat(5000), &format!("{token}x")] {
            assert!(verify(broken, &secret("a"), NOW).is_err(), "{broken}");
        }
    }

    #[test]
    fn a_token_without_a_signature_or_of_another_kind_is_forged() {
        let token = sign(&claims(), &secret("a")).unwrap();
        let mut parts: Vec<&str> = token.split('.').collect();
        parts[2] = "";
        assert!(verify(&parts.join("."), &secret("a"), NOW).is_err());
        let header = Header { kid: Some(claims().credential), ..Header::new(Algorithm::HS256) };
        let written =
            serde_json::json!({"aud": AUDIENCE, "exp": 2_000_000_000, "iat": 0, "iss": "", "jti": "", "sub": ""});
        let other = encode(&header, &written, &EncodingKey::from_secret(secret("a").expose().as_bytes())).unwrap();
        assert_eq!(verify(&other, &secret("a"), NOW), Err(VoiceTokenFault::Forged));
    }

    #[test]
    fn the_claims_are_read_by_a_decoder_without_the_url_safe_alphabet() {
        let token = sign(&claims(), &secret("a")).unwrap();
        let middle = token.split('.').nth(1).unwrap();
        assert!(!middle.contains(['-', '_']), "{middle}");
    }
}
