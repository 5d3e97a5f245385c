//! Calls that are over: kept once, listed by client, added up by minute.

use std::sync::Arc;

use causeway_app::{
    CallFilter, CallRecord, CallStart, CallStore, ClientPlace, ErasedCalls, PageRequest, ProjectId, VoiceDeliveryPlace,
    VoiceDeliveryStore,
};
use causeway_call_core::{CallId, EndedBy, HangupCause};
use causeway_types::UnixTime;

use super::{SqlStore, voice_deliveries::delivery};

fn call(id: u128, from: &str, to: &str, start: u64, talk: Option<u64>) -> Arc<CallRecord> {
    let at = UnixTime::from_secs(start);
    let place = ClientPlace { dialect: "sip", address: Some([192, 0, 2, 77].into()), user_agent: Some("JsSIP".into()) };
    let answered = talk.map(|_| UnixTime::from_secs(start + 5));
    Arc::new(CallRecord {
        start: Arc::new(CallStart {
            id: CallId(id),
            project: ProjectId::DEFAULT,
            from: from.into(),
            to: vec![to.into()],
            service: None,
            place: place.clone(),
            at,
        }),
        ringing_at: Some(UnixTime::from_secs(start + 1)),
        answered_at: answered,
        answered_by: answered.map(|_| to.into()),
        answered_place: answered.map(|_| place),
        ended_at: UnixTime::from_secs(start + 5 + talk.unwrap_or(0)),
        cause: if talk.is_some() { HangupCause::Normal } else { HangupCause::Busy },
        ended_by: EndedBy::Callee,
    })
}

pub(super) async fn a_call_is_kept_once_and_read_as_it_was(store: &SqlStore) {
    let (talked, busy) = (call(1, "alice", "bob", 1000, Some(61)), call(2, "bob", "carol", 2000, None));
    store.insert_calls("n1", &[Arc::clone(&talked), busy]).await.expect("answers");
    store.insert_calls("n1", &[Arc::clone(&talked)]).await.expect("answers");
    let found = store.call(ProjectId::DEFAULT, &CallId(1).to_string()).await.expect("answers").expect("there");
    assert_eq!((found.from.as_str(), found.to, found.sip_code), ("alice", vec!["bob".to_owned()], Some(200)));
    assert_eq!((found.client_address.as_deref(), found.cause.as_deref()), (Some("192.0.2.77"), Some("normal")));
    assert_eq!((found.answered_by.as_deref(), found.ended_by.as_deref()), (Some("bob"), Some("callee")));
    assert_eq!(store.call(ProjectId(99), &CallId(1).to_string()).await.expect("answers"), None);
    let usage =
        store.call_usage(ProjectId::DEFAULT, UnixTime::from_secs(0), UnixTime::from_secs(9000)).await.expect("answers");
    let usage: Vec<_> = usage.iter().map(|u| (u.client.as_str(), u.calls, u.seconds, u.minutes)).collect();
    assert_eq!(usage, [("alice", 1, 61, 2), ("bob", 1, 61, 2)]);
}

pub(super) async fn calls_are_listed_newest_first_by_client_and_cause_in_pages_and_forgotten(store: &SqlStore) {
    let calls: Vec<_> = (1..=5).map(|n| call(n, "alice", if n % 2 == 0 { "bob" } else { "eve" }, 100, None)).collect();
    store.insert_calls("n1", &calls).await.expect("answers");
    let mut request = PageRequest { limit: 2, ..PageRequest::default() };
    let mut seen = Vec::new();
    loop {
        let page = store.calls(ProjectId::DEFAULT, &CallFilter::default(), &request).await.expect("answers");
        seen.extend(page.items.into_iter().map(|call| call.id));
        request.after = page.next;
        if request.after.is_none() {
            break;
        }
    }
    let all: Vec<String> = (1..=5).rev().map(|n| CallId(n).to_string()).collect();
    assert_eq!(seen, all);
    let of = |filter| async move {
        let request = PageRequest { limit: 10, ..PageRequest::default() };
        store.calls(ProjectId::DEFAULT, &filter, &request).await.expect("answers").items.len()
    };
    assert_eq!(of(CallFilter { client: Some("bob".into()), ..CallFilter::default() }).await, 2);
    assert_eq!(of(CallFilter { cause: Some(HangupCause::Normal), ..CallFilter::default() }).await, 0);
    assert_eq!(of(CallFilter { from: Some(UnixTime::from_secs(101)), ..CallFilter::default() }).await, 0);
    assert_eq!(store.forget_calls(UnixTime::from_secs(105)).await.expect("answers"), 0);
    assert_eq!(store.forget_calls(UnixTime::from_secs(106)).await.expect("answers"), 5);
    assert_eq!(of(CallFilter { client: Some("bob".into()), ..CallFilter::default() }).await, 0);
}

