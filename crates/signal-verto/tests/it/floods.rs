//! Clients that send as much as they can, or what makes no sense: they are told so, and nothing grows.

use causeway_app::{ProjectId, VoiceStore};
use causeway_call_core::{AccountId, CallLimits};
use causeway_signal_verto::VertoSettings;
use serde_json::{Value, json};

use crate::world::{World, token_of};

/// As fast as the tests can: the rate is a test of its own.
fn unhurried() -> VertoSettings {
    VertoSettings { frames_per_sec: 100_000, failed_logins_per_sec: 100_000, ..VertoSettings::default() }
}

#[tokio::test]
async fn a_client_that_floods_is_read_no_faster_and_still_answered() {
    let world = World::with(VertoSettings { frames_per_sec: 20, ..unhurried() }).await;
    world.user("alice").await;
    let mut alice = world.logged_in("alice").await;
    let start = tokio::time::Instant::now();
    for n in 0..100 {
        alice
            .raw(&json!({"jsonrpc": "2.0", "id": n, "method": "telnyx_rtc.ping", "params": {}}).to_string())
            .await
            .expect("read");
    }
    alice.answer_to(&json!(99)).await;
    // A second's worth may be saved up; eighty frames take four seconds, on any machine.
    assert!(start.elapsed().as_millis() > 2500, "{:?}", start.elapsed());
    assert!(world.service.figures().limited > 0);
}

#[tokio::test]
async fn what_cannot_be_read_is_answered_and_too_large_a_frame_ends_the_connection() {
    let world = World::with(unhurried()).await;
    world.user("alice").await;
    let mut alice = world.logged_in("alice").await;
    for (text, code) in [("{", -32700), ("", -32700), ("[1]", -32600), ("{\"id\":null}", -32600), ("nonsense", -32700)]
    {
        for _ in 0..200 {
            alice.raw(text).await.expect("read");
            assert_eq!(alice.answer_to(&Value::Null).await["error"]["code"], code, "{text}");
        }
    }
    assert_eq!(alice.ask("telnyx_rtc.nothing", json!({})).await["error"]["code"], -32601);
    assert_eq!(world.service.figures().dropped, 1001);
    // The server may have closed before it took all of it.
    let _was_taken = alice.raw(&"x".repeat(300 * 1024)).await;
    assert!(matches!(alice.closed().await, 1009 | 1006));
    world.until("the end", |world| world.service.figures().connections == 0).await;
    assert_eq!(world.board.counts().calls, 0);
}

#[tokio::test]
async fn calls_of_others_are_nobody_elses() {
    let world = World::with(unhurried()).await;
    for name in ["alice", "bobby", "mallory"] {
        world.user(name).await;
    }
    let (mut alice, mut bob) = (world.logged_in("alice").await, world.logged_in("bobby").await);
    let mut mallory = world.logged_in("mallory").await;
    alice.dial("call-a", "bobby").await;
    let theirs = bob.told("telnyx_rtc.invite").await["callID"].as_str().expect("a text").to_owned();
    for _ in 0..100 {
        for call in [theirs.as_str(), "call-a", "", "nothing"] {
            for method in ["answer", "modify", "info", "candidate", "ringing"] {
                let answer = mallory.about(method, call, "").await;
                assert!(answer["error"].is_object() || method == "ringing", "{method}: {answer}");
            }
            mallory.about("bye", call, "NORMAL_CLEARING").await;
        }
    }
    assert_eq!(world.board.counts().calls, 1, "the call of others goes on");
    bob.about("answer", &theirs, "").await;
    alice.told("telnyx_rtc.answer").await;
    drop((alice, bob, mallory));
}

#[tokio::test]
async fn calling_again_and_again_makes_as_many_calls_as_a_client_may_have() {
    let world = World::with(unhurried()).await;
    for name in ["eve1", "bobby"] {
        world.user(name).await;
    }
    let (mut eve, bob) = (world.logged_in("eve1").await, world.logged_in("bobby").await);
    for n in 0..200 {
        eve.dial(&format!("call-{n}"), "bobby").await;
    }
    let legs_max = CallLimits::default().legs_per_connection_max;
    assert_eq!(world.board.counts().calls, legs_max);
    for _ in legs_max..200 {
        assert_eq!(eve.told("telnyx_rtc.bye").await["cause"], "NORMAL_TEMPORARY_FAILURE");
    }
    drop((eve, bob));
}

#[tokio::test]
async fn a_token_that_was_taken_back_and_a_session_of_somebody_else_open_nothing() {
    let world = World::with(unhurried()).await;
    let mut credential = world.user("alice").await;
    world.user("mallory").await;
    let token = token_of(&credential);
    let mut alice = world.client().await;
    let login = json!({"login_token": token});
    let answer = alice.ask("login", login.clone()).await;
    assert_eq!(answer["result"]["message"], "logged in");
    let session = answer["voice_sdk_id"].as_str().expect("it has one").to_owned();

    // The session's name opens nothing for another identity: it gets a session of its own.
    let mut mallory = world.client_at(&format!("?voice_sdk_id={session}")).await;
    let other = mallory.ask("login", json!({"login": "mallory", "passwd": "mallory"})).await;
    assert_ne!(other["voice_sdk_id"], session);
    assert_eq!(world.service.figures().resumed, 0);
    assert_eq!(alice.ask("telnyx_rtc.ping", json!({})).await["voice_sdk_id"], session, "its owner has it still");

    // Tampered, of another credential, and taken back: as often as one likes.
    let (head, signature) = token.rsplit_once('.').expect("three parts");
    let tampered = format!("{head}.{}", signature.chars().rev().collect::<String>());
    credential.token_secret = causeway_types::Secret::new("another".to_owned());
    assert!(world.store.update_voice_credential(&credential).await.expect("it answers"));
    world
        .service
        .send_away(|identity| identity.account == AccountId(ProjectId::DEFAULT.0) && &*identity.name == "alice");
    assert_eq!(alice.closed().await, 1008);
    for _ in 0..50 {
        for token in [token.as_str(), &tampered, "a.b.c", ""] {
            let mut replayer = world.client_at(&format!("?voice_sdk_id={session}")).await;
            let answer = replayer.ask("login", json!({"login_token": token})).await;
            assert_eq!(answer["error"]["code"], -32001, "{answer}");
            replayer.close().await;
        }
    }
    assert_eq!(world.service.figures().resumed, 0);
    world.until("one connection", |world| world.service.figures().connections == 1).await;
    assert_eq!(world.board.counts().registrations, 1, "mallory's own");
}
