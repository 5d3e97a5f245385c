//! Members of a request, each checked on the server: clients check little (`compat/aws-kvs.md#identifiers`).

use axum::http::StatusCode;
use serde_json::{Map, Value};

use crate::{
    arn::{ChannelArn, NoArn, is_channel_name},
    error::KvsError,
};

/// Most tags of a channel, and of a request.
pub(crate) const TAGS_MAX: usize = 50;

/// An object of a request. A member that is null counts as not given.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields<'a>(&'a Map<String, Value>);

/// What a text may be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Form {
    /// `a-zA-Z0-9_.-`.
    Name,
    /// `a-zA-Z0-9`.
    Alphanumeric,
    /// `a-zA-Z0-9+/=`.
    Base64,
    /// Letters, blanks, digits and `_.:/=+-@`.
    Tag,
    /// One of these.
    OneOf(&'static [&'static str]),
}

/// A request's body as an object; an empty body is an empty one.
pub(crate) fn read_body(body: &[u8]) -> Result<Map<String, Value>, KvsError> {
    if body.is_empty() {
        return Ok(Map::new());
    }
    let malformed =
        || KvsError::new(StatusCode::BAD_REQUEST, "SerializationException", "The body is not a JSON object.");
    serde_json::from_slice(body).map_err(|_| malformed())
}

impl<'a> Fields<'a> {
    pub(crate) const fn new(members: &'a Map<String, Value>) -> Self {
        Self(members)
    }

    fn get(self, name: &str) -> Option<&'a Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// A text.
    pub(crate) fn text(self, name: &str, lengths: (usize, usize), form: Form) -> Result<Option<&'a str>, KvsError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let text = value.as_str().ok_or_else(|| wrong_type(name))?;
        check_text(name, text, lengths, form)?;
        Ok(Some(text))
    }

    /// A text that must be given.
    pub(crate) fn needed(self, name: &str, lengths: (usize, usize), form: Form) -> Result<&'a str, KvsError> {
        self.text(name, lengths, form)?.ok_or_else(|| missing(name))
    }

    /// A whole number.
    pub(crate) fn integer(self, name: &str, range: (i64, i64)) -> Result<Option<i64>, KvsError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let number = value.as_i64().ok_or_else(|| wrong_type(name))?;
        if number < range.0 || number > range.1 {
            return Err(KvsError::invalid(format!("{name} must be between {} and {}.", range.0, range.1)));
        }
        Ok(Some(number))
    }

    /// A structure.
    pub(crate) fn object(self, name: &str) -> Result<Option<Self>, KvsError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        value.as_object().map(|members| Some(Self(members))).ok_or_else(|| wrong_type(name))
    }

    /// A list of at least `lengths.0` and at most `lengths.1`.
    pub(crate) fn list(self, name: &str, lengths: (usize, usize)) -> Result<Option<&'a [Value]>, KvsError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let list = value.as_array().ok_or_else(|| wrong_type(name))?;
        if list.len() < lengths.0 || list.len() > lengths.1 {
            return Err(KvsError::invalid(format!("{name} must have {} to {} entries.", lengths.0, lengths.1)));
        }
        Ok(Some(list))
    }

    /// A list of texts.
    pub(crate) fn texts(
        self,
        name: &str,
        count: (usize, usize),
        lengths: (usize, usize),
        form: Form,
    ) -> Result<Option<Vec<&'a str>>, KvsError> {
        let Some(list) = self.list(name, count)? else { return Ok(None) };
        let text = |value: &'a Value| {
            let text = value.as_str().ok_or_else(|| wrong_type(name))?;
            check_text(name, text, lengths, form).map(|()| text)
        };
        list.iter().map(text).collect::<Result<_, _>>().map(Some)
    }

    /// `[{Key, Value}]`.
    pub(crate) fn tags(self, name: &str, at_least: usize) -> Result<Option<Vec<(String, String)>>, KvsError> {
        // One more than allowed has an error of its own.
        let Some(list) = self.list(name, (at_least, usize::MAX))? else { return Ok(None) };
        if list.len() > TAGS_MAX {
            return Err(too_many_tags());
        }
        let tag = |value: &Value| {
            let members = value.as_object().ok_or_else(|| wrong_type(name))?;
            let tag = Fields(members);
            let key = tag.needed("Key", (1, 128), Form::Tag)?;
            let text = tag.needed("Value", (0, 256), Form::Tag)?;
            Ok((key.to_owned(), text.to_owned()))
        };
        list.iter().map(tag).collect::<Result<_, _>>().map(Some)
    }

    /// A channel's ARN.
    pub(crate) fn arn(self, name: &str) -> Result<Option<ChannelArn>, KvsError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let text = value.as_str().ok_or_else(|| wrong_type(name))?;
        read_arn(name, text).map(Some)
    }

    /// A channel's ARN that must be given.
    pub(crate) fn needed_arn(self, name: &str) -> Result<ChannelArn, KvsError> {
        self.arn(name)?.ok_or_else(|| missing(name))
    }
}

