//! The control plane's memory: SQLite in a file, or PostgreSQL for several servers. The same statements run on both.
//!
//! Credentials go through one task that commits whatever waits as one transaction: a credential is durable when its
//! insert returns, and many concurrent inserts share one disk flush. Sessions are written in batches with absolute
//! figures; what is new in them is added to usage in the same transaction, so nothing is counted twice.
//!
//! Entry points: [`SqlStore::open`], [`SqlStore::connect`].

#![forbid(unsafe_code)]

mod access_keys;
mod calls;
mod client_tokens;
mod credentials;
mod insight;
mod listing;
mod many;
mod migrations;
mod nodes;
mod notices;
mod open;
mod people;
mod rows;
mod rules;
mod servers;
mod sessions;
mod signal_channels;
mod sip_users;
mod sql;
mod tokens;
mod usage;
mod voice;
mod voice_deliveries;
mod webhooks;
mod writer;

use std::{collections::BTreeSet, time::Duration};

use causeway_app::{
    ApiCaller, AuditEntry, AuditFilter, AuditView, ClientView, CredentialFilter, CredentialRecord, CredentialStore,
    CredentialView, Cursor, Drain, LeftOpen, NameFilter, NewToken, NodeReport, Notice, OrganizationId, Page,
    PageRequest, ProjectId, ProjectRules, ProjectUse, ProjectView, RevokeBy, RoomView, Rules, SessionFilter,
    SessionRecord, SessionView, SignInHolder, Store, StoreError, StoreResult, TokenHolder, TokenId, TokenView,
    UsageQuery, UsageRow,
};
use causeway_types::{AllocationId, UnixTime};
use sqlx::AnyPool;
use tokio::time::timeout;

pub use open::OpenError;
pub use writer::{MINT_PATIENCE, MINTS_PER_COMMIT_MAX, MINTS_WAITING_MAX};

use crate::{insight::Privacy, migrations::Dialect, sql::Sql, writer::Writer};

/// How long a look-up that somebody waits for may take: a database may take connections and not answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// A store in a SQL database.
#[derive(Debug)]
pub struct SqlStore {
    pool: AnyPool,
    /// For what writes. One connection with SQLite, which has one writer at a time: what it keeps of the file in memory
    /// stays true between its transactions.
    writes: AnyPool,
    writer: Writer,
    /// This server, in the sessions it writes.
    node: String,
    privacy: Privacy,
    dialect: Dialect,
}

impl SqlStore {
    /// Closes the connections after everything queued is written.
    pub async fn close(&self) {
        self.writes.close().await;
        self.pool.close().await;
    }
}

impl CredentialStore for SqlStore {
    async fn insert_credential(&self, record: CredentialRecord) -> StoreResult<()> {
        self.writer.insert(record).await
    }

    async fn credential(&self, username: &str) -> StoreResult<Option<CredentialRecord>> {
        in_time(credentials::by_username(&self.pool, username)).await
    }

    async fn credential_by_hash(&self, hash: [u8; 32]) -> StoreResult<Option<CredentialRecord>> {
        in_time(credentials::by_hash(&self.pool, hash)).await
    }

    async fn token_holder(&self, hash: [u8; 32], project: Option<&str>) -> StoreResult<Option<TokenHolder>> {
        in_time(tokens::holder(&self.pool, hash, project)).await
    }

    async fn sign_in_holder(&self, hash: [u8; 32], project: Option<&str>) -> StoreResult<Option<SignInHolder>> {
        people::holder(&self.pool, hash, project).await.map_err(store_error)
    }

    async fn touch_sign_ins(&self, used: &[([u8; 32], UnixTime)]) -> StoreResult<()> {
        people::touch(&self.writes, used).await.map_err(store_error)
    }

    async fn touch_tokens(&self, used: &[(TokenId, UnixTime)]) -> StoreResult<()> {
        tokens::touch(&self.writes, used).await.map_err(store_error)
    }

    async fn is_healthy(&self) -> bool {
        in_time(Sql::new("SELECT 1").query().execute(&self.pool)).await.is_ok()
    }
}

