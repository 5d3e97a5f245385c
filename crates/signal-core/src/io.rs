//! The inputs and outputs of [`SignalChannels`](crate::SignalChannels).

use std::{sync::Arc, time::Duration};

/// The shell's number of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelId(pub i64);

/// The shell's number of a connection; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// Who is connected.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Peer {
    /// The one that answers.
    Master,
    /// One of those that call, by its id.
    Viewer(Arc<str>),
}

/// A connection to be.
#[derive(Clone, Debug)]
pub struct Attach {
    /// Its number.
    pub connection: ConnectionId,
    /// To which channel.
    pub channel: ChannelId,
    /// As whom.
    pub peer: Peer,
    /// How long the channel's messages wait.
    pub message_ttl: Duration,
}

/// What a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MessageKind {
    /// A session description that asks.
    Offer,
    /// A session description that answers.
    Answer,
    /// An ICE candidate.
    Candidate,
}

/// A message of a connection. Nobody looks into the payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// What for.
    pub kind: MessageKind,
    /// Which viewer; ignored from viewers, who speak to the master only.
    pub recipient: Option<Arc<str>>,
    /// Passed on as it is.
    pub payload: Arc<str>,
    /// Asks to be told of a failure under this name.
    pub correlation: Option<Arc<str>>,
}

/// Why a peer is not connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The channel has as many viewers as it may.
    TooManyViewers,
}

/// Why a message went nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// A master names the viewer it means.
    NoRecipient,
    /// Above [`Limits::payload_bytes_max`](crate::Limits::payload_bytes_max).
    PayloadTooLong,
    /// Above the rate of its kind.
    TooFast,
    /// The recipient is away, and too much waits.
    TooManyWaiting,
}

/// Why a connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// A newer one took its place.
    Superseded,
    /// Nothing was heard of it.
    Idle,
    /// It lasted as long as it may.
    TooOld,
    /// Its channel is gone.
    ChannelGone,
    /// The server ends, or the node that served the channel did.
    ServerEnds,
}

/// What the shell is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send a message.
    Deliver {
        /// To whom.
        to: ConnectionId,
        /// What for.
        kind: MessageKind,
        /// Which viewer it is from; none from the master.
        sender: Option<Arc<str>>,
        /// As it came.
        payload: Arc<str>,
    },
    /// Tell a sender that its message went nowhere.
    Status {
        /// Whom.
        to: ConnectionId,
        /// Under which name.
        correlation: Arc<str>,
        /// Why.
        problem: Problem,
    },
    /// Ask it to reconnect.
    GoAway {
        /// Whom.
        to: ConnectionId,
    },
    /// Ask it to fetch relay addresses and to reconnect.
    RelaysChanged {
        /// Whom.
        to: ConnectionId,
    },
    /// Close; the core knows the connection no more.
    Close {
        /// Which.
        to: ConnectionId,
        /// Why.
        reason: CloseReason,
    },
}

impl Output {
    /// Which connection it is about.
    #[must_use]
    pub const fn connection(&self) -> ConnectionId {
        match self {
            Self::Deliver { to, .. }
            | Self::Status { to, .. }
            | Self::GoAway { to }
            | Self::RelaysChanged { to }
            | Self::Close { to, .. } => *to,
        }
    }
}

impl Figures {
    pub(crate) const fn note(&mut self, problem: Problem) {
        *match problem {
            Problem::NoRecipient => &mut self.no_recipient,
            Problem::PayloadTooLong => &mut self.payload_too_long,
            Problem::TooFast => &mut self.too_fast,
            Problem::TooManyWaiting => &mut self.too_many_waiting,
        } += 1;
    }
}

/// What was counted since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Messages given to a connection.
    pub delivered: u64,
    /// Messages that had to wait.
    pub stored: u64,
    /// Messages whose recipient did not come in time.
    pub expired: u64,
    /// Messages that went nowhere: [`Problem::NoRecipient`].
    pub no_recipient: u64,
    /// [`Problem::PayloadTooLong`].
    pub payload_too_long: u64,
    /// [`Problem::TooFast`].
    pub too_fast: u64,
    /// [`Problem::TooManyWaiting`].
    pub too_many_waiting: u64,
}
