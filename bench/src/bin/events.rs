//! Sends session events through the bus to a Redis of its own and says what came through: `make bench-events`.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "printing is what it is for")]

use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use causeway_app::{Attribution, Cursor, DomainEvent, EventSink, ProjectId, SessionEndReason, SessionStart};
use causeway_events::{
    EventBus,
    redis::{RedisPublisher, RedisSettings, RedisStatus},
};
use causeway_types::{
    AllocationEndReason, AllocationId, ClientTransport, CredentialKind, FiveTuple, Now, RelayTransport, TrafficCount,
    TrafficCounters,
};
use clap::Parser;
use tempfile::TempDir;

/// As the server has it.
const RING: usize = 65_536;
/// A session's life here: start, two refreshes, six traffic reports, end.
const EVENTS_PER_SESSION: u64 = 10;

/// Sends session events through the bus to Redis.
#[derive(Debug, Parser)]
struct Options {
    /// Events a second.
    #[arg(long, default_value_t = 50_000)]
    rate: u64,
    /// For how long.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
}

struct Redis {
    process: Child,
    port: u16,
    _directory: TempDir,
}

impl Redis {
    fn start() -> Result<Self> {
        let directory = TempDir::new()?;
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let process = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--dir"])
            .arg(directory.path())
            .stdout(Stdio::null())
            .spawn()
            .context("redis-server: run scripts/install-test-tools")?;
        Ok(Self { process, port, _directory: directory })
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        if let Err(error) = self.process.kill().and_then(|()| self.process.wait()) {
            println!("redis-server was not ended: {error}");
        }
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::parse();
    let redis = Redis::start()?;
    let bus = Arc::new(EventBus::new(Cursor(1), RING));
    let settings = RedisSettings {
        target: format!("port={}", redis.port).parse()?,
        node: "bench".to_owned(),
        waiting_max: RING,
        live: Arc::new(Vec::new),
    };
    let publisher = RedisPublisher::start(settings, &bus).await;
    let deadline = Instant::now() + Duration::from_secs(10);
    while !publisher.status().is_well {
        ensure!(Instant::now() < deadline, "Redis does not answer: {:?}", publisher.status().fault);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }

    let giver = {
        let (bus, rate, seconds) = (Arc::clone(&bus), options.rate, options.seconds);
        std::thread::spawn(move || give(&bus, rate, seconds))
    };
    let mut waiting_most = 0;
    while !giver.is_finished() {
        waiting_most = publisher.status().events_waiting.max(waiting_most);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let Ok(given) = giver.join() else { anyhow::bail!("the giver panicked") };
    let in_time = publisher.status();
    ensure!(publisher.finish(&bus, Duration::from_secs(60)).await, "Redis did not take the rest within a minute");
    tell(&given, waiting_most, &in_time, &publisher.status());
    ensure!(publisher.status().events_dropped == 0, "events were dropped");
    Ok(())
}

/// What was given, and how long each giving took.
struct Given {
    events: u64,
    took: Duration,
    nanos: Vec<u64>,
}

/// Gives `rate` events a second, a millisecond's worth at a time, as a relay thread's tick does.
fn give(bus: &EventBus, rate: u64, seconds: u64) -> Given {
    let total = rate * seconds;
    let mut nanos = Vec::with_capacity(usize::try_from(total).unwrap_or(0));
    let begun = Instant::now();
    let mut given = 0;
    let mut session = start(0);
    while given < total {
        let elapsed = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        let due = (elapsed.saturating_mul(rate) / 1_000_000).min(total);
        while given < due {
            if given % EVENTS_PER_SESSION == 0 {
                session = start(given / EVENTS_PER_SESSION);
            }
            let event = event(&session, given % EVENTS_PER_SESSION);
            let before = Instant::now();
            bus.emit(session.at, ProjectId::DEFAULT, event);
            nanos.push(u64::try_from(before.elapsed().as_nanos()).unwrap_or(u64::MAX));
            given += 1;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Given { events: given, took: begun.elapsed(), nanos }
}

fn event(session: &Arc<SessionStart>, step: u64) -> DomainEvent {
    let session = Arc::clone(session);
    let figures = |size| {
        let count = TrafficCount { packets: step * 1024, bytes: step * 1024 * size };
        TrafficCounters { from_client: count, to_client: count }
    };
    match step {
        0 => DomainEvent::SessionStarted(session),
        1 => refreshed(session, Duration::from_secs(600)),
        8 => refreshed(session, Duration::ZERO),
        9 => DomainEvent::SessionEnded {
            session,
            reason: SessionEndReason::Relay(AllocationEndReason::ClientDeleted),
            duration: Duration::from_secs(60),
            traffic: figures(160),
            messages: figures(164),
        },
        _ => DomainEvent::SessionTraffic { session, traffic: figures(160), messages: figures(164) },
    }
}

fn refreshed(session: Arc<SessionStart>, lifetime: Duration) -> DomainEvent {
    DomainEvent::SessionRefreshed { five_tuple: session.five_tuple, session, lifetime }
}

fn start(number: u64) -> Arc<SessionStart> {
    let address = ([198, 51, 100, 1], 3478).into();
    Arc::new(SessionStart {
        id: AllocationId(number),
        number,
        attribution: Arc::new(Attribution {
            project: ProjectId::DEFAULT,
            token: None,
            room: None,
            clients: Vec::new(),
            region: "local".to_owned(),
        }),
        username: Arc::from(format!("1795310959:user-{}", number % 10_000)),
        credential: CredentialKind::Static,
        realm: Arc::from("example.test"),
        at: Now::read().unix,
        five_tuple: FiveTuple { transport: ClientTransport::Udp, client: address, server: address },
        security: None,
        relayed: [Some(address), None],
        transport: RelayTransport::Udp,
        lifetime: Duration::from_secs(600),
    })
}

fn tell(given: &Given, waiting_most: u64, in_time: &RedisStatus, at_end: &RedisStatus) {
    let mut nanos = given.nanos.clone();
    nanos.sort_unstable();
    let at =
        |part: usize| nanos.get((nanos.len() * part / 1000).min(nanos.len().saturating_sub(1))).copied().unwrap_or(0);
    let per_sec = |count: u64| u128::from(count) * 1000 / given.took.as_millis().max(1);
    println!("events given         {} ({} a second)", given.events, per_sec(given.events));
    println!("events dropped       {}", at_end.events_dropped);
    println!("events waiting, most {waiting_most}");
    println!("commands answered    {} ({} a second meanwhile)", at_end.commands, per_sec(in_time.commands));
    println!("giving one event     p50 {} ns, p99 {} ns, p99.9 {} ns, most {} ns", at(500), at(990), at(999), at(1000));
}
