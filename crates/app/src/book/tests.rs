use causeway_types::{ClientTransport, CredentialKind, MobilityMove, RelayTransport, TrafficCount};
use parking_lot::Mutex;

use super::*;
use crate::{ProjectId, Role, TokenId};

const NOW: UnixTime = UnixTime::from_secs(1_790_000_000);

#[derive(Debug, Default)]
struct Heard(Mutex<Vec<(ProjectId, DomainEvent)>>);

impl EventSink for Heard {
    fn emit(&self, _at: UnixTime, project: ProjectId, event: DomainEvent) {
        self.0.lock().push((project, event));
    }
}

impl Heard {
    fn names(&self) -> Vec<&'static str> {
        self.0.lock().iter().map(|(_, event)| event.name()).collect()
    }
}

fn book() -> (SessionBook, Arc<Heard>) {
    let settings = BookSettings {
        realm: Arc::from("causeway"),
        region: "local".to_owned(),
        node_number: 7,
        flush_interval: Duration::from_secs(5),
        waiting_max: 3,
    };
    let heard = Arc::new(Heard::default());
    (SessionBook::new(settings, Arc::<Heard>::clone(&heard), NOW), heard)
}

fn later(secs: u64) -> UnixTime {
    NOW.saturating_add(Duration::from_secs(secs))
}

fn five_tuple(port: u16) -> FiveTuple {
    FiveTuple {
        transport: ClientTransport::Udp,
        client: ([192, 0, 2, 1], port).into(),
        server: ([198, 51, 100, 1], 3478).into(),
    }
}

fn relayed(id: u64) -> SocketAddr {
    ([198, 51, 100, 1], u16::try_from(50_000 + id).expect("a port")).into()
}

fn created(id: u64) -> RelayEvent {
    RelayEvent::AllocationCreated {
        allocation: AllocationId(id),
        at: NOW,
        username: Arc::from("user"),
        credential: CredentialKind::Issued,
        five_tuple: five_tuple(40_000),
        relayed: [Some(relayed(id)), None],
        transport: RelayTransport::Udp,
        lifetime: Duration::from_secs(600),
        security: None,
        udp_unanswered: None,
    }
}

fn counters(bytes: u64) -> TrafficCounters {
    TrafficCounters { from_client: TrafficCount { packets: 1, bytes }, to_client: TrafficCount::default() }
}

fn ended(id: u64, reason: AllocationEndReason) -> RelayEvent {
    RelayEvent::AllocationEnded {
        allocation: AllocationId(id),
        at: later(9),
        username: Arc::from("user"),
        reason,
        duration: Duration::from_secs(9),
        traffic: counters(100),
        messages: counters(104),
    }
}

fn in_room(_: &str) -> Option<Arc<Attribution>> {
    Some(Arc::new(Attribution {
        project: ProjectId(5),
        token: Some(TokenId(1)),
        room: Some(Identifier::new("room").expect("good")),
        clients: vec![(Identifier::new("alice").expect("good"), Role::Initiator)],
        region: "local".to_owned(),
    }))
}

fn figures(id: u64, bytes: u64) -> Figures {
    Figures { id: AllocationId(id), traffic: counters(bytes), messages: counters(bytes) }
}

#[test]
fn a_session_is_told_from_start_to_end_in_order_and_its_room_opens_and_closes_once() {
    let (mut book, heard) = book();
    book.handle(NOW, created(1), in_room);
    book.handle(NOW, created(2), in_room);
    book.handle(
        NOW,
        RelayEvent::FirstData {
            allocation: AllocationId(1),
            direction: PayloadDirection::FromClient,
            after: Duration::from_millis(8),
        },
        in_room,
    );
    let lifetime = Duration::from_secs(600);
    book.handle(NOW, RelayEvent::AllocationRefreshed { allocation: AllocationId(1), lifetime }, in_room);
    let moved = MobilityMove { from: five_tuple(40_000), to: five_tuple(41_000) };
    book.handle(NOW, RelayEvent::AllocationMoved { allocation: AllocationId(1), moved }, in_room);
    book.handle(NOW, ended(1, AllocationEndReason::ClientClosed), in_room);
    book.handle(NOW, ended(2, AllocationEndReason::ClientClosed), in_room);
    assert_eq!(
        heard.names(),
        [
            "session.started",
            "room.opened",
            "session.started",
            "session.first_data",
            "session.refreshed",
            "session.path_changed",
            "session.ended",
            "session.ended",
            "room.closed",
        ]
    );
    assert!(heard.0.lock().iter().all(|(project, _)| *project == ProjectId(5)));
}

#[test]
fn a_client_that_deletes_is_told_as_a_refresh_of_nothing_first() {
    let (mut book, heard) = book();
    book.handle(NOW, created(1), in_room);
    book.handle(NOW, ended(1, AllocationEndReason::ClientDeleted), in_room);
    assert_eq!(heard.names()[2..], ["session.refreshed", "session.ended", "room.closed"]);
    let heard = heard.0.lock();
    assert!(matches!(heard[2].1, DomainEvent::SessionRefreshed { lifetime: Duration::ZERO, .. }));
}

