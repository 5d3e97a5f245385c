//! What the RFCs ask of a TURN server, statement by statement, against the core alone and in virtual time.
//!
//! `docs/compliance/*.toml` names these tests.

mod allocate;
mod auth;
mod balance;
mod binding;
mod channels;
mod data;
mod limits;
mod meter;
mod mobility;
mod nat_discovery;
mod permissions;
mod refresh;
mod scope;
mod tcp;
mod withdrawal;
mod world;
