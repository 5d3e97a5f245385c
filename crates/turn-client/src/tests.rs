//! The client against answers made by hand, in virtual time.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use causeway_stun_codec::{
    AttributeType, Class, Integrity, Message, MessageBuilder, Method, TransactionId,
    attributes::{
        AlternateServer, Data, ErrorCode, Icmp, Lifetime, Nonce, PasswordAlgorithm, PasswordAlgorithms, Realm,
        UserHash, Username, XorMappedAddress, XorPeerAddress, XorRelayedAddress,
    },
    key,
};
use causeway_types::{ClientTransport, Now, UnixTime};
use proptest::prelude::*;

use crate::{
    AllocateOptions, AuthFeatures, ClientConfig, Ignored, Outcome, Output, Received, Refusal, Request, RequestId,
    SendDataError, TurnClient, Via,
};

const PEER: &str = "192.0.2.9:7000";
/// Cookie, both features, and something.
const MODERN_NONCE: &str = "obMatJos2wAAAn0nce";

fn addr(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

/// A client, a clock and a server that says what a test tells it to say.
struct World {
    client: TurnClient,
    now: Now,
}

impl World {
    #[expect(clippy::disallowed_methods, reason = "an `Instant` to start from has no other source")]
    fn with(config: ClientConfig) -> Self {
        let now = Now { mono: Instant::now(), unix: UnixTime::from_secs(1_790_000_000) };
        Self { client: TurnClient::new(config, [3; 32]), now }
    }

    fn udp() -> Self {
        Self::with(ClientConfig::new(ClientTransport::Udp).with_credentials("alice", "wonder"))
    }

    fn tcp() -> Self {
        Self::with(ClientConfig::new(ClientTransport::Tcp).with_credentials("alice", "wonder"))
    }

    fn outputs(&mut self) -> Vec<Output> {
        std::iter::from_fn(|| self.client.poll_output()).collect()
    }

    fn ask(&mut self, request: Request) -> (RequestId, Vec<u8>) {
        let id = self.client.handle_request(self.now, request);
        (id, self.transmitted())
    }

    /// The only output, which must be a transmission.
    fn transmitted(&mut self) -> Vec<u8> {
        match self.outputs().as_slice() {
            [Output::Transmit(bytes)] => bytes.clone(),
            other => panic!("not one transmission: {other:?}"),
        }
    }

    /// The only output, which must be the end of a request.
    fn outcome(&mut self) -> Outcome {
        match self.outputs().as_slice() {
            [Output::Done { outcome, .. }] => outcome.clone(),
            other => panic!("not one outcome: {other:?}"),
        }
    }

    fn feed(&mut self, bytes: &[u8]) {
        assert_eq!(self.client.handle_datagram(self.now, bytes), Received::Answer);
    }

    /// Moves the clock to the next deadline and says how far that was.
    fn wait(&mut self) -> Duration {
        let due = self.client.poll_timeout().expect("a timer");
        let by = due - self.now.mono;
        self.now = Now { mono: due, unix: self.now.unix.saturating_add(by) };
        self.client.handle_timeout(self.now);
        by
    }

    /// Asks, is challenged in the old way, and gives the signed request.
    fn challenged(&mut self, request: Request) -> Vec<u8> {
        let (_, first) = self.ask(request);
        self.feed(&challenge(&first, 401, "n0nce", None));
        self.transmitted()
    }

    fn allocated(&mut self) {
        let signed = self.challenged(Request::Allocate(AllocateOptions::default()));
        self.feed(&granted(&signed, 600));
        assert!(matches!(self.outcome(), Outcome::Allocated(_)));
    }

    /// Gets a success without attributes for `request`.
    fn grant_empty(&mut self, request: Request) -> Outcome {
        let (_, sent) = self.ask(request);
        self.feed(&reply(&sent, Class::Success).integrity_sha1(&sha1_key()).finish());
        self.outcome()
    }
}

fn sha1_key() -> [u8; 16] {
    key::md5_key("alice", "example.org", "wonder")
}

fn reply(request: &[u8], class: Class) -> MessageBuilder {
    MessageBuilder::reply_to(&Message::parse(request).expect("a request"), class)
}

fn challenge(request: &[u8], code: u16, nonce: &str, algorithms: Option<PasswordAlgorithms<'_>>) -> Vec<u8> {
    reply(request, Class::Error)
        .attribute(&ErrorCode { code, reason: "" })
        .attribute(&Realm("example.org"))
        .attribute(&Nonce(nonce))
        .maybe(algorithms.as_ref())
        .finish()
}

fn granted(request: &[u8], secs: u32) -> Vec<u8> {
    reply(request, Class::Success)
        .attribute(&XorRelayedAddress(addr("198.51.100.7:50000")))
        .attribute(&XorMappedAddress(addr("203.0.113.5:4000")))
        .attribute(&Lifetime(secs))
        .integrity_sha1(&sha1_key())
        .finish()
}

fn refusal(request: &[u8], code: u16) -> MessageBuilder {
    reply(request, Class::Error).attribute(&ErrorCode { code, reason: "no" })
}

#[test]
fn a_binding_gives_the_mapped_address() {
    let mut world = World::udp();
    let (id, request) = world.ask(Request::Binding);
    assert_eq!(Message::parse(&request).unwrap().integrity(), Integrity::None);
    assert!(world.client.is_pending(id));
    world.feed(&reply(&request, Class::Success).attribute(&XorMappedAddress(addr("[2001:db8::1]:9"))).finish());
    assert_eq!(world.outputs(), [Output::Done { id, outcome: Outcome::Mapped(addr("[2001:db8::1]:9")) }]);
    assert!(!world.client.is_pending(id));
    assert_eq!(world.client.poll_timeout(), None);
}

#[test]
fn on_datagrams_a_request_goes_out_seven_times_and_is_given_up_after_39_5_seconds() {
    let mut world = World::udp();
    let (_, first) = world.ask(Request::Binding);
    let mut waits = Vec::new();
    for _ in 0..6 {
        waits.push(world.wait().as_millis());
        assert_eq!(world.transmitted(), first, "a retransmission has the same bytes");
    }
    waits.push(world.wait().as_millis());
    assert_eq!(world.outcome(), Outcome::TimedOut { unauthentic_answers: 0, unproven_code: None });
    assert_eq!(waits, [500, 1000, 2000, 4000, 8000, 16_000, 8000]);
    assert_eq!(waits.iter().sum::<u128>(), 39_500);
}

#[test]
fn on_a_stream_a_request_goes_out_once_and_is_given_up_after_39_5_seconds() {
    let mut world = World::tcp();
    world.ask(Request::Binding);
    assert_eq!(world.wait(), Duration::from_millis(39_500));
    assert_eq!(world.outcome(), Outcome::TimedOut { unauthentic_answers: 0, unproven_code: None });
}

#[test]
fn a_timeout_call_that_comes_early_or_very_late_sends_at_most_one_copy() {
    let mut world = World::udp();
    world.ask(Request::Binding);
    world.client.handle_timeout(world.now);
    assert_eq!(world.outputs(), []);
    world.now.mono += Duration::from_secs(20);
    world.client.handle_timeout(world.now);
    world.transmitted();
}

#[test]
fn a_challenge_of_rfc_5389_is_answered_with_md5_and_sha1() {
    let mut world = World::udp();
    let signed = world.challenged(Request::Allocate(AllocateOptions::default()));
    let message = Message::parse(&signed).unwrap();
    assert_eq!(message.integrity(), Integrity::Sha1);
    assert!(message.verify_integrity_sha1(&sha1_key()));
    assert_eq!(message.attribute().unwrap(), Some(Username("alice")));
    assert_eq!(message.attribute().unwrap(), Some(Nonce("n0nce")));
    assert!(!message.has(AttributeType::PASSWORD_ALGORITHMS));
    assert_eq!(world.client.realm(), Some("example.org"));
}

#[test]
fn a_challenge_of_rfc_8489_is_answered_with_its_first_known_algorithm_and_a_user_hash() {
    let list = PasswordAlgorithms(&[0, 9, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0]);
    let mut world = World::udp();
    let (_, first) = world.ask(Request::Allocate(AllocateOptions::default()));
    world.feed(&challenge(&first, 401, MODERN_NONCE, Some(list)));
    let signed = world.transmitted();
    let message = Message::parse(&signed).unwrap();
    assert_eq!(message.integrity(), Integrity::Sha256);
    assert!(message.verify_integrity_sha256(&key::sha256_key("alice", "example.org", "wonder")));
    assert_eq!(message.attribute().unwrap(), Some(list));
    assert_eq!(message.attribute().unwrap(), Some(PasswordAlgorithm::Sha256));
    assert_eq!(message.attribute().unwrap(), Some(UserHash(key::user_hash("alice", "example.org"))));
    assert!(!message.has(AttributeType::USERNAME));
}

#[test]
fn a_classic_client_ignores_what_rfc_8489_offers() {
    let config = ClientConfig::new(ClientTransport::Udp).with_credentials("alice", "wonder");
    let mut world = World::with(ClientConfig { auth_features: AuthFeatures::Classic, ..config });
    let (_, first) = world.ask(Request::Allocate(AllocateOptions::default()));
    world.feed(&challenge(&first, 401, MODERN_NONCE, Some(PasswordAlgorithms::OFFERED)));
    let signed = world.transmitted();
    let message = Message::parse(&signed).unwrap();
    assert_eq!(message.integrity(), Integrity::Sha1);
    assert!(message.has(AttributeType::USERNAME) && !message.has(AttributeType::PASSWORD_ALGORITHM));
}

#[test]
fn a_cut_list_of_algorithms_ends_the_request() {
    let mut world = World::udp();
    let (_, first) = world.ask(Request::Allocate(AllocateOptions::default()));
    world.feed(&challenge(&first, 401, MODERN_NONCE, None));
    assert_eq!(world.outcome(), Outcome::BidDown);
}

#[test]
fn a_list_without_a_known_algorithm_ends_the_request() {
    let mut world = World::udp();
    let (_, first) = world.ask(Request::Allocate(AllocateOptions::default()));
    world.feed(&challenge(&first, 401, MODERN_NONCE, Some(PasswordAlgorithms(&[0, 9, 0, 0]))));
    assert_eq!(world.outcome(), Outcome::NoCommonAlgorithm);
}

#[test]
fn a_second_401_for_the_same_key_says_that_the_credential_is_wrong() {
    let mut world = World::udp();
    let signed = world.challenged(Request::Allocate(AllocateOptions::default()));
    world.feed(&challenge(&signed, 401, "another", None));
    let refusal = Refusal { code: 401, reason: String::new(), alternate_server: None, was_signed: true };
    assert_eq!(world.outcome(), Outcome::Refused(refusal));
}

#[test]
fn a_401_without_a_credential_is_a_refusal() {
    let mut world = World::with(ClientConfig::new(ClientTransport::Udp));
    let (_, first) = world.ask(Request::Allocate(AllocateOptions::default()));
    world.feed(&challenge(&first, 401, "n0nce", None));
    assert!(matches!(world.outcome(), Outcome::Refused(Refusal { code: 401, was_signed: false, .. })));
}

#[test]
fn a_stale_nonce_is_replaced_but_not_for_ever() {
    let mut world = World::udp();
    let mut request = world.challenged(Request::Allocate(AllocateOptions::default()));
    let mut transmissions = 1;
    let refused = loop {
        world.feed(&challenge(&request, 438, &format!("nonce{transmissions}"), None));
        match world.outputs().as_slice() {
            [Output::Transmit(bytes)] => request.clone_from(bytes),
            [Output::Done { outcome, .. }] => break outcome.clone(),
            other => panic!("{other:?}"),
        }
        transmissions += 1;
        assert_eq!(
            Message::parse(&request).unwrap().attribute().unwrap(),
            Some(Nonce(&format!("nonce{}", transmissions - 1)))
        );
    };
    assert!(matches!(refused, Outcome::Refused(Refusal { code: 438, .. })));
    assert_eq!(transmissions, 4);
}

#[test]
fn an_answer_that_is_unsigned_or_signed_with_another_key_is_not_taken() {
    let mut world = World::udp();
    let signed = world.challenged(Request::Allocate(AllocateOptions::default()));
    let unsigned = refusal(&signed, 403).finish();
    let forged = refusal(&signed, 508).integrity_sha1(b"another key").finish();
    for answer in [unsigned, forged] {
        let received = world.client.handle_datagram(world.now, &answer);
        assert_eq!(received, Received::Ignored(Ignored::Unauthentic));
        assert_eq!(world.outputs(), []);
    }
    while world.client.poll_timeout().is_some() {
        world.wait();
        if let [Output::Done { outcome, .. }] = world.outputs().as_slice() {
            assert_eq!(*outcome, Outcome::TimedOut { unauthentic_answers: 2, unproven_code: Some(508) });
            return;
        }
    }
    panic!("it never ended");
}

#[test]
fn an_answer_signed_more_weakly_than_its_request_is_not_taken() {
    let mut world = World::udp();
    let (_, first) = world.ask(Request::Allocate(AllocateOptions::default()));
    world.feed(&challenge(&first, 401, MODERN_NONCE, Some(PasswordAlgorithms::OFFERED)));
    let signed = world.transmitted();
    let key = key::sha256_key("alice", "example.org", "wonder");
    let weak = refusal(&signed, 486).integrity_sha1(&key).finish();
    assert_eq!(world.client.handle_datagram(world.now, &weak), Received::Ignored(Ignored::Unauthentic));
    world.feed(&refusal(&signed, 486).integrity_sha256(&key).finish());
    assert!(matches!(world.outcome(), Outcome::Refused(Refusal { code: 486, .. })));
}

#[test]
fn an_answer_with_a_wrong_fingerprint_or_to_nothing_is_not_taken() {
    let mut world = World::udp();
    let (_, request) = world.ask(Request::Binding);
    let mut answer = reply(&request, Class::Success).attribute(&XorMappedAddress(addr(PEER))).fingerprint().finish();
    *answer.last_mut().unwrap() ^= 1;
    assert_eq!(world.client.handle_datagram(world.now, &answer), Received::Ignored(Ignored::Fingerprint));
    *answer.last_mut().unwrap() ^= 1;
    world.feed(&answer);
    world.outcome();
    let again = world.client.handle_datagram(world.now, &answer);
    assert_eq!(again, Received::Ignored(Ignored::UnknownTransaction));
    assert_eq!(world.client.handle_datagram(world.now, &request), Received::Ignored(Ignored::NotForClient));
    assert_eq!(world.client.handle_datagram(world.now, b"\xffxyz"), Received::Ignored(Ignored::Malformed));
}

#[test]
fn an_allocate_success_without_a_relayed_address_is_unusable() {
    let mut world = World::udp();
    let signed = world.challenged(Request::Allocate(AllocateOptions::default()));
    world.feed(&reply(&signed, Class::Success).attribute(&Lifetime(600)).integrity_sha1(&sha1_key()).finish());
    assert_eq!(world.outcome(), Outcome::Unusable);
    assert!(world.client.allocation().is_none());
}

#[test]
fn a_success_with_an_unknown_required_attribute_is_unusable() {
    let mut world = World::udp();
    let (_, request) = world.ask(Request::Binding);
    let answer = reply(&request, Class::Success)
        .attribute(&XorMappedAddress(addr(PEER)))
        .raw_attribute(AttributeType(0x7abc), b"?")
        .finish();
    world.feed(&answer);
    assert_eq!(world.outcome(), Outcome::Unusable);
}

#[test]
fn a_300_names_the_other_server() {
    let mut world = World::udp();
    let signed = world.challenged(Request::Allocate(AllocateOptions::default()));
    let other = addr("198.51.100.8:3478");
    world.feed(&refusal(&signed, 300).attribute(&AlternateServer(other)).integrity_sha1(&sha1_key()).finish());
    let outcome = world.outcome();
    assert!(matches!(outcome, Outcome::Refused(Refusal { code: 300, alternate_server: Some(a), .. }) if a == other));
}

#[test]
fn an_allocation_is_known_until_its_lifetime_ends() {
    let mut world = World::udp();
    world.allocated();
    let allocation = world.client.allocation().unwrap();
    assert_eq!(allocation.relayed, [addr("198.51.100.7:50000")]);
    assert_eq!(allocation.mapped, addr("203.0.113.5:4000"));
    assert_eq!(world.wait(), Duration::from_secs(600));
    assert_eq!(world.outputs(), [Output::AllocationLost]);
    assert!(world.client.allocation().is_none());
}

#[test]
fn a_refresh_of_zero_ends_it_and_one_of_more_restarts_it() {
    let mut world = World::udp();
    world.allocated();
    for (secs, left) in [(900, Some(Duration::from_secs(900))), (0, None)] {
        let (_, sent) = world.ask(Request::Refresh { lifetime: Some(Duration::from_secs(secs)) });
        let secs = u32::try_from(secs).unwrap();
        assert_eq!(Message::parse(&sent).unwrap().attribute().unwrap(), Some(Lifetime(secs)));
        let answer = reply(&sent, Class::Success).attribute(&Lifetime(secs)).integrity_sha1(&sha1_key()).finish();
        world.feed(&answer);
        let lifetime = Duration::from_secs(u64::from(secs));
        assert_eq!(world.outcome(), Outcome::Refreshed { lifetime });
        assert_eq!(world.client.allocation().map(|allocation| allocation.lifetime), left);
        assert_eq!(world.client.poll_timeout().map(|due| due - world.now.mono), left);
    }
}

#[test]
fn a_437_says_that_the_allocation_is_gone() {
    let mut world = World::udp();
    world.allocated();
    let (_, sent) = world.ask(Request::Refresh { lifetime: None });
    world.feed(&refusal(&sent, 437).integrity_sha1(&sha1_key()).finish());
    assert!(matches!(
        world.outputs().as_slice(),
        [Output::Done { outcome: Outcome::Refused(Refusal { code: 437, .. }), .. }, Output::AllocationLost]
    ));
}

#[test]
fn kept_alive_it_is_refreshed_a_minute_early_and_peers_every_four_minutes() {
    let mut world = World::udp();
    world.client.config.keep_alive = true;
    world.allocated();
    assert_eq!(world.grant_empty(Request::CreatePermission { peers: vec![addr(PEER).ip()] }), Outcome::Permitted);
    assert_eq!(world.grant_empty(Request::ChannelBind { number: 0x4000, peer: addr(PEER) }), Outcome::ChannelBound);
    let (start, mut seen) = (world.now.mono, Vec::new());
    while seen.len() < 9 {
        world.wait();
        for output in world.outputs() {
            let Output::Transmit(sent) = output else { panic!("{output:?}") };
            let method = Message::parse(&sent).unwrap().method();
            seen.push(((world.now.mono - start).as_secs(), method));
            world.feed(&reply(&sent, Class::Success).attribute(&Lifetime(600)).integrity_sha1(&sha1_key()).finish());
            assert_eq!(world.outputs(), [], "what goes well is not told");
        }
    }
    let (permission, channel) = (Method::CREATE_PERMISSION, Method::CHANNEL_BIND);
    let peers = |at| [(at, permission), (at, channel)];
    let expected = [&peers(240)[..], &peers(480), &[(540, Method::REFRESH)], &peers(720), &peers(960)].concat();
    assert_eq!(seen, expected);
}

#[test]
fn a_failure_to_keep_alive_is_told() {
    let mut world = World::udp();
    world.client.config.keep_alive = true;
    world.allocated();
    world.wait();
    let sent = world.transmitted();
    world.feed(&refusal(&sent, 486).integrity_sha1(&sha1_key()).finish());
    assert!(matches!(
        world.outputs().as_slice(),
        [Output::KeepAliveFailed { request: Request::Refresh { .. }, outcome: Outcome::Refused(_) }]
    ));
}

#[test]
fn data_goes_as_an_indication_until_a_channel_is_bound() {
    let mut world = World::udp();
    world.allocated();
    let mut out = Vec::new();
    assert_eq!(world.client.write_data(addr(PEER), b"hello", &mut out), Ok(Via::Indication));
    let message = Message::parse(&out).unwrap();
    assert_eq!((message.method(), message.class()), (Method::SEND, Class::Indication));
    assert_eq!(message.attribute().unwrap(), Some(Data(b"hello")));
    assert_eq!(message.attribute().unwrap(), Some(XorPeerAddress(addr(PEER))));
    world.grant_empty(Request::ChannelBind { number: 0x4001, peer: addr(PEER) });
    let mut out = Vec::new();
    assert_eq!(world.client.write_data(addr(PEER), b"hello", &mut out), Ok(Via::Channel(0x4001)));
    assert_eq!(out, b"\x40\x01\x00\x05hello");
}

#[test]
fn a_channel_bound_anew_leads_to_its_new_peer_only() {
    let mut world = World::udp();
    world.allocated();
    let (first, second) = (addr(PEER), addr("192.0.2.10:7000"));
    for (number, peer) in [(0x4000, first), (0x4000, second), (0x4001, second)] {
        assert_eq!(world.grant_empty(Request::ChannelBind { number, peer }), Outcome::ChannelBound);
    }
    // Else data for the first peer would reach the second.
    assert_eq!(world.client.channel_to(first), None);
    assert_eq!((world.client.channel_to(second), world.client.peer_of(0x4000)), (Some(0x4001), None));
}

#[test]
fn channel_data_is_padded_on_streams_only_and_limited_to_its_length_field() {
    for (mut world, padded_len) in [(World::udp(), 9), (World::tcp(), 12)] {
        let mut out = Vec::new();
        world.client.write_channel_data(0x4000, b"12345", &mut out).unwrap();
        assert_eq!(out.len(), padded_len);
        out.clear();
        assert_eq!(world.client.write_channel_data(0x4000, &vec![0; 65_535], &mut out), Ok(()));
        let over = world.client.write_channel_data(0x4000, &vec![0; 65_536], &mut out);
        assert_eq!(over, Err(SendDataError::TooLong { len: 65_536 }));
        out.clear();
        assert_eq!(world.client.write_indication(addr("[::1]:1"), &vec![0; 65_500], &mut out), Ok(()));
        assert!(Message::parse(&out).is_ok());
        assert!(world.client.write_indication(addr(PEER), &vec![0; 65_501], &mut out).is_err());
    }
}

#[test]
fn data_of_peers_is_given_as_a_slice_of_the_input() {
    let mut world = World::udp();
    world.allocated();
    world.grant_empty(Request::ChannelBind { number: 0x4000, peer: addr(PEER) });
    let indication = |builder: MessageBuilder| builder.attribute(&XorPeerAddress(addr(PEER)));
    let new = || indication(MessageBuilder::new(Class::Indication, Method::DATA, TransactionId([1; 12])));
    let bytes = new().attribute(&Data(b"ping")).finish();
    let received = world.client.handle_datagram(world.now, &bytes);
    assert_eq!(received, Received::Data { peer: addr(PEER), via: Via::Indication, data: b"ping" });
    let received = world.client.handle_datagram(world.now, b"\x40\x00\x00\x04pongxx");
    assert_eq!(received, Received::Data { peer: addr(PEER), via: Via::Channel(0x4000), data: b"pong" });
    let received = world.client.handle_datagram(world.now, b"\x40\x01\x00\x04pong");
    assert_eq!(received, Received::Ignored(Ignored::UnknownChannel));
    let icmp = Icmp { icmp_type: 3, icmp_code: 4, error_data: 1400 };
    let bytes = new().attribute(&icmp).finish();
    assert_eq!(world.client.handle_datagram(world.now, &bytes), Received::Icmp { peer: addr(PEER), icmp });
    let bytes = new().finish();
    assert_eq!(world.client.handle_datagram(world.now, &bytes), Received::Ignored(Ignored::Malformed));
}

#[test]
fn a_stream_that_cannot_be_followed_ends_everything_once() {
    let mut world = World::tcp();
    let (id, _) = world.ask(Request::Binding);
    world.client.handle_stream(world.now, b"\x15\x03\x03\x00\x02\x02\x28");
    assert_eq!(world.outputs(), [Output::StreamBroken, Output::Done { id, outcome: Outcome::Closed }]);
    world.client.handle_stream(world.now, b"\x01\x01\x00\x00");
    assert_eq!(world.outputs(), []);
    assert_eq!(world.client.poll_timeout(), None);
}

#[test]
fn a_closed_connection_ends_what_is_pending() {
    let mut world = World::udp();
    world.allocated();
    let (id, _) = world.ask(Request::Refresh { lifetime: None });
    world.client.handle_closed(world.now);
    assert_eq!(world.outputs(), [Output::Done { id, outcome: Outcome::Closed }]);
    assert!(world.client.allocation().is_none() && world.client.poll_timeout().is_none());
}

proptest! {
    #[test]
    fn a_stream_may_be_cut_anywhere(cuts in proptest::collection::vec(1_usize..40, 1..60)) {
        let mut world = World::tcp();
        let (id, request) = world.ask(Request::Binding);
        let mut stream = reply(&request, Class::Success).attribute(&XorMappedAddress(addr(PEER))).finish();
        for payload in [&b"a"[..], b"bcdef", b""] {
            stream.extend(
                MessageBuilder::new(Class::Indication, Method::DATA, TransactionId([9; 12]))
                    .attribute(&XorPeerAddress(addr(PEER)))
                    .attribute(&Data(payload))
                    .finish(),
            );
        }
        world.client.peer_by_channel.insert(0x4000, addr(PEER));
        for payload in [&b"12345"[..], b"6"] {
            world.client.write_channel_data(0x4000, payload, &mut stream).unwrap();
        }
        let (mut rest, mut outputs) = (stream.as_slice(), Vec::new());
        for cut in cuts.into_iter().chain(std::iter::repeat(1)) {
            let (now, later) = rest.split_at(cut.min(rest.len()));
            world.client.handle_stream(world.now, now);
            outputs.extend(world.outputs());
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
        let data = |via, data: &[u8]| Output::Data { peer: addr(PEER), via, data: data.to_vec() };
        let expected = [
            Output::Done { id, outcome: Outcome::Mapped(addr(PEER)) },
            data(Via::Indication, b"a"),
            data(Via::Indication, b"bcdef"),
            data(Via::Indication, b""),
            data(Via::Channel(0x4000), b"12345"),
            data(Via::Channel(0x4000), b"6"),
        ];
        prop_assert_eq!(outputs, expected);
    }

    #[test]
    fn no_input_breaks_the_client(inputs in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..80), 0..20)) {
        let (mut udp, mut tcp) = (World::udp(), World::tcp());
        udp.ask(Request::Binding);
        tcp.ask(Request::Binding);
        for input in inputs {
            udp.client.handle_datagram(udp.now, &input);
            udp.outputs();
            tcp.client.handle_stream(tcp.now, &input);
            tcp.outputs();
        }
    }
}
