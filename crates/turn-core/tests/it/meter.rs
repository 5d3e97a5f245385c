//! What is counted, to the byte, and what is told of it.

use std::time::Duration;

use causeway_stun_codec::{
    Class, MessageBuilder, Method,
    attributes::{Lifetime, MobilityTicket, RequestedTransport},
    channel_data,
};
use causeway_turn_core::{ConnectOutcome, Forward, Output, RelayId, StreamDirection};
use causeway_types::{AllocationEndReason, RelayEvent, TrafficCount, TrafficCounters};

use crate::world::{Client, World, addr, secs};

const fn count(packets: u64, bytes: u64) -> TrafficCount {
    TrafficCount { packets, bytes }
}

fn messages(world: &World) -> TrafficCounters {
    world.server.allocations().next().expect("an allocation").messages
}

/// Sends a signed request; its length and its answer's.
fn exchange(
    world: &mut World,
    client: &mut Client,
    method: Method,
    more: impl FnOnce(MessageBuilder) -> MessageBuilder,
) -> (u64, u64) {
    let bytes = client.signed(world, method, more);
    let reply = client.send(world, &bytes);
    (bytes.len() as u64, reply.0.len() as u64)
}

fn reports(world: &World) -> Vec<u64> {
    let sum = |c: &TrafficCounters| c.from_client.packets + c.to_client.packets;
    let report = |event: &RelayEvent| {
        let RelayEvent::TrafficCounted { traffic, messages, .. } = event else { return None };
        Some(sum(traffic) + sum(messages))
    };
    world.events.iter().filter_map(report).collect()
}

#[test]
fn the_granted_allocate_its_answer_and_later_control_messages_are_counted_and_the_challenge_is_not() {
    let mut world = World::new();
    let mut alice = world.alice();
    let udp = |b: MessageBuilder| b.attribute(&RequestedTransport::UDP);
    let (mut sent, mut got) = exchange(&mut world, &mut alice, Method::ALLOCATE, udp);
    assert_eq!(messages(&world), TrafficCounters { from_client: count(1, sent), to_client: count(1, got) });

    // A refused request counts, and so does one with a wrong key.
    let (more_sent, more_got) = exchange(&mut world, &mut alice, Method::CREATE_PERMISSION, |b| b);
    (sent, got) = (sent + more_sent, got + more_got);
    let mut liar = Client { password: "wrong", ..alice.clone() };
    let (more_sent, more_got) = exchange(&mut world, &mut liar, Method::REFRESH, |b| b);
    (sent, got) = (sent + more_sent, got + more_got);
    let binding = MessageBuilder::new(Class::Request, Method::BINDING, world.next_id()).finish();
    let answer = alice.send(&mut world, &binding);
    (sent, got) = (sent + binding.len() as u64, got + answer.0.len() as u64);
    let keep_alive = MessageBuilder::new(Class::Indication, Method::BINDING, world.next_id()).finish();
    alice.send_in_vain(&mut world, &keep_alive);
    assert_eq!(messages(&world), TrafficCounters { from_client: count(5, sent + 20), to_client: count(4, got) });

    let (last_sent, last_got) = exchange(&mut world, &mut alice, Method::REFRESH, |b| b.attribute(&Lifetime(0)));
    let Some(RelayEvent::AllocationEnded { traffic, messages, .. }) = world.events.last() else { panic!() };
    assert_eq!(*traffic, TrafficCounters::default());
    let (from_client, to_client) = (count(6, sent + 20 + last_sent), count(5, got + last_got));
    assert_eq!(*messages, TrafficCounters { from_client, to_client });
}

#[test]
fn channel_data_counts_with_header_and_what_pads_it_on_a_stream() {
    for (over_tcp, message) in [(false, 105), (true, 108)] {
        let mut world = World::new();
        let mut alice = if over_tcp { world.alice_tcp() } else { world.alice() };
        alice.allocate(&mut world, |b| b).granted();
        alice.bind(&mut world, 0x4000, "8.8.8.8:1").granted();
        let before = messages(&world);
        for _ in 0..3 {
            assert!(matches!(alice.say_on(&mut world, 0x4000, &[1; 101]), Forward::ToPeer { .. }));
        }
        assert!(matches!(world.peer_says(0, "8.8.8.8:1", 101), Forward::ToClient { .. }));
        let after = messages(&world);
        assert_eq!(after.from_client.packets - before.from_client.packets, 3);
        assert_eq!(after.from_client.bytes - before.from_client.bytes, 3 * message);
        assert_eq!(after.to_client.packets - before.to_client.packets, 1);
        assert_eq!(after.to_client.bytes - before.to_client.bytes, message);
        let traffic = world.server.allocations().next().unwrap().traffic;
        assert_eq!(traffic, TrafficCounters { from_client: count(3, 303), to_client: count(1, 101) });
    }
}

