//! What the data plane tells about itself, copied out on a tick.

use causeway_turn_core::{DropCounts, TurnStats};

/// One shard's figures.
#[derive(Clone, Copy, Debug, Default)]
pub struct ShardStats {
    /// The core's counters.
    pub turn: TurnStats,
    /// Drops by reason, the shell's own included.
    pub drops: DropCounts,
    /// Live allocations.
    pub allocations: u64,
    /// Open TCP and TLS connections of clients.
    pub connections: u64,
    /// DTLS associations.
    pub dtls_associations: u64,
    /// Sockets that busy flows are sent by.
    pub senders: u64,
    /// Busy flows that got none: too many, or the system gave none.
    pub senders_refused: u64,
    /// Bugs met and survived.
    pub panics: u64,
}

/// All shards' figures.
#[derive(Clone, Debug, Default)]
pub struct RelayStats {
    /// By shard index.
    pub shards: Vec<ShardStats>,
    /// Events that found their queue full.
    pub events_dropped: u64,
    /// Live allocations, exact at any time.
    pub allocations: u64,
}
