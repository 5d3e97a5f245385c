//! The table of identifiers (`docs/compat/turnix.md#identifiers`): every row, every field, form, query and JSON.

use causeway_app::{CredentialRecord, Identifier};
use serde_json::{Value, json};

use crate::world::{Answer, MINT, World};

const FIELDS: [&str; 3] = ["initiator_client", "receiver_client", "room"];
const TOO_LONG: &str = "at most 100 characters are allowed";
const BAD_CHARACTERS: &str = "only letters, digits, - and _ are allowed, at most 100 characters";

fn accepted() -> Vec<String> {
    let mut rows =
        ["alice", "demo-room", "chat-room-42", "secret_room_id", "A", "-", "_", "007"].map(str::to_owned).to_vec();
    rows.push("a".repeat(100));
    rows
}

fn refused() -> Vec<(String, &'static str)> {
    let bad = [
        "alice@example.com",
        "a.b",
        "a b",
        "a+b",
        "a/b",
        "a:b",
        "a%20b",
        "a\n",
        "\na",
        " a",
        "a\0",
        "é",
        "ａ",
        "🙂",
        "../x",
    ];
    let mut rows: Vec<_> = bad.iter().map(|text| ((*text).to_owned(), "bad_characters")).collect();
    rows.push(("a".repeat(101), "too_long"));
    rows
}

/// Every byte that is not a letter or digit as `%XX`.
fn escaped(text: &str) -> String {
    text.bytes()
        .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}

/// The same value in each place a client may put it.
async fn everywhere(world: &World, field: &str, value: &str) -> [(&'static str, Answer); 3] {
    let pair = format!("{field}={}", escaped(value));
    [
        ("form", world.post_form(MINT, &pair).await),
        ("query", world.post(&format!("{MINT}?{pair}"), None, "").await),
        ("JSON", world.post_json(MINT, &json!({ field: value })).await),
    ]
}

fn kept<'a>(record: &'a CredentialRecord, field: &str) -> Option<&'a str> {
    let identifier = match field {
        "initiator_client" => &record.initiator_client,
        "receiver_client" => &record.receiver_client,
        _ => &record.room,
    };
    identifier.as_ref().map(Identifier::as_str)
}

/// The whole body of the answer, byte for byte.
#[track_caller]
fn assert_refused(answer: &Answer, field: &str, code: &str, message: &str, what: &str) {
    let id = answer.header("x-request-id").expect("an id");
    let expected = format!(
        r#"{{"error":"invalid_parameter","message":"{field}: {message}","details":[{{"field":"{field}","code":"{code}"}}],"requestId":"{id}"}}"#
    );
    assert_eq!((answer.status, answer.text.as_str()), (422, expected.as_str()), "{what}");
}

#[tokio::test]
async fn accepted_values_are_kept_as_they_are() {
    let world = World::start().await;
    for field in FIELDS {
        for value in accepted() {
            for (place, answer) in everywhere(&world, field, &value).await {
                assert_eq!(answer.status, 200, "{field}={value:?} in {place}: {}", answer.bytes);
            }
            let records = world.records();
            for record in &records[records.len() - 3..] {
                assert_eq!(kept(record, field), Some(value.as_str()));
            }
        }
    }
}

#[tokio::test]
async fn refused_values_are_named_and_not_echoed() {
    let world = World::start().await;
    for field in FIELDS {
        for (value, code) in refused() {
            let message = if code == "too_long" { TOO_LONG } else { BAD_CHARACTERS };
            for (place, answer) in everywhere(&world, field, &value).await {
                assert_refused(&answer, field, code, message, &format!("{field}={value:?} in {place}"));
            }
        }
    }
    assert!(world.records().is_empty());
}

#[tokio::test]
async fn form_decoding_comes_before_the_rule() {
    let world = World::start().await;
    for pair in ["room=a+b", "room=a%2Fb", "room=a%0A", "room=a%", "room=%FF", "room=a%C3%A9"] {
        assert_refused(&world.post_form(MINT, pair).await, "room", "bad_characters", BAD_CHARACTERS, pair);
    }
    assert_eq!(world.post_form(MINT, "room=%61%2Db").await.status, 200);
    assert_eq!(kept(&world.last_record(), "room"), Some("a-b"));
}

#[tokio::test]
async fn absent_values_are_no_label() {
    let world = World::start().await;
    for field in FIELDS {
        for value in [json!(""), Value::Null] {
            assert_eq!(world.post_json(MINT, &json!({ field: value })).await.status, 200);
            assert_eq!(kept(&world.last_record(), field), None);
        }
        for pair in [format!("{field}="), field.to_owned()] {
            assert_eq!(world.post_form(MINT, &pair).await.status, 200);
            assert_eq!(kept(&world.last_record(), field), None);
        }
    }
}

#[tokio::test]
async fn json_integers_are_their_digits_and_other_types_are_refused() {
    let world = World::start().await;
    for field in FIELDS {
        for digits in ["42", "0", "-7", "18446744073709551616", "100000000000000000000000000000000000000000"] {
            let body = format!(r#"{{"{field}":{digits}}}"#);
            assert_eq!(world.post(MINT, Some("application/json"), &body).await.status, 200, "{body}");
            assert_eq!(kept(&world.last_record(), field), Some(digits));
        }
        for other in ["true", "false", r#"["a"]"#, "{}", "4.2", "1e2", "4.0", "[]", r#"{"a":"b"}"#] {
            let body = format!(r#"{{"{field}":{other}}}"#);
            let answer = world.post(MINT, Some("application/json"), &body).await;
            assert_refused(&answer, field, "bad_type", "must be a text", &body);
        }
    }
}
