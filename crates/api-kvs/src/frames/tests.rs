use super::*;

fn message(kind: MessageKind, recipient: Option<&str>, payload: &str, correlation: Option<&str>) -> Message {
    Message {
        kind,
        recipient: recipient.map(Arc::from),
        payload: Arc::from(payload),
        correlation: correlation.map(Arc::from),
    }
}

#[test]
fn the_shapes_of_every_client_are_understood() {
    use MessageKind::{Answer, Candidate, Offer};
    for (frame, expected) in [
        // JavaScript
        (r#"{"action":"SDP_OFFER","messagePayload":"eyJ9"}"#, message(Offer, None, "eyJ9", None)),
        (
            r#"{"action":"SDP_ANSWER","recipientClientId":"v1","messagePayload":"eyJ9","correlationId":"abc-1"}"#,
            message(Answer, Some("v1"), "eyJ9", Some("abc-1")),
        ),
        // C: capitals, an empty recipient, relay addresses along with an offer
        (
            r#"{"action": "SDP_OFFER","RecipientClientId": "","MessagePayload": "eyJ9","CorrelationId": "1","IceServerList": [{"Password": "p","Ttl": 298,"Uris": ["turn:x"],"Username": "u"}]}"#,
            message(Offer, None, "eyJ9", Some("1")),
        ),
        // Android: a sender that is not believed, URL-safe base64
        (
            r#"{"action":"ICE_CANDIDATE","recipientClientId":"","senderClientId":"somebody","messagePayload":"ey-_"}"#,
            message(Candidate, None, "ey-_", None),
        ),
        // iOS: null
        (
            r#"{"action":"SDP_ANSWER","recipientClientId":null,"senderClientId":"x","messagePayload":"e/+="}"#,
            message(Answer, None, "e/+=", None),
        ),
        ("{\"ACTION\":\"SDP_OFFER\",\"MESSAGEPAYLOAD\":\"\\u00e9\\\"\"}", message(Offer, None, "é\"", None)),
    ] {
        assert_eq!(read(frame), Ok(expected), "{frame}");
    }
}

#[test]
fn what_is_wrong_is_told_under_the_name_the_sender_gave() {
    for (frame, correlation) in [
        ("", None),
        ("null", None),
        ("[]", None),
        ("{", None),
        ("{}", None),
        ("{} x", None),
        (r#"{"action":"SDP_OFFER","correlationId":"c"}"#, Some("c")),
        (r#"{"action":"SDP_OFFER","messagePayload":"","correlationId":"c"}"#, Some("c")),
        (r#"{"action":"SDP_OFFER","messagePayload":5,"correlationId":"c"}"#, Some("c")),
        (r#"{"action":"sdp_offer","messagePayload":"x","correlationId":"c"}"#, Some("c")),
        (r#"{"action":"PING","messagePayload":"x","correlationId":"c"}"#, Some("c")),
        (r#"{"messagePayload":"x","correlationId":"c"}"#, Some("c")),
        (r#"{"action":"SDP_OFFER","messagePayload":"x","recipientClientId":"a b","correlationId":"c"}"#, Some("c")),
        (r#"{"action":"SDP_OFFER","messagePayload":"x","recipientClientId":{},"correlationId":"c"}"#, Some("c")),
        (r#"{"action":"PING","correlationId":"<not a name>"}"#, None),
        (r#"{"action":"PING","correlationId":7}"#, None),
    ] {
        let fault = read(frame).expect_err(frame);
        assert_eq!(fault.correlation.as_deref(), correlation, "{frame}");
    }
    assert!(read(&"[".repeat(100_000)).is_err(), "depth is bounded");
    assert!(read(&format!(r#"{{"x":{}}}"#, "[".repeat(100_000))).is_err());
}

#[test]
fn outgoing_frames_are_exact() {
    assert_eq!(
        deliver(MessageKind::Offer, Some("v1"), "p\"é"),
        r#"{"messagePayload":"p\"é","messageType":"SDP_OFFER","senderClientId":"v1"}"#
    );
    assert_eq!(deliver(MessageKind::Candidate, None, "p"), r#"{"messagePayload":"p","messageType":"ICE_CANDIDATE"}"#);
    assert_eq!(
        status("c", "InvalidArgumentException", "why"),
        r#"{"messageType":"STATUS_RESPONSE","statusResponse":{"correlationId":"c","description":"why","errorType":"InvalidArgumentException","statusCode":"400","success":false}}"#
    );
}
