//! CreatePermission, ChannelBind and the peer policy on every path (RFC 8656 §9, §10, §12.2, §21.2).

use causeway_stun_codec::{
    AttributeType, Method,
    attributes::{ChannelNumber, XorPeerAddress},
};
use causeway_turn_core::{DropReason, Forward};
use causeway_types::{LimitName, RelayEvent};

use crate::world::{World, addr, goes_to, secs};

/// Addresses nobody should reach through a relay, in several dresses.
const FORBIDDEN: &[&str] = &[
    "169.254.169.254",
    "127.0.0.1",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "100.100.100.200",
    "168.63.129.16",
    "0.0.0.0",
    "224.0.0.1",
    "255.255.255.255",
    "198.51.100.8",
    "::1",
    "::",
    "fe80::1",
    "fd00:ec2::254",
    "ff02::1",
    "::ffff:169.254.169.254",
    "::ffff:127.0.0.1",
    "::169.254.169.254",
    "::ffff:0:a9fe:a9fe",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::a9fe:a9fe",
    "2002:a9fe:a9fe::1",
    "2001:0:4136:e378:8000:63bf:5601:5601",
];

#[test]
fn a_permission_counts_for_every_port_of_its_ip_and_no_other_ip() {
    let mut world = World::new();
    let mut alice = world.allocated();
    alice.permit(&mut world, &["8.8.8.8:1"]).granted();
    for port in ["1", "2", "65535"] {
        let peer = format!("8.8.8.8:{port}");
        assert!(goes_to(alice.say(&mut world, &peer, b"x"), &peer));
        assert_ne!(world.peer_says(0, &peer, 5), Forward::Nothing);
    }
    assert_eq!(alice.say(&mut world, "8.8.8.9:1", b"x"), Forward::Nothing);
    assert_eq!(world.peer_says(0, "8.8.8.9:1", 5), Forward::Nothing);
    assert_eq!(world.drops(DropReason::NoPermission), 2);
}

#[test]
fn a_permission_lasts_300_seconds_and_restarts() {
    let mut world = World::new();
    let mut alice = world.allocated();
    let request =
        alice.signed(&mut world, Method::CREATE_PERMISSION, |b| b.attribute(&XorPeerAddress(addr("8.8.8.8:1"))));
    alice.send(&mut world, &request).granted();
    world.advance(secs(200));
    // The same bytes again, as a retransmission would be.
    alice.send(&mut world, &request).granted();
    world.advance_without_timers(secs(299));
    assert!(goes_to(alice.say(&mut world, "8.8.8.8:1", b"x"), "8.8.8.8:1"));
    world.advance_without_timers(secs(1));
    assert_eq!(alice.say(&mut world, "8.8.8.8:1", b"x"), Forward::Nothing);
    assert_eq!(world.peer_says(0, "8.8.8.8:1", 5), Forward::Nothing);
}

#[test]
fn a_new_allocation_hears_nobody() {
    let mut world = World::new();
    world.allocated();
    assert_eq!(world.peer_says(0, "8.8.8.8:1", 5), Forward::Nothing);
    assert_eq!(world.drops(DropReason::NoPermission), 1);
}

#[test]
fn create_permission_without_or_with_a_malformed_peer_gets_400() {
    let mut world = World::new();
    let mut alice = world.allocated();
    alice.permit(&mut world, &[]).refused(400);
    let malformed = |b: causeway_stun_codec::MessageBuilder| {
        b.attribute(&XorPeerAddress(addr("8.8.8.8:1"))).raw_attribute(AttributeType::XOR_PEER_ADDRESS, &[0, 1, 2])
    };
    alice.request(&mut world, Method::CREATE_PERMISSION, malformed).refused(400);
    assert_eq!(alice.say(&mut world, "8.8.8.8:1", b"x"), Forward::Nothing, "the good one was not installed either");
}

#[test]
fn a_peer_of_the_other_family_gets_443() {
    let mut world = World::new();
    let mut alice = world.allocated();
    alice.permit(&mut world, &["[2606:4700::1111]:1"]).refused(443);
    alice.bind(&mut world, 0x4000, "[2606:4700::1111]:1").refused(443);
}

#[test]
fn one_refused_peer_among_good_ones_refuses_all() {
    let mut world = World::new();
    let mut alice = world.allocated();
    alice.permit(&mut world, &["8.8.8.8:1", "169.254.169.254:80", "8.8.4.4:1"]).refused(403);
    assert_eq!(alice.say(&mut world, "8.8.8.8:1", b"x"), Forward::Nothing);
    let Some(RelayEvent::PeerRefused { peer, rule, .. }) = world.events.last() else { panic!("no event") };
    assert_eq!(*peer, addr("169.254.169.254:80"));
    assert_eq!(&**rule, "default: link-local (cloud metadata) 169.254.0.0/16");
}

#[test]
fn the_last_permission_fits_and_one_more_gets_508() {
    let mut world = World::new();
    let mut alice = world.allocated();
    alice.permit(&mut world, &["8.8.8.1:1", "8.8.8.2:1", "8.8.8.3:1"]).granted();
    alice.permit(&mut world, &["8.8.8.4:1", "8.8.8.5:1"]).refused(508);
    alice.permit(&mut world, &["8.8.8.4:1", "8.8.8.1:9"]).granted();
    alice.permit(&mut world, &["8.8.8.5:1"]).refused(508);
    alice.bind(&mut world, 0x4000, "8.8.8.5:1").refused(508);
    alice.permit(&mut world, &["8.8.8.2:1"]).granted();
    assert!(
        world
            .events
            .iter()
            .any(|e| matches!(e, RelayEvent::LimitReached { limit: LimitName::PermissionsPerAllocation, .. }))
    );
    // What expired makes room.
    world.advance(secs(301));
    alice.permit(&mut world, &["8.8.8.5:1"]).granted();
}

