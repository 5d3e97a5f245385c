//! How much, how many, how long.

use std::time::Duration;

/// Limits of calls. Reaching one refuses the input with a [`Refusal`](crate::Refusal) of that name.
#[derive(Clone, Copy, Debug)]
pub struct CallLimits {
    /// Calls at once.
    pub calls_max: usize,
    /// Legs that one connection has at once, as caller and callee.
    pub legs_per_connection_max: usize,
    /// Devices that ring at once for one call.
    pub ringing_max: usize,
    /// Identities one dial may name.
    pub targets_max: usize,
    /// Bytes of a session description.
    pub description_bytes_max: usize,
    /// Bytes of a candidate line.
    pub candidate_bytes_max: usize,
    /// Candidates kept while gathering.
    pub candidates_max: usize,
    /// Bytes of the headers a dial carries along.
    pub headers_bytes_max: usize,
    /// How long a trickling caller is waited for before its offer goes out as it is.
    pub gather_max: Duration,
    /// How long a callee may ring.
    pub ring_max: Duration,
    /// How long a parked call waits.
    pub park_max: Duration,
    /// How long the other side may take to answer a renegotiation.
    pub renegotiation_max: Duration,
    /// How long a call may last after its answer.
    pub duration_max: Duration,
}

impl Default for CallLimits {
    fn default() -> Self {
        Self {
            calls_max: 20_000,
            legs_per_connection_max: 8,
            ringing_max: 16,
            targets_max: 16,
            description_bytes_max: 64 * 1024,
            candidate_bytes_max: 512,
            candidates_max: 64,
            headers_bytes_max: 8 * 1024,
            gather_max: Duration::from_secs(3),
            ring_max: Duration::from_secs(60),
            park_max: Duration::from_secs(600),
            renegotiation_max: Duration::from_secs(10),
            duration_max: Duration::from_secs(24 * 3600),
        }
    }
}
