//! Proves an ID token.

use std::time::Duration;

use causeway_types::UnixTime;
use jsonwebtoken::{Algorithm, Header, Validation, decode, decode_header};
use subtle::ConstantTimeEq;

use crate::{
    claims::{IdClaims, PersonClaims},
    keys::KeySet,
};

/// What a token may be signed with. `none` is no signature, and with `HS256` the client's secret would be the key.
const ALGORITHMS: [Algorithm; 3] = [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA];
/// How far the provider's clock may be from this one.
const LEEWAY: Duration = Duration::from_secs(60);
/// Longest token.
pub(crate) const TOKEN_BYTES_MAX: usize = 64 * 1024;

/// What a token has to be for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected<'a> {
    pub(crate) issuer: &'a str,
    pub(crate) client_id: &'a str,
    pub(crate) nonce: &'a str,
}

/// Why a token proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum IdTokenError {
    #[error("the ID token is not one")]
    Malformed,
    #[error("the ID token is signed by a way that is not taken")]
    Algorithm,
    #[error("the ID token has a critical header that is not understood")]
    Critical,
    /// Perhaps the provider has newer keys than those that are known.
    #[error("the ID token is signed with an unknown key")]
    UnknownKey,
    #[error("the ID token's signature is wrong")]
    Signature,
    #[error("the ID token's {0} is wrong")]
    Claim(&'static str),
    #[error("the ID token is over")]
    Expired,
    #[error("the ID token is not in force yet")]
    Early,
}

/// Who signed in.
///
/// Source: OpenID Connect Core 1.0 §3.1.3.7.
pub(crate) fn verify(
    token: &str,
    keys: &KeySet,
    expected: Expected<'_>,
    now: UnixTime,
) -> Result<PersonClaims, IdTokenError> {
    let header = header(token)?;
    let key = keys.find(&header).ok_or(IdTokenError::UnknownKey)?;
    let mut validation = Validation::new(header.alg);
    // Times and parties are judged below, by the clock this server was given.
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_aud = false;
    let claims = decode::<IdClaims>(token, key, &validation).map_err(|error| {
        // The claims are read when the signature is right.
        let is_about_claims = matches!(error.kind(), jsonwebtoken::errors::ErrorKind::Json(_));
        if is_about_claims { IdTokenError::Malformed } else { IdTokenError::Signature }
    })?;
    judge(claims.claims, expected, now)
}

fn header(token: &str) -> Result<Header, IdTokenError> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(IdTokenError::Malformed);
    }
    // An algorithm that the crate does not know, such as `none`, is no header to it.
    let header = decode_header(token).map_err(|_| IdTokenError::Algorithm)?;
    if !ALGORITHMS.contains(&header.alg) {
        return Err(IdTokenError::Algorithm);
    }
    if header.crit.is_some() {
        return Err(IdTokenError::Critical);
    }
    Ok(header)
}

fn judge(claims: IdClaims, expected: Expected<'_>, now: UnixTime) -> Result<PersonClaims, IdTokenError> {
    let require = |is_good: bool, claim| if is_good { Ok(()) } else { Err(IdTokenError::Claim(claim)) };
    require(claims.iss == expected.issuer, "iss")?;
    require(claims.aud.names(expected.client_id), "aud")?;
    // Where others are meant too, it has to say that it was made for this one.
    let is_ours = match claims.azp.as_deref() {
        Some(party) => party == expected.client_id,
        None => claims.aud.is_alone(),
    };
    require(is_ours, "azp")?;
    let nonce = claims.nonce.unwrap_or_default();
    require(bool::from(nonce.as_bytes().ct_eq(expected.nonce.as_bytes())), "nonce")?;
    require(claims.person.has_subject(), "sub")?;
    #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 are exact in a double")]
    let (now, leeway) = (now.as_secs() as f64, LEEWAY.as_secs_f64());
    if claims.exp + leeway <= now {
        return Err(IdTokenError::Expired);
    }
    let is_early = |at: f64| at - leeway > now;
    if is_early(claims.iat) || claims.nbf.is_some_and(is_early) {
        return Err(IdTokenError::Early);
    }
    Ok(claims.person)
}

#[cfg(test)]
mod tests;
