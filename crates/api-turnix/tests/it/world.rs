//! The routes behind a listener of their own, served as the binary serves them, and clients that send bytes.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use axum::Router;
use causeway_api_http::{Gate, RateLimit, with_manners};
use causeway_api_turnix::{ApiState, router};
use causeway_app::{
    BoardSettings, Callers, CredentialDirectory, CredentialRecord, DirectoryConfig, Drain, IceUrls, MintPolicy,
    Minting, NodeReport, OverMax, ProjectId, ProjectRules, RegionBoard, RegionSite, Regions, RuleBook, Rules,
};
use causeway_credentials::turn_rest::SharedSecrets;
use causeway_types::{Now, Secret};
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
    time::timeout,
};

use crate::memory::{Deaf, Memory, TOKEN};

pub(crate) const MINT: &str = "/api/v1/credentials/ice";
pub(crate) const FORM: &str = "application/x-www-form-urlencoded";
pub(crate) const JSON: &str = "application/json";
/// The TURN REST secret.
pub(crate) const SECRET: &str = "causeway-test-secret";

/// No answer takes longer, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(30);

/// How the server under test differs from an ordinary one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Conditions {
    /// Requests a token may send at once; one a second comes back. `None` is plenty.
    pub(crate) burst: Option<u32>,
    pub(crate) store_is_down: bool,
    pub(crate) no_secret: bool,
    pub(crate) no_udp: bool,
    pub(crate) no_region: bool,
    pub(crate) clamps: bool,
    pub(crate) only_local: bool,
    pub(crate) used_up: bool,
}

/// A running server; it ends with this value.
pub(crate) struct World {
    address: SocketAddr,
    store: Arc<Memory>,
    routes: Router,
    task: JoinHandle<()>,
}

impl Drop for World {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::under(Conditions::default()).await
    }

    pub(crate) async fn under(conditions: Conditions) -> Self {
        let store = Arc::new(Memory::default());
        store.is_down.store(conditions.store_is_down, std::sync::atomic::Ordering::Relaxed);
        let routes = routes(&store, conditions);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let task = tokio::spawn(serve(listener, routes.clone()));
        Self { address, store, routes, task }
    }

    /// The routes without listener, for many requests in a row.
    pub(crate) fn routes(&self) -> Router {
        self.routes.clone()
    }

    pub(crate) fn records(&self) -> Vec<CredentialRecord> {
        self.store.records.lock().clone()
    }

    /// What was minted last.
    pub(crate) fn last_record(&self) -> CredentialRecord {
        self.store.records.lock().last().cloned().expect("a record")
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("it listens")
    }

    /// One connection, these bytes, one answer and nothing behind it.
    pub(crate) async fn exchange(&self, request: &[u8]) -> Answer {
        let mut stream = self.connect().await;
        // A server that has read enough may answer and close before it has everything.
        let sent = stream.write_all(request).await;
        let answer = read_answer(&mut stream, request.starts_with(b"HEAD ")).await;
        if sent.is_ok() && stream.shutdown().await.is_ok() {
            let mut rest = Vec::new();
            timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("the end in time").unwrap_or_default();
            assert_eq!(rest, b"", "bytes behind the answer");
        }
        answer
    }

    /// A request with a good token, with `Content-Length`, and with a media type if one is given.
    pub(crate) async fn post(&self, path: &str, media_type: Option<&str>, body: impl AsRef<[u8]>) -> Answer {
        let body = body.as_ref();
        let media_type = media_type.map(|text| format!("Content-Type: {text}\r\n")).unwrap_or_default();
        let head = format!("{media_type}Content-Length: {}\r\n", body.len());
        let mut request = head_of("POST", path, &head).into_bytes();
        request.extend_from_slice(body);
        self.exchange(&request).await
    }

    pub(crate) async fn post_json(&self, path: &str, body: &Value) -> Answer {
        self.post(path, Some(JSON), body.to_string()).await
    }

    pub(crate) async fn post_form(&self, path: &str, body: &str) -> Answer {
        self.post(path, Some(FORM), body).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.exchange(head_of("GET", path, "").as_bytes()).await
    }
}

/// A request's head with a good token and further header lines, each with its line end.
pub(crate) fn head_of(method: &str, path: &str, more: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: causeway.example\r\nAuthorization: Bearer {TOKEN}\r\n{more}\r\n")
}

/// What came back.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// Every byte.
    pub(crate) bytes: String,
    pub(crate) status: u16,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.bytes.lines().skip(1).take_while(|line| !line.is_empty());
        lines.filter_map(|line| line.split_once(": ")).find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.bytes))
    }

    /// What `details` of an error say, as `field code`.
    #[track_caller]
    pub(crate) fn details(&self) -> Vec<String> {
        let details = self.json()["details"].as_array().cloned().unwrap_or_default();
        let text = |detail: &Value, key| detail[key].as_str().unwrap_or("?").to_owned();
        details.iter().map(|detail| format!("{} {}", text(detail, "field"), text(detail, "code"))).collect()
    }

    /// Status and `error` are these, and the rest of the shape is there.
    #[track_caller]
    pub(crate) fn assert_error(&self, status: u16, code: &str) {
        let body = self.json();
        assert_eq!((self.status, body["error"].as_str()), (status, Some(code)), "{}", self.bytes);
        assert!(body["message"].as_str().is_some_and(|text| !text.is_empty() && !text.contains('\n')), "{body}");
        assert_eq!(body["requestId"].as_str(), self.header("x-request-id"), "{}", self.bytes);
    }
}

