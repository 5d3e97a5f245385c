//! `/api/v1/doctor`: links that let an end user examine the connection, what came of them, and the server's own look.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{extract::State, http::StatusCode, response::Response};
use causeway_api_http::{ApiError, Timestamp, json};
use causeway_app::{
    AuditEntry, DOCTOR_OPENS_DEFAULT, DOCTOR_OPENS_MAX, DOCTOR_RESULT_BYTES_MAX, DOCTOR_TTL_DEFAULT, DOCTOR_TTL_MAX,
    DoctorDesk, DoctorError, DoctorLinkView, InsightStore, Minted, TtlLimit,
};
use causeway_types::{Now, Secret};
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::Semaphore;
use utoipa::ToSchema;

use crate::{
    ApiState,
    extract::{Asked, Caller, Segment, Sent},
    page::{self, List, PageQuery},
    sessions::millis,
};

/// Longest name of a link.
const NAME_BYTES_MAX: usize = 100;
/// Requests with a link's token that are looked up per second, over all links, known or not.
const OPEN_PER_SEC: f64 = 50.0;

/// Tries URLs with a credential and tells how each went; it may take a minute.
pub type Examine = Arc<dyn Fn(Vec<String>, String, Secret<String>) -> Vec<Examined> + Send + Sync>;

/// The doctor's parts.
pub struct Doctor<S> {
    desk: DoctorDesk<S>,
    examine: Examine,
    /// One examination at a time.
    turn: Arc<Semaphore>,
    /// When the allowance of open requests was last looked at, and what was left of it.
    allowance: Mutex<(Instant, f64)>,
}

impl<S> fmt::Debug for Doctor<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Doctor")
    }
}

impl<S> Doctor<S> {
    /// Of its use-cases, and a function that tries URLs from here.
    pub fn new(desk: DoctorDesk<S>, examine: Examine) -> Self {
        let allowance = Mutex::new((Now::read().mono, OPEN_PER_SEC));
        Self { desk, examine, turn: Arc::new(Semaphore::new(1)), allowance }
    }

    /// Whoever has no token is let in so often: nobody guesses links, and the store is not asked in vain.
    fn admit(&self) -> Result<(), ApiError> {
        let mut allowance = self.allowance.lock();
        let now = Now::read().mono;
        let refilled = now.saturating_duration_since(allowance.0).as_secs_f64() * OPEN_PER_SEC;
        *allowance = (now, (allowance.1 + refilled).min(OPEN_PER_SEC));
        if allowance.1 < 1.0 {
            return Err(ApiError::too_many().retry_after(1));
        }
        allowance.1 -= 1.0;
        Ok(())
    }
}

/// How one transport to one address of a URL went.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Examined {
    /// The URL.
    pub url: String,
    /// `udp`, `tcp`, `tls` or `dtls`; absent when the URL's name could not be resolved.
    pub transport: Option<String>,
    /// The address that was tried.
    pub server: Option<String>,
    /// `ok`, `failed`, or `skipped` where this machine has no route and another address did.
    pub verdict: String,
    /// What happened and what to change, in one sentence.
    pub sentence: String,
    /// How long each step took, in order, up to the one that failed.
    pub steps: Vec<ExaminedStep>,
}

/// A step of an examination.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExaminedStep {
    /// `connect`, `binding`, `allocate`, `permission`, `channel`, `data`, `large`, `refresh`.
    pub step: String,
    /// Milliseconds.
    pub took_ms: f64,
}

/// A link.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DoctorLink {
    /// Its number.
    id: i64,
    /// What people call it.
    name: String,
    /// When it was made.
    created_at: Timestamp,
    /// When it stops working.
    expires_at: Timestamp,
    /// How often it was opened.
    opened: u64,
    /// How often it may be.
    max_opens: u64,
    /// Results that came.
    results: u64,
}

