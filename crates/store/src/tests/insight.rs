//! What explains calls: marks, refusals, privacy.

use causeway_app::{
    AddressPrivacy, ErasureSubject, Failure, FailureFilter, FailureGroupBy, FailureKey, FailureReason, InsightStore,
    Mark, MarkKind, NewDoctorLink, Refusal,
};
use causeway_types::LimitName;

use super::*;

on_both!(
    a_session_comes_back_with_what_explains_it,
    addresses_are_written_as_far_as_the_project_keeps_them,
    a_refusal_written_twice_counts_once_and_is_found_by_every_filter,
    refusals_are_summed_up_by_reason_room_and_client,
    refusals_are_paged_without_gap_or_repetition,
    the_oldest_refusals_make_room,
    a_room_is_forgotten_without_a_trace_and_the_sums_stay,
    a_client_is_forgotten_and_others_are_not,
    what_ended_before_a_time_is_forgotten_in_batches_and_the_sums_stay,
    the_overview_counts_what_lives_and_what_happened,
    a_doctor_link_opens_as_often_as_it_may_and_keeps_few_results,
);

/// Later than anything that the tests write.
const FAR: UnixTime = UnixTime::from_secs(1_990_000_000);

fn explained(id: u64) -> SessionRecord {
    let peer = |last: u8| ([203, 0, 113, last], 9).into();
    let what = [
        MarkKind::PeerNamed { peer: peer(9) },
        MarkKind::PeerRefused { peer: ([10, 0, 0, 5], 9).into(), rule: Arc::from("default: private 10.0.0.0/8") },
        MarkKind::Refreshed { lifetime: Duration::from_secs(600) },
    ];
    let marks = what.into_iter().map(|what| Mark { after: Duration::from_millis(1500), what }).collect();
    let mut record = session(id, "room", 100);
    record.insight = SessionInsight {
        first_sent: Some(Duration::from_millis(12)),
        first_heard: Some(Duration::from_millis(34)),
        udp_unanswered: Some(Duration::from_secs(1)),
        marks,
        marks_folded: 3,
        ..SessionInsight::default()
    };
    record.insight.bitrate.observe(Duration::from_secs(1), 500, 600);
    record.end =
        Some(SessionEnd { at: record.last_seen, reason: SessionEndReason::Relay(AllocationEndReason::ClientDeleted) });
    record
}

async fn a_session_comes_back_with_what_explains_it(store: &SqlStore) {
    // Written while it lives, and again with its end.
    let mut live = explained(1);
    live.end = None;
    live.insight.marks.truncate(1);
    store.write_sessions(&[live]).await.unwrap();
    store.write_sessions(&[explained(1), explained(2)]).await.unwrap();
    for id in [1, 2] {
        let found = store.session(ProjectId::DEFAULT, AllocationId(id)).await.unwrap().unwrap().insight;
        assert_eq!(found.first_sent, Some(Duration::from_millis(12)));
        assert_eq!(found.first_heard, Some(Duration::from_millis(34)));
        assert_eq!((found.udp_unanswered, found.marks_folded), (Some(Duration::from_secs(1)), 3));
        assert_eq!((found.bitrate.interval_secs, &*found.bitrate.points), (1, &[(0, 0), (500, 600)][..]));
        let marks: Vec<String> =
            found.marks.iter().map(|mark| format!("{} {} {}", mark.kind, mark.subject, mark.detail)).collect();
        assert_eq!(
            marks,
            ["peer_named 203.0.113.9:9 ", "peer_refused 10.0.0.5:9 default: private 10.0.0.0/8", "refreshed 600 ",]
        );
    }
}

