//! Frames of a client, read with the tolerance that all its libraries together need.

use causeway_call_core::{Candidate, Header};
use serde_json::{Map, Value, json};

/// A frame as it came.
#[derive(Debug, PartialEq)]
pub(crate) enum Frame {
    /// Something with a method.
    Request { id: Value, method: String, params: Map<String, Value> },
    /// An answer to one of ours: a sign of life, nothing else.
    Response,
    /// A debug report: no method, and it must be answered.
    DebugReport { id: Value },
    /// The bandwidth probe announces so many bytes.
    ProbeStart { bytes: usize },
    /// Dots.
    ProbeData,
    /// The probe's upload is over.
    ProbeEnd,
}

/// Why a frame could not be read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Unreadable {
    /// Not JSON.
    NotJson,
    /// JSON, but no request, answer or report; its id, if it has one.
    NotRpc(Value),
}

impl Frame {
    pub(crate) fn read(text: &str) -> Result<Self, Unreadable> {
        if let Some(probe) = text.strip_prefix("#SP") {
            return probe_frame(probe).ok_or(Unreadable::NotJson);
        }
        let value: Value = serde_json::from_str(text).map_err(|_| Unreadable::NotJson)?;
        let Value::Object(mut fields) = value else { return Err(Unreadable::NotRpc(Value::Null)) };
        let id = fields.remove("id").filter(is_id).unwrap_or(Value::Null);
        match fields.remove("method") {
            Some(Value::String(method)) => {
                let params = match fields.remove("params") {
                    Some(Value::Object(params)) => params,
                    Some(_) | None => Map::new(),
                };
                Ok(Self::Request { id, method, params })
            }
            Some(_) => Err(Unreadable::NotRpc(id)),
            None if fields.contains_key("result") || fields.contains_key("error") => Ok(Self::Response),
            None => {
                let kind = fields.get("type").and_then(Value::as_str);
                let is_report = kind.is_some_and(|kind| kind.starts_with("debug_report"));
                if is_report { Ok(Self::DebugReport { id }) } else { Err(Unreadable::NotRpc(id)) }
            }
        }
    }
}

fn probe_frame(rest: &str) -> Option<Frame> {
    let bytes = rest.strip_prefix('U').map(|bytes| Frame::ProbeStart { bytes: bytes.trim().parse().unwrap_or(0) });
    let other = match rest.as_bytes().first()? {
        b'B' => Some(Frame::ProbeData),
        b'E' => Some(Frame::ProbeEnd),
        _ => None,
    };
    bytes.or(other)
}

/// Longer ids than any library makes are not echoed.
const ID_BYTES_MAX: usize = 256;

fn is_id(value: &Value) -> bool {
    match value {
        Value::String(text) => text.len() <= ID_BYTES_MAX,
        Value::Number(_) => true,
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => false,
    }
}

/// A text of an object, not empty.
pub(crate) fn text<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    object.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
}

/// An object of an object.
pub(crate) fn object<'a>(of: &'a Map<String, Value>, name: &str) -> Option<&'a Map<String, Value>> {
    of.get(name).and_then(Value::as_object)
}

/// Which call a request is about: libraries write `callID` or `callId`, in the parameters or in `dialogParams`.
pub(crate) fn call_id(params: &Map<String, Value>) -> Option<&str> {
    let dialog = object(params, "dialogParams");
    let places = [dialog, Some(params)];
    places.into_iter().flatten().find_map(|place| text(place, "callID").or_else(|| text(place, "callId")))
}

/// `sessid`, `sessionId` or `sessId`.
pub(crate) fn session_id(params: &Map<String, Value>) -> Option<&str> {
    ["sessid", "sessionId", "sessId"].iter().find_map(|name| text(params, name))
}

/// Longest name and value of a header that is passed on, and how many.
const HEADER_BYTES_MAX: usize = 1024;
const HEADERS_MAX: usize = 32;

