//! SIP over WebSocket (RFC 7118) as a sans-IO state machine: messages, transactions and dialogues of one connection.
//!
//! [`SipAgent`] is a user agent towards one client. Registrations and calls are the shell's, in the words of `call-core`:
//! a Call-ID never passes from one leg to another. What browsers' SIP libraries insist on is in the tests of [`agent`].
//!
//! It is no proxy and speaks no UDP or TCP: there are no retransmissions, no DNS, no Record-Route.
//!
//! Entry points: [`SipAgent`], [`Message`], [`auth`].

#![forbid(unsafe_code)]

pub mod agent;
pub mod auth;
pub mod bridge;
mod description;
pub mod message;
pub mod status;
pub mod uri;

pub use agent::{
    AgentLimits, AgentOutput, AgentSettings, AskId, Contact, DialAsk, DropReason, Page, PageId, RegisterAsk,
    ReplacesRef, SipAgent,
};
pub use message::{Message, ParseError};
pub use uri::{Address, Uri};
