//! What the load generators share: the machine they run on, the process they measure, the clients they speak
//! with.
//!
//! Tools for developers; no product code uses them. The programs are `main.rs` (causeway beside coturn: `make bench`),
//! `bin/fast-path-soak` (the kernel fast path, for minutes: `make soak-fast-path`, `make soak-server`), `bin/events.rs` (the event bus:
//! `make bench-events`), `bin/kvs.rs` (idle signalling connections: `make bench-kvs`), `bin/api-bench` (the API: `make
//! bench-api`) and `bin/calls` (registrations and calls: `make bench-calls`).

#![forbid(unsafe_code)]

pub mod http;
pub mod machine;
pub mod process;
pub mod serving;
pub mod space;
pub mod turn;
