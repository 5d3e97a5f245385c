//! What this crate asks of the rest: who a client is, what it may, and relay credentials.

use std::{future::Future, net::IpAddr, pin::Pin, sync::Arc, time::Duration};

use causeway_call_core::{AccountId, CallId, ConnectionId, HangupCause, Identity, RingRule};

/// An answer that takes its time.
pub type Asking<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Whom a client may call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CalleeRule {
    /// Everybody of its account.
    Anybody,
    /// Whoever a pattern names: an id, or its beginning and `*`. None means nobody.
    Patterns(Arc<[String]>),
}

impl CalleeRule {
    /// Whether this callee may be called.
    #[must_use]
    pub fn allows(&self, callee: &str) -> bool {
        match self {
            Self::Anybody => true,
            Self::Patterns(patterns) => patterns.iter().any(|pattern| match pattern.strip_suffix('*') {
                Some(start) => callee.starts_with(start),
                None => callee == pattern,
            }),
        }
    }
}

/// What a token says, after it was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Whose.
    pub account: AccountId,
    /// Who.
    pub client: String,
    /// Access key of the account: the host of the client's address begins with it.
    pub key: String,
    /// Cloud id: the host has it too.
    pub cloud: String,
    /// The token's own name, for a limit and for revocation.
    pub id: Arc<str>,
    /// Whether calls may come to it.
    pub may_receive: bool,
    /// Whom it may call.
    pub callees: CalleeRule,
}

/// Why a token is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenRefusal {
    /// Not ours, altered, expired, not yet good, or revoked.
    Invalid,
    /// It cannot be judged: the store does not answer.
    Unavailable,
}

/// A user with a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SipUser {
    /// Whose.
    pub account: AccountId,
    /// What is kept of the password (RFC 7616 §3.4.2, A1), as MD5 and as SHA-256.
    pub md5: String,
    /// The other.
    pub sha256: String,
}

/// A client asks for ICE servers; nothing proves who it is but that it knows the access key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IceAsk {
    /// Access key.
    pub key: String,
    /// Cloud id.
    pub cloud: String,
    /// Who it says it is.
    pub client: String,
    /// Over which connection.
    pub connection: ConnectionId,
    /// From where.
    pub address: Option<IpAddr>,
}

/// Relay credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IceServers {
    /// Whose.
    pub account: AccountId,
    /// User name; none for an empty list.
    pub username: String,
    /// Password.
    pub credential: String,
    /// Where.
    pub urls: Vec<String>,
}

/// Why there are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IceRefusal {
    /// No account has this access key.
    UnknownKey,
    /// Try again later.
    Unavailable,
}

/// A client calls a service: which name, and who.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceAsk {
    /// Access key of the caller's account.
    pub key: String,
    /// Cloud id.
    pub cloud: String,
    /// Which.
    pub service: String,
    /// Who it says it is.
    pub caller: String,
    /// Who its connection is registered as: the only proof there is.
    pub registered: Vec<Identity>,
    /// From where.
    pub address: Option<IpAddr>,
    /// `X-` headers of the call.
    pub headers: Vec<(String, String)>,
}

/// Where a service call goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceRoute {
    /// To these, of the caller's account.
    Dial {
        /// Whose, and who calls.
        from: Identity,
        /// Whom.
        to: Vec<Identity>,
    },
    /// Nobody knows yet: the call waits for [`SipAccess::decide`].
    Ask {
        /// Whose, and who calls.
        from: Identity,
    },
    /// Nowhere.
    Reject(HangupCause),
}

/// What was decided about a service call that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceDecision {
    /// To these, of the caller's account.
    Dial {
        /// Whom.
        to: Vec<Identity>,
        /// Which of their registrations ring; as their domain has it when nothing is said.
        ring: Option<RingRule>,
        /// How long.
        ring_for: Option<Duration>,
    },
    /// Nowhere.
    Reject(HangupCause),
}

/// The port to tokens, SIP users, relay credentials and service calls.
pub trait SipAccess: Send + Sync + 'static {
    /// Judges a token.
    fn token<'a>(&'a self, token: &'a str) -> Asking<'a, Result<Grant, TokenRefusal>>;

    /// Finds a user by the host of its address and its name; none when there is none, or it may not sign in.
    fn sip_user<'a>(&'a self, host: &'a str, name: &'a str) -> Asking<'a, Result<Option<SipUser>, TokenRefusal>>;

    /// Makes relay credentials.
    fn ice_servers(&self, ask: IceAsk) -> Asking<'_, Result<IceServers, IceRefusal>>;

    /// A connection is over: credentials made for it open nothing any more.
    fn ice_over(&self, made: Vec<(AccountId, String)>);

    /// Where a service call goes.
    fn service<'a>(&'a self, ask: &'a ServiceAsk) -> Asking<'a, ServiceRoute>;

    /// A service was called, as this call.
    fn service_called(&self, call: CallId, service: &str);

    /// Decides about a call that [`ServiceRoute::Ask`] lets wait. It answers in a bounded time.
    fn decide(&self, ask: ServiceAsk, call: CallId) -> Asking<'_, ServiceDecision>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_name_one_many_all_or_nobody() {
        let rule = |patterns: &[&str]| CalleeRule::Patterns(patterns.iter().map(|p| (*p).to_owned()).collect());
        assert!(rule(&["bob"]).allows("bob") && !rule(&["bob"]).allows("bobby"));
        assert!(rule(&["eve", "bob*"]).allows("bobby") && rule(&["bob*"]).allows("bob"));
        assert!(rule(&["*"]).allows("anybody") && !rule(&[]).allows("bob"));
        assert!(CalleeRule::Anybody.allows("x") && !rule(&["Bob"]).allows("bob"));
    }
}
