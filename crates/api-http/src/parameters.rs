//! Parameters from query, form or JSON, whatever the client prefers (`compat/turnix.md#encodings`).
//!
//! Body beats query; a key given twice: the last wins; JSON `null` and the empty string count as not given.

use std::{collections::BTreeMap, time::Duration};

use axum::http::{HeaderMap, StatusCode, header};
use causeway_app::{Identifier, IdentifierError, OverMax, TtlLimit};
use causeway_types::UnixTime;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::{ApiError, Detail, parse_time};

/// A value that was given.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Given {
    /// Of a query or form, or a JSON string. Not empty.
    Text(String),
    /// The digits of a JSON integer of any size, with its sign.
    Integer(String),
    /// `true` or `false`.
    Flag(bool),
    /// A JSON object, as written.
    Object(String),
    /// A JSON array, as written.
    List(String),
    /// Any other JSON: a fraction, an exponent.
    Other,
}

/// All parameters of a request, and the faults found in them so far.
#[derive(Debug, Default)]
pub struct Parameters {
    values: BTreeMap<String, Given>,
    faults: Vec<(Detail, String)>,
}

impl Parameters {
    /// Those of the query.
    #[must_use]
    pub fn of_query(query: Option<&str>) -> Self {
        Self { values: read_form(query.unwrap_or_default().as_bytes()), faults: Vec::new() }
    }

    /// Adds the body, whose values win.
    ///
    /// # Errors
    /// 400 when it does not parse, 415 when it is of another kind.
    pub fn add_body(&mut self, headers: &HeaderMap, body: &[u8]) -> Result<(), ApiError> {
        if body.is_empty() {
            return Ok(());
        }
        let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let values = match essence.as_str() {
            "application/json" => read_json(body)?,
            "application/x-www-form-urlencoded" => read_form(body),
            _ => {
                let message = "send application/json or application/x-www-form-urlencoded";
                return Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message));
            }
        };
        self.values.extend(values);
        Ok(())
    }

    /// A text parameter; a JSON integer counts as its digits.
    pub fn text(&mut self, name: &'static str) -> Option<String> {
        match self.values.get(name)? {
            Given::Text(text) | Given::Integer(text) => Some(text.clone()),
            Given::Flag(_) | Given::Object(_) | Given::List(_) | Given::Other => {
                self.fault(name, "bad_type", format!("{name}: must be a text"));
                None
            }
        }
    }

    /// The API key, where it may be a parameter.
    #[must_use]
    pub fn key(&self) -> Option<String> {
        match self.values.get("key")? {
            Given::Text(text) => Some(text.clone()),
            Given::Integer(_) | Given::Flag(_) | Given::Object(_) | Given::List(_) | Given::Other => None,
        }
    }

    /// A client's or room's name.
    pub fn identifier(&mut self, name: &'static str) -> Option<Identifier> {
        let text = self.text(name)?;
        match Identifier::new(&text) {
            Ok(identifier) => Some(identifier),
            Err(error) => {
                let code = match error {
                    IdentifierError::TooLong => "too_long",
                    IdentifierError::BadCharacters => "bad_characters",
                };
                self.fault(name, code, format!("{name}: {error}"));
                None
            }
        }
    }

    /// A lifetime in whole seconds, as an integer or its digits.
    pub fn ttl(&mut self, name: &'static str, limit: TtlLimit) -> Option<Duration> {
        let secs = match self.values.get(name)? {
            // Too many digits for a number is too long a lifetime, not a bad one.
            Given::Text(text) | Given::Integer(text) if text.bytes().all(|b| b.is_ascii_digit()) => {
                text.parse().unwrap_or(u64::MAX)
            }
            Given::Text(_) | Given::Integer(_) | Given::Flag(_) | Given::Object(_) | Given::List(_) | Given::Other => 0,
        };
        if secs == 0 {
            self.fault(name, "bad_ttl", format!("{name}: must be a whole number of seconds, at least 1"));
            return None;
        }
        let secs_max = limit.max.as_secs();
        match limit.over {
            OverMax::Reject if secs > secs_max => {
                self.fault(name, "ttl_too_long", format!("{name}: at most {secs_max} seconds"));
                None
            }
            OverMax::Reject | OverMax::Clamp => Some(Duration::from_secs(secs.min(secs_max))),
        }
    }

    /// A text of at most `max` bytes without control characters.
    pub fn plain_text(&mut self, name: &'static str, max: usize) -> Option<String> {
        let text = self.text(name)?;
        if text.len() > max {
            self.fault(name, "too_long", format!("{name}: at most {max} bytes"));
            return None;
        }
        if text.chars().any(|c| c.is_control() || c == '\u{fffd}') {
            self.fault(name, "bad_characters", format!("{name}: no control characters"));
            return None;
        }
        Some(text)
    }

    /// A moment (RFC 3339).
    pub fn time(&mut self, name: &'static str) -> Option<UnixTime> {
        let text = self.text(name)?;
        let time = parse_time(&text);
        if time.is_none() {
            self.fault(name, "bad_time", format!("{name}: must be a time like 2026-05-31T06:48:36Z"));
        }
        time
    }

    /// One of a few words.
    pub fn word<T: Copy>(&mut self, name: &'static str, words: &[(&str, T)]) -> Option<T> {
        let text = self.text(name)?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning);
        if found.is_none() {
            let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            self.fault(name, "bad_value", format!("{name}: must be one of {}", known.join(", ")));
        }
        found
    }

    /// A list of texts: a JSON array, or one text with commas.
    pub fn list(&mut self, name: &'static str) -> Option<Vec<String>> {
        let list = match self.values.get(name)? {
            Given::Text(text) => Some(text.split(',').map(|word| word.trim().to_owned()).collect()),
            Given::List(json) => serde_json::from_str(json).ok(),
            Given::Integer(_) | Given::Flag(_) | Given::Object(_) | Given::Other => None,
        };
        if list.is_none() {
            self.fault(name, "bad_type", format!("{name}: must be a list of texts"));
        }
        list
    }

    /// Whether a value was given.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// `true` or `false`, or not given.
    pub fn maybe_flag(&mut self, name: &'static str) -> Option<bool> {
        self.has(name).then(|| self.flag(name))
    }

    /// A whole number of at least 1, as an integer or its digits.
    pub fn count(&mut self, name: &'static str) -> Option<u64> {
        let count = match self.values.get(name)? {
            Given::Text(text) | Given::Integer(text) if text.bytes().all(|b| b.is_ascii_digit()) => text.parse().ok(),
            Given::Text(_) | Given::Integer(_) | Given::Flag(_) | Given::Object(_) | Given::List(_) | Given::Other => {
                None
            }
        };
        let count = count.filter(|count| *count > 0);
        if count.is_none() {
            self.fault(name, "bad_count", format!("{name}: must be a whole number, at least 1"));
        }
        count
    }

    /// A whole number, as an integer or its digits; zero counts.
    pub fn amount(&mut self, name: &'static str) -> Option<u64> {
        let amount = match self.values.get(name)? {
            Given::Text(text) | Given::Integer(text) if text.bytes().all(|b| b.is_ascii_digit()) => text.parse().ok(),
            Given::Text(_) | Given::Integer(_) | Given::Flag(_) | Given::Object(_) | Given::List(_) | Given::Other => {
                None
            }
        };
        if amount.is_none() {
            self.fault(name, "bad_count", format!("{name}: must be a whole number"));
        }
        amount
    }

    /// `true` or `false`, as JSON or as text; absent is `false`.
    pub fn flag(&mut self, name: &'static str) -> bool {
        match self.values.get(name) {
            None => false,
            Some(Given::Flag(flag)) => *flag,
            Some(Given::Text(text)) if text == "true" || text == "false" => text == "true",
            Some(_) => {
                self.fault(name, "bad_type", format!("{name}: must be true or false"));
                false
            }
        }
    }

    /// A JSON object, as such or as text, of at most `max` bytes.
    pub fn object(&mut self, name: &'static str, max: usize) -> Option<String> {
        let object = match self.values.get(name)? {
            Given::Object(text) => Some(text.clone()),
            Given::Text(text) => {
                serde_json::from_str::<BTreeMap<String, IgnoredAny>>(text).is_ok().then(|| text.clone())
            }
            Given::Integer(_) | Given::Flag(_) | Given::List(_) | Given::Other => None,
        };
        let fault = match &object {
            None => Some(("bad_type", format!("{name}: must be a JSON object"))),
            Some(text) if text.len() > max => Some(("too_long", format!("{name}: at most {max} bytes of JSON"))),
            Some(_) => None,
        };
        match fault {
            None => object,
            Some((code, message)) => {
                self.fault(name, code, message);
                None
            }
        }
    }

    /// Notes a fault; all of them are told at once.
    pub fn fault(&mut self, field: &'static str, code: &'static str, message: String) {
        self.faults.push((Detail { field, code }, message));
    }

    /// The error, when there were faults.
    ///
    /// # Errors
    /// 422 that names every fault.
    pub fn finish(self) -> Result<(), ApiError> {
        if self.faults.is_empty() {
            return Ok(());
        }
        let (details, messages): (Vec<_>, Vec<_>) = self.faults.into_iter().unzip();
        Err(ApiError::invalid(messages.join("; "), details))
    }
}

