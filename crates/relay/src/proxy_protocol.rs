//! The PROXY protocol header, versions 1 and 2, that a load balancer puts before a TCP connection's bytes.
//!
//! Source: "The PROXY protocol", sections 2.1 (text) and 2.2 (binary).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Start of a version 2 header.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Longest version 1 header, line end included.
const TEXT_MAX: usize = 107;

/// What the first bytes of a connection are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Header {
    /// Not all there.
    Incomplete,
    /// No header, or a broken one: close.
    Invalid,
    /// A whole header of `len` bytes; `None` keeps the connection's own address (health checks).
    Complete { len: usize, client: Option<SocketAddr> },
}

/// Looks at the start of a connection.
pub(crate) fn parse(bytes: &[u8]) -> Header {
    let compared = bytes.len().min(SIGNATURE.len());
    if bytes.get(..compared) == SIGNATURE.get(..compared) {
        return if compared < SIGNATURE.len() { Header::Incomplete } else { parse_binary(bytes) };
    }
    parse_text(bytes)
}

fn parse_binary(bytes: &[u8]) -> Header {
    let Some(&[version, family, l0, l1]) = bytes.get(12..16).and_then(|b| b.first_chunk::<4>()) else {
        return Header::Incomplete;
    };
    let len = 16 + usize::from(u16::from_be_bytes([l0, l1]));
    let Some(body) = bytes.get(16..len) else { return Header::Incomplete };
    let client = match (version, family) {
        (0x20, _) => None,
        (0x21, 0x11) => match body.first_chunk::<12>() {
            Some(&[a, b, c, d, _, _, _, _, p0, p1, _, _]) => {
                Some(SocketAddr::from(([a, b, c, d], u16::from_be_bytes([p0, p1]))))
            }
            None => return Header::Invalid,
        },
        (0x21, 0x21) => match (body.first_chunk::<16>(), body.get(32..34)) {
            (Some(ip), Some(&[p0, p1])) => {
                Some(SocketAddr::new(IpAddr::V6(Ipv6Addr::from(*ip)), u16::from_be_bytes([p0, p1])))
            }
            _ => return Header::Invalid,
        },
        (0x21, 0x00) => None,
        _ => return Header::Invalid,
    };
    Header::Complete { len, client }
}

fn parse_text(bytes: &[u8]) -> Header {
    let prefix = b"PROXY ";
    let compared = bytes.len().min(prefix.len());
    if bytes.get(..compared) != prefix.get(..compared) {
        return Header::Invalid;
    }
    let Some(end) = bytes.windows(2).take(TEXT_MAX).position(|pair| pair == b"\r\n") else {
        return if bytes.len() >= TEXT_MAX { Header::Invalid } else { Header::Incomplete };
    };
    let line = bytes.get(..end).and_then(|line| std::str::from_utf8(line).ok());
    let fields: Vec<&str> = line.map(|line| line.split(' ').collect()).unwrap_or_default();
    let client = match fields.as_slice() {
        ["PROXY", "UNKNOWN", ..] => None,
        ["PROXY", "TCP4", source, _, port, _] => match (source.parse::<Ipv4Addr>(), port.parse()) {
            (Ok(ip), Ok(port)) => Some(SocketAddr::new(IpAddr::V4(ip), port)),
            _ => return Header::Invalid,
        },
        ["PROXY", "TCP6", source, _, port, _] => match (source.parse::<Ipv6Addr>(), port.parse()) {
            (Ok(ip), Ok(port)) => Some(SocketAddr::new(IpAddr::V6(ip), port)),
            _ => return Header::Invalid,
        },
        _ => return Header::Invalid,
    };
    Header::Complete { len: end + 2, client }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete(len: usize, client: Option<&str>) -> Header {
        Header::Complete { len, client: client.map(|text| text.parse().expect("an address")) }
    }

    #[test]
    fn text_headers_name_the_client() {
        let line = b"PROXY TCP4 203.0.113.9 192.0.2.1 51234 3478\r\nrest";
        assert_eq!(parse(line), complete(45, Some("203.0.113.9:51234")));
        assert_eq!(parse(b"PROXY TCP6 2001:db8::9 2001:db8::1 5 6\r\n"), complete(40, Some("[2001:db8::9]:5")));
        assert_eq!(parse(b"PROXY UNKNOWN\r\n"), complete(15, None));
        for cut in 0..45 {
            assert_eq!(parse(line.get(..cut).unwrap()), Header::Incomplete, "{cut}");
        }
    }

    #[test]
    fn binary_headers_name_the_client() {
        let mut header = SIGNATURE.to_vec();
        header.extend_from_slice(&[0x21, 0x11, 0, 12, 203, 0, 113, 9, 192, 0, 2, 1, 0xc8, 0x22, 0x0d, 0x96]);
        assert_eq!(parse(&header), complete(28, Some("203.0.113.9:51234")));
        for cut in 0..28 {
            assert_eq!(parse(header.get(..cut).unwrap()), Header::Incomplete, "{cut}");
        }
    }

    #[test]
    fn anything_else_is_invalid() {
        for bytes in [
            &b"\x00\x01"[..],
            b"GET / HTTP/1.1\r\n",
            b"PROXY TCP4 x y 1 2\r\n",
            b"PROXY TCP4 1.2.3.4\r\n",
            &[b'P'; 120],
        ] {
            assert_eq!(parse(bytes), Header::Invalid, "{bytes:?}");
        }
    }
}
