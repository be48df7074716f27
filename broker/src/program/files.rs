//! The files that the settings name: read at the start, and again when a signal says so.

use std::sync::Arc;

use squall_broker::net::{
    listener::ListenerOptions,
    tls::{self, Tls, TlsFiles},
    websocket::options::WebsocketOptions,
};

use super::{
    fault::Failure,
    settings::{ClientCertificates, Listen, Settings},
};

/// What was read.
pub(super) struct Files {
    /// For each listener in its order.
    tls: Vec<Option<Arc<Tls>>>,
}

impl Files {
    /// Reads everything.
    ///
    /// # Errors
    /// The first file that is wrong.
    pub(super) fn load(settings: &Settings) -> Result<Self, Failure> {
        let tls = settings.listeners.iter().map(load_tls).collect::<Result<_, _>>()?;
        Ok(Files { tls })
    }

    /// What the listener of this number is opened with.
    pub(super) fn listener_options(&self, number: usize, listen: &Listen) -> ListenerOptions {
        let mut options = ListenerOptions::named(&listen.url.to_string());
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

    /// Reads everything again. What is wrong stays as it was. Says what happened, one line for each kind of file.
    pub(super) fn reload(&self, settings: &Settings) -> Vec<Result<String, String>> {
        let mut news = Vec::new();
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
