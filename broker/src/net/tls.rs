//! TLS 1.2 and 1.3: certificates from PEM files, exchanged while the server runs, and the name that a client proves.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use rustls::{
    RootCertStore, ServerConfig,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
    version::{TLS12, TLS13},
};
use squall_codec::wire::Text;
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use x509_parser::{certificate::X509Certificate, extensions::GeneralName, prelude::FromDer};

use super::transport::Transport;

/// What clients may ask for by ALPN; those that do not ask are welcome too. The second is what a WebSocket begins with.
const APPLICATION_PROTOCOLS: [&[u8]; 2] = [b"mqtt", b"http/1.1"];

/// Where the certificates are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The server's certificate and those between it and its authority, PEM.
    pub certificates: PathBuf,
    /// The private key of the first certificate, PEM.
    pub key: PathBuf,
    /// Whether clients show certificates.
    pub clients: ClientCertificates,
}

/// Whether clients show certificates, and who must have signed them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ClientCertificates {
    /// They are not asked.
    #[default]
    None,
    /// They are asked. One without comes in all the same; one with a certificate of somebody else does not.
    Request {
        /// Certificates of the authorities, PEM.
        authorities: PathBuf,
    },
    /// None comes in without.
    Require {
        /// Certificates of the authorities, PEM.
        authorities: PathBuf,
    },
}

/// Why TLS cannot be offered. Each names the file.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file is not there, or must not be read.
    #[error("failed to read '{}': {error}", file.display())]
    Unreadable {
        /// Which.
        file: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The file is no PEM.
    #[error("'{}' is no PEM file: {detail}", file.display())]
    NotPem {
        /// Which.
        file: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// There is no `BEGIN CERTIFICATE` in the file.
    #[error("'{}' has no certificate in it (nothing begins with '-----BEGIN CERTIFICATE-----')", file.display())]
    NoCertificate {
        /// Which.
        file: PathBuf,
    },
    /// A certificate is there that is none, or cannot be used.
    #[error("a certificate in '{}' cannot be used: {detail}", file.display())]
    BadCertificate {
        /// Which.
        file: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// There is no private key in the file.
    #[error("'{}' has no private key in it (PKCS#8, PKCS#1 or SEC1, not encrypted){hint}", file.display())]
    NoKey {
        /// Which.
        file: PathBuf,
        /// What is there instead.
        hint: &'static str,
    },
    /// The key is of a kind that is not known, or damaged.
    #[error("the private key in '{}' cannot be used: {detail}", file.display())]
    BadKey {
        /// Which.
        file: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// The key belongs to another certificate.
    #[error("the private key in '{}' does not fit the first certificate in '{}'", key.display(), certificates.display())]
    KeyMismatch {
        /// Where the key is.
        key: PathBuf,
        /// Where the certificate is.
        certificates: PathBuf,
    },
}

/// The TLS of one listener, or of several.
pub struct Tls {
    files: TlsFiles,
    /// For handshakes that begin now. Those under way, and connections, keep what they began with.
    config: RwLock<Arc<ServerConfig>>,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// When one of them is not there or not what it should be.
    pub fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let config = RwLock::new(Arc::new(read_config(&files)?));
        Ok(Tls { files, config })
    }

    /// Reads the files again: new connections get what is in them now.
    ///
    /// # Errors
    /// As [`Tls::load`]; everything stays as it was.
    pub fn reload(&self) -> Result<(), TlsError> {
        let config = Arc::new(read_config(&self.files)?);
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
        Ok(())
    }

    /// The handshake.
    pub(super) async fn accept(&self, io: Transport) -> io::Result<TlsStream<Transport>> {
        let config = Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner));
        TlsAcceptor::from(config).accept(io).await
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("files", &self.files).finish_non_exhaustive()
    }
}

/// The name in the certificate that the client has proved: Common Name; where there is none the first Subject Alternative
/// Name that is text.
pub(super) fn certificate_name(stream: &TlsStream<Transport>) -> Option<Text> {
    let (_, session) = stream.get_ref();
    name_in(session.peer_certificates()?.first()?)
}

fn name_in(certificate: &CertificateDer<'_>) -> Option<Text> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let common_name = certificate.subject().iter_common_name().find_map(|name| name.as_str().ok());
    let alternative = || {
        let names = certificate.subject_alternative_name().ok()??;
        names.value.general_names.iter().find_map(|name| match name {
            GeneralName::DNSName(name) | GeneralName::RFC822Name(name) | GeneralName::URI(name) => Some(*name),
            _ => None,
        })
    };
    let name = common_name.filter(|name| !name.is_empty()).or_else(alternative)?;
    Text::new(name).ok()
}

fn read_config(files: &TlsFiles) -> Result<ServerConfig, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let certificates = read_certificates(&files.certificates)?;
    let key = read_key(&files.key)?;
    let mut config = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(|error| unfit(&files.key, &error))?
        .with_client_cert_verifier(verifier(&files.clients, provider)?)
        .with_single_cert(certificates, key)
        .map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                TlsError::KeyMismatch { key: files.key.clone(), certificates: files.certificates.clone() }
            }
            rustls::Error::InvalidCertificate(error) => {
                TlsError::BadCertificate { file: files.certificates.clone(), detail: format!("{error:?}") }
            }
            error => unfit(&files.key, &error),
        })?;
    config.alpn_protocols = APPLICATION_PROTOCOLS.map(<[u8]>::to_vec).into();
    Ok(config)
}

fn unfit(key: &Path, error: &rustls::Error) -> TlsError {
    TlsError::BadKey { file: key.to_owned(), detail: error.to_string() }
}

fn verifier(
    clients: &ClientCertificates,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let (file, optional) = match clients {
        ClientCertificates::None => return Ok(WebPkiClientVerifier::no_client_auth()),
        ClientCertificates::Request { authorities } => (authorities, true),
        ClientCertificates::Require { authorities } => (authorities, false),
    };
    let bad = |detail: String| TlsError::BadCertificate { file: file.clone(), detail };
    let mut roots = RootCertStore::empty();
    for certificate in read_certificates(file)? {
        roots.add(certificate).map_err(|error| bad(error.to_string()))?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let builder = if optional { builder.allow_unauthenticated() } else { builder };
    builder.build().map_err(|error| bad(error.to_string()))
}

fn read(file: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(file).map_err(|error| TlsError::Unreadable { file: file.to_owned(), error })
}

fn read_certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = read(file)?;
    let certificates = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| TlsError::NotPem { file: file.to_owned(), detail: error.to_string() })?;
    if certificates.is_empty() {
        return Err(TlsError::NoCertificate { file: file.to_owned() });
    }
    Ok(certificates)
}

fn read_key(file: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    use rustls::pki_types::pem::Error;
    let pem = read(file)?;
    PrivateKeyDer::from_pem_slice(&pem).map_err(|error| match error {
        Error::NoItemsFound => {
            let has = |words: &[u8]| pem.windows(words.len()).any(|window| window == words);
            let hint = if has(b"BEGIN ENCRYPTED PRIVATE KEY") {
                ": the key there is encrypted"
            } else if has(b"BEGIN CERTIFICATE") {
                ": a certificate is there"
            } else {
                ""
            };
            TlsError::NoKey { file: file.to_owned(), hint }
        }
        error => TlsError::NotPem { file: file.to_owned(), detail: error.to_string() },
    })
}
