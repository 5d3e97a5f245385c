//! The token endpoint: a code for an ID token.

use base64::{Engine, engine::general_purpose::STANDARD};
use causeway_types::Secret;
use serde::Deserialize;

use crate::fetch::Answer;

/// Who this server is at the provider.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) id: String,
    /// None: a public client, which PKCE alone protects.
    pub(crate) secret: Option<Secret<String>>,
}

/// What is posted.
pub(crate) struct Exchange {
    pub(crate) authorization: Option<String>,
    pub(crate) form: String,
}

/// What comes back.
#[derive(Deserialize)]
pub(crate) struct Tokens {
    pub(crate) id_token: String,
    pub(crate) access_token: Option<String>,
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
}

/// What is posted to the token endpoint.
///
/// Source: RFC 6749 §4.1.3, §2.3.1; RFC 7636 §4.5.
pub(crate) fn exchange(
    client: &Client,
    takes_basic: bool,
    code: &str,
    verifier: &Secret<String>,
    redirect_uri: &str,
) -> Exchange {
    let mut fields = vec![
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", redirect_uri),
        ("code_verifier", verifier.expose().as_str()),
    ];
    let mut authorization = None;
    match &client.secret {
        Some(secret) if takes_basic => {
            let pair = format!("{}:{}", encoded(&client.id), encoded(secret.expose()));
            authorization = Some(format!("Basic {}", STANDARD.encode(pair)));
        }
        Some(secret) => fields.extend([("client_id", client.id.as_str()), ("client_secret", secret.expose())]),
        None => fields.push(("client_id", &client.id)),
    }
    Exchange { authorization, form: form(&fields) }
}

/// What the token endpoint said.
///
/// # Errors
/// The provider's reason, in its own short code: nothing of a person is in it.
pub(crate) fn tokens(answer: &Answer) -> Result<Tokens, String> {
    if !answer.status.is_success() {
        let code = serde_json::from_slice::<Refusal>(&answer.body).map(|refusal| plain(&refusal.error));
        return Err(format!("the token endpoint said {} {}", answer.status.as_u16(), code.unwrap_or_default()));
    }
    serde_json::from_slice(&answer.body).map_err(|_| "the token endpoint gave no ID token".to_owned())
}

/// An error code as it may be logged.
///
/// Source: RFC 6749 §5.2.
pub(crate) fn plain(code: &str) -> String {
    code.chars().filter(|c| c.is_ascii_alphanumeric() || "_-.".contains(*c)).take(64).collect()
}

/// `application/x-www-form-urlencoded`.
pub(crate) fn form(fields: &[(&str, &str)]) -> String {
    // Pairs of texts always have a form.
    serde_urlencoded::to_string(fields).unwrap_or_default()
}

fn encoded(text: &str) -> String {
    form(&[("", text)]).split_off(1)
}

#[cfg(test)]
mod tests {
    use hyper::{StatusCode, body::Bytes};

    use super::*;

    fn client(secret: Option<&str>) -> Client {
        Client { id: "a b".to_owned(), secret: secret.map(|text| Secret::new(text.to_owned())) }
    }

    fn of(secret: Option<&str>, takes_basic: bool) -> Exchange {
        exchange(&client(secret), takes_basic, "c+d", &Secret::new("v".to_owned()), "https://console.example/cb")
    }

    #[test]
    fn the_secret_goes_where_the_provider_takes_it() {
        let basic = of(Some("p:w"), true);
        assert_eq!(basic.authorization.unwrap(), format!("Basic {}", STANDARD.encode("a+b:p%3Aw")));
        let plain =
            "grant_type=authorization_code&code=c%2Bd&redirect_uri=https%3A%2F%2Fconsole.example%2Fcb&code_verifier=v";
        assert_eq!(basic.form, plain);
        let posted = of(Some("p:w"), false);
        assert_eq!(posted.authorization, None);
        assert_eq!(posted.form, format!("{plain}&client_id=a+b&client_secret=p%3Aw"));
        assert_eq!(of(None, true).form, format!("{plain}&client_id=a+b"));
    }

    #[test]
    fn a_refusal_is_told_in_the_providers_short_code() {
        let answer = |status, body: &'static str| Answer { status, body: Bytes::from_static(body.as_bytes()) };
        let told = |status, body| tokens(&answer(status, body)).map(|tokens| tokens.id_token);
        assert_eq!(told(StatusCode::OK, r#"{"id_token":"x.y.z","token_type":"Bearer"}"#).unwrap(), "x.y.z");
        let refused = told(StatusCode::BAD_REQUEST, r#"{"error":"invalid_grant\n<b>","error_description":"ann"}"#);
        assert_eq!(refused.unwrap_err(), "the token endpoint said 400 invalid_grantb");
        assert_eq!(told(StatusCode::BAD_GATEWAY, "<html>").unwrap_err(), "the token endpoint said 502 ");
        assert!(told(StatusCode::OK, r#"{"access_token":"x"}"#).is_err());
        assert!(told(StatusCode::FOUND, "").is_err(), "a redirect is not followed");
    }
}
