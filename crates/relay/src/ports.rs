//! Relay ports: which are free, which are set aside, and who answers on which.

use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, SocketAddr, TcpListener},
    ops::RangeInclusive,
    sync::atomic::{AtomicU64, Ordering},
};

use causeway_net_io::{UdpOptions, UdpSocket, tcp};
use causeway_turn_core::{OpenRelay, OpenRelayError, PortChoice, RelayId, ReservationToken};
use causeway_types::{AddressFamily, RelayTransport, ShardIndex};
use parking_lot::Mutex;

use crate::settings::RelayAddress;

/// Relay sockets keep small buffers: a relayed stream is forwarded at once, and there may be many thousands.
const RELAY_BUFFER: usize = 1 << 20;
/// A relayed address belongs to one allocation.
pub(crate) const RELAY_OPTIONS: UdpOptions =
    UdpOptions { reuse_port: false, receive_buffer: RELAY_BUFFER, send_buffer: RELAY_BUFFER, report_errors: true };

/// An opened relay socket.
#[derive(Debug)]
pub(crate) enum RelaySocket {
    Udp(UdpSocket),
    Tcp(TcpListener, SocketAddr),
}

/// What [`RelayPorts::open`] gives.
#[derive(Debug)]
pub(crate) struct OpenedSocket {
    pub(crate) socket: RelaySocket,
    pub(crate) advertised: SocketAddr,
}

/// All relay addresses of the server, shared by its shards. Locks are taken when sockets open and close only.
#[derive(Debug)]
pub(crate) struct RelayPorts {
    hosts: Vec<Host>,
    reserved: Mutex<BTreeMap<ReservationToken, OpenedSocket>>,
}

#[derive(Debug)]
struct Host {
    address: RelayAddress,
    first: u16,
    /// Which ports are taken.
    taken: Mutex<Vec<bool>>,
    /// Per port: 0, or 1 + shard and relay id of the live UDP relay there.
    routes: Box<[AtomicU64]>,
}

impl RelayPorts {
    pub(crate) fn new(addresses: &[RelayAddress], ports: &RangeInclusive<u16>) -> Self {
        let count = usize::from(*ports.end()) + 1 - usize::from(*ports.start());
        let host = |address: &RelayAddress| Host {
            address: *address,
            first: *ports.start(),
            taken: Mutex::new(vec![false; count]),
            routes: (0..count).map(|_| AtomicU64::new(0)).collect(),
        };
        Self { hosts: addresses.iter().map(host).collect(), reserved: Mutex::new(BTreeMap::new()) }
    }

    /// Opens what the core asks for.
    pub(crate) fn open(&self, request: &OpenRelay) -> Result<OpenedSocket, OpenRelayError> {
        if let PortChoice::Reserved(token) = request.ports {
            return self.reserved.lock().remove(&token).ok_or(OpenRelayError::NoReservation);
        }
        let of_family = |host: &&Host| AddressFamily::of(host.address.bound) == request.family;
        let host = self.hosts.iter().find(of_family).ok_or(OpenRelayError::NoFamily)?;
        match request.ports {
            PortChoice::Any | PortChoice::Reserved(_) => host.open(request, |_| true),
            PortChoice::Even => host.open(request, |port| port % 2 == 0),
            PortChoice::EvenAndReserveNext(token) => {
                let (first, second) = host.open_pair(request)?;
                self.reserved.lock().insert(token, second);
                Ok(first)
            }
        }
    }

    /// Gives a reserved socket's port back, if nobody claimed it.
    pub(crate) fn drop_reservation(&self, token: ReservationToken) {
        let unclaimed = self.reserved.lock().remove(&token);
        if let Some(opened) = unclaimed {
            self.free(opened.advertised);
        }
    }

    /// Marks the port of a closed relay socket free.
    pub(crate) fn free(&self, advertised: SocketAddr) {
        if let Some((host, index)) = self.find(advertised) {
            if let Some(route) = host.routes.get(index) {
                route.store(0, Ordering::Release);
            }
            if let Some(taken) = host.taken.lock().get_mut(index) {
                *taken = false;
            }
        }
    }