pub(super) async fn credentials_of_clients_are_minted_with_one_row(store: &SqlStore) {
    let now = UnixTime::from_secs(1);
    let first = store.client_minting_token(ProjectId::DEFAULT, now).await.expect("answers");
    assert_eq!(store.client_minting_token(ProjectId::DEFAULT, now).await.expect("answers"), first);
}

pub(super) async fn a_client_that_is_erased_leaves_calls_without_its_name_or_address(store: &SqlStore) {
    let calls = [
        call(1, "alice", "bob", 100, Some(61)),
        call(2, "bob", "alice", 200, Some(61)),
        call(3, "bob", "eve", 300, None),
    ];
    store.insert_calls("n1", &calls).await.expect("answers");
    let untold = [("e1", 1), ("e2", 2), ("e3", 3)].map(|(event, call)| delivery(event, &CallId(call).to_string()));
    store.insert_voice_deliveries(&untold, UnixTime::from_secs(9)).await.expect("answers");
    assert_eq!(store.erase_from_calls(ProjectId(99), "alice").await.expect("answers"), ErasedCalls::default());
    assert_eq!(
        store.erase_from_calls(ProjectId::DEFAULT, "alice").await.expect("answers"),
        ErasedCalls { calls: 2, events: 2 }
    );
    assert_eq!(store.erase_from_calls(ProjectId::DEFAULT, "alice").await.expect("answers"), ErasedCalls::default());
    let places = [VoiceDeliveryPlace::Gone, VoiceDeliveryPlace::Gone, VoiceDeliveryPlace::Here];
    for (untold, place) in untold.iter().zip(places) {
        assert_eq!(store.voice_delivery_place(&untold.event).await.expect("answers"), place);
    }
    let one = |id: u128| async move {
        store.call(ProjectId::DEFAULT, &CallId(id).to_string()).await.expect("answers").expect("there")
    };
    let (placed, taken, other) = (one(1).await, one(2).await, one(3).await);
    assert_eq!((placed.from.as_str(), placed.client_address.as_deref()), ("(erased)", None));
    assert_eq!((placed.to, placed.answered_address.as_deref()), (vec!["bob".to_owned()], Some("192.0.2.77")));
    assert_eq!((taken.from.as_str(), taken.client_address.as_deref()), ("bob", Some("192.0.2.77")));
    assert_eq!(
        (taken.to, taken.answered_by.as_deref(), taken.answered_address),
        (vec!["(erased)".to_owned()], Some("(erased)"), None)
    );
    assert_eq!((other.from.as_str(), other.to), ("bob", vec!["eve".to_owned()]));
    let of_alice = CallFilter { client: Some("alice".into()), ..CallFilter::default() };
    assert_eq!(store.calls(ProjectId::DEFAULT, &of_alice, &PageRequest::default()).await.expect("answers").items, []);
    let usage =
        store.call_usage(ProjectId::DEFAULT, UnixTime::from_secs(0), UnixTime::from_secs(9000)).await.expect("answers");
    let usage: Vec<_> = usage.iter().map(|u| (u.client.as_str(), u.calls)).collect();
    assert_eq!(usage, [("(erased)", 2), ("bob", 2)]);
}
