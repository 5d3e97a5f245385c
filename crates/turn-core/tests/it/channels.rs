//! What a shell that relays channels by itself is told, and what it tells back.

use std::{sync::Arc, time::Duration};

use causeway_stun_codec::{Method, attributes::Lifetime};
use causeway_turn_core::{
    AllocationKey, BoundChannels, DropReason, GrantLimits, Relayed,
    peer_policy::{PeerPolicy, PeerPolicyConfig},
};
use causeway_types::{
    AllocationEndReason, LimitName, PayloadDirection, RelayEvent, ScopeId, TrafficCount, TrafficCounters,
};

use crate::world::{Client, World, addr, config, secs};

const PEER: &str = "8.8.8.8:1";

/// Everything that changed, once each.
fn changed(world: &mut World) -> Vec<AllocationKey> {
    let mut keys: Vec<AllocationKey> = std::iter::from_fn(|| world.server.poll_changed_channels()).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// A watched world in which Alice has a channel.
fn bound() -> (World, Client, AllocationKey) {
    let mut world = World::new();
    world.server.watch_channels();
    let mut alice = world.allocated();
    alice.bind(&mut world, 0x4000, PEER).granted();
    let keys = changed(&mut world);
    assert_eq!(keys.len(), 1);
    (world, alice, keys[0])
}

fn channels(world: &World, key: AllocationKey) -> Option<BoundChannels> {
    world.server.bound_channels(world.now, key)
}

/// How long the only channel still carries data.
fn left(world: &World, key: AllocationKey) -> Option<Duration> {
    let channels = channels(world, key)?.channels;
    Some(channels.first()?.until.saturating_duration_since(world.now.mono))
}

fn relayed(from_client: (u64, u64), to_client: (u64, u64)) -> Relayed {
    let count = |(packets, bytes)| TrafficCount { packets, bytes };
    let traffic = TrafficCounters { from_client: count(from_client), to_client: count(to_client) };
    Relayed { traffic, ..Relayed::default() }
}

#[test]
fn a_channel_is_told_with_the_earliest_of_its_deadlines() {
    let (mut world, mut alice, key) = bound();
    let told = channels(&world, key).expect("an allocation");
    assert_eq!((told.client, told.bandwidth), (alice.leg, None));
    assert_eq!((told.channels[0].number, told.channels[0].peer), (0x4000, addr(PEER)));
    // The permission's 300 s, not the channel's 600 s.
    assert_eq!(left(&world, key), Some(secs(300)));
    world.advance(secs(200));
    alice.permit(&mut world, &[PEER]).granted();
    assert_eq!((changed(&mut world), left(&world, key)), (vec![key], Some(secs(300))), "the permission anew");
    world.advance(secs(250));
    alice.permit(&mut world, &[PEER]).granted();
    assert_eq!((changed(&mut world), left(&world, key)), (vec![key], Some(secs(150))), "the channel's own end");
    alice.request(&mut world, Method::REFRESH, |b| b.attribute(&Lifetime(600))).granted();
    alice.bind(&mut world, 0x4000, PEER).granted();
    world.advance(secs(200));
    alice.request(&mut world, Method::REFRESH, |b| b.attribute(&Lifetime(600))).granted();
    alice.permit(&mut world, &[PEER]).granted();
    assert_eq!((changed(&mut world), left(&world, key)), (vec![key], Some(secs(300))));
    world.advance_without_timers(secs(300));
    assert_eq!(left(&world, key), None, "a late timer does not make it longer");
}

#[test]
fn nothing_is_told_to_a_shell_that_does_not_watch() {
    let mut world = World::new();
    let mut alice = world.allocated();
    alice.bind(&mut world, 0x4000, PEER).granted();
    assert_eq!(changed(&mut world), []);
}

#[test]
fn an_allocation_that_ended_has_no_channels_and_is_not_mistaken_for_the_next() {
    let (mut world, mut alice, key) = bound();
    alice.request(&mut world, Method::REFRESH, |b| b.attribute(&Lifetime(0))).granted();
    assert_eq!((changed(&mut world), channels(&world, key)), (vec![key], None));
    alice.allocate(&mut world, |b| b).granted();
    assert_eq!(channels(&world, key), None, "another one in its place");
    assert!(!world.server.count_relayed(world.now, key, &relayed((1, 10), (0, 0))), "counted in the totals only");
    assert_eq!(world.server.stats().from_client, TrafficCount { packets: 1, bytes: 10 });
}

#[test]
fn what_is_taken_back_or_made_narrower_is_told() {
    let (mut world, _, key) = bound();
    let mut narrower = config();
    let deny = vec!["8.8.8.8/32".parse().expect("a net")];
    narrower.peer_policy = Arc::new(PeerPolicy::new(PeerPolicyConfig { deny, ..PeerPolicyConfig::default() }));
    world.server.handle_config(world.now, Arc::new(narrower));
    world.drain();
    assert_eq!((changed(&mut world), left(&world, key)), (vec![key], None), "refused by a reloaded policy");

    let (mut world, _, key) = bound();
    let limits = GrantLimits { bandwidth: Some(5000), ..GrantLimits::default() };
    world.server.limit_user(world.now, "alice", limits);
    world.drain();
    assert_eq!(changed(&mut world), [key]);
    assert_eq!(channels(&world, key).and_then(|told| told.bandwidth), Some(5000));

    let limits = GrantLimits { scope: Some(ScopeId(7)), ..GrantLimits::default() };
    world.server.limit_user(world.now, "alice", limits);
    world.drain();
    assert_eq!((changed(&mut world), left(&world, key)), (vec![key], None), "a scope is judged packet by packet");

    let (mut world, _, key) = bound();
    assert_eq!(world.server.terminate_user(world.now, "alice"), 1);
    world.drain();
    assert_eq!((changed(&mut world), channels(&world, key)), (vec![key], None));
}

#[test]
fn what_the_shell_relayed_counts_like_what_came_through_here() {
    let (mut world, alice, key) = bound();
    assert!(world.server.count_relayed(world.now, key, &relayed((3, 300), (2, 50))));
    world.drain();
    alice.say_on(&mut world, 0x4000, &[0; 100]);
    let view = world.server.allocations().next().expect("an allocation");
    assert_eq!(view.traffic.from_client, TrafficCount { packets: 4, bytes: 400 });
    assert_eq!(view.traffic.to_client, TrafficCount { packets: 2, bytes: 50 });
    // Whole messages: four bytes more each, besides the control messages.
    let control = view.messages.to_client.bytes - (50 + 2 * 4);
    assert!(view.messages.to_client.packets > 2 && control > 0, "{view:?}");
    let first = |event: &&RelayEvent| matches!(event, RelayEvent::FirstData { .. });
    let told: Vec<PayloadDirection> = world
        .events
        .iter()
        .filter(first)
        .filter_map(|event| if let RelayEvent::FirstData { direction, .. } = event { Some(*direction) } else { None })
        .collect();
    assert_eq!(told, [PayloadDirection::FromClient, PayloadDirection::ToClient]);
}

#[test]
fn the_bytes_and_the_bandwidth_of_a_credential_hold_for_both_together() {
    let (mut world, alice, key) = bound();
    world.server.limit_user(world.now, "alice", GrantLimits { bandwidth: Some(1000), ..GrantLimits::default() });
    world.drain();
    world.server.count_relayed(world.now, key, &relayed((100, 1_000_000), (0, 0)));
    world.drain();
    alice.say_on(&mut world, 0x4000, &[0; 10]);
    assert_eq!(world.drops(DropReason::BandwidthFromClient), 1, "the bucket is in debt");
    let over = Relayed { over_from_client: 3, over_to_client: 4, ..Relayed::default() };
    world.server.count_relayed(world.now, key, &over);
    world.drain();
    let drops = (world.drops(DropReason::BandwidthFromClient), world.drops(DropReason::BandwidthToClient));
    assert_eq!(drops, (4, 4));

    let (mut world, _, key) = bound();
    world.server.limit_user(world.now, "alice", GrantLimits { bytes_max: Some(1000), ..GrantLimits::default() });
    world.drain();
    assert!(world.server.count_relayed(world.now, key, &relayed((1, 600), (1, 400))));
    world.drain();
    assert_eq!(world.server.allocation_count(), 1, "at it");
    world.server.count_relayed(world.now, key, &relayed((0, 0), (1, 1)));
    world.drain();
    assert_eq!(world.server.allocation_count(), 0, "one past it");
    let ended = |event: &&RelayEvent| {
        matches!(event, RelayEvent::AllocationEnded { reason: AllocationEndReason::QuotaReached, traffic, .. }
            if traffic.from_client.bytes + traffic.to_client.bytes == 1001)
    };
    assert_eq!(world.events.iter().filter(ended).count(), 1);
    let reached =
        |event: &&RelayEvent| matches!(event, RelayEvent::LimitReached { limit: LimitName::BytesPerCredential, .. });
    assert_eq!(world.events.iter().filter(reached).count(), 1);
}
