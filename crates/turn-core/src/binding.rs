//! Binding (RFC 8489 §3), for classic clients (RFC 3489) and for NAT behaviour discovery (RFC 5780).

use std::net::SocketAddr;

use causeway_stun_codec::{
    AttributeType, Class, Message, MessageBuilder,
    attributes::{
        ChangeRequest, ChangedAddress, MappedAddress, OtherAddress, ResponseOrigin, ResponsePort, SourceAddress,
        XorMappedAddress,
    },
};
use causeway_types::{ClientTransport, Now};

use crate::{TurnServer, config::NatDiscoveryGrid, io::ClientLeg, reply::finish};

impl NatDiscoveryGrid {
    /// The address that differs from `server` in IP and port, when `server` is one of the four.
    #[must_use]
    pub fn other(&self, server: SocketAddr) -> Option<SocketAddr> {
        let ip = swap(server.ip(), self.primary.ip(), self.alternate.ip())?;
        let port = swap(server.port(), self.primary.port(), self.alternate.port())?;
        Some(SocketAddr::new(ip, port))
    }
}

fn swap<T: PartialEq>(value: T, first: T, second: T) -> Option<T> {
    if value == first {
        Some(second)
    } else if value == second {
        Some(first)
    } else {
        None
    }
}

impl TurnServer {
    pub(crate) fn answer_binding(&mut self, now: Now, from: ClientLeg, message: &Message<'_>) {
        let five_tuple = from.five_tuple;
        let other = match five_tuple.transport {
            ClientTransport::Udp => self.config.nat_discovery.iter().find_map(|grid| grid.other(five_tuple.server)),
            ClientTransport::Tcp | ClientTransport::Tls | ClientTransport::Dtls => None,
        };
        let change = match message.attribute::<ChangeRequest>() {
            Ok(change) => change.unwrap_or_default(),
            Err(_) => {
                self.refuse_unauthenticated(now, from, message, 400, &[]);
                return;
            }
        };
        let mut unknown = self.unknown_attributes(message);
        // RFC 5780 §6.1: a server without a second address does not understand a wish to change.
        if other.is_none() && (change.change_ip || change.change_port) {
            unknown.push(AttributeType::CHANGE_REQUEST.0);
        }
        if !unknown.is_empty() {
            {
                self.refuse_unauthenticated(now, from, message, 420, &unknown);
                return;
            }
        }
        let Ok(response_port) = message.attribute::<ResponsePort>() else {
            {
                self.refuse_unauthenticated(now, from, message, 400, &[]);
                return;
            }
        };
        let has_padding = message.has(AttributeType::PADDING);
        // RFC 5780 §6.1: the two contradict each other.
        if has_padding && response_port.is_some() {
            {
                self.refuse_unauthenticated(now, from, message, 400, &[]);
                return;
            }
        }
        if !self.may_reply_unauthenticated(now, from) {
            return;
        }
        let origin = other.map(|other| {
            let ip = if change.change_ip { other.ip() } else { five_tuple.server.ip() };
            let port = if change.change_port { other.port() } else { five_tuple.server.port() };
            SocketAddr::new(ip, port)
        });
        let mut builder = MessageBuilder::reply_to(message, Class::Success);
        if message.is_classic() {
            builder = builder
                .attribute(&MappedAddress(five_tuple.client))
                .maybe(origin.map(SourceAddress).as_ref())
                .maybe(other.map(ChangedAddress).as_ref());
        } else {
            builder = builder
                .attribute(&XorMappedAddress(five_tuple.client))
                .maybe(other.map(|_| MappedAddress(five_tuple.client)).as_ref())
                .maybe(origin.map(ResponseOrigin).as_ref())
                .maybe(other.map(OtherAddress).as_ref());
            builder = self.with_software(builder);
        }
        let source = origin.filter(|origin| *origin != five_tuple.server);
        let to = response_port.map(|ResponsePort(port)| SocketAddr::new(five_tuple.client.ip(), port));
        self.send_from(from, finish(builder, message), source, to);
    }
}
