//! Lifetime, client type, region, client address: at each limit and one past it.

use causeway_app::{CredentialLimits, PeerScope};
use serde_json::json;

use crate::world::{Conditions, JSON, MINT, World, head_of};

#[tokio::test]
async fn lifetimes_are_whole_seconds_within_the_limit() {
    let world = World::start().await;
    for (value, secs) in [("1", 1), (r#""1""#, 1), ("86400", 86_400), (r#""86400""#, 86_400), (r#""060""#, 60)] {
        let answer = world.post(MINT, Some(JSON), format!(r#"{{"ttl":{value}}}"#)).await;
        assert_eq!(answer.status, 200, "{value}: {}", answer.bytes);
        let record = world.last_record();
        assert_eq!(record.expires_at.as_millis() - record.issued_at.as_millis(), secs * 1000, "{value}");
    }
    let too_long = ["86401", r#""86401""#, "18446744073709551616", r#""99999999999999999999""#];
    let bad = [
        "0",
        "-1",
        "1.5",
        "1e3",
        "60.0",
        "true",
        "[60]",
        r#"{"s":60}"#,
        r#""0""#,
        r#""-1""#,
        r#""+60""#,
        r#"" 60""#,
        r#""60 ""#,
        r#""60s""#,
        r#""1.5""#,
        r#""1e3""#,
        r#""0x10""#,
        r#""٦""#,
    ];
    let rows = too_long.iter().map(|v| (v, "ttl_too_long")).chain(bad.iter().map(|v| (v, "bad_ttl")));
    for (value, code) in rows {
        let answer = world.post(MINT, Some(JSON), format!(r#"{{"ttl":{value}}}"#)).await;
        answer.assert_error(422, "invalid_parameter");
        assert_eq!(answer.details(), [format!("ttl {code}")], "{value}");
    }
}

#[tokio::test]
async fn the_client_address_is_an_ip_without_port() {
    let world = World::start().await;
    for (value, status) in [
        ("203.0.113.9", 200),
        ("2001:db8::1", 200),
        ("127.0.0.1", 200),
        ("0.0.0.0", 200),
        ("::ffff:203.0.113.9", 200),
        ("203.0.113.9:80", 422),
        ("[2001:db8::1]", 422),
        ("203.0.113", 422),
        ("203.0.113.9, 198.51.100.7", 422),
        ("fe80::1%eth0", 422),
        ("here", 422),
        ("", 422),
    ] {
        let head = head_of("POST", MINT, &format!("X-TURN-CLIENT-IP: {value}\r\n"));
        let answer = world.exchange(head.as_bytes()).await;
        assert_eq!(answer.status, status, "{value:?}: {}", answer.bytes);
        if status == 422 {
            assert_eq!(answer.details(), ["X-TURN-CLIENT-IP bad_client_ip"]);
        }
    }
}

#[tokio::test]
async fn regions_and_client_types_are_checked_for_their_type_too() {
    let world = World::start().await;
    let body = json!({"client_type": 1, "fixed_region": [], "preferred_region": {}, "preffered_region": false});
    let answer = world.post_json(MINT, &body).await;
    answer.assert_error(422, "invalid_parameter");
    let expected = [
        "client_type bad_client_type",
        "fixed_region bad_type",
        "preferred_region bad_type",
        "preffered_region bad_type",
    ];
    assert_eq!(answer.details(), expected);
}

#[tokio::test]
async fn limits_travel_with_the_credential() {
    let world = World::start().await;
    let ask = async |body: &str| {
        let more =
            format!("X-TURN-CLIENT-IP: 203.0.113.9\r\nContent-Type: {JSON}\r\nContent-Length: {}\r\n", body.len());
        world.exchange((head_of("POST", MINT, &more) + body).as_bytes()).await
    };
    let body = r#"{"room":"demo","max_bytes":1,"max_allocations":"2","max_bitrate":8000,"bind_ip":true,"peer_scope":"room","metadata":{"a":[1]}}"#;
    assert_eq!(ask(body).await.status, 200);
    let record = world.last_record();
    let expected = CredentialLimits {
        bytes_max: Some(1),
        allocations_max: Some(2),
        bandwidth: Some(1000),
        client_ip: Some("203.0.113.9".parse().unwrap()),
        peer_scope: PeerScope::Room,
    };
    assert_eq!(record.limits, expected);
    assert_eq!(record.metadata.as_deref(), Some(r#"{"a":[1]}"#));
    for (body, bytes_per_sec) in [(r#"{"max_bitrate":1}"#, Some(1)), (r#"{"max_bitrate":null,"bind_ip":false}"#, None)]
    {
        assert_eq!(ask(body).await.status, 200);
        assert_eq!((world.last_record().limits.bandwidth, world.last_record().limits.client_ip), (bytes_per_sec, None));
    }
    // Without the header there is no address to bind to.
    let answer = world.post_json(MINT, &json!({"bind_ip": true})).await;
    assert_eq!(answer.details(), ["bind_ip bad_client_ip"]);
    for (field, value, code) in [
        ("max_bytes", "0", "bad_count"),
        ("max_bytes", "1.5", "bad_count"),
        ("max_allocations", "-1", "bad_count"),
        ("max_bitrate", r#""1e3""#, "bad_count"),
        ("max_bitrate", "true", "bad_count"),
        ("bind_ip", "1", "bad_type"),
        ("bind_ip", r#""yes""#, "bad_type"),
        ("peer_scope", r#""room""#, "bad_peer_scope"),
        ("peer_scope", r#""all""#, "bad_peer_scope"),
        ("metadata", "[]", "bad_type"),
        ("metadata", r#""text""#, "bad_type"),
    ] {
        let answer = ask(&format!(r#"{{"{field}":{value}}}"#)).await;
        answer.assert_error(422, "invalid_parameter");
        assert_eq!(answer.details(), [format!("{field} {code}")], "{value}");
    }
    for (extra, status) in [(1024, 200), (1025, 422)] {
        let metadata = format!(r#"{{"a":"{}"}}"#, "x".repeat(extra - 8));
        assert_eq!(ask(&format!(r#"{{"metadata":{metadata}}}"#)).await.status, status, "{extra} bytes");
    }
}

#[tokio::test]
async fn a_lifetime_that_is_too_long_is_cut_where_the_operator_says_so() {
    let world = World::under(Conditions { clamps: true, ..Conditions::default() }).await;
    for (value, secs) in [("86400", 86_400), ("86401", 86_400), (r#""99999999999999999999""#, 86_400), ("60", 60)] {
        let answer = world.post(MINT, Some(JSON), format!(r#"{{"ttl":{value}}}"#)).await;
        assert_eq!(answer.status, 200, "{value}: {}", answer.bytes);
        let record = world.last_record();
        assert_eq!(record.expires_at.as_millis() - record.issued_at.as_millis(), secs * 1000, "{value}");
        let told = causeway_api_http::timestamp(record.expires_at);
        assert_eq!(answer.json()["expiresAt"], json!(told), "the answer tells the truth");
    }
    let bad = world.post(MINT, Some(JSON), r#"{"ttl":0}"#).await;
    assert_eq!(bad.details(), ["ttl bad_ttl"]);
}
