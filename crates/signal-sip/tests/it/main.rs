//! SIP over a real WebSocket: who is let in, and whole calls.

mod calls;
mod entry;
mod floods;
mod leaks;
mod limits;
mod world;
