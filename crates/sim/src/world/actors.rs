//! Clients and peers as a scenario speaks of them.

use std::{net::SocketAddr, time::Duration};

use causeway_turn_client::{AllocateOptions, Allocation, Outcome, PortWish, Request, SendDataError, Via};

use super::World;

/// Data that reached somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrived {
    /// The peer as a client sees it; the relayed address as a peer sees it.
    pub from: SocketAddr,
    /// How it came to a client; `None` at a peer.
    pub via: Option<Via>,
    /// The payload.
    pub data: Vec<u8>,
}

/// A client in a scenario.
#[derive(Debug)]
pub struct Client<'a> {
    pub(super) world: &'a mut World,
    pub(super) index: usize,
}

impl Client<'_> {
    /// Allocates; waits for the outcome.
    pub fn allocate(&mut self, lifetime: Duration) -> Reply {
        self.ask(Request::Allocate(AllocateOptions { lifetime: Some(lifetime), ..AllocateOptions::default() }))
    }

    /// Allocates a certain port; waits for the outcome.
    pub fn allocate_port(&mut self, port: PortWish) -> Reply {
        self.ask(Request::Allocate(AllocateOptions { port, ..AllocateOptions::default() }))
    }

    /// Refreshes; a lifetime of zero ends the allocation.
    pub fn refresh(&mut self, lifetime: Duration) -> Reply {
        self.ask(Request::Refresh { lifetime: Some(lifetime) })
    }

    /// Installs a permission.
    pub fn permit(&mut self, peer: &str) -> Reply {
        let peers = vec![address(peer).ip()];
        self.ask(Request::CreatePermission { peers })
    }

    /// Binds a channel.
    pub fn bind(&mut self, number: u16, peer: &str) -> Reply {
        self.ask(Request::ChannelBind { number, peer: address(peer) })
    }

    /// Asks for anything; waits until the client has its outcome.
    ///
    /// # Panics
    /// There is none after a minute: the client's own schedule gives up before.
    pub fn ask(&mut self, request: Request) -> Reply {
        let id = self.world.request(self.index, request);
        let index = self.index;
        let came = self.world.run_until(Duration::from_secs(60), |world| {
            world.clients[index].outcomes.iter().any(|(done, _)| *done == id)
        });
        assert!(came, "{id:?} has no outcome");
        let outcomes = &self.world.clients[index].outcomes;
        let (_, outcome) = outcomes.iter().find(|(done, _)| *done == id).expect("it has just come");
        Reply(outcome.clone())
    }

    /// Asks for anything; nobody waits.
    pub fn start(&mut self, request: Request) {
        self.world.request(self.index, request);
    }

    /// Sends to a peer, over its channel if one is bound; nobody waits.
    ///
    /// # Errors
    /// The data is too long for one message.
    pub fn send(&mut self, peer: &str, data: &[u8]) -> Result<Via, SendDataError> {
        self.world.send_data(self.index, address(peer), data)
    }

    /// Sends a Send indication even when a channel is bound.
    ///
    /// # Panics
    /// The data is too long for one message.
    pub fn indicate(&mut self, peer: &str, data: &[u8]) {
        let mut bytes = Vec::new();
        let machine = &mut self.world.clients[self.index].machine;
        machine.write_indication(address(peer), data, &mut bytes).expect("it fits");
        self.world.transmit(self.index, bytes);
    }

    /// Sends on a channel whether it is bound or not.
    ///
    /// # Panics
    /// The data is too long for one message.
    pub fn send_on(&mut self, number: u16, data: &[u8]) {
        let mut bytes = Vec::new();
        self.world.clients[self.index].machine.write_channel_data(number, data, &mut bytes).expect("it fits");
        self.world.transmit(self.index, bytes);
    }

    /// Forgets everything and starts again on the same socket address.
    pub fn restart(&mut self) {
        self.world.restart(self.index);
    }

    /// The router forgets the client's port.
    pub fn rebind(&mut self) {
        self.world.rebind(self.index);
    }

    /// What came from peers since the last call.
    pub fn take_received(&mut self) -> Vec<Arrived> {
        std::mem::take(&mut self.world.clients[self.index].received)
    }

    /// The client's address as the server sees it, when it sends.
    pub fn public(&mut self) -> SocketAddr {
        self.world.public_address(self.index)
    }

    /// Whether the client thinks that it has an allocation.
    #[must_use]
    pub fn has_allocation(&self) -> bool {
        self.world.clients[self.index].machine.allocation().is_some()
    }
}

/// A peer in a scenario.
#[derive(Debug)]
pub struct Peer<'a> {
    pub(super) world: &'a mut World,
    pub(super) address: SocketAddr,
}

impl Peer<'_> {
    /// Sends to a relayed address.
    pub fn send(&mut self, to: SocketAddr, data: &[u8]) {
        self.world.peer_sends(self.address, to, data);
    }

    /// What came from relays since the last call.
    pub fn take_received(&mut self) -> Vec<Arrived> {
        self.world.peers.remove(&self.address).unwrap_or_default()
    }
}

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply(pub Outcome);

impl Reply {
    /// The allocation that an Allocate gave.
    ///
    /// # Panics
    /// It was not granted.
    #[track_caller]
    #[must_use]
    pub fn allocation(self) -> Allocation {
        let Outcome::Allocated(allocation) = self.0 else { panic!("no allocation: {:?}", self.0) };
        allocation
    }

    /// # Panics
    /// It was not granted.
    #[track_caller]
    pub fn granted(self) {
        let granted = matches!(
            self.0,
            Outcome::Mapped(_)
                | Outcome::Allocated(_)
                | Outcome::Refreshed { .. }
                | Outcome::Permitted
                | Outcome::ChannelBound
        );
        assert!(granted, "not granted: {:?}", self.0);
    }

    /// # Panics
    /// It was not refused with this code.
    #[track_caller]
    pub fn refused(self, code: u16) {
        assert!(matches!(&self.0, Outcome::Refused(refusal) if refusal.code == code), "not {code}: {:?}", self.0);
    }

    /// # Panics
    /// It was not refused with this code in answers that prove nothing, so that the client waited on.
    #[track_caller]
    pub fn refused_unsigned(self, code: u16) {
        let Outcome::TimedOut { unproven_code, .. } = self.0 else { panic!("not given up: {:?}", self.0) };
        assert_eq!(unproven_code, Some(code));
    }
}

/// # Panics
/// The text is no address.
pub(super) fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address and a port")
}