impl From<DoctorLinkView> for DoctorLink {
    fn from(view: DoctorLinkView) -> Self {
        Self {
            id: view.id,
            name: view.name,
            created_at: view.created_at.into(),
            expires_at: view.expires_at.into(),
            opened: view.opened,
            max_opens: view.opened_max,
            results: view.results,
        }
    }
}

/// A link that was just made.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MadeDoctorLink {
    /// Its number.
    id: i64,
    /// Its secret: shown this once.
    token: String,
    /// Where the console serves it; the secret is behind `#`, which browsers send to nobody.
    path: String,
    /// When it stops working.
    expires_at: Timestamp,
    /// How often it may be opened.
    max_opens: u32,
}

/// What a link may have.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "only its schema is used: the parameters are read one by one, to name every fault")]
pub(crate) struct MakeDoctorLinkRequest {
    /// What people call it.
    #[schema(max_length = 100)]
    name: Option<String>,
    /// Seconds it works; a day when not given, at most seven.
    #[schema(minimum = 1, maximum = 604_800)]
    ttl: Option<u64>,
    /// How often it may be opened; 20 when not given.
    #[schema(minimum = 1, maximum = 100)]
    max_opens: Option<u32>,
}

/// What an end user gets: a credential of two minutes and the URLs, and nothing else.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OpenedDoctorLink {
    /// For `RTCPeerConnection`, one entry per URL, so that each can be tried by itself.
    ice_servers: Vec<DoctorIceServer>,
    /// Until when new allocations may be made.
    expires_at: Timestamp,
    /// When the link stops working.
    link_expires_at: Timestamp,
}

/// One URL.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DoctorIceServer {
    /// One.
    urls: Vec<String>,
    /// For `turn:` and `turns:`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    username: Option<String>,
    /// For `turn:` and `turns:`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    credential: Option<String>,
}

/// A result.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DoctorReport {
    /// When it came.
    at: Timestamp,
    /// As the page sent it. Whoever had the link may have written anything.
    #[schema(value_type = Object)]
    result: Option<Box<RawValue>>,
}

/// What a page found out.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only its schema is used: the parameters are read one by one, to name every fault")]
pub(crate) struct DoctorReportRequest {
    /// Any JSON object of at most 16 KiB.
    #[schema(value_type = Object)]
    result: String,
}

/// The server's own look.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Examination {
    /// Every transport of every URL, in the order in which clients get them.
    passes: Vec<Examined>,
    /// How long it took.
    took_ms: u64,
}

/// Make a doctor link
///
/// For an end user whose calls fail: the page behind it tries every URL from that user's browser. It gives away a credential of
/// two minutes with tight limits, and the URLs.
#[utoipa::path(
    post,
    path = "/api/v1/doctor",
    tag = "doctor",
    request_body(content(
        (MakeDoctorLinkRequest = "application/json"),
        (MakeDoctorLinkRequest = "application/x-www-form-urlencoded"),
    )),
    responses((status = 201, description = "The link, with its secret.", body = MadeDoctorLink)),
)]
pub(crate) async fn make<S: InsightStore>(
    State(state): State<Arc<ApiState<S>>>,
    Caller(caller): Caller,
    Sent(mut sent): Sent,
) -> Result<Response, ApiError> {
    let name = sent.plain_text("name", NAME_BYTES_MAX).unwrap_or_default();
    let ttl = sent.ttl("ttl", TtlLimit::reject_over(DOCTOR_TTL_MAX)).unwrap_or(DOCTOR_TTL_DEFAULT);
    let opens = if sent.has("maxOpens") { sent.count("maxOpens") } else { None };
    if opens.is_some_and(|opens| opens > u64::from(DOCTOR_OPENS_MAX)) {
        sent.fault("maxOpens", "too_large", format!("maxOpens: at most {DOCTOR_OPENS_MAX}"));
    }
    sent.finish()?;
    let opens = opens.and_then(|opens| u32::try_from(opens).ok()).unwrap_or(DOCTOR_OPENS_DEFAULT);
    let made = known(&state)?.desk.make(caller, name, ttl, opens, Now::read().unix).await;
    let (id, secret, expires_at) = made.map_err(error)?;
    let detail = format!(r#"{{"maxOpens":{opens}}}"#);
    let entry = AuditEntry::by(caller, "doctor.link", id.to_string(), detail, Now::read().unix);
    state.store.audit(&entry).await?;
    let token = secret.expose().clone();
    let path = format!("/check#token={token}");
    Ok(json(StatusCode::CREATED, &MadeDoctorLink { id, token, path, expires_at: expires_at.into(), max_opens: opens }))
}

/// List doctor links
///
/// Newest first; kept for 30 days after their time.
#[utoipa::path(
    get,
    path = "/api/v1/doctor",
    tag = "doctor",
    params(PageQuery),
    responses((status = 200, description = "A page of links.", body = List<DoctorLink>)),
)]
pub(crate) async fn list<S: InsightStore>(
    State(state): State<Arc<ApiState<S>>>,
    Caller(caller): Caller,
    Asked(mut asked): Asked,
) -> Result<Response, ApiError> {
    let request = page::request(&mut asked);
    asked.finish()?;
    let links = known(&state)?.desk.links(caller.project, &request).await?;
    Ok(page::answer(links, DoctorLink::from))
}

