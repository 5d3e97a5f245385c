//! Templates of links to the owner's own system. People follow them, so a template may only lead where it says.

/// Longest template.
pub(crate) const LINK_BYTES_MAX: usize = 500;

/// What is wrong with a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinkFault {
    TooLong,
    /// Neither `http` nor `https`, which leaves out `javascript:` and `data:`.
    BadScheme,
    /// None, with a user name, or with a placeholder: a room's name must not choose whom people visit.
    BadHost,
    /// Not there, or others.
    BadPlaceholder,
    BadCharacters,
}

/// Checks that a template is an absolute `http:` or `https:` URL whose host is fixed, with `placeholder` behind it.
///
/// Source: RFC 3986 §2, §3.2; WHATWG URL §4.4 (which takes `\` for `/`, and leaves out tabs and line breaks).
pub(crate) fn check(text: &str, placeholder: &str) -> Result<(), LinkFault> {
    if text.len() > LINK_BYTES_MAX {
        return Err(LinkFault::TooLong);
    }
    let rest = ["https://", "http://"].into_iter().find_map(|scheme| text.strip_prefix(scheme));
    let rest = rest.ok_or(LinkFault::BadScheme)?;
    let is_of_urls = |byte: u8| byte.is_ascii_graphic() && !b"\"'<>\\^`|".contains(&byte);
    if !text.bytes().all(is_of_urls) {
        return Err(LinkFault::BadCharacters);
    }
    let end = rest.find(['/', '?', '#']).ok_or(LinkFault::BadPlaceholder)?;
    let (host, path) = rest.split_at(end);
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
    let begins = host.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '[');
    if !begins || !host.bytes().all(is_host) {
        return Err(LinkFault::BadHost);
    }
    let others = path.replace(placeholder, "");
    if others.len() == path.len() || others.contains(['{', '}']) {
        return Err(LinkFault::BadPlaceholder);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_leads_where_it_says() {
        for good in [
            "https://crm.example/rooms/{room}",
            "http://localhost:3000/r?id={room}&again={room}",
            "https://[2001:db8::1]:8443/#/{room}",
            "https://example.net?room={room}",
        ] {
            assert_eq!(check(good, "{room}"), Ok(()), "{good}");
        }
    }

    #[test]
    fn whatever_would_lead_elsewhere_is_refused() {
        for (bad, fault) in [
            ("javascript:alert(1)//{room}", LinkFault::BadScheme),
            ("JavaScript:alert('{room}')", LinkFault::BadScheme),
            ("data:text/html,{room}", LinkFault::BadScheme),
            ("//evil.example/{room}", LinkFault::BadScheme),
            ("/rooms/{room}", LinkFault::BadScheme),
            (" https://example.net/{room}", LinkFault::BadScheme),
            ("HTTPS://example.net/{room}", LinkFault::BadScheme),
            ("{room}", LinkFault::BadScheme),
            ("https://{room}/", LinkFault::BadHost),
            ("https://example.net{room}/x", LinkFault::BadHost),
            ("https://good.example@evil.example/{room}", LinkFault::BadHost),
            ("https:///{room}", LinkFault::BadHost),
            ("https://:80/{room}", LinkFault::BadHost),
            ("https://example.net\\@evil.example/{room}", LinkFault::BadCharacters),
            ("https://example.net/{room}\n", LinkFault::BadCharacters),
            ("https://exa\tmple.net/{room}", LinkFault::BadCharacters),
            ("https://example.net/{room}\"onclick=", LinkFault::BadCharacters),
            ("https://exämple.net/{room}", LinkFault::BadCharacters),
            ("https://example.net/", LinkFault::BadPlaceholder),
            ("https://example.net", LinkFault::BadPlaceholder),
            ("https://example.net/{client}", LinkFault::BadPlaceholder),
            ("https://example.net/{room}{secret}", LinkFault::BadPlaceholder),
        ] {
            assert_eq!(check(bad, "{room}"), Err(fault), "{bad:?}");
        }
        let long = format!("https://example.net/{{room}}{}", "a".repeat(LINK_BYTES_MAX - 26));
        assert_eq!(check(&long, "{room}"), Ok(()));
        assert_eq!(check(&format!("{long}a"), "{room}"), Err(LinkFault::TooLong));
    }
}
