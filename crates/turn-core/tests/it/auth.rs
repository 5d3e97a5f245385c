//! Who sent this? Long-term credentials (RFC 8489 §9.2.4) and the TURN rules on top (RFC 8656 §5).

use causeway_stun_codec::{
    AttributeType, Class, MessageBuilder, Method,
    attributes::{
        ErrorCode, Lifetime, Nonce, PasswordAlgorithm, PasswordAlgorithms, Realm, RequestedTransport, UserHash,
        Username,
    },
    key,
};
use causeway_turn_core::{DropReason, OnExpiry, Output, TurnConfig};
use causeway_types::{AuthRefusal, RelayEvent};

use crate::world::{Client, REALM, Reply, START, User, World, config, secs};

#[test]
fn a_request_without_credentials_gets_401_with_realm_nonce_and_algorithms() {
    let mut world = World::new();
    let mut alice = world.alice();
    let reply = alice.challenge(&mut world).refused(401);
    let message = reply.message();
    assert_eq!(message.attribute::<Realm<'_>>().unwrap().unwrap().0, REALM);
    assert!(message.attribute::<Nonce<'_>>().unwrap().unwrap().0.starts_with("obMatJos2"));
    assert_eq!(message.attribute::<PasswordAlgorithms<'_>>().unwrap().unwrap(), PasswordAlgorithms::OFFERED);
    assert_eq!(message.attribute::<ErrorCode<'_>>().unwrap().unwrap().reason, "", "no text to amplify with");
    for absent in [AttributeType::USERNAME, AttributeType::USERHASH, AttributeType::MESSAGE_INTEGRITY] {
        assert!(!reply.has(absent), "{absent:?}");
    }
}

#[test]
fn every_turn_method_asks_for_credentials() {
    let mut world = World::new();
    let alice = world.alice();
    for method in [
        Method::ALLOCATE,
        Method::REFRESH,
        Method::CREATE_PERMISSION,
        Method::CHANNEL_BIND,
        Method::CONNECT,
        Method::CONNECTION_BIND,
    ] {
        let bytes = MessageBuilder::new(Class::Request, method, world.next_id()).finish();
        alice.send(&mut world, &bytes).refused(401);
    }
}

#[test]
fn an_unknown_required_attribute_without_credentials_gets_401_not_420() {
    let mut world = World::new();
    let alice = world.alice();
    let bytes = MessageBuilder::new(Class::Request, Method::ALLOCATE, world.next_id())
        .raw_attribute(AttributeType(0x7abc), &[])
        .finish();
    alice.send(&mut world, &bytes).refused(401);
}

#[test]
fn integrity_without_name_realm_or_nonce_gets_400() {
    let mut world = World::new();
    let mut alice = world.alice();
    alice.challenge(&mut world);
    let nonce = alice.nonce.clone().unwrap();
    for missing in 0..3 {
        let mut builder = MessageBuilder::new(Class::Request, Method::ALLOCATE, world.next_id());
        if missing != 0 {
            builder = builder.attribute(&Username("alice"));
        }
        if missing != 1 {
            builder = builder.attribute(&Realm(REALM));
        }
        if missing != 2 {
            builder = builder.attribute(&Nonce(&nonce));
        }
        alice.send(&mut world, &builder.integrity_sha1(&alice.key()).finish()).refused(400);
    }
}

#[test]
fn only_one_of_the_two_algorithm_attributes_gets_400() {
    let mut world = World::new();
    let mut alice = world.alice();
    alice.request(&mut world, Method::ALLOCATE, |b| b.attribute(&PasswordAlgorithms::OFFERED)).refused(400);
    alice.request(&mut world, Method::ALLOCATE, |b| b.attribute(&PasswordAlgorithm::Md5)).refused(400);
}

#[test]
fn a_shortened_algorithm_list_gets_400_and_an_event() {
    let mut world = World::new();
    let mut alice = world.alice();
    let only_md5 = PasswordAlgorithms(&[0, 1, 0, 0]);
    let cut = |b: MessageBuilder| {
        b.attribute(&RequestedTransport::UDP).attribute(&only_md5).attribute(&PasswordAlgorithm::Md5)
    };
    alice.request(&mut world, Method::ALLOCATE, cut).refused(400);
    assert!(matches!(world.events.last(), Some(RelayEvent::AuthRefused { refusal: AuthRefusal::BidDown, .. })));
}

#[test]
fn unknown_user_wrong_password_and_expired_credential_get_the_same_401() {
    let mut world = World::new();
    world.users.push(User {
        name: "old",
        passwords: vec!["wonder"],
        expires: Some(causeway_types::UnixTime::from_secs(START.as_secs() - 1)),
        on_expiry: OnExpiry::GateNew,
        limits: causeway_turn_core::GrantLimits::default(),
    });
    let mut lens = Vec::new();
    for (name, password) in [("mallory", "wonder"), ("alice", "guess"), ("old", "wonder")] {
        let mut client = world.alice();
        (client.name, client.password) = (name, password);
        let reply = client.allocate(&mut world, |b| b).refused(401);
        assert!(reply.has(AttributeType::NONCE) && reply.has(AttributeType::REALM));
        assert!(!reply.has(AttributeType::MESSAGE_INTEGRITY), "nothing is signed with a key the client may not have");
        lens.push(reply.0.len());
    }
    assert!(lens.windows(2).all(|pair| pair[0] == pair[1]), "{lens:?}");
    assert_eq!(world.server.allocation_count(), 0);
}

#[test]
fn a_nonce_older_than_its_lifetime_gets_438_with_a_new_one() {
    let mut settings = config();
    settings.nonce_lifetime = secs(60);
    let mut world = World::with(settings);
    let mut alice = world.allocated();
    let old = alice.nonce.clone().unwrap();
    world.advance(secs(61));
    let reply = alice.request(&mut world, Method::REFRESH, |b| b).refused(438);
    let fresh = reply.message().attribute::<Nonce<'_>>().unwrap().unwrap().0.to_owned();
    assert_ne!(fresh, old);
    assert!(reply.has(AttributeType::REALM));
    alice.nonce = Some(fresh);
    alice.request(&mut world, Method::REFRESH, |b| b).granted();
}

#[test]
fn a_nonce_from_another_address_gets_438() {
    let mut world = World::new();
    let mut alice = world.alice();
    alice.challenge(&mut world);
    alice.leg.five_tuple.client = "203.0.113.99:5000".parse().unwrap();
    alice.allocate(&mut world, |b| b).refused(438);
}

#[test]
fn an_answer_is_signed_the_way_its_request_was() {
    for algorithm in [None, Some(PasswordAlgorithm::Md5), Some(PasswordAlgorithm::Sha256)] {
        let mut world = World::new();
        let mut alice = world.alice();
        alice.algorithm = algorithm;
        let granted = alice.allocate(&mut world, |b| b).granted();
        let refused = alice.permit(&mut world, &["127.0.0.1:1"]).refused(403);
        for reply in [granted, refused] {
            let message = reply.message();
            let (sha1, sha256) =
                (message.verify_integrity_sha1(&alice.key()), message.verify_integrity_sha256(&alice.key()));
            assert_eq!((sha1, sha256), (algorithm.is_none(), algorithm.is_some()), "{algorithm:?}");
        }
    }
}

#[test]
fn a_client_that_chooses_sha256_allocates() {
    let mut world = World::new();
    let mut alice = world.alice();
    alice.algorithm = Some(PasswordAlgorithm::Sha256);
    alice.allocate(&mut world, |b| b).granted();
}

#[test]
fn a_client_that_sends_userhash_allocates() {
    let mut world = World::new();
    let mut alice = world.alice();
    alice.challenge(&mut world);
    let nonce = alice.nonce.clone().unwrap();
    let bytes = MessageBuilder::new(Class::Request, Method::ALLOCATE, world.next_id())
        .attribute(&RequestedTransport::UDP)
        .attribute(&UserHash(key::user_hash("alice", REALM)))
        .attribute(&Realm(REALM))
        .attribute(&Nonce(&nonce))
        .attribute(&PasswordAlgorithms::OFFERED)
        .attribute(&PasswordAlgorithm::Sha256)
        .integrity_sha256(&key::sha256_key("alice", REALM, "wonder"))
        .finish();
    alice.send(&mut world, &bytes).granted();
    assert_eq!(&*world.server.allocations().next().unwrap().username, "alice");
}

#[test]
fn user_hashes_are_asked_for_only_where_names_can_be_found_by_them() {
    for (username_anonymity, announced) in [(true, "obMatJos2wAAA"), (false, "obMatJos2gAAA")] {
        let mut world = World::with(TurnConfig { username_anonymity, ..config() });
        let mut alice = world.alice();
        alice.challenge(&mut world);
        assert!(alice.nonce.as_ref().unwrap().starts_with(announced));
        alice.allocate(&mut world, |b| b).granted();
    }
}

#[test]
fn the_first_of_two_equal_attributes_counts() {
    let mut world = World::new();
    let mut alice = world.alice();
    let reply = alice.allocate(&mut world, |b| b.attribute(&Lifetime(900)).attribute(&Lifetime(3000))).granted();
    assert_eq!(reply.message().attribute::<Lifetime>().unwrap().unwrap().0, 900);
}

#[test]
fn another_user_on_a_live_allocation_gets_437_for_allocate_and_441_for_the_rest() {
    let mut world = World::new();
    let mut alice = world.allocated();
    (alice.name, alice.password) = ("bob", "builder");
    alice.allocate(&mut world, |b| b).refused(437);
    alice.request(&mut world, Method::REFRESH, |b| b.attribute(&Lifetime(0))).refused(441);
    alice.permit(&mut world, &["8.8.8.8:1"]).refused(441);
    alice.bind(&mut world, 0x4000, "8.8.8.8:1").refused(441);
    assert_eq!(world.server.allocation_count(), 1);
}

#[test]
fn an_expired_credential_makes_no_allocation_but_refreshes_a_live_one() {
    let mut world = World::new();
    world.users[0].expires = Some(START.saturating_add(secs(30)));
    let mut alice = world.allocated();
    world.advance(secs(31));
    alice.request(&mut world, Method::REFRESH, |b| b).granted();
    alice.permit(&mut world, &["8.8.8.8:1"]).granted();
    let mut second = world.alice();
    second.leg.five_tuple.client.set_port(6000);
    second.allocate(&mut world, |b| b).refused(401);
}

#[test]
fn a_credential_that_says_terminate_takes_its_allocation_along() {
    let mut world = World::new();
    world.users[0].expires = Some(START.saturating_add(secs(30)));
    world.users[0].on_expiry = OnExpiry::Terminate;
    let mut alice = world.allocated();
    world.advance(secs(29));
    alice.request(&mut world, Method::REFRESH, |b| b).granted();
    world.advance(secs(2));
    assert_eq!(world.server.allocation_count(), 0);
}

#[test]
fn no_answer_promises_more_than_a_credential_that_says_terminate_has_left() {
    let lifetime = |reply: &Reply| reply.message().attribute::<Lifetime>().expect("decodes").expect("a lifetime").0;
    for (on_expiry, first, second, last) in [(OnExpiry::Terminate, 100, 40, 0), (OnExpiry::GateNew, 600, 600, 600)] {
        let mut world = World::new();
        world.users[0].expires = Some(START.saturating_add(secs(100)));
        world.users[0].on_expiry = on_expiry;
        let mut alice = world.alice();
        let request = alice.allocate(&mut world, |b| b).granted();
        assert_eq!(lifetime(&request), first);
        assert!(
            world.events.iter().any(
                |e| matches!(e, RelayEvent::AllocationCreated { lifetime, .. } if *lifetime == secs(first.into()))
            )
        );
        world.advance(secs(60));
        let refresh = |alice: &mut Client, world: &mut World, asked: u32| {
            let reply = alice.request(world, Method::REFRESH, |b| b.attribute(&Lifetime(asked))).granted();
            lifetime(&reply)
        };
        assert_eq!(refresh(&mut alice, &mut world, 600), second);
        assert!(world.events.iter().any(
            |e| matches!(e, RelayEvent::AllocationRefreshed { lifetime, .. } if *lifetime == secs(second.into()))
        ));
        world.advance(std::time::Duration::from_millis(39_500));
        assert_eq!(refresh(&mut alice, &mut world, 600), last, "half a second is no second");
    }
}

#[test]
fn a_credential_that_says_terminate_opens_nothing_in_its_last_second() {
    let mut world = World::new();
    world.users[0].expires = Some(START.saturating_add(secs(100)));
    world.users[0].on_expiry = OnExpiry::Terminate;
    world.advance(std::time::Duration::from_millis(99_500));
    world.alice().allocate(&mut world, |b| b).refused(401);
    world.users[0].on_expiry = OnExpiry::GateNew;
    world.alice().allocate(&mut world, |b| b).granted();
}

#[test]
fn any_of_several_keys_of_a_name_opens() {
    let mut world = World::new();
    world.users[0].passwords = vec!["new", "wonder"];
    world.allocated();
}

#[test]
fn a_stranger_leaves_no_state_behind() {
    let mut world = World::new();
    for n in 0..200_u16 {
        let mut client = world.client("mallory", causeway_types::ClientTransport::Udp, "203.0.113.10:5000");
        client.leg.five_tuple.client.set_port(10_000 + n);
        client.challenge(&mut world).refused(401);
        // Forged: a nonce that was never issued.
        client.nonce = Some("obMatJos2wAAAAAAAAAAAAAAAAAAAAAAAAA".to_owned());
        client.allocate(&mut world, |b| b).refused(438);
    }
    assert_eq!(world.server.poll_timeout(), None, "nothing waits for anything");
    assert_eq!(world.server.allocation_count(), 0);
    let only_challenged = world.others.iter().all(|output| matches!(output, Output::Challenged { .. }));
    assert!(world.opened.is_empty() && only_challenged);
    assert_eq!(world.drops(DropReason::PendingRequests), 0);
}

#[test]
fn a_flood_of_wrong_passwords_runs_out_of_answers_and_of_events() {
    for with_allocation in [false, true] {
        let mut limited = config();
        limited.limits.unauthenticated_replies_burst = 5;
        let mut world = World::with(limited);
        let mut alice = world.alice();
        alice.challenge(&mut world);
        if with_allocation {
            alice.allocate(&mut world, |b| b).granted();
        }
        alice.password = "guess";
        world.sent.clear();
        world.events.clear();
        for _ in 0..50 {
            let bytes = alice.signed(&mut world, Method::REFRESH, |b| b);
            world.feed(alice.leg, &bytes);
        }
        assert_eq!((world.sent.len(), world.events.len()), (4, 4));
        assert_eq!(world.drops(DropReason::UnauthenticatedRate), 46);
    }
}
