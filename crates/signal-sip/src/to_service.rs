//! Calls to a service: a name that is no client, and what stands behind it.

use std::sync::Arc;

use causeway_call_core::{HangupCause, LegId, Target};
use causeway_sip_core::{AskId, DialAsk, status::status_of};

use crate::{
    LimitReached, ServiceAsk, ServiceDecision, ServiceRoute, SipService, client::Client, domain::Domain, proof::Doubt,
};

/// Decisions of one connection that are waited for at once: a client that gives up and calls again is asked about anew.
const DECISIONS_MAX: usize = 8;

impl Client {
    /// A service call has no token: the access key alone stands for it.
    pub(crate) async fn dial_service(&mut self, ask: DialAsk, key: &str, cloud: &str) {
        let id = ask.ask;
        let asked = self.service_ask(&ask, key, cloud);
        let route = match self.service.may_call_service(self.address) {
            Ok(()) => self.service.access.service(&asked).await,
            Err(limit) => self.too_many_services(limit),
        };
        let (from, target) = match route {
            ServiceRoute::Dial { from, to } => (from, Target::Identities(to)),
            ServiceRoute::Ask { from } => match self.may_wait() {
                Ok(()) => (from, Target::Parked),
                Err(limit) => return self.refuse_service(id, &self.too_many_services(limit)),
            },
            reject @ ServiceRoute::Reject(_) => return self.refuse_service(id, &reject),
        };
        let is_waiting = target == Target::Parked;
        let placed = self.place(ask, from, target);
        let Some(leg) = self.placed(id, placed) else { return };
        let Some(call) = self.service.board.leg(leg).map(|leg| leg.call) else { return };
        self.service.access.service_called(call, &asked.service);
        if is_waiting {
            let service = Arc::clone(&self.service);
            self.decisions.spawn(async move {
                let decision = service.access.decide(asked, call).await;
                service.decided(leg, decision);
            });
        }
    }

    fn service_ask(&self, ask: &DialAsk, key: &str, cloud: &str) -> ServiceAsk {
        ServiceAsk {
            key: key.to_owned(),
            cloud: cloud.to_owned(),
            service: ask.to.user.clone(),
            caller: ask.from.uri.user.clone(),
            registered: self.bound.iter().map(|(identity, _)| identity.clone()).collect(),
            address: self.address,
            headers: ask.headers.iter().map(|header| (header.name.clone(), header.value.clone())).collect(),
        }
    }

    fn may_wait(&mut self) -> Result<(), LimitReached> {
        while self.decisions.try_join_next().is_some() {}
        if self.decisions.len() >= DECISIONS_MAX { Err(LimitReached::ServiceCalls) } else { Ok(()) }
    }

    fn too_many_services(&self, limit: LimitReached) -> ServiceRoute {
        self.service.counters.limit(limit);
        ServiceRoute::Reject(HangupCause::Congestion)
    }

    fn refuse_service(&mut self, id: AskId, route: &ServiceRoute) {
        if let ServiceRoute::Reject(cause) = route {
            self.refuse(id, Doubt::Answer(status_of(*cause).max(400), Vec::new()));
        }
    }
}

impl SipService {
    /// A call that waited goes where it was decided. Its caller may have given up.
    fn decided(&self, leg: LegId, decision: ServiceDecision) {
        let outcome = match decision {
            ServiceDecision::Dial { to, ring, ring_for } => {
                let ring = ring.unwrap_or_else(|| self.settings.ring.rule(&Domain::Cloud { cloud: "" }));
                self.board.redirect_for(leg, to, ring, ring_for)
            }
            ServiceDecision::Reject(cause) => self.board.end(leg, cause),
        };
        if let Err(refusal) = outcome {
            tracing::debug!(%refusal, "a service call does not go where it was decided");
            // A call that is over cannot end again.
            let _is_over = self.board.end(leg, HangupCause::Failure);
        }
    }
}