#[test]
fn the_last_channel_fits_and_one_more_gets_508() {
    let mut world = World::new();
    let mut alice = world.allocated();
    for (number, peer) in [(0x4000, "8.8.8.8:1"), (0x4001, "8.8.8.8:2"), (0x4002, "8.8.8.8:3")] {
        alice.bind(&mut world, number, peer).granted();
    }
    alice.bind(&mut world, 0x4003, "8.8.8.8:4").refused(508);
    alice.bind(&mut world, 0x4002, "8.8.8.8:3").granted();
}

#[test]
fn channel_numbers_outside_the_range_get_400() {
    let mut world = World::new();
    let mut alice = world.allocated();
    for number in [0, 0x3fff, 0x8000, 0xffff] {
        alice.bind(&mut world, number, "8.8.8.8:1").refused(400);
    }
    alice.bind(&mut world, 0x4000, "8.8.8.8:1").granted();
    alice.bind(&mut world, 0x7fff, "8.8.8.8:2").granted();
}

#[test]
fn channel_bind_without_number_or_peer_gets_400() {
    let mut world = World::new();
    let mut alice = world.allocated();
    alice.request(&mut world, Method::CHANNEL_BIND, |b| b.attribute(&ChannelNumber(0x4000))).refused(400);
    alice.request(&mut world, Method::CHANNEL_BIND, |b| b.attribute(&XorPeerAddress(addr("8.8.8.8:1")))).refused(400);
}

#[test]
fn a_channel_number_and_a_peer_belong_together() {
    let mut world = World::new();
    let mut alice = world.allocated();
    alice.bind(&mut world, 0x4000, "8.8.8.8:1").granted();
    alice.bind(&mut world, 0x4000, "8.8.8.8:2").refused(400);
    alice.bind(&mut world, 0x4001, "8.8.8.8:1").refused(400);
    alice.bind(&mut world, 0x4000, "8.8.8.8:1").granted();
    // Once it has run out, the number is free.
    world.advance(secs(400));
    alice.request(&mut world, Method::REFRESH, |b| b).granted();
    world.advance(secs(201));
    alice.bind(&mut world, 0x4001, "8.8.8.8:1").granted();
    alice.bind(&mut world, 0x4000, "8.8.8.8:2").granted();
}

#[test]
fn a_channel_lasts_600_seconds_but_needs_its_permission() {
    let mut world = World::new();
    let mut alice = world.allocated();
    alice.bind(&mut world, 0x4000, "8.8.8.8:1").granted();
    assert!(goes_to(alice.say(&mut world, "8.8.8.8:7", b"x"), "8.8.8.8:7"), "ChannelBind installs the permission");
    world.advance_without_timers(secs(300));
    assert_eq!(alice.say_on(&mut world, 0x4000, b"x"), Forward::Nothing, "the permission is over");
    alice.permit(&mut world, &["8.8.8.8:9"]).granted();
    assert!(goes_to(alice.say_on(&mut world, 0x4000, b"x"), "8.8.8.8:1"));
    alice.request(&mut world, Method::REFRESH, |b| b).granted();
    world.advance_without_timers(secs(299));
    assert!(goes_to(alice.say_on(&mut world, 0x4000, b"x"), "8.8.8.8:1"));
    alice.permit(&mut world, &["8.8.8.8:9"]).granted();
    world.advance_without_timers(secs(1));
    assert_eq!(alice.say_on(&mut world, 0x4000, b"x"), Forward::Nothing, "600 seconds are over");
    assert_eq!(world.drops(DropReason::UnboundChannel), 2);
}

#[test]
fn no_forbidden_address_is_reached_on_any_path() {
    for ip in FORBIDDEN {
        let v6 = ip.contains(':');
        let peer = if v6 { format!("[{ip}]:80") } else { format!("{ip}:80") };
        let mut world = World::new();
        let mut alice = world.alice();
        let family = if v6 { causeway_types::AddressFamily::V6 } else { causeway_types::AddressFamily::V4 };
        alice
            .allocate(&mut world, |b| b.attribute(&causeway_stun_codec::attributes::RequestedAddressFamily(Ok(family))))
            .granted();
        alice.permit(&mut world, &[&peer]).refused(403);
        alice.bind(&mut world, 0x4000, &peer).refused(403);
        assert_eq!(alice.say(&mut world, &peer, b"x"), Forward::Nothing, "{peer}");
        assert_eq!(alice.say_on(&mut world, 0x4000, b"x"), Forward::Nothing, "{peer}");
        assert_eq!(world.peer_says(0, &peer, 10), Forward::Nothing, "{peer}");
    }
}

#[test]
fn our_own_relayed_address_is_reached_inside_the_process_only() {
    let mut world = World::new();
    let mut alice = world.allocated();
    alice.permit(&mut world, &["198.51.100.7:50001"]).granted();
    for port in [50001, 22, 80] {
        let forward = alice.say(&mut world, &format!("198.51.100.7:{port}"), b"x");
        assert!(matches!(forward, Forward::ToPeer { own_relay_only: true, .. }), "{port}: {forward:?}");
    }
    alice.bind(&mut world, 0x4000, "198.51.100.7:22").refused(403);
    alice.bind(&mut world, 0x4000, "198.51.100.7:3478").refused(403);
    alice.bind(&mut world, 0x4000, "198.51.100.7:50001").granted();
    assert!(matches!(alice.say_on(&mut world, 0x4000, b"x"), Forward::ToPeer { own_relay_only: true, .. }));
}
