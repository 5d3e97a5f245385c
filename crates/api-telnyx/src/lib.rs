//! Telnyx's REST calls over voice connections: credential connections, telephony credentials and their tokens, call control
//! applications. The official packages work against it with another base URL; an API key is an API token of this server.
//!
//! It knows the vendor's words and JSON and nothing else does. What a connection decides is in columns of the store; what
//! is only given back stays in the connection's document.
//!
//! Entry points: [`router`], [`ApiState`]. Source: `docs/compat/telnyx.md`.

#![forbid(unsafe_code)]

mod calls;
mod connections;
mod credentials;
mod deliveries;
mod elsewhere;
mod errors;
mod fields;
mod page;
mod payload;
mod shown;
mod times;

use std::{fmt, sync::Arc};

use axum::{
    Router,
    body::Bytes,
    extract::Request,
    handler::Handler,
    http::{StatusCode, Uri},
    middleware,
    response::Response,
    routing::{any, delete, get, patch, post},
};
use causeway_api_http::{Access, ApiError, Claim, Gate, Guard, RouteAccess, authorize, bearer, json, taken};
use causeway_app::{ApiCaller, Scope, Store, VoiceDeliveryStore, VoiceRecords, VoiceStore};
use serde_json::Value;

pub use calls::VoiceCommands;
pub use deliveries::{Deliveries, DeliveryFigures, Post};
pub use elsewhere::{AskingElsewhere, CallsElsewhere, ListingElsewhere, answer_elsewhere};
pub use shown::leg_for_others;

use crate::{calls::CommandIds, errors::TelnyxError};

/// What the store must keep for this family.
pub trait TelnyxStore: Store + VoiceStore + VoiceDeliveryStore {}
impl<S: Store + VoiceStore + VoiceDeliveryStore> TelnyxStore for S {}

/// What the routes need.
pub struct ApiState<S> {
    /// Knows API tokens and their allowances.
    pub gate: Arc<Gate<S>>,
    /// Keeps the records.
    pub store: Arc<S>,
    /// Takes them back, with their clients.
    pub records: Arc<VoiceRecords<S>>,
    /// Steers calls.
    pub commands: Arc<dyn VoiceCommands>,
    /// Reaches the servers of other calls.
    pub elsewhere: Arc<dyn CallsElsewhere>,
    /// Tells backends.
    pub deliveries: Arc<Deliveries<S>>,
    command_ids: CommandIds,
}

impl<S> ApiState<S> {
    /// Of its parts.
    pub fn new(
        gate: Arc<Gate<S>>,
        store: Arc<S>,
        records: Arc<VoiceRecords<S>>,
        commands: Arc<dyn VoiceCommands>,
        elsewhere: Arc<dyn CallsElsewhere>,
        deliveries: Arc<Deliveries<S>>,
    ) -> Self {
        Self { gate, store, records, commands, elsewhere, deliveries, command_ids: CommandIds::default() }
    }
}

impl<S> fmt::Debug for ApiState<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiState")
    }
}

/// What a call is answered with.
pub(crate) type Answer = Result<Response, TelnyxError>;

/// What each route asks of its caller. They are not in the OpenAPI document: the vendor's own describes them.
pub const ROUTES: &[RouteAccess] = &[
    row("GET", "/v2/credential_connections", Scope::Read),
    row("POST", "/v2/credential_connections", Scope::Admin),
    row("GET", "/v2/credential_connections/{id}", Scope::Read),
    row("PATCH", "/v2/credential_connections/{id}", Scope::Admin),
    row("DELETE", "/v2/credential_connections/{id}", Scope::Admin),
    row("POST", "/v2/credential_connections/{id}/actions/check_registration_status", Scope::Read),
    row("GET", "/v2/call_control_applications", Scope::Read),
    row("POST", "/v2/call_control_applications", Scope::Admin),
    row("GET", "/v2/call_control_applications/{id}", Scope::Read),
    row("PATCH", "/v2/call_control_applications/{id}", Scope::Admin),
    row("DELETE", "/v2/call_control_applications/{id}", Scope::Admin),
    row("GET", "/v2/telephony_credentials", Scope::Read),
    row("POST", "/v2/telephony_credentials", Scope::Credentials),
    row("GET", "/v2/telephony_credentials/{id}", Scope::Read),
    row("PATCH", "/v2/telephony_credentials/{id}", Scope::Credentials),
    row("DELETE", "/v2/telephony_credentials/{id}", Scope::Credentials),
    row("POST", "/v2/telephony_credentials/{id}/token", Scope::Credentials),
    row("DELETE", "/v2/telephony_credentials/{id}/token", Scope::Credentials),
    row("GET", "/v2/connections/{id}/active_calls", Scope::Read),
    row("GET", "/v2/calls/{id}", Scope::Read),
    row("POST", "/v2/calls/{id}/actions/{action}", Scope::Admin),
    row("PUT", "/v2/calls/{id}/actions/{action}", Scope::Admin),
    row("GET", "/v2/webhook_deliveries", Scope::Read),
    row("GET", "/v2/public_key", Scope::Read),
    row("POST", "/v2/calls", Scope::Admin),
    row("POST", "/v2/conferences", Scope::Admin),
    row("POST", "/v2/queues", Scope::Admin),
];

