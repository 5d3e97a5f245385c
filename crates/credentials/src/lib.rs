//! ICE credentials, API tokens, client tokens and AWS request signatures: issue, derive, verify. Time and randomness come in as values.
//!
//! Entry points: [`issued`], [`turn_rest`], [`token`], [`sign_in`], [`inspect`], [`sigv4`], [`access_key`],
//! [`client_token`].

#![forbid(unsafe_code)]

pub mod access_key;
pub mod client_token;
pub mod inspect;
pub mod issued;
pub mod sign_in;
pub mod sigv4;
pub mod token;
pub mod turn_rest;
pub mod voice_token;
