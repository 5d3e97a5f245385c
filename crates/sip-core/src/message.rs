//! Requests and responses as text (RFC 3261 §7, RFC 7118 §5: one message per WebSocket message).

use std::fmt::Write as _;

use crate::uri::{Address, Uri, split_list};

/// Most headers of a message that is read.
pub const HEADERS_MAX: usize = 100;
/// Longest message that is read, in bytes.
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// Why a message could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Longer than [`MESSAGE_BYTES_MAX`].
    #[error("the message is too long")]
    TooLong,
    /// More headers than [`HEADERS_MAX`].
    #[error("the message has too many headers")]
    TooManyHeaders,
    /// The first line is neither a request's nor a response's.
    #[error("the first line is neither a request's nor a response's")]
    FirstLine,
    /// A header has no name, or a control character.
    #[error("a header cannot be read")]
    Header,
    /// No empty line ends the headers.
    #[error("the headers do not end")]
    NoEnd,
    /// Via, From, To, Call-ID or CSeq is missing or cannot be read.
    #[error("a header that every message has is missing or cannot be read")]
    Mandatory,
    /// Content-Length says more than there is.
    #[error("the body is shorter than its length says")]
    ShortBody,
}

/// The first line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FirstLine {
    /// `METHOD uri SIP/2.0`.
    Request {
        /// In capitals, as methods are case-sensitive.
        method: String,
        /// Where to.
        uri: String,
    },
    /// `SIP/2.0 status reason`.
    Response {
        /// 100–699.
        status: u16,
        /// For people.
        reason: String,
    },
}

/// A request or response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// What it is.
    pub first: FirstLine,
    /// Names as written, but compact forms in full; values trimmed and unfolded.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

/// CSeq: number and method.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CSeq {
    /// Number.
    pub number: u32,
    /// Method.
    pub method: String,
}

impl Message {
    /// A request without headers.
    #[must_use]
    pub fn request(method: &str, uri: &str) -> Self {
        let first = FirstLine::Request { method: method.to_owned(), uri: uri.to_owned() };
        Self { first, headers: Vec::new(), body: String::new() }
    }

    /// A response to a request: its Via, From, To, Call-ID and CSeq (RFC 3261 §8.2.6.2).
    #[must_use]
    pub fn response_to(request: &Self, status: u16) -> Self {
        let first = FirstLine::Response { status, reason: crate::status::reason(status).to_owned() };
        let copied = ["Via", "From", "To", "Call-ID", "CSeq"];
        let headers = copied
            .iter()
            .flat_map(|name| request.all(name).map(move |value| ((*name).to_owned(), value.to_owned())))
            .collect();
        Self { first, headers, body: String::new() }
    }

    /// Adds a header. Line ends in the value become spaces: a value cannot make a header of its own.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl AsRef<str>) -> Self {
        let value = value.as_ref().replace(['\r', '\n'], " ");
        self.headers.push((name.to_owned(), value));
        self
    }

    /// Adds a body of this type.
    #[must_use]
    pub fn with_body(self, content_type: &str, body: &str) -> Self {
        Self { body: body.to_owned(), ..self.with("Content-Type", content_type) }
    }

    /// The method of a request.
    #[must_use]
    pub fn method(&self) -> Option<&str> {
        match &self.first {
            FirstLine::Request { method, .. } => Some(method),
            FirstLine::Response { .. } => None,
        }
    }

    /// The status of a response.
    #[must_use]
    pub const fn status(&self) -> Option<u16> {
        match &self.first {
            FirstLine::Request { .. } => None,
            FirstLine::Response { status, .. } => Some(*status),
        }
    }

    /// The Request-URI, if it can be read.
    #[must_use]
    pub fn request_uri(&self) -> Option<Uri> {
        match &self.first {
            FirstLine::Request { uri, .. } => Uri::parse(uri),
            FirstLine::Response { .. } => None,
        }
    }

    /// The first value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Every value of a header, in order; lists are not split.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Every entry of a header that is a list.
    #[must_use]
    pub fn list(&self, name: &str) -> Vec<&str> {
        let values = self.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        values.flat_map(|(_, value)| split_list(value)).collect()
    }

    /// From, To, Contact, Refer-To …: the first one.
    #[must_use]
    pub fn address(&self, name: &str) -> Option<Address> {
        self.list(name).first().and_then(|text| Address::parse(text))
    }

    /// CSeq.
    #[must_use]
    pub fn cseq(&self) -> Option<CSeq> {
        let (number, method) = self.header("CSeq")?.split_once(char::is_whitespace)?;
        Some(CSeq { number: number.parse().ok().filter(|number| *number < 1 << 31)?, method: method.trim().to_owned() })
    }

    /// Call-ID.
    #[must_use]
    pub fn call_id(&self) -> &str {
        self.header("Call-ID").unwrap_or("")
    }

    /// The branch of the topmost Via: which transaction it is of.
    #[must_use]
    pub fn branch(&self) -> Option<&str> {
        let via = *self.list("Via").first()?;
        let parameters = via.split(';').skip(1).filter_map(|part| part.split_once('='));
        parameters.filter(|(name, _)| name.trim().eq_ignore_ascii_case("branch")).map(|(_, value)| value.trim()).next()
    }

    /// Whether a header that is a list of words has this one.
    #[must_use]
    pub fn names(&self, header: &str, word: &str) -> bool {
        self.list(header).iter().any(|known| known.eq_ignore_ascii_case(word))
    }

    /// Reads a message.
    ///
    /// # Errors
    /// See [`ParseError`]; what every message must have is checked (RFC 3261 §8.1.1).
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        if text.len() > MESSAGE_BYTES_MAX {
            return Err(ParseError::TooLong);
        }
        let text = text.trim_start_matches(['\r', '\n']);
        let (head, body) = split_head(text).ok_or(ParseError::NoEnd)?;
        let mut lines = head.lines();
        let first = first_line(lines.next().unwrap_or("")).ok_or(ParseError::FirstLine)?;
        let headers = headers(lines)?;
        let mut message = Self { first, headers, body: String::new() };
        message.body = body_of(&message, body)?.to_owned();
        message.check_mandatory()?;
        Ok(message)
    }

    fn check_mandatory(&self) -> Result<(), ParseError> {
        let is_complete = self.branch().is_some()
            && self.address("From").is_some_and(|from| from.tag().is_some())
            && self.address("To").is_some()
            && !self.call_id().is_empty();
        let cseq = self.cseq().ok_or(ParseError::Mandatory)?;
        let is_own_method = self.method().is_none_or(|method| method == cseq.method);
        if is_complete && is_own_method { Ok(()) } else { Err(ParseError::Mandatory) }
    }

    /// As it goes over the wire, with its Content-Length.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut out = String::with_capacity(512 + self.body.len());
        // Writing to a String cannot fail.
        let _infallible = match &self.first {
            FirstLine::Request { method, uri } => write!(out, "{method} {uri} SIP/2.0\r\n"),
            FirstLine::Response { status, reason } => write!(out, "SIP/2.0 {status} {reason}\r\n"),
        };
        for (name, value) in &self.headers {
            let _infallible = write!(out, "{name}: {value}\r\n");
        }
        let _infallible = write!(out, "Content-Length: {}\r\n\r\n{}", self.body.len(), self.body);
        out
    }
}

