//! The page.

use std::{fmt::Write as _, time::Duration};

use causeway_bench::machine::Machine;

use crate::{Options, lists::Listed, mint::Minted, names::Kept};

/// The targets.
const MINTED_PER_SEC: f64 = 5_000.0;
const LIST_P99: Duration = Duration::from_millis(50);

/// All figures.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) minted: Vec<(&'static str, Minted)>,
    pub(crate) lists: Vec<(&'static str, Vec<Listed>)>,
    pub(crate) names: Vec<Kept>,
}

/// The value below which `part` of the sorted values lie.
pub(crate) fn quantile(sorted: &[u64], part: f64) -> Duration {
    let last = sorted.len().saturating_sub(1);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index between 0 and the last")]
    let index = (last as f64 * part).ceil() as usize;
    Duration::from_nanos(sorted.get(index.min(last)).copied().unwrap_or_default())
}

fn millis(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1e3)
}

fn verdict(is_met: bool) -> &'static str {
    if is_met { "met" } else { "falls short" }
}

impl Report {
    /// What does not meet its target.
    pub(crate) fn missed(&self, bytes_per_name: f64) -> Vec<String> {
        let minted = self.minted.iter().filter(|(_, minted)| minted.per_sec < MINTED_PER_SEC);
        let mut missed: Vec<String> = minted.map(|(database, minted)| minted.line(database)).collect();
        for (database, lists) in &self.lists {
            missed.extend(
                lists.iter().filter(|list| list.has_target() && list.p99 >= LIST_P99).map(|list| list.line(database)),
            );
        }
        missed.extend(self.names.iter().filter(|kept| kept.bytes_per_name() >= bytes_per_name).map(Kept::line));
        missed
    }

    pub(crate) fn page(&self, options: &Options) -> String {
        let machine = Machine::this();
        let mut page = format!(
            "# Performance of the API\n\nWritten by\n\n```sh\nmake bench-api\n```\n\nLinux {}, {} processors ({}). Server, \
             database and load generator share them.\n",
            machine.kernel, machine.n_processors, machine.processor
        );
        self.minting(&mut page, options);
        self.listing(&mut page, options);
        self.keeping(&mut page, options);
        page.push_str(include_str!("method.md"));
        page
    }

    fn minting(&self, page: &mut String, options: &Options) {
        let _infallible = write!(
            page,
            "\n## Minting\n\n`POST /api/v1/credentials/ice` with room, both clients, type and lifetime, over {} kept \
             connections with one request each, {} s, the median of {} rounds.\n\n\
             | database | minted per second | target | | p50 | p99 | processor time of the server for 1000 | found after SIGKILL |\n\
             | --- | --- | --- | --- | --- | --- | --- | --- |\n",
            options.connections, options.seconds, options.rounds
        );
        for (database, minted) in &self.minted {
            let _infallible = writeln!(
                page,
                "| {database} | {:.0} | ≥ {MINTED_PER_SEC} | {} | {} | {} | {} | {} of {} |",
                minted.per_sec,
                verdict(minted.per_sec >= MINTED_PER_SEC),
                millis(minted.p50),
                millis(minted.p99),
                millis(minted.cpu_per_1000),
                minted.count,
                minted.count,
            );
        }
    }

    fn listing(&self, page: &mut String, options: &Options) {
        let _infallible = write!(
            page,
            "\n## Lists\n\n{} sessions of 20 000 rooms and 40 000 clients, {} credentials; {} requests of each kind, one at a \
             time, pages of 50 unless told otherwise. Target: p99 under {} ms.\n",
            options.sessions,
            options.sessions,
            options.requests,
            LIST_P99.as_millis()
        );
        for (database, lists) in &self.lists {
            let _infallible =
                write!(page, "\n| {database} | p50 | p99 | longest | |\n| --- | --- | --- | --- | --- |\n");
            for list in lists {
                let (p50, p99, longest) = (millis(list.p50), millis(list.p99), millis(list.longest));
                let verdict = if list.has_target() { verdict(list.p99 < LIST_P99) } else { "–" };
                let _infallible = writeln!(page, "| `{}` | {p50} | {p99} | {longest} | {verdict} |", list.name);
            }
        }
    }

    fn keeping(&self, page: &mut String, options: &Options) {
        page.push_str(
            "\n## Memory over user names\n\nResident memory of the server on SQLite after so many user names that it never \
             saw before. Target: a few bytes of each, once everything that has a limit is full.\n\n| user names | at the start | full | after all | kept of each from there | |\n\
             | --- | --- | --- | --- | --- | --- |\n",
        );
        let mib = |bytes: u64| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20));
        for kept in &self.names {
            let _infallible = writeln!(
                page,
                "| {} {} | {} | {} after {} | {} | {:.1} B | {} |",
                kept.count,
                kept.what,
                mib(kept.start),
                mib(kept.full),
                kept.full_at,
                mib(kept.end),
                kept.bytes_per_name(),
                verdict(kept.bytes_per_name() < options.bytes_per_name)
            );
        }
    }
}
