//! Bytes to messages and back.

use std::fmt::Debug;

use arbitrary::{Arbitrary, Unstructured};
use causeway_stun_codec::{
    Attribute, AttributeType, Class, Fingerprint, HEADER_LEN, Integrity, Kind, Message, MessageBuilder, Method,
    RawAttribute, TransactionId,
    attributes::{
        AdditionalAddressFamily, AddressErrorCode, AlternateDomain, AlternateServer, ChangeRequest, ChangedAddress,
        ChannelNumber, ConnectionId, Data, DontFragment, ErrorCode, EvenPort, Icmp, Lifetime, MappedAddress,
        MobilityTicket, Nonce, OtherAddress, Padding, PasswordAlgorithm, PasswordAlgorithms, Realm,
        RequestedAddressFamily, RequestedTransport, ReservationToken, ResponseOrigin, ResponsePort, Software,
        SourceAddress, UnknownAttributes, UserHash, Username, XorMappedAddress, XorPeerAddress, XorRelayedAddress,
    },
    channel_data, classify,
    framing::{Frame, frame},
};

/// Longest stream that is looked at byte by byte.
const STREAM_LEN_MAX: usize = 512;

/// Parses `data` as everything it could be, and builds a message as `data` says.
///
/// # Panics
/// Something read does not survive being written and read again, or an integrity value does not hold.
pub fn codec(data: &[u8]) {
    if let Ok(message) = Message::parse(data) {
        check_message(&message);
    }
    check_channel_data(data);
    check_stream(data);
    if let Ok(recipe) = Recipe::arbitrary(&mut Unstructured::new(data)) {
        check_recipe(&recipe);
    }
}

fn check_message(message: &Message<'_>) {
    // Methods above 0xff share their first byte with other protocols (RFC 7983 §7) and never reach the parser.
    if message.method().number() <= 0xff {
        assert_eq!(classify(message.as_bytes()), Kind::Stun);
        assert_eq!(frame(message.as_bytes()), Frame::Stun { len: message.as_bytes().len() });
    }
    for raw in message.attributes() {
        assert!(message.has(raw.typ));
        check_attribute(&raw, message.cookie_and_id());
    }
    let unknown = message.unknown_comprehension_required(AttributeType::ALL);
    assert!(unknown.len() <= 32 && unknown.iter().all(|typ| *typ < 0x8000));
    let none_is_right = message.integrity() == Integrity::None;
    let key = message.cookie_and_id();
    assert!(!none_is_right || !message.verify_integrity_sha1(key) && !message.verify_integrity_sha256(key));
    if message.fingerprint() == Fingerprint::Valid {
        assert!(message.has(AttributeType::FINGERPRINT));
    }

    // What counts, written again, reads the same.
    let copy = message.attributes().fold(MessageBuilder::reply_to(message, message.class()), |builder, raw| {
        builder.raw_attribute(raw.typ, raw.value)
    });
    let copy = copy.finish();
    let again = Message::parse(&copy).expect("a copy of a message is a message");
    assert_eq!((again.method(), again.class()), (message.method(), message.class()));
    assert_eq!(again.cookie_and_id(), message.cookie_and_id());
    assert!(pairs(&again).eq(pairs(message)));
}

fn pairs<'a>(message: &Message<'a>) -> impl Iterator<Item = (AttributeType, &'a [u8])> {
    message.attributes().map(|raw| (raw.typ, raw.value))
}

/// Decodes a value as every attribute there is, whatever its type says; what is read must survive a round trip.
fn check_attribute(raw: &RawAttribute<'_>, magic: &[u8; 16]) {
    macro_rules! round_trip {
        ($($name:ident),* $(,)?) => {$(
            if let Ok(value) = $name::decode(raw.value, magic) {
                let mut bytes = Vec::new();
                value.encode(&mut bytes, magic);
                assert_eq!($name::decode(&bytes, magic), Ok(value));
            }
        )*};
    }
    round_trip!(
        AdditionalAddressFamily,
        AddressErrorCode,
        AlternateDomain,
        AlternateServer,
        ChangeRequest,
        ChangedAddress,
        ChannelNumber,
        ConnectionId,
        Data,
        DontFragment,
        ErrorCode,
        EvenPort,
        Icmp,
        Lifetime,
        MappedAddress,
        MobilityTicket,
        Nonce,
        OtherAddress,
        Padding,
        PasswordAlgorithms,
        Realm,
        RequestedAddressFamily,
        RequestedTransport,
        ReservationToken,
        ResponseOrigin,
        ResponsePort,
        Software,
        SourceAddress,
        UnknownAttributes,
        UserHash,
        Username,
        XorMappedAddress,
        XorPeerAddress,
        XorRelayedAddress,
    );
    // An algorithm we do not use keeps its number only: it is told apart, never answered with.
    if let Ok(algorithm @ (PasswordAlgorithm::Md5 | PasswordAlgorithm::Sha256)) =
        PasswordAlgorithm::decode(raw.value, magic)
    {
        let mut bytes = Vec::new();
        algorithm.encode(&mut bytes, magic);
        assert_eq!(bytes, raw.value);
    }
    if let Ok(algorithms) = PasswordAlgorithms::decode(raw.value, magic) {
        assert!(algorithms.iter().count() <= raw.value.len() / 4);
    }
    assert_eq!(UnknownAttributes::types(raw.value).count(), raw.value.len() / 2);
}

