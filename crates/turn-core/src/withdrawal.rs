//! A reloaded peer policy reaches what was granted under the old one.
//!
//! Everything live is judged once, when the policy changes; a packet costs what it did before.

use std::{net::SocketAddr, sync::Arc};

use causeway_types::{Now, RelayEvent};

use crate::{
    TurnServer,
    io::{ConnectionId, Output},
    peer_policy::Verdict,
};

impl TurnServer {
    /// Takes permissions, channels and peer connections back that the policy in force would not grant.
    pub(crate) fn judge_peers_again(&mut self, now: Now) {
        let policy = Arc::clone(&self.config.peer_policy);
        let keys: Vec<usize> = self.allocations.iter().map(|(key, _)| key).collect();
        for key in keys {
            let Some(allocation) = self.allocations.get_mut(key) else { continue };
            let mut refused = allocation.withdraw_refused(&policy);
            let connections = allocation.connections.clone();
            for connection in connections {
                refused.extend(self.judge_connection_again(now, connection));
            }
            for (peer, rule) in refused {
                self.tell_withdrawn(key, peer, rule);
            }
            self.reschedule(key);
        }
    }

    /// Ends a connection that Connect or an inbound connection would not be given any more; its peer and the rule.
    fn judge_connection_again(&mut self, now: Now, connection: ConnectionId) -> Option<(SocketAddr, Arc<str>)> {
        let peer = self.peer_of(connection)?;
        let rule = match self.config.peer_policy.check_address(peer) {
            Verdict::Refused(rule) => rule,
            // Open to relayed datagrams, never to a connection.
            Verdict::OwnRelayOnly => "default: this host's own address".into(),
            Verdict::Allowed | Verdict::AllowedExceptServices => return None,
        };
        self.connection_due(now, connection);
        Some((peer, rule))
    }

    fn tell_withdrawn(&mut self, key: usize, peer: SocketAddr, rule: Arc<str>) {
        let Some(allocation) = self.allocations.get(key) else { return };
        self.stats.peers_withdrawn += 1;
        let event = RelayEvent::PeerWithdrawn { allocation: allocation.id, peer, rule };
        self.outputs.push_back(Output::Event(event));
    }
}
