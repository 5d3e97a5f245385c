//! Messages as a fuzzer thinks of them: right, nearly right, and wrong.

use std::net::SocketAddr;

use arbitrary::Arbitrary;
use causeway_stun_codec::{
    AttributeType, Class, Message, MessageBuilder, Method, TransactionId,
    attributes::{
        AdditionalAddressFamily, ChangeRequest, ChannelNumber, ConnectionId, Data, DontFragment, EvenPort, Lifetime,
        MobilityTicket, Nonce, PasswordAlgorithm, PasswordAlgorithms, Realm, RequestedAddressFamily,
        RequestedTransport, ReservationToken, ResponsePort, Software, UserHash, Username, XorPeerAddress,
    },
    key,
};
use causeway_types::AddressFamily;

use crate::users::{REALM, User, Users};

/// One message of a client.
#[derive(Clone, Debug, Arbitrary)]
pub(super) struct Recipe {
    ask: Ask,
    extra: Vec<Part>,
    sign: Sign,
    twist: Twist,
}

/// What the message is about, with what belongs to it.
#[derive(Clone, Debug, Arbitrary)]
pub(super) enum Ask {
    Allocate { tcp: bool, with_ticket: bool },
    AllocatePorts { even: Even, dual: bool },
    Move { ticket: u8 },
    Refresh { lifetime: Option<Secs> },
    Permit { first: u8, second: Option<u8> },
    Bind { channel: u8, peer: u8 },
    Connect { peer: u8 },
    ConnectionBind { which: u8 },
    Send { peer: u8, len: u8 },
    Binding,
    Other { method: u16, class: u8 },
}

/// Which relay port an Allocate asks for.
#[derive(Clone, Copy, Debug, Arbitrary)]
pub(super) enum Even {
    Plain,
    AndReserveNext,
    Reserved(u8),
}

/// Lifetimes worth asking for.
#[derive(Clone, Copy, Debug, Arbitrary)]
pub(super) enum Secs {
    Zero,
    One,
    Default,
    Long,
    Forever,
}

/// One more attribute.
#[derive(Clone, Debug, Arbitrary)]
enum Part {
    Lifetime(Secs),
    Protocol(u8),
    Peer(u8),
    Channel(u16),
    Data(u8),
    EvenPort(bool),
    Token(Option<u8>),
    Family(u8),
    AdditionalFamily(u8),
    DraftFamily(u8),
    DontFragment,
    AskForTicket,
    Ticket(u8),
    Connection(u32),
    ChangeRequest(bool, bool),
    ResponsePort(u16),
    Padding,
    Software,
    Raw(u16, Vec<u8>),
}

/// How the message is signed.
#[derive(Clone, Copy, Debug, Arbitrary)]
enum Sign {
    /// As the client's own user.
    Right,
    /// With its second password, if it has one.
    SecondPassword,
    /// With MESSAGE-INTEGRITY-SHA256.
    Sha256 { strong_key: bool, user_hash: bool },
    /// As another user.
    As(u8),
    /// With another key than the name says.
    WrongKey,
    /// With a nonce that is none.
    BadNonce,
    /// With the list of algorithms cut.
    BidDown,
    /// Not at all.
    Unsigned,
}

/// What happens to the bytes on the way.
#[derive(Clone, Copy, Debug, Arbitrary)]
enum Twist {
    None,
    Fingerprint,
    Flip { bit: u16 },
    Cut { len: u16 },
    Extend { len: u8 },
    Classic,
}

/// What a client has learnt so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    tickets: Vec<Vec<u8>>,
    tokens: Vec<[u8; 8]>,
    connections: Vec<u32>,
}

impl Seen {
    /// Learns from a message of the server.
    pub(super) fn learn(&mut self, message: &Message<'_>) {
        if let Ok(Some(MobilityTicket(ticket))) = message.attribute() {
            self.tickets.push(ticket.to_vec());
        }
        if let Ok(Some(ReservationToken(token))) = message.attribute() {
            self.tokens.push(token);
        }
        if let Ok(Some(ConnectionId(id))) = message.attribute() {
            self.connections.push(id);
        }
    }
}

/// What a message is made with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context<'a> {
    /// All users.
    pub(super) users: &'a Users,
    /// The client's own.
    pub(super) user: &'a User,
    /// The nonce the client was given.
    pub(super) nonce: &'a str,
    /// Peers to name.
    pub(super) peers: &'a [SocketAddr],
    /// What was learnt.
    pub(super) seen: &'a Seen,
    /// The transaction id.
    pub(super) id: TransactionId,
}

impl Context<'_> {
    fn peer(&self, which: u8) -> SocketAddr {
        self.peers[usize::from(which) % self.peers.len()]
    }
}

