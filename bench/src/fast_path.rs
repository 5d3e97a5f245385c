//! What relaying in the kernel costs the whole machine, beside coturn: `make bench`'s second page.
//!
//! Both servers are in network namespaces of their own, so that no packet of coturn's meets causeway's program. [`arena`]
//! makes the networks, [`stream`] sends and measures, [`page`] tells.

mod arena;
mod forwarder;
mod page;
mod stream;

use std::{path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use causeway_bench::machine::Machine;

use crate::{
    best,
    fast_path::{
        arena::Arena,
        forwarder::{Forwarder, Peers},
        page::{Cost, Delay, Page, Row},
        stream::{Sample, Stream},
    },
    flows::Direction,
    latency::{Latency, Path as TimedPath},
    median,
    plan::Effort,
    subject::{FastPath, Processors, Subject},
};

pub(crate) use forwarder::forward;

/// Allocations of each row; two for each flow from allocation to allocation.
const ALLOCATIONS: usize = 100;
/// The pace of "saturation", as a part of what arrives when the generator floods: little is lost, and what is lost costs.
const SATURATED: f64 = 0.95;
/// Parts of what coturn carries, for the rows below saturation.
const LIGHT: f64 = 0.1;
const HALF: f64 = 0.5;

/// Most of coturn's processor time, and of its delay.
const SATURATION_MAX: f64 = 0.25;
const LIGHT_MAX: f64 = 0.1;
const DELAY_MAX: f64 = 0.15;
const BETWEEN_MAX: f64 = 0.15;
/// Most of a bare forwarder's processor time, for the path in user space.
const FORWARDER_MAX: f64 = 1.05;
/// So many times the rounds for that, since a twentieth is about what the median of five scatters by.
const FORWARDER_ROUNDS: usize = 3;

/// Least part of the packets that arrived through causeway that must have come through the kernel.
const IN_KERNEL_MIN: f64 = 0.99;
/// How long the machine is watched before and after.
const QUIET: Duration = Duration::from_secs(1);

/// What is measured, and how.
#[derive(Clone, Debug)]
pub(crate) struct Plan<'a> {
    pub(crate) machine: Machine,
    pub(crate) causeway: &'a Path,
    pub(crate) coturn: &'a Path,
    pub(crate) coturn_version: &'a str,
    pub(crate) effort: Effort,
    pub(crate) processors: Processors,
    /// Only the comparison of paths in user space.
    pub(crate) user_space_only: bool,
}

/// Measures everything; prints as it goes.
pub(crate) fn measure(plan: &Plan<'_>) -> Result<Page> {
    ensure!(
        causeway_bench::machine::Idleness::of(plan.processors.server).is_ok(),
        "the fast path is measured as root, on a kernel that tells how long processors were idle (/proc/timer_list)"
    );
    let quiet = if plan.effort.settle.is_zero() { Duration::from_millis(10) } else { QUIET };
    let before = stream::disturbance(plan.processors, quiet)?;
    let mut rows = Vec::new();
    let mut delays = Vec::new();
    for arena in [Arena::loopback()?, Arena::link()?] {
        if plan.user_space_only && !arena.has_forwarder {
            continue;
        }
        let bench = Bench::start(plan, &arena)?;
        bench.measure(&mut rows, &mut delays)?;
    }
    let disturbance = before.max(stream::disturbance(plan.processors, quiet)?);
    Ok(Page {
        disturbance,
        machine: plan.machine.clone(),
        coturn_version: plan.coturn_version.to_owned(),
        effort: plan.effort,
        rows,
        delays,
    })
}

/// The servers in one network.
#[derive(Debug)]
struct Bench<'a> {
    plan: &'a Plan<'a>,
    arena: &'a Arena,
    causeway: Subject,
    coturn: Subject,
}

impl<'a> Bench<'a> {
    fn start(plan: &'a Plan<'a>, arena: &'a Arena) -> Result<Self> {
        let processors = Some(plan.processors);
        let causeway = Subject::causeway(plan.causeway, processors, arena.fast.clone(), FastPath::Tc)?;
        let coturn = Subject::coturn(plan.coturn, processors, arena.plain.clone())?;
        Ok(Self { plan, arena, causeway, coturn })
    }

