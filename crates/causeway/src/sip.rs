//! SIP clients as part of the server: who they are, and their relay credentials.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use causeway_app::{
    ApiCaller, CallBook, CallStore, ClientRole, ClientTokenError, ClientTokens, Identifier, LiveSessions, MintRequest,
    Minting, OrganizationId, ProjectId, RegionWish, Revocation, RevokeBy, Scopes, SipUserStore, SipUsers, Store,
    TokenId,
};
use causeway_call_core::{AccountId, CallId, HangupCause};
use causeway_credentials::client_token::AccessLabel;
use causeway_signal_sip::{
    Asking, CalleeRule, Grant, IceAsk, IceRefusal, IceServers, ServiceAsk, ServiceDecision, ServiceRoute, SipAccess,
    SipService, SipSettings, SipUser, TokenRefusal,
};
use causeway_sip_core::auth::DigestAlgorithm;
use causeway_store::SqlStore;
use causeway_types::Now;
use serde_json::json;

use crate::{call_services::CallServices, calls::Calls, clients::Clients, config::Settings};

/// The SIP users of the configuration, by name.
pub(crate) async fn users(settings: &Settings, store: &SqlStore) -> anyhow::Result<BTreeMap<String, SipUser>> {
    let mut users = BTreeMap::new();
    if settings.calls.users.is_empty() {
        return Ok(users);
    }
    let projects = store.projects(OrganizationId::DEFAULT).await?;
    for user in &settings.calls.users {
        let project = projects.iter().find(|project| project.slug == user.project.as_str());
        let project = project.ok_or_else(|| {
            anyhow::anyhow!("the SIP user {} names the project {}, which is not there", user.name, user.project)
        })?;
        let secret = |algorithm: DigestAlgorithm| algorithm.secret(&user.name, &settings.realm, user.password.expose());
        let (md5, sha256) = (secret(DigestAlgorithm::Md5), secret(DigestAlgorithm::Sha256));
        users.insert(user.name.clone(), SipUser { account: AccountId(project.id.0), md5, sha256 });
    }
    Ok(users)
}

/// A user of the file, unless the host names another project than its; else one that the API made.
async fn find_user<S: SipUserStore>(
    configured: &BTreeMap<String, SipUser>,
    made: &SipUsers<S>,
    host: &str,
    name: &str,
) -> Result<Option<SipUser>, TokenRefusal> {
    if let Some(user) = configured.get(name) {
        // While the store is away users of the file still come in.
        let named = made.project_of(host).await.unwrap_or(None);
        if named.is_none_or(|project| AccountId(project.0) == user.account) {
            return Ok(Some(user.clone()));
        }
    }
    let found = made.find(host, name).await.map_err(|error| {
        tracing::debug!(%error, "a SIP user cannot be judged");
        TokenRefusal::Unavailable
    })?;
    Ok(found.map(|user| SipUser {
        account: AccountId(user.project.0),
        md5: user.md5.expose().clone(),
        sha256: user.sha256.expose().clone(),
    }))
}

/// Serves SIP clients on the switchboard.
pub(crate) fn serve(
    calls: &Calls,
    clients: &Clients,
    sip_users: &Arc<SipUsers<SqlStore>>,
    store: &Arc<SqlStore>,
    minting: &Arc<Minting<SqlStore>>,
    revocation: &Arc<Revocation<SqlStore>>,
) -> Arc<SipService> {
    let config = &calls.config;
    let settings = SipSettings {
        realm: calls.realm.clone(),
        ring: config.ring,
        connections_max: config.connections_max,
        connections_per_address_max: config.connections_per_address_max,
        messages_per_sec: config.messages_per_sec,
        registration_max: config.registration_max,
        ice_ttl: config.ice_ttl,
        ..SipSettings::default()
    };
    let access = Arc::new(Access {
        users: calls.users.clone(),
        sip_users: Arc::clone(sip_users),
        tokens: Arc::clone(&clients.tokens),
        store: Arc::clone(store),
        minting: Arc::clone(minting),
        revocation: Arc::clone(revocation),
        ice_ttl: config.ice_ttl,
        services: Arc::clone(&calls.services),
        book: Arc::clone(&calls.book),
    });
    let (board, places) = (Arc::clone(&calls.board), Arc::clone(&calls.places));
    let service = SipService::new(settings, board, access, places, &calls.nonce_key);
    Arc::clone(calls.sip.get_or_init(|| service))
}

