//! Cookies that prove a source address, and how the DTLS library is brought to take them for its own.
//!
//! The library makes a cookie from a secret of each session, so that a session would have to exist before the address
//! is proved. Here the cookie comes first, from a secret of the shard. A session is made once it came back, and checks
//! it a second time: for that moment [`expecting`] answers the one question the library asks of `hmac_sha256`.

use std::{
    cell::Cell,
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use aws_lc_rs::{constant_time::verify_slices_are_equal, error::Unspecified, hmac};
use dimpl::{
    CryptoError, HashAlgorithm,
    crypto::{CryptoProvider, HmacProvider, aws_lc_rs::default_provider},
};

/// As long as the library's own.
pub(super) type Cookie = [u8; 32];

/// A cookie is good for the rest of the window it was made in, and the next.
const WINDOW: Duration = Duration::from_secs(60);

/// What a cookie is for, besides the address: one made for one version proves nothing for the other.
#[derive(Clone, Copy, Debug)]
pub(super) enum Subject<'a> {
    /// HelloVerifyRequest: the client's random. It repeats everything in its second hello (RFC 6347 §4.2.1).
    Verify(&'a [u8]),
    /// HelloRetryRequest: the body of the first hello, which the handshake's hash starts from (RFC 8446 §4.4.1).
    Retry(&'a [u8]),
}

/// Makes and checks cookies.
#[derive(Debug)]
pub(super) struct Cookies {
    key: hmac::Key,
    born: Instant,
}

impl Cookies {
    pub(super) fn new(now: Instant) -> Result<Self, Unspecified> {
        let mut secret = [0; 32];
        aws_lc_rs::rand::fill(&mut secret)?;
        Ok(Self { key: hmac::Key::new(hmac::HMAC_SHA256, &secret), born: now })
    }

    pub(super) fn make(&self, now: Instant, source: SocketAddr, subject: Subject<'_>) -> Cookie {
        self.of_window(self.window(now), source, subject)
    }

    /// The cookie, when `given` is one made for this source and subject not long ago.
    pub(super) fn check(&self, now: Instant, source: SocketAddr, subject: Subject<'_>, given: &[u8]) -> Option<Cookie> {
        let window = self.window(now);
        [Some(window), window.checked_sub(1)]
            .into_iter()
            .flatten()
            .map(|window| self.of_window(window, source, subject))
            .find(|expected| verify_slices_are_equal(expected, given).is_ok())
    }

    fn window(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.born).as_secs() / WINDOW.as_secs()
    }

    fn of_window(&self, window: u64, source: SocketAddr, subject: Subject<'_>) -> Cookie {
        let ip = match source.ip() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        let (label, data) = match subject {
            Subject::Verify(data) => (1, data),
            Subject::Retry(data) => (2, data),
        };
        let mut mac = hmac::Context::with_key(&self.key);
        mac.update(&[label]);
        mac.update(&window.to_be_bytes());
        mac.update(&source.port().to_be_bytes());
        mac.update(&ip.octets());
        mac.update(data);
        let mut cookie = [0; 32];
        for (to, from) in cookie.iter_mut().zip(mac.sign().as_ref()) {
            *to = *from;
        }
        cookie
    }
}

thread_local! {
    /// What the library is to take for its own cookie. The library's hook is a `'static` reference and passes nothing
    /// that tells the sessions of a process apart, so there is no better place; it is set for the length of a call.
    static EXPECTED: Cell<Option<Cookie>> = const { Cell::new(None) };
}

/// Runs `work`, in which the library takes `cookie` for its own.
pub(super) fn expecting<T>(cookie: Option<Cookie>, work: impl FnOnce() -> T) -> T {
    /// Takes the cookie back, also when `work` panics.
    struct Reset;
    impl Drop for Reset {
        fn drop(&mut self) {
            EXPECTED.set(None);
        }
    }
    EXPECTED.set(cookie);
    let _reset = Reset;
    work()
}

/// The library's cryptography with our cookies.
pub(super) fn provider() -> CryptoProvider {
    CryptoProvider { hmac_provider: &CookieHmac, ..default_provider() }
}

/// HMAC, but for the library's cookies: it asks `hmac_sha256` for them and for nothing else.
#[derive(Debug)]
struct CookieHmac;

impl HmacProvider for CookieHmac {
    fn hmac_sha256(&self, key: &[u8], data: &[u8]) -> Result<[u8; 32], CryptoError> {
        if let Some(cookie) = EXPECTED.get() {
            return Ok(cookie);
        }
        let mut value = [0; 32];
        self.hmac(HashAlgorithm::SHA256, key, data, &mut value)?;
        Ok(value)
    }

    fn hmac(&self, hash: HashAlgorithm, key: &[u8], data: &[u8], out: &mut [u8]) -> Result<usize, CryptoError> {
        default_provider().hmac_provider.hmac(hash, key, data, out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_cookie_is_good_for_its_address_subject_and_time_only() {
        let start = Instant::now();
        let cookies = Cookies::new(start).expect("randomness");
        let (source, subject) = (address("192.0.2.1:5000"), Subject::Verify(&[7; 32]));
        let cookie = cookies.make(start, source, subject);
        let check = |after: u64, source, subject| {
            cookies.check(start + Duration::from_secs(after), source, subject, &cookie).is_some()
        };
        assert!(check(0, source, subject));
        assert!(check(119, source, subject), "the next window");
        assert!(!check(120, source, subject), "too old");
        assert!(!check(0, address("192.0.2.1:5001"), subject), "another port");
        assert!(!check(0, address("192.0.2.2:5000"), subject), "another host");
        assert!(!check(0, source, Subject::Verify(&[8; 32])), "another hello");
        assert!(!check(0, source, Subject::Retry(&[7; 32])), "another version");
        assert_eq!(cookies.check(start, source, subject, &[]), None);
        let others = Cookies::new(start).expect("randomness");
        assert_eq!(others.check(start, source, subject, &cookie), None, "another shard");
    }
}
