//! The BPF program once more, in plain Rust: what a frame becomes. Written from the documents, not from the C source, so that
//! a test can compare the two byte by byte.
//!
//! Without bandwidth limits: buckets decide by the time, and have tests of their own.
//!
//! Sources: RFC 8656 §12 (ChannelData), §13 (what of an IP header is kept), RFC 1624 (incremental checksums).

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    ops::RangeInclusive,
};

use crate::{Entry, Flow, Open, Outcome, Way};

const ETHERNET: usize = 14;
const MACS: usize = 12;
const UDP: usize = 8;
const CHANNEL: usize = 4;
const LOOPBACK: u32 = 1;
/// More payload than this goes to the process.
const PAYLOAD_MAX: usize = 2048;

/// A flow as the program finds it.
#[derive(Clone, Copy, Debug)]
pub struct ModelFlow {
    /// Which.
    pub flow: Flow,
    /// Towards the peer; interface 0 for a relayed address of this server.
    pub up: Way,
    /// Towards the client.
    pub down: Way,
    /// Whether its deadline is ahead.
    pub is_live: bool,
    /// Which directions are open.
    pub open: Open,
    /// Whether anything of the client was seen.
    pub is_seen: bool,
    /// Packets and payload bytes from the client so far.
    pub from_client: (u64, u64),
    /// And to it.
    pub to_client: (u64, u64),
}

/// All the program knows.
#[derive(Clone, Debug)]
pub struct Model {
    /// Ports of relay sockets.
    pub relay_ports: RangeInclusive<u16>,
    /// Flows.
    pub flows: Vec<ModelFlow>,
    /// Which program. XDP counts nothing that passes on, and knows no neighbours here: Ethernet addresses stay.
    pub entry: Entry,
    /// VLANs that XDP knows.
    pub vlans: Vec<ModelVlan>,
}

/// A VLAN, and the interface that stands for it.
#[derive(Clone, Copy, Debug)]
pub struct ModelVlan {
    /// What it is on.
    pub device: u32,
    /// 1 to 4094.
    pub id: u16,
    /// The interface.
    pub interface: u32,
}

/// What becomes of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Not ours, or not for sure: as it was, to whoever comes next.
    Next(Option<Outcome>),
    /// Rewritten; it is delivered where it is.
    Here(Outcome, Vec<u8>),
    /// Rewritten; it leaves by this interface.
    Out(Outcome, u32, Vec<u8>),
}

/// A UDP datagram in a frame.
#[derive(Clone, Copy, Debug)]
struct Datagram<'a> {
    source: SocketAddr,
    destination: SocketAddr,
    traffic_class: u8,
    hop_limit: u8,
    /// Identification, and flags with offset.
    fragment: (u16, u16),
    check: u16,
    payload: &'a [u8],
}

/// What the frame is to say.
#[derive(Clone, Copy, Debug)]
struct Target {
    source: SocketAddr,
    destination: SocketAddr,
    channel: Option<u16>,
    way: Way,
}

impl Model {
    /// Takes the frame `frame` that came in by interface `by`.
    pub fn relay(&mut self, frame: &[u8], by: u32) -> Verdict {
        let Some((packet, by)) = self.without_tag(frame, by) else { return Verdict::Next(None) };
        let datagram = match read(&packet) {
            Ok(datagram) => datagram,
            Err(outcome) => return Verdict::Next(outcome),
        };
        if datagram.payload.len() > PAYLOAD_MAX {
            return Verdict::Next(Some(Outcome::PassedSize));
        }
        let to_relay = self.relay_ports.contains(&datagram.destination.port());
        let decided = match to_relay.then(|| self.peer_says(&datagram, by)) {
            // A listener may have a port among those of relays.
            None | Some(Err(Outcome::PassedUnknown)) => self.client_says(&datagram, by),
            Some(decided) => decided,
        };
        match decided {
            Err(outcome) => Verdict::Next(Some(outcome)),
            Ok((outcome, target, data)) => {
                let bytes = write(frame, &datagram, &target, data);
                match (target.way.interface, self.vlan_of(target.way.interface)) {
                    (LOOPBACK, _) => Verdict::Here(outcome, bytes),
                    (_, Some(vlan)) => Verdict::Out(outcome, vlan.device, with_tag(&bytes, vlan.id)),
                    (interface, None) => Verdict::Out(outcome, interface, bytes),
                }
            }
        }
    }

