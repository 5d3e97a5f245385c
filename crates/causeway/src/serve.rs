//! `causeway serve`: builds every part, wires them, runs until told to stop.

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock, atomic::Ordering},
    time::{Duration, Instant},
};

use anyhow::Context;
use arc_swap::ArcSwap;
use axum::Router;
use causeway_api_causeway::{EventStreams, Health, HealthCheck, Metric, MetricsSource, Sample};
use causeway_api_http::RateLimit;
use causeway_app::{
    BookSettings, Callers, CredentialDirectory, CredentialStore, Cursor, DirectoryConfig, MintPolicy, NewToken, People,
    Revocation, Scopes, SessionBook, Store, tell_left_open,
};
use causeway_certificates::{CertificateStore, Pair, self_signed};
use causeway_credentials::{token, turn_rest::SharedSecrets};
use causeway_events::EventBus;
use causeway_oidc::Oidc;
use causeway_relay::{BoundAddress, DtlsIdentity, Relay, RelayHandle, RelayLimits, RelaySettings, Reload};
use causeway_store::SqlStore;
use causeway_turn_core::{
    Limits, NonceKeys, OnExpiry, RelayFamilies, TurnConfig,
    peer_policy::{PeerPolicy, PeerPolicyConfig},
};
use causeway_types::{Now, RelayEvent, Secret, UnixTime};
use causeway_webhooks::Webhooks;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    task::JoinHandle,
};

use crate::{
    addresses::{RelayAddresses, database_addresses, local_addresses, nat_discovery_grids},
    api::{self, Parts},
    calls::Calls,
    cli::say,
    clients::Clients,
    config::{self, Settings},
    data_lock, event_ids, fast_path,
    housekeeping::Housekeeping,
    http::HttpListener,
    insight::live_view,
    keys::{DirectoryKeys, answer_questions},
    kvs::Kvs,
    node::Node,
    nonce_key, oidc, people,
    redis::Redis,
    regions::{Draining, Own, RegionKeeper},
    relay_port::RelayPort,
    report,
    samples::{samples, webhook_samples},
    sessions::SessionKeeper,
    telemetry,
    traces::HttpTraces,
    verto::Verto,
    webhooks,
};

/// Issued credentials kept in memory.
const CACHE_MAX: usize = 100_000;
/// Events a consumer may lag behind.
pub(crate) const EVENTS_KEPT: usize = 65_536;
/// One of so many descriptors may be a socket that a busy flow is sent by.
pub(crate) const DESCRIPTORS_PER_SENDER: u64 = 8;
/// Relay events taken under one lock, and the pause after them.
const EVENTS_AT_ONCE: usize = 4096;
const EVENTS_PAUSE: Duration = Duration::from_millis(5);
/// Ended sessions that wait for a store that does not answer.
pub(crate) const SESSIONS_WAITING_MAX: usize = 200_000;
/// How often certificate files are looked at.
const WATCH_INTERVAL: Duration = Duration::from_secs(2);

/// What reloads and signals work on.
struct Server {
    /// As started with.
    settings: Settings,
    /// As last reloaded: what certificates and the drain are applied with.
    in_force: ArcSwap<Settings>,
    relays: RelayAddresses,
    store: Arc<SqlStore>,
    /// Where the database was when the server started: no peer may be there.
    database_addresses: Vec<SocketAddr>,
    /// The first that this process claimed.
    event_ids: Cursor,
    bus: Arc<EventBus>,
    callers: Arc<Callers<SqlStore>>,
    people: Arc<People<SqlStore>>,
    oidc: Option<Arc<Oidc>>,
    sessions: Arc<SessionKeeper<SqlStore>>,
    revocation: Arc<Revocation<SqlStore>>,
    redis: Arc<Redis>,
    traces: Arc<HttpTraces>,
    directory: Arc<CredentialDirectory>,
    certificates: Arc<CertificateStore>,
    clients: Clients,
    nonce_key: Secret<[u8; 32]>,
    webhooks: Arc<Webhooks>,
    kvs: Arc<Kvs>,
    calls: Arc<Calls>,
    verto: Arc<Verto>,
    relay: Arc<OnceLock<RelayHandle>>,
    draining: Arc<Draining>,
    regions: OnceLock<Arc<RegionKeeper<SqlStore>>>,
}

