//! The routes behind a listener, and a client that reads streams.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use causeway_api_causeway::{ApiState, EventStreams, Health, LiveView, router};
use causeway_api_http::{Gate, RateLimit, with_manners};
use causeway_app::{
    AccessKeys, BoardSettings, CallBook, Callers, ClientTokenSettings, ClientTokens, CredentialDirectory, Cursor,
    DirectoryConfig, DomainEvent, EventSink, IceUrls, Identifier, Management, NewToken, NoRegistrations, NodeReport,
    OrganizationId, ProjectId, RegionBoard, RegionDesk, Regions, RelayControl, Revocation, Scope, Scopes, SipUsers,
    Store, VoiceRecords, WebhookDesk,
};
use causeway_credentials::{client_token::CloudId, token, turn_rest::SharedSecrets};
use causeway_events::EventBus;
use causeway_store::SqlStore;
use causeway_types::{AllocationId, Now};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
    service::TowerToHyperService,
};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
    time::timeout,
};

use crate::deliveries::NoDeliveries;

/// Events the bus of these tests keeps.
pub(crate) const RING: usize = 200;
const TOKEN: &str = "cwk_for-the-stream-tests";
/// May mint only.
pub(crate) const NARROW_TOKEN: &str = "cwk_for-minting-only";
/// No answer takes longer, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(30);

struct NoRelay;

impl RelayControl for NoRelay {
    fn end_session(&self, _: AllocationId) -> bool {
        false
    }

    fn end_sessions_of(&self, _: &[String]) -> u32 {
        0
    }
}

pub(crate) struct World {
    address: SocketAddr,
    bus: Arc<EventBus>,
    store: Arc<SqlStore>,
    pub(crate) streams: Arc<EventStreams>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
    _directory: tempfile::TempDir,
}

impl Drop for World {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::with_heartbeat(Duration::from_secs(15)).await
    }

    pub(crate) async fn with_heartbeat(heartbeat: Duration) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let store = Arc::new(SqlStore::open(&directory.path().join("db"), "node").await.expect("opens"));
        for (text, scopes) in [(TOKEN, Scopes::ALL), (NARROW_TOKEN, Scopes::default().with(Scope::Credentials))] {
            store.add_token(&new_token(text, scopes), Now::read().unix).await.expect("stored");
        }
        let bus = Arc::new(EventBus::new(Cursor(1000), RING));
        let (stop, stopped) = watch::channel(false);
        let streams = Arc::new(EventStreams::new(Arc::<EventBus>::clone(&bus), stopped).with_heartbeat(heartbeat));
        let routes = with_manners(router(state(&store, &bus, &streams)));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let task = tokio::spawn(serve(listener, routes));
        // The first use of a token is an event of its own.
        let world = Self { address, bus, store, streams, stop, task, _directory: directory };
        drop(world.follow("", &[]).await);
        world
    }

    pub(crate) async fn follow(&self, query: &str, headers: &[(&str, &str)]) -> Follower {
        self.follow_as(TOKEN, query, headers).await
    }

    pub(crate) async fn follow_as(&self, token: &str, query: &str, headers: &[(&str, &str)]) -> Follower {
        let mut stream = TcpStream::connect(self.address).await.expect("connects");
        let more: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let request = format!(
            "GET /api/v1/events{query} HTTP/1.1\r\nHost: causeway.example\r\nAuthorization: Bearer {token}\r\n{more}\r\n"
        );
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut follower = Follower { stream, head: String::new(), status: 0, body: Vec::new(), raw: Vec::new() };
        follower.read_head().await;
        follower
    }

    /// Another project, with this token.
    pub(crate) async fn add_project(&self, text: &str) {
        let (now, slug) = (Now::read().unix, text.replace('_', "-"));
        let project = self.store.insert_project(OrganizationId::DEFAULT, &slug, now).await.expect("stored");
        self.store.insert_token(project, &new_token(text, Scopes::ALL), now).await.expect("stored");
    }

    pub(crate) fn open_room(&self, project: i64, room: &str) {
        let room = Identifier::new(room).expect("a name");
        self.bus.emit(Now::read().unix, ProjectId(project), DomainEvent::RoomOpened { room });
    }

    pub(crate) fn close_room(&self, project: i64, room: &str) {
        let room = Identifier::new(room).expect("a name");
        self.bus.emit(Now::read().unix, ProjectId(project), DomainEvent::RoomClosed { room });
    }

    pub(crate) fn newest(&self) -> Cursor {
        self.bus.newest()
    }

    pub(crate) fn stop(&self) {
        self.stop.send_replace(true);
    }

    pub(crate) async fn revoke(&self) {
        let holder = causeway_app::CredentialStore::token_holder(&*self.store, token::hash(TOKEN), None).await;
        let caller = holder.expect("the store answers").expect("it is known").caller;
        assert!(self.store.revoke_token(caller, caller.token, Now::read().unix).await.expect("the store answers"));
    }

    pub(crate) async fn until(&self, condition: impl Fn(&Self) -> bool) {
        let wait = async {
            while !condition(self) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, wait).await.expect("the state in time");
    }
}

