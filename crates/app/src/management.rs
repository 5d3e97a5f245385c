//! Tokens and projects: making them, taking them back.

use std::{collections::BTreeSet, fmt, sync::Arc};

use causeway_credentials::token;
use causeway_types::{Secret, UnixTime};

use crate::{
    ApiCaller, AuditEntry, Callers, CredentialDirectory, DomainEvent, EventSink, Identifier, NewToken, Notice,
    ProjectId, ProjectRules, Scopes, Store, StoreError, StoreResult, TokenId, TokenView,
};

/// A checked request for a token.
#[derive(Clone, Debug)]
pub struct TokenRequest {
    /// What people call it.
    pub name: String,
    /// What it may do.
    pub scopes: Scopes,
    /// Whether it stands for every project of its organization.
    pub organization_wide: bool,
    /// When it stops working.
    pub expires_at: Option<UnixTime>,
    /// Regions it may mint for; empty: every one of its project.
    pub regions: BTreeSet<String>,
}

/// What an operator changes of what a project may use; `None` leaves it as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProjectChange {
    /// Slugs of regions; empty: every one.
    pub regions: Option<BTreeSet<String>>,
    /// Credentials in a month; zero: as many as it likes.
    pub credentials_per_month_max: Option<u64>,
    /// Bytes in a month; zero: as many as it likes.
    pub bytes_per_month_max: Option<u64>,
}

/// A token that was just made: the only time its value is seen.
#[derive(Clone, Debug)]
pub struct MadeToken {
    /// The value.
    pub value: Secret<String>,
    /// As it will be listed.
    pub view: TokenView,
}

/// Why nothing was made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManagementError {
    /// The store did not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Only an organization-wide token may do this.
    #[error("only an organization-wide token may do this")]
    NotOrganizationWide,
    /// The system has no randomness.
    #[error("the system has no randomness")]
    NoRandomness,
}

/// The use-cases.
pub struct Management<S> {
    store: Arc<S>,
    callers: Arc<Callers<S>>,
    directory: Arc<CredentialDirectory>,
    sink: Arc<dyn EventSink>,
}

impl<S> fmt::Debug for Management<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Management").finish_non_exhaustive()
    }
}

impl<S: Store> Management<S> {
    /// Over a store, those who remember callers and credentials, and where events go.
    pub fn new(
        store: Arc<S>,
        callers: Arc<Callers<S>>,
        directory: Arc<CredentialDirectory>,
        sink: Arc<dyn EventSink>,
    ) -> Self {
        Self { store, callers, directory, sink }
    }

    /// Makes a token for the caller's project.
    ///
    /// # Errors
    /// See [`ManagementError`].
    pub async fn make_token(
        &self,
        caller: ApiCaller,
        request: TokenRequest,
        now: UnixTime,
    ) -> Result<MadeToken, ManagementError> {
        if request.organization_wide && !caller.organization_wide {
            return Err(ManagementError::NotOrganizationWide);
        }
        let mut random = [0; 32];
        aws_lc_rs::rand::fill(&mut random).map_err(|_| ManagementError::NoRandomness)?;
        let value = if request.organization_wide {
            token::organization_wide_from_random(random)
        } else {
            token::from_random(random)
        };
        let token = NewToken {
            hash: token::hash(value.expose()),
            name: request.name,
            prefix: token::shown_prefix(value.expose()),
            scopes: request.scopes,
            organization_wide: request.organization_wide,
            expires_at: request.expires_at,
            regions: request.regions,
        };
        let id = self.store.insert_token(caller.project, &token, now).await?;
        self.sink.emit(
            now,
            caller.project,
            DomainEvent::TokenCreated { token: id, name: Arc::from(token.name.as_str()) },
        );
        self.note(caller, "token.create", id.0.to_string(), now).await?;
        let view = TokenView {
            id,
            name: token.name,
            prefix: token.prefix,
            scopes: token.scopes,
            organization_wide: token.organization_wide,
            created_at: now,
            last_used_at: None,
            expires_at: token.expires_at,
            revoked_at: None,
            regions: token.regions,
        };
        Ok(MadeToken { value, view })
    }

    /// Revokes a token the caller can see; whether there was a live one. On this server it stops at once.
    ///
    /// # Errors
    /// The store did not answer.
    pub async fn revoke_token(&self, caller: ApiCaller, token: TokenId, now: UnixTime) -> StoreResult<bool> {
        if !self.store.revoke_token(caller, token, now).await? {
            return Ok(false);
        }
        self.callers.forget();
        self.sink.emit(now, caller.project, DomainEvent::TokenRevoked { token });
        self.note(caller, "token.revoke", token.0.to_string(), now).await?;
        Ok(true)
    }

    /// Adds a project to the caller's organization.
    ///
    /// # Errors
    /// The slug is taken, or the store did not answer.
    pub async fn make_project(&self, caller: ApiCaller, slug: &Identifier, now: UnixTime) -> StoreResult<ProjectId> {
        let project = self.store.insert_project(caller.organization, slug.as_str(), now).await?;
        self.note(caller, "project.create", slug.to_string(), now).await?;
        Ok(project)
    }

    /// Disables or enables a project of the caller's organization; whether there is one. When this returns, its
    /// credentials open no new allocation on this server, and its tokens are refused.
    ///
    /// # Errors
    /// The store did not answer.
    pub async fn switch_project(
        &self,
        caller: ApiCaller,
        slug: &str,
        is_disabled: bool,
        now: UnixTime,
    ) -> StoreResult<bool> {
        if !self.store.disable_project(caller.organization, slug, is_disabled).await? {
            return Ok(false);
        }
        self.callers.forget();
        self.directory.set_disabled(self.store.disabled_projects().await?);
        self.store.tell(&[Notice::ProjectsSwitched], now).await?;
        let action = if is_disabled { "project.disable" } else { "project.enable" };
        self.note(caller, action, slug.to_owned(), now).await?;
        Ok(true)
    }

    /// Changes what a project of the caller's organization may use; whether there is such a project. It counts at every
    /// server within two seconds.
    ///
    /// # Errors
    /// The store did not answer.
    pub async fn limit_project(
        &self,
        caller: ApiCaller,
        slug: &str,
        change: ProjectChange,
        now: UnixTime,
    ) -> StoreResult<bool> {
        let projects = self.store.projects(caller.organization).await?;
        let Some(project) = projects.into_iter().find(|project| project.slug == slug) else { return Ok(false) };
        let or_none = |max: Option<u64>, old| max.map_or(old, |max| (max > 0).then_some(max));
        let rules = ProjectRules {
            regions: change.regions.unwrap_or(project.rules.regions),
            credentials_per_month_max: or_none(
                change.credentials_per_month_max,
                project.rules.credentials_per_month_max,
            ),
            bytes_per_month_max: or_none(change.bytes_per_month_max, project.rules.bytes_per_month_max),
        };
        self.store.set_project_rules(project.id, &rules).await?;
        self.note(caller, "project.limit", slug.to_owned(), now).await?;
        Ok(true)
    }

    async fn note(&self, caller: ApiCaller, action: &str, subject: String, at: UnixTime) -> StoreResult<()> {
        self.store.audit(&AuditEntry::by(caller, action, subject, "{}".to_owned(), at)).await
    }
}