    /// The frame as the interface of its VLAN sees it, and that interface. The kernel has done so before tc.
    fn without_tag(&self, frame: &[u8], by: u32) -> Option<(Vec<u8>, u32)> {
        let is_tagged = frame.get(MACS..ETHERNET) == Some(&[0x81, 0x00][..]);
        // XDP reads what a tagged header is long.
        if self.entry != Entry::Tc && frame.len() < ETHERNET + 4 {
            return None;
        }
        if self.entry == Entry::Tc || !is_tagged {
            return Some((frame.to_vec(), by));
        }
        let tag = u16::from_be_bytes(frame.get(14..16)?.try_into().ok()?);
        let vlan = self.vlans.iter().find(|vlan| (vlan.device, vlan.id) == (by, tag & 0xfff))?;
        Some(([frame.get(..MACS)?, frame.get(16..)?].concat(), vlan.interface))
    }

    fn vlan_of(&self, interface: u32) -> Option<ModelVlan> {
        self.vlans.iter().copied().find(|vlan| self.entry != Entry::Tc && vlan.interface == interface)
    }

    /// What this program cannot send is for the next.
    fn can_send(&self, datagram: &Datagram<'_>, way: Way) -> Result<(), Outcome> {
        if self.entry == Entry::Tc {
            return Ok(());
        }
        let pseudo = sum_of_addresses(datagram.source, datagram.destination)
            + 17
            + u64::from(short(UDP + datagram.payload.len()));
        let is_taken = self.entry == Entry::XdpGeneric || way.takes_frames;
        let is_finished = datagram.check != 0 && datagram.check != fold(pseudo);
        if way.interface != LOOPBACK && is_taken && is_finished { Ok(()) } else { Err(Outcome::PassedWay) }
    }

    fn client_says<'a>(&mut self, datagram: &Datagram<'a>, by: u32) -> Result<(Outcome, Target, &'a [u8]), Outcome> {
        let (header, data) = datagram.payload.split_first_chunk::<CHANNEL>().ok_or(Outcome::PassedUnknown)?;
        let [n0, n1, l0, l1] = *header;
        if usize::from(u16::from_be_bytes([l0, l1])) != data.len() {
            return Err(Outcome::PassedUnknown);
        }
        let number = u16::from_be_bytes([n0, n1]);
        let is_it = |f: &ModelFlow| {
            (f.flow.client, f.flow.server, f.flow.channel) == (datagram.source, datagram.destination, number)
        };
        let at = self.flows.iter().position(is_it).ok_or(Outcome::PassedUnknown)?;
        let flow = *self.flows.get(at).filter(|f| f.is_live).ok_or(Outcome::PassedExpired)?;
        if flow.down.interface != by {
            return Err(Outcome::PassedWay);
        }
        if let Some(seen) = self.flows.get_mut(at) {
            seen.is_seen = true;
        }
        if !flow.open.up {
            return Err(Outcome::PassedFirst);
        }
        if let Some(bound) = flow.flow.peer_relay {
            let sender = SocketAddr::new(flow.flow.advertised, flow.flow.relay.port());
            let other = self.heard(sender, SocketAddr::new(bound, flow.flow.peer.port()))?;
            let target = self.towards_client(other)?;
            leaves(datagram, &target, data.len(), by)?;
            self.can_send(datagram, target.way)?;
            self.count(at, data.len(), true);
            self.count(other, data.len(), false);
            return Ok((Outcome::ForwardedBetween, target, data));
        }
        let target = Target { source: flow.flow.relay, destination: flow.flow.peer, channel: None, way: flow.up };
        leaves(datagram, &target, data.len(), by)?;
        self.can_send(datagram, target.way)?;
        self.count(at, data.len(), true);
        Ok((Outcome::ForwardedUp, target, data))
    }

    fn peer_says<'a>(&mut self, datagram: &Datagram<'a>, by: u32) -> Result<(Outcome, Target, &'a [u8]), Outcome> {
        let at = self.heard(datagram.source, datagram.destination)?;
        if self.flows.get(at).is_none_or(|f| f.up.interface != by) {
            return Err(Outcome::PassedWay);
        }
        let target = self.towards_client(at)?;
        leaves(datagram, &target, datagram.payload.len(), by)?;
        self.can_send(datagram, target.way)?;
        self.count(at, datagram.payload.len(), false);
        Ok((Outcome::ForwardedDown, target, datagram.payload))
    }

    fn heard(&self, peer: SocketAddr, relay: SocketAddr) -> Result<usize, Outcome> {
        let is_it = |f: &ModelFlow| (f.flow.peer, f.flow.relay) == (peer, relay);
        let at = self.flows.iter().position(is_it).ok_or(Outcome::PassedUnknown)?;
        let flow = self.flows.get(at).filter(|f| f.is_live).ok_or(Outcome::PassedExpired)?;
        match flow {
            ModelFlow { is_seen: false, .. } => Err(Outcome::PassedUnconfirmed),
            ModelFlow { open: Open { down: false, .. }, .. } => Err(Outcome::PassedFirst),
            ModelFlow { .. } => Ok(at),
        }
    }

    fn towards_client(&self, at: usize) -> Result<Target, Outcome> {
        let found = self.flows.get(at).ok_or(Outcome::PassedUnknown)?;
        let flow = &found.flow;
        Ok(Target { source: flow.server, destination: flow.client, channel: Some(flow.channel), way: found.down })
    }

    fn count(&mut self, at: usize, bytes: usize, is_up: bool) {
        let Some(flow) = self.flows.get_mut(at) else { return };
        let count = if is_up { &mut flow.from_client } else { &mut flow.to_client };
        *count = (count.0 + 1, count.1 + bytes as u64);
    }
}