/// Any bytes are a form; what is not UTF-8 becomes U+FFFD, which no parameter takes.
fn read_form(bytes: &[u8]) -> BTreeMap<String, Given> {
    let pairs: BTreeMap<String, String> = serde_urlencoded::from_bytes(bytes).unwrap_or_default();
    pairs.into_iter().filter(|(_, text)| !text.is_empty()).map(|(name, text)| (name, Given::Text(text))).collect()
}

fn read_json(bytes: &[u8]) -> Result<BTreeMap<String, Given>, ApiError> {
    let Ok(fields) = serde_json::from_slice::<BTreeMap<String, Box<RawValue>>>(bytes) else {
        let parses = serde_json::from_slice::<IgnoredAny>(bytes).is_ok();
        let message = if parses { "the JSON body must be an object" } else { "the JSON does not parse" };
        return Err(malformed(message));
    };
    let mut values = BTreeMap::new();
    for (name, raw) in fields {
        if let Some(given) = read_json_value(raw.get())? {
            values.insert(name, given);
        }
    }
    Ok(values)
}

/// A value by its first byte; `None` when it counts as not given.
fn read_json_value(json: &str) -> Result<Option<Given>, ApiError> {
    let is_integer = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    Ok(match json.as_bytes().first() {
        Some(b'"') => {
            let text: String = serde_json::from_str(json).map_err(|_| malformed("the JSON does not parse"))?;
            Some(Given::Text(text)).filter(|given| *given != Given::Text(String::new()))
        }
        Some(b'n') => None,
        Some(b't') => Some(Given::Flag(true)),
        Some(b'f') => Some(Given::Flag(false)),
        Some(b'{') => Some(Given::Object(json.to_owned())),
        Some(b'[') => Some(Given::List(json.to_owned())),
        Some(_) if is_integer(json.strip_prefix('-').unwrap_or(json)) => Some(Given::Integer(json.to_owned())),
        _ => Some(Given::Other),
    })
}

fn malformed(message: &'static str) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, "malformed_body", message)
}
