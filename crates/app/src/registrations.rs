//! The port to whoever knows which clients are registered now.

use std::{fmt, future::Future, net::IpAddr, pin::Pin, sync::Arc};

use causeway_types::UnixTime;

use crate::ProjectId;

/// What let a client in. When it is taken back, the registration ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// A client token of this id.
    ClientToken(Arc<str>),
    /// A user with a password, by name.
    User(Arc<str>),
}

/// One place where a client is registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// Names it among those of its project, over all servers.
    pub id: String,
    /// Whose.
    pub project: ProjectId,
    /// Which client.
    pub client: Arc<str>,
    /// What is spoken there: `sip`.
    pub dialect: &'static str,
    /// Whether calls may come to it.
    pub is_ringable: bool,
    /// First registered.
    pub since: UnixTime,
    /// Last registered.
    pub updated: UnixTime,
    /// Ends then, unless it is registered again.
    pub expires_at: UnixTime,
    /// Where the client is.
    pub address: Option<IpAddr>,
    /// As the client calls its program.
    pub user_agent: Option<Arc<str>>,
    /// What let it in.
    pub admission: Option<Admission>,
}

/// Why a registration is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegistrationEnd {
    /// The client took it back.
    Unregistered,
    /// The client's connection is gone.
    ConnectionLost,
    /// The client did not register again in time.
    Expired,
    /// What let it in was taken back.
    Revoked,
}

impl RegistrationEnd {
    /// As in events.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unregistered => "unregistered",
            Self::ConnectionLost => "connection_lost",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

/// Knows who is registered, and ends registrations.
pub trait Registrations: Send + Sync + 'static {
    /// A project's registrations on all servers, in the order in which they began.
    fn of_project(&self, project: ProjectId) -> Pin<Box<dyn Future<Output = Vec<Registration>> + Send + '_>>;

    /// Ends those of this server that are meant, with the calls of their connections. How many.
    fn end(&self, is_meant: &dyn Fn(&Registration) -> bool) -> u64;
}

/// Nobody registers here.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoRegistrations;

impl Registrations for NoRegistrations {
    fn of_project(&self, _: ProjectId) -> Pin<Box<dyn Future<Output = Vec<Registration>> + Send + '_>> {
        Box::pin(std::future::ready(Vec::new()))
    }

    fn end(&self, _: &dyn Fn(&Registration) -> bool) -> u64 {
        0
    }
}

impl fmt::Debug for dyn Registrations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Registrations")
    }
}
