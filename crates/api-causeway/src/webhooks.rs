//! `/api/v1/webhooks`: where events are posted to (`docs/events.md#webhooks`).

use std::sync::Arc;

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use causeway_api_http::{ApiError, Parameters, Timestamp, json};
use causeway_app::{
    DeliveryAttempt, DomainEvent, Store, Webhook as Stored, WebhookChange, WebhookDeskError, WebhookId, WebhookStore,
};
use causeway_types::Now;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    ApiState,
    extract::{Asked, Caller, Segment, Sent},
    page::{self, List, PageQuery},
    stream::read_cursor,
};

/// A webhook. Its secret is shown when it is made, never again.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Webhook {
    /// Its number.
    id: i64,
    /// Where events are posted to.
    url: String,
    /// Names of the events it gets; all when empty.
    events: Vec<String>,
    /// Nothing is posted while it is off.
    disabled: bool,
    /// Posts are signed with the secret before the last rotation too.
    has_previous_secret: bool,
    /// Up to this event everything was taken or given up.
    delivered_to: String,
    /// When it was made.
    created_at: Timestamp,
}

/// A webhook with its new secret.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WebhookWithSecret {
    #[serde(flatten)]
    webhook: Webhook,
    /// Signs posts. Shown this once.
    secret: String,
}

/// One attempt to post an event.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Delivery {
    /// Which event.
    event_id: String,
    /// 1 for the first.
    attempt: u32,
    /// When.
    at: Timestamp,
    /// Status of the answer; 2xx is taken, 410 disables the webhook, anything else is tried again.
    status: Option<u16>,
    /// Why there was no answer.
    error: Option<String>,
    /// Milliseconds until the answer, or until it was given up.
    took_ms: u64,
}

impl From<&Stored> for Webhook {
    fn from(stored: &Stored) -> Self {
        Self {
            id: stored.id.0,
            url: stored.url.clone(),
            events: stored.events.clone(),
            disabled: stored.is_disabled,
            has_previous_secret: stored.secrets.len() > 1,
            delivered_to: stored.delivered_to.0.to_string(),
            created_at: stored.created_at.into(),
        }
    }
}

impl From<DeliveryAttempt> for Delivery {
    fn from(attempt: DeliveryAttempt) -> Self {
        Self {
            event_id: attempt.cursor.0.to_string(),
            attempt: attempt.attempt,
            at: attempt.at.into(),
            status: attempt.status,
            error: attempt.error,
            took_ms: attempt.took_ms,
        }
    }
}

/// A webhook to make, or what to change of one.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "only its schema is used: the parameters are read one by one, to name every fault")]
pub(crate) struct WebhookRequest {
    /// An `https:` URL; needed to make one.
    #[schema(max_length = 2048)]
    url: Option<String>,
    /// Names of events; all when empty or not given.
    events: Option<Vec<String>>,
    /// Switches it off or on; only to change one.
    disabled: Option<bool>,
    /// Ends a rotation: posts are signed with the newest secret only; only to change one.
    drop_previous_secret: Option<bool>,
}

/// Where to begin.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only its schema is used: the parameter is read by hand")]
pub(crate) struct ReplayRequest {
    /// Id of an event: everything after it is posted once more.
    #[schema(pattern = "^[0-9]{1,16}$")]
    after: String,
}

/// List webhooks
#[utoipa::path(
    get,
    path = "/api/v1/webhooks",
    tag = "webhooks",
    responses((status = 200, description = "All of them.", body = List<Webhook>)),
)]
pub(crate) async fn list<S: Store + WebhookStore>(
    State(state): State<Arc<ApiState<S>>>,
    Caller(caller): Caller,
) -> Result<Response, ApiError> {
    let webhooks = state.webhooks.list(caller).await?;
    Ok(page::whole(webhooks.iter().map(Webhook::from).collect()))
}

