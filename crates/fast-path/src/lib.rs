//! Relays the datagrams of bound channels inside the kernel, so that they never wake the process.
//!
//! A BPF program at the ingress of the network interfaces looks a packet up among *flows*, one for each channel, and sends it
//! on: ChannelData from a client becomes a datagram to the peer, a peer's datagram becomes ChannelData. Whatever it does not
//! know or is not sure of passes on to the sockets, which stay bound. It decides nothing: a flow is there because the core
//! granted a channel, and ends at the deadline the core gave it, by the kernel's own clock.
//!
//! It needs a kernel that frees programs with the process that attached them (6.6 for tc) and the capabilities `CAP_BPF` and
//! `CAP_NET_ADMIN`. Without them [`FastPath::start`] says so, and everything goes on in user space.
//!
//! Entry points: [`FastPath`], [`Flow`]; [`model`] is the program once more in plain Rust, for tests. The reasons are in
//! `docs/decisions/0013-fast-path.md`.

#![forbid(unsafe_code)]

mod clock;
mod features;
mod forwarding;
mod interfaces;
mod layout;
pub mod model;
mod netlink;
mod program;
mod routes;
mod site;
mod table;

pub use layout::{Flow, Open, Traffic};
pub use program::{OUTCOMES, Outcome};
pub use routes::{Routes, Way};
pub use site::{Entry, Site};
pub use table::{FastPath, FlowId, Life, Mode, RateId, Settings, Status, Unavailable};
