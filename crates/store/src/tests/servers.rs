//! What several servers of one database share.

use causeway_app::{EVENT_IDS_AT_ONCE, EventPlace, Tried};

use super::*;

pub(super) async fn one_webhook(store: &SqlStore) -> Webhook {
    store.webhooks(Some(ProjectId::DEFAULT)).await.unwrap().remove(0)
}

pub(super) async fn the_log_says_what_was_tried_and_a_replay_begins_anew(store: &SqlStore) {
    let webhook = Webhook {
        id: WebhookId(0),
        project: ProjectId::DEFAULT,
        url: "https://example.net/hook".to_owned(),
        secrets: vec![Secret::new("s".to_owned())],
        events: Vec::new(),
        created_at: NOW,
        place: EventPlace(0),
        delivered_to: Cursor(0),
        run: 0,
        is_disabled: false,
    };
    let id = store.insert_webhook(&webhook).await.unwrap();
    let event = |cursor| StoredEvent {
        cursor: Cursor(cursor),
        project: ProjectId::DEFAULT,
        session: String::new(),
        name: "room.opened".to_owned(),
        at: NOW,
        body: "{}".to_owned(),
    };
    // Of two servers: places are in the order of keeping, not of ids.
    store.keep_events(&[event(500), event(501)]).await.unwrap();
    store.keep_events(&[event(300), event(301)]).await.unwrap();
    let attempt = |cursor, attempt, secs, status| DeliveryAttempt {
        webhook: id,
        cursor: Cursor(cursor),
        run: 0,
        attempt,
        at: NOW.saturating_add(Duration::from_secs(secs)),
        status,
        error: None,
        took_ms: 7,
    };
    let gone = DeliveryAttempt { webhook: WebhookId(99), ..attempt(500, 1, 0, None) };
    let log = [attempt(500, 1, 0, None), attempt(500, 2, 5, Some(500)), gone, attempt(501, 1, 0, Some(204))];
    store.log_attempts(&log).await.unwrap();
    let read = async |after| {
        let kept = store.events_for(&one_webhook(store).await, after, 10).await.unwrap();
        kept.into_iter().map(|kept| (kept.event.cursor.0, kept.tried)).collect::<Vec<_>>()
    };
    let tried = |attempts, secs, is_taken| {
        let last_at = NOW.saturating_add(Duration::from_secs(secs));
        Some(Tried { attempts, first_at: NOW, last_at, is_taken })
    };
    let first = [(500, tried(2, 5, false)), (501, tried(1, 0, true)), (300, None), (301, None)];
    assert_eq!(read(EventPlace(0)).await, first);

    // Behind an event, wherever its id is; before the first with a higher id when it is not kept; behind all of them.
    for (after, expected) in
        [(300, vec![301]), (302, vec![500, 501, 300, 301]), (0, vec![500, 501, 300, 301]), (999, vec![])]
    {
        assert!(store.replay_webhook(ProjectId::DEFAULT, id, Cursor(after)).await.unwrap());
        let place = one_webhook(store).await.place;
        let replayed = read(place).await;
        assert_eq!(replayed.iter().map(|(id, _)| *id).collect::<Vec<_>>(), expected, "after {after}");
        assert!(replayed.iter().all(|(_, tried)| tried.is_none()), "attempts of the run before count no more");
    }
    assert!(!store.replay_webhook(ProjectId(2), id, Cursor(0)).await.unwrap());
    // What the run before still writes changes nothing.
    assert!(store.replay_webhook(ProjectId::DEFAULT, id, Cursor(0)).await.unwrap());
    let before = one_webhook(store).await;
    store.move_place(id, before.run - 1, EventPlace(1_000_000)).await.unwrap();
    assert_eq!(one_webhook(store).await.place, before.place);
    store.disable_webhook(id).await.unwrap();
    assert!(one_webhook(store).await.is_disabled);
}

pub(super) async fn event_ids_are_claimed_once_and_rise(store: &SqlStore) {
    let first = store.claim_event_ids(NOW).await.unwrap();
    let second = store.claim_event_ids(NOW).await.unwrap();
    assert_eq!(second.0 - first.0, EVENT_IDS_AT_ONCE);
    assert!(first.0 > NOW.as_millis() * 1000 && second.0 < 1 << 52, "above all that were made from the clock");
    let week = NOW.saturating_add(Duration::from_secs(7 * 86_400));
    assert!(store.claim_event_ids(week).await.unwrap().0 > week.as_millis() * 1000, "also after a backup came back");
}

pub(super) async fn an_expired_credential_is_claimed_once(store: &SqlStore) {
    let at = |secs| NOW.saturating_add(Duration::from_secs(secs));
    let expiring = |name: &str, secs| CredentialRecord {
        username: name.to_owned(),
        expires_at: at(secs),
        ..credential(name, "red")
    };
    store.insert_credential(expiring("before", 0)).await.unwrap();
    assert_eq!(store.claim_expired(at(1)).await.unwrap(), [], "what was over before the first asking is not told");
    for (name, secs) in [("one", 5), ("three", 6), ("two", 6), ("later", 60), ("revoked", 6)] {
        store.insert_credential(expiring(name, secs)).await.unwrap();
    }
    store.revoke(ProjectId::DEFAULT, &RevokeBy::Username("revoked".to_owned()), at(2)).await.unwrap();
    assert_eq!(store.claim_expired(at(5)).await.unwrap(), [], "its last moment is not over");
    let (one, two) = tokio::join!(store.claim_expired(at(7)), store.claim_expired(at(7)));
    let mut claimed: Vec<String> = [one.unwrap(), two.unwrap()].concat().into_iter().map(|(_, name)| name).collect();
    claimed.sort();
    assert_eq!(claimed, ["one", "three", "two"]);
    assert_eq!(store.claim_expired(at(61)).await.unwrap(), [(ProjectId::DEFAULT, "later".to_owned())]);
}

pub(super) async fn sessions_elsewhere_are_those_that_other_servers_show_as_live(store: &SqlStore) {
    let names = ["user".to_owned(), "nobody".to_owned()];
    let count = async |project, now| store.live_elsewhere(project, &names, now).await.unwrap();
    store.write_sessions(&[session(1, "red", 0)]).await.unwrap();
    let now = session(1, "red", 0).last_seen;
    assert_eq!(count(ProjectId::DEFAULT, now).await, 0, "it is this server's own");
    sqlx::query("UPDATE sessions SET node = 'node-2'").execute(&store.pool).await.unwrap();
    assert_eq!(count(ProjectId::DEFAULT, now).await, 1);
    assert_eq!(count(ProjectId(2), now).await, 0);
    assert_eq!(count(ProjectId::DEFAULT, now.saturating_add(Duration::from_secs(200))).await, 0, "its server is dead");
}
