//! A server on a port of its own over a database of its own, and clients that write what the library writes.

use std::{
    collections::{BTreeSet, VecDeque},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use causeway_app::{
    ClientPlaces, NewToken, ProjectId, Scopes, UriCalls, VoiceCalls, VoiceConnection, VoiceConnectionId,
    VoiceConnectionKind, VoiceCredential, VoiceEvent, VoiceStore, VoiceWebhook,
};
use causeway_call_core::{CallEvent, PresenceChange};
use causeway_credentials::voice_token::{self, VoiceClaims};
use causeway_signal_verto::{VertoService, VertoSettings, router};
use causeway_store::SqlStore;
use causeway_switchboard::{CallListener, Switchboard, SwitchboardSettings};
use causeway_types::{Now, Secret};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Error, Message as Frame},
};

const PATIENCE: Duration = Duration::from_secs(30);
pub(crate) const SDP: &str =
    "v=0\r\no=- 1 2 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\n";

struct Noting(Arc<VoiceCalls>);

impl CallListener for Noting {
    fn call(&self, event: CallEvent) {
        self.0.note(&event);
    }

    fn presence(&self, _change: PresenceChange) {}
}

pub(crate) struct World {
    pub(crate) service: Arc<VertoService<SqlStore>>,
    pub(crate) board: Arc<Switchboard>,
    pub(crate) voice: Arc<VoiceCalls>,
    pub(crate) places: Arc<ClientPlaces>,
    pub(crate) store: Arc<SqlStore>,
    connection: VoiceConnectionId,
    address: SocketAddr,
    _events: mpsc::Receiver<VoiceEvent>,
    _directory: tempfile::TempDir,
}

impl World {
    pub(crate) async fn with(settings: VertoSettings) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let store = SqlStore::open(&directory.path().join("causeway.db"), "node-1").await.expect("it opens");
        let (voice, events) = VoiceCalls::new();
        let token = NewToken {
            hash: [1; 32],
            name: "first".to_owned(),
            prefix: "cwp_first".to_owned(),
            scopes: Scopes::ALL,
            organization_wide: false,
            expires_at: None,
            regions: BTreeSet::new(),
        };
        // The first token comes with the project it is for.
        store.make_first_token(&token, Now::read().unix).await.expect("it is made");
        let (store, voice) = (Arc::new(store), Arc::new(voice));
        let listener = Arc::new(Noting(Arc::clone(&voice)));
        let board = Switchboard::new(SwitchboardSettings::default(), [5; 32], listener);
        board.keep_time();
        let places = Arc::<ClientPlaces>::default();
        let (own, kept, known) = (Arc::clone(&board), Arc::clone(&store), Arc::clone(&voice));
        let service = VertoService::new(settings, own, kept, known, Arc::clone(&places));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let routes = router(Arc::clone(&service)).into_make_service();
        tokio::spawn(async move { axum::serve(listener, routes).await });
        let connection = store.insert_voice_connection(&connection()).await.expect("it is kept");
        Self { service, board, voice, places, store, connection, address, _events: events, _directory: directory }
    }

    /// A credential of this user name; its password is its name.
    pub(crate) async fn user(&self, name: &str) -> VoiceCredential {
        let now = Now::read().unix;
        let credential = VoiceCredential {
            id: format!("id-of-{name}"),
            connection: self.connection,
            project: ProjectId::DEFAULT,
            name: None,
            tag: None,
            user_name: name.to_owned(),
            password: Secret::new(name.to_owned()),
            token_secret: Secret::new("0123456789abcdef0123456789abcdef".to_owned()),
            expires_at: None,
            created_at: now,
            updated_at: now,
        };
        self.store.insert_voice_credential(&credential).await.expect("it is kept");
        credential
    }

    pub(crate) async fn socket(&self, query: &str) -> Result<WebSocketStream<TcpStream>, Error> {
        let stream = TcpStream::connect(self.address).await.expect("the server listens");
        Ok(client_async(format!("ws://{}/rtc/v1{query}", self.address), stream).await?.0)
    }

    pub(crate) async fn client(&self) -> Client {
        self.client_at("").await
    }

    pub(crate) async fn client_at(&self, query: &str) -> Client {
        let socket = self.socket(query).await.expect("it connects");
        Client { socket, next: 0, heard: VecDeque::new() }
    }

    /// A user that is there, logged in.
    pub(crate) async fn logged_in(&self, name: &str) -> Client {
        let mut client = self.client().await;
        let answer = client.ask("login", json!({"login": name, "passwd": name})).await;
        assert_eq!(answer["result"]["message"], "logged in", "{answer}");
        client
    }

    /// Waits until something holds.
    pub(crate) async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let waiting = async {
            while !holds(self) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("it does not come to that: {what}"));
    }
}

