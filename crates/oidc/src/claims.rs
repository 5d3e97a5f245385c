//! What tokens and the UserInfo endpoint say, as far as it is read.

use causeway_app::ProviderClaims;
use serde::Deserialize;
use serde_json::Value;

/// Longest subject.
///
/// Source: OpenID Connect Core 1.0 §2.
const SUBJECT_BYTES_MAX: usize = 255;
/// Longest name that is kept.
const NAME_CHARS_MAX: usize = 100;

/// Whom a token is for.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Audience {
    One(String),
    Several(Vec<String>),
}

/// Who somebody is.
///
/// Source: OpenID Connect Core 1.0 §5.1.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct PersonClaims {
    pub(crate) sub: String,
    pub(crate) email: Option<String>,
    #[serde(default)]
    email_verified: Value,
    /// Microsoft Entra's word for a verified e-mail address: it never says `email_verified`.
    #[serde(default)]
    xms_edov: Value,
    name: Option<String>,
}

/// An ID token.
///
/// Source: OpenID Connect Core 1.0 §2.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct IdClaims {
    pub(crate) iss: String,
    pub(crate) aud: Audience,
    pub(crate) azp: Option<String>,
    pub(crate) exp: f64,
    pub(crate) iat: f64,
    pub(crate) nbf: Option<f64>,
    pub(crate) nonce: Option<String>,
    #[serde(flatten)]
    pub(crate) person: PersonClaims,
}

impl Audience {
    pub(crate) fn names(&self, client: &str) -> bool {
        match self {
            Self::One(one) => one == client,
            Self::Several(all) => all.iter().any(|one| one == client),
        }
    }

    pub(crate) fn is_alone(&self) -> bool {
        match self {
            Self::One(_) => true,
            Self::Several(all) => all.len() == 1,
        }
    }
}

impl PersonClaims {
    pub(crate) fn has_subject(&self) -> bool {
        !self.sub.is_empty() && self.sub.len() <= SUBJECT_BYTES_MAX && !self.sub.chars().any(char::is_control)
    }

    /// As the rest of the server knows them.
    pub(crate) fn told(self, issuer: &str) -> ProviderClaims {
        let is_verified = is_true(&self.email_verified) || is_true(&self.xms_edov);
        let name: Option<String> =
            self.name.map(|name| name.chars().filter(|c| !c.is_control()).take(NAME_CHARS_MAX).collect());
        ProviderClaims {
            issuer: issuer.to_owned(),
            subject: self.sub,
            verified_email: self.email.filter(|_| is_verified),
            name: name.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()),
        }
    }
}

/// Some providers write a truth as a text or a number.
fn is_true(value: &Value) -> bool {
    match value {
        Value::Bool(truth) => *truth,
        Value::String(text) => text == "true" || text == "1",
        Value::Number(number) => number.as_u64() == Some(1),
        Value::Null | Value::Array(_) | Value::Object(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(claims: Value) -> ProviderClaims {
        serde_json::from_value::<PersonClaims>(claims).unwrap().told("https://id.example.net")
    }

    #[test]
    fn an_email_address_counts_only_when_it_is_verified() {
        let email = |claims: Value| {
            let mut all = json!({"sub": "1", "email": "ann@example.net"});
            all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
            told(all).verified_email
        };
        let is_ann = Some("ann@example.net".to_owned());
        for yes in [
            json!({"email_verified": true}),
            json!({"email_verified": "true"}),
            json!({"xms_edov": 1}),
            json!({"xms_edov": "1"}),
        ] {
            assert_eq!(email(yes.clone()), is_ann, "{yes}");
        }
        for no in [
            json!({}),
            json!({"email_verified": false}),
            json!({"email_verified": null}),
            json!({"email_verified": "false"}),
            json!({"email_verified": "yes"}),
            json!({"email_verified": 2}),
            json!({"email_verified": ["true"]}),
            json!({"xms_edov": 0}),
        ] {
            assert_eq!(email(no.clone()), None, "{no}");
        }
        assert_eq!(told(json!({"sub": "1", "email_verified": true})).verified_email, None);
    }

    #[test]
    fn a_name_is_plain_and_short() {
        let name = |name: &str| told(json!({"sub": "1", "name": name})).name;
        assert_eq!(name(" Ann\u{1b}[2J\n ").as_deref(), Some("Ann[2J"));
        assert_eq!(name("\n "), None);
        assert_eq!(name(&"ä".repeat(101)).unwrap().chars().count(), 100);
    }

    #[test]
    fn a_subject_has_a_length() {
        let has = |sub: &str| serde_json::from_value::<PersonClaims>(json!({"sub": sub})).unwrap().has_subject();
        assert!(has("1") && has(&"a".repeat(255)));
        assert!(!has("") && !has(&"a".repeat(256)) && !has("a\nb"));
    }
}
