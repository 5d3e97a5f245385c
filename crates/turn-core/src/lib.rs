//! The TURN server as a sans-IO state machine (RFC 8489, RFC 8656, RFC 6062, RFC 8016, RFC 5780).
//!
//! It decides; the `relay` crate does. It has no sockets, clocks, threads or operating-system randomness.
//!
//! The contract: one `handle_*` call, then [`TurnServer::poll_output`] until `None`, then the next input. Same
//! configuration, seed and inputs give the same outputs. Answers to unknown questions are ignored, and a socket or a
//! place that comes too late is given back.

#![forbid(unsafe_code)]

mod allocate;
mod allocation;
mod auth;
mod binding;
mod channels;
mod config;
mod data_path;
mod drop_reason;
mod io;
mod meter;
mod mobility;
mod nonce;
pub mod peer_policy;
mod pending;
mod rate;
mod reply;
mod requests;
mod scope;
mod server;
mod stats;
mod tcp_relay;
mod terminate;
mod withdrawal;

pub use channels::{AllocationKey, BoundChannel, BoundChannels, Relayed};
pub use config::{
    Grant, GrantLimits, IntegrityKeys, Limits, NatDiscoveryGrid, NonceKeys, OnExpiry, RelayFamilies, TurnConfig,
};
pub use drop_reason::{DropCounts, DropReason};
pub use io::{
    Admission, ClientLeg, ConnectOutcome, ConnectionId, Forward, HandOverReason, IcmpError, KeyAnswer, KeyQuery, LegId,
    OpenRelay, OpenRelayError, Output, PortChoice, Prefix, QueryId, RelayId, RelayOpened, RelayRequestId,
    ReservationToken, StreamDirection, TimerKind, Transmit, UserRef,
};
pub use scope::{SCOPE_MEMBERS_MAX, ScopeKind};
pub use server::{AllocationView, TurnServer};
pub use stats::{REFUSAL_CODES, REQUEST_METHODS, TurnStats};
