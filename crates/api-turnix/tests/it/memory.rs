//! A store in memory that knows one token and keeps what it is given.

use std::sync::atomic::{AtomicBool, Ordering};

use causeway_app::{
    ApiCaller, CredentialRecord, CredentialStore, DomainEvent, EventSink, OrganizationId, ProjectId, Scopes,
    StoreError, TokenHolder, TokenId,
};
use causeway_credentials::token;
use causeway_types::UnixTime;
use parking_lot::Mutex;

/// The token it knows.
pub(crate) const TOKEN: &str = "cwp_good";

#[derive(Debug, Default)]
pub(crate) struct Memory {
    pub(crate) records: Mutex<Vec<CredentialRecord>>,
    pub(crate) is_down: AtomicBool,
}

impl Memory {
    fn answer<T>(&self, value: T) -> Result<T, StoreError> {
        if self.is_down.load(Ordering::Relaxed) {
            Err(StoreError::Unavailable { reason: "down".to_owned() })
        } else {
            Ok(value)
        }
    }
}

impl CredentialStore for Memory {
    async fn insert_credential(&self, record: CredentialRecord) -> Result<(), StoreError> {
        self.answer(())?;
        self.records.lock().push(record);
        Ok(())
    }

    async fn credential(&self, _username: &str) -> Result<Option<CredentialRecord>, StoreError> {
        self.answer(None)
    }

    async fn credential_by_hash(&self, _hash: [u8; 32]) -> Result<Option<CredentialRecord>, StoreError> {
        self.answer(None)
    }

    async fn token_holder(&self, hash: [u8; 32], _project: Option<&str>) -> Result<Option<TokenHolder>, StoreError> {
        let caller = ApiCaller {
            organization: OrganizationId(1),
            project: ProjectId(1),
            token: TokenId(1),
            scopes: Scopes::ALL,
            organization_wide: false,
        };
        let holder =
            TokenHolder { caller, expires_at: None, is_revoked: false, is_used: true, is_project_disabled: false };
        self.answer((hash == token::hash(TOKEN)).then_some(holder))
    }

    async fn touch_tokens(&self, _used: &[(TokenId, UnixTime)]) -> Result<(), StoreError> {
        self.answer(())
    }

    async fn is_healthy(&self) -> bool {
        true
    }
}

/// Events go nowhere here.
#[derive(Debug)]
pub(crate) struct Deaf;

impl EventSink for Deaf {
    fn emit(&self, _at: UnixTime, _project: ProjectId, _event: DomainEvent) {}
}
