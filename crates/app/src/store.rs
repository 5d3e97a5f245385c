//! The port to whatever keeps the control plane's memory.

use std::future::Future;

use crate::model::{ApiCaller, CredentialRecord};

/// Why the store did not answer.
#[derive(Debug, thiserror::Error)]
#[error("the store did not answer: {reason}")]
pub struct StoreError {
    /// For the log.
    pub reason: String,
}

/// Durable memory. Every write that returned `Ok` survives a crash of the process and of the machine.
pub trait Store: Send + Sync + 'static {
    /// Keeps an issued credential.
    fn insert_credential(&self, record: CredentialRecord) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The credential of this user name.
    fn credential(&self, username: &str) -> impl Future<Output = Result<Option<CredentialRecord>, StoreError>> + Send;

    /// The credential with this USERHASH.
    fn credential_by_hash(
        &self,
        hash: [u8; 32],
    ) -> impl Future<Output = Result<Option<CredentialRecord>, StoreError>> + Send;

    /// Who holds the token with this hash.
    fn caller_by_token(&self, hash: [u8; 32]) -> impl Future<Output = Result<Option<ApiCaller>, StoreError>> + Send;

    /// Whether the store answers.
    fn is_healthy(&self) -> impl Future<Output = bool> + Send;
}
