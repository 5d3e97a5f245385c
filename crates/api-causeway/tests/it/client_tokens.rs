//! Client tokens from their minting to their end, through both interfaces.

use std::sync::Arc;

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use causeway_app::{Admission, ProjectId, Registration, SipUserStore};
use serde_json::{Value, json};

use crate::world::{Answer, OTHER, OWN, THEN, TOKENS_PER_MONTH, WIDE, World};

#[tokio::test]
async fn a_minted_token_is_listed_revoked_and_its_registrations_end() {
    let world = World::start().await;
    let body = r#"{"clientId":"bob","ttl":600,"enableIncoming":false,"callees":["alice","team-*"]}"#;
    let made = own(&world, "POST", "/api/v1/client-tokens", body).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let made = made.json();
    let claims = claims(made["token"].as_str().expect("a token"));
    assert_eq!(claims["jti"], made["id"]);
    assert_eq!((&claims["sub"], &claims["aud"]), (&json!("bob"), &json!("1-2-0")));
    assert_eq!((&claims["enable_incoming"], &claims["call_client"]), (&json!(false), &json!(["alice", "team-*"])));
    assert_eq!(claims["exp"].as_u64().expect("a time") - claims["iat"].as_u64().expect("a time"), 600);
    let access = own(&world, "GET", "/api/v1/client-tokens/access", "").await.json();
    assert_eq!(claims["iss"], access["accessKey"]);
    assert_eq!((&access["mintedThisMonth"], &access["monthlyQuota"]), (&json!(1), &json!(TOKENS_PER_MONTH)));

    let id = made["id"].as_str().expect("an id");
    seat(&world, id);
    assert_eq!(
        own(&world, "GET", "/api/v1/registrations?clientId=bob", "").await.json()["data"][0]["clientTokenId"],
        id
    );
    let listed = own(&world, "GET", "/api/v1/client-tokens?clientId=bob&active=true", "").await.json();
    assert_eq!((&listed["data"][0]["id"], &listed["data"][0]["callees"]), (&json!(id), &json!(["alice", "team-*"])));
    assert!(!listed.to_string().contains(made["token"].as_str().expect("a token")), "shown once");

    let path = format!("/api/v1/client-tokens/{id}");
    let foreign = world.ask("DELETE", &path, &format!("Bearer {OTHER}"), "").await;
    assert_eq!(foreign.status, 404);
    assert_eq!(world.seats.0.lock().expect("not poisoned").len(), 2, "another project ends nothing");
    assert_eq!(own(&world, "DELETE", &path, "").await.status, 204);
    assert_eq!(own(&world, "DELETE", &path, "").await.status, 404, "it is revoked already");
    let left = own(&world, "GET", "/api/v1/registrations", "").await.json();
    assert_eq!(left["data"].as_array().map(Vec::len), Some(1), "{left}");
    assert_eq!(left["data"][0]["clientId"], "client-a");
    let listed = own(&world, "GET", "/api/v1/client-tokens?active=true", "").await.json();
    assert_eq!(listed["data"], json!([]));
}

