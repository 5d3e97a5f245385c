//! Serves the web console that is embedded in the program: `console/dist`, built by `make console`.
//!
//! It knows files, not the API: the console asks the public API like any other client. A debug build reads the folder
//! when it is asked, a release build carries it. Entry points: [`respond`], [`Files`], [`EMBEDDED`].

#![forbid(unsafe_code)]

mod files;
mod headers;

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use causeway_api_http::unknown_path;

pub use files::{EMBEDDED, File, Files, Lookup};
pub use headers::CONTENT_SECURITY_POLICY;

use headers::{fresh, protect};

/// Where every view of the console begins.
const INDEX: &str = "index.html";
/// Names under it carry a hash of their content, so they are good for ever.
const HASHED: &str = "assets/";
/// Paths of the API and of probes: what is not served there is no view of the console.
const NOT_VIEWS: [&str; 3] = ["api/", "v1/", "2010-04-01/"];
/// Said where the console was not built.
const NOT_BUILT: &str = "This program was built without its console.\n\nBuild it, then the program again:\n\n  make \
                         console\n  cargo build\n\nThe API works as usual: see /openapi.json\n";

/// Answers what no route of the API does: a file of the console, or for a person's browser at any other path the page
/// that shows that view. Everything else is not there.
pub async fn respond(files: Files, request: Request) -> Response {
    let path = request.uri().path().trim_start_matches('/').to_owned();
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return unknown_path().await;
    }
    let wanted = if path.is_empty() { INDEX } else { &path };
    if let Some(file) = files.find(wanted, accepted(request.headers())) {
        return send(wanted, file, request.headers());
    }
    if !is_view(&path, request.headers()) {
        return unknown_path().await;
    }
    match files.find(INDEX, accepted(request.headers())) {
        Some(file) => send(INDEX, file, request.headers()),
        None => protect((StatusCode::NOT_FOUND, NOT_BUILT).into_response()),
    }
}

/// Whether a person's browser asks for a page.
fn is_view(path: &str, headers: &HeaderMap) -> bool {
    let asks_for_page = headers.get(header::ACCEPT).is_some_and(|accept| contains(accept, "text/html"));
    asks_for_page && !path.starts_with(HASHED) && !NOT_VIEWS.iter().any(|prefix| path.starts_with(prefix))
}

fn contains(value: &HeaderValue, word: &str) -> bool {
    value.to_str().is_ok_and(|text| text.contains(word))
}

/// The encodings a client takes, of those that files come in.
fn accepted(headers: &HeaderMap) -> Vec<&'static str> {
    let offered = headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let takes = |wanted: &str| {
        offered.split(',').any(|item| {
            let (name, weight) = item.split_once(';').unwrap_or((item, ""));
            name.trim() == wanted && !matches!(weight.trim(), "q=0" | "q=0.0")
        })
    };
    ["br", "gzip"].into_iter().filter(|encoding| takes(encoding)).collect()
}

fn send(path: &str, file: File, asked: &HeaderMap) -> Response {
    let is_hashed = path.starts_with(HASHED);
    let tag = HeaderValue::try_from(format!("\"{}\"", file.hash)).ok();
    let is_known = tag.is_some() && asked.get(header::IF_NONE_MATCH) == tag.as_ref();
    let mut response =
        if is_known { StatusCode::NOT_MODIFIED.into_response() } else { Response::new(Body::from(file.bytes)) };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type(path)));
    headers.insert(header::CACHE_CONTROL, fresh(is_hashed));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if let Some(encoding) = file.encoding {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    if let Some(tag) = tag {
        headers.insert(header::ETAG, tag);
    }
    protect(response)
}

/// By the name's end; what is not known is offered as bytes, and browsers are told not to guess.
fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, end)| end) {
        Some("html") => "text/html; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("json" | "map") => "application/json",
        Some("webmanifest") => "application/manifest+json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("webp") => "image/webp",
        Some("woff2") => "font/woff2",
        Some("txt") => "text/plain; charset=utf-8",
        Some(_) | None => "application/octet-stream",
    }
}
