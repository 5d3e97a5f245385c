//! The event bus: one ring of recent events, read by every consumer at its own pace.
//!
//! A giver never waits. A consumer that falls behind by more than the ring holds is told how many it missed.
//!
//! Entry points: [`EventBus`], which is also the feed of rendered events (`app::EventFeed`), [`render()`],
//! [`redis::RedisPublisher`].

#![forbid(unsafe_code)]

mod bus;
mod feed;
pub mod redis;
mod render;

pub use bus::{Batch, EventBus, Subscription};
pub use render::render;