/// Runs the server until a signal ends it.
pub(crate) fn serve(settings: Settings) -> anyhow::Result<()> {
    telemetry::start(&settings)?;
    match causeway_net_io::raise_descriptor_limit() {
        Ok(limit) => tracing::info!(limit, "descriptors this process may open"),
        Err(error) => tracing::warn!(%error, "the descriptor limit stays as it is"),
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(run(settings))
}

async fn run(settings: Settings) -> anyhow::Result<()> {
    std::fs::create_dir_all(&settings.data_dir)
        .with_context(|| format!("cannot make the data directory {}", settings.data_dir.display()))?;
    // Until the process ends, however it ends.
    let _lock = data_lock::take(&settings.data_dir)?;
    let started = Now::read().unix;
    let node = Node::load(settings.node_id.as_deref(), &settings.data_dir)?;
    let store = Arc::new(open_store(&settings, &node).await?);
    let new_token = first_token(&store, &settings).await?;
    let left_open = store.close_left_open().await?;
    if !left_open.is_empty() {
        tracing::warn!(sessions = left_open.len(), "sessions of a process that was killed are closed: server_restart");
    }
    let directory = Arc::new(open_directory(&settings, &store, started).await?);
    let relays = RelayAddresses::of(&settings);
    let certificates = Arc::new(load_certificates(&settings, &relays)?);
    let nonce_key = nonce_key::load(settings.nonce_key.as_ref(), &settings.data_dir)?;

    let listeners = bind_http(&settings, &certificates).await?;
    let http: Vec<(SocketAddr, bool)> = listeners.iter().map(HttpListener::bound).collect::<Result<_, _>>()?;

    let event_ids = store.claim_event_ids(started).await?;
    let bus = Arc::new(EventBus::new(event_ids, EVENTS_KEPT));
    let relay: Arc<OnceLock<RelayHandle>> = Arc::new(OnceLock::new());
    let book = SessionBook::new(book_settings(&settings, &node), Arc::<EventBus>::clone(&bus), started);
    let database_addresses = settings.database_url.as_ref().map(database_addresses).unwrap_or_default();
    let sessions = Arc::new(SessionKeeper::new(book, Arc::clone(&directory), Arc::clone(&relay), Arc::clone(&store)));
    let redis = Redis::start(settings.redis_statsdb.clone(), &node.name, &bus, &sessions).await;
    let revocation = Revocation::new(
        Arc::clone(&store),
        Arc::clone(&directory),
        Arc::new(RelayPort { relay: Arc::clone(&relay) }),
        Arc::<EventBus>::clone(&bus),
        &node.name,
    );
    let webhooks = webhooks::start(&settings, &relays, &store, &bus).await?;
    tell_left_open(&*bus, left_open);
    let callers = people::callers(&settings, &store, &bus);
    let kvs = Arc::new(Kvs::start(&settings, &store, &callers, &relays, &http, &node).await?);
    let calls = Arc::new(Calls::start(&settings, &node, &store, &bus, &webhooks).await?);
    let clients = Clients::start(&settings, &store, calls.registrations());
    let (people, oidc) = oidc::people(&settings, &store, &callers, &http)?;
    let verto = Arc::new(Verto::start(&calls, &store, &webhooks, settings.webhook_log_kept));
    let server = Server {
        webhooks,
        kvs,
        calls,
        verto,
        revocation: Arc::new(revocation),
        redis: Arc::new(redis),
        traces: Arc::new(HttpTraces::start(&settings, &node.name).await?),
        in_force: ArcSwap::from_pointee(settings.clone()),
        settings,
        relays,
        people: Arc::new(people),
        oidc,
        callers,
        sessions,
        store: Arc::clone(&store),
        database_addresses,
        event_ids,
        bus,
        directory: Arc::clone(&directory),
        certificates,
        clients,
        nonce_key,
        relay,
        draining: Arc::default(),
        regions: OnceLock::new(),
    };
    let settings = &server.settings;
    let on_expiry = server.on_expiry();
    let (keys, questions) = DirectoryKeys::new(Arc::clone(&directory), on_expiry);
    let handle = Relay::start(server.relay_settings(&http)?, Arc::new(keys)).map_err(anyhow::Error::from)?;
    let bound = handle.bound().to_vec();
    server.hear(handle.events().clone())?;
    server.relay.get_or_init(|| handle);
    let regions = server.know_regions(&bound, &http, &node.name, started).await?;
    tokio::spawn(answer_questions(
        questions,
        Arc::clone(&store),
        Arc::clone(&directory),
        Arc::clone(&server.relay),
        on_expiry,
    ));

    let (stop, stopped) = watch::channel(false);
    let router = server.router(&regions, &stopped);
    let mut tasks = server.start_tasks(&stopped);
    tasks.push(server.kvs.follow(regions.regions(), &stopped));
    tasks.push(tokio::spawn(regions.run(stopped.clone())));
    tasks.extend(listeners.into_iter().map(|l| tokio::spawn(l.serve(router.clone(), stopped.clone()))));
    let welcome = server.people.first_link(started).await?;
    say(&report::start_up(settings, &bound, &http, &server.relays, new_token.as_ref(), welcome.as_ref()));
    for warning in server.relays.warnings() {
        tracing::warn!("{warning}");
    }
    notify_systemd(&[sd_notify::NotifyState::Ready]);

    server.until_stopped(&http).await?;
    notify_systemd(&[sd_notify::NotifyState::Stopping]);
    // The receiver side is alive: `stopped` is held above.
    stop.send_replace(true);
    server.end(tasks).await;
    Ok(())
}

fn book_settings(settings: &Settings, node: &Node) -> BookSettings {
    BookSettings {
        realm: Arc::from(settings.realm.as_str()),
        region: settings.region.clone(),
        node_number: node.number,
        flush_interval: settings.usage_flush_interval,
        waiting_max: SESSIONS_WAITING_MAX,
    }
}

/// The HTTP listeners: plain, and TLS when there is one.
async fn bind_http(settings: &Settings, certificates: &CertificateStore) -> anyhow::Result<Vec<HttpListener>> {
    let mut listeners = vec![HttpListener::bind(settings.http_listen, None).await?];
    if let Some(address) = settings.http_tls_listen {
        let tls = certificates.server_config(&[b"h2", b"http/1.1"]);
        listeners.push(HttpListener::bind(address, Some(tls)).await?);
    }
    Ok(listeners)
}

/// What the relay checks user names by, with everything that was refused before.
async fn open_directory(
    settings: &Settings,
    store: &SqlStore,
    started: UnixTime,
) -> anyhow::Result<CredentialDirectory> {
    let directory = CredentialDirectory::new(directory_config(settings));
    for (name, until) in store.refused_names(started).await? {
        directory.refuse_name(&name, until);
    }
    directory.set_disabled(store.disabled_projects().await?);
    Ok(directory)
}

pub(crate) async fn open_store(settings: &Settings, node: &Node) -> anyhow::Result<SqlStore> {
    let opened = match &settings.database_url {
        Some(url) => SqlStore::connect(url.expose(), &node.name).await,
        None => SqlStore::open(&settings.data_dir.join("causeway.db"), &node.name).await,
    };
    Ok(opened?)
}

/// Makes the first API token, or keeps the configured one; the one to show, if it is new.
async fn first_token(store: &SqlStore, settings: &Settings) -> anyhow::Result<Option<Secret<String>>> {
    let now = Now::read().unix;
    if let Some(configured) = &settings.api_token {
        store.add_token(&new_token(configured, "CAUSEWAY_API_TOKEN"), now).await?;
        return Ok(None);
    }
    let mut random = [0; 32];
    aws_lc_rs::rand::fill(&mut random).map_err(|_| anyhow::anyhow!("the system has no randomness"))?;
    let made = token::organization_wide_from_random(random);
    Ok(store.make_first_token(&new_token(&made, "first"), now).await?.then_some(made))
}

/// The operator's own token: it may do everything, for every project.
fn new_token(token: &Secret<String>, name: &str) -> NewToken {
    NewToken {
        hash: token::hash(token.expose()),
        name: name.to_owned(),
        prefix: token::shown_prefix(token.expose()),
        scopes: Scopes::ALL,
        organization_wide: true,
        expires_at: None,
        regions: std::collections::BTreeSet::new(),
    }
}

fn directory_config(settings: &Settings) -> DirectoryConfig {
    DirectoryConfig {
        realm: settings.realm.clone(),
        secrets: SharedSecrets::new(settings.turn_secret.clone()),
        rest_separator: settings.rest_separator,
        rest_ttl_max: settings.rest_ttl_max,
        users: settings.users.clone(),
        cache_max: CACHE_MAX,
    }
}

fn load_certificates(settings: &Settings, relays: &RelayAddresses) -> anyhow::Result<CertificateStore> {
    let mut pairs = Vec::new();
    match (&settings.tls_cert, &settings.tls_key) {
        (Some(certificate), Some(key)) => pairs.push(Pair { certificate: certificate.clone(), key: key.clone() }),
        _ => {
            let name = settings.public_host.clone().unwrap_or_else(|| relays.preferred().to_string());
            pairs.push(self_signed(&settings.data_dir, &[name, "localhost".to_owned()])?);
        }
    }
    pairs.extend(settings.more_certificates.iter().cloned());
    Ok(CertificateStore::load(pairs)?)
}

impl Server {
    /// Starts the thread that hears the relay. It ends with the process: the relay's handle keeps its queue open.
    fn hear(&self, events: crossbeam_channel::Receiver<RelayEvent>) -> anyhow::Result<()> {
        let sessions = Arc::clone(&self.sessions);
        let hear = move || {
            while let Ok(first) = events.recv() {
                sessions.hear(std::iter::once(first).chain(events.try_iter().take(EVENTS_AT_ONCE)));
                // Under load a wake-up per batch, not per event, is what this thread costs the data plane.
                std::thread::sleep(EVENTS_PAUSE);
            }
        };
        std::thread::Builder::new().name("events".to_owned()).spawn(hear)?;
        Ok(())
    }

    /// Ends what was started, each part after those that still need it.
    async fn end(&self, tasks: Vec<JoinHandle<()>>) {
        if let Some(relay) = self.relay.get() {
            relay.shutdown();
        }
        self.kvs.end().await;
        self.calls.end();
        self.verto.end().await;
        for task in tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a task ended badly");
            }
        }
        if !self.sessions.finish().await {
            tracing::error!("the store did not take the last sessions; they are closed at the next start");
        }
        self.webhooks.finish().await;
        self.redis.finish(&self.bus).await;
        self.traces.finish().await;
        self.store.close().await;
        tracing::info!("stopped");
    }

    /// Starts what works by the clock.
    fn start_tasks(&self, stopped: &watch::Receiver<bool>) -> Vec<JoinHandle<()>> {
        let housekeeping = Housekeeping {
            store: Arc::clone(&self.store),
            callers: Arc::clone(&self.callers),
            directory: Arc::clone(&self.directory),
            sink: Arc::<EventBus>::clone(&self.bus),
            revocation: Arc::clone(&self.revocation),
            webhooks: Arc::clone(&self.webhooks),
            client_tokens: Arc::clone(&self.clients.tokens),
            registrations: Arc::clone(&self.clients.registrations),
            voice_clients: Arc::<Verto>::clone(&self.verto),
        };
        let (store, bus) = (Arc::clone(&self.store), Arc::clone(&self.bus));
        let event_ids = event_ids::keep_claimed(store, bus, self.event_ids, stopped.clone());
        let (sessions, stop) = (Arc::clone(&self.sessions), stopped.clone());
        vec![
            tokio::spawn(async move { sessions.run(stop).await }),
            tokio::spawn(housekeeping.run(stopped.clone())),
            self.kvs.task(stopped),
            self.calls.task(&self.store, stopped.clone()),
            tokio::spawn(event_ids),
        ]
    }

    fn on_expiry(&self) -> OnExpiry {
        if self.settings.terminate_on_expiry { OnExpiry::Terminate } else { OnExpiry::GateNew }
    }

    fn relay_settings(&self, http: &[(SocketAddr, bool)]) -> anyhow::Result<RelaySettings> {
        let settings = &self.settings;
        let processors = std::thread::available_parallelism().map_or(1, |n| u8::try_from(n.get()).unwrap_or(u8::MAX));
        Ok(RelaySettings {
            threads: if settings.threads == 0 { processors } else { settings.threads },
            turn_listen: settings.turn_listen.clone(),
            turn_tls_listen: settings.turn_tls_listen.clone(),
            relay_addresses: self.relays.addresses.clone(),
            relay_ports: settings.relay_ports.clone(),
            senders_max: senders_max(),
            turn: Arc::new(self.turn_config(settings, http)),
            limits: relay_limits(settings),
            tls: Some(self.certificates.server_config(&[b"stun.turn", b"stun.nat-discovery"])),
            dtls: Some(self.dtls_identity()?),
            proxy_protocol: settings.proxy_protocol,
            fast_path: fast_path::start(settings, &self.relays),
        })
    }

    fn dtls_identity(&self) -> anyhow::Result<DtlsIdentity> {
        let pair = self.certificates.dtls_pair()?;
        if pair.generated && !self.settings.turn_tls_listen.is_empty() {
            tracing::warn!("the TLS key is not ECDSA in PKCS#8: DTLS listeners use a generated certificate");
        }
        Ok(DtlsIdentity { certificate: pair.certificate, private_key: pair.private_key })
    }

    /// What the cores decide by; `settings` may be newer than the ones the server started with.
    fn turn_config(&self, settings: &Settings, http: &[(SocketAddr, bool)]) -> TurnConfig {
        let has = |v4: bool| self.relays.addresses.iter().any(|a| a.bound.is_ipv4() == v4);
        let listeners = self.settings.turn_listen.iter().chain(&self.settings.turn_tls_listen).copied();
        let policy = PeerPolicyConfig {
            allow: settings.allow_peer.clone(),
            deny: settings.deny_peer.clone(),
            own_relays: self.relays.with_ports(&settings.relay_ports),
            own_services: http
                .iter()
                .map(|(address, _)| *address)
                .chain(listeners)
                .chain(self.database_addresses.iter().copied())
                .chain(self.redis.addresses())
                .chain(self.kvs.addresses())
                .chain(self.traces.addresses())
                .collect(),
            local_addresses: local_addresses(&self.settings),
        };
        TurnConfig {
            realm: Arc::from(settings.realm.as_str()),
            software: settings.software.as_deref().map(Arc::from),
            nonce_keys: NonceKeys { signing: self.nonce_key.clone(), accepted: Vec::new() },
            nonce_lifetime: settings.nonce_lifetime,
            username_anonymity: settings.turn_secret.is_empty(),
            lifetime_default: settings.lifetime_default,
            lifetime_max: settings.lifetime_max,
            limits: Limits {
                permissions_per_allocation_max: settings.permissions_per_allocation_max,
                channels_per_allocation_max: settings.channels_per_allocation_max,
                connections_per_allocation_max: settings.connections_per_allocation_max,
                pending_requests_max: settings.pending_requests_max,
                bandwidth_per_allocation: settings.bandwidth_per_allocation,
                unauthenticated_replies_per_sec: settings.unauthenticated_replies_per_sec,
                unauthenticated_replies_burst: settings.unauthenticated_replies_burst,
            },
            peer_policy: Arc::new(PeerPolicy::new(policy)),
            relay_families: RelayFamilies { v4: has(true), v6: has(false) },
            tcp_relaying: settings.tcp_relaying,
            mobility: settings.mobility,
            nat_discovery: nat_discovery_grids(&self.settings.turn_listen),
            alternate_servers: settings.alternate_server.clone(),
            draining: self.draining.is_ending() || self.draining.is_drained(),
        }
    }

    /// Learns what regions there are; when an operator has drained this server, its relay begins drained.
    async fn know_regions(
        &self,
        bound: &[BoundAddress],
        http: &[(SocketAddr, bool)],
        node: &str,
        started: UnixTime,
    ) -> anyhow::Result<Arc<RegionKeeper<SqlStore>>> {
        let own = Own {
            name: node.to_owned(),
            urls: report::ice_urls(&self.settings, bound, &self.relays),
            started,
            relay: Arc::clone(&self.relay),
            draining: Arc::clone(&self.draining),
            certificates: self.settings.tls_cert.is_some().then(|| Arc::clone(&self.certificates)),
        };
        let keeper = RegionKeeper::start(&self.settings, &self.store, own, Arc::<EventBus>::clone(&self.bus)).await?;
        if self.draining.is_drained() {
            self.apply(http, &self.in_force.load());
        }
        Ok(Arc::clone(self.regions.get_or_init(|| Arc::new(keeper))))
    }

    fn router(&self, regions: &RegionKeeper<SqlStore>, stopped: &watch::Receiver<bool>) -> Router {
        let settings = &self.settings;
        let events = Arc::new(EventStreams::new(Arc::<EventBus>::clone(&self.bus), stopped.clone()));
        let parts = Parts {
            store: Arc::clone(&self.store),
            directory: Arc::clone(&self.directory),
            callers: Arc::clone(&self.callers),
            people: Arc::clone(&self.people),
            sink: Arc::<EventBus>::clone(&self.bus),
            revocation: Arc::clone(&self.revocation),
            policy: MintPolicy {
                ttl_default: settings.credential_ttl_default,
                ttl_max: settings.credential_ttl_max,
                ttl_over_max: settings.ttl_over_max,
                realm: settings.realm.clone(),
                rest_separator: settings.rest_separator,
            },
            rate_limit: RateLimit { per_sec: settings.api_requests_per_sec, burst: settings.api_requests_burst },
            regions: Arc::clone(regions.regions()),
            rules: Arc::clone(regions.rules()),
            cors_origins: settings.cors_origins.clone(),
            live: live_view(settings, self.relays.per_family(), &self.sessions, &self.relay, regions.regions()),
            health: self.health(),
            metrics: self.metrics(Arc::clone(&events)),
            events,
            webhooks: Arc::<Webhooks>::clone(&self.webhooks),
            kvs: Arc::clone(&self.kvs),
            calls: Arc::clone(&self.calls),
            clients: self.clients.clone(),
            verto: Arc::clone(&self.verto),
        };
        self.traces.layer(api::router(parts))
    }

    fn health(&self) -> HealthCheck {
        let (store, draining, relay) = (Arc::clone(&self.store), Arc::clone(&self.draining), Arc::clone(&self.relay));
        let redis = Arc::clone(&self.redis);
        Arc::new(move || {
            let (store, draining, relay) = (Arc::clone(&store), Arc::clone(&draining), relay.get().is_some());
            let redis = redis.health();
            Box::pin(async move {
                let (is_ending, drained) = (draining.is_ending(), draining.is_drained());
                Health { relay, store: store.is_healthy().await, redis, draining: is_ending, drained }
            })
        })
    }

    fn metrics(&self, events: Arc<EventStreams>) -> MetricsSource {
        let (webhooks, traces, kvs) = (Arc::clone(&self.webhooks), Arc::clone(&self.traces), Arc::clone(&self.kvs));
        let (calls, verto) = (Arc::clone(&self.calls), Arc::clone(&self.verto));
        let (relay, sessions, redis) = (Arc::clone(&self.relay), Arc::clone(&self.sessions), Arc::clone(&self.redis));
        let (people, oidc) = (Arc::clone(&self.people), self.oidc.clone());
        Arc::new(move || {
            let mut all = relay.get().map(samples).unwrap_or_default();
            let lost = sessions.lost_records();
            all.push(Sample { metric: Metric::SessionRecordsLost, label: None, value: lost });
            all.extend(redis.samples());
            all.extend(traces.samples());
            let open = u64::try_from(events.open()).unwrap_or(u64::MAX);
            all.push(Sample { metric: Metric::EventStreams, label: None, value: open });
            all.extend(webhook_samples(webhooks.figures()));
            all.extend(kvs.samples());
            all.extend(calls.samples());
            all.extend(verto.samples());
            all.extend(oidc::samples(&people, oidc.as_deref()));
            all
        })
    }

    /// Signals: SIGHUP reloads; the first SIGTERM or SIGINT drains, the second ends at once.
    async fn until_stopped(&self, http: &[(SocketAddr, bool)]) -> anyhow::Result<()> {
        let mut hangup = signal(SignalKind::hangup())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut watch = tokio::time::interval(WATCH_INTERVAL);
        loop {
            tokio::select! {
                _ = hangup.recv() => self.reload(http),
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                () = self.draining.changed.notified() => self.apply(http, &self.in_force.load()),
                _ = watch.tick() => {
                    if self.certificates.has_changed() {
                        self.reload_certificates(http, &self.in_force.load());
                    } else if self.redis.has_moved() {
                        self.apply(http, &self.in_force.load());
                    }
                }
            }
        }
        self.draining.is_ending.store(true, Ordering::Relaxed);
        if let Some(regions) = self.regions.get() {
            regions.look_at_own();
        }
        self.kvs.hub.send_away();
        self.verto.drain();
        self.calls.drain();
        self.apply(http, &self.in_force.load());
        let deadline = Instant::now() + self.settings.drain_timeout;
        tracing::info!(allocations = self.live(), "draining; a second signal ends at once");
        while self.live() > 0 && Instant::now() < deadline {
            tokio::select! {
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                () = tokio::time::sleep(Duration::from_millis(100)) => {}
            }
        }
        Ok(())
    }

    fn live(&self) -> u32 {
        self.relay.get().map_or(0, RelayHandle::live_allocations)
    }

    /// Reads the configuration again; on a fault everything stays as it is.
    fn reload(&self, http: &[(SocketAddr, bool)]) {
        notify_systemd(&[sd_notify::NotifyState::Reloading]);
        match config::load(self.settings.sources.clone()) {
            Ok(settings) => {
                self.directory.reload(directory_config(&settings));
                self.in_force.store(Arc::new(settings));
                self.reload_certificates(http, &self.in_force.load());
                if let Some(regions) = self.regions.get() {
                    regions.reload(&self.in_force.load());
                }
                tracing::info!("configuration reloaded: peers, secrets, users, limits, certificates and GeoIP");
            }
            Err(config::Faults(faults)) => {
                for fault in faults {
                    tracing::error!("{fault}");
                }
                tracing::error!("the configuration in force stays");
            }
        }
        notify_systemd(&[sd_notify::NotifyState::Ready]);
    }

    fn reload_certificates(&self, http: &[(SocketAddr, bool)], settings: &Settings) {
        match self.certificates.reload() {
            Ok(()) => tracing::info!("certificates loaded"),
            Err(error) => tracing::warn!(%error, "the certificates in force stay"),
        }
        self.apply(http, settings);
    }

    fn apply(&self, http: &[(SocketAddr, bool)], settings: &Settings) {
        let dtls = match self.dtls_identity() {
            Ok(identity) => Some(identity),
            Err(error) => {
                tracing::warn!(%error, "DTLS has no certificate");
                None
            }
        };
        let reload = Reload {
            turn: Arc::new(self.turn_config(settings, http)),
            limits: relay_limits(settings),
            tls: Some(self.certificates.server_config(&[b"stun.turn", b"stun.nat-discovery"])),
            dtls,
        };
        if let Some(relay) = self.relay.get() {
            relay.reload(&reload);
        }
    }
}

/// Relay sockets and connections come first: without a socket of its own, a busy flow only costs a little more.
fn senders_max() -> u32 {
    let descriptors = causeway_net_io::raise_descriptor_limit().unwrap_or(0);
    u32::try_from(descriptors / DESCRIPTORS_PER_SENDER).unwrap_or(u32::MAX)
}

fn relay_limits(settings: &Settings) -> RelayLimits {
    RelayLimits {
        allocations_per_user_max: settings.allocations_per_user_max,
        allocations_max: settings.allocations_max,
        bandwidth_total: settings.bandwidth_total,
        tcp_connections_max: settings.tcp_connections_max,
        tcp_write_queue_bytes: settings.tcp_write_queue_bytes,
        tcp_write_queue_age: settings.tcp_write_queue_age,
        idle_timeout: settings.idle_timeout,
        dtls_associations_max: settings.dtls_associations_max,
        dtls_handshakes_max: settings.dtls_handshakes_max,
    }
}

fn notify_systemd(state: &[sd_notify::NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "systemd was not told");
    }
}
