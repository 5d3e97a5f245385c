//! A store in memory that knows one token and keeps what it is given.

use std::sync::atomic::{AtomicBool, Ordering};

use causeway_app::{ApiCaller, CredentialRecord, ProjectId, Store, StoreError, TokenId};
use causeway_credentials::token;
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
        if self.is_down.load(Ordering::Relaxed) { Err(StoreError { reason: "down".to_owned() }) } else { Ok(value) }
    }
}

impl Store for Memory {
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

    async fn caller_by_token(&self, hash: [u8; 32]) -> Result<Option<ApiCaller>, StoreError> {
        let known = hash == token::hash(TOKEN);
        self.answer(known.then_some(ApiCaller { project: ProjectId(1), token: TokenId(1) }))
    }

    async fn is_healthy(&self) -> bool {
        true
    }
}
