//! A TURN client that does exactly what a test says, over any transport.

use std::{
    io::{self, Read, Write},
    net::{IpAddr, SocketAddr, TcpStream, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use causeway_stun_codec::{
    AttributeType, Class, Message, MessageBuilder, Method, TransactionId,
    attributes::{
        ChannelNumber, Data, ErrorCode, Nonce, Realm, RequestedAddressFamily, RequestedTransport, Username,
        XorPeerAddress, XorRelayedAddress,
    },
    channel_data,
    framing::{Frame, frame},
    key,
};
use causeway_types::{AddressFamily, ClientTransport};
use rustls::CipherSuite;

use crate::server::{PASSWORD, REALM, Server};

/// How long a client waits for what must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// How long it waits to believe that nothing comes.
pub(crate) const SILENCE: Duration = Duration::from_millis(300);

pub(crate) struct Client {
    io: Io,
    user: String,
    nonce: String,
    key: [u8; 16],
}

enum Io {
    Udp(UdpSocket),
    Stream { stream: Box<dyn Stream>, inbox: Vec<u8> },
    Dtls(Box<Dtls>),
}

/// A DTLS session of one version or another.
pub(crate) type MakeDtls = fn(Arc<dimpl::Config>, dimpl::DtlsCertificate, Instant) -> dimpl::Dtls;

struct Dtls {
    socket: UdpSocket,
    session: dimpl::Dtls,
    connected: bool,
    inbox: Vec<Vec<u8>>,
}

trait Stream: Read + Write + Send {
    fn tcp(&self) -> &TcpStream;
}

impl Stream for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl Stream for rustls::StreamOwned<rustls::ClientConnection, TcpStream> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref()
    }
}

/// A reply: its bytes and what tests ask of them.
pub(crate) struct Reply(pub(crate) Vec<u8>);

impl Reply {
    pub(crate) fn message(&self) -> Message<'_> {
        Message::parse(&self.0).expect("a message")
    }

    /// 0 for a success.
    pub(crate) fn code(&self) -> u16 {
        match self.message().class() {
            Class::Success => 0,
            Class::Error | Class::Request | Class::Indication => {
                self.message().attribute::<ErrorCode<'_>>().expect("decodes").expect("a code").code
            }
        }
    }

    pub(crate) fn granted(self) -> Self {
        assert_eq!(self.code(), 0);
        self
    }

    pub(crate) fn relayed(&self) -> SocketAddr {
        self.message().attribute::<XorRelayedAddress>().expect("decodes").expect("a relayed address").0
    }

    pub(crate) fn raw(&self, typ: AttributeType) -> Option<Vec<u8>> {
        self.message().attributes().find(|attribute| attribute.typ == typ).map(|attribute| attribute.value.to_vec())
    }
}

impl Client {
    pub(crate) fn new(server: &Server, transport: ClientTransport, v6: bool) -> Self {
        Self::to(server.address(transport, v6), transport)
    }

    pub(crate) fn to(address: SocketAddr, transport: ClientTransport) -> Self {
        Self::between(address.ip(), address, transport)
    }

    /// From an address of its own, as if it came from another host.
    pub(crate) fn at(ip: &str, server: &Server, transport: ClientTransport) -> Self {
        Self::between(ip.parse().expect("an address"), server.address(transport, false), transport)
    }

    fn between(ip: IpAddr, address: SocketAddr, transport: ClientTransport) -> Self {
        let local = SocketAddr::new(ip, 0);
        let udp = || {
            // Shared, so that a test can send bursts from the same address.
            let domain = socket2::Domain::for_address(local);
            let socket = socket2::Socket::new(domain, socket2::Type::DGRAM, None).expect("opens");
            socket.set_recv_buffer_size(4 << 20).expect("an option");
            // Only after binding: then nobody else's port can be shared.
            socket.bind(&local.into()).expect("binds");
            socket.set_reuse_port(true).expect("an option");
            socket.connect(&address.into()).expect("connects");
            UdpSocket::from(socket)
        };
        let io = match transport {
            ClientTransport::Udp => Io::Udp(udp()),
            ClientTransport::Tcp => stream_io(connect_from(ip, address)),
            ClientTransport::Tls => stream_io(tls(connect_from(ip, address), |_| true)),
            ClientTransport::Dtls => return Self::over_dtls(udp(), dimpl::Dtls::new_12),
        };
        Self::over(io)
    }

    /// Over TLS with the suites that `wanted` picks.
    pub(crate) fn tls_with(server: &Server, wanted: impl Fn(CipherSuite) -> bool) -> Self {
        let address = server.address(ClientTransport::Tls, false);
        Self::over(stream_io(tls(TcpStream::connect(address).expect("connects"), wanted)))
    }

