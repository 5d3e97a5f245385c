//! Dialogues with a scripted client, as SIP.js and JsSIP write their messages.

use std::{sync::Arc, time::Duration};

use causeway_call_core::{AccountId, HangupCause, Identity, Info, LegId, LegMessage, Party, Progress, Transfer};
use causeway_types::{Now, UnixTime};

use super::*;

const BOB: LegId = LegId(2);
const SDP: &str = "v=0\r\no=- 1 2 IN IP4 0.0.0.0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=sendrecv\r\n";

struct Client {
    agent: SipAgent,
    now: Now,
    asked: Vec<AgentOutput>,
}

impl Client {
    fn new() -> Self {
        let settings = AgentSettings { host: "causeway.invalid".into(), software: "causeway".into() };
        let agent = SipAgent::new(settings, AgentLimits::default(), [3; 32]);
        let now = Now { mono: Now::read().mono, unix: UnixTime::from_secs(1000) };
        Self { agent, now, asked: Vec::new() }
    }

    /// What the agent sends to the client until it has nothing more; what it asks the shell is kept.
    fn sent(&mut self) -> Vec<Message> {
        let mut sent = Vec::new();
        while let Some(output) = self.agent.poll_output() {
            match output {
                AgentOutput::Send(text) => sent.push(Message::parse(&text).expect("we write what we read")),
                AgentOutput::Register(_)
                | AgentOutput::Dial(_)
                | AgentOutput::IceServers { .. }
                | AgentOutput::Page { .. }
                | AgentOutput::PageAnswered { .. }
                | AgentOutput::Progress { .. }
                | AgentOutput::Answer { .. }
                | AgentOutput::HangUp { .. }
                | AgentOutput::Reoffer { .. }
                | AgentOutput::Reanswer { .. }
                | AgentOutput::ReofferRefused { .. }
                | AgentOutput::Info { .. }
                | AgentOutput::Transfer { .. }
                | AgentOutput::TransferProgress { .. } => self.asked.push(output),
            }
        }
        sent
    }

    fn says(&mut self, message: &Message) -> Vec<Message> {
        self.agent.handle_text(self.now, &message.to_text()).expect("it is taken");
        self.sent()
    }

    fn asked(&mut self) -> Vec<AgentOutput> {
        std::mem::take(&mut self.asked)
    }

    fn leg(&mut self, message: LegMessage) -> Vec<Message> {
        self.agent.handle_leg_message(self.now, BOB, message);
        self.sent()
    }

    /// The client placed a call; it is leg `BOB`, and its INVITE.
    fn dialling(&mut self) -> Message {
        let invite = request("INVITE", 2, None).with_body("application/sdp", SDP);
        assert_eq!(statuses(&self.says(&invite)), [100]);
        let asked = self.asked();
        let [AgentOutput::Dial(ask)] = &asked[..] else { panic!("{asked:?}") };
        assert!(self.agent.handle_dialled(ask.ask, BOB));
        invite
    }

    /// A call of the client's that was answered: our tag.
    fn talking(&mut self) -> String {
        let invite = self.dialling();
        let answered = LegMessage::Answered { answer: SDP.into(), headers: Vec::new(), by: identity("eve") };
        let sent = self.leg(answered);
        assert_eq!(statuses(&sent), [200]);
        let tag = tag_of(&sent[0]);
        let ack = request("ACK", 2, Some(&tag));
        assert!(self.says(&ack).is_empty());
        assert_eq!(invite.call_id(), sent[0].call_id());
        tag
    }

    /// A call to the client that it was invited to: our INVITE.
    fn invited(&mut self) -> Message {
        let sent = self.leg(invite_message());
        let [invite] = &sent[..] else { panic!("{sent:?}") };
        invite.clone()
    }
}

fn identity(name: &str) -> Identity {
    Identity::new(AccountId(1), name)
}

fn invite_message() -> LegMessage {
    LegMessage::Invite {
        from: Party { identity: identity("alice"), display: Arc::from("Al \"ice\"") },
        to: identity("bob"),
        contact: Arc::from("x1"),
        offer: SDP.into(),
        headers: Vec::new(),
        replaces: None,
    }
}

fn request(method: &str, number: u32, to_tag: Option<&str>) -> Message {
    let tag = to_tag.map(|tag| format!(";tag={tag}")).unwrap_or_default();
    let branch = if method == "CANCEL" { "INVITE" } else { method };
    Message::request(method, "sip:eve@key.webrtc-1-2-0.example")
        .with("Via", format!("SIP/2.0/WSS x.invalid;branch=z9hG4bK{branch}{number}"))
        .with("From", "<sip:bob@key.webrtc-1-2-0.example>;tag=their")
        .with("To", format!("<sip:eve@key.webrtc-1-2-0.example>{tag}"))
        .with("Call-ID", "their-call")
        .with("CSeq", format!("{number} {method}"))
        .with("Contact", "<sip:x1@x.invalid;transport=ws;ob>")
}

