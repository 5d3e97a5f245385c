//! Random lives: whatever clients, peers and the network do, the server keeps its word and gives everything back.

use causeway_sim::fuzz::world::{Summary, soak};

const SEEDS: std::ops::Range<u64> = 0..150;

fn live(seed: u64) -> Summary {
    std::panic::catch_unwind(|| soak(seed)).unwrap_or_else(|_| panic!("the world of seed {seed} failed"))
}

#[test]
fn random_lives_break_no_rule_and_leave_nothing_behind() {
    let mut sum = Summary::default();
    for seed in SEEDS {
        let summary = live(seed);
        sum.allocations += summary.allocations;
        sum.at_clients += summary.at_clients;
        sum.at_peers += summary.at_peers;
    }
    // The lives are eventful enough to mean something.
    assert!(sum.allocations > 300 && sum.at_clients > 100 && sum.at_peers > 100, "{sum:?}");
}

#[test]
fn the_same_seed_lives_the_same_life() {
    assert_eq!(soak(3), soak(3));
    assert_ne!(soak(3).transcript, soak(4).transcript);
}
