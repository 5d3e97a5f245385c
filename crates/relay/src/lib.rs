//! The data plane: threads that own their listeners, relay sockets, timers and one [`causeway_turn_core::TurnServer`] each.
//!
//! Nothing is shared or locked for a packet. Between threads go bounded command queues; out go events and counters.
//!
//! Entry points: [`Relay::start`], [`RelayHandle`], [`KeySource`].

#![forbid(unsafe_code)]

mod admissions;
mod bandwidth;
mod command;
mod handle;
mod keys;
mod leg;
mod ports;
mod proxy_protocol;
mod scopes;
mod security;
mod settings;
mod shard;
mod stats;
mod unanswered;

pub use handle::{BoundAddress, Relay, RelayHandle, StartError};
pub use keys::{KeyLookup, KeySource};
pub use settings::{DtlsIdentity, RelayAddress, RelayLimits, RelaySettings, Reload};
pub use stats::{RelayStats, ShardStats};