async fn addresses_are_written_as_far_as_the_project_keeps_them(store: &SqlStore) {
    for (id, privacy, client, peer, mark) in [
        (1, AddressPrivacy::Keep, "192.0.2.1:40000", "203.0.113.9:9", "10.0.0.5:9"),
        (2, AddressPrivacy::Truncate, "192.0.2.0:0", "203.0.113.0:0", "10.0.0.0:0"),
        (3, AddressPrivacy::Drop, "", "", ""),
    ] {
        store.set_address_privacy(ProjectId::DEFAULT, privacy);
        store.write_sessions(&[explained(id)]).await.unwrap();
        let found = store.session(ProjectId::DEFAULT, AllocationId(id)).await.unwrap().unwrap();
        assert_eq!(found.client_address, client);
        assert_eq!(found.peers, [(peer.to_owned(), Some(AllocationId(3).to_string()))]);
        assert_eq!(found.insight.marks[1].subject, mark);
        assert_eq!(found.insight.marks[1].detail.contains('1'), privacy == AddressPrivacy::Keep, "{found:?}");
        assert_eq!(found.relayed_addresses, ["198.51.100.1:50000"], "the relay's own addresses are nobody's secret");
        store.write_failures(&[failure(id, FailureReason::ForbiddenPeer, "bob", "room")]).await.unwrap();
        let shown = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let found = store.failures(ProjectId::DEFAULT, &FailureFilter::default(), &PageRequest::default()).await;
        let found = found.unwrap().items.remove(0);
        assert_eq!((found.client_address, found.peer), (shown(client), shown(mark)));
        assert_eq!(found.rule.unwrap().contains('1'), privacy == AddressPrivacy::Keep);
    }
    store.set_address_privacy(ProjectId::DEFAULT, AddressPrivacy::Keep);
}

fn failure(id: u64, reason: FailureReason, client: &str, room: &str) -> Failure {
    let five_tuple = session(1, "room", 1).five_tuple;
    let attribution = Attribution {
        project: ProjectId::DEFAULT,
        token: Some(TokenId(1)),
        room: Some(identifier(room)),
        clients: vec![(identifier(client), Role::Receiver)],
        region: "local".to_owned(),
    };
    let at = NOW.saturating_add(Duration::from_secs(id));
    Failure {
        id: format!("{id:016x}"),
        first_at: at,
        last_at: at,
        count: 2,
        folded: 1,
        refusal: Refusal {
            project: ProjectId::DEFAULT,
            reason,
            username: Some(Arc::from(format!("name-of_{client}"))),
            attribution: Some(Arc::new(attribution)),
            five_tuple: Some(five_tuple),
            session: Some(AllocationId(7)),
            expired_by: Some(Duration::from_millis(4200)),
            limit: Some(LimitName::AllocationsPerUser),
            peer: Some(([10, 0, 0, 5], 9).into()),
            rule: Some(Arc::from("default: private 10.0.0.0/8")),
        },
    }
}

async fn count_of(store: &SqlStore, filter: FailureFilter) -> usize {
    store.failures(ProjectId::DEFAULT, &filter, &PageRequest::default()).await.unwrap().items.len()
}

async fn a_refusal_written_twice_counts_once_and_is_found_by_every_filter(store: &SqlStore) {
    let first = failure(1, FailureReason::Expired, "bob", "room");
    store.write_failures(std::slice::from_ref(&first)).await.unwrap();
    let later = NOW.saturating_add(Duration::from_secs(30));
    store.write_failures(&[Failure { count: 5, folded: 4, last_at: later, ..first }]).await.unwrap();
    let page = store.failures(ProjectId::DEFAULT, &FailureFilter::default(), &PageRequest::default()).await.unwrap();
    let [found] = &page.items[..] else { panic!("{page:?}") };
    assert_eq!((found.count, found.folded, found.last_at), (5, 4, later));
    assert_eq!((found.reason, found.expired_by), (FailureReason::Expired, Some(Duration::from_millis(4200))));
    assert_eq!((found.clients.clone(), found.role.as_deref()), (vec!["bob".to_owned()], Some("receiver")));
    assert_eq!((found.transport.as_deref(), found.limit.as_deref()), (Some("udp"), Some("allocations_per_user_max")));
    let none = FailureFilter::default;
    let at = |secs| Some(NOW.saturating_add(Duration::from_secs(secs)));
    let search = |text: &str| FailureFilter { search: Some(text.to_owned()), ..none() };
    for (filter, expected) in [
        (FailureFilter { reason: Some(FailureReason::Expired), ..none() }, 1),
        (FailureFilter { reason: Some(FailureReason::WrongKey), ..none() }, 0),
        (FailureFilter { room: Some(identifier("room")), ..none() }, 1),
        (FailureFilter { room: Some(identifier("other")), ..none() }, 0),
        (FailureFilter { client: Some(identifier("bob")), ..none() }, 1),
        (FailureFilter { client: Some(identifier("alice")), ..none() }, 0),
        (FailureFilter { since: at(1), until: at(2), ..none() }, 1),
        (FailureFilter { since: at(2), ..none() }, 0),
        (FailureFilter { until: at(1), ..none() }, 0),
        (search("NAME-OF_B"), 1),
        (search("10.0.0.5"), 1),
        (search("per_user"), 1),
        (search("nameXof"), 0),
        (search("name%bob"), 0),
        (search("name-ofXbob"), 0),
        (search("bob room"), 0),
    ] {
        assert_eq!(count_of(store, filter.clone()).await, expected, "{filter:?}");
    }
    let other = store.failures(ProjectId(2), &none(), &PageRequest::default()).await.unwrap();
    assert!(other.items.is_empty(), "another project sees nothing");
}

