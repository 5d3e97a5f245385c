//! What a browser, a program and somebody who guesses paths are answered.

use std::borrow::Cow;

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderMap, Method, StatusCode, header},
};
use causeway_console::{CONTENT_SECURITY_POLICY, Files, respond};
use http_body_util::BodyExt as _;

/// As a browser that follows a link.
const PAGE: &[(&str, &str)] = &[("accept", "text/html,application/xhtml+xml,*/*;q=0.8")];

const BUILT: Files = Files(|path| {
    let bytes: &'static [u8] = match path {
        "index.html" => b"<!doctype html>the console",
        "assets/app-4f2a.js" => b"run()",
        "assets/app-4f2a.js.br" => b"BR",
        "assets/app-4f2a.js.gz" => b"GZ",
        _ => return None,
    };
    Some((Cow::Borrowed(bytes), [bytes[0]; 32]))
});
const NOT_BUILT: Files = Files(|_| None);

async fn ask(files: Files, method: Method, path: &str, headers: &[(&str, &str)]) -> (StatusCode, HeaderMap, String) {
    let request = headers
        .iter()
        .fold(Request::builder().method(method).uri(path), |request, (name, value)| request.header(*name, *value));
    let response = respond(files, request.body(Body::empty()).expect("a request")).await;
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.expect("a body").to_bytes();
    (parts.status, parts.headers, String::from_utf8(bytes.to_vec()).expect("text"))
}

#[tokio::test]
async fn the_root_and_every_deep_link_show_the_page_with_its_protection() {
    for path in ["/", "/index.html", "/rooms/room.with.dots?live=1", "/sessions/00000000000000a7", "/welcome"] {
        let (status, headers, text) = ask(BUILT, Method::GET, path, PAGE).await;
        assert_eq!((status, text.as_str()), (StatusCode::OK, "<!doctype html>the console"), "{path}");
        assert_eq!(headers[header::CONTENT_TYPE], "text/html; charset=utf-8");
        assert_eq!(headers[header::CACHE_CONTROL], "no-cache");
        assert_eq!(headers[header::CONTENT_SECURITY_POLICY], CONTENT_SECURITY_POLICY);
        assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert_eq!(headers[header::REFERRER_POLICY], "no-referrer");
        assert_eq!(headers[header::X_FRAME_OPTIONS], "DENY");
    }
}

#[test]
fn the_policy_lets_nothing_in_that_is_not_the_programs_own() {
    for directive in CONTENT_SECURITY_POLICY.split("; ") {
        let (_, source) = directive.split_once(' ').expect("a directive with a source");
        assert!(matches!(source, "'self'" | "'none'"), "{directive}");
    }
    for needed in ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"] {
        assert!(CONTENT_SECURITY_POLICY.contains(needed), "{needed}");
    }
}

#[tokio::test]
async fn a_hashed_file_may_be_kept_for_ever_and_comes_in_the_best_encoding_taken() {
    let path = "/assets/app-4f2a.js";
    for (offered, encoding, expected) in [
        ("", None, "run()"),
        ("gzip, deflate, br", Some("br"), "BR"),
        ("gzip", Some("gzip"), "GZ"),
        ("br;q=0, gzip;q=0.5", Some("gzip"), "GZ"),
        ("zstd", None, "run()"),
    ] {
        let (status, headers, text) = ask(BUILT, Method::GET, path, &[("accept-encoding", offered)]).await;
        assert_eq!((status, text.as_str()), (StatusCode::OK, expected), "{offered}");
        assert_eq!(headers.get(header::CONTENT_ENCODING).map(|value| value.to_str().expect("text")), encoding);
        assert_eq!(headers[header::CONTENT_TYPE], "text/javascript; charset=utf-8");
        assert_eq!(headers[header::CACHE_CONTROL], "public, max-age=31536000, immutable");
        assert_eq!(headers[header::VARY], "accept-encoding");
    }
}

#[tokio::test]
async fn a_file_the_browser_has_is_not_sent_again() {
    let (_, headers, _) = ask(BUILT, Method::GET, "/", PAGE).await;
    let tag = headers[header::ETAG].to_str().expect("text");
    let (status, _, text) = ask(BUILT, Method::GET, "/", &[("if-none-match", tag)]).await;
    assert_eq!((status, text.as_str()), (StatusCode::NOT_MODIFIED, ""));
}

#[tokio::test]
async fn what_is_no_view_is_not_there() {
    for (method, path, headers) in [
        (Method::GET, "/api/v1/nothing", PAGE),
        (Method::GET, "/v1/turn/keys", PAGE),
        (Method::GET, "/2010-04-01/Accounts", PAGE),
        (Method::GET, "/assets/app-0000.js", PAGE),
        (Method::GET, "/rooms", &[("accept", "application/json")]),
        (Method::GET, "/rooms", &[]),
        (Method::GET, "/../../Cargo.toml", &[]),
        (Method::POST, "/", PAGE),
        (Method::DELETE, "/rooms/a", PAGE),
    ] {
        let (status, _, text) = ask(BUILT, method.clone(), path, headers).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{method} {path}");
        assert!(!text.contains("the console"), "{method} {path}: {text}");
    }
}

#[tokio::test]
async fn a_program_without_console_says_how_to_build_one() {
    let (status, headers, text) = ask(NOT_BUILT, Method::GET, "/", PAGE).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(text.contains("make console"), "{text}");
    assert!(headers.contains_key(header::CONTENT_SECURITY_POLICY));
}
