//! Errors of this family: one shape, every bad field named (`compat/turnix.md#errors`).

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::Response,
};
use causeway_app::MintError;
use serde::Serialize;

use crate::RequestId;

/// An answer that is not a success.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    details: Vec<Detail>,
    retry_after_secs: Option<u64>,
}

/// One bad field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Detail {
    pub(crate) field: &'static str,
    pub(crate) code: &'static str,
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    error: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "<[Detail]>::is_empty")]
    details: &'a [Detail],
    #[serde(rename = "requestId")]
    request_id: &'a str,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), details: Vec::new(), retry_after_secs: None }
    }

    /// 422 with every bad field and the message of the first.
    pub(crate) fn invalid(message: String, details: Vec<Detail>) -> Self {
        Self { details, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_parameter", message) }
    }

    pub(crate) fn retry_after(self, secs: u64) -> Self {
        Self { retry_after_secs: Some(secs), ..self }
    }

    pub(crate) fn store_down() -> Self {
        let message = "the credential store does not answer; try again shortly";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "relay_unavailable", message).retry_after(1)
    }

    pub(crate) fn respond(&self, id: &RequestId) -> Response {
        let body = ErrorBody { error: self.code, message: &self.message, details: &self.details, request_id: &id.0 };
        let mut response = json(self.status, &body);
        let headers = response.headers_mut();
        if self.status == StatusCode::UNAUTHORIZED {
            let challenge = if self.code == "missing_token" {
                r#"Bearer realm="causeway""#
            } else {
                r#"Bearer realm="causeway", error="invalid_token""#
            };
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if let Some(secs) = self.retry_after_secs {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(secs));
        }
        response
    }
}

impl From<MintError> for ApiError {
    fn from(error: MintError) -> Self {
        match error {
            MintError::Store(error) => {
                tracing::warn!(%error, "minting failed");
                Self::store_down()
            }
            MintError::NoSecret => {
                let message = "TURN REST is off: set CAUSEWAY_TURN_SECRET on the server";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "relay_unavailable", message).retry_after(60)
            }
            MintError::NoRandomness | _ => {
                tracing::error!(%error, "minting failed");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the server failed; its log tells why")
            }
        }
    }
}

/// A JSON answer that nobody may keep.
pub(crate) fn json(status: StatusCode, body: &impl Serialize) -> Response {
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
