//! Refresh, CreatePermission and ChannelBind (RFC 8656 §8, §10, §12).

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use causeway_stun_codec::{
    Attribute, AttributeType,
    attributes::{ChannelNumber, Lifetime, MobilityTicket, RequestedAddressFamily, XorPeerAddress},
    channel_data,
};
use causeway_types::{AddressFamily, AllocationEndReason, LimitName, Now, RelayEvent, RelayTransport};

use crate::{
    TurnServer,
    allocation::{BindConflict, Permit, Reach},
    config::IntegrityKeys,
    peer_policy::Verdict,
    reply::Authenticated,
    scope::{self, ScopeKind, Within},
};

/// Most peers one CreatePermission may name; more do not fit in a datagram anyway.
const PEERS_PER_REQUEST_MAX: usize = 128;

impl TurnServer {
    /// Refresh of a live allocation; `key` may belong to another five-tuple when a mobility ticket named it.
    pub(crate) fn refresh(&mut self, now: Now, request: Authenticated<'_>, key: usize) {
        let Some(allocation) = self.allocations.get(key) else { return };
        let keys = allocation.grant.keys.clone();
        let families = allocation.relays.map(|slot| slot.map(|s| AddressFamily::of(s.address.ip())));
        let message = &request.message;
        let (Ok(asked), Ok(family)) = (message.attribute::<Lifetime>(), message.attribute::<RequestedAddressFamily>())
        else {
            return self.refuse(request, &keys, 400);
        };
        // RFC 8656 §8.2: a family that this allocation does not have.
        let family = match family {
            Some(RequestedAddressFamily(Ok(family))) if families.contains(&Some(family)) => Some(family),
            Some(_) => return self.refuse(request, &keys, 443),
            None => None,
        };
        if asked == Some(Lifetime(0)) {
            // The answer counts among the messages of the allocation, but goes out behind what that held: when the client
            // hears it, the port and the place in the quota are free.
            self.succeed(request, &keys, |builder| builder.attribute(&Lifetime(0)));
            let answer = self.outputs.pop_back();
            self.delete(now, key, family);
            self.outputs.extend(answer);
            return;
        }
        let Ok(lifetime_secs) = self.granted_lifetime(message) else { return self.refuse(request, &keys, 400) };
        if message.has(AttributeType::MOBILITY_TICKET) {
            self.move_client(now, request.client, key, message.as_bytes().len());
        }
        let Some(allocation) = self.allocations.get_mut(key) else { return };
        let (lifetime_secs, expires) = Self::lifetime_under(&allocation.grant, now, lifetime_secs);
        allocation.expires = expires;
        let (id, lifetime) = (allocation.id, Duration::from_secs(u64::from(lifetime_secs)));
        self.reschedule(key);
        self.outputs.push_back(crate::Output::Event(RelayEvent::AllocationRefreshed { allocation: id, lifetime }));
        let ticket = self.ticket_of(key).filter(|_| message.has(AttributeType::MOBILITY_TICKET));
        self.succeed(request, &keys, |builder| {
            builder.attribute(&Lifetime(lifetime_secs)).maybe(ticket.as_deref().map(MobilityTicket).as_ref())
        });
    }

    /// Ends the allocation, or only one family of a dual one (RFC 8656 §8.2).
    fn delete(&mut self, now: Now, key: usize, family: Option<AddressFamily>) {
        let Some(allocation) = self.allocations.get_mut(key) else { return };
        let only = allocation.relays.iter().flatten().count() == 1;
        let (Some(family), false) = (family, only) else {
            self.end_allocation(now, key, AllocationEndReason::ClientDeleted);
            return;
        };
        let mut closed = None;
        for slot in &mut allocation.relays {
            if slot.is_some_and(|s| AddressFamily::of(s.address.ip()) == family) {
                closed = slot.take();
            }
        }
        let limits = allocation.grant.limits;
        if let Some(slot) = closed {
            self.channels_changed(key);
            self.tell_member(&limits, slot.address, ScopeKind::Relayed, false);
            self.close_relay(slot.relay);
        }
    }

    /// CreatePermission: all of its peers or none (RFC 8656 §10.2).
    pub(crate) fn create_permission(&mut self, now: Now, request: Authenticated<'_>, key: usize) {
        let Some(allocation) = self.allocations.get(key) else { return };
        let keys = allocation.grant.keys.clone();
        let mut peers: Vec<SocketAddr> = Vec::new();
        for raw in request.message.attributes().filter(|raw| raw.typ == AttributeType::XOR_PEER_ADDRESS) {
            match XorPeerAddress::decode(raw.value, request.message.cookie_and_id()) {
                Ok(XorPeerAddress(peer)) if peers.len() < PEERS_PER_REQUEST_MAX => peers.push(peer),
                _ => return self.refuse(request, &keys, 400),
            }
        }
        if peers.is_empty() {
            return self.refuse(request, &keys, 400);
        }
        let mut permits: Vec<Permit> = Vec::with_capacity(peers.len());
        for peer in &peers {
            match self.check_peer_ip(key, *peer) {
                Ok(permit) => permits.push(permit),
                Err(code) => return self.refuse(request, &keys, code),
            }
        }
        if !self.has_room_for_permissions(now, key, &permits) {
            return self.refuse_permission_limit(request, &keys, key);
        }
        if let Some(allocation) = self.allocations.get_mut(key) {
            for permit in permits {
                allocation.permit(permit, now.mono);
            }
        }
        for peer in peers {
            self.tell_peer(key, peer);
        }
        self.reschedule(key);
        self.succeed(request, &keys, |builder| builder);
    }

