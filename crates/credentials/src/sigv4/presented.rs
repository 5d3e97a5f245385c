//! What a request presents, and whether it is good.

use aws_lc_rs::{constant_time::verify_slices_are_equal, hmac};
use causeway_types::UnixTime;

use super::{
    ACCESS_KEY_BYTES_MAX, EXPIRES_SECS_MAX, Fault, HttpRequest, QUERY_BYTES_MAX, SESSION_TOKEN_BYTES_MAX,
    SIGNED_HEADERS_MAX, SKEW_SECS,
    canonical::{self, QueryForm, SIGNATURE, query_value},
    date::{amz_date, read_amz_date},
};

/// The only algorithm there is.
pub(super) const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// The last part of a credential scope.
pub(super) const TERMINATOR: &str = "aws4_request";

/// Where the signature stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// In the `Authorization` header.
    Header,
    /// In the query.
    Query,
}

/// What a request presents; nothing of it is proven.
#[derive(Clone, Debug)]
pub struct Presented {
    /// Where the signature stands.
    pub form: Form,
    /// Access key id.
    pub access_key: String,
    /// Session token of temporary credentials.
    pub session_token: Option<String>,
    signed: UnixTime,
    /// As written; `None` in the header form.
    expires: Option<String>,
    scope: Scope,
    signed_headers: Vec<String>,
    signature: [u8; 32],
}

#[derive(Clone, Debug)]
struct Scope {
    date: String,
    region: String,
    service: String,
    terminator: String,
}

/// Takes apart what a request presents.
///
/// # Errors
/// [`Fault::Missing`] and [`Fault::Incomplete`].
pub fn read(request: &HttpRequest<'_>) -> Result<Presented, Fault> {
    if request.query.len() > QUERY_BYTES_MAX {
        return Err(Fault::Incomplete("the query is too long"));
    }
    let signature = query_value(request.query, SIGNATURE).map_err(|()| Fault::Incomplete(SIGNATURE))?;
    match (signature, request.header("authorization")) {
        (Some(signature), _) => read_query(request.query, &signature),
        (None, Some(authorization)) => read_header(request, authorization),
        (None, None) => Err(Fault::Missing),
    }
}

fn read_header(request: &HttpRequest<'_>, authorization: &str) -> Result<Presented, Fault> {
    let rest = authorization.trim().strip_prefix(ALGORITHM).filter(|rest| rest.starts_with([' ', '\t']));
    let rest = rest.ok_or(Fault::Incomplete("the algorithm must be AWS4-HMAC-SHA256"))?;
    let (mut credential, mut signed_headers, mut signature) = (None, None, None);
    for part in rest.split(',') {
        match part.trim().split_once('=') {
            Some(("Credential", value)) => credential = Some(value),
            Some(("SignedHeaders", value)) => signed_headers = Some(value),
            Some(("Signature", value)) => signature = Some(value),
            _ => {}
        }
    }
    let credential = credential.ok_or(Fault::Incomplete("Authorization header requires 'Credential' parameter."))?;
    let signed_headers =
        signed_headers.ok_or(Fault::Incomplete("Authorization header requires 'SignedHeaders' parameter."))?;
    let signature = signature.ok_or(Fault::Incomplete("Authorization header requires 'Signature' parameter."))?;
    let date = request
        .header("x-amz-date")
        .ok_or(Fault::Incomplete("Authorization header requires existence of either a 'X-Amz-Date' header."))?;
    let session_token = request.header("x-amz-security-token").map(str::to_owned);
    let presented = build(Form::Header, credential, date, signed_headers, signature, session_token)?;
    if !presented.signed_headers.iter().any(|name| name == "x-amz-date") {
        return Err(Fault::Incomplete("'X-Amz-Date' must be a 'SignedHeader' in the AWS Authorization."));
    }
    Ok(presented)
}

fn read_query(query: &str, signature: &str) -> Result<Presented, Fault> {
    let value = |name: &'static str| query_value(query, name).map_err(|()| Fault::Incomplete(name));
    let needed = |name: &'static str| value(name)?.ok_or(Fault::Incomplete(name));
    if needed("X-Amz-Algorithm")? != ALGORITHM {
        return Err(Fault::Incomplete("X-Amz-Algorithm"));
    }
    let (credential, date) = (needed("X-Amz-Credential")?, needed("X-Amz-Date")?);
    let signed_headers = needed("X-Amz-SignedHeaders")?;
    let expires = needed("X-Amz-Expires")?;
    let session_token = value("X-Amz-Security-Token")?;
    let presented = build(Form::Query, &credential, &date, &signed_headers, signature, session_token)?;
    Ok(Presented { expires: Some(expires), ..presented })
}