#[tokio::test]
async fn a_clients_tokens_are_revoked_together_and_all_of_a_project() {
    let world = World::start().await;
    for client in ["bob", "bob", "alice", "carol"] {
        let body = json!({ "clientId": client }).to_string();
        assert_eq!(own(&world, "POST", "/api/v1/client-tokens", &body).await.status, 201);
    }
    let other = world.ask("POST", "/api/v1/client-tokens", &format!("Bearer {OTHER}"), r#"{"clientId":"bob"}"#).await;
    assert_eq!(other.status, 201);
    let revoke = async |body: &str| own(&world, "POST", "/api/v1/client-tokens/revoke", body).await.json();
    assert_eq!(revoke(r#"{"clientId":"bob"}"#).await, json!({ "revoked": 2 }));
    assert_eq!(revoke(r#"{"all":true}"#).await, json!({ "revoked": 2 }));
    assert_eq!(revoke(r#"{"all":true}"#).await, json!({ "revoked": 0 }));
    let kept = world.ask("GET", "/api/v1/client-tokens?active=true", &format!("Bearer {OTHER}"), "").await.json();
    assert_eq!(kept["data"].as_array().map(Vec::len), Some(1), "another project's token stays");
}

#[tokio::test]
async fn the_months_quota_is_one_over_both_interfaces_and_another_projects_is_its_own() {
    let world = World::start().await;
    for n in 0..TOKENS_PER_MONTH {
        let answer = match n % 2 {
            0 => own(&world, "POST", "/api/v1/client-tokens", r#"{"clientId":"bob"}"#).await,
            _ => world.ask("GET", "/webrtc_generate_token?client_id=bob", &basic(OWN), "").await,
        };
        assert!(matches!(answer.status, 200 | 201), "{}", answer.text);
    }
    let refused = own(&world, "POST", "/api/v1/client-tokens", r#"{"clientId":"bob"}"#).await;
    assert_eq!((refused.status, &refused.json()["error"]), (403, &json!("quota_reached")));
    let refused = world.ask("GET", "/webrtc_generate_token?client_id=bob", &basic(OWN), "").await;
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (403, &json!("HTTP 403")));
    let other = world.ask("GET", "/webrtc_generate_token?client_id=bob", &basic(OTHER), "").await;
    assert_eq!(other.status, 200, "{}", other.text);
}

#[tokio::test]
async fn a_rotated_key_signs_and_the_one_before_is_still_told() {
    let world = World::start().await;
    let mint = async || {
        let made = own(&world, "POST", "/api/v1/client-tokens", r#"{"clientId":"bob"}"#).await.json();
        let token = made["token"].as_str().expect("a token").to_owned();
        part(&token, 0)["kid"].as_str().expect("a kid").to_owned()
    };
    let before = mint().await;
    assert_eq!(mint().await, before);
    let rotated = world.ask("POST", "/api/v1/client-tokens/rotate-key", &format!("Bearer {WIDE}"), "").await.json();
    let after = mint().await;
    assert_eq!(rotated["kid"], json!(after));
    assert_ne!(before, after);
    let keys = world.ask("GET", "/.well-known/jwks.json", "", "").await;
    assert!(keys.head.to_ascii_lowercase().contains("access-control-allow-origin: *"), "{}", keys.head);
    let keys = keys.json();
    let kids: Vec<&str> = keys["keys"].as_array().expect("keys").iter().filter_map(|key| key["kid"].as_str()).collect();
    assert_eq!(kids.len(), 2);
    assert!(kids.contains(&before.as_str()) && kids.contains(&after.as_str()));
    assert!(!keys.to_string().contains("\"d\""), "no private part");
}

#[tokio::test]
async fn an_access_key_can_be_another_but_not_one_that_is_taken() {
    let world = World::start().await;
    let change = async |token: &str| {
        let body = r#"{"accessKey":"fg8ce9tszsx3kk0xiqlhq2wps"}"#;
        world.ask("PATCH", "/api/v1/client-tokens/access", &format!("Bearer {token}"), body).await
    };
    assert_eq!(change(OWN).await.status, 204);
    assert_eq!(change(OWN).await.status, 204, "the same once more");
    let taken = change(OTHER).await;
    assert_eq!((taken.status, &taken.json()["error"]), (409, &json!("access_key_taken")));
    let made = own(&world, "POST", "/api/v1/client-tokens", r#"{"clientId":"bob"}"#).await.json();
    assert_eq!(claims(made["token"].as_str().expect("a token"))["iss"], "fg8ce9tszsx3kk0xiqlhq2wps");
}

#[tokio::test]
async fn a_page_of_any_origin_may_ask_the_token_service() {
    let world = World::start().await;
    let headers = "Origin: https://app.example\r\nAccess-Control-Request-Method: POST\r\n\
                   Access-Control-Request-Headers: authorization,content-type\r\n";
    for path in ["/webrtc_generate_token", "/webrtc_registered_clients"] {
        let preflight = world.ask_with("OPTIONS", path, headers, "").await;
        let head = preflight.head.to_ascii_lowercase();
        assert_eq!(preflight.status, 200, "{head}");
        for part in [
            "access-control-allow-origin: *",
            "access-control-allow-methods: get,post",
            "access-control-allow-headers: authorization,content-type,accept",
        ] {
            assert!(head.contains(part), "{part} in {head}");
        }
        let refused = world.ask_with("POST", path, "Origin: https://app.example\r\n", "").await;
        assert_eq!(refused.status, 401);
        assert!(refused.head.to_ascii_lowercase().contains("access-control-allow-origin: *"), "{}", refused.head);
    }
}

#[tokio::test]
async fn a_removed_sip_users_registrations_end_and_those_of_a_token_of_the_same_name_stay() {
    let world = World::start().await;
    assert_eq!(own(&world, "POST", "/api/v1/sip-users", r#"{"name":"bob"}"#).await.status, 201);
    let user = world.store.sip_user(ProjectId::DEFAULT, "bob").await.expect("asked").expect("there");
    assert_eq!((user.realm.as_str(), user.md5.expose().len(), user.sha256.expose().len()), ("causeway", 32, 64));
    seat(&world, "a-token");
    {
        let mut seats = world.seats.0.lock().expect("not poisoned");
        let first = seats[0].clone();
        seats.push(Registration { id: "0-9".to_owned(), admission: None, client: Arc::from("bob"), ..first });
    }
    let gone = world.ask("DELETE", "/api/v1/sip-users/bob", &format!("Bearer {OTHER}"), "").await;
    assert_eq!(gone.status, 404);
    assert_eq!(own(&world, "DELETE", "/api/v1/sip-users/bob", "").await.status, 204);
    let left = own(&world, "GET", "/api/v1/registrations?clientId=bob", "").await.json();
    assert_eq!(left["data"].as_array().map(Vec::len), Some(1), "{left}");
    assert_eq!(left["data"][0]["clientTokenId"], "a-token");
    assert!(world.store.sip_user(ProjectId::DEFAULT, "bob").await.expect("asked").is_none());
}

/// Somebody registers with this token.
fn seat(world: &World, token: &str) {
    let mut seats = world.seats.0.lock().expect("not poisoned");
    let seat = Registration {
        id: "0-8".to_owned(),
        project: ProjectId::DEFAULT,
        client: Arc::from("bob"),
        since: THEN,
        admission: Some(Admission::ClientToken(Arc::from(token))),
        ..seats.first().expect("one is there").clone()
    };
    seats.push(seat);
}

async fn own(world: &World, method: &str, path: &str, body: &str) -> Answer {
    world.ask(method, path, &format!("Bearer {OWN}"), body).await
}

fn basic(token: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("1-2-0/me@example.net:{token}")))
}

fn claims(token: &str) -> Value {
    part(token, 1)
}

fn part(token: &str, index: usize) -> Value {
    let part = token.split('.').nth(index).expect("a part");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64url")).expect("JSON")
}
