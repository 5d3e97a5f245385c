//! Sockets that only send, for the busiest ways out of a shard.
//!
//! A relay socket is open to any peer, a listener to any client, and both are watched for what arrives; each of these
//! makes a send dearer. A destination that is sent to often gets a connected socket of its own, which is not watched, and
//! loses it when it falls silent. Nothing depends on one: whatever has none is sent by the open socket.

use std::net::SocketAddr;

use causeway_net_io::{ConnectedSender, UdpOptions};
use slab::Slab;

use super::RelayEntry;
use crate::settings::RelaySettings;

/// So many sends within a period to one destination are worth a socket.
const BUSY: u32 = 100;
/// With fewer than this it is closed again.
const QUIET: u32 = 20;

/// The system is asked no more in a period in which it refused so many.
const FAILURES_MAX: u32 = 16;

/// Which way out of an allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// From the relayed address.
    Peer,
    /// From the listener's address.
    Client,
}

/// One way out of one allocation.
#[derive(Debug, Default)]
pub(crate) struct Outlet {
    /// Whose sends are counted, and by whom the socket is used: source and destination.
    line: Option<(SocketAddr, SocketAddr)>,
    /// When they were counted.
    period: u32,
    sends: u32,
    sender: Option<ConnectedSender>,
}

impl Outlet {
    /// Counts a send; the socket for it, if it has one.
    pub(super) fn sender(&mut self, period: u32, from: SocketAddr, to: SocketAddr) -> Option<&ConnectedSender> {
        if self.period != period {
            self.period = period;
            self.sends = 0;
            if self.sender.is_none() {
                self.line = None;
            }
        }
        if *self.line.get_or_insert((from, to)) != (from, to) {
            return None;
        }
        self.sends = self.sends.saturating_add(1);
        self.sender.as_ref()
    }

    /// Whether it has just become busy without having a socket.
    pub(super) const fn wants_sender(&self) -> bool {
        self.sends == BUSY && self.sender.is_none()
    }

    pub(super) const fn has_sender(&self) -> bool {
        self.sender.is_some()
    }

    /// Whether it has sent so little since the period before `period` that it needs no socket any more.
    const fn is_quiet(&self, period: u32) -> bool {
        match period.wrapping_sub(self.period) {
            0 => false,
            1 => self.sends < QUIET,
            _ => true,
        }
    }
}

/// All of a shard that have a socket.
#[derive(Debug)]
pub(super) struct Outlets {
    /// Which time between two sweeps this is.
    pub(super) period: u32,
    open: Vec<(usize, Direction)>,
    max: usize,
    works: Works,
    refused: u64,
    /// Of this period, by the system.
    failures: u32,
}

/// For which families the system does what such sockets depend on.
#[derive(Clone, Copy, Debug)]
struct Works {
    v4: bool,
    v6: bool,
}

impl Outlets {
    /// Tries out, for each family that is relayed or listened on, whether there can be any.
    pub(super) fn new(settings: &RelaySettings) -> Self {
        let listens = settings.turn_listen.iter().chain(&settings.turn_tls_listen).map(SocketAddr::is_ipv4);
        let relays = settings.relay_addresses.iter().map(|address| address.bound.is_ipv4());
        let families: Vec<bool> = listens.chain(relays).collect();
        let works = |v4: bool| {
            let tried = families.contains(&v4).then(|| ConnectedSender::check(v4));
            if let Some(Err(error)) = &tried {
                tracing::info!(%error, v4, "busy flows have no sockets of their own here, and cost a little more");
            }
            matches!(tried, Some(Ok(())))
        };
        let max = settings.senders_max / u32::from(settings.threads.max(1));
        let works = Works { v4: works(true), v6: works(false) };
        Self { period: 0, open: Vec::new(), max: usize::try_from(max).unwrap_or(0), works, refused: 0, failures: 0 }
    }

    /// How many there are.
    pub(super) const fn count(&self) -> u64 {
        self.open.len() as u64
    }

    /// How many there might have been beyond the limit, or had the system given them.
    pub(super) const fn refused(&self) -> u64 {
        self.refused
    }