fn response(to: &Message, status: u16, tag: &str) -> Message {
    let mut answer = Message::response_to(to, status);
    for (name, value) in &mut answer.headers {
        if name == "To" && !value.contains("tag=") {
            value.push_str(&format!(";tag={tag}"));
        }
    }
    answer.with("Contact", "<sip:x1@x.invalid;transport=ws>")
}

fn statuses(sent: &[Message]) -> Vec<u16> {
    sent.iter().map(|message| message.status().unwrap_or(0)).collect()
}

fn methods(sent: &[Message]) -> Vec<&str> {
    sent.iter().map(|message| message.method().unwrap_or("")).collect()
}

fn tag_of(message: &Message) -> String {
    message.address("To").unwrap().tag().unwrap().to_owned()
}

#[test]
fn a_registration_is_asked_and_answered_with_the_contact_and_its_time() {
    let mut client = Client::new();
    let register = request("REGISTER", 2, None).with("Authorization", "Bearer a.b.c").with("Expires", "300");
    assert!(client.says(&register).is_empty());
    let asked = client.asked();
    let [AgentOutput::Register(ask)] = &asked[..] else { panic!("{asked:?}") };
    assert_eq!(ask.credentials, Some(crate::auth::Credentials::Bearer("a.b.c".into())));
    let [contact] = &ask.contacts[..] else { panic!() };
    assert_eq!((contact.user.as_str(), contact.expires), ("x1", Some(300)));
    client.agent.handle_registered(ask.ask, &[(contact.uri.clone(), 600)]);
    let sent = client.sent();
    assert_eq!(statuses(&sent), [200]);
    assert_eq!(sent[0].header("Contact"), Some("<sip:x1@x.invalid;transport=ws;ob>;expires=600"));
    assert!(sent[0].address("To").unwrap().tag().is_some());
    assert!(client.agent.is_idle());
}

#[test]
fn the_contacts_own_time_goes_before_the_header_and_star_needs_zero() {
    let mut client = Client::new();
    let register = |contact: &str, number: u32| {
        let mut register = request("REGISTER", number, None).with("Expires", "300");
        register.headers.retain(|(name, _)| name != "Contact");
        register.with("Contact", contact)
    };
    client.says(&register("<sip:x1@x.invalid>;expires=0", 3));
    let asked = client.asked();
    let [AgentOutput::Register(ask)] = &asked[..] else { panic!() };
    assert_eq!(ask.contacts[0].expires, Some(0));
    assert_eq!(statuses(&client.says(&register("*", 4))), [400], "a star without Expires: 0");
    assert_eq!(statuses(&client.says(&register("<sip:x1@x.invalid>;expires=soon", 5))), [400]);
}

#[test]
fn a_refusal_carries_its_challenge_and_a_repeated_request_is_asked_once() {
    let mut client = Client::new();
    let register = request("REGISTER", 2, None);
    client.says(&register);
    client.says(&register);
    let asked = client.asked();
    let [AgentOutput::Register(ask)] = &asked[..] else { panic!("{asked:?}") };
    client.agent.handle_refused(ask.ask, 401, &[("WWW-Authenticate", "Bearer realm=\"r\", error=\"invalid_token\"")]);
    let sent = client.sent();
    assert_eq!(statuses(&sent), [401]);
    assert!(sent[0].header("WWW-Authenticate").unwrap().contains("error=\"invalid_token\""));
}

#[test]
fn options_are_answered_and_ask_for_ice_servers_when_they_say_so() {
    let mut client = Client::new();
    assert_eq!(statuses(&client.says(&request("OPTIONS", 2, None))), [200]);
    assert!(client.says(&request("OPTIONS", 3, None).with("X-AculabTurnRequest", "1")).is_empty());
    let asked = client.asked();
    let [AgentOutput::IceServers { ask, from }] = &asked[..] else { panic!("{asked:?}") };
    assert_eq!(from.user, "bob");
    client.agent.handle_ice_servers(*ask, "[]");
    let sent = client.sent();
    assert_eq!((statuses(&sent), sent[0].body.as_str()), (vec![200], "[]"));
}