const fn ip_len(address: SocketAddr) -> usize {
    if address.is_ipv4() { 20 } else { 40 }
}

fn leaves(datagram: &Datagram<'_>, target: &Target, data_len: usize, by: u32) -> Result<(), Outcome> {
    let same_family = datagram.source.is_ipv4() == target.destination.is_ipv4();
    let len = ip_len(target.destination) + UDP + target.channel.map_or(0, |_| CHANNEL) + data_len;
    match target.way.interface {
        0 => Err(Outcome::PassedWay),
        LOOPBACK if by != LOOPBACK || !same_family => Err(Outcome::PassedWay),
        _ if target.destination.is_ipv6() && datagram.check == 0 => Err(Outcome::PassedForm),
        _ if len > usize::from(target.way.mtu) => Err(Outcome::PassedSize),
        _ => Ok(()),
    }
}

/// The datagram, or why it is none: `None` when it is not UDP at all.
fn read(frame: &[u8]) -> Result<Datagram<'_>, Option<Outcome>> {
    let kind = frame.get(12..ETHERNET).ok_or(None)?;
    let packet = frame.get(ETHERNET..).ok_or(None)?;
    let at16 = |at: usize| Some(u16::from_be_bytes(packet.get(at..at + 2)?.try_into().ok()?));
    match kind {
        [0x08, 0x00] => {
            let header = packet.get(..20 + UDP).ok_or(None)?;
            if header.get(9) != Some(&17) {
                return Err(None);
            }
            let form = Some(Outcome::PassedForm);
            let fragment = (at16(4).ok_or(form)?, at16(6).ok_or(form)?);
            let hop_limit = *header.get(8).ok_or(form)?;
            let whole = header.first() == Some(&0x45) && fragment.1 & !0x4000 == 0 && hop_limit > 1;
            let len = usize::from(at16(24).ok_or(form)?);
            if !whole || len < UDP || usize::from(at16(2).ok_or(form)?) != 20 + len {
                return Err(form);
            }
            let ip = |at: usize| -> Option<IpAddr> {
                let octets: [u8; 4] = packet.get(at..at + 4)?.try_into().ok()?;
                Some(Ipv4Addr::from(octets).into())
            };
            Ok(Datagram {
                source: SocketAddr::new(ip(12).ok_or(form)?, at16(20).ok_or(form)?),
                destination: SocketAddr::new(ip(16).ok_or(form)?, at16(22).ok_or(form)?),
                traffic_class: *header.get(1).ok_or(form)?,
                hop_limit,
                fragment,
                check: at16(26).ok_or(form)?,
                payload: packet.get(20 + UDP..20 + len).ok_or(form)?,
            })
        }
        [0x86, 0xdd] => {
            let header = packet.get(..40 + UDP).ok_or(None)?;
            if header.get(6) != Some(&17) {
                return Err(None);
            }
            let form = Some(Outcome::PassedForm);
            let hop_limit = *header.get(7).ok_or(form)?;
            let (len, check) = (usize::from(at16(44).ok_or(form)?), at16(46).ok_or(form)?);
            let first = at16(0).ok_or(form)?;
            if first >> 12 != 6 || hop_limit <= 1 || len < UDP || check == 0 || usize::from(at16(4).ok_or(form)?) != len
            {
                return Err(form);
            }
            let ip = |at: usize| -> Option<IpAddr> {
                let octets: [u8; 16] = packet.get(at..at + 16)?.try_into().ok()?;
                Some(Ipv6Addr::from(octets).into())
            };
            Ok(Datagram {
                source: SocketAddr::new(ip(8).ok_or(form)?, at16(40).ok_or(form)?),
                destination: SocketAddr::new(ip(24).ok_or(form)?, at16(42).ok_or(form)?),
                traffic_class: u8::try_from(first >> 4 & 0xff).unwrap_or(0),
                hop_limit,
                fragment: (0, 0),
                check,
                payload: packet.get(40 + UDP..40 + len).ok_or(form)?,
            })
        }
        _ => Err(None),
    }
}