/// Reads one answer: its head, then as many bytes as it announces.
pub(crate) async fn read_answer(stream: &mut TcpStream, is_head: bool) -> Answer {
    let mut bytes = Vec::new();
    let mut missing = usize::MAX;
    while missing > 0 {
        let mut chunk = [0; 4096];
        let n = timeout(PATIENCE, stream.read(&mut chunk[..missing.min(4096)])).await.expect("in time");
        let n = n.expect("an answer");
        assert!(n > 0, "the answer breaks off: {:?}", String::from_utf8_lossy(&bytes));
        bytes.extend_from_slice(&chunk[..n]);
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
        let length: usize = if is_head { 0 } else { length.parse().expect("a number") };
        missing = (end + 4 + length).checked_sub(bytes.len()).expect("no more than announced");
    }
    let bytes = String::from_utf8(bytes).expect("UTF-8");
    let status = bytes.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    let text = bytes.split_once("\r\n\r\n").expect("a head").1.to_owned();
    Answer { bytes, status, text }
}

/// As `causeway::http` does it.
async fn serve(listener: TcpListener, routes: Router) {
    while let Ok((stream, _)) = listener.accept().await {
        let service = TowerToHyperService::new(routes.clone());
        tokio::spawn(async move {
            let builder = auto::Builder::new(TokioExecutor::new());
            builder.serve_connection(TokioIo::new(stream), service).await.ok();
        });
    }
}

fn routes(store: &Arc<Memory>, conditions: Conditions) -> Router {
    let secrets = if conditions.no_secret { Vec::new() } else { vec![Secret::new(SECRET.to_owned())] };
    let directory = CredentialDirectory::new(DirectoryConfig {
        realm: "causeway".to_owned(),
        secrets: SharedSecrets::new(secrets),
        rest_separator: ':',
        rest_ttl_max: None,
        users: Vec::new(),
        cache_max: 100,
    });
    let policy = MintPolicy {
        ttl_default: Duration::from_secs(30),
        ttl_max: Duration::from_secs(86_400),
        ttl_over_max: if conditions.clamps { OverMax::Clamp } else { OverMax::Reject },
        realm: "causeway".to_owned(),
        rest_separator: ':',
    };
    let turn = |scheme: &str, port, transport| format!("{scheme}:turn.example.net:{port}?transport={transport}");
    let (stun, udp) = (vec!["stun:turn.example.net:3478".to_owned()], vec![turn("turn", 3478, "udp")]);
    let stream = [turn("turn", 3478, "tcp"), turn("turns", 443, "udp"), turn("turns", 443, "tcp")];
    let (stun, udp) = if conditions.no_udp { (Vec::new(), Vec::new()) } else { (stun, udp) };
    let urls = IceUrls { stun, turn: udp.into_iter().chain(stream).collect() };
    let regions = Arc::new(regions(urls));
    if conditions.no_region {
        for slug in ["local", "near"] {
            let drain = Drain { region: slug.to_owned(), node: None };
            regions.update(Now::read(), |board| board.handle_drain(drain, true));
        }
    }
    let limit = conditions
        .burst
        .map_or(RateLimit { per_sec: 1_000_000, burst: 1_000_000 }, |burst| RateLimit { per_sec: 1, burst });
    let callers = Arc::new(Callers::new(Arc::clone(store), Arc::new(Deaf)));
    let routes = router(ApiState {
        minting: Arc::new(Minting::new(
            Arc::clone(store),
            Arc::new(directory),
            policy,
            Arc::clone(&regions),
            Arc::new(rules(conditions)),
            Arc::new(Deaf),
        )),
        gate: Arc::new(Gate::new(callers, limit)),
    });
    with_manners(routes)
}

/// This server's region `local`, `near` whose URLs are written down, and `away`, of which nobody was heard.
fn regions(urls: IceUrls) -> Regions {
    let now = Now::read();
    let local = RegionSite {
        country: "DE".to_owned(),
        city: "Frankfurt".to_owned(),
        name: "Local".to_owned(),
        latitude: 50.11,
        longitude: 8.68,
        ..RegionSite::nameless("local")
    };
    let near = RegionSite {
        networks: vec!["192.0.2.0/24".parse().expect("a network")],
        urls: Some(IceUrls { stun: Vec::new(), turn: vec!["turn:near.example.net:3478".to_owned()] }),
        ..RegionSite::nameless("near")
    };
    let sites = vec![local, near, RegionSite::nameless("away")];
    let own = NodeReport::serving("node-1", "local", urls, now.unix);
    let settings = BoardSettings { sites, node_timeout: Duration::from_secs(15) };
    Regions::new(RegionBoard::new(settings, own), None, Arc::new(Deaf), now)
}

/// What the project of the tokens may use.
fn rules(conditions: Conditions) -> RuleBook {
    let rules = ProjectRules {
        regions: if conditions.only_local { BTreeSet::from(["local".to_owned()]) } else { BTreeSet::new() },
        credentials_per_month_max: conditions.used_up.then_some(0),
        bytes_per_month_max: None,
    };
    let book = RuleBook::default();
    book.set_rules(Rules { projects: BTreeMap::from([(ProjectId(1), rules)]), tokens: BTreeMap::new() });
    book
}
