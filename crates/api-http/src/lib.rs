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

use std::{net::IpAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Request, State},
    handler::Handler,
    http::{Extensions, HeaderName, HeaderValue, StatusCode, Uri},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use tokio::time::timeout;

pub use access::{Access, Guard, RouteAccess, authorize};
pub use body::{BODY_BYTES_MAX, taken};
pub use claim::{
    COOKIE, CSRF_HEADER, Claim, OverTls, SECURE_COOKIE, client_address, cookie, is_same_origin, is_secure,
};
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

/// What a family does in its own way, for requests that its handlers never saw or did not answer in time.
pub trait Manners: Send + Sync + 'static {
    /// How long a request may take, when longer than others.
    fn patience(&self, uri: &Uri) -> Option<Duration>;

    /// How large a request's body may be, when larger than others'.
    fn body_bytes_max(&self, uri: &Uri) -> Option<usize>;

    /// An error in the family's shape; none for a request that is not the family's.
    fn write(&self, uri: &Uri, error: &ApiError, id: &RequestId) -> Option<Response>;
}

/// What every route does: it has a request id, reads bodies whole and within bounds, and says in one shape what went
/// wrong, unknown paths and methods included.
pub fn with_manners(routes: Router) -> Router {
    with_manners_and(routes, unknown_path, None)
}

/// The same, with `elsewhere` to answer the paths that no route has, and a family with manners of its own.
pub fn with_manners_and<H: Handler<T, ()>, T: 'static>(
    routes: Router,
    elsewhere: H,
    own: Option<Arc<dyn Manners>>,
) -> Router {
    routes
        .fallback(elsewhere)
        .method_not_allowed_fallback(unknown_method)
        .layer(middleware::from_fn_with_state(own.clone(), in_time))
        .layer(middleware::from_fn_with_state(own.clone(), body::whole))
        .layer(middleware::from_fn_with_state(own, with_request_id))
}

/// The family with manners of its own, as layers are given it.
pub(crate) type Own = State<Option<Arc<dyn Manners>>>;

async fn with_request_id(State(own): Own, mut request: Request, next: Next) -> Response {
    let id = RequestId(uuid::Uuid::new_v4().to_string());
    request.extensions_mut().insert(id.clone());
    let mut response = match own {
        None => ApiError::render(next.run(request).await, &id),
        Some(own) => {
            let uri = request.uri().clone();
            let response = next.run(request).await;
            let shaped = response.extensions().get::<ApiError>().and_then(|error| own.write(&uri, error, &id));
            shaped.unwrap_or_else(|| ApiError::render(response, &id))
        }
    };
    if let Ok(value) = HeaderValue::from_str(&id.0) {
        response.headers_mut().insert(HeaderName::from_static("x-request-id"), value);
    }
    response
}

/// Longer than any route takes whose store answers; a stream's answer begins at once.
const PATIENCE: Duration = Duration::from_secs(10);

/// 503 for a request that hangs: the store takes connections and does not answer, perhaps.
async fn in_time(State(own): Own, request: Request, next: Next) -> Response {
    let patience = own.and_then(|own| own.patience(request.uri())).unwrap_or(PATIENCE);
    match timeout(patience, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            tracing::warn!(seconds = patience.as_secs(), "a request was given up");
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

    struct Patient;

    impl Manners for Patient {
        fn patience(&self, uri: &Uri) -> Option<Duration> {
            (uri.path() == "/slow").then(|| Duration::from_secs(60))
        }

        fn body_bytes_max(&self, uri: &Uri) -> Option<usize> {
            (uri.path() == "/slow").then_some(2 * BODY_BYTES_MAX)
        }

        fn write(&self, uri: &Uri, error: &ApiError, id: &RequestId) -> Option<Response> {
            let is_own = uri.path() != "/other";
            is_own.then(|| (error.status(), [("own", format!("{} {}", error.code(), id.0.len()))]).into_response())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_family_waits_longer_where_it_says_so_and_writes_errors_in_its_own_shape() {
        let slow = || async { tokio::time::sleep(Duration::from_secs(30)).await };
        let routes = Router::new().route("/slow", get(slow)).route("/fast", get(slow)).route("/other", get(slow));
        let router = with_manners_and(routes, unknown_path, Some(Arc::new(Patient)));
        let ask = |path: &str, body: Body| router.clone().oneshot(Request::get(path).body(body).unwrap());
        assert_eq!(ask("/slow", Body::empty()).await.unwrap().status(), StatusCode::OK);
        let late = ask("/fast", Body::empty()).await.unwrap();
        assert_eq!(
            (late.status(), &late.headers()["own"]),
            (StatusCode::SERVICE_UNAVAILABLE, &"relay_unavailable 36".parse().unwrap())
        );
        assert!(!ask("/other", Body::empty()).await.unwrap().headers().contains_key("own"));
        let large = |bytes: usize| Body::from(vec![b'x'; bytes]);
        assert_eq!(ask("/slow", large(2 * BODY_BYTES_MAX)).await.unwrap().status(), StatusCode::OK);
        for (path, bytes) in [("/slow", 2 * BODY_BYTES_MAX + 1), ("/fast", BODY_BYTES_MAX + 1)] {
            assert_eq!(ask(path, large(bytes)).await.unwrap().headers()["own"], "body_too_large 36", "{path}");
        }
    }
}
