use std::sync::{Arc, Mutex};

use axum::{Router, body::Body, middleware, routing::get};
use opentelemetry::trace::{SpanId, TraceId, TracerProvider};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{Sampler, SdkTracerProvider, SpanData, SpanProcessor},
};
use tower::ServiceExt;

use super::*;

#[derive(Clone, Debug, Default)]
struct Kept(Arc<Mutex<Vec<SpanData>>>);

impl SpanProcessor for Kept {
    fn on_start(&self, _span: &mut SdkSpan, _context: &Context) {}

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() {
            self.0.lock().expect("no panic").push(span);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _limit: std::time::Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// The spans that requests to a small server leave, one request each.
async fn spans(ratio: f64, requests: Vec<Request>) -> Vec<SpanData> {
    let kept = Kept::default();
    let provider = SdkTracerProvider::builder()
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(ratio))))
        .with_span_processor(kept.clone())
        .build();
    let routes = Router::new()
        .route("/rooms/{room}", get(|| async { [("x-request-id", "the-id")] }))
        .route("/broken", get(|| async { StatusCode::SERVICE_UNAVAILABLE }))
        .fallback(|| async { StatusCode::NOT_FOUND })
        .layer(middleware::from_fn_with_state(provider.tracer("test"), traced));
    for request in requests {
        routes.clone().oneshot(request).await.expect("infallible");
    }
    kept.0.lock().expect("no panic").clone()
}

fn request(method: &str, path: &str, headers: &[(&str, &str)]) -> Request {
    let builder = Request::builder().method(method).uri(path).header("user-agent", "secret-agent");
    let builder = headers.iter().fold(builder, |builder, (name, value)| builder.header(*name, *value));
    builder.body(Body::empty()).expect("a request")
}

fn attributes(span: &SpanData) -> Vec<(String, String)> {
    let pairs = span.attributes.iter().map(|pair| (pair.key.to_string(), pair.value.to_string()));
    pairs.collect()
}

fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[tokio::test]
async fn a_span_names_the_route_and_never_the_path() {
    let requests = vec![request("GET", "/rooms/alice-and-bob?token=secret", &[]), request("GET", "/alice", &[])];
    let [of_route, of_nothing] = spans(1.0, requests).await.try_into().expect("two spans");
    assert_eq!((&*of_route.name, &of_route.span_kind), ("GET /rooms/{room}", &SpanKind::Server));
    let head = [("http.request.method", "GET"), ("network.protocol.version", "1.1")];
    let route =
        [("http.route", "/rooms/{room}"), ("http.response.status_code", "200"), ("causeway.request_id", "the-id")];
    assert_eq!(attributes(&of_route), owned(&[&head[..], &route[..]].concat()));
    assert_eq!(&*of_nothing.name, "GET");
    assert_eq!(attributes(&of_nothing), owned(&[&head[..], &[("http.response.status_code", "404")]].concat()));
    assert_eq!(of_nothing.status, Status::Unset);
}

#[tokio::test]
async fn a_fault_of_the_server_is_marked() {
    let [span] = spans(1.0, vec![request("GET", "/broken", &[])]).await.try_into().expect("one span");
    assert_eq!(span.status, Status::error(""));
    assert!(attributes(&span).contains(&("error.type".to_owned(), "503".to_owned())));
}

#[tokio::test]
async fn a_method_of_the_callers_own_makes_no_name() {
    let [span] = spans(1.0, vec![request("ALICE", "/x", &[])]).await.try_into().expect("one span");
    assert_eq!(&*span.name, "HTTP");
    assert!(attributes(&span).contains(&("http.request.method".to_owned(), "_OTHER".to_owned())));
}

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[tokio::test]
async fn the_trace_of_the_caller_goes_on_without_its_tracestate() {
    let headers = [("traceparent", PARENT), ("tracestate", "vendor=alice")];
    let [span] = spans(0.0, vec![request("GET", "/x", &headers)]).await.try_into().expect("chosen by its parent");
    assert_eq!(span.span_context.trace_id(), TraceId::from(0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c));
    assert_eq!(span.parent_span_id, SpanId::from(0xb7ad_6b71_6920_3331));
    assert!(span.parent_span_is_remote && span.span_context.trace_state().header().is_empty());
}

#[tokio::test]
async fn a_parent_that_was_not_chosen_is_followed_too() {
    let quiet = PARENT.replace("-01", "-00");
    assert!(spans(1.0, vec![request("GET", "/x", &[("traceparent", &quiet)])]).await.is_empty());
}

#[tokio::test]
async fn a_bad_parent_counts_as_none() {
    for bad in
        ["", "00", "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", &PARENT.to_uppercase(), "00-0-0-01"]
    {
        assert!(spans(0.0, vec![request("GET", "/x", &[("traceparent", bad)])]).await.is_empty(), "{bad}");
        let [span] = spans(1.0, vec![request("GET", "/x", &[("traceparent", bad)])]).await.try_into().expect("one");
        assert_eq!(span.parent_span_id, SpanId::INVALID, "{bad}");
    }
}

#[tokio::test]
async fn the_ratio_decides_about_new_traces() {
    assert!(spans(0.0, vec![request("GET", "/x", &[])]).await.is_empty());
    let requests = (0..2000).map(|_| request("GET", "/x", &[])).collect();
    let chosen = spans(0.5, requests).await.len();
    assert!((800..1200).contains(&chosen), "{chosen}");
}
