//! The events crate against real servers.

#[path = "../../src/redis/fixtures.rs"]
mod fixtures;
mod redis;
mod redis_server;
