//! Packets under way, and what they cost the two processors that have to do with them.
//!
//! The generator never sleeps while it keeps a pace: it looks at the clock without end, and knows by the time between two
//! looks when it did something else, be it to send, or that the kernel took its processor. So it counts its own work, while
//! the kernel counts how long the server's processor was idle.

use std::{
    net::UdpSocket,
    rc::Rc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use causeway_bench::{machine::Idleness, space::Space};
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::{
    fast_path::forwarder::Forwarder,
    flows::{Direction, Flows, SEND_BUFFER, channel_data_of},
    load::{flood, send},
    sink::Sinks,
    subject::{Place, Processors, Subject},
};

/// A look at the clock takes a tenth of this; whatever takes longer is work.
const LOOK_MAX: Duration = Duration::from_nanos(300);

/// Senders, and sinks where their packets arrive.
#[derive(Debug)]
pub(crate) struct Stream {
    flows: Option<Flows>,
    senders: Vec<UdpSocket>,
    sinks: Sinks,
    /// Where the sinks are.
    sink_space: Option<Rc<Space>>,
    message: Vec<u8>,
}

/// What a run has cost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sample {
    pub(crate) spent: Duration,
    pub(crate) sent: u64,
    pub(crate) arrived: u64,
}

impl Sample {
    /// Of each packet that arrived, beyond what sending it without a relay takes.
    pub(crate) fn micros_beyond(&self, direct: Self) -> f64 {
        let each_direct = direct.spent.as_secs_f64() / direct.sent as f64;
        (self.spent.as_secs_f64() - each_direct * self.sent as f64) * 1e6 / self.arrived as f64
    }
}

impl Stream {
    /// Through a server.
    pub(crate) fn relayed(
        subject: &Subject,
        direction: Direction,
        n_allocations: usize,
        payload_len: usize,
    ) -> Result<Self> {
        let flows = Flows::open(subject, direction, n_allocations)?;
        flows.answer_once()?;
        let senders = flows.senders().iter().map(UdpSocket::try_clone).collect::<Result<_, _>>()?;
        let message = flows.datagram(&vec![b'x'; payload_len]);
        let sinks = flows.count()?;
        let sink_space = subject.place.spaces.as_ref().map(|spaces| Rc::clone(&spaces.generator));
        Ok(Self { flows: Some(flows), senders, sinks, sink_space, message })
    }

    /// From a client straight to where the server is.
    pub(crate) fn direct(place: &Place, n_senders: usize, payload_len: usize) -> Result<Self> {
        let (senders, receiver) = connected(place, n_senders)?;
        let sink_space = place.spaces.as_ref().map(|spaces| Rc::clone(&spaces.server));
        let message = channel_data_of(&vec![b'x'; payload_len]);
        Ok(Self { flows: None, senders, sinks: Sinks::new(&[receiver])?, sink_space, message })
    }

    /// Through a program that only forwards.
    pub(crate) fn forwarded(forwarder: &Forwarder, n_senders: usize, payload_len: usize) -> Result<Self> {
        let place = &forwarder.place;
        let senders = connected_to(place, forwarder.address, n_senders)?;
        let sink_space = place.spaces.as_ref().map(|spaces| Rc::clone(&spaces.generator));
        let message = channel_data_of(&vec![b'x'; payload_len]);
        forwarder.see_one_datagram_each(&senders)?;
        let sinks = Sinks::new(std::slice::from_ref(&forwarder.peer))?;
        Ok(Self { flows: None, senders, sinks, sink_space, message })
    }

    /// As much as goes; how much of it arrives per second.
    pub(crate) fn flood(&self, duration: Duration) -> Result<f64> {
        let (before, start) = (self.count()?, Instant::now());
        flood(&self.senders, &self.message, duration);
        let (after, elapsed) = (self.count()?, start.elapsed());
        self.wait_until_drained()?;
        ensure!(after > before, "nothing arrived");
        Ok((after - before) as f64 / elapsed.as_secs_f64())
    }

    /// At a pace.
    pub(crate) fn sample(&self, per_sec: f64, duration: Duration, processors: Processors) -> Result<Sample> {
        let (before, idle_before) = (self.count()?, idleness(processors)?);
        let (sent, worked) = pace(&self.senders, &self.message, duration, per_sec);
        let arrived = self.wait_until_drained()? - before;
        let server = idleness(processors)?.busy_since(idle_before);
        ensure!(arrived > 0 && sent > 0, "nothing arrived");
        Ok(Sample { spent: worked + server, sent, arrived })
    }

