//! Telnyx's voice clients as part of the server: their WebSocket, and what REST calls do to clients that are there.

use std::sync::Arc;

use causeway_api_telnyx::{Registered, VoiceClients};
use causeway_app::ProjectId;
use causeway_call_core::{AccountId, Identity};
use causeway_signal_verto::{VertoService, VertoSettings};
use causeway_store::SqlStore;
use causeway_switchboard::Switchboard;

use crate::calls::Calls;

/// The running part.
pub(crate) struct Verto {
    pub(crate) service: Arc<VertoService<SqlStore>>,
    board: Arc<Switchboard>,
}

impl Verto {
    /// Serves on the switchboard of the server.
    pub(crate) fn start(calls: &Calls, store: &Arc<SqlStore>) -> Self {
        let board = Arc::clone(&calls.board);
        let service = VertoService::new(VertoSettings::default(), Arc::clone(&board), Arc::clone(store));
        Self { service, board }
    }

    /// No new connection is taken; those without calls are closed.
    pub(crate) fn drain(&self) {
        self.service.drain();
    }
}

impl VoiceClients for Verto {
    fn send_away(&self, project: ProjectId, names: &[String]) {
        let is_meant = |identity: &Identity| {
            identity.account == AccountId(project.0) && names.iter().any(|name| **name == *identity.name)
        };
        self.service.send_away(is_meant);
        self.board.revoke(|binding| is_meant(&binding.identity));
    }

    fn registered(&self, project: ProjectId, name: &str) -> Option<Registered> {
        let identity = Identity::new(AccountId(project.0), name);
        self.board.with_registrar(|registrar| {
            let mut live = registrar.bindings_of(&identity).filter(|binding| binding.is_ringable);
            let newest = live.next()?;
            Some(Registered { count: 1 + live.count(), since: newest.updated })
        })
    }
}
