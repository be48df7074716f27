//! Where connections come from.

use std::{future::Future, io, sync::Arc};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
};

#[cfg(feature = "transports")]
use super::{tls::Tls, websocket::options::WebsocketOptions};
use crate::core::effect::PeerInfo;

/// What a listener takes if it is not told otherwise; `Limits::connections` counts those of all listeners.
const MAXIMUM_CONNECTIONS: usize = 100_000;

/// Accepts Network Connections: TCP, and what stands for it in a simulated network. Each is an ordered stream of bytes both
/// ways that loses none ([MQTT-4.2.0-1]).
pub trait Listener: Send + Sync + 'static {
    /// One connection.
    type Io: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// The next connection.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Io, PeerInfo)>> + Send;
}

/// The settings of one listener.
#[derive(Clone, Debug)]
pub struct ListenerOptions {
    /// What it is called: `PeerInfo::listener` of its connections.
    pub name: Arc<str>,
    /// Connections at once, from the first byte on. Beyond: a new one is closed at once.
    pub maximum_connections: usize,
    /// Every connection begins with a PROXY protocol 2 header, whose address becomes `PeerInfo::address`. Only for
    /// listeners that nobody but the proxy can reach: whoever connects is believed.
    #[cfg(feature = "transports")]
    pub proxy_protocol: bool,
    /// TLS over the socket; several listeners may share it.
    #[cfg(feature = "transports")]
    pub tls: Option<Arc<Tls>>,
    /// WebSocket over that.
    #[cfg(feature = "transports")]
    pub websocket: Option<WebsocketOptions>,
}

impl ListenerOptions {
    /// Plain MQTT.
    pub fn named(name: &str) -> Self {
        ListenerOptions {
            name: name.into(),
            maximum_connections: MAXIMUM_CONNECTIONS,
            #[cfg(feature = "transports")]
            proxy_protocol: false,
            #[cfg(feature = "transports")]
            tls: None,
            #[cfg(feature = "transports")]
            websocket: None,
        }
    }
}

impl Default for ListenerOptions {
    fn default() -> Self {
        ListenerOptions::named("")
    }
}

impl Listener for TcpListener {
    type Io = TcpStream;

    async fn accept(&self) -> io::Result<(TcpStream, PeerInfo)> {
        let (stream, address) = TcpListener::accept(self).await?;
        // An acknowledgement is small and must not wait for the one before it to be acknowledged by TCP.
        stream.set_nodelay(true)?;
        Ok((stream, PeerInfo { address: Some(address), ..PeerInfo::default() }))
    }
}
