//! The span of one request, by the conventions for HTTP servers.
//!
//! Deviation: `url.path`, `url.query`, `client.address`, `server.address` and `user_agent.original` are left out although the
//! conventions ask for some of them: paths here hold room, client and user names, and the rest is personal.

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, Method, StatusCode, Version},
    middleware::Next,
    response::Response,
};
use opentelemetry::{
    Context, KeyValue,
    propagation::TextMapPropagator,
    trace::{Span, SpanKind, Status, Tracer},
};
use opentelemetry_http::HeaderExtractor;
use opentelemetry_sdk::{
    propagation::TraceContextPropagator,
    trace::{SdkTracer, Span as SdkSpan},
};

/// Traces a request from its head to the head of its answer: a stream of events would otherwise last for hours.
///
/// A request that ends early (its connection is gone) leaves a span without a status.
pub(crate) async fn traced(State(tracer): State<SdkTracer>, request: Request, next: Next) -> Response {
    let mut span = start(&tracer, &request);
    let response = next.run(request).await;
    end(&mut span, &response);
    response
}

fn start(tracer: &SdkTracer, request: &Request) -> SdkSpan {
    let method = known(request.method());
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let name = match route {
        Some(route) => format!("{} {route}", method.unwrap_or("HTTP")),
        None => method.unwrap_or("HTTP").to_owned(),
    };
    let mut attributes = vec![
        KeyValue::new("http.request.method", method.unwrap_or("_OTHER")),
        KeyValue::new("network.protocol.version", version(request.version())),
    ];
    attributes.extend(route.map(|route| KeyValue::new("http.route", route.to_owned())));
    tracer
        .span_builder(name)
        .with_kind(SpanKind::Server)
        .with_attributes(attributes)
        .start_with_context(tracer, &parent(request.headers()))
}

fn end(span: &mut SdkSpan, response: &Response) {
    let status = response.status();
    span.set_attribute(KeyValue::new("http.response.status_code", i64::from(status.as_u16())));
    let id = response.headers().get("x-request-id").and_then(|id| id.to_str().ok());
    if let Some(id) = id {
        span.set_attribute(KeyValue::new("causeway.request_id", id.to_owned()));
    }
    // What a caller did wrong is no error of the server.
    if status >= StatusCode::INTERNAL_SERVER_ERROR {
        span.set_attribute(KeyValue::new("error.type", status.as_str().to_owned()));
        span.set_status(Status::error(""));
    }
    span.end();
}

/// The caller's span. Of `tracestate` nothing is kept: it is text of strangers.
fn parent(headers: &HeaderMap) -> Context {
    let mut of_trace = HeaderMap::new();
    if let Some(parent) = headers.get("traceparent") {
        of_trace.insert("traceparent", parent.clone());
    }
    TraceContextPropagator::new().extract_with_context(&Context::new(), &HeaderExtractor(&of_trace))
}

/// Methods of the standard; others would make span names without bound.
fn known(method: &Method) -> Option<&'static str> {
    const KNOWN: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];
    KNOWN.into_iter().find(|known| *known == method.as_str())
}

fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "0.9",
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        Version::HTTP_3 => "3",
        _ => "1.1",
    }
}

#[cfg(test)]
mod tests;
