//! What a caller may ask of the server, and how that may end.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use causeway_stun_codec::{
    Attribute, MessageBuilder, Method,
    attributes::{
        AdditionalAddressFamily, ChannelNumber, DontFragment, EvenPort, Lifetime, RequestedAddressFamily,
        RequestedTransport, ReservationToken, XorPeerAddress,
    },
};
use causeway_types::{AddressFamily, RelayTransport};

/// Names a request of the caller; never reused by one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// A request. Whether it makes sense now is the server's business: tests and probes want to ask wrong things too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// "Which address do you see?" (RFC 8489 §2). Not signed unless the server asks for it.
    Binding,
    /// Makes an allocation (RFC 8656 §7).
    Allocate(AllocateOptions),
    /// Prolongs it, or ends it with a lifetime of zero (RFC 8656 §8). `None` leaves the lifetime to the server.
    Refresh {
        /// Seconds count; the rest is cut off.
        lifetime: Option<Duration>,
    },
    /// Lets these peers exchange data with the allocation; ports do not count (RFC 8656 §10).
    CreatePermission {
        /// One XOR-PEER-ADDRESS each.
        peers: Vec<IpAddr>,
    },
    /// Binds a channel to a peer, which also installs the permission (RFC 8656 §12).
    ChannelBind {
        /// 0x4000–0x4FFF (RFC 8656 §12); older servers accept up to 0x7FFF.
        number: u16,
        /// The peer with its port.
        peer: SocketAddr,
    },
}

/// What an Allocate asks for (RFC 8656 §7.1). The default is a UDP relay, everything else up to the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllocateOptions {
    /// REQUESTED-TRANSPORT.
    pub transport: RelayTransport,
    /// LIFETIME; seconds count.
    pub lifetime: Option<Duration>,
    /// REQUESTED-ADDRESS-FAMILY.
    pub family: Option<AddressFamily>,
    /// ADDITIONAL-ADDRESS-FAMILY: an IPv6 address besides the IPv4 one.
    pub additional_v6: bool,
    /// Which port is wanted.
    pub port: PortWish,
    /// DONT-FRAGMENT: does the server support it?
    pub dont_fragment: bool,
}

impl Default for AllocateOptions {
    fn default() -> Self {
        Self {
            transport: RelayTransport::Udp,
            lifetime: None,
            family: None,
            additional_v6: false,
            port: PortWish::Any,
            dont_fragment: false,
        }
    }
}

/// Which relay port an Allocate asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PortWish {
    /// Any.
    #[default]
    Any,
    /// EVEN-PORT.
    Even,
    /// EVEN-PORT with the R bit: keep the next one for a RESERVATION-TOKEN.
    EvenAndReserveNext,
    /// RESERVATION-TOKEN: the port that was kept.
    Reserved([u8; 8]),
}

/// An allocation as the server granted it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allocation {
    /// XOR-RELAYED-ADDRESS, one or two, in the server's order.
    pub relayed: Vec<SocketAddr>,
    /// XOR-MAPPED-ADDRESS: the client as the server sees it.
    pub mapped: SocketAddr,
    /// LIFETIME.
    pub lifetime: Duration,
    /// RESERVATION-TOKEN.
    pub reservation_token: Option<[u8; 8]>,
    /// ADDRESS-ERROR-CODE: the family that was not granted, and why.
    pub not_granted: Option<(AddressFamily, u16)>,
}

