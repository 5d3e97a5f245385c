//! Session timers (RFC 4028): a call whose client forgot it ends though its connection lives.
//!
//! The client refreshes; we never do. Deviations, for clients there are: JsSIP takes 60 s for the shortest interval and gives a
//! call up on 422, so §4's 90 s are named in the answer but asked for from 60 s on; and a call ends when its interval is over, not
//! a third of it before (§10), since pages that nobody looks at are late with their timers.

use std::time::Duration;

use causeway_call_core::HangupCause;
use causeway_types::Now;

use super::{AgentOutput, DialogKey, SipAgent, Timer};
use crate::message::Message;

/// Shortest interval that is taken.
const INTERVAL_SECS_MIN: u32 = 60;
/// The interval that is asked for instead of a shorter one: what RFC 4028 §4 has as the lowest.
const MIN_SE_SECS: u32 = 90;
/// Longest interval that is waited for; what is granted is what was asked.
const INTERVAL_SECS_MAX: u32 = 24 * 3600;

/// What a message says about session timers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// Nothing, or its client has none, or wants us to refresh.
    Nothing,
    /// This interval.
    Secs(u32),
    /// An interval that is too short.
    TooShort,
}

/// Reads what a request asks (RFC 4028 §9).
pub(super) fn asked(request: &Message) -> Asked {
    let Some(value) = request.header("Session-Expires").filter(|_| request.names("Supported", "timer")) else {
        return Asked::Nothing;
    };
    match secs(value) {
        Some(secs) if secs < INTERVAL_SECS_MIN => Asked::TooShort,
        Some(secs) if refresher(value) != Some("uas") => Asked::Secs(secs),
        Some(_) | None => Asked::Nothing,
    }
}

/// The interval of a request whose interval was found long enough.
pub(super) fn interval(request: &Message) -> Option<u32> {
    match asked(request) {
        Asked::Secs(secs) => Some(secs),
        Asked::Nothing | Asked::TooShort => None,
    }
}

/// The interval of a response to our request, when its client refreshes.
pub(super) fn granted(response: &Message) -> Option<u32> {
    let value = response.header("Session-Expires")?;
    secs(value).filter(|_| refresher(value) == Some("uas"))
}

/// The interval that a 422 asks for (RFC 4028 §5).
pub(super) fn least(response: &Message) -> Option<u32> {
    secs(response.header("Min-SE")?)
}

fn secs(value: &str) -> Option<u32> {
    value.split(';').next()?.trim().parse().ok()
}

fn refresher(value: &str) -> Option<&str> {
    let parameters = value.split(';').skip(1).filter_map(|part| part.split_once('='));
    parameters.filter(|(name, _)| name.trim().eq_ignore_ascii_case("refresher")).map(|(_, who)| who.trim()).next()
}

/// Adds what an answer that has a timer needs (RFC 4028 §9): the client refreshes.
pub(super) fn with_timer(answer: Message, secs: Option<u32>) -> Message {
    match secs {
        Some(secs) => answer.with("Require", "timer").with("Session-Expires", format!("{secs};refresher=uac")),
        None => answer,
    }
}

/// What 422 says (RFC 4028 §6).
pub(super) fn with_least(answer: Message) -> Message {
    answer.with("Min-SE", MIN_SE_SECS.to_string())
}

/// Asks a callee for the interval that it wants, which it is to refresh (RFC 4028 §7.4).
pub(super) fn asking(mut request: Message, least: Option<u32>) -> Message {
    match least {
        Some(secs) => {
            request.headers.retain(|(name, _)| name != "Supported");
            request
                .with("Session-Expires", format!("{secs};refresher=uas"))
                .with("Min-SE", secs.to_string())
                .with("Supported", "timer, replaces")
        }
        None => request,
    }
}

impl SipAgent {
    /// The session is good for this long from now on; none: for ever.
    pub(super) fn set_session_timer(&mut self, now: Now, key: &DialogKey, secs: Option<u32>) {
        self.timers.retain(|(_, timer)| *timer != Timer::Session(key.clone()));
        if let Some(secs) = secs.filter(|_| self.dialogs.contains_key(key)) {
            let interval = Duration::from_secs(secs.min(INTERVAL_SECS_MAX).into());
            self.timers.insert((now.mono + interval, Timer::Session(key.clone())));
        }
    }

    /// Nobody refreshed it.
    pub(super) fn session_timeout(&mut self, now: Now, key: &DialogKey) {
        let Some(leg) = self.dialogs.get(key).map(|dialog| dialog.leg) else { return };
        self.bye(now, key, HangupCause::TimedOut);
        self.give(AgentOutput::HangUp { leg, cause: HangupCause::TimedOut });
    }
}
