//! What a client does. The server never signs: tests and benches do.

use aws_lc_rs::hmac;
use causeway_types::UnixTime;

use super::{
    HttpRequest, amz_date,
    canonical::{self, QueryForm},
    presented::{ALGORITHM, TERMINATOR, signing_key},
};

/// Whose signature, and when.
#[derive(Clone, Copy, Debug)]
pub struct Signer<'a> {
    /// Access key id.
    pub access_key: &'a str,
    /// Its secret.
    pub secret: &'a str,
    /// Region in the scope.
    pub region: &'a str,
    /// Service in the scope.
    pub service: &'a str,
    /// When.
    pub at: UnixTime,
}

impl Signer<'_> {
    /// The value of `Authorization` for a request that has `host` and `x-amz-date`, signing these headers.
    #[must_use]
    pub fn authorization(&self, request: &HttpRequest<'_>, signed_headers: &[&str]) -> String {
        let names: Vec<String> = signed_headers.iter().map(|name| (*name).to_owned()).collect();
        let query = canonical::query(request.query, QueryForm::Escaped);
        let signature = self.signature(request, &query, &names);
        let (credential, names) = (self.credential(), names.join(";"));
        format!("{ALGORITHM} Credential={credential}, SignedHeaders={names}, Signature={signature}")
    }

    /// The query of a presigned URL: these parameters, those of the signature, and the signature.
    #[must_use]
    pub fn presign(&self, host: &str, parameters: &[(&str, &str)], expires_secs: u64) -> String {
        let (credential, date, expires) = (self.credential(), amz_date(self.at), expires_secs.to_string());
        let own = [
            ("X-Amz-Algorithm", ALGORITHM),
            ("X-Amz-Credential", &credential),
            ("X-Amz-Date", &date),
            ("X-Amz-Expires", &expires),
            ("X-Amz-SignedHeaders", "host"),
        ];
        let mut query = String::new();
        for (name, value) in parameters.iter().chain(&own) {
            if !query.is_empty() {
                query.push('&');
            }
            canonical::escape(name.as_bytes(), &mut query);
            query.push('=');
            canonical::escape(value.as_bytes(), &mut query);
        }
        let headers = [("host", host)];
        let request = HttpRequest { method: "GET", path: "/", query: &query, headers: &headers, body: b"" };
        let sorted = canonical::query(&query, QueryForm::Escaped);
        let signature = self.signature(&request, &sorted, &["host".to_owned()]);
        format!("{query}&X-Amz-Signature={signature}")
    }

    fn scope(&self) -> String {
        let date: String = amz_date(self.at).chars().take(8).collect();
        format!("{date}/{}/{}/{TERMINATOR}", self.region, self.service)
    }

    fn credential(&self) -> String {
        format!("{}/{}", self.access_key, self.scope())
    }

    fn signature(&self, request: &HttpRequest<'_>, query: &str, names: &[String]) -> String {
        let host = request.header("host").unwrap_or_default();
        let text = canonical::request(request, query, names, host, &canonical::hash(request.body));
        let date = amz_date(self.at);
        let day: String = date.chars().take(8).collect();
        let key = signing_key(self.secret, [&day, self.region, self.service, TERMINATOR]);
        let to_sign = format!("{ALGORITHM}\n{date}\n{}\n{}", self.scope(), canonical::hash(text.as_bytes()));
        hex::encode(hmac::sign(&key, to_sign.as_bytes()))
    }
}
