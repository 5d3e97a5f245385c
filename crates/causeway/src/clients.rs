//! Clients that register and call as part of the server: what identifies them, and who of them is there.

use std::sync::Arc;

use causeway_app::{ClientTokenSettings, ClientTokens, Registrations};
use causeway_store::SqlStore;

use crate::config::Settings;

/// The running part.
#[derive(Clone)]
pub(crate) struct Clients {
    /// Mints, verifies and revokes client tokens.
    pub(crate) tokens: Arc<ClientTokens<SqlStore>>,
    /// Who is registered now.
    pub(crate) registrations: Arc<dyn Registrations>,
}

impl Clients {
    /// Over the store.
    pub(crate) fn start(settings: &Settings, store: &Arc<SqlStore>, registrations: Arc<dyn Registrations>) -> Self {
        let token_settings = ClientTokenSettings {
            cloud: settings.client_cloud_id.clone(),
            monthly_quota: settings.client_tokens_per_month,
            key_lifetime: settings.client_token_key_lifetime,
        };
        let tokens = ClientTokens::new(Arc::clone(store), Arc::clone(&registrations), token_settings);
        Self { tokens: Arc::new(tokens), registrations }
    }
}
