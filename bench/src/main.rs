//! Compares causeway with coturn on the machine it runs on: the load generator behind `make bench`.
//!
//! It starts both servers, loads them in turn, and prints and writes a table of their figures, ratios and targets. It is
//! a tool for developers; no product code uses it. Entry points: [`plan`] says what is measured, [`report`] how it is
//! told, `method.md` how it is done.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "printing is what it is for")]

mod fast_path;
mod flows;
mod idle;
mod latency;
mod load;
mod plan;
mod report;
mod sink;
mod subject;

use std::{
    fs,
    path::{Path as FilePath, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use causeway_bench::{
    machine::Machine,
    process::{busy_time, cpu_time},
    serving,
};
use clap::Parser;

use crate::{
    idle::Made,
    latency::{Latency, Path},
    load::{Load, Measured, Run},
    plan::{Effort, LATENCY_ALLOCATIONS, LATENCY_LOAD, LOADS},
    report::{Both, LatencyResult, LoadResult, Report},
    subject::{FastPath, Place, Processors, Subject, find_coturn, pin_generator},
};

/// Longer than causeway waits before it writes down what has ended.
const SETTLE: Duration = Duration::from_millis(1200);

/// Compares causeway with coturn.
#[derive(Debug, Parser)]
struct Options {
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 0.6)]
    seconds: f64,
    /// How often each measurement is made on each server; the median counts.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Allocations made for memory and rate.
    #[arg(long, default_value_t = 10_000)]
    idle: usize,
    /// Every row, but none of it long enough to mean anything.
    #[arg(long)]
    quick: bool,
    /// Only loads whose name, allocations and bytes contain this, such as "peer 100 160", or "idle" for making
    /// allocations; prints them and stops.
    #[arg(long, value_name = "WORDS")]
    only: Option<String>,
    /// The page to write.
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// The causeway to measure. Default: the one built beside this program.
    #[arg(long, value_name = "FILE")]
    causeway: Option<PathBuf>,
    /// The turnserver to compare with. Default: the installed one.
    #[arg(long, value_name = "FILE")]
    coturn: Option<PathBuf>,
    /// Measure the kernel fast path instead, by the processor time of the whole machine. Takes root. With "user space"
    /// as the only words, just the path in user space.
    #[arg(long)]
    fast_path: bool,
    /// Be the program that does nothing but forward: started by the measurement.
    #[arg(long, value_name = "ADDRESS,PEER,HOW", hide = true)]
    forwarder: Option<String>,
}

fn main() -> Result<()> {
    let options = Options::parse();
    if let Some(how) = &options.forwarder {
        return fast_path::forward(how);
    }
    let effort = effort(&options)?;
    let machine = Machine::this();
    let processors = (machine.n_processors > 1).then_some(Processors { server: 0, generator: 1 });
    let coturn_program = find_coturn(options.coturn.clone())?;
    let causeway_program = serving::program(options.causeway.as_deref())?;
    let coturn_version = version_of_coturn(&coturn_program)?;
    println!("causeway and coturn {coturn_version}, {} s each, {} rounds", effort.seconds, effort.rounds);
    if let Some(processors) = processors {
        pin_generator(processors)?;
    }
    if options.fast_path {
        let processors = fast_path::processors(processors)?;
        let plan = fast_path::Plan {
            machine,
            causeway: &causeway_program,
            coturn: &coturn_program,
            coturn_version: &coturn_version,
            effort,
            processors,
            user_space_only: options.only.as_deref() == Some("user space"),
        };
        return measure_fast_path(&plan, options.write.as_deref());
    }
    let servers = Both {
        causeway: Subject::causeway(&causeway_program, processors, Place::here(), FastPath::Off)?,
        coturn: Subject::coturn(&coturn_program, processors, Place::here())?,
    };

    if options.only.as_deref() == Some("idle") {
        let made = measure_idle(&servers, effort)?;
        for (name, made) in [("causeway", made.causeway), ("coturn", made.coturn)] {
            println!(
                "{name:9} {:6.0} per second, {:5.1} µs each, {:5.1} µs to end one, {:5.0} bytes",
                made.allocations_per_sec,
                made.cpu_micros_per_allocation,
                made.cpu_micros_per_end,
                made.bytes_per_allocation
            );
        }
        return Ok(());
    }
    if let Some(words) = &options.only {
        return measure_loads(&servers, effort, words).map(drop);
    }
    let watch = Watch::start(&servers)?;
    // First, while both processes are fresh.
    let idle = measure_idle(&servers, effort)?;
    let loads = measure_loads(&servers, effort, "")?;
    let latency = measure_latency(&servers, effort, &loads)?;
    let disturbance = watch.disturbance(&servers, machine.n_processors)?;
    let report = Report { machine, coturn_version, effort, loads, latency, idle, disturbance };
    println!("\n{}{}", report.tables(), report.quiet());
    for line in report.missed() {
        println!("falls short: {line}");
    }
    if let Some(path) = &options.write {
        fs::write(path, report.page()).with_context(|| path.display().to_string())?;
        println!("written to {}", path.display());
    }
    Ok(())
}