#[test]
fn a_call_of_the_client_rings_and_is_answered_with_one_tag() {
    let mut client = Client::new();
    client.dialling();
    let ringing = client.leg(LegMessage::Ringing);
    let early = client.leg(LegMessage::Early { answer: SDP.into() });
    let answered = client.leg(LegMessage::Answered { answer: SDP.into(), headers: Vec::new(), by: identity("eve") });
    assert_eq!((statuses(&ringing), statuses(&early), statuses(&answered)), (vec![180], vec![183], vec![200]));
    assert_eq!((tag_of(&ringing[0]), tag_of(&early[0])), (tag_of(&answered[0]), tag_of(&answered[0])));
    assert!(answered[0].header("Contact").is_some());
    assert_eq!((early[0].body.as_str(), answered[0].body.as_str()), (SDP, SDP));
}

#[test]
fn a_call_that_ends_before_its_answer_is_refused_with_the_causes_code() {
    for (cause, status) in [
        (HangupCause::Busy, 486),
        (HangupCause::Rejected, 603),
        (HangupCause::NotRegistered, 480),
        (HangupCause::NotFound, 404),
        (HangupCause::Forbidden, 403),
        (HangupCause::Normal, 480),
    ] {
        let mut client = Client::new();
        client.dialling();
        assert_eq!(statuses(&client.leg(LegMessage::Ended { cause })), [status], "{cause:?}");
        let mut ack = request("ACK", 2, None);
        ack.headers[0].1 = "SIP/2.0/WSS x.invalid;branch=z9hG4bKINVITE2".into();
        assert!(client.says(&ack).is_empty(), "the ACK of a refusal has its INVITE's branch");
        assert!(client.agent.is_idle());
    }
}

#[test]
fn a_cancel_is_answered_and_its_call_refused_with_487() {
    let mut client = Client::new();
    client.dialling();
    assert_eq!(statuses(&client.says(&request("CANCEL", 2, None))), [200, 487]);
    assert_eq!(client.asked(), [AgentOutput::HangUp { leg: BOB, cause: HangupCause::Cancelled }]);
    assert!(client.agent.is_idle());
    assert_eq!(statuses(&client.says(&request("CANCEL", 9, None))), [481]);
}

#[test]
fn a_cancel_before_the_shell_answered_leaves_no_leg() {
    let mut client = Client::new();
    client.says(&request("INVITE", 2, None).with_body("application/sdp", SDP));
    let asked = client.asked();
    let [AgentOutput::Dial(ask)] = &asked[..] else { panic!() };
    assert_eq!(statuses(&client.says(&request("CANCEL", 2, None))), [200, 487]);
    assert!(!client.agent.handle_dialled(ask.ask, BOB), "the shell is told to hang up");
    assert!(client.agent.is_idle());
}

#[test]
fn either_side_hangs_up() {
    let mut client = Client::new();
    let tag = client.talking();
    let bye = request("BYE", 3, Some(&tag)).with("Reason", "SIP; cause=486; text=\"Rejected\"");
    assert_eq!(statuses(&client.says(&bye)), [200]);
    assert_eq!(client.asked(), [AgentOutput::HangUp { leg: BOB, cause: HangupCause::Busy }]);
    assert!(client.agent.is_idle());

    let mut client = Client::new();
    client.talking();
    let sent = client.leg(LegMessage::Ended { cause: HangupCause::ConnectionLost });
    assert_eq!(methods(&sent), ["BYE"]);
    assert_eq!(sent[0].header("Reason"), Some("SIP;cause=480;text=\"connection_lost\""));
    assert!(client.says(&response(&sent[0], 200, "t")).is_empty());
    assert!(client.agent.is_idle());
}

#[test]
fn a_bye_of_another_dialogue_finds_none() {
    let mut client = Client::new();
    let tag = client.talking();
    assert_eq!(statuses(&client.says(&request("BYE", 3, Some("forged")))), [481]);
    let mut forged = request("BYE", 3, Some(&tag));
    forged.headers.retain(|(name, _)| name != "From");
    let forged = forged.with("From", "<sip:bob@h>;tag=another");
    assert_eq!(statuses(&client.says(&forged)), [481]);
    assert_eq!(client.asked(), []);
    assert_eq!(client.agent.dialog_count(), 1);
}

