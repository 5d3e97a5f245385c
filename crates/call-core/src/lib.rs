//! Registrations, calls and legs as sans-IO state machines that know no protocol.
//!
//! A signalling dialect (SIP over WebSocket, a JSON-RPC dialect) maps its messages to the inputs of [`Registrar`] and
//! [`CallServer`] and their outputs to its messages. Neither has a socket, a clock, a thread or the system's randomness.
//! There is no media here: a session description is text that passes through, but for candidates that are gathered into it.
//!
//! The contract is that of every core: one `handle_*` call, then `poll_output` until `None`, then the next input. A
//! refusal is the value an input returns ([`Refusal`]); it changes nothing.
//!
//! Entry points: [`Registrar`], [`CallServer`], [`Dial`], [`Output`], [`HangupCause`]. Design: docs/decisions/0010-call-core.md.

#![forbid(unsafe_code)]

mod call;
mod cause;
mod description;
mod detached;
mod dial;
mod event;
mod guest;
mod hunt;
mod ids;
mod in_call;
mod io;
mod limits;
mod registrar;
mod server;
mod timers;

pub use cause::HangupCause;
pub use description::Candidate;
pub use event::{CallEvent, CallEventKind, EndedBy};
pub use guest::LegInput;
pub use ids::{AccountId, BindingId, CallId, ConnectionId, Identity, LegId, NodeId};
pub use io::{
    BindingRef, Dial, Header, Info, LegMessage, LegRoute, LegTraits, LocateId, MediaSide, Output, Party, Progress,
    Refusal, RingRule, Target, Transfer,
};
pub use limits::CallLimits;
pub use registrar::{
    Binding, PresenceChange, PresenceKind, RegisterRefusal, Registered, Registrar, RegistrarLimits, Registration,
};
pub use server::{CallServer, CallView, LegView};
