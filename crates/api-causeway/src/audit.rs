//! `/api/v1/audit`: who did what.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use causeway_api_http::{ApiError, Timestamp};
use causeway_app::{AuditFilter, AuditView, Store};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::{
    ApiState,
    extract::{Asked, Caller},
    page::{self, List, PageQuery},
};

/// What somebody did.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AuditEntry)]
pub(crate) struct Entry {
    /// When.
    at: Timestamp,
    /// With which token; null for the server itself.
    token_id: Option<i64>,
    /// The e-mail address of whoever did it by the console; null when it was none of its users.
    user: Option<String>,
    /// What: `token.create`, `credential.revoke`, `session.end` …
    action: String,
    /// To what.
    subject: String,
    /// More, depending on the action.
    #[schema(value_type = Option<Object>)]
    detail: Option<Box<RawValue>>,
}

impl From<AuditView> for Entry {
    fn from(AuditView { entry, email }: AuditView) -> Self {
        Self {
            at: entry.at.into(),
            token_id: entry.token.map(|token| token.0),
            user: email,
            action: entry.action,
            subject: entry.subject,
            detail: RawValue::from_string(entry.detail).ok(),
        }
    }
}

/// Read the audit log
///
/// Newest first unless sorted otherwise.
#[utoipa::path(
    get,
    path = "/api/v1/audit",
    tag = "audit",
    params(
        ("search" = Option<String>, Query, description = "With this text in what was done, to what, its detail or the person's address."),
        ("sort" = Option<String>, Query, description = "`at` for the oldest first; `-at` when not given."),
        PageQuery,
    ),
    responses((status = 200, description = "A page of entries.", body = List<Entry>)),
)]
pub(crate) async fn list<S: Store>(
    State(state): State<Arc<ApiState<S>>>,
    Caller(caller): Caller,
    Asked(mut asked): Asked,
) -> Result<Response, ApiError> {
    let filter = AuditFilter {
        search: page::search(&mut asked),
        is_oldest_first: asked.word("sort", &[("at", true), ("-at", false)]).unwrap_or_default(),
    };
    let request = page::request(&mut asked);
    asked.finish()?;
    let entries = state.store.audit_log(caller.project, &filter, &request).await?;
    Ok(page::answer(entries, Entry::from))
}
