//! The control exchange of a TURN client, as little of it as a load needs.
//!
//! [`Requests`] builds signed requests and reads answers; [`TurnClient`] is one client that waits for each answer.

use std::{
    io::ErrorKind,
    net::{SocketAddr, UdpSocket},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use causeway_stun_codec::{
    AttributeType, Class, Message, MessageBuilder, Method, TransactionId,
    attributes::{
        ChannelNumber, ErrorCode, Lifetime, Nonce, Realm, RequestedTransport, Username, XorPeerAddress,
        XorRelayedAddress,
    },
    key::md5_key,
};

/// The user of a server under test.
pub const USER: &str = "bench";
/// Its password.
pub const PASSWORD: &str = "bench-password";
/// The realm of a server under test.
pub const REALM: &str = "bench.test";

/// The channel every client binds.
pub const CHANNEL: u16 = 0x4000;

/// How long one answer is waited for, and how often a request is sent.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(500);
const TRIES: usize = 10;

/// What an answer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It worked; Allocate names the relayed address.
    Success(Option<SocketAddr>),
    /// 401 or 438: again, with this nonce.
    Challenge(String),
    /// Any other error.
    Refused(u16),
}

/// Builds the requests of one client.
#[derive(Clone, Debug)]
pub struct Requests {
    user: String,
    key: [u8; 16],
    nonce: Option<String>,
    /// Makes transaction ids differ; nobody has to be kept from guessing them here.
    count: u64,
}

impl Default for Requests {
    fn default() -> Self {
        Self::new()
    }
}

impl Requests {
    /// Of [`USER`].
    #[must_use]
    pub fn new() -> Self {
        Self::of(USER, PASSWORD)
    }

    /// Of another user.
    #[must_use]
    pub fn of(user: &str, password: &str) -> Self {
        Self { user: user.to_owned(), key: md5_key(user, REALM, password), nonce: None, count: 0 }
    }

    /// Goes on as another user, whose first request will be challenged. Transaction ids are not used again.
    pub fn again_as(&mut self, user: &str, password: &str) {
        user.clone_into(&mut self.user);
        self.key = md5_key(user, REALM, password);
        self.nonce = None;
    }

    /// Takes the nonce of a challenge.
    pub fn challenged(&mut self, nonce: String) {
        self.nonce = Some(nonce);
    }

    /// An Allocate.
    pub fn allocate(&mut self) -> Vec<u8> {
        let request = self.start(Method::ALLOCATE).attribute(&RequestedTransport::UDP);
        self.signed(request)
    }

    /// A Refresh that ends the allocation.
    pub fn release(&mut self) -> Vec<u8> {
        let request = self.start(Method::REFRESH).attribute(&Lifetime(0));
        self.signed(request)
    }

    /// A Refresh that asks for the usual lifetime.
    pub fn refresh(&mut self) -> Vec<u8> {
        let request = self.start(Method::REFRESH);
        self.signed(request)
    }

    /// Binds [`CHANNEL`] to `peer`.
    pub fn bind_channel(&mut self, peer: SocketAddr) -> Vec<u8> {
        self.bind(CHANNEL, peer)
    }

    /// Binds a channel to `peer`.
    pub fn bind(&mut self, channel: u16, peer: SocketAddr) -> Vec<u8> {
        let request =
            self.start(Method::CHANNEL_BIND).attribute(&ChannelNumber(channel)).attribute(&XorPeerAddress(peer));
        self.signed(request)
    }

    fn start(&mut self, method: Method) -> MessageBuilder {
        self.count += 1;
        let mut id = [0; 12];
        id[4..].copy_from_slice(&self.count.to_be_bytes());
        MessageBuilder::new(Class::Request, method, TransactionId(id))
    }

    fn signed(&self, request: MessageBuilder) -> Vec<u8> {
        match &self.nonce {
            None => request.finish(),
            Some(nonce) => request
                .attribute(&Username(&self.user))
                .attribute(&Realm(REALM))
                .attribute(&Nonce(nonce))
                .integrity_sha1(&self.key)
                .finish(),
        }
    }

