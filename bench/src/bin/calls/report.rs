//! The page.

use std::{fmt::Write as _, time::Duration};

use causeway_bench::machine::Machine;

use crate::{Kind, Options, phone::Steps, round::Round};

/// The targets.
const BYTES_EACH_MAX: u64 = 25 * 1024;
const RINGING_P99_MAX: Duration = Duration::from_millis(20);

/// All figures.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// What the machine does not allow.
    pub(crate) notes: Vec<String>,
    pub(crate) rounds: Vec<(Kind, Round)>,
}

/// The value below which `part` of the steps lie.
fn quantile(round: &Round, step: impl Fn(&Steps) -> Duration, part: f64) -> Duration {
    let mut sorted: Vec<Duration> = round.calls.iter().map(step).collect();
    sorted.sort_unstable();
    let last = sorted.len().saturating_sub(1);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index between 0 and the last")]
    let index = (last as f64 * part).ceil() as usize;
    sorted.get(index.min(last)).copied().unwrap_or_default()
}

fn millis(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1e3)
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

fn kib(bytes: u64) -> String {
    format!("{:.1} KiB", bytes as f64 / 1024.0)
}

fn verdict(is_met: bool) -> &'static str {
    if is_met { "met" } else { "falls short" }
}

impl Report {
    /// What does not meet its target, or should not be.
    pub(crate) fn missed(&self) -> Vec<String> {
        let mut missed = Vec::new();
        for (kind, round) in &self.rounds {
            let name = kind.name();
            if round.bytes_each() > BYTES_EACH_MAX {
                missed.push(format!("{name}: {} for each client", kib(round.bytes_each())));
            }
            let ringing = quantile(round, |steps| steps.ringing, 0.99);
            if ringing >= RINGING_P99_MAX {
                missed.push(format!("{name}: p99 of ringing is {}", millis(ringing)));
            }
        }
        missed
    }

    /// Calls that came to nothing and counts that stay: faults, on whichever machine.
    pub(crate) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for (kind, round) in &self.rounds {
            let name = kind.name();
            if let Some(fault) = round.faults.first() {
                faults.push(format!("{name}: {} calls came to nothing, the first because {fault}", round.faults.len()));
            }
            let left = round.left.iter().map(|(count, value)| format!("{name}: {count} stays at {value}"));
            faults.extend(left);
        }
        faults
    }

    pub(crate) fn page(&self, options: &Options) -> String {
        let machine = Machine::this();
        let over = if options.tls { "TLS" } else { "TCP" };
        let mut page = format!(
            "# Performance of registrations and calls\n\nWritten by\n\n```sh\nmake bench-calls\n```\n\nLinux {}, {} processors \
             ({}). Server and clients share them; the WebSockets are over {over}.\n",
            machine.kernel, machine.n_processors, machine.processor
        );
        self.notes.iter().for_each(|note| _ = write!(page, "\n{note}\n"));
        page.push_str(
            "\n## Registered clients\n\n| dialect | clients | registered in | server before | after | for each client | target | |\n\
             | --- | --- | --- | --- | --- | --- | --- | --- |\n",
        );
        for (kind, round) in &self.rounds {
            let _infallible = writeln!(
                page,
                "| {} | {} | {:.1} s | {} | {} | {} | ≤ {} | {} |",
                kind.name(),
                round.clients,
                round.registered_in.as_secs_f64(),
                mib(round.memory_before),
                mib(round.memory_after),
                kib(round.bytes_each()),
                kib(BYTES_EACH_MAX),
                verdict(round.bytes_each() <= BYTES_EACH_MAX)
            );
        }
        self.calling(&mut page, options);
        self.ending(&mut page);
        page.push_str(include_str!("method.md"));
        page
    }

    fn calling(&self, page: &mut String, options: &Options) {
        let _infallible = write!(
            page,
            "\n## Calls\n\n{} set up each second for {} s, seen by their callers. Target: p99 from INVITE to ringing under {} ms.\n\n\
             | dialect | calls | step | p50 | p99 | longest | | processor time of the server for each |\n\
             | --- | --- | --- | --- | --- | --- | --- | --- |\n",
            options.per_sec,
            options.seconds,
            RINGING_P99_MAX.as_millis()
        );
        for (kind, round) in &self.rounds {
            let n_calls = u32::try_from(round.calls.len()).unwrap_or(u32::MAX).max(1);
            let mut row = |name: &str, step: fn(&Steps) -> Duration, has_target: bool| {
                let p99 = quantile(round, step, 0.99);
                let is_met = if has_target { verdict(p99 < RINGING_P99_MAX) } else { "–" };
                let _infallible = writeln!(
                    page,
                    "| {} | {} | {name} | {} | {} | {} | {is_met} | {} |",
                    kind.name(),
                    round.calls.len(),
                    millis(quantile(round, step, 0.5)),
                    millis(p99),
                    millis(quantile(round, step, 1.0)),
                    if has_target { millis(round.cpu / n_calls) } else { String::new() }
                );
            };
            row("ringing", |steps| steps.ringing, true);
            row("answered", |steps| steps.answered, false);
            row("hung up", |steps| steps.ended, false);
        }
    }

    fn ending(&self, page: &mut String) {
        page.push_str(
            "\n## What stays\n\nAfter all calls are over and all clients gone, the server counts no call, no client and no \
             registration.\n\n| dialect | memory after the calls | after the clients |\n| --- | --- | --- |\n",
        );
        for (kind, round) in &self.rounds {
            let (calls, end) = (mib(round.memory_after_calls), mib(round.memory_at_end));
            let _infallible = writeln!(page, "| {} | {calls} | {end} |", kind.name());
        }
    }
}
