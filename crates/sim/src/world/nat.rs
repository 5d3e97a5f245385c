//! A home router: one public address, and ports that come and go.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

/// First public port; the lowest free one is taken, so that ports are soon reused.
const PORT_MIN: u16 = 40_000;

/// Maps inside addresses to ports of one public address, the same one towards everybody.
#[derive(Clone, Debug)]
pub(crate) struct Nat {
    public: IpAddr,
    /// A mapping that nothing left through for so long is forgotten.
    idle_max: Duration,
    /// By public port: the inside address and when it last sent.
    mappings: BTreeMap<u16, (SocketAddr, Instant)>,
}

impl Nat {
    pub(crate) const fn new(public: IpAddr, idle_max: Duration) -> Self {
        Self { public, idle_max, mappings: BTreeMap::new() }
    }

    /// The public address that `inside` sends from.
    pub(crate) fn outbound(&mut self, inside: SocketAddr, now: Instant) -> SocketAddr {
        self.forget_idle(now);
        let known = self.mappings.iter().find(|(_, (address, _))| *address == inside).map(|(port, _)| *port);
        let free = || (PORT_MIN..).find(|port| !self.mappings.contains_key(port)).expect("ports do not run out");
        let port = known.unwrap_or_else(free);
        self.mappings.insert(port, (inside, now));
        SocketAddr::new(self.public, port)
    }

    /// Who is behind a public address.
    pub(crate) fn inbound(&mut self, public: SocketAddr, now: Instant) -> Option<SocketAddr> {
        self.forget_idle(now);
        (public.ip() == self.public).then(|| self.mappings.get(&public.port())).flatten().map(|(inside, _)| *inside)
    }

    /// Forgets the mapping of `inside`, as a router does that restarts.
    pub(crate) fn forget(&mut self, inside: SocketAddr) {
        self.mappings.retain(|_, (address, _)| *address != inside);
    }

    fn forget_idle(&mut self, now: Instant) {
        let idle_max = self.idle_max;
        self.mappings.retain(|_, (_, used)| now.saturating_duration_since(*used) < idle_max);
    }
}
