//! What a shard can be told, by the control plane and by other shards.

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc};

use causeway_stun_codec::{Class, Message};
use causeway_turn_core::{ClientLeg, GrantLimits, KeyAnswer, LegId, QueryId, RelayId};
use causeway_types::{AllocationId, FiveTuple, ShardIndex};
use crossbeam_channel::Sender;

use crate::{
    settings::Reload,
    shard::{Connection, Weight},
};

/// A command; queues are bounded and a full one refuses (control plane) or drops and counts (datagrams). What only carries
/// relayed data finds its queue full earlier, so that a flood of it leaves room for the rest.
#[derive(Debug)]
pub(crate) enum Command {
    /// New configuration.
    Reload(Reload),
    /// Answer to a key query.
    AnswerKey(QueryId, KeyAnswer),
    /// End an allocation.
    Terminate(AllocationId, Sender<bool>),
    /// End a user's allocations.
    TerminateUser(String, Sender<u32>),
    /// End the allocations of many users.
    TerminateUsers(Arc<BTreeSet<String>>, Sender<u32>),
    /// New limits for a user's allocations.
    LimitUser(String, GrantLimits, Sender<u32>),
    /// List allocations.
    List(Sender<Vec<causeway_turn_core::AllocationView>>),
    /// A client connection whose ConnectionBind names a peer connection here.
    Adopt { connection: Box<Connection>, message: Vec<u8> },
    /// A message of a client whose socket is on shard `via`.
    RemoteMessage { via: ShardIndex, client: ClientLeg, message: Vec<u8> },
    /// A message of shard `from` for a client whose socket is here.
    RemoteTransmit { from: ShardIndex, leg: LegId, five_tuple: FiveTuple, bytes: Vec<u8>, weight: Weight },
    /// A client whose socket was on shard `via` is gone.
    RemoteClosed { via: ShardIndex, client: ClientLeg },
    /// A datagram from a relay on another shard to a relay here.
    Hairpin { relay: RelayId, from: SocketAddr, payload: Vec<u8> },
    /// End everything and the thread.
    Shutdown,
}

impl Command {
    /// Whether it carries relayed data and nothing that anybody waits for.
    pub(crate) fn is_data(&self) -> bool {
        match self {
            Self::Hairpin { .. } => true,
            Self::RemoteTransmit { weight, .. } => *weight == Weight::Data,
            // Requests may be answered once only, over TCP; ChannelData and indications are data.
            Self::RemoteMessage { message, .. } => {
                !Message::parse(message).is_ok_and(|message| message.class() == Class::Request)
            }
            Self::Reload(_)
            | Self::AnswerKey(..)
            | Self::Terminate(..)
            | Self::TerminateUser(..)
            | Self::TerminateUsers(..)
            | Self::LimitUser(..)
            | Self::List(_)
            | Self::Adopt { .. }
            | Self::RemoteClosed { .. }
            | Self::Shutdown => false,
        }
    }
}