    /// Reads the answer to the latest request; `None` for anything else.
    #[must_use]
    pub fn answer(&self, bytes: &[u8]) -> Option<Answer> {
        let message = Message::parse(bytes).ok()?;
        if message.transaction_id().0.last_chunk() != Some(&self.count.to_be_bytes()) {
            return None;
        }
        match message.class() {
            Class::Success => {
                let relayed = message.attribute::<XorRelayedAddress>().ok()?;
                Some(Answer::Success(relayed.map(|address| address.0)))
            }
            Class::Error => {
                let code = message.attribute::<ErrorCode<'_>>().ok()??.code;
                if matches!(code, 401 | 438) && message.has(AttributeType::NONCE) {
                    return Some(Answer::Challenge(message.attribute::<Nonce<'_>>().ok()??.0.to_owned()));
                }
                Some(Answer::Refused(code))
            }
            Class::Request | Class::Indication => None,
        }
    }
}

/// A client with one allocation.
#[derive(Debug)]
pub struct TurnClient {
    socket: UdpSocket,
    requests: Requests,
    relayed: SocketAddr,
}

impl TurnClient {
    /// Allocates over a socket that is connected to the server.
    ///
    /// # Errors
    /// The server refuses or does not answer; so for the others.
    pub fn allocate(socket: UdpSocket) -> Result<Self> {
        socket.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        let mut requests = Requests::new();
        let relayed =
            exchange(&socket, &mut requests, Requests::allocate)?.context("no relayed address in the answer")?;
        Ok(Self { socket, requests, relayed })
    }

    /// Binds [`CHANNEL`] to `peer`.
    pub fn bind_channel(&mut self, peer: SocketAddr) -> Result<()> {
        exchange(&self.socket, &mut self.requests, |requests| requests.bind_channel(peer)).map(|_| ())
    }

    /// Ends the allocation.
    pub fn release(&mut self) -> Result<()> {
        exchange(&self.socket, &mut self.requests, Requests::release).map(|_| ())
    }

    /// Its socket.
    #[must_use]
    pub const fn socket(&self) -> &UdpSocket {
        &self.socket
    }

    /// Its relayed address.
    #[must_use]
    pub const fn relayed(&self) -> SocketAddr {
        self.relayed
    }
}

fn exchange(
    socket: &UdpSocket,
    requests: &mut Requests,
    build: impl Fn(&mut Requests) -> Vec<u8>,
) -> Result<Option<SocketAddr>> {
    let mut buffer = [0; 2048];
    let mut message = build(requests);
    for _ in 0..TRIES {
        socket.send(&message)?;
        loop {
            let len = match socket.recv(&mut buffer) {
                Ok(len) => len,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break,
                Err(error) => return Err(error).context("the server's port is closed"),
            };
            match buffer.get(..len).and_then(|bytes| requests.answer(bytes)) {
                Some(Answer::Success(relayed)) => return Ok(relayed),
                Some(Answer::Challenge(nonce)) => {
                    requests.challenged(nonce);
                    message = build(requests);
                    break;
                }
                Some(Answer::Refused(code)) => bail!("the server refused with {code}"),
                // A late answer, or data.
                None => {}
            }
        }
    }
    bail!("no answer from {:?}", socket.peer_addr())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(request: &[u8], class: Class) -> MessageBuilder {
        MessageBuilder::reply_to(&Message::parse(request).expect("our own request"), class)
    }

    #[test]
    fn a_challenge_is_followed_by_a_signed_request() {
        let mut requests = Requests::new();
        let first = requests.allocate();
        assert!(!Message::parse(&first).unwrap().has(AttributeType::MESSAGE_INTEGRITY));
        let challenge =
            reply(&first, Class::Error).attribute(&ErrorCode { code: 401, reason: "" }).attribute(&Nonce("n")).finish();
        assert_eq!(requests.answer(&challenge), Some(Answer::Challenge("n".to_owned())));
        requests.challenged("n".to_owned());
        let second = requests.allocate();
        assert!(Message::parse(&second).unwrap().has(AttributeType::MESSAGE_INTEGRITY));
        assert_eq!(requests.answer(&challenge), None, "it answers the request before");
        let refusal = reply(&second, Class::Error).attribute(&ErrorCode { code: 486, reason: "" }).finish();
        assert_eq!(requests.answer(&refusal), Some(Answer::Refused(486)));
        let relayed = "127.0.0.2:50000".parse().unwrap();
        let success = reply(&second, Class::Success).attribute(&XorRelayedAddress(relayed)).finish();
        assert_eq!(requests.answer(&success), Some(Answer::Success(Some(relayed))));
    }
}
