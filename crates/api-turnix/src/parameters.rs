//! Parameters from query, form or JSON, whatever the client prefers (`compat/turnix.md#encodings`).
//!
//! Body beats query; a key given twice: the last wins; JSON `null` and the empty string mean "absent".

use std::{collections::BTreeMap, time::Duration};

use axum::{
    body::{Body, to_bytes},
    http::{HeaderMap, StatusCode, header},
};
use causeway_app::{Identifier, IdentifierError};
use serde_json::Value;

use crate::error::{ApiError, Detail};

/// Largest body.
const BODY_MAX: usize = 16 * 1024;

/// All parameters of a request, and the faults found in them so far.
#[derive(Debug, Default)]
pub(crate) struct Parameters {
    values: BTreeMap<String, Value>,
    faults: Vec<(Detail, String)>,
}

impl Parameters {
    /// Reads query and body.
    pub(crate) async fn read(query: Option<&str>, headers: &HeaderMap, body: Body) -> Result<Self, ApiError> {
        let bytes = to_bytes(body, BODY_MAX).await.map_err(|_| {
            let message = format!("the body is larger than {BODY_MAX} bytes or was cut off");
            ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message)
        })?;
        let mut parameters = Self::default();
        parameters.add_form(query.unwrap_or_default().as_bytes())?;
        if bytes.is_empty() {
            return Ok(parameters);
        }
        let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match essence.as_str() {
            "application/json" => parameters.add_json(&bytes)?,
            "application/x-www-form-urlencoded" => parameters.add_form(&bytes)?,
            _ => {
                let message = "send application/json or application/x-www-form-urlencoded";
                return Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message));
            }
        }
        Ok(parameters)
    }

    fn add_form(&mut self, bytes: &[u8]) -> Result<(), ApiError> {
        let pairs: Vec<(String, String)> =
            serde_urlencoded::from_bytes(bytes).map_err(|_| malformed("the form does not parse"))?;
        for (name, value) in pairs {
            self.set(name, Value::String(value));
        }
        Ok(())
    }

    fn add_json(&mut self, bytes: &[u8]) -> Result<(), ApiError> {
        let value: Value = serde_json::from_slice(bytes).map_err(|_| malformed("the JSON does not parse"))?;
        let Value::Object(fields) = value else { return Err(malformed("the JSON body must be an object")) };
        for (name, value) in fields {
            self.set(name, value);
        }
        Ok(())
    }

    fn set(&mut self, name: String, value: Value) {
        let absent = value.is_null() || value.as_str().is_some_and(str::is_empty);
        if absent {
            self.values.remove(&name);
        } else {
            self.values.insert(name, value);
        }
    }

    /// A text parameter; a JSON integer counts as its digits.
    pub(crate) fn text(&mut self, name: &'static str) -> Option<String> {
        match self.values.get(name)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) if number.is_i64() || number.is_u64() => Some(number.to_string()),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                self.fault(name, "bad_type", format!("{name}: must be a text"));
                None
            }
        }
    }

    /// A client's or room's name.
    pub(crate) fn identifier(&mut self, name: &'static str) -> Option<Identifier> {
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
    pub(crate) fn ttl(&mut self, name: &'static str, max: Duration) -> Option<Duration> {
        let secs = match self.values.get(name)? {
            Value::String(text) if text.bytes().all(|b| b.is_ascii_digit()) => text.parse::<u64>().ok(),
            Value::Number(number) => number.as_u64(),
            Value::String(_) | Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        };
        match secs {
            Some(secs) if secs > max.as_secs() => {
                self.fault(name, "ttl_too_long", format!("{name}: at most {} seconds", max.as_secs()));
                None
            }
            Some(secs) if secs > 0 => Some(Duration::from_secs(secs)),
            _ => {
                self.fault(name, "bad_ttl", format!("{name}: must be a whole number of seconds, at least 1"));
                None
            }
        }
    }

    /// Notes a fault; all of them are told at once.
    pub(crate) fn fault(&mut self, field: &'static str, code: &'static str, message: String) {
        self.faults.push((Detail { field, code }, message));
    }

    /// The error, when there were faults.
    pub(crate) fn finish(self) -> Result<(), ApiError> {
        if self.faults.is_empty() {
            return Ok(());
        }
        let (details, messages): (Vec<_>, Vec<_>) = self.faults.into_iter().unzip();
        Err(ApiError::invalid(messages.join("; "), details))
    }
}

fn malformed(message: &str) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, "malformed_body", message)
}
