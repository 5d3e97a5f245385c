//! How much later a packet arrives for having been relayed.

use std::{
    io::ErrorKind,
    net::{Ipv4Addr, UdpSocket},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use crate::{
    flows::{Direction, Flows},
    subject::{PEER_IP, Subject},
};

/// Application bytes of a packet; its first eight are the time it was sent.
const PAYLOAD_LEN: usize = 160;

/// Time from send to arrival.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Latency {
    pub(crate) p50_micros: f64,
    pub(crate) p99_micros: f64,
    pub(crate) p999_micros: f64,
}

/// Packets under way that can be timed.
#[derive(Debug)]
pub(crate) struct Path {
    flows: Option<Flows>,
    senders: Vec<UdpSocket>,
    receiver: UdpSocket,
    message: Vec<u8>,
}

impl Path {
    /// Through the relay: clients of `subject` to one peer.
    pub(crate) fn relayed(subject: &Subject, n_allocations: usize) -> Result<Self> {
        let flows = Flows::open(subject, Direction::ToPeer, n_allocations)?;
        let receiver = flows.receivers().first().context("one peer")?.try_clone()?;
        let senders = flows.senders().iter().map(UdpSocket::try_clone).collect::<Result<_, _>>()?;
        let message = flows.datagram(&[0; PAYLOAD_LEN]);
        Self { flows: Some(flows), senders, receiver, message }.ready()
    }

    /// Straight to the peer: what the generator and the kernel take by themselves.
    pub(crate) fn direct(n_senders: usize) -> Result<Self> {
        let receiver = UdpSocket::bind((PEER_IP, 0))?;
        let mut senders = Vec::new();
        for _ in 0..n_senders {
            let sender = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
            sender.connect(receiver.local_addr()?)?;
            senders.push(sender);
        }
        Self::between(senders, receiver)
    }

    /// From sockets that are connected to `receiver`.
    pub(crate) fn between(senders: Vec<UdpSocket>, receiver: UdpSocket) -> Result<Self> {
        Self { flows: None, senders, receiver, message: vec![0; PAYLOAD_LEN] }.ready()
    }

    fn ready(self) -> Result<Self> {
        self.receiver.set_nonblocking(true)?;
        Ok(self)
    }

    /// Sends `per_sec` packets a second for `duration`, in turn over all senders, and times those that arrive.
    pub(crate) fn measure(&mut self, per_sec: f64, duration: Duration) -> Result<Latency> {
        let start = Instant::now();
        let gap = Duration::from_secs_f64(1.0 / per_sec);
        let stamp_at = self.message.len() - PAYLOAD_LEN;
        let mut nanos = Vec::with_capacity(1 << 20);
        let mut due = Duration::ZERO;
        let mut in_turn = self.senders.iter().cycle();
        // What is still under way at the end gets a little time.
        let end = duration + Duration::from_millis(20);
        loop {
            let now = start.elapsed();
            if now >= end {
                break;
            }
            if now >= due && now < duration {
                // A generator that was held up does not make up for it by a burst.
                due = (due + gap).max(now.saturating_sub(gap * 4));
                let stamp = u64::try_from(now.as_nanos())?.to_be_bytes();
                self.message
                    .get_mut(stamp_at..stamp_at + stamp.len())
                    .context("room for a stamp")?
                    .copy_from_slice(&stamp);
                in_turn.next().context("a sender")?.send(&self.message)?;
            }
            take_arrived(&self.receiver, start, &mut nanos)?;
        }
        ensure!(!nanos.is_empty(), "nothing arrived");
        nanos.sort_unstable();
        Ok(Latency {
            p50_micros: quantile(&nanos, 500),
            p99_micros: quantile(&nanos, 990),
            p999_micros: quantile(&nanos, 999),
        })
    }

    pub(crate) fn release(self) -> Result<()> {
        self.flows.map_or(Ok(()), Flows::release)
    }
}

/// Reads what waits, one at a time so that the next send is not late.
fn take_arrived(receiver: &UdpSocket, start: Instant, nanos: &mut Vec<u64>) -> Result<()> {
    let mut buffer = [0; 2048];
    match receiver.recv(&mut buffer) {
        Ok(_) => {
            let sent = buffer.first_chunk::<8>().map_or(0, |stamp| u64::from_be_bytes(*stamp));
            let now = u64::try_from(start.elapsed().as_nanos())?;
            // A stamp of the future is one of the run before.
            nanos.extend(now.checked_sub(sent));
            Ok(())
        }
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::ConnectionRefused) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The value that `permille` of `sorted` do not exceed, in microseconds.
fn quantile(sorted: &[u64], permille: usize) -> f64 {
    let index = (sorted.len() * permille / 1000).min(sorted.len().saturating_sub(1));
    sorted.get(index).map_or(0.0, |nanos| *nanos as f64 / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_of_the_sample() {
        let sample: Vec<u64> = (1..=100).map(|n| n * 1000).collect();
        assert_eq!(quantile(&sample, 500), 51.0);
        assert_eq!(quantile(&sample, 990), 100.0);
        assert_eq!(quantile(&sample, 985), 99.0);
        assert_eq!(quantile(&[7000], 999), 7.0);
    }

    #[test]
    fn a_direct_path_is_timed() {
        let latency = Path::direct(2).unwrap().measure(1000.0, Duration::from_millis(50)).unwrap();
        assert!(latency.p50_micros > 0.0 && latency.p99_micros >= latency.p50_micros, "{latency:?}");
    }
}
