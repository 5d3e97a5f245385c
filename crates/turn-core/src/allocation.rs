//! One allocation: who holds it, what it may reach, what it carried.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use causeway_stun_codec::TransactionId;
use causeway_types::{AddressFamily, AllocationId, RelayTransport, TrafficCounters};

use crate::{
    config::Grant,
    io::{ClientLeg, ConnectionId, OpenRelayError, RelayId, ReservationToken},
    peer_policy::{PeerPolicy, Verdict},
    rate::TokenBucket,
    scope::Within,
};

/// Lifetime of a permission (RFC 8656 §9).
pub(crate) const PERMISSION_LIFETIME: Duration = Duration::from_secs(300);
/// Lifetime of a channel binding (RFC 8656 §12).
pub(crate) const CHANNEL_LIFETIME: Duration = Duration::from_secs(600);

/// A relay socket of an allocation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RelaySlot {
    pub(crate) relay: RelayId,
    pub(crate) address: SocketAddr,
}

/// How data to a permitted address is checked further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Any port.
    Open,
    /// Ask the policy for each port.
    CheckPort,
    /// Only to live relays of our own.
    OwnRelayOnly,
}

impl Reach {
    /// The reach a verdict gives; `None` when it refuses.
    pub(crate) const fn of(verdict: &Verdict) -> Option<Self> {
        match verdict {
            Verdict::Allowed => Some(Self::Open),
            Verdict::AllowedExceptServices => Some(Self::CheckPort),
            Verdict::OwnRelayOnly => Some(Self::OwnRelayOnly),
            Verdict::Refused(_) => None,
        }
    }
}

/// What a permission for an IP would allow.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Permit {
    pub(crate) ip: IpAddr,
    pub(crate) reach: Reach,
    pub(crate) within: Within,
}

/// A permission: by IP only (RFC 8656 §9).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Permission {
    ip: IpAddr,
    pub(crate) reach: Reach,
    /// Follows the members of the allocation's scope.
    pub(crate) within: Within,
    expires: Instant,
}

/// A channel binding, valid while its permission is too.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Channel {
    pub(crate) number: u16,
    pub(crate) peer: SocketAddr,
    pub(crate) reach: Reach,
    /// Follows the members of the allocation's scope.
    pub(crate) in_scope: bool,
    expires: Instant,
    permission_expires: Instant,
}

/// Why a channel cannot be bound as asked (RFC 8656 §12.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BindConflict {
    /// The number is bound to another peer, or the peer to another number: 400.
    Taken,
    /// `channels_per_allocation_max`: 508.
    Full,
}

/// Both directions' bandwidth.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Buckets {
    pub(crate) from_client: TokenBucket,
    pub(crate) to_client: TokenBucket,
    /// Whether the control plane was told that it is reached: once of an allocation.
    pub(crate) is_told: bool,
}

impl Buckets {
    /// Full ones.
    pub(crate) fn new(bytes_per_sec: u64, now: Instant) -> Self {
        let bucket = TokenBucket::for_bandwidth(bytes_per_sec, now);
        Self { from_client: bucket, to_client: bucket, is_told: false }
    }
}

/// The state of one allocation. An idle one is a few hundred bytes.
#[derive(Debug)]
pub(crate) struct Allocation {
    pub(crate) id: AllocationId,
    pub(crate) client: ClientLeg,
    /// The client's connection is gone, and its five-tuple free; a mobility ticket may bring it back.
    pub(crate) detached: bool,
    pub(crate) grant: Grant,
    pub(crate) transport: RelayTransport,
    pub(crate) relays: [Option<RelaySlot>; 2],
    pub(crate) created: Instant,
    pub(crate) expires: Instant,
    /// The transaction that made it, for retransmissions.
    pub(crate) transaction: TransactionId,
    pub(crate) lifetime_secs: u32,
    pub(crate) reservation: Option<ReservationToken>,
    /// The family asked for and not given, and why: told again to a retransmission.
    pub(crate) missing: Option<(AddressFamily, OpenRelayError)>,
    pub(crate) ticket: Option<[u8; 16]>,
    pub(crate) connections: Vec<ConnectionId>,
    pub(crate) traffic: TrafficCounters,
    pub(crate) messages: TrafficCounters,
    /// Packets counted on both legs since the figures were last told.
    pub(crate) packets_untold: u64,
    /// Peers the control plane was told of, as the client named them.
    pub(crate) peers_told: Vec<SocketAddr>,
    pub(crate) buckets: Option<Box<Buckets>>,
    /// The deadline the server's timer set holds for it.
    pub(crate) scheduled: Instant,
    permissions: Vec<Permission>,
    /// Sorted by number.
    channels: Vec<Channel>,
    /// Sorted by peer; the same bindings.
    channel_by_peer: Vec<(SocketAddr, u16)>,
}

