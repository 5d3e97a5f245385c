//! MESSAGE outside calls (RFC 3428): to whoever is registered, from one connection to another, here or at another server.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use causeway_call_core::{BindingRef, ConnectionId, Identity, NodeId, Party, RingRule};
use causeway_sip_core::{Address, AskId, Page, Uri, auth::Credentials};
use causeway_switchboard::{ClientText, Switchboard, TextPort};
use causeway_types::Now;
use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::{
    SipService,
    client::Client,
    domain::Domain,
    proof::{Claim, Doubt},
};

/// Notes that wait for a connection.
const NOTES_MAX: usize = 32;
/// Texts at other servers; one more is not sent.
const AWAY_MAX: usize = 10_000;
/// Bindings that are told one text.
const FORKS_MAX: usize = 16;
/// How long a sender waits: a client answers in less, or is given up.
const PATIENCE: Duration = Duration::from_secs(40);

/// What one connection tells another.
#[derive(Debug)]
pub(crate) enum Note {
    /// A text for its client, at this Contact.
    Text { page: Page, contact: Arc<str>, reply: Reply },
    /// What became of its client's own text at one of the places it went to.
    Outcome { ask: AskId, status: u16 },
}

/// The way back to a text's sender. One that is dropped says that the text was not taken.
#[derive(Debug)]
pub(crate) struct Reply {
    to: Sender,
    status: u16,
}

/// Who sent a text.
#[derive(Debug)]
enum Sender {
    /// A connection here.
    Here { to: mpsc::Sender<Box<Note>>, ask: AskId },
    /// Another server, which calls it by this number.
    Away { board: Arc<Switchboard>, node: NodeId, id: u64 },
}

impl Reply {
    const fn new(to: Sender) -> Self {
        Self { to, status: 480 }
    }

    pub(crate) fn give(mut self, status: u16) {
        self.status = status;
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        match &self.to {
            Sender::Here { to, ask } => {
                let outcome = Note::Outcome { ask: *ask, status: self.status };
                // A sender that takes nothing gives its text up by itself.
                let _is_heard = to.try_send(Box::new(outcome)).is_ok();
            }
            Sender::Away { board, node, id } => board.answer_text(*node, *id, self.status),
        }
    }
}

/// The connections that can be told something, and texts that are at other servers.
#[derive(Debug, Default)]
pub(crate) struct Post {
    boxes: Mutex<HashMap<ConnectionId, mpsc::Sender<Box<Note>>>>,
    away: Mutex<Away>,
}

/// Texts that are at other servers.
#[derive(Debug, Default)]
struct Away {
    next: u64,
    texts: BTreeMap<u64, AwayText>,
}

#[derive(Debug)]
struct AwayText {
    node: NodeId,
    reply: Reply,
    until: Instant,
}

impl Post {
    pub(crate) fn open(&self, connection: ConnectionId) -> mpsc::Receiver<Box<Note>> {
        let (sender, receiver) = mpsc::channel(NOTES_MAX);
        self.boxes.lock().insert(connection, sender);
        receiver
    }

    pub(crate) fn close(&self, connection: ConnectionId) {
        self.boxes.lock().remove(&connection);
    }

    fn of(&self, connection: ConnectionId) -> Option<mpsc::Sender<Box<Note>>> {
        self.boxes.lock().get(&connection).cloned()
    }

    /// A number for a text that goes to another server; none when too many are there.
    fn send_away(&self, node: NodeId, reply: Reply) -> Option<u64> {
        let now = Instant::now();
        let mut away = self.away.lock();
        if away.texts.len() >= AWAY_MAX {
            // Their senders have given them up.
            away.texts.retain(|_, text| text.until > now);
        }
        if away.texts.len() >= AWAY_MAX {
            return None;
        }
        let id = away.next;
        away.next += 1;
        away.texts.insert(id, AwayText { node, reply, until: now + PATIENCE });
        Some(id)
    }

    fn is_back(&self, node: NodeId, id: u64) -> Option<Reply> {
        let mut away = self.away.lock();
        let is_its = away.texts.get(&id).is_some_and(|text| text.node == node);
        is_its.then(|| away.texts.remove(&id)).flatten().map(|text| text.reply)
    }

    /// Texts at a server that is gone: when they are dropped, their senders hear that nobody took them.
    fn lost(&self, node: NodeId) {
        self.away.lock().texts.retain(|_, text| text.node != node);
    }
}

impl TextPort for SipService {
    fn text(&self, from: NodeId, id: u64, connection: ConnectionId, text: ClientText) {
        let ClientText { from: who, to, contact, content_type, body } = text;
        let reply = Reply::new(Sender::Away { board: Arc::clone(&self.board), node: from, id });
        // A note that finds no box or no room is dropped with its reply.
        if let Some(theirs) = self.post.of(connection) {
            let page = Page { from: who, to, content_type, body };
            let _has_room = theirs.try_send(Box::new(Note::Text { page, contact, reply })).is_ok();
        }
    }

    fn text_done(&self, from: NodeId, id: u64, status: u16) {
        if let Some(reply) = self.post.is_back(from, id) {
            reply.give(status);
        }
    }

    fn texts_lost(&self, node: NodeId) {
        self.post.lost(node);
    }
}

/// A text of the client's that waits for answers.
#[derive(Debug)]
pub(crate) struct OpenText {
    /// Places that have not answered.
    left: usize,
    /// The answer of those that did not take it.
    refusal: u16,
    until: Instant,
}

/// A MESSAGE, as the agent asks about it.
#[derive(Debug)]
pub(crate) struct PageAsk {
    pub(crate) ask: AskId,
    pub(crate) from: Address,
    pub(crate) to: Uri,
    pub(crate) credentials: Option<Credentials>,
    pub(crate) request_uri: String,
    pub(crate) content_type: String,
    pub(crate) body: String,
}

