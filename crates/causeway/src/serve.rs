//! `causeway serve`: builds every part, wires them, runs until told to stop.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context;
use arc_swap::ArcSwap;
use axum::Router;
use causeway_api_causeway::{self as own_api, Health, Metric, Sample};
use causeway_api_turnix::{self as turnix, RateLimit, Region};
use causeway_app::{CredentialDirectory, DirectoryConfig, MintPolicy, Minting, NewToken, Store};
use causeway_certificates::{CertificateStore, Pair, self_signed};
use causeway_credentials::{token, turn_rest::SharedSecrets};
use causeway_relay::{DtlsIdentity, Relay, RelayHandle, RelayLimits, RelaySettings, Reload};
use causeway_store::SqliteStore;
use causeway_turn_core::{
    DropReason, Limits, NatDiscoveryGrid, NonceKeys, OnExpiry, RelayFamilies, TurnConfig,
    peer_policy::{PeerPolicy, PeerPolicyConfig},
};
use causeway_types::{Now, RelayEvent, Secret};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

use crate::{
    addresses::RelayAddresses,
    cli::say,
    config::{self, Settings},
    http::HttpListener,
    keys::{DirectoryKeys, answer_questions},
    nonce_key, report, telemetry,
};

/// Issued credentials kept in memory.
const CACHE_MAX: usize = 100_000;
/// How often certificate files are looked at.
const WATCH_INTERVAL: Duration = Duration::from_secs(2);

/// What reloads and signals work on.
struct Server {
    /// As started with.
    settings: Settings,
    /// As last reloaded: what certificates and the drain are applied with.
    in_force: ArcSwap<Settings>,
    relays: RelayAddresses,
    directory: Arc<CredentialDirectory>,
    certificates: Arc<CertificateStore>,
    nonce_key: Secret<[u8; 32]>,
    relay: Arc<OnceLock<RelayHandle>>,
    draining: Arc<AtomicBool>,
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
    let store = Arc::new(SqliteStore::open(&settings.data_dir.join("causeway.db")).await?);
    let new_token = first_token(&store, &settings).await?;
    let directory = Arc::new(CredentialDirectory::new(directory_config(&settings)));
    let relays = RelayAddresses::of(&settings);
    let certificates = Arc::new(load_certificates(&settings, &relays)?);
    let nonce_key = nonce_key::load(settings.nonce_key.as_ref(), &settings.data_dir)?;

    let http_tls = settings.http_tls_listen.map(|address| (address, certificates.server_config(&[b"h2", b"http/1.1"])));
    let mut listeners = vec![HttpListener::bind(settings.http_listen, None).await?];
    if let Some((address, tls)) = http_tls {
        listeners.push(HttpListener::bind(address, Some(tls)).await?);
    }
    let http: Vec<(SocketAddr, bool)> = listeners.iter().map(HttpListener::bound).collect::<Result<_, _>>()?;

    let server = Server {
        in_force: ArcSwap::from_pointee(settings.clone()),
        settings,
        relays,
        directory: Arc::clone(&directory),
        certificates,
        nonce_key,
        relay: Arc::new(OnceLock::new()),
        draining: Arc::new(AtomicBool::new(false)),
    };
    let settings = &server.settings;
    let on_expiry = server.on_expiry();
    let (keys, questions) = DirectoryKeys::new(Arc::clone(&directory), on_expiry);
    let handle = Relay::start(server.relay_settings(&http)?, Arc::new(keys)).map_err(anyhow::Error::from)?;
    let bound = handle.bound().to_vec();
    let events = handle.events().clone();
    server.relay.get_or_init(|| handle);
    tokio::spawn(answer_questions(
        questions,
        Arc::clone(&store),
        Arc::clone(&directory),
        Arc::clone(&server.relay),
        on_expiry,
    ));
    let event_log =
        std::thread::Builder::new().name("events".to_owned()).spawn(move || events.iter().for_each(log_event))?;

    let (stop, stopped) = watch::channel(false);
    let router = server.router(&store, &bound);
    let serving: Vec<_> =
        listeners.into_iter().map(|l| tokio::spawn(l.serve(router.clone(), stopped.clone()))).collect();
    say(&report::start_up(settings, &bound, &http, &server.relays, new_token.as_ref()));
    for warning in server.relays.warnings() {
        tracing::warn!("{warning}");
    }
    notify_systemd(&[sd_notify::NotifyState::Ready]);

    server.until_stopped(&http).await?;
    notify_systemd(&[sd_notify::NotifyState::Stopping]);
    // The receiver side is alive: `stopped` is held above.
    stop.send_replace(true);
    if let Some(relay) = server.relay.get() {
        relay.shutdown();
    }
    for task in serving {
        if let Err(error) = task.await {
            tracing::error!(%error, "an HTTP listener ended badly");
        }
    }
    store.close().await;
    // It ends with the process: the relay handle keeps its queue open.
    drop(event_log);
    tracing::info!("stopped");
    Ok(())
}

