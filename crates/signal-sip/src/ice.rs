//! ICE servers for clients that ask by OPTIONS.

use std::time::Instant;

use causeway_sip_core::{AskId, Uri};
use serde_json::json;

use crate::{IceAsk, IceRefusal, client::Client, domain::Domain};

/// Relay credentials that were made for a connection and are good for longer: clients ask every 30 s.
#[derive(Clone, Debug)]
pub(crate) struct IceHeld {
    json: String,
    key: String,
    client: String,
    /// From then on new ones are made.
    fresh_until: Instant,
}

impl Client {
    pub(crate) async fn ice_servers(&mut self, ask: AskId, from: &Uri) {
        let Domain::Key { key, cloud } = Domain::of(&from.host) else {
            self.agent.handle_refused(ask, 403, &[]);
            return;
        };
        let held = self.ice.as_ref().filter(|held| held.key == key && held.client == from.user);
        if let Some(held) = held.filter(|held| Instant::now() < held.fresh_until) {
            self.agent.handle_ice_servers(ask, &held.json);
            return;
        }
        if let Err(limit) = self.service.may_have_ice(self.address, key) {
            self.service.counters.limit(limit);
            self.agent.handle_refused(ask, 503, &[("Retry-After", "60")]);
            return;
        }
        let asked = IceAsk {
            key: key.to_owned(),
            cloud: cloud.to_owned(),
            client: from.user.clone(),
            connection: self.connection.id(),
            address: self.address,
        };
        let servers = match self.service.access.ice_servers(asked).await {
            Ok(servers) => servers,
            Err(IceRefusal::UnknownKey) => {
                self.note_refusal();
                self.agent.handle_refused(ask, 403, &[]);
                return;
            }
            Err(IceRefusal::Unavailable) => {
                self.agent.handle_refused(ask, 503, &[("Retry-After", "60")]);
                return;
            }
        };
        let list = if servers.urls.is_empty() {
            json!([])
        } else {
            json!([{ "urls": servers.urls, "username": servers.username, "credential": servers.credential }])
        };
        let text = list.to_string();
        self.ice_names.push((servers.account, servers.username));
        let (key, client) = (key.to_owned(), from.user.clone());
        // What is handed out is good for at least as long again.
        let fresh_until = Instant::now() + self.service.settings.ice_ttl / 2;
        self.agent.handle_ice_servers(ask, &text);
        self.ice = Some(IceHeld { json: text, key, client, fresh_until });
    }
}