/// Puts the tag of a VLAN behind the addresses.
fn with_tag(frame: &[u8], id: u16) -> Vec<u8> {
    let (macs, rest) = frame.split_at_checked(MACS).unwrap_or_default();
    [macs, &[0x81, 0x00], &id.to_be_bytes(), rest].concat()
}

fn sum_of_addresses(source: SocketAddr, destination: SocketAddr) -> u64 {
    let one = |address: SocketAddr| match address.ip() {
        IpAddr::V4(ip) => sum(&ip.octets()),
        IpAddr::V6(ip) => sum(&ip.octets()),
    };
    one(source) + one(destination)
}

fn write(frame: &[u8], datagram: &Datagram<'_>, target: &Target, data: &[u8]) -> Vec<u8> {
    let mut payload = Vec::new();
    if let Some(number) = target.channel {
        payload.extend_from_slice(&number.to_be_bytes());
        payload.extend_from_slice(&short(data.len()).to_be_bytes());
    }
    payload.extend_from_slice(data);
    let udp_len = short(UDP + payload.len());
    let check = checksum_after(datagram, target, &payload, udp_len);
    let mut out = frame.get(..12).unwrap_or_default().to_vec();
    match (target.source.ip(), target.destination.ip()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let len = 20 + udp_len;
            // Not to be fragmented before, or IPv6: without an identification that tells packets apart.
            let id = match (datagram.source, datagram.fragment) {
                (SocketAddr::V4(_), (id, 0)) => id,
                (SocketAddr::V4(_) | SocketAddr::V6(_), _) => datagram.check,
            };
            out.extend_from_slice(&[0x08, 0x00]);
            let at = out.len();
            out.extend_from_slice(&[0x45, datagram.traffic_class]);
            for word in [len, id, 0, u16::from(datagram.hop_limit - 1) << 8 | 17, 0] {
                out.extend_from_slice(&word.to_be_bytes());
            }
            out.extend_from_slice(&source.octets());
            out.extend_from_slice(&destination.octets());
            let sum = !fold(sum(out.get(at..).unwrap_or_default()));
            if let Some(field) = out.get_mut(at + 10..at + 12) {
                field.copy_from_slice(&sum.to_be_bytes());
            }
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            out.extend_from_slice(&[0x86, 0xdd]);
            out.extend_from_slice(&(0x6000_0000 | u32::from(datagram.traffic_class) << 20).to_be_bytes());
            out.extend_from_slice(&udp_len.to_be_bytes());
            out.extend_from_slice(&[17, datagram.hop_limit - 1]);
            out.extend_from_slice(&source.octets());
            out.extend_from_slice(&destination.octets());
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {}
    }
    for word in [target.source.port(), target.destination.port(), udp_len, check] {
        out.extend_from_slice(&word.to_be_bytes());
    }
    out.extend_from_slice(&payload);
    out
}

/// The checksum that keeps a right one right and a wrong one wrong: the difference of everything it covers goes in.
fn checksum_after(datagram: &Datagram<'_>, target: &Target, payload: &[u8], udp_len: u16) -> u16 {
    if datagram.check == 0 {
        return 0;
    }
    let covered = |source: SocketAddr, destination: SocketAddr, len: u16, payload: &[u8]| {
        // The length is in the header and in the pseudo-header; UDP's number is in both.
        let ports = u64::from(source.port()) + u64::from(destination.port());
        sum_of_addresses(source, destination) + 17 + 2 * u64::from(len) + ports + sum(payload)
    };
    let old_len = short(UDP + datagram.payload.len());
    let old = fold(covered(datagram.source, datagram.destination, old_len, datagram.payload));
    let new = fold(covered(target.source, target.destination, udp_len, payload));
    let check = !fold(u64::from(!datagram.check) + u64::from(!old) + u64::from(new));
    if check == 0 { 0xffff } else { check }
}

/// Sum of 16-bit words; an odd last byte is the high one.
fn sum(bytes: &[u8]) -> u64 {
    let (words, odd) = bytes.as_chunks::<2>();
    let last = odd.first().map_or(0, |byte| u64::from(*byte) << 8);
    words.iter().map(|word| u64::from(u16::from_be_bytes(*word))).sum::<u64>() + last
}

fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::try_from(sum).unwrap_or(0)
}

/// A length that came out of a 16-bit field, or a header's more.
fn short(len: usize) -> u16 {
    u16::try_from(len).unwrap_or(u16::MAX)
}
