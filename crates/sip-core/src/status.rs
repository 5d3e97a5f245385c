//! Status codes: their texts, and how they and hang-up causes stand for each other.

use causeway_call_core::HangupCause;

/// The reason phrase (RFC 3261 §21 and the documents that add codes).
#[must_use]
pub const fn reason(status: u16) -> &'static str {
    match status {
        100 => "Trying",
        180 => "Ringing",
        183 => "Session Progress",
        200 => "OK",
        202 => "Accepted",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        410 => "Gone",
        413 => "Request Entity Too Large",
        415 => "Unsupported Media Type",
        416 => "Unsupported URI Scheme",
        420 => "Bad Extension",
        422 => "Session Interval Too Small",
        423 => "Interval Too Brief",
        429 => "Provide Referrer Identity",
        480 => "Temporarily Unavailable",
        481 => "Call/Transaction Does Not Exist",
        482 => "Loop Detected",
        486 => "Busy Here",
        487 => "Request Terminated",
        488 => "Not Acceptable Here",
        489 => "Bad Event",
        491 => "Request Pending",
        500 => "Server Internal Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Server Time-out",
        600 => "Busy Everywhere",
        603 => "Decline",
        604 => "Does Not Exist Anywhere",
        606 => "Not Acceptable",
        _ => "Unknown",
    }
}

/// The final response, or the cause in a Reason header, that tells a client of this end.
#[must_use]
pub const fn status_of(cause: HangupCause) -> u16 {
    match cause {
        HangupCause::Normal | HangupCause::AnsweredElsewhere | HangupCause::Replaced => 200,
        HangupCause::Cancelled => 487,
        HangupCause::Busy => 486,
        HangupCause::Rejected => 603,
        HangupCause::NoAnswer => 480,
        HangupCause::TimedOut => 408,
        HangupCause::NotFound => 404,
        HangupCause::NotRegistered => 480,
        HangupCause::Forbidden => 403,
        HangupCause::ConnectionLost => 480,
        HangupCause::IncompatibleMedia => 488,
        HangupCause::Incomplete => 400,
        HangupCause::GatewayTimeout => 504,
        HangupCause::BadGateway => 502,
        HangupCause::Administrative => 403,
        HangupCause::DurationLimit => 408,
        HangupCause::Congestion | HangupCause::Shutdown => 503,
        HangupCause::Failure => 500,
    }
}

/// What a final response of a callee, or a Reason header's cause, means.
#[must_use]
pub const fn cause_of(status: u16) -> HangupCause {
    match status {
        200..300 => HangupCause::Normal,
        400 => HangupCause::Incomplete,
        403 => HangupCause::Forbidden,
        404 | 410 | 604 => HangupCause::NotFound,
        408 => HangupCause::TimedOut,
        502 => HangupCause::BadGateway,
        504 => HangupCause::GatewayTimeout,
        480 => HangupCause::NoAnswer,
        430 => HangupCause::ConnectionLost,
        486 | 600 => HangupCause::Busy,
        487 => HangupCause::Cancelled,
        488 | 606 | 415 => HangupCause::IncompatibleMedia,
        503 => HangupCause::Congestion,
        603 => HangupCause::Rejected,
        _ => HangupCause::Failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_has_a_status_with_a_text() {
        for cause in HangupCause::ALL {
            assert_ne!(reason(status_of(cause)), "Unknown", "{cause:?}");
        }
    }

    #[test]
    fn the_guide_has_every_cause_with_its_status() {
        let guide = include_str!("../../../docs/sip.md");
        for cause in HangupCause::ALL {
            let row = format!("| `{}` | {} | ", cause.name(), status_of(cause));
            assert!(guide.contains(&row), "{row}");
        }
    }

    #[test]
    fn what_a_callee_says_comes_out_at_the_caller_as_it_was_said() {
        for status in [400, 403, 404, 408, 480, 486, 487, 488, 502, 503, 504, 603] {
            assert_eq!(status_of(cause_of(status)), status);
        }
    }
}
