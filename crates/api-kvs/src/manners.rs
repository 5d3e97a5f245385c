//! What this family does in its own way before and after its handlers: AWS's shape of errors, larger bodies, one long call.

use std::{sync::Arc, time::Duration};

use axum::{
    http::{StatusCode, Uri},
    response::{IntoResponse, Response},
};
use causeway_api_http::{ApiError, Manners, RequestId};

use crate::{
    Hub,
    call::{OPERATIONS, Operation, dress},
    error::KvsError,
    ice::OFFER_TTL_MAX,
    socket::is_signed_query,
};

/// Largest body: fifty tags of the longest names and values, every character of them four bytes.
pub(crate) const BODY_BYTES_MAX: usize = 128 * 1024;
/// What a call may take beyond what it waits for.
const MARGIN: Duration = Duration::from_secs(10);

/// Of calls to [`OPERATIONS`] and of the signalling WebSocket.
#[derive(Debug)]
pub(crate) struct KvsManners {
    pub(crate) hub: Arc<Hub>,
}

impl Manners for KvsManners {
    fn patience(&self, uri: &Uri) -> Option<Duration> {
        (operation(uri) == Some(Operation::SendAlexaOfferToMaster)).then_some(OFFER_TTL_MAX + MARGIN)
    }

    fn body_bytes_max(&self, uri: &Uri) -> Option<usize> {
        operation(uri).map(|_| BODY_BYTES_MAX)
    }

    fn write(&self, uri: &Uri, error: &ApiError, id: &RequestId) -> Option<Response> {
        let is_socket = uri.path() == "/" && uri.query().is_some_and(is_signed_query);
        if operation(uri).is_none() && !is_socket {
            return None;
        }
        let error = translated(error);
        self.hub.refusals.note(error.name());
        let mut response = error.into_response();
        dress(&mut response, Some(id));
        Some(response)
    }
}

fn operation(uri: &Uri) -> Option<Operation> {
    OPERATIONS.iter().find(|(path, _)| *path == uri.path()).map(|(_, operation)| *operation)
}

fn translated(error: &ApiError) -> KvsError {
    let (status, text) = (error.status(), error.message().to_owned());
    let name = match status {
        StatusCode::BAD_REQUEST => "SerializationException",
        StatusCode::REQUEST_TIMEOUT => "RequestTimeoutException",
        StatusCode::PAYLOAD_TOO_LARGE => "RequestEntityTooLargeException",
        StatusCode::SERVICE_UNAVAILABLE => return KvsError::unavailable(),
        _ => return KvsError::internal(),
    };
    KvsError::new(status, name, text)
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use causeway_signal_core::Limits;
    use serde_json::{Value, json};

    use super::*;

    fn manners() -> KvsManners {
        KvsManners { hub: Hub::new(Limits::ROOMY, 1) }
    }

    #[tokio::test]
    async fn errors_from_before_the_handlers_have_the_shape_of_aws() {
        let (manners, id) = (manners(), RequestId("the-id".to_owned()));
        for (error, status, name) in [
            (ApiError::too_large(7), 413, "RequestEntityTooLargeException"),
            (ApiError::new(StatusCode::REQUEST_TIMEOUT, "x", "late"), 408, "RequestTimeoutException"),
            (ApiError::new(StatusCode::BAD_REQUEST, "x", "cut off"), 400, "SerializationException"),
            (ApiError::store_down(), 503, "ServiceUnavailable"),
            (ApiError::internal(), 500, "InternalFailure"),
        ] {
            for uri in ["/TagResource", "/?X-Amz-Signature=x"] {
                let response = manners.write(&Uri::from_static(uri), &error, &id).expect("of this family");
                assert_eq!(
                    (response.status().as_u16(), &response.headers()["x-amzn-errortype"]),
                    (status, &name.parse().unwrap())
                );
                assert_eq!(response.headers()["x-amzn-requestid"], "the-id");
                assert_eq!(response.headers()["access-control-allow-origin"], "*");
                let body: Value = serde_json::from_slice(&to_bytes(response.into_body(), 1000).await.unwrap()).unwrap();
                assert_eq!(body["__type"], json!(name));
                assert!(body["Message"].as_str().is_some_and(|text| !text.is_empty()), "{body}");
            }
            for uri in ["/", "/?service=turn", "/api/v1/rooms"] {
                assert!(manners.write(&Uri::from_static(uri), &error, &id).is_none(), "{uri}");
            }
        }
        let counts = manners.hub.refusals.counts();
        assert_eq!(counts.iter().filter(|(_, count)| *count == 2).count(), 5);
        assert_eq!(counts.len(), crate::error::NAMES.len());
    }

    #[test]
    fn only_the_call_that_waits_for_a_master_may_take_long_and_every_call_may_be_large() {
        let manners = manners();
        let patience = |path: &'static str| manners.patience(&Uri::from_static(path));
        assert_eq!(patience("/v1/send-alexa-offer-to-master"), Some(Duration::from_secs(130)));
        assert_eq!((patience("/TagResource"), patience("/")), (None, None));
        let most = |path: &'static str| manners.body_bytes_max(&Uri::from_static(path));
        assert_eq!((most("/TagResource"), most("/api/v1/rooms")), (Some(BODY_BYTES_MAX), None));
    }
}
