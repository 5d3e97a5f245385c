//! From an agent to the call core: what a client does inside its calls needs no shell.

use causeway_call_core::{CallServer, ConnectionId, HangupCause, Identity, LegId, Refusal};
use causeway_types::Now;

use crate::{Act, AgentOutput, VertoAgent};

/// Takes an output to the call core if it is about a leg, and tells the agent what came of it. What is the shell's comes back.
pub fn pass(
    now: Now,
    agent: &mut VertoAgent,
    calls: &mut CallServer,
    connection: ConnectionId,
    output: AgentOutput,
) -> Option<AgentOutput> {
    let AgentOutput::Act { request, leg, act } = output else { return Some(output) };
    let outcome = act_on(now, calls, connection, leg, act);
    agent.handle_act_outcome(request, outcome);
    None
}

fn act_on(now: Now, calls: &mut CallServer, connection: ConnectionId, leg: LegId, act: Act) -> Result<(), Refusal> {
    match act {
        Act::Progress(progress) => calls.handle_progress(now, connection, leg, progress),
        Act::Answer { answer, headers, is_trickling } => {
            let outcome = calls.handle_answer(now, connection, leg, answer, headers, is_trickling);
            if outcome.is_err() {
                // The client believes that it talks: its leg ends, if it is still there.
                return calls.handle_hangup(now, connection, leg, HangupCause::IncompatibleMedia).and(outcome);
            }
            outcome
        }
        Act::HangUp(cause) => calls.handle_hangup(now, connection, leg, cause),
        Act::Candidate(candidate) => calls.handle_candidate(connection, leg, candidate),
        Act::EndOfCandidates => calls.handle_end_of_candidates(now, connection, leg),
        Act::Reoffer(offer) => calls.handle_reoffer(now, connection, leg, offer),
        Act::Reanswer(answer) => calls.handle_reanswer(now, connection, leg, answer),
        Act::Hold(is_held) => calls.handle_hold(now, connection, leg, is_held),
        Act::Info(info) => calls.handle_info(now, connection, leg, info),
        Act::Transfer(to) => {
            let account = calls.leg(leg).ok_or(Refusal::NoSuchLeg)?.identity.account;
            calls.handle_transfer(now, connection, leg, Identity::new(account, &to), None)
        }
    }
}
