//! The port to whatever keeps the control plane's memory.

use std::{collections::BTreeSet, future::Future};

use causeway_types::{AllocationId, UnixTime};

use crate::{
    event::Cursor,
    left_open::LeftOpen,
    model::{
        ApiCaller, ClientView, CredentialFilter, CredentialRecord, CredentialView, NameFilter, NewToken,
        OrganizationId, Page, PageRequest, ProjectId, ProjectView, RevokeBy, RoomView, SessionFilter, SessionRecord,
        SessionView, SignInHolder, TokenId, TokenView, UsageQuery, UsageRow, UserId,
    },
    region::{Drain, NodeReport},
    rules::{ProjectRules, ProjectUse, Rules},
};

/// Why the store did not do it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// It did not answer; trying again later may help.
    #[error("the store did not answer: {reason}")]
    Unavailable {
        /// For the log.
        reason: String,
    },
    /// Something of that name is there already.
    #[error("{what} is there already")]
    Exists {
        /// What clashed.
        what: &'static str,
    },
    /// The page request's `after` was not made by this list.
    #[error("the cursor is not one of this list")]
    BadCursor,
}

/// Shorthand of this port's answers.
pub type StoreResult<T> = Result<T, StoreError>;

/// Who holds a token, and whether it still counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenHolder {
    /// Who.
    pub caller: ApiCaller,
    /// When it stops working.
    pub expires_at: Option<UnixTime>,
    /// Whether it was revoked.
    pub is_revoked: bool,
    /// Whether it was used before.
    pub is_used: bool,
    /// Whether its project is disabled.
    pub is_project_disabled: bool,
}

/// What one server tells the others that share its database. Hearing one twice changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// This user name opens no allocation until then.
    Refused {
        /// Which.
        username: String,
        /// Until when it must be remembered; the store knows about issued ones for ever.
        until: UnixTime,
    },
    /// The live sessions of this user name are to end.
    EndSessionsOf {
        /// Which.
        username: String,
    },
    /// This live session is to end.
    EndSession {
        /// Which.
        session: AllocationId,
    },
    /// Webhooks were made, changed, replayed or removed.
    WebhooksChanged,
    /// A project was disabled or enabled.
    ProjectsSwitched,
    /// Client tokens were revoked.
    ClientTokensRevoked,
    /// A SIP user was removed.
    SipUserRemoved {
        /// Whose.
        project: ProjectId,
        /// Its name.
        name: String,
    },
    /// The clients of a voice connection's user may not log in any more.
    VoiceUserSentAway {
        /// Whose.
        project: ProjectId,
        /// Its name.
        name: String,
    },
}

/// An entry of the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// When.
    pub at: UnixTime,
    /// For which project.
    pub project: ProjectId,
    /// With which token; none for the server itself.
    pub token: Option<TokenId>,
    /// By whom, when it was a person.
    pub user: Option<UserId>,
    /// What was done: `token.create`, `credential.revoke`, `session.end` …
    pub action: String,
    /// To what.
    pub subject: String,
    /// A JSON object with the rest.
    pub detail: String,
}

/// Which entries of the audit log to list.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    /// Whose action, subject, detail or person has this in it; letters in any case.
    pub search: Option<String>,
    /// The oldest first, not the newest.
    pub is_oldest_first: bool,
}

/// An entry as it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditView {
    /// As it was written.
    pub entry: AuditEntry,
    /// The e-mail address of whoever did it, when it was a person.
    pub email: Option<String>,
}

impl AuditEntry {
    /// What a caller did in its project.
    #[must_use]
    pub fn by(caller: ApiCaller, action: &str, subject: String, detail: String, at: UnixTime) -> Self {
        Self {
            at,
            project: caller.project,
            token: Some(caller.token),
            user: caller.person.map(|person| person.id),
            action: action.to_owned(),
            subject,
            detail,
        }
    }
}

