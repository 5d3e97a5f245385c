//! Who signed a request.

use axum::http::request::Parts;
use causeway_app::AccessKey;
use causeway_credentials::sigv4::{self, HttpRequest};
use causeway_types::Now;

use crate::{ApiState, KvsStore, error::KvsError};

/// In credential scopes.
const SERVICE: &str = "kinesisvideo";
/// What an unknown key is verified with, so that it costs what a known one costs.
const NOBODYS_SECRET: &str = "0000000000000000000000000000000000000000";

/// The key that signed a request, if it may be used (`compat/aws-kvs.md#signatures`).
pub(crate) async fn authenticate<S: KvsStore>(
    state: &ApiState<S>,
    parts: &Parts,
    body: &[u8],
) -> Result<AccessKey, KvsError> {
    let now = Now::read().unix;
    let mut headers: Vec<(&str, &str)> = Vec::with_capacity(parts.headers.len() + 1);
    if let Some(authority) = parts.uri.authority().filter(|_| !parts.headers.contains_key("host")) {
        headers.push(("host", authority.as_str()));
    }
    let known = parts.headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    headers.extend(known);
    let request = HttpRequest {
        method: parts.method.as_str(),
        path: parts.uri.path(),
        query: parts.uri.query().unwrap_or_default(),
        headers: &headers,
        body,
    };
    let refuse = |fault| KvsError::signature(fault, now);
    let presented = sigv4::read(&request).map_err(refuse)?;
    let key = state.keys.find(&presented.access_key).await?;
    let key = key.filter(|key| key.revoked_at.is_none() && !key.is_project_disabled);
    let secret = key.as_ref().map_or(NOBODYS_SECRET, |key| key.secret.expose());
    let verified = presented.verify(&request, secret, &state.settings.region, SERVICE, now);
    let key = key.ok_or_else(KvsError::unknown_client)?;
    verified.map_err(refuse)?;
    let expected = key.session_token.as_ref().map(|token| token.expose().as_bytes());
    let shown = presented.session_token.as_deref().map(str::as_bytes);
    let is_same = match (expected, shown) {
        (Some(expected), Some(shown)) => aws_lc_rs::constant_time::verify_slices_are_equal(expected, shown).is_ok(),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    };
    if !is_same {
        return Err(KvsError::unknown_client());
    }
    if key.expires_at.is_some_and(|at| at <= now) {
        return Err(if key.session_token.is_some() { KvsError::expired_token() } else { KvsError::unknown_client() });
    }
    state.keys.note_use(&key, now);
    Ok(key)
}
