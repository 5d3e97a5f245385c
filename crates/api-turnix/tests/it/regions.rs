//! Which region a credential is for: `local` is this server's, the URLs of `near` are written down, `away` is down.

use serde_json::json;

use crate::world::{Answer, MINT, World, head_of};

#[tokio::test]
async fn a_fixed_region_is_served_or_refused_and_never_another() {
    let world = World::start().await;
    let answer = world.post_json(MINT, &json!({"fixed_region": "near"})).await;
    assert_eq!((answer.status, region_of(&answer)), (200, json!("near")));
    let servers = answer.json()["iceServers"].as_array().cloned().expect("a list");
    assert_eq!(servers.len(), 1, "no STUN URL is known there");
    assert_eq!(servers[0]["urls"], json!(["turn:near.example.net:3478"]));
    assert_eq!(world.last_record().region, "near");

    let unknown = world.post_json(MINT, &json!({"fixed_region": "atlantis"})).await;
    unknown.assert_error(422, "invalid_parameter");
    assert_eq!(unknown.details(), ["fixed_region region_unknown"]);
    let down = world.post_json(MINT, &json!({"fixed_region": "away", "preferred_region": "local"})).await;
    down.assert_error(503, "region_unavailable");
    assert!(down.header("retry-after").is_some_and(|secs| secs.parse::<u32>().is_ok()));
    assert_eq!(world.records().len(), 1, "what is refused is not minted");
}

#[tokio::test]
async fn a_preferred_region_gives_way_silently_in_either_spelling() {
    let world = World::start().await;
    for (body, region) in [
        (json!({"preferred_region": "near"}), "near"),
        (json!({"preffered_region": "near"}), "near"),
        (json!({"preferred_region": "local", "preffered_region": "near"}), "local"),
        (json!({"preferred_region": "", "preffered_region": "near"}), "near"),
        (json!({"preferred_region": "away"}), "local"),
        (json!({"preferred_region": "atlantis"}), "local"),
        (json!({"fixed_region": "local", "preferred_region": "near"}), "local"),
    ] {
        let answer = world.post_json(MINT, &body).await;
        assert_eq!((answer.status, region_of(&answer)), (200, json!(region)), "{body}");
    }
}

#[tokio::test]
async fn the_clients_address_decides_when_nothing_is_asked_for() {
    let world = World::start().await;
    for (address, query, region) in [
        ("192.0.2.9", "", "near"),
        ("::ffff:192.0.2.9", "", "near"),
        ("198.51.100.9", "", "local"),
        ("10.1.2.3", "", "local"),
        ("192.0.2.9", "?fixed_region=local", "local"),
        ("192.0.2.9", "?preferred_region=local", "local"),
        ("192.0.2.9", "?preferred_region=away", "near"),
    ] {
        let path = format!("{MINT}{query}");
        let head = head_of("POST", &path, &format!("X-TURN-CLIENT-IP: {address}\r\n"));
        let answer = world.exchange(head.as_bytes()).await;
        assert_eq!((answer.status, region_of(&answer)), (200, json!(region)), "{address} {query}");
    }
}

#[tokio::test]
async fn every_region_is_listed_by_slug_with_its_health() {
    let world = World::start().await;
    let regions = world.get("/api/v1/regions").await.json();
    let health: Vec<_> = regions
        .as_array()
        .expect("a list")
        .iter()
        .map(|entry| (entry["slug"].clone(), entry["is_online"].clone(), entry["is_operational"].clone()))
        .collect();
    let expected = [("away", false, false), ("local", true, true), ("near", true, true)];
    assert_eq!(health, expected.map(|(slug, online, operational)| (json!(slug), json!(online), json!(operational))));
}

fn region_of(answer: &Answer) -> serde_json::Value {
    answer.json()["region"].clone()
}
