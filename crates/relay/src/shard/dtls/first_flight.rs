//! Answers a client's first flight without keeping anything of it.
//!
//! ```text
//! ClientHello ──▶ no cookie: HelloVerifyRequest (1.2) or HelloRetryRequest (1.3), nothing kept
//! ClientHello, cookie ──▶ the cookie is ours and was made for this address: a session
//! ```
//! The new session is first fed what it would have seen of the flight before, so that its counters and its hash stand
//! where the client's do. Sources: RFC 6347 §4.2.1, RFC 9147 §5.1, RFC 8446 §4.2.2, §4.4.1.

use std::{net::SocketAddr, time::Instant};

use aws_lc_rs::error::Unspecified;

use super::{
    cookie::{Cookie, Cookies, Subject},
    hello::{self, COOKIE, ClientHello, DTLS_1_0, DTLS_1_2, DTLS_1_3, SUPPORTED_VERSIONS},
};

const HELLO_VERIFY_REQUEST: u8 = 3;
const SERVER_HELLO: u8 = 2;
/// The random that makes a ServerHello a HelloRetryRequest (RFC 8446 §4.1.3).
const RETRY_RANDOM: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2, 0xa2, 0x11,
    0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];
/// A plaintext record of DTLS 1.0: alert, fatal, protocol_version (RFC 5246 §7.2). Smaller than any ClientHello.
const PROTOCOL_VERSION_ALERT: [u8; 15] = [21, 0xfe, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 70];

/// What to do about a ClientHello.
#[derive(Debug)]
pub(super) enum FirstFlight {
    /// Send this: at most 109 bytes, and 60 to a hello of DTLS 1.2, which has more.
    Answer(Vec<u8>),
    /// The source received what was sent to it.
    Proven(Proven),
    /// A cookie that is not, or no longer, ours.
    BadCookie,
    /// Not a ClientHello.
    Malformed,
}

/// What a session starts from.
#[derive(Debug)]
pub(super) struct Proven {
    pub(super) version: Version,
    pub(super) cookie: Cookie,
    /// The flight before, for the session's eyes only.
    pub(super) primer: Vec<u8>,
    /// The session's first record after the primer has number 1; the client is to see that of its own hello
    /// (RFC 6347 §4.2.1), or its replay window may take it for one it saw.
    pub(super) record_offset: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    Dtls12,
    Dtls13,
}

/// The shard's cookies, and what its sessions can negotiate.
#[derive(Debug)]
pub(crate) struct Doorkeeper {
    cookies: Cookies,
    suites_1_3: Vec<u16>,
    groups: Vec<u16>,
}

impl Doorkeeper {
    pub(crate) fn new(config: &dimpl::Config, now: Instant) -> Result<Self, Unspecified> {
        Ok(Self {
            cookies: Cookies::new(now)?,
            suites_1_3: config.dtls13_cipher_suites().map(|suite| suite.suite().as_u16()).collect(),
            groups: config.kx_groups().map(|group| group.name().as_u16()).collect(),
        })
    }

    pub(super) fn judge(&self, now: Instant, source: SocketAddr, datagram: &[u8]) -> FirstFlight {
        let Some(hello) = ClientHello::parse(datagram) else { return FirstFlight::Malformed };
        // RFC 8996 forbids it. Told so, a client that has a newer version tries that instead of waiting.
        if hello.version == DTLS_1_0 {
            return FirstFlight::Answer(PROTOCOL_VERSION_ALERT.to_vec());
        }
        if hello.version != DTLS_1_2 {
            return FirstFlight::Malformed;
        }
        if let Some(given) = hello.cookie_extension() {
            return self.retried(now, source, &hello, given);
        }
        if !hello.cookie.is_empty() {
            return self.verified(now, source, &hello);
        }
        let suite = hello.suite(&self.suites_1_3).filter(|_| hello.offers_1_3() && hello.has_share_in(&self.groups));
        FirstFlight::Answer(match suite {
            Some(suite) => self.retry_request(now, source, &hello, suite),
            // Deviation: a hello of DTLS 1.3 in fragments, or without a key share we can use, is asked to go on in 1.2:
            // its second hello would not tell what the first one was.
            None => self.verify_request(now, source, &hello),
        })
    }

