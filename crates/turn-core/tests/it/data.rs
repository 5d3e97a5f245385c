//! Data both ways (RFC 8656 §11, §12).

use causeway_stun_codec::{
    AttributeType, Class, Message, MessageBuilder, Method,
    attributes::{Data, Icmp, XorPeerAddress},
};
use causeway_turn_core::{DropReason, Forward, IcmpError, RelayId};

use crate::world::{World, addr, goes_to};

#[test]
fn data_without_allocation_is_dropped_and_counted() {
    let mut world = World::new();
    let alice = world.alice();
    assert_eq!(alice.say(&mut world, "8.8.8.8:1", b"x"), Forward::Nothing);
    assert_eq!(alice.say_on(&mut world, 0x4000, b"x"), Forward::Nothing);
    assert_eq!(world.drops(DropReason::NoAllocation), 2);
    assert!(world.sent.is_empty());
}

#[test]
fn sending_needs_a_permission() {
    let mut world = World::new();
    let mut alice = world.allocated();
    assert_eq!(alice.say(&mut world, "8.8.8.8:1", b"x"), Forward::Nothing);
    assert_eq!(world.drops(DropReason::NoPermission), 1);
    alice.permit(&mut world, &["8.8.8.8:1"]).granted();
    assert!(goes_to(alice.say(&mut world, "8.8.8.8:1", b"x"), "8.8.8.8:1"));
}

#[test]
fn a_send_indication_without_peer_or_data_is_dropped() {
    let mut world = World::new();
    let mut alice = world.allocated();
    alice.permit(&mut world, &["8.8.8.8:1"]).granted();
    let send = |world: &mut World| MessageBuilder::new(Class::Indication, Method::SEND, world.next_id());
    let no_data = send(&mut world).attribute(&XorPeerAddress(addr("8.8.8.8:1"))).finish();
    let no_peer = send(&mut world).attribute(&Data(b"x")).finish();
    for bytes in [no_data, no_peer] {
        alice.send_in_vain(&mut world, &bytes);
    }
    assert_eq!(world.drops(DropReason::BadIndication), 2);
}

#[test]
fn a_send_indication_with_an_unknown_required_attribute_is_dropped() {
    let mut world = World::new();
    let mut alice = world.allocated();
    alice.permit(&mut world, &["8.8.8.8:1"]).granted();
    let bytes = MessageBuilder::new(Class::Indication, Method::SEND, world.next_id())
        .attribute(&XorPeerAddress(addr("8.8.8.8:1")))
        .attribute(&Data(b"x"))
        .raw_attribute(AttributeType(0x7abc), &[])
        .finish();
    alice.send_in_vain(&mut world, &bytes);
    assert_eq!(world.drops(DropReason::BadIndication), 1);
}

#[test]
fn a_send_indication_forwards_its_payload_even_an_empty_one() {
    let mut world = World::new();
    let mut alice = world.allocated();
    alice.permit(&mut world, &["8.8.8.8:1"]).granted();
    for data in [&b""[..], b"x", b"hello", &[9; 1400]] {
        let id = world.next_id();
        let bytes = MessageBuilder::new(Class::Indication, Method::SEND, id)
            .attribute(&XorPeerAddress(addr("8.8.8.8:1")))
            .attribute(&Data(data))
            .finish();
        let Forward::ToPeer { relay, peer, start, len, own_relay_only, .. } = world.feed(alice.leg, &bytes) else {
            panic!("not forwarded");
        };
        assert_eq!((relay, peer, own_relay_only), (RelayId(0), addr("8.8.8.8:1"), false));
        assert_eq!(&bytes[usize::from(start)..][..usize::from(len)], data);
    }
}

#[test]
fn channel_data_on_an_unbound_number_is_dropped() {
    let mut world = World::new();
    let mut alice = world.allocated();
    alice.bind(&mut world, 0x4000, "8.8.8.8:1").granted();
    assert!(goes_to(alice.say_on(&mut world, 0x4000, b"x"), "8.8.8.8:1"));
    assert_eq!(alice.say_on(&mut world, 0x4001, b"x"), Forward::Nothing);
    assert_eq!(world.drops(DropReason::UnboundChannel), 1);
}

#[test]
fn channel_data_with_a_false_length_is_dropped_and_padding_is_ignored() {
    let mut world = World::new();
    let mut alice = world.allocated();
    alice.bind(&mut world, 0x4000, "8.8.8.8:1").granted();
    assert_eq!(world.feed(alice.leg, &[0x40, 0, 0, 5, 1, 2, 3, 4]), Forward::Nothing);
    assert_eq!(world.drops(DropReason::Malformed), 1);
    let forward = world.feed(alice.leg, &[0x40, 0, 0, 5, 1, 2, 3, 4, 5, 0, 0, 0]);
    assert!(matches!(forward, Forward::ToPeer { start: 4, len: 5, .. }));
}

#[test]
fn a_peer_datagram_becomes_a_data_indication_or_channel_data() {
    for peer in ["8.8.8.8:7", "[2606:4700::1111]:7"] {
        for payload in [&b""[..], b"x", b"four", &[7; 1200]] {
            let mut world = World::new();
            let mut alice = world.alice();
            let dual = causeway_stun_codec::attributes::AdditionalAddressFamily(Ok(causeway_types::AddressFamily::V6));
            alice.allocate(&mut world, |b| b.attribute(&dual)).granted();
            let relay = u32::from(peer.starts_with('['));
            alice.permit(&mut world, &[peer]).granted();
            let len = u16::try_from(payload.len()).unwrap();
            let Forward::ToClient { client, prefix, padding } = world.peer_says(relay, peer, len) else {
                panic!("not forwarded")
            };
            assert_eq!(client, alice.leg);
            let bytes = [prefix.as_slice(), payload, &vec![0; usize::from(padding)]].concat();
            let message = Message::parse(&bytes).unwrap();
            assert_eq!((message.class(), message.method()), (Class::Indication, Method::DATA));
            assert_eq!(message.attribute::<XorPeerAddress>().unwrap().unwrap().0, addr(peer));
            assert_eq!(message.attribute::<Data<'_>>().unwrap().unwrap().0, payload);

            alice.bind(&mut world, 0x4000, peer).granted();
            let Forward::ToClient { prefix, padding, .. } = world.peer_says(relay, peer, len) else { panic!() };
            let [l0, l1] = len.to_be_bytes();
            assert_eq!((prefix.as_slice(), padding), (&[0x40, 0, l0, l1][..], 0));
        }
    }
}

#[test]
fn an_icmp_error_of_a_permitted_peer_is_reported_and_of_another_is_not() {
    let mut world = World::new();
    let mut alice = world.allocated();
    alice.permit(&mut world, &["8.8.8.8:1"]).granted();
    let before = world.sent.len();
    let error = IcmpError { icmp_type: 3, icmp_code: 4, error_data: 1400 };
    world.server.handle_icmp(world.now, RelayId(0), addr("8.8.4.4:1"), error);
    world.drain();
    assert_eq!(world.sent.len(), before);
    world.server.handle_icmp(world.now, RelayId(0), addr("8.8.8.8:9"), error);
    world.drain();
    let reply = world.last_reply();
    let message = reply.message();
    assert_eq!((message.class(), message.method()), (Class::Indication, Method::DATA));
    assert_eq!(message.attribute::<XorPeerAddress>().unwrap().unwrap().0, addr("8.8.8.8:9"));
    let told = message.attribute::<Icmp>().unwrap().unwrap();
    assert_eq!((told.icmp_type, told.icmp_code, told.error_data), (3, 4, 1400));
    assert!(!message.has(AttributeType::DATA));
}
