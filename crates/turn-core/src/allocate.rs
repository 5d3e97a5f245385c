//! Allocate (RFC 8656 §7), with address families, even ports, reservations and mobility.

use std::{net::IpAddr, sync::Arc, time::Duration};

use causeway_stun_codec::{
    Attribute, AttributeError, AttributeType, Message, MessageBuilder,
    attributes::{
        AdditionalAddressFamily, AddressErrorCode, AlternateServer, EvenPort, Lifetime, MobilityTicket,
        RequestedAddressFamily, RequestedTransport, ReservationToken as TokenAttribute, UnknownAttributes,
        XorMappedAddress, XorRelayedAddress,
    },
};
use causeway_types::{AddressFamily, AllocationId, LimitName, Now, RelayEvent, RelayTransport};

use crate::{
    TurnServer,
    allocation::{Allocation, NewAllocation, RelaySlot},
    config::{Grant, IntegrityKeys},
    io::{
        Admission, OpenRelay, OpenRelayError, Output, PortChoice, QueryId, RelayOpened, RelayRequestId,
        ReservationToken, TimerKind, UserRef,
    },
    pending::{Pending, Stage},
    reply::Authenticated,
};

/// How long a reserved port is kept (RFC 8656 §7.2).
const RESERVATION_LIFETIME: Duration = Duration::from_secs(30);

/// What an Allocate asks for, once it makes sense.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    transport: RelayTransport,
    families: [Option<AddressFamily>; 2],
    pub(crate) ports: PortChoice,
    lifetime_secs: u32,
    mobility: bool,
}

/// A refusal by code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Refusal(u16);

impl From<AttributeError> for Refusal {
    fn from(_: AttributeError) -> Self {
        Self(400)
    }
}

impl TurnServer {
    /// An authenticated Allocate from a five-tuple without allocation.
    pub(crate) fn allocate(&mut self, now: Now, request: Authenticated<'_>, grant: Grant) {
        // Another Allocate of this client may have been granted while this one waited for its key.
        if self.by_client.contains_key(&request.client.five_tuple) {
            self.refuse(request, &grant.keys, 437);
            return;
        }
        if let Some(server) = self.alternate_server(request.client.five_tuple.client.ip()) {
            self.refuse_with(request, &grant.keys, 300, |builder| builder.attribute(&AlternateServer(server)));
            return;
        }
        let wanted = match self.read_allocate(request) {
            Ok(wanted) => wanted,
            Err(Refusal(code)) => {
                self.refuse(request, &grant.keys, code);
                return;
            }
        };
        if self.config.draining {
            self.refuse(request, &grant.keys, 486);
            return;
        }
        let username = Arc::clone(&grant.username);
        let user = UserRef::Name(Arc::clone(&username));
        let allocations_max = grant.limits.allocations_max;
        let id = self.park(now, request, user, Stage::Admission { grant, wanted });
        self.outputs.push_back(Output::NeedAdmission { id: QueryId(id), username, allocations_max });
    }

    /// Where new allocations go instead, in turn.
    fn alternate_server(&mut self, client: IpAddr) -> Option<std::net::SocketAddr> {
        let servers = &self.config.alternate_servers;
        let count = servers.len();
        let found = (0..count)
            .filter_map(|step| servers.get((self.next_alternate + step) % count))
            .find(|server| server.is_ipv4() == client.is_ipv4())
            .copied();
        self.next_alternate = self.next_alternate.wrapping_add(1) % count.max(1);
        found
    }

