//! How a request says who it is from: an API token, or the cookie of somebody who signed in.

use std::net::{IpAddr, Ipv4Addr};

use axum::http::{HeaderMap, HeaderName, Method, header, request::Parts};
use causeway_credentials::sign_in;
use causeway_types::Secret;

use crate::{bearer, requester};

/// The cookie over plain HTTP.
pub const COOKIE: &str = "causeway";
/// The cookie over TLS: a browser takes it only from this host, over TLS and for every path, so nothing else can plant it.
///
/// Source: RFC 6265bis §4.1.3.2.
pub const SECURE_COOKIE: &str = "__Host-causeway";
/// Repeats [`sign_in::csrf_token`] of the cookie.
pub const CSRF_HEADER: HeaderName = HeaderName::from_static("x-csrf-token");

/// Who a request says it is from.
#[derive(Clone, Debug)]
pub enum Claim {
    /// Whoever holds this API token.
    Token(String),
    /// Whoever signed in and holds this secret.
    SignIn {
        /// What the cookie says.
        secret: Secret<String>,
        /// Whether the request was made by the console's own page; a page elsewhere can only make others.
        is_own: bool,
    },
}

impl Claim {
    /// The API token of `Authorization: Bearer …`, else the cookie.
    #[must_use]
    pub fn of(parts: &Parts) -> Option<Self> {
        if parts.headers.contains_key(header::AUTHORIZATION) {
            return bearer(&parts.headers).map(|token| Self::Token(token.to_owned()));
        }
        let secret = cookie(parts, COOKIE, SECURE_COOKIE)?;
        let is_own = is_harmless(&parts.method)
            || (is_same_origin(&parts.headers) == Some(true) && repeats_csrf_token(&parts.headers, &secret));
        Some(Self::SignIn { secret: Secret::new(secret), is_own })
    }
}

