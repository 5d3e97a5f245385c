//! Over which path a party's media went, as far as its relay sessions tell.

use std::time::Duration;

use causeway_types::UnixTime;

/// Payload below this mean rate is connectivity checks, not media: bytes per second of both ways.
const MEDIA_BYTES_PER_SEC: u64 = 500;
/// The handshake of a path that is then not taken may be as large.
const HANDSHAKE_BYTES_MAX: u64 = 8 * 1024;
/// A talk that is shorter may have ended before much was said.
const SETTLED: Duration = Duration::from_secs(20);

/// A relay session of a party, as far as the path needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionSpan {
    /// When it began.
    pub started: UnixTime,
    /// When it ended; none while it lives.
    pub ended: Option<UnixTime>,
    /// Payload to and from peers.
    pub payload_bytes: u64,
}

/// The path of one party's media.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallPath {
    /// Through this relay, over the party's own allocation.
    Relayed,
    /// Past the party's own allocation, which carried connectivity checks alone.
    Direct,
    /// Nobody answered, the party has no session here, or too little happened to tell.
    Unknown,
}

impl CallPath {
    /// As in answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Relayed => "relayed",
            Self::Direct => "direct",
            Self::Unknown => "unknown",
        }
    }

    /// The path of a party of a call that was answered and, if it did, ended at these times. Sessions are the party's.
    #[must_use]
    pub fn of(answered: Option<UnixTime>, ended: UnixTime, sessions: &[SessionSpan]) -> Self {
        let Some(answered) = answered else { return Self::Unknown };
        let overlaps = |session: &&SessionSpan| {
            session.started <= ended && session.ended.is_none_or(|session_end| session_end >= answered)
        };
        let (mut carried, mut is_there) = (0_u64, false);
        for session in sessions.iter().filter(overlaps) {
            is_there = true;
            carried = carried.saturating_add(session.payload_bytes);
        }
        let talk = ended.saturating_since(answered);
        let media = HANDSHAKE_BYTES_MAX.max(MEDIA_BYTES_PER_SEC.saturating_mul(talk.as_secs()));
        match (is_there, carried >= media, talk >= SETTLED) {
            (false, _, _) | (true, false, false) => Self::Unknown,
            (true, true, _) => Self::Relayed,
            (true, false, true) => Self::Direct,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(secs: u64) -> UnixTime {
        UnixTime::from_secs(secs)
    }

    #[track_caller]
    fn check(talk: u64, sessions: &[(u64, Option<u64>, u64)], expected: CallPath) {
        let span = |(started, ended, payload_bytes): &(u64, Option<u64>, u64)| SessionSpan {
            started: at(*started),
            ended: ended.map(at),
            payload_bytes: *payload_bytes,
        };
        let sessions: Vec<SessionSpan> = sessions.iter().map(span).collect();
        assert_eq!(CallPath::of(Some(at(1000)), at(1000 + talk), &sessions), expected, "{talk} s {sessions:?}");
    }

    #[test]
    fn media_is_told_from_connectivity_checks_by_its_rate() {
        check(60, &[(995, Some(1061), 30_000)], CallPath::Relayed);
        check(60, &[(995, Some(1061), 29_999)], CallPath::Direct);
        check(60, &[(995, None, 100)], CallPath::Direct);
        // Several allocations of one party add up.
        check(60, &[(995, None, 20_000), (996, None, 10_000)], CallPath::Relayed);
    }

    #[test]
    fn a_short_talk_tells_nothing_unless_much_was_carried() {
        check(19, &[(995, None, 9_000)], CallPath::Unknown);
        check(3, &[(995, None, 8 * 1024)], CallPath::Relayed);
        check(3, &[(995, None, 8 * 1024 - 1)], CallPath::Unknown);
        check(20, &[(995, None, 0)], CallPath::Direct);
    }

    #[test]
    fn sessions_of_other_calls_and_calls_that_nobody_answered_tell_nothing() {
        check(60, &[], CallPath::Unknown);
        check(60, &[(900, Some(999), 90_000), (1061, None, 90_000)], CallPath::Unknown);
        assert_eq!(CallPath::of(None, at(9), &[]), CallPath::Unknown);
    }
}
