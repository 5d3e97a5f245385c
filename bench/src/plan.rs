//! What is measured, and what it should come to.

use std::time::Duration;

use crate::flows::Direction::{BetweenAllocations, ToClient, ToPeer};
use crate::load::{Load, Shape};

/// How thoroughly.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    /// Seconds of one run.
    pub(crate) seconds: f64,
    /// Runs of each load on each server, in turn; the median counts.
    pub(crate) rounds: usize,
    /// Allocations that are made for memory and rate.
    pub(crate) n_idle: usize,
    /// How long a server must have had nothing to do before it is measured. Causeway writes down ended sessions once a
    /// second, and that is not what the next figure is about.
    pub(crate) settle: Duration,
}

/// A load, and the most of coturn's processor time per packet that causeway should take for it. Targets are for
/// saturation; slower loads have none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Planned {
    pub(crate) load: Load,
    pub(crate) ratio_max: Option<f64>,
}

const SINGLES_MAX: Option<f64> = Some(0.9);
const BURSTS_MAX: Option<f64> = Some(0.4);
const BETWEEN_ALLOCATIONS_MAX: Option<f64> = Some(0.55);

/// Most of coturn's memory per idle allocation.
pub(crate) const MEMORY_MAX: f64 = 0.2;
/// Most bytes per idle allocation, whatever coturn takes.
pub(crate) const MEMORY_BYTES_MAX: f64 = 4096.0;
/// Least of coturn's allocations per second.
pub(crate) const ALLOCATIONS_MIN: f64 = 4.0;

/// The load whose half is the load of the latency rows.
pub(crate) const LATENCY_LOAD: usize = 1;
pub(crate) const LATENCY_ALLOCATIONS: usize = 100;

/// Packets a second of the rows below saturation.
const PACE: u32 = 20_000;

/// The rows of the table, in its order.
pub(crate) const LOADS: &[Planned] = &[
    singles(1, 160),
    singles(100, 160),
    singles(1000, 160),
    singles(1, 1200),
    singles(100, 1200),
    singles(1000, 1200),
    planned(ToClient, 100, 160, Shape::Singles, SINGLES_MAX),
    planned(ToClient, 100, 1200, Shape::Singles, SINGLES_MAX),
    planned(ToPeer, 100, 160, Shape::Paced(PACE), None),
    planned(ToPeer, 100, 1200, Shape::Paced(PACE), None),
    planned(ToPeer, 1, 1200, Shape::Bursts(30), BURSTS_MAX),
    planned(ToPeer, 100, 1200, Shape::Bursts(30), BURSTS_MAX),
    planned(ToPeer, 100, 160, Shape::Bursts(30), BURSTS_MAX),
    planned(ToClient, 100, 1200, Shape::Bursts(30), BURSTS_MAX),
    planned(BetweenAllocations, 2, 160, Shape::Singles, BETWEEN_ALLOCATIONS_MAX),
    planned(BetweenAllocations, 100, 160, Shape::Singles, BETWEEN_ALLOCATIONS_MAX),
    planned(BetweenAllocations, 100, 1200, Shape::Singles, BETWEEN_ALLOCATIONS_MAX),
    planned(BetweenAllocations, 100, 1200, Shape::Bursts(30), BURSTS_MAX),
];

const fn singles(n_allocations: usize, payload_len: usize) -> Planned {
    planned(ToPeer, n_allocations, payload_len, Shape::Singles, SINGLES_MAX)
}

const fn planned(
    direction: crate::flows::Direction,
    n_allocations: usize,
    payload_len: usize,
    shape: Shape,
    ratio_max: Option<f64>,
) -> Planned {
    Planned { load: Load { direction, n_allocations, payload_len, shape }, ratio_max }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latency_is_measured_at_half_of_a_load_that_is_measured() {
        let load = LOADS[LATENCY_LOAD].load;
        assert_eq!((load.n_allocations, load.payload_len), (LATENCY_ALLOCATIONS, 160));
        assert_eq!((load.direction, load.shape), (ToPeer, Shape::Singles));
    }
}