/// A channel's ARN as a text.
pub(crate) fn read_arn(name: &str, text: &str) -> Result<ChannelArn, KvsError> {
    ChannelArn::read(text).map_err(|fault| match fault {
        NoArn::Malformed => KvsError::invalid(format!("{name} is not a valid ARN.")),
        NoArn::Foreign => KvsError::not_found(),
    })
}

pub(crate) fn too_many_tags() -> KvsError {
    let message = "You have exceeded the limit of tags that you can associate with the resource.";
    KvsError::new(StatusCode::BAD_REQUEST, "TagsPerResourceExceededLimitException", message)
}

pub(crate) fn missing(name: &str) -> KvsError {
    KvsError::invalid(format!("{name} must not be null."))
}

fn wrong_type(name: &str) -> KvsError {
    KvsError::new(StatusCode::BAD_REQUEST, "SerializationException", format!("{name} has the wrong type."))
}

fn check_text(name: &str, text: &str, lengths: (usize, usize), form: Form) -> Result<(), KvsError> {
    let length = text.chars().count();
    if length < lengths.0 || length > lengths.1 {
        let message = format!("{name} must have {} to {} characters.", lengths.0, lengths.1);
        return Err(KvsError::invalid(message));
    }
    let fits = match form {
        Form::Name => text.is_empty() || length > 256 || is_channel_name(text),
        Form::Alphanumeric => text.bytes().all(|b| b.is_ascii_alphanumeric()),
        Form::Base64 => text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=')),
        Form::Tag => text.chars().all(|c| c.is_alphanumeric() || c.is_whitespace() || "_.:/=+-@".contains(c)),
        Form::OneOf(words) => words.contains(&text),
    };
    if fits { Ok(()) } else { Err(KvsError::invalid(format!("{name} has a value that is not allowed."))) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn with<T>(value: Value, read: impl FnOnce(Fields<'_>) -> Result<T, KvsError>) -> Result<T, KvsError> {
        let members = value.as_object().expect("an object").clone();
        read(Fields::new(&members))
    }

    #[test]
    fn lengths_are_checked_at_their_edges() {
        for (length, expected) in [(0, false), (1, true), (64, true), (65, false)] {
            let read = with(json!({"V": "a".repeat(length)}), |f| f.needed("V", (1, 64), Form::Alphanumeric).map(drop));
            assert_eq!(read.is_ok(), expected, "{length}");
        }
        for (number, expected) in [(4, false), (5, true), (120, true), (121, false)] {
            assert_eq!(with(json!({"N": number}), |f| f.integer("N", (5, 120))).is_ok(), expected, "{number}");
        }
        for (count, expected) in [(0, false), (1, true), (50, true), (51, false)] {
            let tags: Vec<Value> = (0..count).map(|i| json!({"Key": format!("k{i}"), "Value": ""})).collect();
            assert_eq!(with(json!({"Tags": tags}), |f| f.tags("Tags", 1)).is_ok(), expected, "{count}");
        }
    }

    #[test]
    fn forms_are_checked_and_null_is_not_given() {
        for (text, form, expected) in [
            ("a_b.c-d", Form::Name, true),
            ("a b", Form::Name, false),
            ("a+b/c==", Form::Base64, true),
            ("a-b", Form::Base64, false),
            ("Käse 1_.:/=+-@", Form::Tag, true),
            ("a#b", Form::Tag, false),
            ("TURN", Form::OneOf(&["TURN"]), true),
            ("turn", Form::OneOf(&["TURN"]), false),
        ] {
            assert_eq!(check_text("x", text, (0, 256), form).is_ok(), expected, "{text}");
        }
        assert_eq!(with(json!({"N": null}), |f| f.integer("N", (5, 120))), Ok(None));
        assert!(with(json!({"N": "5"}), |f| f.integer("N", (5, 120))).is_err());
        assert!(with(json!({"N": 5.5}), |f| f.integer("N", (5, 120))).is_err());
        assert_eq!(read_body(b"").unwrap(), Map::new());
        assert!(read_body(b"[]").is_err() && read_body(b"{").is_err());
    }
}
