//! Sessions and events for tests.

use std::{sync::Arc, time::Duration};

use causeway_app::{Attribution, DomainEvent, ProjectId, SessionEndReason, SessionStart};
use causeway_types::{
    AllocationEndReason, AllocationId, ClientTransport, CredentialKind, FiveTuple, RelayTransport, TrafficCount,
    TrafficCounters, UnixTime,
};

pub(crate) const NOW: UnixTime = UnixTime::from_secs(1_790_000_000);
pub(crate) const LIFETIME: Duration = Duration::from_secs(600);

pub(crate) fn leg(transport: ClientTransport, server: &str, client: &str) -> FiveTuple {
    let address = |text: &str| text.parse().expect("an address");
    FiveTuple { transport, client: address(client), server: address(server) }
}

pub(crate) fn session(id: u64, username: &str) -> Arc<SessionStart> {
    Arc::new(SessionStart {
        id: AllocationId(id),
        number: id,
        attribution: Arc::new(Attribution {
            project: ProjectId::DEFAULT,
            token: None,
            room: None,
            clients: Vec::new(),
            region: "local".to_owned(),
        }),
        username: Arc::from(username),
        credential: CredentialKind::Static,
        realm: Arc::from("example.test"),
        at: NOW,
        five_tuple: leg(ClientTransport::Udp, "127.0.0.1:3478", "127.0.0.1:5000"),
        security: None,
        relayed: [None, None],
        transport: RelayTransport::Udp,
        lifetime: LIFETIME,
    })
}

/// `packets` in each of the four directions, ten bytes each as payload and fourteen as messages.
pub(crate) fn figures(packets: u64) -> (TrafficCounters, TrafficCounters) {
    let both = |size| {
        let count = TrafficCount { packets, bytes: packets * size };
        TrafficCounters { from_client: count, to_client: count }
    };
    (both(10), both(14))
}

pub(crate) fn refreshed(session: &Arc<SessionStart>, secs: u64) -> DomainEvent {
    let (session, lifetime) = (Arc::clone(session), Duration::from_secs(secs));
    DomainEvent::SessionRefreshed { five_tuple: session.five_tuple, session, lifetime }
}

pub(crate) fn traffic(session: &Arc<SessionStart>, packets: u64) -> DomainEvent {
    let (traffic, messages) = figures(packets);
    DomainEvent::SessionTraffic { session: Arc::clone(session), traffic, messages }
}

pub(crate) fn ended(session: &Arc<SessionStart>, packets: u64) -> DomainEvent {
    let (traffic, messages) = figures(packets);
    DomainEvent::SessionEnded {
        session: Arc::clone(session),
        reason: SessionEndReason::Relay(AllocationEndReason::ClientDeleted),
        duration: Duration::from_secs(1),
        traffic,
        messages,
    }
}
