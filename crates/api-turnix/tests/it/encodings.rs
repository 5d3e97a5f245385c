//! Encodings a to g of `docs/compat/turnix.md#encodings`, each with no parameter and with each parameter.

use causeway_app::{ClientRole, CredentialRecord, Identifier};

use crate::world::{Answer, FORM, JSON, MINT, World, head_of};

/// A request in one encoding with these parameters, as bytes.
type Encoding = fn(&[(&str, &str)]) -> Vec<u8>;

/// Those that carry parameters.
const WITH_PARAMETERS: &[(&str, Encoding)] = &[
    ("d: form", |pairs| with_body(FORM, &form(pairs))),
    ("e: JSON", |pairs| with_body(JSON, &json(pairs))),
    ("e: JSON, charset", |pairs| with_body("application/json; charset=utf-8", &json(pairs))),
    ("e: JSON, capitals", |pairs| with_body("Application/JSON ; charset=\"UTF-8\"", &json(pairs))),
    ("e: JSON, chunked", |pairs| chunked(JSON, &json(pairs))),
    ("d: form, chunked", |pairs| chunked(FORM, &form(pairs))),
    ("g: query", |pairs| head_of("POST", &in_query(pairs), "").into_bytes()),
    ("g: query, form type", |pairs| {
        head_of("POST", &in_query(pairs), &format!("Content-Type: {FORM}\r\nContent-Length: 0\r\n")).into_bytes()
    }),
    ("g: query, empty JSON", |pairs| {
        let more = format!("Content-Type: {JSON}\r\nContent-Length: 2\r\n");
        [head_of("POST", &in_query(pairs), &more).as_bytes(), b"{}"].concat()
    }),
];

fn form(pairs: &[(&str, &str)]) -> String {
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

fn json(pairs: &[(&str, &str)]) -> String {
    let fields: Vec<_> = pairs.iter().map(|(name, value)| format!("{name:?}:{value:?}")).collect();
    format!("{{{}}}", fields.join(","))
}

fn in_query(pairs: &[(&str, &str)]) -> String {
    format!("{MINT}?{}", form(pairs))
}

fn with_body(media_type: &str, body: &str) -> Vec<u8> {
    let more = format!("Content-Type: {media_type}\r\nContent-Length: {}\r\n", body.len());
    (head_of("POST", MINT, &more) + body).into_bytes()
}

fn chunked(media_type: &str, body: &str) -> Vec<u8> {
    let more = format!("Content-Type: {media_type}\r\nTransfer-Encoding: chunked\r\n");
    let chunks: String = body.chars().map(|c| format!("{:x}\r\n{c}\r\n", c.len_utf8())).collect();
    (head_of("POST", MINT, &more) + &chunks + "0\r\n\r\n").into_bytes()
}

fn text(identifier: Option<&Identifier>) -> Option<&str> {
    identifier.map(Identifier::as_str)
}

#[track_caller]
fn assert_minted(name: &str, answer: &Answer, record: &CredentialRecord) {
    assert_eq!(answer.status, 200, "{name}: {}", answer.bytes);
    let turn = &answer.json()["iceServers"][1];
    assert_eq!(turn["username"], record.username.as_str(), "{name}");
    assert_eq!(turn["credential"], record.secret.expose().as_str(), "{name}");
}

#[tokio::test]
async fn without_parameters_every_encoding_mints_an_unlabelled_credential_of_30_seconds() {
    let world = World::start().await;
    let empty: &[(&str, Vec<u8>)] = &[
        ("a: JSON type, no length", head_of("POST", MINT, "Content-Type: application/json\r\n").into_bytes()),
        ("b, c: length 0", head_of("POST", MINT, "Content-Length: 0\r\n").into_bytes()),
        ("c: form type, length 0", with_body(FORM, "")),
        ("other type, length 0", with_body("text/plain", "")),
        ("f: nothing", head_of("POST", MINT, "").into_bytes()),
    ];
    let encoded = WITH_PARAMETERS.iter().map(|(name, encode)| (*name, encode(&[])));
    for (name, request) in empty.iter().cloned().chain(encoded) {
        let answer = world.exchange(&request).await;
        let record = world.last_record();
        assert_minted(name, &answer, &record);
        let labels = [record.room, record.initiator_client, record.receiver_client];
        assert_eq!((labels, record.client_type), ([None, None, None], None), "{name}");
        assert_eq!(record.expires_at.as_millis() - record.issued_at.as_millis(), 30_000, "{name}");
    }
}

#[tokio::test]
async fn every_encoding_carries_every_parameter() {
    let world = World::start().await;
    let all = [
        ("room", "demo-room"),
        ("initiator_client", "alice"),
        ("receiver_client", "bob_2"),
        ("client_type", "receiver"),
        ("ttl", "600"),
        ("fixed_region", "local"),
        ("preferred_region", "elsewhere"),
        ("preffered_region", "elsewhere"),
        ("unknown", "ignored"),
    ];
    for (name, encode) in WITH_PARAMETERS {
        let answer = world.exchange(&encode(&all)).await;
        let record = world.last_record();
        assert_minted(name, &answer, &record);
        assert_eq!(text(record.room.as_ref()), Some("demo-room"), "{name}");
        assert_eq!(text(record.initiator_client.as_ref()), Some("alice"), "{name}");
        assert_eq!(text(record.receiver_client.as_ref()), Some("bob_2"), "{name}");
        assert_eq!(record.client_type, Some(ClientRole::Receiver), "{name}");
        assert_eq!(record.expires_at.as_millis() - record.issued_at.as_millis(), 600_000, "{name}");
        assert_eq!(answer.json()["region"], "local");
    }
}

#[tokio::test]
async fn every_encoding_names_the_bad_parameter() {
    let world = World::start().await;
    for (name, encode) in WITH_PARAMETERS {
        for (field, value, code) in [
            ("room", "a.b", "bad_characters"),
            ("initiator_client", "a.b", "bad_characters"),
            ("receiver_client", "a.b", "bad_characters"),
            ("client_type", "both", "bad_client_type"),
            ("ttl", "0", "bad_ttl"),
            ("ttl", "86401", "ttl_too_long"),
            ("fixed_region", "atlantis", "region_unknown"),
        ] {
            let answer = world.exchange(&encode(&[("extra", "x"), (field, value)])).await;
            answer.assert_error(422, "invalid_parameter");
            assert_eq!(answer.details(), [format!("{field} {code}")], "{name}");
        }
    }
    assert!(world.records().is_empty(), "nothing is minted for a bad request");
}

#[tokio::test]
async fn the_body_beats_the_query_and_the_last_of_two_wins() {
    let world = World::start().await;
    let query = format!("{MINT}?room=query&ttl=10");
    for (media_type, body, room, secs) in [
        (FORM, "room=first&room=last&ttl=60", "last", 60),
        (JSON, r#"{"room":"first","room":"last","ttl":60}"#, "last", 60),
        (FORM, "room=&ttl=60", "query", 60),
        (JSON, r#"{"room":null,"ttl":""}"#, "query", 10),
        (JSON, "{}", "query", 10),
        (FORM, "room=given&room=&ttl=60", "query", 60),
        (JSON, " {\"room\" : \"spaced\"}\r\n", "spaced", 10),
    ] {
        assert_eq!(world.post(&query, Some(media_type), body).await.status, 200, "{body}");
        let record = world.last_record();
        assert_eq!(text(record.room.as_ref()), Some(room), "{body}");
        assert_eq!(record.expires_at.as_millis() - record.issued_at.as_millis(), secs * 1000, "{body}");
    }
}
