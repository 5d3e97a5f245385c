//! Every family's routes behind a listener, over a real database with two projects.

use std::{
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use causeway_api_aculab as aculab;
use causeway_api_causeway::{
    self as own, Doctor, EventStreams, Examined, ExaminedStep, Health, LiveView, Metric, Sample,
};
use causeway_api_cloudflare as cloudflare;
use causeway_api_console as console;
use causeway_api_http::{Gate, RateLimit, RouteAccess, with_manners};
use causeway_api_turnix as turnix;
use causeway_api_twilio as twilio;
use causeway_app::{
    AccessKeys, Admission, Attribution, BoardSettings, CallBook, Callers, ClientTokenSettings, ClientTokens,
    CredentialDirectory, CredentialLimits, CredentialRecord, CredentialStore, Cursor, DirectoryConfig, DoctorDesk,
    DomainEvent, EventPlace, EventSink, Failure, FailureReason, IceUrls, Identifier, InsightStore, Management, Mark,
    MarkKind, MintPolicy, Minting, NewDoctorLink, NewToken, NewUser, NodeReport, OrganizationId, OverMax, People,
    PeopleStore, ProjectId, Refusal, RegionBoard, RegionDesk, Regions, Registration, Registrations, RelayControl,
    Revocation, Role, Scopes, SessionInsight, SessionRecord, SessionStart, SipUsers, Store, TokenId, UriCalls,
    UserRole, VoiceClients, VoiceConnection, VoiceConnectionId, VoiceConnectionKind, VoiceCredential, VoiceRecords,
    VoiceRegistered, VoiceStore, VoiceWebhook, Webhook, WebhookDesk, WebhookId, WebhookStore,
};
use causeway_credentials::{client_token::CloudId, sign_in, token, turn_rest::SharedSecrets};
use causeway_events::EventBus;
use causeway_store::SqlStore;
use causeway_types::{
    AllocationId, ClientTransport, CredentialKind, FiveTuple, Now, RelayTransport, Secret, TrafficCount,
    TrafficCounters, UnixTime,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// Organization-wide, may do everything.
pub(crate) const WIDE: &str = "cwo_wide";
/// Of the first project, may do everything.
pub(crate) const OWN: &str = "cwp_own";
/// Of the other project, may do everything there.
pub(crate) const OTHER: &str = "cwp_other";
/// When everything was recorded.
pub(crate) const THEN: UnixTime = UnixTime::from_millis(1_750_000_000_123);
/// The first project's credential.
pub(crate) const USERNAME: &str = "3f0d2a52-6a0e-4a8f-9d3b-0b6a2f6f8c11";
/// Its live session.
pub(crate) const SESSION: &str = "00000000000000a7";

/// The secret of its doctor link.
pub(crate) const DOCTOR: &str = "0123456789abcdef0123456789abcdef";

/// A running server; it ends with this value.
pub(crate) struct World {
    address: SocketAddr,
    pub(crate) store: Arc<SqlStore>,
    pub(crate) directory: Arc<CredentialDirectory>,
    pub(crate) events: Arc<Heard>,
    pub(crate) seats: Arc<Seats>,
    task: JoinHandle<()>,
    _directory: tempfile::TempDir,
}

impl Drop for World {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A relay with one live session per user name it is asked about.
#[derive(Debug)]
struct Relay;

impl RelayControl for Relay {
    fn end_session(&self, _session: AllocationId) -> bool {
        true
    }

    fn end_sessions_of(&self, usernames: &[String]) -> u32 {
        u32::try_from(usernames.len()).expect("few")
    }
}

/// Client tokens that a project may mint in a month.
pub(crate) const TOKENS_PER_MONTH: u64 = 25;

/// Registrations that are there because somebody put them there.
#[derive(Debug, Default)]
pub(crate) struct Seats(pub(crate) Mutex<Vec<Registration>>);

impl Seats {
    /// One of the first project.
    fn taken() -> Self {
        let registration = Registration {
            id: "0-7".to_owned(),
            project: ProjectId::DEFAULT,
            client: Arc::from("client-a"),
            dialect: "sip",
            is_ringable: true,
            since: THEN,
            updated: THEN,
            expires_at: UnixTime::from_secs(4_000_000_000),
            address: Some([192, 0, 2, 1].into()),
            user_agent: Some(Arc::from("AculabCloudClient")),
            admission: Some(Admission::ClientToken(Arc::from("gone-long-ago"))),
        };
        Self(Mutex::new(vec![registration]))
    }
}

impl Registrations for Seats {
    fn of_project(&self, project: ProjectId) -> Pin<Box<dyn Future<Output = Vec<Registration>> + Send + '_>> {
        let all = self.0.lock().expect("not poisoned");
        Box::pin(std::future::ready(all.iter().filter(|seat| seat.project == project).cloned().collect()))
    }

    fn end(&self, is_meant: &dyn Fn(&Registration) -> bool) -> u64 {
        let mut all = self.0.lock().expect("not poisoned");
        let before = all.len();
        all.retain(|seat| !is_meant(seat));
        u64::try_from(before - all.len()).expect("few")
    }
}

impl VoiceClients for Seats {
    fn send_away(&self, project: ProjectId, names: &[String]) {
        self.end(&|seat| seat.project == project && names.iter().any(|name| **name == *seat.client));
    }

    fn registered(&self, _: ProjectId, _: &str) -> Option<VoiceRegistered> {
        None
    }
}

/// The events that were told.
#[derive(Debug, Default)]
pub(crate) struct Heard(pub(crate) Mutex<Vec<&'static str>>);

impl EventSink for Heard {
    fn emit(&self, _at: UnixTime, _project: ProjectId, event: DomainEvent) {
        self.0.lock().expect("not poisoned").push(event.name());
    }
}

/// What every route asks for, over all families.
pub(crate) fn tables() -> Vec<RouteAccess> {
    [own::table::ROUTES, console::ROUTES, turnix::ROUTES, cloudflare::ROUTES, twilio::ROUTES, aculab::ROUTES].concat()
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::with_rate(RateLimit { per_sec: 1_000_000, burst: 1_000_000 }).await
    }

    pub(crate) async fn with_rate(limit: RateLimit) -> Self {
        let directory_of_files = tempfile::tempdir().expect("a temporary directory");
        let opened = SqlStore::open(&directory_of_files.path().join("causeway.db"), "node-1").await;
        let store = Arc::new(opened.expect("it opens"));
        seed(&store).await;
        let directory = Arc::new(CredentialDirectory::new(DirectoryConfig {
            realm: "causeway".to_owned(),
            secrets: SharedSecrets::new(vec![Secret::new("secret".to_owned())]),
            rest_separator: ':',
            rest_ttl_max: None,
            users: Vec::new(),
            cache_max: 100,
        }));
        let events = Arc::new(Heard::default());
        let seats = Arc::new(Seats::taken());
        let routes =
            routes(&store, &directory, &events, (Arc::<Seats>::clone(&seats), Arc::<Seats>::clone(&seats)), limit);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let service = TowerToHyperService::new(routes.clone());
                tokio::spawn(async move {
                    let builder = auto::Builder::new(TokioExecutor::new());
                    builder.serve_connection(TokioIo::new(stream), service).await.ok();
                });
            }
        });
        Self { address, store, directory, events, seats, task, _directory: directory_of_files }
    }

    /// One request with this `Authorization`, and a JSON body if there is one.
    pub(crate) async fn ask(&self, method: &str, path: &str, authorization: &str, body: &str) -> Answer {
        let header =
            if authorization.is_empty() { String::new() } else { format!("Authorization: {authorization}\r\n") };
        self.ask_with(method, path, &header, body).await
    }

    /// One request with these headers, each with its line end.
    pub(crate) async fn ask_with(&self, method: &str, path: &str, headers: &str, body: &str) -> Answer {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: causeway.example\r\nConnection: close\r\n{headers}");
        if !body.is_empty() {
            head += &format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
        }
        let mut stream = TcpStream::connect(self.address).await.expect("it listens");
        stream.write_all(format!("{head}\r\n{body}").as_bytes()).await.expect("it takes requests");
        let mut bytes = String::new();
        let read = tokio::time::timeout(Duration::from_secs(30), stream.read_to_string(&mut bytes)).await;
        read.expect("in time").expect("UTF-8");
        let status = bytes.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        let (head, text) = bytes.split_once("\r\n\r\n").expect("a head");
        Answer { status, head: head.to_owned(), text: text.to_owned() }
    }

    pub(crate) async fn get(&self, path: &str, token: &str) -> Answer {
        self.ask("GET", path, &format!("Bearer {token}"), "").await
    }

    /// Signs a new person in; what their browser holds.
    pub(crate) async fn sign_in(&self, role: UserRole) -> String {
        let email = format!("{}@example.net", role.as_str());
        let user = NewUser { name: email.clone(), email, role, password_hash: Some(String::new()), provider_id: None };
        let id = self.store.insert_user(OrganizationId(1), &user, THEN).await.expect("new");
        let secret = format!("secret-of-{}", role.as_str());
        self.store.insert_sign_in(sign_in::hash(&secret), id, Now::read().unix, THEN).await.expect("kept");
        secret
    }

    /// Signs somebody in again whom a request signed out.
    pub(crate) async fn restore(&self, role: UserRole, secret: &str) {
        let (user, _) =
            self.store.user_by_email(&format!("{}@example.net", role.as_str())).await.expect("asked").expect("there");
        let hash = sign_in::hash(secret);
        self.store.end_sign_in(hash).await.expect("ended");
        self.store.insert_sign_in(hash, user.id, Now::read().unix, THEN).await.expect("kept");
    }

    /// A voice connection of the first project, its number is 1, with a credential `cred-1` for the client that is registered.
    pub(crate) async fn add_voice(&self) {
        let webhook = VoiceWebhook { url: Some("https://app.example/voice".to_owned()), ..VoiceWebhook::default() };
        let connection = VoiceConnection {
            id: VoiceConnectionId(0),
            project: ProjectId::DEFAULT,
            kind: VoiceConnectionKind::Clients,
            name: "web".to_owned(),
            user_name: Some("webphones".to_owned()),
            password: Some(Secret::new("secret".to_owned())),
            is_active: true,
            parks_calls: true,
            rings_all: false,
            is_dialled_by_number: false,
            uri_calls: UriCalls::Nobody,
            ring_for: Duration::from_secs(90),
            webhook,
            document: "{}".to_owned(),
            created_at: THEN,
            updated_at: THEN,
        };
        let connection = self.store.insert_voice_connection(&connection).await.expect("a connection");
        for (id, user_name, expires_at) in
            [("cred-1", "client-a", None), ("cred-2", "gencredB", Some(THEN.saturating_add(Duration::from_secs(60))))]
        {
            let credential = VoiceCredential {
                id: id.to_owned(),
                connection,
                project: ProjectId::DEFAULT,
                name: Some("desk".to_owned()),
                tag: Some("shift".to_owned()),
                user_name: user_name.to_owned(),
                password: Secret::new("secret".to_owned()),
                token_secret: Secret::new("secret".to_owned()),
                expires_at,
                created_at: THEN,
                updated_at: THEN,
            };
            self.store.insert_voice_credential(&credential).await.expect("a credential");
        }
    }

    /// Adds a token of a project; its value is its name.
    pub(crate) async fn add_token(&self, project: ProjectId, value: &str, scopes: Scopes) -> TokenId {
        let token = NewToken { organization_wide: false, ..new_token(value, scopes) };
        self.store.insert_token(project, &token, THEN).await.expect("it is added")
    }
}

