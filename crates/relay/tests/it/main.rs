//! The data plane over real sockets, driven by a small client of its own.

mod client;
mod credentials;
mod dtls;
mod events;
mod moved;
mod relayed;
mod robustness;
mod senders;
mod server;
mod tcp_relaying;
