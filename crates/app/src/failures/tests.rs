use causeway_types::{FiveTuple, LimitName};

use super::*;
use crate::model::Attribution;

const NOW: UnixTime = UnixTime::from_secs(1_790_000_040);

fn refusal(username: &str, port: u16, is_known: bool) -> Refusal {
    let five_tuple = FiveTuple {
        transport: ClientTransport::Udp,
        client: ([192, 0, 2, 1], port).into(),
        server: ([198, 51, 100, 1], 3478).into(),
    };
    let attribution =
        Attribution { project: ProjectId(5), token: None, room: None, clients: Vec::new(), region: "local".to_owned() };
    Refusal {
        project: ProjectId(5),
        reason: FailureReason::WrongKey,
        username: Some(Arc::from(username)),
        attribution: is_known.then(|| Arc::new(attribution)),
        five_tuple: Some(five_tuple),
        session: None,
        expired_by: None,
        limit: None,
        peer: None,
        rule: None,
    }
}

fn later(millis: u64) -> UnixTime {
    UnixTime::from_millis(NOW.as_millis() + millis)
}

#[test]
fn equal_refusals_of_a_minute_are_one_row_that_is_written_when_it_changed() {
    let mut book = FailureBook::new(7);
    for n in 0..1000_u16 {
        book.note(later(u64::from(n)), refusal("alice", 1000 + n, true));
    }
    let rows = book.changed(100);
    assert_eq!(rows.len(), 1);
    assert_eq!((rows[0].count, rows[0].folded, rows[0].first_at, rows[0].last_at), (1000, 0, NOW, later(999)));
    assert!(book.changed(100).is_empty());
    book.note(later(2000), refusal("alice", 1, true));
    let again = book.changed(100);
    assert_eq!((again[0].id.clone(), again[0].count), (rows[0].id.clone(), 1001));
    book.not_written(&again);
    assert_eq!(book.changed(100).len(), 1);
    book.note(later(60_000), refusal("alice", 1, true));
    assert_ne!(book.changed(100)[0].id, rows[0].id, "another minute, another row");
}

#[test]
fn one_user_has_sixteen_rows_a_minute_and_the_seventeenth_is_folded() {
    let mut book = FailureBook::new(7);
    for n in 0..17 {
        let peer = Some(([203, 0, 113, n], 9).into());
        book.note(NOW, Refusal { reason: FailureReason::ForbiddenPeer, peer, ..refusal("alice", 1, true) });
    }
    let rows = book.changed(100);
    assert_eq!(rows.len(), 16);
    assert_eq!((rows.iter().map(|row| row.folded).sum::<u64>(), book.folded()), (1, 1));
    // Another user has room of its own.
    book.note(NOW, refusal("bob", 1, true));
    assert_eq!(book.changed(100).len(), 1);
}

#[test]
fn made_up_names_share_one_small_allowance() {
    let mut book = FailureBook::new(7);
    for n in 0..10_000 {
        book.note(NOW, refusal(&format!("made-up-{n}"), 1, false));
    }
    assert_eq!(book.changed(100_000).len(), 64);
    assert_eq!(book.folded(), 10_000 - 64);
    book.note(NOW, Refusal { limit: Some(LimitName::AllocationsPerUser), ..refusal("alice", 1, true) });
    assert_eq!(book.changed(100).len(), 1, "a known user is not crowded out");
}

#[test]
fn nothing_grows_while_the_store_is_away() {
    let mut book = FailureBook::new(7);
    for minute in 0..40_u64 {
        for n in 0..2100 {
            book.note(later(minute * 60_000), refusal(&format!("user-{n}"), 1, true));
        }
    }
    let kept = book.changed(1_000_000).len();
    assert_eq!(kept, 2000 * 31);
    assert_eq!(book.lost(), 2000 * 9);
}
