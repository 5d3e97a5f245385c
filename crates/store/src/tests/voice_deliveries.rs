//! Deliveries to backends of voice connections: held by one server, taken over, forgotten.

use std::time::Duration;

use causeway_app::{
    NumberedPage, OrganizationId, VOICE_ATTEMPTS_MAX, VoiceAttempt, VoiceDelivery, VoiceDeliveryPlace,
    VoiceDeliveryStore, VoiceProgress, VoiceTry,
};
use causeway_types::UnixTime;

use super::{NOW, ProjectId, SqlStore, postgres::fresh_database};
use crate::{sql::Sql, voice_deliveries::wait_for_claims};

pub(super) fn delivery(event: &str, call: &str) -> VoiceDelivery {
    VoiceDelivery {
        event: event.to_owned(),
        project: ProjectId::DEFAULT,
        organization: OrganizationId::DEFAULT,
        call: call.to_owned(),
        event_type: "call.initiated".to_owned(),
        body: r#"{"a":1}"#.to_owned(),
        url: "https://a".to_owned(),
        failover_url: Some("https://b".to_owned()),
        timeout: Some(Duration::from_millis(1500)),
        attempts: 0,
        step: 0,
        next_at: NOW,
        created_at: NOW,
    }
}

fn attempt(event: &str, attempt: u32, outcome: Result<u16, String>) -> VoiceAttempt {
    VoiceAttempt {
        project: ProjectId::DEFAULT,
        event: event.to_owned(),
        event_type: "call.initiated".to_owned(),
        url: "https://a".to_owned(),
        attempt,
        at: NOW,
        outcome,
    }
}

const fn page(offset: u64, limit: u32) -> NumberedPage {
    NumberedPage { offset, limit, is_newest_first: true }
}

pub(super) async fn voice_deliveries_are_held_taken_over_and_forgotten(store: &SqlStore) {
    let (soon, later) = (NOW.saturating_add(Duration::from_secs(60)), NOW.saturating_add(Duration::from_secs(3600)));
    let all = [delivery("e1", "c1"), delivery("e2", "c2"), delivery("e3", "c1")];
    store.insert_voice_deliveries(&all, soon).await.expect("inserted");
    store.insert_voice_deliveries(&all[..1], soon).await.expect("twice is once");
    assert_eq!(store.claim_voice_deliveries(false, NOW, soon).await.expect("answers"), [], "they are held");
    let mine = store.claim_voice_deliveries(true, NOW, soon).await.expect("answers");
    assert_eq!(mine, all, "a server that starts takes what it held, in order");

    let progress = VoiceProgress {
        over: vec!["e1".to_owned()],
        tried: vec![VoiceTry { event: "e3".to_owned(), attempts: 2, step: 4, next_at: soon }],
        attempts: vec![attempt("e1", 1, Ok(204)), attempt("e3", 1, Err("no answer".to_owned()))],
    };
    store.note_voice_progress(&progress).await.expect("noted");
    store.hold_voice_deliveries(later).await.expect("held");
    let free = soon.saturating_add(Duration::from_secs(1));
    assert_eq!(store.claim_voice_deliveries(false, free, later).await.expect("answers"), [], "held for longer");
    let free = later.saturating_add(Duration::from_secs(1));
    let left = store.claim_voice_deliveries(false, free, free).await.expect("answers");
    let third = VoiceDelivery { attempts: 2, step: 4, next_at: soon, ..delivery("e3", "c1") };
    assert_eq!(left, [delivery("e2", "c2"), third], "what nobody holds is taken over");

    let (seen, total) = store.voice_attempts(ProjectId::DEFAULT, page(0, 10)).await.expect("answers");
    assert_eq!((total, seen), (2, progress.attempts.iter().rev().cloned().collect()));
    let (second, _) = store.voice_attempts(ProjectId::DEFAULT, page(1, 1)).await.expect("answers");
    assert_eq!(second, [attempt("e1", 1, Ok(204))]);
    let (others, total) = store.voice_attempts(ProjectId(77), page(0, 10)).await.expect("answers");
    assert_eq!((others.len(), total), (0, 0));

    assert_eq!(store.forget_voice_deliveries(NOW, NOW).await.expect("answers"), 0);
    let after = NOW.saturating_add(Duration::from_millis(1));
    assert_eq!(store.forget_voice_deliveries(after, NOW).await.expect("answers"), 2);
    assert_eq!(store.claim_voice_deliveries(true, free, free).await.expect("answers"), []);
    assert_eq!(store.voice_attempts(ProjectId::DEFAULT, page(0, 10)).await.expect("answers").1, 2);
    let many: Vec<VoiceAttempt> = (1..=1010).map(|n| attempt("e9", n, Ok(500))).collect();
    store.note_voice_progress(&VoiceProgress { attempts: many, ..VoiceProgress::default() }).await.expect("noted");
    store.forget_voice_deliveries(NOW, NOW).await.expect("answers");
    let (seen, total) = store.voice_attempts(ProjectId::DEFAULT, page(0, 1)).await.expect("answers");
    assert_eq!((seen[0].attempt, total), (1010, VOICE_ATTEMPTS_MAX));
    store.forget_voice_deliveries(NOW, after).await.expect("answers");
    assert_eq!(store.voice_attempts(ProjectId::DEFAULT, page(0, 1)).await.expect("answers").1, 0);
}

