//! Which certificates a probe believes.

use std::{fs, path::Path, sync::Arc};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};

/// Where distributions keep the certificates a machine trusts.
const SYSTEM_BUNDLES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// What to believe.
#[derive(Clone, Copy, Debug)]
pub(super) enum TrustChoice<'a> {
    /// `--insecure`.
    Anything,
    /// `--ca`, alone.
    File(&'a Path),
    /// What the machine trusts, or `SSL_CERT_FILE`.
    System,
}

/// Judges the server's certificate, over TLS and DTLS alike.
#[derive(Clone, Debug)]
pub(super) struct Trust {
    verifier: Arc<dyn ServerCertVerifier>,
}

impl Trust {
    /// # Errors
    /// No usable certificate is in the file, for people.
    pub(super) fn new(choice: TrustChoice<'_>) -> Result<Self, String> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let roots = match choice {
            TrustChoice::Anything => return Ok(Self { verifier: Arc::new(Anything(provider)) }),
            TrustChoice::File(path) => read(path)?,
            TrustChoice::System => match system_bundle() {
                Some(path) => read(Path::new(&path))?,
                None => RootCertStore::empty(),
            },
        };
        if roots.is_empty() {
            return Ok(Self { verifier: Arc::new(Nothing(provider)) });
        }
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
        Ok(Self { verifier: verifier.map_err(|error| error.to_string())? })
    }

    /// For TLS, with the ALPN label of RFC 7443.
    pub(super) fn client_config(&self) -> Arc<ClientConfig> {
        let verifier = Arc::clone(&self.verifier);
        let mut config =
            ClientConfig::builder().dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
        config.alpn_protocols = vec![b"stun.turn".to_vec()];
        Arc::new(config)
    }

    /// For DTLS, which shows the leaf only: `intermediates` are what a TLS connection to the same server showed.
    pub(super) fn verify(
        &self,
        leaf: &[u8],
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
    ) -> Result<(), Error> {
        let leaf = CertificateDer::from(leaf);
        self.verifier.verify_server_cert(&leaf, intermediates, name, &[], UnixTime::now()).map(|_| ())
    }
}

fn system_bundle() -> Option<String> {
    let configured = std::env::var("SSL_CERT_FILE").ok();
    configured.or_else(|| SYSTEM_BUNDLES.iter().find(|path| Path::new(path).exists()).map(|&path| path.to_owned()))
}

fn read(path: &Path) -> Result<RootCertStore, String> {
    let shown = path.display();
    let pem = fs::read(path).map_err(|error| format!("cannot read {shown}: {error}"))?;
    let mut roots = RootCertStore::empty();
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok).collect();
    let (added, _) = roots.add_parsable_certificates(certificates);
    if added == 0 {
        return Err(format!("{shown} holds no certificate: give a PEM file"));
    }
    Ok(roots)
}

/// Believes every certificate; the handshake's signatures are still checked.
#[derive(Debug)]
struct Anything(Arc<CryptoProvider>);

/// A machine without trusted certificates.
#[derive(Debug)]
struct Nothing(Arc<CryptoProvider>);

macro_rules! verifier {
    ($name:ident, $verdict:expr) => {
        impl ServerCertVerifier for $name {
            fn verify_server_cert(
                &self,
                _end_entity: &CertificateDer<'_>,
                _intermediates: &[CertificateDer<'_>],
                _server_name: &ServerName<'_>,
                _ocsp_response: &[u8],
                _now: UnixTime,
            ) -> Result<ServerCertVerified, Error> {
                $verdict
            }

            fn verify_tls12_signature(
                &self,
                message: &[u8],
                cert: &CertificateDer<'_>,
                dss: &DigitallySignedStruct,
            ) -> Result<HandshakeSignatureValid, Error> {
                verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
            }

            fn verify_tls13_signature(
                &self,
                message: &[u8],
                cert: &CertificateDer<'_>,
                dss: &DigitallySignedStruct,
            ) -> Result<HandshakeSignatureValid, Error> {
                verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
            }

            fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
                self.0.signature_verification_algorithms.supported_schemes()
            }
        }
    };
}

verifier!(Anything, Ok(ServerCertVerified::assertion()));
verifier!(Nothing, Err(Error::InvalidCertificate(CertificateError::UnknownIssuer)));
