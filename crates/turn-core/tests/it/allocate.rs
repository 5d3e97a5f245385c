//! Allocate (RFC 8656 §7, RFC 6156).

use causeway_stun_codec::{
    AttributeType, Message, MessageBuilder, Method,
    attributes::{
        AdditionalAddressFamily, AddressErrorCode, AlternateServer, EvenPort, Lifetime, RequestedAddressFamily,
        RequestedTransport, ReservationToken, XorMappedAddress,
    },
};
use causeway_turn_core::{Admission, OpenRelayError, Output, PortChoice, RelayFamilies};
use causeway_types::{AddressFamily, LimitName, RelayEvent};

use crate::world::{World, addr, config, secs};

const V4: AddressFamily = AddressFamily::V4;
const V6: AddressFamily = AddressFamily::V6;

fn lifetime(message: &Message<'_>) -> u32 {
    message.attribute::<Lifetime>().expect("well formed").expect("a lifetime").0
}

#[test]
fn a_granted_allocation_names_relay_mapped_address_and_lifetime() {
    let mut world = World::new();
    let mut alice = world.alice();
    let reply = alice.allocate(&mut world, |b| b).granted();
    assert_eq!(reply.relays().len(), 1);
    assert_eq!(lifetime(&reply.message()), 600);
    let mapped = reply.message().attribute::<XorMappedAddress>().unwrap().unwrap().0;
    assert_eq!(mapped, alice.leg.five_tuple.client);
    assert!(!reply.has(AttributeType::RESERVATION_TOKEN));
    assert!(reply.message().verify_integrity_sha1(&alice.key()));
}

#[test]
fn a_second_allocate_gets_437_and_a_retransmission_the_same_answer() {
    let mut world = World::new();
    let mut alice = world.alice();
    let request = alice.signed(&mut world, Method::ALLOCATE, |b| b.attribute(&RequestedTransport::UDP));
    let first = alice.send(&mut world, &request).granted();
    assert_eq!(alice.send(&mut world, &request), first);
    alice.allocate(&mut world, |b| b).refused(437);
    assert_eq!(world.server.allocation_count(), 1);
}

#[test]
fn allocate_without_transport_gets_400_and_with_an_unknown_one_442() {
    let mut world = World::new();
    let mut alice = world.alice();
    alice.request(&mut world, Method::ALLOCATE, |b| b).refused(400);
    alice.request(&mut world, Method::ALLOCATE, |b| b.attribute(&RequestedTransport(132))).refused(442);
}

#[test]
fn contradicting_allocate_attributes_get_400() {
    let token = ReservationToken([5; 8]);
    let requested = RequestedAddressFamily(Ok(V4));
    let additional = AdditionalAddressFamily(Ok(V6));
    type More = Box<dyn Fn(MessageBuilder) -> MessageBuilder>;
    let cases: [(&str, More); 6] = [
        ("token, even port", Box::new(move |b| b.attribute(&token).attribute(&EvenPort { reserve_next: false }))),
        ("token, family", Box::new(move |b| b.attribute(&token).attribute(&requested))),
        ("token, additional family", Box::new(move |b| b.attribute(&token).attribute(&additional))),
        ("family, additional family", Box::new(move |b| b.attribute(&requested).attribute(&additional))),
        (
            "additional, reserve",
            Box::new(move |b| b.attribute(&additional).attribute(&EvenPort { reserve_next: true })),
        ),
        ("additional IPv4", Box::new(|b| b.attribute(&AdditionalAddressFamily(Ok(V4))))),
    ];
    for (name, more) in cases {
        let mut world = World::new();
        let mut alice = world.alice();
        assert_eq!(alice.allocate(&mut world, more).code(), Some(400), "{name}");
        assert!(world.opened.is_empty(), "{name}");
    }
}

#[test]
fn a_family_without_relay_address_gets_440() {
    let mut settings = config();
    settings.relay_families = RelayFamilies { v4: true, v6: false };
    let mut world = World::with(settings);
    let mut alice = world.alice();
    alice.allocate(&mut world, |b| b.attribute(&RequestedAddressFamily(Ok(V6)))).refused(440);
    alice.allocate(&mut world, |b| b.attribute(&RequestedAddressFamily(Err(9)))).refused(440);
    alice.allocate(&mut world, |b| b).granted();
}