impl Store for SqlStore {
    async fn credentials(
        &self,
        project: ProjectId,
        filter: &CredentialFilter,
        page: &PageRequest,
        now: UnixTime,
    ) -> StoreResult<Page<CredentialView>> {
        credentials::list(&self.pool, project, filter, page, now).await
    }

    async fn revoke(&self, project: ProjectId, by: &RevokeBy, now: UnixTime) -> StoreResult<Vec<String>> {
        credentials::revoke(&self.writes, project, by, now).await.map_err(store_error)
    }

    async fn refuse_name(&self, project: ProjectId, username: &str, until: UnixTime) -> StoreResult<()> {
        credentials::refuse_name(&self.writes, project, username, until).await.map_err(store_error)
    }

    async fn refused_names(&self, now: UnixTime) -> StoreResult<Vec<(String, UnixTime)>> {
        credentials::refused_names(&self.pool, now).await.map_err(store_error)
    }

    async fn claim_expired(&self, now: UnixTime) -> StoreResult<Vec<(ProjectId, String)>> {
        credentials::claim_expired(&self.pool, &self.writes, now).await.map_err(store_error)
    }

    async fn claim_event_ids(&self, now: UnixTime) -> StoreResult<Cursor> {
        servers::claim_event_ids(&self.writes, now).await.map_err(store_error)
    }

    async fn tokens(&self, caller: ApiCaller) -> StoreResult<Vec<TokenView>> {
        tokens::list(&self.pool, caller).await.map_err(store_error)
    }

    async fn insert_token(&self, project: ProjectId, token: &NewToken, now: UnixTime) -> StoreResult<TokenId> {
        tokens::insert(&self.writes, project, token, now).await.map_err(store_error)
    }

    async fn revoke_token(&self, caller: ApiCaller, token: TokenId, now: UnixTime) -> StoreResult<bool> {
        tokens::revoke(&self.writes, caller, token, now).await.map_err(store_error)
    }

    async fn projects(&self, organization: OrganizationId) -> StoreResult<Vec<ProjectView>> {
        tokens::projects(&self.pool, organization).await.map_err(store_error)
    }

    async fn insert_project(&self, organization: OrganizationId, slug: &str, now: UnixTime) -> StoreResult<ProjectId> {
        tokens::insert_project(&self.writes, organization, slug, now).await.map_err(store_error)
    }

    async fn disable_project(&self, organization: OrganizationId, slug: &str, is_disabled: bool) -> StoreResult<bool> {
        tokens::disable_project(&self.writes, organization, slug, is_disabled).await.map_err(store_error)
    }

    async fn disabled_projects(&self) -> StoreResult<Vec<ProjectId>> {
        tokens::disabled_projects(&self.pool).await.map_err(store_error)
    }

    async fn write_sessions(&self, sessions: &[SessionRecord]) -> StoreResult<()> {
        sessions::write(&self.writes, &self.node, &self.privacy, sessions).await.map_err(store_error)
    }

    async fn close_left_open(&self) -> StoreResult<Vec<LeftOpen>> {
        sessions::close_left_open(&self.writes, &self.node).await.map_err(store_error)
    }

    async fn close_lost(&self, node: &str, last_word: UnixTime) -> StoreResult<Vec<LeftOpen>> {
        sessions::close_lost(&self.writes, node, last_word).await.map_err(store_error)
    }

    async fn live_elsewhere(&self, project: ProjectId, usernames: &[String], now: UnixTime) -> StoreResult<u64> {
        servers::live_elsewhere(&self.pool, &self.node, project, usernames, now).await.map_err(store_error)
    }

    async fn sessions(
        &self,
        project: ProjectId,
        filter: &SessionFilter,
        page: &PageRequest,
    ) -> StoreResult<Page<SessionView>> {
        listing::sessions(&self.pool, project, filter, page).await
    }