/// What minting and the relay's look-ups need. Every write that returned `Ok` survives a crash of the process and of the
/// machine.
pub trait CredentialStore: Send + Sync + 'static {
    /// Keeps an issued credential.
    fn insert_credential(&self, record: CredentialRecord) -> impl Future<Output = StoreResult<()>> + Send;

    /// The credential of this user name.
    fn credential(&self, username: &str) -> impl Future<Output = StoreResult<Option<CredentialRecord>>> + Send;

    /// The credential with this USERHASH.
    fn credential_by_hash(&self, hash: [u8; 32]) -> impl Future<Output = StoreResult<Option<CredentialRecord>>> + Send;

    /// Who holds the token with this hash. `project` names another project of an organization-wide token's organization;
    /// one that it does not have, or a project's own token with the name of another, finds nobody.
    fn token_holder(
        &self,
        hash: [u8; 32],
        project: Option<&str>,
    ) -> impl Future<Output = StoreResult<Option<TokenHolder>>> + Send;

    /// Who is signed in with the secret of this hash. `project` names another project than the organization's first; one
    /// that it does not have finds nobody.
    fn sign_in_holder(
        &self,
        hash: [u8; 32],
        project: Option<&str>,
    ) -> impl Future<Output = StoreResult<Option<SignInHolder>>> + Send;

    /// Notes when sign-ins were last used.
    fn touch_sign_ins(&self, used: &[([u8; 32], UnixTime)]) -> impl Future<Output = StoreResult<()>> + Send;

    /// Notes when tokens were last used.
    fn touch_tokens(&self, used: &[(TokenId, UnixTime)]) -> impl Future<Output = StoreResult<()>> + Send;

    /// Whether the store answers.
    fn is_healthy(&self) -> impl Future<Output = bool> + Send;
}

/// Expired credentials claimed at once.
pub const EXPIRED_MAX: u32 = 5000;

/// Event ids claimed at once. At 50 000 events a second they last for six hours; 2^53 has room for millions of claims.
pub const EVENT_IDS_AT_ONCE: u64 = 1 << 30;

/// Everything else the control plane remembers; the same promise.
pub trait Store: CredentialStore {
    /// A project's credentials, newest first.
    fn credentials(
        &self,
        project: ProjectId,
        filter: &CredentialFilter,
        page: &PageRequest,
        now: UnixTime,
    ) -> impl Future<Output = StoreResult<Page<CredentialView>>> + Send;

    /// Marks credentials as revoked, in one transaction; the user names this call revoked.
    fn revoke(
        &self,
        project: ProjectId,
        by: &RevokeBy,
        now: UnixTime,
    ) -> impl Future<Output = StoreResult<Vec<String>>> + Send;

    /// Puts a user name that no credential has (a TURN REST name) on the list of refused names until `until`.
    fn refuse_name(
        &self,
        project: ProjectId,
        username: &str,
        until: UnixTime,
    ) -> impl Future<Output = StoreResult<()>> + Send;

    /// Refused names whose time is not over.
    fn refused_names(&self, now: UnixTime) -> impl Future<Output = StoreResult<Vec<(String, UnixTime)>>> + Send;

    /// Credentials of every project that expired before `now` and that no server of this database asked for before, the
    /// oldest first, at most [`EXPIRED_MAX`]: project and user name. What expired before the first call ever is not
    /// among them.
    fn claim_expired(&self, now: UnixTime) -> impl Future<Output = StoreResult<Vec<(ProjectId, String)>>> + Send;

    /// Ids for events that no other process of this database has or gets: [`EVENT_IDS_AT_ONCE`] from the answer on, above
    /// all that were given before.
    fn claim_event_ids(&self, now: UnixTime) -> impl Future<Output = StoreResult<Cursor>> + Send;

    /// The tokens of the caller's project, and the organization-wide ones if it holds such a one; newest first.
    fn tokens(&self, caller: ApiCaller) -> impl Future<Output = StoreResult<Vec<TokenView>>> + Send;

    /// Adds a token to a project.
    fn insert_token(
        &self,
        project: ProjectId,
        token: &NewToken,
        now: UnixTime,
    ) -> impl Future<Output = StoreResult<TokenId>> + Send;

    /// Revokes a token that [`Store::tokens`] shows this caller; whether there was a live one.
    fn revoke_token(
        &self,
        caller: ApiCaller,
        token: TokenId,
        now: UnixTime,
    ) -> impl Future<Output = StoreResult<bool>> + Send;

    /// An organization's projects, by slug.
    fn projects(&self, organization: OrganizationId) -> impl Future<Output = StoreResult<Vec<ProjectView>>> + Send;

    /// Adds a project.
    fn insert_project(
        &self,
        organization: OrganizationId,
        slug: &str,
        now: UnixTime,
    ) -> impl Future<Output = StoreResult<ProjectId>> + Send;

    /// Disables or enables a project; whether the organization has it.
    fn disable_project(
        &self,
        organization: OrganizationId,
        slug: &str,
        is_disabled: bool,
    ) -> impl Future<Output = StoreResult<bool>> + Send;