    /// Gives the outlet of the relay in slot `key` a socket, while there is room for one more. One that gets none asks
    /// again when it is busy in another period.
    pub(super) fn open(&mut self, key: usize, direction: Direction, outlet: &mut Outlet, options: UdpOptions) {
        let Some((from, to)) = outlet.line else { return };
        if !(if to.is_ipv4() { self.works.v4 } else { self.works.v6 }) {
            return;
        }
        if self.open.len() >= self.max || self.failures >= FAILURES_MAX {
            self.refused += 1;
            return;
        }
        match ConnectedSender::open(from, to, options) {
            Ok(sender) => {
                outlet.sender = Some(sender);
                self.open.push((key, direction));
            }
            Err(error) => {
                self.refused += 1;
                self.failures += 1;
                tracing::debug!(%error, ?direction, "a busy flow has no socket of its own");
            }
        }
    }

    /// The relay in slot `key` is gone, and its sockets with it.
    pub(super) fn forget(&mut self, key: usize) {
        self.open.retain(|(other, _)| *other != key);
    }

    /// A new period begins: closes what was quiet in the last one.
    pub(super) fn sweep(&mut self, relays: &mut Slab<RelayEntry>) {
        self.period = self.period.wrapping_add(1);
        self.failures = 0;
        let period = self.period;
        self.open.retain(|(key, direction)| {
            let Some(entry) = relays.get_mut(*key) else { return false };
            let outlet = match direction {
                Direction::Peer => &mut entry.to_peer,
                Direction::Client => &mut entry.to_client,
            };
            let quiet = outlet.is_quiet(period);
            if quiet {
                outlet.sender = None;
            }
            !quiet
        });
    }
}

#[cfg(test)]
mod tests {
    use causeway_net_io::UdpSocket;

    use super::*;
    use crate::ports::RELAY_OPTIONS;

    fn outlets(max: usize) -> Outlets {
        let works = Works { v4: true, v6: true };
        Outlets { period: 0, open: Vec::new(), max, works, refused: 0, failures: 0 }
    }

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    /// An outlet as busy as it takes.
    fn busy(outlets: &Outlets, from: SocketAddr, to: SocketAddr) -> Outlet {
        let mut outlet = Outlet::default();
        for _ in 0..BUSY {
            assert!(!outlet.wants_sender());
            assert!(outlet.sender(outlets.period, from, to).is_none());
        }
        assert!(outlet.wants_sender());
        outlet
    }

    #[test]
    fn sends_are_counted_for_one_destination_and_within_a_period() {
        let (from, to, other) = (address("127.0.0.1:1"), address("127.0.0.1:2"), address("127.0.0.1:3"));
        let mut outlet = Outlet::default();
        for period in 0..5 {
            for _ in 0..BUSY - 1 {
                assert!(outlet.sender(period, from, to).is_none());
                assert!(outlet.sender(period, from, other).is_none());
                assert!(!outlet.wants_sender());
            }
        }
        assert!(outlet.sender(9, from, other).is_none());
        assert_eq!(outlet.line, Some((from, other)), "the first of a period is the one that counts");
    }

    #[test]
    fn few_sends_in_a_period_or_none_at_all_are_quiet() {
        let (from, to) = (address("127.0.0.1:1"), address("127.0.0.1:2"));
        let mut outlet = Outlet::default();
        for _ in 0..QUIET {
            outlet.sender(7, from, to);
        }
        assert_eq!([7, 8, 9].map(|period| outlet.is_quiet(period)), [false, false, true]);
        outlet.sender(8, from, to);
        assert!(outlet.is_quiet(9));
    }

    #[test]
    fn a_system_that_refuses_is_asked_again_in_the_next_period() {
        let mut outlets = outlets(100);
        let open = UdpSocket::bind(address("127.0.0.1:0"), RELAY_OPTIONS).unwrap();
        let to = address("127.0.0.1:9");
        for _ in 0..FAILURES_MAX {
            let mut foreign = busy(&outlets, address("192.0.2.1:9"), to);
            outlets.open(1, Direction::Peer, &mut foreign, RELAY_OPTIONS);
            assert!(!foreign.has_sender());
        }
        let mut good = busy(&outlets, open.local_addr(), to);
        outlets.open(2, Direction::Peer, &mut good, RELAY_OPTIONS);
        assert_eq!((good.has_sender(), outlets.refused()), (false, u64::from(FAILURES_MAX) + 1));
        outlets.sweep(&mut Slab::new());
        let mut good = busy(&outlets, open.local_addr(), to);
        outlets.open(2, Direction::Peer, &mut good, RELAY_OPTIONS);
        assert_eq!((good.has_sender(), outlets.count()), (true, 1));
    }
}
