//! causeway's own HTTP interface: rooms, clients, sessions, credentials and usage as recorded, taking credentials back,
//! tokens, projects, the audit log, health and metrics.
//!
//! One file per resource; [`table`] lists every route with what it asks of its caller. It knows no relay: the binary hands
//! it use-cases, a store, and functions that tell how the parts are.
//!
//! Entry points: [`router`], [`document`], [`describe`], [`serve_document`].

#![forbid(unsafe_code)]

mod audit;
mod aws;
mod calls;
mod client_tokens;
mod clients;
mod credentials;
mod doctor;
mod erasure;
mod extract;
mod failures;
mod health;
mod metrics;
mod openapi;
mod overview;
mod page;
mod projects;
mod regions;
mod registrations;
mod rooms;
mod sessions;
mod sip_users;
mod stream;
pub mod table;
mod timeline;
mod tokens;
mod usage;
mod voice_records;
mod webhooks;

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use axum::{Router, middleware};
use causeway_api_http::{Claim, Gate, Guard, authorize};
use causeway_app::{
    AccessKeyStore, AccessKeys, CallStore, ClientTokens, InsightStore, LiveCalls, Management, RegionDesk,
    Registrations, Revocation, SignalChannelStore, SipUserStore, SipUsers, VoiceRecords, VoiceStore, WebhookDesk,
    WebhookStore,
};
use utoipa::openapi::OpenApi;

pub use doctor::{Doctor, Examine, Examined, ExaminedStep};
pub use health::Health;
pub use metrics::{Metric, Sample};
pub use openapi::{describe, serve_document};
pub use overview::{Alert, LiveView};
pub use stream::{EVENT_STREAMS_MAX, EVENT_STREAMS_PER_PROJECT_MAX, EventStreams};

/// Asks every part how it is.
pub type HealthCheck = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Health> + Send>> + Send + Sync>;
/// Reads every counter.
pub type MetricsSource = Arc<dyn Fn() -> Vec<Sample> + Send + Sync>;

/// What the store must keep for these routes.
pub trait ApiStore:
    InsightStore + WebhookStore + AccessKeyStore + SignalChannelStore + SipUserStore + CallStore + VoiceStore
{
}
impl<S> ApiStore for S where
    S: InsightStore + WebhookStore + AccessKeyStore + SignalChannelStore + SipUserStore + CallStore + VoiceStore
{
}

/// What the routes need.
pub struct ApiState<S> {
    /// Knows API tokens and their allowances.
    pub gate: Arc<Gate<S>>,
    /// What is recorded.
    pub store: Arc<S>,
    /// Takes credentials back and ends sessions.
    pub revocation: Arc<Revocation<S>>,
    /// Tokens and projects.
    pub management: Arc<Management<S>>,
    /// Regions: drains, and which there are.
    pub regions: Arc<RegionDesk<S>>,
    /// Webhooks.
    pub webhooks: Arc<WebhookDesk<S>>,
    /// Access keys of clients that sign.
    pub access_keys: Arc<AccessKeys<S>>,
    /// Tokens of clients that register and call.
    pub client_tokens: Arc<ClientTokens<S>>,
    /// Which of them are there.
    pub registrations: Arc<dyn Registrations>,
    /// Calls that go on at this server.
    pub calls: Arc<dyn LiveCalls>,
    /// Clients that show a password.
    pub sip_users: Arc<SipUsers<S>>,
    /// Takes voice connections and credentials back.
    pub voice: Arc<VoiceRecords<S>>,
    /// Event streams.
    pub events: Arc<EventStreams>,
    /// The connection doctor; none where nothing is minted.
    pub doctor: Option<Doctor<S>>,
    /// What this server knows of itself.
    pub live: LiveView,
    /// For `/healthz`.
    pub health: HealthCheck,
    /// For `/metrics`.
    pub metrics: MetricsSource,
}

impl<S> fmt::Debug for ApiState<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiState")
    }
}

/// The routes of [`table::ROUTES`].
pub fn router<S: ApiStore>(state: ApiState<S>) -> Router {
    let guard = Guard { gate: Arc::clone(&state.gate), table: table::ROUTES, claim: Claim::of };
    let routes = table::routes::<S>().split().0;
    routes.route_layer(middleware::from_fn_with_state(guard, authorize::<S>)).with_state(Arc::new(state))
}

/// What they are.
#[must_use]
pub fn document<S: ApiStore>() -> OpenApi {
    table::routes::<S>().split().1
}
