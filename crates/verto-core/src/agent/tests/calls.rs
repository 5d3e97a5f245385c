//! Calls between two clients.

use std::time::Duration;

use causeway_call_core::{HangupCause, LegId};
use serde_json::{Value, json};

use super::world::{OFFER, World, connection, invite};

const ANSWER: &str = "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=setup:active\r\n";

/// Alice calls Bob; his name of the call.
fn ringing(world: &mut World) -> (u64, u64, String) {
    let bob = world.login("bob");
    let alice = world.login("alice");
    let created = world.request(alice, "telnyx_rtc.invite", invite("call-a", "bob"));
    assert_eq!(created["result"]["message"], "CALL CREATED");
    assert_eq!(created["result"]["callID"], "call-a");
    let theirs = world.heard(bob, "telnyx_rtc.invite").remove(0)["params"]["callID"].as_str().unwrap().to_owned();
    (alice, bob, theirs)
}

fn active(world: &mut World) -> (u64, u64, String) {
    let (alice, bob, theirs) = ringing(world);
    let params = json!({"sessid": "s", "sdp": ANSWER, "dialogParams": {"callID": theirs}});
    assert_eq!(world.request(bob, "telnyx_rtc.answer", params)["result"]["message"], "CALL ANSWERED");
    (alice, bob, theirs)
}

fn about(call_id: &str, more: Value) -> Value {
    let mut params = json!({"sessid": "s", "dialogParams": {"callID": call_id}});
    params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    params
}

fn bye_of(world: &mut World, client: u64) -> Value {
    let byes = world.heard(client, "telnyx_rtc.bye");
    assert_eq!(byes.len(), 1);
    json!([byes[0]["params"]["cause"], byes[0]["params"]["causeCode"], byes[0]["params"]["sipCode"]])
}

#[test]
fn an_invite_has_a_call_id_of_its_own_and_everything_the_libraries_read() {
    let mut world = World::new();
    let (alice, bob, theirs) = ringing(&mut world);
    let invite = world.heard(bob, "telnyx_rtc.invite").remove(0);
    assert!(invite["id"].is_u64());
    let params = &invite["params"];
    assert_ne!(theirs, "call-a");
    assert!(LegId::parse(&theirs).is_some(), "the mobile libraries read it as a UUID");
    assert_eq!(params["sdp"], OFFER);
    assert_eq!(params["caller_id_name"], "Alice A");
    assert_eq!(params["caller_id_number"], "alice", "what the caller calls itself is not believed");
    assert_eq!(params["callee_id_number"], "bob");
    assert_eq!(params["dialogParams"]["custom_headers"], json!([{"name": "X-Foo", "value": "bar"}]));
    for id in ["telnyx_session_id", "telnyx_leg_id"] {
        assert!(LegId::parse(params[id].as_str().unwrap()).is_some(), "{id}");
    }
    assert!(!invite.to_string().contains("secret"), "the caller's relay credentials stay with it");
    assert_eq!(world.heard(alice, "telnyx_rtc.ringing")[0]["params"]["callID"], "call-a");
}

#[test]
fn an_answer_goes_to_the_caller_with_its_description() {
    let mut world = World::new();
    let (alice, _, _) = active(&mut world);
    let answer = world.heard(alice, "telnyx_rtc.answer").remove(0);
    assert_eq!(answer["params"]["sdp"], ANSWER);
    assert_eq!(answer["params"]["callID"], "call-a");
}

#[test]
fn either_party_hangs_up_and_the_other_hears_why() {
    for is_caller in [true, false] {
        let mut world = World::new();
        let (alice, bob, theirs) = active(&mut world);
        let (ender, other, name) = if is_caller { (alice, bob, "call-a".into()) } else { (bob, alice, theirs) };
        let bye = about(&name, json!({"cause": "NORMAL_CLEARING", "causeCode": 16}));
        assert_eq!(world.request(ender, "telnyx_rtc.bye", bye)["result"]["message"], "CALL ENDED");
        assert_eq!(bye_of(&mut world, other), json!(["NORMAL_CLEARING", 16, 200]));
        assert!(world.heard(ender, "telnyx_rtc.bye").is_empty());
        assert!(world.calls.is_empty() && world.clients.values().all(|client| client.agent.is_idle()));
    }
}

#[test]
fn before_the_answer_the_role_decides_what_a_bye_means() {
    // The library says the same for both.
    let busy = json!({"cause": "USER_BUSY", "causeCode": 17});
    let mut world = World::new();
    let (alice, bob, _) = ringing(&mut world);
    world.request(alice, "telnyx_rtc.bye", about("call-a", busy.clone()));
    assert_eq!(bye_of(&mut world, bob), json!(["ORIGINATOR_CANCEL", 487, 487]));

    let mut world = World::new();
    let (alice, bob, theirs) = ringing(&mut world);
    world.request(bob, "telnyx_rtc.bye", about(&theirs, busy));
    assert_eq!(bye_of(&mut world, alice), json!(["USER_BUSY", 17, 486]));
}