/// The application's own headers: names that begin with `X-`.
pub(crate) fn headers(dialog: &Map<String, Value>) -> Vec<Header> {
    let list = dialog.get("custom_headers").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    list.iter()
        .filter_map(Value::as_object)
        .filter_map(|header| {
            let name = text(header, "name")?;
            let value = header.get("value").and_then(Value::as_str)?;
            let is_ours = name.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("x-"));
            let is_token = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
            let is_short = name.len() <= HEADER_BYTES_MAX && value.len() <= HEADER_BYTES_MAX;
            let is_line = !value.contains(['\r', '\n', '\0']);
            (is_ours && is_token && is_short && is_line)
                .then(|| Header { name: name.to_owned(), value: value.to_owned() })
        })
        .take(HEADERS_MAX)
        .collect()
}

/// Headers as a client gets them.
pub(crate) fn header_list(headers: &[Header]) -> Value {
    headers.iter().map(|header| json!({"name": header.name, "value": header.value})).collect()
}

/// A trickled candidate.
pub(crate) fn candidate(params: &Map<String, Value>) -> Option<Candidate> {
    let line = text(params, "candidate")?;
    let index = params.get("sdpMLineIndex").and_then(Value::as_u64);
    Some(Candidate {
        line: line.strip_prefix("a=").unwrap_or(line).into(),
        mid: text(params, "sdpMid").map(Into::into),
        media_index: index.and_then(|index| u16::try_from(index).ok()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(text: &str) -> Map<String, Value> {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn ids_of_both_kinds_are_kept_and_others_are_not() {
        for (id, kept) in [("\"a-b\"", true), ("7", true), ("null", false), ("{}", false), ("[1]", false)] {
            let frame = Frame::read(&format!(r#"{{"id":{id},"method":"login"}}"#)).unwrap();
            let Frame::Request { id: read, .. } = frame else { panic!("{frame:?}") };
            assert_eq!(!read.is_null(), kept, "{id}");
        }
    }

    #[test]
    fn a_call_is_named_in_every_place_that_libraries_use() {
        for text in [
            r#"{"callID":"c"}"#,
            r#"{"callId":"c"}"#,
            r#"{"dialogParams":{"callID":"c"}}"#,
            r#"{"dialogParams":{"callId":"c"}}"#,
        ] {
            assert_eq!(call_id(&params(text)), Some("c"), "{text}");
        }
        assert_eq!(call_id(&params(r#"{"dialogParams":7,"callID":""}"#)), None);
    }

    #[test]
    fn only_headers_of_the_application_pass() {
        let dialog = params(
            r#"{"custom_headers":[{"name":"X-Foo","value":"bar"},{"name":"Via","value":"x"},{"name":"X-A\r\nVia","value":"x"},
                {"name":"x-b","value":"two\r\nlines"},{"name":"x-c","value":""},{"value":"x"},7]}"#,
        );
        let names: Vec<String> = headers(&dialog).into_iter().map(|header| header.name).collect();
        assert_eq!(names, ["X-Foo", "x-c"]);
    }

    #[test]
    fn frames_without_a_method_are_answers_reports_or_refused() {
        assert_eq!(Frame::read(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#), Ok(Frame::Response));
        let report = r#"{"jsonrpc":"2.0","id":"r","type":"debug_report_start","debug_report_id":"x"}"#;
        assert_eq!(Frame::read(report), Ok(Frame::DebugReport { id: json!("r") }));
        assert_eq!(Frame::read(r#"{"id":"q","type":"other"}"#), Err(Unreadable::NotRpc(json!("q"))));
        assert_eq!(Frame::read("[]"), Err(Unreadable::NotRpc(Value::Null)));
        assert_eq!(Frame::read("{"), Err(Unreadable::NotJson));
        assert_eq!(Frame::read(&"[".repeat(5000)), Err(Unreadable::NotJson));
    }

    #[test]
    fn the_bandwidth_probe_is_text_of_its_own() {
        assert_eq!(Frame::read("#SPU 2048"), Ok(Frame::ProbeStart { bytes: 2048 }));
        assert_eq!(Frame::read("#SPB...."), Ok(Frame::ProbeData));
        assert_eq!(Frame::read("#SPE"), Ok(Frame::ProbeEnd));
        assert_eq!(Frame::read("#SPX"), Err(Unreadable::NotJson));
    }
}