/// What came back.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) text: String,
}

impl Answer {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {} {}", self.head, self.text))
    }
}

fn new_token(value: &str, scopes: Scopes) -> NewToken {
    NewToken {
        hash: token::hash(value),
        name: value.to_owned(),
        prefix: token::shown_prefix(value),
        scopes,
        organization_wide: true,
        expires_at: None,
        regions: std::collections::BTreeSet::new(),
    }
}

/// Two projects; the first has a credential in a room, and a live session made with it.
async fn seed(store: &SqlStore) {
    store.make_first_token(&new_token(WIDE, Scopes::ALL), THEN).await.expect("made");
    let other = store.insert_project(OrganizationId(1), "other", THEN).await.expect("made");
    for (project, value) in [(ProjectId::DEFAULT, OWN), (other, OTHER)] {
        let token = NewToken { organization_wide: false, ..new_token(value, Scopes::ALL) };
        store.insert_token(project, &token, THEN).await.expect("made");
    }
    store.insert_credential(credential()).await.expect("kept");
    store.insert_webhook(&webhook()).await.expect("kept");
    store.write_sessions(&[session()]).await.expect("written");
    store.write_failures(&[failure()]).await.expect("written");
    let link = NewDoctorLink {
        project: ProjectId::DEFAULT,
        token: TokenId(2),
        hash: token::hash(DOCTOR),
        name: "for room-a".to_owned(),
        created_at: THEN,
        expires_at: UnixTime::from_secs(4_000_000_000),
        opened_max: 5,
    };
    store.insert_doctor_link(&link).await.expect("kept");
}

