//! Reads a ClientHello as it comes off the wire, far enough to answer it without keeping anything.
//!
//! ```text
//! | 22 | version 2 | epoch 2 | record number 6 | length 2 |                      record
//! | 1 | length 3 | message number 2 | fragment offset 3 | fragment length 3 |   handshake message
//! | version 2 | random 32 | session id ≤ | cookie ≤ | suites ≪ | compression ≤ | extensions ≪ |
//! ```
//! `≤` has one byte of length before it, `≪` has two. Source: RFC 6347 §4.2.1, §4.2.2, RFC 9147 §5.3.

/// Record and handshake header.
const HEADERS_LEN: usize = 25;
const CONTENT_HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
/// DTLS 1.0 (RFC 4347).
pub(super) const DTLS_1_0: u16 = 0xfeff;
/// DTLS 1.2 (RFC 6347).
pub(super) const DTLS_1_2: u16 = 0xfefd;
/// DTLS 1.3 (RFC 9147); named in an extension only.
pub(super) const DTLS_1_3: u16 = 0xfefc;
/// supported_versions (RFC 8446 §4.2.1).
pub(super) const SUPPORTED_VERSIONS: u16 = 43;
/// cookie (RFC 8446 §4.2.2).
pub(super) const COOKIE: u16 = 44;
/// padding (RFC 7685).
const PADDING: u16 = 21;
/// key_share (RFC 8446 §4.2.8).
const KEY_SHARE: u16 = 51;

/// A ClientHello, or the first fragment of one.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClientHello<'a> {
    /// Number of the record it came in.
    pub(super) record: u64,
    /// legacy_version.
    pub(super) version: u16,
    pub(super) random: &'a [u8],
    /// The cookie of DTLS 1.2; empty without one.
    pub(super) cookie: &'a [u8],
    /// What stands before the extensions' length.
    before_extensions: &'a [u8],
    suites: &'a [u8],
    extensions: &'a [u8],
}

impl<'a> ClientHello<'a> {
    /// Reads the first record of a datagram. Of a fragmented hello the first fragment is enough, when it reaches to the
    /// cookie; its suites and extensions then count as empty.
    pub(super) fn parse(datagram: &'a [u8]) -> Option<Self> {
        let mut record = Reader(datagram);
        let (content, _version, epoch) = (record.number(1)?, record.number(2)?, record.number(2)?);
        let number = record.number(6)?;
        let mut message = Reader(record.vector(2)?);
        let (typ, len, _number) = (message.number(1)?, message.number(3)?, message.number(2)?);
        let (offset, fragment_len) = (message.number(3)?, message.number(3)?);
        if (content, epoch, typ, offset) != (CONTENT_HANDSHAKE.into(), 0, CLIENT_HELLO.into(), 0) {
            return None;
        }
        let fragment = message.take(usize::try_from(fragment_len).ok()?)?;
        let mut body = Reader(fragment);
        let version = body.short()?;
        let random = body.take(32)?;
        body.vector(1)?;
        let mut hello = Self {
            record: number,
            version,
            random,
            cookie: body.vector(1)?,
            before_extensions: &[],
            suites: &[],
            extensions: &[],
        };
        if fragment_len == len {
            hello.suites = body.vector(2)?;
            body.vector(1)?;
            hello.before_extensions = fragment.get(..fragment.len() - body.0.len())?;
            if !body.0.is_empty() {
                hello.extensions = body.vector(2)?;
            }
        }
        Some(hello)
    }

    /// Whether a datagram starts with a ClientHello in the clear.
    pub(super) fn is_at(datagram: &[u8]) -> bool {
        datagram.first() == Some(&CONTENT_HANDSHAKE)
            && datagram.get(3..5) == Some(&[0, 0])
            && datagram.get(13) == Some(&CLIENT_HELLO)
    }

    /// Whether DTLS 1.3 is offered.
    pub(super) fn offers_1_3(&self) -> bool {
        let versions = self.extension(SUPPORTED_VERSIONS).and_then(|data| Reader(data).vector(1));
        versions.is_some_and(|versions| shorts(versions).any(|version| version == DTLS_1_3))
    }

    /// The client's first suite that `served` allows.
    pub(super) fn suite(&self, served: &[u16]) -> Option<u16> {
        shorts(self.suites).find(|suite| served.contains(suite))
    }

    /// Whether there is a key share in one of `groups`.
    pub(super) fn has_share_in(&self, groups: &[u16]) -> bool {
        let Some(shares) = self.extension(KEY_SHARE).and_then(|data| Reader(data).vector(2)) else { return false };
        let mut shares = Reader(shares);
        std::iter::from_fn(|| {
            let group = shares.short()?;
            shares.vector(2)?;
            Some(group)
        })
        .any(|group| groups.contains(&group))
    }

