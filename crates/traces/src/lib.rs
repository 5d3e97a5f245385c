//! OpenTelemetry traces of HTTP requests: one server span each, sent to a collector by OTLP over HTTP with protobuf.
//!
//! A span tells the method, the route's template, the status and the request's id; never a path, an address, a user name or
//! a token. The trace of a W3C `traceparent` header is continued. Nothing waits for the collector: spans go through a
//! bounded queue, and what finds it full, or is not taken in time, is counted. The exporter heeds `OTEL_EXPORTER_OTLP_HEADERS`
//! of the environment, as everywhere.
//!
//! Entry points: [`Traces`], [`Endpoint`]. Sources: the OpenTelemetry specification 1.x (OTLP/HTTP, HTTP server spans), W3C
//! Trace Context; `docs/operations.md#traces`.

#![forbid(unsafe_code)]

mod endpoint;
mod post;
mod queue;
mod server_span;

use std::{sync::Arc, time::Duration};

use axum::{Router, middleware};
use opentelemetry::{KeyValue, trace::TracerProvider};
use opentelemetry_otlp::{ExporterBuildError, RetryPolicy, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    trace::{Sampler, SdkTracerProvider},
};

pub use endpoint::{BadEndpoint, Endpoint};
pub use queue::SPANS_WAITING_MAX;

use crate::{
    post::Poster,
    queue::{Queue, QueueEnd},
    server_span::traced,
};

/// One post to the collector, tries after a failure included; the exporter's own limit, above those of [`post`].
const EXPORT_TIME_MAX: Duration = Duration::from_secs(120);

/// What is traced, and where to.
#[derive(Clone, Debug)]
pub struct TraceSettings {
    /// The collector.
    pub endpoint: Endpoint,
    /// Share of the requests without a sampled parent that are traced, 0 to 1.
    pub sampling_ratio: f64,
    /// Which of several servers this is.
    pub node: String,
}

/// What became of spans.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TraceFigures {
    /// The collector took them.
    pub exported: u64,
    /// The queue was full, or the collector did not take them.
    pub dropped: u64,
}

/// Why there are no traces.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The trust store is unusable.
    #[error("TLS for traces")]
    Tls(#[from] rustls::Error),
    /// The `OTEL_*` environment says something unusable.
    #[error("the exporter of traces")]
    Exporter(#[from] ExporterBuildError),
}

/// Traces requests from [`Traces::start`] to [`Traces::finish`].
#[derive(Debug)]
pub struct Traces {
    provider: SdkTracerProvider,
    queue: Arc<Queue>,
    end: QueueEnd,
}

impl Traces {
    /// Starts sending, in a task of the current runtime.
    ///
    /// # Errors
    /// See [`StartError`]. A collector that does not answer is none.
    pub fn start(settings: TraceSettings) -> Result<Self, StartError> {
        let resource = Resource::builder_empty()
            .with_attributes([
                KeyValue::new("service.name", "causeway"),
                KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
                KeyValue::new("service.instance.id", settings.node),
            ])
            .build();
        let mut exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Poster::new(settings.endpoint.clone())?)
            .with_endpoint(settings.endpoint.url())
            .with_protocol(opentelemetry_otlp::Protocol::HttpBinary)
            .with_timeout(EXPORT_TIME_MAX)
            // The poster tries again by itself: the exporter would put a whole thread to sleep.
            .with_retry_policy(RetryPolicy::disabled())
            .build()?;
        opentelemetry_sdk::trace::SpanExporter::set_resource(&mut exporter, &resource);
        let (queue, end) = Queue::start(exporter);
        let provider = SdkTracerProvider::builder()
            .with_resource(resource)
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(settings.sampling_ratio))))
            .with_span_processor(queue::Processor(Arc::clone(&queue)))
            .build();
        Ok(Self { provider, queue, end })
    }

    /// `routes`, traced. Goes outside of everything that may answer.
    pub fn layer(&self, routes: Router) -> Router {
        routes.layer(middleware::from_fn_with_state(self.provider.tracer("causeway-api"), traced))
    }

    /// What became of spans so far.
    #[must_use]
    pub fn figures(&self) -> TraceFigures {
        self.queue.figures()
    }

    /// Sends what waits, within `limit`; whether everything went out. Later spans are dropped.
    pub async fn finish(&self, limit: Duration) -> bool {
        self.end.finish(limit).await
    }
}
