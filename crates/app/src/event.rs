//! What happened, for every consumer outside: Redis, webhooks, the stream, the log.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use causeway_types::{AllocationId, AuthRefusal, ClientTransport, FiveTuple, LimitName, TrafficCounters, UnixTime};

use crate::{
    CallRecord, CallStart, Identifier, Registration, RegistrationEnd,
    model::{ProjectId, Role, SessionEndReason, SessionStart, TokenId},
};

/// The place of an event in the order of one server: strictly rising, over restarts too. It begins at the microseconds
/// since 1970 at start, so it stays below 2^53 for a JavaScript consumer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cursor(pub u64);

/// An event with its place and time.
#[derive(Clone, Debug)]
pub struct EventRecord {
    /// Place.
    pub cursor: Cursor,
    /// When.
    pub at: UnixTime,
    /// Whose.
    pub project: ProjectId,
    /// What.
    pub event: DomainEvent,
}

/// What happened. Session events carry the session's start, so that a consumer needs no memory of its own.
#[derive(Clone, Debug)]
pub enum DomainEvent {
    /// A credential was issued.
    CredentialMinted {
        /// User name.
        username: Arc<str>,
        /// Room.
        room: Option<Identifier>,
        /// Clients and roles.
        clients: Vec<(Identifier, Role)>,
        /// Which token.
        token: TokenId,
        /// Until when.
        expires_at: UnixTime,
    },
    /// A credential was taken back.
    CredentialRevoked {
        /// User name.
        username: Arc<str>,
    },
    /// A credential's time is over.
    CredentialExpired {
        /// User name.
        username: Arc<str>,
    },
    /// A client was not believed.
    AuthRefused {
        /// The name it claimed.
        username: Option<Arc<str>>,
        /// Why not.
        refusal: AuthRefusal,
        /// From where.
        client: SocketAddr,
        /// Over what.
        transport: ClientTransport,
    },
    /// An allocation was granted.
    SessionStarted(Arc<SessionStart>),
    /// The first payload went through.
    SessionFirstData {
        /// Whose.
        session: Arc<SessionStart>,
        /// Since the start.
        after: Duration,
    },
    /// The client extended it.
    SessionRefreshed {
        /// Whose.
        session: Arc<SessionStart>,
        /// Where the client is.
        five_tuple: FiveTuple,
        /// Granted; zero when the client ends it.
        lifetime: Duration,
    },
    /// The client moved.
    SessionPathChanged {
        /// Whose.
        session: Arc<SessionStart>,
        /// Where the client was.
        from: FiveTuple,
        /// Where it is.
        to: FiveTuple,
    },
    /// 4096 more packets went through. For statistics; not in the public stream.
    SessionTraffic {
        /// Whose.
        session: Arc<SessionStart>,
        /// Payload so far.
        traffic: TrafficCounters,
        /// Whole messages at the client side so far.
        messages: TrafficCounters,
    },
    /// It is over.
    SessionEnded {
        /// Whose.
        session: Arc<SessionStart>,
        /// Why.
        reason: SessionEndReason,
        /// How long it lived.
        duration: Duration,
        /// Payload.
        traffic: TrafficCounters,
        /// Whole messages at the client side.
        messages: TrafficCounters,
    },
    /// A limit was reached.
    LimitReached {
        /// Which.
        limit: LimitName,
        /// By whom.
        username: Option<Arc<str>>,
    },
    /// The first live session of a room began.
    RoomOpened {
        /// Room.
        room: Identifier,
    },
    /// The last live session of a room ended.
    RoomClosed {
        /// Room.
        room: Identifier,
    },
    /// A region's health changed.
    RegionChanged {
        /// Slug.
        region: Arc<str>,
        /// It answers.
        is_online: bool,
        /// It takes new allocations.
        is_operational: bool,
    },
    /// An API token was made.
    TokenCreated {
        /// Which.
        token: TokenId,
        /// Its name.
        name: Arc<str>,
    },
    /// An API token was used for the first time.
    TokenFirstUsed {
        /// Which.
        token: TokenId,
    },
    /// An API token was revoked.
    TokenRevoked {
        /// Which.
        token: TokenId,
    },
    /// A client registered, at one more place.
    RegistrationOpened(Arc<Registration>),
    /// A registration is over.
    RegistrationClosed {
        /// As it was.
        registration: Arc<Registration>,
        /// Why.
        reason: RegistrationEnd,
    },
    /// A call was placed.
    CallStarted(Arc<CallStart>),
    /// A device of a callee rings.
    CallRinging {
        /// Which.
        call: Arc<CallStart>,
        /// Whose device.
        client: Arc<str>,
    },
    /// A callee took the call.
    CallAnswered {
        /// Which.
        call: Arc<CallStart>,
        /// Who.
        client: Arc<str>,
        /// Since the start.
        after: Duration,
    },
    /// A party holds the call, or takes it back.
    CallHeld {
        /// Which.
        call: Arc<CallStart>,
        /// Who.
        client: Arc<str>,
        /// Which of the two.
        is_held: bool,
    },
    /// A party sent digits beside the media.
    CallDtmf {
        /// Which.
        call: Arc<CallStart>,
        /// Who.
        client: Arc<str>,
        /// What.
        digits: Arc<str>,
    },
    /// A party asked the other to call somebody else.
    CallTransferred {
        /// Which.
        call: Arc<CallStart>,
        /// Who asked.
        client: Arc<str>,
        /// Whom to call.
        to: Arc<str>,
    },
    /// The call is over.
    CallEnded(Arc<CallRecord>),
}

