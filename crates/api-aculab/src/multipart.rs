//! `multipart/form-data` of a body that is in memory: names and values.
//!
//! Source: RFC 7578 §4, RFC 2046 §5.1.1.

/// The boundary of a media type such as `multipart/form-data; boundary=x`.
pub(crate) fn boundary(media_type: &str) -> Option<&str> {
    let value = media_type.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("boundary").then(|| value.trim())
    })?;
    let bare = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value);
    (1..=70).contains(&bare.len()).then_some(bare)
}

/// Every field's name and value, in their order; none when the body is not of this form, or has no end.
pub(crate) fn fields(body: &[u8], boundary: &str) -> Option<Vec<(String, String)>> {
    // The first delimiter may stand without a line end before it.
    let body = [b"\r\n", body].concat();
    let delimiter = format!("\r\n--{boundary}");
    let mut rest = after(&body, delimiter.as_bytes())?.1;
    let mut fields = Vec::new();
    loop {
        if rest.starts_with(b"--") {
            return Some(fields);
        }
        let (padding, part) = after(rest, b"\r\n")?;
        if !padding.iter().all(|byte| matches!(byte, b' ' | b'\t')) {
            return None;
        }
        let (part, behind) = after(part, delimiter.as_bytes())?;
        let (headers, value) = after(part, b"\r\n\r\n")?;
        fields.push((name(&String::from_utf8_lossy(headers))?, String::from_utf8_lossy(value).into_owned()));
        rest = behind;
    }
}

/// What is before and behind the first `what`.
fn after<'a>(bytes: &'a [u8], what: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = bytes.windows(what.len()).position(|window| window == what)?;
    Some((bytes.get(..at)?, bytes.get(at + what.len()..)?))
}

/// The name that a part's headers give.
fn name(headers: &str) -> Option<String> {
    let disposition = headers.split("\r\n").find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.trim().eq_ignore_ascii_case("content-disposition").then_some(value)
    })?;
    let mut parameters = disposition.split(';').map(str::trim);
    if !parameters.next()?.eq_ignore_ascii_case("form-data") {
        return None;
    }
    let value = parameters.find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("name").then(|| value.trim())
    })?;
    let bare = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value);
    Some(bare.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Option<Vec<(String, String)>> {
        fields(body.as_bytes(), "X")
    }

    fn pairs(expected: &[(&str, &str)]) -> Option<Vec<(String, String)>> {
        Some(expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn the_boundary_is_a_parameter_of_the_media_type() {
        assert_eq!(
            boundary("multipart/form-data; boundary=----WebKitFormBoundaryAbc"),
            Some("----WebKitFormBoundaryAbc")
        );
        assert_eq!(boundary("multipart/form-data; charset=utf-8; Boundary=\"a b\""), Some("a b"));
        for bad in ["multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=\"\""] {
            assert_eq!(boundary(bad), None, "{bad}");
        }
        assert_eq!(boundary(&format!("m/f; boundary={}", "x".repeat(71))), None);
    }

    #[test]
    fn fields_come_in_their_order_with_any_bytes_in_their_values() {
        let body = "--X\r\nContent-Disposition: form-data; name=\"client_id\"\r\n\r\nbob\r\n\
                    --X \t\r\ncontent-type: text/plain\r\ncontent-disposition: form-data; name=ttl\r\n\r\n\r\n--Y\r\n\r\n--X--\r\n";
        assert_eq!(read(body), pairs(&[("client_id", "bob"), ("ttl", "\r\n--Y\r\n")]));
        assert_eq!(read("preamble\r\n--X--"), pairs(&[]));
    }

    #[test]
    fn what_has_no_end_or_no_name_is_none() {
        for bad in [
            "",
            "--X",
            "--X\r\n",
            "--X\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nb",
            "--X\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nb\r\n--X",
            "--Xyz\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nb\r\n--X--",
            "--X\r\nContent-Disposition: form-data\r\n\r\nb\r\n--X--",
            "--X\r\nContent-Disposition: attachment; name=\"a\"\r\n\r\nb\r\n--X--",
            "--X\r\n\r\nb\r\n--X--",
        ] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
    }
}