fn split_head(text: &str) -> Option<(&str, &str)> {
    text.split_once("\r\n\r\n").or_else(|| text.split_once("\n\n"))
}

fn first_line(line: &str) -> Option<FirstLine> {
    if let Some(rest) = line.strip_prefix("SIP/2.0 ") {
        let (status, reason) = rest.split_once(' ').map_or((rest, ""), |(status, reason)| (status, reason));
        let status = status.parse().ok().filter(|status| (100..700).contains(status))?;
        return Some(FirstLine::Response { status, reason: reason.to_owned() });
    }
    let mut words = line.split(' ');
    let (method, uri, version) = (words.next()?, words.next()?, words.next()?);
    let is_method = !method.is_empty() && method.len() <= 32 && method.bytes().all(|byte| byte.is_ascii_uppercase());
    if !is_method || uri.is_empty() || version != "SIP/2.0" || words.next().is_some() {
        return None;
    }
    Some(FirstLine::Request { method: method.to_owned(), uri: uri.to_owned() })
}

fn headers<'a>(lines: impl Iterator<Item = &'a str>) -> Result<Vec<(String, String)>, ParseError> {
    let mut headers: Vec<(String, String)> = Vec::new();
    for line in lines {
        if line.starts_with([' ', '\t']) {
            // A folded line goes on with the value before (RFC 3261 §7.3.1).
            let (_, value) = headers.last_mut().ok_or(ParseError::Header)?;
            value.push(' ');
            value.push_str(line.trim());
            continue;
        }
        if headers.len() >= HEADERS_MAX {
            return Err(ParseError::TooManyHeaders);
        }
        let (name, value) = line.split_once(':').ok_or(ParseError::Header)?;
        let name = name.trim_end();
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&byte);
        if name.is_empty() || !name.bytes().all(is_name) || value.contains(|c: char| c.is_control() && c != '\t') {
            return Err(ParseError::Header);
        }
        headers.push((full_name(name).to_owned(), value.trim().to_owned()));
    }
    Ok(headers)
}

/// Compact forms (RFC 3261 §7.3.3, RFC 3515 §2.1, RFC 4028 §4, RFC 3892 §3).
fn full_name(name: &str) -> &str {
    if name.len() != 1 {
        return name;
    }
    match name.to_ascii_lowercase().as_str() {
        "v" => "Via",
        "f" => "From",
        "t" => "To",
        "i" => "Call-ID",
        "m" => "Contact",
        "l" => "Content-Length",
        "c" => "Content-Type",
        "e" => "Content-Encoding",
        "k" => "Supported",
        "s" => "Subject",
        "r" => "Refer-To",
        "b" => "Referred-By",
        "x" => "Session-Expires",
        "o" => "Event",
        _ => name,
    }
}

/// A missing length means the whole WebSocket message (RFC 7118 §5.1).
fn body_of<'a>(message: &Message, body: &'a str) -> Result<&'a str, ParseError> {
    let Some(length) = message.header("Content-Length") else { return Ok(body) };
    let length: usize = length.parse().map_err(|_| ParseError::Header)?;
    if length > body.len() {
        return Err(ParseError::ShortBody);
    }
    body.get(..length).ok_or(ParseError::ShortBody)
}

#[cfg(test)]
mod tests;
