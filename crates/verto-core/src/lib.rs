//! The JSON-RPC dialect that Telnyx's voice client libraries speak over a WebSocket, as a sans-IO state machine of one
//! connection. It descends from FreeSWITCH's Verto.
//!
//! [`VertoAgent`] answers every request of its client and sends what the client is to hear. Who somebody is and where a
//! call goes it asks the shell ([`AgentOutput`]); registrations and calls are `call-core`'s. A client's `callID` never
//! passes to another leg.
//!
//! It knows no socket, no store, no REST call. Entry points: [`VertoAgent`], [`bridge::pass`], [`cause`].
//! Source: `compat/telnyx.md`.

#![forbid(unsafe_code)]

mod agent;
pub mod bridge;
pub mod cause;
mod frame;

pub use agent::{
    Act, AgentLimits, AgentOutput, AgentSettings, AskId, DialAsk, DropReason, GatewayState, LoggedIn, LoginAsk,
    LoginProof, RequestId, SavedDialogs, VertoAgent,
};
