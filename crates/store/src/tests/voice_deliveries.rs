//! Deliveries to backends of voice connections: held by one server, taken over, forgotten.

use std::time::Duration;

use causeway_app::{
    NumberedPage, OrganizationId, VOICE_ATTEMPTS_MAX, VoiceAttempt, VoiceDelivery, VoiceDeliveryStore, VoiceProgress,
    VoiceTry,
};

use super::{NOW, ProjectId, SqlStore};

fn delivery(event: &str, call: &str) -> VoiceDelivery {
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