#[test]
fn the_client_is_invited_answers_and_is_confirmed() {
    let mut client = Client::new();
    let register = request("REGISTER", 2, None);
    client.says(&register);
    let asked = client.asked();
    let [AgentOutput::Register(ask)] = &asked[..] else { panic!() };
    client.agent.handle_registered(ask.ask, &[]);
    client.sent();
    let invite = client.invited();
    assert_eq!(invite.request_uri().unwrap().to_string(), "sip:x1@x.invalid;transport=ws;ob");
    let from = invite.address("From").unwrap();
    assert_eq!((from.display.as_str(), from.uri.host.as_str()), ("Al \"ice\"", "key.webrtc-1-2-0.example"));
    client.says(&response(&invite, 180, "dev"));
    let sent = client.says(&response(&invite, 200, "dev").with_body("application/sdp", SDP));
    assert_eq!(methods(&sent), ["ACK"]);
    assert_eq!(
        client.asked(),
        [
            AgentOutput::Progress { leg: BOB, progress: Progress::Ringing },
            AgentOutput::Answer { leg: BOB, answer: SDP.into(), headers: Vec::new() },
        ]
    );
    let again = client.says(&response(&invite, 200, "dev").with_body("application/sdp", SDP));
    assert_eq!(again, sent, "a 2xx that comes again is confirmed again");
    assert_eq!(client.asked(), []);
}

#[test]
fn a_device_that_declines_is_acknowledged_and_told() {
    for (status, cause) in [(486, HangupCause::Busy), (603, HangupCause::Rejected), (480, HangupCause::NoAnswer)] {
        let mut client = Client::new();
        let invite = client.invited();
        let sent = client.says(&response(&invite, status, "dev"));
        assert_eq!(methods(&sent), ["ACK"]);
        assert_eq!(sent[0].branch(), invite.branch(), "hop by hop");
        assert_eq!(client.asked(), [AgentOutput::HangUp { leg: BOB, cause }]);
        assert!(client.agent.is_idle());
    }
}

#[test]
fn a_cancel_waits_for_a_provisional_answer() {
    let mut client = Client::new();
    let invite = client.invited();
    assert!(client.leg(LegMessage::Ended { cause: HangupCause::Cancelled }).is_empty());
    let sent = client.says(&response(&invite, 100, ""));
    assert_eq!(methods(&sent), ["CANCEL"]);
    assert_eq!((sent[0].branch(), sent[0].cseq().unwrap().number), (invite.branch(), 1));
    client.agent.handle_text(client.now, &response(&sent[0], 200, "dev").to_text()).unwrap_err();
    assert_eq!(methods(&client.says(&response(&invite, 487, "dev"))), ["ACK"]);
    assert_eq!(client.asked(), [], "the core knows");
    assert!(client.agent.is_idle());
}

#[test]
fn an_answer_that_crosses_our_cancel_is_confirmed_and_hung_up() {
    let mut client = Client::new();
    let invite = client.invited();
    client.says(&response(&invite, 180, "dev"));
    client.asked();
    assert_eq!(methods(&client.leg(LegMessage::Ended { cause: HangupCause::Cancelled })), ["CANCEL"]);
    let sent = client.says(&response(&invite, 200, "dev").with_body("application/sdp", SDP));
    assert_eq!(methods(&sent), ["ACK", "BYE"]);
    assert_eq!(client.asked(), []);
    client.says(&response(&sent[1], 200, "dev"));
    assert!(client.agent.is_idle());
}

#[test]
fn a_device_that_says_nothing_is_given_up() {
    let mut client = Client::new();
    client.invited();
    client.now.mono += Duration::from_millis(31_999);
    client.agent.handle_timeout(client.now);
    assert!(client.sent().is_empty() && client.asked().is_empty());
    client.now.mono += Duration::from_millis(1);
    client.agent.handle_timeout(client.now);
    client.sent();
    assert_eq!(client.asked(), [AgentOutput::HangUp { leg: BOB, cause: HangupCause::ConnectionLost }]);
    assert!(client.agent.is_idle());
}

#[test]
fn an_answer_nobody_acknowledges_ends_the_call() {
    let mut client = Client::new();
    client.dialling();
    client.leg(LegMessage::Answered { answer: SDP.into(), headers: Vec::new(), by: identity("eve") });
    client.now.mono += ANSWER_TIME;
    client.agent.handle_timeout(client.now);
    assert_eq!(methods(&client.sent()), ["BYE"]);
    assert_eq!(client.asked(), [AgentOutput::HangUp { leg: BOB, cause: HangupCause::Failure }]);
}

