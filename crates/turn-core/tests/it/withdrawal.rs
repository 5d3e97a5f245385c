//! A reload changes the peer policy under live allocations.

use std::sync::Arc;

use causeway_turn_core::{
    ConnectOutcome, Forward, Output,
    peer_policy::{PeerPolicy, PeerPolicyConfig},
};
use causeway_types::RelayEvent;

use crate::world::{World, addr, config, goes_to, secs};

/// Reloads with rules of the test's own.
fn reload(world: &mut World, allow: &[&str], deny: &[&str]) {
    let nets = |texts: &[&str]| texts.iter().map(|text| text.parse().expect("a net")).collect();
    let mut config = config();
    config.peer_policy = Arc::new(PeerPolicy::new(PeerPolicyConfig {
        allow: nets(allow),
        deny: nets(deny),
        ..PeerPolicyConfig::default()
    }));
    world.server.handle_config(world.now, Arc::new(config));
    world.drain();
}

/// What was taken back, and by which rule.
fn withdrawn(world: &World) -> Vec<(String, String)> {
    let told = |event: &RelayEvent| {
        let RelayEvent::PeerWithdrawn { peer, rule, .. } = event else { return None };
        Some((peer.to_string(), rule.to_string()))
    };
    world.events.iter().filter_map(told).collect()
}

#[test]
fn a_peer_denied_by_a_reload_is_cut_off_at_once_and_others_are_not() {
    let mut world = World::new();
    let mut alice = world.allocated();
    alice.permit(&mut world, &["8.8.8.8:1", "9.9.9.9:1"]).granted();
    alice.bind(&mut world, 0x4000, "8.8.8.8:1").granted();
    alice.bind(&mut world, 0x4001, "9.9.9.9:1").granted();
    reload(&mut world, &[], &["8.8.8.0/24"]);
    assert_eq!(alice.say(&mut world, "8.8.8.8:1", b"x"), Forward::Nothing);
    assert_eq!(alice.say_on(&mut world, 0x4000, b"x"), Forward::Nothing);
    assert_eq!(world.peer_says(0, "8.8.8.8:1", 5), Forward::Nothing);
    assert!(goes_to(alice.say(&mut world, "9.9.9.9:1", b"x"), "9.9.9.9:1"));
    assert!(goes_to(alice.say_on(&mut world, 0x4001, b"x"), "9.9.9.9:1"));
    assert_ne!(world.peer_says(0, "9.9.9.9:1", 5), Forward::Nothing);
    let rule = "deny-peer 8.8.8.0/24".to_owned();
    assert_eq!(withdrawn(&world), [("8.8.8.8:0".to_owned(), rule)], "said once, not for its channel too");
    assert_eq!(world.server.stats().peers_withdrawn, 1);
    alice.permit(&mut world, &["8.8.8.8:1"]).refused(403);
    alice.bind(&mut world, 0x4000, "8.8.8.8:1").refused(403);
}

#[test]
fn what_is_allowed_again_has_to_be_asked_for_again() {
    let mut world = World::new();
    let mut alice = world.allocated();
    alice.bind(&mut world, 0x4000, "8.8.8.8:1").granted();
    reload(&mut world, &[], &["8.8.8.8/32"]);
    reload(&mut world, &[], &[]);
    assert_eq!(alice.say_on(&mut world, 0x4000, b"x"), Forward::Nothing);
    alice.bind(&mut world, 0x4002, "8.8.8.8:1").granted();
    assert!(goes_to(alice.say_on(&mut world, 0x4002, b"x"), "8.8.8.8:1"));
}

#[test]
fn a_rule_that_no_longer_allows_takes_back_what_it_allowed() {
    let mut world = World::new();
    reload(&mut world, &["10.0.0.0/8"], &[]);
    let mut alice = world.allocated();
    alice.permit(&mut world, &["10.0.0.1:1"]).granted();
    reload(&mut world, &["10.0.0.0/8", "192.168.0.0/16"], &[]);
    assert!(goes_to(alice.say(&mut world, "10.0.0.1:1", b"x"), "10.0.0.1:1"), "still allowed");
    reload(&mut world, &[], &[]);
    assert_eq!(alice.say(&mut world, "10.0.0.1:1", b"x"), Forward::Nothing);
    assert_eq!(withdrawn(&world), [("10.0.0.1:0".to_owned(), "default: private 10.0.0.0/8".to_owned())]);
}

#[test]
fn a_port_that_became_a_service_of_ours_is_closed_and_the_rest_of_its_host_is_not() {
    let mut world = World::new();
    let mut alice = world.allocated();
    alice.bind(&mut world, 0x4000, "8.8.8.8:5432").granted();
    alice.bind(&mut world, 0x4001, "8.8.8.8:1").granted();
    let mut config = config();
    let own_services = vec![addr("8.8.8.8:5432")];
    config.peer_policy = Arc::new(PeerPolicy::new(PeerPolicyConfig { own_services, ..PeerPolicyConfig::default() }));
    world.server.handle_config(world.now, Arc::new(config));
    world.drain();
    assert_eq!(alice.say_on(&mut world, 0x4000, b"x"), Forward::Nothing);
    assert_eq!(alice.say(&mut world, "8.8.8.8:5432", b"x"), Forward::Nothing, "the permission asks for each port");
    assert!(goes_to(alice.say_on(&mut world, 0x4001, b"x"), "8.8.8.8:1"));
    assert!(goes_to(alice.say(&mut world, "8.8.8.8:1", b"x"), "8.8.8.8:1"));
    assert_eq!(withdrawn(&world), [("8.8.8.8:5432".to_owned(), "always: causeway's own service".to_owned())]);
}

#[test]
fn tcp_connections_to_a_denied_peer_are_closed_and_one_being_made_gets_447() {
    let mut world = World::new();
    let mut alice = world.allocated_tcp();
    alice.connect(&mut world, "8.8.8.8:80");
    let made = world.connecting().expect("is connecting");
    world.connected(made, ConnectOutcome::Connected);
    world.last_reply().granted();
    alice.connect(&mut world, "8.8.8.9:80");
    world.others.clear();
    reload(&mut world, &[], &["8.8.8.0/24"]);
    world.last_reply().refused(447);
    let closed = world.others.iter().filter(|o| matches!(o, Output::ClosePeerConnection { .. })).count();
    assert_eq!(closed, 2);
    assert_eq!(withdrawn(&world).len(), 2);
    world.connected(made, ConnectOutcome::Connected);
    assert!(
        world.others.iter().any(|o| matches!(o, Output::ClosePeerConnection { connection } if *connection == made))
    );
}

#[test]
fn a_reload_with_the_same_policy_changes_nothing() {
    let mut world = World::new();
    let mut alice = world.allocated();
    alice.bind(&mut world, 0x4000, "8.8.8.8:1").granted();
    world.advance(secs(100));
    world.server.handle_config(world.now, Arc::new(config()));
    world.drain();
    assert!(goes_to(alice.say_on(&mut world, 0x4000, b"x"), "8.8.8.8:1"));
    world.advance(secs(201));
    assert_eq!(alice.say_on(&mut world, 0x4000, b"x"), Forward::Nothing, "and lengthens no lifetime");
    assert_eq!(withdrawn(&world), []);
}
