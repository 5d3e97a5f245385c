//! Who says so: bearer tokens (RFC 8898) and digests (RFC 7616 with the algorithms of RFC 8760).

use aws_lc_rs::{constant_time::verify_slices_are_equal, digest, hmac};
use causeway_types::UnixTime;
use md5::{Digest as _, Md5};

use crate::uri::{quote, split_list};

/// How long a nonce is good for, in seconds.
pub const NONCE_LIFETIME_SECS: u64 = 300;

/// What stands in Authorization or Proxy-Authorization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// A token.
    Bearer(String),
    /// A digest.
    Digest(Box<DigestCredentials>),
}

/// A digest and what it is over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DigestCredentials {
    /// Who.
    pub username: String,
    /// Where.
    pub realm: String,
    /// Ours.
    pub nonce: String,
    /// The Request-URI as the client wrote it.
    pub uri: String,
    /// The digest, in hexadecimal.
    pub response: String,
    /// With.
    pub algorithm: DigestAlgorithm,
    /// `auth` or nothing.
    pub qop: Option<String>,
    /// How often the nonce was used, in hexadecimal.
    pub nonce_count: String,
    /// The client's.
    pub client_nonce: String,
}

/// A hash function for digests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DigestAlgorithm {
    /// MD5: the only one that browsers' SIP libraries speak.
    #[default]
    Md5,
    /// SHA-256.
    Sha256,
}

impl DigestAlgorithm {
    /// As it is written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha256 => "SHA-256",
        }
    }

    fn hash(self, text: &str) -> String {
        match self {
            Self::Md5 => hex::encode(Md5::digest(text.as_bytes())),
            Self::Sha256 => hex::encode(digest::digest(&digest::SHA256, text.as_bytes())),
        }
    }

    /// What is kept of a password: it opens one user's place in one realm only (RFC 7616 §3.4.2, A1).
    #[must_use]
    pub fn secret(self, username: &str, realm: &str, password: &str) -> String {
        self.hash(&format!("{username}:{realm}:{password}"))
    }
}

impl Credentials {
    /// Reads the value of an Authorization header; none for another scheme or one that cannot be read.
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        let (scheme, rest) = value.trim().split_once(' ')?;
        if scheme.eq_ignore_ascii_case("Bearer") {
            let token = rest.trim();
            return (!token.is_empty() && !token.contains(' ')).then(|| Self::Bearer(token.to_owned()));
        }
        if !scheme.eq_ignore_ascii_case("Digest") {
            return None;
        }
        let mut found = DigestCredentials::default();
        for part in split_list(rest) {
            let (name, value) = part.split_once('=')?;
            let value = value.trim().trim_matches('"').to_owned();
            match name.trim().to_ascii_lowercase().as_str() {
                "username" => found.username = value,
                "realm" => found.realm = value,
                "nonce" => found.nonce = value,
                "uri" => found.uri = value,
                "response" => found.response = value.to_ascii_lowercase(),
                "qop" => found.qop = Some(value),
                "nc" => found.nonce_count = value,
                "cnonce" => found.client_nonce = value,
                "algorithm" if value.eq_ignore_ascii_case("MD5") => found.algorithm = DigestAlgorithm::Md5,
                "algorithm" if value.eq_ignore_ascii_case("SHA-256") => found.algorithm = DigestAlgorithm::Sha256,
                "algorithm" => return None,
                _ => {}
            }
        }
        Some(Self::Digest(Box::new(found)))
    }
}

impl DigestCredentials {
    /// Whether the digest is of a client that knows the secret, over this method. `uri` is taken as the client wrote it; the
    /// caller compares it with the Request-URI. In constant time.
    #[must_use]
    pub fn is_by(&self, secret: &str, method: &str) -> bool {
        let request = self.algorithm.hash(&format!("{method}:{}", self.uri));
        let text = match self.qop.as_deref() {
            None => format!("{secret}:{}:{request}", self.nonce),
            Some("auth") => {
                let Self { nonce, nonce_count, client_nonce, .. } = self;
                format!("{secret}:{nonce}:{nonce_count}:{client_nonce}:auth:{request}")
            }
            Some(_) => return false,
        };
        verify_slices_are_equal(self.algorithm.hash(&text).as_bytes(), self.response.as_bytes()).is_ok()
    }
}

/// Nonces that need no memory: the time and a code over it and the connection.
#[derive(Debug)]
pub struct Nonces {
    key: hmac::Key,
}

/// What a nonce is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NonceState {
    /// Ours, of this connection, not too old.
    Fresh,
    /// Ours and too old: the client may go on with a new one without asking its user.
    Stale,
    /// Not ours, or of another connection.
    Foreign,
}

