//! Certificates made for these tests.

use std::{path::PathBuf, sync::Arc};

use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use squall_broker::net::tls::{ClientCertificates, TlsFiles};
use tempfile::TempDir;

/// An authority with a folder for its files.
pub(crate) struct Authority {
    folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

/// A certificate and its key, PEM.
pub(crate) struct Pair {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = params(Some(name), &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate").pem();
        let folder = tempfile::tempdir().expect("a folder");
        let authority = Authority { folder, issuer: Issuer::new(params, key), certificate };
        authority.write("ca.pem", &authority.certificate);
        authority
    }

    /// Signs a certificate with this Common Name and these Subject Alternative Names.
    pub(crate) fn sign(&self, common_name: Option<&str>, names: &[&str]) -> Pair {
        let key = KeyPair::generate().expect("a key");
        let certificate = params(common_name, names).signed_by(&key, &self.issuer).expect("a certificate").pem();
        Pair { certificate, key: key.serialize_pem() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).expect("a file");
        path
    }

    /// The files of a server called `name`, which takes certificates of clients as `clients` says.
    pub(crate) fn server(&self, name: &str, clients: ClientCertificates) -> TlsFiles {
        let pair = self.sign(Some(name), &["localhost"]);
        TlsFiles {
            certificates: self.write("server.pem", &pair.certificate),
            key: self.write("server.key", &pair.key),
            clients,
        }
    }

    /// A client that believes this authority, and shows `pair`.
    pub(crate) fn client(
        &self,
        pair: Option<&Pair>,
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(der(&self.certificate)).expect("an authority");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .expect("versions")
            .with_root_certificates(roots);
        match pair {
            None => builder.with_no_client_auth(),
            Some(Pair { certificate, key }) => {
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key");
                builder.with_client_auth_cert(vec![der(certificate)], key).expect("a pair")
            }
        }
    }
}

fn params(common_name: Option<&str>, names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("names");
    params.distinguished_name = DistinguishedName::new();
    if let Some(name) = common_name {
        params.distinguished_name.push(DnType::CommonName, name);
    }
    params
}

fn der(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).expect("a certificate")
}
