//! Where the kernel would send a packet: asked over route netlink, one question at a time.

use std::{
    collections::HashMap,
    io,
    net::IpAddr,
    time::{Duration, Instant},
};

use crate::{
    features::Features,
    netlink::{Family, Netlink, attribute, half, put, word},
};

/// How a packet leaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Way {
    /// The interface's index; 0 when there is no way.
    pub interface: u32,
    /// Largest packet, network header included.
    pub mtu: u16,
    /// Whether XDP may send there.
    pub takes_frames: bool,
}

/// Linux's numbers.
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const RTM_GETLINK: u16 = 18;
const RTM_NEWLINK: u16 = 16;
const RTM_GETROUTE: u16 = 26;
const RTM_NEWROUTE: u16 = 24;
const RTA_DST: u16 = 1;
const RTA_SRC: u16 = 2;
const RTA_OIF: u16 = 4;
const RTA_METRICS: u16 = 8;
const RTAX_MTU: u16 = 2;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_LINK: u16 = 5;
const IFLA_LINKINFO: u16 = 18;
const IFLA_LINK_NETNSID: u16 = 37;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const IFLA_VLAN_ID: u16 = 1;
const IFLA_VLAN_PROTOCOL: u16 = 5;
const VLAN_PROTOCOL: [u8; 2] = [0x81, 0x00];
const RTN_UNICAST: u8 = 1;
const RTN_LOCAL: u8 = 2;
const RTMSG: usize = 12;
const IFINFOMSG: usize = 16;
/// ARPHRD_ETHER and ARPHRD_LOOPBACK: frames begin with an Ethernet header.
const ETHERNET_TYPES: [u16; 2] = [1, 772];

/// How long the properties of an interface are believed.
const LINK_BELIEVED: Duration = Duration::from_secs(5);

/// An interface.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    pub(crate) index: u32,
    pub(crate) is_ethernet: bool,
    pub(crate) mtu: u32,
    pub(crate) vlan: Option<Vlan>,
    pub(crate) takes_frames: bool,
}

/// A VLAN of a device: IEEE 802.1Q.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Vlan {
    /// The device's index.
    pub(crate) device: u32,
    /// 1 to 4094.
    pub(crate) id: u16,
}

/// A conversation with the kernel's routing.
#[derive(Debug)]
pub struct Routes {
    netlink: Netlink,
    features: Option<Features>,
    links: HashMap<u32, (Instant, Link)>,
}

impl Routes {
    /// Opens it.
    ///
    /// # Errors
    /// There is no route netlink here.
    pub fn open() -> io::Result<Self> {
        let features = Features::open().unwrap_or_else(|error| {
            tracing::debug!(%error, "no generic netlink");
            None
        });
        Ok(Self { netlink: Netlink::open(Family::Route)?, features, links: HashMap::new() })
    }

    /// How a packet from `source` to `destination` leaves; interface 0 when the kernel would not send it, or not by unicast.
    pub fn way(&mut self, source: IpAddr, destination: IpAddr) -> Way {
        self.find(source, destination).ok().flatten().unwrap_or_default()
    }