    fn measure(&self, rows: &mut Vec<Row>, delays: &mut Vec<Delay>) -> Result<()> {
        let mut add = |row: Row| {
            println!("{}", row.line());
            rows.push(row);
        };
        let name = |what: &str| format!("{}: {what}", self.arena.name);
        if self.plan.user_space_only {
            return self.beside_forwarders(&mut add);
        }
        let first = self.beside_coturn(Direction::ToPeer, 160, None)?;
        let carried = first.other.packets_per_sec;
        add(Row { name: name("to a peer, at saturation"), ratio_max: Some(SATURATION_MAX), ..first });
        let light = self.beside_coturn(Direction::ToPeer, 160, Some(carried * LIGHT))?;
        add(Row { name: name("to a peer, at a tenth of coturn's saturation"), ratio_max: Some(LIGHT_MAX), ..light });
        for (what, direction, payload_len, ratio_max) in [
            ("to a peer, at saturation", Direction::ToPeer, 1200, SATURATION_MAX),
            ("to the client, at saturation", Direction::ToClient, 160, SATURATION_MAX),
            ("between own allocations, at saturation", Direction::BetweenAllocations, 160, BETWEEN_MAX),
        ] {
            add(Row {
                name: name(what),
                ratio_max: Some(ratio_max),
                ..self.beside_coturn(direction, payload_len, None)?
            });
        }
        if self.arena.has_forwarder {
            self.beside_forwarders(&mut add)?;
        }
        let delay = self.delay(carried * HALF)?;
        println!("{}", delay.line());
        delays.push(delay);
        Ok(())
    }

    /// Causeway and coturn. `per_sec`: the pace; else each at its own saturation.
    fn beside_coturn(&self, direction: Direction, payload_len: usize, per_sec: Option<f64>) -> Result<Row> {
        let streams = Streams {
            direct: Stream::direct(&self.arena.plain, ALLOCATIONS, payload_len)?,
            causeway: Stream::relayed(&self.causeway, direction, ALLOCATIONS, payload_len)?,
            other: Stream::relayed(&self.coturn, direction, ALLOCATIONS, payload_len)?,
        };
        self.causeway.wait_until_settled(self.plan.effort.settle)?;
        self.coturn.wait_until_settled(self.plan.effort.settle / 4)?;
        let before = self.causeway.relayed_in_kernel()?;
        let (causeway, other, arrived) = self.rounds(&streams, per_sec, self.plan.effort.rounds)?;
        // Figures of a path that was not taken would be worth nothing.
        let in_kernel = self.causeway.relayed_in_kernel()? - before;
        ensure!(
            in_kernel >= arrived as f64 * IN_KERNEL_MIN,
            "{arrived} packets arrived, but only {in_kernel} were relayed in the kernel"
        );
        streams.causeway.release()?;
        streams.other.release()?;
        Ok(Row { name: String::new(), payload_len, beside: "coturn", causeway, other, ratio_max: None })
    }

    /// Causeway without its fast path, and a program that does nothing but forward: with the target, and then as a relay
    /// would have to.
    fn beside_forwarders(&self, add: &mut impl FnMut(Row)) -> Result<()> {
        for (peers, beside, ratio_max) in [
            (Peers::One, "a bare forwarder", Some(FORWARDER_MAX)),
            (Peers::Any, "a bare forwarder open to any peer", None),
        ] {
            let name = format!("{}: all in user space, to a peer, at saturation", self.arena.name);
            add(Row { name, beside, ratio_max, ..self.beside_the_forwarder(peers)? });
        }
        Ok(())
    }