async fn refusals_are_summed_up_by_reason_room_and_client(store: &SqlStore) {
    let mut shared = failure(4, FailureReason::Revoked, "alice", "red");
    let mut attribution = shared.refusal.attribution.as_deref().cloned().unwrap();
    attribution.clients = vec![(identifier("alice"), Role::Shared), (identifier("bob"), Role::Shared)];
    shared.refusal.attribution = Some(Arc::new(attribution));
    let mut unknown = failure(5, FailureReason::UnknownUser, "x", "x");
    unknown.refusal.attribution = None;
    store
        .write_failures(&[
            failure(1, FailureReason::Expired, "bob", "red"),
            failure(2, FailureReason::Expired, "bob", "blue"),
            failure(3, FailureReason::WrongKey, "alice", "red"),
            shared,
            unknown,
        ])
        .await
        .unwrap();
    for (by, expected) in [
        (FailureGroupBy::Reason, vec![("expired", 6), ("revoked", 3), ("unknown_user", 3), ("wrong_key", 3)]),
        (FailureGroupBy::Room, vec![("red", 9), ("", 3), ("blue", 3)]),
        (FailureGroupBy::Client, vec![("bob", 9), ("alice", 6), ("", 3)]),
    ] {
        let groups = store.failure_groups(ProjectId::DEFAULT, &FailureFilter::default(), by).await.unwrap();
        let found: Vec<(&str, u64)> = groups.iter().map(|group| (group.key.as_str(), group.count)).collect();
        assert_eq!(found, expected, "{by:?}");
    }
    let filter = FailureFilter { client: Some(identifier("bob")), ..FailureFilter::default() };
    let groups = store.failure_groups(ProjectId::DEFAULT, &filter, FailureGroupBy::Reason).await.unwrap();
    assert_eq!((groups[0].key.as_str(), groups[0].count, groups.len()), ("expired", 6, 2));
    assert_eq!(groups[0].first_at, NOW.saturating_add(Duration::from_secs(1)));
    assert_eq!(groups[0].last_at, NOW.saturating_add(Duration::from_secs(2)));
}

async fn refusals_are_paged_without_gap_or_repetition(store: &SqlStore) {
    let rows: Vec<Failure> = (1..=25).map(|id| failure(id, FailureReason::Expired, "bob", "room")).collect();
    store.write_failures(&rows).await.unwrap();
    for filter in [
        FailureFilter::default(),
        FailureFilter { reason: Some(FailureReason::Expired), ..FailureFilter::default() },
        FailureFilter { search: Some("bob".to_owned()), ..FailureFilter::default() },
    ] {
        assert_eq!(all_refusals(store, &filter).await, (1..=25).rev().collect::<Vec<u64>>(), "{filter:?}");
    }
    for (_, by) in FailureKey::ALL {
        let filter = FailureFilter { order: Order { by, is_descending: false }, ..FailureFilter::default() };
        assert_eq!(all_refusals(store, &filter).await, (1..=25).collect::<Vec<u64>>(), "{filter:?}");
    }
}

