//! What the families of the HTTP interface share: who calls and how often, request ids, whole bodies, parameters, errors.
//!
//! It serves no route and knows no family's field names. Entry points: [`Gate`] and [`authorize`] (who may),
//! [`with_manners`] (what every route does), [`Parameters`], [`ApiError`], [`Routes`] (served and documented at once).

#![forbid(unsafe_code)]

mod access;
mod body;
mod claim;
mod error;
mod extract;
mod gate;
mod parameters;
mod rate;
mod routes;
mod timestamp;

use std::{net::IpAddr, time::Duration};

use axum::{
    Router,
    extract::Request,
    handler::Handler,
    http::{Extensions, HeaderName, HeaderValue, StatusCode},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use tokio::time::timeout;

pub use access::{Access, Guard, RouteAccess, authorize};
pub use body::{BODY_BYTES_MAX, taken, whole};
pub use claim::{COOKIE, CSRF_HEADER, Claim, OverTls, SECURE_COOKIE, client_address, is_same_origin, is_secure};
pub use error::{ApiError, Detail, ErrorBody, json};
pub use extract::{Asked, Caller, Segment, Sent};
pub use gate::{Gate, basic, bearer, project};
pub use parameters::Parameters;
pub use rate::{Allowance, RateLimit};
pub use routes::{Routes, document_errors, error_responses};
pub use timestamp::{Timestamp, parse_time, timestamp};

/// The address a request came from, in its extensions: whoever accepts connections puts it there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requester(pub IpAddr);

/// The address a request came from, where that is known.
#[must_use]
pub fn requester(extensions: &Extensions) -> Option<IpAddr> {
    extensions.get::<Requester>().map(|Requester(ip)| *ip)
}

/// A request's id: in its answer's header, in error bodies and in the log.
#[derive(Clone, Debug, Default)]
pub struct RequestId(pub String);

/// What every route does: it has a request id, reads bodies whole and within bounds, and says in one shape what went
/// wrong, unknown paths and methods included.
pub fn with_manners(routes: Router) -> Router {
    with_manners_and(routes, unknown_path)
}

/// The same, with `elsewhere` to answer the paths that no route has.
pub fn with_manners_and<H: Handler<T, ()>, T: 'static>(routes: Router, elsewhere: H) -> Router {
    routes
        .fallback(elsewhere)
        .method_not_allowed_fallback(unknown_method)
        .layer(middleware::from_fn(in_time))
        .layer(middleware::from_fn(whole))
        .layer(middleware::from_fn(with_request_id))
}

async fn with_request_id(mut request: Request, next: Next) -> Response {
    let id = RequestId(uuid::Uuid::new_v4().to_string());
    request.extensions_mut().insert(id.clone());
    let mut response = ApiError::render(next.run(request).await, &id);
    if let Ok(value) = HeaderValue::from_str(&id.0) {
        response.headers_mut().insert(HeaderName::from_static("x-request-id"), value);
    }
    response
}

/// Longer than any route takes whose store answers; a stream's answer begins at once.
const PATIENCE: Duration = Duration::from_secs(10);

/// 503 for a request that hangs: the store takes connections and does not answer, perhaps.
async fn in_time(request: Request, next: Next) -> Response {
    match timeout(PATIENCE, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            tracing::warn!(seconds = PATIENCE.as_secs(), "a request was given up");
            ApiError::store_down().into_response()
        }
    }
}

/// 404 for a path that nobody serves.
pub async fn unknown_path() -> Response {
    ApiError::not_found().into_response()
}

/// 405; the caller adds `Allow` where the router does not.
pub async fn unknown_method() -> Response {
    let message = "this method is not served at this path; the Allow header names those that are";
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message).into_response()
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, routing::get};
    use tower::ServiceExt as _;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_request_that_hangs_is_answered_503_with_retry_after() {
        let router = with_manners(Router::new().route("/", get(std::future::pending::<&'static str>)));
        let response = router.oneshot(Request::new(Body::empty())).await.unwrap();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()["retry-after"], "1");
        assert!(response.headers().contains_key("x-request-id"));
    }
}
