//! Inputs and outputs of [`CallServer`](crate::CallServer).

use std::{sync::Arc, time::Duration};

use crate::{CallEvent, Candidate, ConnectionId, HangupCause, Identity, LegId, LegInput, NodeId};

/// What a leg's dialect can do. The same for every leg of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LegTraits {
    /// Candidates may follow the description it was given; otherwise they must all be inside.
    pub takes_candidates: bool,
    /// It places the new call itself when it is told that it is transferred (SIP: REFER, RFC 3515).
    pub takes_transfer: bool,
    /// How long its legs outlive a lost connection; none: they end with it.
    pub grace: Option<Duration>,
}

/// The protocol side of a leg: which connection its messages go to, and what is spoken there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LegRoute {
    /// Where.
    pub connection: ConnectionId,
    /// What it can do.
    pub traits: LegTraits,
}

/// The media side of a leg.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum MediaSide {
    /// The other leg's description is its description: media flows between the clients, directly or through the relay.
    #[default]
    PassThrough,
}

/// A header that applications attach: a name such as `X-Order`, and its value. The dialect decides which may pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Name.
    pub name: String,
    /// Value.
    pub value: String,
}

/// Somebody as others see them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Party {
    /// Verified by the shell.
    pub identity: Identity,
    /// As the party calls itself: shown, never believed.
    pub display: Arc<str>,
}

/// Which bindings of a callee ring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RingRule {
    /// The newest binding; when it goes before it answered, the next newest.
    #[default]
    Newest,
    /// Every binding at once; the first answer wins.
    All,
}

/// Where a call is to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// These identities, all at once; the first answer wins.
    Identities(Vec<Identity>),
    /// The party at this leg, whose present call is to be replaced by the new one (attended transfer, RFC 3891).
    Replacing(LegId),
    /// The same where this node does not know the leg: it is at one of the places where its party is registered. `leg` is its leg,
    /// or the one of the party that wants to be replaced.
    ReplacingAt {
        /// Which.
        leg: LegId,
        /// Whose call is to be replaced.
        party: Identity,
    },
    /// Nowhere yet: the call waits until a backend redirects it.
    Parked,
}

/// A new call.
#[derive(Clone, Debug)]
pub struct Dial {
    /// Who calls.
    pub from: Party,
    /// Over which connection.
    pub route: LegRoute,
    /// Whom.
    pub target: Target,
    /// The caller's session description, an offer (RFC 3264).
    pub offer: Arc<str>,
    /// More candidates will come.
    pub is_trickling: bool,
    /// Passed on to the callee.
    pub headers: Vec<Header>,
    /// Which bindings ring.
    pub ring: RingRule,
    /// How long they ring; at most, and by default, [`ring_max`](crate::CallLimits::ring_max).
    pub ring_for: Option<Duration>,
}

/// A place where an identity can be reached, as the answer to [`Output::Locate`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindingRef {
    /// Who is there.
    pub identity: Identity,
    /// How.
    pub route: LegRoute,
    /// What the dialect calls this binding (SIP: the user part of the Contact).
    pub contact: Arc<str>,
    /// What the node that has this client says of it to those who hear of an invitation; none for a client of this node.
    pub note: Option<Arc<str>>,
}

/// Names a question of where identities are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LocateId(pub u64);

/// How far a callee's leg has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The callee is alerted.
    Ringing,
    /// Its answer for media before the call is taken (RFC 3261 §13.2.1, early media).
    Early {
        /// Description.
        answer: Arc<str>,
    },
}

/// What is said inside a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Info {
    /// Digits `0`–`9`, `A`–`D`, `*`, `#` that travel beside the media.
    Dtmf {
        /// One or more.
        digits: Arc<str>,
        /// Of each.
        duration: Duration,
    },
    /// Anything else.
    Message {
        /// Media type.
        content_type: Arc<str>,
        /// Text.
        body: Arc<str>,
    },
}

/// Asks a party to call somebody else instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// Whom.
    pub to: Identity,
    /// The party at this leg is in a call that the new one replaces.
    pub replaces: Option<LegId>,
    /// Who asked.
    pub by: Identity,
}

