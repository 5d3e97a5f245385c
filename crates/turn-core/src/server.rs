//! The state machine: what it holds, how inputs reach their handlers, timers and outputs.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use causeway_stun_codec::{AttributeType, Class, Fingerprint, Kind, Message, Method, TransactionId, classify};
use causeway_types::{
    AllocationEndReason, AllocationId, AuthRefusal, FiveTuple, LimitName, Now, RelayEvent, ShardIndex, TrafficCounters,
};
use foldhash::fast::FixedState;
use rand_chacha::{
    ChaCha12Rng,
    rand_core::{Rng, SeedableRng},
};
use slab::Slab;

use crate::{
    allocation::Allocation,
    auth,
    channels::AllocationKey,
    config::{OnExpiry, TurnConfig},
    drop_reason::{DropCounts, DropReason},
    io::{ClientLeg, ConnectionId, Forward, Output, RelayId, ReservationToken, TimerKind, UserRef},
    pending::Pending,
    rate::SourceBuckets,
    reply::Authenticated,
    scope::Scopes,
    stats::TurnStats,
    tcp_relay::PeerConnection,
};

/// One shard's TURN server.
#[derive(Debug)]
pub struct TurnServer {
    pub(crate) config: Arc<TurnConfig>,
    pub(crate) shard: ShardIndex,
    pub(crate) rng: ChaCha12Rng,
    pub(crate) allocations: Slab<Allocation>,
    pub(crate) by_client: HashMap<FiveTuple, usize, FixedState>,
    /// By [`RelayId`]: the allocation that owns the socket.
    pub(crate) by_relay: Vec<Option<usize>>,
    pub(crate) connections: BTreeMap<ConnectionId, PeerConnection>,
    pub(crate) pending: BTreeMap<u64, Pending>,
    /// Requests in flight, so that a retransmission is absorbed.
    pub(crate) pending_by_request: BTreeMap<(FiveTuple, TransactionId), u64>,
    /// Users whose request was given up while its admission was asked for, by query.
    pub(crate) late_admissions: BTreeMap<u64, Arc<str>>,
    /// Reservations of requests given up while their first socket was asked for, by query.
    pub(crate) late_reservations: BTreeMap<u64, ReservationToken>,
    pub(crate) next_pending: u64,
    pub(crate) next_alternate: usize,
    pub(crate) deadlines: BTreeSet<(Instant, TimerKind, u64)>,
    pub(crate) outputs: VecDeque<Output>,
    pub(crate) sources: SourceBuckets,
    pub(crate) drops: DropCounts,
    pub(crate) stats: TurnStats,
    pub(crate) scopes: Scopes,
    /// Whether somebody asks for [`Self::poll_changed_channels`].
    pub(crate) watches_channels: bool,
    pub(crate) changed_channels: Vec<AllocationKey>,
}

/// One live allocation, for listings.
#[derive(Clone, Debug)]
pub struct AllocationView {
    /// Which one.
    pub id: AllocationId,
    /// Who holds it.
    pub username: Arc<str>,
    /// Where the client is.
    pub five_tuple: FiveTuple,
    /// Relayed transport addresses.
    pub relayed: [Option<SocketAddr>; 2],
    /// Payload it carried so far.
    pub traffic: TrafficCounters,
    /// Whole TURN messages at the client side so far: framing and control messages included.
    pub messages: TrafficCounters,
}

impl TurnServer {
    /// A server without allocations. All randomness grows from `seed`.
    #[must_use]
    pub fn new(config: Arc<TurnConfig>, shard: ShardIndex, seed: [u8; 32], now: Now) -> Self {
        let mut rng = ChaCha12Rng::from_seed(seed);
        let (hash_seed, source_seed) = (rng.next_u64(), rng.next_u64());
        Self {
            config,
            shard,
            rng,
            allocations: Slab::new(),
            by_client: HashMap::with_hasher(FixedState::with_seed(hash_seed)),
            by_relay: Vec::new(),
            connections: BTreeMap::new(),
            pending: BTreeMap::new(),
            pending_by_request: BTreeMap::new(),
            late_admissions: BTreeMap::new(),
            late_reservations: BTreeMap::new(),
            next_pending: 0,
            next_alternate: 0,
            deadlines: BTreeSet::new(),
            outputs: VecDeque::new(),
            sources: SourceBuckets::new(source_seed, now.mono),
            drops: DropCounts::default(),
            stats: TurnStats::default(),
            scopes: Scopes::new(),
            watches_channels: false,
            changed_channels: Vec::new(),
        }
    }

