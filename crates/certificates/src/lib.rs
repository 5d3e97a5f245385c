//! TLS certificates: load, self-sign, choose by SNI, replace while connections live.
//!
//! Entry points: [`CertificateStore`], [`Pair`].

#![forbid(unsafe_code)]

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use arc_swap::ArcSwap;
use rustls::{
    ServerConfig, SignatureAlgorithm,
    client::verify_server_name,
    server::{ClientHello, ParsedCertificate, ResolvesServerCert},
    sign::CertifiedKey,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};
use x509_cert::{Certificate, der::Decode};

/// Files of one certificate chain and its key, PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Chain, leaf first.
    pub certificate: PathBuf,
    /// Private key.
    pub key: PathBuf,
}

/// Why a pair cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// A file cannot be read or is not PEM.
    #[error("cannot read {path}: {reason}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The key does not fit the certificate, or its kind is not supported.
    #[error("{key} does not fit {certificate}: {reason}")]
    Mismatch {
        /// The chain.
        certificate: PathBuf,
        /// The key.
        key: PathBuf,
        /// Why.
        reason: String,
    },
    /// The self-signed pair could not be made.
    #[error("cannot make a self-signed certificate: {0}")]
    SelfSign(String),
}

/// Leaf and key for DTLS, DER; ECDSA.
#[derive(Clone)]
pub struct DtlsPair {
    /// Leaf certificate.
    pub certificate: Vec<u8>,
    /// PKCS#8 key.
    pub private_key: Vec<u8>,
    /// The configured key is not ECDSA, so this pair was generated.
    pub generated: bool,
}

impl std::fmt::Debug for DtlsPair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DtlsPair").field("generated", &self.generated).finish_non_exhaustive()
    }
}

/// Certificates in force, chosen by the name a client asks for; the first is the default.
#[derive(Debug)]
pub struct CertificateStore {
    pairs: Vec<Pair>,
    resolver: Arc<Resolver>,
    seen: parking::Stamp,
}

#[derive(Debug)]
struct Resolver {
    keys: ArcSwap<Vec<Arc<CertifiedKey>>>,
}

impl CertificateStore {
    /// Loads every pair.
    ///
    /// # Errors
    /// The first pair that cannot be used.
    pub fn load(pairs: Vec<Pair>) -> Result<Self, CertificateError> {
        let keys = read_all(&pairs)?;
        let seen = parking::Stamp::new(stamps(&pairs));
        Ok(Self { pairs, resolver: Arc::new(Resolver { keys: ArcSwap::from_pointee(keys) }), seen })
    }

    /// A server configuration that follows reloads.
    #[must_use]
    pub fn server_config(&self, alpn: &[&[u8]]) -> Arc<ServerConfig> {
        let resolver: Arc<dyn ResolvesServerCert> = Arc::<Resolver>::clone(&self.resolver);
        let mut config = ServerConfig::builder().with_no_client_auth().with_cert_resolver(resolver);
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        Arc::new(config)
    }

    /// Reads the files again; on a fault the pairs in force stay.
    ///
    /// # Errors
    /// The first pair that cannot be used.
    pub fn reload(&self) -> Result<(), CertificateError> {
        self.seen.set(stamps(&self.pairs));
        self.resolver.keys.store(Arc::new(read_all(&self.pairs)?));
        Ok(())
    }

    /// Whether a file changed since it was last read.
    #[must_use]
    pub fn has_changed(&self) -> bool {
        self.seen.get() != stamps(&self.pairs)
    }

    /// When the first of the certificates in force is no longer good.
    #[must_use]
    pub fn expires_at(&self) -> Option<SystemTime> {
        let keys = self.resolver.keys.load();
        let leaves = keys.iter().filter_map(|key| Certificate::from_der(key.cert.first()?).ok());
        leaves.map(|leaf| leaf.tbs_certificate().validity().not_after.to_system_time()).min()
    }

    /// The pair for DTLS: the default one when it is ECDSA, else one made for the purpose.
    ///
    /// # Errors
    /// None could be made.
    pub fn dtls_pair(&self) -> Result<DtlsPair, CertificateError> {
        let keys = self.resolver.keys.load();
        let ecdsa = keys.first().is_some_and(|key| key.key.algorithm() == SignatureAlgorithm::ECDSA);
        if ecdsa && let Some(pair) = self.pairs.first() {
            let certificate = read_chain(&pair.certificate)?;
            if let (Some(leaf), PrivateKeyDer::Pkcs8(key)) = (certificate.first(), read_key(&pair.key)?) {
                let private_key = key.secret_pkcs8_der().to_vec();
                return Ok(DtlsPair { certificate: leaf.to_vec(), private_key, generated: false });
            }
        }
        let (certificate, key) = generate(&["causeway".to_owned()])?;
        Ok(DtlsPair { certificate: certificate.der().to_vec(), private_key: key.serialize_der(), generated: true })
    }
}

