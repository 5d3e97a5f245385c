//! Many allocations at once: how fast they are made, and what they hold.

use std::{
    io::ErrorKind,
    net::UdpSocket,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use causeway_bench::{
    process::{cpu_time, resident_bytes},
    turn::{Answer, Requests},
};
use causeway_net_io::{Epoll, Events, Interest};

use crate::subject::Subject;

/// Exchanges under way at a time: enough to keep the server busy, few enough to overflow nothing.
const WINDOW: usize = 64;
/// An exchange without answer for so long is begun again.
const RETRY_AFTER: Duration = Duration::from_millis(500);
/// Nothing at all for so long is a failure.
const GIVE_UP_AFTER: Duration = Duration::from_secs(20);

/// What making many allocations showed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Made {
    pub(crate) allocations_per_sec: f64,
    /// Processor time of the server for one.
    pub(crate) cpu_micros_per_allocation: f64,
    /// The same for what comes after: ending it, and whatever the server writes down then.
    pub(crate) cpu_micros_per_end: f64,
    /// Resident memory that came with one.
    pub(crate) bytes_per_allocation: f64,
}

/// Makes `n_allocations`, each with its own socket and its own challenge, measures, and ends them.
pub(crate) fn measure(subject: &Subject, n_allocations: usize, settle: Duration) -> Result<Made> {
    subject.wait_until_settled(settle)?;
    let mut clients = Vec::with_capacity(n_allocations);
    for _ in 0..n_allocations {
        let socket = subject.connect()?;
        socket.set_nonblocking(true)?;
        clients.push(Client { socket, requests: Requests::new(), done: false });
    }
    let pid = subject.pid();
    let (memory_before, cpu_before, start) = (resident_bytes(pid)?, cpu_time(pid)?, Instant::now());
    exchange_all(&mut clients, Requests::allocate).with_context(|| format!("allocating at {}", subject.name))?;
    let elapsed = start.elapsed();
    let cpu = cpu_time(pid)?.saturating_sub(cpu_before);
    let memory = resident_bytes(pid)?.saturating_sub(memory_before);
    let cpu_made = cpu_time(pid)?;
    exchange_all(&mut clients, Requests::release).with_context(|| format!("releasing at {}", subject.name))?;
    subject.wait_until_settled(settle)?;
    let cpu_end = cpu_time(pid)?.saturating_sub(cpu_made);
    let n = n_allocations as f64;
    Ok(Made {
        allocations_per_sec: n / elapsed.as_secs_f64(),
        cpu_micros_per_allocation: cpu.as_secs_f64() * 1e6 / n,
        cpu_micros_per_end: cpu_end.as_secs_f64() * 1e6 / n,
        bytes_per_allocation: memory as f64 / n,
    })
}

#[derive(Debug)]
struct Client {
    socket: UdpSocket,
    requests: Requests,
    done: bool,
}

impl Client {
    /// Takes what has arrived; true when the exchange has ended.
    fn receive(&mut self, build: fn(&mut Requests) -> Vec<u8>) -> Result<bool> {
        let mut buffer = [0; 2048];
        let len = match self.socket.recv(&mut buffer) {
            Ok(len) => len,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error).context("the server's port is closed"),
        };
        match buffer.get(..len).and_then(|bytes| self.requests.answer(bytes)) {
            Some(Answer::Success(_)) => return Ok(true),
            Some(Answer::Challenge(nonce)) => {
                self.requests.challenged(nonce);
                self.send(build)?;
            }
            Some(Answer::Refused(code)) => bail!("the server refused with {code}"),
            None => {}
        }
        Ok(false)
    }

    fn send(&mut self, build: fn(&mut Requests) -> Vec<u8>) -> Result<()> {
        let message = build(&mut self.requests);
        self.socket.send(&message)?;
        Ok(())
    }
}

/// One request and its answer for every client, [`WINDOW`] of them at a time.
fn exchange_all(clients: &mut [Client], build: fn(&mut Requests) -> Vec<u8>) -> Result<()> {
    let epoll = Epoll::new()?;
    let mut events = Events::with_capacity(WINDOW);
    for client in clients.iter_mut() {
        client.done = false;
    }
    let (mut n_begun, mut n_done) = (0, 0);
    let (mut last_answer, mut last_try) = (Instant::now(), Instant::now());
    while n_done < clients.len() {
        while n_begun < clients.len().min(n_done + WINDOW) {
            let client = clients.get_mut(n_begun).context("one of them")?;
            epoll.add(&client.socket, u64::try_from(n_begun)?, Interest::Read)?;
            client.send(build)?;
            n_begun += 1;
        }
        // Not to sleep: on one machine, the server would pay for waking the generator with each answer.
        epoll.wait(&mut events, Some(Duration::ZERO))?;
        if events.is_empty() {
            ensure!(last_answer.elapsed() < GIVE_UP_AFTER, "no answer any more after {n_done} of {}", clients.len());
            if last_answer.max(last_try).elapsed() > RETRY_AFTER {
                last_try = Instant::now();
                for client in clients.iter_mut().take(n_begun).filter(|client| !client.done) {
                    client.send(build)?;
                }
            }
            continue;
        }
        last_answer = Instant::now();
        for event in (0..events.len()).filter_map(|index| events.event(index)) {
            let client = clients.get_mut(usize::try_from(event.token)?).context("a token of ours")?;
            if client.receive(build)? {
                client.done = true;
                n_done += 1;
                epoll.remove(&client.socket)?;
            }
        }
    }
    Ok(())
}
