//! Which URLs are spoken to.

use std::{fmt, net::IpAddr, str::FromStr};

use hyper::Uri;

/// Longest URL that is taken from a provider.
const URL_BYTES_MAX: usize = 2048;

/// The provider's identifier, exactly as it writes it itself: a slash more or less is another issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuer {
    text: String,
    is_https: bool,
}

/// Not an issuer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "write the provider's issuer exactly as it does, e.g. \"https://id.example.net/realms/staff\"; http: only on this host"
)]
pub struct BadIssuer;

impl Issuer {
    /// As configured.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Where its metadata is.
    ///
    /// Source: OpenID Connect Discovery 1.0 §4.
    pub(crate) fn metadata_url(&self) -> String {
        format!("{}/.well-known/openid-configuration", self.text.trim_end_matches('/'))
    }

    /// An endpoint that the metadata names: over TLS, but for an issuer on this host.
    pub(crate) fn endpoint(&self, url: &str) -> Result<Endpoint, String> {
        let endpoint = Endpoint::parse(url).ok_or_else(|| format!("{url:?} is no URL to speak to"))?;
        if endpoint.is_https || (!self.is_https && endpoint.is_this_host()) {
            Ok(endpoint)
        } else {
            Err(format!("{url:?} is not https:"))
        }
    }
}

impl fmt::Display for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Issuer {
    type Err = BadIssuer;

    fn from_str(text: &str) -> Result<Self, BadIssuer> {
        let endpoint = Endpoint::parse(text).ok_or(BadIssuer)?;
        let has_more = text.contains(['?', '#']) || text.chars().any(|c| c.is_control() || c.is_whitespace());
        if has_more || !(endpoint.is_https || endpoint.is_this_host()) {
            return Err(BadIssuer);
        }
        Ok(Self { text: text.to_owned(), is_https: endpoint.is_https })
    }
}

/// A URL in the parts that matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) url: String,
    pub(crate) is_https: bool,
    /// Without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) authority: String,
    pub(crate) path: String,
}

impl Endpoint {
    fn parse(url: &str) -> Option<Self> {
        if url.len() > URL_BYTES_MAX {
            return None;
        }
        let uri: Uri = url.parse().ok()?;
        let is_https = match uri.scheme_str()? {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'))?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() {
            return None;
        }
        Some(Self {
            url: url.split('#').next().unwrap_or_default().to_owned(),
            is_https,
            port: authority.port_u16().unwrap_or(if is_https { 443 } else { 80 }),
            authority: authority.to_string(),
            path: uri.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
            host,
        })
    }

    fn is_this_host(&self) -> bool {
        self.host == "localhost" || self.host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn issuer(text: &str) -> Issuer {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn an_issuer_is_https_or_on_this_host() {
        for good in [
            "https://accounts.example.com",
            "https://id.example.net/realms/staff",
            "https://id.example.net:8443/",
            "http://127.0.0.1:9000",
            "http://[::1]:9000/oidc",
            "http://localhost:9000",
        ] {
            assert_eq!(issuer(good).as_str(), good);
        }
        for bad in [
            "",
            "accounts.example.com",
            "http://id.example.net",
            "http://127.0.0.1.example.net",
            "http://localhost.example.net",
            "ftp://id.example.net",
            "https://",
            "https://ann@id.example.net",
            "https://id.example.net?tenant=1",
            "https://id.example.net#x",
            "https://id.example.net/a b",
        ] {
            assert_eq!(bad.parse::<Issuer>(), Err(BadIssuer), "{bad}");
        }
    }

    #[test]
    fn the_metadata_is_below_the_issuer_with_one_slash() {
        let url = "https://id.example.net/realms/staff/.well-known/openid-configuration";
        for text in ["https://id.example.net/realms/staff", "https://id.example.net/realms/staff/"] {
            assert_eq!(issuer(text).metadata_url(), url);
        }
    }

    #[test]
    fn endpoints_of_a_provider_elsewhere_are_https() {
        let elsewhere = issuer("https://id.example.net");
        assert!(elsewhere.endpoint("https://login.example.org/token?x=1").is_ok(), "another host may serve it");
        for bad in ["http://id.example.net/token", "http://127.0.0.1/token", "file:///etc/passwd", "/token"] {
            assert!(elsewhere.endpoint(bad).is_err(), "{bad}");
        }
        let here = issuer("http://127.0.0.1:9000");
        let token = here.endpoint("http://127.0.0.1:9000/token").expect("on this host");
        assert_eq!((token.host.as_str(), token.port, token.path.as_str()), ("127.0.0.1", 9000, "/token"));
        assert!(here.endpoint("http://id.example.net/token").is_err());
    }
}