fn build(
    form: Form,
    credential: &str,
    date: &str,
    signed_headers: &str,
    signature: &str,
    session_token: Option<String>,
) -> Result<Presented, Fault> {
    let mut parts = credential.split('/');
    let mut part = || parts.next().filter(|part| !part.is_empty()).map(str::to_owned);
    let (access_key, date_of_scope, region, service, terminator) = (part(), part(), part(), part(), part());
    let (Some(access_key), Some(date_of_scope), Some(region), Some(service), Some(terminator), None) =
        (access_key, date_of_scope, region, service, terminator, parts.next())
    else {
        return Err(Fault::Incomplete("Credential must have exactly 5 slash-delimited elements."));
    };
    if access_key.len() > ACCESS_KEY_BYTES_MAX {
        return Err(Fault::Incomplete("the access key id is too long"));
    }
    if session_token.as_ref().is_some_and(|token| token.len() > SESSION_TOKEN_BYTES_MAX) {
        return Err(Fault::Incomplete("the session token is too long"));
    }
    let signed = read_amz_date(date).ok_or(Fault::Incomplete("X-Amz-Date must be in ISO-8601 'basic format'."))?;
    let signed_headers: Vec<String> = signed_headers.split(';').map(str::to_ascii_lowercase).collect();
    if signed_headers.len() > SIGNED_HEADERS_MAX || !signed_headers.iter().any(|name| name == "host") {
        return Err(Fault::Incomplete("'Host' must be a 'SignedHeader' in the AWS Authorization."));
    }
    let mut bytes = [0; 32];
    hex::decode_to_slice(signature, &mut bytes).map_err(|_| Fault::Incomplete("the signature is not 64 digits"))?;
    let scope = Scope { date: date_of_scope, region, service, terminator };
    Ok(Presented { form, access_key, session_token, signed, expires: None, scope, signed_headers, signature: bytes })
}

impl Presented {
    /// Whether the request was signed with `secret`, for this region and service, and at a time that still counts.
    ///
    /// # Errors
    /// The first fault in the order of [`Fault`]; a lifetime out of range is [`Fault::Incomplete`] after the clock's.
    pub fn verify(
        &self,
        request: &HttpRequest<'_>,
        secret: &str,
        region: &str,
        service: &str,
        now: UnixTime,
    ) -> Result<(), Fault> {
        self.check_scope(region, service)?;
        self.check_time(now)?;
        if self.matches(request, secret) { Ok(()) } else { Err(Fault::Mismatch) }
    }

    fn check_scope(&self, region: &str, service: &str) -> Result<(), Fault> {
        if !amz_date(self.signed).starts_with(&self.scope.date) || self.scope.date.len() != 8 {
            return Err(Fault::WrongScope("date"));
        }
        if self.scope.region != region {
            return Err(Fault::WrongScope("region"));
        }
        if self.scope.service != service {
            return Err(Fault::WrongScope("service"));
        }
        if self.scope.terminator != TERMINATOR { Err(Fault::WrongScope("terminator")) } else { Ok(()) }
    }

    fn check_time(&self, now: UnixTime) -> Result<(), Fault> {
        let lifetime = match &self.expires {
            None => Some(SKEW_SECS),
            Some(text) => text.parse().ok().filter(|secs| (1..=EXPIRES_SECS_MAX).contains(secs)),
        };
        // A lifetime that cannot be read is told after the clock: it is no worse than none.
        let age = now.as_secs().saturating_sub(self.signed.as_secs());
        if age > lifetime.unwrap_or(EXPIRES_SECS_MAX) {
            return Err(Fault::Expired { signed: self.signed });
        }
        if self.signed.as_secs().saturating_sub(now.as_secs()) > SKEW_SECS {
            return Err(Fault::NotYetCurrent { signed: self.signed });
        }
        if lifetime.is_none() {
            Err(Fault::Incomplete("X-Amz-Expires must be a number from 1 to 604800"))
        } else {
            Ok(())
        }
    }

    fn matches(&self, request: &HttpRequest<'_>, secret: &str) -> bool {
        let payload_hash = canonical::hash(request.body);
        if request.header("x-amz-content-sha256").is_some_and(|claimed| claimed != payload_hash) {
            return false;
        }
        let scope = [&self.scope.date, &self.scope.region, &self.scope.service, &self.scope.terminator];
        let key = signing_key(secret, scope.map(String::as_str));
        let head = format!("{ALGORITHM}\n{}\n{}\n", amz_date(self.signed), scope.map(String::as_str).join("/"));
        let escaped = canonical::query(request.query, QueryForm::Escaped);
        let raw = canonical::query(request.query, QueryForm::Raw);
        let queries = if raw == escaped { vec![escaped] } else { vec![escaped, raw] };
        let hosts = hosts(request.header("host").unwrap_or_default());
        // Whichever form fits says nothing about the secret, so trying them one after the other leaks nothing of it.
        hosts.iter().flat_map(|host| queries.iter().map(move |query| (host, query))).any(|(host, query)| {
            let text = canonical::request(request, query, &self.signed_headers, host, &payload_hash);
            let signed = hmac::sign(&key, format!("{head}{}", canonical::hash(text.as_bytes())).as_bytes());
            verify_slices_are_equal(signed.as_ref(), &self.signature).is_ok()
        })
    }
}

/// The host as received; without its port; with the default ports: mobile clients sign without, some proxies add one.
fn hosts(received: &str) -> Vec<String> {
    let received = received.trim();
    let bare = match received.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => received,
    };
    let mut hosts = vec![received.to_owned()];
    for other in [bare.to_owned(), format!("{bare}:443"), format!("{bare}:80")] {
        if !hosts.contains(&other) {
            hosts.push(other);
        }
    }
    hosts
}

/// The key of a day, region and service.
pub(super) fn signing_key(secret: &str, scope: [&str; 4]) -> hmac::Key {
    let first = hmac::Key::new(hmac::HMAC_SHA256, format!("AWS4{secret}").as_bytes());
    scope.iter().fold(first, |key, part| hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&key, part.as_bytes()).as_ref()))
}
