//! Taking voice connections, credentials and tokens back: what every API that shows them does.

use std::{fmt, sync::Arc};

use aws_lc_rs::rand;
use causeway_types::{Secret, UnixTime};

use crate::{
    ApiCaller, AuditEntry, NoRegistrations, Notice, NumberedPage, ProjectId, Store, StoreError, StoreResult,
    VoiceConnection, VoiceCredential, VoiceCredentialFilter, VoiceStore,
};

/// Names read from the store, and told to other servers, at once.
const NAMES_AT_ONCE: u32 = 1000;

/// Where a user's newest client is registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VoiceRegistered {
    /// How many clients.
    pub count: usize,
    /// Since when.
    pub since: UnixTime,
}

/// The clients of this server that are there.
pub trait VoiceClients: Send + Sync + 'static {
    /// Sends the clients of these users away: they may not log in any more.
    fn send_away(&self, project: ProjectId, names: &[String]);
    /// Whether a user has clients.
    fn registered(&self, project: ProjectId, name: &str) -> Option<VoiceRegistered>;
}

impl VoiceClients for NoRegistrations {
    fn send_away(&self, _: ProjectId, _: &[String]) {}

    fn registered(&self, _: ProjectId, _: &str) -> Option<VoiceRegistered> {
        None
    }
}

/// Why tokens were not taken back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VoiceRevokeError {
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The system has no randomness.
    #[error("the system has no randomness")]
    NoRandomness,
}

/// The use-cases.
pub struct VoiceRecords<S> {
    store: Arc<S>,
    clients: Arc<dyn VoiceClients>,
}

impl<S> fmt::Debug for VoiceRecords<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VoiceRecords")
    }
}

impl<S: VoiceStore + Store> VoiceRecords<S> {
    /// Over a store, and the clients of this server.
    #[must_use]
    pub fn new(store: Arc<S>, clients: Arc<dyn VoiceClients>) -> Self {
        Self { store, clients }
    }

    /// Whether a user has clients here.
    #[must_use]
    pub fn registered(&self, project: ProjectId, name: &str) -> Option<VoiceRegistered> {
        self.clients.registered(project, name)
    }

    /// Removes a connection with its credentials, and sends their clients away. Whether it was there.
    ///
    /// # Errors
    /// The store did not answer.
    pub async fn remove_connection(
        &self,
        caller: ApiCaller,
        connection: &VoiceConnection,
        now: UnixTime,
    ) -> StoreResult<bool> {
        let names = self.users(connection, now).await?;
        if !self.store.delete_voice_connection(connection.project, connection.id).await? {
            return Ok(false);
        }
        self.send_away(connection.project, &names, now).await?;
        self.note(caller, "voice_connection.delete", connection.id.0.to_string(), now).await?;
        Ok(true)
    }

    /// Removes a credential, and sends its clients away. Whether it was there.
    ///
    /// # Errors
    /// The store did not answer.
    pub async fn remove_credential(
        &self,
        caller: ApiCaller,
        credential: &VoiceCredential,
        now: UnixTime,
    ) -> StoreResult<bool> {
        if !self.store.delete_voice_credential(credential.project, &credential.id).await? {
            return Ok(false);
        }
        self.send_away(credential.project, std::slice::from_ref(&credential.user_name), now).await?;
        self.note(caller, "voice_credential.delete", credential.id.clone(), now).await?;
        Ok(true)
    }

    /// Takes every token of a credential back, and sends its clients away. Whether it was there.
    ///
    /// # Errors
    /// See [`VoiceRevokeError`].
    pub async fn revoke_tokens(
        &self,
        caller: ApiCaller,
        mut credential: VoiceCredential,
        now: UnixTime,
    ) -> Result<bool, VoiceRevokeError> {
        let mut random = [0; 64];
        rand::fill(&mut random).map_err(|_| VoiceRevokeError::NoRandomness)?;
        credential.token_secret = Secret::new(hex::encode(random));
        credential.updated_at = now;
        if !self.store.update_voice_credential(&credential).await? {
            return Ok(false);
        }
        self.send_away(credential.project, std::slice::from_ref(&credential.user_name), now).await?;
        self.note(caller, "voice_credential.revoke_tokens", credential.id, now).await?;
        Ok(true)
    }

    /// Whoever logs in to a connection, itself first.
    ///
    /// # Errors
    /// The store did not answer.
    pub async fn users(&self, connection: &VoiceConnection, now: UnixTime) -> StoreResult<Vec<String>> {
        let mut names: Vec<String> = connection.user_name.iter().cloned().collect();
        let filter = VoiceCredentialFilter { connection: Some(connection.id), ..VoiceCredentialFilter::default() };
        let mut page = NumberedPage { offset: 0, limit: NAMES_AT_ONCE, is_newest_first: false };
        loop {
            let (found, _) = self.store.voice_credentials(connection.project, &filter, page, now).await?;
            if found.is_empty() {
                return Ok(names);
            }
            page.offset += u64::from(NAMES_AT_ONCE);
            names.extend(found.into_iter().map(|credential| credential.user_name));
        }
    }

    /// Sends the clients of these users away from every server.
    ///
    /// # Errors
    /// The store did not answer; those of this server are away then.
    pub async fn send_away(&self, project: ProjectId, names: &[String], now: UnixTime) -> StoreResult<()> {
        self.clients.send_away(project, names);
        let notice = |name: &String| Notice::VoiceUserSentAway { project, name: name.clone() };
        for part in names.chunks(usize::try_from(NAMES_AT_ONCE).unwrap_or(usize::MAX)) {
            self.store.tell(&part.iter().map(notice).collect::<Vec<_>>(), now).await?;
        }
        Ok(())
    }

    async fn note(&self, caller: ApiCaller, action: &str, subject: String, at: UnixTime) -> StoreResult<()> {
        self.store.audit(&AuditEntry::by(caller, action, subject, "{}".to_owned(), at)).await
    }
}
