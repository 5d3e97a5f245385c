//! RFC 5769 vectors, and properties against the oracle crates.

use std::net::SocketAddr;

use proptest::prelude::*;

use crate::{
    AttributeType, Class, Fingerprint, Integrity, Message, MessageBuilder, Method, TransactionId,
    attributes::{Data, ErrorCode, Nonce, Realm, Software, UserHash, Username, XorMappedAddress, XorPeerAddress},
    channel_data, framing, key,
};

/// RFC 5769 §2.1: request with short-term credential.
const SAMPLE_REQUEST: &str = "000100582112a442b7e7a701bc34d686fa87dfae802200105354554e207465737420636c69656e74002400046e0001ff80290008932ff9b151263b36000600096576746a3a68367659202020000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a280280004e57a3bcf";
/// RFC 5769 §2.2: IPv4 response.
const SAMPLE_IPV4_RESPONSE: &str = "0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220002000080001a147e112a643000800142b91f599fd9e90c38c7489f92af9ba53f06be7d780280004c07d4c96";
/// RFC 5769 §2.3: IPv6 response.
const SAMPLE_IPV6_RESPONSE: &str = "010100482112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d900080014a382954e4be67bf11784c97c8292c275bfe3ed4180280004c8fb0b4c";
/// RFC 5769 §2.4: request with long-term credential.
const SAMPLE_LONG_TERM: &str = "000100602112a44278ad3433c6ad72c029da412e00060012e3839ee38388e383aae38383e382afe382b900000015001c662f2f3439396b39353464364f4c33346f4c394653547679363473410014000b6578616d706c652e6f72670000080014f67024656dd64a3e02b8e0712e85c9a28ca89666";
/// The password of the first three samples.
const SHORT_TERM_PASSWORD: &[u8] = b"VOkJxbRl1RmTxUk/WvJxBt";

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(hex.get(i..i + 2).expect("even"), 16).expect("hex")).collect()
}

