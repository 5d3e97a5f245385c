//! Memory over user names that the server never saw before, in every way a name can come along.

use std::{
    net::Ipv4Addr,
    ops::Range,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use causeway_bench::{
    http::Connection,
    turn::{Answer, Requests},
};
use causeway_credentials::turn_rest;
use causeway_types::{Now, UnixTime};
use clap::ValueEnum;
use tokio::{net::UdpSocket, task::JoinSet, time::timeout};

use crate::{
    Kind, Options,
    server::{Database, SECRET, Server, TOKEN},
};

/// Clients at once.
const WINDOW: u32 = 32;
/// How long one answer is waited for, and how often a request is sent.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(500);
const TRIES: usize = 20;
/// The first of the clients' addresses: each client has one of its own.
const CLIENTS: Ipv4Addr = Ipv4Addr::new(127, 1, 0, 1);
/// Without work for so long, the server has written down what has ended.
const SETTLE: Duration = Duration::from_millis(1500);

/// Sessions that begin and end before the server may catch up with writing them down.
const SESSIONS_AT_ONCE: u32 = 20_000;

/// How names come along.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Way {
    /// Of no form that anything knows.
    Unknown,
    /// In the form of issued ones, and not issued.
    NotIssued,
    /// TURN REST names with the key of another secret.
    WrongKey,
    /// TURN REST names that allocate and end.
    TurnRest,
    /// Minted, then as those.
    Issued,
}

/// What was kept of names.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) what: &'static str,
    pub(crate) count: u32,
    /// Resident memory.
    pub(crate) start: u64,
    pub(crate) full_at: u32,
    pub(crate) full: u64,
    pub(crate) end: u64,
    took: Duration,
}

impl Kept {
    /// From where caches and rings have filled.
    pub(crate) fn bytes_per_name(&self) -> f64 {
        (self.end as f64 - self.full as f64) / f64::from(self.count - self.full_at)
    }

    pub(crate) fn line(&self) -> String {
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        format!(
            "{} {}: {:.1} MiB at the start, {:.1} MiB after {}, {:.1} MiB at the end, {:.1} bytes of each from there, \
             {:.0} s",
            self.count,
            self.what,
            mib(self.start),
            mib(self.full),
            self.full_at,
            mib(self.end),
            self.bytes_per_name(),
            self.took.as_secs_f64()
        )
    }
}

impl Way {
    const ALL: [Self; 5] = [Self::Unknown, Self::NotIssued, Self::WrongKey, Self::TurnRest, Self::Issued];

    const fn what(self) -> &'static str {
        match self {
            Self::Unknown => "unknown names",
            Self::NotIssued => "names in the form of issued ones that are none",
            Self::WrongKey => "TURN REST names with a wrong key",
            Self::TurnRest => "TURN REST names that allocate and end",
            Self::Issued => "issued names that allocate and end",
        }
    }

    const fn is_refused(self) -> bool {
        matches!(self, Self::Unknown | Self::NotIssued | Self::WrongKey)
    }
}

/// Each way on a server of its own.
pub(crate) async fn measure(program: &Path, options: &Options) -> Result<Vec<Kept>> {
    const WARM_UP: u32 = 1000;
    let (ways, full_at, count) = (&options.way, options.full, options.names);
    ensure!(full_at < count, "--names is to be more than --full");
    let mut all = Vec::new();
    for way in Way::ALL.into_iter().filter(|way| ways.is_empty() || ways.contains(way)) {
        let database = Database::make(Kind::Sqlite)?;
        let server = Server::start(program, &database).await?;
        // What every process needs once.
        come(&server, way, 0..WARM_UP).await?;
        let (begun, start) = (Instant::now(), settled(&server).await?);
        let full = come_and_settle(&server, way, WARM_UP..WARM_UP + full_at).await?;
        let end = come_and_settle(&server, way, WARM_UP + full_at..WARM_UP + count).await?;
        let kept = Kept { what: way.what(), count, start, full_at, full, end, took: begun.elapsed() };
        println!("{}", kept.line());
        all.push(kept);
    }
    Ok(all)
}

