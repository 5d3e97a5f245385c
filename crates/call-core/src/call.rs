//! A call, its legs, and where they stand.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use causeway_types::UnixTime;

use crate::{
    BindingRef, CallId, Candidate, Header, Identity, LegId, LegMessage, LegRoute, LocateId, MediaSide, Party, RingRule,
    hunt::Hunt,
};

/// Where a call stands.
#[derive(Debug)]
pub(crate) enum Phase {
    /// Where is the callee?
    Locating(LocateId),
    /// The caller's candidates are waited for; these will be asked then.
    Gathering(Vec<BindingRef>),
    /// Devices ring.
    Ringing,
    /// One answered; its candidates are waited for before the caller is told.
    Answering { callee: LegId, answer: Arc<str>, headers: Vec<Header>, candidates: Vec<Candidate> },
    /// Both talk.
    Active { callee: LegId },
    /// A backend decides.
    Parked,
}

/// The caller's offer while it grows.
#[derive(Debug)]
pub(crate) struct Offer {
    pub(crate) description: Arc<str>,
    pub(crate) candidates: Vec<Candidate>,
    pub(crate) is_complete: bool,
}

/// A renegotiation under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Renegotiation {
    pub(crate) by: LegId,
    pub(crate) until: Instant,
}

/// A call.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) id: CallId,
    pub(crate) caller: LegId,
    pub(crate) from: Party,
    pub(crate) phase: Phase,
    /// Of the phase.
    pub(crate) deadline: Option<Instant>,
    pub(crate) offer: Offer,
    pub(crate) headers: Vec<Header>,
    pub(crate) ring: RingRule,
    pub(crate) ring_for: Duration,
    pub(crate) hunt: Hunt,
    /// The leg at the callee that this call replaces.
    pub(crate) replaces: Option<LegId>,
    /// The caller has a callee's description already.
    pub(crate) has_early_answer: bool,
    pub(crate) is_ringing_told: bool,
    /// Devices that were asked and are not out.
    pub(crate) ringing: Vec<LegId>,
    pub(crate) renegotiation: Option<Renegotiation>,
    pub(crate) started: UnixTime,
    pub(crate) answered: Option<UnixTime>,
}

impl Call {
    /// The other party's leg, once there is one.
    pub(crate) fn other(&self, leg: LegId) -> Option<LegId> {
        match &self.phase {
            Phase::Active { callee } if leg == self.caller => Some(*callee),
            Phase::Active { callee } if leg == *callee => Some(self.caller),
            Phase::Active { .. }
            | Phase::Locating(_)
            | Phase::Gathering(_)
            | Phase::Ringing
            | Phase::Answering { .. }
            | Phase::Parked => None,
        }
    }
}

/// One party's side.
#[derive(Debug)]
pub(crate) struct Leg {
    pub(crate) call: CallId,
    pub(crate) route: LegRoute,
    pub(crate) media: MediaSide,
    /// Who is there: the verified caller, or the identity that was dialled.
    pub(crate) identity: Identity,
    /// Of the binding that was invited.
    pub(crate) note: Option<Arc<str>>,
    pub(crate) is_ringing: bool,
    pub(crate) is_held: bool,
    /// The connection is gone and may come back until then.
    pub(crate) detached_until: Option<Instant>,
    /// What a detached leg is told when it is back: that it was answered, then the newest renegotiation.
    pub(crate) waiting: Vec<LegMessage>,
}
