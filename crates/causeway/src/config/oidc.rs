//! Keys of the OpenID Connect provider.

use causeway_app::{ProviderPolicy, UserRole};
use causeway_oidc::{BadIssuer, Issuer};
use causeway_types::Secret;

use super::{load::Fault, parse::choice};

/// Longest name of a provider on the sign-in page.
const NAME_CHARS_MAX: usize = 40;

/// What the `oidc_` keys say; there is a provider when there is an issuer.
#[derive(Clone, Debug, Default)]
pub(crate) struct OidcConfig {
    pub(crate) issuer: Option<Issuer>,
    pub(crate) client_id: String,
    pub(crate) client_secret: Option<Secret<String>>,
    pub(crate) name: String,
    pub(crate) scopes: Vec<String>,
    pub(crate) policy: ProviderPolicy,
}

pub(super) fn issuer(text: &str) -> Result<Issuer, String> {
    text.parse().map_err(|error: BadIssuer| error.to_string())
}

pub(super) fn name(text: &str) -> Result<String, String> {
    let is_good =
        !text.trim().is_empty() && text.chars().count() <= NAME_CHARS_MAX && !text.chars().any(char::is_control);
    if is_good {
        Ok(text.trim().to_owned())
    } else {
        Err(format!("write a name of at most {NAME_CHARS_MAX} characters"))
    }
}

/// Source: RFC 6749 §3.3.
pub(super) fn scope(text: &str) -> Result<String, String> {
    let is_good = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"\\".contains(&byte));
    if is_good {
        Ok(text.to_owned())
    } else {
        Err("write scopes without spaces, e.g. [\"openid\", \"email\"]".to_owned())
    }
}

pub(super) fn role(text: &str) -> Result<UserRole, String> {
    choice(text, &[("viewer", UserRole::Viewer), ("operator", UserRole::Operator)])
}

pub(super) fn domain(text: &str) -> Result<String, String> {
    let is_name = |text: &str| {
        text.contains('.') && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte))
    };
    if text == "*" || is_name(text) {
        Ok(text.to_lowercase())
    } else {
        Err("write what comes behind the @, e.g. \"example.net\"; \"*\" is every domain".to_owned())
    }
}

pub(super) fn check_together(config: &OidcConfig, faults: &mut Vec<Fault>) {
    let mut fault = |subject: &str, what: &str, advice: &str| {
        faults.push(Fault { subject: subject.to_owned(), what: what.to_owned(), advice: advice.to_owned() });
    };
    let says_something =
        !config.client_id.is_empty() || config.client_secret.is_some() || config.policy != ProviderPolicy::default();
    if config.issuer.is_none() && says_something {
        fault("oidc_issuer", "there are oidc_ keys, and no oidc_issuer", "name the provider, or take them out");
    }
    if config.issuer.is_some() && config.client_id.is_empty() {
        fault("oidc_client_id", "oidc_issuer is given without oidc_client_id", "register this console at the provider");
    }
    if !config.scopes.iter().any(|scope| scope == "openid") {
        fault("oidc_scopes", "oidc_scopes lacks openid", "add it: without it there is no ID token");
    }
    if config.policy.default_role.is_some() && config.policy.domains.is_empty() {
        let advice = "name the domains of your own people in oidc_domains";
        fault("oidc_default_role", "oidc_default_role would let in everybody whom the provider knows", advice);
    }
    if config.policy.default_role.is_none() && !config.policy.domains.is_empty() {
        fault("oidc_domains", "oidc_domains is given without oidc_default_role", "name the role that newcomers get");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Faults, Settings, Sources, load};

    const FULL: [(&str, &str); 6] = [
        ("CAUSEWAY_OIDC_ISSUER", "https://id.example.net/realms/staff"),
        ("CAUSEWAY_OIDC_CLIENT_ID", "console"),
        ("CAUSEWAY_OIDC_CLIENT_SECRET", "hush"),
        ("CAUSEWAY_OIDC_NAME", "Example ID"),
        ("CAUSEWAY_OIDC_DEFAULT_ROLE", "operator"),
        ("CAUSEWAY_OIDC_DOMAINS", "Example.net, example.org"),
    ];

    fn read(all: &[(&str, &str)]) -> Result<Settings, Faults> {
        let environment = all.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        load(Sources { environment, ..Sources::default() })
    }

    /// The keys that are faulty when one is changed, or taken out where it is empty.
    fn faulty(name: &str, value: &str) -> Vec<String> {
        let changed = FULL.map(|(known, old)| (known, if known == name { value } else { old }));
        let more = (!FULL.iter().any(|(known, _)| *known == name)).then_some((name, value));
        let all: Vec<_> = changed.into_iter().chain(more).collect();
        read(&all).err().map_or_else(Vec::new, |Faults(all)| all.into_iter().map(|fault| fault.subject).collect())
    }

    #[test]
    fn a_provider_is_read_and_its_secret_not_shown() {
        let settings = read(&FULL).unwrap();
        let oidc = &settings.oidc;
        assert_eq!(oidc.issuer.as_ref().unwrap().as_str(), "https://id.example.net/realms/staff");
        assert_eq!((oidc.client_id.as_str(), oidc.name.as_str()), ("console", "Example ID"));
        assert_eq!(oidc.scopes, ["openid", "email", "profile"]);
        assert_eq!(oidc.policy.default_role, Some(UserRole::Operator));
        assert_eq!(oidc.policy.domains, ["example.net", "example.org"]);
        assert!(!format!("{settings:?}").contains("hush"));
        assert!(read(&[]).unwrap().oidc.issuer.is_none(), "none by default");
    }

    #[test]
    fn what_does_not_go_together_is_told() {
        for (name, value, subject) in [
            ("CAUSEWAY_OIDC_ISSUER", "", "oidc_issuer"),
            ("CAUSEWAY_OIDC_ISSUER", "http://id.example.net", "oidc_issuer"),
            ("CAUSEWAY_OIDC_CLIENT_ID", "", "oidc_client_id"),
            ("CAUSEWAY_OIDC_DEFAULT_ROLE", "", "oidc_domains"),
            ("CAUSEWAY_OIDC_DEFAULT_ROLE", "owner", "oidc_default_role"),
            ("CAUSEWAY_OIDC_DOMAINS", "", "oidc_default_role"),
            ("CAUSEWAY_OIDC_DOMAINS", "ann@example.net", "oidc_domains"),
            ("CAUSEWAY_OIDC_DOMAINS", "*.example.net", "oidc_domains"),
            ("CAUSEWAY_OIDC_SCOPES", "email", "oidc_scopes"),
            ("CAUSEWAY_OIDC_SCOPES", "openid email", "oidc_scopes"),
            ("CAUSEWAY_OIDC_NAME", "a name that is much too long for any button", "oidc_name"),
        ] {
            assert!(faulty(name, value).contains(&subject.to_owned()), "{name}={value}: {:?}", faulty(name, value));
        }
        assert_eq!(faulty("CAUSEWAY_OIDC_DOMAINS", "*"), Vec::<String>::new());
        assert_eq!(faulty("CAUSEWAY_OIDC_CLIENT_SECRET", ""), Vec::<String>::new(), "a public client");
    }
}
