//! The routes over a listener and a database of their own.

mod authorization;
mod client_tokens;
mod deliveries;
mod golden;
mod world;