/// Three servers of one database.
async fn servers() -> [SqlStore; 3] {
    let url = fresh_database();
    let [a, b, dead] = ["a", "b", "dead"].map(|node| SqlStore::connect(&url, node));
    let servers = [a.await.expect("connects"), b.await.expect("connects"), dead.await.expect("connects")];
    super::prepare(&servers[0]).await;
    servers
}

fn at(secs: u64) -> UnixTime {
    NOW.saturating_add(Duration::from_secs(secs))
}

async fn claimed(store: &SqlStore, is_start: bool, now: u64) -> Vec<String> {
    let claimed = store.claim_voice_deliveries(is_start, at(now), at(now + 30)).await.expect("answers");
    claimed.into_iter().map(|delivery| delivery.event).collect()
}

#[tokio::test]
async fn a_call_is_taken_over_when_nobody_is_at_it_any_more_and_then_as_a_whole() {
    let [a, b, dead] = servers().await;
    dead.insert_voice_deliveries(&[delivery("e1", "c1"), delivery("e2", "c2")], at(30)).await.expect("inserted");
    dead.insert_voice_deliveries(&[delivery("e3", "c1")], at(40)).await.expect("inserted");
    assert_eq!(claimed(&a, false, 31).await, ["e2"], "the other call has an event that is held");
    assert_eq!(claimed(&b, false, 41).await, ["e1", "e3"]);
    assert_eq!(a.voice_delivery_place("e1").await.expect("answers"), VoiceDeliveryPlace::Elsewhere);
    assert_eq!(b.voice_delivery_place("e1").await.expect("answers"), VoiceDeliveryPlace::Here);
    assert_eq!(b.voice_delivery_place("e9").await.expect("answers"), VoiceDeliveryPlace::Gone);

    // The server of the call lives and has one more for it: whoever is at the call takes that, too.
    dead.insert_voice_deliveries(&[delivery("e4", "c1")], at(80)).await.expect("inserted");
    b.yield_voice_delivery("e4").await.expect("nothing happens: it is not b's");
    assert_eq!(claimed(&b, false, 50).await, [] as [&str; 0]);
    dead.yield_voice_delivery("e4").await.expect("yielded");
    dead.hold_voice_deliveries(at(90)).await.expect("what is yielded is not held");
    assert_eq!(claimed(&a, false, 50).await, [] as [&str; 0], "b is at that call");
    assert_eq!(claimed(&b, false, 50).await, ["e4"]);
}

#[tokio::test]
async fn a_server_with_nothing_to_deliver_writes_nothing() {
    let [a, b, _] = servers().await;
    a.insert_voice_deliveries(&[delivery("e1", "c1")], at(30)).await.expect("inserted");
    let claims = || async {
        let sql = Sql::new("SELECT value FROM counters WHERE name = 'voice_claim'");
        sql.rows::<(i64,)>().fetch_one(&a.pool).await.expect("answers").0
    };
    let before = claims().await;
    b.hold_voice_deliveries(at(60)).await.expect("held");
    assert_eq!(claimed(&b, false, 29).await, [] as [&str; 0]);
    assert_eq!(claims().await, before);
    a.hold_voice_deliveries(at(60)).await.expect("held");
    assert_eq!(claims().await, before + 1);
    assert_eq!(claimed(&b, false, 59).await, [] as [&str; 0]);
}

#[tokio::test]
async fn a_server_that_starts_takes_all_that_was_its_own_however_much() {
    let [a, _, _] = servers().await;
    let calls: Vec<VoiceDelivery> = (0..1005).map(|n| delivery(&format!("e{n}"), &format!("c{n}"))).collect();
    a.insert_voice_deliveries(&calls, at(30)).await.expect("inserted");
    assert_eq!(claimed(&a, true, 1).await.len(), 1000);
    a.hold_voice_deliveries(at(40)).await.expect("held");
    assert_eq!(claimed(&a, false, 6).await, ["e1000", "e1001", "e1002", "e1003", "e1004"], "what waits is not held");
}

#[tokio::test]
async fn of_two_servers_that_claim_at_once_one_waits_and_finds_no_call_in_part() {
    let [a, b, dead] = servers().await;
    dead.insert_voice_deliveries(&[delivery("e1", "c1"), delivery("e2", "c1")], at(30)).await.expect("inserted");
    // The first is in the middle of its claim.
    let mut first = a.writes.begin().await.expect("begins");
    wait_for_claims(&mut first).await.expect("nobody else claims");
    let part = Sql::new("UPDATE voice_deliveries SET holder = 'a', held_until = ").bind(crate::millis(at(90)));
    part.push(" WHERE event = 'e1'").query().execute(&mut *first).await.expect("claims");
    let second = tokio::spawn(async move { claimed(&b, false, 31).await });
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    let waiting =
        "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while Sql::new(waiting).rows::<(i64,)>().fetch_one(&a.pool).await.expect("answers").0 == 0 {
        assert!(tokio::time::Instant::now() < deadline && !second.is_finished(), "the second waits for the first");
        tokio::task::yield_now().await;
    }
    first.commit().await.expect("commits");
    assert_eq!(second.await.expect("ends"), [] as [&str; 0]);
}
