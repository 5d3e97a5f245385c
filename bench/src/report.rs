//! The figures as tables, and the page they go to.

use causeway_bench::machine::Machine;
use std::fmt::Write as _;

use crate::{
    flows::Direction,
    idle::Made,
    latency::Latency,
    load::{Load, Measured, Shape},
    plan::{ALLOCATIONS_MIN, Effort, MEMORY_BYTES_MAX, MEMORY_MAX, Planned},
};

/// One figure of each server.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Both<T> {
    pub(crate) causeway: T,
    pub(crate) coturn: T,
}

/// A load and what it showed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LoadResult {
    pub(crate) planned: Planned,
    pub(crate) measured: Both<Measured>,
}

/// Latency at half load, and what of it is not the servers'.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LatencyResult {
    pub(crate) packets_per_sec: f64,
    pub(crate) direct: Latency,
    pub(crate) relayed: Both<Latency>,
}

/// Everything one run of the bench has shown.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    pub(crate) machine: Machine,
    pub(crate) coturn_version: String,
    pub(crate) effort: Effort,
    pub(crate) loads: Vec<LoadResult>,
    pub(crate) latency: LatencyResult,
    pub(crate) idle: Both<Made>,
    /// Part of all processors' time that went to other processes meanwhile.
    pub(crate) disturbance: f64,
}

impl<T> Both<T> {
    pub(crate) fn map<U>(&self, figure: impl Fn(&T) -> U) -> Both<U> {
        Both { causeway: figure(&self.causeway), coturn: figure(&self.coturn) }
    }
}

impl Both<f64> {
    fn ratio(self) -> f64 {
        self.causeway / self.coturn
    }
}

impl Load {
    /// In words, without allocations and bytes.
    pub(crate) fn name(&self) -> String {
        let way = match self.direction {
            Direction::ToPeer => "to a peer",
            Direction::ToClient => "to the client",
            Direction::BetweenAllocations => "between own allocations",
        };
        match self.shape {
            Shape::Singles => format!("single packets {way}"),
            Shape::Paced(per_sec) => format!("single packets {way}, {per_sec} a second"),
            Shape::Bursts(n_packets) => format!("bursts of {n_packets} {way}"),
        }
    }

    /// Name, allocations and bytes.
    pub(crate) fn label(&self) -> String {
        format!("{} {} {}", self.name(), self.n_allocations, self.payload_len)
    }
}

impl LoadResult {
    fn cpu(&self) -> Both<f64> {
        self.measured.map(|m| m.cpu_micros_per_packet)
    }

    /// Target and verdict, as the table has them.
    fn target(&self) -> (String, &'static str) {
        match self.planned.ratio_max {
            Some(max) => (format!("≤ {max}"), verdict(printed(self.cpu().ratio()) <= max)),
            None => ("–".to_owned(), ""),
        }
    }

    /// One line while the bench runs.
    pub(crate) fn line(&self) -> String {
        let Load { n_allocations, payload_len, .. } = self.planned.load;
        let cpu = self.cpu();
        let (target, verdict) = self.target();
        format!(
            "{:<46} {n_allocations:>4} × {payload_len:>4} B {:>6.2} : {:>5.2} µs  ratio {:.2} {target} {verdict}  busy {:.0} % : {:.0} %",
            self.planned.load.name(),
            cpu.causeway,
            cpu.coturn,
            cpu.ratio(),
            self.measured.causeway.busy * 100.0,
            self.measured.coturn.busy * 100.0,
        )
    }

    /// What is said of a missed target.
    fn shortfall(&self) -> Option<String> {
        let (ratio, max) = (printed(self.cpu().ratio()), self.planned.ratio_max?);
        let Load { n_allocations, payload_len, .. } = self.planned.load;
        let name = self.planned.load.name();
        (ratio > max).then(|| {
            format!("{name}, {n_allocations} allocations, {payload_len} bytes: {ratio:.2} of coturn's processor time instead of {max}.")
        })
    }
}

