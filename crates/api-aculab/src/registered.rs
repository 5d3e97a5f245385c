//! `/webrtc_registered_clients`.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    extract::{Request, State},
    http::StatusCode,
    response::Response,
};
use causeway_api_http::{ApiError, json};
use causeway_app::{ApiCaller, ClientTokenStore, Registration};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    ApiState, Fault,
    fault::{ErrorBody, datetime},
    parameters::Parameters,
};

#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = AculabRegisteredClient)]
struct RegisteredClient {
    client_id: String,
    /// When it last registered, UTC.
    #[schema(example = "2021-01-15_08:56:24")]
    last_modified: String,
    /// When that ends unless it registers again, UTC.
    #[schema(example = "2021-01-15_09:06:24")]
    expires: String,
}

/// List clients that can be called (Aculab)
///
/// One entry per client: of the place where it registered last, which is the one that rings.
#[utoipa::path(
    get,
    path = "/webrtc_registered_clients",
    tag = "aculab",
    security(("tokenAsPassword" = [])),
    responses(
        (status = 200, description = "The clients, by their ids.", body = Vec<RegisteredClient>),
        (status = 400, description = "The body does not parse.", body = ErrorBody),
        (status = 401, description = "User name or key is missing, wrong, revoked or expired.", body = ErrorBody),
        (status = 403, description = "Another cloud, a key without the scope, or a disabled project.", body = ErrorBody),
        (status = 404, description = "Not there.", body = ErrorBody),
        (status = 415, description = "The body is no form.", body = ErrorBody),
        (status = 422, description = "Not used by this call.", body = ErrorBody),
        (status = 429, description = "Too many requests with this key.", body = ErrorBody),
        (status = 500, description = "The server failed.", body = ErrorBody),
        (status = 503, description = "A part of the server does not answer.", body = ErrorBody),
    ),
)]
pub(crate) async fn asked<S: ClientTokenStore>(
    State(state): State<Arc<ApiState<S>>>,
    request: Request,
) -> Result<Response, Fault> {
    list(&state, request).await
}

/// List clients that can be called (Aculab)
///
/// As by GET.
#[utoipa::path(
    post,
    path = "/webrtc_registered_clients",
    tag = "aculab",
    security(("tokenAsPassword" = [])),
    responses(
        (status = 200, description = "The clients, by their ids.", body = Vec<RegisteredClient>),
        (status = 400, description = "The body does not parse.", body = ErrorBody),
        (status = 401, description = "User name or key is missing, wrong, revoked or expired.", body = ErrorBody),
        (status = 403, description = "Another cloud, a key without the scope, or a disabled project.", body = ErrorBody),
        (status = 404, description = "Not there.", body = ErrorBody),
        (status = 415, description = "The body is no form.", body = ErrorBody),
        (status = 422, description = "Not used by this call.", body = ErrorBody),
        (status = 429, description = "Too many requests with this key.", body = ErrorBody),
        (status = 500, description = "The server failed.", body = ErrorBody),
        (status = 503, description = "A part of the server does not answer.", body = ErrorBody),
    ),
)]
pub(crate) async fn posted<S: ClientTokenStore>(
    State(state): State<Arc<ApiState<S>>>,
    request: Request,
) -> Result<Response, Fault> {
    list(&state, request).await
}

async fn list<S: ClientTokenStore>(state: &ApiState<S>, request: Request) -> Result<Response, Fault> {
    let caller = request.extensions().get::<ApiCaller>().copied().ok_or_else(ApiError::internal)?;
    Parameters::of(request, &state.tokens.settings().cloud).await?.finish()?;
    let all = state.registrations.of_project(caller.project).await;
    Ok(json(StatusCode::OK, &newest_of_each(&all)))
}

/// One entry per client that can be called: of its newest registration, which is the one that rings.
fn newest_of_each(all: &[Registration]) -> Vec<RegisteredClient> {
    let ringable = all.iter().filter(|registration| registration.is_ringable);
    // They come in the order in which they began: the last one of a client stays.
    let newest: BTreeMap<&str, &Registration> =
        ringable.map(|registration| (&*registration.client, registration)).collect();
    let shown = |(client, registration): (&str, &Registration)| RegisteredClient {
        client_id: client.to_owned(),
        last_modified: datetime(registration.updated),
        expires: datetime(registration.expires_at),
    };
    newest.into_iter().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use causeway_app::ProjectId;
    use causeway_types::UnixTime;

    use super::*;

    fn registration(client: &str, since: u64) -> Registration {
        Registration {
            id: since.to_string(),
            project: ProjectId::DEFAULT,
            client: Arc::from(client),
            dialect: "sip",
            is_ringable: true,
            since: UnixTime::from_secs(since),
            updated: UnixTime::from_secs(since + 10),
            expires_at: UnixTime::from_secs(since + 600),
            address: None,
            user_agent: None,
            admission: None,
        }
    }

    #[test]
    fn each_client_that_can_be_called_is_listed_once_as_it_registered_last() {
        let silent = Registration { is_ringable: false, ..registration("caller", 4) };
        let all = [registration("bob", 1), registration("alice", 2), registration("bob", 86_400), silent];
        let listed = newest_of_each(&all);
        let entry = |client: &str, last_modified: &str, expires: &str| RegisteredClient {
            client_id: client.to_owned(),
            last_modified: last_modified.to_owned(),
            expires: expires.to_owned(),
        };
        let expected = [
            entry("alice", "1970-01-01_00:00:12", "1970-01-01_00:10:02"),
            entry("bob", "1970-01-02_00:00:10", "1970-01-02_00:10:00"),
        ];
        assert_eq!(listed, expected);
        assert!(newest_of_each(&[]).is_empty());
    }
}