    /// On a TCP stream the test has prepared.
    pub(crate) fn on_tcp(stream: TcpStream) -> Self {
        Self::over(stream_io(stream))
    }

    /// Over DTLS on a connected socket the test has prepared.
    pub(crate) fn over_dtls(socket: UdpSocket, make: MakeDtls) -> Self {
        Self::over(Io::Dtls(Box::new(Dtls::connect(socket, make))))
    }

    fn over(io: Io) -> Self {
        let mut client = Self { io, user: String::new(), nonce: String::new(), key: [0; 16] };
        client.user("alice");
        client
    }

    pub(crate) fn user(&mut self, user: &str) {
        user.clone_into(&mut self.user);
        self.key = key::md5_key(user, REALM, PASSWORD);
    }

    pub(crate) fn udp(&self) -> &UdpSocket {
        match &self.io {
            Io::Udp(socket) => socket,
            Io::Stream { .. } | Io::Dtls(_) => panic!("not a UDP client"),
        }
    }

    /// Throws away what has arrived and is not for this client's session.
    pub(crate) fn skip_foreign_datagrams(&self) {
        let Io::Dtls(dtls) = &self.io else { panic!("not a DTLS client") };
        dtls.socket.set_nonblocking(true).expect("an option");
        while dtls.socket.recv(&mut [0; 2000]).is_ok() {}
        dtls.socket.set_nonblocking(false).expect("an option");
    }

    /// Says goodbye on a DTLS association.
    pub(crate) fn close_dtls(&mut self) {
        let Io::Dtls(dtls) = &mut self.io else { panic!("not a DTLS client") };
        dtls.session.close().expect("closes");
        dtls.pump();
    }

    /// The bare socket, so that nothing else of the client stays in memory.
    pub(crate) fn into_socket(self) -> UdpSocket {
        match self.io {
            Io::Udp(socket) => socket,
            Io::Stream { .. } | Io::Dtls(_) => panic!("not a UDP client"),
        }
    }

    pub(crate) fn tcp(&self) -> &TcpStream {
        match &self.io {
            Io::Stream { stream, .. } => stream.tcp(),
            Io::Udp(_) | Io::Dtls(_) => panic!("not a stream client"),
        }
    }

    /// Gives the stream away; what was received and not asked for must be nothing.
    pub(crate) fn into_tcp(self) -> TcpStream {
        match self.io {
            Io::Stream { stream, inbox } => {
                assert!(inbox.is_empty());
                stream.tcp().try_clone().expect("clones")
            }
            Io::Udp(_) | Io::Dtls(_) => panic!("not a stream client"),
        }
    }

    /// What came behind the last message on a stream.
    pub(crate) fn take_rest(&mut self) -> Vec<u8> {
        match &mut self.io {
            Io::Stream { inbox, .. } => std::mem::take(inbox),
            Io::Udp(_) | Io::Dtls(_) => panic!("not a stream client"),
        }
    }

    /// A request and its reply, with the nonce fetched on the way when needed.
    pub(crate) fn call(&mut self, method: Method, build: impl Fn(MessageBuilder) -> MessageBuilder) -> Reply {
        for _ in 0..3 {
            let bytes = self.request(method, &build);
            self.send(&bytes);
            let reply = self.reply_to(&bytes);
            if !matches!(reply.code(), 401 | 438) {
                return reply;
            }
            let nonce = reply.message().attribute::<Nonce<'_>>().expect("decodes").map(|n| n.0.to_owned());
            match nonce {
                Some(nonce) if nonce != self.nonce => self.nonce = nonce,
                _ => return reply,
            }
        }
        panic!("no end of challenges");
    }

    /// A signed request, not sent.
    pub(crate) fn request(&self, method: Method, build: impl Fn(MessageBuilder) -> MessageBuilder) -> Vec<u8> {
        let builder = build(MessageBuilder::new(Class::Request, method, fresh_id()));
        if self.nonce.is_empty() {
            return builder.finish();
        }
        builder
            .attribute(&Username(&self.user))
            .attribute(&Realm(REALM))
            .attribute(&Nonce(&self.nonce))
            .integrity_sha1(&self.key)
            .finish()
    }

    fn reply_to(&mut self, request: &[u8]) -> Reply {
        let id = Message::parse(request).expect("own request").transaction_id();
        let deadline = Instant::now() + PATIENCE;
        let mut resend = Instant::now() + Duration::from_millis(500);
        loop {
            assert!(Instant::now() < deadline, "no reply");
            if Instant::now() >= resend && matches!(self.io, Io::Udp(_)) {
                self.send(request);
                resend += Duration::from_millis(500);
            }
            let Some(bytes) = self.receive(Duration::from_millis(100)) else { continue };
            if Message::parse(&bytes).is_ok_and(|m| m.transaction_id() == id) {
                return Reply(bytes);
            }
        }
    }

