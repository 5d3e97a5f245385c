//! What the other libraries do differently, as frames of theirs (`compat/telnyx.md#other-libraries`).

use serde_json::json;

use super::world::{OFFER, World};

#[test]
fn android_and_flutter_name_the_call_in_dialog_params_as_call_id_in_small_letters() {
    let mut world = World::new();
    let bob = world.login("bob");
    let alice = world.login("alice");
    let params = json!({"sdp": OFFER, "sessid": "s", "User-Agent": "Android-3.1.0", "dialogParams": {
        "callId": "a-call", "destination_number": "bob", "caller_id_name": "", "caller_id_number": ""}});
    assert_eq!(world.request(alice, "telnyx_rtc.invite", params)["result"]["callID"], "a-call");
    let invite = world.heard(bob, "telnyx_rtc.invite").remove(0)["params"].clone();
    assert_eq!(invite["caller_id_name"], "alice", "one library needs a name");
    let bye = json!({"cause": "USER_BUSY", "causeCode": 17, "dialogParams": {"callId": "a-call"}, "sessid": "s"});
    assert_eq!(world.request(alice, "telnyx_rtc.bye", bye)["result"]["message"], "CALL ENDED");
    assert!(world.calls.is_empty());
}

#[test]
fn user_agents_of_both_kinds_and_push_fields_are_taken() {
    let mut world = World::new();
    for (n, params) in [
        json!({"login": "a", "passwd": "a", "User-Agent": "iOS-4.1.2", "sessionId": "x", "loginParams": {"attach_call": "true"},
            "userVariables": {"push_device_token": "t", "push_notification_provider": "ios"}}),
        json!({"login": "a", "passwd": "a", "User-Agent": "Flutter-2.0", "sessId": "x"}),
        json!({"login": "a", "passwd": "a", "User-Agent": 7, "userVariables": [1]}),
    ]
    .into_iter()
    .enumerate()
    {
        let id = world.connect();
        assert_eq!(world.request(id, "login", params)["result"]["message"], "logged in", "{n}");
    }
}

#[test]
fn integer_ids_come_back_as_integers_and_requests_without_an_id_are_not_answered() {
    let mut world = World::new();
    let alice = world.login("alice");
    world.says(alice, &json!({"id": 41, "method": "telnyx_rtc.gatewayState", "params": {}}));
    assert_eq!(world.client(alice).heard.last().unwrap()["id"], json!(41));
    let n = world.client(alice).heard.len();
    world.says(alice, &json!({"method": "telnyx_rtc.gatewayState"}));
    assert_eq!(world.client(alice).heard.len(), n);
}

#[test]
fn extra_methods_of_the_mobile_libraries_have_a_result() {
    let mut world = World::new();
    let alice = world.login("alice");
    for method in ["telnyx_rtc.ringing_ack", "telnyx_rtc.disable_push_notification", "telnyx_rtc.attachCalls"] {
        assert!(world.request(alice, method, json!({"callID": "x"}))["result"].is_object(), "{method}");
    }
    let refused = world.request(alice, "telnyx_rtc.subscribe", json!({"eventChannel": ["conference.1"]}));
    assert_eq!(refused["result"]["unauthorizedChannels"], json!(["conference.1"]));
    let spoken = world.request(alice, "ai_conversation", json!({"type": "conversation.item.create"}));
    assert_eq!(spoken["error"]["code"], json!(-32601));
}

#[test]
fn debug_reports_are_answered_and_kept_nowhere() {
    let mut world = World::new();
    let alice = world.login("alice");
    for kind in ["debug_report_start", "debug_report_data", "debug_report_stop"] {
        world.says(
            alice,
            &json!({"jsonrpc": "2.0", "id": kind, "type": kind, "debug_report_id": "r", "debug_report_version": 1,
                "call_id": "c", "debug_report_data": "x".repeat(10_000)}),
        );
        let last = world.client(alice).heard.last().cloned().unwrap();
        assert_eq!((&last["id"], last["result"].is_object()), (&json!(kind), true));
    }
    assert!(world.client(alice).agent.is_idle());
}

#[test]
fn the_bandwidth_probe_is_answered_and_bounded() {
    let mut world = World::new();
    let alice = world.login("alice");
    for text in ["#SPU 1000000000", "#SPB....", "#SPE", "#SPE"] {
        world.says_text(alice, text);
    }
    assert_eq!(world.client(alice).raw, ["#SPU0", "probe 262144"]);
}
