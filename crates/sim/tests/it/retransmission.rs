//! A network that loses, doubles and reorders changes when things happen, not what happens.

use causeway_sim::{Conditions, World};
use causeway_turn_client::{AllocateOptions, Request};

use crate::secs;

const PEER: &str = "8.8.8.8:1000";

/// A third is lost, a third comes twice, and everything arrives in any order.
const STORM: Conditions = Conditions { delay_millis_max: 900, lost: 85, doubled: 85 };

#[test]
fn a_request_that_is_sent_again_is_answered_alike_and_takes_effect_once() {
    // That every copy of an answer to one Allocate is the same is checked by the world itself.
    for seed in 0..40 {
        let mut world = World::troubled(seed, STORM);
        let allocation = world.client("alice").allocate(secs(600)).allocation();
        world.client("alice").permit(PEER).granted();
        world.client("alice").bind(0x4000, PEER).granted();
        world.client("alice").refresh(secs(900)).granted();
        world.assert_alive(&allocation);
        assert_eq!(world.allocation_count(), 1, "seed {seed}");
        world.settle();
    }
}

#[test]
fn copies_that_arrive_while_the_first_one_waits_for_its_key_are_absorbed() {
    // Everything comes twice, and the credential directory takes up to a second.
    for seed in 0..40 {
        let twice = Conditions { delay_millis_max: 1000, lost: 0, doubled: 255 };
        let mut world = World::troubled(seed, twice);
        world.client("alice").allocate(secs(600)).granted();
        world.advance(secs(5));
        assert_eq!(world.allocation_count(), 1, "seed {seed}");
        assert_eq!(world.shell().server().stats().allocations_created, 1, "seed {seed}");
        world.settle();
    }
}

#[test]
fn requests_that_overtake_each_other_all_come_to_their_end() {
    for seed in 0..40 {
        let reordering = Conditions { delay_millis_max: 450, lost: 0, doubled: 60 };
        let mut world = World::troubled(seed, reordering);
        world.client("alice").allocate(secs(600)).granted();
        let numbers = 0x4000..0x4008;
        for number in numbers.clone() {
            let peer = ([8, 8, 8, 8], 1000 + number).into();
            world.client("alice").start(Request::ChannelBind { number, peer });
        }
        world.advance(secs(60));
        for number in numbers {
            let peer = std::net::SocketAddr::from(([8, 8, 8, 8], 1000 + number));
            world.client("alice").send_on(number, b"x");
            world.advance(secs(2));
            let arrived = world.peer(&peer.to_string()).take_received();
            assert!(!arrived.is_empty(), "channel {number:#x}, seed {seed}");
        }
        world.settle();
    }
}

#[test]
fn two_different_allocates_at_once_make_one_allocation() {
    for seed in 0..40 {
        let mut world = World::troubled(seed, Conditions { delay_millis_max: 300, lost: 0, doubled: 0 });
        // Once for the nonce, so that both are signed when they leave.
        world.client("alice").refresh(secs(600)).refused(437);
        for _ in 0..2 {
            world.client("alice").start(Request::Allocate(AllocateOptions::default()));
        }
        world.advance(secs(10));
        assert_eq!(world.allocation_count(), 1, "seed {seed}");
        assert_eq!(world.shell().server().stats().allocations_created, 1, "seed {seed}");
        world.settle();
    }
}

#[test]
fn a_server_that_hears_nothing_keeps_nothing() {
    let mut world = World::troubled(1, Conditions { delay_millis_max: 10, lost: 255, doubled: 0 });
    world.client("alice").start(Request::Allocate(AllocateOptions::default()));
    world.advance(secs(45));
    assert_eq!(world.allocation_count(), 0);
    assert!(!world.client("alice").has_allocation());
    world.settle();
}
