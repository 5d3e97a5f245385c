//! Credentials minted a second, each with all its labels, by many connections at once.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use causeway_app::CredentialStore as _;
use causeway_bench::http::Connection;
use tokio::task::JoinSet;

use crate::{
    report::quantile,
    seed::{CLIENTS, ROOMS},
    server::{Database, Server, TOKEN},
};

/// Minted before anything is measured.
const WARM_UP: usize = 2_000;

/// What minting showed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Minted {
    pub(crate) count: usize,
    pub(crate) per_sec: f64,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    /// Processor time of the server for a thousand.
    pub(crate) cpu_per_1000: Duration,
    pub(crate) connections: usize,
}

impl Minted {
    pub(crate) fn line(&self, database: &str) -> String {
        format!(
            "{database}: {:.0} minted a second over {} connections, p50 {:.1} ms, p99 {:.1} ms, {:.0} ms of the server's \
             processor time for 1000; all {} there after SIGKILL",
            self.per_sec,
            self.connections,
            self.p50.as_secs_f64() * 1e3,
            self.p99.as_secs_f64() * 1e3,
            self.cpu_per_1000.as_secs_f64() * 1e3,
            self.count
        )
    }
}

/// Mints for `duration`, kills the server, and looks for every credential that was handed out.
pub(crate) async fn measure(
    program: &Path,
    database: &Database,
    connections: usize,
    duration: Duration,
) -> Result<Minted> {
    let server = Server::start(program, database).await?;
    let mut names = mint(&server, connections, Until::Count(WARM_UP / connections + 1)).await?.names;
    let (cpu, start) = (server.cpu()?, Instant::now());
    let mut round = mint(&server, connections, Until::Moment(start + duration)).await?;
    let (took, cpu) = (start.elapsed(), server.cpu()?.saturating_sub(cpu));
    drop(server);
    let count = round.nanos.len();
    ensure!(count > 0, "nothing was minted");
    names.append(&mut round.names);
    find_all(database, &names).await?;
    round.nanos.sort_unstable();
    Ok(Minted {
        count: names.len(),
        per_sec: count as f64 / took.as_secs_f64(),
        p50: quantile(&round.nanos, 0.5),
        p99: quantile(&round.nanos, 0.99),
        cpu_per_1000: cpu.mul_f64(1000.0 / count as f64),
        connections,
    })
}

/// When a connection stops minting.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Until {
    Count(usize),
    Moment(Instant),
}

/// What the connections got.
#[derive(Debug, Default)]
pub(crate) struct Round {
    pub(crate) names: Vec<String>,
    nanos: Vec<u64>,
}

/// Mints over many connections.
pub(crate) async fn mint(server: &Server, connections: usize, until: Until) -> Result<Round> {
    let mut minters = JoinSet::new();
    for index in 0..connections {
        minters.spawn(mint_one_by_one(Connection::open(server.http, TOKEN).await?, index, connections, until));
    }
    let mut all = Round::default();
    while let Some(round) = minters.join_next().await {
        let mut round = round??;
        all.names.append(&mut round.names);
        all.nanos.append(&mut round.nanos);
    }
    Ok(all)
}

async fn mint_one_by_one(mut connection: Connection, first: usize, step: usize, until: Until) -> Result<Round> {
    let mut round = Round::default();
    for number in (first..).step_by(step) {
        let is_over = match until {
            Until::Count(count) => round.names.len() >= count,
            Until::Moment(moment) => Instant::now() >= moment,
        };
        if is_over {
            break;
        }
        let number = u32::try_from(number)?;
        // Far apart, as calls of different people are.
        let (caller, called) = (number.wrapping_mul(7919) % CLIENTS, number.wrapping_mul(104_729) % CLIENTS);
        let body = format!(
            r#"{{"room":"room-{:05}","initiator_client":"client-{caller:05}","receiver_client":"client-{called:05}","client_type":"initiator","ttl":3600}}"#,
            number.wrapping_mul(7907) % ROOMS
        );
        let start = Instant::now();
        let answer = connection.post("/api/v1/credentials/ice", &body).await?;
        let took = start.elapsed();
        ensure!(answer.status == 200, "minting was answered {}: {}", answer.status, answer.body);
        round.names.push(answer.field("username").context("a user name")?.to_owned());
        round.nanos.push(u64::try_from(took.as_nanos())?);
    }
    Ok(round)
}

async fn find_all(database: &Database, names: &[String]) -> Result<()> {
    let store = database.open("bench").await?;
    for name in names {
        ensure!(store.credential(name).await?.is_some(), "{name} was handed out and is not in the database");
    }
    store.close().await;
    Ok(())
}
