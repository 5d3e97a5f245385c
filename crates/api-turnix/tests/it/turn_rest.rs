//! The TURN REST endpoint: what it derives, and where its parameters may be (`docs/compat/turnix.md#turn-rest`).

use causeway_credentials::turn_rest::password;
use serde_json::json;
use time::OffsetDateTime;

use crate::world::{Answer, FORM, JSON, SECRET, World, head_of};

const PATH: &str = "/api/v1/turn-rest";

/// Expiry and user id of the name, after the password was checked.
#[track_caller]
fn name_of(answer: &Answer) -> (i64, Option<String>) {
    assert_eq!(answer.status, 200, "{}", answer.bytes);
    let body = answer.json();
    let username = body["username"].as_str().expect("a name");
    assert_eq!(body["password"], password(SECRET, username).as_str());
    let (expiry, user) = username.split_once(':').map_or((username, None), |(expiry, user)| (expiry, Some(user)));
    (expiry.parse().expect("a number"), user.map(str::to_owned))
}

#[tokio::test]
async fn turn_rest_answers_in_the_shape_of_the_draft() {
    let world = World::start().await;
    for path in [PATH, "/"] {
        let answer = world.get(&format!("{path}?service=turn&username=alice")).await;
        let (expiry, user) = name_of(&answer);
        assert_eq!(user.as_deref(), Some("alice"));
        let late = OffsetDateTime::now_utc().unix_timestamp() + 86_400 - expiry;
        assert!((0..5).contains(&late), "{late} s between issue and now");
        assert_eq!(answer.json()["ttl"], 86_400);
        assert!(answer.json()["uris"].as_array().is_some_and(|uris| {
            uris.len() == 4 && uris.iter().all(|uri| uri.as_str().is_some_and(|uri| uri.starts_with("turn")))
        }));
    }
    assert!(world.records().is_empty(), "nothing is stored");
}

#[tokio::test]
async fn parameters_and_key_may_be_in_query_form_or_json() {
    let world = World::start().await;
    let anonymous = |method: &str, path: &str, more: &str, body: &str| {
        let length = if method == "POST" { format!("Content-Length: {}\r\n", body.len()) } else { String::new() };
        format!("{method} {path} HTTP/1.1\r\nHost: x\r\n{length}{more}\r\n{body}")
    };
    let (form, json) = (format!("Content-Type: {FORM}\r\n"), format!("Content-Type: {JSON}\r\n"));
    let token = "Authorization: Bearer cwp_good\r\n";
    let all = "service=turn&username=alice&ttl=60&room=demo";
    for request in [
        anonymous("GET", &format!("{PATH}?{all}&key=cwp_good"), "", ""),
        anonymous("GET", &format!("/?{all}&key=cwp_good"), "", ""),
        anonymous("GET", &format!("{PATH}?{all}&key=cwp_wrong"), token, ""),
        anonymous("POST", &format!("{PATH}?{all}&key=cwp_good"), "", ""),
        anonymous("POST", &format!("{PATH}?key=cwp_good"), &form, all),
        anonymous("POST", PATH, &form, &format!("{all}&key=cwp_good")),
        anonymous("POST", "/?service=turn", &form, "username=alice&ttl=60&key=cwp_good"),
        anonymous("POST", PATH, &format!("{token}{form}"), all),
        anonymous("POST", PATH, &json, r#"{"service":"turn","username":"alice","ttl":60,"key":"cwp_good"}"#),
    ] {
        let answer = world.exchange(request.as_bytes()).await;
        assert_eq!(name_of(&answer).1.as_deref(), Some("alice"), "{request}");
        assert_eq!(answer.json()["ttl"], 60, "{request}");
    }
    for (request, code) in [
        (anonymous("GET", &format!("{PATH}?{all}"), "", ""), "missing_token"),
        (anonymous("GET", &format!("{PATH}?{all}&key="), "", ""), "missing_token"),
        (anonymous("GET", &format!("{PATH}?{all}&key=cwp_wrong"), "", ""), "invalid_token"),
        (anonymous("POST", PATH, &json, r#"{"key":["cwp_good"]}"#), "missing_token"),
        (anonymous("POST", PATH, &json, "{"), "missing_token"),
        (anonymous("POST", PATH, "", "key=cwp_good"), "missing_token"),
    ] {
        world.exchange(request.as_bytes()).await.assert_error(401, code);
    }
}

#[tokio::test]
async fn user_ids_are_what_a_user_name_carries_without_trouble() {
    let world = World::start().await;
    for user in ["alice", "alice@example.com", "a.b_c-d", "007", &"a".repeat(100)] {
        let answer = world.post_json(PATH, &json!({"service": "turn", "username": user})).await;
        assert_eq!(name_of(&answer).1.as_deref(), Some(user));
    }
    assert_eq!(name_of(&world.get(&format!("{PATH}?service=turn&username=a%2Bb")).await).1.as_deref(), Some("a+b"));
    let bad = ["a:b", "a b", "a\"b", "a'b", "a\\b", "a\n", "a\0b", "é", "a/b"];
    let rows = bad.iter().map(|user| ((*user).to_owned(), "bad_characters"));
    for (user, code) in rows.chain([("a".repeat(101), "too_long")]) {
        let answer = world.post_json(PATH, &json!({"service": "turn", "username": user})).await;
        answer.assert_error(422, "invalid_parameter");
        assert_eq!(answer.details(), [format!("username {code}")], "{user:?}");
    }
}

#[tokio::test]
async fn the_root_is_nobodys_without_service() {
    let world = World::start().await;
    for path in ["/", "/?username=alice", "/?services=turn", "/?x=service=turn"] {
        world.get(path).await.assert_error(404, "not_found");
    }
    world.get("/?service").await.assert_error(400, "bad_service");
    world.get("/?username=a&service=").await.assert_error(400, "bad_service");
    let answer = world.exchange(head_of("DELETE", "/?service=turn", "").as_bytes()).await;
    answer.assert_error(405, "method_not_allowed");
    assert_eq!(answer.header("allow"), Some("GET,HEAD,POST"));
}
