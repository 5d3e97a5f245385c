//! Registrations and calls of one server: runs `call-core` for every signalling dialect.
//!
//! A dialect opens a [`Connection`] per client, says there what its client says, and takes from its inbox what the client is
//! to hear. Everything is done under one lock, without waiting; a client that does not take what it is told is cut off.
//!
//! Several servers are one: each posts who is registered with it, the caller's server owns a call, and letters between servers carry
//! what is said to and by the callees of others. Design: docs/decisions/0014-calls-between-servers.md.
//!
//! It speaks no protocol and knows no token. Entry points: [`Switchboard`], [`Connection`], [`CallListener`].

#![forbid(unsafe_code)]

mod ask;
mod cluster;
mod connection;
mod letter;
mod posting;
mod switchboard;
mod text;

pub use ask::{Answerer, OwnerSilent};
pub use cluster::node_of;
pub use connection::{Connection, Inbox, Placing, ToClient};
pub use switchboard::{CallListener, Counts, Switchboard, SwitchboardSettings};
pub use text::{ClientText, TextPort};
