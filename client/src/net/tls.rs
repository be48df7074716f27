//! TLS under MQTT: whom the client trusts, and how it shows who it is.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme, SupportedProtocolVersion,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{
        CertificateDer, PrivateKeyDer, ServerName, UnixTime,
        pem::{self, PemObject},
    },
    version::{TLS12, TLS13},
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsConnector as Handshaker, client::TlsStream};

use super::connector::Connector;
use crate::core::redirection::Address;

/// What a client is told about TLS.
#[derive(Clone, Debug, Default)]
pub struct TlsOptions {
    /// Whose certificates are believed.
    pub trust: Trust,
    /// Sent to servers that ask for one: mutual TLS.
    pub certificate: Option<ClientCertificate>,
    /// The name in the server's certificate, where it differs from the host.
    pub server_name: Option<String>,
    /// No other version is spoken; `None`: 1.3 or 1.2.
    pub version: Option<TlsVersion>,
    /// Protocols of ALPN, the best first. Some servers tell MQTT from HTTP by it.
    pub alpn: Vec<String>,
}

/// Whose certificates are believed.
#[derive(Clone, Debug, Default)]
pub enum Trust {
    /// Those of the machine.
    #[default]
    System,
    /// Those in these PEM files, and no others. A folder stands for all files in it.
    Only(Vec<PathBuf>),
    /// Anybody's: encrypted, and open to whoever stands between. For tests.
    Anybody,
}

/// Files in PEM.
#[derive(Clone, Debug)]
pub struct ClientCertificate {
    /// The client's own first, then those that lead to its root.
    pub chain: PathBuf,
    /// PKCS #8, PKCS #1 or SEC 1, not encrypted.
    pub key: PathBuf,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    /// 1.2
    V1_2,
    /// 1.3
    V1_3,
}

/// Why TLS cannot be set up. Nothing of it depends on the server.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or holds no PEM.
    #[error("cannot read {what} in {path}: {error}")]
    File {
        /// What should be there.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        error: pem::Error,
    },
    /// A file holds PEM, but not this.
    #[error("{path} holds no {what}")]
    Missing {
        /// What should be there.
        what: &'static str,
        /// Where.
        path: PathBuf,
    },
    /// A folder cannot be listed.
    #[error("cannot list {path}: {error}")]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// The machine trusts nobody.
    #[error("no certificate authorities found on this machine: {0}; name a file of your own")]
    NoRoots(String),
    /// A certificate that is none, or a key that belongs to another.
    #[error("cannot use the certificates: {0}")]
    Unusable(#[from] rustls::Error),
    /// Neither a name nor an address.
    #[error("'{0}' is no name that a certificate could carry")]
    Name(String),
}

impl TlsOptions {
    /// Reads the files.
    ///
    /// # Errors
    /// What cannot be read or used, by its name.
    pub fn config(&self) -> Result<Arc<ClientConfig>, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions: &[&'static SupportedProtocolVersion] = match self.version {
            None => &[&TLS13, &TLS12],
            Some(TlsVersion::V1_2) => &[&TLS12],
            Some(TlsVersion::V1_3) => &[&TLS13],
        };
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(versions)?;
        let builder = match &self.trust {
            Trust::System => builder.with_root_certificates(system_roots()?),
            Trust::Only(paths) => builder.with_root_certificates(roots(paths)?),
            Trust::Anybody => builder.dangerous().with_custom_certificate_verifier(Arc::new(BelievesAnybody(provider))),
        };
        let mut config = match &self.certificate {
            None => builder.with_no_client_auth(),
            Some(ClientCertificate { chain, key }) => {
                builder.with_client_auth_cert(certificates(chain)?, private_key(key)?)?
            }
        };
        config.alpn_protocols = self.alpn.iter().map(|name| name.clone().into_bytes()).collect();
        Ok(Arc::new(config))
    }
}

fn system_roots() -> Result<RootCertStore, TlsError> {
    let found = rustls_native_certs::load_native_certs();
    let mut store = RootCertStore::empty();
    // The machine's store may hold what is out of date or strange; that spoils nothing else.
    let (added, _) = store.add_parsable_certificates(found.certs);
    if added == 0 {
        let reasons: Vec<_> = found.errors.iter().map(ToString::to_string).collect();
        let reason = if reasons.is_empty() { "its store is empty".to_owned() } else { reasons.join("; ") };
        return Err(TlsError::NoRoots(reason));
    }
    Ok(store)
}

