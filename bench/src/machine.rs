//! What the figures were measured on, without saying whose it is.

use std::fs;

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
    fn kernel_and_processor_are_named() {
        assert_eq!(version_of("6.1.0-18-amd64\n"), "6.1.0");
        let cpuinfo = "processor\t: 0\nmodel name\t: Made Up 3000\nflags\t\t: fpu hypervisor lahf_lm\n";
        assert_eq!(processor_of(cpuinfo), "Made Up 3000, virtual machine");
        assert_eq!(processor_of(""), "unknown processor");
    }
}
