//! Events to commands: what was told of which session, and what to tell next.
//!
//! No I/O and no clock. Traffic events carry absolute figures and the ledger remembers what it told, so intervals add
//! up to the totals whatever happened to events in between.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use causeway_app::{DomainEvent, EventRecord, SessionEndReason, SessionStart};
use causeway_types::{AllocationId, FiveTuple, UnixTime};

use super::render::{self, Figures, Leaf, Word};

/// A status key outlives its allocation by this, so that it never goes before the allocation does.
pub(crate) const EXPIRY_MARGIN: Duration = Duration::from_secs(30);

/// Something Redis is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// `SET key value EX secs`.
    Set { key: Arc<str>, value: Arc<str>, expires_in: Duration },
    /// `PUBLISH channel value`.
    Publish { channel: Arc<str>, value: Arc<str> },
    /// `DEL key`.
    Delete { key: Arc<str> },
    /// Remember as a key of this server.
    Own { key: Arc<str> },
    /// Forget it.
    Disown { key: Arc<str> },
}

impl Command {
    /// Whether it is about the list of own keys, which only this server reads.
    pub(crate) const fn is_about_list(&self) -> bool {
        matches!(self, Self::Own { .. } | Self::Disown { .. })
    }
}

#[derive(Debug)]
struct Known {
    start: Arc<SessionStart>,
    leg: FiveTuple,
    word: Word,
    lifetime: Duration,
    granted: UnixTime,
    told: Figures,
}

impl Known {
    fn new(start: &Arc<SessionStart>) -> Self {
        Self {
            leg: start.five_tuple,
            word: Word::New,
            lifetime: start.lifetime,
            granted: start.at,
            told: Figures::default(),
            start: Arc::clone(start),
        }
    }

    fn key(&self, leaf: Leaf) -> Arc<str> {
        Arc::from(render::object(&self.start, leaf))
    }

    fn status(&self) -> Arc<str> {
        Arc::from(render::status(self.word, self.lifetime, &self.leg, self.start.security))
    }

    /// The interval up to `now`, on both legs, in coturn's order.
    fn tell_interval(&mut self, now: Figures, commands: &mut Vec<Command>) {
        let interval = now.since(self.told);
        self.told = now;
        let (client, peer) = (interval.client_leg(), interval.peer_leg());
        commands.push(Command::Publish { channel: self.key(Leaf::Traffic), value: Arc::from(client) });
        commands.push(Command::Publish { channel: self.key(Leaf::PeerTraffic), value: Arc::from(peer) });
    }

    fn tell_totals(&self, commands: &mut Vec<Command>) {
        let (client, peer) = (self.told.client_leg(), self.told.peer_leg());
        commands.push(Command::Publish { channel: self.key(Leaf::TotalTraffic), value: Arc::from(client) });
        commands.push(Command::Publish { channel: self.key(Leaf::TotalPeerTraffic), value: Arc::from(peer) });
    }

    fn tell_status(&self, commands: &mut Vec<Command>) {
        let (key, value) = (self.key(Leaf::Status), self.status());
        let expires_in = self.lifetime + EXPIRY_MARGIN;
        commands.push(Command::Set { key: Arc::clone(&key), value: Arc::clone(&value), expires_in });
        commands.push(Command::Publish { channel: key, value });
    }

    fn tell_deleted(&self, commands: &mut Vec<Command>) {
        deleted(self.key(Leaf::Status), commands);
    }
}

/// Removes a status key and says so.
pub(crate) fn deleted(key: Arc<str>, commands: &mut Vec<Command>) {
    commands.push(Command::Delete { key: Arc::clone(&key) });
    commands.push(Command::Publish { channel: Arc::clone(&key), value: Arc::from("deleted") });
    commands.push(Command::Disown { key });
}

/// The sessions whose status keys stand in Redis.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    known: BTreeMap<AllocationId, Known>,
    /// Missing from one list of live sessions: [`Ledger::sweep`].
    suspects: BTreeSet<AllocationId>,
}

