//! What a batch of sessions adds to usage, rooms and clients.

use std::collections::BTreeMap;

use causeway_app::{Identifier, ProjectId, SessionRecord};
use sqlx::{Any, Transaction};

use crate::many::Insert;

const HOUR_MILLIS: i64 = 3_600_000;

/// What a batch adds under one key.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Added {
    pub(super) bytes_in: i64,
    pub(super) bytes_out: i64,
    pub(super) sessions: i64,
    /// Sessions that live from here on, without those that do no more.
    pub(super) live: i64,
    pub(super) millis: i64,
    pub(super) last_seen: i64,
}

impl Added {
    const fn add(&mut self, other: Self) {
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
        self.sessions += other.sessions;
        self.live += other.live;
        self.millis += other.millis;
        if other.last_seen > self.last_seen {
            self.last_seen = other.last_seen;
        }
    }
}

type UsageKey = (ProjectId, i64, String, String, i64, &'static str);

/// Sums of a batch, in key order: two servers that write the same rows take them in the same order.
#[derive(Debug, Default)]
pub(super) struct Sums {
    usage: BTreeMap<UsageKey, Added>,
    client_usage: BTreeMap<(ProjectId, i64, String), Added>,
    rooms: BTreeMap<(ProjectId, String), Added>,
    clients: BTreeMap<(ProjectId, String), Added>,
}

const USAGE: Insert = Insert {
    into: "usage_hours (project_id, hour, room, region, token_id, transport, bytes_in, bytes_out, sessions, millis)",
    then: "ON CONFLICT (project_id, hour, room, region, token_id, transport) DO UPDATE SET \
           bytes_in = usage_hours.bytes_in + excluded.bytes_in, bytes_out = usage_hours.bytes_out + excluded.bytes_out, \
           sessions = usage_hours.sessions + excluded.sessions, millis = usage_hours.millis + excluded.millis",
};

const CLIENT_USAGE: Insert = Insert {
    into: "usage_client_hours (project_id, hour, client, bytes_in, bytes_out, sessions, millis)",
    then: "ON CONFLICT (project_id, hour, client) DO UPDATE SET \
           bytes_in = usage_client_hours.bytes_in + excluded.bytes_in, \
           bytes_out = usage_client_hours.bytes_out + excluded.bytes_out, \
           sessions = usage_client_hours.sessions + excluded.sessions, \
           millis = usage_client_hours.millis + excluded.millis",
};

const ROOMS: Insert = Insert {
    into: "rooms (project_id, name, first_seen, last_seen, sessions, active_sessions, bytes_in, bytes_out)",
    then: "ON CONFLICT (project_id, name) DO UPDATE SET last_seen = excluded.last_seen, \
           sessions = rooms.sessions + excluded.sessions, \
           active_sessions = rooms.active_sessions + excluded.active_sessions, \
           bytes_in = rooms.bytes_in + excluded.bytes_in, bytes_out = rooms.bytes_out + excluded.bytes_out",
};

const CLIENTS: Insert = Insert {
    into: "clients (project_id, name, first_seen, last_seen, sessions, active_sessions, bytes_in, bytes_out)",
    then: "ON CONFLICT (project_id, name) DO UPDATE SET last_seen = excluded.last_seen, \
           sessions = clients.sessions + excluded.sessions, \
           active_sessions = clients.active_sessions + excluded.active_sessions, \
           bytes_in = clients.bytes_in + excluded.bytes_in, bytes_out = clients.bytes_out + excluded.bytes_out",
};

impl Sums {
    pub(super) fn add(&mut self, session: &SessionRecord, added: Added) {
        let attribution = &session.start.attribution;
        let (project, hour) = (attribution.project, added.last_seen / HOUR_MILLIS * HOUR_MILLIS);
        let room = attribution.room.as_ref().map_or("", Identifier::as_str).to_owned();
        let token = attribution.token.map_or(0, |token| token.0);
        let transport = session.start.five_tuple.transport.as_str();
        let key = (project, hour, room.clone(), attribution.region.clone(), token, transport);
        self.usage.entry(key).or_default().add(added);
        if !room.is_empty() {
            self.rooms.entry((project, room)).or_default().add(added);
        }
        if attribution.clients.is_empty() {
            // The sum over clients tells of every session: of those without a name under none.
            self.client_usage.entry((project, hour, String::new())).or_default().add(added);
        }
        for (client, _) in &attribution.clients {
            let client = client.as_str().to_owned();
            self.client_usage.entry((project, hour, client.clone())).or_default().add(added);
            self.clients.entry((project, client)).or_default().add(added);
        }
    }

    pub(super) async fn write(self, transaction: &mut Transaction<'_, Any>) -> Result<(), sqlx::Error> {
        let rows = self.usage.into_iter().map(|((project, hour, room, region, token, transport), added)| {
            let key = [project.0.into(), hour.into(), room.into(), region.into(), token.into(), transport.into()];
            let figures = [added.bytes_in, added.bytes_out, added.sessions, added.millis];
            key.into_iter().chain(figures.map(Into::into)).collect()
        });
        USAGE.all(transaction, rows.collect()).await?;
        let rows = self.client_usage.into_iter().map(|((project, hour, client), added)| {
            let key = [project.0.into(), hour.into(), client.into()];
            let figures = [added.bytes_in, added.bytes_out, added.sessions, added.millis];
            key.into_iter().chain(figures.map(Into::into)).collect()
        });
        CLIENT_USAGE.all(transaction, rows.collect()).await?;
        // Rooms and clients have the same figures.
        for (insert, names) in [(ROOMS, self.rooms), (CLIENTS, self.clients)] {
            let rows = names.into_iter().map(|((project, name), added)| {
                let seen = [added.last_seen, added.last_seen];
                let figures = [added.sessions, added.live, added.bytes_in, added.bytes_out];
                let key = [project.0.into(), name.into()];
                key.into_iter().chain(seen.into_iter().chain(figures).map(Into::into)).collect()
            });
            insert.all(transaction, rows.collect()).await?;
        }
        Ok(())
    }
}