    /// HelloVerifyRequest (RFC 6347 §4.2.1).
    fn verify_request(&self, now: Instant, source: SocketAddr, hello: &ClientHello<'_>) -> Vec<u8> {
        let cookie = self.cookies.make(now, source, Subject::Verify(hello.random));
        let body = [&DTLS_1_0.to_be_bytes()[..], &[32], &cookie].concat();
        hello::in_a_record(hello.record, HELLO_VERIFY_REQUEST, 0, &body)
    }

    /// HelloRetryRequest that asks for the cookie only (RFC 8446 §4.1.4). The session makes the same one from its primer.
    fn retry_request(&self, now: Instant, source: SocketAddr, hello: &ClientHello<'_>, suite: u16) -> Vec<u8> {
        let cookie = self.cookies.make(now, source, Subject::Retry(&hello.body()));
        let extensions = [
            &SUPPORTED_VERSIONS.to_be_bytes()[..],
            &[0, 2],
            &DTLS_1_3.to_be_bytes(),
            &COOKIE.to_be_bytes(),
            &[0, 34, 0, 32],
            &cookie,
        ]
        .concat();
        let extensions_len = u16::try_from(extensions.len()).unwrap_or(0).to_be_bytes();
        let body = [
            &DTLS_1_2.to_be_bytes()[..],
            &RETRY_RANDOM,
            &[0],
            &suite.to_be_bytes(),
            &[0],
            &extensions_len,
            &extensions,
        ]
        .concat();
        hello::in_a_record(hello.record, SERVER_HELLO, 0, &body)
    }

    /// A second hello of DTLS 1.2.
    fn verified(&self, now: Instant, source: SocketAddr, hello: &ClientHello<'_>) -> FirstFlight {
        let (Some(cookie), Some(record_offset)) =
            (self.cookies.check(now, source, Subject::Verify(hello.random), hello.cookie), hello.record.checked_sub(1))
        else {
            return FirstFlight::BadCookie;
        };
        // All that a session keeps of the first hello of DTLS 1.2 is the random its cookie is made from.
        let body = [&DTLS_1_2.to_be_bytes()[..], hello.random, &[0, 0, 0, 2, 0xc0, 0x2b, 1, 0]].concat();
        let primer = hello::client_hello(record_offset, 0, &body);
        FirstFlight::Proven(Proven { version: Version::Dtls12, cookie, primer, record_offset })
    }

    /// A second hello of DTLS 1.3.
    fn retried(&self, now: Instant, source: SocketAddr, hello: &ClientHello<'_>, given: &[u8]) -> FirstFlight {
        let Some(record_offset) = hello.record.checked_sub(1) else { return FirstFlight::BadCookie };
        let found = hello.bodies_before_retry().into_iter().find_map(|first| {
            let cookie = self.cookies.check(now, source, Subject::Retry(&first), given)?;
            Some((cookie, hello::client_hello(record_offset, 0, &first)))
        });
        let Some((cookie, primer)) = found else { return FirstFlight::BadCookie };
        FirstFlight::Proven(Proven { version: Version::Dtls13, cookie, primer, record_offset })
    }
}

/// Adds `offset` to the numbers of the records of epoch 0 at the start of `datagram`; nothing protects those.
pub(super) fn renumber(mut datagram: &mut [u8], offset: u64) {
    /// change_cipher_spec to ack; the first byte of a protected record of DTLS 1.3 is none of them.
    const CONTENT_TYPES: std::ops::RangeInclusive<u8> = 20..=26;
    while let Some((header, rest)) = datagram.split_first_chunk_mut::<13>() {
        let [content, _, _, epoch_high, epoch_low, n0, n1, n2, n3, n4, n5, len_high, len_low] = header;
        if !CONTENT_TYPES.contains(content) || (*epoch_high, *epoch_low) != (0, 0) {
            return;
        }
        let number = u64::from_be_bytes([0, 0, *n0, *n1, *n2, *n3, *n4, *n5]).saturating_add(offset);
        [_, _, *n0, *n1, *n2, *n3, *n4, *n5] = number.to_be_bytes();
        let len = usize::from(u16::from_be_bytes([*len_high, *len_low]));
        datagram = rest.get_mut(len..).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests;
