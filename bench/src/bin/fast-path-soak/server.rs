//! The same against a server, with clients that speak TURN to it: `--through server`.
//!
//! The server runs on a host of its own, as anybody would start it. Each thread of this process has clients and peers, one
//! allocation after the other per client, and sends through all of its channels both ways without a pause. Allocations end
//! with their credential, by Refresh, by a revocation and by an operator; permissions run out. A packet carries its number and
//! its time, so that each is judged by what a client can know of its channel's end. In the end the server's own account, of
//! each session and in sum, has to be what came out.

mod account;
mod api;
mod clock;
mod crowd;
mod lives;
mod subject;
mod traffic;
mod verdict;

use std::{
    path::Path,
    sync::{
        atomic::{AtomicBool, Ordering::SeqCst},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow, ensure};

use self::{
    account::Account,
    clock::Clock,
    crowd::{Crowd, Progress, Tally},
    subject::{Subject, Udp},
};

/// Threads that send and judge.
const THREADS: usize = 2;
/// More than this is not flat.
const GROWTH_MAX: u64 = 4 << 20;
/// Until this part of the time allocations end soon.
const WARM: f64 = 0.25;
/// Memory is at rest after this part: by then most sessions are as long as they get.
const AT_REST: f64 = 2.0 / 3.0;
/// All clients begin within this part of the time, and within so many seconds.
const RAMP: f64 = 0.1;
const RAMP_SECS_MAX: f64 = 30.0;
/// How long allocations live: not shorter, and not longer than this part of the time.
const LIFE_SECS_MIN: f64 = 3.0;
const LIFE_MAX: f64 = 0.8;
/// Allocations are granted for ten minutes; all of theirs end earlier.
const LIFE_SECS_MAX: f64 = 500.0;
/// And at first. A server keeps so many of its last events, each with the session it tells of: they are to be there soon.
const FIRST_LIFE_SECS_MAX: f64 = 8.0;

/// How much of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) seconds: f64,
    pub(crate) channels: usize,
    pub(crate) channels_per_allocation: usize,
    pub(crate) packets_per_sec: u64,
    /// By how much later credentials are believed to end than they do, to see that it is noticed.
    pub(crate) shift_millis: i64,
}

/// What each thread does.
#[derive(Clone, Copy, Debug)]
struct Plan {
    clients_each: usize,
    /// Channels of an allocation, each to another peer.
    channels_each: usize,
    packets_per_sec_each: u64,
    life_secs: (f64, f64),
    /// Until then they end soon.
    warm_secs: f64,
    ramp_secs: f64,
    shift_nanos: i64,
}

impl Plan {
    /// How long an allocation may live that begins now.
    fn life_secs_at(&self, now: u64) -> (f64, f64) {
        let (least, most) = self.life_secs;
        let ends_by = self.warm_secs - Duration::from_nanos(now).as_secs_f64();
        (least, if ends_by > FIRST_LIFE_SECS_MAX { most.min(FIRST_LIFE_SECS_MAX) } else { most })
    }
}

/// What a run has shown.
#[derive(Debug)]
struct Shown {
    elapsed: Duration,
    tally: Tally,
    account: Account,
    memory_warm: u64,
    memory_most: u64,
    channels_least: u64,
    /// At the server's host, and at the clients'.
    udp: [Udp; 2],
    errors: Vec<String>,
}

/// Runs it, tells, and gives everything that was not as it should be.
pub(crate) fn soak(causeway: &Path, size: Size) -> Result<Vec<String>> {
    ensure!(size.seconds > 0.0 && size.channels > 0 && size.channels_per_allocation > 0, "nothing to do");
    let clients = size.channels.div_ceil(size.channels_per_allocation);
    let plan = Plan {
        clients_each: clients.div_ceil(THREADS),
        channels_each: size.channels_per_allocation,
        packets_per_sec_each: (size.packets_per_sec / THREADS as u64).max(1),
        life_secs: (LIFE_SECS_MIN, (size.seconds * LIFE_MAX).clamp(LIFE_SECS_MIN, LIFE_SECS_MAX)),
        warm_secs: size.seconds * WARM,
        ramp_secs: (size.seconds * RAMP).min(RAMP_SECS_MAX),
        shift_nanos: size.shift_millis * 1_000_000,
    };
    let subject = Subject::start(causeway)?;
    let status = subject.status()?;
    ensure!(!status.starts_with("no fast path"), "there is no fast path here: {status}");
    println!("{} clients with {} channels each", plan.clients_each * THREADS, plan.channels_each);
    let shown = run(&subject, &plan, Duration::from_secs_f64(size.seconds))?;
    tell(&shown);
    Ok(faults(&shown))
}