    /// Announces a live UDP relay, so that other allocations reach it inside the process.
    pub(crate) fn announce(&self, advertised: SocketAddr, shard: ShardIndex, relay: RelayId) {
        if let Some(route) = self.find(advertised).and_then(|(host, index)| host.routes.get(index)) {
            route.store(1 + (u64::from(shard.0) << 32 | u64::from(relay.0)), Ordering::Release);
        }
    }

    /// Which live relay of ours `peer` is. On the packet path: a comparison or two and one load.
    pub(crate) fn route(&self, peer: SocketAddr) -> Option<(ShardIndex, RelayId)> {
        let (host, index) = self.find(peer)?;
        let value = host.routes.get(index)?.load(Ordering::Acquire).checked_sub(1)?;
        let shard = u8::try_from(value >> 32).ok()?;
        Some((ShardIndex(shard), RelayId(u32::try_from(value & 0xffff_ffff).ok()?)))
    }

    /// What `address` is bound to on this host, if it may be a relayed address of ours.
    pub(crate) fn bound_to(&self, address: SocketAddr) -> Option<IpAddr> {
        self.find(address).map(|(host, _)| host.address.bound)
    }

    fn find(&self, address: SocketAddr) -> Option<(&Host, usize)> {
        let ours = |host: &&Host| host.address.advertised == address.ip() || host.address.bound == address.ip();
        let host = self.hosts.iter().find(ours)?;
        let index = usize::from(address.port()).checked_sub(usize::from(host.first))?;
        (index < host.routes.len()).then_some((host, index))
    }
}

impl Host {
    /// Tries free ports that `fits` allows, from a point drawn from the request's randomness.
    fn open(&self, request: &OpenRelay, fits: impl Fn(u16) -> bool) -> Result<OpenedSocket, OpenRelayError> {
        let count = self.routes.len();
        let start = usize::try_from(request.entropy % count.max(1) as u64).unwrap_or(0);
        for step in 0..count {
            let index = (start + step) % count;
            let port = self.port(index);
            if !fits(port) || !self.take(index) {
                continue;
            }
            match self.bind(port, request.transport) {
                Ok(opened) => return Ok(opened),
                Err(error) => {
                    self.give_back(index);
                    if error.kind() != io::ErrorKind::AddrInUse {
                        return Err(OpenRelayError::System);
                    }
                }
            }
        }
        Err(OpenRelayError::NoPort)
    }

    /// An even port and the one above it.
    fn open_pair(&self, request: &OpenRelay) -> Result<(OpenedSocket, OpenedSocket), OpenRelayError> {
        let count = self.routes.len();
        let start = usize::try_from(request.entropy % count.max(1) as u64).unwrap_or(0);
        for step in 0..count {
            let index = (start + step) % count;
            let port = self.port(index);
            if !port.is_multiple_of(2) || index + 1 >= count || !self.take(index) {
                continue;
            }
            if !self.take(index + 1) {
                self.give_back(index);
                continue;
            }
            if let (Ok(first), Ok(second)) =
                (self.bind(port, request.transport), self.bind(port + 1, request.transport))
            {
                return Ok((first, second));
            }
            self.give_back(index);
            self.give_back(index + 1);
        }
        Err(OpenRelayError::NoPort)
    }

    fn port(&self, index: usize) -> u16 {
        self.first.saturating_add(u16::try_from(index).unwrap_or(0))
    }

    fn take(&self, index: usize) -> bool {
        self.taken.lock().get_mut(index).is_some_and(|taken| !std::mem::replace(taken, true))
    }

    fn give_back(&self, index: usize) {
        if let Some(taken) = self.taken.lock().get_mut(index) {
            *taken = false;
        }
    }

    fn bind(&self, port: u16, transport: RelayTransport) -> io::Result<OpenedSocket> {
        let bound = SocketAddr::new(self.address.bound, port);
        let advertised = SocketAddr::new(self.address.advertised, port);
        let socket = match transport {
            RelayTransport::Udp => RelaySocket::Udp(UdpSocket::bind(bound, RELAY_OPTIONS)?),
            RelayTransport::Tcp => RelaySocket::Tcp(tcp::listen(bound)?, bound),
        };
        Ok(OpenedSocket { socket, advertised })
    }
}
