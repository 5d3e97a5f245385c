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
        HangupCause::Incomplete => wire("MANDATORY_IE_MISSING", 96, 400),
        HangupCause::GatewayTimeout => wire("RECOVERY_ON_TIMER_EXPIRE", 102, 504),
        HangupCause::BadGateway => wire("INVALID_GATEWAY", 608, 0),
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
    match name.unwrap_or_default() {
        "USER_BUSY" => HangupCause::Busy,
        "CALL_REJECTED" => HangupCause::Rejected,
        "NO_ANSWER" => HangupCause::NoAnswer,
        "NO_USER_RESPONSE" => HangupCause::TimedOut,
        "UNALLOCATED_NUMBER" => HangupCause::NotFound,
        "USER_NOT_REGISTERED" => HangupCause::NotRegistered,
        "INCOMPATIBLE_DESTINATION" => HangupCause::IncompatibleMedia,
        "MANDATORY_IE_MISSING" => HangupCause::Incomplete,
        "RECOVERY_ON_TIMER_EXPIRE" => HangupCause::GatewayTimeout,
        "INVALID_GATEWAY" => HangupCause::BadGateway,
        "ORIGINATOR_CANCEL" => HangupCause::Cancelled,
        "LOSE_RACE" => HangupCause::AnsweredElsewhere,
        "ALLOTTED_TIMEOUT" => HangupCause::DurationLimit,
        "NORMAL_TEMPORARY_FAILURE" => HangupCause::Failure,
        _ => HangupCause::Normal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The libraries' names with their numbers and SIP codes, and the cause that a party means by each.
    const TABLE: [(&str, u16, u16, HangupCause); 15] = [
        ("UNALLOCATED_NUMBER", 1, 404, HangupCause::NotFound),
        ("NORMAL_CLEARING", 16, 200, HangupCause::Normal),
        ("USER_BUSY", 17, 486, HangupCause::Busy),
        ("NO_USER_RESPONSE", 18, 408, HangupCause::TimedOut),
        ("NO_ANSWER", 19, 480, HangupCause::NoAnswer),
        ("CALL_REJECTED", 21, 603, HangupCause::Rejected),
        ("NORMAL_TEMPORARY_FAILURE", 41, 503, HangupCause::Failure),
        ("INCOMPATIBLE_DESTINATION", 88, 488, HangupCause::IncompatibleMedia),
        ("MANDATORY_IE_MISSING", 96, 400, HangupCause::Incomplete),
        ("RECOVERY_ON_TIMER_EXPIRE", 102, 504, HangupCause::GatewayTimeout),
        ("ORIGINATOR_CANCEL", 487, 487, HangupCause::Cancelled),
        ("LOSE_RACE", 502, 0, HangupCause::AnsweredElsewhere),
        ("ALLOTTED_TIMEOUT", 602, 0, HangupCause::DurationLimit),
        ("USER_NOT_REGISTERED", 606, 480, HangupCause::NotRegistered),
        ("INVALID_GATEWAY", 608, 0, HangupCause::BadGateway),
    ];

    #[test]
    fn what_a_party_says_comes_out_at_the_other_as_it_was_said() {
        for (name, code, sip, cause) in TABLE {
            assert_eq!(read(Some(name)), cause, "{name}");
            assert_eq!(of(cause), wire(name, code, sip), "{name}");
        }
        assert_eq!(read(Some("SOMETHING_ELSE")), HangupCause::Normal);
        assert_eq!(read(None), HangupCause::Normal);
    }

    #[test]
    fn causes_that_no_client_says_are_told_in_words_of_the_table() {
        for (cause, name) in [
            (HangupCause::Forbidden, "CALL_REJECTED 21 403"),
            (HangupCause::ConnectionLost, "NO_USER_RESPONSE 18 408"),
            (HangupCause::Replaced, "NORMAL_CLEARING 16 200"),
            (HangupCause::Administrative, "NORMAL_CLEARING 16 200"),
            (HangupCause::Congestion, "NORMAL_TEMPORARY_FAILURE 41 503"),
            (HangupCause::Shutdown, "NORMAL_TEMPORARY_FAILURE 41 503"),
        ] {
            let told = of(cause);
            assert_eq!(format!("{} {} {}", told.name, told.code, told.sip.unwrap_or(0)), name, "{cause:?}");
        }
        let said = TABLE.map(|(.., cause)| cause);
        let only_told = HangupCause::ALL.into_iter().filter(|cause| !said.contains(cause));
        assert_eq!(only_told.count(), 6, "a cause is in neither table");
    }
}
