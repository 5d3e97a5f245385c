//! Holds the kernel fast path to its word for minutes: `make soak-fast-path`, `make soak-server`.
//!
//! Thousands of channels are bound, refreshed, ended and left to expire at random while packets go through all of them, over
//! a virtual Ethernet link between two network namespaces. Every packet is judged: none may pass after the deadline of its
//! channel, none may be kept back before it, none may be lost or altered. In the end the kernel's counters have to be what
//! came out, channel by channel, and the memory what it was. It is the library with its loaded program that is tried first,
//! since channels of the protocol live for minutes; this program stands in for the server. With `--through server` the same is
//! asked of the server itself, with clients that speak TURN ([`server`]).
//!
//! A tool for developers; no product code uses it.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "printing is what it is for")]

mod control;
mod judge;
mod ledger;
mod server;
mod traffic;
mod world;

use std::{
    path::PathBuf,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use causeway_bench::{process::resident_bytes, serving};
use causeway_fast_path::{FastPath, Mode, Settings, Traffic};
use clap::{Parser, ValueEnum};

use crate::{
    control::Control,
    ledger::Ledger,
    traffic::{Load, Tally},
    world::{Crowd, INTERFACE, RELAY_PORTS, World},
};

/// Threads that send and judge.
const THREADS: usize = 2;
/// One channel more for so many that are to live: some are away at any time.
const SPARE: usize = 10;
/// More than this is not flat.
const GROWTH_MAX: u64 = 4 << 20;
/// Memory is at rest after this part of the time.
const WARM: f64 = 0.25;

/// Tries the kernel fast path with channels that come and go.
#[derive(Debug, Parser)]
struct Options {
    /// How long.
    #[arg(long, default_value_t = 600.0)]
    seconds: f64,
    /// Channels that live at a time, about.
    #[arg(long, default_value_t = 20_000)]
    channels: usize,
    /// What stands between clients and kernel.
    #[arg(long, value_enum, default_value_t = Through::Library)]
    through: Through,
    /// Of one allocation, with a server.
    #[arg(long, default_value_t = 10)]
    channels_per_allocation: usize,
    /// Sent in all, with a server.
    #[arg(long, default_value_t = 40_000)]
    packets_per_sec: u64,
    /// Believe that credentials end so much later than they do (or earlier, below 0), to see that it is noticed; with a server.
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    shift_millis: i64,
    /// The causeway to try. Default: the one built beside this program.
    #[arg(long, value_name = "FILE")]
    causeway: Option<PathBuf>,
    /// Tell the kernel deadlines that are too late by so much, to see that it is noticed.
    #[arg(long, default_value_t = 0)]
    late_millis: u64,
}

impl Options {
    const fn size(&self) -> server::Size {
        server::Size {
            seconds: self.seconds,
            channels: self.channels,
            channels_per_allocation: self.channels_per_allocation,
            packets_per_sec: self.packets_per_sec,
            shift_millis: self.shift_millis,
        }
    }
}

/// What is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Through {
    /// The library, in this process.
    Library,
    /// A server, with TURN clients.
    Server,
}

