//! Where the kernel would send a packet: asked over route netlink, one question at a time.

use std::{
    collections::HashMap,
    io::{self, Read, Write},
    net::IpAddr,
    time::{Duration, Instant},
};

use socket2::{Domain, Protocol, Socket, Type};

/// How a packet leaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Way {
    /// The interface's index; 0 when there is no way.
    pub interface: u32,
    /// Largest packet, network header included.
    pub mtu: u16,
}

/// Linux's numbers: AF_NETLINK, NETLINK_ROUTE, AF_INET, AF_INET6.
const AF_NETLINK: i32 = 16;
const NETLINK_ROUTE: i32 = 0;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const RTM_GETLINK: u16 = 18;
const RTM_NEWLINK: u16 = 16;
const RTM_GETROUTE: u16 = 26;
const RTM_NEWROUTE: u16 = 24;
const NLM_F_REQUEST: u16 = 1;
const RTA_DST: u16 = 1;
const RTA_SRC: u16 = 2;
const RTA_OIF: u16 = 4;
const RTA_METRICS: u16 = 8;
const RTAX_MTU: u16 = 2;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const RTN_UNICAST: u8 = 1;
const RTN_LOCAL: u8 = 2;
const NLMSG_HEADER: usize = 16;
const RTMSG: usize = 12;
const IFINFOMSG: usize = 16;
/// ARPHRD_ETHER and ARPHRD_LOOPBACK: frames begin with an Ethernet header.
const ETHERNET_TYPES: [u16; 2] = [1, 772];

/// How long the properties of an interface are believed.
const LINK_BELIEVED: Duration = Duration::from_secs(5);
/// The kernel answers at once, or not at all.
const PATIENCE: Duration = Duration::from_millis(200);

/// An interface.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    pub(crate) is_ethernet: bool,
    pub(crate) mtu: u32,
}

/// A conversation with the kernel's routing.
#[derive(Debug)]
pub struct Routes {
    socket: Socket,
    sequence: u32,
    links: HashMap<u32, (Instant, Link)>,
}

impl Routes {
    /// Opens it.
    ///
    /// # Errors
    /// There is no route netlink here.
    pub fn open() -> io::Result<Self> {
        let socket = Socket::new(Domain::from(AF_NETLINK), Type::RAW.cloexec(), Some(Protocol::from(NETLINK_ROUTE)))?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { socket, sequence: 0, links: HashMap::new() })
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
        let Some(answer) = self.ask(RTM_GETROUTE, RTM_NEWROUTE, &body)? else { return Ok(None) };
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
        Ok(Some(Way { interface, mtu: u16::try_from(mtu).unwrap_or(u16::MAX) }))
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
        let link = self.ask(RTM_GETLINK, RTM_NEWLINK, &body)?.as_deref().and_then(link_of);
        if let Some(link) = link {
            self.links.insert(interface, (Instant::now(), link));
        }
        Ok(link)
    }

    /// The same, by name.
    pub(crate) fn link_named(&mut self, name: &str) -> io::Result<Option<Link>> {
        let mut body = vec![0; IFINFOMSG];
        let len = u16::try_from(4 + name.len() + 1).map_err(io::Error::other)?;
        body.extend_from_slice(&len.to_ne_bytes());
        body.extend_from_slice(&IFLA_IFNAME.to_ne_bytes());
        body.extend_from_slice(name.as_bytes());
        body.resize((body.len() + 1).next_multiple_of(4), 0);
        Ok(self.ask(RTM_GETLINK, RTM_NEWLINK, &body)?.as_deref().and_then(link_of))
    }

    /// The body of the answer; `None` when the kernel refuses.
    fn ask(&mut self, request: u16, answer: u16, body: &[u8]) -> io::Result<Option<Vec<u8>>> {
        self.sequence = self.sequence.wrapping_add(1);
        let len = u32::try_from(NLMSG_HEADER + body.len()).map_err(io::Error::other)?;
        let mut message = Vec::with_capacity(NLMSG_HEADER + body.len());
        message.extend_from_slice(&len.to_ne_bytes());
        message.extend_from_slice(&request.to_ne_bytes());
        message.extend_from_slice(&NLM_F_REQUEST.to_ne_bytes());
        message.extend_from_slice(&self.sequence.to_ne_bytes());
        message.extend_from_slice(&[0; 4]);
        message.extend_from_slice(body);
        (&self.socket).write_all(&message)?;
        let mut buffer = vec![0; 16_384];
        // An answer that came too late for its question may still be there.
        for _ in 0..4 {
            let received = (&self.socket).read(&mut buffer)?;
            let bytes = buffer.get(..received).unwrap_or_default();
            let field = |at: usize| bytes.get(at..at + 4).and_then(word);
            let kind = bytes.get(4..6).and_then(|b| b.try_into().ok()).map(u16::from_ne_bytes);
            if field(8) != Some(self.sequence) {
                continue;
            }
            let end = field(0).and_then(|len| usize::try_from(len).ok()).unwrap_or(0);
            let found = kind == Some(answer);
            return Ok(bytes.get(NLMSG_HEADER..end).filter(|_| found).map(<[u8]>::to_vec));
        }
        Ok(None)
    }
}

fn link_of(answer: &[u8]) -> Option<Link> {
    let kind = u16::from_ne_bytes(answer.get(2..4)?.try_into().ok()?);
    let mtu = attribute(answer.get(IFINFOMSG..)?, IFLA_MTU).and_then(word)?;
    Some(Link { is_ethernet: ETHERNET_TYPES.contains(&kind), mtu })
}

fn put_address(body: &mut Vec<u8>, kind: u16, address: IpAddr) {
    let (len, octets): (u16, Vec<u8>) = match address {
        IpAddr::V4(ip) => (8, ip.octets().to_vec()),
        IpAddr::V6(ip) => (20, ip.octets().to_vec()),
    };
    body.extend_from_slice(&len.to_ne_bytes());
    body.extend_from_slice(&kind.to_ne_bytes());
    body.extend_from_slice(&octets);
}

/// The value of the first attribute of this kind.
fn attribute(mut attributes: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let len = usize::from(u16::from_ne_bytes(attributes.get(..2)?.try_into().ok()?));
        let kind = u16::from_ne_bytes(attributes.get(2..4)?.try_into().ok()?);
        if len < 4 {
            return None;
        }
        if kind & 0x3fff == wanted {
            return attributes.get(4..len);
        }
        attributes = attributes.get(len.next_multiple_of(4)..)?;
    }
}

fn word(bytes: &[u8]) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.try_into().ok()?))
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