#[test]
fn without_a_family_attribute_the_relay_is_ipv4() {
    let mut world = World::new();
    let mut alice = world.alice();
    assert!(alice.allocate(&mut world, |b| b).granted().relays()[0].is_ipv4());
}

#[test]
fn an_ipv6_relay_is_given_on_request() {
    let mut world = World::new();
    let mut alice = world.alice();
    let reply = alice.allocate(&mut world, |b| b.attribute(&RequestedAddressFamily(Ok(V6)))).granted();
    assert!(reply.relays().len() == 1 && reply.relays()[0].is_ipv6());
}

#[test]
fn a_dual_allocation_has_both_families() {
    let mut world = World::new();
    let mut alice = world.alice();
    let reply = alice.allocate(&mut world, |b| b.attribute(&AdditionalAddressFamily(Ok(V6)))).granted();
    let families: Vec<bool> = reply.relays().iter().map(std::net::SocketAddr::is_ipv4).collect();
    assert_eq!(families, [true, false]);
    assert!(!reply.has(AttributeType::ADDRESS_ERROR_CODE));
}

#[test]
fn a_dual_allocation_may_be_asked_for_under_the_drafts_number() {
    // As turnutils_uclient -Z does, with an even port and the next one reserved as well.
    let mut world = World::new();
    let mut alice = world.alice();
    let draft = |b: MessageBuilder| b.raw_attribute(AttributeType::DRAFT_ADDITIONAL_ADDRESS_FAMILY, &[2, 0, 0, 0]);
    let reply = alice.allocate(&mut world, |b| draft(b).attribute(&EvenPort { reserve_next: true })).granted();
    assert_eq!(reply.relays().len(), 2);
    assert!(reply.has(AttributeType::RESERVATION_TOKEN));
}

#[test]
fn half_of_a_dual_allocation_comes_with_an_address_error_code() {
    for (missing, family, error, code) in [(0, V4, OpenRelayError::NoPort, 508), (1, V6, OpenRelayError::NoFamily, 440)]
    {
        let mut world = World::new();
        world.relay_errors = vec![None, None];
        world.relay_errors[missing] = Some(error);
        let mut alice = world.alice();
        let both = AdditionalAddressFamily(Ok(V6));
        let bytes =
            alice.signed(&mut world, Method::ALLOCATE, |b| b.attribute(&RequestedTransport::UDP).attribute(&both));
        let reply = alice.send(&mut world, &bytes).granted();
        assert_eq!(alice.send(&mut world, &bytes), reply, "a retransmission is told the same");
        assert_eq!(reply.relays().len(), 1);
        let told = reply.message().attribute::<AddressErrorCode<'_>>().unwrap().unwrap();
        assert_eq!((told.family, told.code), (family, code));
    }
}

#[test]
fn a_dual_allocation_without_any_socket_gets_508() {
    let mut world = World::new();
    world.relay_errors = vec![Some(OpenRelayError::NoPort), Some(OpenRelayError::NoPort)];
    let mut alice = world.alice();
    alice.allocate(&mut world, |b| b.attribute(&AdditionalAddressFamily(Ok(V6)))).refused(508);
    assert!(world.others.iter().any(|o| matches!(o, Output::ReleaseAdmission { .. })), "the place is given back");
    assert!(world.events.iter().any(|e| matches!(e, RelayEvent::LimitReached { limit: LimitName::RelayPorts, .. })));
}

#[test]
fn an_even_port_is_asked_for_and_a_reservation_named() {
    let mut world = World::new();
    let mut alice = world.alice();
    let reply = alice.allocate(&mut world, |b| b.attribute(&EvenPort { reserve_next: true })).granted();
    let token = reply.message().attribute::<ReservationToken>().unwrap().unwrap();
    assert!(matches!(world.opened[0].ports, PortChoice::EvenAndReserveNext(t) if t.0 == token.0));
    let mut second = world.alice();
    second.leg.five_tuple.client.set_port(6000);
    second.allocate(&mut world, |b| b.attribute(&token)).granted();
    assert!(matches!(world.opened[1].ports, PortChoice::Reserved(t) if t.0 == token.0));
}

