//! Client tokens: a signed statement of who a client is and whom it may call (JWT with RS256).
//!
//! Entry points: [`SigningKey::sign`], [`VerifyingKey::verify`], [`kid`], [`ClientId`], [`Callees`].
//!
//! Source: RFC 7519, RFC 7515, RFC 7518 §3.3; `compat/aculab.md#the-token`.

mod names;
#[cfg(test)]
mod tests;

use std::fmt;

use aws_lc_rs::{
    digest::{SHA256, digest},
    rsa::{KeyPair, PublicKeyComponents},
    signature::KeyPair as _,
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use causeway_types::{Secret, UnixTime};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, decode_header, encode};
use serde::{Deserialize, Serialize};

pub use names::{AccessLabel, CALLEES_MAX, CLIENT_ID_BYTES_MAX, CalleePattern, Callees, ClientId, CloudId, NameError};

/// Longest token that is looked at.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;
/// How far ahead of ours the clock of the server that issued a token may be, in seconds.
pub const SKEW_SECS: u64 = 60;
/// The scope every client token has.
const SCOPE: &str = "webrtcclient";

/// What a token states.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// Names the token.
    pub id: String,
    /// Which cloud its client uses.
    pub cloud: CloudId,
    /// Whose client it is.
    pub access: AccessLabel,
    /// Who.
    pub client: ClientId,
    /// When it was issued. Whole seconds are kept.
    pub issued_at: UnixTime,
    /// When it stops working. Whole seconds are kept.
    pub expires_at: UnixTime,
    /// Whether the client may register, and so be called.
    pub allows_incoming: bool,
    /// Whom it may call.
    pub callees: Callees,
}

/// Claims as written.
#[derive(Serialize, Deserialize)]
struct Written {
    aud: String,
    exp: u64,
    iat: u64,
    iss: String,
    jti: String,
    nbf: u64,
    scope: Vec<String>,
    sub: String,
    enable_incoming: bool,
    call_client: Vec<String>,
}

/// Why a token does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenFault {
    /// It is no token of this kind: not three parts, too long, another algorithm, a claim that is missing or odd.
    #[error("the token is malformed")]
    Malformed,
    /// It was not signed with this key.
    #[error("the signature does not match")]
    BadSignature,
    /// It is good from a later time on.
    #[error("the token is not good yet")]
    NotYet,
    /// Its time is over.
    #[error("the token expired")]
    Expired,
}

/// Why a key cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no RSA key of 2048 bits or more in PKCS#8")]
pub struct BadKey;

/// A private key.
pub struct SigningKey {
    encoding: EncodingKey,
    public: VerifyingKey,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("kid", &self.public.kid).finish_non_exhaustive()
    }
}

impl SigningKey {
    /// Reads a key: PKCS#8, DER.
    ///
    /// # Errors
    /// It is no RSA key, or too short a one (RFC 7518 §3.3).
    pub fn from_pkcs8(der: &Secret<Vec<u8>>) -> Result<Self, BadKey> {
        let pair = KeyPair::from_pkcs8(der.expose()).map_err(|_| BadKey)?;
        if pair.public_modulus_len() < 256 {
            return Err(BadKey);
        }
        let components = PublicKeyComponents::<Vec<u8>>::from(pair.public_key());
        let pem =
            Secret::new(format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines(der.expose())));
        let encoding = EncodingKey::from_rsa_pem(pem.expose().as_bytes()).map_err(|_| BadKey)?;
        Ok(Self { encoding, public: VerifyingKey::new(&components.n, &components.e) })
    }

    /// What verifies.
    #[must_use]
    pub const fn public(&self) -> &VerifyingKey {
        &self.public
    }

    /// The token that states this. None: the key is broken.
    #[must_use]
    pub fn sign(&self, claims: &Claims) -> Option<Secret<String>> {
        let mut header = Header::new(Algorithm::RS256);
        header.kid = Some(self.public.kid.clone());
        let iat = claims.issued_at.as_secs();
        let written = Written {
            aud: claims.cloud.to_string(),
            exp: claims.expires_at.as_secs(),
            iat,
            iss: claims.access.to_string(),
            jti: claims.id.clone(),
            nbf: iat,
            scope: vec![SCOPE.to_owned()],
            sub: claims.client.to_string(),
            enable_incoming: claims.allows_incoming,
            call_client: claims.callees.texts(),
        };
        encode(&header, &written, &self.encoding).ok().map(Secret::new)
    }
}