/// A token of a credential.
pub(crate) fn token_of(credential: &VoiceCredential) -> String {
    let now = Now::read().unix;
    let claims = VoiceClaims {
        credential: credential.id.clone(),
        id: "one".to_owned(),
        issued_at: now,
        expires_at: now.saturating_add(Duration::from_secs(600)),
    };
    voice_token::sign(&claims, &credential.token_secret).expect("it is signed")
}

fn connection() -> VoiceConnection {
    let now = Now::read().unix;
    VoiceConnection {
        id: VoiceConnectionId(0),
        project: ProjectId::DEFAULT,
        kind: VoiceConnectionKind::Clients,
        name: "web".to_owned(),
        user_name: Some("webphones".to_owned()),
        password: Some(Secret::new("secret".to_owned())),
        is_active: true,
        parks_calls: false,
        rings_all: false,
        is_dialled_by_number: false,
        uri_calls: UriCalls::Nobody,
        ring_for: Duration::from_secs(90),
        webhook: VoiceWebhook::default(),
        document: "{}".to_owned(),
        created_at: now,
        updated_at: now,
    }
}

pub(crate) struct Client {
    socket: WebSocketStream<TcpStream>,
    next: u64,
    heard: VecDeque<Value>,
}

impl Client {
    pub(crate) async fn raw(&mut self, text: &str) -> Result<(), Error> {
        self.socket.send(Frame::text(text.to_owned())).await
    }

    /// The next frame, or the close's code.
    async fn next(&mut self) -> Result<Value, u16> {
        loop {
            let frame = tokio::time::timeout(PATIENCE, self.socket.next()).await.expect("something comes in time");
            match frame {
                Some(Ok(Frame::Text(text))) => return Ok(serde_json::from_str(text.as_str()).expect("JSON")),
                Some(Ok(Frame::Close(close))) => return Err(close.map_or(1005, |close| close.code.into())),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(1006),
            }
        }
    }

    /// A request, and its answer.
    pub(crate) async fn ask(&mut self, method: &str, params: Value) -> Value {
        self.next += 1;
        let id = format!("q{}", self.next);
        let frame = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        self.raw(&frame.to_string()).await.expect("the server reads");
        self.answer_to(&json!(id)).await
    }

    pub(crate) async fn answer_to(&mut self, id: &Value) -> Value {
        loop {
            let frame = self.next().await.expect("it is answered");
            if frame.get("id") == Some(id) && frame.get("method").is_none() {
                return frame;
            }
            self.heard.push_back(frame);
        }
    }

    /// The parameters of the next request of this method; others before it are passed over.
    pub(crate) async fn told(&mut self, method: &str) -> Value {
        loop {
            let frame = match self.heard.pop_front() {
                Some(frame) => frame,
                None => self.next().await.expect("it is told"),
            };
            if frame["method"] == method {
                return frame["params"].clone();
            }
        }
    }

    /// The code the server closes with.
    pub(crate) async fn closed(&mut self) -> u16 {
        loop {
            if let Err(code) = self.next().await {
                return code;
            }
        }
    }

    pub(crate) async fn dial(&mut self, call: &str, to: &str) -> Value {
        let params = json!({"sdp": SDP, "dialogParams": {"callID": call, "destination_number": to}});
        self.ask("telnyx_rtc.invite", params).await
    }

    pub(crate) async fn about(&mut self, method: &str, call: &str, cause: &str) -> Value {
        let params = json!({"sdp": SDP, "cause": cause, "dialogParams": {"callID": call}});
        self.ask(&format!("telnyx_rtc.{method}"), params).await
    }

    pub(crate) async fn close(mut self) {
        // The server may have closed it already.
        let _was_open = self.socket.close(None).await;
    }
}
