//! The bodies of the fuzz targets, shared with the tests that replay the committed corpora.
//!
//! Each takes whatever bytes the fuzzer thought of, and panics on a finding.

pub mod codec;
pub mod core;
mod recipe;
pub mod sip;
pub mod verto;
pub mod world;
