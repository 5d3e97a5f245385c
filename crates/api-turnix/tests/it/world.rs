//! The router over a store in memory.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Method, Request, header},
};
use causeway_api_turnix::{ApiState, IceUrls, RateLimit, Region, router};
use causeway_app::{
    ApiCaller, CredentialDirectory, CredentialRecord, DirectoryConfig, MintPolicy, Minting, ProjectId, Store,
    StoreError, TokenId,
};
use causeway_credentials::{token, turn_rest::SharedSecrets};
use causeway_types::Secret;
use http_body_util::BodyExt;
use parking_lot::Mutex;
use serde_json::Value;
use tower::ServiceExt;

/// Knows one token and keeps what it is given.
#[derive(Debug, Default)]
struct Memory {
    records: Mutex<Vec<CredentialRecord>>,
    fails: AtomicBool,
}

impl Memory {
    fn answer<T>(&self, value: T) -> Result<T, StoreError> {
        if self.fails.load(Ordering::Relaxed) { Err(StoreError { reason: "down".to_owned() }) } else { Ok(value) }
    }
}

impl Store for Memory {
    async fn insert_credential(&self, record: CredentialRecord) -> Result<(), StoreError> {
        self.records.lock().push(record);
        self.answer(())
    }

    async fn credential(&self, _username: &str) -> Result<Option<CredentialRecord>, StoreError> {
        self.answer(None)
    }

    async fn credential_by_hash(&self, _hash: [u8; 32]) -> Result<Option<CredentialRecord>, StoreError> {
        self.answer(None)
    }

    async fn caller_by_token(&self, hash: [u8; 32]) -> Result<Option<ApiCaller>, StoreError> {
        let known = hash == token::hash("cwp_good");
        self.answer(known.then_some(ApiCaller { project: ProjectId(1), token: TokenId(1) }))
    }

    async fn is_healthy(&self) -> bool {
        true
    }
}

pub(crate) struct World {
    router: Router,
    store: Arc<Memory>,
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no header {name}")).to_str().expect("ASCII")
    }
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with_rate(RateLimit { per_sec: 1000, burst: 1000 })
    }

    pub(crate) fn with_burst(burst: u32) -> Self {
        Self::with_rate(RateLimit { per_sec: 1, burst })
    }

    fn with_rate(rate_limit: RateLimit) -> Self {
        let store = Arc::new(Memory::default());
        let directory = CredentialDirectory::new(DirectoryConfig {
            realm: "causeway".to_owned(),
            secrets: SharedSecrets::new(vec![Secret::new("causeway-test-secret".to_owned())]),
            rest_separator: ':',
            rest_ttl_max: None,
            users: Vec::new(),
            cache_max: 100,
        });
        let policy = MintPolicy {
            ttl_default: std::time::Duration::from_secs(30),
            ttl_max: std::time::Duration::from_secs(86_400),
            region: "local".to_owned(),
            realm: "causeway".to_owned(),
            rest_separator: ':',
        };
        let urls = IceUrls {
            stun: vec!["stun:turn.example.net:3478".to_owned()],
            turn: vec!["turn:turn.example.net:3478?transport=udp".to_owned()],
        };
        let region = Region {
            slug: "local".to_owned(),
            nat2: "DE".to_owned(),
            city: "Frankfurt".to_owned(),
            name: "Local".to_owned(),
            lat: 50.11,
            lon: 8.68,
        };
        let router = router(ApiState {
            minting: Arc::new(Minting::new(Arc::clone(&store), Arc::new(directory), policy)),
            ice_urls: Arc::new(move || urls.clone()),
            region,
            rate_limit,
        });
        Self { router, store }
    }

    pub(crate) fn store_fails(&self) {
        self.store.fails.store(true, Ordering::Relaxed);
    }

    pub(crate) fn last_record(&self) -> CredentialRecord {
        self.store.records.lock().last().cloned().expect("a record")
    }

    /// Asks with a good token.
    pub(crate) async fn call(&self, request: Request<Body>) -> Answer {
        self.call_as(Some("Bearer cwp_good"), request).await
    }

    pub(crate) async fn call_as(&self, authorization: Option<&str>, mut request: Request<Body>) -> Answer {
        if let Some(authorization) = authorization {
            let value = authorization.parse().expect("a header value");
            request.headers_mut().insert(header::AUTHORIZATION, value);
        }
        let response = self.router.clone().oneshot(request).await.expect("never fails");
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.expect("a body").to_bytes();
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: serde_json::from_slice(&bytes).expect("JSON"),
        }
    }
}

fn request(method: Method, path: &str, media_type: Option<&str>, body: &str) -> Request<Body> {
    let mut builder = Request::builder().method(method).uri(path);
    if let Some(media_type) = media_type {
        builder = builder.header(header::CONTENT_TYPE, media_type);
    }
    builder.body(Body::from(body.to_owned())).expect("a request")
}

pub(crate) fn get(path: &str) -> Request<Body> {
    request(Method::GET, path, None, "")
}

pub(crate) fn post(path: &str, media_type: Option<&str>, body: &str) -> Request<Body> {
    request(Method::POST, path, media_type, body)
}

pub(crate) fn form(path: &str, body: &str) -> Request<Body> {
    post(path, Some("application/x-www-form-urlencoded"), body)
}

pub(crate) fn post_json(path: &str, body: &Value) -> Request<Body> {
    post(path, Some("application/json"), &body.to_string())
}