/// Resident memory once the server uses next to no processor time.
async fn settled(server: &Server) -> Result<u64> {
    let deadline = Instant::now() + Duration::from_secs(300);
    loop {
        let before = server.cpu()?;
        tokio::time::sleep(SETTLE).await;
        if server.cpu()?.saturating_sub(before) < SETTLE / 25 {
            return server.memory();
        }
        ensure!(Instant::now() < deadline, "the server does not come to rest");
    }
}

/// Every name of a range; memory after it. Sessions come no faster than the database takes them in the long run: what
/// waits for it is kept too, up to a limit of its own.
async fn come_and_settle(server: &Server, way: Way, range: Range<u32>) -> Result<u64> {
    let step = if way.is_refused() { range.len() } else { usize::try_from(SESSIONS_AT_ONCE)? };
    for begin in range.clone().step_by(step.max(1)) {
        come(server, way, begin..range.end.min(begin.saturating_add(u32::try_from(step)?))).await?;
        settled(server).await?;
    }
    settled(server).await
}

/// Every name of a range, [`WINDOW`] of them at a time.
async fn come(server: &Server, way: Way, range: Range<u32>) -> Result<()> {
    let next = Arc::new(AtomicU32::new(range.start));
    let expiry = Now::read().unix.saturating_add(Duration::from_secs(86_400));
    let mut clients = JoinSet::new();
    for _ in 0..WINDOW {
        let (next, turn, end) = (Arc::clone(&next), server.turn, range.end);
        let mut api = Connection::open(server.http, TOKEN).await?;
        clients.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= end {
                    return anyhow::Ok(());
                }
                let (name, password) = name(way, number, expiry, &mut api).await?;
                let ip = Ipv4Addr::from_bits(CLIENTS.to_bits() + number % 60_000);
                let socket = UdpSocket::bind((ip, 0)).await.context("no client port is free")?;
                socket.connect(turn).await?;
                be_refused_or_end(&socket, Requests::of(&name, &password), way).await.with_context(|| name)?;
            }
        });
    }
    while let Some(done) = clients.join_next().await {
        done??;
    }
    Ok(())
}

async fn name(way: Way, number: u32, expiry: UnixTime, api: &mut Connection) -> Result<(String, String)> {
    let rest = || turn_rest::username(expiry, Some(&format!("user-{number}")), ':');
    let wrong = || "wrong".to_owned();
    Ok(match way {
        Way::Unknown => (format!("nobody-{number}"), wrong()),
        Way::NotIssued => (format!("{number:08x}-0000-4000-8000-000000000000"), wrong()),
        Way::WrongKey => (rest(), turn_rest::password("another", &rest())),
        Way::TurnRest => (rest(), turn_rest::password(SECRET, &rest())),
        Way::Issued => {
            let body = format!(r#"{{"room":"room-{}","client_type":"initiator"}}"#, number % 1000);
            let answer = api.post("/api/v1/credentials/ice", &body).await?;
            let field = |name| answer.field(name).map(str::to_owned).with_context(|| answer.body.to_owned());
            (field("username")?, field("credential")?)
        }
    })
}

async fn be_refused_or_end(socket: &UdpSocket, mut requests: Requests, way: Way) -> Result<()> {
    let Answer::Challenge(nonce) = exchange(socket, &mut requests, Requests::allocate).await? else {
        bail!("an unsigned request is not challenged");
    };
    requests.challenged(nonce);
    match exchange(socket, &mut requests, Requests::allocate).await? {
        Answer::Success(_) => ensure!(!way.is_refused(), "the server let it in"),
        Answer::Challenge(_) | Answer::Refused(401) => {
            ensure!(way.is_refused(), "the server refused");
            return Ok(());
        }
        Answer::Refused(code) => bail!("the server refused with {code}"),
    }
    exchange(socket, &mut requests, Requests::release).await?;
    Ok(())
}

async fn exchange(socket: &UdpSocket, requests: &mut Requests, build: fn(&mut Requests) -> Vec<u8>) -> Result<Answer> {
    let message = build(requests);
    let mut buffer = [0; 2048];
    for _ in 0..TRIES {
        socket.send(&message).await?;
        while let Ok(received) = timeout(ANSWER_TIMEOUT, socket.recv(&mut buffer)).await {
            if let Some(answer) = buffer.get(..received?).and_then(|bytes| requests.answer(bytes)) {
                return Ok(answer);
            }
        }
    }
    bail!("no answer")
}
