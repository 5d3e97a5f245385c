//! Plain counters a shell reads on a tick.

use causeway_stun_codec::Method;
use causeway_types::TrafficCount;

/// Error codes the server answers with, in counter order.
pub const REFUSAL_CODES: [u16; 16] = [300, 400, 401, 403, 405, 420, 437, 438, 440, 441, 442, 443, 446, 447, 486, 508];

/// Requests counted by method, in counter order; the last counts every other method.
pub const REQUEST_METHODS: [&str; 8] =
    ["binding", "allocate", "refresh", "create_permission", "channel_bind", "connect", "connection_bind", "other"];

/// Totals of one shard since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TurnStats {
    /// Payload from clients that went on to peers.
    pub from_client: TrafficCount,
    /// Payload from peers that went on to clients.
    pub to_client: TrafficCount,
    /// Allocations granted.
    pub allocations_created: u64,
    /// Allocations ended.
    pub allocations_ended: u64,
    /// Peers whose permission, channel or connection a reloaded policy took back.
    pub peers_withdrawn: u64,
    requests: [u64; REQUEST_METHODS.len()],
    refusals: [u64; REFUSAL_CODES.len()],
}

impl TurnStats {
    pub(crate) fn count_request(&mut self, method: Method) {
        let index = match method {
            Method::BINDING => 0,
            Method::ALLOCATE => 1,
            Method::REFRESH => 2,
            Method::CREATE_PERMISSION => 3,
            Method::CHANNEL_BIND => 4,
            Method::CONNECT => 5,
            Method::CONNECTION_BIND => 6,
            _ => 7,
        };
        if let Some(count) = self.requests.get_mut(index) {
            *count += 1;
        }
    }

    pub(crate) fn count_refusal(&mut self, code: u16) {
        if let Some(index) = REFUSAL_CODES.iter().position(|known| *known == code)
            && let Some(count) = self.refusals.get_mut(index)
        {
            *count += 1;
        }
    }

    /// Requests by method name.
    pub fn requests(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        REQUEST_METHODS.iter().copied().zip(self.requests)
    }

    /// Refusals by error code.
    pub fn refusals(&self) -> impl Iterator<Item = (u16, u64)> + '_ {
        REFUSAL_CODES.iter().copied().zip(self.refusals)
    }
}