#[test]
fn a_call_that_reaches_nobody_is_created_and_ended_with_its_cause() {
    let mut world = World::new();
    let alice = world.login("alice");
    let created = world.request(alice, "telnyx_rtc.invite", invite("call-a", "nobody"));
    assert_eq!(created["result"]["message"], "CALL CREATED");
    assert_eq!(bye_of(&mut world, alice), json!(["USER_NOT_REGISTERED", 606, 480]));
    let mut world = World::new();
    let (alice, bob, _) = ringing(&mut world);
    world.advance(Duration::from_secs(30));
    world.request(alice, "telnyx_rtc.ping", json!({}));
    world.request(bob, "telnyx_rtc.ping", json!({}));
    world.advance(Duration::from_secs(30));
    assert_eq!(bye_of(&mut world, alice), json!(["NO_ANSWER", 19, 480]));
    assert_eq!(bye_of(&mut world, bob), json!(["NO_ANSWER", 19, 480]));
}

#[test]
fn what_is_missing_is_named_and_a_bye_for_a_call_that_is_gone_is_no_error() {
    let mut world = World::new();
    let (alice, _, _) = ringing(&mut world);
    let mut without_sdp = invite("call-b", "bob");
    without_sdp.as_object_mut().unwrap().remove("sdp");
    for (method, params, message) in [
        ("telnyx_rtc.invite", json!({"sdp": OFFER}), "Dialog data missing"),
        ("telnyx_rtc.invite", json!({"sdp": OFFER, "dialogParams": {"destination_number": "bob"}}), "CallID missing"),
        ("telnyx_rtc.invite", without_sdp, "SDP missing"),
        ("telnyx_rtc.invite", invite("call-b", ""), "Params data missing"),
        ("telnyx_rtc.invite", invite("call-a", "bob"), "CALL ERROR"),
        ("telnyx_rtc.modify", json!({"action": "hold"}), "CallID missing"),
        ("telnyx_rtc.modify", about("gone", json!({"action": "hold"})), "CALL DOES NOT EXIST"),
        (
            "telnyx_rtc.modify",
            about("call-a", json!({"action": "hold"})),
            "CALL ERROR: the call is not in a state where this can be",
        ),
        ("telnyx_rtc.answer", about("call-a", json!({"sdp": ANSWER})), "CALL ERROR"),
        ("telnyx_rtc.info", about("call-a", json!({})), "Params data missing"),
        ("telnyx_rtc.info", about("call-a", json!({"dtmf": "x"})), "Params data missing"),
        ("telnyx_rtc.attach", about("call-a", json!({"sdp": ANSWER})), "CALL ERROR"),
    ] {
        let answer = world.request(alice, method, params.clone());
        assert_eq!(answer["error"]["code"], json!(-32002), "{method} {params}");
        assert_eq!(answer["error"]["message"], message, "{method} {params}");
    }
    let unknown = world.request(alice, "telnyx_rtc.modify", about("call-a", json!({"action": "fly"})));
    assert_eq!(unknown["error"]["code"], json!(-32602));
    let gone = world.request(alice, "telnyx_rtc.bye", about("gone", json!({})));
    assert_eq!(gone["result"]["message"], "CALL ENDED");
}

#[test]
fn another_clients_call_is_like_none() {
    let mut world = World::new();
    let (alice, bob, theirs) = active(&mut world);
    let mallory = world.login("mallory");
    for name in [theirs.as_str(), "call-a"] {
        for (method, more) in [
            ("telnyx_rtc.answer", json!({"sdp": ANSWER})),
            ("telnyx_rtc.modify", json!({"action": "hold"})),
            ("telnyx_rtc.info", json!({"dtmf": "1"})),
            ("telnyx_rtc.candidate", json!({"candidate": "candidate:1"})),
        ] {
            let answer = world.request(mallory, method, about(name, more));
            assert_eq!(answer["error"]["message"], "CALL DOES NOT EXIST", "{method}");
        }
        world.request(mallory, "telnyx_rtc.bye", about(name, json!({})));
    }
    assert_eq!(world.calls.call_count(), 1);
    assert!(world.heard(alice, "telnyx_rtc.bye").is_empty() && world.heard(bob, "telnyx_rtc.bye").is_empty());
}

#[test]
fn hold_is_answered_with_its_state_and_no_description() {
    let mut world = World::new();
    let (alice, _, _) = active(&mut world);
    for (action, state) in [("hold", "held"), ("unhold", "active"), ("toggleHold", "held"), ("toggleHold", "active")] {
        let answer = world.request(alice, "telnyx_rtc.modify", about("call-a", json!({"action": action})));
        let expected = json!({"callID": "call-a", "action": action, "holdState": state, "sessid": "session-1"});
        assert_eq!(answer["result"], expected);
    }
}

