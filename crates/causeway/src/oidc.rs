//! Wiring of sign-in at an OpenID Connect provider.

use std::{net::SocketAddr, sync::Arc};

use causeway_api_causeway::{Metric, Sample};
use causeway_app::{Callers, People};
use causeway_oidc::{Oidc, OidcSettings};
use causeway_store::SqlStore;

use crate::{config::Settings, people::console_url};

/// Below the console's URL; the provider has to know the whole.
const CALLBACK: &str = "/api/v1/auth/oidc/callback";

/// People, and the provider where one is configured. It is not asked anything yet: the server starts without it.
pub(crate) fn people(
    settings: &Settings,
    store: &Arc<SqlStore>,
    callers: &Arc<Callers<SqlStore>>,
    http: &[(SocketAddr, bool)],
) -> anyhow::Result<(People<SqlStore>, Option<Arc<Oidc>>)> {
    let people = People::new(Arc::clone(store), Arc::clone(callers));
    let Some(issuer) = &settings.oidc.issuer else { return Ok((people, None)) };
    let redirect_uri = format!("{}{CALLBACK}", console_url(settings, http));
    tracing::info!(%issuer, redirect_uri, "people may sign in at an OpenID Connect provider");
    let oidc = Oidc::new(OidcSettings {
        issuer: issuer.clone(),
        client_id: settings.oidc.client_id.clone(),
        client_secret: settings.oidc.client_secret.clone(),
        redirect_uri,
        scopes: settings.oidc.scopes.clone(),
        name: settings.oidc.name.clone(),
    });
    let oidc = Arc::new(oidc.map_err(anyhow::Error::msg)?);
    Ok((people.with_provider(Arc::<Oidc>::clone(&oidc), settings.oidc.policy.clone()), Some(oidc)))
}

/// How people's sign-ins and requests to the provider ended.
pub(crate) fn samples(people: &People<SqlStore>, oidc: Option<&Oidc>) -> Vec<Sample> {
    let of = |metric, label: &str, value| Sample { metric, label: Some(("outcome", label.to_owned())), value };
    let ended = people.sign_in_outcomes().map(|(outcome, count)| of(Metric::SignIns, outcome.as_str(), count));
    let mut samples: Vec<Sample> = ended.collect();
    let figures = oidc.map(Oidc::figures).unwrap_or_default();
    samples.push(of(Metric::OidcRequests, "answered", figures.answered));
    samples.push(of(Metric::OidcRequests, "failed", figures.failed));
    samples
}