fn check_channel_data(data: &[u8]) {
    let Ok(parsed) = channel_data::parse(data) else { return };
    assert_eq!(classify(data), Kind::ChannelData);
    let len = u16::try_from(parsed.data.len()).expect("the length field has 16 bits");
    let again = [&channel_data::header(parsed.number, len), parsed.data].concat();
    assert!(data.starts_with(&again));
}

/// A stream that arrives byte by byte is cut where the whole stream is cut.
fn check_stream(data: &[u8]) {
    let mut rest = data.get(..data.len().min(STREAM_LEN_MAX)).unwrap_or_default();
    loop {
        let whole = frame(rest);
        let mut need = 0;
        for arrived in 0..=rest.len() {
            match frame(rest.get(..arrived).unwrap_or_default()) {
                Frame::Incomplete { need: now } => {
                    assert!(now > arrived && now >= need, "{now} bytes needed with {arrived} there, {need} before");
                    need = now;
                }
                decided @ (Frame::Stun { .. } | Frame::ChannelData { .. } | Frame::Invalid) => {
                    assert_eq!(decided, whole);
                    assert!(arrived >= need || whole == Frame::Invalid);
                }
            }
        }
        let advance = match whole {
            Frame::Stun { len } => len,
            Frame::ChannelData { len, padded_len } => {
                assert!(padded_len >= len && padded_len < len + 4);
                padded_len
            }
            Frame::Incomplete { .. } | Frame::Invalid => return,
        };
        assert!(advance >= 4 && advance <= rest.len());
        rest = rest.get(advance..).unwrap_or_default();
    }
}

/// A message to build.
#[derive(Debug, Arbitrary)]
struct Recipe<'a> {
    method: u16,
    class: u8,
    id: [u8; 12],
    key: &'a [u8],
    sha1: bool,
    sha256: bool,
    fingerprint: bool,
    /// Which bit to turn over afterwards.
    flip: u16,
    parts: Vec<Part<'a>>,
}

