//! Refusals, as they are kept and read.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use causeway_types::{AllocationId, AuthRefusal, FiveTuple, LimitName, UnixTime};

use super::{Attribution, Order, ProjectId};
use crate::Identifier;

/// Why somebody was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FailureReason {
    /// No look-up knows the user name.
    UnknownUser,
    /// The name is known; the password is not its.
    WrongKey,
    /// The credential had expired.
    Expired,
    /// The credential was taken back.
    Revoked,
    /// The expiry in the name is further ahead than allowed.
    TooFarAhead,
    /// A request on a live allocation named another user.
    OtherUser,
    /// The credential is bound to another client address.
    OtherAddress,
    /// The look-up could not be made.
    Unavailable,
    /// The client was talked down to a weaker password algorithm.
    BidDown,
    /// A quota of allocations or bytes is used up.
    Quota,
    /// Another limit was reached.
    Limit,
    /// The peer policy, or the credential's scope, forbids the peer.
    ForbiddenPeer,
    /// A reloaded policy took a peer back.
    PeerWithdrawn,
    /// None of the above.
    Other,
}

impl FailureReason {
    /// Every reason.
    pub const ALL: [Self; 14] = [
        Self::UnknownUser,
        Self::WrongKey,
        Self::Expired,
        Self::Revoked,
        Self::TooFarAhead,
        Self::OtherUser,
        Self::OtherAddress,
        Self::Unavailable,
        Self::BidDown,
        Self::Quota,
        Self::Limit,
        Self::ForbiddenPeer,
        Self::PeerWithdrawn,
        Self::Other,
    ];

    /// Stable snake-case name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnknownUser => "unknown_user",
            Self::WrongKey => "wrong_key",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::TooFarAhead => "too_far_ahead",
            Self::OtherUser => "other_user",
            Self::OtherAddress => "other_address",
            Self::Unavailable => "unavailable",
            Self::BidDown => "bid_down",
            Self::Quota => "quota",
            Self::Limit => "limit",
            Self::ForbiddenPeer => "forbidden_peer",
            Self::PeerWithdrawn => "peer_withdrawn",
            Self::Other => "other",
        }
    }

    /// The reason of that name.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self::ALL.into_iter().find(|reason| reason.as_str() == name).unwrap_or(Self::Other)
    }
}

impl From<&AuthRefusal> for FailureReason {
    fn from(refusal: &AuthRefusal) -> Self {
        match refusal {
            AuthRefusal::UnknownUser => Self::UnknownUser,
            AuthRefusal::WrongKey => Self::WrongKey,
            AuthRefusal::Expired { .. } => Self::Expired,
            AuthRefusal::Revoked => Self::Revoked,
            AuthRefusal::TooFarAhead => Self::TooFarAhead,
            AuthRefusal::OtherUser => Self::OtherUser,
            AuthRefusal::OtherAddress => Self::OtherAddress,
            AuthRefusal::Unavailable => Self::Unavailable,
            AuthRefusal::BidDown => Self::BidDown,
            _ => Self::Other,
        }
    }
}

impl From<LimitName> for FailureReason {
    fn from(limit: LimitName) -> Self {
        match limit {
            LimitName::AllocationsPerUser
            | LimitName::Allocations
            | LimitName::AllocationsPerCredential
            | LimitName::BytesPerCredential => Self::Quota,
            LimitName::PermissionsPerAllocation
            | LimitName::ChannelsPerAllocation
            | LimitName::ConnectionsPerAllocation
            | LimitName::RelayPorts
            | LimitName::BandwidthPerAllocation
            | LimitName::BandwidthTotal
            | LimitName::ScopeMembers
            | _ => Self::Limit,
        }
    }
}

/// A refusal that just happened.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// Whose.
    pub project: ProjectId,
    /// Why.
    pub reason: FailureReason,
    /// The user name, as claimed.
    pub username: Option<Arc<str>>,
    /// To whom that name is ascribed, when it is known.
    pub attribution: Option<Arc<Attribution>>,
    /// From where, over what.
    pub five_tuple: Option<FiveTuple>,
    /// On which live session.
    pub session: Option<AllocationId>,
    /// How long the credential had expired.
    pub expired_by: Option<Duration>,
    /// Which limit.
    pub limit: Option<LimitName>,
    /// Which peer.
    pub peer: Option<SocketAddr>,
    /// By which rule.
    pub rule: Option<Arc<str>>,
}

/// Equal refusals of one minute, as they are written: absolute counts under a name of their own.
#[derive(Clone, Debug)]
pub struct Failure {
    /// 16 hexadecimal digits that no other has: they rise with time.
    pub id: String,
    /// The first one.
    pub first_at: UnixTime,
    /// The last one.
    pub last_at: UnixTime,
    /// How many.
    pub count: u64,
    /// Others of the same user and minute that are only counted.
    pub folded: u64,
    /// What the first one was.
    pub refusal: Refusal,
}

/// A stored refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailureView {
    /// Its name.
    pub id: String,
    /// The first one.
    pub first_at: UnixTime,
    /// The last one.
    pub last_at: UnixTime,
    /// How many.
    pub count: u64,
    /// Others of the same user and minute that are only counted.
    pub folded: u64,
    /// Why.
    pub reason: FailureReason,
    /// The user name, as claimed.
    pub username: Option<String>,
    /// Its room.
    pub room: Option<String>,
    /// Its clients: none, one, or two that share a credential.
    pub clients: Vec<String>,
    /// In which role.
    pub role: Option<String>,
    /// Over what the client came.
    pub transport: Option<String>,
    /// To which listener.
    pub listener: Option<String>,
    /// From where, as far as the privacy setting keeps it.
    pub client_address: Option<String>,
    /// On which live session.
    pub session: Option<String>,
    /// How long the credential had expired at the first one.
    pub expired_by: Option<Duration>,
    /// Which limit.
    pub limit: Option<String>,
    /// Which peer, as far as the privacy setting keeps it.
    pub peer: Option<String>,
    /// By which rule.
    pub rule: Option<String>,
}

/// By what refusals may be listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKey {
    /// When first.
    First,
    /// When last.
    Last,
    /// How many, folded ones included.
    Count,
}

impl FailureKey {
    /// Every key, under its name in requests.
    pub const ALL: [(&'static str, Self); 3] = [("first", Self::First), ("last", Self::Last), ("count", Self::Count)];
}

impl Default for Order<FailureKey> {
    fn default() -> Self {
        Self { by: FailureKey::First, is_descending: true }
    }
}

/// Which refusals to list.
#[derive(Clone, Debug, Default)]
pub struct FailureFilter {
    /// For this reason.
    pub reason: Option<FailureReason>,
    /// Of this room.
    pub room: Option<Identifier>,
    /// Of this client.
    pub client: Option<Identifier>,
    /// At or after.
    pub since: Option<UnixTime>,
    /// Before.
    pub until: Option<UnixTime>,
    /// Whose user name, room, client, address, peer, limit or rule has this in it; letters in any case.
    pub search: Option<String>,
    /// In which order.
    pub order: Order<FailureKey>,
}

/// By what refusals are summed up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureGroupBy {
    /// By reason.
    Reason,
    /// By room.
    Room,
    /// By client; what two share counts for both.
    Client,
}

/// Refusals of one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailureGroup {
    /// Reason, room or client; empty for what has none.
    pub key: String,
    /// How many.
    pub count: u64,
    /// The first one.
    pub first_at: UnixTime,
    /// The last one.
    pub last_at: UnixTime,
}
