//! Random bodies, queries, paths and header values never make the server fail.

use axum::{
    body::Body,
    http::{HeaderValue, Request, header},
};
use http_body_util::BodyExt as _;
use proptest::{collection::vec, prelude::*, test_runner::TestCaseResult};
use serde_json::Value;
use tower::ServiceExt as _;

use crate::{
    memory::TOKEN,
    world::{FORM, JSON, MINT, World},
};

/// Statuses of this family that tell the client about its own mistake, and success.
const EXPECTED: &[u16] = &[200, 400, 401, 404, 405, 413, 415, 422];

fn path() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => Just(MINT.to_owned()),
        2 => Just("/api/v1/turn-rest".to_owned()),
        1 => Just("/".to_owned()),
        1 => Just("/api/v1/regions".to_owned()),
        1 => "/[a-z0-9/%.]{0,40}",
    ]
}

/// A name that means something, or none.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => prop::sample::select(vec![
            "room", "initiator_client", "receiver_client", "client_type", "ttl", "fixed_region", "preferred_region",
            "preffered_region", "service", "username", "key", "max_bytes", "max_bitrate", "bind_ip", "peer_scope", "metadata",
        ]).prop_map(str::to_owned),
        1 => any::<String>(),
    ]
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[a-z0-9]{1,10}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 20, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((name(), inner), 0..6).prop_map(Value::from_iter),
        ]
    })
}

fn form() -> impl Strategy<Value = Vec<u8>> {
    let value = prop_oneof![any::<String>(), "[a-z0-9%+&=]{0,10}"];
    vec((name(), value), 0..6).prop_map(|pairs| {
        let pairs: Vec<_> = pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        pairs.join("&").into_bytes()
    })
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        3 => json().prop_map(|value| value.to_string().into_bytes()),
        3 => form(),
        2 => vec(any::<u8>(), 0..200),
        1 => (any::<u8>(), 16_000..17_000usize).prop_map(|(byte, len)| vec![byte; len]),
        // Deeper than any parser's stack.
        1 => (1..8000usize).prop_map(|n| [br#"{"room":"#.to_vec(), b"[".repeat(n), b"]".repeat(n), b"}".to_vec()].concat()),
    ]
}

fn query() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "[!-~]{0,60}", "(room|ttl|service|key)=[!-~]{0,20}"]
        .prop_map(|query: String| query.replace(['#', '<', '>', '"', '`', '\\', '^', '{', '|', '}'], "%"))
}

fn media_type() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![4 => Just(JSON.as_bytes().to_vec()), 4 => Just(FORM.as_bytes().to_vec()), 1 => vec(32..=255u8, 0..20)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_requests_are_the_clients_fault_and_never_the_servers(
        method in prop::sample::select(vec!["POST", "POST", "POST", "GET", "PUT", "HEAD", "OPTIONS", "X"]),
        path in path(),
        query in query(),
        media_type in media_type(),
        address in vec(32..=255u8, 0..20),
        authorized in any::<bool>(),
        body in body(),
    ) {
        let uri = if query.is_empty() { path } else { format!("{path}?{query}") };
        let mut request = Request::builder().method(method).uri(uri);
        if authorized {
            request = request.header(header::AUTHORIZATION, format!("Bearer {TOKEN}"));
        }
        if let (Ok(media_type), Ok(address)) = (HeaderValue::from_bytes(&media_type), HeaderValue::from_bytes(&address)) {
            request = request.header(header::CONTENT_TYPE, media_type).header("x-turn-client-ip", address);
        }
        // What is no URI does not get past the parser of the connection.
        if let Ok(request) = request.body(Body::from(body)) {
            check(request)?;
        }
    }
}

fn check(request: Request<Body>) -> TestCaseResult {
    let is_head = request.method() == "HEAD";
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (status, body) = runtime.block_on(async {
        let world = World::start().await;
        let response = world.routes().oneshot(request).await.expect("it cannot fail");
        let (parts, body) = response.into_parts();
        (parts.status.as_u16(), body.collect().await.expect("a body").to_bytes())
    });
    prop_assert!(EXPECTED.contains(&status), "status {status}");
    if !is_head {
        prop_assert!(serde_json::from_slice::<Value>(&body).is_ok(), "{body:?}");
    }
    Ok(())
}
