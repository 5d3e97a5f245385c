//! Errors: one shape, every bad field named (`compat/turnix.md#errors`).

use std::borrow::Cow;

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use causeway_app::{MintError, QuotaExceeded, RegionRefusal, StoreError};
use serde::Serialize;
use utoipa::ToSchema;

use crate::RequestId;

/// How long to wait for a region: about as long as it takes to notice that one is back.
const REGION_RETRY_SECS: u64 = 5;

/// An answer that is not a success.
///
/// As a response it is empty and carries itself, until the outermost layer writes it down: that layer knows the request's
/// id, and a family with a shape of its own may take it out before.
#[derive(Clone, Debug)]
pub struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: Cow<'static, str>,
    details: Vec<Detail>,
    retry_after_secs: Option<u64>,
}

/// One bad field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Detail {
    /// Its name.
    pub field: &'static str,
    /// What is wrong with it.
    pub code: &'static str,
}

/// What went wrong.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Error)]
pub struct ErrorBody<'a> {
    /// For programs.
    error: &'static str,
    /// For people, in one line.
    message: &'a str,
    /// Every bad field.
    #[serde(skip_serializing_if = "<[Detail]>::is_empty")]
    #[schema(required = false)]
    details: &'a [Detail],
    /// The request's id.
    #[serde(rename = "requestId")]
    request_id: &'a str,
}

impl ApiError {
    /// With a status, a stable code, and a message in one line.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { status, code, message: message.into(), details: Vec::new(), retry_after_secs: None }
    }

    /// 422 with every bad field, and what is wrong with each.
    #[must_use]
    pub fn invalid(message: String, details: Vec<Detail>) -> Self {
        Self { details, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_parameter", message) }
    }

    /// 422 for one field.
    #[must_use]
    pub fn bad_field(field: &'static str, code: &'static str, message: &str) -> Self {
        Self::invalid(format!("{field}: {message}"), vec![Detail { field, code }])
    }

    /// 404: not there, or not for this caller.
    #[must_use]
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "there is nothing at this path")
    }

    /// 429.
    #[must_use]
    pub fn too_many() -> Self {
        let message = "too many requests with this token; wait and try again";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", message).retry_after(1)
    }

    /// 500, without what is inside.
    #[must_use]
    pub fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the server failed; its log tells why")
    }

    /// 503: the store is down.
    #[must_use]
    pub fn store_down() -> Self {
        let message = "the credential store does not answer; try again shortly";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "relay_unavailable", message).retry_after(1)
    }

    /// 413: a body larger than `max` bytes.
    #[must_use]
    pub fn too_large(max: usize) -> Self {
        let message = format!("the body is larger than {max} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message)
    }

    /// This, with `Retry-After`.
    #[must_use]
    pub fn retry_after(self, secs: u64) -> Self {
        Self { retry_after_secs: Some(secs), ..self }
    }

    /// The status it is answered with.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// Its stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        self.code
    }

    /// Its text for people.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Headers that say the same in any family's shape.
    pub fn mark(&self, response: &mut Response, scheme: &str) {
        let headers = response.headers_mut();
        if self.status == StatusCode::UNAUTHORIZED {
            let fault =
                if self.code == "missing_token" || scheme == "Basic" { "" } else { r#", error="invalid_token""# };
            if let Ok(challenge) = HeaderValue::from_str(&format!(r#"{scheme} realm="causeway"{fault}"#)) {
                headers.insert(header::WWW_AUTHENTICATE, challenge);
            }
        }
        if let Some(secs) = self.retry_after_secs {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(secs));
        }
    }

    /// Written down for the request with this id.
    #[must_use]
    pub fn respond(&self, id: &RequestId) -> Response {
        let body = ErrorBody { error: self.code, message: &self.message, details: &self.details, request_id: &id.0 };
        let mut response = json(self.status, &body);
        self.mark(&mut response, "Bearer");
        response
    }

    /// Writes down the error that a response carries; any other response stays as it is.
    pub(crate) fn render(mut response: Response, id: &RequestId) -> Response {
        match response.extensions_mut().remove::<Self>() {
            None => response,
            Some(error) => {
                let mut rendered = error.respond(id);
                rendered.headers_mut().extend(std::mem::take(response.headers_mut()));
                rendered
            }
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.status;
        response.extensions_mut().insert(self);
        response
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable { .. } => {
                tracing::warn!(%error, "the store did not answer a request");
                Self::store_down()
            }
            StoreError::Exists { .. } => {
                Self::new(StatusCode::CONFLICT, "exists", "something of that name is there already")
            }
            StoreError::BadCursor => Self::bad_field("cursor", "bad_cursor", "not a cursor of this list"),
        }
    }
}

impl From<MintError> for ApiError {
    fn from(error: MintError) -> Self {
        match error {
            MintError::Store(error) => error.into(),
            MintError::Region(refusal) => refusal.into(),
            MintError::Quota(quota) => quota.into(),
            MintError::NoSecret => {
                let message = "TURN REST is off: set CAUSEWAY_TURN_SECRET on the server";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "relay_unavailable", message).retry_after(60)
            }
            MintError::NoRandomness | _ => {
                tracing::error!(%error, "minting failed");
                Self::internal()
            }
        }
    }
}

impl From<QuotaExceeded> for ApiError {
    fn from(quota: QuotaExceeded) -> Self {
        Self::new(StatusCode::FORBIDDEN, "quota_exceeded", quota.to_string())
    }
}

impl From<RegionRefusal> for ApiError {
    fn from(refusal: RegionRefusal) -> Self {
        let (status, code) = match refusal {
            RegionRefusal::Unknown => {
                return Self::bad_field("fixed_region", "region_unknown", "there is no such region");
            }
            RegionRefusal::Forbidden => (StatusCode::FORBIDDEN, "region_forbidden"),
            RegionRefusal::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "region_unavailable"),
            RegionRefusal::NoneServes => (StatusCode::SERVICE_UNAVAILABLE, "no_region"),
        };
        let error = Self::new(status, code, refusal.to_string());
        if status == StatusCode::FORBIDDEN { error } else { error.retry_after(REGION_RETRY_SECS) }
    }
}

/// A JSON answer that nobody may keep.
#[must_use]
pub fn json(status: StatusCode, body: &impl Serialize) -> Response {
    // Only strings, numbers and arrays of them are serialised here: nothing that could fail.
    let bytes = serde_json::to_vec(body).unwrap_or_default();
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;

    use super::*;

    async fn body_of(error: ApiError) -> (u16, String) {
        let response = error.respond(&RequestId("the-id".to_owned()));
        let status = response.status().as_u16();
        let bytes = to_bytes(response.into_body(), 10_000).await.unwrap();
        (status, String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn an_internal_error_tells_nothing_of_the_inside() {
        let expected =
            r#"{"error":"internal","message":"the server failed; its log tells why","requestId":"the-id"}"#.to_owned();
        assert_eq!(body_of(ApiError::from(MintError::NoRandomness)).await, (500, expected));
    }
}
