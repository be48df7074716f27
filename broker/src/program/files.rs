//! The files that the settings name: read at the start, and again when a signal says so.

use std::{collections::BTreeMap, sync::Arc};

use squall_broker::{
    core::acl::Acl,
    net::{
        hashing::HashingPool,
        listener::ListenerOptions,
        server::ServerHandle,
        tls::{self, Tls, TlsFiles},
        websocket::options::WebsocketOptions,
    },
    users::{
        acl_file,
        authenticator::{FileAuthenticator, Options, Policy},
        entropy::{Entropy, OsEntropy},
        file_error::FileError,
        password_file::Passwords,
    },
};

use super::{
    fault::Failure,
    settings::{ClientCertificates, Listen, Settings},
};

/// What was read.
pub(super) struct Files {
    /// For each listener in its order.
    tls: Vec<Option<Arc<Tls>>>,
    /// The rules at the start.
    pub(super) acl: Arc<Acl>,
}

impl Files {
    /// Reads everything.
    ///
    /// # Errors
    /// The first file that is wrong.
    pub(super) fn load(settings: &Settings) -> Result<Self, Failure> {
        let tls = settings.listeners.iter().map(load_tls).collect::<Result<_, _>>()?;
        let acl = match &settings.users.acl_file {
            Some(file) => Arc::new(acl_file::read(file).map_err(told)?),
            None => Arc::default(),
        };
        if let Some(file) = &settings.users.password_file {
            // Kept by `authenticator`, when the listeners are known. What is wrong is told before anything is bound.
            Passwords::read(file).map_err(told)?;
        }
        Ok(Files { tls, acl })
    }

    /// What the listener of this number is opened with.
    pub(super) fn listener_options(&self, number: usize, listen: &Listen, name: &str) -> ListenerOptions {
        let mut options = ListenerOptions::named(name);
        if let Some(most) = listen.maximum_connections {
            options.maximum_connections = usize::try_from(most).unwrap_or(usize::MAX);
        }
        options.proxy_protocol = listen.proxy_protocol;
        options.tls = self.tls[number].clone();
        options.websocket = listen.url.scheme.uses_websocket().then(|| WebsocketOptions {
            path: listen.url.path.clone(),
            origins: (!listen.origins.is_empty()).then(|| listen.origins.clone()),
        });
        options
    }

    /// Reads everything again. What is wrong stays as it was. Says what happened, one line for each file.
    pub(super) async fn reload(
        &self,
        settings: &Settings,
        authenticator: &FileAuthenticator,
        server: &ServerHandle,
    ) -> Vec<Result<String, String>> {
        let mut news = Vec::new();
        if let Some(file) = &settings.users.password_file {
            // A large file is read for a moment: this task has nothing else to do.
            news.push(match authenticator.reload() {
                Ok(1) => Ok(format!("the passwords in {} (1 user)", file.display())),
                Ok(users) => Ok(format!("the passwords in {} ({users} users)", file.display())),
                Err(error) => Err(error.to_string()),
            });
        }
        if let Some(file) = &settings.users.acl_file {
            news.push(match acl_file::read(file) {
                Ok(acl) => {
                    server.reload(Arc::new(acl)).await;
                    Ok(format!("the rules in {}", file.display()))
                }
                Err(error) => Err(error.to_string()),
            });
        }
        for (listen, tls) in settings.listeners.iter().zip(&self.tls) {
            let Some(tls) = tls else { continue };
            news.push(match tls.reload() {
                Ok(()) => Ok(format!("the certificate of {}", listen.url)),
                Err(error) => Err(error.to_string()),
            });
        }
        news
    }
}

/// Who may come in, where each listener has its own policy.
///
/// # Errors
/// When the password file is wrong, or the system has no random bytes.
pub(super) fn authenticator(
    settings: &Settings,
    listeners: BTreeMap<Arc<str>, Policy>,
) -> Result<FileAuthenticator, Failure> {
    let mut secret = [0; 32];
    OsEntropy.fill(&mut secret).map_err(|error| Failure::to("begin", error))?;
    let options = Options {
        policy: Policy::default(),
        listeners,
        throttle: settings.users.throttle,
        secret,
        entropy: Arc::new(OsEntropy),
        workshop: Arc::new(HashingPool::default()),
    };
    match &settings.users.password_file {
        Some(file) => FileAuthenticator::open(file.clone(), options).map_err(told),
        None => Ok(FileAuthenticator::new(None, options)),
    }
}

fn told(error: FileError) -> Failure {
    Failure::Sentence(error.to_string())
}

fn load_tls(listen: &Listen) -> Result<Option<Arc<Tls>>, Failure> {
    // `Listen::contradiction` has seen to it that they are there.
    let (Some(certificates), Some(key)) = (&listen.certificate, &listen.key) else { return Ok(None) };
    let clients = match (listen.client_certificates, &listen.client_ca) {
        (ClientCertificates::Request, Some(ca)) => tls::ClientCertificates::Request { authorities: ca.clone() },
        (ClientCertificates::Require, Some(ca)) => tls::ClientCertificates::Require { authorities: ca.clone() },
        _ => tls::ClientCertificates::None,
    };
    let files = TlsFiles { certificates: certificates.clone(), key: key.clone(), clients };
    match Tls::load(files) {
        Ok(tls) => Ok(Some(Arc::new(tls))),
        Err(error) => Err(Failure::to(format_args!("listen on {}", listen.url), error)),
    }
}