impl Report {
    /// The tables alone.
    pub(crate) fn tables(&self) -> String {
        [self.cpu_table(), self.rate_table(), self.latency_table(), self.idle_table()].join("\n")
    }

    fn cpu_table(&self) -> String {
        let mut table = String::from(
            "| processor time per relayed packet | allocations | bytes | causeway | coturn | ratio | target | |\n\
             | --- | --- | --- | --- | --- | --- | --- | --- |\n",
        );
        for result in &self.loads {
            let (load, cpu) = (result.planned.load, result.cpu());
            let (target, verdict) = result.target();
            push(
                &mut table,
                format_args!(
                    "| {} | {} | {} | {:.2} µs | {:.2} µs | {:.2} | {target} | {verdict} |",
                    load.name(),
                    load.n_allocations,
                    load.payload_len,
                    cpu.causeway,
                    cpu.coturn,
                    cpu.ratio(),
                ),
            );
        }
        table
    }

    fn rate_table(&self) -> String {
        let mut table = String::from(
            "| packets per second at saturation | allocations | bytes | causeway | coturn | ratio |\n\
             | --- | --- | --- | --- | --- | --- |\n",
        );
        for result in self.loads.iter().filter(|result| !matches!(result.planned.load.shape, Shape::Paced(_))) {
            let load = result.planned.load;
            let rate = result.measured.map(|m| m.packets_per_sec);
            let shown = result.measured.map(|m| {
                // A server that waits for the generator could do more.
                let sign = if m.busy < SATURATED { "> " } else { "" };
                format!("{sign}{}", thousands(m.packets_per_sec))
            });
            push(
                &mut table,
                format_args!(
                    "| {} | {} | {} | {} | {} | {:.2} |",
                    load.name(),
                    load.n_allocations,
                    load.payload_len,
                    shown.causeway,
                    shown.coturn,
                    rate.ratio()
                ),
            );
        }
        table
    }

    fn latency_table(&self) -> String {
        let LatencyResult { packets_per_sec, direct, relayed } = self.latency;
        let mut table = format!(
            "| latency added at {} packets per second | causeway | coturn | ratio |\n| --- | --- | --- | --- |\n",
            thousands(packets_per_sec)
        );
        let p50 = (direct.p50_micros, relayed.map(|latency| latency.p50_micros));
        let p99 = (direct.p99_micros, relayed.map(|latency| latency.p99_micros));
        for (name, (direct, relayed)) in [("p50", p50), ("p99", p99)] {
            let added = relayed.map(|micros| micros - direct);
            push(
                &mut table,
                format_args!("| {name} | {:.1} µs | {:.1} µs | {:.2} |", added.causeway, added.coturn, added.ratio()),
            );
        }
        table
    }

    fn idle_table(&self) -> String {
        let n = self.effort.n_idle;
        let memory = self.idle.map(|made| made.bytes_per_allocation);
        let rate = self.idle.map(|made| made.allocations_per_sec);
        let cpu = self.idle.map(|made| made.cpu_micros_per_allocation);
        let mut table = format!(
            "| {n} allocations | causeway | coturn | ratio | target | |\n| --- | --- | --- | --- | --- | --- |\n"
        );
        push(
            &mut table,
            format_args!(
                "| memory of one, idle | {:.0} B | {:.0} B | {:.2} | ≤ {MEMORY_MAX} | {} |",
                memory.causeway,
                memory.coturn,
                memory.ratio(),
                verdict(printed(memory.ratio()) <= MEMORY_MAX),
            ),
        );
        push(
            &mut table,
            format_args!(
                "| the same, against a fixed limit | {:.0} B | | | ≤ {MEMORY_BYTES_MAX} B | {} |",
                memory.causeway,
                verdict(memory.causeway <= MEMORY_BYTES_MAX),
            ),
        );
        push(
            &mut table,
            format_args!(
                "| allocations per second | {:.0} | {:.0} | {:.2} | ≥ {ALLOCATIONS_MIN} | {} |",
                rate.causeway,
                rate.coturn,
                rate.ratio(),
                verdict(printed(rate.ratio()) >= ALLOCATIONS_MIN),
            ),
        );
        push(
            &mut table,
            format_args!(
                "| processor time of one | {:.1} µs | {:.1} µs | {:.2} | | |",
                cpu.causeway,
                cpu.coturn,
                cpu.ratio()
            ),
        );
        let end = self.idle.map(|made| made.cpu_micros_per_end);
        push(
            &mut table,
            format_args!(
                "| processor time of ending one, and writing it down | {:.1} µs | {:.1} µs | {:.2} | | |",
                end.causeway,
                end.coturn,
                end.ratio()
            ),
        );
        table
    }

