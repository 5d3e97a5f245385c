//! The TURN server as a sans-IO state machine (RFC 8489, RFC 8656, RFC 6062, RFC 8016, RFC 5780).
//!
//! It decides; the `relay` crate does. It has no sockets, clocks, threads or operating-system randomness.
//!
//! The contract: one `handle_*` call, then [`TurnServer::poll_output`] until `None`, then the next input.

#![forbid(unsafe_code)]

mod config;
mod drop_reason;
mod io;
pub mod peer_policy;
mod server;

pub use config::{
    Grant, GrantLimits, IntegrityKeys, Limits, NatDiscoveryGrid, NonceKeys, OnExpiry, RelayFamilies, TurnConfig,
};
pub use drop_reason::{DropCounts, DropReason};
pub use io::{
    Admission, ClientLeg, ConnectOutcome, ConnectionId, Forward, HandOverReason, IcmpError, KeyAnswer, KeyQuery, LegId,
    OpenRelay, OpenRelayError, Output, PortChoice, Prefix, QueryId, RelayId, RelayOpened, RelayRequestId,
    ReservationToken, StreamDirection, TimerKind, Transmit, UserRef,
};
pub use server::TurnServer;