/// The self-signed pair in `directory`, made at first use: ECDSA P-256, readable by the owner only.
///
/// # Errors
/// The files cannot be written.
pub fn self_signed(directory: &Path, names: &[String]) -> Result<Pair, CertificateError> {
    let pair = Pair { certificate: directory.join("self-signed.crt"), key: directory.join("self-signed.key") };
    if pair.certificate.exists() && pair.key.exists() {
        return Ok(pair);
    }
    let (certificate, key) = generate(names)?;
    write_private(&pair.key, key.serialize_pem().as_bytes())?;
    write_private(&pair.certificate, certificate.pem().as_bytes())?;
    Ok(pair)
}

fn generate(names: &[String]) -> Result<(rcgen::Certificate, rcgen::KeyPair), CertificateError> {
    let fault = |error: rcgen::Error| CertificateError::SelfSign(error.to_string());
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(fault)?;
    let certificate = rcgen::CertificateParams::new(names.to_vec()).and_then(|p| p.self_signed(&key)).map_err(fault)?;
    Ok((certificate, key))
}

fn write_private(path: &Path, bytes: &[u8]) -> Result<(), CertificateError> {
    use std::{io::Write, os::unix::fs::OpenOptionsExt};
    let fault = |error: io::Error| CertificateError::Read { path: path.to_owned(), reason: error.to_string() };
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path).map_err(fault)?;
    file.write_all(bytes).map_err(fault)
}

fn read_all(pairs: &[Pair]) -> Result<Vec<Arc<CertifiedKey>>, CertificateError> {
    pairs.iter().map(read_pair).collect()
}

fn read_pair(pair: &Pair) -> Result<Arc<CertifiedKey>, CertificateError> {
    let mismatch = |reason: String| CertificateError::Mismatch {
        certificate: pair.certificate.clone(),
        key: pair.key.clone(),
        reason,
    };
    let chain = read_chain(&pair.certificate)?;
    let key = read_key(&pair.key)?;
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let certified = CertifiedKey::from_der(chain, key, &provider).map_err(|error| mismatch(error.to_string()))?;
    Ok(Arc::new(certified))
}

fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let fault = |reason: String| CertificateError::Read { path: path.to_owned(), reason };
    let chain = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| fault(error.to_string()))?;
    if chain.is_empty() { Err(fault("it holds no certificate".to_owned())) } else { Ok(chain) }
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, CertificateError> {
    PrivateKeyDer::from_pem_file(path)
        .map_err(|error| CertificateError::Read { path: path.to_owned(), reason: error.to_string() })
}

fn stamps(pairs: &[Pair]) -> Vec<Option<SystemTime>> {
    let stamp = |path: &PathBuf| fs::metadata(path).and_then(|data| data.modified()).ok();
    pairs.iter().flat_map(|pair| [stamp(&pair.certificate), stamp(&pair.key)]).collect()
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let keys = self.keys.load();
        let named = hello.server_name().and_then(|name| ServerName::try_from(name).ok()).and_then(|name| {
            keys.iter().find(|key| {
                key.cert
                    .first()
                    .and_then(|leaf| ParsedCertificate::try_from(leaf).ok())
                    .is_some_and(|leaf| verify_server_name(&leaf, &name).is_ok())
            })
        });
        named.or_else(|| keys.first()).cloned()
    }
}

/// A remembered list of modification times.
mod parking {
    use std::{sync::Mutex, time::SystemTime};

    #[derive(Debug)]
    pub(crate) struct Stamp(Mutex<Vec<Option<SystemTime>>>);

    impl Stamp {
        pub(crate) const fn new(stamps: Vec<Option<SystemTime>>) -> Self {
            Self(Mutex::new(stamps))
        }

        pub(crate) fn set(&self, stamps: Vec<Option<SystemTime>>) {
            *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = stamps;
        }

        pub(crate) fn get(&self) -> Vec<Option<SystemTime>> {
            self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_self_signed_pair_is_made_once_private_and_fit_for_dtls() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let pair = self_signed(directory.path(), &["localhost".to_owned()]).unwrap();
        let first = fs::read(&pair.certificate).unwrap();
        assert_eq!(fs::metadata(&pair.key).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(self_signed(directory.path(), &[]).unwrap(), pair);
        assert_eq!(fs::read(&pair.certificate).unwrap(), first);
        let store = CertificateStore::load(vec![pair]).unwrap();
        assert!(!store.dtls_pair().unwrap().generated);
    }

    #[test]
    fn the_first_certificate_to_expire_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let pair = |name: &str, year| {
            let key = rcgen::KeyPair::generate().unwrap();
            let mut parameters = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
            parameters.not_after = rcgen::date_time_ymd(year, 5, 17);
            let certificate = parameters.self_signed(&key).unwrap();
            let path = |kind: &str| directory.path().join(format!("{name}.{kind}"));
            let pair = Pair { certificate: path("pem"), key: path("key") };
            fs::write(&pair.certificate, certificate.pem()).unwrap();
            fs::write(&pair.key, key.serialize_pem()).unwrap();
            pair
        };
        // One year is written as UTCTime, the other as GeneralizedTime.
        let (late, early) = (pair("late", 2051), pair("early", 2033));
        let secs = |pairs| {
            let expires_at = CertificateStore::load(pairs).unwrap().expires_at().unwrap();
            expires_at.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
        };
        assert_eq!(secs(vec![late.clone(), early]), 1_999_900_800);
        assert_eq!(secs(vec![late]), 2_567_894_400);
    }

