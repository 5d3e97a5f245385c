//! Commands for calls of other servers: each server says which legs it knows, and answers for them.

use std::{future::Future, pin::Pin, sync::Arc};

use causeway_api_telnyx::{ApiState, AskingElsewhere, CallsElsewhere, answer_elsewhere};
use causeway_app::VoiceCalls;
use causeway_call_core::LegId;
use causeway_store::SqlStore;
use causeway_switchboard::{Answerer, Switchboard};

/// Reaches the servers of other calls through the switchboard's cluster.
pub(crate) struct Elsewhere(pub(crate) Arc<Switchboard>);

impl CallsElsewhere for Elsewhere {
    fn ask(&self, leg: LegId, question: String) -> AskingElsewhere<'_> {
        Box::pin(async move { self.0.ask_owner(&leg.to_string(), question).await.map_err(|_| ()) })
    }
}

struct Answers(Arc<ApiState<SqlStore>>);

impl Answerer for Answers {
    fn answer(&self, question: String) -> Pin<Box<dyn Future<Output = String> + Send>> {
        let state = Arc::clone(&self.0);
        Box::pin(async move { answer_elsewhere(&state, &question).await })
    }
}

/// Others find the legs of this server, and are answered.
pub(crate) fn join(board: &Arc<Switchboard>, voice: &VoiceCalls, state: &Arc<ApiState<SqlStore>>) {
    // Weak: the switchboard has the book, which has this.
    let own = Arc::downgrade(board);
    voice.watch_legs(Box::new(move |leg, is_here| {
        if let Some(board) = own.upgrade() {
            board.own(&leg.to_string(), is_here);
        }
    }));
    board.answer_with(Arc::new(Answers(Arc::clone(state))));
}
