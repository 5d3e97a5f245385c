//! Signalling channels as they are kept; who is connected to them is the core's matter.

use std::{collections::BTreeMap, future::Future, time::Duration};

use causeway_types::UnixTime;

use crate::{ProjectId, StoreResult};

/// A signalling channel's number in the store; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SignalChannelId(pub i64);

/// A signalling channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignalChannel {
    /// Number.
    pub id: SignalChannelId,
    /// Whose.
    pub project: ProjectId,
    /// Unique in its project.
    pub name: String,
    /// When it was made; tells one from an earlier one of the same name.
    pub created_at: UnixTime,
    /// Another one after every change.
    pub version: String,
    /// How long its messages wait.
    pub message_ttl: Duration,
}

/// What became of a change to a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelChange {
    /// It was made.
    Done,
    /// There is no such channel, or it has another version than expected.
    Stale,
}

/// Keeps signalling channels.
pub trait SignalChannelStore: Send + Sync + 'static {
    /// Adds one with its tags; its number. `Exists` when the project has one of that name.
    fn insert_signal_channel(
        &self,
        channel: &SignalChannel,
        tags: &BTreeMap<String, String>,
    ) -> impl Future<Output = StoreResult<SignalChannelId>> + Send;

    /// How many a project has.
    fn signal_channel_count(&self, project: ProjectId) -> impl Future<Output = StoreResult<u64>> + Send;

    /// The channel of this name.
    fn signal_channel(
        &self,
        project: ProjectId,
        name: &str,
    ) -> impl Future<Output = StoreResult<Option<SignalChannel>>> + Send;

    /// Channels by name, after a name, whose names begin with a prefix.
    fn signal_channels(
        &self,
        project: ProjectId,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> impl Future<Output = StoreResult<Vec<SignalChannel>>> + Send;

    /// Gives a channel of this version another time to live and version.
    fn update_signal_channel(
        &self,
        id: SignalChannelId,
        version: &str,
        new_version: &str,
        message_ttl: Duration,
    ) -> impl Future<Output = StoreResult<ChannelChange>> + Send;

    /// Removes a channel, if it has this version when one is given.
    fn delete_signal_channel(
        &self,
        id: SignalChannelId,
        version: Option<&str>,
    ) -> impl Future<Output = StoreResult<ChannelChange>> + Send;

    /// A channel's tags.
    fn signal_channel_tags(
        &self,
        id: SignalChannelId,
    ) -> impl Future<Output = StoreResult<BTreeMap<String, String>>> + Send;

    /// Sets tags; whether there are no more than `max` then. Otherwise nothing changes.
    fn tag_signal_channel(
        &self,
        id: SignalChannelId,
        tags: &BTreeMap<String, String>,
        max: usize,
    ) -> impl Future<Output = StoreResult<bool>> + Send;

    /// Removes tags; those it does not have are ignored.
    fn untag_signal_channel(
        &self,
        id: SignalChannelId,
        keys: &[String],
    ) -> impl Future<Output = StoreResult<()>> + Send;
}