    pub(crate) fn allocate_with(&mut self, build: impl Fn(MessageBuilder) -> MessageBuilder) -> Reply {
        self.call(Method::ALLOCATE, |b| build(b.attribute(&RequestedTransport(17))))
    }

    /// Allocates a UDP relay of the family; its address.
    pub(crate) fn allocate(&mut self, v6: bool) -> SocketAddr {
        let family = if v6 { AddressFamily::V6 } else { AddressFamily::V4 };
        self.allocate_with(|b| b.attribute(&RequestedAddressFamily(Ok(family)))).granted().relayed()
    }

    pub(crate) fn permit(&mut self, peer: SocketAddr) -> Reply {
        self.call(Method::CREATE_PERMISSION, |b| b.attribute(&XorPeerAddress(peer)))
    }

    pub(crate) fn bind_channel(&mut self, number: u16, peer: SocketAddr) {
        let build = |b: MessageBuilder| b.attribute(&ChannelNumber(number)).attribute(&XorPeerAddress(peer));
        self.call(Method::CHANNEL_BIND, build).granted();
    }

    pub(crate) fn send_channel(&mut self, number: u16, data: &[u8]) {
        let bytes = channel_message(number, data, matches!(self.io, Io::Stream { .. }));
        self.send(&bytes);
    }

    pub(crate) fn send_indication(&mut self, peer: SocketAddr, data: &[u8]) {
        let bytes = MessageBuilder::new(Class::Indication, Method::SEND, fresh_id())
            .attribute(&XorPeerAddress(peer))
            .attribute(&Data(data))
            .finish();
        self.send(&bytes);
    }

    /// The next channel message, or `None` after `wait`.
    pub(crate) fn receive_channel(&mut self, wait: Duration) -> Option<(u16, Vec<u8>)> {
        let deadline = Instant::now() + wait;
        while Instant::now() < deadline {
            let Some(bytes) = self.receive(deadline.saturating_duration_since(Instant::now())) else { break };
            if let Ok(data) = channel_data::parse(&bytes) {
                return Some((data.number, data.data.to_vec()));
            }
        }
        None
    }

    /// The next indication of a method.
    pub(crate) fn receive_indication(&mut self, method: Method) -> Reply {
        let deadline = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < deadline, "no indication");
            let Some(bytes) = self.receive(PATIENCE) else { continue };
            if Message::parse(&bytes).is_ok_and(|m| m.class() == Class::Indication && m.method() == method) {
                return Reply(bytes);
            }
        }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        match &mut self.io {
            Io::Udp(socket) => drop(socket.send(bytes).expect("sends")),
            Io::Stream { stream, .. } => {
                stream.tcp().set_read_timeout(None).expect("an option");
                stream.write_all(bytes).expect("sends");
                stream.flush().expect("sends");
            }
            Io::Dtls(dtls) => dtls.send(bytes),
        }
    }

    /// The next whole message, or `None` when none comes in time or the connection ends.
    pub(crate) fn receive(&mut self, wait: Duration) -> Option<Vec<u8>> {
        let deadline = Instant::now() + wait;
        match &mut self.io {
            Io::Udp(socket) => receive_datagram(socket, deadline),
            Io::Stream { stream, inbox } => loop {
                if let Frame::Stun { len } | Frame::ChannelData { padded_len: len, .. } = frame(inbox) {
                    let rest = inbox.split_off(len);
                    return Some(std::mem::replace(inbox, rest));
                }
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return None;
                }
                stream.tcp().set_read_timeout(Some(left)).expect("an option");
                let mut room = [0; 65_536];
                match stream.read(&mut room) {
                    Ok(0) => return None,
                    Ok(n) => inbox.extend_from_slice(&room[..n]),
                    Err(error) if is_timeout(&error) => {}
                    Err(_) => return None,
                }
            },
            Io::Dtls(dtls) => dtls.receive(deadline),
        }
    }
}

impl Dtls {
    fn connect(socket: UdpSocket, make: MakeDtls) -> Self {
        let mut this = Self { socket, session: dtls_session(make), connected: false, inbox: Vec::new() };
        let deadline = Instant::now() + PATIENCE;
        while !this.connected {
            assert!(Instant::now() < deadline, "no handshake");
            this.pump();
            this.take(Instant::now() + Duration::from_millis(100));
        }
        this
    }

    fn send(&mut self, bytes: &[u8]) {
        self.session.send_application_data(bytes).expect("sends");
        self.pump();
    }