    /// Replaces the configuration. Live allocations keep what they were granted, but for peers that the new policy
    /// refuses.
    pub fn handle_config(&mut self, now: Now, config: Arc<TurnConfig>) {
        self.debug_assert_drained();
        let old = std::mem::replace(&mut self.config, config);
        if old.peer_policy != self.config.peer_policy {
            self.judge_peers_again(now);
        }
    }

    /// Takes one datagram (UDP, DTLS) or one framed message (TCP, TLS) from a client.
    pub fn handle_client_message(&mut self, now: Now, from: ClientLeg, bytes: &[u8]) -> Forward {
        self.debug_assert_drained();
        match classify(bytes) {
            Kind::ChannelData => self.forward_channel_data(now, from, bytes, 1),
            Kind::Stun => match Message::parse(bytes) {
                Ok(message) => self.dispatch(now, from, message),
                Err(_) => self.drop_one(DropReason::Malformed),
            },
            Kind::Dtls | Kind::Other => self.drop_one(DropReason::Malformed),
        }
    }

    /// Takes `count` ChannelData messages of one channel and one length, of which `first` is the first: judged and
    /// counted at once.
    pub fn handle_channel_data_burst(&mut self, now: Now, from: ClientLeg, first: &[u8], count: u16) -> Forward {
        self.debug_assert_drained();
        self.forward_channel_data(now, from, first, count)
    }

    /// The relay socket failed for good; its allocation ends.
    pub fn handle_relay_failed(&mut self, now: Now, on: RelayId) {
        self.debug_assert_drained();
        if let Some(key) = self.allocation_of_relay(on) {
            self.end_allocation(now, key, AllocationEndReason::RelayFailed);
        }
    }

    /// The client's connection or association is gone.
    pub fn handle_client_closed(&mut self, now: Now, client: ClientLeg) {
        self.debug_assert_drained();
        self.forget_pending_of(client.five_tuple);
        let Some(&key) = self.by_client.get(&client.five_tuple) else { return };
        match self.allocations.get_mut(key) {
            // A mobility ticket may bring the client back on another connection; this one's five-tuple is free.
            Some(allocation) if allocation.ticket.is_some() => {
                allocation.detached = true;
                self.channels_changed(key);
                self.by_client.remove(&client.five_tuple);
            }
            _ => self.end_allocation(now, key, AllocationEndReason::ClientClosed),
        }
    }

    /// Does what is due at `now`; early, late and repeated calls are harmless.
    pub fn handle_timeout(&mut self, now: Now) {
        self.debug_assert_drained();
        while let Some(&(deadline, kind, id)) = self.deadlines.first() {
            if deadline > now.mono {
                break;
            }
            self.deadlines.pop_first();
            match kind {
                TimerKind::Allocation => self.allocation_due(now, usize::try_from(id).unwrap_or(usize::MAX)),
                TimerKind::Reservation => {
                    self.outputs.push_back(Output::DropReservation { token: ReservationToken(id.to_be_bytes()) });
                }
                TimerKind::Pending => self.pending_due(id),
                TimerKind::Connection => self.connection_due(now, ConnectionId(u32::try_from(id).unwrap_or(0))),
            }
        }
    }

    /// When to call [`Self::handle_timeout`] next, and which timer wants it. O(1).
    #[must_use]
    pub fn poll_timeout(&self) -> Option<(Instant, TimerKind)> {
        self.deadlines.first().map(|&(deadline, kind, _)| (deadline, kind))
    }

