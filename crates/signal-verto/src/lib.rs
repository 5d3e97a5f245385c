//! The JSON-RPC call dialect of Telnyx's voice clients on the HTTP listeners: a WebSocket at `/rtc/v1`, or at whatever path
//! the application's `host` option names.
//!
//! Each connection has one [`VertoAgent`](causeway_verto_core::VertoAgent); registrations and calls are the switchboard's.
//! Here it is decided who a client is, where its calls go, and which session it comes back to.
//!
//! It keeps no calls and parses no frames. Entry points: [`VertoService`], [`router`], [`take`].
//! Source: `docs/compat/telnyx.md`.

#![forbid(unsafe_code)]

mod client;
mod figures;
mod service;
mod sessions;
mod settings;
mod socket;

pub use figures::{VertoFigures, VertoLimit};
pub use service::{VertoService, VertoStore, router};
pub use settings::VertoSettings;
pub use socket::take;