    /// ChannelBind: installs or refreshes the binding and its permission (RFC 8656 §12.2).
    pub(crate) fn channel_bind(&mut self, now: Now, request: Authenticated<'_>, key: usize) {
        let Some(allocation) = self.allocations.get(key) else { return };
        let keys = allocation.grant.keys.clone();
        let message = &request.message;
        let (Ok(Some(ChannelNumber(number))), Ok(Some(XorPeerAddress(peer)))) =
            (message.attribute::<ChannelNumber>(), message.attribute::<XorPeerAddress>())
        else {
            return self.refuse(request, &keys, 400);
        };
        // RFC 6062 §4: a TCP allocation has connections, not channels.
        if !channel_data::is_channel_number(number) || allocation.transport == RelayTransport::Tcp {
            return self.refuse(request, &keys, 400);
        }
        let channels_max = self.config.limits.channels_per_allocation_max;
        let reach = match self.check_peer(key, peer) {
            Ok(reach) => reach,
            Err(code) => return self.refuse(request, &keys, code),
        };
        let bindable = self.allocations.get(key).map(|a| a.check_bind(number, peer, channels_max, now.mono));
        match bindable {
            Some(Ok(())) => {}
            Some(Err(BindConflict::Full)) => {
                self.limit_reached_by(LimitName::ChannelsPerAllocation, key);
                return self.refuse(request, &keys, 508);
            }
            Some(Err(BindConflict::Taken)) | None => return self.refuse(request, &keys, 400),
        }
        // The permission is by IP: it must not be narrower than what another port of the same IP was given.
        let permit = match self.check_peer_ip(key, peer) {
            Ok(permit) => permit,
            Err(code) => return self.refuse(request, &keys, code),
        };
        if !self.has_room_for_permissions(now, key, &[permit]) {
            return self.refuse_permission_limit(request, &keys, key);
        }
        if let Some(allocation) = self.allocations.get_mut(key) {
            allocation.permit(permit, now.mono);
            // Cannot fail: `check_bind` has just said so.
            if allocation.bind_channel(number, peer, reach, channels_max, now.mono).is_err() {
                return self.refuse(request, &keys, 400);
            }
        }
        self.tell_peer(key, peer);
        self.reschedule(key);
        self.succeed(request, &keys, |builder| builder);
    }

    fn has_room_for_permissions(&self, now: Now, key: usize, permits: &[Permit]) -> bool {
        let Some(allocation) = self.allocations.get(key) else { return false };
        let ips: Vec<IpAddr> = permits.iter().map(|permit| permit.ip).collect();
        let fresh = allocation.count_new_permissions(&ips, now.mono);
        let max = usize::from(self.config.limits.permissions_per_allocation_max);
        fresh == 0 || allocation.permission_count(now.mono) + fresh <= max
    }

    fn refuse_permission_limit(&mut self, request: Authenticated<'_>, keys: &IntegrityKeys, key: usize) {
        self.limit_reached_by(LimitName::PermissionsPerAllocation, key);
        self.refuse(request, keys, 508);
    }

    /// Whether a permission for the IP of `peer` may be installed; else the error code.
    fn check_peer_ip(&mut self, key: usize, peer: SocketAddr) -> Result<Permit, u16> {
        let verdict = self.config.peer_policy.check_ip(peer.ip());
        let reach = self.judge(key, peer, &verdict)?;
        let Some(allocation) = self.allocations.get(key) else { return Err(437) };
        let within = scope::within(&self.scopes, &allocation.grant.limits, peer.ip());
        if within == Within::Nothing {
            return Err(self.refuse_out_of_scope(key, peer));
        }
        Ok(Permit { ip: peer.ip(), reach, within })
    }

    /// Whether `peer`, port included, may be reached; else the error code.
    pub(crate) fn check_peer(&mut self, key: usize, peer: SocketAddr) -> Result<Reach, u16> {
        let verdict = self.config.peer_policy.check_address(peer);
        let reach = self.judge(key, peer, &verdict)?;
        let Some(allocation) = self.allocations.get(key) else { return Err(437) };
        if !scope::reaches(&self.scopes, &allocation.grant.limits, peer) {
            return Err(self.refuse_out_of_scope(key, peer));
        }
        Ok(reach)
    }

    fn judge(&mut self, key: usize, peer: SocketAddr, verdict: &Verdict) -> Result<Reach, u16> {
        let Some(allocation) = self.allocations.get(key) else { return Err(437) };
        if let Verdict::Refused(rule) = verdict {
            let event = RelayEvent::PeerRefused { allocation: allocation.id, peer, rule: Arc::clone(rule) };
            self.outputs.push_back(crate::Output::Event(event));
            return Err(403);
        }
        if allocation.relay_for(peer.ip()).is_none() {
            return Err(443);
        }
        Reach::of(verdict).ok_or(403)
    }
}
