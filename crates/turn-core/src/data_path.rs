//! Data between client and peers: a look-up or two, deadlines compared, no allocation (RFC 8656 §11, §12).

use std::net::{IpAddr, SocketAddr};

use causeway_stun_codec::{
    AttributeType, Class, MAGIC_COOKIE, Message, MessageBuilder, Method, TransactionId,
    attributes::{Data, DontFragment, Icmp, XorPeerAddress},
    channel_data,
};
use causeway_types::{AllocationEndReason, LimitName, Now, RelayTransport};
use rand_chacha::rand_core::Rng;

use crate::{
    TurnServer,
    allocation::{Allocation, Permission, Reach},
    drop_reason::DropReason,
    io::{ClientLeg, Forward, IcmpError, Prefix, RelayId, StreamDirection},
    meter::{self, Packets},
    peer_policy::Verdict,
    scope::{self, Within},
};

/// Where a payload goes.
#[derive(Clone, Copy, Debug)]
struct ToPeer {
    relay: RelayId,
    peer: SocketAddr,
    start: usize,
    len: usize,
    dont_fragment: bool,
    own_relay_only: bool,
}

impl TurnServer {
    /// ChannelData from a client (RFC 8656 §12.6).
    pub(crate) fn forward_channel_data(&mut self, now: Now, from: ClientLeg, bytes: &[u8], count: u16) -> Forward {
        let Ok(data) = channel_data::parse(bytes) else {
            self.drops.add(DropReason::Malformed, u64::from(count));
            return Forward::Nothing;
        };
        let Some(&key) = self.by_client.get(&from.five_tuple) else {
            self.drops.add(DropReason::NoAllocation, u64::from(count));
            return Forward::Nothing;
        };
        let decision = self.allocations.get(key).filter(|a| a.expires > now.mono).map(|allocation| {
            let channel = allocation.channel(data.number, now.mono).ok_or(DropReason::UnboundChannel)?;
            if !channel.in_scope {
                return Err(DropReason::PeerScope);
            }
            let slot = allocation.relay_for(channel.peer.ip()).ok_or(DropReason::PeerFamily)?;
            Ok(ToPeer {
                relay: slot.relay,
                peer: channel.peer,
                start: channel_data::HEADER_LEN,
                len: data.data.len(),
                dont_fragment: false,
                own_relay_only: channel.reach == Reach::OwnRelayOnly,
            })
        });
        let received = Packets::on_leg(from.five_tuple.transport, count, bytes.len());
        self.pass_to_peer(now, key, decision, received)
    }

    /// A Send indication from a client (RFC 8656 §11.2). Whatever is wrong with it, it is dropped without an answer.
    pub(crate) fn forward_send(&mut self, now: Now, from: ClientLeg, message: &Message<'_>) -> Forward {
        let Some(&key) = self.by_client.get(&from.five_tuple) else {
            return self.drop_one(DropReason::NoAllocation);
        };
        let peer = message.attribute::<XorPeerAddress>();
        let payload = message.attribute::<Data<'_>>();
        let (Ok(Some(XorPeerAddress(peer))), Ok(Some(Data(payload)))) = (peer, payload) else {
            return self.drop_one(DropReason::BadIndication);
        };
        if !self.unknown_attributes(message).is_empty() {
            return self.drop_one(DropReason::BadIndication);
        }
        // `payload` lies inside the message's own bytes.
        let start = payload.as_ptr().addr() - message.as_bytes().as_ptr().addr();
        let dont_fragment = matches!(message.attribute::<DontFragment>(), Ok(Some(_)));
        let decision = self.allocations.get(key).filter(|a| a.expires > now.mono).map(|allocation| {
            if allocation.transport == RelayTransport::Tcp {
                return Err(DropReason::BadIndication);
            }
            let permission = allocation.permission(peer.ip(), now.mono).ok_or(DropReason::NoPermission)?;
            if !self.is_in_scope(allocation, permission, peer) {
                return Err(DropReason::PeerScope);
            }
            let slot = allocation.relay_for(peer.ip()).ok_or(DropReason::PeerFamily)?;
            let own_relay_only = match permission.reach {
                Reach::Open => false,
                Reach::CheckPort => self.port_is_refused(peer).map_or(Ok(false), Err)?,
                Reach::OwnRelayOnly => true,
            };
            Ok(ToPeer { relay: slot.relay, peer, start, len: payload.len(), dont_fragment, own_relay_only })
        });
        self.pass_to_peer(now, key, decision, Packets { count: 1, len: message.as_bytes().len() })
    }

    /// Whether the scope of the allocation opens this port of a permitted peer.
    fn is_in_scope(&self, allocation: &Allocation, permission: &Permission, peer: SocketAddr) -> bool {
        match permission.within {
            Within::AnyPort => true,
            Within::SomePorts => scope::reaches(&self.scopes, &allocation.grant.limits, peer),
            Within::Nothing => false,
        }
    }