    fn beside_the_forwarder(&self, peers: Peers) -> Result<Row> {
        let payload_len = 160;
        let place = &self.arena.plain;
        let in_user_space =
            Subject::causeway(self.plan.causeway, Some(self.plan.processors), place.clone(), FastPath::Off)?;
        let forwarder = Forwarder::start(place, self.plan.processors, peers)?;
        let streams = Streams {
            direct: Stream::direct(place, ALLOCATIONS, payload_len)?,
            causeway: Stream::relayed(&in_user_space, Direction::ToPeer, ALLOCATIONS, payload_len)?,
            other: Stream::forwarded(&forwarder, ALLOCATIONS, payload_len)?,
        };
        in_user_space.wait_until_settled(self.plan.effort.settle)?;
        let (causeway, other, _) = self.rounds(&streams, None, self.plan.effort.rounds * FORWARDER_ROUNDS)?;
        Ok(Row { name: String::new(), payload_len, beside: "", causeway, other, ratio_max: None })
    }

    /// Causeway's cost, the other's, and how many packets came through causeway.
    fn rounds(&self, streams: &Streams, per_sec: Option<f64>, rounds: usize) -> Result<(Cost, Cost, u64)> {
        let duration = Duration::from_secs_f64(self.plan.effort.seconds);
        let sample = |stream: &Stream| -> Result<(f64, Sample)> {
            let rate = match per_sec {
                Some(per_sec) => per_sec,
                None => stream.flood(duration / 3)? * SATURATED,
            };
            Ok((rate, stream.sample(rate, duration, self.plan.processors)?))
        };
        let mut costs = (Vec::new(), Vec::new());
        let mut arrived = (0, 0);
        for _ in 0..rounds {
            let (_, direct) = sample(&streams.direct)?;
            for (stream, costs, arrived) in
                [(&streams.causeway, &mut costs.0, &mut arrived.0), (&streams.other, &mut costs.1, &mut arrived.1)]
            {
                let (packets_per_sec, sample) = sample(stream)?;
                costs.push(Cost { micros: sample.micros_beyond(direct), packets_per_sec });
                *arrived += sample.arrived;
            }
        }
        let median_cost = |costs: &Vec<Cost>| Cost {
            micros: median(costs, |cost| cost.micros),
            packets_per_sec: best(costs, |cost| cost.packets_per_sec),
        };
        Ok((median_cost(&costs.0), median_cost(&costs.1), arrived.0))
    }

    fn delay(&self, packets_per_sec: f64) -> Result<Delay> {
        // A quick run on a busy machine may have counted nothing.
        let packets_per_sec = packets_per_sec.max(crate::LATENCY_PACKETS_PER_SEC_MIN);
        let duration = Duration::from_secs_f64(self.plan.effort.seconds);
        let mut causeway = TimedPath::relayed(&self.causeway, ALLOCATIONS)?;
        let mut coturn = TimedPath::relayed(&self.coturn, ALLOCATIONS)?;
        let (senders, receiver) = stream::connected(&self.arena.plain, ALLOCATIONS)?;
        let mut direct = TimedPath::between(senders, receiver)?;
        let mut rounds: [Vec<Latency>; 3] = Default::default();
        for _ in 0..self.plan.effort.rounds {
            for (path, rounds) in [&mut direct, &mut causeway, &mut coturn].into_iter().zip(&mut rounds) {
                rounds.push(path.measure(packets_per_sec, duration)?);
            }
        }
        causeway.release()?;
        coturn.release()?;
        let [direct, causeway, coturn] = rounds.map(|rounds| Latency {
            p50_micros: median(&rounds, |l| l.p50_micros),
            p99_micros: median(&rounds, |l| l.p99_micros),
            p999_micros: median(&rounds, |l| l.p999_micros),
        });
        Ok(Delay { name: self.arena.name, packets_per_sec, direct, causeway, coturn })
    }
}

/// One kind of packets three ways.
#[derive(Debug)]
struct Streams {
    direct: Stream,
    causeway: Stream,
    other: Stream,
}

/// The processors everything is kept to.
///
/// # Errors
/// There is only one.
pub(crate) fn processors(chosen: Option<Processors>) -> Result<Processors> {
    chosen.context("the whole machine's processor time is measured with two processors or more")
}
