//! The canonical request: one text for what clients write in several ways.

use std::borrow::Cow;

use aws_lc_rs::digest;

/// A request as it was received.
#[derive(Clone, Copy, Debug)]
pub struct HttpRequest<'a> {
    /// In capitals.
    pub method: &'a str,
    /// As sent, escapes included; `/` when empty.
    pub path: &'a str,
    /// As sent, without the question mark.
    pub query: &'a str,
    /// Names in lower case, in the order received. HTTP/2's authority is to be given as `host`.
    pub headers: &'a [(&'a str, &'a str)],
    /// All of it.
    pub body: &'a [u8],
}

impl HttpRequest<'_> {
    /// The only value of a header.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }
}

/// The name whose value signs everything else.
pub(super) const SIGNATURE: &str = "X-Amz-Signature";

/// How the query is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum QueryForm {
    /// Decoded and escaped again, as documented.
    Escaped,
    /// The pieces as received: clients that leave characters bare sign them bare.
    Raw,
}

/// A query's value by its decoded name; `Err` when the name occurs twice or the value is no UTF-8.
///
/// # Errors
/// Twice, or no UTF-8: nobody can tell what was meant.
#[expect(clippy::result_unit_err, reason = "there is one thing to say about it, and the caller says it")]
pub fn query_value(query: &str, name: &str) -> Result<Option<String>, ()> {
    let mut found = None;
    for (key, value) in pieces(query) {
        if decode(key).as_ref() != name.as_bytes() {
            continue;
        }
        if found.is_some() {
            return Err(());
        }
        found = Some(String::from_utf8(decode(value).into_owned()).map_err(|_| ())?);
    }
    Ok(found)
}

fn pieces(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query.split('&').filter(|piece| !piece.is_empty()).map(|piece| piece.split_once('=').unwrap_or((piece, "")))
}

/// Percent escapes taken back; what is no escape stays. A plus is a plus.
fn decode(text: &str) -> Cow<'_, [u8]> {
    if !text.contains('%') {
        return Cow::Borrowed(text.as_bytes());
    }
    let digit =
        |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16)).and_then(|d| u8::try_from(d).ok());
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match (byte, digit(bytes.get(at + 1)), digit(bytes.get(at + 2))) {
            (b'%', Some(high), Some(low)) => {
                decoded.push(high * 16 + low);
                at += 3;
            }
            _ => {
                decoded.push(*byte);
                at += 1;
            }
        }
    }
    Cow::Owned(decoded)
}

/// Everything but `A-Za-z0-9-_.~` as `%XX`.
pub(super) fn escape(bytes: &[u8], out: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in bytes {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(*byte)),
            other => {
                out.push('%');
                for nibble in [other >> 4, other & 15] {
                    out.push(char::from(DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'0')));
                }
            }
        }
    }
}

/// The query without its signature, sorted.
pub(super) fn query(query: &str, form: QueryForm) -> String {
    let mut pairs: Vec<(String, String)> = Vec::new();
    for (name, value) in pieces(query) {
        let decoded = decode(name);
        if decoded.as_ref() == SIGNATURE.as_bytes() {
            continue;
        }
        pairs.push(match form {
            QueryForm::Raw => (name.to_owned(), value.to_owned()),
            QueryForm::Escaped => {
                let (mut left, mut right) =
                    (String::with_capacity(name.len()), String::with_capacity(value.len() + 16));
                escape(&decoded, &mut left);
                escape(&decode(value), &mut right);
                (left, right)
            }
        });
    }
    pairs.sort_unstable();
    let mut text = String::with_capacity(query.len() + 32);
    for (index, (name, value)) in pairs.iter().enumerate() {
        if index > 0 {
            text.push('&');
        }
        text.push_str(name);
        text.push('=');
        text.push_str(value);
    }
    text
}

/// A header's value: trimmed, inner blanks collapsed, several joined by commas.
fn header_value(request: &HttpRequest<'_>, name: &str, out: &mut String) {
    let values = request.headers.iter().filter(|(known, _)| *known == name);
    for (index, (_, value)) in values.enumerate() {
        if index > 0 {
            out.push(',');
        }
        for (index, word) in value.split_ascii_whitespace().enumerate() {
            if index > 0 {
                out.push(' ');
            }
            out.push_str(word);
        }
    }
}

/// The canonical request for these signed headers, with `host` in place of what the request says.
pub(super) fn request(
    request: &HttpRequest<'_>,
    query: &str,
    signed_headers: &[String],
    host: &str,
    payload_hash: &str,
) -> String {
    let mut text = String::with_capacity(512 + query.len());
    for line in [request.method, if request.path.is_empty() { "/" } else { request.path }, query] {
        text.push_str(line);
        text.push('\n');
    }
    for name in signed_headers {
        text.push_str(name);
        text.push(':');
        if name == "host" {
            text.push_str(host)
        } else {
            header_value(request, name, &mut text)
        }
        text.push('\n');
    }
    text.push('\n');
    for (index, name) in signed_headers.iter().enumerate() {
        if index > 0 {
            text.push(';');
        }
        text.push_str(name);
    }
    text.push('\n');
    text.push_str(payload_hash);
    text
}

/// SHA-256 in lower-case hexadecimal.
pub(super) fn hash(bytes: &[u8]) -> String {
    hex::encode(digest::digest(&digest::SHA256, bytes))
}
