//! Where keys come from.

use causeway_turn_core::{KeyAnswer, KeyQuery};
use causeway_types::UnixTime;

/// Answers key queries from memory. Called on a data-plane thread for an Allocate, never for a packet: it may take an
/// uncontended lock, but must not wait for I/O.
pub trait KeySource: Send + Sync {
    /// Looks the user up.
    fn keys(&self, query: &KeyQuery, now: UnixTime, shard: causeway_types::ShardIndex) -> KeyLookup;
}

/// What a look-up says.
#[derive(Debug)]
pub enum KeyLookup {
    /// The answer.
    Answer(KeyAnswer),
    /// It will come through [`RelayHandle::answer_key`](crate::RelayHandle::answer_key).
    Pending,
}
