//! The application's port to the data plane, over the relay's handle.

use std::sync::{Arc, OnceLock};

use causeway_app::RelayControl;
use causeway_relay::RelayHandle;
use causeway_types::AllocationId;

/// Hands commands to the relay once it runs; before that there is nothing to end.
#[derive(Clone, Debug)]
pub(crate) struct RelayPort {
    pub(crate) relay: Arc<OnceLock<RelayHandle>>,
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
}