/// Read what came of a doctor link
#[utoipa::path(
    get,
    path = "/api/v1/doctor/results",
    tag = "doctor",
    params(("link" = i64, Query, description = "Its number.")),
    responses((status = 200, description = "Oldest first.", body = List<DoctorReport>)),
)]
pub(crate) async fn results<S: InsightStore>(
    State(state): State<Arc<ApiState<S>>>,
    Caller(caller): Caller,
    Asked(mut asked): Asked,
) -> Result<Response, ApiError> {
    if !asked.has("link") {
        asked.fault("link", "missing", "link: is needed".to_owned());
    }
    let link = asked.count("link").and_then(|id| i64::try_from(id).ok()).unwrap_or_default();
    asked.finish()?;
    let results = known(&state)?.desk.results(caller.project, link).await?;
    let report = |result: causeway_app::DoctorResult| DoctorReport {
        at: result.at.into(),
        result: RawValue::from_string(result.body).ok(),
    };
    Ok(page::whole(results.into_iter().map(report).collect()))
}

/// Open a doctor link
///
/// Whoever has the link may; each opening counts.
#[utoipa::path(
    get,
    path = "/api/v1/doctor/{token}",
    tag = "doctor",
    params(("token" = String, Path, description = "The link's secret.")),
    responses(
        (status = 200, description = "A credential and the URLs.", body = OpenedDoctorLink),
        (status = 404, description = "There is no such link, or it does not work any more."),
        (status = 429, description = "Too many of these requests; try again shortly."),
    ),
)]
pub(crate) async fn open<S: InsightStore>(
    State(state): State<Arc<ApiState<S>>>,
    Segment(token): Segment,
) -> Result<Response, ApiError> {
    let doctor = known(&state)?;
    doctor.admit()?;
    let (minted, link_expires_at) = doctor.desk.open(&token, Now::read().unix).await.map_err(error)?;
    let expires_at = minted.expires_at;
    let opened = OpenedDoctorLink {
        ice_servers: ice_servers(minted),
        expires_at: expires_at.into(),
        link_expires_at: link_expires_at.into(),
    };
    Ok(json(StatusCode::OK, &opened))
}

