//! Every route of this crate: what it asks of its caller, and who answers it.
//!
//! A route that is served without a row here is refused to everybody; tests compare the table with the document and
//! walk through it with tokens of every kind.

use std::sync::Arc;

use causeway_api_http::{Access, RouteAccess, Routes};
use causeway_app::Scope;

use crate::{
    ApiState, ApiStore, audit, aws, calls, client_tokens, clients, credentials, doctor, erasure, failures, health,
    metrics, openapi, overview, projects, regions, registrations, rooms, sessions, sip_users, stream, timeline, tokens,
    usage, voice_records, webhooks,
};

const READ: Access = Access::Scope(Scope::Read);
const ADMIN: Access = Access::Scope(Scope::Admin);

/// What each route asks of its caller.
pub const ROUTES: &[RouteAccess] = &[
    row("GET", "/healthz", Access::Open),
    row("GET", "/metrics", Access::Open),
    row("GET", "/openapi.json", Access::Open),
    row("GET", "/api/v1/rooms", READ),
    row("GET", "/api/v1/rooms/{room}", READ),
    row("GET", "/api/v1/rooms/{room}/clients", READ),
    row("GET", "/api/v1/rooms/{room}/sessions", READ),
    row("GET", "/api/v1/rooms/{room}/timeline", READ),
    row("POST", "/api/v1/rooms/{room}/erase", ADMIN),
    row("GET", "/api/v1/overview", READ),
    row("POST", "/api/v1/doctor", Access::Scope(Scope::Credentials)),
    row("GET", "/api/v1/doctor", READ),
    row("GET", "/api/v1/doctor/results", READ),
    row("POST", "/api/v1/doctor/check", Access::Scope(Scope::Credentials)),
    row("GET", "/api/v1/doctor/{token}", Access::Open),
    row("POST", "/api/v1/doctor/{token}/result", Access::Open),
    row("GET", "/api/v1/failures", READ),
    row("GET", "/api/v1/clients", READ),
    row("GET", "/api/v1/clients/{client}", READ),
    row("GET", "/api/v1/clients/{client}/sessions", READ),
    row("POST", "/api/v1/clients/{client}/erase", ADMIN),
    row("GET", "/api/v1/sessions", READ),
    row("GET", "/api/v1/sessions/{id}", READ),
    row("DELETE", "/api/v1/sessions/{id}", Access::End),
    row("GET", "/api/v1/credentials", READ),
    row("GET", "/api/v1/credentials/{username}", READ),
    row("DELETE", "/api/v1/credentials/{username}", Access::End),
    row("POST", "/api/v1/credentials/revoke", Access::End),
    row("GET", "/api/v1/usage", READ),
    row("GET", "/api/v1/calls", READ),
    row("GET", "/api/v1/calls/{id}", READ),
    row("GET", "/api/v1/call-usage", READ),
    row("GET", "/api/v1/tokens", READ),
    row("POST", "/api/v1/tokens", ADMIN),
    row("DELETE", "/api/v1/tokens/{id}", ADMIN),
    row("GET", "/api/v1/projects", READ),
    row("POST", "/api/v1/projects", Access::Organization(Scope::Admin)),
    row("PATCH", "/api/v1/projects/{project}", Access::Organization(Scope::Admin)),
    row("POST", "/api/v1/regions/{region}/drain", Access::Organization(Scope::Admin)),
    row("POST", "/api/v1/regions/{region}/undrain", Access::Organization(Scope::Admin)),
    row("GET", "/api/v1/audit", READ),
    row("GET", "/api/v1/events", READ),
    row("GET", "/api/v1/aws/access-keys", READ),
    row("POST", "/api/v1/aws/access-keys", ADMIN),
    row("POST", "/api/v1/aws/access-keys/{id}/rotate", ADMIN),
    row("DELETE", "/api/v1/aws/access-keys/{id}", ADMIN),
    row("GET", "/api/v1/aws/temporary-credentials", READ),
    row("POST", "/api/v1/aws/temporary-credentials", Access::Scope(Scope::Credentials)),
    row("GET", "/api/v1/aws/channels", READ),
    row("GET", "/.well-known/jwks.json", Access::Open),
    row("GET", "/api/v1/client-tokens", READ),
    row("POST", "/api/v1/client-tokens", Access::Scope(Scope::Credentials)),
    row("DELETE", "/api/v1/client-tokens/{id}", Access::End),
    row("POST", "/api/v1/client-tokens/revoke", Access::End),
    row("GET", "/api/v1/client-tokens/access", READ),
    row("PATCH", "/api/v1/client-tokens/access", ADMIN),
    row("POST", "/api/v1/client-tokens/rotate-key", Access::Organization(Scope::Admin)),
    row("GET", "/api/v1/registrations", READ),
    row("GET", "/api/v1/sip-users", READ),
    row("POST", "/api/v1/sip-users", ADMIN),
    row("DELETE", "/api/v1/sip-users/{name}", ADMIN),
    row("GET", "/api/v1/voice-connections", READ),
    row("DELETE", "/api/v1/voice-connections/{id}", ADMIN),
    row("GET", "/api/v1/voice-credentials", READ),
    row("DELETE", "/api/v1/voice-credentials/{id}", Access::Scope(Scope::Credentials)),
    row("DELETE", "/api/v1/voice-credentials/{id}/tokens", Access::Scope(Scope::Credentials)),
    row("GET", "/api/v1/webhooks", ADMIN),
    row("POST", "/api/v1/webhooks", ADMIN),
    row("GET", "/api/v1/webhooks/{id}", ADMIN),
    row("PATCH", "/api/v1/webhooks/{id}", ADMIN),
    row("DELETE", "/api/v1/webhooks/{id}", ADMIN),
    row("POST", "/api/v1/webhooks/{id}/rotate-secret", ADMIN),
    row("POST", "/api/v1/webhooks/{id}/replay", ADMIN),
    row("GET", "/api/v1/webhooks/{id}/deliveries", ADMIN),
];

