//! The cookies: of a sign-in, and of one that is under way at a provider.

use std::time::Duration;

use axum::{
    http::{HeaderValue, header, request::Parts},
    response::Response,
};
use causeway_api_http::{COOKIE, SECURE_COOKIE, cookie, is_secure};
use causeway_types::Secret;

/// While somebody is at the provider; over plain HTTP and over TLS, as for [`COOKIE`].
const FLOW_COOKIE: &str = "causeway_oidc";
const SECURE_FLOW_COOKIE: &str = "__Host-causeway_oidc";
/// How long a browser keeps it.
const FLOW_SECS: u64 = 600;

/// Has the browser keep a sign-in. Scripts cannot read it, and it goes with requests of this server's own pages only.
///
/// Source: RFC 6265 §4.1.2; RFC 6265bis §4.1.2.7 (`SameSite`), §4.1.3.2 (`__Host-`).
pub(crate) fn keep(mut response: Response, parts: &Parts, secret: &Secret<String>, lifetime: Duration) -> Response {
    let (name, secure) = if is_secure(parts) { (SECURE_COOKIE, "; Secure") } else { (COOKIE, "") };
    let age = lifetime.as_secs();
    set(
        &mut response,
        &format!("{name}={}; Path=/; HttpOnly; SameSite=Strict; Max-Age={age}{secure}", secret.expose()),
    );
    response
}

/// Has the browser forget it.
pub(crate) fn forget(mut response: Response) -> Response {
    set(&mut response, &format!("{COOKIE}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0"));
    set(&mut response, &format!("{SECURE_COOKIE}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0; Secure"));
    response
}

/// Has the browser keep what ties the provider's answer to it, and the path to come back to. `Lax`, since the answer comes from
/// a page of the provider.
pub(crate) fn keep_flow(mut response: Response, parts: &Parts, flow: &str, back: &str) -> Response {
    let (name, secure) = if is_secure(parts) { (SECURE_FLOW_COOKIE, "; Secure") } else { (FLOW_COOKIE, "") };
    set(&mut response, &format!("{name}={flow}{back}; Path=/; HttpOnly; SameSite=Lax; Max-Age={FLOW_SECS}{secure}"));
    response
}

/// What [`keep_flow`] left: the flow, and the path to come back to.
pub(crate) fn flow(parts: &Parts) -> Option<(String, String)> {
    let kept = cookie(parts, FLOW_COOKIE, SECURE_FLOW_COOKIE)?;
    let (flow, back) = kept.split_at(kept.find('/')?);
    Some((flow.to_owned(), back.to_owned()))
}

/// Has the browser forget it: an answer counts once.
pub(crate) fn forget_flow(mut response: Response) -> Response {
    set(&mut response, &format!("{FLOW_COOKIE}=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0"));
    set(&mut response, &format!("{SECURE_FLOW_COOKIE}=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0; Secure"));
    response
}

fn set(response: &mut Response, text: &str) {
    // A secret is base64url, so this is always a header's value.
    if let Ok(mut value) = HeaderValue::from_str(text) {
        value.set_sensitive(true);
        response.headers_mut().append(header::SET_COOKIE, value);
    }
}