/// Report over a doctor link
///
/// At most 20 results are kept of a link.
#[utoipa::path(
    post,
    path = "/api/v1/doctor/{token}/result",
    tag = "doctor",
    params(("token" = String, Path, description = "The link's secret.")),
    request_body(content((DoctorReportRequest = "application/json"))),
    responses(
        (status = 200, description = "It is kept."),
        (status = 404, description = "There is no such link, or it takes no more results."),
        (status = 422, description = "A field is bad; every one is named."),
        (status = 429, description = "Too many of these requests; try again shortly."),
    ),
)]
pub(crate) async fn report<S: InsightStore>(
    State(state): State<Arc<ApiState<S>>>,
    Segment(token): Segment,
    Sent(mut sent): Sent,
) -> Result<Response, ApiError> {
    let doctor = known(&state)?;
    doctor.admit()?;
    if !sent.has("result") {
        sent.fault("result", "missing", "result: is needed".to_owned());
    }
    let body = sent.object("result", DOCTOR_RESULT_BYTES_MAX).unwrap_or_default();
    sent.finish()?;
    doctor.desk.report(&token, &body, Now::read().unix).await.map_err(error)?;
    Ok(json(StatusCode::OK, &serde_json::json!({})))
}

/// Examine every advertised URL from the server
///
/// What `causeway probe` does: a whole pass over each transport. It sees what the server itself sees: a firewall in front of it
/// is found by the page, not by this. One examination at a time.
#[utoipa::path(
    post,
    path = "/api/v1/doctor/check",
    tag = "doctor",
    responses(
        (status = 200, description = "How each went.", body = Examination),
        (status = 503, description = "Another examination is under way; try again shortly."),
    ),
)]
pub(crate) async fn check<S: InsightStore>(
    State(state): State<Arc<ApiState<S>>>,
    Caller(caller): Caller,
) -> Result<Response, ApiError> {
    let doctor = known(&state)?;
    let Ok(permit) = Arc::clone(&doctor.turn).try_acquire_owned() else {
        let message = "another examination is under way; try again shortly";
        return Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "busy", message).retry_after(10));
    };
    let now = Now::read();
    let minted = doctor.desk.own_credential(caller, now.unix).await.map_err(error)?;
    let urls: Vec<String> = minted.urls.stun.iter().chain(&minted.urls.turn).cloned().collect();
    let examine = Arc::clone(&doctor.examine);
    let work = tokio::task::spawn_blocking(move || {
        let passes = examine(urls, minted.username, minted.credential);
        // Held until the work is done, even if the caller does not wait for it.
        drop(permit);
        passes
    });
    let passes = work.await.map_err(|_| ApiError::internal())?;
    let took: Duration = Now::read().mono.saturating_duration_since(now.mono);
    Ok(json(StatusCode::OK, &Examination { passes, took_ms: millis(took) }))
}

fn known<S>(state: &ApiState<S>) -> Result<&Doctor<S>, ApiError> {
    state.doctor.as_ref().ok_or_else(ApiError::not_found)
}

fn ice_servers(minted: Minted) -> Vec<DoctorIceServer> {
    let stun = |url: String| DoctorIceServer { urls: vec![url], username: None, credential: None };
    let turn = |url: String| DoctorIceServer {
        urls: vec![url],
        username: Some(minted.username.clone()),
        credential: Some(minted.credential.expose().clone()),
    };
    let mut servers: Vec<DoctorIceServer> = minted.urls.stun.iter().cloned().map(stun).collect();
    servers.extend(minted.urls.turn.iter().cloned().map(turn));
    servers
}

fn error(error: DoctorError) -> ApiError {
    match error {
        DoctorError::Store(error) => error.into(),
        DoctorError::Gone => ApiError::not_found(),
        DoctorError::TooMany => ApiError::new(
            StatusCode::CONFLICT,
            "too_many_links",
            "this project has as many doctor links as it may; wait until one expires",
        ),
        DoctorError::Mint(causeway_app::MintError::Store(error)) => error.into(),
        DoctorError::Mint(_) | DoctorError::NoRandomness | _ => {
            tracing::error!(%error, "the doctor has no credential");
            ApiError::internal()
        }
    }
}
