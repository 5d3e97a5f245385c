//! AWS clients as part of the server: the keys of the configuration, where clients are sent, the signalling hub.

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc, time::Duration};

use causeway_api_causeway::{Metric, Sample};
use causeway_api_kvs::{ApiState, Endpoint, Hub, HubFigures, KvsSettings};
use causeway_app::{AccessKey, AccessKeyStore, AccessKeys, Callers, KeyGrant, Minting, Regions};
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

/// How often it is looked whether a relay server went out of service.
const LOOK: Duration = Duration::from_secs(1);

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

    /// Tells its clients to fetch relay credentials anew when a relay server goes out of service, until `stop` changes.
    pub(crate) fn follow(&self, regions: &Arc<Regions>, stopped: &watch::Receiver<bool>) -> JoinHandle<()> {
        let (hub, regions, mut stop) = (Arc::clone(&self.hub), Arc::clone(regions), stopped.clone());
        tokio::spawn(async move {
            let mut seen = regions.departures();
            let mut tick = tokio::time::interval(LOOK);
            loop {
                tokio::select! {
                    _ = tick.tick() => {}
                    _ = stop.changed() => return,
                }
                let now = regions.departures();
                if std::mem::replace(&mut seen, now) != now {
                    tracing::info!("a relay server goes out of service: signalling clients are told to get others");
                    hub.relays_changed().await;
                }
            }
        })
    }

    /// Its counters.
    pub(crate) fn samples(&self) -> Vec<Sample> {
        let HubFigures { connections, messages, refusals, closes, malformed, floods } = self.hub.figures();
        let plain = |metric, value| Sample { metric, label: None, value };
        let connections = u64::try_from(connections).unwrap_or(u64::MAX);
        let outcomes = [
            ("delivered", messages.delivered),
            ("stored", messages.stored),
            ("expired", messages.expired),
            ("malformed", malformed),
            ("no_recipient", messages.no_recipient),
            ("payload_too_long", messages.payload_too_long),
            ("too_fast", messages.too_fast),
            ("too_many_waiting", messages.too_many_waiting),
        ];
        let by = |metric, name: &'static str| {
            move |(word, value): (&'static str, u64)| Sample { metric, label: Some((name, word.to_owned())), value }
        };
        [plain(Metric::SignalConnections, connections), plain(Metric::SignalFloods, floods)]
            .into_iter()
            .chain(outcomes.into_iter().map(by(Metric::SignalMessages, "outcome")))
            .chain(refusals.into_iter().map(by(Metric::SignalRefusals, "error")))
            .chain(closes.into_iter().map(by(Metric::SignalCloses, "reason")))
            .collect()
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
