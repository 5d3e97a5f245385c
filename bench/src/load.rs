//! Sends as much as a server takes, or at a pace, and reads what it cost.

use std::{
    io::ErrorKind,
    net::UdpSocket,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use causeway_bench::process::cpu_time;
use causeway_net_io::segment_writes;

use crate::{
    flows::{Direction, Flows},
    sink::Sinks,
    subject::Subject,
};

/// Sends between two looks at the clock.
const SENDS_PER_LOOK: usize = 16;

/// One kind of load.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) direction: Direction,
    pub(crate) n_allocations: usize,
    /// Application bytes of a packet.
    pub(crate) payload_len: usize,
    pub(crate) shape: Shape,
}

/// How packets follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// One packet per flow in turn, as fast as they go.
    Singles,
    /// One packet per flow in turn, this many a second.
    Paced(u32),
    /// This many packets of one flow in one piece, flow after flow.
    Bursts(usize),
}

/// What one run of a load showed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Measured {
    /// Processor time of the server per packet that arrived.
    pub(crate) cpu_micros_per_packet: f64,
    /// Packets that arrived, per second.
    pub(crate) packets_per_sec: f64,
    /// Part of the time the server was running; below 1 it waited for the generator.
    pub(crate) busy: f64,
}

/// A load on one server, set up and ready to be run any number of times.
#[derive(Debug)]
pub(crate) struct Run<'a> {
    subject: &'a Subject,
    load: Load,
    flows: Flows,
    sinks: Sinks,
    message: Vec<u8>,
}

impl<'a> Run<'a> {
    pub(crate) fn open(subject: &'a Subject, load: Load) -> Result<Self> {
        let flows = Flows::open(subject, load.direction, load.n_allocations)?;
        let datagram = flows.datagram(&vec![b'x'; load.payload_len]);
        let message = match load.shape {
            Shape::Singles | Shape::Paced(_) => datagram,
            Shape::Bursts(n_packets) => {
                let segment_len = u16::try_from(datagram.len()).context("too long for a datagram")?;
                for sender in flows.senders() {
                    segment_writes(sender, segment_len).context("this kernel has no UDP segmentation offload")?;
                }
                datagram.repeat(n_packets)
            }
        };
        let sinks = flows.count()?;
        Ok(Self { subject, load, flows, sinks, message })
    }

    /// Sends for `duration`.
    pub(crate) fn measure(&self, duration: Duration) -> Result<Measured> {
        let pid = self.subject.pid();
        let (count_before, cpu_before, start) = (self.sinks.count()?, cpu_time(pid)?, Instant::now());
        match self.load.shape {
            Shape::Singles | Shape::Bursts(_) => flood(self.flows.senders(), &self.message, duration),
            Shape::Paced(per_sec) => pace(self.flows.senders(), &self.message, duration, per_sec),
        }
        let (count_while, cpu_while, elapsed) = (self.sinks.count()?, cpu_time(pid)?, start.elapsed());
        let count_after = self.wait_until_drained()?;
        let cpu = cpu_time(pid)?.saturating_sub(cpu_before);
        let n_packets = count_after - count_before;
        ensure!(n_packets > 0, "{} relayed nothing", self.subject.name);
        Ok(Measured {
            cpu_micros_per_packet: cpu.as_secs_f64() * 1e6 / n_packets as f64,
            packets_per_sec: (count_while - count_before) as f64 / elapsed.as_secs_f64(),
            busy: cpu_while.saturating_sub(cpu_before).as_secs_f64() / elapsed.as_secs_f64(),
        })
    }

    pub(crate) fn release(self) -> Result<()> {
        self.sinks.end()?;
        self.flows.release()
    }

    /// What the server had still queued has been relayed when nothing arrives for a while.
    fn wait_until_drained(&self) -> Result<u64> {
        let mut count = self.sinks.count()?;
        loop {
            thread::sleep(Duration::from_millis(10));
            let next = self.sinks.count()?;
            if next == count {
                return Ok(count);
            }
            count = next;
        }
    }
}

pub(crate) fn flood(senders: &[UdpSocket], message: &[u8], duration: Duration) {
    let end = Instant::now() + duration;
    let mut in_turn = senders.iter().cycle();
    while Instant::now() < end {
        for sender in in_turn.by_ref().take(SENDS_PER_LOOK) {
            send(sender, message);
        }
    }
}

fn pace(senders: &[UdpSocket], message: &[u8], duration: Duration, per_sec: u32) {
    let start = Instant::now();
    let gap = Duration::from_secs(1) / per_sec;
    let mut due = Duration::ZERO;
    for sender in senders.iter().cycle() {
        loop {
            let now = start.elapsed();
            if now >= duration {
                return;
            }
            if now >= due {
                break;
            }
            std::hint::spin_loop();
        }
        due += gap;
        send(sender, message);
    }
}

/// A datagram that finds a queue full is lost, as any may be; what counts is what arrives. An ICMP error told here is one
/// that an earlier datagram caused.
pub(crate) fn send(socket: &UdpSocket, message: &[u8]) {
    match socket.send(message) {
        Ok(_) => {}
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::ConnectionRefused) => {}
        Err(error) => debug_assert!(false, "send: {error}"),
    }
}
