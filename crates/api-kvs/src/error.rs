//! Errors as AWS writes them: a name in a header and in the body, a text, a status.

use std::borrow::Cow;

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use causeway_app::{MintError, StoreError};
use causeway_credentials::sigv4::{self, Fault};
use causeway_types::UnixTime;
use serde_json::json;

/// An error of this family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KvsError {
    status: StatusCode,
    name: &'static str,
    message: Cow<'static, str>,
}

/// Every name an error may have.
pub(crate) const NAMES: &[&str] = &[
    "AccessDeniedException",
    "AccountChannelLimitExceededException",
    "ClientLimitExceededException",
    "ExpiredTokenException",
    "IncompleteSignatureException",
    "InternalFailure",
    "InvalidArgumentException",
    "InvalidClientException",
    "InvalidSignatureException",
    "MissingAuthenticationTokenException",
    "NotAuthorizedException",
    "RequestEntityTooLargeException",
    "RequestTimeoutException",
    "ResourceInUseException",
    "ResourceNotFoundException",
    "SerializationException",
    "ServiceUnavailable",
    "SessionExpiredException",
    "TagsPerResourceExceededLimitException",
    "UnknownOperationException",
    "UnrecognizedClientException",
    "VersionMismatchException",
];

/// Errors whose models, or whose live texts, spell the text's member in lower case; they get both.
const LOWER_CASE: &[&str] = &[
    "InvalidClientException",
    "SessionExpiredException",
    "UnrecognizedClientException",
    "InvalidSignatureException",
    "MissingAuthenticationTokenException",
    "IncompleteSignatureException",
    "ExpiredTokenException",
];

impl KvsError {
    pub(crate) fn new(status: StatusCode, name: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        debug_assert!(NAMES.contains(&name), "{name} is in the list");
        Self { status, name, message: message.into() }
    }

    /// For programs.
    pub(crate) const fn name(&self) -> &'static str {
        self.name
    }

    pub(crate) fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "InvalidArgumentException", message)
    }

    pub(crate) fn not_found() -> Self {
        let message = "The requested channel is not found or not active.";
        Self::new(StatusCode::NOT_FOUND, "ResourceNotFoundException", message)
    }

    pub(crate) fn too_fast() -> Self {
        Self::limit("Rate exceeded for this operation on this channel.")
    }

    pub(crate) fn limit(message: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "ClientLimitExceededException", message)
    }

    pub(crate) fn access_denied(action: &str) -> Self {
        let message = format!("User is not authorized to perform: kinesisvideo:{action}");
        Self::new(StatusCode::FORBIDDEN, "AccessDeniedException", message)
    }

    pub(crate) fn not_authorized(action: &str) -> Self {
        let message = format!("User is not authorized to perform: kinesisvideo:{action}");
        Self::new(StatusCode::UNAUTHORIZED, "NotAuthorizedException", message)
    }

    pub(crate) fn unknown_client() -> Self {
        let message = "The security token included in the request is invalid.";
        Self::new(StatusCode::FORBIDDEN, "UnrecognizedClientException", message)
    }

    pub(crate) fn expired_token() -> Self {
        let message = "The security token included in the request is expired";
        Self::new(StatusCode::FORBIDDEN, "ExpiredTokenException", message)
    }

    pub(crate) fn unavailable() -> Self {
        let message = "A part of the server does not answer; try again shortly.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", message)
    }

    pub(crate) fn internal() -> Self {
        let message = "The server failed; its log tells why.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalFailure", message)
    }

    /// Why a signature does not let in.
    pub(crate) fn signature(fault: Fault, now: UnixTime) -> Self {
        let refuse = |name, message: Cow<'static, str>| Self::new(StatusCode::FORBIDDEN, name, message);
        let window = sigv4::SKEW_SECS;
        let date = sigv4::amz_date;
        match fault {
            Fault::Missing => refuse("MissingAuthenticationTokenException", "Missing Authentication Token".into()),
            Fault::Incomplete(what) => refuse("IncompleteSignatureException", what.into()),
            Fault::WrongScope(what) => {
                refuse("InvalidSignatureException", format!("Credential should be scoped to a correct {what}.").into())
            }
            Fault::Expired { signed } => {
                let earliest = UnixTime::from_secs(now.as_secs().saturating_sub(window));
                let text = format!(
                    "Signature expired: {} is now earlier than {} ({} - 5 min.)",
                    date(signed),
                    date(earliest),
                    date(now)
                );
                refuse("InvalidSignatureException", text.into())
            }
            Fault::NotYetCurrent { signed } => {
                let latest = UnixTime::from_secs(now.as_secs().saturating_add(window));
                let text = format!(
                    "Signature not yet current: {} is still later than {} ({} + 5 min.)",
                    date(signed),
                    date(latest),
                    date(now)
                );
                refuse("InvalidSignatureException", text.into())
            }
            Fault::Mismatch => refuse(
                "InvalidSignatureException",
                "The request signature we calculated does not match the signature you provided. Check your AWS Secret \
                 Access Key and signing method. Consult the service documentation for details."
                    .into(),
            ),
        }
    }
}

impl From<StoreError> for KvsError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable { .. } => {
                tracing::warn!(%error, "the store did not answer a request");
                Self::unavailable()
            }
            StoreError::Exists { .. } | StoreError::BadCursor => {
                tracing::error!(%error, "the store refused a request");
                Self::internal()
            }
        }
    }
}

impl From<MintError> for KvsError {
    fn from(error: MintError) -> Self {
        match error {
            MintError::Store(error) => error.into(),
            MintError::Region(_) => Self::unavailable(),
            MintError::NoSecret | MintError::NoRandomness | _ => {
                tracing::error!(%error, "minting failed");
                Self::internal()
            }
        }
    }
}

impl IntoResponse for KvsError {
    fn into_response(self) -> Response {
        let mut body = json!({"__type": self.name, "Message": self.message});
        if LOWER_CASE.contains(&self.name)
            && let Some(members) = body.as_object_mut()
        {
            members.insert("message".to_owned(), self.message.into());
        }
        let mut response = answer(self.status, &body);
        response.headers_mut().insert("x-amzn-errortype", HeaderValue::from_static(self.name));
        response
    }
}

/// A JSON answer. The body goes out in one piece, without escapes that the C client could not take back.
pub(crate) fn answer(status: StatusCode, body: &impl serde::Serialize) -> Response {
    // Only texts, numbers and lists of them: nothing that could fail.
    let mut response = Response::new(Body::from(serde_json::to_vec(body).unwrap_or_default()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clock_faults_say_what_clients_look_for() {
        let (signed, now) = (UnixTime::from_secs(1_700_000_000), UnixTime::from_secs(1_700_000_600));
        assert_eq!(
            KvsError::signature(Fault::Expired { signed }, now).message,
            "Signature expired: 20231114T221320Z is now earlier than 20231114T221820Z (20231114T222320Z - 5 min.)"
        );
        assert_eq!(
            KvsError::signature(Fault::NotYetCurrent { signed: now }, signed).message,
            "Signature not yet current: 20231114T222320Z is still later than 20231114T221820Z (20231114T221320Z + 5 min.)"
        );
    }
}