impl Client {
    pub(crate) async fn page(&mut self, ask: PageAsk) {
        let id = ask.ask;
        let told = match self.addressee(&ask).await {
            Ok((from, to)) => self.tell(ask, from, &to).await,
            Err(doubt) => Err(doubt),
        };
        if let Err(doubt) = told {
            self.refuse(id, doubt);
        }
    }

    /// Who says it, and to whom; by the rules of calls.
    async fn addressee(&mut self, ask: &PageAsk) -> Result<(Identity, Identity), Doubt> {
        match (Domain::of(&ask.from.uri.host), Domain::of(&ask.to.host)) {
            (_, Domain::Service { .. } | Domain::Cloud { .. }) => return Err(Doubt::Answer(404, Vec::new())),
            (Domain::Key { key, cloud }, Domain::Key { key: theirs, cloud: asked })
                if (key, cloud) != (theirs, asked) =>
            {
                return Err(Doubt::Answer(403, Vec::new()));
            }
            _ => {}
        }
        let claim = Claim {
            method: "MESSAGE",
            request_uri: &ask.request_uri,
            from: &ask.from.uri,
            credentials: ask.credentials.as_ref(),
        };
        let proven = self.prove(claim).await?;
        if ask.to.user.is_empty() {
            return Err(Doubt::Answer(404, Vec::new()));
        }
        if !proven.callees.allows(&ask.to.user) {
            return Err(Doubt::Answer(403, Vec::new()));
        }
        let to = Identity::new(proven.identity.account, &ask.to.user);
        Ok((proven.identity, to))
    }

    async fn tell(&mut self, ask: PageAsk, from: Identity, to: &Identity) -> Result<(), Doubt> {
        let rule = self.service.settings.ring.rule(&Domain::of(&ask.to.host));
        let (mut places, is_complete) = self.service.board.find(to).await;
        places.truncate(if rule == RingRule::Newest { 1 } else { FORKS_MAX });
        let page = Page {
            from: Party { identity: from, display: Arc::from(ask.from.display.as_str()) },
            to: to.clone(),
            content_type: Arc::from(ask.content_type),
            body: Arc::from(ask.body),
        };
        let left = places.iter().filter(|place| self.send_note(place, &page, ask.ask)).count();
        if left == 0 {
            // It may be registered with a server that cannot be asked.
            return Err(Doubt::Answer(if is_complete { 480 } else { 503 }, Vec::new()));
        }
        self.texts.insert(ask.ask, OpenText { left, refusal: 480, until: Instant::now() + PATIENCE });
        Ok(())
    }

    /// Whether the text is on its way to this place.
    fn send_note(&self, place: &BindingRef, page: &Page, ask: AskId) -> bool {
        let connection = place.route.connection;
        let Some(to) = self.service.post.of(self.connection.id()) else { return false };
        if connection.node != self.service.board.node() {
            let reply = Reply::new(Sender::Here { to, ask });
            let Some(id) = self.service.post.send_away(connection.node, reply) else { return false };
            let Page { from, to, content_type, body } = page.clone();
            let contact = Arc::clone(&place.contact);
            self.service.board.send_text(connection, id, ClientText { from, to, contact, content_type, body });
            return true;
        }
        // Clients of other dialects have no box.
        let Some(theirs) = self.service.post.of(connection) else { return false };
        let reply = Reply::new(Sender::Here { to, ask });
        let note = Note::Text { page: page.clone(), contact: Arc::clone(&place.contact), reply };
        // A note that has no room is dropped with its reply, which is counted then.
        let _has_room = theirs.try_send(Box::new(note)).is_ok();
        true
    }

    /// Another connection says something.
    pub(crate) fn noted(&mut self, note: Note) {
        match note {
            Note::Text { page, contact, reply } => {
                if let Some(id) = self.agent.handle_page(Now::read(), &contact, &page) {
                    self.replies.insert(id, reply);
                }
            }
            Note::Outcome { ask, status } => self.text_outcome(ask, status),
        }
    }

    /// The first that takes a text decides; a refusal counts when all have refused.
    fn text_outcome(&mut self, ask: AskId, status: u16) {
        let Some(open) = self.texts.get_mut(&ask) else { return };
        open.left = open.left.saturating_sub(1);
        if status != 480 {
            open.refusal = status;
        }
        let (is_last, refusal) = (open.left == 0, open.refusal);
        if (200..300).contains(&status) {
            self.agent.handle_taken(ask);
        } else if is_last {
            self.agent.handle_refused(ask, passed_on(refusal), &[]);
        } else {
            return;
        }
        self.texts.remove(&ask);
    }

    /// Until when the first of the client's texts is waited for.
    pub(crate) fn texts_deadline(&self) -> Option<Instant> {
        self.texts.values().map(|open| open.until).min()
    }

    /// Gives up texts that nobody answered.
    pub(crate) fn expire_texts(&mut self, now: Instant) {
        let due: Vec<AskId> = self.texts.iter().filter(|(_, open)| open.until <= now).map(|(ask, _)| *ask).collect();
        for ask in due {
            self.texts.remove(&ask);
            self.agent.handle_refused(ask, 408, &[]);
        }
    }
}

/// A device's refusal as its sender is told it: what is between the device and us is not the sender's.
const fn passed_on(status: u16) -> u16 {
    match status {
        401 | 407 => 403,
        ..=399 => 480,
        _ => status,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_devices_challenge_is_not_its_senders() {
        assert_eq!([401, 407, 302, 486, 603].map(passed_on), [403, 403, 480, 486, 603]);
    }
}