#[test]
fn indications_count_whole_and_what_is_dropped_counts_as_received() {
    let mut world = World::new();
    let mut alice = world.allocated();
    alice.permit(&mut world, &["8.8.8.8:1"]).granted();
    let before = messages(&world);
    // Header 20, XOR-PEER-ADDRESS 12, DATA 4 + 5 + 3 of padding.
    assert!(matches!(alice.say(&mut world, "8.8.8.8:1", b"hello"), Forward::ToPeer { .. }));
    assert!(matches!(world.peer_says(0, "8.8.8.8:1", 5), Forward::ToClient { .. }));
    assert_eq!(alice.say(&mut world, "8.8.4.4:1", b"hello"), Forward::Nothing);
    assert_eq!(world.peer_says(0, "8.8.4.4:1", 5), Forward::Nothing);
    let after = messages(&world);
    assert_eq!(after.from_client.bytes - before.from_client.bytes, 2 * 44);
    assert_eq!(after.to_client.bytes - before.to_client.bytes, 44);
    let traffic = world.server.allocations().next().unwrap().traffic;
    assert_eq!(traffic, TrafficCounters { from_client: count(1, 5), to_client: count(1, 5) });
}

#[test]
fn a_move_counts_on_from_the_new_place() {
    let mut world = World::new();
    let mut alice = world.alice();
    let reply = alice.allocate(&mut world, |b| b.attribute(&MobilityTicket(&[]))).granted();
    let ticket = reply.message().attribute::<MobilityTicket<'_>>().unwrap().unwrap().0.to_vec();
    let before = messages(&world);
    let mut moved = world.client("alice", causeway_types::ClientTransport::Udp, "203.0.113.10:6000");
    moved.challenge(&mut world);
    let (sent, got) = exchange(&mut world, &mut moved, Method::REFRESH, |b| b.attribute(&MobilityTicket(&ticket)));
    let after = messages(&world);
    assert_eq!(after.from_client, count(2, before.from_client.bytes + sent));
    assert_eq!(after.to_client, count(2, before.to_client.bytes + got));
}

#[test]
fn a_report_comes_with_every_4096_packets_of_both_legs() {
    let mut world = World::new();
    let mut alice = world.allocated();
    alice.bind(&mut world, 0x4000, "8.8.8.8:1").granted();
    // Allocate and ChannelBind with their answers are four; each datagram counts on both legs.
    for _ in 0..2045 {
        alice.say_on(&mut world, 0x4000, b"x");
    }
    assert_eq!(reports(&world), []);
    world.peer_says(0, "8.8.8.8:1", 1);
    assert_eq!(reports(&world), [4096]);
    for _ in 0..2048 {
        world.peer_says(0, "8.8.8.8:1", 1);
    }
    assert_eq!(reports(&world), [4096, 8192]);
}

#[test]
fn bursts_are_reported_as_often_as_single_packets() {
    let mut world = World::new();
    let mut alice = world.allocated();
    alice.bind(&mut world, 0x4000, "8.8.8.8:1").granted();
    let message = [&channel_data::header(0x4000, 8)[..], &[7; 8]].concat();
    for _ in 0..1000 {
        world.server.handle_channel_data_burst(world.now, alice.leg, &message, 50);
        world.drain();
        world.server.handle_peer_datagram(world.now, RelayId(0), addr("8.8.8.8:1"), 8, 41);
        world.drain();
    }
    let total = 4 + 1000 * 2 * (50 + 41);
    let told = reports(&world);
    assert_eq!(told.len(), total / 4096);
    for (index, told) in told.iter().enumerate() {
        let due = 4096 * (index as u64 + 1);
        assert!((due..due + 100).contains(told), "{told} for {due}");
    }
    let alloc = world.server.allocations().next().unwrap();
    assert_eq!(
        alloc.traffic,
        TrafficCounters { from_client: count(50_000, 400_000), to_client: count(41_000, 328_000) }
    );
    assert_eq!(alloc.messages.from_client.packets, 50_002);
}

#[test]
fn the_first_data_of_each_way_is_told_once() {
    for from_peer in [false, true] {
        let mut world = World::new();
        let mut alice = world.allocated();
        alice.bind(&mut world, 0x4000, "8.8.8.8:1").granted();
        world.advance(secs(7));
        for _ in 0..2 {
            // What is dropped is not data.
            assert_eq!(world.peer_says(0, "8.8.4.4:1", 5), Forward::Nothing);
            if from_peer {
                world.peer_says(0, "8.8.8.8:1", 0);
            } else {
                alice.say_on(&mut world, 0x4000, b"");
            }
            world.advance(secs(1));
        }
        alice.say_on(&mut world, 0x4000, b"x");
        world.peer_says(0, "8.8.8.8:1", 1);
        let told: Vec<_> = world.events.iter().filter_map(first_data).collect();
        let (first, second) = if from_peer {
            (StreamDirection::ToClient, StreamDirection::FromClient)
        } else {
            (StreamDirection::FromClient, StreamDirection::ToClient)
        };
        assert_eq!(told, [(first, secs(7)), (second, secs(9))]);
    }
}

