//! What the server may do for its clients, told in the fewest words: deadlines, and nothing else.
//!
//! It learns from what clients are told, never from the server's inside: an event says that an allocation exists, a
//! success response that a permission or a channel does.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use causeway_stun_codec::{
    Attribute, AttributeType, Message, Method,
    attributes::{ChannelNumber, XorPeerAddress},
};
use causeway_turn_core::{
    RelayId, ScopeKind,
    peer_policy::{PeerPolicy, Verdict},
};
use causeway_types::{AllocationId, FiveTuple, RelayTransport, ScopeId};

/// RFC 8656 §9.
const PERMISSION_LIFETIME: Duration = Duration::from_secs(300);
/// RFC 8656 §12.
const CHANNEL_LIFETIME: Duration = Duration::from_secs(600);

/// An allocation as its client knows it.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) client: FiveTuple,
    pub(crate) username: Arc<str>,
    pub(crate) transport: RelayTransport,
    pub(crate) relays: Vec<RelayId>,
    /// It is not alive from here on; its credential or its quota may end it earlier.
    pub(crate) expires: Instant,
    /// How much later than told it may end: clients are told whole seconds.
    pub(crate) slack: Duration,
    /// Whether a mobility ticket was given for it.
    pub(crate) has_ticket: bool,
    /// The client's connection is gone, and its five-tuple is free.
    pub(crate) detached: bool,
    permissions: BTreeMap<IpAddr, Instant>,
    channels: BTreeMap<u16, (SocketAddr, Instant)>,
}

impl Held {
    pub(crate) const fn new(
        client: FiveTuple,
        username: Arc<str>,
        transport: RelayTransport,
        relays: Vec<RelayId>,
        now: Instant,
    ) -> Self {
        Self {
            client,
            username,
            transport,
            relays,
            expires: now,
            slack: Duration::ZERO,
            has_ticket: false,
            detached: false,
            permissions: BTreeMap::new(),
            channels: BTreeMap::new(),
        }
    }

    /// The lifetime that was told runs from `now`.
    pub(crate) fn lives(&mut self, now: Instant, lifetime: Duration, slack: Duration) {
        self.expires = now + lifetime + slack;
        self.slack = slack;
    }

    pub(crate) fn permits(&self, peer: IpAddr, now: Instant) -> bool {
        self.permissions.get(&peer).is_some_and(|until| *until > now)
    }

    /// Whom a channel leads to.
    pub(crate) fn channel(&self, number: u16, now: Instant) -> Option<SocketAddr> {
        let (peer, until) = self.channels.get(&number)?;
        (*until > now && self.permits(peer.ip(), now)).then_some(*peer)
    }

    /// Which channel leads to `peer`.
    pub(crate) fn channel_to(&self, peer: SocketAddr, now: Instant) -> Option<u16> {
        self.channels.keys().copied().find(|number| self.channel(*number, now) == Some(peer))
    }

    fn permit(&mut self, peer: IpAddr, now: Instant) {
        self.permissions.insert(peer, now + PERMISSION_LIFETIME);
    }
}

/// All allocations of a server, and what it was told of rooms.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    pub(crate) held: BTreeMap<AllocationId, Held>,
    /// Members: a relayed address with its port, or a client's IP.
    members: BTreeSet<(ScopeId, ScopeKind, IpAddr, u16)>,
}

impl Model {
    pub(crate) fn of_relay(&self, relay: RelayId) -> Option<&Held> {
        self.held.values().find(|held| held.relays.contains(&relay))
    }

    /// The allocation of a five-tuple.
    pub(crate) fn of_client(&self, client: FiveTuple) -> Option<(AllocationId, &Held)> {
        let mut found = self.held.iter().filter(|(_, held)| held.client == client && !held.detached);
        let first = found.next().map(|(id, held)| (*id, held));
        assert!(found.next().is_none(), "{client} holds two allocations");
        first
    }

    pub(crate) fn member(&mut self, scope: ScopeId, address: SocketAddr, kind: ScopeKind, present: bool) {
        let port = if kind == ScopeKind::Relayed { address.port() } else { 0 };
        let member = (scope, kind, address.ip(), port);
        if present {
            self.members.insert(member)
        } else {
            self.members.remove(&member)
        };
    }

    /// Whether a room has this peer.
    pub(crate) fn has_member(&self, scope: ScopeId, peer: SocketAddr) -> bool {
        self.members.contains(&(scope, ScopeKind::Relayed, peer.ip(), peer.port()))
            || self.members.contains(&(scope, ScopeKind::Mapped, peer.ip(), 0))
    }

    /// Takes back what a new policy would not grant.
    pub(crate) fn withdraw(&mut self, policy: &PeerPolicy) {
        for held in self.held.values_mut() {
            held.permissions.retain(|ip, _| !matches!(policy.check_ip(*ip), Verdict::Refused(_)));
            held.channels.retain(|_, (peer, _)| !matches!(policy.check_address(*peer), Verdict::Refused(_)));
        }
    }

    pub(crate) fn relay_closed(&mut self, relay: RelayId) {
        for held in self.held.values_mut() {
            held.relays.retain(|own| *own != relay);
        }
    }

    /// `request` of `client` was granted.
    pub(crate) fn granted(&mut self, client: FiveTuple, request: &Message<'_>, response: &Message<'_>, now: Instant) {
        let Some((id, _)) = self.of_client(client) else { return };
        let Some(held) = self.held.get_mut(&id) else { return };
        match request.method() {
            Method::ALLOCATE => held.has_ticket = response.has(AttributeType::MOBILITY_TICKET),
            Method::CREATE_PERMISSION => {
                for raw in request.attributes().filter(|raw| raw.typ == AttributeType::XOR_PEER_ADDRESS) {
                    let XorPeerAddress(peer) = XorPeerAddress::decode(raw.value, request.cookie_and_id())
                        .expect("a granted request is well formed");
                    held.permit(peer.ip(), now);
                }
            }
            Method::CHANNEL_BIND => {
                let (Ok(Some(ChannelNumber(number))), Ok(Some(XorPeerAddress(peer)))) =
                    (request.attribute(), request.attribute())
                else {
                    panic!("a granted ChannelBind names a channel and a peer");
                };
                let live = |(_, until): &(SocketAddr, Instant)| *until > now;
                let conflict = held
                    .channels
                    .iter()
                    .filter(|(_, binding)| live(binding))
                    .any(|(other, (bound, _))| (*other == number) != (*bound == peer));
                assert!(!conflict, "channel {number:#x} and {peer} are bound otherwise");
                held.permit(peer.ip(), now);
                held.channels.insert(number, (peer, now + CHANNEL_LIFETIME));
            }
            _ => {}
        }
    }
}
