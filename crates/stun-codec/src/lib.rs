//! STUN and TURN messages on the wire: parse without copying, build into one buffer, frame streams.
//!
//! It knows bytes, not behaviour: no state, no clocks, no randomness, no I/O. It never panics on any input.
//!
//! Entry points: [`Message::parse`], [`MessageBuilder`], [`channel_data`], [`framing`], [`classify`], [`key`].
//!
//! Source documents: RFC 8489 (STUN), RFC 8656 (TURN), RFC 6062 (TCP relaying), RFC 8016 (mobility), RFC 5780 (NAT
//! behaviour discovery), RFC 3489 (classic STUN, tolerated).

#![forbid(unsafe_code)]
#![deny(clippy::indexing_slicing)]

mod attribute_type;
pub mod attributes;
mod builder;
pub mod channel_data;
pub mod framing;
mod header;
mod integrity;
pub mod key;
mod message;

pub use attribute_type::AttributeType;
pub use attributes::{Attribute, AttributeError};
pub use builder::MessageBuilder;
pub use framing::{Kind, classify};
pub use header::{Class, HEADER_LEN, MAGIC_COOKIE, Method, TransactionId};
pub use integrity::{Fingerprint, Integrity};
pub use message::{Attributes, Message, ParseError, RawAttribute};

#[cfg(test)]
mod tests;
