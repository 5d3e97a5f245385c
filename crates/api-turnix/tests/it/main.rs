//! The credential API as its clients see it: every encoding, every field, every error (`docs/compat/turnix.md`).

mod world;

use serde_json::json;

use crate::world::{Answer, World, form, get, post, post_json};

const MINT: &str = "/api/v1/credentials/ice";

/// A time of the form `2026-05-31T06:48:36.283Z`.
fn is_timestamp(text: &str) -> bool {
    let pattern = "dddd-dd-ddTdd:dd:dd.dddZ";
    text.len() == pattern.len()
        && text.chars().zip(pattern.chars()).all(|(c, p)| if p == 'd' { c.is_ascii_digit() } else { c == p })
}

#[tokio::test]
async fn every_encoding_the_clients_use_gets_a_credential() {
    let world = World::new();
    for (name, request) in [
        ("curl with a type and no body", post(MINT, Some("application/json"), "")),
        ("form without fields", post(MINT, Some("application/x-www-form-urlencoded"), "")),
        ("form", form(MINT, "room=demo&initiator_client=alice&receiver_client=bob&ttl=60")),
        ("empty JSON", post_json(MINT, &json!({}))),
        ("JSON with a charset", post(MINT, Some("application/json; charset=utf-8"), r#"{"room":"demo"}"#)),
        ("nothing at all", post(MINT, None, "")),
        ("query", post("/api/v1/credentials/ice?ttl=600&room=demo", None, "")),
        ("nulls and empty texts", post_json(MINT, &json!({"room": null, "ttl": "", "extra": [1]}))),
        ("a misspelt name", form(MINT, "preffered_region=elsewhere")),
    ] {
        let answer = world.call(request).await;
        assert_eq!(answer.status, 200, "{name}: {}", answer.body);
        assert_eq!(answer.header("content-type"), "application/json; charset=utf-8");
        assert_eq!(answer.header("cache-control"), "no-store");
        let servers = answer.body["iceServers"].as_array().expect("an array");
        assert_eq!(servers[0], json!({"urls": ["stun:turn.example.net:3478"]}));
        assert_eq!(servers[1]["urls"], json!(["turn:turn.example.net:3478?transport=udp"]));
        assert_eq!(servers[1]["username"].as_str().expect("a name").len(), 36);
        assert_eq!(servers[1]["credential"].as_str().expect("a password").len(), 32);
        assert!(is_timestamp(answer.body["expiresAt"].as_str().expect("a time")), "{}", answer.body);
        assert_eq!(answer.body["region"], "local");
    }
}

#[tokio::test]
async fn each_field_reaches_the_store_and_the_body_beats_the_query() {
    let world = World::new();
    let request = form("/api/v1/credentials/ice?room=query&ttl=10", "room=first&room=demo&client_type=receiver&ttl=60");
    let answer = world.call(request).await;
    let record = world.last_record();
    assert_eq!(record.room.as_ref().map(causeway_app::Identifier::as_str), Some("demo"));
    assert_eq!(record.client_type.map(causeway_app::ClientRole::as_str), Some("receiver"));
    assert_eq!(record.expires_at.as_millis() - record.issued_at.as_millis(), 60_000);
    assert_eq!(answer.body["iceServers"][1]["username"], record.username.as_str());
    world.call(post(MINT, None, "")).await;
    let record = world.last_record();
    assert_eq!(record.expires_at.as_millis() - record.issued_at.as_millis(), 30_000, "the default is 30 s");
}

#[tokio::test]
async fn every_bad_field_is_named_and_its_value_is_not_echoed() {
    let world = World::new();
    for (field, value, code) in [
        ("room", json!("a b"), "bad_characters"),
        ("room", json!("alice@example.com"), "bad_characters"),
        ("initiator_client", json!("a".repeat(101)), "too_long"),
        ("receiver_client", json!(true), "bad_type"),
        ("room", json!(["a"]), "bad_type"),
        ("room", json!(4.2), "bad_type"),
        ("ttl", json!(0), "bad_ttl"),
        ("ttl", json!(-1), "bad_ttl"),
        ("ttl", json!("1e3"), "bad_ttl"),
        ("ttl", json!(1.5), "bad_ttl"),
        ("ttl", json!(86_401), "ttl_too_long"),
        ("client_type", json!("both"), "bad_client_type"),
        ("fixed_region", json!("atlantis"), "region_unknown"),
    ] {
        let answer = world.call(post_json(MINT, &json!({field: value.clone()}))).await;
        check_error(&answer, 422, "invalid_parameter");
        assert_eq!(answer.body["details"], json!([{"field": field, "code": code}]), "{field} {value}");
        if let Some(text) = value.as_str() {
            assert!(!answer.body["message"].as_str().expect("a text").contains(text), "{}", answer.body);
        }
    }
    let answer = world.call(form(MINT, "room=a+b&initiator_client=a%2Fb")).await;
    assert_eq!(answer.body["details"].as_array().map(Vec::len), Some(2), "both are told");
    assert_eq!(world.call(post_json(MINT, &json!({"room": 42}))).await.status, 200);
    assert_eq!(world.call(post_json(MINT, &json!({"ttl": 86_400}))).await.status, 200);
}

#[track_caller]
fn check_error(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status, answer.body["error"].as_str()), (status, Some(code)), "{}", answer.body);
    assert!(answer.body["message"].as_str().is_some_and(|text| !text.is_empty()));
    assert_eq!(answer.body["requestId"].as_str(), Some(answer.header("x-request-id")));
}

