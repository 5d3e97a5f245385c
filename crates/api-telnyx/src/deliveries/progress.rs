//! What became of attempts, on its way into the store.

use std::{sync::Arc, time::Duration};

use causeway_app::{VoiceAttempt, VoiceDeliveryStore, VoiceProgress, VoiceTry};
use tokio::sync::mpsc;

/// Outcomes written at once.
const BATCH_MAX: usize = 256;
/// Before a store that did not answer is asked again.
const PAUSE: Duration = Duration::from_millis(500);
/// Attempts for the log that wait while the store is away; older ones are forgotten.
const WAITING_MAX: usize = 10_000;
/// How often the last outcomes are tried when the server stops.
const LAST_TRIES: u32 = 5;

/// Something that became of a delivery.
#[derive(Debug)]
pub(super) enum Step {
    /// It was tried; it goes on with `tried`, or is over.
    Tried { attempt: VoiceAttempt, tried: Option<VoiceTry> },
    /// It is over without an attempt.
    Over(String),
}

/// Writes until every sender is gone, then what is left.
pub(super) async fn write_steps<S: VoiceDeliveryStore>(store: Arc<S>, mut steps: mpsc::Receiver<Step>) {
    let (mut batch, mut waiting) = (Vec::new(), VoiceProgress::default());
    let mut is_open = true;
    let mut last_tries = 0;
    while is_open || (!waiting.is_empty() && last_tries < LAST_TRIES) {
        if waiting.is_empty() {
            is_open = steps.recv_many(&mut batch, BATCH_MAX).await > 0;
        } else if is_open {
            // The store did not answer: what happens meanwhile is added.
            let more = tokio::time::timeout(PAUSE, steps.recv_many(&mut batch, BATCH_MAX)).await;
            is_open = more != Ok(0);
        } else {
            last_tries += 1;
            tokio::time::sleep(PAUSE).await;
        }
        batch.drain(..).for_each(|step| add(&mut waiting, step));
        if waiting.is_empty() {
            continue;
        }
        match store.note_voice_progress(&waiting).await {
            Ok(()) => waiting = VoiceProgress::default(),
            Err(error) => tracing::warn!(%error, "what became of voice webhooks is kept later"),
        }
    }
}

fn add(progress: &mut VoiceProgress, step: Step) {
    match step {
        Step::Tried { attempt, tried } => {
            match tried {
                Some(tried) => progress.tried.push(tried),
                None => progress.over.push(attempt.event.clone()),
            }
            if progress.attempts.len() >= WAITING_MAX {
                progress.attempts.remove(0);
            }
            progress.attempts.push(attempt);
        }
        Step::Over(event) => progress.over.push(event),
    }
}
