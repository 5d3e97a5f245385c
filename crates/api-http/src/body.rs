//! A request's whole body, taken before anything else is looked at.
//!
//! Size is the first check (`compat/turnix.md#errors`). Reading to the end also lets a refused client see its answer:
//! closing a connection with unread bytes resets it, and what was on the way to the client is lost.

use std::time::Duration;

use axum::{
    body::{Body, Bytes, HttpBody as _},
    extract::{Request, State},
    http::{StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http_body_util::BodyExt as _;
use tokio::time::timeout;

use crate::{ApiError, Own};

/// Largest body.
pub const BODY_BYTES_MAX: usize = 16 * 1024;
/// How much of a larger one is read and thrown away before its answer.
const DISCARDED_BYTES_MAX: usize = 1024 * 1024;
/// How long a body may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Hands the body on in one piece; one that cannot be had is answered 413, 408 or 400.
pub(crate) async fn whole(State(own): Own, request: Request, next: Next) -> Response {
    let max = own.and_then(|own| own.body_bytes_max(request.uri())).unwrap_or(BODY_BYTES_MAX);
    let (parts, body) = request.into_parts();
    // A client that waits for "100 Continue" has not sent its body, and one that is too large it need not send.
    let waits = parts.headers.contains_key(header::EXPECT);
    match read_within(PATIENCE, body, waits, max).await {
        Ok(bytes) => next.run(Request::from_parts(parts, Body::from(bytes))).await,
        Err(error) => error.into_response(),
    }
}

/// The body that was taken whole: it is in memory, and no larger than [`BODY_BYTES_MAX`] or what its family takes.
///
/// # Errors
/// It breaks off.
pub async fn taken(body: Body) -> Result<Bytes, ApiError> {
    body.collect().await.map(http_body_util::Collected::to_bytes).map_err(|_| cut_off())
}

async fn read_within(patience: Duration, body: Body, waits: bool, max: usize) -> Result<Bytes, ApiError> {
    timeout(patience, read(body, waits, max)).await.unwrap_or_else(|_| Err(late()))
}

async fn read(mut body: Body, waits: bool, max: usize) -> Result<Bytes, ApiError> {
    let mut bytes = Vec::new();
    // The lower bound is what the client declared.
    let mut is_too_large = body.size_hint().lower() > max as u64;
    if is_too_large && waits {
        return Err(ApiError::too_large(max));
    }
    let mut n_read = 0;
    while let Some(frame) = body.frame().await {
        // A body that is too large is so even when it ends early.
        let Ok(frame) = frame else { return Err(if is_too_large { ApiError::too_large(max) } else { cut_off() }) };
        let Ok(data) = frame.into_data() else { continue };
        n_read += data.len();
        is_too_large |= n_read > max;
        if !is_too_large {
            bytes.extend_from_slice(&data);
        } else if n_read > DISCARDED_BYTES_MAX {
            break;
        }
    }
    if is_too_large { Err(ApiError::too_large(max)) } else { Ok(Bytes::from(bytes)) }
}

fn cut_off() -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, "malformed_body", "the body ends before its announced end")
}

fn late() -> ApiError {
    let message = format!("the body did not arrive within {} seconds", PATIENCE.as_secs());
    ApiError::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", message)
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        pin::Pin,
        task::{Context, Poll},
    };

    use axum::body::to_bytes;

    use super::*;
    use crate::RequestId;

    /// A body that never comes.
    struct Silence;

    impl axum::body::HttpBody for Silence {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<hyper::body::Frame<Bytes>, Infallible>>> {
            Poll::Pending
        }
    }

    #[tokio::test]
    async fn a_body_that_never_comes_is_given_up() {
        let error = read_within(Duration::from_millis(1), Body::new(Silence), false, BODY_BYTES_MAX).await.unwrap_err();
        let response = error.respond(&RequestId("the-id".to_owned()));
        assert_eq!(response.status().as_u16(), 408);
        let body = to_bytes(response.into_body(), 1000).await.unwrap();
        let expected =
            r#"{"error":"request_timeout","message":"the body did not arrive within 10 seconds","requestId":"the-id"}"#;
        assert_eq!(body, expected);
    }
}