/// Make a webhook
///
/// Events from here on are posted to it. The answer shows its secret, which no other does.
#[utoipa::path(
    post,
    path = "/api/v1/webhooks",
    tag = "webhooks",
    request_body(content(
        (WebhookRequest = "application/json"),
        (WebhookRequest = "application/x-www-form-urlencoded"),
    )),
    responses(
        (status = 201, description = "The webhook, with its secret.", body = WebhookWithSecret),
        (status = 409, description = "The project has as many as it may.", body = causeway_api_http::ErrorBody<'_>),
    ),
)]
pub(crate) async fn make<S: Store + WebhookStore>(
    State(state): State<Arc<ApiState<S>>>,
    Caller(caller): Caller,
    Sent(mut sent): Sent,
) -> Result<Response, ApiError> {
    if !sent.has("url") {
        sent.fault("url", "missing", "url: is needed".to_owned());
    }
    let url = sent.text("url").unwrap_or_default();
    let events = read_events(&mut sent).unwrap_or_default();
    sent.finish()?;
    let webhook = state.webhooks.make(caller, url, events, Now::read().unix).await.map_err(error)?;
    Ok(with_secret(StatusCode::CREATED, &webhook))
}

/// Show a webhook
#[utoipa::path(
    get,
    path = "/api/v1/webhooks/{id}",
    tag = "webhooks",
    params(("id" = u64, Path, description = "Its number.")),
    responses((status = 200, description = "The webhook.", body = Webhook)),
)]
pub(crate) async fn one<S: Store + WebhookStore>(
    State(state): State<Arc<ApiState<S>>>,
    Caller(caller): Caller,
    Segment(id): Segment,
) -> Result<Response, ApiError> {
    let webhook = state.webhooks.one(caller, read_id(&id)?).await.map_err(error)?;
    Ok(json(StatusCode::OK, &Webhook::from(&webhook)))
}

/// Change a webhook
///
/// What is not given stays. One that was off goes on where it stopped.
#[utoipa::path(
    patch,
    path = "/api/v1/webhooks/{id}",
    tag = "webhooks",
    params(("id" = u64, Path, description = "Its number.")),
    request_body(content(
        (WebhookRequest = "application/json"),
        (WebhookRequest = "application/x-www-form-urlencoded"),
    )),
    responses((status = 200, description = "As it is now.", body = Webhook)),
)]
pub(crate) async fn change<S: Store + WebhookStore>(
    State(state): State<Arc<ApiState<S>>>,
    Caller(caller): Caller,
    Segment(id): Segment,
    Sent(mut sent): Sent,
) -> Result<Response, ApiError> {
    let change = WebhookChange {
        url: sent.text("url"),
        events: read_events(&mut sent),
        is_disabled: sent.maybe_flag("disabled"),
        drop_previous_secret: sent.flag("dropPreviousSecret"),
    };
    sent.finish()?;
    let webhook = state.webhooks.change(caller, read_id(&id)?, change, Now::read().unix).await.map_err(error)?;
    Ok(json(StatusCode::OK, &Webhook::from(&webhook)))
}

/// Remove a webhook
#[utoipa::path(
    delete,
    path = "/api/v1/webhooks/{id}",
    tag = "webhooks",
    params(("id" = u64, Path, description = "Its number.")),
    responses((status = 204, description = "It is gone, and its log with it.")),
)]
pub(crate) async fn remove<S: Store + WebhookStore>(
    State(state): State<Arc<ApiState<S>>>,
    Caller(caller): Caller,
    Segment(id): Segment,
) -> Result<Response, ApiError> {
    state.webhooks.remove(caller, read_id(&id)?, Now::read().unix).await.map_err(error)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Give a webhook a new secret
///
/// Posts are signed with both until the one before is dropped (`dropPreviousSecret`) or the next rotation.
#[utoipa::path(
    post,
    path = "/api/v1/webhooks/{id}/rotate-secret",
    tag = "webhooks",
    params(("id" = u64, Path, description = "Its number.")),
    responses((status = 200, description = "The webhook, with its new secret.", body = WebhookWithSecret)),
)]
pub(crate) async fn rotate<S: Store + WebhookStore>(
    State(state): State<Arc<ApiState<S>>>,
    Caller(caller): Caller,
    Segment(id): Segment,
) -> Result<Response, ApiError> {
    let webhook = state.webhooks.rotate(caller, read_id(&id)?, Now::read().unix).await.map_err(error)?;
    Ok(with_secret(StatusCode::OK, &webhook))
}

