//! INVITE: who calls whom, and whether they may.

use std::{sync::Arc, time::Duration};

use causeway_call_core::{HangupCause, Identity, LegId, Party, Refusal, Target};
use causeway_sip_core::{AskId, DialAsk};
use causeway_switchboard::Placing;

use crate::{
    LimitReached,
    client::Client,
    domain::Domain,
    proof::{Claim, Doubt},
};

impl Client {
    pub(crate) async fn dial(&mut self, ask: DialAsk) {
        let id = ask.ask;
        let (from_host, to_host) = (ask.from.uri.host.clone(), ask.to.host.clone());
        let outcome = match (Domain::of(&from_host), Domain::of(&to_host)) {
            (Domain::Key { key, cloud }, Domain::Service { cloud: asked }) if cloud == asked => {
                self.dial_service(ask, key, cloud).await;
                return;
            }
            (_, Domain::Service { .. } | Domain::Cloud { .. }) => Err(Doubt::Answer(404, Vec::new())),
            (Domain::Key { key, cloud }, Domain::Key { key: theirs, cloud: asked })
                if (key, cloud) != (theirs, asked) =>
            {
                Err(Doubt::Answer(403, Vec::new()))
            }
            _ => self.call_client(&ask).await,
        };
        let placed = outcome.and_then(|(from, target)| self.place(ask, from, target));
        self.placed(id, placed);
    }

    /// Tells the client what became of its call; the leg, when there is one.
    pub(crate) fn placed(&mut self, id: AskId, placed: Result<LegId, Doubt>) -> Option<LegId> {
        match placed {
            // The client may have cancelled while it was judged.
            Ok(leg) if self.agent.handle_dialled(id, leg) => return Some(leg),
            Ok(leg) => {
                // A call that ended by itself meanwhile is over as well.
                let _is_over = self.connection.hang_up(leg, HangupCause::Cancelled);
            }
            Err(doubt) => self.refuse(id, doubt),
        }
        None
    }

    async fn call_client(&mut self, ask: &DialAsk) -> Result<(Identity, Target), Doubt> {
        let claim = Claim {
            method: "INVITE",
            request_uri: &ask.request_uri,
            from: &ask.from.uri,
            credentials: ask.credentials.as_ref(),
        };
        let proven = self.prove(claim).await?;
        let target = match &ask.replaces {
            Some(replaced) => {
                let leg = LegId::parse(&replaced.call_id).ok_or(Doubt::Answer(481, Vec::new()))?;
                self.replacing(leg, Identity::new(proven.identity.account, &ask.to.user))?
            }
            None => {
                let callee = Identity::new(proven.identity.account, &ask.to.user);
                (callee.clone(), Target::Identities(vec![callee]))
            }
        };
        let (callee, target) = target;
        if callee.name.is_empty() {
            return Err(Doubt::Answer(404, Vec::new()));
        }
        if !proven.callees.allows(&callee.name) {
            return Err(Doubt::Answer(403, Vec::new()));
        }
        Ok((proven.identity, target))
    }

    /// Whose call it is that a call to `named` replaces: at a leg that is known here, or wherever `named` is registered.
    fn replacing(&self, leg: LegId, named: Identity) -> Result<(Identity, Target), Doubt> {
        let board = &self.service.board;
        let known = board.leg(leg).filter(|known| known.identity.account == named.account);
        let other = known.as_ref().and_then(|known| known.other);
        // The leg of a call that its own server knows may stand for the other one.
        if let Some(other) = other.filter(|other| board.leg(*other).is_some_and(|other| other.identity == named)) {
            return Ok((named, Target::Replacing(other)));
        }
        match known {
            Some(known) if known.identity == named || !board.has_others() => {
                Ok((known.identity, Target::Replacing(leg)))
            }
            _ if board.has_others() => Ok((named.clone(), Target::ReplacingAt { leg, party: named })),
            _ => Err(Doubt::Answer(481, Vec::new())),
        }
    }

    pub(crate) fn place(&self, ask: DialAsk, from: Identity, target: Target) -> Result<LegId, Doubt> {
        let offer = ask.offer.ok_or(Doubt::Answer(488, Vec::new()))?;
        let ring = self.service.settings.ring.rule(&Domain::of(&ask.to.host));
        let placing = Placing {
            from: Party { identity: from, display: Arc::from(ask.from.display.as_str()) },
            target,
            offer,
            is_trickling: false,
            headers: ask.headers,
            ring,
            ring_for: ask.expires.map(|secs| Duration::from_secs(secs.into())),
        };
        self.connection.dial(placing).map_err(|refusal| self.not_placed(refusal))
    }

    fn not_placed(&self, refusal: Refusal) -> Doubt {
        let status = match refusal {
            Refusal::TooManyCalls => 503,
            Refusal::TooManyLegs => 486,
            Refusal::Description | Refusal::Headers => 413,
            Refusal::Targets => 404,
            Refusal::NoSuchLeg => 481,
            Refusal::WrongState | Refusal::RenegotiationPending | Refusal::NeedsMedia | Refusal::Candidates | _ => 500,
        };
        if matches!(refusal, Refusal::TooManyCalls | Refusal::TooManyLegs) {
            self.service.counters.limit(LimitReached::Calls);
        }
        Doubt::Answer(status, Vec::new())
    }
}
