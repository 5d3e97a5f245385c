//! The simulated world, and the replay of the fuzz corpora.

mod corpora;
mod lifetimes;
mod nat;
mod retransmission;
mod soak;

use std::time::Duration;

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}