impl Allocation {
    /// The relayed address of a family.
    #[must_use]
    pub fn relayed_of(&self, family: AddressFamily) -> Option<SocketAddr> {
        self.relayed.iter().copied().find(|relayed| AddressFamily::of(relayed.ip()) == family)
    }
}

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Binding: the client's address as the server sees it.
    Mapped(SocketAddr),
    /// Allocate.
    Allocated(Allocation),
    /// Refresh: the lifetime from now on; zero when the allocation is gone.
    Refreshed {
        /// LIFETIME.
        lifetime: Duration,
    },
    /// CreatePermission.
    Permitted,
    /// ChannelBind.
    ChannelBound,
    /// The server said no.
    Refused(Refusal),
    /// The server's security features contradict each other: somebody on the path may have cut the list of password
    /// algorithms, so the credential was not used (RFC 8489 §9.2.5).
    BidDown,
    /// The server supports no password algorithm that this client knows.
    NoCommonAlgorithm,
    /// A success that lacks what it must carry, or has a comprehension-required attribute that is not known.
    Unusable,
    /// No answer that could be taken.
    TimedOut {
        /// Answers that came unsigned or wrongly signed and were discarded (RFC 8489 §9.2.5).
        unauthentic_answers: u32,
        /// The error code of the last of them: a hint for people, not proven to be the server's.
        unproven_code: Option<u16>,
    },
    /// The connection to the server ended first.
    Closed,
}

/// An error answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// ERROR-CODE, 300–699.
    pub code: u16,
    /// The reason phrase; often empty.
    pub reason: String,
    /// ALTERNATE-SERVER of a 300.
    pub alternate_server: Option<SocketAddr>,
    /// Whether the request carried a credential. A 401 then means that it is wrong, not that one is missing.
    pub was_signed: bool,
}

impl Request {
    /// The method.
    #[must_use]
    pub const fn method(&self) -> Method {
        match self {
            Self::Binding => Method::BINDING,
            Self::Allocate(_) => Method::ALLOCATE,
            Self::Refresh { .. } => Method::REFRESH,
            Self::CreatePermission { .. } => Method::CREATE_PERMISSION,
            Self::ChannelBind { .. } => Method::CHANNEL_BIND,
        }
    }

    /// Appends the attributes.
    pub(crate) fn write(&self, builder: MessageBuilder) -> MessageBuilder {
        match self {
            Self::Binding => builder,
            Self::Allocate(options) => options.write(builder),
            Self::Refresh { lifetime } => builder.maybe(lifetime.map(seconds).as_ref()),
            Self::CreatePermission { peers } => {
                peers.iter().fold(builder, |builder, ip| builder.attribute(&XorPeerAddress(SocketAddr::new(*ip, 0))))
            }
            Self::ChannelBind { number, peer } => {
                builder.attribute(&ChannelNumber(*number)).attribute(&XorPeerAddress(*peer))
            }
        }
    }
}

impl AllocateOptions {
    fn write(&self, builder: MessageBuilder) -> MessageBuilder {
        let transport = match self.transport {
            RelayTransport::Udp => RequestedTransport::UDP,
            RelayTransport::Tcp => RequestedTransport::TCP,
        };
        let (even_port, token) = match self.port {
            PortWish::Any => (None, None),
            PortWish::Even => (Some(EvenPort { reserve_next: false }), None),
            PortWish::EvenAndReserveNext => (Some(EvenPort { reserve_next: true }), None),
            PortWish::Reserved(token) => (None, Some(ReservationToken(token))),
        };
        let additional = self.additional_v6.then_some(AdditionalAddressFamily(Ok(AddressFamily::V6)));
        builder
            .attribute(&transport)
            .maybe(self.lifetime.map(seconds).as_ref())
            .maybe(self.family.map(|family| RequestedAddressFamily(Ok(family))).as_ref())
            .maybe(additional.as_ref())
            .maybe(even_port.as_ref())
            .maybe(token.as_ref())
            .maybe(present(self.dont_fragment, &DontFragment))
    }
}

/// An attribute that is there or not.
fn present<'a, A: Attribute<'a>>(wanted: bool, attribute: &A) -> Option<&A> {
    wanted.then_some(attribute)
}

fn seconds(lifetime: Duration) -> Lifetime {
    Lifetime(u32::try_from(lifetime.as_secs()).unwrap_or(u32::MAX))
}
