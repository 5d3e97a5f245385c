//! Peer scopes: groups of clients that may relay towards each other only.
//!
//! An allocation whose grant names a scope reaches the scope's members and nobody else, in either direction: relayed
//! transport addresses exactly, clients' mapped addresses by IP. This comes on top of the peer policy and of permissions.
//! What is installed carries its judgement with it and is judged again when a member comes or goes, so that a packet on a
//! channel costs one comparison.
//!
//! Every shard is told of every member, its own included, by [`TurnServer::handle_scope`]; which of its allocations came
//! and went it tells by [`Output::ScopeMember`].

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use causeway_types::{Now, RelayEvent, ScopeId};

use crate::{TurnServer, allocation::Allocation, config::GrantLimits, io::Output};

/// Addresses in one scope; one more is not taken in, so that members may not reach it.
pub const SCOPE_MEMBERS_MAX: usize = 1024;

/// What an address is to its scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ScopeKind {
    /// A relayed transport address: counts with its port.
    Relayed,
    /// A client's address as the server sees it: counts with every port, since a NAT may use another one for each peer.
    Mapped,
}

/// How much of an IP the grant of an allocation opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Within {
    /// Every port: no scope, or a mapped address of a member.
    AnyPort,
    /// The ports of members' relayed addresses.
    SomePorts,
    /// Nothing.
    Nothing,
}

/// Who is in a scope, and which allocations here may reach only them.
#[derive(Debug, Default)]
pub(crate) struct Scope {
    relayed: BTreeSet<SocketAddr>,
    mapped: BTreeSet<IpAddr>,
    holders: BTreeSet<usize>,
}

/// The scopes this shard has heard of.
pub(crate) type Scopes = BTreeMap<ScopeId, Scope>;

/// The same for every way to write an address.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

impl Scope {
    /// Whether anything changed.
    fn set(&mut self, address: SocketAddr, kind: ScopeKind, present: bool) -> bool {
        let full = self.relayed.len() + self.mapped.len() >= SCOPE_MEMBERS_MAX;
        match (kind, present) {
            (_, true) if full => false,
            (ScopeKind::Relayed, true) => self.relayed.insert(address),
            (ScopeKind::Mapped, true) => self.mapped.insert(address.ip()),
            (ScopeKind::Relayed, false) => self.relayed.remove(&address),
            (ScopeKind::Mapped, false) => self.mapped.remove(&address.ip()),
        }
    }

    fn is_unused(&self) -> bool {
        self.relayed.is_empty() && self.mapped.is_empty() && self.holders.is_empty()
    }
}

/// How much of `ip` a grant with these limits opens.
pub(crate) fn within(scopes: &Scopes, limits: &GrantLimits, ip: IpAddr) -> Within {
    let Some(id) = limits.scope else { return Within::AnyPort };
    let Some(scope) = scopes.get(&id) else { return Within::Nothing };
    let ip = ip.to_canonical();
    if scope.mapped.contains(&ip) {
        Within::AnyPort
    } else if scope.relayed.range(SocketAddr::new(ip, 0)..=SocketAddr::new(ip, u16::MAX)).next().is_some() {
        Within::SomePorts
    } else {
        Within::Nothing
    }
}

/// Whether a grant with these limits opens `peer`, port included.
pub(crate) fn reaches(scopes: &Scopes, limits: &GrantLimits, peer: SocketAddr) -> bool {
    let Some(id) = limits.scope else { return true };
    let Some(scope) = scopes.get(&id) else { return false };
    let peer = canonical(peer);
    scope.mapped.contains(&peer.ip()) || scope.relayed.contains(&peer)
}

impl TurnServer {
    /// Takes in that `address` has become a member of `scope`, or is one no longer. What allocations of that scope have
    /// installed for it opens or closes at once; connections to it end. For [`ScopeKind::Mapped`] the port does not count.
    ///
    /// A scope holds at most [`SCOPE_MEMBERS_MAX`] addresses: one more changes nothing.
    pub fn handle_scope(&mut self, now: Now, scope: ScopeId, address: SocketAddr, kind: ScopeKind, present: bool) {
        self.debug_assert_drained();
        let address = canonical(address);
        let entry = self.scopes.entry(scope).or_default();
        if entry.set(address, kind, present) {
            let holders: Vec<usize> = entry.holders.iter().copied().collect();
            for key in holders {
                self.judge_again(now, key, |ip| ip.to_canonical() == address.ip());
            }
        }
        self.forget_unused_scope(scope);
    }