#[test]
fn a_tcp_relays_chunks_count_as_messages_too() {
    let mut world = World::new();
    let mut alice = world.allocated_tcp();
    alice.connect(&mut world, "8.8.8.8:80");
    let connection = world.connecting().expect("a connection");
    world.connected(connection, ConnectOutcome::Connected);
    let before = messages(&world);
    for (direction, bytes) in [(StreamDirection::FromClient, 1000), (StreamDirection::ToClient, 5)] {
        world.server.handle_stream_bytes(world.now, connection, direction, bytes);
        world.drain();
    }
    let allocation = world.server.allocations().next().unwrap();
    assert_eq!(allocation.traffic, TrafficCounters { from_client: count(1, 1000), to_client: count(1, 5) });
    assert_eq!(allocation.messages.from_client, count(before.from_client.packets + 1, before.from_client.bytes + 1000));
    assert_eq!(allocation.messages.to_client, count(before.to_client.packets + 1, before.to_client.bytes + 5));
    assert_eq!(world.events.iter().filter(|e| matches!(e, RelayEvent::FirstData { .. })).count(), 2);
    for _ in 0..2048 {
        world.server.handle_stream_bytes(world.now, connection, StreamDirection::ToClient, 1);
        world.drain();
    }
    assert_eq!(reports(&world).len(), 1, "both counters move at once and the report comes all the same");
}

#[test]
fn each_peer_is_told_once_as_named_and_32_of_them_at_most() {
    let told = |world: &World| -> Vec<String> {
        let peer = |event: &RelayEvent| {
            let RelayEvent::PeerPermitted { peer, .. } = event else { return None };
            Some(peer.to_string())
        };
        world.events.iter().filter_map(peer).collect()
    };
    let mut world = World::new();
    let mut alice = world.allocated();
    alice.permit(&mut world, &["8.8.8.8:0", "8.8.4.4:0"]).granted();
    alice.permit(&mut world, &["8.8.8.8:0", "127.0.0.1:1"]).refused(403);
    alice.bind(&mut world, 0x4000, "8.8.8.8:7").granted();
    alice.bind(&mut world, 0x4000, "8.8.8.8:7").granted();
    alice.permit(&mut world, &["8.8.8.8:7"]).granted();
    assert_eq!(told(&world), ["8.8.8.8:0", "8.8.4.4:0", "8.8.8.8:7"]);
    for port in 1000..1100 {
        alice.permit(&mut world, &[&format!("8.8.8.8:{port}")]).granted();
    }
    assert_eq!(told(&world).len(), 32);

    let mut world = World::new();
    let mut alice = world.allocated_tcp();
    alice.connect(&mut world, "8.8.8.8:80");
    assert_eq!(told(&world), ["8.8.8.8:80"]);
}

#[test]
fn the_last_packet_of_a_byte_limit_is_in_the_final_figures() {
    let mut world = World::new();
    world.users[0].limits.bytes_max = Some(10);
    let mut alice = world.allocated();
    alice.bind(&mut world, 0x4000, "8.8.8.8:1").granted();
    assert!(matches!(alice.say_on(&mut world, 0x4000, &[0; 10]), Forward::ToPeer { .. }));
    let before = messages(&world);
    assert_eq!(alice.say_on(&mut world, 0x4000, b"x"), Forward::Nothing);
    let Some(RelayEvent::AllocationEnded { reason, traffic, messages, .. }) = world.events.last() else { panic!() };
    assert_eq!((*reason, traffic.from_client), (AllocationEndReason::QuotaReached, count(2, 11)));
    assert_eq!(messages.from_client.bytes, before.from_client.bytes + 5);
    assert!(world.others.iter().any(|output| matches!(output, Output::CloseRelay { .. })));
}

#[test]
fn a_byte_limit_reached_by_peers_or_by_a_stream_has_the_same_reason() {
    let mut world = World::new();
    world.users[0].limits.bytes_max = Some(10);
    let mut alice = world.allocated();
    alice.permit(&mut world, &["8.8.8.8:1"]).granted();
    assert_eq!(world.peer_says(0, "8.8.8.8:1", 11), Forward::Nothing);
    let mut alice = world.allocated_tcp();
    alice.connect(&mut world, "8.8.8.8:80");
    let connection = world.connecting().expect("is connecting");
    world.connected(connection, ConnectOutcome::Connected);
    world.server.handle_stream_bytes(world.now, connection, StreamDirection::ToClient, 11);
    world.drain();
    let reasons: Vec<&str> = world
        .events
        .iter()
        .filter_map(|event| {
            let RelayEvent::AllocationEnded { reason, .. } = event else { return None };
            Some(reason.as_str())
        })
        .collect();
    assert_eq!(reasons, ["quota_reached", "quota_reached"]);
}

fn first_data(event: &RelayEvent) -> Option<(StreamDirection, Duration)> {
    let RelayEvent::FirstData { direction, after, .. } = event else { return None };
    Some((*direction, *after))
}
