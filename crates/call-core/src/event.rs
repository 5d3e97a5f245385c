//! What others are told of a call: records, webhooks, the event stream.

use std::sync::Arc;

use causeway_types::UnixTime;

use crate::{CallId, ConnectionId, HangupCause, Identity, LegId};

/// Who ended a leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndedBy {
    /// The party that placed the call.
    Caller,
    /// The party that was called.
    Callee,
    /// A deadline, a limit, a backend or an operator.
    Server,
}

/// One thing that happened to a call. Events of a call come in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallEvent {
    /// When.
    pub at: UnixTime,
    /// To which.
    pub call: CallId,
    /// What.
    pub kind: CallEventKind,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallEventKind {
    /// A call was placed.
    Started {
        /// The caller's leg.
        leg: LegId,
        /// Who.
        from: Identity,
        /// Whom; none while it is parked.
        to: Vec<Identity>,
        /// Where the caller is.
        connection: ConnectionId,
        /// It waits for a backend.
        is_parked: bool,
    },
    /// A parked call was sent somewhere.
    Redirected {
        /// Whom.
        to: Vec<Identity>,
    },
    /// A device was asked.
    Invited {
        /// The callee's leg.
        leg: LegId,
        /// Who.
        to: Identity,
        /// Where it is.
        connection: ConnectionId,
        /// [`BindingRef::note`](crate::BindingRef::note).
        note: Option<Arc<str>>,
    },
    /// A device rings.
    Ringing {
        /// Which.
        leg: LegId,
    },
    /// A device answered: the call is active.
    Answered {
        /// Which.
        leg: LegId,
    },
    /// A party holds the call, or takes it back.
    Held {
        /// Its leg.
        leg: LegId,
        /// Which.
        is_held: bool,
    },
    /// The parties agreed on new descriptions.
    Renegotiated,
    /// Digits were sent beside the media.
    Dtmf {
        /// By.
        leg: LegId,
        /// Which.
        digits: Arc<str>,
    },
    /// A party was asked to call somebody else.
    Transferred {
        /// Who asked.
        by: LegId,
        /// Whom to call.
        to: Identity,
    },
    /// A party's connection is gone; its leg waits for it.
    Detached {
        /// Whose.
        leg: LegId,
    },
    /// It came back.
    Resumed {
        /// Whose.
        leg: LegId,
    },
    /// A device that rang is out.
    LegEnded {
        /// Which.
        leg: LegId,
        /// Why.
        cause: HangupCause,
    },
    /// The call is over: the last event.
    Ended {
        /// Why.
        cause: HangupCause,
        /// By whom.
        by: EndedBy,
    },
}
