//! Where the collector is.

use std::{fmt, str::FromStr};

use hyper::Uri;

/// Where OTLP/HTTP puts traces below the base URL of a collector.
const PATH: &str = "/v1/traces";

/// The base URL of a collector, as `OTEL_EXPORTER_OTLP_ENDPOINT` has it elsewhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    pub(crate) is_https: bool,
    /// Without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) authority: String,
    pub(crate) path: String,
}

/// Not the base URL of a collector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write the collector's base URL, e.g. \"http://127.0.0.1:4318\"; no user, password or query")]
pub struct BadEndpoint;

impl Endpoint {
    /// The full URL of traces.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}://{}{}", if self.is_https { "https" } else { "http" }, self.authority, self.path)
    }

    /// Host, without brackets, and port.
    #[must_use]
    pub fn host_and_port(&self) -> (&str, u16) {
        (&self.host, self.port)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url())
    }
}

impl FromStr for Endpoint {
    type Err = BadEndpoint;

    fn from_str(text: &str) -> Result<Self, BadEndpoint> {
        let uri: Uri = text.parse().map_err(|_| BadEndpoint)?;
        let is_https = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(BadEndpoint),
        };
        let authority = uri.authority().ok_or(BadEndpoint)?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() || authority.as_str().contains('@') || uri.query().is_some() {
            return Err(BadEndpoint);
        }
        Ok(Self {
            is_https,
            host,
            // As the specification of OTLP exporters has it, except that a URL without a port means the scheme's.
            port: authority.port_u16().unwrap_or(if is_https { 443 } else { 80 }),
            authority: authority.to_string(),
            path: format!("{}{PATH}", uri.path().trim_end_matches('/')),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_traces_goes_below_the_base_url() {
        for (text, url, host_and_port) in [
            ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces", ("127.0.0.1", 4318)),
            ("http://[::1]:4318/", "http://[::1]:4318/v1/traces", ("::1", 4318)),
            ("https://collector.example/otlp/", "https://collector.example/otlp/v1/traces", ("collector.example", 443)),
        ] {
            let endpoint: Endpoint = text.parse().unwrap();
            assert_eq!((endpoint.url().as_str(), endpoint.host_and_port()), (url, host_and_port));
        }
    }

    #[test]
    fn what_is_no_base_url_is_refused() {
        for text in
            ["", "127.0.0.1:4318", "grpc://x:4317", "http://", "http://u:p@x:4318", "http://x/?key=1", "http:///x"]
        {
            assert_eq!(text.parse::<Endpoint>(), Err(BadEndpoint), "{text}");
        }
    }
}
