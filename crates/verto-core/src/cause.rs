//! Causes in the client libraries' words (`compat/telnyx.md#causes`), and how they and ours stand for each other.

use causeway_call_core::HangupCause;

/// A cause as a client shows it: `cause`, `causeCode`, `sipCode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WireCause {
    /// Name.
    pub name: &'static str,
    /// Number beside the name.
    pub code: u16,
    /// SIP status, where there is one.
    pub sip: Option<u16>,
}

const fn wire(name: &'static str, code: u16, sip: u16) -> WireCause {
    WireCause { name, code, sip: if sip == 0 { None } else { Some(sip) } }
}

/// What a client is told.
#[must_use]
pub const fn of(cause: HangupCause) -> WireCause {
    match cause {
        HangupCause::Normal | HangupCause::Replaced => wire("NORMAL_CLEARING", 16, 200),
        HangupCause::Cancelled => wire("ORIGINATOR_CANCEL", 487, 487),
        HangupCause::Busy => wire("USER_BUSY", 17, 486),
        HangupCause::Rejected => wire("CALL_REJECTED", 21, 603),
        HangupCause::NoAnswer => wire("NO_ANSWER", 19, 480),
        HangupCause::TimedOut => wire("NO_USER_RESPONSE", 18, 408),
        HangupCause::NotFound => wire("UNALLOCATED_NUMBER", 1, 404),
        HangupCause::NotRegistered => wire("USER_NOT_REGISTERED", 606, 480),
        HangupCause::Forbidden => wire("CALL_REJECTED", 21, 403),
        HangupCause::AnsweredElsewhere => wire("LOSE_RACE", 502, 0),
        HangupCause::ConnectionLost => wire("NO_USER_RESPONSE", 18, 408),
        HangupCause::IncompatibleMedia => wire("INCOMPATIBLE_DESTINATION", 88, 488),
        HangupCause::Administrative => wire("NORMAL_CLEARING", 16, 200),
        HangupCause::DurationLimit => wire("ALLOTTED_TIMEOUT", 602, 0),
        HangupCause::Congestion | HangupCause::Failure | HangupCause::Shutdown => {
            wire("NORMAL_TEMPORARY_FAILURE", 41, 503)
        }
    }
}

/// What a client means. Its library says `USER_BUSY` for every call that was not answered: the core decides by the leg's
/// role what that is. An unknown name is an ordinary end.
#[must_use]
pub fn read(name: Option<&str>) -> HangupCause {
    match name {
        Some("USER_BUSY") => HangupCause::Busy,
        Some("CALL_REJECTED") => HangupCause::Rejected,
        Some("NO_ANSWER" | "ALLOTTED_TIMEOUT") => HangupCause::NoAnswer,
        Some("NO_USER_RESPONSE") => HangupCause::TimedOut,
        Some("UNALLOCATED_NUMBER") => HangupCause::NotFound,
        Some("USER_NOT_REGISTERED") => HangupCause::NotRegistered,
        Some("INCOMPATIBLE_DESTINATION") => HangupCause::IncompatibleMedia,
        Some("ORIGINATOR_CANCEL") => HangupCause::Cancelled,
        Some("NORMAL_TEMPORARY_FAILURE" | "RECOVERY_ON_TIMER_EXPIRE" | "MANDATORY_IE_MISSING" | "INVALID_GATEWAY") => {
            HangupCause::Failure
        }
        Some(_) | None => HangupCause::Normal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_has_the_words_and_numbers_of_the_table() {
        let told: Vec<String> = HangupCause::ALL
            .iter()
            .map(|cause| {
                let WireCause { name, code, sip } = of(*cause);
                format!("{} {name} {code} {}", cause.name(), sip.unwrap_or(0))
            })
            .collect();
        assert_eq!(
            told,
            [
                "normal NORMAL_CLEARING 16 200",
                "cancelled ORIGINATOR_CANCEL 487 487",
                "busy USER_BUSY 17 486",
                "rejected CALL_REJECTED 21 603",
                "no_answer NO_ANSWER 19 480",
                "timed_out NO_USER_RESPONSE 18 408",
                "not_found UNALLOCATED_NUMBER 1 404",
                "not_registered USER_NOT_REGISTERED 606 480",
                "forbidden CALL_REJECTED 21 403",
                "answered_elsewhere LOSE_RACE 502 0",
                "connection_lost NO_USER_RESPONSE 18 408",
                "incompatible_media INCOMPATIBLE_DESTINATION 88 488",
                "replaced NORMAL_CLEARING 16 200",
                "administrative NORMAL_CLEARING 16 200",
                "duration_limit ALLOTTED_TIMEOUT 602 0",
                "congestion NORMAL_TEMPORARY_FAILURE 41 503",
                "failure NORMAL_TEMPORARY_FAILURE 41 503",
                "shutdown NORMAL_TEMPORARY_FAILURE 41 503",
            ]
        );
    }

    #[test]
    fn what_a_callee_says_comes_out_at_the_caller_as_it_was_said() {
        for name in ["USER_BUSY", "CALL_REJECTED", "NO_ANSWER", "UNALLOCATED_NUMBER", "INCOMPATIBLE_DESTINATION"] {
            assert_eq!(of(read(Some(name))).name, name);
        }
        assert_eq!(read(Some("SOMETHING_ELSE")), HangupCause::Normal);
        assert_eq!(read(None), HangupCause::Normal);
    }
}