#[test]
fn a_reinvite_passes_both_ways_and_crossing_ones_are_refused() {
    let mut client = Client::new();
    let tag = client.talking();
    let reinvite = request("INVITE", 3, Some(&tag)).with_body("application/sdp", SDP);
    assert_eq!(statuses(&client.says(&reinvite)), [100]);
    assert_eq!(client.asked(), [AgentOutput::Reoffer { leg: BOB, offer: SDP.into() }]);
    let second = request("INVITE", 4, Some(&tag)).with_body("application/sdp", SDP);
    assert_eq!(statuses(&client.says(&second)), [100, 491]);
    let sent = client.leg(LegMessage::Reanswer { answer: SDP.into() });
    assert_eq!(statuses(&sent), [200]);

    let ours = client.leg(LegMessage::Reoffer { offer: SDP.into() });
    assert_eq!(methods(&ours), ["INVITE"]);
    let sent = client.says(&response(&ours[0], 488, ""));
    assert_eq!(methods(&sent), ["ACK"]);
    assert_eq!(sent[0].branch(), ours[0].branch());
    assert_eq!(client.asked(), [AgentOutput::ReofferRefused { leg: BOB, cause: HangupCause::IncompatibleMedia }]);
    let ours = client.leg(LegMessage::Reoffer { offer: SDP.into() });
    let sent = client.says(&response(&ours[0], 200, "").with_body("application/sdp", SDP));
    assert_eq!(methods(&sent), ["ACK"]);
    assert_eq!(client.asked(), [AgentOutput::Reanswer { leg: BOB, answer: SDP.into() }]);
}

#[test]
fn a_session_timer_is_the_clients_to_refresh() {
    let mut client = Client::new();
    let invite = request("INVITE", 2, None).with("Supported", "timer,ice").with("Session-Expires", "90");
    client.says(&invite.with_body("application/sdp", SDP));
    let asked = client.asked();
    let [AgentOutput::Dial(ask)] = &asked[..] else { panic!() };
    client.agent.handle_dialled(ask.ask, BOB);
    let sent = client.leg(LegMessage::Answered { answer: SDP.into(), headers: Vec::new(), by: identity("eve") });
    assert_eq!(sent[0].header("Session-Expires"), Some("90;refresher=uac"));
    let update = request("UPDATE", 3, Some(&tag_of(&sent[0]))).with("Supported", "timer").with("Session-Expires", "90");
    let sent = client.says(&update);
    assert_eq!((statuses(&sent), sent[0].header("Session-Expires")), (vec![200], Some("90;refresher=uac")));
    assert_eq!(client.asked(), [], "the other party hears nothing of it");
}

/// A call of the client's with a session timer: our answer.
fn timed(client: &mut Client, asked_for: &str) -> Message {
    let invite = request("INVITE", 2, None).with("Supported", "timer").with("Session-Expires", asked_for);
    client.says(&invite.with_body("application/sdp", SDP));
    let asked = client.asked();
    let [AgentOutput::Dial(ask)] = &asked[..] else { panic!("{asked:?}") };
    client.agent.handle_dialled(ask.ask, BOB);
    let answered = LegMessage::Answered { answer: SDP.into(), headers: Vec::new(), by: identity("eve") };
    let [answer] = &client.leg(answered)[..] else { panic!() };
    client.says(&request("ACK", 2, Some(&tag_of(answer))));
    answer.clone()
}

#[test]
fn an_interval_that_is_too_short_is_refused_with_the_least_that_is_taken() {
    let mut client = Client::new();
    let invite = |number: u32, secs: &str| {
        let invite = request("INVITE", number, None).with("Supported", "timer").with("x", secs);
        Message::parse(&invite.with_body("application/sdp", SDP).to_text()).unwrap()
    };
    for (number, secs) in [(2, "59"), (3, "0;refresher=uac"), (4, "30;refresher=uas")] {
        let sent = client.says(&invite(number, secs));
        assert_eq!((statuses(&sent), sent[0].header("Min-SE")), (vec![422], Some("90")), "{secs}");
        let mut ack = request("ACK", number, Some(&tag_of(&sent[0])));
        ack.headers[0].1 = format!("SIP/2.0/WSS x.invalid;branch=z9hG4bKINVITE{number}");
        assert!(client.says(&ack).is_empty());
    }
    assert_eq!(client.asked(), []);
    // A client that says nothing of timers means something else by it.
    let plain = request("INVITE", 5, None).with("Session-Expires", "30").with_body("application/sdp", SDP);
    assert_eq!(statuses(&client.says(&plain)), [100]);
    // JsSIP's shortest is taken.
    assert_eq!(timed(&mut Client::new(), "60").header("Session-Expires"), Some("60;refresher=uac"));
}

#[test]
fn a_refresh_that_asks_for_too_little_is_refused_and_the_call_goes_on() {
    let mut client = Client::new();
    let tag = tag_of(&timed(&mut client, "90"));
    let short = |method, number| {
        request(method, number, Some(&tag)).with("Supported", "timer").with("Session-Expires", "10;refresher=uac")
    };
    let update = client.says(&short("UPDATE", 3));
    assert_eq!((statuses(&update), update[0].header("Min-SE")), (vec![422], Some("90")));
    let offers = [("UPDATE", 4), ("INVITE", 5)];
    for (method, number) in offers {
        let sent = client.says(&short(method, number).with_body("application/sdp", SDP));
        assert_eq!((statuses(&sent), sent[0].header("Min-SE")), (vec![422], Some("90")), "{method}");
    }
    let mut ack = request("ACK", 5, Some(&tag));
    ack.headers[0].1 = "SIP/2.0/WSS x.invalid;branch=z9hG4bKINVITE5".into();
    assert!(client.says(&ack).is_empty());
    assert_eq!((client.asked(), client.agent.dialog_count()), (vec![], 1));
}

