//! The cookie of a sign-in.

use std::time::Duration;

use axum::{
    http::{HeaderValue, header, request::Parts},
    response::Response,
};
use causeway_api_http::{COOKIE, SECURE_COOKIE, is_secure};
use causeway_types::Secret;

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

fn set(response: &mut Response, text: &str) {
    // A secret is base64url, so this is always a header's value.
    if let Ok(mut value) = HeaderValue::from_str(text) {
        value.set_sensitive(true);
        response.headers_mut().append(header::SET_COOKIE, value);
    }
}
