//! Texts outside calls between clients of different servers: carried here, understood by the dialect that speaks them.

use std::sync::{Arc, Weak};

use causeway_call_core::{ConnectionId, Identity, NodeId, Party};

use crate::{Switchboard, letter::Letter};

/// A text for a client, at one of the places where it is registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientText {
    /// Who says it: proven.
    pub from: Party,
    /// For whom.
    pub to: Identity,
    /// The place, as its dialect wrote it.
    pub contact: Arc<str>,
    /// Media type.
    pub content_type: Arc<str>,
    /// Text.
    pub body: Arc<str>,
}

/// A dialect that knows texts. It hands on and returns.
pub trait TextPort: Send + Sync + 'static {
    /// Another server has a text for a client here; [`Switchboard::answer_text`] tells what becomes of it.
    fn text(&self, from: NodeId, id: u64, connection: ConnectionId, text: ClientText);
    /// What became of a text that was sent to that server.
    fn text_done(&self, from: NodeId, id: u64, status: u16);
    /// No answer will come from that server.
    fn texts_lost(&self, node: NodeId);
}

impl Switchboard {
    /// Who understands texts. The first that says so stays.
    pub fn carry_texts_for(&self, port: Weak<dyn TextPort>) {
        let _is_first = self.texts.set(port);
    }

    pub(crate) fn text_port(&self) -> Option<Arc<dyn TextPort>> {
        self.texts.get().and_then(Weak::upgrade)
    }

    /// Sends a text to a client of another server. Its answer comes with this number.
    pub fn send_text(&self, to: ConnectionId, id: u64, text: ClientText) {
        if let Some(links) = self.links.get() {
            links.send(to.node, Letter::text(to.number, id, text));
        }
    }

    /// What became of a text that another server sent.
    pub fn answer_text(&self, to: NodeId, id: u64, status: u16) {
        if let Some(links) = self.links.get() {
            links.send(to, Letter::text_done(id, status));
        }
    }
}