#[test]
fn a_session_that_nobody_refreshes_ends_when_its_interval_is_over() {
    let mut client = Client::new();
    let tag = tag_of(&timed(&mut client, "90"));
    let later = |client: &mut Client, millis| {
        client.now.mono += Duration::from_millis(millis);
        client.agent.handle_timeout(client.now);
        client.sent()
    };
    assert!(later(&mut client, 89_000).is_empty());
    let update = request("UPDATE", 3, Some(&tag)).with("Supported", "timer").with("Session-Expires", "120");
    assert_eq!(client.says(&update)[0].header("Session-Expires"), Some("120;refresher=uac"));
    assert!(later(&mut client, 119_999).is_empty());
    // A description that is answered refreshes too.
    let reinvite = request("INVITE", 4, Some(&tag)).with("Supported", "timer").with("Session-Expires", "90");
    client.says(&reinvite.with_body("application/sdp", SDP));
    let answer = client.leg(LegMessage::Reanswer { answer: SDP.into() });
    assert_eq!(answer[0].header("Session-Expires"), Some("90;refresher=uac"));
    assert!(later(&mut client, 89_999).is_empty());
    client.asked();
    let sent = later(&mut client, 1);
    assert_eq!(methods(&sent), ["BYE"]);
    assert_eq!(client.asked(), [AgentOutput::HangUp { leg: BOB, cause: HangupCause::TimedOut }]);
    client.says(&response(&sent[0], 200, "t"));
    assert!(client.agent.is_idle() && client.agent.poll_timeout().is_none());
}

#[test]
fn a_timer_that_we_were_to_refresh_is_declined() {
    let answer = timed(&mut Client::new(), "90;refresher=uas");
    assert_eq!((answer.header("Session-Expires"), answer.header("Require")), (None, None));
}

#[test]
fn a_callee_that_wants_a_session_timer_is_invited_once_more_with_it() {
    let mut client = Client::new();
    let invite = client.invited();
    let mut refusal = response(&invite, 422, "dev").with("Min-SE", "1800");
    let sent = client.says(&refusal);
    assert_eq!(methods(&sent), ["ACK", "INVITE"]);
    let again = &sent[1];
    assert_eq!((again.header("Session-Expires"), again.header("Min-SE")), (Some("1800;refresher=uas"), Some("1800")));
    assert!(again.names("Supported", "timer") && again.names("Supported", "replaces"));
    assert_eq!(
        (again.call_id(), again.header("From"), &again.body),
        (invite.call_id(), invite.header("From"), &invite.body)
    );
    assert_eq!((again.cseq().unwrap().number, again.branch() == invite.branch()), (2, false));
    assert_eq!(client.asked(), []);
    client.says(&response(again, 180, "dev"));
    let answer = response(again, 200, "dev").with("Session-Expires", "1800;refresher=uas");
    let sent = client.says(&answer.with_body("application/sdp", SDP));
    assert_eq!((methods(&sent), sent[0].cseq().unwrap().number), (vec!["ACK"], 2));
    assert_eq!(client.asked().len(), 2, "it rings and answers");
    // Its new offers carry the timer from the start; it refreshes, or the call ends.
    let ours = client.leg(LegMessage::Reoffer { offer: SDP.into() });
    assert_eq!(ours[0].header("Session-Expires"), Some("1800;refresher=uas"));
    let answer = response(&ours[0], 200, "dev").with("Session-Expires", "1800;refresher=uas");
    client.says(&answer.with_body("application/sdp", SDP));
    client.asked();
    client.now.mono += Duration::from_secs(1800);
    client.agent.handle_timeout(client.now);
    assert_eq!(methods(&client.sent()), ["BYE"]);
    assert_eq!(client.asked(), [AgentOutput::HangUp { leg: BOB, cause: HangupCause::TimedOut }]);

    // Twice is once too often; without a number there is nothing to ask for.
    let mut client = Client::new();
    let invite = client.invited();
    refusal = response(&invite, 422, "dev").with("Min-SE", "1800");
    let again = client.says(&refusal)[1].clone();
    assert_eq!(methods(&client.says(&response(&again, 422, "dev").with("Min-SE", "3600"))), ["ACK"]);
    assert_eq!(client.asked(), [AgentOutput::HangUp { leg: BOB, cause: HangupCause::Failure }]);
    let mut client = Client::new();
    let invite = client.invited();
    assert_eq!(methods(&client.says(&response(&invite, 422, "dev"))), ["ACK"]);
    assert_eq!(client.asked(), [AgentOutput::HangUp { leg: BOB, cause: HangupCause::Failure }]);
    assert!(client.agent.is_idle());
}