    async fn session(&self, project: ProjectId, id: AllocationId) -> StoreResult<Option<SessionView>> {
        let filter = SessionFilter { id: Some(id), ..SessionFilter::default() };
        let page = listing::sessions(&self.pool, project, &filter, &PageRequest::default()).await?;
        Ok(page.items.into_iter().next())
    }

    async fn rooms(&self, project: ProjectId, filter: &NameFilter, page: &PageRequest) -> StoreResult<Page<RoomView>> {
        listing::rooms(&self.pool, project, filter, page).await
    }

    async fn clients(
        &self,
        project: ProjectId,
        filter: &NameFilter,
        page: &PageRequest,
    ) -> StoreResult<Page<ClientView>> {
        listing::clients(&self.pool, project, filter, page).await
    }

    async fn usage(&self, query: &UsageQuery) -> StoreResult<Vec<UsageRow>> {
        usage::read(&self.pool, query).await.map_err(store_error)
    }

    async fn tell(&self, notices: &[Notice], now: UnixTime) -> StoreResult<()> {
        notices::tell(&self.writes, notices, now).await.map_err(store_error)
    }

    async fn notices_after(&self, number: i64) -> StoreResult<Vec<(i64, Notice)>> {
        notices::after(&self.pool, number).await.map_err(store_error)
    }

    async fn newest_notice(&self) -> StoreResult<i64> {
        notices::newest(&self.pool).await.map_err(store_error)
    }

    async fn set_project_rules(&self, project: ProjectId, rules: &ProjectRules) -> StoreResult<()> {
        rules::set(&self.writes, project, rules).await.map_err(store_error)
    }

    async fn rules(&self) -> StoreResult<Rules> {
        rules::all(&self.pool).await.map_err(store_error)
    }

    async fn used_since(&self, project: ProjectId, since: UnixTime) -> StoreResult<ProjectUse> {
        rules::used_since(&self.pool, project, since).await.map_err(store_error)
    }

    async fn write_node(&self, report: &NodeReport) -> StoreResult<()> {
        nodes::write(&self.writes, report).await.map_err(store_error)
    }

    async fn nodes(&self) -> StoreResult<Vec<NodeReport>> {
        nodes::list(&self.pool).await.map_err(store_error)
    }

    async fn drains(&self) -> StoreResult<BTreeSet<Drain>> {
        nodes::drains(&self.pool).await.map_err(store_error)
    }

    async fn set_drain(&self, drain: &Drain, is_drained: bool, now: UnixTime) -> StoreResult<()> {
        nodes::set_drain(&self.writes, drain, is_drained, now).await.map_err(store_error)
    }

    async fn audit(&self, entry: &AuditEntry) -> StoreResult<()> {
        tokens::audit(&self.writes, entry).await.map_err(store_error)
    }

    async fn audit_log(
        &self,
        project: ProjectId,
        filter: &AuditFilter,
        page: &PageRequest,
    ) -> StoreResult<Page<AuditView>> {
        listing::audit_log(&self.pool, project, filter, page).await
    }
}

async fn in_time<T>(work: impl Future<Output = Result<T, sqlx::Error>>) -> StoreResult<T> {
    match timeout(PATIENCE, work).await {
        Ok(done) => done.map_err(store_error),
        Err(_) => Err(StoreError::Unavailable { reason: "a look-up took too long".to_owned() }),
    }
}

/// What went wrong, without what a driver may repeat of the statement's values.
pub(crate) fn store_error(error: sqlx::Error) -> StoreError {
    if error.as_database_error().is_some_and(|failure| failure.is_unique_violation()) {
        return StoreError::Exists { what: "something of that name" };
    }
    StoreError::Unavailable { reason: error.to_string() }
}

/// As stored.
pub(crate) fn millis(time: UnixTime) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// As read.
pub(crate) fn time(millis: i64) -> UnixTime {
    UnixTime::from_millis(u64::try_from(millis).unwrap_or(0))
}

/// A count as read; it was never negative.
pub(crate) fn count(stored: i64) -> u64 {
    u64::try_from(stored).unwrap_or(0)
}

#[cfg(test)]
mod tests;
