//! What a browser is told about every file of the console.

use axum::{
    http::{HeaderName, HeaderValue, header},
    response::Response,
};

/// Nothing but the program's own files, and connections to the program itself; no inline script or style, no `eval`, no
/// frame around it, no form that a browser sends by itself (a password in a form must go through the console's code).
///
/// Source: Content Security Policy Level 3 §6.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                                           font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; \
                                           form-action 'none'; frame-ancestors 'none'";

/// Features of the browser that the console does not use.
const PERMISSIONS_POLICY: &str = "camera=(), microphone=(), geolocation=(), payment=(), usb=(), display-capture=()";

/// How long a browser may keep a file: one whose name changes with its content for ever, others must be asked for again.
pub(crate) fn fresh(is_hashed: bool) -> HeaderValue {
    HeaderValue::from_static(if is_hashed { "public, max-age=31536000, immutable" } else { "no-cache" })
}

/// Adds what protects a page.
pub(crate) fn protect(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (HeaderName::from_static("permissions-policy"), PERMISSIONS_POLICY),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