/// What a new allocation starts from.
#[derive(Debug)]
pub(crate) struct NewAllocation {
    pub(crate) id: AllocationId,
    pub(crate) client: ClientLeg,
    pub(crate) grant: Grant,
    pub(crate) transport: RelayTransport,
    pub(crate) relays: [Option<RelaySlot>; 2],
    pub(crate) now: Instant,
    pub(crate) lifetime_secs: u32,
    pub(crate) transaction: TransactionId,
    pub(crate) reservation: Option<ReservationToken>,
    pub(crate) missing: Option<(AddressFamily, OpenRelayError)>,
    pub(crate) ticket: Option<[u8; 16]>,
    pub(crate) bandwidth: Option<u64>,
}

impl Allocation {
    pub(crate) fn new(new: NewAllocation) -> Self {
        let expires = new.now + Duration::from_secs(u64::from(new.lifetime_secs));
        Self {
            id: new.id,
            client: new.client,
            detached: false,
            grant: new.grant,
            transport: new.transport,
            relays: new.relays,
            created: new.now,
            expires,
            transaction: new.transaction,
            lifetime_secs: new.lifetime_secs,
            reservation: new.reservation,
            missing: new.missing,
            ticket: new.ticket,
            connections: Vec::new(),
            traffic: TrafficCounters::default(),
            messages: TrafficCounters::default(),
            packets_untold: 0,
            peers_told: Vec::new(),
            buckets: new.bandwidth.map(|rate| Box::new(Buckets::new(rate, new.now))),
            scheduled: expires,
            permissions: Vec::new(),
            channels: Vec::new(),
            channel_by_peer: Vec::new(),
        }
    }

    pub(crate) fn username(&self) -> Arc<str> {
        Arc::clone(&self.grant.username)
    }

    /// The relay socket of the family of `ip`.
    pub(crate) fn relay_for(&self, ip: IpAddr) -> Option<&RelaySlot> {
        self.relays.iter().flatten().find(|slot| slot.address.is_ipv4() == ip.is_ipv4())
    }

    /// The live permission for `ip`.
    pub(crate) fn permission(&self, ip: IpAddr, now: Instant) -> Option<&Permission> {
        let index = self.permissions.binary_search_by_key(&ip, |p| p.ip).ok()?;
        self.permissions.get(index).filter(|p| p.expires > now)
    }

    /// How many of `ips` have no live permission and would take a new slot.
    pub(crate) fn count_new_permissions(&self, ips: &[IpAddr], now: Instant) -> usize {
        let mut fresh: Vec<IpAddr> = ips.iter().filter(|ip| self.permission(**ip, now).is_none()).copied().collect();
        fresh.sort_unstable();
        fresh.dedup();
        fresh.len()
    }

    /// Live permissions.
    pub(crate) fn permission_count(&self, now: Instant) -> usize {
        self.permissions.iter().filter(|p| p.expires > now).count()
    }

    /// Installs or refreshes a permission; its lifetime restarts, it does not add up (RFC 8656 §9).
    pub(crate) fn permit(&mut self, permit: Permit, now: Instant) {
        let Permit { ip, reach, within } = permit;
        let expires = now + PERMISSION_LIFETIME;
        match self.permissions.binary_search_by_key(&ip, |p| p.ip) {
            Ok(index) => {
                if let Some(permission) = self.permissions.get_mut(index) {
                    *permission = Permission { ip, reach, within, expires };
                }
            }
            Err(index) => self.permissions.insert(index, Permission { ip, reach, within, expires }),
        }
        for channel in self.channels.iter_mut().filter(|c| c.peer.ip() == ip) {
            channel.permission_expires = expires;
        }
    }

    /// The live channel `number`.
    pub(crate) fn channel(&self, number: u16, now: Instant) -> Option<&Channel> {
        let index = self.channels.binary_search_by_key(&number, |c| c.number).ok()?;
        self.channels.get(index).filter(|c| c.expires > now && c.permission_expires > now)
    }