impl Ledger {
    /// Appends what `record` makes Redis do, in coturn's order (`docs/events.md#order`).
    pub(crate) fn render(&mut self, record: &EventRecord, commands: &mut Vec<Command>) {
        match &record.event {
            DomainEvent::SessionStarted(session) => {
                let known = Known::new(session);
                commands.push(Command::Own { key: known.key(Leaf::Status) });
                known.tell_status(commands);
                self.known.insert(session.id, known);
            }
            DomainEvent::SessionRefreshed { session, five_tuple, lifetime } => {
                let known = self.known(session, commands);
                (known.leg, known.word) = (*five_tuple, Word::Refreshed);
                (known.lifetime, known.granted) = (*lifetime, record.at);
                known.tell_status(commands);
            }
            // coturn tells of a new path with the refresh that brings it.
            DomainEvent::SessionPathChanged { session, to, .. } => self.known(session, commands).leg = *to,
            DomainEvent::SessionTraffic { session, traffic, messages } => {
                let now = Figures { payload: *traffic, messages: *messages };
                self.known(session, commands).tell_interval(now, commands);
            }
            // The keys of a process that was killed are found by its list of them, and told from there.
            DomainEvent::SessionEnded { reason: SessionEndReason::ServerRestart, .. } => {}
            DomainEvent::SessionEnded { session, traffic, messages, .. } => {
                let mut known = self.known.remove(&session.id).unwrap_or_else(|| Known::new(session));
                known.tell_interval(Figures { payload: *traffic, messages: *messages }, commands);
                known.tell_deleted(commands);
                known.tell_totals(commands);
            }
            DomainEvent::SessionFirstData { .. }
            | DomainEvent::CredentialMinted { .. }
            | DomainEvent::CredentialRevoked { .. }
            | DomainEvent::CredentialExpired { .. }
            | DomainEvent::AuthRefused { .. }
            | DomainEvent::LimitReached { .. }
            | DomainEvent::RoomOpened { .. }
            | DomainEvent::RoomClosed { .. }
            | DomainEvent::RegionChanged { .. }
            | DomainEvent::TokenCreated { .. }
            | DomainEvent::TokenFirstUsed { .. }
            | DomainEvent::TokenRevoked { .. }
            | DomainEvent::RegistrationOpened(_)
            | DomainEvent::RegistrationClosed { .. }
            | DomainEvent::CallStarted(_)
            | DomainEvent::CallRinging { .. }
            | DomainEvent::CallAnswered { .. }
            | DomainEvent::CallHeld { .. }
            | DomainEvent::CallDtmf { .. }
            | DomainEvent::CallTransferred { .. }
            | DomainEvent::CallEnded(_) => {}
        }
    }

    /// Status keys of every known session, written anew without a message: Redis may have lost them.
    pub(crate) fn rewrite(&self, now: UnixTime, commands: &mut Vec<Command>) {
        for known in self.known.values() {
            let until = known.granted.saturating_add(known.lifetime + EXPIRY_MARGIN);
            let expires_in = until.saturating_since(now).max(Duration::from_secs(1));
            let key = known.key(Leaf::Status);
            commands.push(Command::Own { key: Arc::clone(&key) });
            commands.push(Command::Set { key, value: known.status(), expires_in });
        }
    }

    /// After events were lost: learns of live sessions whose start was among them, and removes the keys of those whose
    /// end was. Only the second time in a row that one is missing counts, since its end may be under way. Their totals
    /// are not told: they are not known here.
    pub(crate) fn sweep(
        &mut self,
        live: &[(Arc<SessionStart>, FiveTuple)],
        now: UnixTime,
        commands: &mut Vec<Command>,
    ) {
        let listed: BTreeSet<AllocationId> = live.iter().map(|(start, _)| start.id).collect();
        for (start, leg) in live {
            self.known.entry(start.id).or_insert_with(|| {
                let mut known = Known::new(start);
                (known.leg, known.granted) = (*leg, now);
                let (key, expires_in) = (known.key(Leaf::Status), known.lifetime + EXPIRY_MARGIN);
                commands.push(Command::Own { key: Arc::clone(&key) });
                commands.push(Command::Set { key, value: known.status(), expires_in });
                known
            });
        }
        let missing: BTreeSet<AllocationId> = self.known.keys().filter(|id| !listed.contains(id)).copied().collect();
        for id in missing.intersection(&self.suspects) {
            if let Some(known) = self.known.remove(id) {
                known.tell_deleted(commands);
            }
        }
        self.suspects = missing;
    }

    /// Removes every key that is left: the server stops.
    pub(crate) fn close(&mut self, commands: &mut Vec<Command>) {
        for known in std::mem::take(&mut self.known).into_values() {
            known.tell_deleted(commands);
        }
    }

    /// The status keys of every known session.
    pub(crate) fn status_keys(&self) -> BTreeSet<String> {
        self.known.values().map(|known| render::object(&known.start, Leaf::Status)).collect()
    }

    /// Whether some sessions were missing from the last list.
    pub(crate) fn has_suspects(&self) -> bool {
        !self.suspects.is_empty()
    }

    /// The session as it was told, learned of now when its start was lost.
    fn known(&mut self, session: &Arc<SessionStart>, commands: &mut Vec<Command>) -> &mut Known {
        self.known.entry(session.id).or_insert_with(|| {
            let known = Known::new(session);
            commands.push(Command::Own { key: known.key(Leaf::Status) });
            known
        })
    }
}

#[cfg(test)]
mod tests;