    /// Makes a new allocation, or one with new limits, a holder of its scope, and its addresses members.
    pub(crate) fn enter_scope(&mut self, key: usize) {
        let Some(allocation) = self.allocations.get(key) else { return };
        let limits = allocation.grant.limits;
        if let Some(scope) = limits.scope {
            self.scopes.entry(scope).or_default().holders.insert(key);
        }
        if let Some(scope) = limits.membership() {
            tell_members(&mut self.outputs, scope, allocation, true);
        }
    }

    /// The way back, under the limits it entered with; the allocation may have left the table already.
    pub(crate) fn leave_scope(&mut self, key: usize, limits: &GrantLimits, allocation: &Allocation) {
        if let Some(scope) = limits.membership() {
            tell_members(&mut self.outputs, scope, allocation, false);
        }
        self.drop_holder(key, limits);
    }

    /// Moves an allocation whose limits are new from the scopes it was in to those it is in.
    pub(crate) fn change_scope(&mut self, now: Now, key: usize, old: GrantLimits) {
        let Some(allocation) = self.allocations.get(key) else { return };
        if let Some(scope) = old.membership() {
            tell_members(&mut self.outputs, scope, allocation, false);
        }
        self.drop_holder(key, &old);
        self.enter_scope(key);
        self.judge_again(now, key, |_| true);
    }

    fn drop_holder(&mut self, key: usize, limits: &GrantLimits) {
        let Some(scope) = limits.scope else { return };
        if let Some(entry) = self.scopes.get_mut(&scope) {
            entry.holders.remove(&key);
        }
        self.forget_unused_scope(scope);
    }

    /// Tells that one address of an allocation that is a member came or went.
    pub(crate) fn tell_member(&mut self, limits: &GrantLimits, address: SocketAddr, kind: ScopeKind, present: bool) {
        if let Some(scope) = limits.membership() {
            self.outputs.push_back(Output::ScopeMember { scope, address, kind, present });
        }
    }

    /// Judges what an allocation has installed for the addresses that `concerned` picks.
    pub(crate) fn judge_again(&mut self, now: Now, key: usize, concerned: impl Fn(IpAddr) -> bool) {
        self.channels_changed(key);
        let Some(allocation) = self.allocations.get_mut(key) else { return };
        let (scopes, limits) = (&self.scopes, allocation.grant.limits);
        allocation.judge_again(&concerned, |ip| within(scopes, &limits, ip), |peer| reaches(scopes, &limits, peer));
        for connection in allocation.connections.clone() {
            let peer = self.connections.get(&connection).map(crate::tcp_relay::PeerConnection::peer);
            if peer.is_some_and(|peer| concerned(peer.ip()) && !reaches(&self.scopes, &limits, peer)) {
                self.close_connection(now, connection);
            }
        }
    }

    /// 403, and what refused.
    pub(crate) fn refuse_out_of_scope(&mut self, key: usize, peer: SocketAddr) -> u16 {
        if let Some(allocation) = self.allocations.get(key) {
            let rule = Arc::from("peer_scope: room");
            self.outputs.push_back(Output::Event(RelayEvent::PeerRefused { allocation: allocation.id, peer, rule }));
        }
        403
    }

    fn forget_unused_scope(&mut self, scope: ScopeId) {
        if self.scopes.get(&scope).is_some_and(Scope::is_unused) {
            self.scopes.remove(&scope);
        }
    }
}

fn tell_members(
    outputs: &mut std::collections::VecDeque<Output>,
    scope: ScopeId,
    allocation: &Allocation,
    present: bool,
) {
    let relayed = allocation.relays.iter().flatten().map(|slot| (slot.address, ScopeKind::Relayed));
    let mapped = (allocation.client.five_tuple.client, ScopeKind::Mapped);
    for (address, kind) in relayed.chain([mapped]) {
        outputs.push_back(Output::ScopeMember { scope, address, kind, present });
    }
}
