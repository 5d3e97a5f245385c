//! Telnyx's voice clients as part of the server: their WebSocket, what REST calls do to clients and calls that are there, and
//! the webhooks of their backends.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use causeway_api_causeway::Sample;
use causeway_api_http::Gate;
use causeway_api_telnyx::{ApiState, Deliveries, Post, VoiceCommands};
use causeway_app::{ProjectId, VoiceCalls, VoiceClients, VoiceConnectionId, VoiceLeg, VoiceRecords, VoiceRegistered};
use causeway_call_core::{AccountId, HangupCause, Identity, LegId, Refusal, RingRule};
use causeway_signal_verto::{VertoService, VertoSettings};
use causeway_store::SqlStore;
use causeway_switchboard::Switchboard;
use causeway_webhooks::Webhooks;
use parking_lot::Mutex;
use tokio::{sync::watch, task::JoinHandle};

use crate::{
    calls::Calls,
    verto_elsewhere::{self, Elsewhere},
    verto_samples::verto_samples,
};

/// How long the last deliveries may take to be kept.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// The running part.
pub(crate) struct Verto {
    pub(crate) service: Arc<VertoService<SqlStore>>,
    deliveries: Arc<Deliveries<SqlStore>>,
    board: Arc<Switchboard>,
    voice: Arc<VoiceCalls>,
    stop: watch::Sender<bool>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Verto {
    /// Serves on the switchboard of the server.
    pub(crate) fn start(
        calls: &Calls,
        store: &Arc<SqlStore>,
        webhooks: &Arc<Webhooks>,
        attempts_kept: Duration,
    ) -> Self {
        let (board, voice) = (Arc::clone(&calls.board), Arc::clone(&calls.voice));
        let settings = VertoSettings::default();
        let (own, places) = (Arc::clone(&board), Arc::clone(&calls.places));
        let service = VertoService::new(settings, own, Arc::clone(store), Arc::clone(&voice), places);
        let deliveries = Deliveries::new(Arc::clone(store), Arc::new(Posts(Arc::clone(webhooks))), attempts_kept);
        let (stop, stopped) = watch::channel(false);
        let task = calls.take_voice_events().map(|events| tokio::spawn(Arc::clone(&deliveries).run(events, stopped)));
        Self { service, deliveries, board, voice, stop, task: Mutex::new(task) }
    }

    /// What the REST calls need, and what takes records back.
    pub(crate) fn state(
        self: &Arc<Self>,
        gate: &Arc<Gate<SqlStore>>,
        store: &Arc<SqlStore>,
    ) -> (Arc<ApiState<SqlStore>>, Arc<VoiceRecords<SqlStore>>) {
        let records = Arc::new(VoiceRecords::new(Arc::clone(store), Arc::<Self>::clone(self)));
        let state = ApiState::new(
            Arc::clone(gate),
            Arc::clone(store),
            Arc::clone(&records),
            Arc::<Self>::clone(self),
            Arc::new(Elsewhere(Arc::clone(&self.board))),
            Arc::clone(&self.deliveries),
        );
        let state = Arc::new(state);
        verto_elsewhere::join(&self.board, &self.voice, &state);
        (state, records)
    }

    /// Its counters.
    pub(crate) fn samples(&self) -> [Sample; 8] {
        verto_samples(self.service.figures(), self.deliveries.figures(), self.voice.lost())
    }

    /// No new connection is taken; those without calls are closed.
    pub(crate) fn drain(&self) {
        self.service.drain();
    }

    /// Nothing more is delivered; what is left is kept for the next start.
    pub(crate) async fn end(&self) {
        self.stop.send_replace(true);
        let task = self.task.lock().take();
        if let Some(mut task) = task
            && tokio::time::timeout(LAST_WORDS, &mut task).await.is_err()
        {
            tracing::error!("what became of voice webhooks was not kept: some come twice");
            task.abort();
        }
    }
}

/// Posts as webhooks do: only to addresses that these may have.
struct Posts(Arc<Webhooks>);

impl Post for Posts {
    fn post<'a>(
        &'a self,
        url: &'a str,
        headers: &'a [(&'static str, String)],
        body: String,
        patience: Duration,
    ) -> Pin<Box<dyn Future<Output = Result<u16, String>> + Send + 'a>> {
        Box::pin(self.0.post(url, headers, body, patience))
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

    fn registered(&self, project: ProjectId, name: &str) -> Option<VoiceRegistered> {
        let identity = Identity::new(AccountId(project.0), name);
        self.board.with_registrar(|registrar| {
            let mut live = registrar.bindings_of(&identity).filter(|binding| binding.is_ringable);
            let newest = live.next()?;
            Some(VoiceRegistered { count: 1 + live.count(), since: newest.updated })
        })
    }
}

impl VoiceCommands for Verto {
    fn leg(&self, project: ProjectId, leg: LegId) -> Option<VoiceLeg> {
        self.voice.leg(project, leg)
    }

    fn live(&self, project: ProjectId, connection: VoiceConnectionId) -> Vec<VoiceLeg> {
        self.voice.live(project, connection)
    }

    fn set_client_state(&self, project: ProjectId, leg: LegId, client_state: &str) -> bool {
        self.voice.set_client_state(project, leg, client_state)
    }

    fn end(&self, leg: LegId, cause: HangupCause) -> Result<(), Refusal> {
        self.board.end(leg, cause)
    }

    fn redirect(&self, leg: LegId, project: ProjectId, to: &str, ring: RingRule) -> Result<(), Refusal> {
        self.board.redirect(leg, vec![Identity::new(AccountId(project.0), to)], ring)
    }
}
