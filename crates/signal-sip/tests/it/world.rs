//! A server on a port of its own, answers in place of the store, and clients that write SIP as browsers' libraries do.

use std::{
    sync::{Arc, atomic::AtomicU64, atomic::Ordering},
    time::Duration,
};

use causeway_api_http::Requester;
use causeway_app::ClientPlaces;
use causeway_call_core::{AccountId, CallEvent, CallId, HangupCause, Identity, PresenceChange};
use causeway_signal_sip::{
    Asking, CalleeRule, Grant, IceAsk, IceRefusal, IceServers, ServiceAsk, ServiceDecision, ServiceRoute, SipAccess,
    SipService, SipSettings, SipUser, TokenRefusal, router,
};
use causeway_sip_core::{
    Message,
    auth::{Credentials, DigestAlgorithm},
};
use causeway_switchboard::{CallListener, Switchboard, SwitchboardSettings};
use futures_util::{SinkExt, StreamExt};
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message as Frame, client::IntoClientRequest, http::HeaderValue},
};

pub(crate) const REALM: &str = "causeway";
pub(crate) const HOST: &str = "abc12.webrtc-1-2-0.aculabcloud.net";
pub(crate) const SDP: &str =
    "v=0\r\no=- 1 2 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=sendrecv\r\n";
const PATIENCE: Duration = Duration::from_secs(20);

/// Tokens are `client|callees|receives|id`; users have their name as password. `revoked` has tokens' ids and users' names.
#[derive(Default)]
pub(crate) struct Answers {
    pub(crate) ice_over: Mutex<Vec<String>>,
    pub(crate) minted: AtomicU64,
    pub(crate) revoked: Mutex<Vec<String>>,
    pub(crate) services: Mutex<Vec<String>>,
    pub(crate) decided: AtomicU64,
}

impl SipAccess for Answers {
    fn token<'a>(&'a self, token: &'a str) -> Asking<'a, Result<Grant, TokenRefusal>> {
        Box::pin(async move {
            let parts: Vec<&str> = token.split('|').collect();
            let [client, callees, receives, id] = parts[..] else { return Err(TokenRefusal::Invalid) };
            if id == "unavailable" {
                return Err(TokenRefusal::Unavailable);
            }
            if self.revoked.lock().iter().any(|revoked| revoked == id) {
                return Err(TokenRefusal::Invalid);
            }
            Ok(Grant {
                account: AccountId(7),
                client: client.to_owned(),
                key: "abc12".to_owned(),
                cloud: "1-2-0".to_owned(),
                id: Arc::from(id),
                may_receive: receives == "yes",
                callees: CalleeRule::Patterns(callees.split(',').map(str::to_owned).collect()),
            })
        })
    }

    fn sip_user<'a>(&'a self, _host: &'a str, name: &'a str) -> Asking<'a, Result<Option<SipUser>, TokenRefusal>> {
        Box::pin(async move {
            let secret = |algorithm: DigestAlgorithm| algorithm.secret(name, REALM, name);
            let (md5, sha256) = (secret(DigestAlgorithm::Md5), secret(DigestAlgorithm::Sha256));
            let is_there = name != "nobody" && !self.revoked.lock().iter().any(|revoked| revoked == name);
            Ok(is_there.then_some(SipUser { account: AccountId(7), md5, sha256 }))
        })
    }

    fn ice_servers(&self, ask: IceAsk) -> Asking<'_, Result<IceServers, IceRefusal>> {
        Box::pin(async move {
            if ask.key != "abc12" {
                return Err(IceRefusal::UnknownKey);
            }
            let n = self.minted.fetch_add(1, Ordering::Relaxed);
            let urls = vec!["turn:192.0.2.1:3478?transport=udp".to_owned()];
            Ok(IceServers { account: AccountId(7), username: format!("u{n}"), credential: "secret".to_owned(), urls })
        })
    }

    fn ice_over(&self, made: Vec<(AccountId, String)>) {
        self.ice_over.lock().extend(made.into_iter().map(|(_, username)| username));
    }

    fn service<'a>(&'a self, ask: &'a ServiceAsk) -> Asking<'a, ServiceRoute> {
        Box::pin(async move {
            let from = Identity::new(AccountId(7), &ask.caller);
            match ask.service.as_str() {
                "desk" => ServiceRoute::Dial { from, to: vec![Identity::new(AccountId(7), "bob")] },
                "asked" | "silent" => ServiceRoute::Ask { from },
                _ => ServiceRoute::Reject(HangupCause::NotFound),
            }
        })
    }

    fn service_called(&self, _call: CallId, service: &str) {
        self.services.lock().push(service.to_owned());
    }

    fn decide(&self, ask: ServiceAsk, _call: CallId) -> Asking<'_, ServiceDecision> {
        Box::pin(async move {
            self.decided.fetch_add(1, Ordering::Relaxed);
            if ask.service == "silent" {
                return std::future::pending().await;
            }
            match ask.headers.iter().find(|(name, _)| name == "X-To") {
                Some((_, to)) => {
                    let to = to.split(',').map(|name| Identity::new(AccountId(7), name.trim())).collect();
                    ServiceDecision::Dial { to, ring: None, ring_for: None }
                }
                None => ServiceDecision::Reject(HangupCause::Busy),
            }
        })
    }
}

