//! Sessions: what a client that reconnects finds again. One session has one live connection.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use causeway_call_core::{ConnectionId, Identity};
use causeway_verto_core::SavedDialogs;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

/// How long the older connection may take to hand over.
pub(crate) const HAND_OVER_PATIENCE: Duration = Duration::from_secs(2);
/// How often sessions nobody came back to are forgotten.
const SWEEP_INTERVAL: Duration = Duration::from_secs(10);

/// What a live connection is told by the rest of the server.
#[derive(Debug)]
pub(crate) enum Control {
    /// A newer connection of the same session takes over.
    HandOver(oneshot::Sender<Left>),
    /// It is sent away.
    Punt,
}

/// What a connection leaves to the one that resumes it.
#[derive(Debug)]
pub(crate) struct Left {
    pub(crate) connection: ConnectionId,
    pub(crate) dialogs: SavedDialogs,
}

#[derive(Debug)]
enum Place {
    Live(mpsc::Sender<Control>),
    Waiting { left: Left, until: Instant },
}

#[derive(Debug)]
struct Slot {
    session: String,
    identity: Identity,
    place: Place,
}

/// What is found of a session.
#[derive(Debug)]
pub(crate) enum Found {
    /// It waits.
    Left { session: String, left: Left },
    /// Its older connection is there still.
    Live { session: String, control: mpsc::Sender<Control> },
}

/// Every session, by its reconnect token.
#[derive(Debug)]
pub(crate) struct Sessions {
    slots: Mutex<HashMap<String, Slot>>,
    sweep_at: Mutex<Instant>,
}

impl Default for Sessions {
    fn default() -> Self {
        Self { slots: Mutex::default(), sweep_at: Mutex::new(Instant::now() + SWEEP_INTERVAL) }
    }
}

impl Sessions {
    /// The session of this token, for the same identity only: the token alone opens nothing.
    pub(crate) fn take(&self, token: &str, identity: &Identity) -> Option<Found> {
        let mut slots = self.slots.lock();
        if slots.get(token)?.identity != *identity {
            return None;
        }
        let Slot { session, place, .. } = slots.remove(token)?;
        match place {
            Place::Live(control) => Some(Found::Live { session, control }),
            Place::Waiting { left, until } if until > Instant::now() => Some(Found::Left { session, left }),
            Place::Waiting { .. } => None,
        }
    }

    pub(crate) fn live(&self, token: &str, session: &str, identity: Identity, control: mpsc::Sender<Control>) {
        self.sweep();
        let slot = Slot { session: session.to_owned(), identity, place: Place::Live(control) };
        self.slots.lock().insert(token.to_owned(), slot);
    }

    /// A connection is gone; its session waits. Not if another took it over meanwhile.
    pub(crate) fn wait(&self, token: &str, control: &mpsc::Sender<Control>, left: Left, resumable_for: Duration) {
        let mut slots = self.slots.lock();
        let Some(slot) = slots.get_mut(token) else { return };
        if matches!(&slot.place, Place::Live(known) if known.same_channel(control)) {
            slot.place = Place::Waiting { left, until: Instant::now() + resumable_for };
        }
    }

    /// The session ends with its connection.
    pub(crate) fn end(&self, token: &str, control: &mpsc::Sender<Control>) {
        let mut slots = self.slots.lock();
        let is_ours = slots
            .get(token)
            .is_some_and(|slot| matches!(&slot.place, Place::Live(known) if known.same_channel(control)));
        if is_ours {
            slots.remove(token);
        }
    }

    /// The live connections of these identities, and the end of sessions that wait for them.
    pub(crate) fn remove(&self, is_meant: impl Fn(&Identity) -> bool) -> Vec<mpsc::Sender<Control>> {
        let mut slots = self.slots.lock();
        let mut live = Vec::new();
        slots.retain(|_, slot| {
            let stays = !is_meant(&slot.identity);
            if let (false, Place::Live(control)) = (stays, &slot.place) {
                live.push(control.clone());
            }
            stays
        });
        live
    }

    fn sweep(&self) {
        let now = Instant::now();
        let mut sweep_at = self.sweep_at.lock();
        if now < *sweep_at {
            return;
        }
        *sweep_at = now + SWEEP_INTERVAL;
        self.slots.lock().retain(|_, slot| match &slot.place {
            Place::Live(_) => true,
            Place::Waiting { until, .. } => *until > now,
        });
    }
}
