//! What a client is told before it starts.

use std::time::Duration;

use causeway_types::{ClientTransport, Secret};

/// A user name and password of the long-term mechanism (RFC 8489 §9.2).
#[derive(Clone, Debug)]
pub struct Credentials {
    /// USERNAME, at most 508 bytes.
    pub username: String,
    /// Never sent; the key is made of it.
    pub password: Secret<String>,
}

/// Which of a server's security features are taken up (RFC 8489 §9.2, §18.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AuthFeatures {
    /// What the server offers: the first password algorithm that is known, USERHASH, MESSAGE-INTEGRITY-SHA256.
    #[default]
    Offered,
    /// None, as clients of RFC 5389 do: MD5 key, USERNAME, MESSAGE-INTEGRITY.
    Classic,
}

/// When a request is sent again, and when it is given up (RFC 8489 §6.2.1, §6.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetransmitSchedule {
    /// RTO: the wait after the first transmission; each wait is twice the one before. 500 ms.
    pub initial_timeout: Duration,
    /// Rc: transmissions in all, at least 1. 7.
    pub transmissions_max: u32,
    /// Rm: the wait after the last transmission, in multiples of the RTO. 16.
    pub last_wait_factor: u32,
    /// Ti: how long an answer may take on a stream, where nothing is sent again. 39.5 s.
    pub stream_timeout: Duration,
}

impl Default for RetransmitSchedule {
    fn default() -> Self {
        Self {
            initial_timeout: Duration::from_millis(500),
            transmissions_max: 7,
            last_wait_factor: 16,
            stream_timeout: Duration::from_millis(39_500),
        }
    }
}

/// How a [`TurnClient`](crate::TurnClient) behaves.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// What the shell carries messages over: decides on retransmission, framing and padding.
    pub transport: ClientTransport,
    /// Needed for everything but Binding on nearly every server.
    pub credentials: Option<Credentials>,
    /// See [`AuthFeatures`].
    pub auth_features: AuthFeatures,
    /// See [`RetransmitSchedule`].
    pub schedule: RetransmitSchedule,
    /// Refresh the allocation, its permissions and its channels before they expire.
    pub keep_alive: bool,
    /// Put FINGERPRINT behind each request (RFC 8489 §14.7).
    pub fingerprint: bool,
    /// SOFTWARE of each request.
    pub software: Option<String>,
}

impl ClientConfig {
    /// Without credentials; the schedule of the RFC; features as offered; nothing is kept alive.
    #[must_use]
    pub fn new(transport: ClientTransport) -> Self {
        Self {
            transport,
            credentials: None,
            auth_features: AuthFeatures::default(),
            schedule: RetransmitSchedule::default(),
            keep_alive: false,
            fingerprint: false,
            software: None,
        }
    }

    /// The same with credentials.
    #[must_use]
    pub fn with_credentials(mut self, username: &str, password: &str) -> Self {
        let password = Secret::new(password.to_owned());
        self.credentials = Some(Credentials { username: username.to_owned(), password });
        self
    }
}