    fn find(&mut self, source: IpAddr, destination: IpAddr) -> io::Result<Option<Way>> {
        let family = if destination.is_ipv4() { AF_INET } else { AF_INET6 };
        let bits = if destination.is_ipv4() { 32 } else { 128 };
        let mut body = vec![family, bits, bits, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        put_address(&mut body, RTA_DST, destination);
        put_address(&mut body, RTA_SRC, source);
        let Some(answer) = self.netlink.ask(RTM_GETROUTE, RTM_NEWROUTE, &body)? else { return Ok(None) };
        let Some(&kind) = answer.get(7) else { return Ok(None) };
        if !matches!(kind, RTN_UNICAST | RTN_LOCAL) {
            return Ok(None);
        }
        let attributes = answer.get(RTMSG..).unwrap_or_default();
        let Some(interface) = attribute(attributes, RTA_OIF).and_then(word) else { return Ok(None) };
        let by_route =
            attribute(attributes, RTA_METRICS).and_then(|metrics| attribute(metrics, RTAX_MTU)).and_then(word);
        let Some(link) = self.link(interface)? else { return Ok(None) };
        let mtu = by_route.filter(|mtu| *mtu > 0).map_or(link.mtu, |mtu| mtu.min(link.mtu));
        let mtu = u16::try_from(mtu).unwrap_or(u16::MAX);
        Ok(Some(Way { interface, mtu, takes_frames: link.takes_frames }))
    }

    /// What there is to know about an interface.
    pub(crate) fn link(&mut self, interface: u32) -> io::Result<Option<Link>> {
        if let Some((read, link)) = self.links.get(&interface)
            && read.elapsed() < LINK_BELIEVED
        {
            return Ok(Some(*link));
        }
        let mut body = vec![0; IFINFOMSG];
        if let Some(index) = body.get_mut(4..8) {
            index.copy_from_slice(&interface.to_ne_bytes());
        }
        let link = self.ask_link(&body)?;
        if let Some(link) = link {
            self.links.insert(interface, (Instant::now(), link));
        }
        Ok(link)
    }

    /// The same, by name.
    pub(crate) fn link_named(&mut self, name: &str) -> io::Result<Option<Link>> {
        let mut body = vec![0; IFINFOMSG];
        put(&mut body, IFLA_IFNAME, &[name.as_bytes(), b"\0"].concat());
        self.ask_link(&body)
    }

    fn ask_link(&mut self, body: &[u8]) -> io::Result<Option<Link>> {
        let answer = self.netlink.ask(RTM_GETLINK, RTM_NEWLINK, body)?;
        let Some(mut link) = answer.as_deref().and_then(link_of) else { return Ok(None) };
        if let Some(features) = &mut self.features {
            // A frame for a VLAN is the device's to send.
            link.takes_frames = features.takes_frames(link.vlan.map_or(link.index, |vlan| vlan.device))?;
        }
        Ok(Some(link))
    }
}

fn link_of(answer: &[u8]) -> Option<Link> {
    let kind = answer.get(2..4).and_then(half)?;
    let index = answer.get(4..8).and_then(word)?;
    let attributes = answer.get(IFINFOMSG..)?;
    let mtu = attribute(attributes, IFLA_MTU).and_then(word)?;
    let is_ethernet = ETHERNET_TYPES.contains(&kind);
    Some(Link { index, is_ethernet, mtu, vlan: vlan_of(attributes), takes_frames: false })
}

/// Which VLAN it stands for, if its device is in this network namespace.
fn vlan_of(attributes: &[u8]) -> Option<Vlan> {
    let info = attribute(attributes, IFLA_LINKINFO)?;
    let data = attribute(info, IFLA_INFO_DATA)?;
    let is_vlan = attribute(info, IFLA_INFO_KIND)?.starts_with(b"vlan\0")
        && attribute(data, IFLA_VLAN_PROTOCOL) == Some(&VLAN_PROTOCOL[..])
        && attribute(attributes, IFLA_LINK_NETNSID).is_none();
    let id = attribute(data, IFLA_VLAN_ID).and_then(half).filter(|_| is_vlan)?;
    let device = attribute(attributes, IFLA_LINK).and_then(word)?;
    Some(Vlan { device, id })
}

fn put_address(body: &mut Vec<u8>, kind: u16, address: IpAddr) {
    match address {
        IpAddr::V4(ip) => put(body, kind, &ip.octets()),
        IpAddr::V6(ip) => put(body, kind, &ip.octets()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_this_host_says_to_itself_leaves_by_the_loopback() {
        let mut routes = Routes::open().expect("netlink");
        let local = IpAddr::from([127, 0, 0, 1]);
        let way = routes.way(local, IpAddr::from([127, 0, 0, 2]));
        assert_eq!(way.interface, 1);
        assert!(way.mtu > 1500, "{way:?}");
        assert!(routes.link_named("lo").expect("an answer").expect("the loopback").is_ethernet);
        assert!(routes.link_named("no-such").expect("an answer").is_none());
        let nowhere = routes.way(local, IpAddr::from([0, 0, 0, 0, 0, 0xffff, 0, 0]));
        assert_eq!(nowhere, Way::default(), "a refusal is no way");
        assert_eq!(routes.way(local, IpAddr::from([127, 0, 0, 3])), way, "and the conversation goes on");
    }
}
