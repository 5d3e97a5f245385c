//! SIP over WebSocket (RFC 7118) on the HTTP listeners: `/sip` and `/sipproxy`, subprotocol `sip`.
//!
//! Each connection has one [`SipAgent`](causeway_sip_core::SipAgent); registrations and calls are the switchboard's. Here it
//! is decided who a client is, what it may do, and which ICE servers it is given, with the answers of [`SipAccess`].
//!
//! It keeps no calls and parses no messages. Entry points: [`SipService`], [`router`], [`SipAccess`].
//! Source: RFC 3261, RFC 7118, RFC 8898. Design: docs/decisions/0010-call-core.md.

#![forbid(unsafe_code)]

mod access;
mod call;
mod client;
mod domain;
mod figures;
mod ice;
mod page;
mod proof;
mod register;
mod service;
mod settings;
mod socket;
mod to_service;

pub use access::{
    Asking, CalleeRule, Grant, IceAsk, IceRefusal, IceServers, ServiceAsk, ServiceDecision, ServiceRoute, SipAccess,
    SipUser, TokenRefusal,
};
pub use figures::{LimitReached, SipFigures};
pub use service::{SipService, router};
pub use settings::{RingPolicy, SipSettings};
