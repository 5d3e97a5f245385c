//! SIP over a real WebSocket: who is let in, and whole calls.

mod calls;
mod entry;
mod limits;
mod world;
