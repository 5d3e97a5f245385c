//! Loads the API of a release server and says what it bore: `make bench-api`.
//!
//! Three parts: credentials minted a second, with every one of them looked for after the server was killed ([`mint`]);
//! how long the lists take over a hundred thousand sessions ([`lists`]); memory over a million user names ([`names`]).

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "printing is what it is for")]

mod lists;
mod mint;
mod names;
mod postgres;
mod report;
mod seed;
mod server;

use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use causeway_bench::serving;
use clap::{Parser, ValueEnum};

use crate::{
    names::Way,
    postgres::Postgres,
    report::Report,
    server::{Database, Server},
};

/// Measures the API of causeway.
#[derive(Debug, Parser)]
struct Options {
    /// Seconds of minting.
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Connections that mint, each one request at a time.
    #[arg(long, default_value_t = 256)]
    connections: usize,
    /// How often minting is measured; the median counts.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Sessions that are listed.
    #[arg(long, default_value_t = 100_000)]
    sessions: u32,
    /// Requests of each kind of list.
    #[arg(long, default_value_t = 200)]
    requests: usize,
    /// User names of each kind.
    #[arg(long, default_value_t = 1_000_000)]
    names: u32,
    /// From which name on memory may grow no more: caches and rings are full by then.
    #[arg(long, default_value_t = 100_000)]
    full: u32,
    /// Bytes that may be kept of each name from there on, on average. The least that could be kept of one is some 40; a
    /// connection to the database that is used late for the first time fills its cache, 2 MiB, once.
    #[arg(long, default_value_t = 16.0)]
    bytes_per_name: f64,
    /// Only these kinds of user names.
    #[arg(long, value_enum)]
    way: Vec<Way>,
    /// Only these parts.
    #[arg(long, value_enum)]
    only: Vec<Part>,
    /// Only on these databases; PostgreSQL where it is installed.
    #[arg(long, value_enum)]
    database: Vec<Kind>,
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

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    Mint,
    Lists,
    Names,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    Sqlite,
    Postgres,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let options = Options::parse();
    ensure!(options.seconds > 0.0 && options.rounds > 0 && options.connections > 0, "nothing to do");
    let program = serving::program(options.causeway.as_deref())?;
    causeway_net_io::raise_descriptor_limit()?;
    let wants = |part| options.only.is_empty() || options.only.contains(&part);
    let mut report = Report::default();
    for kind in [Kind::Sqlite, Kind::Postgres] {
        if !(options.database.is_empty() || options.database.contains(&kind)) {
            continue;
        }
        if kind == Kind::Postgres && !Postgres::is_installed() {
            println!("PostgreSQL is not installed: left out");
            continue;
        }
        if wants(Part::Mint) {
            let minted = measure_minting(&options, &program, kind).await?;
            println!("{}", minted.line(kind.name()));
            report.minted.push((kind.name(), minted));
        }
        if wants(Part::Lists) {
            let database = Database::make(kind)?;
            println!("{}: {} sessions are written …", kind.name(), options.sessions);
            let seeded = seed::sessions(&database, options.sessions).await?;
            println!("{}: written in {:.1} s", kind.name(), seeded.as_secs_f64());
            let server = Server::start(&program, &database).await?;
            let lists = lists::measure(&server, options.sessions, options.requests).await?;
            lists.iter().for_each(|list| println!("{}", list.line(kind.name())));
            report.lists.push((kind.name(), lists));
        }
    }
    if wants(Part::Names) {
        report.names = names::measure(&program, &options).await?;
    }
    if let Some(path) = &options.write {
        fs::write(path, report.page(&options)).with_context(|| path.display().to_string())?;
        println!("written to {}", path.display());
    }
    let missed = report.missed(options.bytes_per_name);
    missed.iter().for_each(|line| println!("falls short: {line}"));
    if options.strict && !missed.is_empty() {
        bail!("{} targets are missed", missed.len());
    }
    Ok(())
}

/// Several rounds, each on a database of its own; the one in the middle by rate.
async fn measure_minting(options: &Options, program: &std::path::Path, kind: Kind) -> Result<mint::Minted> {
    let mut rounds = Vec::new();
    for _ in 0..options.rounds {
        let database = Database::make(kind)?;
        let duration = Duration::from_secs_f64(options.seconds);
        rounds.push(mint::measure(program, &database, options.connections, duration).await?);
    }
    rounds.sort_by(|a, b| a.per_sec.total_cmp(&b.per_sec));
    rounds.into_iter().nth((options.rounds - 1) / 2).context("at least one round")
}
