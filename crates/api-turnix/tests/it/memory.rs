//! A store in memory that knows a few tokens of the project `demo` and keeps what it is given.

use std::sync::atomic::{AtomicBool, Ordering};

use causeway_app::{
    ApiCaller, CredentialRecord, CredentialStore, DomainEvent, EventSink, OrganizationId, ProjectId, Scope, Scopes,
    SignInHolder, StoreError, TokenHolder, TokenId,
};
use causeway_credentials::token;
use causeway_types::UnixTime;
use parking_lot::Mutex;

/// The token for ordinary requests.
pub(crate) const TOKEN: &str = "cwp_good";
/// All of them; what is the matter with each is in its name.
const TOKENS: [&str; 5] = [TOKEN, "cwp_revoked", "cwp_expired", "cwp_disabled", "cwp_read_only"];

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

    async fn token_holder(&self, hash: [u8; 32], project: Option<&str>) -> Result<Option<TokenHolder>, StoreError> {
        let token = TOKENS.into_iter().find(|token| token::hash(token) == hash);
        let holder = token.filter(|_| project.is_none_or(|slug| slug == "demo")).map(holder_of);
        self.answer(holder)
    }

    async fn sign_in_holder(
        &self,
        _hash: [u8; 32],
        _project: Option<&str>,
    ) -> Result<Option<SignInHolder>, StoreError> {
        self.answer(None)
    }

    async fn touch_sign_ins(&self, _used: &[([u8; 32], UnixTime)]) -> Result<(), StoreError> {
        self.answer(())
    }

    async fn touch_tokens(&self, _used: &[(TokenId, UnixTime)]) -> Result<(), StoreError> {
        self.answer(())
    }

    async fn is_healthy(&self) -> bool {
        true
    }
}

fn holder_of(token: &str) -> TokenHolder {
    let scopes = if token == "cwp_read_only" { Scopes::default().with(Scope::Read) } else { Scopes::ALL };
    let (organization, project) = (OrganizationId(1), ProjectId(1));
    TokenHolder {
        caller: ApiCaller { organization, project, token: TokenId(1), scopes, organization_wide: false, person: None },
        expires_at: (token == "cwp_expired").then(|| UnixTime::from_secs(1)),
        is_revoked: token == "cwp_revoked",
        is_used: true,
        is_project_disabled: token == "cwp_disabled",
    }
}

/// Events go nowhere here.
#[derive(Debug)]
pub(crate) struct Deaf;

impl EventSink for Deaf {
    fn emit(&self, _at: UnixTime, _project: ProjectId, _event: DomainEvent) {}
}