    fn receive(&mut self, deadline: Instant) -> Option<Vec<u8>> {
        while self.inbox.is_empty() && Instant::now() < deadline {
            self.take(deadline);
        }
        if self.inbox.is_empty() { None } else { Some(self.inbox.remove(0)) }
    }

    fn take(&mut self, deadline: Instant) {
        if let Some(packet) = receive_datagram(&self.socket, deadline) {
            self.session.handle_packet(&packet).expect("is understood");
        }
        self.session.handle_timeout(Instant::now()).expect("goes on");
        self.pump();
    }

    fn pump(&mut self) {
        let mut room = vec![0; 20_000];
        loop {
            match self.session.poll_output(&mut room) {
                dimpl::Output::Packet(packet) => drop(self.socket.send(packet).expect("sends")),
                dimpl::Output::ApplicationData(data) => self.inbox.push(data.to_vec()),
                dimpl::Output::Connected => self.connected = true,
                dimpl::Output::Timeout(_) => return,
                dimpl::Output::PeerCert(_) | dimpl::Output::KeyingMaterial(..) | _ => {}
            }
        }
    }
}

/// A session that has its first hello ready.
pub(crate) fn dtls_session(make: MakeDtls) -> dimpl::Dtls {
    dtls_session_at(make, Instant::now())
}

/// One whose clock stands at `now` until it is told another time.
pub(crate) fn dtls_session_at(make: MakeDtls, now: Instant) -> dimpl::Dtls {
    let config = dimpl::Config::builder().build().expect("a configuration");
    let certificate = dimpl::certificate::generate_self_signed_certificate().expect("a certificate");
    let mut session = make(Arc::new(config), certificate, now);
    session.set_active(true);
    session.handle_timeout(now).expect("starts");
    session
}

/// A ChannelData message, padded on streams (RFC 8656 §12.5).
pub(crate) fn channel_message(number: u16, data: &[u8], padded: bool) -> Vec<u8> {
    let mut bytes = channel_data::header(number, u16::try_from(data.len()).expect("fits")).to_vec();
    bytes.extend_from_slice(data);
    if padded {
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    bytes
}

/// The next datagram on `socket`.
pub(crate) fn receive_datagram(socket: &UdpSocket, deadline: Instant) -> Option<Vec<u8>> {
    let mut room = vec![0; 65_536];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return None;
        }
        socket.set_read_timeout(Some(left)).expect("an option");
        match socket.recv(&mut room) {
            Ok(n) => {
                room.truncate(n);
                return Some(room);
            }
            Err(error) if is_timeout(&error) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}

fn fresh_id() -> TransactionId {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let mut id = [0x5a; 12];
    id[4..].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    TransactionId(id)
}

fn stream_io(stream: impl Stream + 'static) -> Io {
    stream.tcp().set_nodelay(true).expect("an option");
    Io::Stream { stream: Box::new(stream), inbox: Vec::new() }
}

/// A TCP connection that begins at `ip`.
pub(crate) fn connect_from(ip: IpAddr, address: SocketAddr) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None);
    let socket = socket.expect("opens");
    socket.bind(&SocketAddr::new(ip, 0).into()).expect("binds");
    socket.connect(&address.into()).expect("connects");
    TcpStream::from(socket)
}

fn tls(
    stream: TcpStream,
    wanted: impl Fn(CipherSuite) -> bool,
) -> rustls::StreamOwned<rustls::ClientConnection, TcpStream> {
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    provider.cipher_suites.retain(|suite| wanted(suite.suite()));
    let all = [&rustls::version::TLS13, &rustls::version::TLS12];
    let served = |version: &&&rustls::SupportedProtocolVersion| {
        provider.cipher_suites.iter().any(|suite| suite.version().version == version.version)
    };
    let versions: Vec<_> = all.iter().filter(served).copied().collect();
    let provider = Arc::new(provider);
    let mut config = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&versions)
        .expect("versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone(provider)))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"stun.turn".to_vec()];
    let name = rustls_pki_types::ServerName::try_from("localhost").expect("a name");
    rustls::StreamOwned::new(rustls::ClientConnection::new(Arc::new(config), name).expect("a session"), stream)
}

/// Believes every certificate.
#[derive(Debug)]
struct Anyone(Arc<rustls::crypto::CryptoProvider>);

impl rustls::client::danger::ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _end_entity: &rustls_pki_types::CertificateDer<'_>,
        _intermediates: &[rustls_pki_types::CertificateDer<'_>],
        _server_name: &rustls_pki_types::ServerName<'_>,
        _ocsp: &[u8],
        _now: rustls_pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &rustls_pki_types::CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &rustls_pki_types::CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