#[test]
fn a_new_offer_is_repeated_with_a_session_timer_too() {
    let mut client = Client::new();
    client.talking();
    let ours = client.leg(LegMessage::Reoffer { offer: SDP.into() });
    let sent = client.says(&response(&ours[0], 422, "").with("Min-SE", "120"));
    assert_eq!(methods(&sent), ["ACK", "INVITE"]);
    assert_eq!((sent[1].header("Min-SE"), sent[1].body.as_str()), (Some("120"), SDP));
    assert_eq!(client.asked(), []);
    assert_eq!(methods(&client.says(&response(&sent[1], 422, "").with("Min-SE", "240"))), ["ACK"]);
    assert_eq!(client.asked(), [AgentOutput::ReofferRefused { leg: BOB, cause: HangupCause::Failure }]);
}

#[test]
fn digits_and_texts_are_told_apart() {
    let mut client = Client::new();
    let tag = client.talking();
    let info = request("INFO", 3, Some(&tag)).with_body("application/dtmf-relay", "Signal=5\r\nDuration=100");
    assert_eq!(statuses(&client.says(&info)), [200]);
    let info = request("INFO", 4, Some(&tag)).with_body("application/x-game", "move");
    client.says(&info);
    let digit = Info::Dtmf { digits: "5".into(), duration: Duration::from_millis(100) };
    let text = Info::Message { content_type: "application/x-game".into(), body: "move".into() };
    assert_eq!(
        client.asked(),
        [AgentOutput::Info { leg: BOB, info: digit.clone() }, AgentOutput::Info { leg: BOB, info: text }]
    );
    let sent = client.leg(LegMessage::Info(digit));
    assert_eq!((methods(&sent), sent[0].body.as_str()), (vec!["INFO"], "Signal=5\r\nDuration=100"));
}

#[test]
fn a_text_outside_a_call_is_said_at_the_contact_and_its_answer_told() {
    let mut client = Client::new();
    let page = Page {
        from: Party { identity: identity("alice"), display: Arc::from("Al") },
        to: identity("bob"),
        content_type: Arc::from("text/plain"),
        body: Arc::from("hello"),
    };
    let now = client.now;
    for (answers, told) in [(vec![100, 200], 200), (vec![486], 486), (vec![], 408)] {
        let id = client.agent.handle_page(now, "x1", &page).expect("there is room");
        let sent = client.sent();
        let [text] = &sent[..] else { panic!("{sent:?}") };
        assert_eq!(
            (text.method(), text.body.as_str(), text.header("Content-Type")),
            (Some("MESSAGE"), "hello", Some("text/plain"))
        );
        assert!(text.header("From").unwrap().starts_with("\"Al\" <sip:alice@") && text.header("Contact").is_none());
        for status in answers {
            client.says(&Message::response_to(text, status));
        }
        if told == 408 {
            client.agent.handle_timeout(Now { mono: now.mono + ANSWER_TIME, unix: now.unix });
            assert!(client.sent().is_empty());
        }
        assert_eq!(client.asked(), [AgentOutput::PageAnswered { page: id, status: told }]);
        assert!(client.agent.is_idle() && client.agent.pages.is_empty());
    }
    let ids: Vec<_> = (0..33).map(|_| client.agent.handle_page(now, "x1", &page)).collect();
    assert!(ids[..32].iter().all(Option::is_some) && ids[32].is_none());
}

#[test]
fn a_transfer_is_accepted_told_and_its_end_notified() {
    let mut client = Client::new();
    let tag = client.talking();
    let refer = request("REFER", 3, Some(&tag))
        .with("Refer-To", "<sip:kim@key.webrtc-1-2-0.example?Replaces=c%3Bto-tag%3Da%3Bfrom-tag%3Db>");
    assert_eq!(statuses(&client.says(&refer)), [202]);
    let asked = client.asked();
    let [AgentOutput::Transfer { to, replaces: Some(replaces), .. }] = &asked[..] else { panic!("{asked:?}") };
    assert_eq!((to.user.as_str(), replaces.call_id.as_str(), replaces.to_tag.as_str()), ("kim", "c", "a"));
    let sent = client.leg(LegMessage::TransferProgress { outcome: Some(Err(HangupCause::Busy)) });
    assert_eq!((methods(&sent), sent[0].body.as_str()), (vec!["NOTIFY"], "SIP/2.0 486 Busy Here"));
    assert_eq!(sent[0].header("Event"), Some("refer;id=3"));
    assert!(sent[0].header("Subscription-State").unwrap().starts_with("terminated"));
}

