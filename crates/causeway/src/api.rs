//! The HTTP interface put together: every family's routes, one document, one set of manners.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    http::HeaderValue,
    middleware::{self, Next},
    response::Response,
};
use causeway_api_aculab as aculab;
use causeway_api_causeway::{self as own, Doctor, EventStreams, Examine, HealthCheck, LiveView, MetricsSource};
use causeway_api_cloudflare as cloudflare;
use causeway_api_console as console;
use causeway_api_http::{Gate, RateLimit, RouteAccess, unknown_method, with_manners_and};
use causeway_api_kvs as kvs;
use causeway_api_telnyx as telnyx;
use causeway_api_turnix as turnix;
use causeway_api_twilio as twilio;
use causeway_app::{
    Callers, CredentialDirectory, DoctorDesk, EventSink, Management, MintPolicy, Minting, People, RegionDesk, Regions,
    Revocation, RuleBook, SipUsers, WebhookControl, WebhookDesk,
};
use causeway_console::{EMBEDDED, respond};
use causeway_signal_sip as signal_sip;
use causeway_signal_verto as signal_verto;
use causeway_store::SqlStore;
use utoipa::openapi::OpenApi;

use crate::{calls::Calls, clients::Clients, cors, kvs::Kvs, live_calls::LiveBoard, probe, sip, verto::Verto};

/// What the routes are made of.
pub(crate) struct Parts {
    pub(crate) store: Arc<SqlStore>,
    pub(crate) directory: Arc<CredentialDirectory>,
    pub(crate) callers: Arc<Callers<SqlStore>>,
    pub(crate) people: Arc<People<SqlStore>>,
    pub(crate) sink: Arc<dyn EventSink>,
    pub(crate) revocation: Arc<Revocation<SqlStore>>,
    pub(crate) policy: MintPolicy,
    pub(crate) rate_limit: RateLimit,
    pub(crate) regions: Arc<Regions>,
    pub(crate) rules: Arc<RuleBook>,
    pub(crate) cors_origins: Vec<HeaderValue>,
    pub(crate) events: Arc<EventStreams>,
    pub(crate) webhooks: Arc<dyn WebhookControl>,
    pub(crate) live: LiveView,
    pub(crate) health: HealthCheck,
    pub(crate) metrics: MetricsSource,
    pub(crate) kvs: Arc<Kvs>,
    pub(crate) calls: Arc<Calls>,
    pub(crate) clients: Clients,
    pub(crate) verto: Arc<Verto>,
}

/// What every route is, as `/openapi.json` says.
pub(crate) fn document() -> OpenApi {
    let documents = [
        own::document::<SqlStore>(),
        console::document::<SqlStore>(),
        turnix::document::<SqlStore>(),
        cloudflare::document::<SqlStore>(),
        twilio::document::<SqlStore>(),
        aculab::document::<SqlStore>(),
    ];
    let table: Vec<RouteAccess> =
        [own::table::ROUTES, console::ROUTES, turnix::ROUTES, cloudflare::ROUTES, twilio::ROUTES, aculab::ROUTES]
            .concat();
    own::describe(documents, &table)
}

