//! Clients that register and call as part of the server: what identifies them, and who of them is there.

use std::{pin::Pin, sync::Arc};

use causeway_app::{Admission, ClientTokenSettings, ClientTokens, ProjectId, Registration, Registrations, SipUsers};
use causeway_call_core::{AccountId, Binding};
use causeway_store::SqlStore;
use causeway_switchboard::Switchboard;

use crate::config::Settings;

/// The running part.
#[derive(Clone)]
pub(crate) struct Clients {
    /// Mints, verifies and revokes client tokens.
    pub(crate) tokens: Arc<ClientTokens<SqlStore>>,
    /// Who is registered now.
    pub(crate) registrations: Arc<dyn Registrations>,
    /// Clients that show a password.
    pub(crate) sip_users: Arc<SipUsers<SqlStore>>,
}

impl Clients {
    /// Over the store and the switchboard where clients register.
    pub(crate) fn start(settings: &Settings, store: &Arc<SqlStore>, board: &Arc<Switchboard>) -> Self {
        let registrations: Arc<dyn Registrations> = Arc::new(OnBoard { board: Arc::clone(board) });
        let token_settings = ClientTokenSettings {
            cloud: settings.client_cloud_id.clone(),
            monthly_quota: settings.client_tokens_per_month,
            key_lifetime: settings.client_token_key_lifetime,
        };
        let tokens = ClientTokens::new(Arc::clone(store), Arc::clone(&registrations), token_settings);
        let sip_users = SipUsers::new(Arc::clone(store), Arc::clone(&registrations), settings.realm.clone());
        Self { tokens: Arc::new(tokens), registrations, sip_users: Arc::new(sip_users) }
    }
}

/// The registrations of this server's switchboard.
struct OnBoard {
    board: Arc<Switchboard>,
}

impl OnBoard {
    fn registration(binding: &Binding) -> Registration {
        Registration {
            id: format!("{}-{}", binding.connection.node.0, binding.id.0),
            project: ProjectId(binding.identity.account.0),
            client: Arc::clone(&binding.identity.name),
            dialect: "sip",
            is_ringable: binding.is_ringable,
            since: binding.since,
            updated: binding.updated,
            expires_at: binding.expires_at,
            address: None,
            user_agent: None,
            admission: (!binding.grant.is_empty()).then(|| Admission::ClientToken(Arc::clone(&binding.grant))),
        }
    }
}

impl Registrations for OnBoard {
    fn of_project(&self, project: ProjectId) -> Pin<Box<dyn Future<Output = Vec<Registration>> + Send + '_>> {
        let account = AccountId(project.0);
        let all = self.board.with_registrar(|registrar| {
            let own = registrar.bindings().filter(|binding| binding.identity.account == account);
            own.map(Self::registration).collect()
        });
        Box::pin(std::future::ready(all))
    }

    fn end(&self, is_meant: &dyn Fn(&Registration) -> bool) -> u64 {
        let ended = self.board.revoke(|binding| is_meant(&Self::registration(binding)));
        u64::try_from(ended).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use causeway_call_core::{CallEvent, Identity, LegTraits, PresenceChange};
    use causeway_switchboard::{CallListener, SwitchboardSettings};

    use super::*;

    struct Deaf;

    impl CallListener for Deaf {
        fn call(&self, _: CallEvent) {}
        fn presence(&self, _: PresenceChange) {}
    }

    #[tokio::test]
    async fn a_binding_is_told_as_a_registration_of_its_project_and_ends_with_its_token() {
        let board = Switchboard::new(SwitchboardSettings::default(), [1; 32], Arc::new(Deaf));
        let traits = LegTraits { takes_candidates: false, takes_transfer: false, grace: None };
        let (connection, _inbox) = board.connect(traits);
        let hour = Duration::from_secs(3600);
        for (account, name, grant) in [(1, "bob", "t1"), (1, "eve", "t2"), (2, "bob", "t3"), (1, "desk", "")] {
            let identity = Identity::new(AccountId(account), name);
            connection.register_with(identity, name, hour, true, Arc::from(grant)).expect("room");
        }
        let seats = OnBoard { board };
        let told = seats.of_project(ProjectId(1)).await;
        let names: Vec<&str> = told.iter().map(|registration| &*registration.client).collect();
        assert_eq!(names, ["bob", "eve", "desk"]);
        assert_eq!(told[0].admission, Some(Admission::ClientToken(Arc::from("t1"))));
        assert_eq!((told[2].admission.as_ref(), told[0].is_ringable), (None, true));
        assert_ne!(told[0].id, told[1].id);
        assert_eq!(told[0].expires_at, told[0].since.saturating_add(hour));

        let is_of_t2 =
            |registration: &Registration| registration.admission == Some(Admission::ClientToken("t2".into()));
        assert_eq!((seats.end(&is_of_t2), seats.end(&is_of_t2)), (1, 0));
        assert_eq!(seats.of_project(ProjectId(1)).await.len(), 2);
        drop(connection);
        assert!(seats.of_project(ProjectId(1)).await.is_empty(), "they go with their connection");
    }
}
