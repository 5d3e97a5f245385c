//! What ties leaving for the provider to coming back: everything follows from a secret that the browser keeps.

use std::time::Duration;

use aws_lc_rs::digest;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use causeway_types::{Secret, UnixTime};
use subtle::ConstantTimeEq;

/// How long somebody may take at the provider.
pub const FLOW_LIFETIME: Duration = Duration::from_secs(600);
/// Characters of the secret: 32 bytes as base64url.
const SECRET_LEN: usize = 43;

/// One sign-in under way.
///
/// A code verifier is to be known to this server alone; that it follows from the browser's secret gives it to the browser
/// of the same person, which is where the code comes from.
#[derive(Clone, Debug)]
pub(crate) struct Flow {
    secret: Secret<String>,
    began: UnixTime,
}

impl Flow {
    pub(crate) fn begin(random: [u8; 32], now: UnixTime) -> Self {
        let began = UnixTime::from_secs(now.as_secs());
        Self { secret: Secret::new(URL_SAFE_NO_PAD.encode(random)), began }
    }

    /// What a cookie said; none when it is none of ours, or over.
    pub(crate) fn resume(kept: &str, now: UnixTime) -> Option<Self> {
        let (secret, began) = kept.split_once('.')?;
        let is_ours = secret.len() == SECRET_LEN && URL_SAFE_NO_PAD.decode(secret).is_ok();
        let began = UnixTime::from_secs(began.parse().ok()?);
        let is_alive = began <= now && now.saturating_since(began) < FLOW_LIFETIME;
        (is_ours && is_alive).then(|| Self { secret: Secret::new(secret.to_owned()), began })
    }

    /// For the cookie.
    pub(crate) fn kept(&self) -> Secret<String> {
        Secret::new(format!("{}.{}", self.secret.expose(), self.began.as_secs()))
    }

    /// Comes back with the answer, so that nobody else's answer is taken.
    ///
    /// Source: RFC 6749 §10.12.
    pub(crate) fn state(&self) -> String {
        self.derive(b"state")
    }

    pub(crate) fn is_state(&self, state: &str) -> bool {
        bool::from(self.state().as_bytes().ct_eq(state.as_bytes()))
    }

    /// Comes back inside the ID token, so that one made for another sign-in is not taken.
    ///
    /// Source: OpenID Connect Core 1.0 §15.5.2.
    pub(crate) fn nonce(&self) -> String {
        self.derive(b"nonce")
    }

    /// Proves at the token endpoint that the code is exchanged by who asked for it.
    ///
    /// Source: RFC 7636 §4.1.
    pub(crate) fn verifier(&self) -> Secret<String> {
        Secret::new(self.derive(b"verifier"))
    }

    /// Method S256.
    ///
    /// Source: RFC 7636 §4.2.
    pub(crate) fn challenge(&self) -> String {
        let hash = digest::digest(&digest::SHA256, self.verifier().expose().as_bytes());
        URL_SAFE_NO_PAD.encode(hash.as_ref())
    }

    fn derive(&self, purpose: &[u8]) -> String {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(b"causeway oidc\n");
        context.update(purpose);
        context.update(b"\n");
        context.update(self.kept().expose().as_bytes());
        URL_SAFE_NO_PAD.encode(context.finish().as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);

    fn flow() -> Flow {
        Flow::begin([7; 32], NOW)
    }

    #[test]
    fn what_the_browser_kept_gives_the_same_state_nonce_and_verifier_again() {
        let (left, back) = (flow(), Flow::resume(flow().kept().expose(), NOW).expect("ours"));
        assert_eq!((left.state(), left.nonce()), (back.state(), back.nonce()));
        assert_eq!(left.verifier().expose(), back.verifier().expose());
        let all = [left.state(), left.nonce(), left.verifier().expose().clone(), left.challenge()];
        for (n, text) in all.iter().enumerate() {
            assert_eq!(text.len(), 43);
            assert!(!all[..n].contains(text) && !left.kept().expose().contains(text.as_str()));
        }
    }

    #[test]
    fn another_browser_or_another_time_has_another_state() {
        let state = flow().state();
        assert!(flow().is_state(&state));
        for other in [Flow::begin([8; 32], NOW), Flow::begin([7; 32], NOW.saturating_add(Duration::from_secs(1)))] {
            assert!(!other.is_state(&state));
        }
        assert!(!flow().is_state(""));
    }

    #[test]
    fn it_is_over_after_ten_minutes_and_never_begins_later() {
        let kept = flow().kept();
        let at = |secs: u64| Flow::resume(kept.expose(), NOW.saturating_add(Duration::from_secs(secs))).is_some();
        assert!(at(0) && at(599));
        assert!(!at(600));
        assert!(Flow::resume(kept.expose(), UnixTime::from_secs(NOW.as_secs() - 1)).is_none());
    }

    #[test]
    fn what_is_no_flow_is_none() {
        let kept = flow().kept().expose().clone();
        for bad in [
            "",
            ".",
            "x.1800000000",
            kept.trim_start_matches(|c| c != '.'),
            &format!("{kept}x"),
            &kept.replace('.', ""),
        ] {
            assert!(Flow::resume(bad, NOW).is_none(), "{bad}");
        }
    }
}
