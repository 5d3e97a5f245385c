//! The event bus: one ring of recent events, read by every consumer at its own pace.
//!
//! A giver never waits. A consumer that falls behind by more than the ring holds is told how many it missed.
//!
//! Entry points: [`EventBus`], [`redis::RedisPublisher`].

#![forbid(unsafe_code)]

mod bus;
pub mod redis;

pub use bus::{Batch, EventBus, Subscription};
