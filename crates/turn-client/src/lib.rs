//! A TURN client as a sans-IO state machine (RFC 8489, RFC 8656): what `causeway probe`, the simulated world, the load
//! generator and tests speak with.
//!
//! It is one five-tuple of one client, so at most one allocation. It has no sockets, clocks, threads or randomness of
//! the operating system, and it is no ICE agent: it gathers and checks nothing.
//!
//! The contract: one `handle_*` call, then [`TurnClient::poll_output`] until `None`, then the next input. Call
//! [`TurnClient::handle_timeout`] when [`TurnClient::poll_timeout`] says so; late, early or twice does no harm. Same
//! configuration, seed and inputs give the same outputs.
//!
//! Data does not go through outputs where that would copy it: [`TurnClient::handle_datagram`] gives a slice of its
//! input, [`TurnClient::write_data`] appends to the caller's buffer.
//!
//! ```
//! # use causeway_turn_client::{AllocateOptions, ClientConfig, Output, Request, TurnClient};
//! # use causeway_types::{ClientTransport, Now};
//! let now = Now::read();
//! let mut client = TurnClient::new(ClientConfig::new(ClientTransport::Udp), [7; 32]);
//! let asked = client.handle_request(now, Request::Allocate(AllocateOptions::default()));
//! assert!(matches!(client.poll_output(), Some(Output::Transmit(_))));
//! assert!(client.poll_output().is_none() && client.is_pending(asked));
//! ```
//!
//! Entry points: [`TurnClient`], [`ClientConfig`], [`Request`], [`Outcome`].

#![forbid(unsafe_code)]
#![deny(clippy::indexing_slicing)]

mod answer;
mod client;
mod config;
mod data;
mod io;
mod keep_alive;
mod request;
mod session;
mod stream;
mod transaction;

pub use client::TurnClient;
pub use config::{AuthFeatures, ClientConfig, Credentials, RetransmitSchedule};
pub use data::SendDataError;
pub use io::{Ignored, Output, Received, Via};
pub use request::{AllocateOptions, Allocation, Outcome, PortWish, Refusal, Request, RequestId};

#[cfg(test)]
mod tests;