    /// The checks of RFC 8656 §7.2, in its order.
    fn read_allocate(&mut self, request: Authenticated<'_>) -> Result<Wanted, Refusal> {
        let message = &request.message;
        let transport = match message.attribute::<RequestedTransport>()? {
            Some(RequestedTransport::UDP) => RelayTransport::Udp,
            Some(RequestedTransport::TCP) if self.config.tcp_relaying => RelayTransport::Tcp,
            Some(_) => return Err(Refusal(442)),
            None => return Err(Refusal(400)),
        };
        let even = message.attribute::<EvenPort>()?;
        let token = message.attribute::<TokenAttribute>()?;
        let requested = message.attribute::<RequestedAddressFamily>()?;
        let additional = message.attribute::<AdditionalAddressFamily>()?;
        let draft = if additional.is_none() { draft_additional_family(message)? } else { None };
        if transport == RelayTransport::Tcp {
            let datagram_leg = request.client.five_tuple.transport.is_datagram();
            // RFC 6062 §5.1: only over TCP or TLS, and without these three.
            if datagram_leg || even.is_some() || token.is_some() || message.has(AttributeType::DONT_FRAGMENT) {
                return Err(Refusal(400));
            }
        }
        if token.is_some() && (even.is_some() || requested.is_some() || additional.is_some()) {
            return Err(Refusal(400));
        }
        if requested.is_some() && additional.is_some() {
            return Err(Refusal(400));
        }
        if additional.is_some() && even.is_some_and(|even| even.reserve_next) {
            return Err(Refusal(400));
        }
        // Deviation: with the drafts' number, a reserved port is no contradiction: coturn's client asks for both.
        let additional = additional.or_else(|| draft.filter(|_| token.is_none() && requested.is_none()));
        let families = match (requested, additional) {
            (Some(RequestedAddressFamily(family)), _) => [Some(family.map_err(|_| Refusal(440))?), None],
            (None, Some(AdditionalAddressFamily(Ok(AddressFamily::V6)))) => {
                [Some(AddressFamily::V4), Some(AddressFamily::V6)]
            }
            (None, Some(_)) => return Err(Refusal(400)),
            (None, None) => [Some(AddressFamily::V4), None],
        };
        let served = |family: &AddressFamily| match family {
            AddressFamily::V4 => self.config.relay_families.v4,
            AddressFamily::V6 => self.config.relay_families.v6,
        };
        if token.is_none() && !families.iter().flatten().any(served) {
            return Err(Refusal(440));
        }
        let mobility = message.has(AttributeType::MOBILITY_TICKET);
        if mobility && !self.config.mobility {
            return Err(Refusal(405));
        }
        let ports = match (even, token) {
            (_, Some(TokenAttribute(token))) => PortChoice::Reserved(ReservationToken(token)),
            (Some(EvenPort { reserve_next: true }), _) => {
                PortChoice::EvenAndReserveNext(ReservationToken(self.random_bytes()))
            }
            (Some(EvenPort { reserve_next: false }), _) => PortChoice::Even,
            (None, None) => PortChoice::Any,
        };
        let lifetime_secs = self.granted_lifetime(message)?;
        Ok(Wanted { transport, families, ports, lifetime_secs, mobility })
    }

    /// RFC 8656 §7.2: the smaller of asked and maximum, but not under the default.
    pub(crate) fn granted_lifetime(&self, message: &Message<'_>) -> Result<u32, AttributeError> {
        let default = u32::try_from(self.config.lifetime_default.as_secs()).unwrap_or(600);
        let max = u32::try_from(self.config.lifetime_max.as_secs()).unwrap_or(3600);
        let asked = message.attribute::<Lifetime>()?.map_or(default, |Lifetime(secs)| secs);
        Ok(asked.min(max).max(default.min(max)))
    }

    /// Takes the answer to [`Output::NeedAdmission`].
    pub fn handle_admission(&mut self, now: Now, id: QueryId, admission: Admission) {
        self.debug_assert_drained();
        let Some(Pending { stage: Stage::Admission { .. }, .. }) = self.pending.get(&id.0) else {
            // The client left while the answer was on its way: nothing will use the place.
            if let (Admission::Granted, Some(name)) = (admission, self.late_admissions.remove(&id.0)) {
                self.outputs.push_back(Output::ReleaseAdmission { username: name });
            }
            return;
        };
        let Some(pending) = self.take_pending(id.0) else { return };
        let Pending { client, bytes, signature, user, stage: Stage::Admission { grant, wanted }, .. } = pending else {
            return;
        };
        let Ok(message) = Message::parse(&bytes) else { return };
        let request = Authenticated { client, message, signature };
        let limit = match admission {
            Admission::Granted => None,
            Admission::UserQuota => Some(LimitName::AllocationsPerUser),
            Admission::TotalQuota => Some(LimitName::Allocations),
            Admission::CredentialQuota => Some(LimitName::AllocationsPerCredential),
        };
        if let Some(limit) = limit {
            self.limit_reached(limit, Some(Arc::clone(&grant.username)), client.five_tuple);
            self.refuse(request, &grant.keys, 486);
            return;
        }
        let id = self.park(now, request, user, Stage::Relays { grant, wanted, results: [None, None] });
        for (index, family) in wanted.families.iter().enumerate() {
            let Some(family) = *family else { continue };
            let request = RelayRequestId(id * 2 + index as u64);
            let entropy = self.random_u64();
            let ports = if index == 0 { wanted.ports } else { second_ports(wanted.ports) };
            self.outputs.push_back(Output::OpenRelay(OpenRelay {
                request,
                family,
                transport: wanted.transport,
                ports,
                entropy,
            }));
        }
    }