    /// Channels that carry data, each with the time until which it does as far as its permission is concerned.
    pub(crate) fn live_channels(&self, now: Instant) -> impl Iterator<Item = (Channel, Instant)> + '_ {
        let live = move |c: &&Channel| c.in_scope && c.expires > now && c.permission_expires > now;
        self.channels.iter().filter(live).map(|c| (*c, c.expires.min(c.permission_expires)))
    }

    /// The live channel bound to `peer`.
    pub(crate) fn channel_to(&self, peer: SocketAddr, now: Instant) -> Option<&Channel> {
        let index = self.channel_by_peer.binary_search_by_key(&peer, |(p, _)| *p).ok()?;
        let (_, number) = self.channel_by_peer.get(index)?;
        self.channel(*number, now)
    }

    /// Binds or refreshes a channel; the caller has judged the peer and refreshed the permission.
    pub(crate) fn bind_channel(
        &mut self,
        number: u16,
        peer: SocketAddr,
        reach: Reach,
        channels_max: u16,
        now: Instant,
    ) -> Result<(), BindConflict> {
        self.forget_expired_channels(now);
        let by_number = self.channels.binary_search_by_key(&number, |c| c.number);
        let by_peer = self.channel_by_peer.binary_search_by_key(&peer, |(p, _)| *p);
        let fresh = Channel {
            number,
            peer,
            reach,
            in_scope: true,
            expires: now + CHANNEL_LIFETIME,
            permission_expires: now + PERMISSION_LIFETIME,
        };
        match (by_number, by_peer) {
            (Ok(at), Ok(_)) => match self.channels.get_mut(at) {
                Some(channel) if channel.peer == peer => *channel = fresh,
                _ => return Err(BindConflict::Taken),
            },
            (Ok(_), Err(_)) | (Err(_), Ok(_)) => return Err(BindConflict::Taken),
            (Err(_), Err(_)) if self.channels.len() >= usize::from(channels_max) => return Err(BindConflict::Full),
            (Err(number_at), Err(peer_at)) => {
                self.channels.insert(number_at, fresh);
                self.channel_by_peer.insert(peer_at, (peer, number));
            }
        }
        Ok(())
    }

    /// Whether `bind_channel` would succeed.
    pub(crate) fn check_bind(
        &self,
        number: u16,
        peer: SocketAddr,
        channels_max: u16,
        now: Instant,
    ) -> Result<(), BindConflict> {
        let live = |c: &&Channel| c.expires > now;
        if self.channels.iter().filter(live).any(|c| (c.number == number) != (c.peer == peer)) {
            return Err(BindConflict::Taken);
        }
        let known = self.channels.iter().filter(live).any(|c| c.number == number);
        if !known && self.channels.iter().filter(live).count() >= usize::from(channels_max) {
            return Err(BindConflict::Full);
        }
        Ok(())
    }

    /// Writes new judgements about the IPs that `concerned` picks into what is installed.
    pub(crate) fn judge_again(
        &mut self,
        concerned: impl Fn(IpAddr) -> bool,
        within: impl Fn(IpAddr) -> Within,
        reaches: impl Fn(SocketAddr) -> bool,
    ) {
        for permission in self.permissions.iter_mut().filter(|p| concerned(p.ip)) {
            permission.within = within(permission.ip);
        }
        for channel in self.channels.iter_mut().filter(|c| concerned(c.peer.ip())) {
            channel.in_scope = reaches(channel.peer);
        }
    }

    /// Asks the policy again for every permission and channel, and drops what it refuses; the peers and their rules.
    pub(crate) fn withdraw_refused(&mut self, policy: &PeerPolicy) -> Vec<(SocketAddr, Arc<str>)> {
        let mut refused: Vec<(SocketAddr, Arc<str>)> = Vec::new();
        self.permissions.retain_mut(|permission| {
            let verdict = policy.check_ip(permission.ip);
            permission.reach = Reach::of(&verdict).unwrap_or(permission.reach);
            let Verdict::Refused(rule) = verdict else { return true };
            refused.push((SocketAddr::new(permission.ip, 0), rule));
            false
        });
        self.channels.retain_mut(|channel| {
            let verdict = policy.check_address(channel.peer);
            channel.reach = Reach::of(&verdict).unwrap_or(channel.reach);
            let Verdict::Refused(rule) = verdict else { return true };
            if !refused.iter().any(|(peer, _)| peer.ip() == channel.peer.ip()) {
                refused.push((channel.peer, rule));
            }
            false
        });
        self.forget_peers_without_channel();
        refused
    }

    /// Forgets what has expired; the data path never trusts this, it compares deadlines itself.
    pub(crate) fn forget_expired(&mut self, now: Instant) {
        self.permissions.retain(|p| p.expires > now);
        self.forget_expired_channels(now);
    }

    fn forget_expired_channels(&mut self, now: Instant) {
        self.channels.retain(|c| c.expires > now);
        self.forget_peers_without_channel();
    }

    fn forget_peers_without_channel(&mut self) {
        let channels = &self.channels;
        self.channel_by_peer.retain(|(_, number)| channels.binary_search_by_key(number, |c| c.number).is_ok());
    }

    /// The next time something of this allocation expires.
    pub(crate) fn next_deadline(&self) -> Instant {
        let permissions = self.permissions.iter().map(|p| p.expires);
        let channels = self.channels.iter().map(|c| c.expires);
        permissions.chain(channels).fold(self.expires, Instant::min)
    }
}