struct Deaf;

impl CallListener for Deaf {
    fn call(&self, _event: CallEvent) {}
    fn presence(&self, _change: PresenceChange) {}
}

/// Stands in for who accepts connections.
const FROM: &str = "test-from";

async fn from_where_it_says(mut request: axum::extract::Request) -> axum::extract::Request {
    let said = request.headers().get(FROM).and_then(|value| value.to_str().ok()?.parse().ok());
    if let Some(address) = said {
        request.extensions_mut().insert(Requester(address));
    }
    request
}

pub(crate) struct World {
    pub(crate) service: Arc<SipService>,
    pub(crate) board: Arc<Switchboard>,
    pub(crate) answers: Arc<Answers>,
    pub(crate) places: Arc<ClientPlaces>,
    address: std::net::SocketAddr,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(SipSettings::default(), SwitchboardSettings::default()).await
    }

    pub(crate) async fn with(settings: SipSettings, board: SwitchboardSettings) -> Self {
        let board = Switchboard::new(board, [5; 32], Arc::new(Deaf));
        let answers = Arc::<Answers>::default();
        let places = Arc::<ClientPlaces>::default();
        let access = Arc::<Answers>::clone(&answers);
        let service = SipService::new(settings, Arc::clone(&board), access, Arc::clone(&places), &[6; 32]);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let routes = router(Arc::clone(&service)).layer(axum::middleware::map_request(from_where_it_says));
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self { service, board, answers, places, address }
    }

    /// A client of the account's key.
    pub(crate) async fn client(&self, name: &str) -> Client {
        self.client_at(name, HOST).await
    }

    pub(crate) async fn client_at(&self, name: &str, host: &str) -> Client {
        let socket = self.socket("/sipproxy").await.expect("it connects");
        Client { socket, name: name.to_owned(), host: host.to_owned(), number: 0 }
    }

    pub(crate) async fn socket(
        &self,
        path: &str,
    ) -> Result<WebSocketStream<TcpStream>, tokio_tungstenite::tungstenite::Error> {
        self.socket_from(path, "").await
    }

    /// From this address, as whoever accepts connections tells it.
    pub(crate) async fn socket_from(
        &self,
        path: &str,
        address: &str,
    ) -> Result<WebSocketStream<TcpStream>, tokio_tungstenite::tungstenite::Error> {
        let stream = TcpStream::connect(self.address).await.expect("the server listens");
        let mut request = format!("ws://{}{path}", self.address).into_client_request().expect("it is a URL");
        request.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_static("sip"));
        request.headers_mut().insert(FROM, address.parse().expect("it is a header's value"));
        let (socket, answer) = client_async(request, stream).await?;
        assert_eq!(answer.headers().get("Sec-WebSocket-Protocol"), Some(&HeaderValue::from_static("sip")));
        Ok(socket)
    }

    /// Waits until something holds.
    pub(crate) async fn until(&self, what: impl Fn(&Self) -> bool) {
        let waiting = async {
            while !what(self) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.expect("it comes to that");
    }
}

pub(crate) struct Client {
    socket: WebSocketStream<TcpStream>,
    pub(crate) name: String,
    pub(crate) host: String,
    number: u32,
}

impl Client {
    pub(crate) async fn raw(&mut self, text: &str) {
        self.socket.send(Frame::text(text.to_owned())).await.expect("the server reads");
    }

    pub(crate) async fn says(&mut self, message: &Message) {
        self.raw(&message.to_text()).await;
    }

