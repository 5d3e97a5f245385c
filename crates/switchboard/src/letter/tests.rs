use super::*;

fn text(text: &str) -> Arc<str> {
    Arc::from(text)
}

fn bob() -> Identity {
    Identity::new(AccountId(3), "bob")
}

fn candidate() -> Candidate {
    Candidate { line: text("candidate:1 1 udp 1 192.0.2.1 9 typ host"), mid: Some(text("0")), media_index: Some(0) }
}

fn messages() -> Vec<LegMessage> {
    let header = Header { name: "X-Order".to_owned(), value: "\"7\"".to_owned() };
    vec![
        LegMessage::Invite {
            from: Party { identity: Identity::new(AccountId(3), "ann"), display: text("Ann \u{e9}") },
            to: bob(),
            contact: text("sip:b@x.invalid;transport=ws"),
            offer: text("v=0\r\ns=-\r\n"),
            headers: vec![header.clone()],
            replaces: Some(LegId(7)),
        },
        LegMessage::Ringing,
        LegMessage::Parked,
        LegMessage::Early { answer: text("v=0\r\n") },
        LegMessage::Answered { answer: text("v=0\r\n"), headers: vec![header], by: bob() },
        LegMessage::Candidate(candidate()),
        LegMessage::EndOfCandidates,
        LegMessage::Reoffer { offer: text("v=0\r\n") },
        LegMessage::Reanswer { answer: text("v=0\r\n") },
        LegMessage::ReofferRefused { cause: HangupCause::Busy },
        LegMessage::Held { is_held: true },
        LegMessage::Info(Info::Dtmf { digits: text("5#"), duration: Duration::from_millis(160) }),
        LegMessage::Info(Info::Message { content_type: text("text/plain"), body: text("hello\0") }),
        LegMessage::Transfer(Transfer { to: bob(), replaces: None, by: bob() }),
        LegMessage::TransferProgress { outcome: None },
        LegMessage::TransferProgress { outcome: Some(Ok(())) },
        LegMessage::TransferProgress { outcome: Some(Err(HangupCause::Busy)) },
    ]
}

fn inputs() -> Vec<LegInput> {
    let connection = ConnectionId { node: NodeId(9), number: u64::MAX };
    let traits = LegTraits { takes_candidates: true, takes_transfer: false, grace: Some(Duration::from_secs(90)) };
    vec![
        LegInput::Progress(Progress::Ringing),
        LegInput::Progress(Progress::Early { answer: text("v=0\r\n") }),
        LegInput::Answer { answer: text("v=0\r\n"), headers: Vec::new(), is_trickling: true },
        LegInput::Candidate(candidate()),
        LegInput::EndOfCandidates,
        LegInput::Reoffer(text("v=0\r\n")),
        LegInput::Reanswer(text("v=0\r\n")),
        LegInput::ReofferRefused(HangupCause::NoAnswer),
        LegInput::Hold(false),
        LegInput::Info(Info::Dtmf { digits: text("1"), duration: Duration::from_millis(100) }),
        LegInput::Transfer { to: bob(), replaces: Some(LegId(1)) },
        LegInput::TransferProgress(Some(Err(HangupCause::NotFound))),
        LegInput::End(HangupCause::Administrative),
        LegInput::Lost { may_return: true },
        LegInput::Resumed(LegRoute { connection, traits }),
    ]
}

#[test]
fn what_is_said_arrives_as_it_was_said() {
    let ended = HangupCause::ALL.map(|cause| LegMessage::Ended { cause });
    for message in messages().into_iter().chain(ended) {
        let bytes = Letter::say(Some(CallId(5)), LegId(u128::MAX), 12, message.clone()).write().unwrap();
        let letter = Letter::read(&bytes).unwrap();
        assert_eq!((letter.leg, letter.number), (LegId(u128::MAX), 12));
        let Content::Say { call: Some(CallId(5)), message: read } = letter.content else { panic!("{letter:?}") };
        assert_eq!(read, message);
    }
}

#[test]
fn what_was_done_arrives_as_it_was_done() {
    let hung_up = HangupCause::ALL.map(LegInput::HangUp);
    for input in inputs().into_iter().chain(hung_up) {
        let letter = Letter::read(&Letter::did(LegId(1), 0, input.clone()).write().unwrap()).unwrap();
        let Content::Did { input: read } = letter.content else { panic!("{letter:?}") };
        assert_eq!(read, input);
    }
}

#[test]
fn what_is_no_letter_is_not_read() {
    let good = String::from_utf8(Letter::did(LegId(1), 0, LegInput::HangUp(HangupCause::Busy)).write().unwrap());
    let good = good.unwrap();
    assert!(Letter::read(good.as_bytes()).is_some());
    for bad in
        ["", "{}", &good.replace("busy", "bored"), &good.replace("00000001", "1"), &good.replace("HangUp", "Sing")]
    {
        assert!(Letter::read(bad.as_bytes()).is_none(), "{bad}");
    }
}

#[test]
fn a_text_and_its_answer_arrive_as_they_were_sent() {
    let told = ClientText {
        from: Party { identity: Identity::new(AccountId(3), "ann"), display: text("Ann \u{e9}") },
        to: bob(),
        contact: text("sip:b@x.invalid;transport=ws"),
        content_type: text("text/plain"),
        body: text("hello\r\n\0"),
    };
    let letter = Letter::read(&Letter::text(12, u64::MAX, told.clone()).write().unwrap()).unwrap();
    let Content::Text { id: u64::MAX, text: read } = letter.content else { panic!("{letter:?}") };
    assert_eq!((letter.number, read), (12, told));
    let letter = Letter::read(&Letter::text_done(7, 486).write().unwrap()).unwrap();
    assert!(matches!(letter.content, Content::TextDone { id: 7, status: 486 }), "{letter:?}");
}