fn roots(paths: &[PathBuf]) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    for path in paths {
        if !path.is_dir() {
            for certificate in certificates(path)? {
                store.add(certificate)?;
            }
            continue;
        }
        let before = store.len();
        for file in files(path)? {
            // A folder may hold keys and lists too.
            let Ok(found) = certificates(&file) else { continue };
            store.add_parsable_certificates(found);
        }
        if store.len() == before {
            return Err(TlsError::Missing { what: "certificate", path: path.clone() });
        }
    }
    Ok(store)
}

fn files(folder: &Path) -> Result<Vec<PathBuf>, TlsError> {
    let wrong = |error| TlsError::Folder { path: folder.to_owned(), error };
    let entries = std::fs::read_dir(folder).map_err(wrong)?;
    let mut files =
        entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>().map_err(wrong)?;
    files.sort();
    Ok(files)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let what = "certificate";
    let wrong = |error| TlsError::File { what, path: path.to_owned(), error };
    let found = CertificateDer::pem_file_iter(path).map_err(wrong)?.collect::<Result<Vec<_>, _>>().map_err(wrong)?;
    if found.is_empty() {
        return Err(TlsError::Missing { what, path: path.to_owned() });
    }
    Ok(found)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let what = "private key";
    PrivateKeyDer::from_pem_file(path).map_err(|error| match error {
        pem::Error::NoItemsFound => TlsError::Missing { what, path: path.to_owned() },
        error => TlsError::File { what, path: path.to_owned(), error },
    })
}

/// TLS over another transport.
#[derive(Clone)]
pub struct TlsConnector<C> {
    inner: C,
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    /// The name is the application's, whatever the server is called.
    is_name_given: bool,
}

impl<C> TlsConnector<C> {
    /// TLS with the server that `inner` reaches, which must prove that it is `host`, or the name in the options.
    ///
    /// # Errors
    /// Files that cannot be used, or a name that no certificate could carry.
    pub fn new(inner: C, host: &str, options: &TlsOptions) -> Result<Self, TlsError> {
        let name = options.server_name.as_deref().unwrap_or(host);
        let server_name = ServerName::try_from(name.to_owned()).map_err(|_| TlsError::Name(name.to_owned()))?;
        let is_name_given = options.server_name.is_some();
        Ok(TlsConnector { inner, config: options.config()?, name: server_name, is_name_given })
    }

    async fn encrypt<S>(&self, name: ServerName<'static>, stream: S) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let connected = Handshaker::from(Arc::clone(&self.config)).connect(name, stream).await;
        connected.map_err(|error| io::Error::new(error.kind(), format!("no TLS: {error}")))
    }

    /// The same over another transport.
    pub fn over<D>(&self, inner: D) -> TlsConnector<D> {
        TlsConnector {
            inner,
            config: Arc::clone(&self.config),
            name: self.name.clone(),
            is_name_given: self.is_name_given,
        }
    }
}

impl<C: Connector + Sync> Connector for TlsConnector<C> {
    type Io = TlsStream<C::Io>;

    async fn connect(&mut self) -> io::Result<Self::Io> {
        let stream = self.inner.connect().await?;
        self.encrypt(self.name.clone(), stream).await
    }

    async fn connect_to(&mut self, server: &Address) -> io::Result<Self::Io> {
        let name = match self.is_name_given {
            true => self.name.clone(),
            // It must prove that it is who was named.
            false => ServerName::try_from(server.host.clone())
                .map_err(|_| io::Error::other(TlsError::Name(server.host.clone())))?,
        };
        let stream = self.inner.connect_to(server).await?;
        self.encrypt(name, stream).await
    }
}

/// Takes every certificate, but no wrong signature: the server does hold the key of what it shows.
#[derive(Debug)]
struct BelievesAnybody(Arc<CryptoProvider>);

impl ServerCertVerifier for BelievesAnybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