fn is_harmless(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// The value of a cookie, which has one name over plain HTTP and another over TLS.
#[must_use]
pub fn cookie(parts: &Parts, plain: &str, secure: &str) -> Option<String> {
    let find = |name: &str| {
        let all = parts.headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
        let mut pairs = all.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs.find(|(found, value)| *found == name && !value.is_empty()).map(|(_, value)| value.to_owned())
    };
    // Over TLS the plain name does not count: whoever rules a neighbouring host could have planted it.
    if is_secure(parts) { find(secure) } else { find(plain) }
}

fn repeats_csrf_token(headers: &HeaderMap, secret: &str) -> bool {
    // What is compared is a hash that nobody can steer bit by bit, so its time tells nothing.
    headers.get(CSRF_HEADER).is_some_and(|given| given.as_bytes() == sign_in::csrf_token(secret).as_bytes())
}

/// Whether a request comes from a page of this server, as the browser says; none when it says nothing.
///
/// Source: Fetch Metadata Request Headers §2.3; RFC 6454 §7.
#[must_use]
pub fn is_same_origin(headers: &HeaderMap) -> Option<bool> {
    if let Some(site) = headers.get("sec-fetch-site") {
        return Some(site == "same-origin" || site == "none");
    }
    let origin = headers.get(header::ORIGIN)?.to_str().unwrap_or("null");
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let named = origin.split_once("://").map(|(_, host)| host);
    Some(named.is_some() && named == host)
}

/// In the extensions of a request that came over TLS: whoever accepts connections puts it there.
#[derive(Clone, Copy, Debug)]
pub struct OverTls;

/// Whether the browser speaks TLS, with this server or with what stands in front of it. Somebody who lies about it only
/// gets cookies that do not work.
#[must_use]
pub fn is_secure(parts: &Parts) -> bool {
    parts.extensions.get::<OverTls>().is_some()
        || parts.headers.get("x-forwarded-proto").is_some_and(|proto| proto == "https")
}

/// Where a request comes from: the other end of the connection, or where that is a proxy on this host, whom the proxy names.
#[must_use]
pub fn client_address(parts: &Parts) -> IpAddr {
    let peer = requester(&parts.extensions).map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.to_canonical());
    if !peer.is_loopback() {
        return peer;
    }
    let named = parts.headers.get_all("x-forwarded-for").into_iter().next_back();
    let last = named.and_then(|value| value.to_str().ok()?.rsplit(',').next()?.trim().parse().ok());
    last.unwrap_or(peer)
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;
    use crate::Requester;

    const SECRET: &str = "c2VjcmV0";

    fn parts(method: &str, headers: &[(&str, &str)]) -> Parts {
        let request =
            headers.iter().fold(Request::builder().method(method), |all, (name, value)| all.header(*name, *value));
        request.body(()).unwrap().into_parts().0
    }

    fn is_own(method: &str, headers: &[(&str, &str)]) -> bool {
        let cookie = format!("other=1; {COOKIE}={SECRET}");
        let all: Vec<(&str, &str)> = headers.iter().copied().chain([("cookie", cookie.as_str())]).collect();
        match Claim::of(&parts(method, &all)) {
            Some(Claim::SignIn { secret, is_own }) => {
                assert_eq!(secret.expose(), SECRET);
                is_own
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_changes_something_needs_the_csrf_token_and_the_same_origin() {
        let token = sign_in::csrf_token(SECRET);
        let csrf = ("x-csrf-token", token.as_str());
        let (own, host) = (("origin", "http://console.example:8080"), ("host", "console.example:8080"));
        for harmless in ["GET", "HEAD"] {
            assert!(is_own(harmless, &[("sec-fetch-site", "cross-site")]), "{harmless}");
        }
        for method in ["POST", "PUT", "PATCH", "DELETE"] {
            assert!(is_own(method, &[csrf, ("sec-fetch-site", "same-origin")]));
            assert!(is_own(method, &[csrf, own, host]));
            assert!(!is_own(method, &[csrf]), "a browser always says where a request is from");
            assert!(!is_own(method, &[("sec-fetch-site", "same-origin")]), "no token");
            assert!(!is_own(method, &[("x-csrf-token", SECRET), ("sec-fetch-site", "same-origin")]), "a wrong one");
            assert!(!is_own(method, &[csrf, ("sec-fetch-site", "same-site")]));
            assert!(!is_own(method, &[csrf, ("sec-fetch-site", "cross-site"), own, host]));
            assert!(!is_own(method, &[csrf, ("origin", "http://evil.example"), host]));
            assert!(!is_own(method, &[csrf, ("origin", "null"), host]));
            assert!(!is_own(method, &[csrf, ("origin", "null")]));
        }
    }

    #[test]
    fn an_authorization_counts_before_a_cookie() {
        let cookie = format!("{COOKIE}={SECRET}");
        let both = parts("POST", &[("authorization", "Bearer cwp_x"), ("cookie", &cookie)]);
        assert!(matches!(Claim::of(&both), Some(Claim::Token(token)) if token == "cwp_x"));
        let strange = parts("POST", &[("authorization", "Basic eA=="), ("cookie", &cookie)]);
        assert!(Claim::of(&strange).is_none());
        assert!(Claim::of(&parts("GET", &[])).is_none());
    }

    #[test]
    fn over_tls_only_the_cookie_that_cannot_be_planted_counts() {
        let planted = format!("{COOKIE}={SECRET}");
        assert!(Claim::of(&parts("GET", &[("cookie", &planted), ("x-forwarded-proto", "https")])).is_none());
        let own = format!("{planted}; {SECURE_COOKIE}=own");
        let claim = Claim::of(&parts("GET", &[("cookie", &own), ("x-forwarded-proto", "https")]));
        assert!(matches!(claim, Some(Claim::SignIn { secret, .. }) if secret.expose() == "own"));
    }

    #[test]
    fn only_a_proxy_on_this_host_names_somebody_else() {
        let address = |peer: [u8; 4], forwarded: &str| {
            let mut parts = parts("GET", &[("x-forwarded-for", forwarded)]);
            parts.extensions.insert(Requester(peer.into()));
            client_address(&parts).to_string()
        };
        assert_eq!(address([192, 0, 2, 1], "203.0.113.7"), "192.0.2.1");
        assert_eq!(address([127, 0, 0, 1], "10.0.0.1, 203.0.113.7"), "203.0.113.7");
        assert_eq!(address([127, 0, 0, 1], "unknown"), "127.0.0.1");
    }
}
