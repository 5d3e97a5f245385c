//! Binding and what every message has to pass (RFC 8489 §6.3, RFC 3489 §8.1).

use causeway_stun_codec::{
    AttributeType, Class, Fingerprint, HEADER_LEN, Message, MessageBuilder, Method,
    attributes::{MappedAddress, UnknownAttributes, XorMappedAddress},
};
use causeway_turn_core::{DropReason, Forward};

use crate::world::{World, addr, config};

fn binding(world: &mut World) -> MessageBuilder {
    MessageBuilder::new(Class::Request, Method::BINDING, world.next_id())
}

#[test]
fn a_binding_answer_is_32_bytes_and_carries_the_mapped_address() {
    let mut world = World::new();
    let alice = world.alice();
    let request = binding(&mut world).finish();
    assert_eq!(request.len(), HEADER_LEN);
    let reply = alice.send(&mut world, &request).granted();
    assert_eq!(reply.0.len(), 32);
    let message = reply.message();
    assert_eq!(message.transaction_id(), Message::parse(&request).unwrap().transaction_id());
    assert_eq!(message.attribute::<XorMappedAddress>().unwrap().unwrap().0, alice.leg.five_tuple.client);
}

#[test]
fn the_same_binding_request_gets_the_same_answer() {
    let mut world = World::new();
    let alice = world.alice();
    let request = binding(&mut world).finish();
    let first = alice.send(&mut world, &request);
    assert_eq!(alice.send(&mut world, &request), first);
}

#[test]
fn a_classic_binding_is_answered_with_mapped_address_and_its_own_id() {
    let mut world = World::new();
    let alice = world.alice();
    let mut request = binding(&mut world).finish();
    request[4..20].copy_from_slice(&[0xab; 16]);
    let reply = alice.send(&mut world, &request).granted();
    assert_eq!(reply.0[4..20], [0xab; 16]);
    assert_eq!(reply.message().attribute::<MappedAddress>().unwrap().unwrap().0, alice.leg.five_tuple.client);
    assert!(!reply.has(AttributeType::XOR_MAPPED_ADDRESS));
}

#[test]
fn a_binding_indication_gets_no_answer() {
    let mut world = World::new();
    let alice = world.alice();
    let id = world.next_id();
    alice.send_in_vain(&mut world, &MessageBuilder::new(Class::Indication, Method::BINDING, id).finish());
}

#[test]
fn a_wrong_fingerprint_is_dropped_and_counted() {
    let mut world = World::new();
    let alice = world.alice();
    let mut request = binding(&mut world).fingerprint().finish();
    *request.last_mut().unwrap() ^= 1;
    alice.send_in_vain(&mut world, &request);
    assert_eq!(world.drops(DropReason::BadFingerprint), 1);
}

#[test]
fn an_answer_carries_a_fingerprint_when_its_request_did() {
    let mut world = World::new();
    let alice = world.alice();
    let request = binding(&mut world).fingerprint().finish();
    assert_eq!(alice.send(&mut world, &request).message().fingerprint(), Fingerprint::Valid);
    let request = binding(&mut world).finish();
    assert_eq!(alice.send(&mut world, &request).message().fingerprint(), Fingerprint::Absent);
}

#[test]
fn responses_and_unknown_methods_are_dropped_and_counted() {
    let mut world = World::new();
    let alice = world.alice();
    for (class, method) in [
        (Class::Success, Method::BINDING),
        (Class::Error, Method::ALLOCATE),
        (Class::Indication, Method::DATA),
        (Class::Request, Method::new(0x07f)),
        (Class::Request, Method::SEND),
        // Shared Secret of RFC 3489.
        (Class::Request, Method::new(0x002)),
    ] {
        let before = world.drops(DropReason::UnexpectedMessage);
        let id = world.next_id();
        alice.send_in_vain(&mut world, &MessageBuilder::new(class, method, id).finish());
        assert_eq!(world.drops(DropReason::UnexpectedMessage), before + 1, "{class:?} {method:?}");
    }
}

#[test]
fn garbage_is_dropped_and_counted() {
    let mut world = World::new();
    let alice = world.alice();
    for bytes in [&b""[..], &[0], &[0; 19], &[0x80; 40], &[20; 40], &[0xff; 1500]] {
        assert_eq!(world.feed(alice.leg, bytes), Forward::Nothing);
    }
    assert_eq!(world.drops(DropReason::Malformed), 6);
    assert!(world.sent.is_empty());
}

#[test]
fn an_unknown_required_attribute_gets_420_and_is_named() {
    let mut world = World::new();
    let alice = world.alice();
    let request = binding(&mut world).raw_attribute(AttributeType(0x7abc), &[1, 2, 3]).finish();
    let reply = alice.send(&mut world, &request).refused(420);
    let message = reply.message();
    let raw = message.attributes().find(|raw| raw.typ == AttributeType::UNKNOWN_ATTRIBUTES).unwrap();
    assert_eq!(UnknownAttributes::types(raw.value).collect::<Vec<_>>(), [0x7abc]);
    // Authenticated requests too, signed.
    let mut alice = world.allocated();
    let reply = alice.request(&mut world, Method::REFRESH, |b| b.raw_attribute(AttributeType(0x7abd), &[]));
    assert!(reply.refused(420).message().verify_integrity_sha1(&alice.key()));
}

#[test]
fn an_unknown_optional_attribute_is_ignored() {
    let mut world = World::new();
    let alice = world.alice();
    // CACHE-TIMEOUT of RFC 5780, and one nobody knows.
    let request = binding(&mut world)
        .raw_attribute(AttributeType(0x8027), &[0, 0, 0, 9])
        .raw_attribute(AttributeType(0xfabc), &[1])
        .finish();
    alice.send(&mut world, &request).granted();
}

#[test]
fn unauthenticated_answers_stop_at_the_limit_and_are_counted() {
    let mut settings = config();
    settings.limits.unauthenticated_replies_per_sec = 1;
    settings.limits.unauthenticated_replies_burst = 3;
    let mut world = World::with(settings);
    let alice = world.alice();
    for _ in 0..5 {
        let request = binding(&mut world).finish();
        world.feed(alice.leg, &request);
    }
    assert_eq!(world.sent.len(), 3);
    assert_eq!(world.drops(DropReason::UnauthenticatedRate), 2);
    // Another port of the source shares the budget, another source does not.
    let mut sibling = world.alice();
    sibling.leg.five_tuple.client = addr("203.0.113.10:5001");
    let request = binding(&mut world).finish();
    sibling.send_in_vain(&mut world, &request);
    sibling.leg.five_tuple.client = addr("203.0.113.11:5000");
    sibling.send(&mut world, &request).granted();
}
