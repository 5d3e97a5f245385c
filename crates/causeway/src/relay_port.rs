//! The application's port to the data plane, over the relay's handle.

use std::sync::{Arc, OnceLock};

use causeway_app::{CredentialDirectory, CredentialLimits, KnownUser, Lookup, RelayControl, UserQuery};
use causeway_relay::RelayHandle;
use causeway_types::{AllocationId, Now};

use crate::keys::grant_limits;

/// Hands commands to the relay once it runs; before that there is nothing to end or limit.
#[derive(Clone, Debug)]
pub(crate) struct RelayPort {
    pub(crate) relay: Arc<OnceLock<RelayHandle>>,
    pub(crate) directory: Arc<CredentialDirectory>,
}

impl RelayPort {
    /// The relay answers within a data-plane wake-up, but on a channel that blocks.
    fn ask<T: Default>(&self, question: impl FnOnce(&RelayHandle) -> T) -> T {
        self.relay.get().map(|relay| tokio::task::block_in_place(|| question(relay))).unwrap_or_default()
    }
}

impl RelayControl for RelayPort {
    fn end_session(&self, session: AllocationId) -> bool {
        self.ask(|relay| relay.terminate(session))
    }

    fn end_sessions_of(&self, usernames: &[String]) -> u32 {
        if usernames.is_empty() {
            return 0;
        }
        self.ask(|relay| relay.terminate_users(usernames))
    }

    /// What else its credential says, above all whom it may reach, stays in force.
    fn limit(&self, username: &str, limits: CredentialLimits) {
        let Lookup::Known(users) = self.directory.look_up(UserQuery::Name(username), Now::read().unix) else {
            tracing::debug!("limits for a user that is not known");
            return;
        };
        if let Some(user) = users.into_iter().next() {
            let limits = grant_limits(&KnownUser { limits, ..user });
            let n_limited = self.ask(|relay| relay.limit_user(username, limits));
            tracing::debug!(n_limited, "limits of live allocations replaced");
        }
    }
}
