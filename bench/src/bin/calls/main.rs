//! Holds registered clients and sets calls up between them on a server of its own: `make bench-calls`.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "printing is what it is for")]

mod phone;
mod report;
mod round;
mod server;
mod sip;
mod verto;
mod wire;

use std::{fs, path::PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clap::{Parser, ValueEnum};

use crate::report::Report;

/// Descriptors that a process needs beside its clients'.
const DESCRIPTORS_KEPT: u64 = 500;

/// Measures registrations and calls of causeway.
#[derive(Debug, Parser)]
struct Options {
    /// Registered SIP clients; as many of them as the machine's limit of descriptors allows.
    #[arg(long, default_value_t = 20_000)]
    sip_clients: u64,
    /// Logged-in voice clients.
    #[arg(long, default_value_t = 10_000)]
    verto_clients: u64,
    /// Calls that are set up each second.
    #[arg(long, default_value_t = 200)]
    per_sec: u32,
    /// For how many seconds.
    #[arg(long, default_value_t = 10)]
    seconds: u32,
    /// Only these dialects.
    #[arg(long, value_enum)]
    only: Vec<Kind>,
    /// Over TLS, as browsers connect.
    #[arg(long)]
    tls: bool,
    /// Do not wait for clients that may come back, nor for memory to come to rest.
    #[arg(long)]
    stays_shortly: bool,
    /// The page to write.
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// Fail when a target is missed.
    #[arg(long)]
    strict: bool,
    /// The causeway to measure. Default: the one built beside this program.
    #[arg(long, value_name = "FILE")]
    causeway: Option<PathBuf>,
}

impl Options {
    /// How long a server is left alone before its memory is looked at.
    const fn rest(&self) -> std::time::Duration {
        std::time::Duration::from_secs(if self.stays_shortly { 0 } else { 3 })
    }
}

/// What clients speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// SIP over WebSocket.
    Sip,
    /// JSON-RPC, as Telnyx's clients do.
    Verto,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Sip => "SIP",
            Self::Verto => "Telnyx",
        }
    }

    const fn path(self) -> &'static str {
        match self {
            Self::Sip => "/sip",
            Self::Verto => "/rtc/v1",
        }
    }

    const fn protocol(self) -> Option<&'static str> {
        match self {
            Self::Sip => Some("sip"),
            Self::Verto => None,
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let options = Options::parse();
    ensure!(options.per_sec > 0 && options.sip_clients > 1 && options.verto_clients > 1, "nothing to do");
    let allowed = causeway_net_io::raise_descriptor_limit()?;
    let mut report = Report::default();
    for (kind, wanted) in [(Kind::Sip, options.sip_clients), (Kind::Verto, options.verto_clients)] {
        if !(options.only.is_empty() || options.only.contains(&kind)) {
            continue;
        }
        let clients = wanted.min(allowed.saturating_sub(DESCRIPTORS_KEPT));
        if clients < wanted {
            let name = kind.name();
            report.notes.push(format!(
                "This machine allows a process {allowed} descriptors: {clients} {name} clients instead of {wanted}."
            ));
        }
        println!("{}: {clients} clients …", kind.name());
        let round = round::measure(&options, kind, usize::try_from(clients)?).await?;
        report.rounds.push((kind, round));
    }
    let page = report.page(&options);
    println!("{page}");
    if let Some(path) = &options.write {
        fs::write(path, page).with_context(|| path.display().to_string())?;
    }
    let (missed, faults) = (report.missed(), report.faults());
    missed.iter().chain(&faults).for_each(|line| println!("falls short: {line}"));
    ensure!(faults.is_empty(), "{} faults", faults.len());
    if options.strict && !missed.is_empty() {
        bail!("{} targets are missed", missed.len());
    }
    Ok(())
}
