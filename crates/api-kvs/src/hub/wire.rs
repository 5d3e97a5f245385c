//! What nodes tell each other about connections.

use std::sync::Arc;

use causeway_signal_core::{CloseReason, Message, MessageKind, Problem};
use serde::{Deserialize, Serialize};

use crate::mailbox::Event;

/// A letter. Numbers of connections are those of the node that has the socket.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "t", rename_all = "snake_case")]
pub(super) enum Letter {
    /// To the owner: a peer wants to connect.
    Attach { n: u64, channel: i64, viewer: Option<Arc<str>>, ttl_secs: u64 },
    /// From the owner: whether it may.
    Attached { n: u64, refusal: Option<Why> },
    /// To the owner: a message of a connection.
    Message { n: u64, kind: Kind, recipient: Option<Arc<str>>, payload: Arc<str>, correlation: Option<Arc<str>> },
    /// To the owner: a sign of life.
    Activity { n: u64 },
    /// To the owner: a connection ended.
    Closed { n: u64 },
    /// To the owner: a channel was removed.
    ChannelGone { channel: i64 },
    /// To the owner: a channel's messages wait this long.
    MessageTtl { channel: i64, secs: u64 },
    /// From the owner: a message for a connection.
    Deliver { n: u64, kind: Kind, sender: Option<Arc<str>>, payload: Arc<str> },
    /// From the owner: a message of a connection went nowhere.
    Status { n: u64, correlation: Arc<str>, problem: Trouble },
    /// From the owner: a connection is to reconnect.
    GoAway { n: u64 },
    /// From the owner: a connection is to fetch relay addresses.
    RelaysChanged { n: u64 },
    /// From the owner: a connection is to be closed.
    Close { n: u64, reason: Reason },
}

/// Why a peer is not connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Why {
    TooManyViewers,
    /// It does not own the channel any more: ask again who does.
    NotOwner,
}

/// [`MessageKind`] as a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    Offer,
    Answer,
    Candidate,
}

/// [`Problem`] as a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Trouble {
    NoRecipient,
    PayloadTooLong,
    TooFast,
    TooManyWaiting,
}

/// [`CloseReason`] as a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Reason {
    Superseded,
    Idle,
    TooOld,
    ChannelGone,
    ServerEnds,
}

macro_rules! same_words {
    ($($theirs:ident $ours:ident { $($word:ident),* })*) => {$(
        impl From<$theirs> for $ours {
            fn from(value: $theirs) -> Self {
                match value { $($theirs::$word => Self::$word),* }
            }
        }
        impl From<$ours> for $theirs {
            fn from(value: $ours) -> Self {
                match value { $($ours::$word => Self::$word),* }
            }
        }
    )*};
}

same_words! {
    MessageKind Kind { Offer, Answer, Candidate }
    Problem Trouble { NoRecipient, PayloadTooLong, TooFast, TooManyWaiting }
    CloseReason Reason { Superseded, Idle, TooOld, ChannelGone, ServerEnds }
}

impl Letter {
    /// A message of connection `n`.
    pub(super) fn message(n: u64, message: Message) -> Self {
        let Message { kind, recipient, payload, correlation } = message;
        Self::Message { n, kind: kind.into(), recipient, payload, correlation }
    }

    /// What connection `n` is told; none for what only its own node tells it.
    pub(super) fn event(n: u64, event: Event) -> Option<Self> {
        Some(match event {
            Event::Deliver { kind, sender, payload } => Self::Deliver { n, kind: kind.into(), sender, payload },
            Event::Status { correlation, problem } => Self::Status { n, correlation, problem: problem.into() },
            Event::GoAway => Self::GoAway { n },
            Event::RelaysChanged => Self::RelaysChanged { n },
            Event::BadFrame { .. } => return None,
        })
    }

    pub(super) fn write(&self) -> Vec<u8> {
        // Texts and numbers: nothing that could fail.
        serde_json::to_vec(self).unwrap_or_default()
    }
}
