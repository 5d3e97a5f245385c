//! Voice connections and their credentials: what clients of the JSON-RPC call dialect log in with, and what becomes of the
//! calls that they place.

use std::{future::Future, time::Duration};

use causeway_types::{Secret, UnixTime};

use crate::{OrganizationId, ProjectId, StoreResult};

/// Voice connections of one project.
pub const VOICE_CONNECTIONS_PER_PROJECT_MAX: u64 = 10_000;
/// Voice credentials of one project.
pub const VOICE_CREDENTIALS_PER_PROJECT_MAX: u64 = 1_000_000;

/// A voice connection's number in the store; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VoiceConnectionId(pub i64);

/// What a voice connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VoiceConnectionKind {
    /// Clients log in to it.
    Clients,
    /// A backend's: it has webhooks and no clients.
    Application,
}

impl VoiceConnectionKind {
    /// As in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Clients => "clients",
            Self::Application => "application",
        }
    }

    /// Reads [`Self::as_str`]; unknown words of a later program are applications: nobody logs in to those.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        if text == Self::Clients.as_str() { Self::Clients } else { Self::Application }
    }
}

/// Who may call a connection's users by `sip:user@domain`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UriCalls {
    /// Nobody.
    Nobody,
    /// Clients of the same project.
    Project,
    /// Anyone. Everybody here belongs to some project, so it is the same as [`Self::Project`].
    Anyone,
}

impl UriCalls {
    /// As in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nobody => "nobody",
            Self::Project => "project",
            Self::Anyone => "anyone",
        }
    }

    /// Reads [`Self::as_str`]; an unknown word allows the least.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        match text {
            "anyone" => Self::Anyone,
            "project" => Self::Project,
            _ => Self::Nobody,
        }
    }
}

/// Where a connection's events go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VoiceWebhook {
    /// First.
    pub url: Option<String>,
    /// When the first does not take an event.
    pub failover_url: Option<String>,
    /// For one attempt.
    pub timeout: Option<Duration>,
}

/// A voice connection.
#[derive(Clone, Debug)]
pub struct VoiceConnection {
    /// Number.
    pub id: VoiceConnectionId,
    /// Whose.
    pub project: ProjectId,
    /// What for.
    pub kind: VoiceConnectionKind,
    /// What people call it.
    pub name: String,
    /// What a client logs in as; none for an application.
    pub user_name: Option<String>,
    /// With what.
    pub password: Option<Secret<String>>,
    /// Whether anything works.
    pub is_active: bool,
    /// Whether calls of its clients wait for a backend.
    pub parks_calls: bool,
    /// Whether all of a user's clients ring, or the newest.
    pub rings_all: bool,
    /// Whether its users may be dialled by a number.
    pub is_dialled_by_number: bool,
    /// Who may dial its users by URI.
    pub uri_calls: UriCalls,
    /// How long its clients ring.
    pub ring_for: Duration,
    /// Events.
    pub webhook: VoiceWebhook,
    /// What the family was given and keeps, as JSON.
    pub document: String,
    /// When it was made.
    pub created_at: UnixTime,
    /// When it was last changed.
    pub updated_at: UnixTime,
}

/// A user of a connection that an application made.
#[derive(Clone, Debug)]
pub struct VoiceCredential {
    /// A UUID.
    pub id: String,
    /// Of which connection.
    pub connection: VoiceConnectionId,
    /// Whose.
    pub project: ProjectId,
    /// What people call it.
    pub name: Option<String>,
    /// For searching.
    pub tag: Option<String>,
    /// What a client logs in as, and is dialled by.
    pub user_name: String,
    /// With what.
    pub password: Secret<String>,
    /// Signs its tokens.
    pub token_secret: Secret<String>,
    /// When it stops working.
    pub expires_at: Option<UnixTime>,
    /// When it was made.
    pub created_at: UnixTime,
    /// When it was last changed.
    pub updated_at: UnixTime,
}

impl VoiceCredential {
    /// Whether it does not work any more.
    #[must_use]
    pub fn is_expired(&self, now: UnixTime) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }
}

/// Which connections of a project are meant.
#[derive(Clone, Debug, Default)]
pub struct VoiceConnectionFilter {
    /// What for.
    pub kind: Option<VoiceConnectionKind>,
    /// Part of the name.
    pub name_contains: Option<String>,
}

