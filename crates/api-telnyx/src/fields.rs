//! A request's JSON body, field by field: what is known is checked and kept, what is unknown is ignored.

use causeway_api_http::parse_time;
use causeway_types::UnixTime;
use serde_json::{Map, Value, json};

use crate::errors::TelnyxError;

/// Longest text of a field that has no limit of its own.
const TEXT_CHARS_MAX: usize = 1024;

/// What a field may be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Bool,
    Text,
    Integer(i64, i64),
    Word(&'static [&'static str]),
    Texts,
    Url,
}

/// A field that is taken and given back, its default as JSON.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    /// With a dot for one of an object within.
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) default: &'static str,
}

pub(crate) const fn field(name: &'static str, kind: Kind, default: &'static str) -> Field {
    Field { name, kind, default }
}

/// A body.
#[derive(Debug)]
pub(crate) struct Body(Map<String, Value>);

impl Body {
    /// An empty body is an empty object.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, TelnyxError> {
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self(Map::new()));
        }
        match serde_json::from_slice(bytes) {
            Ok(Value::Object(fields)) => Ok(Self(fields)),
            Ok(_) | Err(_) => Err(TelnyxError::invalid_json()),
        }
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        let mut parts = name.split('.');
        let first = self.0.get(parts.next()?)?;
        parts.try_fold(first, |value, part| value.get(part))
    }

    /// A text; null is like absent.
    pub(crate) fn text(&self, name: &str, chars_max: usize) -> Result<Option<String>, TelnyxError> {
        match self.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if text.chars().count() > chars_max => {
                Err(TelnyxError::invalid_length(name, &format!("must have at most {chars_max} characters")))
            }
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(TelnyxError::invalid_type(name, "a string")),
        }
    }

    pub(crate) fn required(&self, name: &str, chars_max: usize) -> Result<String, TelnyxError> {
        self.text(name, chars_max)?.filter(|text| !text.is_empty()).ok_or_else(|| TelnyxError::missing(name))
    }

    /// A time; `Some(None)` takes it away.
    pub(crate) fn time(&self, name: &str) -> Result<Option<Option<UnixTime>>, TelnyxError> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Null) => Ok(Some(None)),
            Some(Value::String(text)) if text.is_empty() => Ok(Some(None)),
            Some(Value::String(text)) => match parse_time(text).or_else(|| parse_time(&format!("{text}Z"))) {
                Some(at) => Ok(Some(Some(at))),
                None => Err(TelnyxError::invalid(name, "must be a date and time of ISO 8601")),
            },
            Some(_) => Err(TelnyxError::invalid_type(name, "a string")),
        }
    }

    /// Puts every known field that was given into the document.
    pub(crate) fn put_into(&self, document: &mut Value, fields: &[Field]) -> Result<(), TelnyxError> {
        for field in fields {
            if let Some(value) = self.get(field.name) {
                check(field, value)?;
                put(document, field.name, value.clone());
            }
        }
        Ok(())
    }
}

/// A document of defaults.
pub(crate) fn defaults(fields: &[Field]) -> Value {
    let mut document = json!({});
    for field in fields {
        put(&mut document, field.name, serde_json::from_str(field.default).unwrap_or(Value::Null));
    }
    document
}

fn put(document: &mut Value, name: &str, value: Value) {
    match name.split_once('.') {
        Some((outer, inner)) => {
            if let Some(fields) = document.as_object_mut() {
                put(fields.entry(outer).or_insert_with(|| json!({})), inner, value);
            }
        }
        None => {
            if let Some(fields) = document.as_object_mut() {
                fields.insert(name.to_owned(), value);
            }
        }
    }
}

fn check(field: &Field, value: &Value) -> Result<(), TelnyxError> {
    let name = field.name;
    match (field.kind, value) {
        (_, Value::Null) | (Kind::Bool, Value::Bool(_)) => Ok(()),
        (Kind::Bool, _) => Err(TelnyxError::invalid_type(name, "a boolean")),
        (Kind::Text | Kind::Url, Value::String(text)) if text.chars().count() > TEXT_CHARS_MAX => {
            Err(TelnyxError::invalid_length(name, "is too long"))
        }
        (Kind::Text, Value::String(_)) => Ok(()),
        (Kind::Url, Value::String(text)) => {
            let is_url = text.is_empty() || text.starts_with("https://") || text.starts_with("http://");
            if is_url { Ok(()) } else { Err(TelnyxError::invalid_url(name, "must begin with https:// or http://")) }
        }
        (
            Kind::Text | Kind::Url | Kind::Word(_),
            Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_),
        ) => Err(TelnyxError::invalid_type(name, "a string")),
        (Kind::Integer(min, max), value) => match value.as_i64() {
            Some(number) if (min..=max).contains(&number) => Ok(()),
            Some(_) => Err(TelnyxError::out_of_range(name, &format!("must be {min} to {max}"))),
            None => Err(TelnyxError::invalid_type(name, "an integer")),
        },
        (Kind::Word(words), Value::String(text)) => {
            if words.contains(&text.as_str()) {
                Ok(())
            } else {
                Err(TelnyxError::invalid_enum(name, words))
            }
        }
        (Kind::Texts, Value::Array(list)) => {
            let is_fine =
                list.len() <= 100 && list.iter().all(|text| text.as_str().is_some_and(|text| text.len() <= 256));
            if is_fine { Ok(()) } else { Err(TelnyxError::invalid_type(name, "a list of short strings")) }
        }
        (Kind::Texts, _) => Err(TelnyxError::invalid_type(name, "a list of strings")),
    }
}
