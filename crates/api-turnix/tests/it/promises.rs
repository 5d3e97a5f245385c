//! What SDKs and browsers rely on in a success (`docs/compat/turnix.md#success`).

use std::collections::BTreeSet;

use serde_json::Value;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    golden::is_like,
    world::{FORM, JSON, MINT, World},
};

fn strings(value: &Value) -> Vec<&str> {
    let array = value.as_array().expect("an array");
    array.iter().map(|item| item.as_str().expect("a text")).collect()
}

#[tokio::test]
async fn the_contract_of_the_dart_sdks_holds() {
    // They throw on any status but 200, iterate `urls`, and cast every other value to a non-null type.
    let world = World::start().await;
    let answer = world.post(MINT, Some(JSON), "{}").await;
    assert!(answer.bytes.starts_with("HTTP/1.1 200 OK\r\n"));
    assert_eq!(answer.header("content-type"), Some("application/json; charset=utf-8"));
    let body = answer.json();
    for server in body["iceServers"].as_array().expect("an array") {
        assert!(!strings(&server["urls"]).is_empty());
        for key in ["username", "credential"] {
            assert!(server.get(key).is_none_or(Value::is_string));
        }
    }
    assert!(body["expiresAt"].is_string());
    let regions = world.get("/api/v1/regions").await;
    assert!(regions.bytes.starts_with("HTTP/1.1 200 OK\r\n"));
    for region in regions.json().as_array().expect("a bare array") {
        for key in ["slug", "nat2", "city", "name"] {
            assert!(region[key].is_string(), "{key}");
        }
        assert!(region["lat"].is_number() && region["lon"].is_number());
        assert!(region["is_online"].is_boolean() && region["is_operational"].is_boolean());
        assert_eq!(region.as_object().map(serde_json::Map::len), Some(8));
    }
}

#[tokio::test]
async fn the_whole_answer_may_be_given_to_a_peer_connection() {
    let world = World::start().await;
    let body = world.post(MINT, None, "").await.json();
    let keys: BTreeSet<_> = body.as_object().expect("an object").keys().map(String::as_str).collect();
    assert_eq!(
        keys,
        BTreeSet::from(["expiresAt", "iceServers", "region"]),
        "no key of RTCConfiguration but iceServers"
    );
    let servers = body["iceServers"].as_array().expect("an array");
    assert_eq!(strings(&servers[0]["urls"]), ["stun:turn.example.net:3478"]);
    assert_eq!(servers[0].as_object().map(serde_json::Map::len), Some(1), "STUN comes first, without credential");
    let expected = [
        "turn:turn.example.net:3478?transport=udp",
        "turn:turn.example.net:3478?transport=tcp",
        "turns:turn.example.net:443?transport=udp",
        "turns:turn.example.net:443?transport=tcp",
    ];
    assert_eq!(strings(&servers[1]["urls"]), expected);
    assert_eq!(servers.len(), 2);
}

#[tokio::test]
async fn expires_at_is_the_time_of_the_answer_plus_the_lifetime() {
    let world = World::start().await;
    for (body, secs) in [("", 30), ("ttl=1", 1), ("ttl=600", 600), ("ttl=86400", 86_400)] {
        let answer = world.post_form(MINT, body).await;
        let text = answer.json()["expiresAt"].as_str().expect("a text").to_owned();
        assert!(is_like(&text, "dddd-dd-ddTdd:dd:dd.dddZ"), "{text}");
        let expires = OffsetDateTime::parse(&text, &Rfc3339).expect("RFC 3339").unix_timestamp_nanos() / 1_000_000;
        let record = world.last_record();
        assert_eq!(expires, i128::from(record.expires_at.as_millis()), "what is told is what is kept");
        assert_eq!(record.expires_at.as_millis() - record.issued_at.as_millis(), secs * 1000);
        let late = OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000 + i128::from(secs) * 1000 - expires;
        assert!((0..5_000).contains(&late), "{late} ms between issue and now");
    }
}

#[tokio::test]
async fn every_request_mints_another_credential() {
    let world = World::start().await;
    let mut seen = BTreeSet::new();
    for _ in 0..100 {
        let body = world.post(MINT, Some(FORM), "room=demo&initiator_client=alice").await.json();
        let turn = &body["iceServers"][1];
        seen.insert(turn["username"].to_string());
        seen.insert(turn["credential"].to_string());
    }
    assert_eq!(seen.len(), 200);
}
