//! Events as outside consumers read them: the port between the bus and those who pass them on.

use std::{future::Future, pin::Pin, sync::Arc};

use crate::{event::Cursor, model::ProjectId, webhook::StoredEvent};

/// Says whose events a reader wants. Asked for each event, so it must be quick.
pub type WantedProjects = Arc<dyn Fn(ProjectId) -> bool + Send + Sync>;

/// The next events of a feed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FeedBatch {
    /// Public events of wanted projects, in order.
    pub events: Vec<StoredEvent>,
    /// Events before them are lost to this reader: it was too slow, or asked for what is no longer held.
    pub has_gap: bool,
    /// The reader stands here: everything up to it was handed out, was not wanted, or is lost.
    pub read_to: Cursor,
}

/// What a reader waits for.
pub type NextBatch<'a> = Pin<Box<dyn Future<Output = Option<FeedBatch>> + Send + 'a>>;

/// One reader of a feed.
pub trait FeedReader: Send + Sync {
    /// Waits for events and hands out at most `max`; perhaps none, when those that came are not wanted. `None` when the
    /// feed is over. Safe to cancel: what was not handed out comes with the next call.
    fn next(&mut self, max: usize) -> NextBatch<'_>;

    /// What is there by now, without waiting.
    fn take(&mut self, max: usize) -> Option<FeedBatch>;
}

/// Gives out rendered events.
pub trait EventFeed: Send + Sync + 'static {
    /// A reader of everything after `after` that is still held; from here on when it is `None`.
    fn open(&self, after: Option<Cursor>, wanted: WantedProjects) -> Box<dyn FeedReader>;

    /// The newest event's cursor.
    fn newest(&self) -> Cursor;
}
