//! Redis: the life and traffic of every session in the keys and channels of coturn's statistics database.
//!
//! Source: `docs/events.md#redis`; the wire is that of coturn 4.6.1's `redis-statsdb`, with the differences listed there.
//!
//! An event goes bus → `queue` (bounded, never waits) → `ledger` (commands, in coturn's order) → one connection. The
//! relay is never near it: all of this lives behind the bus.

mod board;
mod cluster;
mod connect;
#[cfg(test)]
mod fixtures;
mod ledger;
mod publisher;
mod queue;
mod render;
mod target;
mod tls;

pub use cluster::RedisCluster;
pub use publisher::{LiveSessions, RedisPublisher, RedisSettings, RedisStatus};
pub use target::{RedisTarget, RedisTls, TargetError};