#[derive(Debug, Arbitrary)]
enum Part<'a> {
    Username(&'a str),
    Realm(&'a str),
    Nonce(&'a str),
    Peer(std::net::SocketAddr),
    Relayed(std::net::SocketAddr),
    Mapped(std::net::SocketAddr),
    Data(&'a [u8]),
    Ticket(&'a [u8]),
    Error(u16, &'a str),
    Channel(u16),
    Lifetime(u32),
    Raw(u16, &'a [u8]),
}

impl Recipe<'_> {
    fn build(&self) -> Vec<u8> {
        let class = [Class::Request, Class::Indication, Class::Success, Class::Error][usize::from(self.class % 4)];
        let mut builder = MessageBuilder::new(class, Method::new(self.method), TransactionId(self.id));
        for part in &self.parts {
            builder = part.add_to(builder);
        }
        if self.sha1 {
            builder = builder.integrity_sha1(self.key);
        }
        if self.sha256 {
            builder = builder.integrity_sha256(self.key);
        }
        if self.fingerprint { builder.fingerprint().finish() } else { builder.finish() }
    }
}

impl Part<'_> {
    fn add_to(&self, builder: MessageBuilder) -> MessageBuilder {
        match *self {
            Part::Username(text) => builder.attribute(&Username(text)),
            Part::Realm(text) => builder.attribute(&Realm(text)),
            Part::Nonce(text) => builder.attribute(&Nonce(text)),
            Part::Peer(address) => builder.attribute(&XorPeerAddress(address)),
            Part::Relayed(address) => builder.attribute(&XorRelayedAddress(address)),
            Part::Mapped(address) => builder.attribute(&MappedAddress(address)),
            Part::Data(bytes) => builder.attribute(&Data(bytes)),
            Part::Ticket(bytes) => builder.attribute(&MobilityTicket(bytes)),
            Part::Error(code, reason) => builder.attribute(&ErrorCode { code: 300 + code % 400, reason }),
            Part::Channel(number) => builder.attribute(&ChannelNumber(number)),
            Part::Lifetime(secs) => builder.attribute(&Lifetime(secs)),
            Part::Raw(typ, value) if is_special(AttributeType(typ)) => builder.attribute(&Data(value)),
            Part::Raw(typ, value) => builder.raw_attribute(AttributeType(typ), value),
        }
    }

    /// The value is read back as it was written.
    fn check(&self, raw: &RawAttribute<'_>, magic: &[u8; 16]) {
        fn same<'a, A: Attribute<'a> + PartialEq + Debug>(raw: &RawAttribute<'a>, magic: &[u8; 16], written: A) {
            assert_eq!(raw.typ, A::TYPE);
            assert_eq!(A::decode(raw.value, magic), Ok(written));
        }
        // Scope and flow label of an IPv6 address do not travel.
        let plain = |address: std::net::SocketAddr| std::net::SocketAddr::new(address.ip(), address.port());
        match *self {
            Part::Username(text) if text.len() <= 508 => same(raw, magic, Username(text)),
            Part::Realm(text) if text.len() <= 763 => same(raw, magic, Realm(text)),
            Part::Nonce(text) if text.len() <= 763 => same(raw, magic, Nonce(text)),
            Part::Username(_) => assert!(Username::decode(raw.value, magic).is_err()),
            Part::Realm(_) => assert!(Realm::decode(raw.value, magic).is_err()),
            Part::Nonce(_) => assert!(Nonce::decode(raw.value, magic).is_err()),
            Part::Peer(address) => same(raw, magic, XorPeerAddress(plain(address))),
            Part::Relayed(address) => same(raw, magic, XorRelayedAddress(plain(address))),
            Part::Mapped(address) => same(raw, magic, MappedAddress(plain(address))),
            Part::Data(bytes) => same(raw, magic, Data(bytes)),
            Part::Ticket(bytes) => same(raw, magic, MobilityTicket(bytes)),
            Part::Error(code, reason) => same(raw, magic, ErrorCode { code: 300 + code % 400, reason }),
            Part::Channel(number) => same(raw, magic, ChannelNumber(number)),
            Part::Lifetime(secs) => same(raw, magic, Lifetime(secs)),
            Part::Raw(_, value) => assert_eq!(raw.value, value),
        }
    }
}

/// Attributes that say where the message ends, as far as its meaning goes.
const fn is_special(typ: AttributeType) -> bool {
    matches!(
        typ,
        AttributeType::MESSAGE_INTEGRITY | AttributeType::MESSAGE_INTEGRITY_SHA256 | AttributeType::FINGERPRINT
    )
}

fn check_recipe(recipe: &Recipe<'_>) {
    let mut bytes = recipe.build();
    if bytes.len() > HEADER_LEN + usize::from(u16::MAX) {
        return;
    }
    let message = Message::parse(&bytes).expect("what was built is a message");
    let mut read = message.attributes().filter(|raw| !is_special(raw.typ));
    for part in &recipe.parts {
        part.check(&read.next().expect("every part is there"), message.cookie_and_id());
    }
    assert!(read.next().is_none());
    assert_eq!(message.verify_integrity_sha1(recipe.key), recipe.sha1);
    assert_eq!(message.verify_integrity_sha256(recipe.key), recipe.sha256);
    let expected = if recipe.fingerprint { Fingerprint::Valid } else { Fingerprint::Absent };
    assert_eq!(message.fingerprint(), expected);
    check_message(&message);

    // One bit turned over anywhere is noticed.
    let bit = usize::from(recipe.flip) % (bytes.len() * 8);
    if let Some(byte) = bytes.get_mut(bit / 8) {
        *byte ^= 1 << (bit % 8);
    }
    if let Ok(message) = Message::parse(&bytes) {
        check_message(&message);
        if recipe.fingerprint {
            assert_ne!(message.fingerprint(), Fingerprint::Valid, "bit {bit}");
        }
        // Behind MESSAGE-INTEGRITY there is nothing it covers.
        let tail = usize::from(recipe.sha256) * 36 + usize::from(recipe.fingerprint) * 8;
        if recipe.sha1 && bit / 8 < bytes.len() - tail {
            assert!(!message.verify_integrity_sha1(recipe.key), "bit {bit}");
        }
    }
}
