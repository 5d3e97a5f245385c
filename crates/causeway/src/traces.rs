//! Traces of the HTTP interface as part of the server: their start and end, their counters, and the collector's addresses
//! as denied peers.

use std::{net::SocketAddr, time::Duration};

use axum::Router;
use causeway_api_causeway::{Metric, Sample};
use causeway_traces::{TraceSettings, Traces};

use crate::config::Settings;

/// How long the last spans may take when the server stops.
const LAST_SPANS: Duration = Duration::from_secs(3);

/// The traces, when a collector is configured.
pub(crate) struct HttpTraces {
    traces: Option<Traces>,
    /// Where the collector was when the server started: no peer may be there.
    addresses: Vec<SocketAddr>,
}

impl HttpTraces {
    /// Starts tracing as configured.
    pub(crate) async fn start(settings: &Settings, node: &str) -> anyhow::Result<Self> {
        let Some(endpoint) = settings.otlp_endpoint.clone() else {
            return Ok(Self { traces: None, addresses: Vec::new() });
        };
        let addresses = match tokio::net::lookup_host(endpoint.host_and_port()).await {
            Ok(addresses) => addresses.collect(),
            Err(error) => {
                tracing::warn!(%error, "the collector's address is not known: peers are not checked against it");
                Vec::new()
            }
        };
        let sampling_ratio = settings.otlp_sampling_ratio;
        let traces = Traces::start(TraceSettings { endpoint, sampling_ratio, node: node.to_owned() })?;
        Ok(Self { traces: Some(traces), addresses })
    }

    /// Addresses that no peer may have.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.addresses.iter().copied()
    }

    /// `routes`, traced if anything is.
    pub(crate) fn layer(&self, routes: Router) -> Router {
        match &self.traces {
            Some(traces) => traces.layer(routes),
            None => routes,
        }
    }

    /// Its counters.
    pub(crate) fn samples(&self) -> Vec<Sample> {
        let Some(traces) = &self.traces else { return Vec::new() };
        let figures = traces.figures();
        let sample = |metric, value| Sample { metric, label: None, value };
        vec![sample(Metric::SpansExported, figures.exported), sample(Metric::SpansDropped, figures.dropped)]
    }

    /// Sends what waits.
    pub(crate) async fn finish(&self) {
        let Some(traces) = &self.traces else { return };
        if !traces.finish(LAST_SPANS).await {
            tracing::warn!("the collector did not take the last traces");
        }
    }
}
