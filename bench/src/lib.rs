//! What the load generators share: the machine they run on, the process they measure, the TURN client they speak with.
//!
//! Tools for developers; no product code uses them. The programs are `main.rs` (causeway beside coturn: `make bench`),
//! `bin/fast-path-soak` (the kernel fast path, for minutes: `make soak-fast-path`), `bin/events.rs` (the event bus: `make bench-events`) and `bin/api-bench` (the API: `make bench-api`).

#![forbid(unsafe_code)]

pub mod machine;
pub mod process;
pub mod space;
pub mod turn;
