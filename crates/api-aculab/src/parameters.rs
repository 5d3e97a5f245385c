//! The parameters of a request: of its query, and of its body when it is posted. Order and repetition count.

use std::time::Duration;

use axum::{
    extract::Request,
    http::{Method, StatusCode, header},
};
use causeway_api_http::{basic, taken};
use causeway_app::{CLIENT_TOKEN_TTL_DEFAULT, CLIENT_TOKEN_TTL_MAX, CLIENT_TOKEN_TTL_MIN};
use causeway_credentials::client_token::{CALLEES_MAX, CalleePattern, Callees, ClientId, CloudId};

use crate::{
    Fault,
    fault::{MALFORMED, MISSING, REPEATED, ZERO},
    multipart,
};

/// All of them, and what was found wrong so far.
#[derive(Debug, Default)]
pub(crate) struct Parameters {
    given: Vec<(String, String)>,
    faults: Vec<(&'static str, String)>,
}

impl Parameters {
    /// Takes them from a request, after its user name was looked at: its cloud must be the one that is served.
    pub(crate) async fn of(request: Request, cloud: &CloudId) -> Result<Self, Fault> {
        let (parts, body) = request.into_parts();
        let user = basic(&parts.headers).map(|(user, _)| user).unwrap_or_default();
        if user.split_once('/').is_none_or(|(named, _)| named != cloud.as_str()) {
            let text = "the user name must begin with the cloud ID of this server, as 1-2-0/you@example.com";
            return Err(Fault::new(StatusCode::FORBIDDEN, text));
        }
        let mut given = read_form(parts.uri.query().unwrap_or_default().as_bytes());
        // Some callers announce JSON with a GET that has no body: what a GET sends is not looked at.
        if parts.method == Method::POST {
            let body = taken(body).await?;
            let media_type = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
            given.extend(read_body(media_type.unwrap_or_default(), &body)?);
        }
        Ok(Self { given, faults: Vec::new() })
    }

    /// `client_id`, which must be there.
    pub(crate) fn client_id(&mut self) -> Option<ClientId> {
        let Some(text) = self.one("client_id").filter(|text| !text.is_empty()) else {
            if !self.given.iter().any(|(name, text)| name == "client_id" && !text.is_empty()) {
                self.fault(MISSING, "client_id: is needed");
            }
            return None;
        };
        let client = ClientId::new(&with_plus(&text));
        if client.is_err() {
            self.fault(MALFORMED, "client_id: letters, digits, + - _ and . only, at most 255");
        }
        client.ok()
    }

    /// `ttl` in seconds.
    pub(crate) fn ttl(&mut self) -> Duration {
        let Some(text) = self.one("ttl") else { return CLIENT_TOKEN_TTL_DEFAULT };
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if is_number && text.bytes().all(|byte| byte == b'0') {
            self.fault(ZERO, "ttl: may not be zero");
            return CLIENT_TOKEN_TTL_DEFAULT;
        }
        let ttl = text.parse().ok().filter(|_| is_number).map(Duration::from_secs);
        let ttl = ttl.filter(|ttl| (CLIENT_TOKEN_TTL_MIN..=CLIENT_TOKEN_TTL_MAX).contains(ttl));
        if ttl.is_none() {
            let (min, max) = (CLIENT_TOKEN_TTL_MIN.as_secs(), CLIENT_TOKEN_TTL_MAX.as_secs());
            self.faults.push((MALFORMED, format!("ttl: must be a whole number of seconds from {min} to {max}")));
        }
        ttl.unwrap_or(CLIENT_TOKEN_TTL_DEFAULT)
    }

    /// `enable_incoming`.
    pub(crate) fn enable_incoming(&mut self) -> bool {
        match self.one("enable_incoming").as_deref() {
            None | Some("true") => true,
            Some("false") => false,
            Some(_) => {
                self.fault(MALFORMED, "enable_incoming: must be true or false");
                false
            }
        }
    }

    /// `call_client`: patterns with commas between them, given once or often. An empty one names nobody.
    pub(crate) fn call_client(&mut self) -> Callees {
        let lists = self.given.iter().filter(|(name, text)| name == "call_client" && !text.is_empty());
        let texts: Vec<String> = lists.flat_map(|(_, text)| text.split(',')).map(with_plus).collect();
        if texts.iter().any(|text| CalleePattern::new(text).is_err()) {
            self.fault(MALFORMED, "call_client: client ids, or their beginnings with a * behind, or *");
            return Callees::default();
        }
        Callees::new(texts.iter().map(String::as_str)).unwrap_or_else(|_| {
            self.faults.push((MALFORMED, format!("call_client: at most {CALLEES_MAX}")));
            Callees::default()
        })
    }

    /// The error, when something is wrong.
    pub(crate) fn finish(self) -> Result<(), Fault> {
        if self.faults.is_empty() { Ok(()) } else { Err(Fault::of_parameters(self.faults)) }
    }