    /// Whether there is nothing to do: [`Self::poll_output`] and [`Self::poll_changed_channels`] would give nothing, as
    /// after most packets.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        self.outputs.is_empty() && self.changed_channels.is_empty()
    }

    /// The next thing to do; `None` when the last input is fully handled.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Live allocations.
    #[must_use]
    pub fn allocation_count(&self) -> usize {
        self.allocations.len()
    }

    /// How the client at this five-tuple is reached, if it holds an allocation here.
    #[must_use]
    pub fn client_leg(&self, five_tuple: &FiveTuple) -> Option<ClientLeg> {
        let key = *self.by_client.get(five_tuple)?;
        self.allocations.get(key).map(|allocation| allocation.client)
    }

    /// Peer scopes this shard has heard of and not forgotten: those with a member anywhere, or an allocation here.
    #[must_use]
    pub fn scope_count(&self) -> usize {
        self.scopes.len()
    }

    /// Longest lifetime that a Refresh is granted.
    #[must_use]
    pub fn lifetime_max(&self) -> Duration {
        self.config.lifetime_max
    }

    /// Whether this five-tuple holds an allocation here.
    #[must_use]
    pub fn has_allocation(&self, five_tuple: &FiveTuple) -> bool {
        self.by_client.contains_key(five_tuple)
    }

    /// Drops so far.
    #[must_use]
    pub const fn drops(&self) -> DropCounts {
        self.drops
    }

    /// Other counters so far.
    #[must_use]
    pub const fn stats(&self) -> TurnStats {
        self.stats
    }

    /// Live allocations, in no particular but repeatable order.
    pub fn allocations(&self) -> impl Iterator<Item = AllocationView> + '_ {
        self.allocations.iter().map(|(_, a)| AllocationView {
            id: a.id,
            username: a.username(),
            five_tuple: a.client.five_tuple,
            relayed: a.relays.map(|slot| slot.map(|s| s.address)),
            traffic: a.traffic,
            messages: a.messages,
        })
    }

    fn dispatch(&mut self, now: Now, from: ClientLeg, message: Message<'_>) -> Forward {
        if message.fingerprint() == Fingerprint::Invalid {
            return self.drop_one(DropReason::BadFingerprint);
        }
        if (message.class(), message.method()) == (Class::Indication, Method::SEND) {
            return self.forward_send(now, from, &message);
        }
        self.count_control_from(now, from, message.as_bytes().len());
        match (message.class(), message.method()) {
            // A client may keep its NAT binding alive with Binding indications (RFC 8489 §12).
            (Class::Indication, Method::BINDING) => Forward::Nothing,
            (Class::Request, method) => {
                self.stats.count_request(method);
                self.handle_request(now, from, &message)
            }
            (Class::Indication | Class::Success | Class::Error, _) => self.drop_one(DropReason::UnexpectedMessage),
        }
    }

    fn handle_request(&mut self, now: Now, from: ClientLeg, message: &Message<'_>) -> Forward {
        let method = message.method();
        if method == Method::BINDING {
            self.answer_binding(now, from, message);
            return Forward::Nothing;
        }
        let known = matches!(
            method,
            Method::ALLOCATE
                | Method::REFRESH
                | Method::CREATE_PERMISSION
                | Method::CHANNEL_BIND
                | Method::CONNECT
                | Method::CONNECTION_BIND
        );
        if !known || message.is_classic() {
            return self.drop_one(DropReason::UnexpectedMessage);
        }
        let Some(claim) = self.claim(now, from, message) else { return Forward::Nothing };
        let mut owner = self.owner_of(now, from, message);
        // The timer may be late: nothing but the deadline decides, and no request brings back what has expired.
        if let Owner::Local(key) = owner
            && self.allocations.get(key).is_some_and(|allocation| allocation.expires <= now.mono)
        {
            self.allocation_due(now, key);
            owner = Owner::None;
        }
        match owner {
            Owner::Local(key) => self.authenticate_with_allocation(now, from, message, &claim, key),
            Owner::Elsewhere => {}
            Owner::None => self.ask_for_key(now, from, message, &claim),
        }
        Forward::Nothing
    }

    /// The allocation a request is about: by five-tuple, else by mobility ticket or connection id.
    fn owner_of(&mut self, now: Now, from: ClientLeg, message: &Message<'_>) -> Owner {
        if message.method() == Method::CONNECTION_BIND {
            return self.owner_of_connection(from, message);
        }
        if let Some(&key) = self.by_client.get(&from.five_tuple) {
            return Owner::Local(key);
        }
        if message.method() == Method::REFRESH && message.has(AttributeType::MOBILITY_TICKET) {
            return self.owner_of_ticket(now, from, message);
        }
        Owner::None
    }

    fn authenticate_with_allocation(
        &mut self,
        now: Now,
        from: ClientLeg,
        message: &Message<'_>,
        claim: &auth::Claim,
        key: usize,
    ) {
        let Some(allocation) = self.allocations.get(key) else { return };
        let keys = allocation.grant.keys.clone();
        if !auth::same_user(&claim.user, &allocation.grant, &self.config.realm) {
            let name = match &claim.user {
                UserRef::Name(name) => Some(Arc::clone(name)),
                UserRef::Hash(_) => None,
            };
            // Not signed: the keys in hand are another user's.
            let code = if message.method() == Method::ALLOCATE { 437 } else { 441 };
            if self.refuse_unauthenticated(now, from, message, code, &[]) {
                self.auth_refused(from, name, AuthRefusal::OtherUser);
            }
            return;
        }
        let username = allocation.username();
        let admitted = allocation.grant.limits.admits(from.five_tuple.client.ip());
        let refusal = if !auth::verify(message, claim.signature, &keys) {
            Some(AuthRefusal::WrongKey)
        } else if !admitted {
            // Only a mobility ticket or a connection id leads here from another address.
            Some(AuthRefusal::OtherAddress)
        } else {
            None
        };
        if let Some(refusal) = refusal {
            if self.challenge(now, from, message, 401) {
                self.auth_refused(from, Some(username), refusal);
            }
            return;
        }
        let request = Authenticated { client: from, message: *message, signature: claim.signature };
        let unknown = self.unknown_attributes(message);
        if !unknown.is_empty() {
            self.refuse_unknown(request, &keys, &unknown);
            return;
        }
        match message.method() {
            Method::ALLOCATE => self.allocate_again(request, key),
            Method::REFRESH => self.refresh(now, request, key),
            Method::CREATE_PERMISSION => self.create_permission(now, request, key),
            Method::CHANNEL_BIND => self.channel_bind(now, request, key),
            Method::CONNECT => self.connect(now, request, key),
            Method::CONNECTION_BIND => self.connection_bind(now, request, key),
            _ => {}
        }
    }

    /// Comprehension-required attributes this server does not know for this message.
    pub(crate) fn unknown_attributes(&self, message: &Message<'_>) -> smallvec::SmallVec<[u16; 8]> {
        let mut unknown = message.unknown_comprehension_required(AttributeType::ALL);
        if message.method() != Method::BINDING || self.config.nat_discovery.is_empty() {
            for typ in [AttributeType::RESPONSE_PORT, AttributeType::PADDING] {
                if message.has(typ) {
                    unknown.push(typ.0);
                }
            }
        }
        unknown
    }

    /// Tells of a refusal whose answer was sent: a flood runs out of answers, and of events with them.
    pub(crate) fn auth_refused(&mut self, client: ClientLeg, username: Option<Arc<str>>, refusal: AuthRefusal) {
        let five_tuple = client.five_tuple;
        self.outputs.push_back(Output::Event(RelayEvent::AuthRefused { five_tuple, username, refusal }));
    }

    pub(crate) fn limit_reached(&mut self, limit: LimitName, username: Option<Arc<str>>, client: FiveTuple) {
        self.outputs.push_back(Output::Event(RelayEvent::LimitReached { limit, username, five_tuple: Some(client) }));
    }

    /// A limit of a live allocation was reached.
    pub(crate) fn limit_reached_by(&mut self, limit: LimitName, key: usize) {
        let Some(allocation) = self.allocations.get(key) else { return };
        let (username, client) = (allocation.username(), allocation.client.five_tuple);
        self.limit_reached(limit, Some(username), client);
    }

    pub(crate) fn allocation_of_relay(&self, relay: RelayId) -> Option<usize> {
        self.by_relay.get(usize::try_from(relay.0).ok()?).copied().flatten()
    }

    pub(crate) fn drop_one(&mut self, reason: DropReason) -> Forward {
        self.drops.add(reason, 1);
        Forward::Nothing
    }

    /// Puts the allocation's next deadline into the timer set.
    pub(crate) fn reschedule(&mut self, key: usize) {
        self.channels_changed(key);
        let Some(allocation) = self.allocations.get_mut(key) else { return };
        let due = allocation.next_deadline();
        let id = key as u64;
        self.deadlines.remove(&(allocation.scheduled, TimerKind::Allocation, id));
        allocation.scheduled = due;
        self.deadlines.insert((due, TimerKind::Allocation, id));
    }

    fn allocation_due(&mut self, now: Now, key: usize) {
        let Some(allocation) = self.allocations.get_mut(key) else { return };
        if allocation.expires <= now.mono {
            let expired = allocation.grant.expires.is_some_and(|at| at < now.unix);
            let reason = if expired && allocation.grant.on_expiry == OnExpiry::Terminate {
                AllocationEndReason::CredentialExpired
            } else {
                AllocationEndReason::LifetimeExpired
            };
            self.end_allocation(now, key, reason);
            return;
        }
        allocation.forget_expired(now.mono);
        self.reschedule(key);
    }

    /// How long an allocation may live from now on: as granted, or less when its credential ends it. In whole seconds, to
    /// be told, and when it ends.
    pub(crate) fn lifetime_under(grant: &crate::config::Grant, now: Now, granted_secs: u32) -> (u32, Instant) {
        let granted = Duration::from_secs(u64::from(granted_secs));
        let (OnExpiry::Terminate, Some(at)) = (grant.on_expiry, grant.expires) else {
            return (granted_secs, now.mono + granted);
        };
        let left = at.saturating_since(now.unix);
        let left_secs = u32::try_from(left.as_secs()).unwrap_or(u32::MAX);
        (granted_secs.min(left_secs), now.mono + granted.min(left + Duration::from_millis(1)))
    }

    pub(crate) fn end_allocation(&mut self, now: Now, key: usize, reason: AllocationEndReason) {
        self.channels_changed(key);
        let Some(allocation) = self.allocations.try_remove(key) else { return };
        self.deadlines.remove(&(allocation.scheduled, TimerKind::Allocation, key as u64));
        if self.by_client.get(&allocation.client.five_tuple) == Some(&key) {
            self.by_client.remove(&allocation.client.five_tuple);
        }
        for connection in &allocation.connections {
            self.forget_connection(*connection);
            self.outputs.push_back(Output::ClosePeerConnection { connection: *connection });
        }
        for slot in allocation.relays.iter().flatten() {
            self.close_relay(slot.relay);
        }
        self.leave_scope(key, &allocation.grant.limits, &allocation);
        self.outputs.push_back(Output::ReleaseAdmission { username: allocation.username() });
        self.stats.allocations_ended += 1;
        self.outputs.push_back(Output::Event(RelayEvent::AllocationEnded {
            allocation: allocation.id,
            at: now.unix,
            username: allocation.username(),
            reason,
            duration: now.mono.saturating_duration_since(allocation.created),
            traffic: allocation.traffic,
            messages: allocation.messages,
        }));
    }

    pub(crate) fn own_relay(&mut self, relay: RelayId, key: usize) {
        let index = usize::try_from(relay.0).unwrap_or(usize::MAX);
        if self.by_relay.len() <= index {
            self.by_relay.resize(index + 1, None);
        }
        if let Some(slot) = self.by_relay.get_mut(index) {
            *slot = Some(key);
        }
    }

    pub(crate) fn close_relay(&mut self, relay: RelayId) {
        if let Some(slot) = usize::try_from(relay.0).ok().and_then(|index| self.by_relay.get_mut(index)) {
            *slot = None;
        }
        self.outputs.push_back(Output::CloseRelay { relay });
    }

    pub(crate) fn random_bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.rng.fill_bytes(&mut bytes);
        bytes
    }

    pub(crate) fn random_u64(&mut self) -> u64 {
        self.rng.next_u64()
    }

    pub(crate) fn debug_assert_drained(&self) {
        debug_assert!(self.outputs.is_empty(), "poll_output must be drained before the next input");
    }
}

/// Where the allocation of a request lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// Here.
    Local(usize),
    /// On another shard; the request went there.
    Elsewhere,
    /// Nowhere.
    None,
}
