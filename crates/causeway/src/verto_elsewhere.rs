//! Calls of other servers: each server says which legs it knows and which of them live, and answers for them.

use std::{future::Future, pin::Pin, sync::Arc};

use causeway_api_telnyx::{
    ApiState, AskingElsewhere, CallsElsewhere, ListingElsewhere, answer_elsewhere, leg_for_others,
};
use causeway_app::{LegNews, VoiceCalls, VoiceConnectionId, VoiceLeg};
use causeway_call_core::LegId;
use causeway_store::SqlStore;
use causeway_switchboard::{Answerer, Switchboard};

/// Reaches the servers of other calls through the switchboard's cluster.
pub(crate) struct Elsewhere(pub(crate) Arc<Switchboard>);

impl CallsElsewhere for Elsewhere {
    fn ask(&self, leg: LegId, question: String) -> AskingElsewhere<'_> {
        Box::pin(async move { self.0.ask_owner(&leg.to_string(), question).await.map_err(|_| ()) })
    }

    fn live(&self, connection: VoiceConnectionId) -> ListingElsewhere<'_> {
        Box::pin(async move { self.0.shown_elsewhere(&list_of(connection)).await.map_err(|_| ()) })
    }
}

struct Answers(Arc<ApiState<SqlStore>>);

impl Answerer for Answers {
    fn answer(&self, question: String) -> Pin<Box<dyn Future<Output = String> + Send>> {
        let state = Arc::clone(&self.0);
        Box::pin(async move { answer_elsewhere(&state, &question).await })
    }
}

fn list_of(connection: VoiceConnectionId) -> String {
    format!("voice-legs-{}", connection.0)
}

fn show(board: &Switchboard, leg: &VoiceLeg, is_live: bool) {
    // Ids are random in their lower half too.
    let entry = u64::try_from(leg.leg.0 & u128::from(u64::MAX)).unwrap_or_default();
    board.show(&list_of(leg.connection), entry, is_live.then(|| leg_for_others(leg)));
}

/// Others find the legs of this server, and are answered.
pub(crate) fn join(board: &Arc<Switchboard>, voice: &VoiceCalls, state: &Arc<ApiState<SqlStore>>) {
    // Weak: the switchboard has the book, which has this.
    let own = Arc::downgrade(board);
    voice.watch_legs(Box::new(move |news| {
        let Some(board) = own.upgrade() else { return };
        match news {
            LegNews::Began(leg) => {
                board.own(&leg.leg.to_string(), true);
                show(&board, leg, true);
            }
            LegNews::Changed(leg) => show(&board, leg, true),
            LegNews::Ended(leg) => show(&board, leg, false),
            LegNews::Forgotten(leg) => board.own(&leg.to_string(), false),
        }
    }));
    board.answer_with(Arc::new(Answers(Arc::clone(state))));
}