/// Makes the first API token, or keeps the configured one; the one to show, if it is new.
async fn first_token(store: &SqliteStore, settings: &Settings) -> anyhow::Result<Option<Secret<String>>> {
    let now = Now::read().unix;
    if let Some(configured) = &settings.api_token {
        let token = NewToken { hash: token::hash(configured.expose()), name: "CAUSEWAY_API_TOKEN".to_owned() };
        store.add_token(&token, now).await?;
        return Ok(None);
    }
    let mut random = [0; 32];
    aws_lc_rs::rand::fill(&mut random).map_err(|_| anyhow::anyhow!("the system has no randomness"))?;
    let made = token::from_random(random);
    let token = NewToken { hash: token::hash(made.expose()), name: "first".to_owned() };
    Ok(store.make_first_token(&token, now).await?.then_some(made))
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
            turn: Arc::new(self.turn_config(settings, http)),
            limits: relay_limits(settings),
            tls: Some(self.certificates.server_config(&[b"stun.turn", b"stun.nat-discovery"])),
            dtls: Some(self.dtls_identity()?),
            proxy_protocol: settings.proxy_protocol,
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
            own_services: http.iter().map(|(address, _)| *address).chain(listeners).collect(),
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
            draining: self.draining.load(Ordering::Relaxed),
        }
    }

    fn router(&self, store: &Arc<SqliteStore>, bound: &[causeway_relay::BoundAddress]) -> Router {
        let settings = &self.settings;
        let policy = MintPolicy {
            ttl_default: settings.credential_ttl_default,
            ttl_max: settings.credential_ttl_max,
            region: settings.region.clone(),
            realm: settings.realm.clone(),
            rest_separator: settings.rest_separator,
        };
        let urls = report::ice_urls(settings, bound, &self.relays);
        let turnix_api = turnix::router(turnix::ApiState {
            minting: Arc::new(Minting::new(Arc::clone(store), Arc::clone(&self.directory), policy)),
            ice_urls: Arc::new(move || urls.clone()),
            region: Region {
                slug: settings.region.clone(),
                nat2: "ZZ".to_owned(),
                city: settings.region.clone(),
                name: settings.region.clone(),
                lat: 0.0,
                lon: 0.0,
            },
            rate_limit: RateLimit { per_sec: settings.api_requests_per_sec, burst: settings.api_requests_burst },
        });
        let (store, draining, relay) = (Arc::clone(store), Arc::clone(&self.draining), Arc::clone(&self.relay));
        let metrics_relay = Arc::clone(&self.relay);
        let own = own_api::router(own_api::ApiState {
            health: Arc::new(move || {
                let (store, draining, relay) =
                    (Arc::clone(&store), draining.load(Ordering::Relaxed), relay.get().is_some());
                Box::pin(async move { Health { relay, store: store.is_healthy().await, draining } })
            }),
            metrics: Arc::new(move || metrics_relay.get().map(samples).unwrap_or_default()),
        });
        own.merge(turnix_api)
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
                _ = watch.tick() => {
                    if self.certificates.has_changed() {
                        self.reload_certificates(http, &self.in_force.load());
                    }
                }
            }
        }
        self.draining.store(true, Ordering::Relaxed);
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
                tracing::info!("configuration reloaded: peers, secrets, users, limits and certificates");
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

/// Addresses of this host: of its interfaces, and those the configuration names. Peers may not reach its services by any
/// of them; relay addresses have rules of their own.
fn local_addresses(settings: &Settings) -> Vec<IpAddr> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_else(|error| {
        tracing::warn!(%error, "interface addresses are not known: peers are checked against configured ones only");
        Vec::new()
    });
    let listeners = settings.turn_listen.iter().chain(&settings.turn_tls_listen).map(SocketAddr::ip);
    let http = std::iter::once(settings.http_listen).chain(settings.http_tls_listen).map(|address| address.ip());
    let named = listeners.chain(http).filter(|ip| !ip.is_unspecified());
    let mut all: Vec<IpAddr> = interfaces.iter().map(if_addrs::Interface::ip).chain(named).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// Every pair of two IPs and two ports of which all four are listened on (RFC 5780 §6).