    /// The disabled projects of every organization.
    fn disabled_projects(&self) -> impl Future<Output = StoreResult<Vec<ProjectId>>> + Send;

    /// Writes sessions and adds what is new in them to usage, rooms and clients, in one transaction. Figures are
    /// absolute: writing the same record twice counts nothing twice.
    fn write_sessions(&self, sessions: &[SessionRecord]) -> impl Future<Output = StoreResult<()>> + Send;

    /// Closes what a killed process of this node left open; what that was, the oldest first.
    fn close_left_open(&self) -> impl Future<Output = StoreResult<Vec<LeftOpen>>> + Send;

    /// Closes what another node left open whose last word was at `last_word`; what that was, the oldest first. Nothing when
    /// it spoke since, and of several servers that ask, one closes. A node that lives after all writes its sessions anew.
    fn close_lost(&self, node: &str, last_word: UnixTime) -> impl Future<Output = StoreResult<Vec<LeftOpen>>> + Send;

    /// Live sessions of these user names at other servers of this database, by what those have written.
    fn live_elsewhere(
        &self,
        project: ProjectId,
        usernames: &[String],
        now: UnixTime,
    ) -> impl Future<Output = StoreResult<u64>> + Send;

    /// A project's sessions, newest first.
    fn sessions(
        &self,
        project: ProjectId,
        filter: &SessionFilter,
        page: &PageRequest,
    ) -> impl Future<Output = StoreResult<Page<SessionView>>> + Send;

    /// One session of a project.
    fn session(
        &self,
        project: ProjectId,
        id: AllocationId,
    ) -> impl Future<Output = StoreResult<Option<SessionView>>> + Send;

    /// A project's rooms, by name.
    fn rooms(
        &self,
        project: ProjectId,
        filter: &NameFilter,
        page: &PageRequest,
    ) -> impl Future<Output = StoreResult<Page<RoomView>>> + Send;

    /// A project's clients, by name.
    fn clients(
        &self,
        project: ProjectId,
        filter: &NameFilter,
        page: &PageRequest,
    ) -> impl Future<Output = StoreResult<Page<ClientView>>> + Send;

    /// Usage, by interval and group.
    fn usage(&self, query: &UsageQuery) -> impl Future<Output = StoreResult<Vec<UsageRow>>> + Send;

    /// Tells the other servers, in one transaction.
    fn tell(&self, notices: &[Notice], now: UnixTime) -> impl Future<Output = StoreResult<()>> + Send;

    /// Numbered notices after a number, oldest first. Two servers that tell at once may have the lower number appear last,
    /// so a reader reads again from a little before the highest it knows.
    fn notices_after(&self, number: i64) -> impl Future<Output = StoreResult<Vec<(i64, Notice)>>> + Send;

    /// The highest number of a notice so far: where a server that starts begins to read.
    fn newest_notice(&self) -> impl Future<Output = StoreResult<i64>> + Send;

    /// Replaces what a project may use.
    fn set_project_rules(
        &self,
        project: ProjectId,
        rules: &ProjectRules,
    ) -> impl Future<Output = StoreResult<()>> + Send;

    /// What every project and token may use, of those that may not use everything.
    fn rules(&self) -> impl Future<Output = StoreResult<Rules>> + Send;

    /// What a project used since a moment, which begins an hour.
    fn used_since(&self, project: ProjectId, since: UnixTime) -> impl Future<Output = StoreResult<ProjectUse>> + Send;

    /// Keeps what a server tells of itself, over what it told before.
    fn write_node(&self, report: &NodeReport) -> impl Future<Output = StoreResult<()>> + Send;

    /// What every server told last; those that were silent for a day are left out.
    fn nodes(&self) -> impl Future<Output = StoreResult<Vec<NodeReport>>> + Send;

    /// What operators drained.
    fn drains(&self) -> impl Future<Output = StoreResult<BTreeSet<Drain>>> + Send;

    /// Drains a region or a node of it, or puts it back.
    fn set_drain(&self, drain: &Drain, is_drained: bool, now: UnixTime)
    -> impl Future<Output = StoreResult<()>> + Send;

    /// Notes who did what.
    fn audit(&self, entry: &AuditEntry) -> impl Future<Output = StoreResult<()>> + Send;

    /// A project's audit log.
    fn audit_log(
        &self,
        project: ProjectId,
        filter: &AuditFilter,
        page: &PageRequest,
    ) -> impl Future<Output = StoreResult<Page<AuditView>>> + Send;
}