    /// The cookie of DTLS 1.3.
    pub(super) fn cookie_extension(&self) -> Option<&'a [u8]> {
        Reader(self.extension(COOKIE)?).vector(2)
    }

    /// The whole body.
    pub(super) fn body(&self) -> Vec<u8> {
        self.body_of(self.raw_extensions(), 0)
    }

    /// What the body may have been before the client put the cookie extension in, which is all that it may do to its
    /// hello after a HelloRetryRequest that asks for nothing else, but for padding (RFC 8446 §4.1.2). Clients leave that
    /// as it is, or fill up to the same length again.
    pub(super) fn bodies_before_retry(&self) -> [Vec<u8>; 2] {
        let others = || self.raw_extensions().filter(|(typ, _)| *typ != COOKIE);
        let cookie_len = self.extension(COOKIE).map_or(0, |data| data.len() + 4);
        [self.body_of(others(), 0), self.body_of(others(), cookie_len)]
    }

    /// A body with these extensions, the padding longer by so much.
    fn body_of<'b>(&self, extensions: impl Iterator<Item = (u16, &'b [u8])>, more_padding: usize) -> Vec<u8> {
        let short = |len: usize| u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes();
        let mut kept = Vec::with_capacity(self.extensions.len());
        for (typ, raw) in extensions {
            if typ == PADDING && more_padding > 0 {
                let len = raw.len() - 4 + more_padding;
                kept.extend_from_slice(&PADDING.to_be_bytes());
                kept.extend_from_slice(&short(len));
                kept.resize(kept.len() + len, 0);
            } else {
                kept.extend_from_slice(raw);
            }
        }
        [self.before_extensions, &short(kept.len()), &kept].concat()
    }

    fn extension(&self, wanted: u16) -> Option<&'a [u8]> {
        let (_, raw) = self.raw_extensions().find(|(typ, _)| *typ == wanted)?;
        raw.get(4..)
    }

    /// Type, and the whole extension with type and length.
    fn raw_extensions(&self) -> impl Iterator<Item = (u16, &'a [u8])> + use<'a> {
        let mut rest = Reader(self.extensions);
        std::iter::from_fn(move || {
            let start = rest.0;
            let typ = rest.short()?;
            let data = rest.vector(2)?;
            Some((typ, start.get(..data.len() + 4)?))
        })
    }
}

/// One handshake message in one record of its own, in the clear.
pub(super) fn in_a_record(record: u64, typ: u8, message: u16, body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(body.len()).unwrap_or(0).to_be_bytes();
    let [_, len @ ..] = len;
    let record_len = u16::try_from(body.len() + HEADERS_LEN - 13).unwrap_or(0).to_be_bytes();
    let [_, _, number @ ..] = record.to_be_bytes();
    let mut bytes = Vec::with_capacity(HEADERS_LEN + body.len());
    bytes.push(CONTENT_HANDSHAKE);
    bytes.extend_from_slice(&DTLS_1_2.to_be_bytes());
    bytes.extend_from_slice(&[0, 0]);
    bytes.extend_from_slice(&number);
    bytes.extend_from_slice(&record_len);
    bytes.push(typ);
    bytes.extend_from_slice(&len);
    bytes.extend_from_slice(&message.to_be_bytes());
    bytes.extend_from_slice(&[0; 3]);
    bytes.extend_from_slice(&len);
    bytes.extend_from_slice(body);
    bytes
}

/// A whole ClientHello with the given body.
pub(super) fn client_hello(record: u64, message: u16, body: &[u8]) -> Vec<u8> {
    in_a_record(record, CLIENT_HELLO, message, body)
}

fn shorts(bytes: &[u8]) -> impl Iterator<Item = u16> + '_ {
    bytes.chunks_exact(2).filter_map(|pair| pair.try_into().ok().map(u16::from_be_bytes))
}

/// Takes bytes off the front.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    /// A number of at most eight bytes.
    fn number(&mut self, len: usize) -> Option<u64> {
        Some(self.take(len)?.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    fn short(&mut self) -> Option<u16> {
        u16::try_from(self.number(2)?).ok()
    }

    /// Bytes behind their length, itself `len_len` bytes long.
    fn vector(&mut self, len_len: usize) -> Option<&'a [u8]> {
        let len = usize::try_from(self.number(len_len)?).ok()?;
        self.take(len)
    }
}