#[tokio::test]
async fn each_error_has_its_status_and_shape() {
    let world = World::new();
    check_error(&world.call(post(MINT, Some("application/json"), "{")).await, 400, "malformed_body");
    check_error(&world.call(post(MINT, Some("application/json"), "[]")).await, 400, "malformed_body");
    check_error(&world.call(post(MINT, Some("text/plain"), "x")).await, 415, "unsupported_media_type");
    check_error(&world.call(form(MINT, &"x".repeat(16 * 1024 + 1))).await, 413, "body_too_large");
    check_error(&world.call(get("/api/v1/nothing")).await, 404, "not_found");
    check_error(&world.call(get(MINT)).await, 405, "method_not_allowed");

    let answer = world.call_as(None, post(MINT, None, "")).await;
    check_error(&answer, 401, "missing_token");
    assert_eq!(answer.header("www-authenticate"), r#"Bearer realm="causeway""#);
    let answer = world.call_as(Some("Bearer cwp_wrong"), post(MINT, None, "")).await;
    check_error(&answer, 401, "invalid_token");
    assert!(answer.header("www-authenticate").contains("invalid_token"));
    check_error(&world.call_as(Some("Basic abc"), post(MINT, None, "")).await, 401, "missing_token");
    assert_eq!(world.call_as(Some("bearer cwp_good"), post(MINT, None, "")).await.status, 200, "scheme in any case");

    world.store_fails();
    let answer = world.call(post(MINT, None, "")).await;
    check_error(&answer, 503, "relay_unavailable");
    assert_eq!(answer.header("retry-after"), "1");
}

#[tokio::test]
async fn the_client_address_header_is_checked() {
    let world = World::new();
    for (value, status) in [("203.0.113.9", 200), ("2001:db8::1", 200), ("127.0.0.1:80", 422), ("here", 422)] {
        let mut request = post(MINT, None, "");
        request.headers_mut().insert("x-turn-client-ip", value.parse().unwrap());
        assert_eq!(world.call(request).await.status, status, "{value}");
    }
}

#[tokio::test]
async fn beyond_the_burst_a_token_gets_429_with_its_allowance() {
    let world = World::with_burst(2);
    assert_eq!(world.call(post(MINT, None, "")).await.header("x-ratelimit-remaining"), "1");
    assert_eq!(world.call(post(MINT, None, "")).await.status, 200);
    let answer = world.call(post(MINT, None, "")).await;
    check_error(&answer, 429, "rate_limited");
    assert_eq!(answer.header("retry-after"), "1");
    assert_eq!(answer.header("x-ratelimit-limit"), "1");
}

#[tokio::test]
async fn regions_are_a_bare_array_with_every_field() {
    let world = World::new();
    let answer = world.call(get("/api/v1/regions")).await;
    assert_eq!(answer.status, 200);
    let expected = json!([{"slug": "local", "nat2": "DE", "city": "Frankfurt", "name": "Local", "lat": 50.11, "lon": 8.68,
        "is_online": true, "is_operational": true}]);
    assert_eq!(answer.body, expected);
    check_error(&world.call_as(None, get("/api/v1/regions")).await, 401, "missing_token");
}

#[tokio::test]
async fn turn_rest_answers_in_the_shape_of_the_draft() {
    let world = World::new();
    for path in ["/api/v1/turn-rest?service=turn&username=alice", "/?service=turn&username=alice"] {
        let answer = world.call(get(path)).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let username = answer.body["username"].as_str().expect("a name");
        let (expiry, user) = username.split_once(':').expect("a separator");
        assert!(expiry.parse::<u64>().is_ok() && user == "alice");
        let expected = causeway_credentials::turn_rest::password("causeway-test-secret", username);
        assert_eq!(answer.body["password"], expected.as_str());
        assert_eq!(answer.body["ttl"], 86_400);
        assert_eq!(answer.body["uris"], json!(["turn:turn.example.net:3478?transport=udp"]), "no stun: URL");
    }
    // The draft's own way to authenticate, and POST.
    let answer = world.call_as(None, get("/api/v1/turn-rest?service=turn&key=cwp_good")).await;
    assert_eq!(answer.status, 200);
    assert!(!answer.body["username"].as_str().expect("a name").contains(':'), "no user id, no separator");
    assert_eq!(world.call(form("/api/v1/turn-rest", "service=turn&ttl=60")).await.body["ttl"], 60);
    check_error(&world.call(get("/api/v1/turn-rest")).await, 400, "bad_service");
    check_error(&world.call(get("/api/v1/turn-rest?service=stun")).await, 400, "bad_service");
    check_error(&world.call(get("/api/v1/turn-rest?service=turn&username=a:b")).await, 422, "invalid_parameter");
    check_error(&world.call_as(None, get("/api/v1/turn-rest?service=turn")).await, 401, "missing_token");
    check_error(&world.call(get("/")).await, 404, "not_found");
}
