//! SIP URIs and the addresses around them (RFC 3261 §19.1, §20.10).

use std::fmt;

/// `sip:user@host:port;params?headers`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uri {
    /// `sip` or `sips`, in lower case.
    pub scheme: String,
    /// Before the `@`, without a password, percent-decoded. Empty when there is none.
    pub user: String,
    /// In lower case.
    pub host: String,
    /// When it is named.
    pub port: Option<u16>,
    /// `;name=value` in order, as written.
    pub parameters: Vec<(String, Option<String>)>,
    /// After the `?`, as written.
    pub headers: String,
}

impl Uri {
    /// A `sip:` URI of this user at this host.
    #[must_use]
    pub fn sip(user: &str, host: &str) -> Self {
        Self {
            scheme: "sip".to_owned(),
            user: user.to_owned(),
            host: host.to_owned(),
            port: None,
            parameters: Vec::new(),
            headers: String::new(),
        }
    }

    /// Reads a URI of the schemes `sip` and `sips`; none if it is not one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.trim().split_once(':')?;
        let scheme = scheme.to_ascii_lowercase();
        if !matches!(scheme.as_str(), "sip" | "sips") {
            return None;
        }
        let (rest, headers) = rest.split_once('?').map_or((rest, ""), |(rest, headers)| (rest, headers));
        let (user, rest) = rest.split_once('@').map_or(("", rest), |(user, rest)| (user, rest));
        let user = user.split_once(':').map_or(user, |(user, _password)| user);
        let mut parts = rest.split(';');
        let (host, port) = host_and_port(parts.next()?)?;
        let parameters = parts.filter(|part| !part.is_empty()).map(parameter).collect();
        Some(Self {
            scheme,
            user: percent_decode(user)?,
            host: host.to_ascii_lowercase(),
            port,
            parameters,
            headers: headers.to_owned(),
        })
    }

    /// The value of a parameter; empty for one without a value.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.parameters.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        Some(found.1.as_deref().unwrap_or(""))
    }

    /// The value of a header after the `?`, percent-decoded.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        let pair = self.headers.split('&').filter_map(|pair| pair.split_once('='));
        pair.filter(|(known, _)| known.eq_ignore_ascii_case(name)).find_map(|(_, value)| percent_decode(value))
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.scheme)?;
        if !self.user.is_empty() {
            write!(f, "{}@", percent_encode(&self.user))?;
        }
        write!(f, "{}", self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        for (name, value) in &self.parameters {
            match value {
                Some(value) => write!(f, ";{name}={value}")?,
                None => write!(f, ";{name}")?,
            }
        }
        if self.headers.is_empty() { Ok(()) } else { write!(f, "?{}", self.headers) }
    }
}

/// A name, a URI and parameters: From, To, Contact, Refer-To …
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Without quotes; may be empty.
    pub display: String,
    /// The URI.
    pub uri: Uri,
    /// Of the header, not of the URI: `tag`, `expires`.
    pub parameters: Vec<(String, Option<String>)>,
}

impl Address {
    /// Reads `"name" <uri>;params` or `uri;params`; none if it is neither.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Some(open) = find_outside_quotes(text, '<') {
            let (display, rest) = text.split_at(open);
            let (uri, parameters) = rest.strip_prefix('<')?.split_once('>')?;
            return Some(Self {
                display: unquote(display.trim()),
                uri: Uri::parse(uri)?,
                parameters: parameters
                    .split(';')
                    .map(str::trim)
                    .filter(|part| !part.is_empty())
                    .map(parameter)
                    .collect(),
            });
        }
        // Without brackets, parameters belong to the header (RFC 3261 §20).
        let (uri, parameters) = text.split_once(';').map_or((text, ""), |(uri, rest)| (uri, rest));
        Some(Self {
            display: String::new(),
            uri: Uri::parse(uri)?,
            parameters: parameters.split(';').map(str::trim).filter(|part| !part.is_empty()).map(parameter).collect(),
        })
    }

    /// The value of a parameter; empty for one without a value.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.parameters.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        Some(found.1.as_deref().unwrap_or(""))
    }

    /// The tag of From and To.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.parameter("tag").filter(|tag| !tag.is_empty())
    }
}

