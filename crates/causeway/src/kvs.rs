//! AWS clients as part of the server: the keys of the configuration, where clients are sent, the signalling hub.

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc};

use causeway_api_causeway::{Metric, Sample};
use causeway_api_kvs::{ApiState, Endpoint, Hub, HubFigures, KvsSettings};
use causeway_app::{AccessKey, AccessKeyStore, AccessKeys, Callers, KeyGrant, Minting};
use causeway_events::redis::RedisCluster;
use causeway_store::SqlStore;
use causeway_types::Now;
use tokio::{sync::watch, task::JoinHandle};

use crate::{
    addresses::RelayAddresses,
    config::{ConfiguredKey, KvsConfig, Settings},
    node::Node,
    report::host_of,
};

/// The running part.
pub(crate) struct Kvs {
    settings: KvsSettings,
    pub(crate) keys: Arc<AccessKeys<SqlStore>>,
    pub(crate) hub: Arc<Hub>,
    cluster: Option<Arc<RedisCluster>>,
}

impl Kvs {
    /// Adopts the keys of the configuration.
    pub(crate) async fn start(
        settings: &Settings,
        store: &Arc<SqlStore>,
        callers: &Arc<Callers<SqlStore>>,
        relays: &RelayAddresses,
        http: &[(SocketAddr, bool)],
        node: &Node,
    ) -> anyhow::Result<Self> {
        let KvsConfig { region, account, profile, ice_ttl, channels_max, connections_max, keys } = settings.kvs.clone();
        let mut adopted = Vec::new();
        for key in keys {
            adopted.push(adopt(store, key).await?);
        }
        let keys = Arc::new(AccessKeys::new(Arc::clone(store), Arc::clone(callers), adopted));
        let hub = Hub::new(profile.limits, connections_max);
        let endpoint = endpoint(settings, relays, http);
        let start = Now::read().unix.as_millis();
        let cluster = settings
            .cluster_redis
            .clone()
            .map(|target| Arc::new(RedisCluster::start(target, &node.name, start, Arc::<Hub>::clone(&hub))));
        if let Some(cluster) = &cluster {
            hub.join(Arc::<RedisCluster>::clone(cluster));
        }
        let settings = KvsSettings { region, account, profile, ice_ttl, channels_max, connections_max, endpoint };
        Ok(Self { settings, keys, hub, cluster })
    }

    /// Addresses no peer of the relay may have.
    pub(crate) fn addresses(&self) -> BTreeSet<SocketAddr> {
        self.cluster.as_ref().map(|cluster| cluster.addresses()).unwrap_or_default()
    }

    /// Closes every connection and leaves the other servers.
    pub(crate) async fn end(&self) {
        self.hub.end().await;
        if let Some(cluster) = &self.cluster {
            cluster.finish().await;
        }
    }

    /// What wakes the hub in time.
    pub(crate) fn task(&self, stopped: &watch::Receiver<bool>) -> JoinHandle<()> {
        tokio::spawn(Arc::clone(&self.hub).run(stopped.clone()))
    }

    /// Its counters.
    pub(crate) fn samples(&self) -> Vec<Sample> {
        let HubFigures { connections, messages } = self.hub.figures();
        let outcome = |outcome: &str, value| Sample {
            metric: Metric::SignalMessages,
            label: Some(("outcome", outcome.to_owned())),
            value,
        };
        let connections = u64::try_from(connections).unwrap_or(u64::MAX);
        vec![
            Sample { metric: Metric::SignalConnections, label: None, value: connections },
            outcome("delivered", messages.delivered),
            outcome("stored", messages.stored),
            outcome("expired", messages.expired),
            outcome("refused", messages.refused),
        ]
    }

    /// What the routes need.
    pub(crate) fn state(&self, store: &Arc<SqlStore>, minting: &Arc<Minting<SqlStore>>) -> Arc<ApiState<SqlStore>> {
        Arc::new(ApiState::new(
            self.settings.clone(),
            Arc::clone(store),
            Arc::clone(&self.keys),
            Arc::clone(minting),
            Arc::clone(&self.hub),
        ))
    }
}

async fn adopt(store: &SqlStore, key: ConfiguredKey) -> anyhow::Result<AccessKey> {
    let now = Now::read().unix;
    let ConfiguredKey { id, secret, session_token, preset, client_id, channel, project } = key;
    let caller = store.adopt_access_key(project.as_str(), &id, now).await?;
    let caller =
        caller.ok_or_else(|| anyhow::anyhow!("the access key {id} names the project {project}, which is not there"))?;
    Ok(AccessKey {
        name: format!("configured {id}"),
        id,
        secret,
        session_token,
        grant: KeyGrant { preset, channel, client: client_id },
        organization: caller.organization,
        project: caller.project,
        token: caller.token,
        created_at: now,
        expires_at: None,
        revoked_at: None,
        is_project_disabled: false,
    })
}

/// The TLS listener when there is one: some clients take no other.
fn endpoint(settings: &Settings, relays: &RelayAddresses, http: &[(SocketAddr, bool)]) -> Endpoint {
    let tls = http.iter().find(|(_, is_tls)| *is_tls).or_else(|| http.first());
    let (port, is_tls) = tls.map_or((443, true), |(address, is_tls)| (address.port(), *is_tls));
    Endpoint::new(&host_of(settings, relays), port, is_tls)
}