    pub(crate) fn release(self) -> Result<()> {
        self.sinks.end()?;
        self.flows.map_or(Ok(()), Flows::release)
    }

    fn count(&self) -> Result<u64> {
        match &self.sink_space {
            Some(space) => space.inside(|| self.sinks.count()),
            None => self.sinks.count(),
        }
    }

    /// What a server had still queued has been relayed when nothing arrives for a while.
    fn wait_until_drained(&self) -> Result<u64> {
        let mut count = self.count()?;
        loop {
            thread::sleep(Duration::from_millis(10));
            let next = self.count()?;
            if next == count {
                return Ok(count);
            }
            count = next;
        }
    }
}

/// Sockets of clients, connected to one where the server is.
pub(crate) fn connected(place: &Place, n_senders: usize) -> Result<(Vec<UdpSocket>, UdpSocket)> {
    // On a host of its own, the server's address; else the peer's, as ever.
    let is_apart = place.spaces.as_ref().is_some_and(|spaces| !Rc::ptr_eq(&spaces.server, &spaces.generator));
    let ip = if is_apart { place.coturn_ip } else { place.peer_ip };
    let receiver = place.at_server(|| Ok(UdpSocket::bind((ip, 0))?))?;
    Ok((connected_to(place, receiver.local_addr()?, n_senders)?, receiver))
}

fn connected_to(place: &Place, address: std::net::SocketAddr, n_senders: usize) -> Result<Vec<UdpSocket>> {
    place.at_generator(|| {
        let mut senders = Vec::with_capacity(n_senders);
        for _ in 0..n_senders {
            let sender = UdpSocket::bind((place.clients, 0)).context("no client port is free")?;
            sender.connect(address)?;
            socket2::SockRef::from(&sender).set_send_buffer_size(SEND_BUFFER)?;
            senders.push(sender);
        }
        Ok(senders)
    })
}

/// Asks on the server's processor, which is not idle then.
fn idleness(processors: Processors) -> Result<Idleness> {
    move_to(processors.server)?;
    let idleness = Idleness::of(processors.server);
    move_to(processors.generator)?;
    idleness
}

/// The part of its time that the server's processor has for others while nothing is measured.
pub(crate) fn disturbance(processors: Processors, duration: Duration) -> Result<f64> {
    let (before, start) = (idleness(processors)?, Instant::now());
    thread::sleep(duration);
    let after = idleness(processors)?;
    Ok(after.busy_since(before).as_secs_f64() / start.elapsed().as_secs_f64())
}

fn move_to(processor: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(processor);
    sched_setaffinity(None, &set).context("this thread cannot move to another processor")
}

/// One packet per sender in turn, `per_sec` a second. How many, and how long that took of this processor.
fn pace(senders: &[UdpSocket], message: &[u8], duration: Duration, per_sec: f64) -> (u64, Duration) {
    let gap = Duration::from_secs_f64(1.0 / per_sec);
    let (mut sent, mut worked, mut due, mut last) = (0, Duration::ZERO, Duration::ZERO, Duration::ZERO);
    let mut in_turn = senders.iter().cycle();
    let start = Instant::now();
    loop {
        let now = start.elapsed();
        let step = now - last;
        last = now;
        if step > LOOK_MAX {
            worked += step;
        }
        if now >= duration {
            return (sent, worked);
        }
        if now >= due {
            due += gap;
            if let Some(sender) = in_turn.next() {
                send(sender, message);
                sent += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relay_costs_what_is_left_without_it() {
        let direct = Sample { spent: Duration::from_micros(100), sent: 100, arrived: 100 };
        let relayed = Sample { spent: Duration::from_micros(300), sent: 100, arrived: 80 };
        assert!((relayed.micros_beyond(direct) - 2.5).abs() < 1e-9);
    }

    #[test]
    fn a_pace_is_kept_and_waiting_is_no_work() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        sender.connect(receiver.local_addr().unwrap()).unwrap();
        let duration = Duration::from_millis(100);
        let (sent, worked) = pace(&[sender], b"x", duration, 1000.0);
        // A machine that is busy takes the processor away, and that counts as work.
        assert!((1..=101).contains(&sent) && worked > Duration::ZERO, "{sent} {worked:?}");
    }
}