/// Every route there is.
pub(crate) fn router(parts: Parts) -> Router {
    let Parts {
        store,
        directory,
        callers,
        people,
        sink,
        revocation,
        policy,
        rate_limit,
        regions,
        rules,
        cors_origins,
        events,
        webhooks,
        live,
        health,
        metrics,
        kvs: aws,
        calls,
        clients,
        verto,
    } = parts;
    let realm = policy.realm.clone();
    let sign_in_lifetime = callers.sign_in_limits().lifetime;
    let gate = Arc::new(Gate::new(Arc::clone(&callers), rate_limit));
    let minting = Arc::new(Minting::new(
        Arc::clone(&store),
        Arc::clone(&directory),
        policy,
        Arc::clone(&regions),
        rules,
        Arc::clone(&sink),
    ));
    let regions = Arc::new(RegionDesk::new(Arc::clone(&store), regions));
    let webhooks = Arc::new(WebhookDesk::new(Arc::clone(&store), webhooks));
    let management = Arc::new(Management::new(Arc::clone(&store), callers, directory, sink));
    let turnix = turnix::ApiState { minting: Arc::clone(&minting), gate: Arc::clone(&gate) };
    let cloudflare = cloudflare::ApiState {
        gate: Arc::clone(&gate),
        minting: Arc::clone(&minting),
        revocation: Arc::clone(&revocation),
    };
    let sip_users = Arc::new(SipUsers::new(Arc::clone(&store), Arc::clone(&clients.registrations), realm));
    let sip = sip::serve(&calls, &clients, &sip_users, &store, &minting, &revocation);
    let access_keys = Arc::clone(&aws.keys);
    let manners = kvs::manners(&aws.hub);
    let aws = aws.state(&store, &minting);
    let (telnyx, voice) = verto.state(&gate, &store);
    let twilio = twilio::ApiState { gate: Arc::clone(&gate), minting: Arc::clone(&minting) };
    let Clients { tokens: client_tokens, registrations } = clients;
    let aculab = aculab::ApiState {
        gate: Arc::clone(&gate),
        tokens: Arc::clone(&client_tokens),
        registrations: Arc::clone(&registrations),
    };
    let examine: Examine = Arc::new(|urls, username, password| probe::examine(&urls, username, password));
    let doctor = Doctor::new(DoctorDesk::new(Arc::clone(&store), Arc::clone(&minting)), examine);
    let console =
        console::ApiState { gate: Arc::clone(&gate), store: Arc::clone(&store), people, lifetime: sign_in_lifetime };
    let own = own::ApiState {
        access_keys,
        client_tokens,
        registrations,
        calls: Arc::<LiveBoard>::clone(&calls.live),
        sip_users,
        voice,
        gate,
        store,
        revocation,
        management,
        regions,
        webhooks,
        events,
        doctor: Some(doctor),
        live,
        health,
        metrics,
    };
    let credentials = open_to(&cors_origins, turnix::router(turnix));
    let families = own::router(own)
        .merge(console::router(console))
        .merge(credentials)
        .merge(cloudflare::router(cloudflare))
        .merge(twilio::router(twilio))
        .merge(aculab::router(aculab))
        .merge(telnyx::router(telnyx))
        .merge(signal_verto::router(Arc::clone(&verto.service)))
        .merge(kvs::router(Arc::clone(&aws)))
        .merge(signal_sip::router(sip));
    let routes = families
        .merge(own::serve_document(&document()))
        .layer(middleware::from_fn_with_state(Arc::clone(&verto), at_root));
    // In front of the console: both live at `/`.
    let routes = kvs::with_websocket(routes, aws);
    let elsewhere = |request: Request| async move {
        // Voice clients connect to whatever path their application names.
        match signal_verto::take(&verto.service, request).await {
            Ok(response) => response,
            Err(request) => respond(EMBEDDED, *request).await,
        }
    };
    with_manners_and(routes, elsewhere, Some(manners))
}

/// The routes that credentials come from, for pages of these origins too.
fn open_to(origins: &[HeaderValue], mut credentials: Router) -> Router {
    // Not a layer that does nothing: it would answer every OPTIONS.
    if !origins.is_empty() {
        // With a fallback of its own, which the layer answers preflights before; one that is set later would not be in it.
        credentials = credentials.method_not_allowed_fallback(unknown_method).layer(cors::layer(origins));
    }
    credentials
}

/// `/` belongs to the console, but for requests of the TURN REST draft and voice clients' WebSockets.
async fn at_root(State(verto): State<Arc<Verto>>, request: Request, next: Next) -> Response {
    if request.uri().path() != "/" {
        return next.run(request).await;
    }
    let request = match signal_verto::take(&verto.service, request).await {
        Ok(response) => return response,
        Err(request) => *request,
    };
    if !turnix::asks_for_turn_rest(request.uri()) {
        return respond(EMBEDDED, request).await;
    }
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_document_is_this_one() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../openapi/causeway.json");
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        let current = document().to_pretty_json().unwrap() + "\n";
        assert!(
            committed == current,
            "openapi/causeway.json is out of date: cargo run -- openapi > openapi/causeway.json"
        );
    }

    #[test]
    fn every_operation_of_the_document_has_a_row_in_a_table_and_the_other_way_round() {
        let document = serde_json::to_value(document()).unwrap();
        let mut told: Vec<String> = Vec::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            let methods = item.as_object().unwrap().keys().filter(|key| key.len() < 8 && *key != "summary");
            told.extend(methods.map(|method| format!("{} {path}", method.to_uppercase())));
        }
        let tables =
            [own::table::ROUTES, console::ROUTES, turnix::ROUTES, cloudflare::ROUTES, twilio::ROUTES, aculab::ROUTES]
                .concat();
        let mut rows: Vec<String> = tables.iter().map(|row| format!("{} {}", row.method, row.path)).collect();
        told.sort();
        rows.sort();
        assert_eq!(told, rows);
    }
}
