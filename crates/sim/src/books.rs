//! What a shell has given to its server and must get back: sockets, ports, places, connections.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use causeway_turn_core::{
    Admission, ClientLeg, ConnectionId, OpenRelay, OpenRelayError, PortChoice, RelayId, RelayOpened, ReservationToken,
};
use causeway_types::{AddressFamily, RelayTransport};

/// First and last relay port: few, so that they are reused.
pub const RELAY_PORTS: std::ops::RangeInclusive<u16> = 50_000..=50_015;
/// Allocations one user may hold.
const ALLOCATIONS_PER_USER_MAX: u32 = 3;

/// The relay address of a family.
#[must_use]
pub fn relay_ip(family: AddressFamily) -> IpAddr {
    match family {
        AddressFamily::V4 => IpAddr::from([198, 51, 200, 7]),
        AddressFamily::V6 => IpAddr::from([0x2606, 0x4700, 0, 0, 0, 0, 0, 7]),
    }
}

/// An open relay socket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Socket {
    pub(crate) address: SocketAddr,
    pub(crate) transport: RelayTransport,
}

/// A connection to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Connection {
    Connecting,
    Waiting,
    Bound(ClientLeg),
}

/// The books of one shard.
#[derive(Clone, Debug, Default)]
pub(crate) struct Books {
    pub(crate) sockets: BTreeMap<RelayId, Socket>,
    taken: BTreeSet<(AddressFamily, u16)>,
    reserved: BTreeMap<ReservationToken, Socket>,
    admitted: BTreeMap<Arc<str>, u32>,
    pub(crate) connections: BTreeMap<ConnectionId, Connection>,
}

impl Books {
    pub(crate) fn open(&mut self, request: &OpenRelay) -> Result<RelayOpened, OpenRelayError> {
        let socket = match request.ports {
            PortChoice::Reserved(token) => self.reserved.remove(&token).ok_or(OpenRelayError::NoReservation)?,
            PortChoice::Any => self.bind(request, |_, _| true)?,
            PortChoice::Even => self.bind(request, |port, _| port.is_multiple_of(2))?,
            PortChoice::EvenAndReserveNext(token) => {
                let first = self.bind(request, |port, next_is_free| port.is_multiple_of(2) && next_is_free)?;
                let next = SocketAddr::new(first.address.ip(), first.address.port() + 1);
                self.taken.insert((request.family, next.port()));
                self.reserved.insert(token, Socket { address: next, ..first });
                first
            }
        };
        let relay = (0..).map(RelayId).find(|id| !self.sockets.contains_key(id)).expect("numbers do not run out");
        self.sockets.insert(relay, socket);
        Ok(RelayOpened { relay, address: socket.address })
    }

    fn bind(&mut self, request: &OpenRelay, fits: impl Fn(u16, bool) -> bool) -> Result<Socket, OpenRelayError> {
        let family = request.family;
        let is_free = |port| RELAY_PORTS.contains(&port) && !self.taken.contains(&(family, port));
        let port = RELAY_PORTS.clone().find(|port| is_free(*port) && fits(*port, is_free(port + 1)));
        let port = port.ok_or(OpenRelayError::NoPort)?;
        self.taken.insert((family, port));
        Ok(Socket { address: SocketAddr::new(relay_ip(family), port), transport: request.transport })
    }

    /// # Panics
    /// The socket is not open.
    pub(crate) fn close(&mut self, relay: RelayId) {
        let socket = self.sockets.remove(&relay).unwrap_or_else(|| panic!("{relay:?} is closed and was not open"));
        self.free(socket);
    }

    fn free(&mut self, socket: Socket) {
        self.taken.remove(&(AddressFamily::of(socket.address.ip()), socket.address.port()));
    }

    pub(crate) fn is_reserved(&self, token: ReservationToken) -> bool {
        self.reserved.contains_key(&token)
    }

    /// Tokens that were claimed, or never set aside, are no fault.
    pub(crate) fn drop_reservation(&mut self, token: ReservationToken) {
        if let Some(socket) = self.reserved.remove(&token) {
            self.free(socket);
        }
    }

    pub(crate) fn admit(&mut self, username: &Arc<str>) -> Admission {
        let count = self.admitted.entry(Arc::clone(username)).or_default();
        if *count >= ALLOCATIONS_PER_USER_MAX {
            return Admission::UserQuota;
        }
        *count += 1;
        Admission::Granted
    }

    /// # Panics
    /// There is no place to give back.
    pub(crate) fn release(&mut self, username: &Arc<str>) {
        let count = self.admitted.get_mut(username).filter(|count| **count > 0);
        *count.unwrap_or_else(|| panic!("a place of {username} is given back that was not taken")) -= 1;
    }

    pub(crate) fn places(&self) -> u32 {
        self.admitted.values().sum()
    }

    /// Whose sockets these are, by address.
    pub(crate) fn relay_at(&self, address: SocketAddr) -> Option<RelayId> {
        self.sockets.iter().find(|(_, socket)| socket.address == address).map(|(relay, _)| *relay)
    }

    /// Whether the client's connection carries raw bytes of a peer connection.
    pub(crate) fn is_raw(&self, client: ClientLeg) -> bool {
        self.connections.values().any(|connection| *connection == Connection::Bound(client))
    }

    /// # Panics
    /// Something was not given back.
    pub(crate) fn assert_balanced(&self) {
        assert!(self.sockets.is_empty(), "sockets left open: {:?}", self.sockets);
        assert!(self.reserved.is_empty(), "ports left reserved: {:?}", self.reserved);
        assert!(self.taken.is_empty(), "ports left taken: {:?}", self.taken);
        assert!(self.connections.is_empty(), "connections left open: {:?}", self.connections);
        assert_eq!(self.places(), 0, "places left taken: {:?}", self.admitted);
    }
}