/// Post events once more
#[utoipa::path(
    post,
    path = "/api/v1/webhooks/{id}/replay",
    tag = "webhooks",
    params(("id" = u64, Path, description = "Its number.")),
    request_body(content(
        (ReplayRequest = "application/json"),
        (ReplayRequest = "application/x-www-form-urlencoded"),
    )),
    responses((status = 202, description = "What is kept after the event is posted once more.", body = Webhook)),
)]
pub(crate) async fn replay<S: Store + WebhookStore>(
    State(state): State<Arc<ApiState<S>>>,
    Caller(caller): Caller,
    Segment(id): Segment,
    Sent(mut sent): Sent,
) -> Result<Response, ApiError> {
    let id = read_id(&id)?;
    // One that is not there is told as such, whatever was sent with it.
    state.webhooks.one(caller, id).await.map_err(error)?;
    let after = sent.text("after").and_then(|text| read_cursor(&text));
    if after.is_none() {
        sent.fault("after", "bad_cursor", "after: the id of an event".to_owned());
    }
    sent.finish()?;
    state.webhooks.replay(caller, id, after.unwrap_or_default(), Now::read().unix).await.map_err(error)?;
    let webhook = state.webhooks.one(caller, id).await.map_err(error)?;
    Ok(json(StatusCode::ACCEPTED, &Webhook::from(&webhook)))
}

/// List a webhook's deliveries
///
/// Attempts to post, the newest first; kept for `webhook_log_kept`.
#[utoipa::path(
    get,
    path = "/api/v1/webhooks/{id}/deliveries",
    tag = "webhooks",
    params(("id" = u64, Path, description = "Its number."), PageQuery),
    responses((status = 200, description = "A page of them.", body = List<Delivery>)),
)]
pub(crate) async fn deliveries<S: Store + WebhookStore>(
    State(state): State<Arc<ApiState<S>>>,
    Caller(caller): Caller,
    Segment(id): Segment,
    Asked(mut asked): Asked,
) -> Result<Response, ApiError> {
    let page = page::request(&mut asked);
    asked.finish()?;
    let webhook = state.webhooks.one(caller, read_id(&id)?).await.map_err(error)?;
    let attempts = state.store.attempts(webhook.id, &page).await?;
    Ok(page::answer(attempts, Delivery::from))
}

fn read_id(text: &str) -> Result<WebhookId, ApiError> {
    text.parse().map(WebhookId).map_err(|_| ApiError::not_found())
}

/// Names of public events, each once.
fn read_events(sent: &mut Parameters) -> Option<Vec<String>> {
    let mut names = sent.list("events")?;
    names.retain(|name| !name.is_empty());
    names.sort_unstable();
    names.dedup();
    if names.iter().any(|name| !DomainEvent::PUBLIC_NAMES.contains(&name.as_str())) {
        sent.fault("events", "bad_value", format!("events: any of {}", DomainEvent::PUBLIC_NAMES.join(", ")));
    }
    Some(names)
}

fn with_secret(status: StatusCode, webhook: &Stored) -> Response {
    let secret = webhook.secrets.first().map(|secret| secret.expose().clone()).unwrap_or_default();
    json(status, &WebhookWithSecret { webhook: webhook.into(), secret })
}

fn error(error: WebhookDeskError) -> ApiError {
    match error {
        WebhookDeskError::Store(error) => error.into(),
        WebhookDeskError::Unknown => ApiError::not_found(),
        WebhookDeskError::BadUrl { reason } => ApiError::bad_field("url", "bad_url", &reason),
        WebhookDeskError::TooMany => ApiError::new(StatusCode::CONFLICT, "webhooks_per_project_max", error.to_string()),
        WebhookDeskError::NoRandomness | _ => {
            tracing::error!(%error, "no webhook was made");
            ApiError::internal()
        }
    }
}
