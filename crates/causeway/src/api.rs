//! The HTTP interface put together: every family's routes, one document, one set of manners.

use std::sync::Arc;

use axum::Router;
use causeway_api_causeway::{self as own, EventStreams, HealthCheck, MetricsSource};
use causeway_api_http::{Gate, RateLimit, RouteAccess, with_manners};
use causeway_api_turnix::{self as turnix, IceUrls, Region};
use causeway_app::{
    Callers, CredentialDirectory, EventSink, Management, MintPolicy, Minting, RelayControl, Revocation,
};
use causeway_store::SqlStore;
use utoipa::openapi::OpenApi;

/// What the routes are made of.
pub(crate) struct Parts {
    pub(crate) store: Arc<SqlStore>,
    pub(crate) directory: Arc<CredentialDirectory>,
    pub(crate) callers: Arc<Callers<SqlStore>>,
    pub(crate) sink: Arc<dyn EventSink>,
    pub(crate) relay: Arc<dyn RelayControl>,
    pub(crate) policy: MintPolicy,
    pub(crate) rate_limit: RateLimit,
    pub(crate) ice_urls: IceUrls,
    pub(crate) events: Arc<EventStreams>,
    pub(crate) health: HealthCheck,
    pub(crate) metrics: MetricsSource,
}

/// Every route there is.
pub(crate) fn router(parts: Parts) -> Router {
    let (routes, document) = families(parts);
    with_manners(routes.merge(own::serve_document(&document)))
}

fn families(parts: Parts) -> (Router, OpenApi) {
    let Parts { store, directory, callers, sink, relay, policy, rate_limit, ice_urls, events, health, metrics } = parts;
    let gate = Arc::new(Gate::new(Arc::clone(&callers), rate_limit));
    let region = policy.region.clone();
    let minting = Arc::new(Minting::new(Arc::clone(&store), Arc::clone(&directory), policy, Arc::clone(&sink)));
    let revocation = Arc::new(Revocation::new(Arc::clone(&store), Arc::clone(&directory), relay, Arc::clone(&sink)));
    let management = Arc::new(Management::new(Arc::clone(&store), callers, directory, sink));
    let (turnix_routes, turnix_document) = turnix::router(turnix::ApiState {
        minting,
        gate: Arc::clone(&gate),
        ice_urls: Arc::new(move || ice_urls.clone()),
        region: Region {
            slug: region.clone(),
            nat2: "ZZ".to_owned(),
            city: region.clone(),
            name: region,
            lat: 0.0,
            lon: 0.0,
        },
    });
    let (own_routes, own_document) =
        own::router(own::ApiState { gate, store, revocation, management, events, health, metrics });
    let table: Vec<RouteAccess> = [own::table::ROUTES, turnix::ROUTES].concat();
    (own_routes.merge(turnix_routes), own::describe([own_document, turnix_document], &table))
}