    /// Every target that was missed, one sentence each.
    pub(crate) fn missed(&self) -> Vec<String> {
        let mut missed: Vec<String> = self.loads.iter().filter_map(LoadResult::shortfall).collect();
        let memory = self.idle.map(|made| made.bytes_per_allocation);
        if printed(memory.ratio()) > MEMORY_MAX || memory.causeway > MEMORY_BYTES_MAX {
            missed.push(format!(
                "An idle allocation takes {:.0} bytes, {:.2} of coturn's.",
                memory.causeway,
                memory.ratio()
            ));
        }
        let rate = printed(self.idle.map(|made| made.allocations_per_sec).ratio());
        if rate < ALLOCATIONS_MIN {
            missed.push(format!("Allocations per second: {rate:.1} times coturn's instead of {ALLOCATIONS_MIN}."));
        }
        missed
    }

    /// Whether the machine had other things to do.
    pub(crate) fn quiet(&self) -> String {
        let advice = if self.disturbance > DISTURBED { ": too much for the figures to be good" } else { "" };
        format!("Other processes took {:.0} % of the processors' time meanwhile{advice}.", self.disturbance * 100.0)
    }

    /// `docs/performance.md`.
    pub(crate) fn page(&self) -> String {
        let Machine { kernel, processor, n_processors } = &self.machine;
        let Effort { seconds, rounds, n_idle, settle: _ } = self.effort;
        let shortfalls = match self.missed() {
            missed if missed.is_empty() => "In this run every target is met.\n".to_owned(),
            missed => {
                missed.iter().fold("Targets missed in this run:\n\n".to_owned(), |text, line| text + "- " + line + "\n")
            }
        };
        format!(
            "# Performance\n\n\
             Causeway and Debian's coturn on one machine, in one run. Written by\n\n```sh\nmake bench\n```\n\n\
             Linux {kernel}, {n_processors} processors ({processor}), coturn {}. {}\n\n\
             {}\n{}\n{shortfalls}\n{}",
            self.coturn_version,
            self.quiet(),
            self.tables(),
            "## Where it falls short\n",
            METHOD
                .replace("{seconds}", &format!("{seconds}"))
                .replace("{rounds}", &format!("{rounds}"))
                .replace("{n_idle}", &format!("{n_idle}"))
        )
    }
}

/// A server that runs less of the time than this was not saturated.
const SATURATED: f64 = 0.9;

/// Other processes should not take more than this part of all processors' time.
pub(crate) const DISTURBED: f64 = 0.05;

/// How it was measured; part of the page.
const METHOD: &str = include_str!("method.md");

/// A ratio as it is printed, so that the verdict beside it can be followed.
pub(crate) fn printed(ratio: f64) -> f64 {
    (ratio * 100.0).round() / 100.0
}

pub(crate) const fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "falls short" }
}

/// Rounded to thousands, which are set apart.
pub(crate) fn thousands(figure: f64) -> String {
    let thousands = (figure / 1000.0).round();
    let millions = (thousands / 1000.0).floor();
    if millions > 0.0 {
        format!("{millions} {:03} 000", thousands - 1000.0 * millions)
    } else {
        format!("{thousands} 000")
    }
}

fn push(table: &mut String, row: std::fmt::Arguments<'_>) {
    writeln!(table, "{row}").expect("writing to a string cannot fail");
}

#[cfg(test)]
mod tests;