    /// Takes the answer to [`Output::OpenRelay`].
    pub fn handle_relay_opened(
        &mut self,
        now: Now,
        request: RelayRequestId,
        result: Result<RelayOpened, OpenRelayError>,
    ) {
        self.debug_assert_drained();
        let id = request.0 / 2;
        let index = usize::from(!request.0.is_multiple_of(2));
        let Some(Pending { stage: Stage::Relays { wanted, results, .. }, .. }) = self.pending.get_mut(&id) else {
            let reserved = if index == 0 { self.late_reservations.remove(&id) } else { None };
            if let Ok(opened) = result {
                self.outputs.push_back(Output::CloseRelay { relay: opened.relay });
                self.outputs.extend(reserved.map(|token| Output::DropReservation { token }));
            }
            return;
        };
        if let Some(slot) = results.get_mut(index) {
            *slot = Some(result);
        }
        let complete =
            wanted.families.iter().zip(results.iter()).all(|(family, result)| family.is_none() || result.is_some());
        if complete && let Some(pending) = self.take_pending(id) {
            self.finish_allocate(now, pending);
        }
    }

    fn finish_allocate(&mut self, now: Now, pending: Pending) {
        let Pending { client, bytes, signature, stage: Stage::Relays { grant, wanted, results }, .. } = pending else {
            return;
        };
        let Ok(message) = Message::parse(&bytes) else { return };
        let request = Authenticated { client, message, signature };
        let slot = |result: Option<Result<RelayOpened, OpenRelayError>>| {
            result.and_then(Result::ok).map(|opened| RelaySlot { relay: opened.relay, address: opened.address })
        };
        let relays = results.map(slot);
        // Another Allocate of this client, or a mobility move, may have got here first.
        if self.by_client.contains_key(&client.five_tuple) {
            self.release(&grant.username, wanted.ports, results.into_iter().flatten().flatten());
            self.refuse(request, &grant.keys, 437);
            return;
        }
        let error = results.iter().flatten().find_map(|result| result.err());
        if relays.iter().all(Option::is_none) {
            let code = match error {
                Some(OpenRelayError::NoFamily) => 440,
                Some(OpenRelayError::NoPort | OpenRelayError::NoReservation | OpenRelayError::System) | None => 508,
            };
            if error == Some(OpenRelayError::NoPort) {
                self.limit_reached(LimitName::RelayPorts, Some(Arc::clone(&grant.username)), client.five_tuple);
            }
            self.release(&grant.username, wanted.ports, std::iter::empty());
            self.refuse(request, &grant.keys, code);
            return;
        }
        // The port beside the first socket is set aside with it: without that socket there is none to name.
        let reservation = match wanted.ports {
            PortChoice::EvenAndReserveNext(token) if matches!(results, [Some(Ok(_)), _]) => {
                let due = now.mono + RESERVATION_LIFETIME;
                self.deadlines.insert((due, TimerKind::Reservation, u64::from_be_bytes(token.0)));
                Some(token)
            }
            PortChoice::EvenAndReserveNext(_) | PortChoice::Any | PortChoice::Even | PortChoice::Reserved(_) => None,
        };
        let missing = wanted.families.iter().zip(results).find_map(|(family, result)| match (family, result) {
            (Some(family), Some(Err(error))) => Some((*family, error)),
            _ => None,
        });
        let ticket = wanted.mobility.then(|| self.random_bytes());
        let id = AllocationId(self.random_u64());
        let bandwidth = grant.limits.bandwidth.or(self.config.limits.bandwidth_per_allocation);
        let (lifetime_secs, expires) = Self::lifetime_under(&grant, now, wanted.lifetime_secs);
        let mut allocation = Allocation::new(NewAllocation {
            id,
            client,
            grant,
            transport: wanted.transport,
            relays,
            now: now.mono,
            lifetime_secs,
            transaction: message.transaction_id(),
            reservation,
            missing,
            ticket,
            bandwidth,
        });
        allocation.expires = expires;
        allocation.scheduled = expires;
        self.outputs.push_back(Output::Event(RelayEvent::AllocationCreated {
            allocation: id,
            at: now.unix,
            username: allocation.username(),
            credential: allocation.grant.kind,
            five_tuple: client.five_tuple,
            relayed: relays.map(|slot| slot.map(|s| s.address)),
            transport: wanted.transport,
            lifetime: Duration::from_secs(u64::from(lifetime_secs)),
            security: None,
            udp_unanswered: None,
        }));
        self.stats.allocations_created += 1;
        let key = self.allocations.insert(allocation);
        self.by_client.insert(client.five_tuple, key);
        for slot in relays.iter().flatten() {
            self.own_relay(slot.relay, key);
        }
        self.deadlines.insert((expires, TimerKind::Allocation, key as u64));
        self.enter_scope(key);
        self.count_control_from(now, client, bytes.len());
        self.answer_allocate(request, key);
    }

