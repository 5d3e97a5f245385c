//! What a backend is told of a call, in the vendor's words (`compat/telnyx.md#webhooks`).

use causeway_app::{VoiceEvent, VoiceEventKind, VoiceLeg};
use causeway_call_core::{EndedBy, HangupCause};
use serde_json::{Map, Value, json};

use crate::times::precise;

/// The event's type and its payload.
pub(crate) fn payload(event: &VoiceEvent) -> (&'static str, Value) {
    let leg = &event.leg;
    let mut payload = common(leg);
    let event_type = match &event.kind {
        VoiceEventKind::Initiated => {
            payload.insert("direction".to_owned(), "outgoing".into());
            payload.insert("state".to_owned(), if leg.is_parked { "parked" } else { "bridging" }.into());
            payload.insert("start_time".to_owned(), precise(leg.started).into());
            payload.insert("custom_headers".to_owned(), headers(leg));
            payload.insert("tags".to_owned(), json!([]));
            "call.initiated"
        }
        VoiceEventKind::Answered => {
            payload.insert("state".to_owned(), "answered".into());
            payload.insert("start_time".to_owned(), precise(leg.started).into());
            payload.insert("custom_headers".to_owned(), headers(leg));
            "call.answered"
        }
        VoiceEventKind::Bridged => "call.bridged",
        VoiceEventKind::Held(true) => "call.hold",
        VoiceEventKind::Held(false) => "call.unhold",
        VoiceEventKind::Dtmf(digit) => {
            payload.insert("digit".to_owned(), digit.to_string().into());
            "call.dtmf.received"
        }
        VoiceEventKind::HungUp { cause, by } => {
            let (name, sip) = hangup_cause(*cause);
            let source = match by {
                EndedBy::Caller => "caller",
                EndedBy::Callee => "callee",
                EndedBy::Server => "unknown",
            };
            payload.insert("state".to_owned(), "hangup".into());
            payload.insert("start_time".to_owned(), precise(leg.started).into());
            payload.insert("end_time".to_owned(), precise(event.at).into());
            payload.insert("hangup_cause".to_owned(), name.into());
            payload.insert("hangup_source".to_owned(), source.into());
            payload.insert("sip_hangup_cause".to_owned(), sip.into());
            payload.insert("custom_headers".to_owned(), headers(leg));
            "call.hangup"
        }
    };
    (event_type, Value::Object(payload))
}

fn common(leg: &VoiceLeg) -> Map<String, Value> {
    let common = json!({
        "call_control_id": format!("v3:{}", leg.leg),
        "connection_id": leg.connection.0.to_string(),
        "call_leg_id": leg.leg.to_string(),
        "call_session_id": leg.call.to_string(),
        "client_state": leg.client_state,
        "from": leg.from,
        "to": leg.to,
    });
    match common {
        Value::Object(common) => common,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Map::new(),
    }
}

fn headers(leg: &VoiceLeg) -> Value {
    leg.headers.iter().map(|header| json!({"name": header.name, "value": header.value})).collect()
}

/// The vendor's word and SIP code.
const fn hangup_cause(cause: HangupCause) -> (&'static str, &'static str) {
    match cause {
        HangupCause::Normal | HangupCause::Replaced | HangupCause::Administrative | HangupCause::AnsweredElsewhere => {
            ("normal_clearing", "200")
        }
        HangupCause::Cancelled => ("originator_cancel", "487"),
        HangupCause::Busy => ("user_busy", "486"),
        HangupCause::Rejected => ("call_rejected", "603"),
        HangupCause::Forbidden => ("call_rejected", "403"),
        HangupCause::NoAnswer => ("timeout", "480"),
        HangupCause::TimedOut => ("no_answer", "408"),
        HangupCause::NotFound => ("not_found", "404"),
        HangupCause::NotRegistered => ("not_found", "480"),
        HangupCause::Incomplete => ("unspecified", "400"),
        HangupCause::GatewayTimeout => ("unspecified", "504"),
        HangupCause::BadGateway => ("unspecified", "502"),
        HangupCause::DurationLimit => ("time_limit", "unspecified"),
        HangupCause::ConnectionLost
        | HangupCause::IncompatibleMedia
        | HangupCause::Congestion
        | HangupCause::Failure
        | HangupCause::Shutdown => ("unspecified", "unspecified"),
    }
}