fn nat_discovery_grids(listen: &[SocketAddr]) -> Vec<NatDiscoveryGrid> {
    let mut grids = Vec::new();
    for primary in listen {
        let grid = listen.iter().find_map(|alternate| {
            let differs = alternate.ip() != primary.ip() && alternate.port() != primary.port();
            let complete = listen.contains(&SocketAddr::new(primary.ip(), alternate.port()))
                && listen.contains(&SocketAddr::new(alternate.ip(), primary.port()));
            let usable = !primary.ip().is_unspecified() && primary.is_ipv4() == alternate.is_ipv4();
            (differs && complete && usable).then_some(NatDiscoveryGrid { primary: *primary, alternate: *alternate })
        });
        if let Some(grid) = grid
            && !grids.iter().any(|known: &NatDiscoveryGrid| known.other(*primary).is_some())
        {
            grids.push(grid);
        }
    }
    grids
}

fn samples(relay: &RelayHandle) -> Vec<Sample> {
    let stats = relay.stats();
    let plain = |metric, value| Sample { metric, label: None, value };
    let mut samples = vec![
        plain(Metric::Allocations, stats.allocations),
        plain(Metric::EventsDropped, stats.events_dropped),
        plain(Metric::Panics, stats.shards.iter().map(|s| s.panics).sum()),
        plain(Metric::AllocationsCreated, stats.shards.iter().map(|s| s.turn.allocations_created).sum()),
        plain(Metric::AllocationsEnded, stats.shards.iter().map(|s| s.turn.allocations_ended).sum()),
        plain(Metric::PeersWithdrawn, stats.shards.iter().map(|s| s.turn.peers_withdrawn).sum()),
    ];
    let mut add = |metric, name: &'static str, label: &str, value: u64| {
        let known =
            samples.iter_mut().find(|s| s.metric == metric && s.label.as_ref().is_some_and(|(_, l)| l == label));
        match known {
            Some(sample) => sample.value += value,
            None => samples.push(Sample { metric, label: Some((name, label.to_owned())), value }),
        }
    };
    for shard in &stats.shards {
        add(Metric::RelayedPackets, "direction", "from_client", shard.turn.from_client.packets);
        add(Metric::RelayedPackets, "direction", "to_client", shard.turn.to_client.packets);
        add(Metric::RelayedBytes, "direction", "from_client", shard.turn.from_client.bytes);
        add(Metric::RelayedBytes, "direction", "to_client", shard.turn.to_client.bytes);
        shard.turn.requests().for_each(|(method, n)| add(Metric::TurnRequests, "method", method, n));
        shard.turn.refusals().for_each(|(code, n)| add(Metric::TurnRefusals, "code", &code.to_string(), n));
        DropReason::ALL.iter().for_each(|r| add(Metric::Drops, "reason", r.as_str(), shard.drops.count(*r)));
        add(Metric::ClientConnections, "transport", "stream", shard.connections);
        add(Metric::ClientConnections, "transport", "dtls", shard.dtls_associations);
    }
    samples
}

/// Life-cycle events at INFO without personal data; who and where at DEBUG.
fn log_event(event: RelayEvent) {
    match &event {
        RelayEvent::AllocationCreated { allocation, username, five_tuple, relayed, lifetime, .. } => {
            tracing::info!(%allocation, lifetime_secs = lifetime.as_secs(), transport = %five_tuple.transport, "allocation created");
            tracing::debug!(%allocation, %username, %five_tuple, ?relayed, "allocation belongs to");
        }
        RelayEvent::AllocationEnded { allocation, reason, duration, traffic, .. } => tracing::info!(
            %allocation,
            reason = reason.as_str(),
            duration_secs = duration.as_secs(),
            bytes_from_client = traffic.from_client.bytes,
            bytes_to_client = traffic.to_client.bytes,
            "allocation ended"
        ),
        RelayEvent::AuthRefused { five_tuple, username, refusal } => {
            tracing::debug!(%five_tuple, ?username, ?refusal, "authentication refused");
        }
        RelayEvent::PeerRefused { allocation, peer, rule } => {
            tracing::debug!(%allocation, %peer, %rule, "peer refused");
        }
        RelayEvent::PeerWithdrawn { allocation, peer, rule } => {
            tracing::info!(%allocation, %rule, "the reloaded policy took a peer back");
            tracing::debug!(%allocation, %peer, "the peer was");
        }
        RelayEvent::LimitReached { limit, username } => {
            tracing::debug!(limit = limit.as_str(), ?username, "limit reached")
        }
        RelayEvent::AllocationMoved { allocation, moved } => tracing::debug!(%allocation, ?moved, "allocation moved"),
        RelayEvent::AllocationRefreshed { allocation, lifetime } => {
            tracing::debug!(%allocation, lifetime_secs = lifetime.as_secs(), "allocation refreshed");
        }
        // The enum may grow; what this log does not know yet is told as it is.
        _ => tracing::debug!(?event, "relay event"),
    }
}

fn notify_systemd(state: &[sd_notify::NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "systemd was not told");
    }
}