/// A channel number: usable ones, and those beside.
#[must_use]
pub(super) const fn channel_number(which: u8) -> u16 {
    match which % 6 {
        0 => 0x4000,
        1 => 0x4001,
        2 => 0x4fff,
        3 => 0x7fff,
        4 => 0x8000,
        _ => 0x3fff,
    }
}

impl Recipe {
    /// A message with nothing strange about it.
    pub(super) const fn right(ask: Ask) -> Self {
        Self { ask, extra: Vec::new(), sign: Sign::Right, twist: Twist::None }
    }

    /// The bytes.
    #[must_use]
    pub(super) fn cook(&self, context: &Context<'_>) -> Vec<u8> {
        let mut builder = self.ask.begin(context);
        for part in self.extra.iter().take(8) {
            builder = part.add_to(builder, context);
        }
        let is_signed = !matches!(self.ask, Ask::Send { .. } | Ask::Binding);
        if is_signed {
            builder = self.sign.sign(builder, context);
        }
        self.twist.apply(builder)
    }
}

impl Ask {
    fn begin(&self, context: &Context<'_>) -> MessageBuilder {
        let request = |method| MessageBuilder::new(Class::Request, method, context.id);
        match *self {
            Self::Allocate { tcp, with_ticket } => {
                let transport = if tcp { RequestedTransport::TCP } else { RequestedTransport::UDP };
                let ticket = with_ticket.then_some(MobilityTicket(&[]));
                request(Method::ALLOCATE).attribute(&transport).maybe(ticket.as_ref())
            }
            Self::AllocatePorts { even, dual } => {
                let builder = request(Method::ALLOCATE).attribute(&RequestedTransport::UDP);
                let builder = match even {
                    Even::Plain => builder.attribute(&EvenPort { reserve_next: false }),
                    // Both together only under the number of the drafts.
                    Even::AndReserveNext if dual => builder
                        .attribute(&EvenPort { reserve_next: true })
                        .raw_attribute(AttributeType::DRAFT_ADDITIONAL_ADDRESS_FAMILY, &[2, 0, 0, 0]),
                    Even::AndReserveNext => builder.attribute(&EvenPort { reserve_next: true }),
                    Even::Reserved(which) => Part::Token(Some(which)).add_to(builder, context),
                };
                let additional = (dual && matches!(even, Even::Plain)).then_some(AddressFamily::V6);
                builder.maybe(additional.map(|family| AdditionalAddressFamily(Ok(family))).as_ref())
            }
            Self::Move { ticket } => Part::Ticket(ticket).add_to(request(Method::REFRESH), context),
            Self::Refresh { lifetime } => {
                request(Method::REFRESH).maybe(lifetime.map(|secs| Lifetime(secs.value())).as_ref())
            }
            Self::Permit { first, second } => request(Method::CREATE_PERMISSION)
                .attribute(&XorPeerAddress(context.peer(first)))
                .maybe(second.map(|peer| XorPeerAddress(context.peer(peer))).as_ref()),
            Self::Bind { channel, peer } => request(Method::CHANNEL_BIND)
                .attribute(&ChannelNumber(channel_number(channel)))
                .attribute(&XorPeerAddress(context.peer(peer))),
            Self::Connect { peer } => request(Method::CONNECT).attribute(&XorPeerAddress(context.peer(peer))),
            Self::ConnectionBind { which } => {
                let seen = &context.seen.connections;
                let id = usize::from(which).checked_rem(seen.len()).and_then(|index| seen.get(index));
                request(Method::CONNECTION_BIND).maybe(id.map(|id| ConnectionId(*id)).as_ref())
            }
            Self::Send { peer, len } => MessageBuilder::new(Class::Indication, Method::SEND, context.id)
                .attribute(&XorPeerAddress(context.peer(peer)))
                .attribute(&Data(&vec![0x2a; usize::from(len)])),
            Self::Binding => request(Method::BINDING),
            Self::Other { method, class } => {
                let class = [Class::Request, Class::Indication, Class::Success, Class::Error][usize::from(class % 4)];
                MessageBuilder::new(class, Method::new(method), context.id)
            }
        }
    }
}

impl Secs {
    const fn value(self) -> u32 {
        match self {
            Self::Zero => 0,
            Self::One => 1,
            Self::Default => 600,
            Self::Long => 3000,
            Self::Forever => u32::MAX,
        }
    }
}

const fn family(byte: u8) -> Result<AddressFamily, u8> {
    match byte % 3 {
        0 => Ok(AddressFamily::V4),
        1 => Ok(AddressFamily::V6),
        _ => Err(byte | 4),
    }
}

