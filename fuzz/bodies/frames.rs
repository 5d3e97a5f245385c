//! Whatever a client sends is a message or a fault, and a message comes out as it went in.

use causeway_api_kvs::frames;

/// Panics on a finding.
pub fn frames(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match frames::read(text) {
        Ok(message) => {
            assert!(!message.payload.is_empty(), "a payload is given");
            let out = frames::deliver(message.kind, message.recipient.as_deref(), &message.payload);
            let back: serde_json::Value = serde_json::from_str(&out).expect("what is sent is JSON");
            assert_eq!(back["messagePayload"], *message.payload, "byte for byte");
            assert!(back.as_object().expect("an object").values().all(serde_json::Value::is_string), "only texts");
        }
        Err(bad) => {
            if let Some(correlation) = bad.correlation {
                let out = frames::status(&correlation, "InvalidArgumentException", bad.what);
                serde_json::from_str::<serde_json::Value>(&out).expect("what is sent is JSON");
            }
        }
    }
}