#[test]
fn a_reservation_is_kept_for_30_seconds() {
    let mut world = World::new();
    let mut alice = world.alice();
    alice.allocate(&mut world, |b| b.attribute(&EvenPort { reserve_next: true })).granted();
    world.advance(secs(29));
    assert!(!world.others.iter().any(|o| matches!(o, Output::DropReservation { .. })));
    world.advance(secs(1));
    assert!(world.others.iter().any(|o| matches!(o, Output::DropReservation { .. })));
}

#[test]
fn both_quotas_answer_486_and_open_no_socket() {
    for (admission, limit) in
        [(Admission::UserQuota, LimitName::AllocationsPerUser), (Admission::TotalQuota, LimitName::Allocations)]
    {
        let mut world = World::new();
        world.admission = admission;
        let mut alice = world.alice();
        alice.allocate(&mut world, |b| b).refused(486);
        assert!(world.opened.is_empty());
        assert!(world.events.iter().any(|e| matches!(e, RelayEvent::LimitReached { limit: l, .. } if *l == limit)));
    }
}

#[test]
fn relay_ports_are_searched_from_a_random_point() {
    let mut world = World::new();
    for n in 0..8_u16 {
        let mut client = world.alice();
        client.leg.five_tuple.client.set_port(7000 + n);
        client.allocate(&mut world, |b| b).granted();
    }
    let mut points: Vec<u64> = world.opened.iter().map(|o| o.entropy % 16_384).collect();
    points.sort_unstable();
    points.dedup();
    assert_eq!(points.len(), 8, "eight requests, eight places to begin");
}

#[test]
fn the_granted_lifetime_lies_between_default_and_maximum() {
    for (asked, granted) in [(1, 600), (600, 600), (601, 601), (3600, 3600), (3601, 3600), (u32::MAX, 3600)] {
        let mut world = World::new();
        let mut alice = world.alice();
        let reply = alice.allocate(&mut world, |b| b.attribute(&Lifetime(asked))).granted();
        assert_eq!(lifetime(&reply.message()), granted, "{asked}");
    }
}

#[test]
fn new_allocations_are_sent_to_the_alternate_server_of_the_clients_family() {
    let mut settings = config();
    settings.alternate_servers = vec![addr("[2606:4700::2]:3478"), addr("198.51.100.99:3478")];
    let mut world = World::with(settings);
    let mut alice = world.alice();
    let reply = alice.allocate(&mut world, |b| b).refused(300);
    let server = reply.message().attribute::<AlternateServer>().unwrap().unwrap().0;
    assert_eq!(server, addr("198.51.100.99:3478"));
}

#[test]
fn a_draining_server_refuses_new_allocations_and_keeps_live_ones() {
    let mut world = World::new();
    let mut alice = world.allocated();
    let mut settings = config();
    settings.draining = true;
    world.server.handle_config(world.now, std::sync::Arc::new(settings));
    alice.request(&mut world, Method::REFRESH, |b| b).granted();
    let mut second = world.alice();
    second.leg.five_tuple.client.set_port(6000);
    second.allocate(&mut world, |b| b).refused(486);
}

#[test]
fn an_allocation_ends_with_its_clients_connection() {
    for transport in [causeway_types::ClientTransport::Tcp, causeway_types::ClientTransport::Dtls] {
        let mut world = World::new();
        let mut alice = world.client("alice", transport, "203.0.113.10:5000");
        alice.allocate(&mut world, |b| b).granted();
        world.server.handle_client_closed(world.now, alice.leg);
        world.drain();
        assert_eq!(world.server.allocation_count(), 0);
        assert!(world.others.iter().any(|o| matches!(o, Output::CloseRelay { .. })));
    }
}

