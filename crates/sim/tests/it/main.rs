//! The simulated world.

mod lifetimes;
mod nat;
mod retransmission;
mod soak;

use std::time::Duration;

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}
