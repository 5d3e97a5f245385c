//! Messages as browsers' libraries write them, and as nobody should.

use proptest::prelude::*;

use super::*;

const REGISTER: &str = "REGISTER sip:acc2.webrtc-1-2-0.example SIP/2.0\r\n\
    Via: SIP/2.0/WSS df7jal23ls0d.invalid;branch=z9hG4bK1234567\r\n\
    To: <sip:bob@acc2.webrtc-1-2-0.example>\r\n\
    From: <sip:bob@acc2.webrtc-1-2-0.example>;tag=u1\r\n\
    CSeq: 2 REGISTER\r\n\
    Call-ID: abcdefghij0123456789\r\n\
    Max-Forwards: 70\r\n\
    Authorization: Bearer a.b.c\r\n\
    Contact: <sip:x1@df7jal23ls0d.invalid;transport=ws>;expires=600\r\n\
    Supported: outbound, path, gruu\r\n\
    Content-Length: 0\r\n\r\n";

#[test]
fn a_request_is_read() {
    let message = Message::parse(REGISTER).unwrap();
    assert_eq!(message.method(), Some("REGISTER"));
    assert_eq!((message.branch(), message.call_id()), (Some("z9hG4bK1234567"), "abcdefghij0123456789"));
    assert_eq!(message.cseq(), Some(CSeq { number: 2, method: "REGISTER".into() }));
    assert_eq!(message.address("Contact").unwrap().parameter("expires"), Some("600"));
    assert!(message.names("Supported", "PATH") && !message.names("Supported", "timer"));
}

#[test]
fn what_was_read_is_written_and_read_again_the_same() {
    let message = Message::parse(REGISTER).unwrap().with_body("text/plain", "é\r\n");
    let message = Message {
        headers: message.headers.into_iter().filter(|(name, _)| name != "Content-Length").collect(),
        ..message
    };
    let again = Message::parse(&message.to_text()).unwrap();
    assert_eq!((again.body.as_str(), again.header("content-length")), ("é\r\n", Some("4")));
}

#[test]
fn compact_forms_folded_lines_and_bare_line_ends_are_understood() {
    let text = "BYE sip:a@h SIP/2.0\nv: SIP/2.0/WS x.invalid;branch=z9hG4bK1\nf: <sip:a@h>\n ;tag=1\nt: <sip:b@h>;tag=2\n\
                i: c1\nCSeq: 3 BYE\nl: 0\n\n";
    let message = Message::parse(text).unwrap();
    assert_eq!(message.address("From").unwrap().tag(), Some("1"));
    assert_eq!(message.call_id(), "c1");
}

#[test]
fn a_body_longer_than_its_length_is_cut_and_a_shorter_one_refused() {
    let with =
        |length: &str| REGISTER.replace("Content-Length: 0\r\n\r\n", &format!("Content-Length: {length}\r\n\r\nabcd"));
    assert_eq!(Message::parse(&with("2")).unwrap().body, "ab");
    assert_eq!(Message::parse(&with("5")), Err(ParseError::ShortBody));
    assert_eq!(Message::parse(&with("x")), Err(ParseError::Header));
    let without = REGISTER.replace("Content-Length: 0\r\n", "");
    assert_eq!(Message::parse(&format!("{without}abcd")).unwrap().body, "abcd");
}

#[test]
fn what_every_message_has_must_be_there() {
    for header in ["Via", "To", "From", "CSeq", "Call-ID"] {
        let line = REGISTER.lines().find(|line| line.starts_with(header)).unwrap();
        let without = REGISTER.replace(&format!("{line}\r\n"), "");
        assert_eq!(Message::parse(&without), Err(ParseError::Mandatory), "{header}");
    }
    assert_eq!(Message::parse(&REGISTER.replace("2 REGISTER", "2 INVITE")), Err(ParseError::Mandatory));
    assert_eq!(Message::parse(&REGISTER.replace("2 REGISTER", "4294967296 REGISTER")), Err(ParseError::Mandatory));
}

#[test]
fn what_is_no_message_is_refused() {
    for (text, error) in [
        ("", ParseError::NoEnd),
        ("hello", ParseError::NoEnd),
        ("GET / HTTP/1.1\r\n\r\n", ParseError::FirstLine),
        ("SIP/2.0 99 No\r\n\r\n", ParseError::FirstLine),
        ("invite sip:a@h SIP/2.0\r\n\r\n", ParseError::FirstLine),
        ("BYE sip:a@h SIP/2.0\r\nno colon\r\n\r\n", ParseError::Header),
        ("BYE sip:a@h SIP/2.0\r\n folded: first\r\n\r\n", ParseError::Header),
        ("BYE sip:a@h SIP/2.0\r\nX: a\u{0}b\r\n\r\n", ParseError::Header),
    ] {
        assert_eq!(Message::parse(text), Err(error), "{text}");
    }
}

#[test]
fn limits_hold_at_themselves_and_refuse_one_more() {
    let n = Message::parse(REGISTER).unwrap().headers.len();
    let with = |more: usize| REGISTER.replace("Max-Forwards", &format!("{}Max-Forwards", "X-A: b\r\n".repeat(more)));
    assert!(Message::parse(&with(HEADERS_MAX - n)).is_ok());
    assert_eq!(Message::parse(&with(HEADERS_MAX - n + 1)), Err(ParseError::TooManyHeaders));
    let long = |bytes: usize| format!("{REGISTER}{}", "a".repeat(bytes - REGISTER.len()));
    assert!(Message::parse(&long(MESSAGE_BYTES_MAX)).is_ok());
    assert_eq!(Message::parse(&long(MESSAGE_BYTES_MAX + 1)), Err(ParseError::TooLong));
}

#[test]
fn a_value_cannot_make_a_header_of_its_own() {
    let text = Message::request("INFO", "sip:a@h").with("X-A", "b\r\nX-Evil: c").to_text();
    assert!(!text.contains("\r\nX-Evil"), "{text}");
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,300}") {
        drop(Message::parse(&text));
    }

    #[test]
    fn no_change_of_a_good_message_makes_it_panic(at in 0..REGISTER.len(), byte in any::<u8>(), cut in 0..REGISTER.len()) {
        let mut bytes = REGISTER.as_bytes().to_vec();
        bytes[at] = byte;
        if let Ok(text) = String::from_utf8(bytes)
            && let Ok(message) = Message::parse(&text)
        {
            // What is read once is read again as the same.
            prop_assert_eq!(Message::parse(&message.to_text()).map(|again| again.first), Ok(message.first));
        }
        drop(Message::parse(REGISTER.get(..cut).unwrap_or_default()));
    }
}