    /// Allocate on a five-tuple that has an allocation: the same answer for a retransmission, else 437.
    pub(crate) fn allocate_again(&mut self, request: Authenticated<'_>, key: usize) {
        let Some(allocation) = self.allocations.get(key) else { return };
        if allocation.transaction == request.message.transaction_id() {
            self.answer_allocate(request, key);
        } else {
            let keys = allocation.grant.keys.clone();
            self.refuse(request, &keys, 437);
        }
    }

    fn answer_allocate(&mut self, request: Authenticated<'_>, key: usize) {
        let Some(allocation) = self.allocations.get(key) else { return };
        let (relays, lifetime, reservation) = (allocation.relays, allocation.lifetime_secs, allocation.reservation);
        let missing = allocation.missing;
        let keys = allocation.grant.keys.clone();
        let ticket = self.ticket_of(key);
        self.succeed(request, &keys, |mut builder: MessageBuilder| {
            for slot in relays.iter().flatten() {
                builder = builder.attribute(&XorRelayedAddress(slot.address));
            }
            builder = builder
                .attribute(&Lifetime(lifetime))
                .attribute(&XorMappedAddress(request.client.five_tuple.client))
                .maybe(reservation.map(|token| TokenAttribute(token.0)).as_ref())
                .maybe(ticket.as_deref().map(MobilityTicket).as_ref());
            if let Some((family, error)) = missing {
                let code = if error == OpenRelayError::NoFamily { 440 } else { 508 };
                builder = builder.attribute(&AddressErrorCode { family, code, reason: "" });
            }
            builder
        });
    }

    pub(crate) fn refuse_unknown(&mut self, request: Authenticated<'_>, keys: &IntegrityKeys, unknown: &[u16]) {
        self.refuse_with(request, keys, 420, |builder| builder.attribute(&UnknownAttributes(unknown)));
    }
}

/// ADDITIONAL-ADDRESS-FAMILY as coturn's client numbers it.
fn draft_additional_family(message: &Message<'_>) -> Result<Option<AdditionalAddressFamily>, AttributeError> {
    let raw = message.attributes().find(|raw| raw.typ == AttributeType::DRAFT_ADDITIONAL_ADDRESS_FAMILY);
    raw.map(|raw| AdditionalAddressFamily::decode(raw.value, message.cookie_and_id())).transpose()
}

/// The second family of a dual allocation follows the parity but never reserves.
const fn second_ports(first: PortChoice) -> PortChoice {
    match first {
        PortChoice::Even | PortChoice::EvenAndReserveNext(_) => PortChoice::Even,
        PortChoice::Any | PortChoice::Reserved(_) => PortChoice::Any,
    }
}
