//! Logging in, staying and leaving.

use std::time::Duration;

use serde_json::json;

use super::world::World;
use crate::{DropReason, GatewayState};

#[test]
fn login_ready_and_state_come_in_the_order_that_the_library_needs() {
    let mut world = World::new();
    let alice = world.login("alice");
    let heard = world.client(alice).heard.clone();
    assert_eq!(heard[0]["result"], json!({"message": "logged in", "sessid": "session-0"}));
    assert_eq!(heard[0]["voice_sdk_id"], json!("voice-0"));
    assert_eq!(heard[1]["method"], "telnyx_rtc.clientReady");
    assert_eq!(heard[1]["params"], json!({"reattached_sessions": []}), "a state in it would make the library deaf");
    assert!(heard[1]["id"].is_u64(), "one library takes integers only");
    let state = world.request(alice, "telnyx_rtc.gatewayState", json!({}));
    assert_eq!(state["result"], json!({"params": {"state": "REGED"}, "sessid": "session-0"}));
}

#[test]
fn a_refused_login_is_32001_and_never_32000() {
    let mut world = World::new();
    for params in [
        json!({"login": "alice", "passwd": "wrong"}),
        json!({"login_token": "forged"}),
        json!({"login": "alice"}),
        json!({}),
        json!({"login": {"a": 1}, "passwd": 7}),
    ] {
        let id = world.connect();
        let answer = world.request(id, "login", params.clone());
        assert_eq!(answer["error"]["code"], json!(-32001), "{params}");
        assert_eq!(world.client(id).heard.len(), 1, "nothing else follows: {params}");
    }
    let id = world.connect();
    let anonymous = json!({"target_type": "ai_assistant", "target_id": "x"});
    assert_eq!(world.request(id, "anonymous_login", anonymous)["error"]["code"], json!(-32001));
    assert!(world.registrar.is_empty());
}

#[test]
fn a_name_and_password_win_over_a_token() {
    let mut world = World::new();
    let id = world.connect();
    let both = json!({"login": "alice", "passwd": "alice", "login_token": "forged"});
    assert_eq!(world.request(id, "login", both)["result"]["message"], "logged in");
}

#[test]
fn nothing_but_login_and_ping_is_done_before_the_login() {
    let mut world = World::new();
    let id = world.connect();
    for method in ["telnyx_rtc.invite", "telnyx_rtc.gatewayState", "telnyx_rtc.bye", "whatever"] {
        let answer = world.request(id, method, super::world::invite("c", "bob"));
        assert_eq!(answer["error"]["code"], json!(-32600), "{method}");
    }
    assert_eq!(world.request(id, "telnyx_rtc.ping", json!({}))["result"]["message"], "PONG");
    assert_eq!(world.calls.call_count(), 0);
}

#[test]
fn pings_are_answered_and_their_echoes_are_not() {
    let mut world = World::new();
    let alice = world.login("alice");
    world.advance(Duration::from_secs(20));
    let ping = world.heard(alice, "telnyx_rtc.ping").remove(0);
    let n = world.client(alice).heard.len();
    world.says(alice, &ping);
    assert_eq!(world.client(alice).heard.len(), n, "its own ping came back: that is the answer");
    let answer = world.request(alice, "telnyx_rtc.ping", json!({}));
    assert_eq!(answer["result"], json!({"message": "PONG", "sessid": "session-0"}));
    world.says(alice, &json!({"jsonrpc": "2.0", "id": "new", "result": {"message": "PONG", "sessid": "x"}}));
    assert_eq!(world.client(alice).heard.len(), n + 1, "a result under an id we never issued says nothing");
}

#[test]
fn a_silent_client_is_gone_after_45_seconds_and_any_frame_counts() {
    let mut world = World::new();
    let alice = world.login("alice");
    world.advance(Duration::from_secs(44));
    world.says(alice, &json!({"id": "x", "result": {}}));
    world.advance(Duration::from_secs(44));
    assert!(!world.client(alice).is_closed);
    world.advance(Duration::from_secs(1));
    assert!(world.client(alice).is_closed);
    assert_eq!(world.client(alice).agent.poll_timeout(), None);
}

#[test]
fn a_client_that_is_sent_away_hears_punt_and_nothing_after_it() {
    let mut world = World::new();
    let alice = world.login("alice");
    world.client(alice).agent.handle_punt();
    world.advance(Duration::ZERO);
    assert_eq!(world.heard(alice, "telnyx_rtc.punt").len(), 1);
    assert!(world.client(alice).is_closed);
    let n = world.client(alice).heard.len();
    world.request(alice, "telnyx_rtc.ping", json!({}));
    assert_eq!(world.client(alice).heard.len(), n);
}

#[test]
fn a_lost_registration_is_pushed_and_answered() {
    let mut world = World::new();
    let alice = world.login("alice");
    world.client(alice).agent.handle_gateway(GatewayState::Failed);
    world.advance(Duration::ZERO);
    assert_eq!(world.heard(alice, "telnyx_rtc.gatewayState")[0]["params"]["state"], "FAILED");
    assert_eq!(world.request(alice, "telnyx_rtc.gatewayState", json!({}))["result"]["params"]["state"], "FAILED");
}

#[test]
fn what_cannot_be_read_is_told_and_counted() {
    let mut world = World::new();
    let alice = world.login("alice");
    for (text, code, reason) in [
        ("{", -32700, DropReason::NotJson),
        ("#SPX", -32700, DropReason::NotJson),
        ("[1]", -32600, DropReason::NotRpc),
        (r#"{"id":"a","method":7}"#, -32600, DropReason::NotRpc),
        (r#"{"id":"b","method":"telnyx_rtc.nothing"}"#, -32601, DropReason::UnknownMethod),
    ] {
        let now = world.now;
        assert_eq!(world.client(alice).agent.handle_text(now, text), Err(reason), "{text}");
        world.advance(Duration::ZERO);
        let last = world.client(alice).heard.last().cloned().unwrap();
        assert_eq!(last["error"]["code"], json!(code), "{text}");
    }
}