/// Who SIP clients are, and their relay credentials.
struct Access {
    /// Of the configuration, by name.
    users: BTreeMap<String, SipUser>,
    /// Made by the API.
    sip_users: Arc<SipUsers<SqlStore>>,
    tokens: Arc<ClientTokens<SqlStore>>,
    store: Arc<SqlStore>,
    minting: Arc<Minting<SqlStore>>,
    revocation: Arc<Revocation<SqlStore>>,
    ice_ttl: Duration,
    services: Arc<CallServices>,
    book: Arc<CallBook>,
}

impl Access {
    /// The account of an access key in this cloud.
    async fn account(&self, key: &str, cloud: &str) -> Result<ProjectId, IceRefusal> {
        if self.tokens.settings().cloud.as_str() != cloud {
            return Err(IceRefusal::UnknownKey);
        }
        let label = AccessLabel::new(key).map_err(|_| IceRefusal::UnknownKey)?;
        let account = self.tokens.find_account(&label).await.map_err(|_| IceRefusal::Unavailable)?;
        let account = account.filter(|account| !account.is_project_disabled).ok_or(IceRefusal::UnknownKey)?;
        Ok(account.project)
    }

    async fn mint(&self, ask: IceAsk) -> Result<IceServers, IceRefusal> {
        let project = self.account(&ask.key, &ask.cloud).await?;
        let now = Now::read().unix;
        let token = self.store.client_minting_token(project, now).await.map_err(|_| IceRefusal::Unavailable)?;
        let metadata = json!({ "client": ask.client, "connection": ask.connection.number });
        let request = MintRequest {
            initiator_client: Identifier::like(&ask.client),
            client_type: Some(ClientRole::Initiator),
            ttl: Some(self.ice_ttl),
            // A longer name than metadata may have is left out.
            metadata: Some(metadata.to_string()).filter(|text| text.len() <= 1024),
            region: RegionWish { client: ask.address, ..RegionWish::default() },
            ..MintRequest::default()
        };
        let minted = self.minting.mint_for(project, token, request, now).await.map_err(|error| {
            tracing::warn!(%error, "no relay credentials for a SIP client");
            IceRefusal::Unavailable
        })?;
        Ok(IceServers {
            account: AccountId(project.0),
            username: minted.username,
            credential: minted.credential.expose().clone(),
            urls: minted.urls.turn.clone(),
        })
    }
}

impl SipAccess for Access {
    fn token<'a>(&'a self, token: &'a str) -> Asking<'a, Result<Grant, TokenRefusal>> {
        Box::pin(async move {
            let client = match self.tokens.verify(token, Now::read().unix).await {
                Ok(client) => client,
                Err(ClientTokenError::Store(_)) => return Err(TokenRefusal::Unavailable),
                Err(error) => {
                    tracing::debug!(%error, "a client token is not taken");
                    return Err(TokenRefusal::Invalid);
                }
            };
            Ok(Grant {
                account: AccountId(client.project.0),
                client: client.client_id.as_str().to_owned(),
                key: client.access.as_str().to_owned(),
                cloud: client.cloud.as_str().to_owned(),
                id: client.jti,
                may_receive: client.allows_incoming,
                callees: CalleeRule::Patterns(client.callees.texts().into()),
            })
        })
    }