fn run(subject: &Subject, plan: &Plan, duration: Duration) -> Result<Shown> {
    let clock = Clock::new();
    let progress: [Progress; THREADS] = Default::default();
    let stop = AtomicBool::new(false);
    let udp_before = subject.udp()?;
    let start = Instant::now();
    let (tally, allocations, watched) = thread::scope(|scope| -> Result<_> {
        let mut crowds = Vec::new();
        let mut workers = Vec::new();
        for (index, progress) in progress.iter().enumerate() {
            let ((jobs, to_do), (did, done)) = (mpsc::channel(), mpsc::channel());
            let crowd = Crowd::new(plan, subject, index, clock, (jobs, done), progress)?;
            workers.push(scope.spawn(move || api::work(&subject.server, subject.http, clock, &to_do, &did)));
            let stop = &stop;
            crowds.push(scope.spawn(move || crowd.run(stop)));
        }
        let watched =
            watch(subject, start, duration, &progress, || crowds.iter().any(thread::ScopedJoinHandle::is_finished));
        stop.store(true, SeqCst);
        let (mut tally, mut allocations, mut failed) = (Tally::default(), Vec::new(), None);
        for crowd in crowds {
            match crowd.join().map_err(|_| anyhow!("a crowd panicked"))? {
                Ok((its, theirs)) => {
                    tally.add(its);
                    allocations.extend(theirs);
                }
                Err(error) => failed = Some(error),
            }
        }
        for worker in workers {
            worker.join().map_err(|_| anyhow!("the API's thread panicked"))??;
        }
        failed.map_or(Ok(()), Err)?;
        Ok((tally, allocations, watched?))
    })?;
    let elapsed = start.elapsed();
    let account = Account::of(subject, &allocations)?;
    let udp_after = subject.udp()?;
    let [server, far] = [0, 1].map(|side| udp_after.get(side).zip(udp_before.get(side)));
    let udp = [server, far].map(|sides| sides.map_or_else(Udp::default, |(after, before)| after.since(*before)));
    Ok(Shown {
        elapsed,
        tally,
        account,
        memory_warm: watched.memory_warm,
        memory_most: watched.memory_most,
        channels_least: watched.channels_least,
        udp,
        errors: subject.errors(),
    })
}

/// What was seen meanwhile.
#[derive(Clone, Copy, Debug)]
struct Watched {
    memory_warm: u64,
    memory_most: u64,
    channels_least: u64,
}

/// Waits, and looks at the server's memory and at how many channels there are.
fn watch(
    subject: &Subject,
    start: Instant,
    duration: Duration,
    progress: &[Progress],
    has_failed: impl Fn() -> bool,
) -> Result<Watched> {
    let mut seen: Option<Watched> = None;
    let mut told = start;
    while start.elapsed() < duration && !has_failed() {
        thread::sleep(Duration::from_millis(100));
        let memory = subject.memory()?;
        let sum = |figure: fn(&Progress) -> u64| progress.iter().map(figure).sum::<u64>();
        let channels = sum(|progress| progress.channels.load(SeqCst));
        if told.elapsed() > Duration::from_secs(30) {
            told = Instant::now();
            let packets = sum(|progress| progress.packets.load(SeqCst));
            let secs = start.elapsed().as_secs_f64();
            println!("{secs:.0} s: {packets} packets, {channels} channels, {} KiB of memory", memory >> 10);
        }
        if start.elapsed().as_secs_f64() < duration.as_secs_f64() * AT_REST {
            continue;
        }
        let before = seen.unwrap_or(Watched { memory_warm: memory, memory_most: memory, channels_least: channels });
        seen = Some(Watched {
            memory_most: before.memory_most.max(memory),
            channels_least: before.channels_least.min(channels),
            ..before
        });
    }
    seen.ok_or_else(|| anyhow!("it ended before memory was looked at"))
}

fn tell(shown: &Shown) {
    let Shown { elapsed, tally, account, .. } = shown;
    println!(
        "{:.0} s: {} packets sent, {} came out, {} refused after the end, {} while it came, {} for a port's heir",
        elapsed.as_secs_f64(),
        tally.sent,
        tally.arrived,
        tally.refused,
        tally.raced,
        tally.inherited
    );
    println!("in the kernel: {} of {}, {:.2} %", account.in_kernel, account.relayed(), account.share() * 100.0);
    println!(
        "allocations: {} granted, {} refreshed, {} ended with their credential, {} by Refresh, {} revoked, {} by an operator",
        tally.allocations, tally.allocations_refreshed, tally.expired, tally.released, tally.revoked, tally.closed
    );
    println!(
        "channels: {} bound, {} bound again, {} left to run out, never fewer than {}; {} requests repeated",
        tally.bound, tally.rebound, tally.ran_out, shown.channels_least, tally.requests_repeated
    );
    println!("memory of the server: {} KiB, at most {} KiB since", shown.memory_warm >> 10, shown.memory_most >> 10);
    for (name, count) in &account.outcomes {
        println!("  {name:<20}{count:>12}");
    }
}

/// Everything that is not as it should be.
fn faults(shown: &Shown) -> Vec<String> {
    let Shown { tally, account, udp: [server, far], .. } = shown;
    let mut faults = tally.told.clone();
    if tally.faults > 0 {
        faults.push(format!("{} of {} packets and requests were not as they should be", tally.faults, tally.sent));
    }
    if far.overflowed > 0 {
        faults.push(format!("{} datagrams found the queues of this program full: it proves nothing", far.overflowed));
    }
    if server.overflowed > 0 {
        faults.push(format!("{} datagrams found the queues of the server full", server.overflowed));
    }
    if server.damaged + far.damaged > 0 {
        faults.push(format!("{} datagrams had a wrong checksum", server.damaged + far.damaged));
    }
    if tally.refused == 0 || account.in_kernel == 0 {
        faults.push("not everything was tried: nothing was refused, or relayed in the kernel".to_owned());
    }
    faults.extend(account.faults.iter().cloned());
    let growth = shown.memory_most.saturating_sub(shown.memory_warm);
    if growth > GROWTH_MAX {
        faults.push(format!("the server's memory grew by {} KiB", growth >> 10));
    }
    faults.extend(shown.errors.iter().map(|line| format!("the server logged: {line}")));
    faults
}
