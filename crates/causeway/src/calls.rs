//! Registrations and calls between clients as part of the server: the switchboard, its clock, its counters.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use causeway_api_causeway::{Metric, Sample};
use causeway_call_core::{CallEvent, CallEventKind, CallLimits, HangupCause, NodeId, PresenceChange, RegistrarLimits};
use causeway_switchboard::{CallListener, Switchboard, SwitchboardSettings};
use parking_lot::Mutex;
use tokio::task::JoinHandle;

use crate::{
    config::{CallsConfig, Settings},
    node::Node,
};

/// The running part.
pub(crate) struct Calls {
    /// Where every signalling dialect connects its clients.
    pub(crate) board: Arc<Switchboard>,
    counters: Arc<Counters>,
    clock: Mutex<Option<JoinHandle<()>>>,
}

impl Calls {
    /// Opens the switchboard.
    pub(crate) fn start(settings: &Settings, node: &Node) -> anyhow::Result<Self> {
        let mut seed = [0; 32];
        aws_lc_rs::rand::fill(&mut seed).map_err(|_| anyhow::anyhow!("the system has no randomness"))?;
        let counters = Arc::<Counters>::default();
        let board =
            Switchboard::new(switchboard_settings(&settings.calls, node), seed, Arc::<Counters>::clone(&counters));
        let clock = Mutex::new(Some(board.keep_time()));
        Ok(Self { board, counters, clock })
    }

    /// Ends every call and cuts every client off.
    pub(crate) fn end(&self) {
        self.board.shut_down();
        if let Some(clock) = self.clock.lock().take() {
            clock.abort();
        }
    }

    /// Its counters.
    pub(crate) fn samples(&self) -> Vec<Sample> {
        let counts = self.board.counts();
        let plain = |metric, value| Sample { metric, label: None, value };
        let number = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        let mut samples = vec![
            plain(Metric::CallClients, number(counts.connections)),
            plain(Metric::CallClientsCutOff, counts.slow_clients),
            plain(Metric::Registrations, number(counts.registrations)),
            plain(Metric::Calls, number(counts.calls)),
            plain(Metric::CallsStarted, self.counters.started.load(Ordering::Relaxed)),
            plain(Metric::CallsAnswered, self.counters.answered.load(Ordering::Relaxed)),
        ];
        samples.extend(HangupCause::ALL.iter().zip(&self.counters.ended).map(|(cause, n)| Sample {
            metric: Metric::CallsEnded,
            label: Some(("cause", cause.name().to_owned())),
            value: n.load(Ordering::Relaxed),
        }));
        samples
    }
}

fn switchboard_settings(config: &CallsConfig, node: &Node) -> SwitchboardSettings {
    let calls = CallLimits {
        calls_max: config.calls_max,
        legs_per_connection_max: config.calls_per_client_max,
        ring_max: config.ring_for,
        ..CallLimits::default()
    };
    let registrations = RegistrarLimits {
        bindings_max: config.registrations_max,
        bindings_per_identity_max: config.registrations_per_client_max,
        bindings_per_grant_max: config.registrations_per_token_max,
        ..RegistrarLimits::default()
    };
    let node = NodeId(u32::from(node.number));
    SwitchboardSettings { node, calls, registrations, ..SwitchboardSettings::default() }
}

/// What happened so far.
#[derive(Debug, Default)]
struct Counters {
    started: AtomicU64,
    answered: AtomicU64,
    /// As [`HangupCause::ALL`].
    ended: [AtomicU64; HangupCause::ALL.len()],
}

impl CallListener for Counters {
    fn call(&self, event: CallEvent) {
        match event.kind {
            CallEventKind::Started { .. } => _ = self.started.fetch_add(1, Ordering::Relaxed),
            CallEventKind::Answered { .. } => _ = self.answered.fetch_add(1, Ordering::Relaxed),
            CallEventKind::Ended { cause, .. } => {
                let counters = HangupCause::ALL.iter().zip(&self.ended);
                counters.filter(|(known, _)| **known == cause).for_each(|(_, n)| _ = n.fetch_add(1, Ordering::Relaxed));
            }
            CallEventKind::Redirected { .. }
            | CallEventKind::Invited { .. }
            | CallEventKind::Ringing { .. }
            | CallEventKind::Held { .. }
            | CallEventKind::Renegotiated
            | CallEventKind::Dtmf { .. }
            | CallEventKind::Transferred { .. }
            | CallEventKind::Detached { .. }
            | CallEventKind::Resumed { .. }
            | CallEventKind::LegEnded { .. } => {}
        }
    }

    fn presence(&self, _change: PresenceChange) {}
}

#[cfg(test)]
mod tests {
    use causeway_call_core::{CallId, EndedBy};
    use causeway_types::UnixTime;

    use super::*;

    #[test]
    fn ended_calls_are_counted_by_cause() {
        let counters = Counters::default();
        let kind = CallEventKind::Ended { cause: HangupCause::Busy, by: EndedBy::Callee };
        counters.call(CallEvent { at: UnixTime::from_secs(1), call: CallId(1), kind });
        let counts: Vec<u64> = counters.ended.iter().map(|n| n.load(Ordering::Relaxed)).collect();
        let busy = HangupCause::ALL.iter().position(|cause| *cause == HangupCause::Busy).unwrap();
        assert_eq!((counts[busy], counts.iter().sum::<u64>()), (1, 1));
    }
}