/// Splits a list at commas outside quotes and brackets.
#[must_use]
pub fn split_list(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut is_quoted, mut is_escaped, mut is_bracketed, mut start) = (false, false, false, 0);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_quoted => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            b'<' if !is_quoted => is_bracketed = true,
            b'>' if !is_quoted => is_bracketed = false,
            b',' if !is_quoted && !is_bracketed => {
                parts.push(text.get(start..at).unwrap_or("").trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(text.get(start..).unwrap_or("").trim());
    parts.retain(|part| !part.is_empty());
    parts
}

fn find_outside_quotes(text: &str, wanted: char) -> Option<usize> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    for (at, character) in text.char_indices() {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' if is_quoted => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            found if found == wanted && !is_quoted => return Some(at),
            _ => {}
        }
    }
    None
}

fn unquote(text: &str) -> String {
    let Some(inner) = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) else { return text.to_owned() };
    let mut out = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        out.extend(if character == '\\' { characters.next() } else { Some(character) });
    }
    out
}

/// A display name as it is written: quoted, with what would end the quotes escaped and control characters left out.
#[must_use]
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for character in text.chars().filter(|character| !character.is_control()) {
        if matches!(character, '"' | '\\') {
            out.push('\\');
        }
        out.push(character);
    }
    out.push('"');
    out
}

fn host_and_port(text: &str) -> Option<(&str, Option<u16>)> {
    let text = text.trim();
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let close = rest.find(']')?;
        let (host, port) = text.split_at(close + 2);
        (host, port.strip_prefix(':'))
    } else {
        text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)))
    };
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'[' | b']' | b':');
    if host.is_empty() || !host.bytes().all(is_plain) {
        return None;
    }
    Some((host, port.map(str::parse).transpose().ok()?))
}

fn parameter(text: &str) -> (String, Option<String>) {
    let (name, value) =
        text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value.trim().to_owned())));
    (name.trim().to_owned(), value.map(|value| unquote(&value)))
}

fn percent_decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let (high, low) = (bytes.next()?, bytes.next()?);
            let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
            out.push(digit(high)? * 16 + digit(low)?);
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).ok()
}

fn percent_encode(user: &str) -> String {
    let mut out = String::with_capacity(user.len());
    for byte in user.bytes() {
        // RFC 3261 §25.1: unreserved and user-unreserved.
        if byte.is_ascii_alphanumeric() || b"-_.!~*'()&=+$,;?/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_is_read_and_written_as_it_was() {
        for text in [
            "sip:bob@key.webrtc-1-2-0.example",
            "sip:bob@host;transport=tcp",
            "sip:webrtc-1-2-0.example",
            "sip:x9@df7jal23ls0d.invalid;transport=ws;ob",
            "sip:bob@[2001:db8::1]:5060",
            "sip:eve@host?Replaces=a%40b%3Bto-tag%3D1",
            "sip:a%40b@host",
        ] {
            assert_eq!(Uri::parse(text).unwrap().to_string(), text);
        }
        let uri = Uri::parse("SIP:Bob:secret@HOST.example:5061;lr").unwrap();
        assert_eq!((uri.user.as_str(), uri.host.as_str(), uri.port), ("Bob", "host.example", Some(5061)));
        assert_eq!(
            Uri::parse("sip:e@h?Replaces=a%40b%3Bto-tag%3D1").unwrap().header("replaces").unwrap(),
            "a@b;to-tag=1"
        );
    }

    #[test]
    fn what_is_no_sip_uri_is_refused() {
        for text in ["", "bob", "tel:+1", "sip:", "sip:a@", "sip:a@b c", "sip:%4@h", "sip:a@h:70000", "sip:a@[::1"] {
            assert_eq!(Uri::parse(text), None, "{text}");
        }
    }

    #[test]
    fn parameters_belong_to_the_uri_inside_brackets_and_to_the_header_outside() {
        let inside = Address::parse("\"A, <B> \\\"C\\\"\" <sip:a@h;transport=ws>;tag=9;expires=600").unwrap();
        assert_eq!((inside.display.as_str(), inside.tag()), ("A, <B> \"C\"", Some("9")));
        assert_eq!((inside.uri.parameter("transport"), inside.parameter("expires")), (Some("ws"), Some("600")));
        let outside = Address::parse("sip:a@h;tag=7").unwrap();
        assert_eq!((outside.tag(), outside.uri.parameters.len()), (Some("7"), 0));
    }

    #[test]
    fn a_list_is_split_outside_quotes_and_brackets() {
        assert_eq!(split_list("\"a,b\" <sip:x@h;q=1,2>;e=1, <sip:y@h>,"), ["\"a,b\" <sip:x@h;q=1,2>;e=1", "<sip:y@h>"]);
    }

    #[test]
    fn a_quoted_name_cannot_end_its_quotes_or_its_line() {
        assert_eq!(quote("a\"b\\c\r\nX: y"), "\"a\\\"b\\\\cX: y\"");
    }
}