#[test]
fn a_transferred_client_is_referred_and_tells_how_it_goes() {
    let mut client = Client::new();
    let tag = client.talking();
    let transfer = Transfer { to: identity("kim"), replaces: Some(LegId(9)), by: identity("eve") };
    let sent = client.leg(LegMessage::Transfer(transfer));
    assert_eq!(methods(&sent), ["REFER"]);
    let to = sent[0].address("Refer-To").unwrap().uri;
    let replaces = ReplacesRef::parse(&to.header("Replaces").unwrap()).unwrap();
    assert_eq!(LegId::parse(&replaces.call_id), Some(LegId(9)));
    client.says(&response(&sent[0], 202, ""));
    let notify = request("NOTIFY", 3, Some(&tag)).with("Event", "refer").with("Subscription-State", "terminated");
    assert_eq!(statuses(&client.says(&notify.with_body("message/sipfrag", "SIP/2.0 200 OK"))), [200]);
    assert_eq!(client.asked(), [AgentOutput::TransferProgress { leg: BOB, outcome: Some(Ok(())) }]);
}

#[test]
fn hold_without_a_description_is_told_with_the_last_one() {
    let mut client = Client::new();
    client.talking();
    let sent = client.leg(LegMessage::Held { is_held: true });
    assert_eq!(methods(&sent), ["INVITE"]);
    assert!(sent[0].body.contains("a=sendonly") && sent[0].body.contains("o=- 1 3 "), "{}", sent[0].body);
}

#[test]
fn what_is_not_understood_is_refused_in_its_own_words() {
    let mut client = Client::new();
    assert_eq!(statuses(&client.says(&request("PUBLISH", 2, None))), [405]);
    assert_eq!(statuses(&client.says(&request("SUBSCRIBE", 2, None))), [489]);
    assert_eq!(statuses(&client.says(&request("BYE", 2, None))), [481]);
    let invite = |number: u32| request("INVITE", number, None);
    let sent = client.says(&invite(3).with("Require", "100rel, timer").with_body("application/sdp", SDP));
    assert_eq!((statuses(&sent), sent[0].header("Unsupported")), (vec![420], Some("100rel")));
    assert_eq!(statuses(&client.says(&invite(4).with_body("text/html", "x"))), [415]);
    let sips = Message { first: FirstLine::Request { method: "INVITE".into(), uri: "sips:a@h".into() }, ..invite(5) };
    assert_eq!(statuses(&client.says(&sips)), [416]);
    assert_eq!(client.asked(), []);
}

#[test]
fn a_keep_alive_is_answered_and_rubbish_is_counted() {
    let mut client = Client::new();
    client.agent.handle_text(client.now, "\r\n\r\n").unwrap();
    assert_eq!(client.agent.poll_output(), Some(AgentOutput::Send("\r\n".into())));
    assert_eq!(client.agent.handle_text(client.now, "hello"), Err(DropReason::Unreadable(ParseError::NoEnd)));
    let stray = response(&request("BYE", 1, Some("x")), 200, "y").to_text();
    assert_eq!(client.agent.handle_text(client.now, &stray), Err(DropReason::StrayResponse));
    let ack = request("ACK", 7, Some("x")).to_text();
    assert_eq!(client.agent.handle_text(client.now, &ack), Err(DropReason::StrayAck));
    let short = request("OPTIONS", 2, None).to_text().replace("Content-Length: 0", "Content-Length: 9");
    assert_eq!(client.agent.handle_text(client.now, &short), Err(DropReason::Unreadable(ParseError::ShortBody)));
    assert_eq!(statuses(&client.sent()), [400]);
}

#[test]
fn limits_hold_at_themselves_and_refuse_one_more() {
    let mut client = Client::new();
    for number in 1..=32 {
        assert!(client.says(&request("REGISTER", number, None)).is_empty());
    }
    assert_eq!(statuses(&client.says(&request("REGISTER", 33, None))), [503]);
    let mut client = Client::new();
    for number in 1..=32_u128 {
        client.agent.handle_leg_message(client.now, LegId(number), invite_message());
    }
    client.sent();
    let one_more = request("INVITE", 9, None).with_body("application/sdp", SDP);
    assert_eq!(statuses(&client.says(&one_more)), [486]);
}