/// The numbers of refusals, read in pages of ten.
async fn all_refusals(store: &SqlStore, filter: &FailureFilter) -> Vec<u64> {
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = store.failures(ProjectId::DEFAULT, filter, &PageRequest { limit: 10, after }).await.unwrap();
        seen.extend(page.items.into_iter().map(|failure| u64::from_str_radix(&failure.id, 16).unwrap()));
        match page.next {
            Some(next) => after = Some(next),
            None => return seen,
        }
    }
}

async fn the_oldest_refusals_make_room(store: &SqlStore) {
    let rows: Vec<Failure> = (1..=25).map(|id| failure(id, FailureReason::Expired, "bob", "room")).collect();
    store.write_failures(&rows).await.unwrap();
    assert_eq!(store.trim_failures(ProjectId::DEFAULT, 25).await.unwrap(), 0, "as many as may be kept");
    assert_eq!(store.trim_failures(ProjectId(2), 0).await.unwrap(), 0, "another project keeps its own");
    assert_eq!(store.trim_failures(ProjectId::DEFAULT, 24).await.unwrap(), 1);
    assert_eq!(store.trim_failures(ProjectId::DEFAULT, 10).await.unwrap(), 14);
    let left = all_refusals(store, &FailureFilter::default()).await;
    assert_eq!(left, (16..=25).rev().collect::<Vec<u64>>());
}

/// Every text that any table holds.
async fn everything(store: &SqlStore) -> String {
    const TABLES: [&str; 11] = [
        "credentials",
        "sessions",
        "session_clients",
        "rooms",
        "clients",
        "room_clients",
        "usage_hours",
        "usage_client_hours",
        "audit_log",
        "events",
        "failures",
    ];
    const TEXTS: [&str; 17] = [
        "username",
        "room",
        "client",
        "initiator_client",
        "receiver_client",
        "metadata",
        "name",
        "subject",
        "detail",
        "body",
        "second_client",
        "peers",
        "marks",
        "session",
        "rule",
        "region",
        "action",
    ];
    use sqlx::{Column, Row};
    let mut found = String::new();
    for table in TABLES {
        let rows =
            sqlx::query(sqlx::AssertSqlSafe(format!("SELECT * FROM {table}"))).fetch_all(&store.pool).await.unwrap();
        for row in rows {
            for column in row.columns().iter().filter(|column| TEXTS.contains(&column.name())) {
                let text: Option<String> = row.try_get(column.name()).unwrap_or_default();
                found += &format!("{table}.{}={}\n", column.name(), text.unwrap_or_default());
            }
        }
    }
    found
}