impl Part {
    fn add_to(&self, builder: MessageBuilder, context: &Context<'_>) -> MessageBuilder {
        match self {
            Self::Lifetime(secs) => builder.attribute(&Lifetime(secs.value())),
            Self::Protocol(number) => builder.attribute(&RequestedTransport(*number)),
            Self::Peer(which) => builder.attribute(&XorPeerAddress(context.peer(*which))),
            Self::Channel(number) => builder.attribute(&ChannelNumber(*number)),
            Self::Data(len) => builder.attribute(&Data(&vec![0x2b; usize::from(*len)])),
            Self::EvenPort(reserve_next) => builder.attribute(&EvenPort { reserve_next: *reserve_next }),
            Self::Token(which) => {
                let seen = &context.seen.tokens;
                let index = which.and_then(|which| usize::from(which).checked_rem(seen.len()));
                let token = index.and_then(|index| seen.get(index)).copied().unwrap_or([9; 8]);
                builder.attribute(&ReservationToken(token))
            }
            Self::Family(byte) => builder.attribute(&RequestedAddressFamily(family(*byte))),
            Self::AdditionalFamily(byte) => builder.attribute(&AdditionalAddressFamily(family(*byte))),
            Self::DraftFamily(byte) => {
                builder.raw_attribute(AttributeType::DRAFT_ADDITIONAL_ADDRESS_FAMILY, &[*byte % 4, 0, 0, 0])
            }
            Self::DontFragment => builder.attribute(&DontFragment),
            Self::AskForTicket => builder.attribute(&MobilityTicket(&[])),
            Self::Ticket(which) => {
                let seen = &context.seen.tickets;
                let index = usize::from(*which).checked_rem(seen.len());
                let ticket = index.and_then(|index| seen.get(index)).map_or(&[b'0'; 28][..], Vec::as_slice);
                builder.attribute(&MobilityTicket(ticket))
            }
            Self::Connection(id) => builder.attribute(&ConnectionId(*id)),
            Self::ChangeRequest(change_ip, change_port) => {
                builder.attribute(&ChangeRequest { change_ip: *change_ip, change_port: *change_port })
            }
            Self::ResponsePort(port) => builder.attribute(&ResponsePort(*port)),
            Self::Padding => builder.raw_attribute(AttributeType::PADDING, &[0; 64]),
            Self::Software => builder.attribute(&Software("fuzz")),
            Self::Raw(typ, value) => {
                builder.raw_attribute(AttributeType(*typ), value.get(..value.len().min(64)).unwrap_or_default())
            }
        }
    }
}

impl Sign {
    fn sign(self, builder: MessageBuilder, context: &Context<'_>) -> MessageBuilder {
        let mut user = context.user;
        let mut password = *user.passwords.first().expect("a user has a password");
        let mut nonce = context.nonce;
        match self {
            Self::Right | Self::Sha256 { .. } | Self::BidDown => {}
            Self::SecondPassword => password = user.passwords.last().expect("a user has a password"),
            Self::As(which) => {
                user = context.users.nth(usize::from(which));
                password = user.passwords.first().expect("a user has a password");
            }
            Self::WrongKey => password = "guessed",
            Self::BadNonce => nonce = "obMatJos2wAAAbm9uY2U",
            Self::Unsigned => return builder,
        }
        let (md5, sha256) = (key::md5_key(&user.name, REALM, password), key::sha256_key(&user.name, REALM, password));
        let named = if matches!(self, Self::Sha256 { user_hash: true, .. }) {
            builder.attribute(&UserHash(key::user_hash(&user.name, REALM)))
        } else {
            builder.attribute(&Username(&user.name))
        };
        let builder = named.attribute(&Realm(REALM)).attribute(&Nonce(nonce));
        match self {
            Self::Sha256 { strong_key: true, .. } => builder
                .attribute(&PasswordAlgorithms::OFFERED)
                .attribute(&PasswordAlgorithm::Sha256)
                .integrity_sha256(&sha256),
            Self::Sha256 { strong_key: false, .. } => builder.integrity_sha256(&md5),
            Self::BidDown => builder
                .attribute(&PasswordAlgorithms(&[0, 1, 0, 0]))
                .attribute(&PasswordAlgorithm::Md5)
                .integrity_sha1(&md5),
            Self::Right | Self::SecondPassword | Self::As(_) | Self::WrongKey | Self::BadNonce | Self::Unsigned => {
                builder.integrity_sha1(&md5)
            }
        }
    }
}

impl Twist {
    fn apply(self, builder: MessageBuilder) -> Vec<u8> {
        let builder = if matches!(self, Self::Fingerprint) { builder.fingerprint() } else { builder };
        let mut bytes = builder.finish();
        match self {
            Self::None | Self::Fingerprint => {}
            Self::Flip { bit } => {
                let bit = usize::from(bit) % (bytes.len() * 8);
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
            Self::Cut { len } => bytes.truncate(usize::from(len)),
            Self::Extend { len } => bytes.extend(vec![0; usize::from(len)]),
            Self::Classic => bytes[4..8].copy_from_slice(&[1, 2, 3, 4]),
        }
        bytes
    }
}