impl DomainEvent {
    /// The names of all public events.
    pub const PUBLIC_NAMES: [&'static str; 25] = [
        "credential.minted",
        "credential.revoked",
        "credential.expired",
        "auth.refused",
        "session.started",
        "session.first_data",
        "session.refreshed",
        "session.path_changed",
        "session.ended",
        "limit.reached",
        "room.opened",
        "room.closed",
        "region.changed",
        "token.created",
        "token.used_first_time",
        "token.revoked",
        "registration.opened",
        "registration.closed",
        "call.started",
        "call.ringing",
        "call.answered",
        "call.held",
        "call.dtmf",
        "call.transferred",
        "call.ended",
    ];

    /// Its public name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::CredentialMinted { .. } => "credential.minted",
            Self::CredentialRevoked { .. } => "credential.revoked",
            Self::CredentialExpired { .. } => "credential.expired",
            Self::AuthRefused { .. } => "auth.refused",
            Self::SessionStarted(_) => "session.started",
            Self::SessionFirstData { .. } => "session.first_data",
            Self::SessionRefreshed { .. } => "session.refreshed",
            Self::SessionPathChanged { .. } => "session.path_changed",
            Self::SessionTraffic { .. } => "session.traffic",
            Self::SessionEnded { .. } => "session.ended",
            Self::LimitReached { .. } => "limit.reached",
            Self::RoomOpened { .. } => "room.opened",
            Self::RoomClosed { .. } => "room.closed",
            Self::RegionChanged { .. } => "region.changed",
            Self::TokenCreated { .. } => "token.created",
            Self::TokenFirstUsed { .. } => "token.used_first_time",
            Self::TokenRevoked { .. } => "token.revoked",
            Self::RegistrationOpened(_) => "registration.opened",
            Self::RegistrationClosed { .. } => "registration.closed",
            Self::CallStarted(_) => "call.started",
            Self::CallRinging { .. } => "call.ringing",
            Self::CallAnswered { .. } => "call.answered",
            Self::CallHeld { .. } => "call.held",
            Self::CallDtmf { .. } => "call.dtmf",
            Self::CallTransferred { .. } => "call.transferred",
            Self::CallEnded(_) => "call.ended",
        }
    }

    /// The session it belongs to: events of one session reach every consumer in order.
    #[must_use]
    pub fn session(&self) -> Option<AllocationId> {
        match self {
            Self::SessionStarted(session)
            | Self::SessionFirstData { session, .. }
            | Self::SessionRefreshed { session, .. }
            | Self::SessionPathChanged { session, .. }
            | Self::SessionTraffic { session, .. }
            | Self::SessionEnded { session, .. } => Some(session.id),
            Self::CredentialMinted { .. }
            | Self::CredentialRevoked { .. }
            | Self::CredentialExpired { .. }
            | Self::AuthRefused { .. }
            | Self::LimitReached { .. }
            | Self::RoomOpened { .. }
            | Self::RoomClosed { .. }
            | Self::RegionChanged { .. }
            | Self::TokenCreated { .. }
            | Self::TokenFirstUsed { .. }
            | Self::TokenRevoked { .. }
            | Self::RegistrationOpened(_)
            | Self::RegistrationClosed { .. }
            | Self::CallStarted(_)
            | Self::CallRinging { .. }
            | Self::CallAnswered { .. }
            | Self::CallHeld { .. }
            | Self::CallDtmf { .. }
            | Self::CallTransferred { .. }
            | Self::CallEnded(_) => None,
        }
    }

    /// The call it belongs to: events of one call reach every consumer in order.
    #[must_use]
    pub fn call(&self) -> Option<&CallStart> {
        match self {
            Self::CallStarted(call)
            | Self::CallRinging { call, .. }
            | Self::CallAnswered { call, .. }
            | Self::CallHeld { call, .. }
            | Self::CallDtmf { call, .. }
            | Self::CallTransferred { call, .. } => Some(call),
            Self::CallEnded(record) => Some(&record.start),
            Self::CredentialMinted { .. }
            | Self::CredentialRevoked { .. }
            | Self::CredentialExpired { .. }
            | Self::AuthRefused { .. }
            | Self::SessionStarted(_)
            | Self::SessionFirstData { .. }
            | Self::SessionRefreshed { .. }
            | Self::SessionPathChanged { .. }
            | Self::SessionTraffic { .. }
            | Self::SessionEnded { .. }
            | Self::LimitReached { .. }
            | Self::RoomOpened { .. }
            | Self::RoomClosed { .. }
            | Self::RegionChanged { .. }
            | Self::TokenCreated { .. }
            | Self::TokenFirstUsed { .. }
            | Self::TokenRevoked { .. }
            | Self::RegistrationOpened(_)
            | Self::RegistrationClosed { .. } => None,
        }
    }

    /// Whether outside consumers see it (the stream and webhooks).
    #[must_use]
    pub const fn is_public(&self) -> bool {
        !matches!(self, Self::SessionTraffic { .. })
    }
}

/// Where events go. Never waits: a slow consumer loses events and can tell, the giver never does.
pub trait EventSink: Send + Sync + 'static {
    /// Gives the event its place and hands it to every consumer.
    fn emit(&self, at: UnixTime, project: ProjectId, event: DomainEvent);
}