async fn fill(store: &SqlStore) {
    store.insert_credential(credential("of-red", "red_1")).await.unwrap();
    store.insert_credential(credential("of-blue", "redX1")).await.unwrap();
    let records: Vec<SessionRecord> = (1..=600).map(|id| session(id, "red_1", id)).collect();
    store.write_sessions(&records).await.unwrap();
    let mut other = session(601, "redX1", 7);
    let mut start = (*other.start).clone();
    let mut attribution = (*start.attribution).clone();
    attribution.clients = vec![(identifier("carol"), Role::Initiator)];
    start.attribution = Arc::new(attribution);
    other.start = Arc::new(start);
    store.write_sessions(&[other]).await.unwrap();
    store
        .write_failures(&[
            failure(1, FailureReason::Expired, "bob", "red_1"),
            failure(2, FailureReason::Expired, "carol", "redX1"),
        ])
        .await
        .unwrap();
    let event = |cursor, body: &str| StoredEvent {
        cursor: Cursor(cursor),
        project: ProjectId::DEFAULT,
        session: String::new(),
        name: "room.opened".to_owned(),
        at: NOW,
        body: body.to_owned(),
    };
    let events = [event(1, r#"{"room":"red_1"}"#), event(2, r#"{"room":"redX1","clients":[{"client":"alice"}]}"#)];
    store.keep_events(&events).await.unwrap();
    let entry = |subject: &str| AuditEntry {
        at: NOW,
        project: ProjectId::DEFAULT,
        token: None,
        user: None,
        action: "credential.revoke".to_owned(),
        subject: subject.to_owned(),
        detail: "{}".to_owned(),
    };
    for subject in ["room red_1", "room redX1", "client alice"] {
        store.audit(&entry(subject)).await.unwrap();
    }
}

async fn a_room_is_forgotten_without_a_trace_and_the_sums_stay(store: &SqlStore) {
    fill(store).await;
    let total = store.usage(&usage(UsageGroup::Total)).await.unwrap();
    assert!(everything(store).await.contains("red_1"));
    let erased = store.erase(ProjectId::DEFAULT, &ErasureSubject::Room(identifier("red_1"))).await.unwrap();
    assert_eq!((erased.sessions, erased.credentials, erased.failures, erased.events), (600, 1, 1, 1));
    assert_eq!(erased.audit_entries, 1);
    let left = everything(store).await;
    assert!(!left.contains("red_1"), "{left}");
    assert!(left.contains("rooms.name=redX1") && left.contains("audit_log.subject=room (erased)"), "{left}");
    assert_eq!(store.usage(&usage(UsageGroup::Total)).await.unwrap(), total);
    let rooms: Vec<(String, u64)> =
        store.usage(&usage(UsageGroup::Room)).await.unwrap().into_iter().map(|row| (row.key, row.sessions)).collect();
    assert_eq!(rooms, [(String::new(), 600), ("redX1".to_owned(), 1)]);
    let again = store.erase(ProjectId::DEFAULT, &ErasureSubject::Room(identifier("red_1"))).await.unwrap();
    assert_eq!(again, causeway_app::Erased::default());
}

async fn what_ended_before_a_time_is_forgotten_in_batches_and_the_sums_stay(store: &SqlStore) {
    fill(store).await;
    let total = store.usage(&usage(UsageGroup::Total)).await.unwrap();
    let long_ago = UnixTime::from_secs(1);
    store.forget_before(ProjectId::DEFAULT, FAR).await.unwrap();
    assert!(everything(store).await.contains("sessions."), "live sessions stay, however old");
    store.close_left_open().await.unwrap();
    assert_eq!(store.forget_before(ProjectId::DEFAULT, long_ago).await.unwrap(), 0);
    assert_eq!(store.forget_before(ProjectId(2), FAR).await.unwrap(), 0, "another project keeps its own time");
    let mut batches = Vec::new();
    loop {
        let forgotten = store.forget_before(ProjectId::DEFAULT, FAR).await.unwrap();
        if forgotten == 0 {
            break;
        }
        batches.push(forgotten);
    }
    assert!(batches.len() > 1 && batches.iter().all(|batch| *batch <= 500), "{batches:?}");
    let left = everything(store).await;
    for table in ["sessions.", "session_clients.", "failures.", "credentials."] {
        assert!(!left.contains(table), "{table} {left}");
    }
    assert_eq!(store.usage(&usage(UsageGroup::Total)).await.unwrap(), total);
}

async fn a_client_is_forgotten_and_others_are_not(store: &SqlStore) {
    fill(store).await;
    let erased = store.erase(ProjectId(2), &ErasureSubject::Client(identifier("alice"))).await.unwrap();
    assert_eq!(erased, causeway_app::Erased::default(), "another project's client of that name is another one");
    let erased = store.erase(ProjectId::DEFAULT, &ErasureSubject::Client(identifier("alice"))).await.unwrap();
    assert_eq!((erased.sessions, erased.credentials, erased.failures, erased.events), (600, 2, 0, 1));
    let left = everything(store).await;
    assert!(!left.contains("alice"), "{left}");
    assert!(left.contains("clients.name=carol") && left.contains("failures.client=bob"), "{left}");
}

async fn the_overview_counts_what_lives_and_what_happened(store: &SqlStore) {
    store.insert_credential(credential("a", "red")).await.unwrap();
    store.write_sessions(&[session(1, "red", 100), session(2, "blue", 50), explained(3)]).await.unwrap();
    store
        .write_failures(&[
            failure(1, FailureReason::Expired, "bob", "red"),
            failure(2, FailureReason::WrongKey, "bob", "red"),
            failure(3, FailureReason::WrongKey, "bob", "red"),
        ])
        .await
        .unwrap();
    let live = store.live_counts(ProjectId::DEFAULT).await.unwrap();
    assert_eq!((live.sessions, live.rooms, live.clients), (2, 2, 1));
    let hour = UnixTime::from_secs(NOW.as_secs() / 3600 * 3600);
    let day = store.day_counts(ProjectId::DEFAULT, hour).await.unwrap();
    assert_eq!((day.sessions, day.minted, day.bytes_in), (3, 1, 104 + 54 + 104));
    assert_eq!(day.refusals, [(FailureReason::WrongKey, 6), (FailureReason::Expired, 3)]);
    let later = store.day_counts(ProjectId::DEFAULT, hour.saturating_add(Duration::from_secs(3600))).await.unwrap();
    assert_eq!(later, causeway_app::DayCounts::default());
    assert_eq!(store.live_counts(ProjectId(2)).await.unwrap(), causeway_app::LiveCounts::default());
}

async fn a_doctor_link_opens_as_often_as_it_may_and_keeps_few_results(store: &SqlStore) {
    let later = |secs| NOW.saturating_add(Duration::from_secs(secs));
    let link = |hash: u8, opened_max| NewDoctorLink {
        project: ProjectId::DEFAULT,
        token: TokenId(1),
        hash: [hash; 32],
        name: format!("link {hash}"),
        created_at: NOW,
        expires_at: later(60),
        opened_max,
    };
    let id = store.insert_doctor_link(&link(1, 2)).await.unwrap();
    store.insert_doctor_link(&link(2, 9)).await.unwrap();
    assert_eq!(store.doctor_links_live(ProjectId::DEFAULT, NOW).await.unwrap(), 2);
    for expected in [true, true, false] {
        let opened = store.open_doctor_link([1; 32], later(1)).await.unwrap();
        assert_eq!(
            opened.map(|link| (link.project, link.expires_at)),
            expected.then_some((ProjectId::DEFAULT, later(60)))
        );
    }
    assert_eq!(store.open_doctor_link([3; 32], NOW).await.unwrap(), None);
    assert_eq!(store.open_doctor_link([2; 32], later(60)).await.unwrap(), None, "its time is over");
    assert_eq!(store.doctor_links_live(ProjectId::DEFAULT, NOW).await.unwrap(), 1);
    for (n, taken) in [(1, true), (2, true), (3, false)] {
        let body = format!(r#"{{"n":{n}}}"#);
        assert_eq!(store.add_doctor_result([1; 32], &body, later(2), 2).await.unwrap(), taken);
    }
    assert!(!store.add_doctor_result([1; 32], "{}", later(60), 9).await.unwrap());
    let results = store.doctor_results(ProjectId::DEFAULT, id).await.unwrap();
    let bodies: Vec<&str> = results.iter().map(|result| result.body.as_str()).collect();
    assert_eq!((bodies, results[0].at), (vec![r#"{"n":1}"#, r#"{"n":2}"#], later(2)));
    assert!(store.doctor_results(ProjectId(2), id).await.unwrap().is_empty());
    let page = store.doctor_links(ProjectId::DEFAULT, &PageRequest { limit: 1, after: None }).await.unwrap();
    assert_eq!((page.items[0].name.as_str(), page.items[0].results), ("link 2", 0));
    let page = store.doctor_links(ProjectId::DEFAULT, &PageRequest { limit: 1, after: page.next }).await.unwrap();
    assert_eq!((page.items[0].opened, page.items[0].opened_max, page.items[0].results), (2, 2, 2));
    assert_eq!(page.next, None);
    // A month after its time a link and what came of it are forgotten.
    let month = NewDoctorLink { created_at: later(61 + 30 * 86_400), expires_at: later(40 * 86_400), ..link(4, 1) };
    store.insert_doctor_link(&month).await.unwrap();
    assert_eq!(store.doctor_links(ProjectId::DEFAULT, &PageRequest::default()).await.unwrap().items.len(), 1);
    assert!(store.doctor_results(ProjectId::DEFAULT, id).await.unwrap().is_empty());
}