/// PEM wants lines of 64 characters (RFC 7468 §3).
fn lines(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<String> =
        text.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line).into_owned()).collect();
    lines.join("\n")
}

/// A public key.
#[derive(Clone)]
pub struct VerifyingKey {
    kid: String,
    modulus: String,
    exponent: String,
    decoding: DecodingKey,
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyingKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}

impl VerifyingKey {
    /// Of big-endian numbers without leading zeros.
    fn new(modulus: &[u8], exponent: &[u8]) -> Self {
        let decoding = DecodingKey::from_rsa_raw_components(modulus, exponent);
        let (modulus, exponent) = (URL_SAFE_NO_PAD.encode(modulus), URL_SAFE_NO_PAD.encode(exponent));
        // Exactly these members, in this order, without spaces: RFC 7638 §3.
        let members = format!(r#"{{"e":"{exponent}","kty":"RSA","n":"{modulus}"}}"#);
        let kid = URL_SAFE_NO_PAD.encode(digest(&SHA256, members.as_bytes()));
        Self { kid, modulus, exponent, decoding }
    }

    /// Its thumbprint: 43 base64url characters (RFC 7638).
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// Modulus, as in a JWK (RFC 7518 §6.3.1).
    #[must_use]
    pub fn modulus(&self) -> &str {
        &self.modulus
    }

    /// Exponent, as in a JWK.
    #[must_use]
    pub fn exponent(&self) -> &str {
        &self.exponent
    }

    /// What a token states that was signed with this key and is good now.
    ///
    /// # Errors
    /// See [`TokenFault`].
    pub fn verify(&self, token: &str, now: UnixTime) -> Result<Claims, TokenFault> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenFault::Malformed);
        }
        let mut validation = Validation::new(Algorithm::RS256);
        // Times are judged below, by the caller's clock; the audience by whoever knows which one is right.
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.set_required_spec_claims(&["exp", "nbf", "aud", "iss", "sub"]);
        let data = decode::<Written>(token, &self.decoding, &validation).map_err(|error| {
            let is_signature = matches!(error.kind(), jsonwebtoken::errors::ErrorKind::InvalidSignature);
            if is_signature { TokenFault::BadSignature } else { TokenFault::Malformed }
        })?;
        let written = data.claims;
        if written.nbf > now.as_secs().saturating_add(SKEW_SECS) {
            return Err(TokenFault::NotYet);
        }
        if now.as_secs() >= written.exp {
            return Err(TokenFault::Expired);
        }
        read(written).ok_or(TokenFault::Malformed)
    }
}

fn read(written: Written) -> Option<Claims> {
    if !written.scope.iter().any(|scope| scope == SCOPE) {
        return None;
    }
    Some(Claims {
        id: written.jti,
        cloud: CloudId::new(&written.aud).ok()?,
        access: AccessLabel::new(&written.iss).ok()?,
        client: ClientId::new(&written.sub).ok()?,
        issued_at: UnixTime::from_secs(written.iat),
        expires_at: UnixTime::from_secs(written.exp),
        allows_incoming: written.enable_incoming,
        callees: Callees::new(written.call_client.iter().map(String::as_str)).ok()?,
    })
}

/// Which key a token says it was signed with.
///
/// # Errors
/// [`TokenFault::Malformed`]: it is no token of this kind.
pub fn kid(token: &str) -> Result<String, TokenFault> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(TokenFault::Malformed);
    }
    let header = decode_header(token).map_err(|_| TokenFault::Malformed)?;
    header.kid.filter(|_| header.alg == Algorithm::RS256).ok_or(TokenFault::Malformed)
}