    #[test]
    fn a_bad_file_is_named_and_leaves_the_pair_in_force() {
        let directory = tempfile::tempdir().unwrap();
        let pair = self_signed(directory.path(), &["localhost".to_owned()]).unwrap();
        let store = CertificateStore::load(vec![pair.clone()]).unwrap();
        fs::write(&pair.certificate, "nonsense").unwrap();
        assert!(store.has_changed());
        let error = store.reload().unwrap_err().to_string();
        assert!(error.contains("self-signed.crt"), "{error}");
        assert_eq!(store.resolver.keys.load().len(), 1);
        assert!(!store.has_changed());
    }

    /// A client that offers these versions and labels, and a server, after their handshake.
    fn connected(
        versions: &[&'static rustls::SupportedProtocolVersion],
        offered: &[&[u8]],
    ) -> rustls::ServerConnection {
        let directory = tempfile::tempdir().expect("a directory");
        let pair = self_signed(directory.path(), &["localhost".to_owned()]).expect("a pair");
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&pair.certificate).expect("PEM")).expect("a certificate");
        let mut server = server(pair);
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut client = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        client.alpn_protocols = offered.iter().map(|name| name.to_vec()).collect();
        let name = ServerName::try_from("localhost").expect("a name");
        let mut client = rustls::ClientConnection::new(Arc::new(client), name).expect("a client");
        while client.is_handshaking() || server.is_handshaking() {
            let mut wire = Vec::new();
            client.write_tls(&mut wire).expect("writes");
            server.read_tls(&mut wire.as_slice()).expect("reads");
            server.process_new_packets().expect("is understood");
            wire.clear();
            server.write_tls(&mut wire).expect("writes");
            client.read_tls(&mut wire.as_slice()).expect("reads");
            client.process_new_packets().expect("is understood");
        }
        server
    }

    fn server(pair: Pair) -> rustls::ServerConnection {
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        // Another test may have been first.
        drop(rustls::crypto::CryptoProvider::install_default(provider));
        let store = CertificateStore::load(vec![pair]).expect("a store");
        rustls::ServerConnection::new(store.server_config(&[b"stun.turn"])).expect("a server")
    }

    /// What a client that offers `offered` gets selected.
    fn negotiated(offered: &[&[u8]]) -> Option<Vec<u8>> {
        connected(rustls::ALL_VERSIONS, offered).alpn_protocol().map(<[u8]>::to_vec)
    }

    #[test]
    fn tls_1_2_and_1_3_are_accepted_with_authenticated_ciphers() {
        for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
            let session = connected(&[version], &[]);
            assert_eq!(session.protocol_version(), Some(version.version));
            let suite = format!("{:?}", session.negotiated_cipher_suite().expect("a suite").suite());
            assert!(suite.contains("GCM") || suite.contains("POLY1305"), "{suite}");
        }
    }

    #[test]
    fn tls_before_1_2_is_refused_with_an_alert() {
        let directory = tempfile::tempdir().unwrap();
        for minor in [0, 1, 2] {
            // A hello that all but its version fits: ECDHE-ECDSA with AES-GCM, groups, point formats, signature algorithms.
            let mut body = vec![3, minor];
            body.extend_from_slice(&[7; 32]);
            body.extend_from_slice(&[0, 0, 4, 0xc0, 0x2b, 0xc0, 0x2c, 1, 0]);
            body.extend_from_slice(&[0, 22, 0, 10, 0, 4, 0, 2, 0, 23, 0, 11, 0, 2, 1, 0, 0, 13, 0, 4, 0, 2, 4, 3]);
            let len = u8::try_from(body.len()).unwrap();
            let hello = [&[22, 3, 1, 0, len + 4, 1, 0, 0, len][..], &body].concat();
            let mut server = server(self_signed(directory.path(), &["localhost".to_owned()]).unwrap());
            server.read_tls(&mut hello.as_slice()).unwrap();
            let error = server.process_new_packets().unwrap_err();
            assert!(matches!(error, rustls::Error::PeerIncompatible(_)), "{error}");
            let mut answer = Vec::new();
            server.write_tls(&mut answer).unwrap();
            // Alert, fatal, protocol_version (RFC 5246 §7.2).
            assert_eq!((answer[0], &answer[5..]), (21, &[2, 70][..]));
        }
    }

    #[test]
    fn the_alpn_label_is_taken_and_absence_of_alpn_too() {
        assert_eq!(negotiated(&[b"stun.turn"]).as_deref(), Some(&b"stun.turn"[..]));
        assert_eq!(negotiated(&[b"stun.nat-discovery", b"stun.turn"]).as_deref(), Some(&b"stun.turn"[..]));
        assert_eq!(negotiated(&[]), None);
    }
}