/// What a leg's dialect is to say to its client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LegMessage {
    /// Somebody calls. The leg is new to the dialect.
    Invite {
        /// Who.
        from: Party,
        /// Whom: one of the identities that were dialled.
        to: Identity,
        /// Which of its bindings; empty when the leg replaces another.
        contact: Arc<str>,
        /// Offer.
        offer: Arc<str>,
        /// From the caller.
        headers: Vec<Header>,
        /// The leg at the same client that this call replaces.
        replaces: Option<LegId>,
    },
    /// The callee is alerted.
    Ringing,
    /// Nobody is asked yet: a backend decides.
    Parked,
    /// Early media.
    Early {
        /// The callee's.
        answer: Arc<str>,
    },
    /// The callee took the call.
    Answered {
        /// The callee's description.
        answer: Arc<str>,
        /// From the callee.
        headers: Vec<Header>,
        /// Who.
        by: Identity,
    },
    /// The leg is over. Nothing follows for it.
    Ended {
        /// Why.
        cause: HangupCause,
    },
    /// A candidate of the other party.
    Candidate(Candidate),
    /// The other party has no more.
    EndOfCandidates,
    /// The other party offers a new description (SIP: re-INVITE).
    Reoffer {
        /// Offer.
        offer: Arc<str>,
    },
    /// The answer to this leg's own offer.
    Reanswer {
        /// Answer.
        answer: Arc<str>,
    },
    /// This leg's own offer was not taken; everything stays as it was.
    ReofferRefused {
        /// Why.
        cause: HangupCause,
    },
    /// The other party holds, or takes back, the call, in a dialect that tells it without a description.
    Held {
        /// Which.
        is_held: bool,
    },
    /// The other party says something.
    Info(Info),
    /// Call somebody else instead.
    Transfer(Transfer),
    /// What became of the transfer that this leg asked for.
    TransferProgress {
        /// None while it is under way.
        outcome: Option<Result<(), HangupCause>>,
    },
}

/// What a [`CallServer`](crate::CallServer) wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Say this on that connection. One of another node: for that node's
    /// [`handle_from_owner`](crate::CallServer::handle_from_owner).
    ToLeg {
        /// About which leg.
        leg: LegId,
        /// Where.
        connection: ConnectionId,
        /// What.
        message: LegMessage,
    },
    /// A client here did this with a leg of a call that another node owns: for that node's
    /// [`handle_from_guest`](crate::CallServer::handle_from_guest).
    ToOwner {
        /// Which node.
        owner: NodeId,
        /// Which leg.
        leg: LegId,
        /// Where the client is.
        connection: ConnectionId,
        /// What.
        input: LegInput,
    },
    /// Where are these? Answered by [`handle_located`](crate::CallServer::handle_located).
    Locate {
        /// Question.
        id: LocateId,
        /// Who.
        identities: Vec<Identity>,
    },
    /// Something happened that others want to know.
    Event(CallEvent),
}

/// Why an input was refused. It changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// There is no such leg on this connection.
    #[error("there is no such leg on this connection")]
    NoSuchLeg,
    /// The leg is not in a state where this can be.
    #[error("the call is not in a state where this can be")]
    WrongState,
    /// Another renegotiation is under way (SIP: 491).
    #[error("another renegotiation is under way")]
    RenegotiationPending,
    /// It needs a media endpoint on the server, or a party that can place the new call itself.
    #[error("it needs a media endpoint on the server")]
    NeedsMedia,
    /// Limit `calls_max`.
    #[error("too many calls on this server")]
    TooManyCalls,
    /// Limit `legs_per_connection_max`.
    #[error("too many calls on this connection")]
    TooManyLegs,
    /// Limit `targets_max`, or none at all.
    #[error("too many callees, or none")]
    Targets,
    /// Limit `description_bytes_max`, or an empty one.
    #[error("the session description is too long or empty")]
    Description,
    /// Limit `candidates_max` or `candidate_bytes_max`.
    #[error("too many candidates, or too long a one")]
    Candidates,
    /// Limit `headers_bytes_max`.
    #[error("the headers are too long")]
    Headers,
}
