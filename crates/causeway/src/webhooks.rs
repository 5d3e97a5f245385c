//! Webhooks as the configuration wants them.

use std::sync::Arc;

use causeway_app::WebhookControl;
use causeway_events::EventBus;
use causeway_store::SqlStore;
use causeway_webhooks::{AddressPolicy, PostSettings, WebhookSettings, Webhooks};

use crate::{
    addresses::{RelayAddresses, local_addresses},
    config::Settings,
};

/// Starts the deliveries; when this returns, every webhook is known and its events are kept.
pub(crate) async fn start(
    settings: &Settings,
    relays: &RelayAddresses,
    store: &Arc<SqlStore>,
    bus: &Arc<EventBus>,
) -> anyhow::Result<Arc<Webhooks>> {
    let mut own = local_addresses(settings);
    own.extend(relays.addresses.iter().flat_map(|relay| [relay.bound, relay.advertised]));
    let post = PostSettings {
        policy: AddressPolicy { allow: settings.webhook_allow.clone(), own },
        allow_http: settings.webhook_http,
        timeout: settings.webhook_timeout,
        trusted: Vec::new(),
    };
    let mut seed = [0; 32];
    aws_lc_rs::rand::fill(&mut seed).map_err(|_| anyhow::anyhow!("the system has no randomness"))?;
    let settings = WebhookSettings { post, kept_for: settings.webhook_log_kept };
    let webhooks = Webhooks::start(Arc::clone(store), &**bus, settings, seed)?;
    webhooks.changed().await;
    Ok(Arc::new(webhooks))
}
