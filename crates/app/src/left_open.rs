//! Sessions of a process that was killed: their ends are found, and told, at the next start.

use std::{collections::BTreeSet, sync::Arc};

use causeway_types::{TrafficCounters, UnixTime};

use crate::{DomainEvent, EventSink, SessionEndReason, SessionStart};

/// A session that was left open, as far as the store knows it: how its leg was protected, which secret made its password and
/// its first lifetime are not kept, nor is its client's address where the project's privacy says so.
#[derive(Clone, Debug)]
pub struct LeftOpen {
    /// From its start.
    pub start: SessionStart,
    /// Its last sign of life, which counts as its end.
    pub last_seen: UnixTime,
    /// Payload, as peers saw it.
    pub traffic: TrafficCounters,
    /// Whole TURN messages at the client side.
    pub messages: TrafficCounters,
}

/// Tells the ends of sessions that a killed process of this server left open, and of the rooms they were in.
pub fn tell_left_open(sink: &dyn EventSink, left_open: Vec<LeftOpen>) {
    let mut rooms = BTreeSet::new();
    let newest = left_open.iter().map(|left| left.last_seen).max().unwrap_or_default();
    for LeftOpen { start, last_seen, traffic, messages } in left_open {
        let project = start.attribution.project;
        rooms.extend(start.attribution.room.clone().map(|room| (project, room)));
        let ended = DomainEvent::SessionEnded {
            reason: SessionEndReason::ServerRestart,
            duration: last_seen.saturating_since(start.at),
            session: Arc::new(start),
            traffic,
            messages,
        };
        sink.emit(last_seen, project, ended);
    }
    for (project, room) in rooms {
        sink.emit(newest, project, DomainEvent::RoomClosed { room });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use causeway_types::{AllocationId, ClientTransport, CredentialKind, FiveTuple, RelayTransport};
    use parking_lot::Mutex;

    use super::*;
    use crate::{Attribution, Identifier, ProjectId};

    #[derive(Default)]
    struct Heard(Mutex<Vec<(UnixTime, ProjectId, DomainEvent)>>);

    impl EventSink for Heard {
        fn emit(&self, at: UnixTime, project: ProjectId, event: DomainEvent) {
            self.0.lock().push((at, project, event));
        }
    }

    fn left(id: u64, project: i64, room: Option<&str>, secs: u64) -> LeftOpen {
        let at = UnixTime::from_secs(1_790_000_000);
        let address = ([198, 51, 100, 1], 3478).into();
        LeftOpen {
            start: SessionStart {
                id: AllocationId(id),
                number: id,
                attribution: Arc::new(Attribution {
                    project: ProjectId(project),
                    token: None,
                    room: room.map(|room| Identifier::new(room).expect("a name")),
                    clients: Vec::new(),
                    region: "local".to_owned(),
                }),
                username: Arc::from("user"),
                credential: CredentialKind::Issued,
                realm: Arc::default(),
                at,
                five_tuple: FiveTuple { transport: ClientTransport::Udp, client: address, server: address },
                security: None,
                relayed: [None; 2],
                transport: RelayTransport::Udp,
                lifetime: Duration::ZERO,
            },
            last_seen: at.saturating_add(Duration::from_secs(secs)),
            traffic: TrafficCounters::default(),
            messages: TrafficCounters::default(),
        }
    }

    #[test]
    fn each_session_ends_where_it_was_last_seen_and_each_room_closes_once_behind_them() {
        let heard = Heard::default();
        let all = vec![
            left(1, 1, Some("red"), 5),
            left(2, 1, Some("red"), 9),
            left(3, 2, Some("red"), 7),
            left(4, 2, None, 0),
        ];
        tell_left_open(&heard, all);
        let told = heard.0.into_inner();
        let names: Vec<_> = told.iter().map(|(_, project, event)| (project.0, event.name())).collect();
        let [ended, closed] = ["session.ended", "room.closed"];
        assert_eq!(names, [(1, ended), (1, ended), (2, ended), (2, ended), (1, closed), (2, closed)]);
        for ((at, _, event), secs) in told.iter().zip([5, 9, 7, 0]) {
            let DomainEvent::SessionEnded { session, reason, duration, .. } = event else { panic!("{event:?}") };
            assert_eq!((*reason, *duration), (SessionEndReason::ServerRestart, Duration::from_secs(secs)));
            assert_eq!(*at, session.at.saturating_add(*duration));
        }
    }
}