#[test]
fn a_name_that_nobody_labels_belongs_to_the_first_project() {
    let (mut book, heard) = book();
    book.handle(NOW, created(1), |_| None);
    let five_tuple = five_tuple(1);
    let refused = RelayEvent::AuthRefused { five_tuple, username: None, refusal: AuthRefusal::UnknownUser };
    book.handle(NOW, refused, |_| None);
    assert!(heard.0.lock().iter().all(|(project, _)| *project == ProjectId::DEFAULT));
    assert_eq!(heard.names(), ["session.started", "auth.refused"]);
}

#[test]
fn numbers_have_the_node_in_front_and_never_repeat_over_a_restart() {
    let (mut first, heard) = book();
    first.handle(NOW, created(1), in_room);
    first.handle(NOW, created(2), in_room);
    let number = |index: usize, heard: &Heard| {
        let heard = heard.0.lock();
        let DomainEvent::SessionStarted(start) = &heard[index].1 else { panic!("{:?}", heard[index]) };
        start.number
    };
    let text = format!("{:018}", number(0, &heard));
    assert!(text.len() == 18 && text.starts_with("007"), "{text}");
    assert_eq!(number(2, &heard), number(0, &heard) + 1);
    let (_, later_heard) = book();
    let settings = BookSettings { node_number: 7, ..first.settings.clone() };
    let mut second = SessionBook::new(settings, Arc::<Heard>::clone(&later_heard), later(1));
    second.handle(NOW, created(1), in_room);
    assert!(number(0, &later_heard) > number(2, &heard));
}

#[test]
fn a_new_session_is_written_after_a_second_a_changed_one_after_the_interval_and_an_idle_one_each_minute() {
    let (mut book, _) = book();
    book.handle(NOW, created(1), in_room);
    assert!(book.changed(NOW, 10).is_empty(), "it may end before it is worth a row");
    assert_eq!(book.changed(later(1), 10).len(), 1);
    assert!(book.changed(later(2), 10).is_empty());
    book.handle_listing(later(3), &[figures(1, 50)]);
    assert!(book.changed(later(5), 10).is_empty(), "not yet");
    let written = book.changed(later(6), 10);
    assert_eq!(written[0].traffic, counters(50));
    book.handle_listing(later(65), &[figures(1, 50)]);
    assert!(book.changed(later(65), 10).is_empty());
    assert_eq!(book.changed(later(66), 10)[0].last_seen, later(65));
}

#[test]
fn a_session_that_ends_within_its_first_second_is_written_once() {
    let (mut book, _) = book();
    book.handle(NOW, created(1), in_room);
    book.handle(NOW, ended(1, AllocationEndReason::ClientDeleted), in_room);
    assert_eq!(book.changed(NOW, 10).len(), 1);
    assert!(book.changed(later(100), 10).is_empty());
}

#[test]
fn what_the_store_did_not_take_comes_again_and_only_a_full_waiting_room_loses() {
    let (mut book, _) = book();
    (1..=4).for_each(|id| book.handle(NOW, created(id), in_room));
    let live = book.changed(later(1), 10);
    book.not_written(live);
    assert_eq!(book.changed(later(1), 10).len(), 4, "live ones come again at once");
    (1..=3).for_each(|id| book.handle(NOW, ended(id, AllocationEndReason::ClientClosed), in_room));
    let records = book.changed(NOW, 2);
    assert_eq!(records.len(), 2);
    book.not_written(records);
    assert_eq!(book.lost_records(), 0);
    book.handle(NOW, ended(4, AllocationEndReason::ClientClosed), in_room);
    assert_eq!(book.lost_records(), 1, "the fourth does not fit");
    let ids: Vec<u64> = book.changed(NOW, 10).iter().map(|record| record.start.id.0).collect();
    assert_eq!(ids, [1, 2, 3], "in the order they ended");
}

#[test]
fn a_session_the_relay_no_longer_lists_is_lost_only_the_second_time() {
    let (mut book, heard) = book();
    book.handle(NOW, created(1), in_room);
    book.handle_listing(later(1), &[]);
    assert_eq!(book.live_count(), 1, "its end may be under way");
    book.handle_listing(later(2), &[]);
    assert_eq!(book.live_count(), 0);
    let heard = heard.0.lock();
    let told = heard
        .iter()
        .any(|(_, event)| matches!(event, DomainEvent::SessionEnded { reason: SessionEndReason::Lost, .. }));
    assert!(told, "{heard:?}");
}

#[test]
fn peers_are_kept_up_to_their_limit_and_our_own_are_recognised() {
    let (mut book, _) = book();
    book.handle(NOW, created(1), in_room);
    book.handle(NOW, created(2), in_room);
    let permit = |peer| RelayEvent::PeerPermitted { allocation: AllocationId(1), peer };
    book.handle(NOW, permit(relayed(2)), in_room);
    book.handle(NOW, permit(relayed(2)), in_room);
    (1..=40).for_each(|port| book.handle(NOW, permit(([203, 0, 113, 1], port).into()), in_room));
    let record = book.live().next().unwrap();
    assert_eq!(record.peers.len(), PEERS_MAX);
    assert_eq!(record.peers[0], PeerSeen { address: relayed(2), session: Some(AllocationId(2)) });
    assert_eq!(record.peers[1].session, None);
}