const fn row(method: &'static str, path: &'static str, access: Access) -> RouteAccess {
    RouteAccess { method, path, access }
}

/// Each documented and served.
pub(crate) fn routes<S: ApiStore>() -> Routes<Arc<ApiState<S>>> {
    Routes::default()
        .add(health::__path_healthz, health::healthz::<S>)
        .add(metrics::__path_metrics, metrics::metrics::<S>)
        .describe(openapi::__path_document)
        .add(rooms::__path_list, rooms::list::<S>)
        .add(rooms::__path_one, rooms::one::<S>)
        .add(rooms::__path_clients, rooms::clients::<S>)
        .add(rooms::__path_sessions, rooms::sessions::<S>)
        .add(timeline::__path_read, timeline::read::<S>)
        .add(erasure::__path_room, erasure::room::<S>)
        .add(erasure::__path_client, erasure::client::<S>)
        .add(doctor::__path_make, doctor::make::<S>)
        .add(doctor::__path_list, doctor::list::<S>)
        .add(doctor::__path_results, doctor::results::<S>)
        .add(doctor::__path_check, doctor::check::<S>)
        .add(doctor::__path_open, doctor::open::<S>)
        .add(doctor::__path_report, doctor::report::<S>)
        .add(overview::__path_read, overview::read::<S>)
        .add(failures::__path_list, failures::list::<S>)
        .add(clients::__path_list, clients::list::<S>)
        .add(clients::__path_one, clients::one::<S>)
        .add(clients::__path_sessions, clients::sessions::<S>)
        .add(sessions::__path_list, sessions::list::<S>)
        .add(sessions::__path_one, sessions::one::<S>)
        .add(sessions::__path_end, sessions::end::<S>)
        .add(calls::__path_list, calls::list::<S>)
        .add(calls::__path_one, calls::one::<S>)
        .add(calls::__path_usage, calls::usage::<S>)
        .add(credentials::__path_list, credentials::list::<S>)
        .add(credentials::__path_one, credentials::one::<S>)
        .add(credentials::__path_take_back, credentials::take_back::<S>)
        .add(credentials::__path_revoke, credentials::revoke::<S>)
        .add(usage::__path_read, usage::read::<S>)
        .add(tokens::__path_list, tokens::list::<S>)
        .add(tokens::__path_make, tokens::make::<S>)
        .add(tokens::__path_revoke, tokens::revoke::<S>)
        .add(projects::__path_list, projects::list::<S>)
        .add(projects::__path_make, projects::make::<S>)
        .add(projects::__path_switch, projects::switch::<S>)
        .add(regions::__path_drain, regions::drain::<S>)
        .add(regions::__path_undrain, regions::undrain::<S>)
        .add(audit::__path_list, audit::list::<S>)
        .add(stream::__path_follow, stream::follow::<S>)
        .add(aws::__path_list, aws::list::<S>)
        .add(aws::__path_make, aws::make::<S>)
        .add(aws::__path_rotate, aws::rotate::<S>)
        .add(aws::__path_revoke, aws::revoke::<S>)
        .add(aws::__path_temporary, aws::temporary::<S>)
        .add(aws::__path_mint, aws::mint::<S>)
        .add(aws::__path_channels, aws::channels::<S>)
        .add(client_tokens::__path_jwks, client_tokens::jwks::<S>)
        .add(client_tokens::__path_list, client_tokens::list::<S>)
        .add(client_tokens::__path_mint, client_tokens::mint::<S>)
        .add(client_tokens::__path_revoke_one, client_tokens::revoke_one::<S>)
        .add(client_tokens::__path_revoke, client_tokens::revoke::<S>)
        .add(client_tokens::__path_access, client_tokens::access::<S>)
        .add(client_tokens::__path_change_access, client_tokens::change_access::<S>)
        .add(client_tokens::__path_rotate_key, client_tokens::rotate_key::<S>)
        .add(registrations::__path_list, registrations::list::<S>)
        .add(sip_users::__path_list, sip_users::list::<S>)
        .add(sip_users::__path_make, sip_users::make::<S>)
        .add(sip_users::__path_remove, sip_users::remove::<S>)
        .add(voice_records::__path_connections, voice_records::connections::<S>)
        .add(voice_records::__path_remove_connection, voice_records::remove_connection::<S>)
        .add(voice_records::__path_credentials, voice_records::credentials::<S>)
        .add(voice_records::__path_remove_credential, voice_records::remove_credential::<S>)
        .add(voice_records::__path_revoke_tokens, voice_records::revoke_tokens::<S>)
        .add(webhooks::__path_list, webhooks::list::<S>)
        .add(webhooks::__path_make, webhooks::make::<S>)
        .add(webhooks::__path_one, webhooks::one::<S>)
        .add(webhooks::__path_change, webhooks::change::<S>)
        .add(webhooks::__path_remove, webhooks::remove::<S>)
        .add(webhooks::__path_rotate, webhooks::rotate::<S>)
        .add(webhooks::__path_replay, webhooks::replay::<S>)
        .add(webhooks::__path_deliveries, webhooks::deliveries::<S>)
}