impl Nonces {
    /// Nonces of this key.
    #[must_use]
    pub fn new(key: &[u8; 32]) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, key) }
    }

    /// A nonce for a connection, another one for each number: clients count the uses of one from its challenge on.
    #[must_use]
    pub fn issue(&self, now: UnixTime, connection: u64, number: u32) -> String {
        let secs = now.as_secs();
        let code = self.code(secs, connection, number);
        format!("{secs:016x}{number:08x}{}", hex::encode(code.as_ref().get(..16).unwrap_or_default()))
    }

    /// What a nonce is worth on a connection.
    #[must_use]
    pub fn judge(&self, now: UnixTime, connection: u64, nonce: &str) -> NonceState {
        let Some((time, code)) = nonce.split_at_checked(16) else { return NonceState::Foreign };
        let Some((number, code)) = code.split_at_checked(8) else { return NonceState::Foreign };
        let (Ok(secs), Ok(number)) = (u64::from_str_radix(time, 16), u32::from_str_radix(number, 16)) else {
            return NonceState::Foreign;
        };
        let own = self.code(secs, connection, number);
        let Ok(code) = hex::decode(code) else { return NonceState::Foreign };
        if verify_slices_are_equal(own.as_ref().get(..16).unwrap_or_default(), &code).is_err() {
            return NonceState::Foreign;
        }
        let is_old = now.as_secs().saturating_sub(secs) > NONCE_LIFETIME_SECS;
        if is_old { NonceState::Stale } else { NonceState::Fresh }
    }

    fn code(&self, secs: u64, connection: u64, number: u32) -> hmac::Tag {
        let mut text = [0; 20];
        text[..8].copy_from_slice(&secs.to_be_bytes());
        text[8..16].copy_from_slice(&connection.to_be_bytes());
        text[16..].copy_from_slice(&number.to_be_bytes());
        hmac::sign(&self.key, &text)
    }
}

/// The value of WWW-Authenticate or Proxy-Authenticate. `qop` is `auth` alone: some clients choose `auth-int` when it is offered.
#[must_use]
pub fn digest_challenge(realm: &str, nonce: &str, is_stale: bool, algorithm: DigestAlgorithm) -> String {
    let stale = if is_stale { ", stale=true" } else { "" };
    format!("Digest realm={}, nonce=\"{nonce}\", algorithm={}, qop=\"auth\"{stale}", quote(realm), algorithm.name())
}

/// The value of WWW-Authenticate for tokens. A challenge must have a parameter: some parsers drop the whole response else.
#[must_use]
pub fn bearer_challenge(realm: &str, error: &str) -> String {
    format!("Bearer realm={}, error=\"{error}\"", quote(realm))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_document_verifies() {
        // RFC 7616 §3.9.1, for both algorithms.
        for (algorithm, response) in [
            ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
            ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
        ] {
            let header = format!(
                "Digest username=\"Mufasa\", realm=\"http-auth@example.org\", uri=\"/dir/index.html\", algorithm={algorithm}, \
                 nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", nc=00000001, \
                 cnonce=\"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ\", qop=auth, response=\"{response}\", \
                 opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""
            );
            let Some(Credentials::Digest(digest)) = Credentials::parse(&header) else { panic!("{algorithm}") };
            let secret = digest.algorithm.secret("Mufasa", "http-auth@example.org", "Circle of Life");
            assert!(digest.is_by(&secret, "GET"), "{algorithm}");
            assert!(!digest.is_by(&secret, "PUT"));
            assert!(!DigestCredentials { qop: Some("auth-int".into()), ..*digest }.is_by(&secret, "GET"));
        }
    }

    #[test]
    fn a_nonce_is_good_on_its_connection_for_its_time() {
        let nonces = Nonces::new(&[1; 32]);
        let at = UnixTime::from_secs;
        let nonce = nonces.issue(at(1000), 7, 1);
        assert_ne!(nonce, nonces.issue(at(1000), 7, 2));
        assert_eq!(nonces.judge(at(1000 + NONCE_LIFETIME_SECS), 7, &nonce), NonceState::Fresh);
        assert_eq!(nonces.judge(at(1001 + NONCE_LIFETIME_SECS), 7, &nonce), NonceState::Stale);
        assert_eq!(nonces.judge(at(1000), 8, &nonce), NonceState::Foreign);
        assert_eq!(Nonces::new(&[2; 32]).judge(at(1000), 7, &nonce), NonceState::Foreign);
        for broken in ["", "x", "00000000000003e8", "00000000000003e8zz", "é".repeat(20).as_str()] {
            assert_eq!(nonces.judge(at(1000), 7, broken), NonceState::Foreign, "{broken}");
        }
    }

    #[test]
    fn other_schemes_and_algorithms_are_no_credentials() {
        for value in
            ["", "Bearer", "Bearer ", "Bearer a b", "Basic eDp5", "Digest username", "Digest algorithm=SHA-512"]
        {
            assert_eq!(Credentials::parse(value), None, "{value}");
        }
        assert_eq!(Credentials::parse("bearer a.b.c"), Some(Credentials::Bearer("a.b.c".into())));
    }
}
