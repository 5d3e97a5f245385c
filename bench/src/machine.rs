//! What the figures were measured on, without saying whose it is.

use std::{fs, time::Duration};

use anyhow::{Context, Result};

/// Kernel and processor, as the report names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Version of the kernel.
    pub kernel: String,
    /// Its processor's name.
    pub processor: String,
    /// How many.
    pub n_processors: usize,
}

impl Machine {
    /// This one.
    #[must_use]
    pub fn this() -> Self {
        let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        Self {
            kernel: version_of(&release),
            processor: processor_of(&cpuinfo),
            n_processors: std::thread::available_parallelism().map_or(1, usize::from),
        }
    }
}

/// A moment and, up to it, how long a processor was idle since the system started, both in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Idleness {
    at: u64,
    idle: u64,
}

impl Idleness {
    /// Of `processor`, by the kernel's own clockwork. Time in which it is idle at this moment is not in it: ask from a
    /// thread on that processor.
    ///
    /// # Errors
    /// Who asks is not root, or the kernel has no such account.
    pub fn of(processor: usize) -> Result<Self> {
        let text = fs::read_to_string(TIMERS).with_context(|| format!("{TIMERS} cannot be read; it takes root"))?;
        idleness(&text, processor).with_context(|| format!("{TIMERS} names no idle time of processor {processor}"))
    }

    /// How long it was not idle.
    #[must_use]
    pub const fn busy_since(self, earlier: Self) -> Duration {
        let idle = self.idle.saturating_sub(earlier.idle);
        Duration::from_nanos(self.at.saturating_sub(earlier.at).saturating_sub(idle))
    }
}

const TIMERS: &str = "/proc/timer_list";

/// Reads the section of `processor`: idle, and idle with somebody waiting for a disk.
fn idleness(text: &str, processor: usize) -> Option<Idleness> {
    let at = nanos_of(text.lines().find_map(|line| line.strip_prefix("now at "))?)?;
    let heading = format!("cpu: {processor}");
    let section =
        || text.lines().skip_while(|line| *line != heading).skip(1).take_while(|line| !line.starts_with("cpu: "));
    let figure = |name| section().find_map(|line| nanos_of(line.trim().strip_prefix(name)?.trim().strip_prefix(": ")?));
    Some(Idleness { at, idle: figure(".idle_sleeptime")? + figure(".iowait_sleeptime")? })
}

fn nanos_of(text: &str) -> Option<u64> {
    text.strip_suffix("nsecs")?.trim().parse().ok()
}

/// The numbers of a kernel release; what a distributor or host adds stays out.
fn version_of(release: &str) -> String {
    let version = release.trim();
    version.split_once('-').map_or(version, |(numbers, _)| numbers).to_owned()
}

fn processor_of(cpuinfo: &str) -> String {
    let name = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let virtual_machine = cpuinfo.lines().any(|line| line.starts_with("flags") && line.contains(" hypervisor"));
    let name = name.map_or("unknown processor", |(_, name)| name.trim());
    format!("{name}{}", if virtual_machine { ", virtual machine" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_time_is_that_of_the_processor_asked_for() {
        let text = "Timer List Version: v0.10\nnow at 9000 nsecs\n\ncpu: 0\n  .idle_entrytime : 1 nsecs\n  \
                    .idle_sleeptime : 100 nsecs\n  .iowait_sleeptime: 20 nsecs\n\ncpu: 1\n  .idle_sleeptime : 300 \
                    nsecs\n  .iowait_sleeptime: 4 nsecs\n";
        let first = idleness(text, 0).unwrap();
        assert_eq!(first, Idleness { at: 9000, idle: 120 });
        assert_eq!(idleness(text, 1), Some(Idleness { at: 9000, idle: 304 }));
        assert_eq!(idleness(text, 2), None);
        let later = Idleness { at: 10_000, idle: 720 };
        assert_eq!(later.busy_since(first), Duration::from_nanos(400));
    }

    #[test]
    fn kernel_and_processor_are_named() {
        assert_eq!(version_of("6.1.0-18-amd64\n"), "6.1.0");
        let cpuinfo = "processor\t: 0\nmodel name\t: Made Up 3000\nflags\t\t: fpu hypervisor lahf_lm\n";
        assert_eq!(processor_of(cpuinfo), "Made Up 3000, virtual machine");
        assert_eq!(processor_of(""), "unknown processor");
    }
}
