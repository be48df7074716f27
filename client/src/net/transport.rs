//! From a URL to connections.

use std::io;

use bytes::Bytes;
use squall_codec::wire::{Text, TextError};
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue};

use super::{
    clock::seed_of_this_run,
    connector::{ByteStream, Connector, TcpConnector},
    driver::start,
    handle::{Events, Handle},
    messages::Messages,
    tls::{TlsConnector, TlsError, TlsOptions},
    url::{Scheme, ServerUrl, UrlError},
    websocket::WebSocketConnector,
};
use crate::{core::redirection::Address, options::Options};

/// Where MQTT lives on servers whose URL names no path.
const WEB_SOCKET_PATH: &str = "/mqtt";

/// Reaches the server of a URL.
#[derive(Clone)]
pub struct UrlConnector(Transport);

#[derive(Clone)]
enum Transport {
    Tcp(TcpConnector),
    Tls(TlsConnector<TcpConnector>),
    WebSocket(WebSocketConnector<TcpConnector>),
    WebSocketOverTls(Box<WebSocketConnector<TlsConnector<TcpConnector>>>),
}

impl UrlConnector {
    /// Over the transport that the URL names. A WebSocket without a path goes to `/mqtt`. The TLS options are looked at
    /// only where there is TLS; its credentials are for [`Options`].
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn new(url: &ServerUrl, tls: &TlsOptions) -> Result<Self, TlsError> {
        let tcp = TcpConnector { host: url.host.clone(), port: url.port };
        let uri = format!("ws://{}{}", url.authority(), url.path.as_deref().unwrap_or(WEB_SOCKET_PATH));
        Ok(UrlConnector(match url.scheme {
            Scheme::Mqtt => Transport::Tcp(tcp),
            Scheme::Mqtts => Transport::Tls(TlsConnector::new(tcp, &url.host, tls)?),
            Scheme::Ws => Transport::WebSocket(WebSocketConnector::new(tcp, uri)),
            Scheme::Wss => {
                let tls = TlsConnector::new(tcp, &url.host, tls)?;
                Transport::WebSocketOverTls(Box::new(WebSocketConnector::new(tls, uri)))
            }
        }))
    }

    /// With one more header field in the handshake of a WebSocket; nothing on other transports.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        match &mut self.0 {
            Transport::WebSocket(connector) => connector.headers.push((name, value)),
            Transport::WebSocketOverTls(connector) => connector.headers.push((name, value)),
            Transport::Tcp(_) | Transport::Tls(_) => {}
        }
        self
    }
}

impl Connector for UrlConnector {
    type Io = Box<dyn ByteStream>;

    async fn connect(&mut self) -> io::Result<Self::Io> {
        Ok(match &mut self.0 {
            Transport::Tcp(connector) => Box::new(connector.connect().await?),
            Transport::Tls(connector) => Box::new(connector.connect().await?),
            Transport::WebSocket(connector) => Box::new(connector.connect().await?),
            Transport::WebSocketOverTls(connector) => Box::new(connector.connect().await?),
        })
    }

    async fn connect_to(&mut self, server: &Address) -> io::Result<Self::Io> {
        Ok(match &mut self.0 {
            Transport::Tcp(connector) => Box::new(connector.connect_to(server).await?),
            Transport::Tls(connector) => Box::new(connector.connect_to(server).await?),
            Transport::WebSocket(connector) => Box::new(connector.connect_to(server).await?),
            Transport::WebSocketOverTls(connector) => Box::new(connector.connect_to(server).await?),
        })
    }
}

/// Why a client cannot start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL is none.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A user name in the URL that MQTT cannot carry.
    #[error("the user name in the URL {0}")]
    Username(TextError),
}

/// A client of the server at this URL, its driver on tokio's runtime: what most applications start with. The
/// certificates of `mqtts://` and `wss://` are judged as this machine judges them. Credentials in the URL are used where
/// the options have none.
///
/// # Errors
/// The URL cannot be used. Whether the server can be reached is told by [`Events`].
///
/// # Panics
/// Outside tokio's runtime.
pub fn open(url: &str, mut options: Options) -> Result<(Handle, Messages, Events), OpenError> {
    let url: ServerUrl = url.parse()?;
    if options.username.is_none()
        && let Some(username) = &url.username
    {
        options.username = Some(Text::new(username.clone()).map_err(OpenError::Username)?);
    }
    if options.password.is_none() {
        options.password = url.password.clone().map(Bytes::from);
    }
    let connector = UrlConnector::new(&url, &TlsOptions::default())?;
    let (handle, messages, events, driver) = start(options, connector, seed_of_this_run());
    tokio::spawn(driver);
    Ok((handle, messages, events))
}