#[test]
fn rfc5769_request_verifies() {
    let bytes = bytes(SAMPLE_REQUEST);
    let message = Message::parse(&bytes).unwrap();
    assert_eq!((message.method(), message.class()), (Method::BINDING, Class::Request));
    assert!(message.verify_integrity_sha1(SHORT_TERM_PASSWORD));
    assert!(!message.verify_integrity_sha1(b"VOkJxbRl1RmTxUk/WvJxBu"));
    assert_eq!(message.fingerprint(), Fingerprint::Valid);
    assert_eq!(message.attribute::<Username<'_>>().unwrap(), Some(Username("evtj:h6vY")));
    assert_eq!(message.attribute::<Software<'_>>().unwrap(), Some(Software("STUN test client")));
}

#[test]
fn rfc5769_responses_verify_and_their_addresses_decode() {
    for (sample, address) in [
        (SAMPLE_IPV4_RESPONSE, "192.0.2.1:32853"),
        (SAMPLE_IPV6_RESPONSE, "[2001:db8:1234:5678:11:2233:4455:6677]:32853"),
    ] {
        let bytes = bytes(sample);
        let message = Message::parse(&bytes).unwrap();
        assert!(message.verify_integrity_sha1(SHORT_TERM_PASSWORD));
        assert_eq!(message.fingerprint(), Fingerprint::Valid);
        let mapped = message.attribute::<XorMappedAddress>().unwrap();
        assert_eq!(mapped, Some(XorMappedAddress(address.parse::<SocketAddr>().unwrap())));
    }
}

#[test]
fn rfc5769_long_term_request_verifies() {
    let bytes = bytes(SAMPLE_LONG_TERM);
    let message = Message::parse(&bytes).unwrap();
    let Username(username) = message.attribute().unwrap().unwrap();
    let Realm(realm) = message.attribute().unwrap().unwrap();
    let Nonce(nonce) = message.attribute().unwrap().unwrap();
    assert_eq!((realm, nonce), ("example.org", "f//499k954d6OL34oL9FSTvy64sA"));
    assert!(message.verify_integrity_sha1(&key::md5_key(username, realm, "TheMatrIX")));
    assert!(!message.verify_integrity_sha1(&key::md5_key(username, realm, "TheMatrix")));
}

#[test]
fn the_key_of_a_turn_rest_credential_matches_its_vector() {
    let key = key::md5_key("1790371886:alice", "example.org", "DdSyKug/rqO62k9Pv02/k1NpEyg=");
    assert_eq!(u128::from_be_bytes(key), 0x59eb_d209_4f00_4f78_a0e5_1209_46bf_d17c);
}

#[test]
fn what_follows_message_integrity_is_ignored() {
    let key = [7; 16];
    let bytes = MessageBuilder::new(Class::Request, Method::ALLOCATE, TransactionId([1; 12]))
        .attribute(&Username("before"))
        .integrity_sha1(&key)
        .attribute(&Software("behind"))
        .integrity_sha256(&key)
        .attribute(&Data(b"behind both"))
        .fingerprint()
        .finish();
    let message = Message::parse(&bytes).unwrap();
    assert!(message.has(AttributeType::USERNAME));
    assert!(!message.has(AttributeType::SOFTWARE));
    assert!(!message.has(AttributeType::DATA));
    assert_eq!(message.integrity(), Integrity::Both);
    assert!(message.verify_integrity_sha1(&key));
    assert!(message.verify_integrity_sha256(&key));
    assert_eq!(message.fingerprint(), Fingerprint::Valid);
}

#[test]
fn a_truncated_sha256_value_of_16_bytes_counts_and_of_12_does_not() {
    let key = [9; 32];
    for (keep, valid) in [(32_usize, true), (16, true), (12, false)] {
        let full = MessageBuilder::new(Class::Request, Method::BINDING, TransactionId([2; 12]))
            .attribute(&UserHash([3; 32]))
            .raw_attribute(AttributeType::MESSAGE_INTEGRITY_SHA256, &vec![0; keep])
            .finish();
        let covered = full.get(..full.len() - keep - 4).unwrap();
        let tag = crate::integrity::hmac_of(aws_lc_rs::hmac::HMAC_SHA256, &key, covered);
        let mut bytes = covered.to_vec();
        bytes.extend_from_slice(&[0x00, 0x1c, 0, u8::try_from(keep).unwrap()]);
        bytes.extend_from_slice(tag.as_ref().get(..keep).unwrap());
        assert_eq!(Message::parse(&bytes).unwrap().verify_integrity_sha256(&key), valid, "{keep} bytes");
    }
}

#[test]
fn unknown_comprehension_required_attributes_are_listed_once() {
    let bytes = MessageBuilder::new(Class::Request, Method::BINDING, TransactionId([2; 12]))
        .raw_attribute(AttributeType(0x7001), b"x")
        .raw_attribute(AttributeType(0x7001), b"x")
        .raw_attribute(AttributeType(0x9001), b"optional")
        .raw_attribute(AttributeType::USERNAME, b"u")
        .finish();
    let message = Message::parse(&bytes).unwrap();
    assert_eq!(message.unknown_comprehension_required(&[AttributeType::USERNAME]).as_slice(), &[0x7001]);
}

#[test]
fn a_message_without_the_cookie_is_classic_and_answered_with_its_own_id() {
    let mut bytes = MessageBuilder::new(Class::Request, Method::BINDING, TransactionId([5; 12])).finish();
    bytes.get_mut(4..8).unwrap().copy_from_slice(&[1, 2, 3, 4]);
    let message = Message::parse(&bytes).unwrap();
    assert!(message.is_classic());
    let reply = MessageBuilder::reply_to(&message, Class::Success).finish();
    assert_eq!(reply.get(4..20), bytes.get(4..20));
}

#[test]
fn an_error_code_outside_300_to_699_is_malformed() {
    for (class, number, valid) in [(2, 99, false), (3, 0, true), (6, 99, true), (7, 0, false), (4, 100, false)] {
        let bytes = MessageBuilder::new(Class::Error, Method::BINDING, TransactionId([5; 12]))
            .raw_attribute(AttributeType::ERROR_CODE, &[0, 0, class, number])
            .finish();
        assert_eq!(Message::parse(&bytes).unwrap().attribute::<ErrorCode<'_>>().is_ok(), valid, "{class} {number}");
    }
}

#[test]
fn stream_frames_are_found_whole_and_padded() {
    use framing::{Frame, frame};
    assert_eq!(frame(&[]), Frame::Incomplete { need: 4 });
    assert_eq!(frame(&[0x40, 0, 0]), Frame::Incomplete { need: 4 });
    assert_eq!(frame(&[0x16, 3]), Frame::Invalid);
    assert_eq!(frame(&[0x40, 0, 0, 5, 1, 2, 3, 4, 5, 0, 0]), Frame::Incomplete { need: 12 });
    assert_eq!(frame(&[0x40, 0, 0, 5, 1, 2, 3, 4, 5, 0, 0, 0]), Frame::ChannelData { len: 9, padded_len: 12 });
    assert_eq!(frame(&[0, 1, 0, 3]), Frame::Invalid);
    assert_eq!(frame(&[0, 1, 0, 4]), Frame::Incomplete { need: 24 });
}

#[test]
fn channel_numbers_end_at_0x7fff_and_begin_at_0x4000() {
    for (number, valid) in [(0x3fff_u16, false), (0x4000, true), (0x7fff, true), (0x8000, false)] {
        let [n0, n1] = number.to_be_bytes();
        assert_eq!(channel_data::parse(&[n0, n1, 0, 0]).is_ok(), valid, "{number:#x}");
    }
}

fn any_address() -> impl Strategy<Value = SocketAddr> {
    prop_oneof![any::<([u8; 4], u16)>().prop_map(SocketAddr::from), any::<([u8; 16], u16)>().prop_map(SocketAddr::from),]
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(message) = Message::parse(&bytes) {
            used(&message.fingerprint());
            used(&message.verify_integrity_sha1(&bytes));
            used(&message.verify_integrity_sha256(&bytes));
            used(&message.attribute::<XorPeerAddress>());
            used(&message.unknown_comprehension_required(&[]));
        }
        used(&channel_data::parse(&bytes));
        used(&framing::frame(&bytes));
    }

    #[test]
    fn the_oracle_reads_what_we_write(address in any_address(), id in any::<[u8; 12]>(), name in "[a-z0-9]{1,40}") {
        use stun_types::{attribute::{XorMappedAddress as OracleAddress, Username as OracleName}, message::{
            Message as OracleMessage, MessageIntegrityCredentials, ShortTermCredentials}};
        let password = "secret";
        let bytes = MessageBuilder::new(Class::Success, Method::BINDING, TransactionId(id))
            .attribute(&XorMappedAddress(address))
            .attribute(&Username(&name))
            .integrity_sha1(password.as_bytes())
            .fingerprint()
            .finish();
        let oracle = OracleMessage::from_bytes(&bytes).unwrap();
        let read = oracle.attribute::<OracleAddress>().unwrap();
        prop_assert_eq!(read.addr(oracle.transaction_id()), address);
        let oracle_name = oracle.attribute::<OracleName>().unwrap();
        prop_assert_eq!(oracle_name.username(), name);
        let credentials = MessageIntegrityCredentials::from(ShortTermCredentials::new(password.to_owned()));
        prop_assert!(oracle.validate_integrity(&credentials).is_ok());

        let ours = Message::parse(&bytes).unwrap();
        prop_assert_eq!(ours.attribute::<XorMappedAddress>().unwrap(), Some(XorMappedAddress(address)));
        prop_assert!(ours.verify_integrity_sha1(password.as_bytes()));
        prop_assert_eq!(ours.fingerprint(), Fingerprint::Valid);
    }

    #[test]
    fn one_flipped_bit_breaks_integrity_or_structure(bit in 0_usize..8 * 60) {
        let key = [1; 16];
        let mut bytes = MessageBuilder::new(Class::Request, Method::REFRESH, TransactionId([4; 12]))
            .attribute(&Username("alice-and-bob-16"))
            .integrity_sha1(&key)
            .finish();
        if let Some(byte) = bytes.get_mut(bit / 8) {
            *byte ^= 1 << (bit % 8);
        }
        if let Ok(message) = Message::parse(&bytes) {
            prop_assert!(!message.verify_integrity_sha1(&key));
        }
    }
}

/// Keeps the optimiser from leaving a call out.
fn used<T>(value: &T) {
    std::hint::black_box(value);
}

#[test]
fn the_first_two_bits_and_the_length_decide_what_is_stun() {
    let good = MessageBuilder::new(Class::Request, Method::BINDING, TransactionId([7; 12])).finish();
    assert!(Message::parse(&good).is_ok());
    for first in [0x40, 0x80, 0xc0] {
        let mut bytes = good.clone();
        *bytes.first_mut().unwrap() |= first;
        assert!(Message::parse(&bytes).is_err(), "{first:#x}");
    }
    // A length that is no multiple of four, too long, too short for what is there.
    for (len, extra) in [(3_u8, 3_usize), (4, 0), (0, 4)] {
        let mut bytes = good.clone();
        *bytes.get_mut(3).unwrap() = len;
        bytes.extend(vec![0; extra]);
        assert!(Message::parse(&bytes).is_err(), "length {len}, {extra} bytes");
    }
    assert!(Message::parse(good.get(..19).unwrap()).is_err());
}

#[test]
fn padding_bytes_may_have_any_value() {
    let mut bytes = MessageBuilder::new(Class::Request, Method::BINDING, TransactionId([7; 12]))
        .attribute(&Username("alice"))
        .attribute(&Realm("r"))
        .finish();
    // "alice" ends at 20 + 4 + 5; three bytes of padding follow.
    bytes.get_mut(29..32).unwrap().copy_from_slice(&[0xde, 0xad, 0xbe]);
    let message = Message::parse(&bytes).unwrap();
    assert_eq!(message.attribute::<Username<'_>>().unwrap().unwrap().0, "alice");
    assert_eq!(message.attribute::<Realm<'_>>().unwrap().unwrap().0, "r");
}