#[test]
fn what_explains_a_session_is_kept_with_it_and_its_refusals_wait_for_the_store() {
    let (mut book, _) = book();
    book.handle(NOW, created(1), in_room);
    let allocation = AllocationId(1);
    let (peer, rule): (SocketAddr, Arc<str>) = (([10, 0, 0, 5], 9).into(), Arc::from("default: private"));
    for _ in 0..3 {
        book.handle(later(1), RelayEvent::PeerRefused { allocation, peer, rule: Arc::clone(&rule) }, in_room);
    }
    for (direction, millis) in [(PayloadDirection::ToClient, 5), (PayloadDirection::FromClient, 9)] {
        book.handle(
            later(1),
            RelayEvent::FirstData { allocation, direction, after: Duration::from_millis(millis) },
            in_room,
        );
    }
    book.handle_listing(later(1), &[figures(1, 1000)]);
    assert_eq!(book.now(Some(ProjectId(5))).bytes_in_per_sec, 1000);
    book.handle_listing(later(3), &[figures(1, 5000)]);
    let now = book.now(Some(ProjectId(5)));
    assert_eq!((now.sessions, now.rooms, now.clients, now.bytes_in_per_sec), (1, 1, 1, 2000));
    assert_eq!(book.now(Some(ProjectId(6))), LiveFigures::default());
    let record = book.live_one(allocation).expect("it lives").clone();
    assert_eq!(record.refusals, 3);
    assert_eq!(
        record.insight.marks,
        [crate::Mark { after: Duration::from_secs(1), what: MarkKind::PeerRefused { peer, rule } }]
    );
    assert_eq!(record.first_data, Some(Duration::from_millis(5)));
    assert_eq!(record.insight.first_heard, Some(Duration::from_millis(5)));
    assert_eq!(record.insight.first_sent, Some(Duration::from_millis(9)));
    assert_eq!(record.insight.bitrate.points, [(0, 0), (1000, 0), (0, 0), (4000, 0)]);
    let [failure] = &book.failures().changed(10)[..] else { panic!("one row") };
    assert_eq!((failure.count, failure.refusal.reason), (3, FailureReason::ForbiddenPeer));
    assert_eq!((failure.refusal.session, failure.refusal.project), (Some(allocation), ProjectId(5)));
}

#[test]
fn a_refusal_is_told_and_kept_with_whose_it_is() {
    let (mut book, heard) = book();
    let refused = |refusal| RelayEvent::AuthRefused {
        five_tuple: five_tuple(40_000),
        username: Some(Arc::from("user")),
        refusal,
    };
    book.handle(NOW, refused(AuthRefusal::Expired { ago: Duration::from_secs(4) }), in_room);
    book.handle(NOW, refused(AuthRefusal::UnknownUser), |_| None);
    let limit = LimitName::AllocationsPerUser;
    let reached =
        RelayEvent::LimitReached { limit, username: Some(Arc::from("user")), five_tuple: Some(five_tuple(40_000)) };
    book.handle(NOW, reached, in_room);
    assert_eq!(heard.names(), ["auth.refused", "auth.refused", "limit.reached"]);
    let kept = book.failures().changed(10);
    let told: Vec<_> = kept.iter().map(|f| (f.refusal.project, f.refusal.reason, f.refusal.expired_by)).collect();
    assert_eq!(
        told,
        [
            (ProjectId::DEFAULT, FailureReason::UnknownUser, None),
            (ProjectId(5), FailureReason::Expired, Some(Duration::from_secs(4))),
            (ProjectId(5), FailureReason::Quota, None),
        ]
    );
}

#[test]
fn nothing_is_kept_of_names_that_came_and_went() {
    let (mut book, _) = book();
    for id in 0..10_000 {
        let name: Arc<str> = Arc::from(format!("1790000000:user-{id}"));
        let RelayEvent::AllocationCreated {
            at,
            credential,
            five_tuple,
            transport,
            lifetime,
            security,
            udp_unanswered,
            ..
        } = created(0)
        else {
            unreachable!("it creates")
        };
        let relayed = [Some(relayed(id % 1000)), None];
        let start = RelayEvent::AllocationCreated {
            allocation: AllocationId(id),
            at,
            username: name,
            credential,
            five_tuple,
            relayed,
            transport,
            lifetime,
            security,
            udp_unanswered,
        };
        book.handle(NOW, start, in_room);
        book.handle(NOW, ended(id, AllocationEndReason::ClientDeleted), in_room);
        // The store takes them every now and then; in between no more wait than may.
        assert!(book.ended.len() <= 3);
        if id % 2 == 1 {
            assert_eq!(book.changed(later(10), 100).len(), 2);
        }
    }
    assert_eq!((book.live.len(), book.by_relayed.len(), book.rooms.len(), book.ended.len()), (0, 0, 0, 0));
    assert_eq!(book.lost_records(), 0);
}