const fn row(method: &'static str, path: &'static str, scope: Scope) -> RouteAccess {
    RouteAccess { method, path, access: Access::Scope(scope) }
}

/// The routes of [`ROUTES`], and an answer in this family's shape for everything else under `/v2`.
pub fn router<S: TelnyxStore>(state: Arc<ApiState<S>>) -> Router {
    let guard = Guard {
        gate: Arc::clone(&state.gate),
        table: ROUTES,
        claim: |parts| bearer(&parts.headers).map(|token| Claim::Token(token.to_owned())),
    };
    let routes = Router::new()
        .route(
            "/v2/credential_connections",
            get(connections::list_connections::<S>).post(connections::create_connection::<S>),
        )
        .route(
            "/v2/credential_connections/{id}",
            item(
                connections::connection::<S>,
                connections::update_connection::<S>,
                connections::delete_connection::<S>,
            ),
        )
        .route(
            "/v2/credential_connections/{id}/actions/check_registration_status",
            post(connections::registration_status::<S>),
        )
        .route(
            "/v2/call_control_applications",
            get(connections::list_applications::<S>).post(connections::create_application::<S>),
        )
        .route(
            "/v2/call_control_applications/{id}",
            item(
                connections::application::<S>,
                connections::update_application::<S>,
                connections::delete_application::<S>,
            ),
        )
        .route("/v2/telephony_credentials", get(credentials::list::<S>).post(credentials::create::<S>))
        .route(
            "/v2/telephony_credentials/{id}",
            item(credentials::retrieve::<S>, credentials::update::<S>, credentials::remove::<S>),
        )
        .route(
            "/v2/telephony_credentials/{id}/token",
            post(credentials::token::<S>).delete(credentials::revoke_tokens::<S>),
        )
        .route("/v2/connections/{id}/active_calls", get(calls::active_calls::<S>))
        .route("/v2/calls/{id}", get(calls::status::<S>))
        .route("/v2/calls/{id}/actions/{action}", post(calls::command::<S>).put(calls::command::<S>))
        .route("/v2/webhook_deliveries", get(calls::webhook_deliveries::<S>))
        .route("/v2/public_key", get(calls::public_key::<S>))
        .route("/v2/calls", post(calls::unsupported::<S>))
        .route("/v2/conferences", post(calls::unsupported::<S>))
        .route("/v2/queues", post(calls::unsupported::<S>))
        .route_layer(middleware::from_fn_with_state(guard, authorize::<S>))
        .method_not_allowed_fallback(causeway_api_http::unknown_method)
        .route("/v2/{*rest}", any(|| async { TelnyxError::not_found() }))
        .with_state(state);
    routes.layer(middleware::map_response(|response: Response| async { errors::rendered(response) }))
}

fn item<S, A, B, C, T, U, V>(retrieve: A, update: B, remove: C) -> axum::routing::MethodRouter<Arc<ApiState<S>>>
where
    S: TelnyxStore,
    A: Handler<T, Arc<ApiState<S>>>,
    B: Handler<U, Arc<ApiState<S>>>,
    C: Handler<V, Arc<ApiState<S>>>,
    T: 'static,
    U: 'static,
    V: 'static,
{
    get(retrieve).merge(patch(update)).merge(delete(remove))
}

/// A request as the calls need it: who, what, and the whole body.
pub(crate) struct Call<S> {
    pub(crate) state: Arc<ApiState<S>>,
    pub(crate) caller: ApiCaller,
    pub(crate) uri: Uri,
    pub(crate) body: Bytes,
}

impl<S: TelnyxStore> axum::extract::FromRequest<Arc<ApiState<S>>> for Call<S> {
    type Rejection = TelnyxError;

    async fn from_request(request: Request, state: &Arc<ApiState<S>>) -> Result<Self, TelnyxError> {
        let (parts, body) = request.into_parts();
        let caller = parts.extensions.get::<ApiCaller>().copied().ok_or_else(ApiError::internal)?;
        Ok(Self { state: Arc::clone(state), caller, uri: parts.uri, body: taken(body).await? })
    }
}

/// `{"data": …}`.
pub(crate) fn data(status: StatusCode, data: &Value) -> Response {
    json(status, &serde_json::json!({"data": data}))
}
