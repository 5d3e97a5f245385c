//! Lifetimes: what is prolonged in time, and what ends (RFC 8656 §8, §10, §12.1).

use std::time::{Duration, Instant};

use causeway_types::Now;

use crate::{TurnClient, client::Timer, io::Output, request::Request};

/// Permissions live 300 s (RFC 8656 §9) and channels 600 s (§12); both are prolonged after this long.
const PEERS_INTERVAL: Duration = Duration::from_secs(240);
/// How long before its end an allocation is prolonged (RFC 8656 §8.1 asks for about a minute).
const REFRESH_MARGIN: Duration = Duration::from_secs(60);

impl TurnClient {
    /// The allocation lives until `lifetime` from now.
    pub(crate) fn allocation_lives(&mut self, now: Now, lifetime: Duration) {
        self.set_deadline(Timer::Expiry, deadline(now, lifetime));
        let early = lifetime.saturating_sub(REFRESH_MARGIN.min(lifetime / 2));
        let refresh = if self.config.keep_alive { deadline(now, early) } else { None };
        self.set_deadline(Timer::Refresh, refresh);
    }

    /// There is a permission or a channel.
    pub(crate) fn peers_live(&mut self, now: Now) {
        if self.config.keep_alive && !self.deadlines.contains_key(&Timer::Peers) {
            self.set_deadline(Timer::Peers, deadline(now, PEERS_INTERVAL));
        }
    }

    pub(crate) fn keep_alive_due(&mut self, now: Now, timer: Timer) {
        let Some(allocation) = &self.allocation else { return };
        match timer {
            Timer::Refresh => {
                let lifetime = Some(allocation.lifetime);
                self.send_request(now, None, Request::Refresh { lifetime }, 0);
            }
            Timer::Peers => self.prolong_peers(now),
            Timer::Expiry => {
                self.forget_allocation();
                self.outputs.push_back(Output::AllocationLost);
            }
            Timer::Transaction(_) => {}
        }
    }

    fn prolong_peers(&mut self, now: Now) {
        let peers: Vec<_> = self.permitted.iter().copied().collect();
        if !peers.is_empty() {
            self.send_request(now, None, Request::CreatePermission { peers }, 0);
        }
        let channels: Vec<_> = self.peer_by_channel.iter().map(|(number, peer)| (*number, *peer)).collect();
        for (number, peer) in channels {
            self.send_request(now, None, Request::ChannelBind { number, peer }, 0);
        }
        self.set_deadline(Timer::Peers, deadline(now, PEERS_INTERVAL));
    }
}

/// A lifetime too long for the clock never ends.
fn deadline(now: Now, after: Duration) -> Option<Instant> {
    now.mono.checked_add(after)
}
