//! The order of checks, and the allowance of a token.

use crate::{
    golden::is_like,
    world::{Conditions, FORM, JSON, MINT, World, head_of},
};

/// A request that is wrong in every way, made right step by step.
#[tokio::test]
async fn faults_are_told_in_the_order_of_the_checks() {
    let world = World::start().await;
    let ask = async |method: &str, path: &str, token: &str, media_type: &str, body: String| {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\n{token}Content-Type: {media_type}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        world.exchange((head + &body).as_bytes()).await
    };
    let (bad, good) = ("Authorization: Bearer cwp_wrong\r\n", "Authorization: Bearer cwp_good\r\n");
    let large = "x".repeat(16 * 1024 + 1);
    ask("PUT", "/nothing", bad, "text/plain", large).await.assert_error(413, "body_too_large");
    ask("PUT", "/nothing", bad, "text/plain", "x".to_owned()).await.assert_error(404, "not_found");
    ask("PUT", MINT, bad, "text/plain", "x".to_owned()).await.assert_error(405, "method_not_allowed");
    ask("POST", MINT, bad, "text/plain", "x".to_owned()).await.assert_error(401, "invalid_token");
    ask("POST", MINT, good, "text/plain", "x".to_owned()).await.assert_error(415, "unsupported_media_type");
    ask("POST", MINT, good, JSON, "x".to_owned()).await.assert_error(400, "malformed_body");
    ask("POST", MINT, good, FORM, "ttl=x".to_owned()).await.assert_error(422, "invalid_parameter");
    assert_eq!(ask("POST", MINT, good, FORM, "ttl=1".to_owned()).await.status, 200);
}

#[tokio::test]
async fn the_allowance_is_told_and_ends_in_429() {
    let world = World::under(Conditions { burst: Some(2), ..Conditions::default() }).await;
    let first = world.post(MINT, None, "").await;
    assert_eq!((first.status, first.header("x-ratelimit-remaining")), (200, Some("1")));
    // A faulty request counts, too, and says what is left.
    let second = world.post(MINT, Some(FORM), "ttl=x").await;
    assert_eq!((second.status, second.header("x-ratelimit-limit")), (422, Some("1")));
    assert!(second.header("x-ratelimit-reset").is_some_and(|reset| is_like(reset, "dddddddddd")));
    // One a second comes back, so a slow machine may be granted another one or two.
    let mut refused = world.post(MINT, None, "").await;
    for _ in 0..20 {
        if refused.status == 429 {
            break;
        }
        refused = world.post(MINT, None, "").await;
    }
    refused.assert_error(429, "rate_limited");
    assert_eq!((refused.header("retry-after"), refused.header("x-ratelimit-remaining")), (Some("1"), Some("0")));
}

#[tokio::test]
async fn a_request_without_a_good_token_costs_nobody_an_allowance() {
    let world = World::under(Conditions { burst: Some(1), ..Conditions::default() }).await;
    for _ in 0..20 {
        let head = head_of("POST", MINT, "").replace("cwp_good", "cwp_guess");
        let answer = world.exchange(head.as_bytes()).await;
        answer.assert_error(401, "invalid_token");
        assert_eq!(answer.header("x-ratelimit-limit"), None);
    }
    assert_eq!(world.post(MINT, None, "").await.status, 200);
}