/// What one run has shown.
#[derive(Debug)]
struct Shown {
    deeds: control::Deeds,
    tally: Tally,
    counted: Vec<Traffic>,
    outcomes: Vec<(&'static str, u64)>,
    memory_warm: u64,
    memory_most: u64,
    elapsed: Duration,
}

fn main() -> Result<()> {
    let options = Options::parse();
    ensure!(options.seconds > 0.0 && options.channels > 0, "nothing to do");
    causeway_net_io::raise_descriptor_limit()?;
    let faults = match options.through {
        Through::Library => {
            let shown = soak(&options)?;
            tell(&shown);
            faults(&shown)
        }
        Through::Server => server::soak(&serving::program(options.causeway.as_deref())?, options.size())?,
    };
    for fault in &faults {
        println!("FAULT: {fault}");
    }
    if faults.is_empty() {
        println!("everything as it should be");
        return Ok(());
    }
    bail!("{} faults", faults.len())
}

fn soak(options: &Options) -> Result<Shown> {
    let world = World::new()?;
    let n_each = (options.channels + options.channels / SPARE).div_ceil(THREADS);
    let settings = Settings {
        mode: Mode::Tc,
        interfaces: vec![INTERFACE.to_owned()],
        addresses: Vec::new(),
        relay_ports: RELAY_PORTS,
        // Those that are gone rest for a second.
        flows_max: u32::try_from(4 * THREADS * n_each)?,
    };
    let path = world.server.inside(|| FastPath::start(&settings).context("there is no fast path here"))?;
    let crowds: Vec<Crowd> = (0..THREADS).map(|index| Crowd::new(&world, index, n_each)).collect::<Result<_>>()?;
    let ledger = Ledger::new(THREADS * n_each);
    let flows = control::flows(&crowds, n_each)?;
    let (stop_traffic, stop_control) = (AtomicBool::new(false), AtomicBool::new(false));
    let progress = AtomicU64::new(0);
    println!("binding {} channels …", ledger.n_channels());
    let mut control = Control::start(&path, &ledger, flows, Duration::from_millis(options.late_millis));
    let start = Instant::now();
    let (tally, (memory_warm, memory_most)) = thread::scope(|scope| -> Result<_> {
        let loads: Vec<_> = crowds
            .iter()
            .enumerate()
            .map(|(index, crowd)| {
                let load = Load::new(crowd, &ledger, index * n_each, n_each, &progress);
                let stop = &stop_traffic;
                scope.spawn(move || load.run(stop))
            })
            .collect();
        let control = scope.spawn(|| control.run(&stop_control));
        let memory = watch(start, Duration::from_secs_f64(options.seconds), &progress);
        stop_traffic.store(true, SeqCst);
        let tallies: Vec<Result<Tally>> =
            loads.into_iter().map(|load| load.join().map_err(|_| anyhow!("a load panicked"))?).collect();
        stop_control.store(true, SeqCst);
        control.join().map_err(|_| anyhow!("the control side panicked"))?;
        Ok((sum(tallies)?, memory?))
    })?;
    let elapsed = start.elapsed();
    let deeds = control.deeds;
    let counted = control.finish();
    let outcomes = path.status().outcomes;
    Ok(Shown { deeds, tally, counted, outcomes, memory_warm, memory_most, elapsed })
}

/// Waits, and looks at the memory: when it is at rest, and the most of it afterwards.
fn watch(start: Instant, duration: Duration, progress: &AtomicU64) -> Result<(u64, u64)> {
    let pid = std::process::id();
    let (mut warm, mut most, mut told) = (None, 0, start);
    while start.elapsed() < duration {
        thread::sleep(Duration::from_millis(100));
        let memory = resident_bytes(pid)?;
        if start.elapsed().as_secs_f64() < duration.as_secs_f64() * WARM {
            continue;
        }
        warm.get_or_insert(memory);
        most = most.max(memory);
        if told.elapsed() > Duration::from_secs(30) {
            told = Instant::now();
            println!(
                "{:.0} s: {} packets, {} KiB of memory",
                start.elapsed().as_secs_f64(),
                progress.load(SeqCst),
                memory >> 10
            );
        }
    }
    let last = resident_bytes(pid)?;
    Ok((warm.unwrap_or(last), most.max(last)))
}

fn sum(tallies: Vec<Result<Tally>>) -> Result<Tally> {
    let mut all = Tally::default();
    for tally in tallies {
        let tally = tally?;
        all.sent += tally.sent;
        all.relayed += tally.relayed;
        all.left_to_user_space += tally.left_to_user_space;
        all.raced += tally.raced;
        all.faults += tally.faults;
        all.told.extend(tally.told);
        all.carried.extend(tally.carried);
    }
    Ok(all)
}

fn tell(shown: &Shown) {
    let Shown { deeds, tally, elapsed, .. } = shown;
    println!(
        "{:.0} s: {} packets sent, {} relayed in the kernel, {} left to user space, {} while their channel changed",
        elapsed.as_secs_f64(),
        tally.sent,
        tally.relayed,
        tally.left_to_user_space,
        tally.raced
    );
    println!(
        "channels: {} bound, {} refreshed, {} removed, {} live at the end, never fewer than {}",
        deeds.bound, deeds.refreshed, deeds.removed, deeds.live, deeds.live_min
    );
    println!("memory: {} KiB, at most {} KiB since", shown.memory_warm >> 10, shown.memory_most >> 10);
    for (name, count) in shown.outcomes.iter().filter(|(_, count)| *count > 0) {
        println!("  {name:<20}{count:>12}");
    }
}

/// Everything that is not as it should be.
fn faults(shown: &Shown) -> Vec<String> {
    let Shown { deeds, tally, counted, .. } = shown;
    let mut faults = tally.told.clone();
    if tally.faults > 0 {
        faults.push(format!("{} of {} packets were not as they should be", tally.faults, tally.sent));
    }
    if tally.relayed == 0 || tally.left_to_user_space == 0 {
        faults.push("not both ways were taken".to_owned());
    }
    if deeds.refused > 0 {
        faults.push(format!("{} channels found no room", deeds.refused));
    }
    let wrong = counted.iter().zip(&tally.carried).filter(|(counted, seen)| counted != seen).count();
    if wrong > 0 || counted.len() != tally.carried.len() {
        faults.push(format!("the counters of {wrong} channels differ from what came out"));
    }
    let total = |figure: fn(&Traffic) -> u64| tally.carried.iter().map(figure).sum::<u64>();
    for (name, seen) in [
        ("forwarded_up", total(|t| t.up_packets)),
        ("forwarded_down", total(|t| t.down_packets)),
        ("dropped_rate", 0),
        ("dropped_failed", 0),
    ] {
        let count = shown.outcomes.iter().find(|(outcome, _)| *outcome == name).map_or(0, |(_, count)| *count);
        if count != seen {
            faults.push(format!("{name} is {count}, but {seen} came out"));
        }
    }
    let growth = shown.memory_most.saturating_sub(shown.memory_warm);
    if growth > GROWTH_MAX {
        faults.push(format!("memory grew by {} KiB", growth >> 10));
    }
    faults
}
