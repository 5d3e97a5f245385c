//! From an agent to the call core: what a client does inside its calls needs no shell.

use std::sync::Arc;

use causeway_call_core::{CallServer, ConnectionId, HangupCause, Identity, LegId, Refusal};
use causeway_types::Now;

use crate::{AgentOutput, ReplacesRef, SipAgent, Uri};

/// Takes an output to the call core if it is about a leg, and tells the agent of a refusal. What is the shell's comes back.
pub fn pass(
    now: Now,
    agent: &mut SipAgent,
    calls: &mut CallServer,
    connection: ConnectionId,
    output: AgentOutput,
) -> Option<AgentOutput> {
    let outcome = match output {
        AgentOutput::Progress { leg, progress } => calls.handle_progress(now, connection, leg, progress),
        AgentOutput::Answer { leg, answer, headers } => answered(now, agent, calls, connection, leg, answer, headers),
        AgentOutput::HangUp { leg, cause } => calls.handle_hangup(now, connection, leg, cause),
        AgentOutput::Reoffer { leg, offer } => {
            let outcome = calls.handle_reoffer(now, connection, leg, offer);
            if let Err(refusal) = outcome {
                agent.handle_reoffer_refused(leg, if refusal == Refusal::RenegotiationPending { 491 } else { 488 });
            }
            outcome
        }
        AgentOutput::Reanswer { leg, answer } => calls.handle_reanswer(now, connection, leg, answer),
        AgentOutput::ReofferRefused { leg, cause } => calls.handle_reoffer_refused(connection, leg, cause),
        AgentOutput::Info { leg, info } => calls.handle_info(now, connection, leg, info),
        AgentOutput::Transfer { leg, to, replaces } => {
            let outcome = transfer(now, agent, calls, connection, leg, &to, replaces.as_ref());
            if let Err(refusal) = outcome {
                let cause = if refusal == Refusal::NeedsMedia { HangupCause::Failure } else { HangupCause::NotFound };
                agent.handle_transfer_refused(now, leg, cause);
            }
            outcome
        }
        AgentOutput::TransferProgress { leg, outcome } => calls.handle_transfer_progress(connection, leg, outcome),
        AgentOutput::Send(_)
        | AgentOutput::Register(_)
        | AgentOutput::Dial(_)
        | AgentOutput::IceServers { .. }
        | AgentOutput::Page { .. }
        | AgentOutput::PageAnswered { .. } => return Some(output),
    };
    // A refusal of the rest means that the call ended meanwhile: the agent has heard or will hear of it.
    outcome.err().and(None)
}

/// An answer that came too late, or cannot be used: the client must not believe that it talks.
fn answered(
    now: Now,
    agent: &mut SipAgent,
    calls: &mut CallServer,
    connection: ConnectionId,
    leg: LegId,
    answer: Arc<str>,
    headers: Vec<causeway_call_core::Header>,
) -> Result<(), Refusal> {
    let outcome = calls.handle_answer(now, connection, leg, answer, headers, false);
    if outcome.is_err() {
        agent.handle_leg_message(
            now,
            leg,
            causeway_call_core::LegMessage::Ended { cause: HangupCause::IncompatibleMedia },
        );
        // Whether the leg is still there: then it ends with its client.
        calls.handle_hangup(now, connection, leg, HangupCause::IncompatibleMedia).or(outcome)
    } else {
        outcome
    }
}

fn transfer(
    now: Now,
    agent: &SipAgent,
    calls: &mut CallServer,
    connection: ConnectionId,
    leg: LegId,
    to: &Uri,
    replaces: Option<&ReplacesRef>,
) -> Result<(), Refusal> {
    let account = calls.leg(leg).ok_or(Refusal::NoSuchLeg)?.identity.account;
    let replaced = match replaces {
        Some(named) => Some(replaced_leg(agent, calls, named).ok_or(Refusal::NoSuchLeg)?),
        None => None,
    };
    calls.handle_transfer(now, connection, leg, Identity::new(account, &to.user), replaced)
}

/// The leg of the party whose call is to be replaced: across the transferring client's own call with it.
fn replaced_leg(agent: &SipAgent, calls: &CallServer, named: &ReplacesRef) -> Option<LegId> {
    let tags = [&named.to_tag, &named.from_tag];
    let own = tags.iter().find_map(|tag| agent.leg_of_dialog(&named.call_id, tag))?;
    // The other leg of a call that another server owns is known there: the client's own stands for it.
    calls.leg(own)?.other.or_else(|| calls.is_guest(own).then_some(own))
}