#[test]
fn two_allocates_under_way_on_one_five_tuple_leave_one_allocation() {
    let mut world = World::new();
    let mut alice = world.alice();
    let first = alice.signed(&mut world, Method::ALLOCATE, |b| b.attribute(&RequestedTransport::UDP));
    let second = alice.signed(&mut world, Method::ALLOCATE, |b| b.attribute(&RequestedTransport::UDP));
    // A shell that answers late: both requests are admitted before either has its socket.
    world.late = true;
    for bytes in [&first, &second] {
        world.feed(alice.leg, bytes);
    }
    world.answer_late_questions();
    assert_eq!(world.server.allocation_count(), 1);
    let codes: Vec<Option<u16>> = std::iter::repeat_with(|| world.sent.pop())
        .map_while(|sent| sent.map(|sent| crate::world::Reply(sent.bytes).code()))
        .take(2)
        .collect();
    assert_eq!(codes, [Some(437), None]);
    let given_back = world.others.iter().filter(|o| matches!(o, Output::ReleaseAdmission { .. })).count();
    let closed = world.others.iter().filter(|o| matches!(o, Output::CloseRelay { .. })).count();
    assert_eq!((given_back, closed), (1, 1));
}

#[test]
fn a_port_reserved_for_an_allocate_that_fails_is_not_kept() {
    let mut world = World::new();
    let mut alice = world.alice();
    alice.challenge(&mut world);
    world.late = true;
    let even = EvenPort { reserve_next: true };
    let bytes = alice.signed(&mut world, Method::ALLOCATE, |b| b.attribute(&RequestedTransport::UDP).attribute(&even));
    alice.send_in_vain(&mut world, &bytes);
    for _ in 0..2 {
        world.answer_next_question();
    }
    let PortChoice::EvenAndReserveNext(token) = world.opened[0].ports else { panic!("no reservation asked for") };
    world.server.handle_client_closed(world.now, alice.leg);
    world.drain();
    assert!(world.others.iter().any(|o| matches!(o, Output::DropReservation { token: t } if *t == token)));
    assert!(world.others.iter().any(|o| matches!(o, Output::ReleaseAdmission { .. })));
    world.answer_next_question();
    assert!(world.others.iter().any(|o| matches!(o, Output::CloseRelay { .. })), "the late socket is closed");
}

#[test]
fn a_port_reserved_too_late_is_given_back_when_it_comes() {
    let mut world = World::new();
    let mut alice = world.alice();
    alice.challenge(&mut world);
    world.late = true;
    let even = EvenPort { reserve_next: true };
    let bytes = alice.signed(&mut world, Method::ALLOCATE, |b| b.attribute(&RequestedTransport::UDP).attribute(&even));
    alice.send_in_vain(&mut world, &bytes);
    for _ in 0..2 {
        world.answer_next_question();
    }
    let PortChoice::EvenAndReserveNext(token) = world.opened[0].ports else { panic!("no reservation asked for") };
    // Nobody waits for the sockets any more; only now does the shell open them, and set the next port aside.
    world.advance(secs(11));
    world.others.clear();
    world.answer_next_question();
    assert!(world.others.iter().any(|o| matches!(o, Output::CloseRelay { .. })));
    assert!(world.others.iter().any(|o| matches!(o, Output::DropReservation { token: t } if *t == token)));
}

#[test]
fn no_token_is_told_when_the_port_beside_it_was_not_to_be_had() {
    // As turnutils_uclient -Z asks, with IPv4 ports used up: IPv6 is granted, and nothing is set aside.
    let mut world = World::new();
    world.relay_errors = vec![Some(OpenRelayError::NoPort)];
    let mut alice = world.alice();
    let draft = |b: MessageBuilder| b.raw_attribute(AttributeType::DRAFT_ADDITIONAL_ADDRESS_FAMILY, &[2, 0, 0, 0]);
    let reply = alice.allocate(&mut world, |b| draft(b).attribute(&EvenPort { reserve_next: true })).granted();
    assert_eq!(reply.relays().len(), 1);
    assert!(!reply.has(AttributeType::RESERVATION_TOKEN));
}
