//! ICE credentials and API tokens: issue, derive, verify. Time and randomness come in as values.
//!
//! Entry points: [`issued`], [`turn_rest`], [`token`], [`inspect`].

#![forbid(unsafe_code)]

pub mod inspect;
pub mod issued;
pub mod token;
pub mod turn_rest;
