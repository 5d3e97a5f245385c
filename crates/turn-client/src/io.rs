//! What comes out of the client, apart from outcomes of requests.

use std::net::SocketAddr;

use causeway_stun_codec::attributes::Icmp;

use crate::request::{Outcome, Request, RequestId};

/// What the shell does, or learns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send these bytes to the server: one datagram, or the next bytes of the stream.
    Transmit(Vec<u8>),
    /// A request of the caller has come to its end.
    Done {
        /// What [`TurnClient::handle_request`](crate::TurnClient::handle_request) gave.
        id: RequestId,
        /// How it went.
        outcome: Outcome,
    },
    /// Data of a peer that came over a stream. Over datagrams it is a [`Received::Data`].
    Data {
        /// Who sent it.
        peer: SocketAddr,
        /// In which form it came.
        via: Via,
        /// The payload.
        data: Vec<u8>,
    },
    /// An ICMP error from the path to a peer, over a stream (RFC 8656 §11.5).
    Icmp {
        /// The peer it is about.
        peer: SocketAddr,
        /// What was reported.
        icmp: Icmp,
    },
    /// A request of the client's own, to keep something alive, failed. What it was for ends with its lifetime.
    KeepAliveFailed {
        /// What was asked.
        request: Request,
        /// How it went.
        outcome: Outcome,
    },
    /// The allocation is over without having been asked to end: its lifetime ran out, or the server does not know it.
    AllocationLost,
    /// The stream cannot be followed any further; every pending request has ended with [`Outcome::Closed`].
    StreamBroken,
}

/// In which form data came or went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// Send or Data indication (RFC 8656 §11).
    Indication,
    /// ChannelData with this channel number (RFC 8656 §12).
    Channel(u16),
}

/// What a datagram turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received<'a> {
    /// Data of a peer; it points into the input.
    Data {
        /// Who sent it.
        peer: SocketAddr,
        /// In which form it came.
        via: Via,
        /// The payload.
        data: &'a [u8],
    },
    /// An ICMP error from the path to a peer (RFC 8656 §11.5).
    Icmp {
        /// The peer it is about.
        peer: SocketAddr,
        /// What was reported.
        icmp: Icmp,
    },
    /// An answer that was taken. Drain the outputs.
    Answer,
    /// Nothing came of it.
    Ignored(Ignored),
}

/// Why an input was passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ignored {
    /// Neither STUN nor ChannelData, or malformed.
    Malformed,
    /// FINGERPRINT is wrong.
    Fingerprint,
    /// No pending request has this transaction id: late, repeated or invented.
    UnknownTransaction,
    /// The answer is unsigned or its integrity value is wrong (RFC 8489 §9.2.5).
    Unauthentic,
    /// ChannelData for a channel that is not bound.
    UnknownChannel,
    /// A request, or an indication that no client is sent.
    NotForClient,
}