fn new_token(text: &str, scopes: Scopes) -> NewToken {
    NewToken {
        hash: token::hash(text),
        name: "test".to_owned(),
        prefix: "cwk_".to_owned(),
        scopes,
        organization_wide: false,
        expires_at: None,
        regions: std::collections::BTreeSet::new(),
    }
}

fn state(store: &Arc<SqlStore>, bus: &Arc<EventBus>, events: &Arc<EventStreams>) -> ApiState<SqlStore> {
    let sink: Arc<dyn EventSink> = Arc::<EventBus>::clone(bus);
    let callers = Arc::new(Callers::new(Arc::clone(store), Arc::clone(&sink)));
    let directory = Arc::new(CredentialDirectory::new(DirectoryConfig {
        realm: "causeway".to_owned(),
        secrets: SharedSecrets::new(Vec::new()),
        rest_separator: ':',
        rest_ttl_max: None,
        users: Vec::new(),
        cache_max: 10,
    }));
    let now = Now::read();
    let own = NodeReport::serving("here", "local", IceUrls::default(), now.unix);
    let settings = BoardSettings { sites: Vec::new(), node_timeout: Duration::from_secs(15) };
    let regions = Arc::new(Regions::new(RegionBoard::new(settings, own), None, Arc::clone(&sink), now));
    let revocation =
        Revocation::new(Arc::clone(store), Arc::clone(&directory), Arc::new(NoRelay), Arc::clone(&sink), "here");
    ApiState {
        access_keys: Arc::new(AccessKeys::new(Arc::clone(store), Arc::clone(&callers), Vec::new())),
        client_tokens: Arc::new(ClientTokens::new(
            Arc::clone(store),
            Arc::new(NoRegistrations),
            ClientTokenSettings {
                cloud: CloudId::default(),
                monthly_quota: 0,
                key_lifetime: Duration::from_secs(86_400),
            },
        )),
        registrations: Arc::new(NoRegistrations),
        calls: Arc::new(CallBook::new(Arc::clone(&sink), Arc::default(), 1)),
        sip_users: Arc::new(SipUsers::new(Arc::clone(store), Arc::new(NoRegistrations), "causeway".to_owned())),
        voice: Arc::new(VoiceRecords::new(Arc::clone(store), Arc::new(NoRegistrations))),
        gate: Arc::new(Gate::new(Arc::clone(&callers), RateLimit { per_sec: 10_000, burst: 10_000 })),
        store: Arc::clone(store),
        revocation: Arc::new(revocation),
        management: Arc::new(Management::new(Arc::clone(store), callers, directory, sink)),
        regions: Arc::new(RegionDesk::new(Arc::clone(store), regions)),
        webhooks: Arc::new(WebhookDesk::new(Arc::clone(store), Arc::new(NoDeliveries))),
        events: Arc::clone(events),
        doctor: None,
        live: LiveView::quiet(),
        health: Arc::new(|| {
            Box::pin(async { Health { relay: true, store: true, redis: None, draining: false, drained: false } })
        }),
        metrics: Arc::new(Vec::new),
    }
}

