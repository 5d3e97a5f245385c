//! CPU time and memory of another process, from `/proc`.

use std::{fs, time::Duration};

use anyhow::{Context, Result};

/// User and system time of every thread of `pid`, with the scheduler's nanoseconds. Time the kernel spends for the
/// process in soft interrupts, such as handing a packet over loopback, is in it.
pub fn cpu_time(pid: u32) -> Result<Duration> {
    let mut nanos = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task")).with_context(|| format!("process {pid} has ended"))? {
        let path = task?.path().join("schedstat");
        // A thread that ended between the two reads has nothing to add.
        let Ok(text) = fs::read_to_string(&path) else { continue };
        nanos += running_nanos(&text).with_context(|| format!("{} is not as expected: {text}", path.display()))?;
    }
    Ok(Duration::from_nanos(nanos))
}

/// Resident memory of `pid` in bytes.
pub fn resident_bytes(pid: u32) -> Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).with_context(|| format!("process {pid} has ended"))?;
    resident_kib(&text).map(|kib| kib * 1024).context("/proc/PID/status names no VmRSS")
}

/// Time that all processors together were not idle since the system started, in ticks of 10 ms: what a hypervisor took
/// away counts too.
pub fn busy_time() -> Result<Duration> {
    let text = fs::read_to_string("/proc/stat").context("/proc/stat cannot be read")?;
    busy_ticks(&text).map(|ticks| Duration::from_millis(10 * ticks)).context("/proc/stat is not as expected")
}

/// From the line of all processors: user, nice, system, idle, iowait, irq, softirq, steal.
fn busy_ticks(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let ticks: Vec<u64> = line.split_whitespace().map_while(|field| field.parse().ok()).take(8).collect();
    let [user, nice, system, _idle, _iowait, irq, softirq, steal] = *ticks else { return None };
    Some(user + nice + system + irq + softirq + steal)
}

/// The first of the three numbers of `schedstat`: time on the processor.
fn running_nanos(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}

fn resident_kib(text: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_are_found_in_the_texts_of_proc() {
        assert_eq!(running_nanos("84718913512 4100712 9001\n"), Some(84_718_913_512));
        assert_eq!(running_nanos(""), None);
        assert_eq!(resident_kib("VmHWM:\t   9000 kB\nVmRSS:\t    5120 kB\nRssAnon:\t 12 kB\n"), Some(5120));
        assert_eq!(resident_kib("VmHWM:\t   9000 kB\n"), None);
    }

    #[test]
    fn idle_and_waiting_processors_are_not_busy() {
        assert_eq!(busy_ticks("cpu  1 2 4 100 200 8 16 32 7 7\ncpu0 1 1 1 1 1 1 1 1 0 0\n"), Some(63));
        assert_eq!(busy_ticks("cpu  1 2 4\n"), None);
    }

    #[test]
    fn this_process_uses_time_and_memory() {
        let pid = std::process::id();
        assert!(cpu_time(pid).unwrap() > Duration::ZERO);
        assert!(resident_bytes(pid).unwrap() > 100_000);
        assert!(cpu_time(u32::MAX).is_err());
    }
}
