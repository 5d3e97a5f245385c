//! causeway's own HTTP surface: health and metrics.
//!
//! It knows no relay and no store: the binary hands it functions that tell how they are.
//!
//! Entry point: [`router`].

#![forbid(unsafe_code)]

mod health;
mod metrics;

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use axum::{Router, routing::get};

pub use health::Health;
pub use metrics::{Metric, Sample};

/// Asks every part how it is.
pub type HealthCheck = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Health> + Send>> + Send + Sync>;
/// Reads every counter.
pub type MetricsSource = Arc<dyn Fn() -> Vec<Sample> + Send + Sync>;

/// What the routes need.
#[derive(Clone)]
pub struct ApiState {
    /// For `/healthz`.
    pub health: HealthCheck,
    /// For `/metrics`.
    pub metrics: MetricsSource,
}

impl fmt::Debug for ApiState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiState")
    }
}

/// `GET /healthz` and `GET /metrics`.
pub fn router(state: ApiState) -> Router {
    Router::new().route("/healthz", get(health::healthz)).route("/metrics", get(metrics::metrics)).with_state(state)
}