    fn port_is_refused(&self, peer: SocketAddr) -> Option<DropReason> {
        match self.config.peer_policy.check_address(peer) {
            Verdict::Refused(_) => Some(DropReason::PeerPolicy),
            Verdict::Allowed | Verdict::AllowedExceptServices | Verdict::OwnRelayOnly => None,
        }
    }

    fn pass_to_peer(
        &mut self,
        now: Now,
        key: usize,
        decision: Option<Result<ToPeer, DropReason>>,
        received: Packets,
    ) -> Forward {
        let dropped = match (decision, self.allocations.get_mut(key)) {
            (Some(decision), Some(allocation)) => {
                allocation.count_messages(StreamDirection::FromClient, received);
                match decision {
                    Ok(to) => return self.charge_to_peer(now, key, to, received.count),
                    Err(reason) => reason,
                }
            }
            (None, _) | (_, None) => DropReason::NoAllocation,
        };
        self.drops.add(dropped, u64::from(received.count));
        self.tell_traffic(key);
        Forward::Nothing
    }

    /// Counts what goes to a peer, unless a limit stops it.
    fn charge_to_peer(&mut self, now: Now, key: usize, to: ToPeer, count: u16) -> Forward {
        let (Ok(start), Ok(len)) = (u16::try_from(to.start), u16::try_from(to.len)) else {
            self.drops.add(DropReason::TooLarge, u64::from(count));
            return Forward::Nothing;
        };
        let Some(allocation) = self.allocations.get_mut(key) else { return Forward::Nothing };
        let payload = Packets { count, len: to.len };
        if let Some(buckets) = &mut allocation.buckets
            && !buckets.from_client.take(payload.bytes(), now.mono)
        {
            self.drops.add(DropReason::BandwidthFromClient, u64::from(count));
            self.tell_bandwidth(key);
            self.tell_traffic(key);
            return Forward::Nothing;
        }
        let first = allocation.is_first(StreamDirection::FromClient);
        allocation.count_payload(StreamDirection::FromClient, payload);
        meter::add(&mut self.stats.from_client, payload);
        if is_over_quota(allocation) {
            self.end_over_quota(now, key);
            return Forward::Nothing;
        }
        if first || allocation.is_report_due() {
            self.tell_passage(now, key, first.then_some(StreamDirection::FromClient));
        }
        Forward::ToPeer {
            relay: to.relay,
            peer: to.peer,
            start,
            len,
            dont_fragment: to.dont_fragment,
            own_relay_only: to.own_relay_only,
        }
    }

    /// Takes `count` datagrams of `len` payload bytes each from one peer: judged and counted at once, one decision for
    /// all of them (RFC 8656 §11.3, §12.7).
    pub fn handle_peer_datagram(&mut self, now: Now, on: RelayId, from: SocketAddr, len: u16, count: u16) -> Forward {
        self.debug_assert_drained();
        let Some(key) = self.allocation_of_relay(on) else {
            self.drops.add(DropReason::NoAllocation, u64::from(count));
            return Forward::Nothing;
        };
        let (client, channel) = match self.judge_peer(now, key, from) {
            Ok(heard) => heard,
            Err(reason) => {
                self.drops.add(reason, u64::from(count));
                return Forward::Nothing;
            }
        };
        let (prefix, padding) = match channel {
            Some(number) => {
                let padding = if client.five_tuple.transport.is_datagram() { 0 } else { padding_of(len) };
                (Some(Prefix::new(&channel_data::header(number, len))), padding)
            }
            None => (self.data_indication_prefix(from, len), padding_of(len)),
        };
        let Some(prefix) = prefix else {
            self.drops.add(DropReason::TooLarge, u64::from(count));
            return Forward::Nothing;
        };
        let Some(allocation) = self.allocations.get_mut(key) else { return Forward::Nothing };
        let payload = Packets { count, len: usize::from(len) };
        if let Some(buckets) = &mut allocation.buckets
            && !buckets.to_client.take(payload.bytes(), now.mono)
        {
            self.drops.add(DropReason::BandwidthToClient, u64::from(count));
            self.tell_bandwidth(key);
            return Forward::Nothing;
        }
        let first = allocation.is_first(StreamDirection::ToClient);
        allocation.count_payload(StreamDirection::ToClient, payload);
        meter::add(&mut self.stats.to_client, payload);
        if is_over_quota(allocation) {
            self.end_over_quota(now, key);
            return Forward::Nothing;
        }
        let message = Packets { count, len: prefix.as_slice().len() + payload.len + usize::from(padding) };
        allocation.count_messages(StreamDirection::ToClient, message);
        if first || allocation.is_report_due() {
            self.tell_passage(now, key, first.then_some(StreamDirection::ToClient));
        }
        Forward::ToClient { client, prefix, padding }
    }

