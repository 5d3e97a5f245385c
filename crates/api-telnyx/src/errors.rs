//! Errors in the vendor's shape (`compat/telnyx.md#errors-of-the-rest-calls`).

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use causeway_api_http::{ApiError, json};
use causeway_app::StoreError;
use serde_json::{Value, json as object};

/// Where the fault is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// A field of the body.
    Pointer(String),
    /// A parameter of the query.
    Parameter(String),
}

/// An answer that is not a success.
#[derive(Clone, Debug)]
pub(crate) struct TelnyxError {
    status: StatusCode,
    code: &'static str,
    title: &'static str,
    detail: String,
    source: Option<Source>,
}

impl TelnyxError {
    pub(crate) fn new(status: u16, code: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self { status, code, title, detail: detail.into(), source: None }
    }

    pub(crate) fn at(self, pointer: &str) -> Self {
        Self { source: Some(Source::Pointer(format!("/{}", pointer.replace('.', "/")))), ..self }
    }

    pub(crate) fn in_query(self, parameter: &str) -> Self {
        Self { source: Some(Source::Parameter(parameter.to_owned())), ..self }
    }

    pub(crate) fn not_found() -> Self {
        Self::new(404, "10005", "Resource not found", "The requested resource or URL could not be found.")
    }

    pub(crate) fn missing(field: &str) -> Self {
        Self::new(422, "10004", "Missing required parameter", format!("{field} is required.")).at(field)
    }

    pub(crate) fn invalid(field: &str, detail: &str) -> Self {
        Self::new(422, "10015", "Invalid value", format!("{field}: {detail}")).at(field)
    }

    pub(crate) fn invalid_type(field: &str, expected: &str) -> Self {
        Self::new(422, "10025", "Invalid parameter type", format!("{field} must be {expected}.")).at(field)
    }

    pub(crate) fn invalid_enum(field: &str, allowed: &[&str]) -> Self {
        let detail = format!("{field} must be one of: {}.", allowed.join(", "));
        Self::new(422, "10032", "Invalid enumerated value", detail).at(field)
    }

    pub(crate) fn invalid_length(field: &str, detail: &str) -> Self {
        Self::new(422, "10020", "Invalid parameter length", format!("{field} {detail}.")).at(field)
    }

    pub(crate) fn out_of_range(field: &str, detail: &str) -> Self {
        Self::new(422, "10033", "Value outside of range", format!("{field} {detail}.")).at(field)
    }

    pub(crate) fn invalid_url(field: &str, detail: &str) -> Self {
        Self::new(422, "10003", "Invalid URL", format!("{field}: {detail}")).at(field)
    }

    pub(crate) fn invalid_json() -> Self {
        Self::new(400, "10023", "Invalid JSON", "The request body is not a JSON object.")
    }

    pub(crate) fn duplicate(field: &str) -> Self {
        Self::new(409, "10012", "Duplicate resource", format!("{field} is taken.")).at(field)
    }

    /// A command that this server cannot do.
    pub(crate) fn unsupported(what: &str) -> Self {
        let detail = format!("{what} needs a media endpoint on the server, which is not part of this one.");
        Self::new(422, "10038", "Feature not available", detail)
    }

    pub(crate) const fn status(&self) -> StatusCode {
        self.status
    }

    pub(crate) fn body(&self) -> Value {
        let mut error = object!({"code": self.code, "title": self.title, "detail": self.detail});
        if let (Some(source), Some(error)) = (&self.source, error.as_object_mut()) {
            let source = match source {
                Source::Pointer(pointer) => object!({"pointer": pointer}),
                Source::Parameter(parameter) => object!({"parameter": parameter}),
            };
            error.insert("source".to_owned(), source);
        }
        object!({"errors": [error]})
    }
}

impl IntoResponse for TelnyxError {
    fn into_response(self) -> Response {
        json(self.status, &self.body())
    }
}

impl From<StoreError> for TelnyxError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Exists { .. } => Self::duplicate("user_name"),
            StoreError::Unavailable { .. } | StoreError::BadCursor => {
                tracing::warn!(%error, "the store did not answer");
                Self::new(503, "10037", "Service unavailable", "The store does not answer; try again shortly.")
            }
        }
    }
}

impl From<ApiError> for TelnyxError {
    fn from(error: ApiError) -> Self {
        let (code, title) = match error.status().as_u16() {
            400 => ("10015", "Bad Request"),
            401 => ("10009", "Authentication failed"),
            403 => ("10010", "Authorization failed"),
            404 => ("10005", "Resource not found"),
            405 => ("10030", "Method not allowed"),
            409 => ("10012", "Duplicate resource"),
            413 => ("10020", "Invalid parameter length"),
            415 => ("10014", "Unsupported Media Type"),
            422 => ("10027", "Unprocessable entity"),
            429 => ("10011", "Too many requests"),
            503 => ("10037", "Service unavailable"),
            _ => ("10007", "Unexpected error"),
        };
        Self::new(error.status().as_u16(), code, title, error.message())
    }
}

/// An answer of the layers above, in this family's shape.
pub(crate) fn rendered(mut response: Response) -> Response {
    let Some(error) = response.extensions_mut().remove::<ApiError>() else { return response };
    let mut own = TelnyxError::from(error.clone()).into_response();
    error.mark(&mut own, "Bearer");
    for (name, value) in response.headers() {
        if *name != header::CONTENT_TYPE && *name != header::CONTENT_LENGTH {
            let value: HeaderValue = value.clone();
            own.headers_mut().entry(name.clone()).or_insert(value);
        }
    }
    own
}