    fn sip_user<'a>(&'a self, host: &'a str, name: &'a str) -> Asking<'a, Result<Option<SipUser>, TokenRefusal>> {
        Box::pin(find_user(&self.users, &self.sip_users, host, name))
    }

    fn ice_servers(&self, ask: IceAsk) -> Asking<'_, Result<IceServers, IceRefusal>> {
        Box::pin(self.mint(ask))
    }

    fn ice_over(&self, made: Vec<(AccountId, String)>) {
        let revocation = Arc::clone(&self.revocation);
        // It ends with its statement; a credential that is not taken back for want of a store ends by itself within minutes.
        tokio::spawn(async move {
            for (account, username) in made {
                let caller = ApiCaller {
                    organization: OrganizationId::DEFAULT,
                    project: ProjectId(account.0),
                    token: TokenId(0),
                    scopes: Scopes::default(),
                    organization_wide: false,
                    person: None,
                };
                let by = RevokeBy::Username(username);
                if let Err(error) = revocation.revoke(caller, &by, LiveSessions::End, Now::read().unix).await {
                    tracing::debug!(%error, "a credential of a connection that is over stays until it expires");
                }
            }
        });
    }

    fn service<'a>(&'a self, ask: &'a ServiceAsk) -> Asking<'a, ServiceRoute> {
        Box::pin(async move {
            match self.account(&ask.key, &ask.cloud).await {
                Ok(project) => self.services.route(project, ask),
                Err(IceRefusal::UnknownKey) => ServiceRoute::Reject(HangupCause::Forbidden),
                Err(IceRefusal::Unavailable) => ServiceRoute::Reject(HangupCause::Congestion),
            }
        })
    }

    fn service_called(&self, call: CallId, service: &str) {
        self.book.note_service(call, service);
    }

    fn decide(&self, ask: ServiceAsk, call: CallId) -> Asking<'_, ServiceDecision> {
        Box::pin(async move {
            match self.account(&ask.key, &ask.cloud).await {
                Ok(project) => self.services.decide(project, ask, call).await,
                Err(_) => ServiceDecision::Reject(HangupCause::Congestion),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use causeway_app::{ClientTokenStore, NewToken, NoRegistrations, SipUserStore, StoredSipUser};
    use causeway_types::{Secret, UnixTime};

    use super::*;

    const NOW: UnixTime = UnixTime::from_secs(1_700_000_000);

    fn made(project: ProjectId, name: &str, realm: &str) -> StoredSipUser {
        StoredSipUser {
            project,
            name: name.to_owned(),
            realm: realm.to_owned(),
            md5: Secret::new(format!("md5 of {} in {}", name, project.0)),
            sha256: Secret::new(String::new()),
            created_at: NOW,
        }
    }

    #[tokio::test]
    async fn users_of_the_file_and_of_the_api_are_found_by_host_and_name() {
        let directory = tempfile::tempdir().unwrap();
        let store = SqlStore::open(&directory.path().join("causeway.db"), "node-1").await.unwrap();
        let token = NewToken {
            hash: [1; 32],
            name: "first".to_owned(),
            prefix: "cwp_abcd".to_owned(),
            scopes: Scopes::ALL,
            organization_wide: false,
            expires_at: None,
            regions: BTreeSet::new(),
        };
        store.make_first_token(&token, NOW).await.unwrap();
        let (own, other) =
            (ProjectId::DEFAULT, store.insert_project(OrganizationId::DEFAULT, "other", NOW).await.unwrap());
        store.set_client_access(other, &AccessLabel::new("abc12").unwrap()).await.unwrap();
        for user in
            [made(own, "eve", "here"), made(own, "old", "there"), made(other, "ann", "here"), made(own, "ann", "here")]
        {
            store.insert_sip_user(&user).await.unwrap();
        }
        let filed = SipUser { account: AccountId(own.0), md5: "of the file".to_owned(), sha256: String::new() };
        let configured = BTreeMap::from([("ann".to_owned(), filed)]);
        let users = SipUsers::new(Arc::new(store), Arc::new(NoRegistrations), "here".to_owned());
        let md5_in_other = format!("md5 of ann in {}", other.0);
        let md5_of_eve = format!("md5 of eve in {}", own.0);
        for (host, name, expected) in [
            ("example.test", "ann", Some((own, "of the file"))),
            ("abc12.example.test", "ann", Some((other, md5_in_other.as_str()))),
            ("example.test", "eve", Some((own, md5_of_eve.as_str()))),
            ("abc12.example.test", "eve", None),
            ("example.test", "old", None),
            ("example.test", "nobody", None),
        ] {
            let found = find_user(&configured, &users, host, name).await.unwrap();
            let found = found.as_ref().map(|user| (ProjectId(user.account.0), user.md5.as_str()));
            assert_eq!(found, expected, "{name} at {host}");
        }
    }
}
