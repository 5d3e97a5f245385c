//! One request on its way: retransmission and giving up (RFC 8489 §6.2.1, §6.2.2).

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    config::RetransmitSchedule,
    request::{Outcome, Request, RequestId},
    session::Session,
};

/// A pending request.
pub(crate) struct Transaction {
    /// `None` when the client asks on its own, to keep something alive.
    pub(crate) id: Option<RequestId>,
    pub(crate) request: Request,
    /// As sent, kept for retransmission; empty on a stream.
    pub(crate) bytes: Vec<u8>,
    /// What it was signed with.
    pub(crate) signed: Option<Arc<Session>>,
    /// Challenges answered so far for this request.
    pub(crate) challenges: u32,
    pub(crate) unauthentic_answers: u32,
    pub(crate) unproven_code: Option<u16>,
    /// When something is due.
    pub(crate) due: Instant,
    sent_count: u32,
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// Send it again.
    Retransmit,
    /// No answer came in time.
    GiveUp,
}

impl Transaction {
    /// A request that is being sent at `now`.
    pub(crate) fn new(
        id: Option<RequestId>,
        request: Request,
        bytes: Vec<u8>,
        signed: Option<Arc<Session>>,
        challenges: u32,
        due: Instant,
    ) -> Self {
        let (unauthentic_answers, unproven_code) = (0, None);
        Self { id, request, bytes, signed, challenges, unauthentic_answers, unproven_code, due, sent_count: 1 }
    }

    /// Called when `due` has come.
    pub(crate) fn advance(&mut self, schedule: &RetransmitSchedule) -> Due {
        if self.bytes.is_empty() || self.sent_count >= schedule.transmissions_max {
            return Due::GiveUp;
        }
        self.sent_count += 1;
        self.due += schedule.wait_after(self.sent_count);
        Due::Retransmit
    }

    /// How it ends when nothing that could be taken came.
    pub(crate) const fn timed_out(&self) -> Outcome {
        Outcome::TimedOut { unauthentic_answers: self.unauthentic_answers, unproven_code: self.unproven_code }
    }
}

impl RetransmitSchedule {
    /// The wait after the transmission with this number, counted from 1: RTO, 2 RTO, 4 RTO …, and after the last one
    /// Rm times RTO.
    pub(crate) fn wait_after(&self, transmission: u32) -> Duration {
        if transmission >= self.transmissions_max {
            return self.initial_timeout.saturating_mul(self.last_wait_factor);
        }
        self.initial_timeout.saturating_mul(1_u32.checked_shl(transmission - 1).unwrap_or(u32::MAX))
    }
}
