//! Client tokens as they are kept, and the port to whatever keeps them.

use std::future::Future;

use causeway_credentials::client_token::{AccessLabel, Callees, ClientId};
use causeway_types::{Secret, UnixTime};

use crate::{OrganizationId, Page, PageRequest, ProjectId, Store, StoreResult, TokenId};

/// An account as its clients know it: a project under the label that is in their tokens and domains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientAccount {
    /// Which project.
    pub project: ProjectId,
    /// Whose.
    pub organization: OrganizationId,
    /// Its label.
    pub access: AccessLabel,
    /// Whether the project is disabled.
    pub is_project_disabled: bool,
}

/// A client token to be kept; never its text.
#[derive(Clone, Debug)]
pub struct NewClientToken {
    /// Names it.
    pub id: String,
    /// For which client.
    pub client: ClientId,
    /// With which API token it was minted.
    pub token: TokenId,
    /// When.
    pub issued_at: UnixTime,
    /// Until when it is good.
    pub expires_at: UnixTime,
    /// Whether the client may register.
    pub allows_incoming: bool,
    /// Whom it may call.
    pub callees: Callees,
}

/// A client token as it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientTokenView {
    /// Names it.
    pub id: String,
    /// For which client.
    pub client: String,
    /// With which API token it was minted.
    pub token: TokenId,
    /// When.
    pub issued_at: UnixTime,
    /// Until when it is good.
    pub expires_at: UnixTime,
    /// Whether the client may register.
    pub allows_incoming: bool,
    /// Patterns of whom it may call.
    pub callees: Vec<String>,
    /// When it was revoked.
    pub revoked_at: Option<UnixTime>,
}

/// Which tokens to list.
#[derive(Clone, Debug, Default)]
pub struct ClientTokenFilter {
    /// Of this client.
    pub client: Option<ClientId>,
    /// That are good now, or are not any more.
    pub active: Option<bool>,
}

/// Which tokens to revoke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RevokeClientTokens {
    /// This one.
    Id(String),
    /// A client's.
    Client(ClientId),
    /// All of the project.
    Project,
}

/// A key that signs client tokens, as it is kept.
#[derive(Clone, Debug)]
pub struct StoredSigningKey {
    /// Its thumbprint.
    pub kid: String,
    /// PKCS#8. In clear: every server of the database signs with it.
    pub pkcs8: Secret<Vec<u8>>,
    /// When it was made.
    pub created_at: UnixTime,
    /// Until when what it signed is believed; none: it is the one that signs.
    pub verifies_until: Option<UnixTime>,
}

/// Keeps client tokens and what signs them; the same promise as [`Store`].
pub trait ClientTokenStore: Store {
    /// The keys whose time is not over, the newest first.
    fn signing_keys(&self, now: UnixTime) -> impl Future<Output = StoreResult<Vec<StoredSigningKey>>> + Send;

    /// Adds the key that signs from here on; what others signed is believed until `others_until`, or earlier.
    fn insert_signing_key(
        &self,
        key: &StoredSigningKey,
        others_until: UnixTime,
    ) -> impl Future<Output = StoreResult<()>> + Send;

    /// The account of a project, if it has one.
    fn client_account(&self, project: ProjectId) -> impl Future<Output = StoreResult<Option<ClientAccount>>> + Send;

    /// The account of this label.
    fn client_account_of(
        &self,
        access: &AccessLabel,
    ) -> impl Future<Output = StoreResult<Option<ClientAccount>>> + Send;

    /// Gives a project a label, or another one. `StoreError::Exists`: another project has it.
    fn set_client_access(
        &self,
        project: ProjectId,
        access: &AccessLabel,
    ) -> impl Future<Output = StoreResult<()>> + Send;

    /// Keeps a token, unless the project has minted `quota` of them in this month (`2026-11`). Whether it is kept.
    fn insert_client_token(
        &self,
        project: ProjectId,
        token: &NewClientToken,
        month: &str,
        quota: u64,
    ) -> impl Future<Output = StoreResult<bool>> + Send;

    /// How many a project has minted in a month.
    fn client_tokens_minted(&self, project: ProjectId, month: &str) -> impl Future<Output = StoreResult<u64>> + Send;

    /// A project's tokens, the newest first.
    fn client_tokens(
        &self,
        project: ProjectId,
        filter: &ClientTokenFilter,
        page: &PageRequest,
        now: UnixTime,
    ) -> impl Future<Output = StoreResult<Page<ClientTokenView>>> + Send;

    /// Revokes a project's tokens that are good now; how many.
    fn revoke_client_tokens(
        &self,
        project: ProjectId,
        by: &RevokeClientTokens,
        now: UnixTime,
    ) -> impl Future<Output = StoreResult<u64>> + Send;

    /// The ids of revoked tokens of every project that would be good now.
    fn revoked_client_tokens(&self, now: UnixTime) -> impl Future<Output = StoreResult<Vec<String>>> + Send;

    /// Removes tokens that expired before `before`, and keys whose time was over then; how many.
    fn forget_client_tokens(&self, before: UnixTime) -> impl Future<Output = StoreResult<u64>> + Send;
}
