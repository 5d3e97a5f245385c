//! `stun:`, `stuns:`, `turn:` and `turns:` URLs (RFC 7064, RFC 7065).

use causeway_types::ClientTransport;
use rustls::pki_types::ServerName;

/// What a URL asks to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// As given.
    pub(super) url: String,
    /// A name or an address, without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    /// What it allows, in the order in which it is tried.
    pub(super) transports: &'static [ClientTransport],
    /// `turn:` and `turns:`; the others end with Binding.
    pub(super) relays: bool,
}

impl Target {
    /// Reads a URL. A transport that is not named means every one the scheme has.
    ///
    /// # Errors
    /// What is wrong and how it is written instead, for people.
    pub(super) fn parse(url: &str) -> Result<Self, String> {
        use ClientTransport::{Dtls, Tcp, Tls, Udp};
        let example = "write it as turn:HOST[:PORT][?transport=udp|tcp] or turns:…, e.g. turns:turn.example.org:5349";
        let (scheme, rest) = url.split_once(':').ok_or_else(|| format!("{url:?} is no TURN URL: {example}"))?;
        let scheme = scheme.to_ascii_lowercase();
        let (secure, relays) = match scheme.as_str() {
            "turn" => (false, true),
            "turns" => (true, true),
            "stun" => (false, false),
            "stuns" => (true, false),
            _ => return Err(format!("{url:?} begins with {scheme:?}: {example}")),
        };
        let (authority, query) = rest.split_once('?').map_or((rest, None), |(a, q)| (a, Some(q)));
        let transports: &'static [ClientTransport] = match (query, secure) {
            (None, false) => &[Udp, Tcp],
            (None, true) => &[Tls, Dtls],
            (Some("transport=udp"), false) => &[Udp],
            (Some("transport=tcp"), false) => &[Tcp],
            (Some("transport=udp"), true) => &[Dtls],
            (Some("transport=tcp"), true) => &[Tls],
            (Some(query), _) => return Err(format!("{url:?} ends with {query:?}: only ?transport=udp or =tcp may")),
        };
        let (host, port) = split_authority(authority).ok_or_else(|| format!("{url:?} has no host: {example}"))?;
        let port = match port {
            None if secure => 5349,
            None => 3478,
            Some(text) => match text.parse() {
                Ok(port) if port > 0 => port,
                Ok(_) | Err(_) => return Err(format!("{url:?} has the port {text:?}: it is a number from 1 to 65535")),
            },
        };
        ServerName::try_from(host)
            .map_err(|_| format!("{url:?} has the host {host:?}, which is no name or address"))?;
        Ok(Self { url: url.to_owned(), host: host.to_owned(), port, transports, relays })
    }
}

/// Host without brackets, and the port as written.
fn split_authority(authority: &str) -> Option<(&str, Option<&str>)> {
    let (host, rest) = match authority.strip_prefix('[') {
        Some(bracketed) => bracketed.split_once(']')?,
        None => authority.split_once(':').map_or((authority, ""), |(host, _)| {
            let rest = authority.strip_prefix(host).unwrap_or_default();
            (host, rest)
        }),
    };
    let port = if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) };
    (!host.is_empty()).then_some((host, port))
}

#[cfg(test)]
mod tests {
    use ClientTransport::{Dtls, Tcp, Tls, Udp};

    use super::*;

    #[test]
    fn schemes_ports_and_transports_are_as_in_the_rfcs() {
        for (url, host, port, transports, relays) in [
            ("turn:h", "h", 3478, &[Udp, Tcp][..], true),
            ("turn:h:1?transport=udp", "h", 1, &[Udp], true),
            ("turn:h?transport=tcp", "h", 3478, &[Tcp], true),
            ("turns:h", "h", 5349, &[Tls, Dtls], true),
            ("turns:h:443?transport=tcp", "h", 443, &[Tls], true),
            ("TURNS:h?transport=udp", "h", 5349, &[Dtls], true),
            ("turn:[2001:db8::1]:65535", "2001:db8::1", 65535, &[Udp, Tcp], true),
            ("turn:[::1]", "::1", 3478, &[Udp, Tcp], true),
            ("stun:192.0.2.1", "192.0.2.1", 3478, &[Udp, Tcp], false),
            ("stuns:h.example.org", "h.example.org", 5349, &[Tls, Dtls], false),
        ] {
            let expected = Target { url: url.to_owned(), host: host.to_owned(), port, transports, relays };
            assert_eq!(Target::parse(url), Ok(expected));
        }
    }

    #[test]
    fn what_is_no_turn_url_is_refused_with_the_way_to_write_it() {
        for (url, part) in [
            ("h:3478", "begins with \"h\""),
            ("turn", "turn:HOST"),
            ("https://h", "begins with \"https\""),
            ("turn:", "no host"),
            ("turn:[::1", "no host"),
            ("turn:[::1]x", "no host"),
            ("turn:h:0", "from 1 to 65535"),
            ("turn:h:65536", "from 1 to 65535"),
            ("turn:h:", "from 1 to 65535"),
            ("turn://h", "no name or address"),
            ("turn:h?transport=sctp", "transport=udp"),
            ("turn:a b", "no name or address"),
        ] {
            let fault = Target::parse(url).expect_err(url);
            assert!(fault.contains(part), "{url}: {fault}");
        }
    }
}
