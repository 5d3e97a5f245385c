//! Errors in this family's shape (`compat/aculab.md#errors`).

use std::borrow::Cow;

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use causeway_api_http::{ApiError, is_secure, json};
use causeway_app::{MintTokenError, StoreError};
use causeway_types::{Now, UnixTime};
use serde::Serialize;
use time::{OffsetDateTime, format_description::BorrowedFormatItem, macros::format_description};
use utoipa::ToSchema;

/// UTC, without saying so.
const TIME: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day]_[hour]:[minute]:[second]");

/// A parameter that must be given is not.
pub(crate) const MISSING: &str = "0001";
/// A parameter is not what it must be.
pub(crate) const MALFORMED: &str = "0002";
/// A parameter is given twice that may be given once.
pub(crate) const REPEATED: &str = "0003";
/// A number is zero that may not be.
pub(crate) const ZERO: &str = "0004";

/// An answer that is not a success. As a response it is empty and carries itself until `in_own_shape` writes it down.
#[derive(Clone, Debug)]
pub struct Fault {
    status: StatusCode,
    /// Four digits; none: the status says it.
    code: Option<&'static str>,
    text: Cow<'static, str>,
    details: Vec<String>,
}

/// As written. Fields in the order the original sends them.
#[derive(Serialize, ToSchema)]
#[schema(as = AculabError)]
pub(crate) struct ErrorBody {
    error: ErrorDetails,
    request: ErrorRequest,
}

#[derive(Serialize, ToSchema)]
#[schema(as = AculabErrorDetails)]
struct ErrorDetails {
    /// Four digits, or `HTTP` and the status.
    code: String,
    text: String,
    /// Every fault, when there are several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    details: Vec<String>,
    /// UTC.
    #[schema(example = "2021-01-15_08:56:24")]
    datetime: String,
    link: String,
}

#[derive(Serialize, ToSchema)]
#[schema(as = AculabErrorRequest)]
struct ErrorRequest {
    url: String,
    /// UTC.
    #[schema(example = "2021-01-15_08:56:23")]
    datetime: String,
}

impl Fault {
    /// With a status and a text in one line.
    pub(crate) fn new(status: StatusCode, text: impl Into<Cow<'static, str>>) -> Self {
        Self { status, code: None, text: text.into(), details: Vec::new() }
    }

    /// 400: what is wrong with the parameters, at least one thing. The first one's code is the error's.
    pub(crate) fn of_parameters(faults: Vec<(&'static str, String)>) -> Self {
        let code = faults.first().map(|(code, _)| *code);
        let mut details: Vec<String> = faults.into_iter().map(|(_, text)| text).collect();
        let text = match details.len() {
            0 | 1 => details.pop().unwrap_or_default(),
            several => format!("{several} parameters are wrong"),
        };
        Self { status: StatusCode::BAD_REQUEST, code, text: text.into(), details }
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<ApiError> for Fault {
    fn from(error: ApiError) -> Self {
        // What is said elsewhere names another scheme.
        if error.code() == "missing_token" {
            return Self::new(error.status(), "send cloudID/username and an API access key by Basic authentication");
        }
        Self::new(error.status(), error.message().to_owned())
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        ApiError::from(error).into()
    }
}

impl From<MintTokenError> for Fault {
    fn from(error: MintTokenError) -> Self {
        match error {
            MintTokenError::Store(error) => error.into(),
            MintTokenError::QuotaReached { .. } => Self::new(StatusCode::FORBIDDEN, error.to_string()),
            MintTokenError::NoKey | _ => ApiError::internal().into(),
        }
    }
}

/// 405; the router adds `Allow`.
pub(crate) async fn unknown_method() -> Fault {
    Fault::new(StatusCode::METHOD_NOT_ALLOWED, "this method is not served here; use GET or POST")
}

/// Writes errors down as this family's clients read them.
pub(crate) async fn in_own_shape(request: Request, next: Next) -> Response {
    let asked_at = Now::read().unix;
    let (parts, body) = request.into_parts();
    let url = parts.uri.path().to_owned();
    let link = link(&parts.headers, is_secure(&parts));
    let mut response = next.run(Request::from_parts(parts, body)).await;
    let general = response.extensions_mut().remove::<ApiError>();
    let own = response.extensions_mut().remove::<Fault>();
    let Some(fault) = own.or_else(|| general.clone().map(Fault::from)) else { return response };
    let Fault { status, code, text, details } = fault;
    let code = code.map_or_else(|| format!("HTTP {}", status.as_u16()), str::to_owned);
    let datetime = datetime(Now::read().unix);
    let error = ErrorDetails { code, text: text.into_owned(), details, datetime, link };
    let request = ErrorRequest { url, datetime: self::datetime(asked_at) };
    let mut written = json(status, &ErrorBody { error, request });
    if let Some(general) = general {
        general.mark(&mut written, "Basic");
    } else if status == StatusCode::UNAUTHORIZED {
        let challenge = HeaderValue::from_static(r#"Basic realm="causeway""#);
        written.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    written.headers_mut().extend(std::mem::take(response.headers_mut()));
    written
}

/// Where errors are explained: this server's own document.
fn link(headers: &HeaderMap, is_secure: bool) -> String {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    format!("{}://{host}/openapi.json", if is_secure { "https" } else { "http" })
}

/// A time as this family writes it.
pub(crate) fn datetime(at: UnixTime) -> String {
    let at = i64::try_from(at.as_secs()).ok().and_then(|secs| OffsetDateTime::from_unix_timestamp(secs).ok());
    at.and_then(|at| at.format(TIME).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc_in_the_familys_form() {
        assert_eq!(datetime(UnixTime::from_millis(1_610_700_984_999)), "2021-01-15_08:56:24");
    }

    #[test]
    fn one_fault_is_the_text_and_several_are_details() {
        let one = Fault::of_parameters(vec![(MISSING, "client_id is needed".to_owned())]);
        assert_eq!((one.code, &*one.text, one.details.len()), (Some(MISSING), "client_id is needed", 0));
        let two = Fault::of_parameters(vec![(MISSING, "a".to_owned()), (ZERO, "b".to_owned())]);
        assert_eq!((two.code, &*two.text), (Some(MISSING), "2 parameters are wrong"));
        assert_eq!(two.details, ["a", "b"]);
    }
}
