//! Why a leg ended, in one vocabulary. Every dialect maps it to its own codes and back.

/// Why a leg, a dial or a renegotiation came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HangupCause {
    /// A party of an answered call hung up.
    Normal,
    /// The caller gave up before an answer.
    Cancelled,
    /// The callee is in another call, or says so.
    Busy,
    /// The callee refused this call.
    Rejected,
    /// Nobody answered in time.
    NoAnswer,
    /// The callee's software gave up waiting for its user, or for something behind it.
    TimedOut,
    /// Nobody of that name is known.
    NotFound,
    /// The callee is known and not registered.
    NotRegistered,
    /// The caller may not call this callee.
    Forbidden,
    /// Another device of the callee answered.
    AnsweredElsewhere,
    /// The other party's connection was lost and did not come back in time.
    ConnectionLost,
    /// The parties have no media in common, or one refused the other's description.
    IncompatibleMedia,
    /// A party's software was sent something that lacks what it needs.
    Incomplete,
    /// What lies behind a party's software did not answer it in time.
    GatewayTimeout,
    /// A party's software has no way on.
    BadGateway,
    /// The call was replaced by another (attended transfer).
    Replaced,
    /// An operator, a backend or a revocation ended it.
    Administrative,
    /// The longest duration a call may have was reached.
    DurationLimit,
    /// A limit of this server was reached.
    Congestion,
    /// A party's software failed, or gave a reason nobody knows.
    Failure,
    /// The server stops.
    Shutdown,
}

impl HangupCause {
    /// Every cause: for tables that must be complete.
    pub const ALL: [Self; 21] = [
        Self::Normal,
        Self::Cancelled,
        Self::Busy,
        Self::Rejected,
        Self::NoAnswer,
        Self::TimedOut,
        Self::NotFound,
        Self::NotRegistered,
        Self::Forbidden,
        Self::AnsweredElsewhere,
        Self::ConnectionLost,
        Self::IncompatibleMedia,
        Self::Incomplete,
        Self::GatewayTimeout,
        Self::BadGateway,
        Self::Replaced,
        Self::Administrative,
        Self::DurationLimit,
        Self::Congestion,
        Self::Failure,
        Self::Shutdown,
    ];

    /// The name in our own API, events and records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Cancelled => "cancelled",
            Self::Busy => "busy",
            Self::Rejected => "rejected",
            Self::NoAnswer => "no_answer",
            Self::TimedOut => "timed_out",
            Self::NotFound => "not_found",
            Self::NotRegistered => "not_registered",
            Self::Forbidden => "forbidden",
            Self::AnsweredElsewhere => "answered_elsewhere",
            Self::ConnectionLost => "connection_lost",
            Self::IncompatibleMedia => "incompatible_media",
            Self::Incomplete => "incomplete",
            Self::GatewayTimeout => "gateway_timeout",
            Self::BadGateway => "bad_gateway",
            Self::Replaced => "replaced",
            Self::Administrative => "administrative",
            Self::DurationLimit => "duration_limit",
            Self::Congestion => "congestion",
            Self::Failure => "failure",
            Self::Shutdown => "shutdown",
        }
    }

    /// Of several devices that did not take a call, whose reason the caller is told: the highest (RFC 3261 §16.7 step 6
    /// leaves the choice within a class to the implementation).
    pub(crate) const fn weight(self) -> u8 {
        match self {
            Self::Rejected => 9,
            Self::Busy => 8,
            Self::IncompatibleMedia => 7,
            Self::NoAnswer | Self::TimedOut => 6,
            Self::Forbidden => 5,
            Self::Failure | Self::Congestion | Self::Incomplete | Self::GatewayTimeout | Self::BadGateway => 4,
            Self::ConnectionLost => 3,
            Self::NotRegistered => 2,
            Self::NotFound => 1,
            Self::Normal
            | Self::Cancelled
            | Self::AnsweredElsewhere
            | Self::Replaced
            | Self::Administrative
            | Self::DurationLimit
            | Self::Shutdown => 0,
        }
    }
}