fn identifier(text: &str) -> Identifier {
    Identifier::new(text).expect("a good name")
}

fn credential() -> CredentialRecord {
    CredentialRecord {
        username: USERNAME.to_owned(),
        secret: Secret::new("never-shown".to_owned()),
        user_hash: [7; 32],
        project: ProjectId::DEFAULT,
        token: TokenId(2),
        room: Some(identifier("room-a")),
        initiator_client: Some(identifier("client-a")),
        receiver_client: None,
        client_type: None,
        region: "local".to_owned(),
        issued_at: THEN,
        expires_at: UnixTime::from_secs(4_000_000_000),
        revoked_at: None,
        limits: CredentialLimits {
            bytes_max: Some(1_000_000),
            bandwidth: Some(125_000),
            ..CredentialLimits::default()
        },
        metadata: Some(r#"{"call":7}"#.to_owned()),
    }
}

fn session() -> SessionRecord {
    let five_tuple = FiveTuple {
        transport: ClientTransport::Udp,
        client: ([192, 0, 2, 1], 40_000).into(),
        server: ([198, 51, 100, 1], 3478).into(),
    };
    let start = SessionStart {
        id: AllocationId(0xa7),
        number: 1,
        attribution: Arc::new(Attribution {
            project: ProjectId::DEFAULT,
            token: Some(TokenId(2)),
            room: Some(identifier("room-a")),
            clients: vec![(identifier("client-a"), Role::Initiator)],
            region: "local".to_owned(),
        }),
        username: Arc::from(USERNAME),
        credential: CredentialKind::Issued,
        realm: Arc::from("causeway"),
        at: THEN,
        five_tuple,
        security: None,
        relayed: [Some(([198, 51, 100, 1], 50_000).into()), None],
        transport: RelayTransport::Udp,
        lifetime: Duration::from_secs(600),
    };
    let counts = TrafficCounters {
        from_client: TrafficCount { packets: 10, bytes: 1000 },
        to_client: TrafficCount { packets: 20, bytes: 2000 },
    };
    SessionRecord {
        start: Arc::new(start),
        five_tuple,
        last_seen: THEN.saturating_add(Duration::from_secs(10)),
        end: None,
        traffic: counts,
        messages: counts,
        first_data: Some(Duration::from_millis(12)),
        peers: Vec::new(),
        refusals: 0,
        moves: 0,
        insight: SessionInsight {
            first_sent: Some(Duration::from_millis(12)),
            first_heard: Some(Duration::from_millis(34)),
            marks: vec![Mark {
                after: Duration::from_millis(5),
                what: MarkKind::PeerNamed { peer: ([203, 0, 113, 9], 9).into() },
            }],
            ..SessionInsight::default()
        },
    }
}

/// Of the first project: its client came again when its credential had expired.
fn failure() -> Failure {
    let session = session();
    let refusal = Refusal {
        project: ProjectId::DEFAULT,
        reason: FailureReason::Expired,
        username: Some(Arc::from(USERNAME)),
        attribution: Some(Arc::clone(&session.start.attribution)),
        five_tuple: Some(session.five_tuple),
        session: None,
        expired_by: Some(Duration::from_millis(4200)),
        limit: None,
        peer: None,
        rule: None,
    };
    let at = THEN.saturating_add(Duration::from_secs(20));
    Failure { id: "00000000000000f1".to_owned(), first_at: at, last_at: at, count: 3, folded: 1, refusal }
}

/// Of the first project; its number is 1.
fn webhook() -> Webhook {
    Webhook {
        id: WebhookId(1),
        project: ProjectId::DEFAULT,
        url: "https://room-a.example/hooks".to_owned(),
        secrets: vec![Secret::new("whsec_room-a".to_owned())],
        events: Vec::new(),
        created_at: THEN,
        place: EventPlace(0),
        delivered_to: Cursor(0),
        run: 0,
        is_disabled: false,
    }
}

fn routes(
    store: &Arc<SqlStore>,
    directory: &Arc<CredentialDirectory>,
    events: &Arc<Heard>,
    (seats, voice_clients): (Arc<dyn Registrations>, Arc<dyn VoiceClients>),
    limit: RateLimit,
) -> axum::Router {
    let sink: Arc<dyn EventSink> = Arc::<Heard>::clone(events);
    let callers = Arc::new(Callers::new(Arc::clone(store), Arc::clone(&sink)));
    let gate = Arc::new(Gate::new(Arc::clone(&callers), limit));
    let policy = MintPolicy {
        ttl_default: Duration::from_secs(30),
        ttl_max: Duration::from_secs(86_400),
        ttl_over_max: OverMax::Reject,
        realm: "causeway".to_owned(),
        rest_separator: ':',
    };
    let urls = IceUrls {
        stun: vec!["stun:turn.example.net:3478".to_owned()],
        turn: vec![
            "turn:turn.example.net:3478?transport=udp".to_owned(),
            "turn:turn.example.net:3478?transport=tcp".to_owned(),
        ],
    };
    let regions = regions(urls, &sink);
    let minting = Minting::new(
        Arc::clone(store),
        Arc::clone(directory),
        policy,
        Arc::clone(&regions),
        Arc::default(),
        Arc::clone(&sink),
    );
    let minting = Arc::new(minting);
    let revocation = Arc::new(Revocation::new(
        Arc::clone(store),
        Arc::clone(directory),
        Arc::new(Relay),
        Arc::clone(&sink),
        "node-1",
    ));
    let access_keys = Arc::new(AccessKeys::new(Arc::clone(store), Arc::clone(&callers), Vec::new()));
    let settings = ClientTokenSettings {
        cloud: CloudId::default(),
        monthly_quota: TOKENS_PER_MONTH,
        key_lifetime: Duration::from_secs(90 * 86_400),
    };
    let client_tokens = Arc::new(ClientTokens::new(Arc::clone(store), Arc::clone(&seats), settings));
    let sip_users = Arc::new(SipUsers::new(Arc::clone(store), Arc::clone(&seats), "causeway".to_owned()));
    let console_routes = console::router(console::ApiState {
        gate: Arc::clone(&gate),
        store: Arc::clone(store),
        people: Arc::new(People::new(Arc::clone(store), Arc::clone(&callers))),
        lifetime: callers.sign_in_limits().lifetime,
    });
    let management = Arc::new(Management::new(Arc::clone(store), callers, Arc::clone(directory), Arc::clone(&sink)));
    let (_, stopped) = tokio::sync::watch::channel(true);
    let streams = Arc::new(EventStreams::new(Arc::new(EventBus::new(Cursor(1), 16)), stopped));
    let own_routes = own::router(own::ApiState {
        gate: Arc::clone(&gate),
        store: Arc::clone(store),
        revocation: Arc::clone(&revocation),
        management,
        regions: Arc::new(RegionDesk::new(Arc::clone(store), regions)),
        webhooks: Arc::new(WebhookDesk::new(Arc::clone(store), Arc::new(crate::deliveries::NoDeliveries))),
        access_keys,
        client_tokens: Arc::clone(&client_tokens),
        registrations: Arc::clone(&seats),
        calls: Arc::new(CallBook::new(sink, Arc::default(), 1)),
        sip_users,
        voice: Arc::new(VoiceRecords::new(Arc::clone(store), voice_clients)),
        events: streams,
        doctor: Some(Doctor::new(DoctorDesk::new(Arc::clone(store), Arc::clone(&minting)), Arc::new(examined))),
        live: LiveView::quiet(),
        health: Arc::new(|| {
            Box::pin(async { Health { relay: true, store: true, redis: None, draining: false, drained: false } })
        }),
        metrics: Arc::new(fast_path),
    });
    let turnix_routes = turnix::router(turnix::ApiState { minting: Arc::clone(&minting), gate: Arc::clone(&gate) });
    let cloudflare_routes =
        cloudflare::router(cloudflare::ApiState { gate: Arc::clone(&gate), minting: Arc::clone(&minting), revocation });
    let twilio_routes = twilio::router(twilio::ApiState { gate: Arc::clone(&gate), minting });
    let aculab_routes = aculab::router(aculab::ApiState { gate, tokens: client_tokens, registrations: seats });
    let document = own::describe([own::document::<SqlStore>()], own::table::ROUTES);
    let families = own_routes
        .merge(console_routes)
        .merge(turnix_routes)
        .merge(cloudflare_routes)
        .merge(twilio_routes)
        .merge(aculab_routes);
    with_manners(families.merge(own::serve_document(&document)))
}

/// One region, `local`, with one node.
fn regions(urls: IceUrls, sink: &Arc<dyn EventSink>) -> Arc<Regions> {
    let now = Now::read();
    let own = NodeReport {
        live_sessions: 1,
        certificate_expires_at: Some(now.unix.saturating_add(Duration::from_secs(30 * 86_400 + 60))),
        ..NodeReport::serving("node-1", "local", urls, THEN)
    };
    let settings = BoardSettings { sites: Vec::new(), node_timeout: Duration::from_secs(15) };
    Arc::new(Regions::new(RegionBoard::new(settings, own), None, Arc::clone(sink), now))
}

/// The time now, for names that carry an expiry.
pub(crate) fn in_an_hour() -> u64 {
    Now::read().unix.saturating_add(Duration::from_secs(3600)).as_secs()
}

/// A probe that finds the first URL well.
fn examined(urls: Vec<String>, _username: String, _password: Secret<String>) -> Vec<Examined> {
    let examined = |url: String| Examined {
        url,
        transport: Some("udp".to_owned()),
        server: Some("198.51.100.1:3478".to_owned()),
        verdict: "ok".to_owned(),
        sentence: "ok, you are 198.51.100.1:40000".to_owned(),
        steps: vec![ExaminedStep { step: "binding".to_owned(), took_ms: 1.5 }],
    };
    urls.into_iter().take(1).map(examined).collect()
}

/// Figures of a fast path that relayed most of what there was.
fn fast_path() -> Vec<Sample> {
    let sample = |metric, label: Option<(&'static str, &str)>, value| Sample {
        metric,
        label: label.map(|(name, value)| (name, value.to_owned())),
        value,
    };
    vec![
        sample(Metric::RelayedPackets, Some(("direction", "from_client")), 500),
        sample(Metric::RelayedPackets, Some(("direction", "to_client")), 500),
        sample(Metric::FastPathPackets, Some(("outcome", "forwarded_up")), 480),
        sample(Metric::FastPathPackets, Some(("outcome", "forwarded_down")), 490),
        sample(Metric::FastPathPackets, Some(("outcome", "passed_first")), 20),
        sample(Metric::FastPathPackets, Some(("outcome", "passed_size")), 0),
        sample(Metric::FastPathByXdp, None, 900),
        sample(Metric::FastPathAttached, Some(("at", "eth0/tc")), 1),
        sample(Metric::FastPathAttached, Some(("at", "eth0/xdp")), 0),
        sample(Metric::FastPathFlows, None, 3),
        sample(Metric::FastPathFlowsMax, None, 1024),
        sample(Metric::FastPathFlowsRefused, None, 2),
    ]
}