    /// The next message, or the close's code.
    pub(crate) async fn next(&mut self) -> Result<Message, u16> {
        loop {
            let frame = tokio::time::timeout(PATIENCE, self.socket.next()).await.expect("something comes in time");
            match frame {
                Some(Ok(Frame::Text(text))) => {
                    let text = text.as_str();
                    return Ok(Message::parse(text).unwrap_or_else(|error| panic!("{error}: {text}")));
                }
                Some(Ok(Frame::Close(close))) => return Err(close.map_or(1005, |close| close.code.into())),
                Some(Ok(Frame::Ping(_) | Frame::Pong(_))) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    pub(crate) async fn hears(&mut self) -> Message {
        self.next().await.expect("a message comes")
    }

    /// The next message, which is a response with this status.
    pub(crate) async fn status(&mut self, status: u16) -> Message {
        let message = self.hears().await;
        assert_eq!(message.status(), Some(status), "{}", message.to_text());
        message
    }

    /// The next message, which is a request of this method.
    pub(crate) async fn asked(&mut self, method: &str) -> Message {
        let message = self.hears().await;
        assert_eq!(message.method(), Some(method), "{}", message.to_text());
        message
    }

    /// A request outside a dialogue.
    pub(crate) fn request(&mut self, method: &str, to: &str) -> Message {
        self.number += 1;
        let (own, number, name) = (format!("sip:{}@{}", self.name, self.host), self.number, &self.name);
        let to_host = if to.contains('@') { to.to_owned() } else { format!("{to}@{}", self.host) };
        let target =
            if method == "REGISTER" { format!("sip:{}", self.host) } else { format!("sip:{to_host};transport=tcp") };
        Message::request(method, &target)
            .with("Via", format!("SIP/2.0/WSS {name}.invalid;branch=z9hG4bK{name}{number}"))
            .with("Max-Forwards", "70")
            .with("From", format!("<{own}>;tag={name}{number}"))
            .with("To", format!("<sip:{to_host}>"))
            .with("Call-ID", format!("{name}-{number}"))
            .with("CSeq", format!("{number} {method}"))
    }

    pub(crate) fn contact(&self) -> String {
        format!("<sip:{0}x@{0}.invalid;transport=ws>", self.name)
    }

    pub(crate) fn register(&mut self, expires: u32) -> Message {
        let name = self.name.clone();
        let request = self.request("REGISTER", &name);
        let contact = format!("{};expires={expires}", self.contact());
        request.with("Contact", contact)
    }

    pub(crate) fn token(&self, callees: &str) -> String {
        format!("Bearer {}|{callees}|yes|token-{}", self.name, self.name)
    }

    /// Registers with a token that may call these.
    pub(crate) async fn registered(&mut self, callees: &str) -> Message {
        let token = self.token(callees);
        let request = self.register(600).with("Authorization", token);
        self.says(&request).await;
        self.status(200).await
    }

    pub(crate) fn invite(&mut self, to: &str) -> Message {
        let contact = self.contact();
        self.request("INVITE", to).with("Contact", contact).with_body("application/sdp", SDP)
    }

    /// A request in the dialogue that this INVITE of the client's made with this answer.
    pub(crate) fn inside(&mut self, method: &str, invite: &Message, answer: &Message) -> Message {
        self.number += 1;
        let number = if method == "ACK" { invite.cseq().expect("it has one").number } else { self.number };
        let contact = answer.address("Contact").expect("it has one").uri.to_string();
        Message::request(method, &contact)
            .with("Via", format!("SIP/2.0/WSS {0}.invalid;branch=z9hG4bKin{0}{1}", self.name, self.number))
            .with("From", invite.header("From").expect("it has one"))
            .with("To", answer.header("To").expect("it has one"))
            .with("Call-ID", invite.call_id())
            .with("CSeq", format!("{number} {method}"))
            .with("Contact", self.contact())
    }

    /// A response to a request of the server's.
    pub(crate) async fn answers(&mut self, request: &Message, status: u16) {
        let mut answer = Message::response_to(request, status).with("Contact", self.contact());
        for (name, value) in &mut answer.headers {
            if name == "To" && !value.contains("tag=") {
                value.push_str(&format!(";tag=callee-{}", self.name));
            }
        }
        let is_answer = request.method() == Some("INVITE") && (200..300).contains(&status);
        let answer = if is_answer { answer.with_body("application/sdp", SDP) } else { answer };
        self.says(&answer).await;
    }

    pub(crate) async fn close(mut self) {
        // The server may have closed it already.
        let _was_open = self.socket.close(None).await;
    }
}

/// The digest that answers a challenge.
pub(crate) fn digest(challenge: &str, name: &str, method: &str, uri: &str, count: u32) -> String {
    let Some(Credentials::Digest(asked)) = Credentials::parse(challenge) else { panic!("{challenge}") };
    let secret = asked.algorithm.secret(name, REALM, name);
    let hash = |text: &str| {
        use causeway_sip_core::auth::DigestAlgorithm as A;
        // The hash of `a:b:c` is what a secret is made with.
        let mut parts = text.splitn(3, ':');
        let mut part = || parts.next().unwrap_or("");
        let (a, b, c) = (part(), part(), part());
        match asked.algorithm {
            A::Md5 => A::Md5.secret(a, b, c),
            A::Sha256 => A::Sha256.secret(a, b, c),
        }
    };
    let nonce = &asked.nonce;
    // Two parts need a third that `splitn` does not make.
    let request = hash_of_two(method, uri, asked.algorithm);
    let response = hash(&format!("{secret}:{nonce}:{count:08x}:c:auth:{request}"));
    format!(
        "Digest username=\"{name}\", realm=\"{REALM}\", nonce=\"{nonce}\", uri=\"{uri}\", response=\"{response}\", \
         algorithm={}, qop=auth, nc={count:08x}, cnonce=\"c\"",
        asked.algorithm.name()
    )
}

fn hash_of_two(method: &str, uri: &str, algorithm: DigestAlgorithm) -> String {
    // `method:scheme:rest` is the same text as `method:uri`.
    let (scheme, rest) = uri.split_once(':').expect("a URI has a scheme");
    algorithm.secret(method, scheme, rest)
}
