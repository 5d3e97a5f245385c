//! What protects a client's leg, in the words of OpenSSL that consumers of coturn's figures know.

use causeway_types::ClientSecurity;
use rustls::SupportedCipherSuite;

/// A suite without a name here: none of ours, but a later release of a library may bring one.
const UNKNOWN: &str = "UNKNOWN";

/// Of an established TLS session; `None` before that.
pub(crate) fn of_tls(tls: &rustls::ServerConnection) -> Option<ClientSecurity> {
    let suite = tls.negotiated_cipher_suite()?;
    let version = match suite {
        SupportedCipherSuite::Tls13(_) => "TLSv1.3",
        SupportedCipherSuite::Tls12(_) => "TLSv1.2",
    };
    Some(ClientSecurity { version, cipher: cipher_name(suite.suite().into()) })
}

/// Of a DTLS association, from the suite in its ServerHello: dimpl tells only the version.
pub(crate) fn of_dtls(dtls: &dimpl::Dtls, suite: Option<u16>) -> Option<ClientSecurity> {
    let version = match dtls.protocol_version()? {
        dimpl::ProtocolVersion::DTLS1_3 => "DTLSv1.3",
        dimpl::ProtocolVersion::DTLS1_2 => "DTLSv1.2",
        _ => UNKNOWN,
    };
    Some(ClientSecurity { version, cipher: suite.map_or(UNKNOWN, cipher_name) })
}

/// The cipher suite of a plaintext ServerHello at the start of `datagram` (RFC 6347 §4.1, §4.2.2; RFC 5246 §7.4.1.3).
///
/// ```text
/// | type, version, epoch, sequence, length: 13 | type, length, sequence, fragment: 12 |
/// | version: 2 | random: 32 | session id: 1 + n | cipher suite: 2 |
/// ```
pub(crate) fn suite_of_server_hello(datagram: &[u8]) -> Option<u16> {
    const HANDSHAKE: u8 = 22;
    const SERVER_HELLO: u8 = 2;
    const SESSION_ID: usize = 13 + 12 + 2 + 32;
    if (datagram.first()?, datagram.get(13)?) != (&HANDSHAKE, &SERVER_HELLO) {
        return None;
    }
    let suite = SESSION_ID + 1 + usize::from(*datagram.get(SESSION_ID)?);
    datagram.get(suite..)?.first_chunk().copied().map(u16::from_be_bytes)
}

/// OpenSSL's name of a suite by its number in the registry.
const fn cipher_name(suite: u16) -> &'static str {
    match suite {
        0x1301 => "TLS_AES_128_GCM_SHA256",
        0x1302 => "TLS_AES_256_GCM_SHA384",
        0x1303 => "TLS_CHACHA20_POLY1305_SHA256",
        0xc02b => "ECDHE-ECDSA-AES128-GCM-SHA256",
        0xc02c => "ECDHE-ECDSA-AES256-GCM-SHA384",
        0xc02f => "ECDHE-RSA-AES128-GCM-SHA256",
        0xc030 => "ECDHE-RSA-AES256-GCM-SHA384",
        0xcca8 => "ECDHE-RSA-CHACHA20-POLY1305",
        0xcca9 => "ECDHE-ECDSA-CHACHA20-POLY1305",
        _ => UNKNOWN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_suite_of_the_tls_library_has_its_openssl_name() {
        for suite in rustls::crypto::aws_lc_rs::ALL_CIPHER_SUITES {
            assert_ne!(cipher_name(suite.suite().into()), UNKNOWN, "{suite:?}");
        }
    }

    #[test]
    fn a_server_hello_cut_short_or_of_another_kind_has_no_suite() {
        let mut hello = vec![0; 64];
        (hello[0], hello[13], hello[59]) = (22, 2, 1);
        hello[61..63].copy_from_slice(&[0xc0, 0x2b]);
        assert_eq!(suite_of_server_hello(&hello), Some(0xc02b));
        for len in 0..63 {
            assert_eq!(suite_of_server_hello(&hello[..len]), None);
        }
        hello[13] = 3;
        assert_eq!(suite_of_server_hello(&hello), None, "a HelloVerifyRequest");
    }
}