fn measure_fast_path(plan: &fast_path::Plan<'_>, write: Option<&FilePath>) -> Result<()> {
    let page = fast_path::measure(plan)?;
    for line in page.missed() {
        println!("falls short: {line}");
    }
    if let Some(path) = write {
        fs::write(path, page.text()).with_context(|| path.display().to_string())?;
        println!("written to {}", path.display());
    }
    Ok(())
}

/// Sees what other processes take of the processors.
#[derive(Debug)]
struct Watch {
    start: Instant,
    busy: Duration,
    ours: Duration,
}

impl Watch {
    fn start(servers: &Both<Subject>) -> Result<Self> {
        Ok(Self { start: Instant::now(), busy: busy_time()?, ours: time_of_ours(servers)? })
    }

    fn disturbance(&self, servers: &Both<Subject>, n_processors: usize) -> Result<f64> {
        let ours = time_of_ours(servers)?.saturating_sub(self.ours);
        let others = (busy_time()?.saturating_sub(self.busy)).saturating_sub(ours);
        Ok(others.as_secs_f64() / (self.start.elapsed().as_secs_f64() * n_processors as f64))
    }
}

fn time_of_ours(servers: &Both<Subject>) -> Result<Duration> {
    Ok(cpu_time(std::process::id())? + cpu_time(servers.causeway.pid())? + cpu_time(servers.coturn.pid())?)
}

fn effort(options: &Options) -> Result<Effort> {
    ensure!(options.seconds > 0.0 && options.rounds > 0 && options.idle > 0, "nothing to do");
    let n_descriptors = usize::try_from(causeway_net_io::raise_descriptor_limit()?)?;
    // A socket here for each allocation, and one in each server.
    let n_idle_max = n_descriptors.saturating_sub(500);
    if options.idle > n_idle_max {
        println!("only {n_idle_max} idle allocations: the limit of open files is {n_descriptors} (ulimit -n)");
    }
    let n_idle = options.idle.min(n_idle_max);
    Ok(if options.quick {
        Effort { seconds: 0.05, rounds: 1, n_idle: n_idle.min(200), settle: Duration::ZERO }
    } else {
        Effort { seconds: options.seconds, rounds: options.rounds, n_idle, settle: SETTLE }
    })
}

fn version_of_coturn(program: &std::path::Path) -> Result<String> {
    let output = Command::new(program).arg("--version").output().context("coturn cannot be started")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("of unknown version").trim().to_owned())
}

fn measure_idle(servers: &Both<Subject>, effort: Effort) -> Result<Both<Made>> {
    println!("making {} allocations …", effort.n_idle);
    let mut rounds = Both { causeway: Vec::new(), coturn: Vec::new() };
    for _ in 0..effort.rounds {
        rounds.causeway.push(idle::measure(&servers.causeway, effort.n_idle, effort.settle)?);
        rounds.coturn.push(idle::measure(&servers.coturn, effort.n_idle, effort.settle)?);
    }
    Ok(rounds.map(|made| Made {
        allocations_per_sec: best(made, |m| m.allocations_per_sec),
        cpu_micros_per_allocation: median(made, |m| m.cpu_micros_per_allocation),
        cpu_micros_per_end: median(made, |m| m.cpu_micros_per_end),
        // Only the first round grows the process; the others find the memory of the one before.
        bytes_per_allocation: made.first().map_or(0.0, |m| m.bytes_per_allocation),
    }))
}

