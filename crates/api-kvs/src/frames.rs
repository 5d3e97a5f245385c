//! Frames of the signalling WebSocket (`compat/aws-kvs.md#frames`).
//!
//! Incoming member names count in any case, empty and null members as not given, unknown ones not at all. Outgoing frames
//! hold nothing but texts, except for the status, since one client's parser takes nothing else.

use std::sync::Arc;

use causeway_signal_core::{Message, MessageKind, Problem};
use serde::{
    Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::{Value, json};

use crate::arn::is_client_id;

/// Largest frame.
pub const FRAME_BYTES_MAX: usize = 128 * 1024;

/// A frame that is no message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadFrame {
    /// Under which name its sender wants to be told.
    pub correlation: Option<Arc<str>>,
    /// What is wrong.
    pub what: &'static str,
}

#[derive(Default)]
struct Members {
    action: Option<Value>,
    recipient: Option<Value>,
    payload: Option<Value>,
    correlation: Option<Value>,
}

impl<'de> Visitor<'de> for Members {
    type Value = Self;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self, A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            let slot = match name.to_ascii_lowercase().as_str() {
                "action" => &mut self.action,
                "recipientclientid" => &mut self.recipient,
                "messagepayload" => &mut self.payload,
                "correlationid" => &mut self.correlation,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            let value: Value = map.next_value()?;
            *slot = Some(value).filter(|value| !value.is_null() && value.as_str() != Some(""));
        }
        Ok(self)
    }
}

/// A client's frame as a message.
///
/// # Errors
/// What is wrong with it. It never ends the connection.
pub fn read(text: &str) -> Result<Message, BadFrame> {
    let mut json = serde_json::Deserializer::from_str(text);
    let members = json.deserialize_map(Members::default()).and_then(|members| json.end().map(|()| members));
    let Ok(members) = members else {
        return Err(BadFrame { correlation: None, what: "The frame is not a JSON object." });
    };
    let correlation =
        members.correlation.as_ref().and_then(Value::as_str).filter(|id| is_client_id(id)).map(Arc::<str>::from);
    let bad = |what| BadFrame { correlation: correlation.clone(), what };
    let kind = match members.action.as_ref().and_then(Value::as_str) {
        Some("SDP_OFFER") => MessageKind::Offer,
        Some("SDP_ANSWER") => MessageKind::Answer,
        Some("ICE_CANDIDATE") => MessageKind::Candidate,
        _ => return Err(bad("action must be SDP_OFFER, SDP_ANSWER or ICE_CANDIDATE.")),
    };
    let payload = members.payload.as_ref().and_then(Value::as_str).map(Arc::from);
    let payload = payload.ok_or_else(|| bad("messagePayload must be given."))?;
    let recipient = match &members.recipient {
        None => None,
        Some(Value::String(id)) if is_client_id(id) => Some(Arc::from(id.as_str())),
        Some(_) => return Err(bad("recipientClientId has a value that is not allowed.")),
    };
    Ok(Message { kind, recipient, payload, correlation })
}

/// A message for a peer. To a viewer nothing says who sent it: there is only the master.
#[must_use]
pub fn deliver(kind: MessageKind, sender: Option<&str>, payload: &str) -> String {
    let kind = match kind {
        MessageKind::Offer => "SDP_OFFER",
        MessageKind::Answer => "SDP_ANSWER",
        MessageKind::Candidate => "ICE_CANDIDATE",
    };
    match sender {
        Some(sender) => json!({"messagePayload": payload, "messageType": kind, "senderClientId": sender}),
        None => json!({"messagePayload": payload, "messageType": kind}),
    }
    .to_string()
}

/// Tells a sender why its message went nowhere.
#[must_use]
pub fn status(correlation: &str, error: &str, description: &str) -> String {
    let status = json!({
        "correlationId": correlation,
        "description": description,
        "errorType": error,
        "statusCode": "400",
        "success": false,
    });
    json!({"messageType": "STATUS_RESPONSE", "statusResponse": status}).to_string()
}

/// Name and text of a problem.
#[must_use]
pub const fn problem(problem: Problem) -> (&'static str, &'static str) {
    const INVALID: &str = "InvalidArgumentException";
    const LIMIT: &str = "ClientLimitExceededException";
    match problem {
        Problem::NoRecipient => (INVALID, "A master must give recipientClientId."),
        Problem::PayloadTooLong => (INVALID, "messagePayload is too long."),
        Problem::TooFast => (LIMIT, "Too many messages of this kind per second."),
        Problem::TooManyWaiting => (LIMIT, "The recipient is not connected, and too many messages wait."),
    }
}

/// Asks to reconnect.
pub const GO_AWAY: &str = r#"{"messageType":"GO_AWAY"}"#;
/// Asks to fetch relay credentials and to reconnect.
pub const RECONNECT_ICE_SERVER: &str = r#"{"messageType":"RECONNECT_ICE_SERVER"}"#;

#[cfg(test)]
mod tests;
