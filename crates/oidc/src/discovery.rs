//! What a provider says of itself.

use serde::Deserialize;

use crate::issuer::{Endpoint, Issuer};

/// What is used of it.
///
/// Source: OpenID Connect Discovery 1.0 §3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Metadata {
    pub(crate) authorization: Endpoint,
    pub(crate) token: Endpoint,
    pub(crate) keys: Endpoint,
    pub(crate) user_info: Option<Endpoint>,
    pub(crate) takes_basic: bool,
    /// Whether its answers name it.
    ///
    /// Source: RFC 9207 §3.
    pub(crate) names_itself: bool,
}

#[derive(Deserialize)]
struct Document {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    userinfo_endpoint: Option<String>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

impl Metadata {
    /// Of the document at [`Issuer::metadata_url`].
    ///
    /// # Errors
    /// Why it is not this issuer's.
    pub(crate) fn parse(issuer: &Issuer, body: &[u8]) -> Result<Self, String> {
        let document: Document =
            serde_json::from_slice(body).map_err(|error| format!("its metadata is not understood: {error}"))?;
        if document.issuer != issuer.as_str() {
            return Err(format!("it calls itself {:?}, not {:?}", document.issuer, issuer.as_str()));
        }
        let methods = document.token_endpoint_auth_methods_supported;
        Ok(Self {
            authorization: issuer.endpoint(&document.authorization_endpoint)?,
            token: issuer.endpoint(&document.token_endpoint)?,
            keys: issuer.endpoint(&document.jwks_uri)?,
            user_info: document.userinfo_endpoint.map(|url| issuer.endpoint(&url)).transpose()?,
            // The default of who says nothing.
            takes_basic: methods.is_none_or(|methods| methods.iter().any(|method| method == "client_secret_basic")),
            names_itself: document.authorization_response_iss_parameter_supported,
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::{Value, json};

    use super::*;

    pub(crate) const ISSUER: &str = "https://id.example.net";

    pub(crate) fn document() -> Value {
        json!({
            "issuer": ISSUER,
            "authorization_endpoint": "https://id.example.net/auth",
            "token_endpoint": "https://id.example.net/token",
            "jwks_uri": "https://id.example.net/jwks",
            "userinfo_endpoint": "https://id.example.net/me",
        })
    }

    fn parse(document: &Value) -> Result<Metadata, String> {
        Metadata::parse(&ISSUER.parse().expect("an issuer"), document.to_string().as_bytes())
    }

    fn with(name: &str, value: Value) -> Value {
        let mut document = document();
        document[name] = value;
        document
    }

    #[test]
    fn a_plain_document_is_understood() {
        let metadata = parse(&document()).unwrap();
        assert_eq!(metadata.authorization.url, "https://id.example.net/auth");
        assert!(metadata.takes_basic && !metadata.names_itself);
        let methods = with("token_endpoint_auth_methods_supported", json!(["client_secret_post"]));
        assert!(!parse(&methods).unwrap().takes_basic);
        assert!(parse(&with("authorization_response_iss_parameter_supported", json!(true))).unwrap().names_itself);
    }

    #[test]
    fn another_issuers_document_is_refused() {
        for other in ["https://id.example.net/", "https://evil.example", ""] {
            assert!(parse(&with("issuer", json!(other))).unwrap_err().contains("calls itself"), "{other}");
        }
    }

    #[test]
    fn what_lacks_an_endpoint_or_leads_out_of_tls_is_refused() {
        for name in ["authorization_endpoint", "token_endpoint", "jwks_uri"] {
            assert!(parse(&with(name, Value::Null)).is_err(), "{name}");
            assert!(parse(&with(name, json!("http://id.example.net/x"))).is_err(), "{name}");
        }
        assert!(parse(&with("userinfo_endpoint", json!("http://id.example.net/x"))).is_err());
        assert!(parse(&json!("no document")).is_err());
    }
}
