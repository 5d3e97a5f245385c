//! What explains a session: marks on its way, first payload each way, what was tried before it.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use causeway_types::FiveTuple;

use crate::bitrate::Bitrate;

/// Marks kept per session.
pub const MARKS_MAX: usize = 64;
/// Refreshes among them; a later one takes the place of the last.
const REFRESHES_MAX: usize = 8;

/// What explains a session, as it is written.
#[derive(Clone, Debug, Default)]
pub struct SessionInsight {
    /// From start to the first payload towards a peer.
    pub first_sent: Option<Duration>,
    /// From start to the first payload from a peer.
    pub first_heard: Option<Duration>,
    /// How long before its start a UDP Allocate from the same address was challenged and never followed up.
    pub udp_unanswered: Option<Duration>,
    /// What happened on the way, in order.
    pub marks: Vec<Mark>,
    /// Marks beyond [`MARKS_MAX`].
    pub marks_folded: u32,
    /// What it carried over time.
    pub bitrate: Bitrate,
}

impl SessionInsight {
    /// Adds a mark, within the limit.
    pub fn mark(&mut self, after: Duration, what: MarkKind) {
        let is_refresh = |mark: &Mark| matches!(mark.what, MarkKind::Refreshed { .. });
        let mark = Mark { after, what };
        if is_refresh(&mark)
            && self.marks.iter().filter(|mark| is_refresh(mark)).count() >= REFRESHES_MAX
            && let Some(last) = self.marks.iter().rposition(is_refresh)
        {
            self.marks.remove(last);
            self.marks_folded = self.marks_folded.saturating_add(1);
        }
        if self.marks.len() < MARKS_MAX {
            self.marks.push(mark);
        } else {
            self.marks_folded = self.marks_folded.saturating_add(1);
        }
    }
}

/// Something that happened to a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Since its start.
    pub after: Duration,
    /// What.
    pub what: MarkKind,
}

/// What may happen to a session between its start and its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MarkKind {
    /// The client named a peer for the first time, and may reach it.
    PeerNamed {
        /// Which.
        peer: SocketAddr,
    },
    /// The peer policy refused a peer.
    PeerRefused {
        /// Which.
        peer: SocketAddr,
        /// By which rule.
        rule: Arc<str>,
    },
    /// A reloaded policy took a peer back.
    PeerWithdrawn {
        /// Which.
        peer: SocketAddr,
        /// By which rule.
        rule: Arc<str>,
    },
    /// The client extended it.
    Refreshed {
        /// For how long.
        lifetime: Duration,
    },
    /// The client came back from another five-tuple.
    Moved {
        /// Where it was.
        from: FiveTuple,
        /// Where it is.
        to: FiveTuple,
    },
}

impl MarkKind {
    /// Stable snake-case name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::PeerNamed { .. } => "peer_named",
            Self::PeerRefused { .. } => "peer_refused",
            Self::PeerWithdrawn { .. } => "peer_withdrawn",
            Self::Refreshed { .. } => "refreshed",
            Self::Moved { .. } => "path_changed",
        }
    }
}

/// What explains a session, as it is read: addresses are what the privacy setting left of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InsightView {
    /// From start to the first payload towards a peer.
    pub first_sent: Option<Duration>,
    /// From start to the first payload from a peer.
    pub first_heard: Option<Duration>,
    /// How long before its start a UDP Allocate from the same address was challenged and never followed up.
    pub udp_unanswered: Option<Duration>,
    /// What happened on the way, in order.
    pub marks: Vec<MarkView>,
    /// Marks that did not fit.
    pub marks_folded: u32,
    /// What it carried over time.
    pub bitrate: Bitrate,
}

/// A mark as it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarkView {
    /// Since the session's start.
    pub after: Duration,
    /// One of [`MarkKind::name`].
    pub kind: String,
    /// The peer, the new client address, or the seconds granted.
    pub subject: String,
    /// The rule, or the old client address.
    pub detail: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_stay_within_their_limit_and_the_last_refresh_is_kept() {
        let mut insight = SessionInsight::default();
        for secs in 0..200 {
            insight.mark(Duration::from_secs(secs), MarkKind::Refreshed { lifetime: Duration::from_secs(600) });
        }
        assert_eq!((insight.marks.len(), insight.marks_folded), (REFRESHES_MAX, 192));
        assert_eq!(insight.marks.last().map(|mark| mark.after), Some(Duration::from_secs(199)));
        for port in 0..100 {
            insight.mark(Duration::ZERO, MarkKind::PeerNamed { peer: ([192, 0, 2, 1], port).into() });
        }
        assert_eq!((insight.marks.len(), insight.marks_folded), (MARKS_MAX, 192 + 44));
    }
}