#[test]
fn a_new_description_reaches_the_other_as_attach_and_comes_back_as_a_result() {
    let mut world = World::new();
    let (alice, bob, theirs) = active(&mut world);
    let update = about("call-a", json!({"action": "updateMedia", "callID": "call-a", "sdp": "v=0 again"}));
    assert_eq!(world.request(alice, "telnyx_rtc.modify", update), Value::Null, "it waits for the other party");
    let attach = world.heard(bob, "telnyx_rtc.attach").remove(0);
    assert_eq!(attach["params"]["sdp"], "v=0 again");
    let answer = about(&theirs, json!({"sdp": "v=0 answer"}));
    assert!(world.request(bob, "telnyx_rtc.attach", answer)["result"].is_object());
    let result = world.client(alice).heard.last().cloned().unwrap()["result"].clone();
    assert_eq!((&result["action"], &result["sdp"]), (&json!("updateMedia"), &json!("v=0 answer")));
}

#[test]
fn a_new_description_that_nobody_answers_is_an_error() {
    let mut world = World::new();
    let (alice, _, _) = active(&mut world);
    let update = about("call-a", json!({"action": "updateMedia", "sdp": "v=0 again"}));
    world.request(alice, "telnyx_rtc.modify", update);
    world.advance(Duration::from_secs(10));
    let last = world.client(alice).heard.last().cloned().unwrap();
    assert_eq!(last["error"]["code"], json!(-32002));
}

#[test]
fn digits_and_messages_reach_the_other_party() {
    let mut world = World::new();
    let (alice, bob, _) = active(&mut world);
    assert_eq!(
        world.request(alice, "telnyx_rtc.info", about("call-a", json!({"dtmf": "1#a"})))["result"]["message"],
        "SENT"
    );
    world.request(alice, "telnyx_rtc.info", about("call-a", json!({"msg": {"from": "x", "to": "y", "body": "hi"}})));
    let heard = world.heard(bob, "telnyx_rtc.info");
    assert_eq!(heard[0]["params"]["dtmf"], "1#A");
    assert_eq!(heard[1]["params"]["msg"], json!({"from": "alice", "body": "hi"}));
}

#[test]
fn a_trickling_caller_is_gathered_before_anybody_rings() {
    let mut world = World::new();
    let bob = world.login("bob");
    let alice = world.login("alice");
    let mut params = invite("call-a", "bob");
    params["trickle"] = json!(true);
    world.request(alice, "telnyx_rtc.invite", params);
    assert!(world.heard(bob, "telnyx_rtc.invite").is_empty());
    let line = "candidate:1 1 udp 1 192.0.2.1 9 typ host";
    let candidate = about("call-a", json!({"candidate": line, "sdpMid": "0", "sdpMLineIndex": 0}));
    assert!(world.request(alice, "telnyx_rtc.candidate", candidate)["result"].is_object());
    let end = about("call-a", json!({"endOfCandidates": true}));
    assert!(world.request(alice, "telnyx_rtc.endOfCandidates", end)["result"].is_object());
    let sdp = world.heard(bob, "telnyx_rtc.invite")[0]["params"]["sdp"].as_str().unwrap().to_owned();
    assert!(sdp.contains(&format!("a={line}\r\n")), "{sdp}");
}

#[test]
fn a_parked_call_rings_back_until_a_backend_decides() {
    let mut world = World::new();
    world.is_parking = true;
    let alice = world.login("alice");
    let bob = world.login("bob");
    world.request(alice, "telnyx_rtc.invite", invite("call-a", "anything"));
    assert_eq!(world.heard(alice, "telnyx_rtc.ringing").len(), 1);
    let leg = world.calls.legs_on(connection(alice))[0];
    let to = causeway_call_core::Identity::new(causeway_call_core::AccountId(1), "bob");
    world.calls.handle_redirect(world.now, leg, vec![to], causeway_call_core::RingRule::Newest, None).unwrap();
    world.advance(Duration::ZERO);
    assert_eq!(world.heard(bob, "telnyx_rtc.invite").len(), 1);
    world.calls.handle_end(world.now, leg, HangupCause::Rejected).unwrap();
    world.advance(Duration::ZERO);
    assert_eq!(bye_of(&mut world, alice), json!(["CALL_REJECTED", 21, 603]));
}

#[test]
fn a_client_has_two_calls_and_no_more_than_its_limit() {
    let mut world = World::new();
    let (alice, bob, _) = active(&mut world);
    let carol = world.login("carol");
    world.request(carol, "telnyx_rtc.invite", invite("call-c", "bob"));
    assert_eq!(world.heard(bob, "telnyx_rtc.invite").len(), 2, "the second waits");
    for n in 0..40 {
        world.request(alice, "telnyx_rtc.invite", invite(&format!("more-{n}"), "carol"));
    }
    assert!(world.client(alice).agent.dialog_count() <= 16);
    assert!(world.calls.leg_count() <= 40);
}