/// Which credentials of a project are meant.
#[derive(Clone, Debug, Default)]
pub struct VoiceCredentialFilter {
    /// Of this connection.
    pub connection: Option<VoiceConnectionId>,
    /// Name.
    pub name: Option<String>,
    /// Tag.
    pub tag: Option<String>,
    /// User name.
    pub user_name: Option<String>,
    /// Expired by now, or not.
    pub is_expired: Option<bool>,
}

/// A part of a list by number, oldest first.
#[derive(Clone, Copy, Debug)]
pub struct NumberedPage {
    /// How many to leave out.
    pub offset: u64,
    /// How many at most.
    pub limit: u32,
    /// Newest first instead.
    pub is_newest_first: bool,
}

/// Who logs in: the connection, and the credential when it is not the connection's own user. The project may be disabled.
#[derive(Clone, Debug)]
pub struct VoiceUser {
    /// Connection.
    pub connection: VoiceConnection,
    /// Credential.
    pub credential: Option<VoiceCredential>,
    /// Whose.
    pub organization: OrganizationId,
    /// Whether nothing of its project works.
    pub is_project_disabled: bool,
}

/// Keeps voice connections, credentials and signing keys.
pub trait VoiceStore: Send + Sync + 'static {
    /// Adds a connection; its number. `Exists` when the user name is taken, anywhere.
    fn insert_voice_connection(
        &self,
        connection: &VoiceConnection,
    ) -> impl Future<Output = StoreResult<VoiceConnectionId>> + Send;

    /// One of a project's.
    fn voice_connection(
        &self,
        project: ProjectId,
        id: VoiceConnectionId,
    ) -> impl Future<Output = StoreResult<Option<VoiceConnection>>> + Send;

    /// A project's, and how many there are in all.
    fn voice_connections(
        &self,
        project: ProjectId,
        filter: &VoiceConnectionFilter,
        page: NumberedPage,
    ) -> impl Future<Output = StoreResult<(Vec<VoiceConnection>, u64)>> + Send;

    /// Replaces everything but project, kind and time of making; whether it was there. `Exists` when the user name is taken.
    fn update_voice_connection(&self, connection: &VoiceConnection) -> impl Future<Output = StoreResult<bool>> + Send;

    /// Removes a connection and its credentials; whether it was there.
    fn delete_voice_connection(
        &self,
        project: ProjectId,
        id: VoiceConnectionId,
    ) -> impl Future<Output = StoreResult<bool>> + Send;

    /// Adds a credential. `Exists` when the user name is taken.
    fn insert_voice_credential(&self, credential: &VoiceCredential) -> impl Future<Output = StoreResult<()>> + Send;

    /// One of a project's.
    fn voice_credential(
        &self,
        project: ProjectId,
        id: &str,
    ) -> impl Future<Output = StoreResult<Option<VoiceCredential>>> + Send;

    /// A project's, and how many there are in all.
    fn voice_credentials(
        &self,
        project: ProjectId,
        filter: &VoiceCredentialFilter,
        page: NumberedPage,
        now: UnixTime,
    ) -> impl Future<Output = StoreResult<(Vec<VoiceCredential>, u64)>> + Send;

    /// Replaces name, tag, connection, expiry and token secret; whether it was there.
    fn update_voice_credential(&self, credential: &VoiceCredential) -> impl Future<Output = StoreResult<bool>> + Send;

    /// Removes a credential; whether it was there.
    fn delete_voice_credential(&self, project: ProjectId, id: &str) -> impl Future<Output = StoreResult<bool>> + Send;

    /// Whose user name that is, of any project.
    fn voice_user_by_name(&self, user_name: &str) -> impl Future<Output = StoreResult<Option<VoiceUser>>> + Send;

    /// Whose credential that is, of any project.
    fn voice_user_by_credential(&self, id: &str) -> impl Future<Output = StoreResult<Option<VoiceUser>>> + Send;

    /// The organization's private key (PKCS #8). `made` is kept and given back when there is none.
    fn voice_key(
        &self,
        organization: OrganizationId,
        made: &[u8],
        now: UnixTime,
    ) -> impl Future<Output = StoreResult<Vec<u8>>> + Send;
}