async fn serve(listener: TcpListener, routes: axum::Router) {
    while let Ok((stream, _)) = listener.accept().await {
        let routes = routes.clone();
        tokio::spawn(async move {
            let mut builder = auto::Builder::new(TokioExecutor::new());
            builder.http1().timer(TokioTimer::new());
            let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes));
            drop(connection.await);
        });
    }
}

/// An event as a client sees it.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) data: Value,
}

impl Event {
    pub(crate) fn room(&self) -> &str {
        self.data["room"].as_str().unwrap_or_default()
    }
}

/// A client of one stream.
pub(crate) struct Follower {
    stream: TcpStream,
    /// In lower case.
    pub(crate) head: String,
    pub(crate) status: u16,
    /// Without the framing of chunks.
    body: Vec<u8>,
    raw: Vec<u8>,
}

impl Follower {
    async fn read_head(&mut self) {
        while self.head.is_empty() {
            assert!(self.more().await, "an answer");
            if let Some(end) = self.raw.windows(4).position(|window| window == b"\r\n\r\n") {
                let rest = self.raw.split_off(end + 4);
                self.head = String::from_utf8_lossy(&self.raw).to_ascii_lowercase();
                self.raw = rest;
            }
        }
        self.status = self.head.split(' ').nth(1).and_then(|word| word.parse().ok()).expect("a status");
    }

    /// Reads on; `false` at the end of the connection.
    async fn more(&mut self) -> bool {
        let read = timeout(PATIENCE, self.stream.read_buf(&mut self.raw)).await.expect("bytes in time");
        read.is_ok_and(|count| count > 0)
    }

    /// Takes whole chunks out of what was read; `false` behind the last one.
    fn unchunk(&mut self) -> bool {
        loop {
            let Some(end) = self.raw.windows(2).position(|window| window == b"\r\n") else { return true };
            let size = std::str::from_utf8(&self.raw[..end]).expect("a size");
            let size = usize::from_str_radix(size, 16).expect("a size");
            if size == 0 {
                return false;
            }
            if self.raw.len() < end + size + 4 {
                return true;
            }
            self.body.extend_from_slice(&self.raw[end + 2..end + 2 + size]);
            self.raw.drain(..end + size + 4);
        }
    }

    /// The next block: an event or a comment.
    async fn block(&mut self) -> Option<String> {
        loop {
            let goes_on = self.unchunk();
            if let Some(end) = self.body.windows(2).position(|window| window == b"\n\n") {
                let rest = self.body.split_off(end + 2);
                let block = std::mem::replace(&mut self.body, rest);
                return Some(String::from_utf8(block).expect("UTF-8"));
            }
            if !goes_on || !self.more().await {
                return None;
            }
        }
    }

    /// The next `count` events, comments left out.
    pub(crate) async fn events(&mut self, count: usize) -> Vec<Event> {
        let mut events = Vec::new();
        while events.len() < count {
            let block = self.block().await.expect("an event");
            let field = |name: &str| {
                let value = block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
                value.map(str::to_owned)
            };
            if let (Some(id), Some(name), Some(data)) = (field("id"), field("event"), field("data")) {
                let data = serde_json::from_str(&data).expect("JSON");
                events.push(Event { id, name, data });
            }
        }
        events
    }

    pub(crate) async fn comment(&mut self) {
        let block = self.block().await.expect("a comment");
        assert!(block.starts_with(':'), "{block:?}");
    }

    /// Whether the stream ends without another event.
    pub(crate) async fn ends(&mut self) -> bool {
        while let Some(block) = self.block().await {
            if !block.starts_with(':') {
                return false;
            }
        }
        true
    }
}
