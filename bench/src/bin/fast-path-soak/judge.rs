//! Whether the kernel did right by a packet.

use std::time::Duration;

use crate::ledger::Look;

/// How long after its deadline a packet may still pass.
const AFTER_MAX: Duration = Duration::from_millis(10);
/// How long before its deadline a channel may end: the fast path rounds towards the safe side when it translates clocks.
const BEFORE_MAX: Duration = Duration::from_millis(2);

/// Where a packet came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Relayed.
    Far,
    /// At the socket of the server, which would relay it, or not, by itself.
    Near,
}

/// What was known when it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) look: Look,
    /// Nanoseconds of the ledger, before the call.
    pub(crate) at: u64,
}

/// What is to be said of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// As it should be.
    Right,
    /// The channel was changed while it was under way: either is right.
    Raced,
    /// Relayed when it should not have been any more.
    AfterDeadline(Duration),
    /// Relayed without a channel.
    WithoutChannel,
    /// Not relayed though there was a channel.
    BeforeDeadline(Duration),
}

/// `now` is a look at the same channel at `arrived_at`.
pub(crate) fn judge(sent: Sent, now: Look, arrived_at: u64, place: Place) -> Verdict {
    if sent.look.version != now.version || !now.is_settled() {
        return Verdict::Raced;
    }
    let until = sent.look.until;
    match place {
        Place::Far if until == 0 => Verdict::WithoutChannel,
        Place::Far => match Duration::from_nanos(sent.at.saturating_sub(until)) {
            late if late > AFTER_MAX => Verdict::AfterDeadline(late),
            _ => Verdict::Right,
        },
        Place::Near => match Duration::from_nanos(until.saturating_sub(arrived_at)) {
            left if left > BEFORE_MAX => Verdict::BeforeDeadline(left),
            _ => Verdict::Right,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn look(version: u64, until: u64) -> Look {
        Look { version, until, incarnation: 1 }
    }

    fn verdict(until: u64, at: u64, arrived_at: u64, place: Place) -> Verdict {
        judge(Sent { look: look(4, until), at }, look(4, until), arrived_at, place)
    }

    #[test]
    fn a_packet_passes_till_its_deadline_and_not_after() {
        assert_eq!(verdict(100 * MS, 99 * MS, 120 * MS, Place::Far), Verdict::Right);
        assert_eq!(verdict(100 * MS, 110 * MS, 120 * MS, Place::Far), Verdict::Right);
        let late = Verdict::AfterDeadline(Duration::from_millis(11));
        assert_eq!(verdict(100 * MS, 111 * MS, 120 * MS, Place::Far), late);
        assert_eq!(verdict(0, MS, 2 * MS, Place::Far), Verdict::WithoutChannel);
    }

    #[test]
    fn what_is_not_relayed_must_have_come_too_late() {
        assert_eq!(verdict(100 * MS, 99 * MS, 101 * MS, Place::Near), Verdict::Right);
        assert_eq!(verdict(100 * MS, 97 * MS, 98 * MS, Place::Near), Verdict::Right);
        let early = Verdict::BeforeDeadline(Duration::from_millis(3));
        assert_eq!(verdict(100 * MS, 96 * MS, 97 * MS, Place::Near), early);
        assert_eq!(verdict(0, MS, 2 * MS, Place::Near), Verdict::Right);
    }

    #[test]
    fn a_change_meanwhile_excuses_either() {
        let sent = Sent { look: look(4, 100 * MS), at: 200 * MS };
        assert_eq!(judge(sent, look(6, 0), 201 * MS, Place::Far), Verdict::Raced);
        let sent = Sent { look: look(5, 100 * MS), at: 0 };
        assert_eq!(judge(sent, look(5, 100 * MS), MS, Place::Near), Verdict::Raced);
    }
}