fn measure_loads(servers: &Both<Subject>, effort: Effort, words: &str) -> Result<Vec<LoadResult>> {
    let mut results = Vec::new();
    for planned in LOADS.iter().filter(|planned| planned.load.label().contains(words)) {
        let result = LoadResult { planned: *planned, measured: measure_load(servers, effort, planned.load)? };
        println!("{}", result.line());
        results.push(result);
    }
    Ok(results)
}

fn measure_load(servers: &Both<Subject>, effort: Effort, load: Load) -> Result<Both<Measured>> {
    let duration = Duration::from_secs_f64(effort.seconds);
    let runs = Both { causeway: Run::open(&servers.causeway, load)?, coturn: Run::open(&servers.coturn, load)? };
    servers.causeway.wait_until_settled(effort.settle)?;
    servers.coturn.wait_until_settled(effort.settle / 4)?;
    let mut rounds = Both { causeway: Vec::new(), coturn: Vec::new() };
    for _ in 0..effort.rounds {
        rounds.causeway.push(runs.causeway.measure(duration)?);
        rounds.coturn.push(runs.coturn.measure(duration)?);
    }
    runs.causeway.release()?;
    runs.coturn.release()?;
    Ok(rounds.map(|measured| Measured {
        cpu_micros_per_packet: median(measured, |m| m.cpu_micros_per_packet),
        packets_per_sec: best(measured, |m| m.packets_per_sec),
        busy: median(measured, |m| m.busy),
    }))
}

/// Least rate of the latency rows.
const LATENCY_PACKETS_PER_SEC_MIN: f64 = 1000.0;

fn measure_latency(servers: &Both<Subject>, effort: Effort, loads: &[LoadResult]) -> Result<LatencyResult> {
    let saturated = loads.get(LATENCY_LOAD).context("the load of the latency rows")?.measured;
    let half = saturated.causeway.packets_per_sec.min(saturated.coturn.packets_per_sec) / 2.0;
    // A quick run on a busy machine may have counted nothing.
    let packets_per_sec = half.max(LATENCY_PACKETS_PER_SEC_MIN);
    println!("latency at {packets_per_sec:.0} packets per second …");
    let mut paths = Both {
        causeway: Path::relayed(&servers.causeway, LATENCY_ALLOCATIONS)?,
        coturn: Path::relayed(&servers.coturn, LATENCY_ALLOCATIONS)?,
    };
    let mut direct = Path::direct(LATENCY_ALLOCATIONS)?;
    let duration = Duration::from_secs_f64(effort.seconds);
    let mut rounds = Both { causeway: Vec::new(), coturn: Vec::new() };
    let mut direct_rounds = Vec::new();
    for _ in 0..effort.rounds {
        rounds.causeway.push(paths.causeway.measure(packets_per_sec, duration)?);
        rounds.coturn.push(paths.coturn.measure(packets_per_sec, duration)?);
        direct_rounds.push(direct.measure(packets_per_sec, duration)?);
    }
    paths.causeway.release()?;
    paths.coturn.release()?;
    direct.release()?;
    let median_latency = |rounds: &Vec<Latency>| Latency {
        p50_micros: median(rounds, |l| l.p50_micros),
        p99_micros: median(rounds, |l| l.p99_micros),
        p999_micros: median(rounds, |l| l.p999_micros),
    };
    Ok(LatencyResult { packets_per_sec, direct: median_latency(&direct_rounds), relayed: rounds.map(median_latency) })
}

/// The middle one of the figures; of an even number the upper middle.
fn median<T>(rounds: &[T], figure: impl Fn(&T) -> f64) -> f64 {
    let mut figures: Vec<f64> = rounds.iter().map(figure).collect();
    figures.sort_unstable_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The highest of the figures: a disturbance can only lower a rate.
fn best<T>(rounds: &[T], figure: impl Fn(&T) -> f64) -> f64 {
    rounds.iter().map(figure).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_and_the_best_the_highest() {
        assert_eq!(median(&[3.0, 1.0, 2.0], |x| *x), 2.0);
        assert_eq!(median(&[5.0], |x| *x), 5.0);
        assert_eq!(best(&[3.0, 4.0, 2.0], |x| *x), 4.0);
    }
}