    /// A parameter that may be given once.
    fn one(&mut self, name: &str) -> Option<String> {
        let mut values = self.given.iter().filter(|(given, _)| given == name);
        let first = values.next().map(|(_, value)| value.clone());
        if values.next().is_some() {
            self.faults.push((REPEATED, format!("{name}: may be given once")));
            return None;
        }
        first
    }

    fn fault(&mut self, code: &'static str, text: &str) {
        self.faults.push((code, text.to_owned()));
    }
}

/// These callers do not escape what they put into a query: a space was a plus.
fn with_plus(text: &str) -> String {
    text.replace(' ', "+")
}

/// Any bytes are a form; what is not UTF-8 becomes U+FFFD, which no parameter takes.
fn read_form(bytes: &[u8]) -> Vec<(String, String)> {
    serde_urlencoded::from_bytes(bytes).unwrap_or_default()
}

fn read_body(media_type: &str, body: &[u8]) -> Result<Vec<(String, String)>, Fault> {
    if body.is_empty() {
        return Ok(Vec::new());
    }
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match essence.as_str() {
        "application/x-www-form-urlencoded" => Ok(read_form(body)),
        "multipart/form-data" => {
            let fields = multipart::boundary(media_type).and_then(|boundary| multipart::fields(body, boundary));
            fields.ok_or_else(|| Fault::new(StatusCode::BAD_REQUEST, "the multipart body does not parse"))
        }
        _ => {
            let text = "send application/x-www-form-urlencoded or multipart/form-data";
            Err(Fault::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, text))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(query: &str) -> Parameters {
        Parameters { given: read_form(query.as_bytes()), faults: Vec::new() }
    }

    /// The codes of what is wrong when everything was read.
    fn codes(query: &str) -> Vec<&'static str> {
        let mut all = parameters(query);
        (_, _, _, _) = (all.client_id(), all.ttl(), all.enable_incoming(), all.call_client());
        all.faults.into_iter().map(|(code, _)| code).collect()
    }

    #[test]
    fn what_is_not_given_has_its_default() {
        let mut all = parameters("client_id=bob");
        assert_eq!(all.client_id().expect("there").as_str(), "bob");
        assert_eq!((all.ttl().as_secs(), all.enable_incoming()), (3600, true));
        assert_eq!(all.call_client(), Callees::default(), "nobody");
        assert!(all.finish().is_ok());
    }

    #[test]
    fn callees_are_listed_with_commas_and_by_repetition() {
        let mut all = parameters("call_client=a,b*&call_client=c+1&call_client=");
        assert_eq!(all.call_client().texts(), ["a", "b*", "c+1"]);
        assert_eq!(parameters("call_client=*").call_client().texts(), ["*"]);
    }

    #[test]
    fn a_plus_that_was_not_escaped_is_a_plus() {
        assert_eq!(parameters("client_id=a+b").client_id().expect("there").as_str(), "a+b");
        assert_eq!(parameters("client_id=a%2Bb").client_id().expect("there").as_str(), "a+b");
    }

    #[test]
    fn every_fault_has_its_code() {
        assert_eq!(codes(""), [MISSING]);
        assert_eq!(codes("client_id="), [MISSING]);
        assert_eq!(codes("client_id=a@b"), [MALFORMED]);
        assert_eq!(codes("client_id=%ff"), [MALFORMED]);
        assert_eq!(codes("client_id=a&client_id=b"), [REPEATED]);
        for ttl in ["599", "86401", "x", "-600", "600.0", "", "99999999999999999999999"] {
            assert_eq!(codes(&format!("client_id=a&ttl={ttl}")), [MALFORMED], "{ttl}");
        }
        for ttl in ["600", "86400", "0600"] {
            assert!(codes(&format!("client_id=a&ttl={ttl}")).is_empty(), "{ttl}");
        }
        assert_eq!(codes("client_id=a&ttl=0"), [ZERO]);
        assert_eq!(codes("client_id=a&ttl=00"), [ZERO]);
        assert_eq!(codes("client_id=a&ttl=700&ttl=700"), [REPEATED]);
        for flag in ["TRUE", "1", "", "yes"] {
            assert_eq!(codes(&format!("client_id=a&enable_incoming={flag}")), [MALFORMED], "{flag}");
        }
        assert_eq!(codes("client_id=a&enable_incoming=true&enable_incoming=true"), [REPEATED]);
        for list in ["a,,b", ",", "a*b", "**", "a@b"] {
            assert_eq!(codes(&format!("client_id=a&call_client={list}")), [MALFORMED], "{list}");
        }
        let many = |n: usize| (0..n).map(|n| format!("c{n}")).collect::<Vec<_>>().join(",");
        assert!(codes(&format!("client_id=a&call_client={}", many(CALLEES_MAX))).is_empty());
        assert_eq!(codes(&format!("client_id=a&call_client={}", many(CALLEES_MAX + 1))), [MALFORMED]);
        assert_eq!(codes("ttl=0&enable_incoming=x&call_client=,"), [MISSING, ZERO, MALFORMED, MALFORMED]);
    }
}
