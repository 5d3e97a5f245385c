//! Pages of lists: `{"data":[…],"nextCursor":…}`, `limit` and `cursor`.

use axum::{http::StatusCode, response::Response};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use causeway_api_http::{Parameters, json};
use causeway_app::{Order, Page, PageRequest};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

/// Longest page.
const LIMIT_MAX: u64 = 200;

/// Which part of a list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only its document is used: parameters are read one by one, to name every fault")]
pub(crate) struct PageQuery {
    /// Entries on a page; 50 when not given.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// `nextCursor` of the page before.
    cursor: Option<String>,
}

/// A part of a list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct List<T> {
    /// What is on it.
    pub(crate) data: Vec<T>,
    /// Where the next one begins; null on the last one.
    pub(crate) next_cursor: Option<String>,
}

/// Reads `limit` and `cursor`.
pub(crate) fn request(parameters: &mut Parameters) -> PageRequest {
    let mut page = PageRequest::default();
    match parameters.count("limit") {
        Some(limit) if limit > LIMIT_MAX => {
            parameters.fault("limit", "too_large", format!("limit: at most {LIMIT_MAX}"));
        }
        Some(limit) => page.limit = u32::try_from(limit).unwrap_or(u32::MAX),
        None => {}
    }
    if let Some(text) = parameters.text("cursor") {
        page.after = URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        if page.after.as_ref().is_none_or(|place| place.chars().any(char::is_control)) {
            parameters.fault("cursor", "bad_cursor", "cursor: not a cursor of this list".to_owned());
        }
    }
    page
}

/// Longest text to search for.
const SEARCH_BYTES_MAX: usize = 200;

/// Reads `search`.
pub(crate) fn search(parameters: &mut Parameters) -> Option<String> {
    parameters.plain_text("search", SEARCH_BYTES_MAX)
}

/// Reads `sort`: one of the keys, with `-` in front for the most first. A cursor is good for one order only.
pub(crate) fn order<K: Copy>(parameters: &mut Parameters, keys: &[(&str, K)]) -> Order<K>
where
    Order<K>: Default,
{
    let Some(text) = parameters.text("sort") else { return Order::default() };
    let (name, is_descending) = text.strip_prefix('-').map_or((text.as_str(), false), |name| (name, true));
    if let Some((_, by)) = keys.iter().find(|(key, _)| *key == name) {
        return Order { by: *by, is_descending };
    }
    let known: Vec<&str> = keys.iter().map(|(key, _)| *key).collect();
    parameters.fault("sort", "bad_value", format!("sort: must be one of {}, or one with - in front", known.join(", ")));
    Order::default()
}

/// The cursor of a page as it is shown.
pub(crate) fn shown(place: Option<String>) -> Option<String> {
    place.map(|place| URL_SAFE_NO_PAD.encode(place))
}

/// Answers with a page. The cursor is the store's place in a form that nobody is tempted to make up.
pub(crate) fn answer<V, T: Serialize>(page: Page<V>, entry: impl Fn(V) -> T) -> Response {
    let next_cursor = shown(page.next);
    json(StatusCode::OK, &List { data: page.items.into_iter().map(entry).collect(), next_cursor })
}

/// Answers with a whole list.
pub(crate) fn whole<T: Serialize>(data: Vec<T>) -> Response {
    json(StatusCode::OK, &List { data, next_cursor: None })
}