    /// Whether a peer may be heard: by which client, and on which channel.
    fn judge_peer(&self, now: Now, key: usize, from: SocketAddr) -> Result<(ClientLeg, Option<u16>), DropReason> {
        let allocation = self.allocations.get(key).filter(|a| a.expires > now.mono && !a.detached);
        let allocation = allocation.ok_or(DropReason::NoAllocation)?;
        let permission = allocation.permission(from.ip(), now.mono).ok_or(DropReason::NoPermission)?;
        let channel = allocation.channel_to(from, now.mono);
        let in_scope = match channel {
            Some(channel) => channel.in_scope,
            None => self.is_in_scope(allocation, permission, from),
        };
        if in_scope { Ok((allocation.client, channel.map(|c| c.number))) } else { Err(DropReason::PeerScope) }
    }

    /// The credential's bytes are used up.
    pub(crate) fn end_over_quota(&mut self, now: Now, key: usize) {
        self.limit_reached_by(LimitName::BytesPerCredential, key);
        self.end_allocation(now, key, AllocationEndReason::QuotaReached);
    }

    /// An allocation's bandwidth is used up for the moment: told the first time.
    pub(crate) fn tell_bandwidth(&mut self, key: usize) {
        let buckets = self.allocations.get_mut(key).and_then(|allocation| allocation.buckets.as_mut());
        if buckets.is_some_and(|buckets| !std::mem::replace(&mut buckets.is_told, true)) {
            self.limit_reached_by(LimitName::BandwidthPerAllocation, key);
        }
    }

    /// Everything of a Data indication that goes before its payload.
    fn data_indication_prefix(&mut self, peer: SocketAddr, len: u16) -> Option<Prefix> {
        let address_len: u16 = if peer.is_ipv4() { 12 } else { 24 };
        let body = address_len.checked_add(4)?.checked_add(len)?.checked_add(u16::from(padding_of(len)))?;
        let mut bytes = [0; 48];
        let mut id = [0; 12];
        self.rng.fill_bytes(&mut id);
        let mut at = 0;
        let mut put = |source: &[u8]| {
            for (to, from) in bytes.iter_mut().skip(at).zip(source) {
                *to = *from;
            }
            at += source.len();
        };
        put(&[0x00, 0x17]);
        put(&body.to_be_bytes());
        put(&MAGIC_COOKIE);
        put(&id);
        put(&AttributeType::XOR_PEER_ADDRESS.0.to_be_bytes());
        put(&(address_len - 4).to_be_bytes());
        put(&[0, if peer.is_ipv4() { 1 } else { 2 }]);
        let [c0, c1, ..] = MAGIC_COOKIE;
        put(&(peer.port() ^ u16::from_be_bytes([c0, c1])).to_be_bytes());
        match peer.ip() {
            IpAddr::V4(ip) => put(&(ip.to_bits() ^ u32::from_be_bytes(MAGIC_COOKIE)).to_be_bytes()),
            IpAddr::V6(ip) => {
                for (octet, key) in ip.octets().iter().zip(MAGIC_COOKIE.iter().chain(&id)) {
                    put(&[octet ^ key]);
                }
            }
        }
        put(&AttributeType::DATA.0.to_be_bytes());
        put(&len.to_be_bytes());
        bytes.get(..at).map(Prefix::new)
    }

    /// An ICMP error came back for something a relay socket sent: the client learns it when the peer has a permission
    /// (RFC 8656 §11.5).
    pub fn handle_icmp(&mut self, now: Now, on: RelayId, peer: SocketAddr, error: IcmpError) {
        self.debug_assert_drained();
        let Some(key) = self.allocation_of_relay(on) else { return };
        let Some(allocation) = self.allocations.get(key).filter(|a| a.expires > now.mono && !a.detached) else {
            return;
        };
        let client = allocation.client;
        let permission = allocation.permission(peer.ip(), now.mono);
        let heard = permission.is_some_and(|permission| self.is_in_scope(allocation, permission, peer));
        if !heard || !is_reported(peer, error) {
            return;
        }
        let id = TransactionId(self.random_bytes());
        let bytes = MessageBuilder::new(Class::Indication, Method::DATA, id)
            .attribute(&XorPeerAddress(peer))
            .attribute(&Icmp { icmp_type: error.icmp_type, icmp_code: error.icmp_code, error_data: error.error_data })
            .finish();
        self.send(client, bytes);
    }
}

/// RFC 8656 §11.5: destination unreachable and time exceeded for IPv4; the same and packet too big for IPv6.
const fn is_reported(peer: SocketAddr, error: IcmpError) -> bool {
    match peer {
        SocketAddr::V4(_) => matches!(error.icmp_type, 3 | 11),
        SocketAddr::V6(_) => matches!(error.icmp_type, 1..=3),
    }
}

pub(crate) fn is_over_quota(allocation: &Allocation) -> bool {
    let carried = allocation.traffic.from_client.bytes.saturating_add(allocation.traffic.to_client.bytes);
    allocation.grant.limits.bytes_max.is_some_and(|max| carried > max)
}

/// Bytes that fill `len` up to a multiple of four.
const fn padding_of(len: u16) -> u8 {
    match len % 4 {
        1 => 3,
        2 => 2,
        3 => 1,
        _ => 0,
    }
}
