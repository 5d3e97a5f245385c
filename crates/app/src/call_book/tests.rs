//! From what a call does to events and a record.

use causeway_call_core::NodeId;

use super::*;

#[derive(Default)]
struct Heard(Mutex<Vec<DomainEvent>>);

impl EventSink for Heard {
    fn emit(&self, _: UnixTime, _: ProjectId, event: DomainEvent) {
        self.0.lock().push(event);
    }
}

const ALICE: ConnectionId = ConnectionId { node: NodeId(0), number: 1 };
const BOB: ConnectionId = ConnectionId { node: NodeId(0), number: 2 };

fn identity(name: &str) -> Identity {
    Identity::new(AccountId(7), name)
}

fn book(waiting_max: usize) -> (CallBook, Arc<Heard>) {
    let (heard, places) = (Arc::<Heard>::default(), Arc::<ClientPlaces>::default());
    for (connection, address) in [(ALICE, [192, 0, 2, 1]), (BOB, [192, 0, 2, 2])] {
        places.put(connection, ClientPlace { dialect: "sip", address: Some(address.into()), user_agent: None });
    }
    (CallBook::new(Arc::<Heard>::clone(&heard), places, waiting_max), heard)
}

fn tell(book: &CallBook, call: u128, at: u64, kind: CallEventKind) {
    book.call(&CallEvent { at: UnixTime::from_secs(at), call: CallId(call), kind });
}

fn started() -> CallEventKind {
    let (from, to) = (identity("alice"), vec![identity("bob")]);
    CallEventKind::Started { leg: LegId(1), from, to, connection: ALICE, is_parked: false }
}

#[test]
fn a_call_is_told_step_by_step_and_recorded_at_its_end() {
    let (book, heard) = book(10);
    tell(&book, 9, 100, started());
    tell(&book, 9, 100, CallEventKind::Invited { leg: LegId(2), to: identity("bob"), connection: BOB, note: None });
    tell(&book, 9, 101, CallEventKind::Ringing { leg: LegId(2) });
    tell(&book, 9, 105, CallEventKind::Answered { leg: LegId(2) });
    tell(&book, 9, 106, CallEventKind::Dtmf { leg: LegId(1), digits: "5".into() });
    tell(&book, 9, 165, CallEventKind::Ended { cause: HangupCause::Normal, by: EndedBy::Callee });
    let names: Vec<&str> = heard.0.lock().iter().map(DomainEvent::name).collect();
    assert_eq!(names, ["call.started", "call.ringing", "call.answered", "call.dtmf", "call.ended"]);
    let records = book.waiting(10);
    let [record] = &records[..] else { panic!("{records:?}") };
    assert_eq!((record.start.project, &*record.start.from), (ProjectId(7), "alice"));
    assert_eq!(record.start.place.address, Some([192, 0, 2, 1].into()));
    assert_eq!(record.answered_by.as_deref(), Some("bob"));
    assert_eq!(record.answered_place.as_ref().and_then(|place| place.address), Some([192, 0, 2, 2].into()));
    assert_eq!((record.duration().as_secs(), record.talk().as_secs(), record.sip_code()), (65, 60, 200));
    book.taken(&records);
    assert!(book.waiting(10).is_empty() && book.live() == 0);
}

#[test]
fn a_call_is_seen_from_its_start_until_its_record_is_kept() {
    let (book, _) = book(10);
    let seen = |book: &CallBook| {
        let views = book.views(ProjectId(7));
        assert!(book.views(ProjectId(8)).is_empty());
        let one = book.view(CallId(9));
        assert_eq!(one, views.first().map(|view| (ProjectId(7), view.clone())));
        views.first().map(|view| (view.state, view.answered_by.clone(), view.cause.clone()))
    };
    tell(&book, 9, 100, started());
    assert_eq!(seen(&book), Some((CallState::Calling, None, None)));
    book.note_service(CallId(9), "sales");
    tell(&book, 9, 100, CallEventKind::Invited { leg: LegId(2), to: identity("bob"), connection: BOB, note: None });
    tell(&book, 9, 101, CallEventKind::Ringing { leg: LegId(2) });
    assert_eq!(seen(&book), Some((CallState::Ringing, None, None)));
    tell(&book, 9, 105, CallEventKind::Answered { leg: LegId(2) });
    assert_eq!(seen(&book), Some((CallState::Active, Some("bob".to_owned()), None)));
    tell(&book, 9, 165, CallEventKind::Ended { cause: HangupCause::Normal, by: EndedBy::Callee });
    assert_eq!(seen(&book), Some((CallState::Ended, Some("bob".to_owned()), Some("normal".to_owned()))));
    let records = book.waiting(10);
    assert_eq!(records.first().and_then(|record| record.start.service.as_deref()), Some("sales"));
    book.taken(&records);
    assert_eq!(seen(&book), None);
}

#[test]
fn records_that_find_no_room_are_counted_and_the_oldest_goes() {
    let (book, _) = book(2);
    for call in 1..=3 {
        tell(&book, call, 1, started());
        let kind = CallEventKind::Ended { cause: HangupCause::Busy, by: EndedBy::Callee };
        let displaced = book.call(&CallEvent { at: UnixTime::from_secs(2), call: CallId(call), kind });
        assert_eq!(displaced.map(|record| record.start.id), (call == 3).then_some(CallId(1)));
    }
    let kept: Vec<u128> = book.waiting(10).iter().map(|record| record.start.id.0).collect();
    assert_eq!((kept, book.lost()), (vec![2, 3], 1));
}

#[test]
fn clients_come_and_go_and_a_refresh_is_no_news() {
    let (book, heard) = book(1);
    let mut registrar = causeway_call_core::Registrar::default();
    let registration = causeway_call_core::Registration {
        identity: identity("bob"),
        route: causeway_call_core::LegRoute {
            connection: BOB,
            traits: causeway_call_core::LegTraits { takes_candidates: false, takes_transfer: true, grace: None },
        },
        contact: "c".into(),
        lifetime: std::time::Duration::from_secs(60),
        is_ringable: true,
        grant: "token:t1".into(),
    };
    let now = causeway_types::Now::read();
    registrar.handle_register(now, registration.clone()).unwrap();
    registrar.handle_register(now, registration).unwrap();
    registrar.handle_connection_lost(now, BOB);
    while let Some(change) = registrar.poll_output() {
        book.presence(&change);
    }
    let told: Vec<(&str, Option<IpAddr>)> = heard
        .0
        .lock()
        .iter()
        .map(|event| {
            if let DomainEvent::RegistrationOpened(registration) = event {
                return ("opened", registration.address);
            }
            let DomainEvent::RegistrationClosed { registration, reason } = event else { panic!("{event:?}") };
            (reason.as_str(), registration.address)
        })
        .collect();
    let at = Some([192, 0, 2, 2].into());
    assert_eq!(told, [("opened", at), ("connection_lost", at)]);
    let Some(DomainEvent::RegistrationOpened(registration)) = heard.0.lock().first().cloned() else { panic!() };
    assert_eq!(registration.admission, Some(Admission::ClientToken("t1".into())));
}
