//! Lifetime, client type, region, client address: at each limit and one past it.

use serde_json::json;

use crate::world::{JSON, MINT, World, head_of};

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
