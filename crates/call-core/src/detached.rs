//! Connections that are lost, come back, or went with their node.

use causeway_types::Now;

use crate::{
    CallEventKind, CallServer, ConnectionId, EndedBy, HangupCause, LegId, LegMessage, LegRoute, NodeId, call::Phase,
    timers::Timer,
};

impl CallServer {
    /// A client's connection is gone. Its legs wait for it as long as its dialect's grace, or end.
    pub fn handle_connection_lost(&mut self, now: Now, connection: ConnectionId) {
        for leg in self.legs_on(connection) {
            self.lose(now, leg, true);
        }
    }

    /// A node is gone with every connection it had: nobody comes back to it. How many legs that ended.
    pub fn handle_node_lost(&mut self, now: Now, node: NodeId) -> usize {
        let first = ConnectionId { node, number: 0 };
        let last = ConnectionId { node, number: u64::MAX };
        let legs: Vec<LegId> =
            self.by_connection.range((first, LegId(0))..=(last, LegId(u128::MAX))).map(|(_, leg)| *leg).collect();
        let n_legs = legs.len();
        for leg in legs {
            self.lose(now, leg, false);
        }
        n_legs + self.lose_guests_of(node)
    }

    pub(crate) fn lose(&mut self, now: Now, id: LegId, may_return: bool) {
        let Some(leg) = self.legs.get_mut(&id) else { return self.lose_guest(id) };
        let Some(call) = self.calls.get(&leg.call) else { return };
        let (call_id, is_caller) = (call.id, call.caller == id);
        if call.ringing.contains(&id) {
            let who = leg.identity.clone();
            self.leg_out(now, id, HangupCause::ConnectionLost, false);
            self.ask_next(now, call_id, &who);
            self.end_if_nobody_is_left(now, call_id, EndedBy::Server);
            return;
        }
        match leg.route.traits.grace.filter(|_| may_return) {
            Some(grace) if leg.detached_until.is_none() => {
                let until = now.mono + grace;
                leg.detached_until = Some(until);
                self.timers.set(until, Timer::Detached(id));
                self.event(now, call_id, CallEventKind::Detached { leg: id });
            }
            Some(_) => {}
            None => {
                let by = if is_caller { EndedBy::Caller } else { EndedBy::Callee };
                self.end_call(now, call_id, HangupCause::ConnectionLost, by, Some(id));
            }
        }
    }

    pub(crate) fn detached_due(&mut self, now: Now, id: LegId) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        if leg.detached_until.is_none_or(|until| until > now.mono) {
            return;
        }
        leg.detached_until = None;
        if leg.route.connection.node != self.node {
            // Its own node keeps it until it hears that it is over.
            self.say(id, LegMessage::Ended { cause: HangupCause::ConnectionLost });
        }
        self.lose(now, id, false);
    }

    /// A client is back on another connection: its legs go with it, and what waited for it is said. The legs that it has now.
    ///
    /// The shell verified that it is the same client (same identity, same session).
    pub fn handle_connection_resumed(&mut self, now: Now, old: ConnectionId, route: LegRoute) -> Vec<LegId> {
        let legs = self.legs_on(old);
        for id in &legs {
            if self.guests.contains_key(id) {
                self.resume_guest(*id, route);
            } else {
                self.resume_leg(now, *id, old, route);
            }
        }
        legs
    }

    /// Whether a leg is where only a resumed client can go on: for dialects that describe what a returning client still has.
    #[must_use]
    pub fn is_answered(&self, leg: LegId) -> bool {
        if let Some(guest) = self.guests.get(&leg) {
            return guest.is_answered;
        }
        let call = self.legs.get(&leg).and_then(|leg| self.calls.get(&leg.call));
        call.is_some_and(|call| matches!(call.phase, Phase::Active { .. }))
    }
}
