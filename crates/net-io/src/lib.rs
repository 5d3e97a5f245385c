//! The operating system's side of the data plane: epoll, batched UDP with segmentation offload, the socket error queue, memory
//! shared with the kernel.
//!
//! This is the only crate with unsafe code; each block says why it is sound. It decides nothing about TURN.
//!
//! Entry points: [`Epoll`], [`Waker`], [`UdpSocket`], [`tcp`]. Source: Linux man pages epoll(7), udp(7), ip(7), cmsg(3).

#![expect(unsafe_code, reason = "system calls that std and socket2 have no safe form of")]

mod address;
mod epoll;
mod limits;
mod shared_memory;
pub mod tcp;
mod udp;
mod waker;

pub use epoll::{Epoll, Event, Events, Interest};
pub use limits::raise_descriptor_limit;
pub use shared_memory::{SharedMemory, monotonic_nanos};
pub use udp::{
    ConnectedSender, IcmpReport, RECEIVES_MAX, Received, SEGMENTS_MAX, UdpOptions, UdpSocket, segment_writes,
};
pub use waker::Waker;
