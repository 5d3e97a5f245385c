//! Registrations and calls of one server: runs `call-core` for every signalling dialect.
//!
//! A dialect opens a [`Connection`] per client, says there what its client says, and takes from its inbox what the client is
//! to hear. Everything is done under one lock, without waiting; a client that does not take what it is told is cut off.
//!
//! It speaks no protocol and knows no token. Entry points: [`Switchboard`], [`Connection`], [`CallListener`].

#![forbid(unsafe_code)]

mod connection;
mod switchboard;

pub use connection::{Connection, Inbox, Placing, ToClient};
pub use switchboard::{CallListener, Counts, Switchboard, SwitchboardSettings};
